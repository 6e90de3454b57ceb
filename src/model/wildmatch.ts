/**
 * The patterns of `.gitattributes` and `.gitignore`, as git matches them. Whoever may push writes them, so none may take
 * long: a match goes back to the last star and no further.
 */

/**
 * Whether a path is meant, both seen from the pattern's folder; undefined where no file ever is. `folds`: as git does with
 * `core.ignoreCase`, and the path must come in lower case ({@link lowerCase}).
 */
export function compilePattern(pattern: string, folds = false): ((path: string) => boolean) | undefined {
  // For folders, and attributes are those of files.
  if (pattern === '' || pattern.endsWith('/')) return undefined;
  if (!pattern.includes('/')) {
    // Without a slash it is for the last name, wherever that is.
    const name = parse(pattern, folds)?.[0];
    return name && ((path) => matchNames([name], [path.slice(path.lastIndexOf('/') + 1)]));
  }
  const anchored = pattern.startsWith('/') ? pattern.slice(1) : pattern;
  // Git takes off what has no wildcard first: so the stars of `a/b**` stand at a beginning, and go through folders.
  const head = plainLength(anchored);
  const plain = folds ? lowerCase(anchored.slice(0, head)) : anchored.slice(0, head);
  if (head === anchored.length) return (path) => path === plain;
  const names = parse(anchored.slice(head), folds);
  return names && ((path) => path.startsWith(plain) && matchNames(names, path.slice(plain.length).split('/')));
}

/** How many characters stand before the first that is more than itself. */
export const plainLength = (pattern: string): number => /^[^*?[\\]*/.exec(pattern)?.[0].length ?? 0;

/** As git folds case: of bytes, and so of ASCII letters only. */
export const lowerCase = (text: string): string => text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());

/** Any number of characters of a name, or any number of names. */
const some = Symbol('some');
type Char = (char: string) => boolean;
type Name = readonly (Char | typeof some)[];
const anyName: Name = [some];

const token = /(?<=^|\/)\*\*+(?<folders>$|\\?\/)|(?<stars>\*+)|(?<any>\?)|(?<set>\[)|\\(?<quoted>[^])|(?<plain>[^\\])/y;

/** Name by name; undefined where nothing can match. */
function parse(text: string, folds: boolean): readonly (Name | typeof some)[] | undefined {
  const names: (Name | typeof some)[] = [];
  let name: Name[number][] = [];
  for (token.lastIndex = 0; token.lastIndex < text.length;) {
    const found = token.exec(text);
    // A backslash with nothing after it.
    if (!found) return undefined;
    const { folders, stars, any, set, quoted, plain } = found.groups as Record<string, string | undefined>;
    // What is quoted keeps its case, so with folding a quoted capital stands for nothing.
    const char = quoted ?? (plain !== undefined && folds ? lowerCase(plain) : plain);
    if (folders !== undefined) {
      // Only before a plain slash it may stand for no name at all.
      if (folders !== '/') names.push(anyName);
      names.push(some);
      if (folders === '') return names;
    } else if (stars) name.push(some);
    else if (any) name.push(() => true);
    else if (set) {
      const read = readSet(text, found.index, folds);
      if (!read) return undefined;
      name.push(read.has);
      token.lastIndex = read.end;
    } else if (char === '/') {
      names.push(name);
      name = [];
    } else name.push((one) => one === char);
  }
  return [...names, name];
}

/** The set that begins at `from`, and where it ends; undefined where git finds it malformed. */
function readSet(text: string, from: number, folds: boolean): { has: Char; end: number } | undefined {
  const isNot = /^\[[!^]/.test(text.slice(from, from + 2));
  const ranges: Ranges[number][] = [];
  // Git asks ranges for a letter in both cases, and single characters for the small one alone.
  const upper: Ranges[number][] = [];
  const singles = new Set<string>();
  // What a range may begin with.
  let before = '';
  const begin = from + (isNot ? 2 : 1);
  let at = begin;
  // What stands first is no end of it.
  for (; at === begin || text[at] !== ']'; at += 1) {
    const next = text[at + 1];
    const close = text[at] === '[' && next === ':' ? text.indexOf(']', at + 2) : 0;
    if (close < 0) return undefined;
    if (close > at + 2 && text[close - 1] === ':') {
      const named = classes.get(text.slice(at + 2, close - 1));
      if (!named) return undefined;
      ranges.push(...named);
      if (folds && text.slice(at + 2, close - 1) === 'upper') ranges.push(['a', 'z']);
      before = '';
      at = close;
    } else if (text[at] === '-' && before !== '' && next !== undefined && next !== ']') {
      at += next === '\\' ? 2 : 1;
      ranges.push([before, text[at] ?? '']);
      if (folds) upper.push([before, text[at] ?? '']);
      before = '';
    } else {
      at += text[at] === '\\' ? 1 : 0;
      before = text[at] ?? '';
      singles.add(before);
    }
    if (text[at] === undefined) return undefined;
  }
  const isIn = (all: Ranges, char: string): boolean => all.some(([first, last]) => first <= char && char <= last);
  const isSmall = (char: string): boolean => 'a' <= char && char <= 'z';
  const has: Char = (char) =>
    (singles.has(char) || isIn(ranges, char) || (isSmall(char) && isIn(upper, char.toUpperCase()))) !== isNot;
  return { has, end: at + 1 };
}

type Ranges = readonly (readonly [first: string, last: string])[];

/** As git has them, whatever the language of the machine. */
const classes: ReadonlyMap<string, Ranges> = new Map([
  [
    'alnum',
    [
      ['0', '9'],
      ['A', 'Z'],
      ['a', 'z'],
    ],
  ],
  [
    'alpha',
    [
      ['A', 'Z'],
      ['a', 'z'],
    ],
  ],
  [
    'blank',
    [
      ['\t', '\t'],
      [' ', ' '],
    ],
  ],
  [
    'cntrl',
    [
      ['\0', '\x1f'],
      ['\x7f', '\x7f'],
    ],
  ],
  ['digit', [['0', '9']]],
  ['graph', [['!', '~']]],
  ['lower', [['a', 'z']]],
  ['print', [[' ', '~']]],
  [
    'punct',
    [
      ['!', '/'],
      [':', '@'],
      ['[', '`'],
      ['{', '~'],
    ],
  ],
  [
    'space',
    [
      ['\t', '\n'],
      ['\r', '\r'],
      [' ', ' '],
    ],
  ],
  ['upper', [['A', 'Z']]],
  [
    'xdigit',
    [
      ['0', '9'],
      ['A', 'F'],
      ['a', 'f'],
    ],
  ],
]);

/** Name by name. */
function matchNames(wanted: readonly (Name | typeof some)[], names: readonly string[]): boolean {
  return matches(wanted, names, (name, given) => matches(name, given, (char, one) => char(one)));
}

/** Whether what is wanted stands for all that is given. An earlier `some` never has to take more than it did. */
function matches<Want, Given>(
  wanted: readonly (Want | typeof some)[],
  given: ArrayLike<Given>,
  fits: (want: Want, given: Given) => boolean,
): boolean {
  let [at, back, backTo] = [0, -1, 0];
  for (let to = 0; to < given.length;) {
    const want = wanted[at];
    if (want === some) {
      [back, backTo] = [at, to];
      at += 1;
    } else if (want !== undefined && fits(want, given[to] as Given)) {
      at += 1;
      to += 1;
    } else {
      if (back < 0) return false;
      backTo += 1;
      [at, to] = [back + 1, backTo];
    }
  }
  return wanted.slice(at).every((want) => want === some);
}
