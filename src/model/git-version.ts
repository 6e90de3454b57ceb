/** What a git's number says: `old` cannot do what Mooring needs, `unpatched` lacks fixes of known holes. */
export type GitSupport = 'old' | 'unpatched' | 'good';

/** The last release of each line that closed holes, of July 2025; a line that is not named got no fixes any more. */
const patched: Readonly<Record<number, number>> = { 43: 7, 44: 4, 45: 4, 46: 4, 47: 3, 48: 2, 49: 1, 50: 1 };
const newestPatched = 50;

/** `version`: as git prints it, `2.43.0`. 2.38 is the first with `merge-tree --write-tree`. */
export function gitSupport(version: string): GitSupport {
  const [major = 0, minor = 0, fix = 0] = version.split('.').map(Number);
  if (major < 2 || (major === 2 && minor < 38)) return 'old';
  if (major > 2 || minor > newestPatched) return 'good';
  return fix >= (patched[minor] ?? Number.POSITIVE_INFINITY) ? 'good' : 'unpatched';
}
