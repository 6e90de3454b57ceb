import type { SiteLimits } from '../model/site.ts';
import { type Change, type Oid, tally } from '../model/tree.ts';

/** How much a step would take away from each side, in paths. */
export interface Loss {
  /** Paths whose content would be nowhere on that side; one that only moved is not lost. */
  readonly removed: number;
  /** How many the side has now … */
  readonly total: number;
  /** … and would have afterwards. */
  readonly left: number;
}

/** What a list of changes takes from a side that has `total` paths now. */
export function lossOf(changes: readonly Change[], total: number): Loss {
  const { added, removed } = tally(changes);
  const arriving = new Map<Oid, number>();
  for (const { before, after } of changes)
    if (!before && after) arriving.set(after.oid, (arriving.get(after.oid) ?? 0) + 1);
  let moved = 0;
  for (const { before, after } of changes) {
    const waiting = before && !after ? (arriving.get(before.oid) ?? 0) : 0;
    if (!before || waiting === 0) continue;
    arriving.set(before.oid, waiting - 1);
    moved += 1;
  }
  return { removed: removed - moved, total, left: total - removed + added };
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

export function tooMuch({ removed, total, left }: Loss, limits: SiteLimits): boolean {
  if (removed === 0 || total === 0) return false;
  if (left <= 0) return true;
  return removed > limits.massPaths && removed / total > limits.massShare;
}
