import type { Oid } from '../model/tree.ts';
import { type Objects, folderMode } from './objects.ts';
import type { WrittenObject } from './tree-edit.ts';
import { commitsBetween } from './walk.ts';

/** What is put together here rather than by git's own `pack-objects`. */
const [mostCommits, mostObjects, mostBytes] = [64, 300, 1024 * 1024];

/**
 * Every object that `commit` reaches and `known` does not, and perhaps a few more. Undefined where it is too many, too
 * much, or not clear.
 */
export async function objectsBetween(
  objects: Objects,
  commit: Oid,
  known: Oid,
): Promise<readonly WrittenObject[] | undefined> {
  const between = await commitsBetween(objects, commit, known, 4 * mostCommits);
  if (!between || between.length > mostCommits) return undefined;
  const wanted = new Set<Oid>();
  for (const { oid, commit: made } of between) {
    wanted.add(oid);
    const found = await newIn(objects, made.tree, made.parents);
    if (!found) return undefined;
    for (const each of found) wanted.add(each);
    if (wanted.size > mostObjects) return undefined;
  }
  const oids = [...wanted];
  const sizes = (await objects.infos(oids)).reduce((sum, { size }) => sum + size, 0);
  if (sizes > mostBytes) return undefined;
  const read: WrittenObject[] = [];
  for (const oid of oids) read.push({ oid, ...(await objects.read(oid, mostBytes)) });
  return read;
}

/** Trees and blobs of a tree that no parent has at the same path: what one of them has there comes with it. */
async function newIn(objects: Objects, tree: Oid, parents: readonly Oid[]): Promise<ReadonlySet<Oid> | undefined> {
  let least: ReadonlySet<Oid> | undefined;
  for (const parent of parents.length === 0 ? [undefined] : parents) {
    const found = new Set<Oid>();
    const before = parent && (await objects.commit(parent)).tree;
    if (!(await collect(objects, tree, before, found))) return undefined;
    if (!least || found.size < least.size) least = found;
  }
  return least;
}

/** False where it becomes too many. */
async function collect(objects: Objects, tree: Oid, before: Oid | undefined, found: Set<Oid>): Promise<boolean> {
  if (tree === before || found.has(tree)) return true;
  found.add(tree);
  const old = new Map((before ? await objects.tree(before) : []).map((entry) => [entry.name, entry]));
  for (const { name, mode, oid } of await objects.tree(tree)) {
    if (found.size > mostObjects) return false;
    const was = old.get(name);
    if (was?.oid === oid) continue;
    if (mode === folderMode) {
      if (!(await collect(objects, oid, was?.mode === folderMode ? was.oid : undefined, found))) return false;
    } else if (mode !== '160000') found.add(oid);
  }
  return true;
}
