import { randomBytes } from 'node:crypto';
import type { Dirent, Stats } from 'node:fs';
import { lstat, mkdir, readdir, realpath, rmdir } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, normalize, sep } from 'node:path';
import { errnoWords, isAboutRights } from '../model/errno.ts';
import { Problem } from '../model/problem.ts';
import type { Site } from '../model/site.ts';
import { shortened } from '../model/tree.ts';
import { hiddenPlace, readMounts } from './mount-table.ts';
import { rootProblem, unwritable } from './root.ts';

export interface SiteFoldersDeps {
  /** Absolute paths under which sites may lie. */
  readonly roots: readonly string[];
  readonly stateDir: string;
  readonly sites: () => readonly Pick<Site, 'id' | 'name' | 'folder'>[];
}

interface FolderChoice {
  readonly path: string;
  /** Counted up to a bound: a larger folder shows the bound. */
  readonly files: number;
  readonly bytes: number;
  readonly empty: boolean;
  /** A sentence, when the folder cannot be used. */
  readonly disabled?: string;
}

export interface SiteFolders {
  /** The roots' subfolders, by name. A root that cannot be read is left out. */
  folders(): Promise<readonly FolderChoice[]>;
  /**
   * The folder's real path, if a site may lie there. Throws `folder-invalid` (fact `hint`, a sentence), `folder-missing`
   * (only with `self`, or with the fact `hidden`: the place that a sandbox hides), `folder-link`, `folder-not-folder`, `folder-outside-roots` (fact `roots`), `folder-overlaps` (fact `site`),
   * `folder-unreadable`, `folder-unwritable` (both with the fact `errno`); fact `folder` in each; and `disk-full` and
   * `out-of-resources`. Called for new sites and again at each start, then with `self`, the site that lies there already.
   */
  checkFolder(path: string, self?: Site['id']): Promise<string>;
}

/** Which folders can become sites. */
export function createSiteFolders(deps: SiteFoldersDeps): SiteFolders {
  async function checkFolder(path: string, self?: Site['id']): Promise<string> {
    const plain = checkText(path);
    const found = await lookAt(plain);
    if (found?.isSymbolicLink()) throw new Problem('folder-link', { folder: plain });
    // Where it lies comes before whether it exists: a folder that may not be a site need not be created first.
    const real = await realPlace(plain);
    await checkPlace(real, plain, deps);
    await checkNeighbours(real, plain, self, deps);
    const hidden = found ? undefined : hiddenPlace(plain, readMounts());
    if (hidden !== undefined) throw new Problem('folder-missing', { folder: plain, hidden });
    if (!found && self === undefined) throw invalid(plain, `${quoted(plain)} does not exist. Create the folder first.`);
    if (!found) throw new Problem('folder-missing', { folder: plain });
    if (!found.isDirectory()) throw new Problem('folder-not-folder', { folder: plain });
    await tried(() => readdir(real), real, rootProblem);
    await tried(() => makeAndRemove(real), real, unwritable);
    return real;
  }

  async function offer(path: string): Promise<FolderChoice> {
    const disabled = await checkFolder(path).then(() => undefined, sentenceOf);
    const size = await measure(path);
    return { path, ...size, empty: size.files === 0, ...(disabled === undefined ? {} : { disabled }) };
  }

  return {
    checkFolder,
    async folders() {
      const paths = await Promise.all(deps.roots.map(subfolders));
      const offers: FolderChoice[] = [];
      // One after another: two hundred folders counted at once would only fight for the disk.
      for (const path of paths.flat().slice(0, mostOffers)) offers.push(await offer(path));
      return offers;
    },
  };
}

const mostOffers = 500;
/** Entries looked at per folder before the count stops. */
const mostCounted = 2_000;

function checkText(path: string): string {
  if (path.trim() === '') throw invalid(path, 'Enter a folder.');
  if (/\p{Cc}/u.test(path))
    throw invalid(path.replace(/\p{Cc}/gu, '?'), 'A folder’s name here must not contain control characters.');
  if (!isAbsolute(path)) throw invalid(path, 'Enter the whole path, beginning with /.');
  if (Buffer.byteLength(path) > 4_000) throw invalid(path.slice(0, 100), 'The path is too long.');
  const plain = normalize(path).replace(/(?<=.)\/+$/, '');
  if (plain === '/') throw invalid(path, 'The whole disk cannot be a site.');
  return plain;
}

/** Undefined where there is nothing. */
async function lookAt(folder: string): Promise<Stats | undefined> {
  return lstat(folder).catch((error: unknown) => {
    const problem = rootProblem(error, folder);
    if (problem instanceof Problem && problem.code === 'folder-missing') return undefined;
    throw problem;
  });
}

/** Where the path leads once links above it are followed; what does not exist yet stays as it is written. */
async function realPlace(folder: string): Promise<string> {
  try {
    return await realpath(folder);
  } catch {
    const parent = dirname(folder);
    return parent === folder ? folder : join(await realPlace(parent), basename(folder));
  }
}

async function checkPlace(real: string, folder: string, { roots, stateDir }: SiteFoldersDeps): Promise<void> {
  const [realRoots, state] = await Promise.all([Promise.all(roots.map(realOrSame)), realOrSame(stateDir)]);
  if (real === '/') throw invalid(folder, 'The whole disk cannot be a site.');
  if (realRoots.includes(real))
    throw invalid(folder, `${quoted(folder)} is an allowed root folder itself. A site is a folder below it.`);
  if (isInside(state, real)) throw invalid(folder, `${quoted(folder)} contains Mooring’s state directory, ${state}.`);
  if (touches(real, state)) throw invalid(folder, `${quoted(folder)} is in Mooring’s state directory, ${state}.`);
  if (!realRoots.some((root) => isInside(real, root)))
    throw new Problem('folder-outside-roots', {
      folder,
      roots: roots.join(', '),
      ...(real === folder ? {} : { leadsTo: real }),
    });
}

async function checkNeighbours(real: string, folder: string, self: Site['id'] | undefined, deps: SiteFoldersDeps) {
  for (const site of deps.sites()) {
    if (site.id === self) continue;
    const other = await realOrSame(site.folder);
    const relation =
      real === other ? 'same' : isInside(real, other) ? 'inside' : isInside(other, real) ? 'around' : undefined;
    if (relation) throw new Problem('folder-overlaps', { folder, site: site.name, other: site.folder, relation });
  }
}

/** Done, not asked: access(2) goes by the real user id and knows nothing of capabilities or read-only mounts. */
async function tried(act: () => Promise<unknown>, folder: string, problemOf: typeof rootProblem): Promise<void> {
  await act().catch((error: unknown) => {
    throw problemOf(error, folder);
  });
}

/** Under a name that is left out of every scan. */
async function makeAndRemove(folder: string): Promise<void> {
  const probe = join(folder, `.mooring-${randomBytes(12).toString('hex')}`);
  await mkdir(probe, { mode: 0o700 });
  await rmdir(probe);
}

async function subfolders(root: string): Promise<string[]> {
  const entries = await readdir(root, { withFileTypes: true }).catch((): Dirent[] => []);
  const names = entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.')).map(({ name }) => name);
  return names.sort().map((name) => join(root, name));
}

async function measure(folder: string): Promise<{ files: number; bytes: number }> {
  const open = [folder];
  let looked = 0;
  let files = 0;
  let bytes = 0;
  for (let next = open.pop(); next !== undefined && looked < mostCounted; next = open.pop()) {
    const entries = await readdir(next, { withFileTypes: true }).catch((): Dirent[] => []);
    for (const entry of entries.slice(0, mostCounted - looked)) {
      looked += 1;
      const path = join(next, entry.name);
      if (entry.isDirectory() && entry.name !== '.git') open.push(path);
      if (!entry.isFile()) continue;
      files += 1;
      bytes += (await lstat(path).catch(() => undefined))?.size ?? 0;
    }
  }
  return { files, bytes };
}

const isInside = (path: string, root: string): boolean => path.startsWith(root === '/' ? '/' : root + sep);
const touches = (a: string, b: string): boolean => a === b || isInside(a, b) || isInside(b, a);
const quoted = (path: string): string => `“${shortened(path)}”`;
const realOrSame = (path: string): Promise<string> => realpath(path).catch(() => normalize(path));
const invalid = (folder: string, reason: string) =>
  new Problem('folder-invalid', { folder: folder.slice(0, 300), hint: reason });

function sentenceOf(error: unknown): string {
  if (!(error instanceof Problem)) return 'This folder could not be checked.';
  const { site = 'another site', hint = 'This folder cannot be used.', errno } = error.facts;
  switch (error.code) {
    case 'folder-overlaps':
      return error.facts['relation'] === 'around'
        ? `Contains the folder of the site ${site}.`
        : `Belongs to the site ${site}.`;
    case 'folder-unreadable':
      return isAboutRights(errno)
        ? 'Mooring has no permission to read this folder.'
        : `This folder could not be read: ${errnoWords(errno)}.`;
    case 'folder-unwritable':
      return isAboutRights(errno)
        ? 'Mooring has no permission to write to this folder.'
        : `This folder could not be written to: ${errnoWords(errno)}.`;
    case 'folder-link':
      return 'This is a link, not a folder.';
    default:
      return hint;
  }
}
