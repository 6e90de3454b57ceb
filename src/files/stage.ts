import { type Copied, type Pointer, isPointer, pointerLimit } from '../model/lfs.ts';
import type { NotSyncedReason } from '../model/site.ts';
import { longestTarget, staysInside, targetText } from '../model/link.ts';
import { type Entry, type SitePath, isLink, sameContent } from '../model/tree.ts';
import type { Fs, Stat } from '../model/world.ts';
import type { ApplyRequest, LargeContents, TreeFile } from '../sync/ports.ts';
import { type NewEntries, giveAccess, keptAccess, newFileAccess } from './access.ts';
import { type PathErrors, close } from './errno.ts';
import { sameSeen } from './line.ts';
import { type Manifest } from './manifest.ts';
import { asPointer, pointersAmong, wholeOf } from './pointers.ts';
import type { Coming } from './disk-space.ts';
import type { Move, Place, Staging } from './staging.ts';
import type { Users } from './users.ts';
import { type DirectoryHandles, nameOf } from './directory-handles.ts';

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
  readonly users: Users;
  /** Whether a file can be executed; nothing where that is not synced. */
  readonly executable: (stat: Stat) => { readonly isExecutable?: boolean };
  /** Asked anew for each file: settings change while the daemon runs. */
  readonly newEntries: () => NewEntries;
  /** Attributes of a replaced file that could not be carried over. */
  readonly lostAttributes: (path: SitePath, names: readonly string[]) => void;
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

/** The folder itself, by its own descriptor. */
const here = Buffer.from('.');

/** An empty file beside its place. */
interface Staged {
  readonly folder: Place;
  readonly name: string;
  readonly fd: number;
  /** The folder the file will lie in, or the deepest on the way to it that is there. */
  readonly nearest: { readonly path: string; readonly stat: Stat };
}

/** Hands a content over piece by piece. */
type Fill = (write: (chunk: Buffer) => Promise<void>) => Promise<Copied>;

/**
 * Writes new contents beside their places, synced and announced, before the first name changes. Where the disk fails for
 * one of them, that one is refused and leaves nothing behind.
 */
export class Stage {
  readonly #tools: StageTools;
  readonly #request: ApplyRequest;
  readonly #handles: DirectoryHandles;
  readonly #refuse: (task: Task, reason: NotSyncedReason) => void;
  readonly #errors: PathErrors;
  /** Written, and not synced: what the system answered. */
  readonly #unsynced = new Map<Task, unknown>();
  /** What the repository only points to, and is followed. */
  #pointers: ReadonlyMap<SitePath, Pointer> = new Map();

  constructor(
    tools: StageTools,
    request: ApplyRequest,
    handles: DirectoryHandles,
    refuse: (task: Task, reason: NotSyncedReason) => void,
    errors: PathErrors,
  ) {
    this.#tools = tools;
    this.#request = request;
    this.#handles = handles;
    this.#refuse = refuse;
    this.#errors = errors;
  }

  /** What will have to be written. */
  async coming(writes: readonly Task[]): Promise<Coming> {
    const files = writes
      .filter((task) => !this.#alreadyThere(task))
      .map(({ path, after }) => ({ path, after: after as Entry }));
    const { large } = this.#tools;
    const mayPoint = files.filter(({ after }) => !isLink(after));
    if (large) this.#pointers = await pointersAmong(mayPoint, large.isLarge, this.#request);
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
        const isTarget = isLink(task.after) && size <= longestTarget;
        const content = size < pointerLimit || isTarget ? await wholeOf(chunks) : undefined;
        const isRefused = !isLink(task.after) && !pointer && content && isPointer(content);
        const reason = this.#refusedForSize(task) ?? (isRefused ? asPointer : undefined);
        const fill: Fill = pointer ? (write) => copy(pointer, write, tell) : from(content ? [content] : chunks);
        if (reason) this.#refuse(task, reason);
        else if (isLink(task.after)) await this.#stageLink(task, content);
        else await this.#stageOne(task, fill, syncs);
        if (syncs.size >= 16) await Promise.all(syncs);
        next += 1;
        bytes += task.size;
        tell(0);
      }
      await Promise.all(syncs);
      signal?.throwIfAborted();
      for (const [task, error] of this.#unsynced) this.#refuseStaged(task, this.#errors.reason('unwritable', error));
      this.#tools.staging.announce(wanted.flatMap(({ move }) => move ?? []));
    } catch (error) {
      await Promise.all(syncs);
      this.#tools.staging.release(
        this.#handles,
        wanted.flatMap(({ move }) => move ?? []),
      );
      throw error;
    }
  }

  /** What is not synced may be gone after a power cut: it must not take the place of anything. */
  #refuseStaged(task: Task, reason: NotSyncedReason): void {
    const { move } = task;
    delete task.move;
    if (move) this.#tools.staging.release(this.#handles, [move]);
    this.#refuse(task, reason);
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
    let staged: Staged;
    try {
      staged = await this.#create(task);
    } catch (error) {
      return this.#refuse(task, this.#errors.reason('unwritable', error));
    }
    const { fd, folder, name } = staged;
    const discard = (): void => {
      close(fs, fd);
      staging.drop(folder.fd, Buffer.from(name));
    };
    const reason = await this.#filled(task, staged, fill).catch((error: unknown) => {
      discard();
      throw error;
    });
    if (reason) {
      discard();
      return this.#refuse(task, reason);
    }
    const sync: Promise<void> = fs
      .fsync(fd)
      .catch((error: unknown) => void this.#unsynced.set(task, error))
      .then(() => {
        close(fs, fd);
        syncs.delete(sync);
      });
    syncs.add(sync);
  }

  /** `target` absent: longer than any link can be. Nothing of a link needs a sync: it is one entry of its folder. */
  async #stageLink(task: Task, target: Buffer | undefined): Promise<void> {
    const { fs } = this.#tools;
    if (!target || !staysInside(task.path, targetText(target))) return this.#refuse(task, { kind: 'link-outside' });
    try {
      const { folder, name } = await this.#place(task);
      fs.makeLink(folder.fd, Buffer.from(name), target);
      const stat = fs.stat(folder.fd, Buffer.from(name));
      if (!stat) throw Object.assign(new Error('the staged link is gone'), { code: 'ESTALE' });
      task.stagedStat = stat;
      task.move = this.#moveFor(task, folder.path, name, stat);
    } catch (error) {
      this.#refuse(task, this.#errors.reason('unwritable', error));
    }
  }

  async #place(task: Task): Promise<{ readonly nearest: string; readonly folder: Place; readonly name: string }> {
    const { staging } = this.#tools;
    const nearest = this.#handles.nearestFolder(task.path);
    return { nearest, folder: await staging.placeFor(this.#handles, nearest), name: staging.freshName() };
  }

  async #create(task: Task): Promise<Staged> {
    const { fs } = this.#tools;
    const { nearest, folder, name } = await this.#place(task);
    const stat = fs.statOpen(this.#handles.folder(nearest));
    const fd = fs.createFile(folder.fd, Buffer.from(name), 0o600);
    return { folder, name, fd, nearest: { path: nearest, stat } };
  }

  /** Gives a staged file its content and its rights; a reason where it must not take its place. */
  async #filled(task: Task, staged: Staged, fill: Fill): Promise<NotSyncedReason | undefined> {
    const { fs } = this.#tools;
    let failed: NotSyncedReason | undefined;
    const copied = await fill(async (chunk) => {
      this.#request.signal?.throwIfAborted();
      // Only the disk failed, and only here: what git or GitLab still has to send is taken and dropped.
      if (!failed)
        await fs.write(staged.fd, chunk).catch((error: unknown) => {
          failed = this.#errors.reason('unwritable', error);
        });
    });
    if (failed) return failed;
    if (copied !== 'done') return notHad(copied);
    try {
      const refused = this.#giveAccess(task, staged);
      if (refused) return refused;
      this.#makeExecutable(task, staged.fd);
      const stat = fs.statOpen(staged.fd);
      task.stagedStat = stat;
      task.move = this.#moveFor(task, staged.folder.path, staged.name, stat);
      return undefined;
    } catch (error) {
      return this.#errors.reason('unwritable', error);
    }
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

  /** What the staged file needs to be before it takes its name; a reason where it must not take it. */
  #giveAccess(task: Task, { fd, folder: place, nearest }: Staged): NotSyncedReason | undefined {
    const { fs, users, newEntries } = this.#tools;
    const name = nameOf(task.path);
    const folder = nearest.stat;
    const dir = this.#handles.folder(nearest.path);
    // Taken for a new file where it cannot be looked at, it would be open to whoever may read the folder.
    const there = this.#handles.stat(task.path);
    const kept = this.#request.modes?.get(task.path) ?? (there?.kind === 'file' ? there : undefined);
    const replaces = there?.kind === 'file';
    const of = (at: Buffer): ReadonlyMap<string, Buffer> => fs.attributes?.(dir, at) ?? new Map();
    const isNew = !kept;
    const wanted = isNew
      ? newFileAccess(folder, of(here), newEntries())
      : keptAccess(kept, replaces ? of(name) : new Map());
    const hasModes = place.abilities.chmod;
    const given = giveAccess({ fs, users }, fd, wanted, { folder, replaces, hasModes });
    if (given.lost.length > 0) this.#tools.lostAttributes(task.path, given.lost);
    return given.refused;
  }

  /** Whoever may read the file may execute it from now on, or nobody may any more. */
  #makeExecutable(task: Task, fd: number): void {
    const { fs } = this.#tools;
    const stat = fs.statOpen(fd);
    const wanted = becomesExecutable(this.#tools, task, stat);
    if (wanted === undefined) return;
    const mode = stat.mode & 0o777;
    fs.chmod(fd, wanted ? mode | ((mode & 0o444) >> 2) : mode & ~0o111);
  }

  /** Content already right, by stat: an unfinished apply that goes on, or a change of mode only. */
  #alreadyThere(task: Task): boolean {
    const line = this.#tools.manifest.get(task.path);
    if (!line?.seen || !sameContent(line, task.after)) return false;
    const there = this.#handles.statQuietly(task.path);
    return (
      there !== undefined && sameSeen(line.seen, there) && becomesExecutable(this.#tools, task, there) === undefined
    );
  }
}

/** What a change makes of the right to execute a file; undefined where that stays as it is. */
export function becomesExecutable(
  { executable }: Pick<StageTools, 'executable'>,
  { before, after }: Pick<Task, 'before' | 'after'>,
  there: Stat,
): boolean | undefined {
  const { isExecutable } = executable(there);
  const wanted = after?.mode === '100755';
  if (isExecutable === undefined || isExecutable === wanted) return undefined;
  return wanted === (before?.mode === '100755') ? undefined : wanted;
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
