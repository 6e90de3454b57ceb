import { type SitePath, pathBytes } from './tree.ts';

/**
 * Which paths may be synced between a repository and a folder. Since we write files ourselves, git's own checks at
 * checkout do not protect us, and fast-import takes `.git/config` and `a/../b`: so every path passes here, both ways.
 */

/** Longest name a Linux file system holds, and the longest path and depth we take, in bytes and components. */
const nameBytes = 255;
const pathLimit = 4_000;
const depthLimit = 100;

/** Why a path must not be synced, in a few words; undefined: it may. */
export function unsafePath(path: SitePath): string | undefined {
  if (path.length === 0 || path.length > pathLimit) return 'length';
  const components = path.split('/');
  if (components.length > depthLimit) return 'depth';
  for (const component of components) {
    const why = unsafeName(component);
    if (why) return why;
  }
  return undefined;
}

function unsafeName(name: string): string | undefined {
  if (name === '' || name === '.' || name === '..') return 'not a name';
  if (name.length > nameBytes) return 'length';
  if (name.includes('\0')) return 'NUL';
  if (isGitInDisguise(name)) return '.git';
  if (isStaging(name)) return 'reserved';
  return undefined;
}

/**
 * `.git` as Windows and macOS would also read it: any case, the short name `git~1`, trailing dots and spaces, a
 * stream after a colon, characters those systems leave out. A site's folder may be shared with such a system.
 */
export function isGitInDisguise(name: string): boolean {
  const text = pathBytes(name as SitePath).toString('utf8');
  const visible = text.replace(/[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/g, '').toLowerCase();
  const windows = (visible.split(/[:\\]/)[0] ?? '').replace(/[ .]+$/, '');
  return visible === '.git' || windows === '.git' || windows === 'git~1';
}

/** Our own staging folders inside a site. */
export function isStaging(name: string): boolean {
  return /^\.mooring-[0-9a-f]{16,}$/.test(name);
}

/** Files that tell the web server what to do; taken from a repository only where the site allows them. */
export function isControlFile(path: SitePath): boolean {
  const name = path.slice(path.lastIndexOf('/') + 1).toLowerCase();
  return name === '.htaccess' || name === '.user.ini' || name === 'web.config';
}

/** A file of ignore rules, in whatever folder. */
export const isGitignore = (path: SitePath): boolean => /(^|\/)\.gitignore$/.test(path);
