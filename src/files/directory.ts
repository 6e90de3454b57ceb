import type { DiskFacts } from '../model/disk.ts';
import { Problem } from '../model/problem.ts';
import type { NotSynced, NotSyncedReason, SiteLimits, SiteSettings } from '../model/site.ts';
import {
  type Change,
  type Entry,
  type Mode,
  type Oid,
  type SitePath,
  displayPath,
  isLink,
  pathFromText,
  sameContent,
} from '../model/tree.ts';
import type { Clock, Fs, Random, Stat } from '../model/world.ts';
import type {
  Applied,
  Bringing,
  Burst,
  Directory,
  ScanReport,
  KeptMode,
  LargeContents,
  LateWrite,
  LeftByRules,
  OpenFile,
  Repository,
  SurveyedFile,
  PendingFile,
  TreeFile,
} from '../sync/ports.ts';
import type { NewEntries } from './access.ts';
import { apply } from './apply.ts';
import { Contents } from './contents.ts';
import { PathErrors, errnoOf, pathErrno, unlessErrno } from './errno.ts';
import { type Folding, collisions, foldingSeen } from './folding.ts';
import { ignoredBy } from './ignore.ts';
import { PathAttributes } from './path-attributes.ts';
import { lateWrites } from './late.ts';
import { ExcludedPaths } from './excluded-paths.ts';
import { type Line, type Seen, sameInode, seenOf } from './line.ts';
import { Manifest } from './manifest.ts';
import { asPointer, standIns } from './pointers.ts';
import { Debouncer } from './debouncer.ts';
import { type Form, type Reading, entryOf } from './read.ts';
import { databaseOf } from './open-database.ts';
import { PassedOver } from './passed-over.ts';
import { recoverMoves } from './recovery.ts';
import { type Coming, checkDiskSpace, freeAt } from './disk-space.ts';
import { checkRoot, rootProblem } from './root.ts';
import { RulesVersion } from './rules-version.ts';
import { type ScanRules, type ScanResult, scanPaths } from './scan.ts';
import type { Scanner } from './scanner.ts';
import { Staging } from './staging.ts';
import { type Users, systemUsers } from './users.ts';
import { DirectoryHandles } from './directory-handles.ts';

export interface DirectoryOptions {
  readonly fs: Fs;
  readonly clock: Clock;
  readonly random: Random;
  readonly scanner: Scanner;
  /** The system's, unless a test has its own. */
  readonly users?: Users;
  /** Told of attributes of a replaced file that could not be carried over. */
  readonly lostAttributes?: (path: SitePath, names: readonly string[]) => void;
  /** Absolute path of the site's folder. */
  readonly root: string;
  /** Where manifest and journal lie: outside the site. */
  readonly stateDir: string;
  /** What the ledger's commits hold. */
  readonly repository: Pick<Repository, 'blobs' | 'sizes' | 'attributesAbove'>;
  /** Absent: pointers are refused by name. */
  readonly large?: LargeContents;
  /** Asked anew at each use: settings change while the daemon runs. */
  readonly settings: () => DirectorySettings;
}

interface DirectorySettings {
  readonly ignore: readonly string[];
  readonly allow: readonly string[];
  readonly builtInRulesOff?: readonly string[];
  readonly quietMs: number;
  readonly quietMaxMs: number;
  readonly limits: SiteLimits;
  readonly lfs?: true;
  readonly newEntries?: SiteSettings['newEntries'];
  readonly replacesWithoutCapture?: true;
  readonly executables?: true;
  readonly links?: true;
}

/** What the watcher reports: only a hint, the look decides. */
export interface Touchable {
  /** Reads what is known of the folder. Without this the first use does, and everything else waits for it. */
  load(): Promise<void>;
  /** A path below the root, absolute, as text. */
  touched(path: string): void;
  /** Too many to name, or events may have been lost: look at everything next time. */
  touchedAll(): void;
  /** Whether nothing below this folder, given as an absolute path, can ever be of interest: it is ignored as a whole. */
  passesOver(folder: string): boolean;
  /** What is ignored may have changed. */
  forgetPassedOver(): void;
  /** How long the last look at everything took, in ms; undefined until there was one. */
  readonly scanMs: number | undefined;
}

/** So many files that are gone at once are no single removals. */
const manyGone = 20;

/** From so many touched paths on, a look at everything is cheaper. */
const manyPaths = 512;

export function openDirectory(options: DirectoryOptions): Directory & Touchable {
  return new SiteDirectory(options);
}

class SiteDirectory implements Directory, Touchable {
  readonly #o: DirectoryOptions;
  readonly #manifestFile: string;
  readonly #manifest: Manifest;
  readonly #staging: Staging;
  readonly #debouncer: Debouncer;
  readonly #attributes: PathAttributes;
  readonly #excluded: ExcludedPaths;
  readonly #contents: Contents;
  readonly #users: Users;
  readonly #rulesVersion: RulesVersion;
  readonly #passedOver: PassedOver;
  readonly #touched = new Set<SitePath>();
  /** Could not be removed or replaced when it was last tried. */
  readonly #staying = new Set<SitePath>();
  /** Applied, but their folders could not be synced: looks pass over these paths until they can be. */
  #notDurable: ReadonlyMap<SitePath, Applied['notDurable'][number]> = new Map();
  /** Contents that could not be read when that was last tried. */
  readonly #unread = new Map<SitePath, NotSyncedReason>();
  #errors: PathErrors;
  /** Found by the last look; until they are recorded, the next look asks again. */
  #found: readonly SitePath[] = [];
  #all = true;

  constructor(options: DirectoryOptions) {
    this.#o = options;
    this.#users = options.users ?? systemUsers(options.clock);
    this.#manifestFile = `${options.stateDir}/manifest.jsonl`;
    this.#manifest = new Manifest(this.#manifestFile);
    this.#staging = new Staging(options);
    this.#rulesVersion = new RulesVersion(`${options.stateDir}/rules.json`);
    this.#passedOver = new PassedOver({
      ...{ fs: options.fs, root: options.root, rules: () => this.#rules() },
      tracked: () => this.#manifest.under(''),
    });
    this.#debouncer = new Debouncer(options.clock, options.settings);
    const isOn = (): boolean => options.large !== undefined && options.settings().lfs === true;
    this.#attributes = new PathAttributes({
      ...{ fs: options.fs, root: options.root, isOn },
      above: (commit) => options.repository.attributesAbove(commit),
      commit: () => this.#manifest.commit,
    });
    this.#excluded = new ExcludedPaths({
      manifest: this.#manifest,
      settings: options.settings,
      folds: () => this.#folds(),
      holds: (path, oid) => this.#holds(path, oid),
      captures: () => this.#captures(),
      isLarge: (path) => this.#attributes.isLarge(path),
    });
    this.#contents = new Contents({
      ...{ fs: options.fs, root: options.root, large: options.large },
      ...{ manifest: this.#manifest, attributes: this.#attributes, links: () => this.#syncsLinks() },
      ...{ blobs: options.repository.blobs, sizes: options.repository.sizes },
    });
    this.#errors = this.#readErrors();
  }

  #readErrors(): PathErrors {
    const { root } = this.#o;
    return new PathErrors((errno, cause) => new Problem('folder-unreadable', { folder: root, errno }, { cause }));
  }

  get disks(): readonly DiskFacts[] {
    return this.#staging.disks;
  }

  tracked(): number {
    return this.#manifest.size;
  }

  load(): Promise<void> {
    return this.#manifest.load();
  }

  touched(path: string): void {
    if (path === this.#o.root) return;
    const below = path.startsWith(`${this.#o.root}/`) ? path.slice(this.#o.root.length + 1) : '';
    if (below === '' || this.#touched.size > 4 * manyPaths) this.#all = true;
    else {
      const path = pathFromText(below);
      this.#touched.add(path);
      this.#debouncer.noticed(path);
      // Whether a database may be committed changes with the files beside it.
      const database = databaseOf(path);
      if (database !== undefined) this.#touched.add(database);
    }
  }

  touchedAll(): void {
    this.#all = true;
  }

  passesOver(folder: string): boolean {
    if (!folder.startsWith(`${this.#o.root}/`)) return false;
    try {
      return this.#passedOver.has(pathFromText(folder.slice(this.#o.root.length + 1)));
    } catch (error) {
      if (error instanceof Problem) return false;
      throw error;
    }
  }

  forgetPassedOver(): void {
    this.#passedOver.forget();
  }

  #scanMs: number | undefined;

  get scanMs(): number | undefined {
    return this.#scanMs;
  }

  async check(emptied: 'not-emptied' | 'may-be-empty' = 'not-emptied'): ReturnType<Directory['check']> {
    return checkRoot(this.#o.fs, this.#o.root, () => emptied === 'not-emptied' && this.#seenAtLeast(2));
  }

  async forget(): Promise<void> {
    for (const [path, { seen: _seen, ...line }] of [...this.#manifest.entries()]) this.#manifest.set(path, line);
    this.#manifest.save(this.#manifest.commit);
    this.#all = true;
  }

  #seenAtLeast(count: number): boolean {
    let seen = 0;
    for (const [, line] of this.#manifest.entries()) {
      if (line.seen) seen += 1;
      if (seen >= count) return true;
    }
    return false;
  }

  async resetBaseline(...[disk, files]: Parameters<Directory['resetBaseline']>): Promise<void> {
    // What is connected anew has nothing that was left out by other rules: the warning showed all of it.
    if (!disk) this.#rulesVersion.makeCurrent();
    if (disk === this.#manifest.commit) return;
    const tree = disk ? await files() : [];
    if (!disk) this.#staying.clear();
    const inTree = new Set(tree.map(({ path }) => path));
    for (const [path] of [...this.#manifest.entries()]) if (!inTree.has(path)) this.#manifest.set(path, undefined);
    // Only what was seen with this very content is still known; everything else is read again.
    const others = tree.filter(({ path, mode, oid }) => {
      const line = this.#manifest.get(path);
      return line?.oid !== oid || line.mode !== mode;
    });
    // What would be refused if it came now stands in the ledger and not in the folder: what is there is no edit of it.
    const reasons = await this.refusals(others, { files: tree, ...(disk ? { commit: disk } : {}) });
    for (const { path, mode, oid } of others) {
      const refused = reasons.get(path);
      this.#manifest.set(path, refused ? { mode, oid, refused } : { mode, oid });
    }
    this.#manifest.save(disk);
    this.#all = true;
  }

  async recover(): Promise<{ returned: readonly SitePath[] }> {
    this.#attributes.forget();
    const { moves, returned } = await recoverMoves(this.#o.fs, this.#o.root, this.#staging);
    if (moves > 0) this.#all = true;
    const isKnown = this.#staging.disks.some(({ at }) => at === '');
    if (!isKnown) await this.#tryDisks((handles) => this.#staging.tryOutside(handles));
    return { returned };
  }

  /** Where nothing can be tried now, applying says so. */
  async #tryDisks(act: (handles: DirectoryHandles) => Promise<void>): Promise<void> {
    try {
      await this.#walkingOn(async (handles) => {
        await act(handles);
        this.#staging.tidy(handles);
      });
    } catch (error) {
      if (!(error instanceof Problem) && errnoOf(error) === undefined) throw error;
    }
  }

  async scan(scope: 'touched' | 'all', burst: Burst = 'take'): Promise<ScanReport> {
    this.#attributes.forget();
    for (const path of this.#excluded.compareLinks((one) => this.has(one))) this.#touched.add(path);
    let whole = scope === 'all' || this.#all || this.#touched.size > manyPaths;
    const asked = [...new Set([...this.#found, ...this.#touched])];
    this.#touched.clear();
    this.#errors = this.#readErrors();
    if (whole && !this.#captures()) await this.#tryDisks((handles) => this.#staging.tryWeakAgain(handles));
    try {
      const began = this.#o.clock.monotonic();
      let result = whole ? undefined : await this.#scan(false, asked);
      // A folder that moved may have been told of in part: what is new elsewhere belongs into the same commit.
      whole ||= (result?.gone.length ?? 0) > manyGone;
      if (whole) this.#all = false;
      if (whole || !result) result = await this.#scan(true, asked);
      if (whole) this.#scanMs = this.#o.clock.monotonic() - began;
      if (whole) this.#excluded.counted({ at: this.#o.clock.now(), rules: result.byRule });
      this.#excluded.looked(result.left, whole ? 'everything' : asked);
      // What could not be read may hold what only the rules of before leave out.
      const isComplete = whole && !result.left.some(({ reason }) => reason.kind === 'unreadable');
      if (isComplete && this.#excluded.wasIgnored().length === 0) this.#rulesVersion.makeCurrent();
      return await this.#judge(result, whole, burst);
    } catch (error) {
      this.#all = true;
      throw error;
    }
  }

  async #scan(whole: boolean, asked: readonly SitePath[]): Promise<ScanResult> {
    const rules = this.#rules();
    // The scanning thread reads the manifest from its file.
    if (whole) this.#manifest.save(this.#manifest.commit);
    if (whole) return this.#o.scanner.scan(this.#o.root, this.#manifestFile, rules);
    return scanPaths(this.#o.fs, this.#o.root, this.#manifest, rules, asked);
  }

  /** What of the differences may be recorded now, and what must settle first. */
  async #judge(result: ScanResult, whole: boolean, burst: Burst): Promise<ScanReport> {
    const edited: SitePath[] = [];
    const pace = burst === 'at once' ? 'at once' : 'paced';
    const unsettled: SitePath[] = [];
    const restless: SitePath[] = [];
    const moves = (path: SitePath): void => void (this.#debouncer.restless.has(path) ? restless : unsettled).push(path);
    const unread: SitePath[] = [];
    const mayCover: Covered[] = [];
    for (const { path, stat } of result.changed) {
      try {
        // Read once before git is given it: a fast-import that is abandoned leaves half a pack behind.
        if (this.#unread.delete(path)) await this.#contents.hash(path);
        if (this.#looksTheSame(path, stat) && (await this.#knownContent(path, stat))) this.#debouncer.forget(path);
        else if (!this.#debouncer.settled(path, stat, pace)) moves(path);
        else if (!(await this.#knownContent(path, stat))) {
          mayCover.push(...(await this.#mayCover(path)));
          edited.push(path);
        }
      } catch (error) {
        this.#cannotRead(path, error);
        unread.push(path);
      }
    }
    this.#nameUnread(unread);
    const overPointers = await this.#overPointers(mayCover);
    this.#excluded.looked(
      [...overPointers].map((path) => ({ path, reason: asPointer })),
      [...overPointers],
    );
    const pending = edited.filter((path) => !overPointers.has(path)).map((path) => this.pendingFile(path));
    let going = 0;
    for (const path of result.gone) {
      if (this.#debouncer.settled(path, undefined, pace)) pending.push({ path });
      else {
        moves(path);
        going += 1;
      }
    }
    const gathers =
      this.#debouncer.waitsForMove(pending.length, going > manyGone) ||
      (burst === 'gather' && this.#debouncer.gathers(pending.length, unsettled.length));
    // Those at rest would only be looked at again and again until the last one is.
    const againInMs = Math.min(
      this.#debouncer.againInMs(unsettled, gathers ? 'last' : 'first'),
      this.#debouncer.againInMs(restless),
    );
    if (gathers) for (const { path } of pending.splice(0)) unsettled.push(path);
    for (const path of [...unsettled, ...restless]) this.#touched.add(path);
    this.#found = pending.map(({ path }) => path);
    this.#manifest.save(this.#manifest.commit);
    return {
      pending,
      unsettled,
      ...(Number.isFinite(againInMs) ? { againInMs } : {}),
      unapplied: result.unapplied,
      notSynced: [...this.#excluded.all(), ...this.#restless(), ...this.#mixedLines()],
      whole,
      files: this.#manifest.size,
    };
  }

  /** Synced all the same, but rarely. */
  #restless(): readonly NotSynced[] {
    const tracked = this.#debouncer.restless.all().filter((path) => this.#manifest.get(path));
    return tracked.map((path) => ({ path, reason: { kind: 'never-quiet' } }));
  }

  /** Texts that are synced as they are, although `.gitattributes` want LF. */
  #mixedLines(): readonly NotSynced[] {
    return this.#manifest.withMixedLines().map((path) => ({ path, reason: { kind: 'mixed-line-endings' } }));
  }

  /**
   * Looks as when its content was last known, but for a stat that proves nothing: it was left in the same tick of the
   * clock in which it was written, or only its ctime is new, as after a link of ours went. By now a later write would
   * show, so its content may be compared without waiting for it to rest.
   */
  #looksTheSame(path: SitePath, stat: Stat): boolean {
    const seen = this.#manifest.get(path)?.seen;
    return seen !== undefined && sameInode(seen, stat) && !seenOf(stat, this.#o.clock.now()).unsure;
  }

  /** True when only the stat is new, not the content: noted, nothing to record. */
  async #knownContent(path: SitePath, stat: Stat): Promise<boolean> {
    const line = this.#manifest.get(path);
    if (!line || (line.seen && line.seen.size !== stat.size)) return false;
    const now = await this.#contents.hash(path);
    if (!now || !sameContent(entryOf(now), line)) return false;
    const executable = this.#executable(now.stat);
    const { isExecutable } = line;
    if (isExecutable !== undefined && executable.isExecutable === !isExecutable) return false;
    this.#manifest.set(path, { ...line, seen: seenOf(now.stat, this.#o.clock.now()), ...executable });
    return true;
  }

  #cannotRead(path: SitePath, error: unknown): void {
    this.#unread.set(path, this.#errors.reason('unreadable', error));
  }

  #nameUnread(paths: readonly SitePath[]): readonly NotSynced[] {
    const unread = paths.map((path) => ({ path, reason: this.#unread.get(path) as NotSyncedReason }));
    this.#excluded.looked(unread, paths);
    return unread;
  }

  /** What the repository has at an edited path, where that may be a pointer: of an ordinary edit no git is asked. */
  async #mayCover(path: SitePath): Promise<readonly Covered[]> {
    const line = this.#manifest.get(path);
    if (!line) return [];
    // Without a rule only what we never saw as it was committed can be one.
    const may = (await this.#attributes.wouldBeLarge(path)) || (!line.seen && !(await this.#attributes.isLarge(path)));
    return may ? [{ path, oid: line.oid }] : [];
  }

  /** Edits that would put a content where the repository has a pointer, since LFS is off: named, and left here. */
  async #overPointers(lines: readonly Covered[]): Promise<ReadonlySet<SitePath>> {
    if (lines.length === 0) return new Set();
    const { sizes, blobs } = this.#o.repository;
    const bytes = await sizes(lines.map(({ oid }) => oid));
    return standIns(
      lines.map((line, at) => ({ ...line, size: bytes[at] as number })),
      blobs,
    );
  }

  /** `form`: recorded so, whatever the rules say. */
  pendingFile(path: SitePath, form?: Form): PendingFile {
    const mode = this.#modeOf(path);
    const as = isLink({ mode }) ? { form: 'link' as const } : form ? { form } : path;
    const done = (stat: Stat): void => void this.#reads.set(path, seenOf(stat, this.#o.clock.now()));
    const failed = (error: unknown): void => this.#cannotRead(path, error);
    return { path, file: { mode, open: () => this.#open(path, as, { done, failed }) } };
  }

  /** Whether a file can be executed, where that is synced and the disk can tell. */
  #executable({ mode, kind }: Stat): Pick<Line, 'isExecutable'> {
    if (kind !== 'file') return {};
    const hasModes = this.#staging.disks.every(({ modes }) => modes);
    return this.#o.settings().executables && hasModes ? { isExecutable: (mode & 0o100) !== 0 } : {};
  }

  /** What the tree says stays, unless somebody changed the permissions since they were last seen. */
  #modeOf(path: SitePath): Mode {
    const line = this.#manifest.get(path);
    const tracked = line?.mode === '100755' ? '100755' : '100644';
    const { executables, links } = this.#o.settings();
    const stat = executables || links ? this.#walking((handles) => handles.statQuietly(path)) : undefined;
    if (stat?.kind === 'link' && links) return '120000';
    const { isExecutable } = stat ? this.#executable(stat) : {};
    if (isExecutable === undefined) return tracked;
    this.#executables.set(path, isExecutable);
    if (line && (line.isExecutable === undefined || line.isExecutable === isExecutable)) return tracked;
    return isExecutable ? '100755' : '100644';
  }

  async #open(path: SitePath, as: SitePath | { readonly form: Form }, reading: Reading): Promise<OpenFile | undefined> {
    try {
      return await this.#contents.open(path, as, reading);
    } catch (error) {
      reading.failed(error);
      return undefined;
    }
  }

  /** Stats of the files being recorded, until `recorded` says with which content. */
  readonly #reads = new Map<SitePath, Seen>();
  /** Whether they could be executed when their mode in git was decided. */
  readonly #executables = new Map<SitePath, boolean>();

  #syncsLinks(): boolean {
    return this.#o.settings().links === true;
  }

  async entryAt(path: SitePath, expected?: Oid): ReturnType<Directory['entryAt']> {
    try {
      return entryOf(await this.#contents.hash(path, expected));
    } catch (error) {
      throw new Problem('file-unreadable', { path: displayPath(path), errno: pathErrno(error) }, { cause: error });
    }
  }

  async #holds(path: SitePath, entry: Entry): Promise<boolean> {
    try {
      return sameContent(entryOf(await this.#contents.hash(path, entry.oid)), entry);
    } catch (error) {
      pathErrno(error);
      return false;
    }
  }

  has(path: SitePath): boolean {
    return this.#walking((handles) => handles.mayHold(path));
  }

  #walking<T>(use: (handles: DirectoryHandles) => T): T {
    const handles = new DirectoryHandles(this.#o.fs, this.#o.root);
    try {
      return use(handles);
    } finally {
      handles.close();
    }
  }

  async #walkingOn<T>(use: (handles: DirectoryHandles) => Promise<T>): Promise<T> {
    const handles = new DirectoryHandles(this.#o.fs, this.#o.root);
    try {
      return await use(handles);
    } finally {
      handles.close();
    }
  }

  async recordFiles(
    ...[{ commit, entries, unsteady }]: Parameters<Directory['recordFiles']>
  ): ReturnType<Directory['recordFiles']> {
    for (const [path, entry] of entries) {
      const seen = this.#reads.get(path);
      if (!entry) this.#manifest.set(path, undefined);
      else if (seen) {
        const mixed = this.#contents.wasMixed(path) ? { hasMixedLines: true as const } : {};
        const isExecutable = this.#executables.get(path);
        const executable = isExecutable === undefined ? {} : { isExecutable };
        this.#manifest.set(path, { ...entry, seen, ...mixed, ...executable });
      }
      this.#debouncer.taken(path);
    }
    this.#reads.clear();
    this.#executables.clear();
    this.#found = [];
    for (const path of unsteady) if (!this.#unread.has(path)) this.#touched.add(path);
    this.#manifest.save(commit);
    return this.#nameUnread(unsteady.filter((path) => this.#unread.has(path)));
  }

  async apply(request: Parameters<Directory['apply']>[0]): ReturnType<Directory['apply']> {
    const { fs, root, clock, large } = this.#o;
    const isLarge = await this.#attributes.after(request);
    const applied = await apply(
      {
        ...(isLarge && large ? { large: { isLarge, copier: (...asked) => large.copier(...asked) } } : {}),
        hash: this.#contents.hashWhile(request.changes, isLarge),
        notDurable: (path) => this.#notDurable.get(path)?.there,
        fs,
        root,
        manifest: this.#manifest,
        staging: this.#staging,
        now: () => clock.now(),
        refusal: (file) => this.#excluded.refusal(file),
        ignored: (path) => this.#ignored(path),
        onlyIgnored: (folder) => this.#onlyIgnored(folder),
        checkDiskSpace: (coming, sizes) => this.#checkDiskSpace(coming, sizes),
        overwrites: () => this.#overwrites(),
        links: () => this.#syncsLinks(),
        executable: (stat) => this.#executable(stat),
        users: this.#users,
        newEntries: () => this.#newEntries(),
        lostAttributes: (path, names) => this.#o.lostAttributes?.(path, names),
      },
      request,
    );
    this.#attributes.forget();
    for (const path of applied.skipped) {
      this.#touched.add(path);
      // What GitLab sent for it waits until the edit here is in a commit.
      this.#debouncer.restless.hurry(path);
    }
    for (const { path } of request.changes) this.#staying.delete(path);
    for (const { path } of applied.staying) this.#staying.add(path);
    // An apply that follows a commit has tried all of them again, apart from those that no longer differ.
    const before = request.commit ? [] : this.#notDurable;
    this.#notDurable = new Map([...before, ...applied.notDurable.map((each) => [each.path, each] as const)]);
    return applied;
  }

  /** Whether files that are there may be replaced, as far as is known. */
  #captures(): boolean {
    return this.#overwrites() || !this.#staging.disks.some(({ replace }) => replace === 'rename');
  }

  #newEntries(): NewEntries {
    const { owner, fileMode, folderMode } = this.#o.settings().newEntries ?? {};
    const uid = owner && this.#users.userId(owner.user);
    const gid = owner && this.#users.groupId(owner.group);
    return {
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid }),
      ...(fileMode === undefined ? {} : { fileMode }),
      ...(folderMode === undefined ? {} : { folderMode }),
    };
  }

  /** As it was tried, once something was staged. */
  get #folding(): Folding | undefined {
    return this.#staging.foldingOfRoot;
  }

  /** As the names in the folder tell; without a letter among them nothing is known yet. */
  #folds(): boolean {
    const known = this.#folding?.case ?? this.#foldsCase;
    if (known !== undefined) return known;
    const seen = this.#foldingSeen().case;
    const names = this.#atRoot((root) => this.#o.fs.list(root));
    if (names.some(({ name }) => /[a-z]/i.test(name.toString('latin1')))) this.#foldsCase = seen;
    return seen;
  }

  #foldingSeen(): Folding {
    return this.#atRoot((root) => foldingSeen(this.#o.fs, root));
  }

  /** What goes wrong there is the problem of the root. */
  #atRoot<T>(look: (root: number) => T): T {
    try {
      return this.#walking((handles) => look(handles.root));
    } catch (error) {
      throw rootProblem(error, this.#o.root);
    }
  }

  #foldsCase: boolean | undefined;

  #checkDiskSpace(coming: Coming, sizes: Repository['sizes']): Promise<void> {
    const { fs, root, settings } = this.#o;
    return checkDiskSpace(coming, {
      limits: settings().limits,
      sizes,
      folder: root,
      present: () => this.#manifest.bytes,
      free: () => freeAt(fs, root),
    });
  }

  collisions(paths: readonly SitePath[]): ReadonlyMap<SitePath, SitePath> {
    return collisions(this.#folding ?? this.#foldingSeen(), [], paths);
  }

  uncaptured(...[paths, how]: Parameters<Directory['uncaptured']>): ReturnType<Directory['uncaptured']> {
    return this.#walkingOn(async (handles) => {
      if (how === 'tried') await this.#staging.placeFor(handles, '');
      const staying: SitePath[] = [];
      for (const path of this.#overwrites() ? [] : paths) {
        const folder = unlessErrno(() => handles.nearestFolder(path));
        const kind = handles.statQuietly(path)?.kind;
        if (folder === undefined || !(kind === 'file' || (kind === 'link' && this.#syncsLinks()))) continue;
        const captures = how === 'tried' && (await this.#staging.captures(handles, folder));
        if (!captures && this.#staging.isWeak(handles, folder)) staying.push(path);
      }
      this.#staging.tidy(handles);
      return staying;
    });
  }

  #overwrites(): boolean {
    return this.#o.settings().replacesWithoutCapture === true;
  }

  staying(): readonly SitePath[] {
    return [...this.#staying];
  }

  overdue(): Promise<readonly Change[]> {
    return this.#walkingOn((handles) => this.#excluded.overdue(handles));
  }

  async saveBaseline(commit: Parameters<Directory['saveBaseline']>[0]): Promise<void> {
    this.#manifest.save(commit);
  }

  hold(paths: readonly SitePath[]): void {
    for (const path of this.#excluded.hold(paths)) this.#touched.add(path);
  }

  async refusals(files: readonly TreeFile[], bringing?: Bringing): Promise<ReadonlyMap<SitePath, NotSyncedReason>> {
    const reasons = new Map<SitePath, NotSyncedReason>();
    for (const file of files) {
      const reason = this.#excluded.refusal(file);
      if (reason) reasons.set(file.path, reason);
    }
    const others = files.filter(({ path }) => !reasons.has(path));
    for (const path of await this.pointersLeft(others, bringing)) reasons.set(path, asPointer);
    return reasons;
  }

  async pointersLeft(
    files: readonly TreeFile[],
    { files: coming = [], ...of }: Bringing = {},
  ): Promise<ReadonlySet<SitePath>> {
    const { blobs } = this.#o.repository;
    const changes = coming.map(({ path, mode, oid }) => ({ path, after: { mode, oid } }));
    const isLarge = await this.#attributes.after({ changes, blobs, ...of });
    // Where the rules cannot be read, a pointer stays what it is.
    const isFollowed = (path: SitePath): boolean => unlessErrno(() => isLarge?.(path)) ?? false;
    return new Set([...(await standIns(files, blobs))].filter((path) => !isFollowed(path)));
  }

  leftByRule(): LeftByRules | undefined {
    return this.#excluded.byRule;
  }

  ignoredBy(...[gitignores, paths]: Parameters<Directory['ignoredBy']>): ReadonlySet<SitePath> {
    return ignoredBy(gitignores, paths, this.#folds());
  }

  leaves(path: SitePath): boolean {
    return unlessErrno(() => this.#ignored(path)) ?? false;
  }

  wasIgnored(): readonly NotSynced[] {
    return this.#excluded.wasIgnored();
  }

  async acceptRules(): Promise<void> {
    this.#rulesVersion.makeCurrent();
    this.#all = true;
  }

  refused(): readonly SitePath[] {
    return this.#excluded.refused();
  }

  /** Looked at outside a scan: the rules of the folders on the way apply. Throws what the system throws. */
  #ignored(path: SitePath): boolean {
    return this.#sightOf(path).ignored > 0;
  }

  /** A path that cannot be looked at, or whose rules cannot be read, is neither ignored nor not. */
  #sightOf(path: SitePath): ScanResult {
    const result = scanPaths(this.#o.fs, this.#o.root, noManifest, this.#rules(), [path]);
    for (const { reason } of result.left) {
      if (reason.kind === 'unreadable') throw Object.assign(new Error('cannot be looked at'), { code: reason.errno });
    }
    return result;
  }

  #onlyIgnored(folder: SitePath): boolean {
    const { changed } = this.#sightOf(folder);
    return changed.length === 0 && [...this.#manifest.under(folder)].every((path) => path === folder);
  }

  async survey(...[gitignores = [], commit]: Parameters<Directory['survey']>): ReturnType<Directory['survey']> {
    this.#attributes.forget(commit);
    const empty = `${this.#o.stateDir}/no-manifest`;
    const rules = { ...this.#rules(), comparesRules: false, held: [], notDurable: [], gitignores };
    const result = await this.#o.scanner.scan(this.#o.root, empty, rules);
    const errors = this.#readErrors();
    const left: NotSynced[] = [...result.left];
    const files: SurveyedFile[] = [];
    const changing: SitePath[] = [];
    for (const { path, stat } of result.changed) {
      try {
        const now = await this.#contents.hash(path);
        // Recorded as it was told, by whatever rules the ledger goes until then.
        const entry = entryOf(now);
        if (now && entry) files.push({ path, ...entry, size: stat.size, pending: this.pendingFile(path, now.form) });
        else changing.push(path);
      } catch (error) {
        left.push({ path, reason: errors.reason('unreadable', error) });
      }
    }
    this.#attributes.forget();
    return { files, changing, left, ignored: result.ignored };
  }

  lateWrites(): Promise<readonly LateWrite[]> {
    return lateWrites({
      fs: this.#o.fs,
      root: this.#o.root,
      staging: this.#staging,
      hash: (at, path, was) => this.#contents.hashReplaced(at, path, was),
      open: (at, path, mode) =>
        this.#open(at, isLink({ mode }) ? { form: 'link' } : path, { done: () => {}, failed: pathErrno }),
    });
  }

  modes(paths: readonly SitePath[]): ReadonlyMap<SitePath, KeptMode> {
    return this.#walking((handles) => {
      const modes = new Map<SitePath, KeptMode>();
      for (const path of paths) {
        const stat = handles.statQuietly(path);
        if (stat && stat.kind !== 'link') modes.set(path, { mode: stat.mode, uid: stat.uid, gid: stat.gid });
      }
      return modes;
    });
  }

  async close(): Promise<void> {
    this.#manifest.save(this.#manifest.commit);
  }

  #rules(): ScanRules {
    const { ignore, allow, limits, builtInRulesOff = [] } = this.#o.settings();
    return {
      links: this.#syncsLinks(),
      ...{ ignore, allow, builtInRulesOff, folds: this.#folds() },
      comparesRules: !this.#rulesVersion.isCurrent,
      notDurable: [...this.#notDurable.values()].map(({ path, reason }) => ({ path, reason })),
      ...{ fileBytes: limits.fileBytes, files: limits.files, held: this.#excluded.held },
    };
  }
}

/** What the repository has at an edited path. */
interface Covered {
  readonly path: SitePath;
  readonly oid: Oid;
}

const noManifest = {
  get: () => undefined,
  has: () => false,
  isUnchanged: () => false,
  hasBelow: () => false,
  folders: () => [],
  under: () => [],
};
