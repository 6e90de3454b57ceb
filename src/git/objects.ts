import { Problem } from '../model/problem.ts';
import type { Mode, Oid } from '../model/tree.ts';
import { Coprocess, type CoprocessPool, type Line } from './coprocess.ts';
import type { GitProcess } from './driver.ts';
import { oddAnswer } from './failure.ts';
import { LruCache } from './lru-cache.ts';

/** An entry of one tree. The name has one character per byte. */
export interface TreeEntry {
  readonly name: string;
  readonly mode: Mode | typeof folderMode;
  readonly oid: Oid;
  /** The mode as it is written, where that is not the usual form. */
  readonly written?: string;
}

export const folderMode = '040000';
export const emptyTree = '4b825dc642cb6eb9a060e54bf8d69288fbee4904' as Oid;

export interface CommitObject {
  readonly tree: Oid;
  readonly parents: readonly Oid[];
  /** Committer's time, seconds since 1970. */
  readonly at: number;
  readonly data: Buffer;
}

export type ObjectType = 'commit' | 'tree' | 'blob' | 'tag';

export interface GitObject {
  readonly type: ObjectType;
  readonly data: Buffer;
}

interface ObjectInfo {
  readonly type: ObjectType;
  readonly size: number;
}

/** Trees and commits of one repository, read through one process and remembered while it lives. */
export class Objects {
  readonly #batch: Coprocess;
  readonly #commits = new LruCache<CommitObject>(2_000);
  readonly #trees = new LruCache<readonly TreeEntry[]>(mostEntries, (tree) => 1 + tree.length);
  readonly #counts = new LruCache<number>(mostEntries);

  constructor(open: (args: readonly string[]) => GitProcess, pool: CoprocessPool) {
    const start = (): GitProcess => open(['cat-file', '--batch-command']);
    this.#batch = new Coprocess('cat-file', start, pool, () => this.#forget());
  }

  commit(oid: Oid): Promise<CommitObject> {
    return this.#commits.get(oid, async () => {
      const { type, data } = await this.read(oid);
      if (type !== 'commit') throw damaged(oid);
      return parseCommit(oid, data);
    });
  }

  async tree(oid: Oid): Promise<readonly TreeEntry[]> {
    if (oid === emptyTree) return [];
    return this.#trees.get(oid, async () => {
      const { type, data } = await this.read(oid);
      if (type !== 'tree') throw damaged(oid);
      return parseTreeObject(oid, data);
    });
  }

  /** The tree of a commit; a tree is its own. */
  async rootTree(oid: Oid): Promise<Oid> {
    if (oid === emptyTree || this.#trees.peek(oid)) return oid;
    const known = this.#commits.peek(oid);
    if (known) return (await known).tree;
    const { type, data } = await this.read(oid);
    this.learn(oid, { type, data });
    if (type === 'tree') return oid;
    if (type !== 'commit') throw damaged(oid);
    return parseCommit(oid, data).tree;
  }

  /** Whether there is such an object: asked anew each time. */
  async has(oid: Oid): Promise<boolean> {
    return this.#batch.ask(async (line) => (await this.#info(line, oid)) !== undefined);
  }

  /**
   * How many files are below a tree: remembered for each tree, so that after a change only changed trees are counted.
   * Throws `too-many-files` past the limit.
   */
  async count(tree: Oid, limit: number, depth = 0): Promise<number> {
    const count = await this.#counts.get(tree, async () => {
      let sum = 0;
      for (const { mode, oid } of await this.tree(tree)) {
        if (sum > limit || depth > deepest) throw tooMany(limit);
        sum += mode === folderMode ? await this.count(oid, limit, depth + 1) : 1;
      }
      return sum;
    });
    if (count > limit) throw tooMany(limit);
    return count;
  }

  /** A whole object. Throws `git-damaged` where there is none, and `repository-too-large` past `limit` bytes. */
  async read(oid: Oid, limit = mostBytes): Promise<GitObject> {
    const found = await this.#batch.ask(async (line) => {
      const info = await this.#info(line, oid);
      if (!info || info.size > limit) return info;
      await line.send(`contents ${oid}\n`);
      if (!parseInfo(await line.row(), oid)) throw oddAnswer('cat-file');
      const data = await line.bytes(info.size);
      await line.row();
      return { ...info, data };
    });
    if (!found) throw damaged(oid);
    if (!('data' in found)) throw new Problem('repository-too-large', { object: oid });
    return found;
  }

  /** Type and bytes of each object, in the order asked. */
  async infos(oids: readonly Oid[]): Promise<readonly ObjectInfo[]> {
    const found: ObjectInfo[] = [];
    for (let at = 0; at < oids.length; at += portion) {
      const asked = oids.slice(at, at + portion);
      const infos = await this.#batch.ask(async (line) => {
        await line.send(asked.map((oid) => `info ${oid}\n`).join(''));
        const answers: (ObjectInfo | undefined)[] = [];
        for (const oid of asked) answers.push(parseInfo(await line.row(), oid));
        return answers;
      });
      for (const [index, info] of infos.entries()) {
        if (!info) throw damaged(asked[index] as Oid);
        found.push(info);
      }
    }
    return found;
  }

  /** What was just written need not be read. */
  learn(oid: Oid, { type, data }: GitObject): void {
    if (type === 'commit') this.#commits.learn(oid, parseCommit(oid, data));
    if (type === 'tree') this.#trees.learn(oid, parseTreeObject(oid, data));
  }

  /** Ends the process and forgets what was read: the repository may become another one. */
  async end(): Promise<void> {
    await this.#batch.end();
    this.#forget();
  }

  async #info(line: Line, oid: Oid): Promise<ObjectInfo | undefined> {
    await line.send(`info ${oid}\n`);
    return parseInfo(await line.row(), oid);
  }

  #forget(): void {
    this.#commits.clear();
    this.#trees.clear();
    this.#counts.clear();
  }
}

/** Of trees and commits: a folder of half a million files is shorter. */
const mostBytes = 32 * 1024 * 1024;
/** Entries of trees that are remembered. */
const mostEntries = 100_000;
/** Folders inside each other; a path is at most 4,096 bytes long. */
const deepest = 2_048;
/** So many questions fit into a pipe before anybody reads the answers. */
const portion = 200;

const damaged = (oid: Oid): Problem => new Problem('git-damaged', { command: 'cat-file', object: oid });

const tooMany = (limit: number): Problem => new Problem('too-many-files', { limit: String(limit) });

/** Undefined: there is no such object. Throws `git-failed` for an answer to another question, or to none. */
function parseInfo(row: string, oid: Oid): ObjectInfo | undefined {
  const [asked, type = '', size] = row.split(' ');
  if (asked !== oid) throw oddAnswer('cat-file');
  if (type === 'missing' && size === undefined) return undefined;
  if (!/^(commit|tree|blob|tag)$/.test(type) || !/^\d+$/.test(size ?? '')) throw oddAnswer('cat-file');
  return { type: type as ObjectType, size: Number(size) };
}

export function parseCommit(oid: Oid, data: Buffer): CommitObject {
  const end = data.indexOf('\n\n');
  const head = data.toString('latin1', 0, end < 0 ? data.length : end).split('\n');
  const tree = /^tree ([0-9a-f]{40})$/.exec(head[0] ?? '')?.[1];
  if (!tree) throw damaged(oid);
  const parents: Oid[] = [];
  for (let at = 1; head[at]?.startsWith('parent '); at += 1) parents.push(head[at]?.slice(7) as Oid);
  const committer = head.find((row) => row.startsWith('committer ')) ?? '';
  const at = Number(/> (\d+) [+-]\d+$/.exec(committer)?.[1] ?? 0);
  return { tree: tree as Oid, parents, at, data };
}

export function parseTreeObject(oid: Oid, data: Buffer): readonly TreeEntry[] {
  const entries: TreeEntry[] = [];
  for (let at = 0; at < data.length;) {
    const space = data.indexOf(0x20, at);
    const end = data.indexOf(0, space);
    if (space < 0 || end < 0 || end + 21 > data.length) throw damaged(oid);
    const written = data.toString('latin1', at, space);
    const mode = canonical(Number.parseInt(written, 8));
    const entry = {
      name: data.toString('latin1', space + 1, end),
      mode,
      oid: data.toString('hex', end + 1, end + 21) as Oid,
    };
    entries.push(written.padStart(6, '0') === mode ? entry : { ...entry, written });
    at = end + 21;
  }
  return entries;
}

/** The modes that git tells apart. */
function canonical(mode: number): TreeEntry['mode'] {
  switch (mode & 0o170000) {
    case 0o100000:
      return mode & 0o100 ? '100755' : '100644';
    case 0o120000:
      return '120000';
    case 0o040000:
      return folderMode;
    default:
      return '160000' as Mode;
  }
}

/** How git orders the entries of a tree: a folder as if its name ended in a slash. */
export const orderKey = ({ name, mode }: Pick<TreeEntry, 'name' | 'mode'>): string =>
  mode === folderMode ? `${name}/` : name;
