import type { Change, Oid, SitePath } from '../model/tree.ts';
import { trailer } from './message.ts';
import type { Repository } from './ports.ts';

/**
 * The commit for a folder that holds `target` except at some paths. It continues the folder's own line, so that the
 * last agreement stays the merge base. Where that line must not reach the branch (first connect, rewritten history) it
 * stands on the target instead and is the base itself.
 */
export async function partialCommit(
  repository: Repository,
  disk: Oid,
  target: Oid,
  changes: readonly Change[],
  skipped: ReadonlySet<SitePath>,
): Promise<{ commit: Oid; base?: Oid }> {
  const relation = await repository.relation(disk, target);
  const ours = relation === 'behind' || relation === 'equal';
  const edits = changes
    .filter(({ path }) => skipped.has(path))
    .map(({ path, before }) => (before ? { path, entry: before } : { path }));
  const { tree } = await repository.commit(target);
  const commit = await repository.make({
    parents: [ours ? disk : target],
    tree,
    edits,
    message: `Apply in part\n\n${trailer}\n`,
  });
  return ours ? { commit } : { commit, base: commit };
}
