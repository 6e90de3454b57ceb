import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { unsafePath } from '../model/path-safety.ts';
import { type Oid, type SitePath, displayPath, escapeControls, pathBytes } from '../model/tree.ts';

/** Runs git in the quarantine; resolves with what it printed, one character per byte where it matters. */
export type QuarantineGit = (args: string[]) => Promise<{ code: number; stdout: string }>;

/** What a commit brings that git refuses, and whose it is. Each may be missing. */
export interface Suspect {
  readonly path?: string;
  readonly commit?: string;
  readonly author?: string;
  readonly date?: string;
}

/** The object that git's check named. */
export function refusedObject(text: string): Oid | undefined {
  return /error: object ([0-9a-f]{40,64}):/.exec(text)?.[1] as Oid | undefined;
}

/** More commits than this are not searched for one that brings an object. */
const mostCommits = 5_000;
/** A tree that is named harmful can name any number of paths. */
const mostRows = 10_000;

/**
 * Finds out which commit brings an object that git refuses. It is fetched again without the check, into a repository of
 * its own beside ours, where nothing is checked out and from where nothing is taken; that repository is removed
 * afterwards. Never throws: without an answer the problem just says less.
 */
export async function findSuspect(
  dir: string,
  object: Oid,
  quarantine: { readonly git: QuarantineGit; readonly fetch: () => Promise<boolean>; readonly path: string },
): Promise<Suspect> {
  try {
    await rm(quarantine.path, { recursive: true, force: true });
    await mkdir(quarantine.path, { recursive: true, mode: 0o700 });
    // All that makes a directory a bare repository.
    for (const folder of ['refs', join('objects', 'info')])
      await mkdir(join(quarantine.path, folder), { recursive: true });
    await writeFile(join(quarantine.path, 'HEAD'), 'ref: refs/heads/none\n');
    // What we have already need not come again, and is where the search ends.
    await writeFile(join(quarantine.path, 'objects', 'info', 'alternates'), `${join(dir, 'objects')}\n`);
    const { stdout: known } = await quarantine.git(['--git-dir', dir, 'rev-parse', '--verify', '--quiet', agreed]);
    if (!(await quarantine.fetch())) return {};
    return await search(quarantine.git, object, known.trim() as Oid | '');
  } catch {
    return {};
  } finally {
    await rm(quarantine.path, { recursive: true, force: true }).catch(() => undefined);
  }
}

const agreed = 'refs/sync/remote';
export const suspected = 'refs/quarantine/incoming';

async function search(git: QuarantineGit, object: Oid, known: Oid | ''): Promise<Suspect> {
  const range = [suspected, ...(known ? [`^${known}`] : [])];
  const format = '--format=%H%x00%T%x00%an%x00%aI';
  const { stdout } = await git(['log', '--topo-order', `--max-count=${mostCommits}`, format, ...range]);
  const commits = stdout
    .split('\n')
    .filter(Boolean)
    .map((row) => row.split('\0') as [oid: string, tree: string, author: string, date: string])
    .reverse();
  const whole = commits.find(([oid, tree]) => oid === object || tree === object);
  const found = whole ? new Set([whole[0]]) : await commitsWith(git, object, range);
  const first = commits.find(([oid]) => found.has(oid));
  if (!first) return {};
  const path = first[0] === object ? undefined : await pathIn(git, first[1] as Oid, object);
  // Git names any tree that holds the path, so the commit may be a later one: whose was it first?
  const [commit, , author, date] = (path && (await firstWith(git, path, commits, range))) || first;
  return {
    commit: commit.slice(0, 12),
    author: escapeControls(author),
    date: date.slice(0, 10),
    ...(path ? { path: displayPath(path) } : {}),
  };
}

async function firstWith<T extends readonly [oid: string, ...rest: string[]]>(
  git: QuarantineGit,
  path: SitePath,
  commits: readonly T[],
  range: readonly string[],
): Promise<T | undefined> {
  const touching = ['log', '--format=%H', '--full-history', `--max-count=${mostCommits}`, ...range];
  const { stdout } = await git([...touching, '--', pathBytes(path).toString('utf8')]);
  const found = new Set(stdout.split('\n'));
  return commits.find(([oid]) => found.has(oid));
}

async function commitsWith(git: QuarantineGit, object: Oid, range: readonly string[]): Promise<ReadonlySet<string>> {
  const find = [
    'log',
    '-m',
    '-t',
    '--format=%H',
    '--no-patch',
    `--find-object=${object}`,
    `--max-count=${mostCommits}`,
  ];
  return new Set((await git([...find, ...range])).stdout.split('\n').filter(Boolean));
}

/** Where a tree has an object; of a tree that is harmful itself, the entry that makes it so. */
async function pathIn(git: QuarantineGit, tree: Oid, object: Oid): Promise<SitePath | undefined> {
  const rows = (await git(['ls-tree', '-r', '-t', '-z', '--full-tree', tree])).stdout.split('\0').slice(0, mostRows);
  const entries = rows.flatMap((row) => {
    const [, type, oid, path] = /^[0-7]{6} ([a-z]+) ([0-9a-f]{40,64})\t([^]+)$/.exec(row) ?? [];
    return path === undefined ? [] : [{ type, oid, path: Buffer.from(path, 'utf8').toString('latin1') as SitePath }];
  });
  const holder = tree === object ? { type: 'tree', path: '' } : entries.find(({ oid }) => oid === object);
  if (holder?.type !== 'tree') return holder?.path as SitePath | undefined;
  const inside = entries.filter(({ path }) => holder.path === '' || path.startsWith(`${holder.path}/`));
  const bad = inside.filter(({ path }) => unsafePath(path) !== undefined);
  return (bad.find(({ type }) => type === 'blob') ?? bad[0] ?? inside[0])?.path ?? (holder.path as SitePath);
}
