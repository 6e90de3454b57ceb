import { type SitePath, parentOf } from './tree.ts';
import { compilePattern } from './wildmatch.ts';

/** The text of a folder's own `.gitattributes`, one character per byte; the folder `''` is the top of the repository. */
export type ReadAttributes = (folder: string) => string | undefined;

/** Which paths a repository keeps in LFS. */
export function createTracked(read: ReadAttributes): (path: SitePath) => boolean {
  const filterOf = createAttribute(read, 'filter');
  return (path) => filterOf(path) === 'lfs';
}

/**
 * What a repository's `.gitattributes` say of one attribute, as `git check-attr` answers. The last line that matches
 * counts, and a file nearer to the path beats those above it.
 */
export function createAttribute(read: ReadAttributes, attribute: string): (path: SitePath) => AttributeValue {
  let top: Top | undefined;
  const known = new Map<string, readonly Line[]>();
  return (path) => {
    top ??= readTop(read('') ?? '', attribute);
    const { macros, concerned } = top;
    const values = new Map<string, AttributeValue>();
    for (let folder = parentOf(path); ; folder = parentOf(folder)) {
      const below = folder === '' ? path : path.slice(folder.length + 1);
      const lines = folder === '' ? top.lines : (known.get(folder) ?? telling(parse(read(folder) ?? ''), concerned));
      known.set(folder, lines);
      for (const { matches, says } of lines) {
        if (matches?.(below)) learn(values, says, macros);
        if (values.has(attribute)) return values.get(attribute);
      }
      if (folder === '') return undefined;
    }
  };
}

/** Set, unset, unspecified (undefined), or a text. */
export type AttributeValue = boolean | string | undefined;
type Say = readonly [attribute: string, value: AttributeValue];
type Macros = ReadonlyMap<string, readonly Say[]>;

/** A macro's own line, or one for the paths of its pattern. */
interface Line {
  readonly macro?: string;
  readonly matches?: ((path: string) => boolean) | undefined;
  readonly says: readonly Say[];
}

/** What the file at the top of the repository says. Macros count from there alone. */
interface Top {
  readonly macros: Macros;
  /** The attribute, and every macro that says something of it. */
  readonly concerned: ReadonlySet<string>;
  readonly lines: readonly Line[];
}

function readTop(text: string, attribute: string): Top {
  // One macro is there before any file says a word.
  const lines = [...parse('[attr]binary -diff -merge -text'), ...parse(text)];
  const macros = new Map(lines.flatMap(({ macro, says }) => (macro === undefined ? [] : [[macro, says] as const])));
  const users = new Map<string, string[]>();
  for (const [macro, says] of macros) {
    for (const [attribute] of says) {
      const others = users.get(attribute);
      if (others) others.push(macro);
      else users.set(attribute, [macro]);
    }
  }
  const concerned = new Set([attribute]);
  for (const name of concerned) for (const macro of users.get(name) ?? []) concerned.add(macro);
  return { macros, concerned, lines: telling(lines, concerned) };
}

/** What is said first stays: from the last word of a line to its first, a macro's words right after its name. */
function learn(values: Map<string, AttributeValue>, says: readonly Say[], macros: Macros): void {
  const todo = [...says];
  for (let next = todo.pop(); next; next = todo.pop()) {
    const [attribute, value] = next;
    if (values.has(attribute)) continue;
    values.set(attribute, value);
    if (value === true) todo.push(...(macros.get(attribute) ?? []));
  }
}

/** The lines that can tell something of the attribute, the last one first. Most lines are about other things. */
function telling(lines: readonly Line[], concerned: ReadonlySet<string>): readonly Line[] {
  const some = lines.filter(({ matches, says }) => matches && says.some(([attribute]) => concerned.has(attribute)));
  return some.reverse();
}

function parse(text: string): readonly Line[] {
  // The mark that some editors put at the head of a text.
  return text
    .replace(/^\xef\xbb\xbf/, '')
    .split('\n')
    .flatMap(parseLine);
}

/** Longer lines git leaves out too. */
const lineBytes = 2_048;

function parseLine(row: string): readonly Line[] {
  const line = row.replace(/\r$/, '').replace(/\0[^]*/, '');
  const text = line.replace(/^[ \t\r]+/, '');
  if (text === '' || text.startsWith('#') || line.length >= lineBytes) return [];
  const { pattern, rest } = unquote(text) ?? { pattern: /^[^ \t\r]+/.exec(text)?.[0] ?? '' };
  const words = (rest ?? text.slice(pattern.length)).split(/[ \t\r]+/).filter(Boolean);
  const says = words.flatMap((word): Say[] => {
    const [, mark = '', attribute = '', value] = /^([-!]?)([^=]*)(?:=(.*))?$/.exec(word) ?? [];
    if (!isName(attribute)) return [];
    return [[attribute, mark === '' ? (value ?? true) : mark === '-' ? false : undefined]];
  });
  // One word that cannot be read spoils the line.
  if (says.length < words.length) return [];
  const macro = /^\[attr\][ \t\r\n]*([^ \t\r\n]*)/.exec(pattern.length > '[attr]'.length ? pattern : '')?.[1];
  if (macro !== undefined) return isName(macro) ? [{ macro, says }] : [];
  // Git leaves out what begins with «not».
  return pattern.startsWith('!') ? [] : [{ matches: compilePattern(pattern), says }];
}

const isName = (text: string): boolean => /^[\w.][-\w.]*$/.test(text);

const escapes: Readonly<Record<string, string>> = { a: '\x07', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' };

/** A pattern in quotes, as C has them; undefined where it is none. */
function unquote(text: string): { pattern: string; rest: string } | undefined {
  const found = /^"((?:[^"\\]|\\[abfnrtv\\"]|\\[0-3][0-7]{2})*)"/.exec(text);
  if (!found) return undefined;
  const [quoted, inner = ''] = found;
  const pattern = inner.replace(/\\([0-7]{3}|[^])/g, (_, code: string) =>
    code.length === 3 ? String.fromCharCode(Number.parseInt(code, 8)) : (escapes[code] ?? code),
  );
  return { pattern: pattern.replace(/\0[^]*/, ''), rest: text.slice(quoted.length) };
}
