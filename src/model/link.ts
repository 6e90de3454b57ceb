import { isGitInDisguise, isStaging } from './path-safety.ts';
import { type SitePath, pathBytes } from './tree.ts';

/** Longest target that Linux takes, in bytes. */
export const longestTarget = 4_095;

/**
 * Whether a symbolic link stays inside the site, whatever else is in it: its target is relative, goes up only at its
 * beginning and no further than the site's folder, and names neither a repository nor a staging folder. A `..` after a
 * name is refused, for that name may be another link and its parent somewhere else. `target`: one character per byte.
 */
export function staysInside(path: SitePath, target: string): boolean {
  const isPath = target.length > 0 && target.length <= longestTarget && !target.includes('\0');
  if (!isPath || target.startsWith('/')) return false;
  const steps = target.split('/').filter((step) => step !== '' && step !== '.');
  const firstName = steps.findIndex((step) => step !== '..');
  const ups = firstName === -1 ? steps.length : firstName;
  const names = steps.slice(ups);
  if (ups > path.split('/').length - 1) return false;
  return !names.some((name) => name === '..' || isGitInDisguise(name) || isStaging(name));
}

/** The bytes of a target that was read from a repository or a folder, as {@link staysInside} takes it. */
export const targetText = (bytes: Buffer): string => bytes.toString('latin1');
export const targetBytes = (target: string): Buffer => pathBytes(target as SitePath);
