import type { Change, Entry, Oid, SitePath } from '../model/tree.ts';
import { type Objects, type TreeEntry, folderMode, orderKey } from './objects.ts';

/**
 * What differs between two trees, as `git diff-tree -r --no-renames` tells it and in its order. Only folders that differ
 * are looked into.
 */
export async function diffTrees(objects: Pick<Objects, 'tree'>, from: Oid, to: Oid): Promise<readonly Change[]> {
  const changes: Change[] = [];
  await compare(objects, from, to, '', changes);
  return changes;
}

async function compare(
  objects: Pick<Objects, 'tree'>,
  from: Oid | undefined,
  to: Oid | undefined,
  folder: string,
  changes: Change[],
): Promise<void> {
  if (from === to) return;
  const before = from ? await objects.tree(from) : [];
  const after = to ? await objects.tree(to) : [];
  for (const [old, now] of pairs(before, after)) {
    if (old && now && old.oid === now.oid && old.mode === now.mode) continue;
    const path = `${folder}${(old ?? now)?.name ?? ''}`;
    if ((old ?? now)?.mode === folderMode) await compare(objects, old?.oid, now?.oid, `${path}/`, changes);
    else changes.push({ path: path as SitePath, ...entryOf('before', old), ...entryOf('after', now) });
  }
}

/** The entries of two trees side by side; a file and a folder of one name are two. */
function* pairs(
  before: readonly TreeEntry[],
  after: readonly TreeEntry[],
): Generator<readonly [TreeEntry | undefined, TreeEntry | undefined]> {
  for (let left = 0, right = 0; left < before.length || right < after.length;) {
    const [old, now] = [before[left], after[right]];
    const [oldKey, nowKey] = [old && orderKey(old), now && orderKey(now)];
    if (oldKey === nowKey) {
      yield [old, now];
      left += 1;
      right += 1;
    } else if (nowKey === undefined || (oldKey !== undefined && oldKey < nowKey)) {
      yield [old, undefined];
      left += 1;
    } else {
      yield [undefined, now];
      right += 1;
    }
  }
}

function entryOf<K extends 'before' | 'after'>(side: K, entry: TreeEntry | undefined): Partial<Record<K, Entry>> {
  return entry ? ({ [side]: { mode: entry.mode, oid: entry.oid } } as Record<K, Entry>) : {};
}

/** What a tree has at each of some paths; paths that it does not have, or where it has a folder, are left out. */
export async function entriesAt(
  objects: Pick<Objects, 'tree'>,
  tree: Oid,
  paths: readonly SitePath[],
): Promise<Map<SitePath, Entry>> {
  const found = new Map<SitePath, Entry>();
  for (const path of paths) {
    const entry = await entryAt(objects, tree, path);
    if (entry && entry.mode !== folderMode) found.set(path, { mode: entry.mode, oid: entry.oid });
  }
  return found;
}

export async function entryAt(objects: Pick<Objects, 'tree'>, tree: Oid, path: string): Promise<TreeEntry | undefined> {
  const names = path.split('/');
  let folder = tree;
  for (const [at, name] of names.entries()) {
    const entry = (await objects.tree(folder)).find((each) => each.name === name);
    if (!entry || at === names.length - 1) return entry;
    if (entry.mode !== folderMode) return undefined;
    folder = entry.oid;
  }
  return undefined;
}
