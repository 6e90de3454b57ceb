import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, readlinkSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import { realFs } from '../../src/files/disk.ts';
import type { Fs } from '../../src/model/world.ts';

/**
 * A disk as the power leaves it. Every change below a folder is recorded with its content, together with what an fsync
 * had made safe; what would be found after a cut at each moment can be built again in another place. The strictest
 * reading of what a file system promises: content is safe after fsync of the file, a name after fsync of its folder.
 */

interface File {
  readonly kind: 'file';
  readonly ino: string;
  safe: Buffer;
  now: Buffer;
}

interface Folder {
  readonly kind: 'folder';
  safe: Map<string, Node>;
  now: Map<string, Node>;
}

type Node = File | Folder;

/** Of what was not synced: all is lost, contents are, half of the contents, or only the names in the state directory. */
const losses = ['all', 'contents', 'half of the contents', 'names of ours'] as const;
type Loss = (typeof losses)[number];

export interface Survivor<Mark> {
  readonly loss: Loss;
  /** After which call. */
  readonly after: string;
  readonly mark: Mark;
  readonly tree: Tree;
}

interface FileLeft {
  readonly ino: string;
  readonly bytes: Buffer;
}

export interface Tree {
  readonly [name: string]: Tree | FileLeft;
}

export class PowerDisk<Mark> {
  readonly #root: string;
  readonly #top: Folder;
  readonly #mark: () => Mark;
  readonly #seen = new Set<string>();
  readonly survivors: Survivor<Mark>[] = [];
  calls = 0;

  /** What is below `root` now is safe; `leave`: names that are none of its business. `mark`: what a test asks of the moment. */
  constructor(root: string, mark: () => Mark, leave = /^$/) {
    this.#root = root;
    this.#mark = mark;
    this.#top = take(root, leave);
  }

  at(path: string): Node | undefined {
    let node: Node | undefined = this.#top;
    for (const name of this.#names(path)) node = node?.kind === 'folder' ? node.now.get(name) : undefined;
    return node;
  }

  holds(path: string): boolean {
    return path === this.#root || path.startsWith(`${this.#root}/`);
  }

  create(path: string, node: Node): void {
    this.#folderOf(path).now.set(basename(path), node);
    this.#noted(`create ${this.#short(path)}`);
  }

  write(path: string, node: Node | undefined, bytes: Buffer, how: 'append' | 'replace' = 'append'): void {
    if (node?.kind !== 'file') throw new Error(`nothing to write to: ${path}`);
    node.now = how === 'append' ? Buffer.concat([node.now, bytes]) : bytes;
    this.#noted(`write ${this.#short(path)}`);
  }

  sync(path: string, node: Node | undefined): void {
    if (node?.kind === 'file') node.safe = node.now;
    else if (node) node.safe = new Map(node.now);
    this.#noted(`fsync ${this.#short(path)}`);
  }

  remove(path: string): void {
    this.#folderOf(path).now.delete(basename(path));
    this.#noted(`remove ${this.#short(path)}`);
  }

  link(from: string, to: string): void {
    const node = this.at(from);
    if (node) this.#folderOf(to).now.set(basename(to), node);
    this.#noted(`link ${this.#short(to)}`);
  }

  rename(from: string, to: string): void {
    const node = this.at(from);
    if (!node) return;
    this.#folderOf(from).now.delete(basename(from));
    this.#folderOf(to).now.set(basename(to), node);
    this.#noted(`rename ${this.#short(to)}`);
  }

  exchange(a: string, b: string): void {
    const [first, second] = [this.at(a), this.at(b)];
    if (!first || !second) throw new Error('nothing to exchange');
    this.#folderOf(a).now.set(basename(a), second);
    this.#folderOf(b).now.set(basename(b), first);
    this.#noted(`exchange ${this.#short(b)}`);
  }

  /** Something outside this disk went on: the same survivors are new ones. */
  moved(what: string): void {
    this.#noted(what);
  }

  #noted(after: string): void {
    this.calls += 1;
    for (const loss of losses) {
      const tree = treeOf(this.#top, loss);
      const mark = this.#mark();
      const key = createHash('sha1')
        .update(JSON.stringify([mark, shape(tree)]))
        .digest('hex');
      if (this.#seen.has(key)) continue;
      this.#seen.add(key);
      this.survivors.push({ loss, after, mark, tree });
    }
  }

  #folderOf(path: string): Folder {
    const node = this.at(dirname(path));
    if (node?.kind !== 'folder') throw new Error(`no folder for ${path}`);
    return node;
  }

  #names(path: string): string[] {
    return relative(this.#root, path).split('/').filter(Boolean);
  }

  #short(path: string): string {
    return relative(this.#root, path);
  }
}

function take(path: string, leave: RegExp): Folder {
  const now = new Map<string, Node>();
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const full = join(path, entry.name);
    if (leave.test(entry.name)) continue;
    if (entry.isDirectory()) now.set(entry.name, take(full, leave));
    else if (entry.isFile()) {
      const bytes = readFileSync(full);
      now.set(entry.name, { kind: 'file', ino: String(statSync(full).ino), safe: bytes, now: bytes });
    }
  }
  return { kind: 'folder', safe: new Map(now), now };
}

function treeOf(folder: Folder, loss: Loss, name = ''): Tree {
  const isLost = loss === 'all' || (loss === 'names of ours' && name === 'state');
  const entries = [...(isLost ? folder.safe : folder.now)];
  return Object.fromEntries(
    entries.map(([at, node]) => [at, node.kind === 'folder' ? treeOf(node, loss, at) : fileOf(node, loss)]),
  );
}

function fileOf({ ino, safe, now }: File, loss: Loss): FileLeft {
  if (loss === 'names of ours') return { ino, bytes: now };
  const half = Math.ceil((now.length - safe.length) / 2);
  return { ino, bytes: loss === 'half of the contents' && half > 0 ? now.subarray(0, safe.length + half) : safe };
}

function isFile(node: Tree[string]): node is FileLeft {
  return Buffer.isBuffer(node?.bytes);
}

function shape(tree: Tree): unknown {
  return Object.entries(tree)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, node]) => [name, isFile(node) ? node.bytes.toString('base64') : shape(node as Tree)]);
}

/** Writes a survivor down, and gives for each inode that it had the one it has now. */
export function build(tree: Tree, into: string, inodes = new Map<string, string>()): Map<string, string> {
  mkdirSync(into, { recursive: true });
  for (const [name, node] of Object.entries(tree)) {
    const path = join(into, name);
    if (!isFile(node)) build(node as Tree, path, inodes);
    else {
      writeFileSync(path, node.bytes);
      // Long ago, so that no second write in the same tick is to be feared.
      utimesSync(path, 1_700_000_000, 1_700_000_000);
      inodes.set(node.ino, String(statSync(path).ino));
    }
  }
  return inodes;
}

/** The real file system of the engine, recorded. */
export function recordedFs(disk: PowerDisk<unknown>): Fs {
  // What is not recorded is not there: a file goes back to its name by a link then.
  const { exchange, renameNoReplace: _unrecorded, ...real } = realFs();
  const open = new Map<number, { path: string; node: Node | undefined }>();
  const pathOf = (dir: number, name: Buffer): string => join(open.get(dir)?.path ?? '?', name.toString());
  const opened = (fd: number, path: string): number => {
    open.set(fd, { path, node: disk.at(path) });
    return fd;
  };
  return {
    ...real,
    openRoot: (path) => opened(real.openRoot(path), path),
    openDirectory: (dir, name) => opened(real.openDirectory(dir, name), pathOf(dir, name)),
    createFile(dir, name, mode) {
      const fd = real.createFile(dir, name, mode);
      const ino = String(real.statOpen(fd).ino);
      disk.create(pathOf(dir, name), { kind: 'file', ino, safe: Buffer.alloc(0), now: Buffer.alloc(0) });
      return opened(fd, pathOf(dir, name));
    },
    async write(fd, bytes) {
      await real.write(fd, bytes);
      disk.write(open.get(fd)?.path ?? '?', open.get(fd)?.node, Buffer.from(bytes));
    },
    async fsync(fd) {
      const { path = '?', node } = open.get(fd) ?? {};
      await real.fsync(fd);
      disk.sync(path, node);
    },
    makeDirectory(dir, name, mode) {
      real.makeDirectory(dir, name, mode);
      disk.create(pathOf(dir, name), { kind: 'folder', safe: new Map(), now: new Map() });
    },
    removeDirectory(dir, name) {
      real.removeDirectory(dir, name);
      disk.remove(pathOf(dir, name));
    },
    unlink(dir, name) {
      real.unlink(dir, name);
      disk.remove(pathOf(dir, name));
    },
    link(from, name, to, newName) {
      real.link(from, name, to, newName);
      disk.link(pathOf(from, name), pathOf(to, newName));
    },
    rename(from, name, to, newName) {
      real.rename(from, name, to, newName);
      disk.rename(pathOf(from, name), pathOf(to, newName));
    },
    ...(exchange
      ? {
          exchange(a: number, nameA: Buffer, b: number, nameB: Buffer) {
            exchange(a, nameA, b, nameB);
            disk.exchange(pathOf(a, nameA), pathOf(b, nameB));
          },
        }
      : {}),
  };
}

/** What journal and manifest do by node's own calls below the disk's root, recorded too. Gives back the undo. */
export function recordNode(disk: PowerDisk<unknown>): () => void {
  const { openSync, appendFileSync, fsyncSync, closeSync, renameSync, rmSync, writeSync } = fs;
  const real = { openSync, appendFileSync, fsyncSync, closeSync, renameSync, rmSync, writeSync };
  const open = new Map<number, string>();
  const file = (path: string): void => {
    if (disk.at(path)) return;
    const ino = String(statSync(path).ino);
    disk.create(path, { kind: 'file', ino, safe: Buffer.alloc(0), now: Buffer.alloc(0) });
  };
  const bytesOf = (data: unknown): Buffer => (Buffer.isBuffer(data) ? data : Buffer.from(String(data)));
  const patch: Partial<typeof fs> = {
    openSync(path, flags, mode) {
      const fd = real.openSync(path, flags, mode);
      const name = String(path);
      if (!disk.holds(name) || flags === 'r') return fd;
      file(name);
      if (flags === 'w') disk.write(name, disk.at(name), Buffer.alloc(0), 'replace');
      open.set(fd, name);
      return fd;
    },
    appendFileSync(path, data, options) {
      real.appendFileSync(path, data, options);
      const name = typeof path === 'number' ? open.get(path) : String(path);
      if (name === undefined || !disk.holds(name)) return;
      file(name);
      disk.write(name, disk.at(name), bytesOf(data));
    },
    fsyncSync(fd) {
      real.fsyncSync(fd);
      const name = open.get(fd);
      if (name !== undefined) disk.sync(name, disk.at(name));
      else {
        // A folder is opened for reading.
        const path = readlinkSync(`/proc/self/fd/${fd}`);
        if (disk.holds(path)) disk.sync(path, disk.at(path));
      }
    },
    closeSync(fd) {
      open.delete(fd);
      real.closeSync(fd);
    },
    renameSync(from, to) {
      real.renameSync(from, to);
      if (disk.holds(String(from))) disk.rename(String(from), String(to));
    },
    rmSync(path, options) {
      real.rmSync(path, options);
      if (disk.holds(String(path)) && disk.at(String(path))) disk.remove(String(path));
    },
  };
  const write = ((fd: number, data: string) => {
    const count = real.writeSync(fd, data);
    const name = open.get(fd);
    if (name !== undefined) disk.write(name, disk.at(name), bytesOf(data));
    return count;
  }) as typeof fs.writeSync;
  Object.assign(fs, patch, { writeSync: write });
  syncBuiltinESMExports();
  return () => {
    Object.assign(fs, real);
    syncBuiltinESMExports();
  };
}
