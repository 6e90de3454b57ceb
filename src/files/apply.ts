import { isGitignore } from '../model/path-safety.ts';
import { Problem } from '../model/problem.ts';
import type { NotSynced, NotSyncedReason } from '../model/site.ts';
import { type Entry, type Oid, type SitePath, parentOf } from '../model/tree.ts';
import type { Stat } from '../model/world.ts';
import type { Applied, ApplyRequest } from '../sync/ports.ts';
import { errorCode } from './disk.ts';
import { type Folding, collisions, folded } from './folding.ts';
import { type Line, type Manifest, sameSeen, seenOf } from './manifest.ts';
import { type Swap, create, isStaged, remove, replace } from './replace.ts';
import type { Coming } from './room.ts';
import { giveAccess, newFolderAccess } from './access.ts';
import { Stage, type StageTools, type Task } from './stage.ts';
import { type Move, stagedNow } from './staging.ts';
import { Walk, nameOf } from './walk.ts';

export interface ApplyTools extends StageTools {
  readonly root: string;
  readonly now: () => number;
  /** Whether an untracked path is one that Mooring leaves alone. */
  readonly ignored: (path: SitePath) => boolean;
  /** Whether a folder holds nothing but what Mooring leaves alone. */
  readonly onlyIgnored: (folder: SitePath) => boolean;
  /** Whether the contents fit; throws where they do not. */
  readonly checkRoom: (coming: Coming, sizes: ApplyRequest['sizes']) => Promise<void>;
  /** The id of a file's present content. */
  readonly hash: (path: SitePath) => Promise<{ oid: Oid; stat: Stat } | undefined>;
  /** Which names are the same on this disk, given an open folder to try it in. */
  readonly folding: (staging: number) => Folding;
}

/**
 * Brings a list of changes into the folder. All new content is staged and synced first, so a full disk touches
 * nothing; then each path is swapped in by itself if it still is what the ledger says. What is busy is left alone, what
 * is not ours to write is refused: both are told, neither is an error.
 */
export async function apply(tools: ApplyTools, request: ApplyRequest): Promise<Applied> {
  const walk = new Walk(tools.fs, tools.root);
  const run = new ApplyRun(tools, request, walk);
  try {
    return await run.all();
  } catch (error) {
    throw fullDisk(error);
  } finally {
    walk.close();
  }
}

class ApplyRun {
  readonly #tools: ApplyTools;
  readonly #request: ApplyRequest;
  readonly #walk: Walk;
  readonly #stage: Stage;
  readonly #applied: SitePath[] = [];
  readonly #skipped: SitePath[] = [];
  readonly #refused: NotSynced[] = [];
  readonly #staying: NotSynced[] = [];
  readonly #letGo: SitePath[] = [];
  readonly #leftovers: Move[] = [];
  readonly #emptied = new Set<string>();
  readonly #touchedFolders = new Set<string>();
  /** Of refused paths, what the manifest said before. */
  readonly #linesBefore = new Map<SitePath, Line | undefined>();
  constructor(tools: ApplyTools, request: ApplyRequest, walk: Walk) {
    this.#tools = tools;
    this.#request = request;
    this.#walk = walk;
    this.#stage = new Stage(tools, request, walk, (task, reason) => this.#refuse(task, reason));
  }

  async all(): Promise<Applied> {
    const tasks = this.#request.changes.map((change): Task => ({ ...change, size: 0 }));
    const writes = this.#withoutRefused(tasks.filter((task) => task.after !== undefined));
    const removals = tasks.filter((task) => task.after === undefined);
    const { letGo = new Set() } = this.#request;
    const isObstacle = await this.#prepare(writes, removals).catch((error: unknown) => {
      // Nothing came of it: what would have been refused is what it was.
      for (const [path, line] of this.#linesBefore) this.#tools.manifest.set(path, line);
      throw error;
    });
    await this.#each(
      removals.filter(({ path }) => isObstacle(path)),
      (task) => this.#remove(task),
    );
    this.#removeEmptied();
    await this.#each(
      writes.filter(({ path }) => !this.#isRefused(path)),
      (task) => this.#write(task),
    );
    await this.#each(
      removals.filter(({ path }) => !isObstacle(path)),
      (task) => (letGo.has(task.path) ? this.#leaveIgnored(task) : this.#remove(task)),
    );
    this.#removeEmptied();
    await this.#syncFolders();
    this.#tools.staging.release(this.#walk, this.#leftovers);
    this.#tools.staging.settle();
    this.#tools.staging.tidy(this.#walk);
    return {
      ...{ applied: this.#applied, skipped: this.#skipped, refused: this.#refused },
      ...{ letGo: this.#letGo, staying: this.#staying },
    };
  }

  /** Everything before the first file moves. Tells which paths are in the way of others. */
  async #prepare(writes: readonly Task[], removals: readonly Task[]): Promise<(path: SitePath) => boolean> {
    await this.#tools.checkRoom(await this.#stage.coming(writes), this.#request.sizes);
    const folding = this.#refuseCollisions(writes, removals);
    const staged = writes.filter(({ path }) => !this.#isRefused(path));
    await this.#stage.write(staged);
    return obstacles(staged, folding);
  }

  /** Two names of the repository that are one file here: the later is named and not written. */
  #refuseCollisions(writes: readonly Task[], removals: readonly Task[]): Folding {
    const added = writes.filter(({ before }) => !before);
    if (added.length === 0) return { case: false, form: false };
    const { staging, manifest } = this.#tools;
    const folding = this.#tools.folding(staging.folderFor(this.#walk, '').fd);
    const going = new Set(removals.map(({ path }) => path));
    const rivals = collisions(
      folding,
      writtenPaths(manifest, going),
      added.map(({ path }) => path),
    );
    for (const task of added) {
      const rival = rivals.get(task.path);
      if (rival !== undefined) this.#refuse(task, { kind: 'collides', with: rival });
    }
    return folding;
  }

  #withoutRefused(tasks: Task[]): Task[] {
    return tasks.filter((task) => {
      const entry = task.after as Entry;
      const reason = this.#tools.refusal({ path: task.path, ...entry, size: 0 }) ?? this.#inTheWay(task);
      if (reason) this.#refuse(task, reason);
      return !reason;
    });
  }

  /** A file here that Mooring ignores is not its to overwrite, whatever the repository brings. */
  #inTheWay(task: Task): NotSyncedReason | undefined {
    const line = this.#tools.manifest.get(task.path);
    if (line ? !line.refused || line.was : task.before) return undefined;
    const there = this.#walk.statQuietly(task.path);
    if (there?.kind === 'link') return { kind: 'link' };
    return there && this.#tools.ignored(task.path) ? { kind: 'ignored-in-the-way' } : undefined;
  }

  #isRefused(path: SitePath): boolean {
    return this.#linesBefore.has(path);
  }

  #refuse(task: Task, reason: NotSyncedReason): void {
    this.#refused.push({ path: task.path, reason });
    if (!task.after) return;
    const line = this.#tools.manifest.get(task.path);
    const was = line?.refused ? line.was : task.before;
    this.#linesBefore.set(task.path, line);
    this.#tools.manifest.set(task.path, { ...task.after, refused: reason, ...(was ? { was } : {}) });
  }

  async #write(task: Task): Promise<void> {
    const { fs, manifest } = this.#tools;
    const after = task.after as Entry;
    const line = manifest.get(task.path);
    if (!task.move) {
      // Nothing was staged: the content is there already, only the ledger did not know.
      const seen = line?.seen;
      if (seen) manifest.set(task.path, { ...after, seen });
      this.#applied.push(task.path);
      return;
    }
    if (this.#blockedByFile(task.path)) return this.#skip(task);
    const folder = this.#walk.makeFolder(parentOf(task.path), (path, fd) => this.#madeFolder(path, fd));
    const there = fs.stat(folder, nameOf(task.path));
    if (there?.kind === 'link') {
      // Somebody's link is no file that will come to rest: asked again each second, it would never end.
      this.#leftovers.push(task.move);
      return this.#refuse(task, { kind: 'link' });
    }
    if (there?.kind === 'directory' && this.#tools.onlyIgnored(task.path)) {
      this.#leftovers.push(task.move);
      return this.#refuse(task, { kind: 'ignored-in-the-way' });
    }
    if (there && line?.refused && (there.kind !== 'file' || !(await this.#trusted(task, there, line)))) {
      // What came to stand in place of a refused version is not looked at: waiting for it to rest would never end.
      this.#leftovers.push(task.move);
      return this.#refuse(task, { kind: 'ignored-in-the-way' });
    }
    const swap = there ? await this.#swapIn(task, there, line) : this.#createIn(task, line);
    if (swap === 'was-live') return this.#quarantine(task, after);
    if (swap === 'busy') return this.#skip(task);
    const live = fs.stat(folder, nameOf(task.path));
    if (live && task.stagedStat && sameContent(live, task.stagedStat)) {
      manifest.set(task.path, { ...after, seen: seenOf(live, this.#tools.now()) });
    } else {
      // Written again since: known to differ from what we put there.
      manifest.set(task.path, {
        ...after,
        seen: { ...seenOf(task.stagedStat as Stat, this.#tools.now()), unsure: true },
      });
    }
    this.#touchedFolders.add(parentOf(task.path));
    this.#applied.push(task.path);
  }

  async #swapIn(task: Task, there: Stat, line: Line | undefined): Promise<Swap> {
    if (there.kind !== 'file') return 'busy';
    const before = await this.#trusted(task, there, line);
    if (!before || !task.move) return 'busy';
    if (before === 'same') {
      this.#leftovers.push(task.move);
      return 'done';
    }
    // Known only now, by its content: the journal has to know it before a crash, and when what was replaced is looked at.
    if (task.move.before?.seen !== before.seen) {
      task.move = { ...task.move, before };
      this.#tools.staging.announce([task.move]);
    }
    return replace(this.#tools.fs, this.#walk, task.move);
  }

  /**
   * The content and stat that the file may be replaced under: it is what the ledger says, by its stat or, where that is
   * unsure, by its content. `same`: it already has the new content.
   */
  async #trusted(task: Task, there: Stat, line: Line | undefined): Promise<Move['before'] | 'same'> {
    if (line?.seen && sameSeen(line.seen, there)) return { oid: line.oid, seen: line.seen };
    const now = await this.#tools.hash(task.path);
    if (!now) return undefined;
    if (now.oid === task.after?.oid) return 'same';
    const expected = task.before?.oid ?? (line?.refused ? undefined : line?.oid);
    const isOurs = now.oid === expected || (line?.refused !== undefined && now.oid === line.was?.oid);
    return isOurs ? { oid: now.oid, seen: seenOf(now.stat, this.#tools.now()) } : undefined;
  }

  #createIn(task: Task, line: Line | undefined): Swap {
    // Seen there once and gone now: somebody removed it, and that is an edit.
    if (line?.seen || !task.move) return 'busy';
    const swap = create(this.#tools.fs, this.#walk, task.move);
    this.#leftovers.push(task.move);
    return swap;
  }

  async #remove(task: Task): Promise<void> {
    const { fs, manifest, staging } = this.#tools;
    const line = manifest.get(task.path);
    const was = line?.refused?.kind === 'conflict' ? undefined : line?.was;
    // What we put there before a version was refused goes with it, or it would come back as a new file.
    if (line?.refused && (!was || (await this.#tools.hash(task.path))?.oid !== was.oid)) {
      manifest.set(task.path, undefined);
      this.#applied.push(task.path);
      return;
    }
    const there = this.#walk.stat(task.path);
    if (there && there.kind !== 'file' && there.kind !== 'link') return this.#skip(task);
    if (there?.kind === 'file') {
      const before = await this.#trusted(task, there, line);
      if (!before || before === 'same') return this.#skip(task);
      const folder = staging.folderFor(this.#walk, parentOf(task.path));
      const move = { folder: folder.path, name: staging.freshName(), path: task.path, before };
      staging.announce([move]);
      if (remove(fs, this.#walk, move) === 'busy') {
        this.#leaveOrRelease(move);
        return this.#skip(task);
      }
    }
    manifest.set(task.path, undefined);
    this.#touchedFolders.add(parentOf(task.path));
    this.#emptied.add(parentOf(task.path));
    this.#applied.push(task.path);
  }

  /**
   * The file stays where it is, and nobody's edit of it is touched. Only where the rules of the folder as it is by now
   * leave it alone: otherwise the next look would commit it again.
   */
  async #leaveIgnored(task: Task): Promise<void> {
    const { manifest, ignored } = this.#tools;
    if (!this.#walk.stat(task.path)) return this.#remove(task);
    if (ignored(task.path)) {
      manifest.set(task.path, undefined);
      this.#letGo.push(task.path);
      this.#applied.push(task.path);
      return;
    }
    const arrived = new Set([...this.#applied, ...this.#refused.map(({ path }) => path)]);
    const rulesToCome = this.#request.changes.some(
      ({ path, after }) => after && isGitignore(path) && !arrived.has(path),
    );
    if (rulesToCome) return this.#skip(task);
    return this.#remove(task);
  }

  /** Our own content, which somebody may have opened in the instant it was live: looked at again like a replaced file. */
  #quarantine(task: Task, after: Entry): void {
    const { staging, now } = this.#tools;
    const { folder, name, path } = task.move as Move;
    const before = { oid: after.oid, seen: seenOf(task.stagedStat as Stat, now()) };
    staging.announce([{ folder, name, path, before }]);
    this.#skipped.push(task.path);
  }

  #skip(task: Task): void {
    this.#skipped.push(task.path);
    if (task.move) this.#leaveOrRelease(task.move);
  }

  /** Our own content can go; anything else that ended up under the staging name is somebody's edit and stays. */
  #leaveOrRelease(move: Move): void {
    const now = stagedNow(this.#tools.fs, this.#walk, move);
    if (!now || isStaged(now.stat, move)) this.#leftovers.push(move);
  }

  #blockedByFile(path: SitePath): boolean {
    for (let folder = parentOf(path); folder !== ''; folder = parentOf(folder)) {
      const there = this.#walk.statQuietly(folder as SitePath);
      if (there) return there.kind !== 'directory';
    }
    return false;
  }

  #madeFolder(path: string, fd: number): void {
    const { fs, users, newEntries } = this.#tools;
    const around = this.#walk.folder(parentOf(path));
    const folder = fs.statOpen(around);
    const attributes = fs.attributes?.(around, Buffer.from('.')) ?? new Map();
    giveAccess({ fs, users }, fd, newFolderAccess(folder, attributes, newEntries()), { folder, replaces: false });
    this.#touchedFolders.add(parentOf(path));
  }

  /** Folders go with their last file, as in git; one that holds anything else stays. */
  #removeEmptied(): void {
    const deepestFirst = [...this.#emptied].sort((a, b) => b.length - a.length);
    for (const start of deepestFirst) {
      for (let folder = start; folder !== ''; folder = parentOf(folder)) {
        const name = nameOf(folder);
        this.#walk.forget(folder);
        try {
          this.#tools.fs.removeDirectory(this.#walk.folder(parentOf(folder)), name);
        } catch {
          break;
        }
        this.#touchedFolders.delete(folder);
        // Or a power cut brings the folder back, with the file in it, and that would look like an edit.
        this.#touchedFolders.add(parentOf(folder));
      }
    }
    this.#emptied.clear();
  }

  async #syncFolders(): Promise<void> {
    for (const folder of this.#touchedFolders) {
      try {
        await this.#tools.fs.fsync(this.#walk.folder(folder));
      } catch (error) {
        if (errorCode(error) !== 'ENOENT') throw error;
      }
    }
  }

  async #each(tasks: readonly Task[], act: (task: Task) => Promise<void>): Promise<void> {
    for (const task of tasks) {
      try {
        await act(task);
      } catch (error) {
        if (!['EACCES', 'EPERM', 'EROFS', 'ETXTBSY', 'EBUSY', 'ENAMETOOLONG'].includes(errorCode(error)))
          throw fullDisk(error);
        // One file we may not write must not keep the others from arriving.
        if (!task.after) {
          // Refusing a removal would bring the file back as a new one: it stays what it is until it can go.
          this.#skip(task);
          this.#staying.push({ path: task.path, reason: { kind: 'unremovable' } });
          continue;
        }
        if (task.move) this.#leaveOrRelease(task.move);
        this.#refuse(task, { kind: errorCode(error) === 'ENAMETOOLONG' ? 'bad-name' : 'unwritable' });
      }
    }
  }
}

/**
 * Tells whether a path lies in the way of one to be written: a file where a folder must be, or the reverse, or, where
 * names fold together, the same name in another spelling.
 */
function obstacles(writes: readonly Task[], folding: Folding): (path: SitePath) => boolean {
  const key = (path: string): string => (folding.case || folding.form ? folded(folding, path) : path);
  const files = new Set(writes.map(({ path }) => key(path)));
  const folders = new Set(writes.flatMap(({ path }) => ancestors(path)).map(key));
  return (path) =>
    files.has(key(path)) || folders.has(key(path)) || ancestors(path).some((folder) => files.has(key(folder)));
}

function* writtenPaths(manifest: Manifest, without: ReadonlySet<SitePath>): Generator<SitePath> {
  for (const [path, line] of manifest.entries()) if (!line.refused && !without.has(path)) yield path;
}

function ancestors(path: SitePath): string[] {
  const all: string[] = [];
  for (let folder = parentOf(path); folder !== ''; folder = parentOf(folder)) all.push(folder);
  return all;
}

function sameContent(live: Stat, staged: Stat): boolean {
  return (
    live.ino === staged.ino && live.dev === staged.dev && live.size === staged.size && live.mtimeNs === staged.mtimeNs
  );
}

function fullDisk(error: unknown): unknown {
  return ['ENOSPC', 'EDQUOT'].includes(errorCode(error)) ? new Problem('disk-full', {}, { cause: error }) : error;
}
