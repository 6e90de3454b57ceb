import type { Oid } from '../model/tree.ts';
import type { Author, Merged, Repository } from '../sync/ports.ts';
import type { GitResult } from './driver.ts';
import { localFailure } from './failure.ts';
import type { FastImport } from './fast-import.ts';
import { mergeAttributes, withAttributes } from './merge-attributes.ts';
import { conflictsOf, parseMergeTree } from './merge-tree.ts';
import { areApart, changeTree } from './join.ts';
import { type Objects, emptyTree } from './objects.ts';
import type { View } from './view.ts';
import { commonBase } from './walk.ts';

interface MergeTools {
  readonly gitDir: string;
  readonly objects: Objects;
  readonly view: View;
  readonly git: (args: readonly string[]) => Promise<GitResult>;
  readonly changes: Repository['changes'];
  readonly treeOf: (commit: Oid) => Promise<Oid>;
  readonly startImport: () => FastImport;
  readonly author: () => Author;
}

/** Three-way merges: path by path where the sides do not meet, by `git merge-tree` where they may. */
export function mergeTrees(tools: MergeTools): Repository['merge'] {
  const { view, git, changes } = tools;
  return async (ours, theirs, base): Promise<Merged> => {
    const joined = await join(tools, ours, theirs, base);
    if (joined) return { tree: joined, conflicts: [], staged: [] };
    const start = base ?? (view.isWhole() ? undefined : await view.commonOf(ours, theirs));
    const pair = start || !view.isWhole() ? await throwaway(tools, [start, ours, theirs]) : { ours, theirs };
    const flags = ['--write-tree', '-z', '--messages', '--allow-unrelated-histories'];
    const common = base ?? (await mergeBase(tools, ours, theirs));
    const [mine, yours] = [await changes(common, ours), await changes(common, theirs)];
    const paths = [...new Set([...mine, ...yours].filter(({ after }) => after).map(({ path }) => path))];
    // As GitLab merges: by what its branch says.
    const at = { tree: await tools.treeOf(theirs), above: await view.above(theirs) };
    const attributes = await mergeAttributes(tools.objects, at, paths);
    const { code, stdout, stderr } = await withAttributes(tools.gitDir, attributes, () =>
      git(['merge-tree', ...flags, pair.ours, pair.theirs]),
    );
    if (code > 1) throw localFailure('merge-tree', stderr);
    const output = parseMergeTree(stdout);
    if (code === 0) return { tree: output.tree, conflicts: [], staged: [] };
    return { tree: output.tree, ...conflictsOf(output, mine, yours) };
  };
}

/** Undefined where the two have nothing in common. */
async function mergeBase({ git }: MergeTools, ours: Oid, theirs: Oid): Promise<Oid | undefined> {
  const text = (await git(['merge-base', ours, theirs])).stdout.toString('latin1').trim();
  return text === '' ? undefined : (text as Oid);
}

/** Of more changes, git writes the trees faster. */
const mostJoined = 1_000;

/** The merged tree, if the sides changed nothing in common since the one version that both come from. */
async function join(tools: MergeTools, ours: Oid, theirs: Oid, base?: Oid): Promise<Oid | undefined> {
  const { objects, changes, treeOf } = tools;
  const from = base ?? (await commonBase(objects, ours, theirs));
  if (!from) return undefined;
  const mine = await changes(from, ours);
  if (mine.length > mostJoined) return undefined;
  return areApart(mine, await changes(from, theirs)) ? changeTree(tools, await treeOf(theirs), mine) : undefined;
}

/**
 * Two commits on a common third with the trees given: git 2.39 can merge only from a base that history shows. They are
 * reachable from nothing and vanish with the next clean-up.
 */
async function throwaway(
  { treeOf, startImport, author }: MergeTools,
  [base, ours, theirs]: [Oid | undefined, Oid, Oid],
): Promise<{ ours: Oid; theirs: Oid }> {
  const trees = await Promise.all([base, ours, theirs].map(async (oid) => (oid ? treeOf(oid) : emptyTree)));
  const stream = startImport();
  const one = async (tree: Oid | undefined, parents: (Oid | number)[]): Promise<number> =>
    stream.commit({
      ...{ author: author(), date: 0, message: '', parents, edits: [] },
      ...(tree ? { tree: tree === emptyTree ? 'empty' : tree } : {}),
    });
  const root = await one(trees[0], []);
  const left = await one(trees[1], [root]);
  const right = await one(trees[2], [root]);
  const oids = await stream.finish();
  return { ours: oids.get(left) as Oid, theirs: oids.get(right) as Oid };
}
