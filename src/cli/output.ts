import { styleText } from 'node:util';
import { escapeControls } from '../model/tree.ts';

type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'blue';

/** Where a command's words go. */
export interface Output {
  /** Whether people read along on a terminal. */
  readonly terminal: boolean;
  /** How many characters fit on a line. */
  readonly columns: number;
  /** One line of what was asked for. */
  line(text?: string): void;
  /** One line beside it, for the person alone: progress, a question. */
  note(text: string): void;
  /** The text in this style, where styles are shown. */
  style(style: Style, text: string): string;
  json(value: unknown): void;
}

/** `NO_COLOR`: see no-color.org. */
export function createOutput(env: NodeJS.ProcessEnv = process.env): Output {
  const { stdout, stderr } = process;
  const styled = stdout.isTTY && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
  return {
    terminal: stdout.isTTY,
    // A terminal that does not know its size says 0.
    columns: (stdout.isTTY && stdout.columns) || 80,
    line: (text = '') => void stdout.write(`${text}\n`),
    note: (text) => void stderr.write(`${text}\n`),
    style: (style, text) => (styled ? styleText(style, text, { validateStream: false }) : text),
    json: (value) => void stdout.write(`${JSON.stringify(value, undefined, 2)}\n`),
  };
}

export interface Column<Row> {
  readonly title: string;
  readonly of: (row: Row) => string;
  readonly style?: (row: Row) => Style | undefined;
  /** May be cut when the line is too long; the narrowest it may become. */
  readonly least?: number;
  /** Numbers stand at the right. */
  readonly right?: boolean;
}

const gap = '  ';

/** Lines of a table that fits: columns that may be cut give way, the widest first. */
export function table<Row>(
  { columns: width, style }: Output,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
): string[] {
  const cells = rows.map((row) => columns.map((column) => escapeControls(column.of(row))));
  const widths = columns.map(({ title }, at) =>
    Math.max(...[title, ...cells.map((row) => row[at] ?? '')].map(widthOf)),
  );
  const over = (): number => widths.reduce((sum, each) => sum + each, gap.length * (widths.length - 1)) - width;
  while (over() > 0) {
    const widest = columns
      .map(({ least }, at) => ({ at, spare: least === undefined ? 0 : (widths[at] ?? 0) - least }))
      .sort((a, b) => b.spare - a.spare)[0];
    if (!widest || widest.spare <= 0) break;
    widths[widest.at] = (widths[widest.at] ?? 0) - 1;
  }
  const lineOf = (texts: readonly string[], styleOf: (at: number) => Style | undefined): string =>
    texts
      .map((text, at) => {
        const cut = shorten(text, widths[at] ?? 0);
        const space = ' '.repeat(Math.max(0, (widths[at] ?? 0) - widthOf(cut)));
        const chosen = styleOf(at);
        const shown = chosen ? style(chosen, cut) : cut;
        if (columns[at]?.right) return `${space}${shown}`;
        return at === texts.length - 1 ? shown : `${shown}${space}`;
      })
      .join(gap)
      .trimEnd();
  const head = lineOf(
    columns.map(({ title }) => title),
    () => 'dim',
  );
  return [head, ...rows.map((row, n) => lineOf(cells[n] ?? [], (at) => columns[at]?.style?.(row)))];
}

/** `Label   text`, one below the other, long texts wrapped below their beginning. */
export function pairs({ columns, style }: Output, given: readonly (readonly [string, string])[]): string[] {
  const rows = given.map(([name, text]) => [shorten(escapeControls(name), Math.floor(columns / 3)), text] as const);
  const label = Math.max(...rows.map(([name]) => widthOf(name))) + gap.length;
  return rows.flatMap(([name, text]) =>
    wrap(escapeControls(text), columns - label).map((line, n) =>
      n === 0 ? `${style('dim', name)}${' '.repeat(label - widthOf(name))}${line}` : `${' '.repeat(label)}${line}`,
    ),
  );
}

/** Breaks at spaces; a word that is longer than a line stands alone. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last === undefined || widthOf(last) + 1 + widthOf(word) > width) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}

/** Cut in the middle: names and paths tell most at both ends. */
export function shorten(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  const marks = graphemes(text);
  const take = (from: readonly string[], room: number): string[] => {
    const taken: string[] = [];
    let used = 0;
    for (const mark of from) {
      used += widthOf(mark);
      if (used > room) break;
      taken.push(mark);
    }
    return taken;
  };
  const tail = take([...marks].reverse(), Math.floor((width - 1) / 2)).reverse();
  const head = take(marks, width - 1 - widthOf(tail.join('')));
  return `${head.join('')}…${tail.join('')}`;
}

const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' });
const graphemes = (text: string): string[] => [...segmenter.segment(text)].map(({ segment }) => segment);
const isWide =
  /\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60]/u;

/** How many places of a terminal the text takes. */
export function widthOf(text: string): number {
  // Most texts are plain.
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  return graphemes(text).reduce((sum, mark) => sum + (isWide.test(mark) ? 2 : 1), 0);
}
