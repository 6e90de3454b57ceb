import type { Oid } from '../model/tree.ts';
import { type Lost, resolveConflicts } from './conflict.ts';
import { mergeMessage } from './message.ts';
import type { RunDeps } from './notes.ts';
import { pointersLeft } from './pointers.ts';

/** What is merged: two commits, and a tree to merge from where history cannot tell. */
export interface MergeRequest {
  readonly ours: Oid;
  readonly theirs: Oid;
  readonly base?: Oid;
  /** Of the commit that comes of it. */
  readonly parents: readonly Oid[];
}

/** Merges by the site's policy. No ref points to the commit yet. `lost`: versions that are not live in it. */
export async function mergeCommit(
  deps: Pick<RunDeps, 'repository' | 'directory' | 'site'>,
  { ours, theirs, base, parents }: MergeRequest,
): Promise<{ readonly commit: Oid; readonly lost: readonly Lost[] }> {
  const { repository, site } = deps;
  const merged = await repository.merge(ours, theirs, base);
  const rivals = merged.conflicts.flatMap((conflict) =>
    conflict.theirs ? [{ path: conflict.path, ...conflict.theirs }] : [],
  );
  const { edits, lost } = resolveConflicts(merged, site.settings.policy, await pointersLeft(deps, rivals));
  const message = mergeMessage(lost.length, parents.includes(ours) ? 'parents' : 'kept');
  const commit = await repository.createCommit({ parents, tree: merged.tree, edits, message });
  return { commit, lost };
}
