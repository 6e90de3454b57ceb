import { type Copied, type Pointer, isPointer, pointerLimit } from '../model/lfs.ts';
import type { NotSyncedReason } from '../model/site.ts';
import { type Entry, type SitePath } from '../model/tree.ts';
import type { Fs, Stat } from '../model/world.ts';
import type { ApplyRequest, KeptMode, LargeContents, TreeFile } from '../sync/ports.ts';
import { errorCode } from './disk.ts';
import { type Manifest, sameSeen } from './manifest.ts';
import { asPointer, pointersAmong, wholeOf } from './pointers.ts';
import type { Coming } from './room.ts';
import type { Move, Staging } from './staging.ts';
import type { Walk } from './walk.ts';

export interface StageTools {
  readonly fs: Fs;
  readonly manifest: Manifest;
  readonly staging: Staging;
  readonly refusal: (file: TreeFile) => NotSyncedReason | undefined;
  /** Present: pointers at the paths it names are followed. */
  readonly large?: {
    readonly isLarge: (path: SitePath) => boolean;
    readonly copier: LargeContents['copier'];
  };
  readonly newFileMode: number;
}

/** One path of the request, with where it stands. */
export interface Task {
  readonly path: SitePath;
  readonly before?: Entry;
  readonly after?: Entry;
  size: number;
  move?: Move;
  stagedStat?: Stat;
}

/** Hands a content over piece by piece. */
type Fill = (write: (chunk: Buffer) => Promise<void>) => Promise<Copied>;

/** Writes new contents beside their places, synced and announced, before the first name changes. */
export class Stage {
  readonly #tools: StageTools;
  readonly #request: ApplyRequest;
  readonly #walk: Walk;
  readonly #refuse: (task: Task, reason: NotSyncedReason) => void;
  /** What the repository only points to, and is followed. */
  #pointers: ReadonlyMap<SitePath, Pointer> = new Map();

  constructor(
    tools: StageTools,
    request: ApplyRequest,
    walk: Walk,
    refuse: (task: Task, reason: NotSyncedReason) => void,
  ) {
    this.#tools = tools;
    this.#request = request;
    this.#walk = walk;
    this.#refuse = refuse;
  }

  /** What will have to be written. */
  async coming(writes: readonly Task[]): Promise<Coming> {
    const files = writes
      .filter((task) => !this.#alreadyThere(task))
      .map(({ path, after }) => ({ path, after: after as Entry }));
    const { large } = this.#tools;
    if (large) this.#pointers = await pointersAmong(files, large.isLarge, this.#request);
    return {
      blobs: files.filter(({ path }) => !this.#pointers.has(path)).map(({ after }) => after.oid),
      large: [...this.#pointers.values()].map(({ size }) => size),
    };
  }

  /** Writes the contents beside their places, one after another as git gives them; syncs run behind. */
  async write(tasks: readonly Task[]): Promise<void> {
    const wanted = tasks.filter((task) => !this.#alreadyThere(task));
    const copy = this.#copierFor(wanted);
    const { signal, progress } = this.#request;
    const syncs = new Set<Promise<void>>();
    let next = 0;
    let bytes = 0;
    const tell = (more: number): void =>
      progress?.({ act: 'pulling', done: next, total: wanted.length, bytes: bytes + more });
    try {
      for await (const { size, chunks } of this.#request.blobs(wanted.map((task) => (task.after as Entry).oid))) {
        const task = wanted[next] as Task;
        const pointer = this.#pointers.get(task.path);
        task.size = pointer?.size ?? size;
        const content = size < pointerLimit ? await wholeOf(chunks) : undefined;
        const reason =
          this.#refusedForSize(task) ?? (!pointer && content && isPointer(content) ? asPointer : undefined);
        const fill: Fill = pointer ? (write) => copy(pointer, write, tell) : from(content ? [content] : chunks);
        if (reason) this.#refuse(task, reason);
        else await this.#stageOne(task, fill, syncs);
        if (syncs.size >= 16) await Promise.all(syncs);
        next += 1;
        bytes += task.size;
        tell(0);
      }
      await Promise.all(syncs);
      signal?.throwIfAborted();
    } catch (error) {
      await Promise.allSettled(syncs);
      this.#tools.staging.release(
        this.#walk,
        wanted.flatMap(({ move }) => move ?? []),
      );
      throw error;
    }
    this.#tools.staging.announce(wanted.flatMap(({ move }) => move ?? []));
  }

  /** Copies what these point to, each content once asked for. `tell`: bytes of the one under way. */
  #copierFor(
    tasks: readonly Task[],
  ): (pointer: Pointer, ...to: [...Parameters<Fill>, (bytes: number) => void]) => Promise<Copied> {
    const wanted = new Map(tasks.flatMap(({ path }) => this.#pointers.get(path) ?? []).map((one) => [one.sha, one]));
    const copy = this.#tools.large?.copier([...wanted.values()], this.#request.signal);
    return async (pointer, write, tell) => {
      let bytes = 0;
      const written = copy?.(pointer, async (chunk) => {
        await write(chunk);
        bytes += chunk.length;
        tell(bytes);
      });
      return (await written) ?? { missing: '' };
    };
  }

  #refusedForSize(task: Task): NotSyncedReason | undefined {
    return this.#tools.refusal({ path: task.path, ...(task.after as Entry), size: task.size });
  }

  async #stageOne(task: Task, fill: Fill, syncs: Set<Promise<void>>): Promise<void> {
    const { fs, staging } = this.#tools;
    const folder = staging.folderFor(this.#walk, this.#walk.nearestFolder(task.path));
    const name = staging.freshName();
    const mode = this.#modeFor(task);
    const fd = fs.createFile(folder.fd, Buffer.from(name), 0o600);
    const discard = (): void => {
      fs.close(fd);
      fs.unlink(folder.fd, Buffer.from(name));
    };
    let copied: Copied;
    try {
      copied = await fill(async (chunk) => {
        this.#request.signal?.throwIfAborted();
        await fs.write(fd, chunk);
      });
      own(fs, fd, mode);
    } catch (error) {
      discard();
      throw error;
    }
    if (copied !== 'done') {
      discard();
      return this.#refuse(task, notHad(copied));
    }
    const stat = fs.statOpen(fd);
    task.stagedStat = stat;
    task.move = this.#moveFor(task, folder.path, name, stat);
    const sync: Promise<void> = fs
      .fsync(fd)
      .then(() => void syncs.delete(sync))
      .finally(() => fs.close(fd));
    syncs.add(sync);
    // One that failed stays in the set for whoever waits for it; until then it must not end the process.
    sync.catch(() => {});
  }

  #moveFor(task: Task, folder: SitePath, name: string, stat: Stat): Move {
    const line = this.#tools.manifest.get(task.path);
    return {
      folder,
      name,
      path: task.path,
      ...(line?.seen ? { before: { oid: line.oid, seen: line.seen } } : {}),
      staged: { dev: String(stat.dev), ino: String(stat.ino) },
    };
  }

  #modeFor(task: Task): KeptMode {
    const kept = this.#request.modes?.get(task.path);
    if (kept) return kept;
    const there = this.#walk.statQuietly(task.path);
    if (there?.kind === 'file') return there;
    const parent = this.#tools.fs.statOpen(this.#walk.folder(this.#walk.nearestFolder(task.path)));
    return { mode: this.#tools.newFileMode, uid: parent.uid, gid: parent.gid };
  }

  /** Content already right, by stat: an unfinished apply that goes on, or a change of mode only. */
  #alreadyThere(task: Task): boolean {
    const line = this.#tools.manifest.get(task.path);
    if (!line?.seen || line.oid !== task.after?.oid) return false;
    const there = this.#walk.statQuietly(task.path);
    return there !== undefined && sameSeen(line.seen, there);
  }
}

/** Only who owns the process's privileges may give files away; the group is kept where that is all we may do. */
export function own(fs: Fs, fd: number, { mode, uid, gid }: KeptMode): void {
  for (const owner of [uid, -1]) {
    try {
      fs.chown(fd, owner, gid);
      break;
    } catch (error) {
      if (errorCode(error) !== 'EPERM') throw error;
    }
  }
  // After chown, which clears bits; set-user-id and its like never travel.
  fs.chmod(fd, mode & 0o777);
}

function notHad(copied: Exclude<Copied, 'done'>): NotSyncedReason {
  if (copied === 'damaged') return { kind: 'lfs-damaged' };
  return { kind: 'lfs-missing', ...(copied.missing === '' ? {} : { text: copied.missing }) };
}

function from(chunks: AsyncIterable<Buffer> | readonly Buffer[]): Fill {
  return async (write) => {
    for await (const chunk of chunks) await write(chunk);
    return 'done';
  };
}
