import type { SiteLimits } from '../model/site.ts';

/** How much a step would take away from each side, in paths. */
export interface Loss {
  readonly removed: number;
  /** How many the side has now. */
  readonly total: number;
}

export type Verdict =
  { readonly kind: 'go' } | { readonly kind: 'hold'; readonly code: 'folder-lost-files' | 'branch-lost-files' };

/**
 * May a step go ahead without asking? Losing many paths at once, or all of them, is more often a script gone wrong or
 * a disk not mounted than a wish. Pure.
 */
export function guard(loss: { branch: Loss; folder: Loss }, limits: SiteLimits): Verdict {
  // What the branch would lose, the folder has lost already, and the other way round.
  if (tooMuch(loss.branch, limits)) return { kind: 'hold', code: 'folder-lost-files' };
  if (tooMuch(loss.folder, limits)) return { kind: 'hold', code: 'branch-lost-files' };
  return { kind: 'go' };
}

export function tooMuch({ removed, total }: Loss, limits: SiteLimits): boolean {
  if (removed === 0 || total === 0) return false;
  if (removed >= total) return true;
  return removed > limits.massPaths && removed / total > limits.massShare;
}
