import { removeRung } from '../model/disk.ts';
import { isGitignore } from '../model/path-safety.ts';
import { Problem } from '../model/problem.ts';
import type { NotSynced, NotSyncedReason } from '../model/site.ts';
import { staysInside, targetText } from '../model/link.ts';
import { type Entry, type SitePath, parentOf, sameContent as isSameContent } from '../model/tree.ts';
import type { Stat } from '../model/world.ts';
import type { Applied, ApplyRequest } from '../sync/ports.ts';
import { PathErrors, isAbsent, isUnsupported, unlessErrno } from './errno.ts';
import { type Folding, collisions, folded } from './folding.ts';
import { type Line, sameSeen, seenOf } from './line.ts';
import { type Manifest } from './manifest.ts';
import { type Hashed, entryOf } from './read.ts';
import { type Ways, create, isStaged, remove, replace } from './replace.ts';
import { type Swap, Unfinished } from './swap.ts';
import { isOpenDatabase } from './open-database.ts';
import type { Coming } from './disk-space.ts';
import { giveAccess, newFolderAccess } from './access.ts';
import { Stage, type StageTools, type Task, becomesExecutable } from './stage.ts';
import { type Move, stagedNow } from './staging.ts';
import { DirectoryHandles, nameOf } from './directory-handles.ts';

export interface ApplyTools extends StageTools {
  readonly root: string;
  readonly now: () => number;
  /** Whether an untracked path is one that Mooring leaves alone. Throws, as all of these do, what the system throws. */
  readonly ignored: (path: SitePath) => boolean;
  /** Whether a folder holds nothing but what Mooring leaves alone. */
  readonly onlyIgnored: (folder: SitePath) => boolean;
  /** Whether the contents fit; throws where they do not. */
  readonly checkDiskSpace: (coming: Coming, sizes: ApplyRequest['sizes']) => Promise<void>;
  /** The content that an earlier apply put at a path whose folder could not be synced. */
  readonly notDurable: (path: SitePath) => Entry | undefined;
  /** What the repository would get of a path now. */
  readonly hash: (path: SitePath) => Promise<Hashed | undefined>;
  /** Whether symbolic links that stay inside the site are synced. */
  readonly links: () => boolean;
  /** Whether files are replaced on a disk that cannot capture a save in the same instant. */
  readonly overwrites: () => boolean;
}

/**
 * Brings a list of changes into the folder. All new content is staged and synced first, so a full disk touches
 * nothing; then each path is swapped in by itself if it still is what the ledger says. What is busy is left alone, what
 * is not ours to write is refused: both are told, neither is an error. So is a path for which the disk fails. Throws
 * `folder-*`, `disk-full` and `out-of-resources` where more than single paths are concerned.
 */
export async function apply(tools: ApplyTools, request: ApplyRequest): Promise<Applied> {
  const handles = new DirectoryHandles(tools.fs, tools.root);
  const run = new ApplyRun(tools, request, handles);
  try {
    return await run.all();
  } finally {
    handles.close();
  }
}

class ApplyRun {
  readonly #tools: ApplyTools;
  readonly #request: ApplyRequest;
  readonly #handles: DirectoryHandles;
  readonly #stage: Stage;
  readonly #errors: PathErrors;
  readonly #applied = new Set<SitePath>();
  readonly #skipped: SitePath[] = [];
  readonly #refused: NotSynced[] = [];
  readonly #staying: NotSynced[] = [];
  readonly #unsynced: Applied['notDurable'][number][] = [];
  readonly #letGo: SitePath[] = [];
  readonly #leftovers: Move[] = [];
  /** Moves between whose steps the disk failed: the next recovery undoes them. */
  readonly #open: Move[] = [];
  /** The paths by which a folder lost a file, and those by which it was touched at all. */
  readonly #emptied: PathsByFolder = new Map();
  readonly #touchedFolders: PathsByFolder = new Map();
  readonly #isRefused = new Set<SitePath>();
  /** What the manifest said before of the paths that it says something else of now. */
  readonly #linesBefore = new Map<SitePath, Line | undefined>();

  constructor(tools: ApplyTools, request: ApplyRequest, handles: DirectoryHandles) {
    this.#tools = tools;
    this.#request = request;
    this.#handles = handles;
    this.#errors = new PathErrors(
      (errno, cause) => new Problem('folder-unwritable', { folder: tools.root, errno }, { cause }),
    );
    this.#stage = new Stage(tools, request, handles, (task, reason) => this.#refuse(task, reason), this.#errors);
  }

  async all(): Promise<Applied> {
    try {
      return await this.#everything();
    } catch (error) {
      // The caller never learns of these refusals, so the manifest must not keep them.
      for (const path of this.#isRefused) this.#tools.manifest.set(path, this.#linesBefore.get(path));
      throw error;
    }
  }

  async #everything(): Promise<Applied> {
    const tasks = this.#request.changes.map((change): Task => ({ ...change, size: 0 }));
    const writes = this.#withoutRefused(tasks.filter((task) => task.after !== undefined));
    const removals = tasks.filter((task) => task.after === undefined);
    const { letGo = new Set() } = this.#request;
    const isObstacle = await this.#prepare(writes, removals);
    await this.#each(
      removals.filter(({ path }) => isObstacle(path)),
      (task) => this.#remove(task),
    );
    this.#removeEmptied();
    await this.#each(
      writes.filter(({ path }) => !this.#isRefused.has(path)),
      (task) => this.#write(task),
    );
    await this.#each(
      removals.filter(({ path }) => !isObstacle(path)),
      (task) => (letGo.has(task.path) ? this.#leaveIgnored(task) : this.#remove(task)),
    );
    this.#removeEmptied();
    await this.#syncFolders();
    this.#tools.staging.release(this.#handles, this.#leftovers);
    this.#tools.staging.makeFinal(this.#open);
    this.#tools.staging.tidy(this.#handles);
    return {
      ...{ applied: [...this.#applied], skipped: this.#skipped, refused: this.#refused },
      ...{ letGo: this.#letGo, staying: this.#staying, notDurable: this.#unsynced },
    };
  }

  /** Everything before the first file moves. Tells which paths are in the way of others. */
  async #prepare(writes: readonly Task[], removals: readonly Task[]): Promise<(path: SitePath) => boolean> {
    await this.#tools.checkDiskSpace(await this.#stage.coming(writes), this.#request.sizes);
    const folding = await this.#refuseCollisions(writes, removals);
    await this.#refuseUncaptured(writes.filter(({ path }) => !this.#isRefused.has(path)));
    const staged = writes.filter(({ path }) => !this.#isRefused.has(path));
    await this.#stage.write(staged);
    return obstacles(staged, folding);
  }

  /** Two names of the repository that are one file here: the later is named and not written. */
  async #refuseCollisions(writes: readonly Task[], removals: readonly Task[]): Promise<Folding> {
    const added = writes.filter(({ before }) => !before);
    if (added.length === 0) return { case: false, form: false };
    const { staging, manifest } = this.#tools;
    const { folding } = (await staging.placeFor(this.#handles, '')).abilities;
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

  /** Where a disk cannot capture what it replaces, files that are there stay unless somebody chose otherwise. */
  async #refuseUncaptured(writes: readonly Task[]): Promise<void> {
    const { staging, overwrites } = this.#tools;
    if (overwrites()) return;
    for (const task of writes) {
      const folder = this.#folderOnTheWay(task.path);
      const there = this.#handles.statQuietly(task.path);
      const isOpen = folder !== undefined && this.#isSynced(task.path, there);
      if (!isOpen || (await staging.captures(this.#handles, folder))) continue;
      const isSame = isSameContent(entryOf(await this.#tools.hash(task.path)), task.after);
      if (!isSame) this.#refuse(task, { kind: 'no-capture' });
    }
  }

  /** Undefined where it cannot be told: staging meets the same error, and tells it. */
  #folderOnTheWay(path: SitePath): string | undefined {
    return unlessErrno(() => this.#handles.nearestFolder(path));
  }

  async #ways(folder: string): Promise<Ways> {
    const { abilities } = await this.#tools.staging.placeFor(this.#handles, folder);
    return { ...abilities, overwrites: this.#tools.overwrites() };
  }

  #withoutRefused(tasks: Task[]): Task[] {
    return tasks.filter((task) => {
      const reason = this.#reasonAgainst(task);
      if (reason) this.#refuse(task, reason);
      return !reason;
    });
  }

  #reasonAgainst(task: Task): NotSyncedReason | undefined {
    try {
      // Asked path by path, because rules that cannot be read concern this path alone.
      this.#tools.large?.isLarge(task.path);
      return this.#tools.refusal({ path: task.path, ...(task.after as Entry), size: 0 }) ?? this.#inTheWay(task);
    } catch (error) {
      return this.#errors.reason('unwritable', error);
    }
  }

  /** A file here that Mooring ignores is not its to overwrite, whatever the repository brings. */
  #inTheWay(task: Task): NotSyncedReason | undefined {
    const line = this.#tools.manifest.get(task.path);
    if (line ? !line.refused || line.was : task.before) return undefined;
    const there = this.#handles.statQuietly(task.path);
    if (there?.kind === 'link' && !this.#isSynced(task.path, there)) return this.#ofLink();
    return there && this.#tools.ignored(task.path) ? { kind: 'ignored-in-the-way' } : undefined;
  }

  /** A file, or a link that is synced like one. */
  #isSynced(path: SitePath, there: Stat | undefined): there is Stat {
    if (there?.kind !== 'link') return there?.kind === 'file';
    if (!this.#tools.links()) return false;
    const folder = this.#handles.folderIfThere(parentOf(path));
    const target = unlessErrno(() => folder !== undefined && this.#tools.fs.readLink(folder, nameOf(path)));
    return target !== undefined && target !== false && staysInside(path, targetText(target));
  }

  #ofLink(): NotSyncedReason {
    return { kind: this.#tools.links() ? 'link-outside' : 'link' };
  }

  #refuse(task: Task, reason: NotSyncedReason): void {
    this.#refused.push({ path: task.path, reason });
    if (!task.after) return;
    const line = this.#tools.manifest.get(task.path);
    const was = line?.refused ? line.was : task.before;
    this.#isRefused.add(task.path);
    this.#note(task.path, { ...task.after, refused: reason, ...(was ? { was } : {}) });
  }

  #note(path: SitePath, line: Line | undefined): void {
    const { manifest } = this.#tools;
    if (!this.#linesBefore.has(path)) this.#linesBefore.set(path, manifest.get(path));
    manifest.set(path, line);
  }

  async #write(task: Task): Promise<void> {
    const { fs, manifest } = this.#tools;
    const after = task.after as Entry;
    const line = manifest.get(task.path);
    if (!task.move) {
      // Nothing was staged: the content is there already, only the ledger did not know.
      const { seen, isExecutable } = line ?? {};
      if (seen) this.#note(task.path, { ...after, seen, ...(isExecutable === undefined ? {} : { isExecutable }) });
      this.#applied.add(task.path);
      return;
    }
    if (this.#blockedByFile(task.path)) return this.#skip(task);
    const folder = this.#handles.makeFolder(parentOf(task.path), (path, fd) => this.#madeFolder(path, fd, task));
    const there = fs.stat(folder, nameOf(task.path));
    if (there?.kind === 'link' && !this.#isSynced(task.path, there)) {
      // Somebody's link is no file that will come to rest: asked again each second, it would never end.
      this.#leftovers.push(task.move);
      return this.#refuse(task, this.#ofLink());
    }
    if (there?.kind === 'directory' && this.#tools.onlyIgnored(task.path)) {
      this.#leftovers.push(task.move);
      return this.#refuse(task, { kind: 'ignored-in-the-way' });
    }
    const isFile = this.#isSynced(task.path, there);
    if (there && line?.refused && (!isFile || !(await this.#trusted(task, there, line)))) {
      // What came to stand in place of a refused version is not looked at: waiting for it to rest would never end.
      this.#leftovers.push(task.move);
      return this.#refuse(task, { kind: 'ignored-in-the-way' });
    }
    const swap = there ? await this.#swapIn(task, there, line) : await this.#createIn(task, line);
    if (swap === 'was-live') return this.#quarantine(task, after);
    if (swap === 'busy') return this.#skip(task);
    const live = unlessErrno(() => fs.stat(folder, nameOf(task.path)));
    if (live && task.stagedStat && sameContent(live, task.stagedStat)) {
      this.#note(task.path, { ...after, seen: seenOf(live, this.#tools.now()), ...this.#tools.executable(live) });
    } else {
      // Written again since, as far as can be seen: it is read at the next scan.
      this.#note(task.path, {
        ...after,
        seen: { ...seenOf(task.stagedStat as Stat, this.#tools.now()), unsure: true },
        ...this.#tools.executable(task.stagedStat as Stat),
      });
    }
    addTo(this.#touchedFolders, parentOf(task.path), [task.path]);
    this.#applied.add(task.path);
  }

  async #swapIn(task: Task, there: Stat, line: Line | undefined): Promise<Swap> {
    if (!this.#isSynced(task.path, there)) return 'busy';
    if (this.#isOpenDatabase(task)) return 'busy';
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
    return replace(this.#tools.fs, this.#handles, task.move, await this.#ways(parentOf(task.path)));
  }

  /** Named, and tried again by each full scan: a program may keep it open for days. */
  #isOpenDatabase({ path }: Task): boolean {
    const sizeOf = (beside: SitePath): number | undefined => this.#handles.statQuietly(beside)?.size;
    if (!isOpenDatabase(path, sizeOf)) return false;
    this.#staying.push({ path, reason: { kind: 'open-database' } });
    return true;
  }

  /**
   * The content and stat that the file may be replaced under: it is what the ledger says, by its stat or, where that is
   * unsure, by its content. `same`: it already has the new content.
   */
  async #trusted(task: Task, there: Stat, line: Line | undefined): Promise<Move['before'] | 'same'> {
    if (line?.seen && sameSeen(line.seen, there)) return { oid: line.oid, seen: line.seen };
    const now = await this.#tools.hash(task.path);
    const entry = entryOf(now);
    if (!now || !entry) return undefined;
    if (isSameContent(entry, task.after) && becomesExecutable(this.#tools, task, there) === undefined) return 'same';
    const expected = task.before ?? (line?.refused ? undefined : line);
    const ours = [expected, line?.refused && line.was, this.#tools.notDurable(task.path)];
    const isOurs = ours.some((one) => one && isSameContent(one, entry));
    return isOurs ? { oid: now.oid, seen: seenOf(now.stat, this.#tools.now()) } : undefined;
  }

  async #createIn(task: Task, line: Line | undefined): Promise<Swap> {
    // Seen there once and gone now: somebody removed it, and that is an edit.
    if (line?.seen || !task.move) return 'busy';
    const ways = await this.#ways(parentOf(task.path));
    const announce = (move: Move): void => this.#tools.staging.announce([move]);
    const swap = await create(this.#tools.fs, this.#handles, task.move, { ways, announce });
    this.#leftovers.push(task.move);
    return swap;
  }

  async #remove(task: Task): Promise<void> {
    const { fs, manifest, staging } = this.#tools;
    const line = manifest.get(task.path);
    const folder = parentOf(task.path);
    const was = line?.refused?.kind === 'conflict' ? undefined : line?.was;
    // What we put there before a version was refused goes with it, or it would come back as a new file.
    if (line?.refused && (!was || !isSameContent(entryOf(await this.#tools.hash(task.path)), was))) {
      this.#note(task.path, undefined);
      this.#applied.add(task.path);
      return;
    }
    const there = this.#handles.stat(task.path);
    if (there && there.kind !== 'file' && there.kind !== 'link') return this.#skip(task);
    if (this.#isSynced(task.path, there)) {
      const before = await this.#trusted(task, there, line);
      if (!before || before === 'same' || this.#isOpenDatabase(task)) return this.#skip(task);
      const aside = await staging.placeFor(this.#handles, folder);
      if (removeRung(aside.abilities) === 'rename' && !this.#tools.overwrites()) {
        this.#staying.push({ path: task.path, reason: { kind: 'no-capture' } });
        return this.#skip(task);
      }
      task.move = { folder: aside.path, name: staging.freshName(), path: task.path, before };
      staging.announce([task.move]);
      if (remove(fs, this.#handles, task.move) === 'busy') return this.#skip(task);
    }
    this.#note(task.path, undefined);
    addTo(this.#touchedFolders, folder, [task.path]);
    addTo(this.#emptied, folder, [task.path]);
    this.#applied.add(task.path);
  }

  /**
   * The file stays where it is, and nobody's edit of it is touched. Only where the rules of the folder as it is by now
   * leave it alone: otherwise the next scan would commit it again.
   */
  async #leaveIgnored(task: Task): Promise<void> {
    if (!this.#handles.stat(task.path)) return this.#remove(task);
    if (this.#tools.ignored(task.path)) {
      this.#note(task.path, undefined);
      this.#letGo.push(task.path);
      this.#applied.add(task.path);
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

  /**
   * Our own content can go; anything else that ended up under the staging name is somebody's edit and stays, and so does
   * what cannot be told from one.
   */
  #leaveOrRelease(move: Move): void {
    const isOurs = unlessErrno(() => {
      const now = stagedNow(this.#tools.fs, this.#handles, move);
      return !now || isStaged(now.stat, move);
    });
    if (isOurs) this.#leftovers.push(move);
  }

  #blockedByFile(path: SitePath): boolean {
    for (let folder = parentOf(path); folder !== ''; folder = parentOf(folder)) {
      const there = this.#handles.stat(folder as SitePath);
      if (there) return there.kind !== 'directory';
    }
    return false;
  }

  #madeFolder(path: string, fd: number, { path: by }: Task): void {
    const { fs, users, newEntries } = this.#tools;
    const around = this.#handles.folder(parentOf(path));
    const folder = fs.statOpen(around);
    const attributes = fs.attributes?.(around, Buffer.from('.')) ?? new Map();
    const hasModes = this.#tools.staging.known(this.#handles, parentOf(path))?.chmod ?? true;
    const wanted = newFolderAccess(folder, attributes, newEntries());
    giveAccess({ fs, users }, fd, wanted, { folder, replaces: false, hasModes });
    addTo(this.#touchedFolders, parentOf(path), [by]);
  }

  /** Folders go with their last file, as in git; one that holds anything else stays. */
  #removeEmptied(): void {
    const deepestFirst = [...this.#emptied].sort(([a], [b]) => b.length - a.length);
    for (const [start, paths] of deepestFirst) {
      for (let folder = start; folder !== ''; folder = parentOf(folder)) {
        const name = nameOf(folder);
        this.#handles.forget(folder);
        try {
          this.#tools.fs.removeDirectory(this.#handles.folder(parentOf(folder)), name);
        } catch {
          break;
        }
        // Or a power cut brings the folder back, with the file in it, and that would look like an edit.
        addTo(this.#touchedFolders, parentOf(folder), [...paths, ...(this.#touchedFolders.get(folder) ?? [])]);
        this.#touchedFolders.delete(folder);
      }
    }
    this.#emptied.clear();
  }

  async #syncFolders(): Promise<void> {
    for (const [folder, paths] of this.#touchedFolders) {
      try {
        await this.#tools.fs.fsync(this.#handles.folder(folder));
      } catch (error) {
        // Many network disks sync no folders: there it is the server that keeps names.
        if (!isAbsent(error) && !isUnsupported(error)) this.#notDurable(paths, error);
      }
    }
  }

  /** A power cut may bring back what these paths were before, and that would look like an edit: they have not arrived. */
  #notDurable(paths: ReadonlySet<SitePath>, error: unknown): void {
    for (const path of paths) {
      if (!this.#applied.delete(path)) continue;
      const there = this.#tools.manifest.get(path);
      const reason = this.#errors.reason(there ? 'unwritable' : 'unremovable', error);
      this.#note(path, this.#linesBefore.get(path));
      this.#skipped.push(path);
      this.#staying.push({ path, reason });
      this.#unsynced.push({ path, reason, ...(there ? { there: { mode: there.mode, oid: there.oid } } : {}) });
    }
  }

  /** One file for which the disk fails must not keep the others from arriving. */
  async #each(tasks: readonly Task[], act: (task: Task) => Promise<void>): Promise<void> {
    for (const task of tasks) {
      try {
        await act(task);
      } catch (error) {
        this.#failed(task, error);
      }
    }
  }

  #failed(task: Task, error: unknown): void {
    const isOpen = error instanceof Unfinished;
    const reason = this.#errors.reason(task.after ? 'unwritable' : 'unremovable', isOpen ? error.cause : error);
    if (task.after && !isOpen) {
      if (task.move) this.#leaveOrRelease(task.move);
      return this.#refuse(task, reason);
    }
    // A refused removal would bring the file back as a new one, so it stays what it is until it can go. What is at the
    // name of a move that stopped half-way is found out by the next scan.
    this.#staying.push({ path: task.path, reason });
    if (!isOpen) return this.#skip(task);
    this.#skipped.push(task.path);
    if (task.move) this.#open.push(task.move);
  }
}

type PathsByFolder = Map<string, Set<SitePath>>;

function addTo(map: PathsByFolder, folder: string, paths: readonly SitePath[]): void {
  const known = map.get(folder) ?? new Set();
  for (const path of paths) known.add(path);
  map.set(folder, known);
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
