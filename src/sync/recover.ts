import { asProblem } from '../model/problem.ts';
import { type Change, type SitePath, sameContent } from '../model/tree.ts';
import { lettingGo } from './let-go.ts';
import type { Directory, Repository } from './ports.ts';
import { partialCommit } from './partial.ts';

/**
 * Finishes or undoes what a crash left, before anything scans the folder: files that were moved aside go back to
 * their names, and an apply that stopped half-way becomes the commit it would have become if the rest had been busy.
 * The rest then arrives by an ordinary cycle. May be cut short and called again at any point.
 */
export async function recover(
  repository: Repository,
  directory: Directory,
): Promise<{ readonly returned: readonly SitePath[]; readonly letGo: readonly SitePath[] }> {
  const { returned } = await directory.recover();
  const undone = { returned, letGo: [] };
  const ledger = await repository.ledger();
  const { disk, pending, remote } = ledger;
  if (!pending) return undone;
  if (!disk) {
    await repository.updateRefs({ pending: null });
    return undone;
  }
  const changes = await repository.changes(disk, pending);
  const missing = new Set<SitePath>();
  // A file that is let go has arrived where it is ignored by now, and is one to be removed until then.
  const leaving = await lettingGo({ repository, directory }, changes, disk, pending);
  const letGo: SitePath[] = [];
  for (const change of changes) {
    if (await arrived(directory, change)) continue;
    if (leaving.has(change.path) && directory.leaves(change.path)) letGo.push(change.path);
    else missing.add(change.path);
  }
  if (missing.size === 0) {
    await repository.updateRefs({ disk: pending, pending: null, choice: null }, { disk });
    return { returned, letGo };
  }
  // Nothing arrived: the next cycle decides anew. Only a first connect must go on from here, since its plan had a yes.
  if (missing.size === changes.length && remote !== pending) {
    await repository.updateRefs({ pending: null });
    return undone;
  }
  const partial = await partialCommit(repository, { ...ledger, disk }, pending, changes, missing);
  // A base of its own means that `pending` is the branch's new line: it is what was agreed on so far.
  const base = partial.base ? { base: partial.base, remote: pending } : {};
  await repository.updateRefs({ disk: partial.commit, pending: null, ...base }, { disk });
  return { returned, letGo };
}

/** What cannot be read has not arrived, as far as anybody knows: the next scan that can read it tells. */
async function arrived(directory: Directory, { path, after }: Change): Promise<boolean> {
  try {
    return sameContent(await directory.entryAt(path, after?.oid), after);
  } catch (error) {
    if (asProblem(error).code === 'file-unreadable') return false;
    throw error;
  }
}
