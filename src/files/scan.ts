import { isGitInDisguise, isStaging, unsafePath } from '../model/path-safety.ts';
import { staysInside, targetText } from '../model/link.ts';
import type { LeftByRule, NotSynced, NotSyncedReason } from '../model/site.ts';
import { Problem } from '../model/problem.ts';
import { type SitePath, parentOf, sitePath } from '../model/tree.ts';
import type { Fs, Stat } from '../model/world.ts';
import { PathErrors, close, isAbsent, pathErrno, unlessErrno } from './errno.ts';
import { type Caught, type IgnoreRules, createIgnoreRules } from './ignore.ts';
import { type RulesBefore, createRulesBefore } from './ignore-before.ts';
import { type Line, sameSeen } from './line.ts';
import { databaseOf, isCompanion, isOpenDatabase } from './open-database.ts';
import { rootProblem } from './root.ts';
import { DirectoryHandles, foldersTo, nameOf } from './directory-handles.ts';

/** What of the manifest a scan needs; a worker reads its own copy from the file. */
export interface Known {
  get(path: SitePath): Line | undefined;
  has(path: SitePath): boolean;
  isUnchanged(path: SitePath, stat: Stat): boolean;
  hasBelow(folder: string): boolean;
  /** Those that have known paths below them. */
  folders(): Iterable<SitePath>;
  under(path: string): Iterable<SitePath>;
}

export interface ScanRules {
  readonly ignore: readonly string[];
  readonly allow: readonly string[];
  readonly builtInRulesOff?: readonly string[];
  /** Symbolic links that stay inside the site are looked at like files. */
  readonly links?: boolean;
  readonly folds?: boolean;
  /** The site was scanned by the rules of before until now: what only those leave out waits for a person. */
  readonly comparesRules?: boolean;
  readonly fileBytes: number;
  readonly files: number;
  /** Paths that wait for a person: passed over. */
  readonly held?: readonly SitePath[];
  /** Paths that arrived and may be taken back by a power cut: passed over until that is over. */
  readonly notDurable?: readonly NotSynced[];
  /**
   * Rules that count in place of the files of that folder, one character per byte: those a repository is about to bring.
   */
  readonly gitignores?: readonly (readonly [folder: string, content: string])[];
}

/** The differences between a folder and what we believe of it. Values only: it crosses from the worker. */
export interface ScanResult {
  /** Files that are new, or not as last seen. */
  readonly changed: readonly { readonly path: SitePath; readonly stat: Stat }[];
  /** Files we saw and that are there no more. */
  readonly gone: readonly SitePath[];
  /** Files the ledger speaks of, that are not there, and that we never saw there. */
  readonly unapplied: readonly SitePath[];
  readonly left: readonly NotSynced[];
  readonly ignored: number;
  /** What each rule left out, the rules with most first. */
  readonly byRule: readonly LeftByRule[];
  readonly files: number;
  /** Entries directly in the root, our own apart: none at all is a warning. */
  readonly rootEntries: number;
}

/** Looks at the whole folder. Throws `too-many-files`, and the problem of the root, a disk or the process. */
export function scanAll(
  fs: Fs,
  root: string,
  known: Known & { entries(): Iterable<[SitePath, Line]> },
  rules: ScanRules,
): ScanResult {
  const handles = new DirectoryHandles(fs, root);
  try {
    const scan = new Scan(fs, handles, known, rules);
    scan.folder('');
    scan.absent(known.entries());
    return scan.result();
  } finally {
    handles.close();
  }
}

/** Looks at some paths: a file, or a folder with all below it. Throws as {@link scanAll} does. */
export function scanPaths(fs: Fs, root: string, known: Known, rules: ScanRules, paths: Iterable<SitePath>): ScanResult {
  const handles = new DirectoryHandles(fs, root);
  try {
    const scan = new Scan(fs, handles, known, rules);
    for (const path of paths) scan.path(path);
    scan.goneFolders();
    return scan.result();
  } finally {
    handles.close();
  }
}

class Scan {
  readonly #fs: Fs;
  readonly #handles: DirectoryHandles;
  readonly #known: Known;
  readonly #rules: ScanRules;
  readonly #notDurable: ReadonlyMap<SitePath, NotSyncedReason>;
  readonly #held: ReadonlySet<SitePath>;
  readonly #ignore: IgnoreRules;
  readonly #rulesBefore: RulesBefore | undefined;
  readonly #met = new Set<SitePath>();
  /** Folders whose contents we could not see: nothing in them counts as gone. */
  readonly #blind: string[] = [];
  readonly #learned = new Set<string>();
  readonly #absentFolders = new Set<SitePath>();
  /** Whether folders on the way to touched paths are looked into. */
  readonly #entered = new Map<SitePath, boolean>();
  /** The files that belong to databases, of folders that were listed; of others, how often one was asked for. */
  readonly #companions = new Map<string, ReadonlySet<SitePath> | number>();
  readonly #changed: { path: SitePath; stat: Stat }[] = [];
  readonly #gone = new Set<SitePath>();
  readonly #unapplied = new Set<SitePath>();
  readonly #left = new Map<SitePath, NotSyncedReason>();
  readonly #byRule = new Map<string, Counted>();
  readonly #errors: PathErrors;
  #ignored = 0;
  #files = 0;
  #rootEntries = 0;

  constructor(fs: Fs, handles: DirectoryHandles, known: Known, rules: ScanRules) {
    this.#fs = fs;
    this.#handles = handles;
    this.#known = known;
    this.#rules = rules;
    this.#notDurable = new Map(rules.notDurable?.map(({ path, reason }) => [path, reason]));
    this.#held = new Set(rules.held);
    this.#ignore = createIgnoreRules(rules);
    this.#rulesBefore = rules.comparesRules ? createRulesBefore(rules) : undefined;
    this.#errors = new PathErrors(
      (errno, cause) => new Problem('folder-unreadable', { folder: handles.site, errno }, { cause }),
    );
  }

  result(): ScanResult {
    return {
      changed: this.#changed,
      gone: [...this.#gone],
      unapplied: [...this.#unapplied],
      left: [...this.#left].map(([path, reason]) => ({ path, reason })),
      ignored: this.#ignored,
      byRule: [...this.#byRule.values()].sort((a, b) => b.count - a.count).slice(0, mostRules),
      files: this.#files,
      rootEntries: this.#rootEntries,
    };
  }

  /** Everything in and below a folder. */
  folder(path: string): void {
    const entries = this.#list(path);
    if (!entries) return;
    if (path === '') this.#rootEntries = entries.filter(({ name }) => !isStaging(sitePath(name))).length;
    this.#learn(path);
    const listed = entries.map(({ name, kind }) => ({ kind, text: sitePath(name) }));
    this.#companions.set(path, companionsIn(path, listed));
    for (const { text, kind } of listed) {
      if (isStaging(text)) continue;
      const below = join(path, text);
      if (kind === 'directory') this.#subfolder(below);
      else this.#leaf(below, kind);
    }
  }

  /** One path that was touched; its parents' rules apply to it. */
  path(path: SitePath): void {
    if (path.split('/').some((name) => isStaging(name))) return;
    if (this.#met.has(path)) return;
    this.#learn('');
    // From the root down: what a folder's rules say counts before those of the folders in it are asked.
    for (const folder of foldersTo(parentOf(path)) as SitePath[]) {
      const way = this.#enters(folder);
      if (way === 'no') return;
      // One of its files is reported as gone, so all that was below it is.
      if (way === 'ends') return this.#absentBelow(folder);
      this.#learn(folder);
    }
    let stat: Stat | undefined;
    try {
      stat = this.#handles.stat(path);
    } catch (error) {
      this.#unreadable(path, error);
      return;
    }
    if (stat?.kind === 'directory') this.#subfolder(path);
    else if (stat) this.#leaf(path, stat.kind, stat);
    this.absent([...this.#known.under(path)].map((at) => [at, this.#known.get(at)]));
  }

  /**
   * Many new files may be a folder that moved, and the events of where it was come later: known folders that are not there
   * any more belong to the same scan.
   */
  goneFolders(): void {
    const added = this.#changed.filter(({ path }) => !this.#known.has(path)).length;
    if (added <= manyNew) return;
    for (const folder of this.#known.folders()) {
      const isBelowGone = foldersTo(folder).some((above) => this.#absentFolders.has(above as SitePath));
      if (!isBelowGone && !this.#handles.mayHold(folder)) this.#absentBelow(folder);
    }
  }

  #absentBelow(folder: SitePath): void {
    if (this.#absentFolders.has(folder)) return;
    this.#absentFolders.add(folder);
    this.absent([...this.#known.under(folder)].map((at) => [at, this.#known.get(at)]));
  }

  /** Of these known paths, those that were not met. */
  absent(lines: Iterable<[SitePath, Line | undefined]>): void {
    for (const [path, line] of lines) {
      if (!line || line.refused || this.#met.has(path) || this.#left.has(path) || this.#passesOver(path)) continue;
      if (this.#blind.some((folder) => folder === '' || path === folder || path.startsWith(`${folder}/`))) continue;
      if (line.seen) this.#gone.add(path);
      else this.#unapplied.add(path);
    }
  }

  /**
   * Whether the way to a touched path leads into a folder. It `ends` where there is none; `no`: what is below is left
   * out, for the reason that a full scan would find.
   */
  #enters(path: SitePath): 'yes' | 'ends' | 'no' {
    let kind: Stat['kind'] | undefined;
    try {
      kind = this.#handles.folderIfThere(path) === undefined ? this.#handles.stat(path)?.kind : 'directory';
    } catch (error) {
      this.#unreadable(path, error);
      return 'no';
    }
    if (kind === 'directory') {
      const enters = this.#entered.get(path) ?? this.#admits(path);
      this.#entered.set(path, enters);
      return enters ? 'yes' : 'no';
    }
    if (kind === 'link' && this.#rules.links) {
      this.#leaf(path, kind);
      return 'ends';
    }
    if (kind === 'link' || kind === 'other') {
      this.#leave(path, { kind: kind === 'link' ? 'link' : 'special' });
      return 'no';
    }
    return this.#mayEnter(path) ? 'ends' : 'no';
  }

  #subfolder(path: SitePath): void {
    const name = path.slice(path.lastIndexOf('/') + 1);
    if (isGitInDisguise(name)) {
      this.#left.set(path, { kind: 'nested-repository' });
      return;
    }
    if (unsafePath(path)) {
      this.#leave(path, { kind: 'bad-name' });
      return;
    }
    if (this.#admits(path)) this.folder(path);
  }

  /** Whether a folder is looked into; one that is not is named, or counted for the rule that leaves it out. */
  #admits(path: SitePath): boolean {
    // The branch has something at this name that is not written here; what the folder has there cannot be synced.
    const refused = this.#known.get(path)?.refused;
    if (refused) {
      this.#leave(path, refused);
      return false;
    }
    return this.#tracks(path) || (this.#mayEnter(path) && !this.#isRepository(path));
  }

  /** False for an ignored folder with nothing tracked in it. */
  #mayEnter(path: SitePath): boolean {
    if (this.#tracks(path)) return true;
    const caught = this.#ignore.caught(path, 'directory');
    if (!caught) return true;
    this.#caught(path, caught);
    return false;
  }

  /** `seen`: what it is, where that is known already. */
  #leaf(path: SitePath, kind: Stat['kind'], seen?: Stat): void {
    // Asked about by itself and as part of its folder: once is enough.
    if (this.#met.has(path)) return;
    const there = this.#isSynced(kind) ? (seen ?? this.#ifTracked(path)) : undefined;
    if (there && this.#known.isUnchanged(path, there) && !this.#isPassedOver(path)) return this.#meet(path);
    const line = this.#known.get(path);
    if (line?.refused) return;
    if (this.#passesOver(path)) return;
    if (this.#held.has(path)) return this.#leave(path, { kind: 'conflict' });
    if (kind === 'link' && !this.#rules.links) return this.#leave(path, { kind: 'link' });
    if (kind === 'other') return this.#leave(path, { kind: 'special' });
    if (unsafePath(path))
      return this.#leave(path, {
        kind: isGitInDisguise(path.slice(path.lastIndexOf('/') + 1)) ? 'nested-repository' : 'bad-name',
      });
    if (!line) {
      const caught = this.#ignore.caught(path, 'file');
      if (caught) return this.#caught(path, caught);
      const before = this.#rulesBefore?.excluded(path);
      if (before !== undefined) return this.#excludedBefore(before, before !== path);
    }
    this.#countFile();
    let stat = there;
    try {
      stat ??= this.#handles.stat(path);
    } catch (error) {
      return this.#unreadable(path, error);
    }
    // Gone or replaced since the folder was listed: the next scan tells.
    if (!stat) return;
    if (!this.#isSynced(stat.kind)) return void this.#blind.push(path);
    this.#met.add(path);
    if (sameSeen(line?.seen, stat)) return;
    if (stat.kind === 'link') return this.#link(path, stat);
    if (isOpenDatabase(path, (beside) => this.#sizeOf(beside))) return this.#leave(path, { kind: 'open-database' });
    // What only belongs to a database goes when that is closed.
    const database = databaseOf(path);
    if (database !== undefined && isOpenDatabase(database, (beside) => this.#sizeOf(beside)) && this.#isFile(database))
      return line ? this.#leave(path, { kind: 'open-database' }) : undefined;
    if (stat.size > this.#rules.fileBytes) {
      return this.#leave(path, { kind: 'too-large', bytes: stat.size, limit: this.#rules.fileBytes });
    }
    if (this.#opens(path)) this.#changed.push({ path, stat });
  }

  #isSynced(kind: Stat['kind']): boolean {
    return kind === 'file' || (kind === 'link' && this.#rules.links === true);
  }

  #link(path: SitePath, stat: Stat): void {
    try {
      const target = this.#fs.readLink(this.#handles.folder(parentOf(path)), nameOf(path));
      if (staysInside(path, targetText(target))) this.#changed.push({ path, stat });
      else this.#leave(path, { kind: 'link-outside' });
    } catch (error) {
      // Gone or replaced since it was listed: the next scan tells.
      if (!isAbsent(error)) this.#unreadable(path, error);
    }
  }

  #ifTracked(path: SitePath): Stat | undefined {
    return this.#known.has(path) ? this.#handles.statQuietly(path) : undefined;
  }

  /** For a reason that counts whether the file has changed or not. */
  #isPassedOver(path: SitePath): boolean {
    return this.#notDurable.has(path) || this.#held.has(path);
  }

  #meet(path: SitePath): void {
    this.#countFile();
    this.#met.add(path);
  }

  #countFile(): void {
    this.#files += 1;
    if (this.#files > this.#rules.files) throw new Problem('too-many-files', { limit: String(this.#rules.files) });
  }

  #isFile(path: SitePath): boolean {
    return this.#handles.statQuietly(path)?.kind === 'file';
  }

  /** Of a file that belongs to a database. Most folders have none: a folder that is asked for many is listed instead. */
  #sizeOf(path: SitePath): number | undefined {
    const folder = parentOf(path);
    let known = this.#companions.get(folder) ?? 0;
    if (known === mostAsked) known = this.#listCompanions(folder) ?? 0;
    this.#companions.set(folder, typeof known === 'number' ? known + 1 : known);
    if (typeof known !== 'number' && !known.has(path)) return undefined;
    const stat = this.#handles.statQuietly(path);
    return stat?.kind === 'file' ? stat.size : undefined;
  }

  /** A file that cannot be opened is named, not tried again and again. */
  #opens(path: SitePath): boolean {
    try {
      close(this.#fs, this.#fs.openFile(this.#handles.folder(parentOf(path)), nameOf(path)));
      return true;
    } catch (error) {
      // Gone since it was listed: the next scan tells.
      if (!isAbsent(error)) this.#unreadable(path, error);
      return false;
    }
  }

  #listCompanions(folder: string): ReadonlySet<SitePath> | undefined {
    const entries = unlessErrno(() => this.#fs.list(this.#handles.folder(folder)));
    return (
      entries &&
      companionsIn(
        folder,
        entries.map(({ name }) => ({ text: sitePath(name) })),
      )
    );
  }

  #passesOver(path: SitePath): boolean {
    const reason = this.#notDurable.get(path);
    if (reason) this.#leave(path, reason);
    return reason !== undefined;
  }

  #list(path: string): ReturnType<Fs['list']> | undefined {
    try {
      return this.#fs.list(this.#handles.folder(path));
    } catch (error) {
      if (path === '') throw rootProblem(error, this.#handles.site);
      if (!isAbsent(error)) this.#unreadable(path as SitePath, error);
      return undefined;
    }
  }

  /** An error on the way to a path is never «the file is gone». */
  #unreadable(path: SitePath, error: unknown): void {
    // Every touched path below a folder meets it again, and it still counts as one path.
    if (this.#left.get(path)?.kind === 'unreadable') return void pathErrno(error);
    this.#leave(path, this.#errors.reason('unreadable', error));
  }

  #leave(path: SitePath, reason: NotSyncedReason): void {
    this.#left.set(path, reason);
    this.#blind.push(path);
  }

  #caught(path: SitePath, caught: Caught): void {
    this.#ignored += 1;
    const key = JSON.stringify([caught.by, caught.id ?? caught.rule, caught.folder]);
    const counted = this.#byRule.get(key) ?? { ...caught, count: 0, samples: [] };
    counted.count += 1;
    if (counted.samples.length < samplesOfRule) counted.samples.push(path);
    this.#byRule.set(key, counted);
    if (caught.by === 'secret') this.#left.set(path, { kind: 'secret' });
  }

  #excludedBefore(path: SitePath, isFolder: boolean): void {
    this.#ignored += 1;
    this.#left.set(path, { kind: 'was-ignored', ...(isFolder ? { folder: true } : {}) });
  }

  /** Names a folder that is a repository of its own, or may be. */
  #isRepository(path: SitePath): boolean {
    try {
      if (!this.#fs.stat(this.#handles.folder(path), Buffer.from('.git'))) return false;
      this.#leave(path, { kind: 'nested-repository' });
    } catch (error) {
      if (isAbsent(error)) return false;
      this.#unreadable(path, error);
    }
    return true;
  }

  #learn(folder: string): void {
    if (this.#learned.has(folder)) return;
    this.#learned.add(folder);
    const given = this.#rules.gitignores?.find(([place]) => place === folder)?.[1];
    const content = given ?? this.#readRules(folder);
    if (!content) return;
    this.#ignore.learn(folder, content);
    this.#rulesBefore?.learn(folder, content);
  }

  /** A folder's own rules; undefined where it has none. Those that cannot be read keep out everything new. */
  #readRules(folder: string): string | undefined {
    try {
      return readText(this.#fs, this.#handles, folder, '.gitignore');
    } catch (error) {
      if (isAbsent(error)) return undefined;
      // Rules we could not read are not rules that do not exist: what they keep out would be committed.
      const file = (folder === '' ? '.gitignore' : `${folder}/.gitignore`) as SitePath;
      this.#left.set(file, this.#errors.reason('unreadable', error));
      return everything;
    }
  }

  /** Whether anything at or below a folder is tracked. */
  #tracks(path: string): boolean {
    return this.#known.hasBelow(path);
  }
}

/**
 * A small file of rules, at most 256 KiB, one character per byte; undefined where there is none. Throws what the system
 * throws.
 */
export function readText(fs: Fs, handles: DirectoryHandles, folder: string, name: string): string | undefined {
  const dir = handles.folder(folder);
  const stat = fs.stat(dir, Buffer.from(name));
  if (stat?.kind !== 'file' || stat.size > rulesBytes) return undefined;
  return fs.readSmall(dir, Buffer.from(name), rulesBytes).toString('latin1');
}

const join = (folder: string, name: string): SitePath => (folder === '' ? name : `${folder}/${name}`) as SitePath;

function companionsIn(folder: string, entries: readonly { readonly text: string }[]): ReadonlySet<SitePath> {
  return new Set(entries.flatMap(({ text }) => (isCompanion(text) ? [join(folder, text)] : [])));
}

/** So many new files at once are looked at as a folder that may have moved. */
const manyNew = 20;

/** So many files that may belong to databases are asked for one by one in a folder. */
const mostAsked = 32;

/** So many rules are told, each with so many of the paths it leaves out. */
const mostRules = 200;
const samplesOfRule = 5;

interface Counted extends LeftByRule {
  count: number;
  readonly samples: SitePath[];
}

/** No file of rules is read that has more bytes. */
export const rulesBytes = 262_144;

/** While its rules cannot be read, nothing new of a folder travels. */
const everything = '*';
