import { type SitePath, parentOf, pathBytes } from '../model/tree.ts';
import type { Fs } from '../model/world.ts';
import { errorCode } from './errno.ts';

/** Which names a file system takes for one and the same: those that differ in case, or in how accents are composed. */
export interface Folding {
  readonly case: boolean;
  readonly form: boolean;
}

/** Tells by the names that an open directory holds: asks for each under another spelling. Writes nothing. */
export function foldingSeen(fs: Fs, dir: number): Folding {
  const names = fs.list(dir).map(({ name }) => name.toString('utf8'));
  const present = new Set(names);
  const answers = (other: (name: string) => string): boolean =>
    names
      .filter((name) => other(name) !== name && !present.has(other(name)))
      .slice(0, 20)
      .some((name) => isThere(fs, dir, other(name)));
  return { case: answers(otherCase), form: answers(otherForm) };
}

/** A name may be one that the disk cannot hold in another spelling: then nothing is there. */
function isThere(fs: Fs, dir: number, name: string): boolean {
  try {
    return fs.stat(dir, Buffer.from(name)) !== undefined;
  } catch (error) {
    if (['ENAMETOOLONG', 'EINVAL', 'EILSEQ'].includes(errorCode(error))) return false;
    throw error;
  }
}

const otherCase = (name: string): string => (name === name.toUpperCase() ? name.toLowerCase() : name.toUpperCase());
const otherForm = (name: string): string =>
  name === name.normalize('NFC') ? name.normalize('NFD') : name.normalize('NFC');

/**
 * Of the paths that come, those which would be the same file, or lie in the same folder, as another of different
 * spelling: that one came first. Pure.
 */
export function collisions(
  folding: Folding,
  present: Iterable<SitePath>,
  coming: readonly SitePath[],
): ReadonlyMap<SitePath, SitePath> {
  const found = new Map<SitePath, SitePath>();
  if (!folding.case && !folding.form) return found;
  const spelled = new Map<string, string>();
  const rivalOf = (path: SitePath): SitePath | undefined => {
    for (let at: string = path; at !== ''; at = parentOf(at)) {
      const rival = spelled.get(folded(folding, at));
      if (rival !== undefined && rival !== at) return rival as SitePath;
    }
    return undefined;
  };
  const learn = (path: SitePath): void => {
    for (let at: string = path; at !== '' && !spelled.has(folded(folding, at)); at = parentOf(at))
      spelled.set(folded(folding, at), at);
  };
  for (const path of present) learn(path);
  for (const path of [...coming].sort()) {
    const rival = rivalOf(path);
    if (rival === undefined) learn(path);
    else found.set(path, rival);
  }
  return found;
}

export function folded(folding: Folding, path: string): string {
  let text = pathBytes(path as SitePath).toString('utf8');
  if (folding.form) text = text.normalize('NFC');
  // Up and down again: `ß` and `SS`, final and other sigma.
  if (folding.case) text = text.toUpperCase().toLowerCase();
  return text;
}
