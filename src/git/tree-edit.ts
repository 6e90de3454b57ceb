import { createHash } from 'node:crypto';
import type { Entry, Oid } from '../model/tree.ts';
import {
  type GitObject,
  type Objects,
  type ObjectType,
  type TreeEntry,
  emptyTree,
  folderMode,
  orderKey,
} from './objects.ts';

type Trees = Pick<Objects, 'tree'>;

/** A folder that is being changed: loaded when something in it changes, and only then written anew. */
interface Folder {
  readonly was: Oid;
  entries: Map<string, TreeEntry | Folder> | undefined;
}

export interface WrittenObject extends GitObject {
  readonly oid: Oid;
}

/** Changes a tree path by path, as fast-import's `M` and `D` do. */
export class TreeEdit {
  readonly #trees: Trees;
  readonly #root: Folder;

  constructor(trees: Trees, base: Oid) {
    this.#trees = trees;
    this.#root = { was: base, entries: undefined };
  }

  /** Puts an entry, which may be a whole folder, in the place of whatever is at the path. */
  async set(path: string, entry: Entry | { readonly mode: typeof folderMode; readonly oid: Oid }): Promise<void> {
    const { names, name } = split(path);
    let folder = this.#root;
    for (const each of names) folder = (await this.#below(folder, each)) ?? (await this.#make(folder, each));
    (await this.#entries(folder)).set(name, { name, ...entry });
  }

  /** Takes away what is at the path, be it a folder. */
  async remove(path: string): Promise<void> {
    const { names, name } = split(path);
    let folder: Folder | undefined = this.#root;
    for (const each of names) {
      folder = await this.#below(folder, each);
      if (!folder) return;
    }
    (await this.#entries(folder)).delete(name);
  }

  /** The tree, and all that is new in it. Folders that became empty are left out. */
  async write(): Promise<{ readonly tree: Oid; readonly objects: readonly WrittenObject[] }> {
    const objects: WrittenObject[] = [];
    const tree = this.#write(this.#root, objects) ?? emptyTree;
    if (tree === emptyTree) objects.push({ oid: emptyTree, type: 'tree', data: Buffer.alloc(0) });
    return { tree, objects };
  }

  async #below(folder: Folder, name: string): Promise<Folder | undefined> {
    const entries = await this.#entries(folder);
    const found = entries.get(name);
    if (!found || 'was' in found) return found;
    if (found.mode !== folderMode) return undefined;
    const below: Folder = { was: found.oid, entries: undefined };
    entries.set(name, below);
    return below;
  }

  async #make(folder: Folder, name: string): Promise<Folder> {
    const made: Folder = { was: emptyTree, entries: undefined };
    (await this.#entries(folder)).set(name, made);
    return made;
  }

  async #entries(folder: Folder): Promise<Map<string, TreeEntry | Folder>> {
    folder.entries ??= new Map((await this.#trees.tree(folder.was)).map((entry) => [entry.name, entry] as const));
    return folder.entries;
  }

  /** Undefined: nothing is left in it. */
  #write({ was, entries }: Folder, objects: WrittenObject[]): Oid | undefined {
    if (!entries) return was;
    const left: TreeEntry[] = [];
    for (const [name, entry] of entries) {
      if (!('was' in entry)) left.push(entry);
      else {
        const oid = this.#write(entry, objects);
        if (oid && oid !== emptyTree) left.push({ name, mode: folderMode, oid });
      }
    }
    if (left.length === 0) return undefined;
    const data = formatTree(left);
    const oid = objectId('tree', data);
    if (oid !== was) objects.push({ oid, type: 'tree', data });
    return oid;
  }
}

export function objectId(type: ObjectType, data: Buffer): Oid {
  return createHash('sha1').update(`${type} ${data.length}\0`).update(data).digest('hex') as Oid;
}

function formatTree(entries: readonly TreeEntry[]): Buffer {
  const ordered = entries.map((entry) => [orderKey(entry), entry] as const).sort(([a], [b]) => (a < b ? -1 : 1));
  return Buffer.concat(
    ordered.flatMap(([, { name, mode, oid, written }]) => [
      Buffer.from(`${written ?? mode.replace(/^0/, '')} ${name}\0`, 'latin1'),
      Buffer.from(oid, 'hex'),
    ]),
  );
}

function split(path: string): { names: readonly string[]; name: string } {
  const names = path.split('/');
  return { names: names.slice(0, -1), name: names.at(-1) ?? '' };
}
