import type { Oid } from '../model/tree.ts';
import type { Relation } from './ports.ts';

/** Where a site stands: what its folder holds, what the branch holds, and how the two came about. */
export interface Divergence {
  /** The folder's side: the last snapshot, or a person's choice on top of it. */
  readonly local: Oid;
  /** The branch's tip, or that there is no such branch. */
  readonly remote: Oid | 'absent';
  /** The tip we last agreed on; absent: we never saw the branch. */
  readonly known?: Oid;
  /** How `local` stands to `remote`; of no meaning where the branch is absent. */
  readonly relation: Relation;
  /**
   * Whether `known` is still part of the branch's history. `back`: the branch has an older tip again, or had one when it
   * was checked and has other commits since. `rewritten`: other commits took the place of known ones. `unrelated`: the
   * new history has nothing in common with the known one.
   */
  readonly history: 'continued' | 'back' | 'rewritten' | 'unrelated';
  /** `local` stands on the branch's new history alone: a choice that a person made after it was rewritten. */
  readonly fresh?: boolean;
  /** A tree to merge from where history cannot say. */
  readonly base?: Oid;
}

/** What has to happen so that both sides are the same. */
export type Step =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'push'; readonly commit: Oid; readonly expected: Oid | null }
  | { readonly kind: 'pull'; readonly target: Oid; readonly rewritten: boolean }
  /** `parents`: of the commit the merge becomes. Only the branch's tip where old history must not come back. */
  | {
      readonly kind: 'merge';
      readonly ours: Oid;
      readonly theirs: Oid;
      readonly base?: Oid;
      readonly parents: readonly Oid[];
    }
  | { readonly kind: 'rewritten'; readonly ours: Oid; readonly theirs: Oid; readonly known: Oid }
  | { readonly kind: 'went-back'; readonly theirs: Oid; readonly known: Oid }
  | { readonly kind: 'branch-missing' };

/** Decides by looking at nothing but how the commits stand to each other. Pure. */
export function reconcile(divergence: Divergence): Step {
  const { local, remote, known, relation, history, base, fresh } = divergence;
  if (remote === 'absent') return known ? { kind: 'branch-missing' } : { kind: 'push', commit: local, expected: null };
  // First of all: on rewritten history «the tip is an ancestor of ours» would push the removed commits back.
  if (history !== 'continued' && known) {
    // Also where the folder stands on that tip: what GitLab lost may not have reached the folder yet.
    if (history === 'back') return { kind: 'went-back', theirs: remote, known };
    if (fresh && relation === 'ahead') return { kind: 'push', commit: local, expected: remote };
    // Another project's files in the same branch are no update of this one, however few they are.
    if (local === known && history === 'rewritten') return { kind: 'pull', target: remote, rewritten: true };
    return local === remote ? { kind: 'nothing' } : { kind: 'rewritten', ours: local, theirs: remote, known };
  }
  // An apply that stopped half-way over rewritten or foreign history: only its own base tells who changed what.
  if (base) return { kind: 'merge', ours: local, theirs: remote, base, parents: [remote] };
  switch (relation) {
    case 'equal':
      return { kind: 'nothing' };
    case 'ahead':
      return { kind: 'push', commit: local, expected: remote };
    case 'behind':
      return { kind: 'pull', target: remote, rewritten: false };
    case 'diverged':
      return { kind: 'merge', ours: local, theirs: remote, parents: [local, remote] };
    case 'unrelated':
      return { kind: 'rewritten', ours: local, theirs: remote, known: known ?? remote };
    default:
      return relation satisfies never;
  }
}
