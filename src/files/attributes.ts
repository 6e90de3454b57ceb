import { type SitePath, parentOf } from '../model/tree.ts';

/**
 * Which paths a repository keeps in LFS: what its `.gitattributes` say of `filter`. As in git, the last line that
 * matches counts, and a file nearer to the path beats those above it. `read`: the text of a folder's own file.
 */
export function createTracked(read: (folder: string) => string | undefined): (path: SitePath) => boolean {
  const rules = new Map<string, readonly Rule[]>();
  const rulesOf = (folder: string): readonly Rule[] => {
    const known = rules.get(folder) ?? parse(read(folder) ?? '');
    rules.set(folder, known);
    return known;
  };
  return (path) => {
    for (let folder = parentOf(path); ; folder = parentOf(folder)) {
      const below = folder === '' ? path : path.slice(folder.length + 1);
      const rule = rulesOf(folder).findLast(({ matches }) => matches(below));
      if (rule) return rule.lfs;
      if (folder === '') return false;
    }
  };
}

interface Rule {
  readonly lfs: boolean;
  matches(path: string): boolean;
}

/** Only lines that say something of `filter`. Macros, quoted and negated patterns are not for files kept in LFS. */
function parse(text: string): readonly Rule[] {
  return text.split('\n').flatMap((line): Rule[] => {
    const [pattern = '', ...attributes] = line.trim().split(/[ \t\r]+/);
    if (pattern === '' || pattern.endsWith('/') || /^([#!"]|\[attr\])/.test(pattern)) return [];
    const filter = attributes.findLast((attribute) => /^[-!]?filter(=|$)/.test(attribute));
    if (filter === undefined) return [];
    const folders = pattern.replace(/^\//, '').split('/').map(parts);
    // Without a slash the pattern is for the last name, wherever it is.
    const wanted: readonly Name[] = pattern.includes('/') ? folders : [anyFolders, ...folders];
    return [{ lfs: filter === 'filter=lfs', matches: (path) => matchPath(wanted, path.split('/')) }];
  });
}

/** One character of a name, or `any` for some of them. */
type Part = 'any' | ((char: string) => boolean);

/** Stands for any number of folders. */
const anyFolders = 'folders' as const;
type Name = readonly Part[] | typeof anyFolders;

function parts(name: string): Name {
  if (name === '**') return anyFolders;
  const found: Part[] = [];
  for (const [token] of name.matchAll(/\*+|\?|\[[!^]?\]?[^\]]*\]|\\.|[^]/g)) {
    if (token.startsWith('*')) found.push('any');
    else if (token === '?') found.push(() => true);
    else if (token.startsWith('[') && token.length > 1) found.push(oneOf(token.slice(1, -1)));
    else {
      const char = token.at(-1) as string;
      found.push((one) => one === char);
    }
  }
  return found;
}

function oneOf(set: string): (char: string) => boolean {
  const isNot = /^[!^]/.test(set);
  const ranges = [...set.slice(isNot ? 1 : 0).matchAll(/\\?([^])(?:-\\?([^]))?/g)];
  return (char) => ranges.some(([, from = '', to = from]) => from <= char && char <= to) !== isNot;
}

/** Name by name. No pattern may take long: whoever may push writes them. So nothing here goes back more than one step. */
function matchPath(wanted: readonly Name[], names: readonly string[]): boolean {
  // Which beginnings of the path the names so far can stand for.
  let reached = new Set([0]);
  for (const [at, name] of wanted.entries()) {
    const next = new Set<number>();
    if (name === anyFolders) {
      // At the end it stands for at least one name, elsewhere for none or more.
      const least = Math.min(...reached) + (at === wanted.length - 1 ? 1 : 0);
      for (let to = least; to <= names.length; to += 1) next.add(to);
    } else {
      for (const from of reached) if (from < names.length && matchName(name, names[from] as string)) next.add(from + 1);
    }
    if (next.size === 0) return false;
    reached = next;
  }
  return reached.has(names.length);
}

function matchName(wanted: readonly Part[], name: string): boolean {
  let [at, back, backTo] = [0, -1, 0];
  for (let char = 0; char < name.length;) {
    const part = wanted[at];
    if (part === 'any') {
      [back, backTo] = [at, char];
      at += 1;
    } else if (part?.(name[char] as string)) {
      at += 1;
      char += 1;
    } else {
      if (back < 0) return false;
      // The last star takes one character more; an earlier one never has to.
      backTo += 1;
      [at, char] = [back + 1, backTo];
    }
  }
  return wanted.slice(at).every((part) => part === 'any');
}
