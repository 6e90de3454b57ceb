import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as assert from 'uvu/assert';
import { git } from '../support/plain-git.ts';

/** Two sides and a state directory, as an `engineWorld` lays them out. */
export interface Sides {
  readonly site: string;
  readonly bare: string;
  readonly gitDir: string;
}

/** A link, so that it is never the same as a file with its target as content. */
const linkTo = (target: string): string => `a link to\n${target}`;

/** Files of a folder, and its links where they are synced, as bytes in latin1, our staging left out; nothing is read through a link. */
export function folderFiles(
  root: string,
  links: 'with links' | 'without links' = 'without links',
  below = '',
): Map<string, string> {
  const found = new Map<string, string>();
  for (const entry of readdirSync(join(root, below), { withFileTypes: true })) {
    if (entry.name.startsWith('.mooring-') || entry.name === '.git') continue;
    const path = below ? `${below}/${entry.name}` : entry.name;
    if (entry.isDirectory()) for (const [key, value] of folderFiles(root, links, path)) found.set(key, value);
    else if (entry.isFile()) found.set(path, readFileSync(join(root, path), 'latin1'));
    else if (entry.isSymbolicLink() && links === 'with links')
      found.set(path, linkTo(readlinkSync(join(root, path), 'latin1')));
  }
  return found;
}

/** Files of a commit. */
export function treeFiles(dir: string, commit: string): Map<string, string> {
  const rows = git(dir, 'ls-tree', '-r', '-z', commit).split('\0').filter(Boolean);
  const entries = rows.map((row) => {
    const [mode, , oid = ''] = row.split(/[ \t]/);
    return { path: row.slice(row.indexOf('\t') + 1), oid, isLink: mode === '120000' };
  });
  const blobs = contents(
    dir,
    entries.map(({ oid }) => oid),
  );
  return new Map(
    entries.map(({ path, oid, isLink }) => [path, isLink ? linkTo(blobs.get(oid) ?? '') : (blobs.get(oid) ?? '')]),
  );
}

/** Contents of objects, by id. */
function contents(dir: string, oids: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  if (oids.length === 0) return found;
  const out = execFileSync('git', ['cat-file', '--batch'], {
    cwd: dir,
    input: `${oids.join('\n')}\n`,
    maxBuffer: 1 << 28,
    env: { PATH: '/usr/bin:/bin' },
  });
  let at = 0;
  for (const oid of oids) {
    const end = out.indexOf(10, at);
    const [, type, size] = out.toString('latin1', at, end).split(' ');
    if (size === undefined) {
      at = end + 1;
      continue;
    }
    if (type === 'blob') found.set(oid, out.toString('latin1', end + 1, end + 1 + Number(size)));
    at = end + 1 + Number(size) + 1;
  }
  return found;
}

/** Every content that any ref of a repository reaches, reflogs not counted and those of `except` neither. */
function reachable(dir: string, except: readonly string[]): Set<string> {
  const oids = git(dir, 'rev-list', ...except.map((ref) => `--exclude=${ref}`), '--all', '--objects')
    .split('\n')
    .map((row) => row.slice(0, 40))
    .filter(Boolean);
  return new Set(contents(dir, oids).values());
}

/**
 * Of `wanted`, each a line of text, those found neither in the folder, nor on GitLab, nor in the state directory.
 * `except`: refs of the site's repository that do not count.
 */
export function missing(sides: Sides, wanted: readonly string[], except: readonly string[] = []): string[] {
  const without = (left: readonly string[], texts: Iterable<string>): string[] => {
    const lines = new Set<string>();
    for (const text of texts) for (const line of text.split('\n')) lines.add(line);
    return left.filter((content) => !lines.has(content.trimEnd()));
  };
  let left = without(wanted, folderFiles(sides.site, 'with links').values());
  for (const dir of [sides.bare, sides.gitDir])
    if (left.length > 0 && existsSync(join(dir, 'HEAD')))
      left = without(left, reachable(dir, dir === sides.gitDir ? except : []));
  return left;
}

/** Locks and half-written packs in a repository, staging folders in a site. */
export function leftovers({ site, gitDir }: Sides): string[] {
  const inGit = readdirSync(gitDir, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.lock$|(^|\/)(tmp_|\.tmp-)/.test(name))
    .map((name) => `git: ${name}`);
  const inSite = readdirSync(site, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.split('/').some((part) => part.startsWith('.mooring-')))
    .map((name) => `site: ${name}`);
  const beside = readdirSync(dirname(site))
    .filter((name) => name.startsWith('.mooring-'))
    .map((name) => `beside the site: ${name}`);
  return [...inGit, ...inSite, ...beside];
}

export function isAncestor(dir: string, from: string, to: string): boolean {
  try {
    git(dir, 'merge-base', '--is-ancestor', from, to);
    return true;
  } catch {
    return false;
  }
}

export function assertSame(site: ReadonlyMap<string, string>, branch: ReadonlyMap<string, string>): void {
  const show = (files: ReadonlyMap<string, string>): Record<string, string> =>
    Object.fromEntries([...files].map(([path, text]): [string, string] => [path, text.slice(0, 200)]).sort());
  assert.equal(show(site), show(branch), 'the sides differ');
}
