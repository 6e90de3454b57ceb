import { Problem } from '../model/problem.ts';
import type { Oid } from '../model/tree.ts';
import type { Remote, Repository } from './ports.ts';

/**
 * Makes a site's repository anew after it was lost or damaged, from the branch and the last agreement that the store
 * remembers. What stood in it and nowhere else was edits not yet pushed: they are still in the folder, and the next scan
 * finds them by comparing with the agreement. Throws `git-damaged` where nothing safe can be concluded: then only a new
 * first connect, with its warning, goes on.
 */
export async function rebuild(
  repository: Repository,
  remote: Remote,
  agreed: Oid | undefined,
  signal?: AbortSignal,
): Promise<void> {
  await repository.setAside();
  const tip = await remote.fetch(signal);
  if (!agreed || tip === 'absent' || !(await holds(repository, agreed, tip))) {
    throw new Problem('git-damaged', { text: 'The last agreement is not part of the branch any more.' });
  }
  await repository.updateRefs({ disk: agreed, remote: agreed });
}

async function holds(repository: Repository, agreed: Oid, tip: Oid): Promise<boolean> {
  try {
    const relation = await repository.relation(agreed, tip);
    return relation === 'equal' || relation === 'behind';
  } catch {
    return false;
  }
}
