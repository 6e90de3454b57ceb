import type { DiskFacts } from '../model/disk.ts';
import { Problem } from '../model/problem.ts';
import type { NotSynced, NotSyncedReason, SiteLimits, SiteSettings } from '../model/site.ts';
import {
  type Change,
  type Entry,
  type Oid,
  type SitePath,
  displayPath,
  isLink,
  pathFromText,
  sameContent,
} from '../model/tree.ts';
import type { Clock, Fs, Random } from '../model/world.ts';
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
  Repository,
  SurveyedFile,
  PendingFile,
  TreeFile,
} from '../sync/ports.ts';
import type { NewEntries } from './access.ts';
import { apply } from './apply.ts';
import { Contents } from './contents.ts';
import { PathErrors, errnoOf, pathErrno, unlessErrno } from './errno.ts';
import { ignoredBy } from './ignore.ts';
import { PathAttributes } from './path-attributes.ts';
import { lateWrites } from './late.ts';
import { ExcludedPaths } from './excluded-paths.ts';
import { Manifest } from './manifest.ts';
import { asPointer, standIns } from './pointers.ts';
import { Debouncer } from './debouncer.ts';
import { entryOf } from './read.ts';
import { databaseOf } from './open-database.ts';
import { NameFolding } from './name-folding.ts';
import { PassedOver } from './passed-over.ts';
import { PendingChanges, manyGone } from './pending-changes.ts';
import { Recording } from './recording.ts';
import { recoverMoves } from './recovery.ts';
import { type Coming, checkDiskSpace, freeAt } from './disk-space.ts';
import { checkRoot } from './root.ts';
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

/** What the watcher reports: only a hint, the scan decides. */
export interface Touchable {
  /** Reads what is known of the folder. Without this the first use does, and everything else waits for it. */
  load(): Promise<void>;
  /** A path below the root, absolute, as text. */
  touched(path: string): void;
  /** Too many to name, or events may have been lost: scan everything next time. */
  touchedAll(): void;
  /** Whether nothing below this folder, given as an absolute path, can ever be of interest: it is ignored as a whole. */
  passesOver(folder: string): boolean;
  /** What is ignored may have changed. */
  forgetPassedOver(): void;
  /** How long the last full scan took, in ms; undefined until there was one. */
  readonly scanMs: number | undefined;
}

/** From so many touched paths on, a full scan is cheaper. */
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
  readonly #recording: Recording;
  readonly #pendingChanges: PendingChanges;
  readonly #folding: NameFolding;
  readonly #touched = new Set<SitePath>();
  /** Could not be removed or replaced when it was last tried. */
  readonly #staying = new Set<SitePath>();
  /** Applied, but their folders could not be synced: scans pass over these paths until they can be. */
  #notDurable: ReadonlyMap<SitePath, Applied['notDurable'][number]> = new Map();
  #errors: PathErrors;
  /** Found by the last scan; until they are recorded, the next scan asks again. */
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
      folds: () => this.#folding.foldsCase(),
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
    this.#folding = new NameFolding({
      ...{ fs: options.fs, root: options.root },
      tried: () => this.#staging.foldingOfRoot,
    });
    const now = (): number => options.clock.now();
    this.#recording = new Recording({
      ...{ manifest: this.#manifest, contents: this.#contents, settings: options.settings, now },
      statOf: (path) => this.#walking((handles) => handles.statQuietly(path)),
      hasModes: () => this.#staging.disks.every(({ modes }) => modes),
      cannotRead: (path, error) => this.#pendingChanges.cannotRead(path, this.#errors.reason('unreadable', error)),
    });
    this.#pendingChanges = new PendingChanges({
      ...{ manifest: this.#manifest, contents: this.#contents, debouncer: this.#debouncer, now },
      ...{ excluded: this.#excluded, attributes: this.#attributes, recording: this.#recording },
      repository: options.repository,
    });
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
      this.#excluded.scanned(result.left, whole ? 'everything' : asked);
      // What could not be read may hold what only the rules of before leave out.
      const isComplete = whole && !result.left.some(({ reason }) => reason.kind === 'unreadable');
      if (isComplete && this.#excluded.wasIgnored().length === 0) this.#rulesVersion.makeCurrent();
      return await this.#report(result, whole, burst);
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

  async #report(result: ScanResult, whole: boolean, burst: Burst): Promise<ScanReport> {
    const { restless, ...sorted } = await this.#pendingChanges.sort(result, burst, this.#errors);
    for (const path of [...sorted.unsettled, ...restless]) this.#touched.add(path);
    this.#found = sorted.pending.map(({ path }) => path);
    this.#manifest.save(this.#manifest.commit);
    return {
      ...sorted,
      unapplied: result.unapplied,
      notSynced: [...this.#excluded.all(), ...this.#pendingChanges.synced()],
      whole,
      files: this.#manifest.size,
    };
  }

  pendingFile(path: SitePath): PendingFile {
    return this.#recording.pendingFile(path);
  }

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
      const line = entry && this.#recording.lineOf(path, entry);
      if (!entry || line) this.#manifest.set(path, line);
      this.#debouncer.taken(path);
    }
    this.#recording.end();
    this.#found = [];
    const isUnread = (path: SitePath): boolean => this.#pendingChanges.isUnread(path);
    for (const path of unsteady) if (!isUnread(path)) this.#touched.add(path);
    this.#manifest.save(commit);
    return this.#pendingChanges.nameUnread(unsteady.filter(isUnread));
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
        executable: (stat) => this.#recording.executable(stat),
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
    return this.#folding.collisions(paths);
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
    return ignoredBy(gitignores, paths, this.#folding.foldsCase());
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
        if (now && entry)
          files.push({ path, ...entry, size: stat.size, pending: this.#recording.pendingFile(path, now.form) });
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
        this.#recording.open(at, isLink({ mode }) ? { form: 'link' } : path, { done: () => {}, failed: pathErrno }),
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
      ...{ ignore, allow, builtInRulesOff, folds: this.#folding.foldsCase() },
      comparesRules: !this.#rulesVersion.isCurrent,
      notDurable: [...this.#notDurable.values()].map(({ path, reason }) => ({ path, reason })),
      ...{ fileBytes: limits.fileBytes, files: limits.files, held: this.#excluded.held },
    };
  }
}

const noManifest = {
  get: () => undefined,
  has: () => false,
  isUnchanged: () => false,
  hasBelow: () => false,
  folders: () => [],
  under: () => [],
};
