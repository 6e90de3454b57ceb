import { Problem } from '../model/problem.ts';
import { type Oid, escapeControls } from '../model/tree.ts';
import type { Repository } from './ports.ts';

type Commits = Pick<Repository, 'count' | 'commit'>;

/**
 * Throws `branch-too-many-files` where a commit of GitLab's branch has more files than a site may have, and names the
 * commit that brought them. It is called before anything walks the commit: a few kilobytes can name ten thousand
 * million paths. `known`: the last commit of the branch that was within the limit.
 */
export async function checkBranchSize(repository: Commits, tip: Oid, limit: number, known?: Oid): Promise<void> {
  if (!(await isOver(repository, tip, limit))) return;
  const culprit = await firstOver(repository, tip, limit, known);
  const { author, at } = await repository.commit(culprit);
  throw new Problem('branch-too-many-files', {
    limit: String(limit),
    commit: culprit.slice(0, 12),
    author: escapeControls(author),
    date: new Date(at * 1000).toISOString().slice(0, 10),
  });
}

/** The search stops after this many commits, and names the one that it reached. */
const mostCommits = 200;

/** The oldest commit over the limit on the branch's first-parent line. */
async function firstOver(repository: Commits, tip: Oid, limit: number, known?: Oid): Promise<Oid> {
  let culprit = tip;
  for (let step = 0; step < mostCommits; step += 1) {
    const [parent] = (await repository.commit(culprit)).parents;
    if (parent === undefined || parent === known || !(await isOver(repository, parent, limit))) break;
    culprit = parent;
  }
  return culprit;
}

async function isOver(repository: Commits, commit: Oid, limit: number): Promise<boolean> {
  try {
    await repository.count(commit, limit);
    return false;
  } catch (error) {
    if (error instanceof Problem && error.code === 'too-many-files') return true;
    throw error;
  }
}
