import { unsafePath, isControlFile } from '../model/path-safety.ts';
import { Problem } from '../model/problem.ts';
import type { NotSynced, NotSyncedReason, SiteLimits } from '../model/site.ts';
import { type Change, type Entry, type Oid, type SitePath, parentOf, pathFromText } from '../model/tree.ts';
import type { Clock, Fs, Random, Stat } from '../model/world.ts';
import type {
  ApplyRequest,
  Directory,
  Found,
  KeptMode,
  LargeContents,
  LateWrite,
  OpenFile,
  Repository,
  SurveyedFile,
  Taking,
  TreeFile,
} from '../sync/ports.ts';
import { apply } from './apply.ts';
import { createTracked } from './attributes.ts';
import { errorCode } from './disk.ts';
import { type Folding, collisions, foldingSeen, probeFolding } from './folding.ts';
import { createIgnoreRules } from './ignore.ts';
import { lateWrites } from './late.ts';
import { Manifest, type Seen, seenOf } from './manifest.ts';
import { Quiet } from './quiet.ts';
import { hashFile, openLarge, openSteady } from './read.ts';
import { isStaged, undo } from './replace.ts';
import { checkRoom } from './room.ts';
import { type ScanRules, type Sighting, readText, rulesBytes, scanPaths } from './scan.ts';
import type { Scanner } from './scanner.ts';
import { type Held, Staging, stagedNow } from './staging.ts';
import { Walk } from './walk.ts';

export interface DirectoryOptions {
  readonly fs: Fs;
  readonly clock: Clock;
  readonly random: Random;
  readonly scanner: Scanner;
  /** Absolute path of the site's folder. */
  readonly root: string;
  /** Where manifest and journal lie: outside the site. */
  readonly stateDir: string;
  /** Absent: pointers are refused by name. */
  readonly large?: LargeContents;
  /** Asked anew at each use: settings change while the daemon runs. */
  readonly settings: () => DirectorySettings;
}

export interface DirectorySettings {
  readonly ignore: readonly string[];
  readonly allow: readonly string[];
  readonly quietMs: number;
  readonly quietMaxMs: number;
  readonly limits: SiteLimits;
  readonly lfs?: true;
}

/** What the watcher reports: only a hint, the look decides. */
export interface Touchable {
  /** A path below the root, absolute, as text. */
  touched(path: string): void;
  /** Too many to name, or events may have been lost: look at everything next time. */
  touchedAll(): void;
}

/** From so many touched paths on, a look at everything is cheaper. */
const manyPaths = 512;
/** Paths at rest wait for moving ones this many quiet times. */
const gatherTimes = 3;

export function openDirectory(options: DirectoryOptions): Directory & Touchable {
  return new SiteDirectory(options);
}

class SiteDirectory implements Directory, Touchable {
  readonly #o: DirectoryOptions;
  readonly #manifestFile: string;
  readonly #manifest: Manifest;
  readonly #staging: Staging;
  readonly #quiet: Quiet;
  readonly #touched = new Set<SitePath>();
  /** Found by the last look; until they are recorded, the next look asks again. */
  #found: readonly SitePath[] = [];
  #all = true;
  #left: readonly NotSynced[] = [];

  constructor(options: DirectoryOptions) {
    this.#o = options;
    this.#manifestFile = `${options.stateDir}/manifest.jsonl`;
    this.#manifest = new Manifest(this.#manifestFile);
    this.#staging = new Staging(options.fs, options.random, options.clock, `${options.stateDir}/staging.jsonl`);
    this.#quiet = new Quiet(options.clock, options.settings);
  }

  get replaces(): 'exchange' | 'link' {
    return this.#o.fs.exchange ? 'exchange' : 'link';
  }

  tracked(): number {
    return this.#manifest.size;
  }

  touched(path: string): void {
    if (path === this.#o.root) return;
    const below = path.startsWith(`${this.#o.root}/`) ? path.slice(this.#o.root.length + 1) : '';
    if (below === '' || this.#touched.size > 4 * manyPaths) this.#all = true;
    else {
      const path = pathFromText(below);
      this.#touched.add(path);
      this.#quiet.noticed(path);
    }
  }

  touchedAll(): void {
    this.#all = true;
  }

  async check(emptied: 'not-emptied' | 'may-be-empty' = 'not-emptied'): ReturnType<Directory['check']> {
    const { fs, root } = this.#o;
    let fd: number;
    try {
      fd = fs.openRoot(root);
    } catch (error) {
      throw rootProblem(error, root);
    }
    try {
      const stat = fs.statOpen(fd);
      const entries = fs.list(fd).filter(({ name }) => !name.toString('latin1').startsWith('.mooring-'));
      if (entries.length === 0 && emptied === 'not-emptied' && this.#seenAtLeast(2))
        throw new Problem('folder-emptied', { folder: root });
      return { dev: String(stat.dev), ino: String(stat.ino) };
    } catch (error) {
      throw error instanceof Problem ? error : rootProblem(error, root);
    } finally {
      fs.close(fd);
    }
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

  async agree(...[disk, files]: Parameters<Directory['agree']>): Promise<void> {
    if (disk === this.#manifest.commit) return;
    const tree = disk ? await files() : [];
    const inTree = new Set(tree.map(({ path }) => path));
    for (const [path] of [...this.#manifest.entries()]) if (!inTree.has(path)) this.#manifest.set(path, undefined);
    for (const file of tree) {
      const { path, mode, oid } = file;
      const line = this.#manifest.get(path);
      // Only what was seen with this very content is still known; everything else is read again.
      if (line?.oid === oid && line.mode === mode) continue;
      // What would be refused if it came now stands in the ledger and not in the folder: what is there is no edit of it.
      const refused = this.refusal(file);
      this.#manifest.set(path, refused ? { mode, oid, refused } : { mode, oid });
    }
    this.#manifest.save(disk);
    this.#all = true;
  }

  async recover(): Promise<{ returned: readonly SitePath[] }> {
    this.#tracked = undefined;
    const moves = this.#staging.unsettled();
    const walk = new Walk(this.#o.fs, this.#o.root);
    try {
      const undone = moves.map((move) => ({ move, how: undo(this.#o.fs, walk, move) }));
      const returned = undone.filter(({ how }) => how !== 'nothing').map(({ move }) => move.path);
      this.#staging.release(
        walk,
        undone.filter(({ move, how }) => how !== 'was-live' && this.#isOurs(walk, move)).map(({ move }) => move),
      );
      // Somebody may be writing into what was live for a while: looked at once more, like a replaced file.
      const wereLive = undone.filter(({ how }) => how === 'was-live').map(({ move }) => move);
      this.#staging.announce(wereLive.map(({ folder, name, path }) => ({ folder, name, path })));
      this.#staging.sweep(walk);
      this.#staging.settle();
      this.#staging.tidy(walk);
      if (moves.length > 0) this.#all = true;
      return { returned };
    } finally {
      walk.close();
    }
  }

  #isOurs(walk: Walk, move: Held): boolean {
    const now = stagedNow(this.#o.fs, walk, move);
    return !now || isStaged(now.stat, move);
  }

  async look(scope: 'touched' | 'all', burst: 'gather' | 'take' = 'take'): Promise<Found> {
    this.#tracked = undefined;
    const whole = scope === 'all' || this.#all || this.#touched.size > manyPaths;
    const asked = [...new Set([...this.#found, ...this.#touched])];
    this.#touched.clear();
    if (whole) this.#all = false;
    let sighting: Sighting;
    try {
      sighting = await this.#sight(whole, asked);
    } catch (error) {
      this.#all = true;
      throw rootProblem(error, this.#o.root);
    }
    if (whole) this.#left = sighting.left;
    else this.#left = merge(this.#left, sighting.left, asked);
    return this.#judge(sighting, whole, burst);
  }

  async #sight(whole: boolean, asked: readonly SitePath[]): Promise<Sighting> {
    const rules = this.#rules();
    if (whole) return this.#o.scanner.scan(this.#o.root, this.#manifestFile, rules);
    return scanPaths(this.#o.fs, this.#o.root, this.#manifest, rules, asked);
  }

  /** What of the differences may be recorded now, and what must settle first. */
  async #judge(sighting: Sighting, whole: boolean, burst: 'gather' | 'take'): Promise<Found> {
    const taking: Taking[] = [];
    const unsettled: SitePath[] = [];
    for (const { path, stat } of sighting.changed) {
      if (!this.#quiet.settled(path, stat)) unsettled.push(path);
      else if (!(await this.#knownContent(path, stat))) taking.push(this.#takeFile(path));
    }
    for (const path of sighting.gone) {
      if (this.#quiet.settled(path, undefined)) taking.push({ path });
      else unsettled.push(path);
    }
    if (burst === 'gather' && this.#gathers(taking.length, unsettled.length)) {
      for (const { path } of taking.splice(0)) unsettled.push(path);
    }
    for (const path of unsettled) this.#touched.add(path);
    this.#found = taking.map(({ path }) => path);
    this.#manifest.save(this.#manifest.commit);
    return {
      taking,
      unsettled,
      ...(unsettled.length > 0 ? { againInMs: this.#quiet.againInMs(unsettled) } : {}),
      unapplied: sighting.unapplied,
      notSynced: this.#notSynced(),
      whole,
      files: this.#manifest.size,
    };
  }

  /**
   * While some paths still move, those at rest wait for them a little: one upload is one commit. Not for long, or a
   * log that is written without end would hold up everything else.
   */
  #gathers(ready: number, moving: number): boolean {
    const now = this.#o.clock.monotonic();
    if (ready === 0 || moving === 0) {
      this.#gatheringSince = undefined;
      return false;
    }
    this.#gatheringSince ??= now;
    if (now - this.#gatheringSince < gatherTimes * this.#o.settings().quietMs) return true;
    this.#gatheringSince = undefined;
    return false;
  }

  #gatheringSince: number | undefined;

  /** True when only the stat is new, not the content: noted, nothing to record. */
  async #knownContent(path: SitePath, stat: Stat): Promise<boolean> {
    const line = this.#manifest.get(path);
    if (!line || (line.seen && line.seen.size !== stat.size)) return false;
    const now = await this.#hashed(path);
    if (now?.oid !== line.oid) return false;
    this.#manifest.set(path, { ...line, seen: seenOf(now.stat, this.#o.clock.now()) });
    return true;
  }

  #takeFile(path: SitePath): Taking {
    // The x bit does not travel by itself: what the tree says stays.
    const mode = this.#manifest.get(path)?.mode === '100755' ? '100755' : '100644';
    return {
      path,
      file: {
        mode,
        open: () => this.#open(path, path, (stat) => this.#reads.set(path, seenOf(stat, this.#o.clock.now()))),
      },
    };
  }

  /** `as`: the path it is recorded under. */
  async #open(path: SitePath, as: SitePath, done: (stat: Stat) => void): Promise<OpenFile | undefined> {
    const file = openSteady(this.#o.fs, this.#o.root, path, done);
    const { large } = this.#o;
    return large && this.#isLarge(as) ? openLarge(file, (chunks) => large.keep(chunks)) : file;
  }

  #hashed(path: SitePath): ReturnType<typeof hashFile> {
    return hashFile(this.#o.fs, this.#o.root, path, this.#isLarge(path));
  }

  /** Whether the repository keeps the path in LFS: by the `.gitattributes` that are in the folder now. */
  #isLarge(path: SitePath): boolean {
    if (!this.#o.large || !this.#o.settings().lfs) return false;
    this.#tracked ??= createTracked((folder) => this.#attributesOf(folder));
    return this.#tracked(path);
  }

  /** Read once for a look or an apply, not for each path. */
  #tracked: ((path: SitePath) => boolean) | undefined;

  #attributesOf(folder: string): string | undefined {
    const walk = new Walk(this.#o.fs, this.#o.root);
    try {
      return readText(this.#o.fs, walk, folder, '.gitattributes');
    } catch (error) {
      // A folder that is still to come, or one whose files are named as unreadable anyway.
      if (['ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES', 'EPERM'].includes(errorCode(error))) return undefined;
      throw error;
    } finally {
      walk.close();
    }
  }

  /** The rules as they will be when these changes have arrived. */
  async #rulesAfter({ changes, blobs }: ApplyRequest): Promise<(path: SitePath) => boolean> {
    const coming = changes.filter(({ path }) => /(^|\/)\.gitattributes$/.test(path));
    const texts = new Map(coming.map(({ path }) => [parentOf(path), '']));
    const files = coming.filter(({ after }) => after !== undefined);
    let at = 0;
    for await (const { size, chunks } of blobs(files.map(({ after }) => (after as Entry).oid))) {
      const bytes: Buffer[] = [];
      // As where the file is read from the folder: one that is too long says nothing.
      if (size <= rulesBytes) for await (const chunk of chunks) bytes.push(Buffer.from(chunk));
      texts.set(parentOf((files[at] as Change).path), Buffer.concat(bytes).toString('latin1'));
      at += 1;
    }
    return createTracked((folder) => texts.get(folder) ?? this.#attributesOf(folder));
  }

  /** Stats of the files being recorded, until `recorded` says with which content. */
  readonly #reads = new Map<SitePath, Seen>();

  async hash(path: SitePath): ReturnType<Directory['hash']> {
    return (await this.#hashed(path))?.oid;
  }

  async recorded(...[{ commit, entries, unsteady }]: Parameters<Directory['recorded']>): Promise<void> {
    for (const [path, entry] of entries) {
      const seen = this.#reads.get(path);
      if (!entry) this.#manifest.set(path, undefined);
      else if (seen) this.#manifest.set(path, { ...entry, seen });
      this.#quiet.forget(path);
    }
    this.#reads.clear();
    this.#found = [];
    for (const path of unsteady) this.#touched.add(path);
    this.#manifest.save(commit);
  }

  async apply(request: Parameters<Directory['apply']>[0]): ReturnType<Directory['apply']> {
    const { fs, root, clock, large } = this.#o;
    const isLarge = large && this.#o.settings().lfs ? await this.#rulesAfter(request) : undefined;
    const applied = await apply(
      {
        ...(isLarge && large ? { large: { isLarge, open: (pointer) => large.open(pointer) } } : {}),
        hash: (path) => hashFile(fs, root, path, isLarge?.(path)),
        fs,
        root,
        manifest: this.#manifest,
        staging: this.#staging,
        now: () => clock.now(),
        refusal: (file) => this.refusal(file),
        ignored: (path) => this.#ignored(path),
        onlyIgnored: (folder) => this.#onlyIgnored(folder),
        checkRoom: (contents, sizes) => this.#checkRoom(contents, sizes),
        folding: (staging) => (this.#folding ??= probeFolding(fs, staging, this.#staging.freshName())),
        newFileMode: 0o644,
        newFolderMode: 0o755,
      },
      request,
    );
    this.#tracked = undefined;
    for (const path of applied.skipped) this.#touched.add(path);
    return applied;
  }

  /** A site does not change what disk it is on without becoming another folder. */
  #folding: Folding | undefined;

  async #checkRoom(contents: readonly Oid[], sizes: Repository['sizes']): Promise<void> {
    const { fs, root, settings } = this.#o;
    let present: number | undefined;
    const sum = (): number => [...this.#manifest.entries()].reduce((all, [, { seen }]) => all + (seen?.size ?? 0), 0);
    await checkRoom(contents, {
      limits: settings().limits,
      sizes,
      folder: root,
      present: () => (present ??= sum()),
      free() {
        const fd = fs.openRoot(root);
        try {
          return fs.free(fd);
        } finally {
          fs.close(fd);
        }
      },
    });
  }

  collisions(paths: readonly SitePath[]): ReadonlyMap<SitePath, SitePath> {
    const walk = new Walk(this.#o.fs, this.#o.root);
    try {
      return collisions(this.#folding ?? foldingSeen(this.#o.fs, walk.root), [], paths);
    } finally {
      walk.close();
    }
  }

  overdue(): readonly Change[] {
    const walk = new Walk(this.#o.fs, this.#o.root);
    try {
      const changes: Change[] = [];
      for (const [path, { mode, oid, refused, was }] of this.#manifest.entries()) {
        if (!refused || !(mayPass.has(refused.kind) || this.#mayBeHad(path, refused))) continue;
        const size = refused.kind === 'too-large' ? refused.bytes : 0;
        if (this.refusal({ path, mode, oid, size })) continue;
        // Something that we did not put there still stands at the name.
        if (!was && walk.stat(path) !== undefined) continue;
        changes.push({ path, after: { mode, oid }, ...(was ? { before: was } : {}) });
      }
      return changes;
    } finally {
      walk.close();
    }
  }

  /** A pointer whose content was not asked for yet, or was not there when it was. */
  #mayBeHad(path: SitePath, { kind }: NotSyncedReason): boolean {
    return ['lfs-pointer', 'lfs-missing', 'lfs-damaged'].includes(kind) && this.#isLarge(path);
  }

  async settled(commit: Parameters<Directory['settled']>[0]): Promise<void> {
    this.#manifest.save(commit);
  }

  hold(paths: readonly SitePath[]): void {
    this.#held = paths;
    for (const [path, { mode, oid, refused }] of [...this.#manifest.entries()]) {
      if (refused?.kind !== 'conflict' || paths.includes(path)) continue;
      // Compared by content at the next look: what is there is an edit like any other now.
      this.#manifest.set(path, { mode, oid });
      this.#touched.add(path);
    }
  }

  #held: readonly SitePath[] = [];

  taking(path: SitePath): Taking {
    return this.#takeFile(path);
  }

  refusal({ path, mode, size }: TreeFile): NotSyncedReason | undefined {
    const { limits, allow } = this.#o.settings();
    if (this.#held.includes(path)) return { kind: 'conflict' };
    if (mode === '120000') return { kind: 'link' };
    if (mode === '160000') return { kind: 'submodule' };
    if (unsafePath(path)) return { kind: 'bad-name' };
    if (size > limits.fileBytes) return { kind: 'too-large', bytes: size, limit: limits.fileBytes };
    if (isControlFile(path) && !createIgnoreRules({ ignore: allow, allow: [] }).caught(path, 'file'))
      return { kind: 'control-file' };
    return undefined;
  }

  /** Looked at outside a scan: the rules of the folders on the way apply. */
  #ignored(path: SitePath): boolean {
    return scanPaths(this.#o.fs, this.#o.root, noManifest, this.#rules(), [path]).ignored > 0;
  }

  #onlyIgnored(folder: SitePath): boolean {
    const { changed } = scanPaths(this.#o.fs, this.#o.root, noManifest, this.#rules(), [folder]);
    return changed.length === 0 && [...this.#manifest.under(folder)].every((path) => path === folder);
  }

  async survey(gitignores: Parameters<Directory['survey']>[0] = []): ReturnType<Directory['survey']> {
    this.#tracked = undefined;
    const empty = `${this.#o.stateDir}/no-manifest`;
    const rules = { ...this.#rules(), held: [], gitignores };
    const sighting = await this.#o.scanner.scan(this.#o.root, empty, rules).catch((error: unknown) => {
      throw rootProblem(error, this.#o.root);
    });
    const files: SurveyedFile[] = [];
    const changing: SitePath[] = [];
    for (const { path, stat } of sighting.changed) {
      const now = await this.#hashed(path);
      if (now) files.push({ path, oid: now.oid, size: stat.size, taking: this.#takeFile(path) });
      else changing.push(path);
    }
    return { files, changing, left: sighting.left, ignored: sighting.ignored };
  }

  lateWrites(): Promise<readonly LateWrite[]> {
    return lateWrites({
      fs: this.#o.fs,
      root: this.#o.root,
      staging: this.#staging,
      hash: (at, path) => hashFile(this.#o.fs, this.#o.root, at, this.#isLarge(path)),
      open: (at, path) => this.#open(at, path, () => {}),
    });
  }

  modes(paths: readonly SitePath[]): ReadonlyMap<SitePath, KeptMode> {
    const walk = new Walk(this.#o.fs, this.#o.root);
    try {
      const modes = new Map<SitePath, KeptMode>();
      for (const path of paths) {
        const stat = walk.stat(path);
        if (stat) modes.set(path, { mode: stat.mode, uid: stat.uid, gid: stat.gid });
      }
      return modes;
    } finally {
      walk.close();
    }
  }

  async close(): Promise<void> {
    this.#manifest.save(this.#manifest.commit);
  }

  #rules(): ScanRules {
    const { ignore, allow, limits } = this.#o.settings();
    return { ignore, allow, fileBytes: limits.fileBytes, files: limits.files, held: this.#held };
  }

  refused(): readonly SitePath[] {
    return [...this.#manifest.entries()].filter(([, line]) => line.refused).map(([path]) => path);
  }

  /** What the last looks left out, and what was refused when it arrived. */
  #notSynced(): readonly NotSynced[] {
    const refused: NotSynced[] = [];
    for (const [path, line] of this.#manifest.entries()) if (line.refused) refused.push({ path, reason: line.refused });
    return [...refused, ...this.#left];
  }
}

/** Reasons that can go by themselves or by a setting. */
const mayPass: ReadonlySet<NotSyncedReason['kind']> = new Set([
  'too-large',
  'control-file',
  'collides',
  'ignored-in-the-way',
  'link',
  'unwritable',
]);

const noManifest = { get: () => undefined, under: () => [] };

/** New findings beat old ones for the paths that were asked about. */
function merge(
  old: readonly NotSynced[],
  found: readonly NotSynced[],
  asked: readonly SitePath[],
): readonly NotSynced[] {
  const about = (path: string): boolean => asked.some((at) => path === at || path.startsWith(`${at}/`));
  return [...old.filter(({ path }) => !about(path)), ...found];
}

function rootProblem(error: unknown, folder: string): unknown {
  const codes: Record<string, Problem['code']> = {
    ENOENT: 'folder-missing',
    ELOOP: 'folder-link',
    ENOTDIR: 'folder-not-folder',
    EACCES: 'folder-unreadable',
    ESTALE: 'folder-missing',
    ENODEV: 'folder-missing',
    EIO: 'folder-unreadable',
  };
  const code = codes[errorCode(error)];
  return code ? new Problem(code, { folder }, { cause: error }) : error;
}
