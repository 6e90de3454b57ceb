import type { Change, Oid, SitePath } from '../model/tree.ts';
import { trailer } from './message.ts';
import type { Ledger, Repository } from './ports.ts';

/**
 * The commit for a folder that holds `target` except at some paths. It continues the folder's own line, so that the
 * last agreement stays the merge base. Where that line must not reach the branch (first connect, rewritten history) it
 * stands on the target instead and is the base itself.
 */
export async function partialCommit(
  repository: Repository,
  ledger: Ledger & { readonly disk: Oid },
  target: Oid,
  changes: readonly Change[],
  skipped: ReadonlySet<SitePath>,
): Promise<{ commit: Oid; base?: Oid }> {
  const ours = await mayContinue(repository, ledger, target);
  const edits = changes
    .filter(({ path }) => skipped.has(path))
    .map(({ path, before }) => (before ? { path, entry: before } : { path }));
  const { tree } = await repository.commit(target);
  const commit = await repository.createCommit({
    parents: [ours ? ledger.disk : target],
    tree,
    edits,
    message: `Apply in part\n\n${trailer}\n`,
  });
  return ours ? { commit } : { commit, base: commit };
}

/** Whether the folder's own line may become part of the branch: it grew from it, and the branch was not rewritten. */
async function mayContinue(
  repository: Repository,
  { disk, remote, base }: Ledger & { disk: Oid },
  target: Oid,
): Promise<boolean> {
  if (base || (await repository.relation(disk, target)) === 'unrelated') return false;
  const since = remote ? await repository.relation(remote, target) : 'equal';
  return since === 'equal' || since === 'behind';
}
