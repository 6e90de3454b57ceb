import type { Change, Oid } from '../model/tree.ts';
import { type Objects, emptyTree } from './objects.ts';
import { buildPack, writePack } from './pack.ts';
import { TreeEdit } from './tree-edit.ts';

/**
 * Whether two lists of changes to one tree can be put together path by path, with the outcome that `git merge-tree` has:
 * they share no path, no file of one stands where the other has a folder, and neither can be taken for a move.
 */
export function areApart(ours: readonly Change[], theirs: readonly Change[]): boolean {
  const mine = new Set(ours.map(({ path }) => path));
  if (theirs.some(({ path }) => mine.has(path))) return false;
  return ![ours, theirs].some(mayMove) && !meets(ours, theirs) && !meets(theirs, ours);
}

/** Git looks for moves where one side both adds and removes files. Submodules are left to it as well. */
function mayMove(changes: readonly Change[]): boolean {
  const isAdded = changes.some(({ before }) => !before);
  const isRemoved = changes.some(({ after }) => !after);
  return (isAdded && isRemoved) || changes.some(({ before, after }) => [before?.mode, after?.mode].includes('160000'));
}

/** Whether a file of one lies at a folder of the other. */
function meets(files: readonly Change[], others: readonly Change[]): boolean {
  const folders = new Set<string>();
  for (const { path } of others) {
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) folders.add(path.slice(0, at));
  }
  return files.some(({ path }) => folders.has(path));
}

/** Writes the tree that `changes` make of another one. */
export async function changeTree(
  { objects, gitDir }: { readonly objects: Objects; readonly gitDir: string },
  tree: Oid,
  changes: readonly Change[],
): Promise<Oid> {
  const edit = new TreeEdit(objects, tree);
  for (const { path, after } of changes) await (after ? edit.set(path, after) : edit.remove(path));
  const written = await edit.write();
  if (written.tree !== emptyTree && written.objects.length === 0) return written.tree;
  await writePack(gitDir, await buildPack(written.objects));
  for (const object of written.objects) objects.learn(object.oid, object);
  return written.tree;
}
