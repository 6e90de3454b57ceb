import { type SitePath, parentOf } from '../model/tree.ts';
import { compilePattern, lowerCase, plainLength } from '../model/wildmatch.ts';

/**
 * How letters compare. `exact` and `folded`: as git with `core.ignoreCase` off and on, including that git then compares
 * only what is not quoted. `blind`: capitals and small letters are the same everywhere, quoted or in a set.
 */
export type Casing = 'exact' | 'folded' | 'blind';

export type PathKind = 'file' | 'directory';

/** One line of a `.gitignore`. */
export interface Pattern {
  /** The line as it was written, without what git does not read of it. One character per byte. */
  readonly line: string;
  /** `!`: what it matches is not ignored. */
  readonly negated: boolean;
  readonly foldersOnly: boolean;
  readonly matches: (path: string) => boolean;
}

/**
 * The lines of one file of rules, read and matched as git does (`dir.c`), for bytes as well as for text. The npm package
 * `ignore` is not used for it: it makes regular expressions of the patterns, and differs from git in quotes, sets and
 * stars, and in names that are no valid UTF-8. `text`: one character per byte.
 */
export class PatternList {
  readonly #patterns: readonly Pattern[];
  readonly #casing: Casing;
  /** What was decided about folders: each is asked about once for every file in it. */
  readonly #folders = new Map<string, Pattern | undefined>();

  constructor(text: string, casing: Casing) {
    this.#casing = casing;
    this.#patterns = text
      .replace(/^\xef\xbb\xbf/, '')
      .split('\n')
      .flatMap((line) => parseLine(line, casing))
      .reverse();
  }

  /** The line that decides about this very path, whatever is said of the folders above it. */
  decides(path: string, kind: PathKind): Pattern | undefined {
    const asked = this.#casing === 'exact' ? path : lowerCase(path);
    return this.#patterns.find(({ foldersOnly, matches }) => (kind === 'directory' || !foldersOnly) && matches(asked));
  }

  /** The line by which a path is ignored, or the outermost folder above it that is. */
  ignores(path: SitePath, kind: PathKind): Pattern | undefined {
    if (kind === 'directory') return this.#ignoresFolder(path);
    const above = this.#ignoresFolder(parentOf(path));
    return above ?? ignoring(this.decides(path, kind));
  }

  #ignoresFolder(folder: string): Pattern | undefined {
    if (folder === '' || this.#patterns.length === 0) return undefined;
    if (this.#folders.has(folder)) return this.#folders.get(folder);
    const found = this.#ignoresFolder(parentOf(folder)) ?? ignoring(this.decides(folder, 'directory'));
    this.#folders.set(folder, found);
    return found;
  }
}

const ignoring = (pattern: Pattern | undefined): Pattern | undefined => (pattern?.negated ? undefined : pattern);

function parseLine(row: string, casing: Casing): readonly Pattern[] {
  if (row === '' || row.startsWith('#')) return [];
  const line = withoutTrailingSpaces(row.replace(/\r$/, '').replace(/\0[^]*/, ''));
  const negated = line.startsWith('!');
  const written = negated ? line.slice(1) : line;
  const foldersOnly = written.endsWith('/');
  const pattern = foldersOnly ? written.slice(0, -1) : written;
  const matches = pattern && compile(casing === 'blind' ? lowerCase(pattern) : pattern, casing === 'folded');
  return matches ? [{ line, negated, foldersOnly, matches }] : [];
}

function compile(pattern: string, folds: boolean): ((path: string) => boolean) | undefined {
  if (pattern.includes('/')) return compilePattern(pattern, folds);
  // For the last name alone; most patterns are a plain name or a plain end of one.
  const text = folds ? lowerCase(pattern) : pattern;
  const plain = plainLength(text);
  const below = `/${text}`;
  if (plain === text.length) return (path) => path === text || path.endsWith(below);
  if (text.startsWith('*') && plainLength(text.slice(1)) === text.length - 1) {
    const end = text.slice(1);
    return (path) => path.slice(path.lastIndexOf('/') + 1).endsWith(end);
  }
  return compilePattern(pattern, folds);
}

/** Spaces at the end count only behind a backslash. A line that ends with a single backslash stays as it is. */
function withoutTrailingSpaces(line: string): string {
  let spaces: number | undefined;
  for (let at = 0; at < line.length; at += 1) {
    if (line[at] === ' ') {
      spaces ??= at;
      continue;
    }
    if (line[at] === '\\') at += 1;
    if (at === line.length) return line;
    spaces = undefined;
  }
  return line.slice(0, spaces);
}
