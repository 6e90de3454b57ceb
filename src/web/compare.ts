import { diffLines, diffWordsWithSpace } from 'diff';
import { escapeControls } from '../model/tree.ts';

/** A piece of a line; `changed`: the word-by-word comparison found it different. */
interface Piece {
  readonly text: string;
  readonly changed: boolean;
}

/** One row of the comparison. A side without a number has no such line. */
export type Row =
  | { readonly kind: 'same' | 'changed'; readonly left: Line | null; readonly right: Line | null }
  | { readonly kind: 'gap'; readonly lines: number };

interface Line {
  readonly no: number;
  readonly pieces: readonly Piece[];
}

/** Unchanged lines kept around a change. */
const context = 3;
const maxRows = 3_000;
const maxLineLength = 2_000;

/** Both texts line by line, or undefined when they are too large or too different to be compared in a moment. */
export function compare(left: string, right: string): readonly Row[] | undefined {
  // A page must not hold up the engine: half a second at most.
  const parts = diffLines(left, right, { timeout: 500 });
  if (!parts) return undefined;
  const rows: Row[] = [];
  let no = { left: 1, right: 1 };
  for (let i = 0; i < parts.length; i += 1) {
    const part = parts[i];
    if (!part) continue;
    const lines = linesOf(part.value);
    if (!part.added && !part.removed) {
      for (const [k, text] of lines.entries()) rows.push(same(text, no.left + k, no.right + k));
      no = { left: no.left + lines.length, right: no.right + lines.length };
      continue;
    }
    const next = parts[i + 1];
    const removed = part.removed ? lines : [];
    const added = part.added ? lines : next?.added ? linesOf(next.value) : [];
    if (part.removed && next?.added) i += 1;
    rows.push(...changed(removed, added, no));
    no = { left: no.left + removed.length, right: no.right + added.length };
  }
  const folded = fold(rows);
  return folded.length > maxRows ? undefined : folded;
}

/** Valid UTF-8 without NUL, as git tells text from binary. */
export function asText(bytes: Buffer): string | undefined {
  if (bytes.subarray(0, 8_000).includes(0)) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** The picture format that the first bytes say, of those a browser shows without running anything. */
export function pictureType(bytes: Buffer): string | undefined {
  const head = bytes.toString('latin1', 0, 12);
  if (head.startsWith('\x89PNG\r\n\x1a\n')) return 'image/png';
  if (head.startsWith('\xff\xd8\xff')) return 'image/jpeg';
  if (head.startsWith('GIF87a') || head.startsWith('GIF89a')) return 'image/gif';
  return head.startsWith('RIFF') && head.endsWith('WEBP') ? 'image/webp' : undefined;
}

function same(text: string, left: number, right: number): Row {
  const pieces = [{ text: shown(text), changed: false }];
  return { kind: 'same', left: { no: left, pieces }, right: { no: right, pieces } };
}

/** Lines that stand at the same place of a change are compared word by word. */
function changed(removed: readonly string[], added: readonly string[], no: { left: number; right: number }): Row[] {
  const rows: Row[] = [];
  for (let k = 0; k < Math.max(removed.length, added.length); k += 1) {
    const [before, after] = [removed[k], added[k]];
    const pieces = before !== undefined && after !== undefined ? words(before, after) : undefined;
    const whole = (text: string): readonly Piece[] => [{ text: shown(text), changed: false }];
    rows.push({
      kind: 'changed',
      left: before === undefined ? null : { no: no.left + k, pieces: pieces?.left ?? whole(before) },
      right: after === undefined ? null : { no: no.right + k, pieces: pieces?.right ?? whole(after) },
    });
  }
  return rows;
}

function words(before: string, after: string): { left: Piece[]; right: Piece[] } | undefined {
  if (before.length > maxLineLength || after.length > maxLineLength) return undefined;
  const parts = diffWordsWithSpace(before, after, { timeout: 20 });
  if (!parts) return undefined;
  const piece = (part: { value: string; added: boolean; removed: boolean }): Piece => ({
    text: shown(part.value),
    changed: part.added || part.removed,
  });
  return {
    left: parts.filter(({ added }) => !added).map(piece),
    right: parts.filter(({ removed }) => !removed).map(piece),
  };
}

/** Long runs of equal lines become one row that counts them. */
function fold(rows: readonly Row[]): Row[] {
  const near = new Uint8Array(rows.length);
  for (const [i, row] of rows.entries()) {
    if (row.kind !== 'changed') continue;
    near.fill(1, Math.max(0, i - context), i + context + 1);
  }
  const folded: Row[] = [];
  for (let i = 0; i < rows.length; i += 1) {
    const row = rows[i];
    if (!row) continue;
    let end = i;
    while (end < rows.length && near[end] === 0) end += 1;
    // A gap of one line would be longer than the line.
    if (end - i > 1) {
      folded.push({ kind: 'gap', lines: end - i });
      i = end - 1;
    } else folded.push(row);
  }
  return folded;
}

function linesOf(text: string): string[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

/** Tabs stay; other control characters are made visible; a line of a megabyte is cut with its length said. */
function shown(text: string): string {
  const cut =
    text.length > maxLineLength
      ? `${text.slice(0, maxLineLength)} … ${text.length - maxLineLength} more characters`
      : text;
  return cut.split('\t').map(escapeControls).join('\t');
}
