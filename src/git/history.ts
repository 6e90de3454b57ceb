import { Problem } from '../model/problem.ts';
import type { Change, Oid } from '../model/tree.ts';
import type { Apart, CommitFacts, Relation, Repository } from '../sync/ports.ts';
import { messageOf } from './commit-facts.ts';
import type { Ask, GitResult } from './driver.ts';
import { LruCache } from './lru-cache.ts';
import { type Objects, emptyTree } from './objects.ts';
import { diffTrees } from './tree-diff.ts';
import type { View } from './view.ts';
import { relate } from './walk.ts';

interface HistoryTools {
  readonly objects: Objects;
  readonly view: View;
  readonly ask: Ask;
  readonly git: (args: readonly string[]) => Promise<GitResult>;
}

/** What commits say, and how they stand to each other. Answers are remembered: they never change. */
export function readHistory({ objects, view, ask, git }: HistoryTools): Pick<
  Repository,
  'commit' | 'changes' | 'relation' | 'apart' | 'count'
> & {
  /** The tree of a commit as far as it is the site's. */
  treeOf(commit: Oid): Promise<Oid>;
  /** What came out when a commit was made. */
  learnRelation(ours: Oid, theirs: Oid, relation: Relation): void;
} {
  const diffs = new LruCache<readonly Change[]>(8);
  const relations = new LruCache<Relation>(50);
  const distances = new LruCache<Apart>(50);

  const treeOf = async (commit: Oid): Promise<Oid> => objects.rootTree(await view.tree(commit));

  const commit = async (oid: Oid): Promise<CommitFacts> => {
    const found = await objects.commit(oid);
    const { parents, at } = found;
    return { tree: view.isWhole() ? found.tree : await view.tree(oid), parents, at, ...messageOf(found) };
  };

  const relationOf = async (ours: Oid, theirs: Oid): Promise<Relation> => {
    // What a walk cannot read, git may still tell; and if not, that is damage, and never a history that was rewritten.
    const seen = await relate(objects, ours, theirs).catch(() => undefined);
    if (seen) return seen;
    const { code, stdout } = await git(['merge-base', ours, theirs]);
    if (code === 1) return 'unrelated';
    if (code !== 0) throw new Problem('git-damaged', { command: 'merge-base' });
    const base = stdout.toString('latin1').trim();
    const known: Record<string, Relation> = { [theirs]: 'ahead', [ours]: 'behind' };
    return known[base] ?? 'diverged';
  };

  const measure = async (ours: Oid, theirs: Oid): Promise<Apart> => {
    const counted = await ask(['rev-list', '--left-right', '--count', `${ours}...${theirs}`]);
    const [left = 0, right = 0] = counted.toString('latin1').trim().split('\t').map(Number);
    const base = await view.commonOf(ours, theirs);
    return { ours: left, theirs: right, ...(base ? { since: (await commit(base)).at } : {}) };
  };

  return {
    treeOf,
    commit,
    changes: (from = emptyTree, to = emptyTree) =>
      diffs.get(view.key(`${from} ${to}`), async () => diffTrees(objects, await treeOf(from), await treeOf(to))),
    relation: async (ours, theirs) =>
      ours === theirs ? 'equal' : relations.get(`${ours} ${theirs}`, () => relationOf(ours, theirs)),
    apart: (ours, theirs) => distances.get(`${ours} ${theirs}`, () => measure(ours, theirs)),
    count: async (oid, limit) => objects.count(await treeOf(oid), limit),
    learnRelation: (ours, theirs, relation) => relations.learn(`${ours} ${theirs}`, relation),
  };
}
