import type { DiskFacts } from '../model/disk.ts';
import type { KeptCause, KeptVersion } from '../model/plan.ts';
import type { LeftByRule, NotSynced, NotSyncedReason, Progress, RootIdentity } from '../model/site.ts';
import type { Copied, Pointer } from '../model/lfs.ts';
import type { Subfolder } from '../model/subfolder.ts';
import type { Change, Entry, Mode, Oid, SitePath } from '../model/tree.ts';

/** What the engine asks of the world, in the engine's own words. */

/** The refs of one site: the ledger. An absent member is an absent ref. */
export interface Ledger {
  /** Commit whose tree is what we believe is on disk, path by path. */
  readonly disk?: Oid;
  /** The branch as last seen. */
  readonly remote?: Oid;
  /** The commit being applied to the directory: the journal. */
  readonly pending?: Oid;
  /** The commit last offered to GitLab. */
  readonly offered?: Oid;
  /** A person's choice: a commit on top of `disk` that waits to be pushed and applied. */
  readonly choice?: Oid;
  /**
   * The tree to merge from, where history cannot say: after a first connect or a rewritten branch was applied in part.
   * While it stands, history on both sides is meaningless for deciding who is ahead.
   */
  readonly base?: Oid;
  /**
   * The branch went back, and a person has not answered yet: a commit that was made when it was first seen, and names the
   * tip that was seen.
   */
  readonly back?: Oid;
  /** The ledger comes from a backup, and the folder was not compared with the branch since: what `disk` was then. */
  readonly restored?: Oid;
}

export type LedgerName = keyof Ledger;

/** How two commits stand to each other. */
export type Relation = 'equal' | 'ahead' | 'behind' | 'diverged' | 'unrelated';

/** How far two commits are apart. */
export interface Apart {
  /** Commits that only the first has, and those that only the second has. */
  readonly ours: number;
  readonly theirs: number;
  /** Committer's time of the newest commit that both have, seconds since 1970; absent: they have none in common. */
  readonly since?: number;
}

export interface Author {
  readonly name: string;
  readonly email: string;
}

/** A path to record, and how to read it. `read` gives undefined when the file changed meanwhile: then it waits. */
export interface PendingFile {
  readonly path: SitePath;
  /** Absent: the path is gone. */
  readonly file?: { readonly mode: Mode; readonly open: () => Promise<OpenFile | undefined> };
}

export interface OpenFile {
  readonly size: number;
  /** Exactly `size` bytes, padded when the file shrank. */
  readonly chunks: AsyncIterable<Buffer>;
  /** After the last chunk: true if the file was the same from the first byte to the last. Closes it. */
  finish(): boolean;
}

export interface CommittedFiles {
  /** The new commit, or the parent when nothing differed. */
  readonly commit: Oid;
  readonly entries: ReadonlyMap<SitePath, Entry | undefined>;
  /** Paths that changed while they were read. */
  readonly unsteady: readonly SitePath[];
}

export interface TreeFile extends Entry {
  readonly path: SitePath;
  /** Bytes; 0 for submodules. */
  readonly size: number;
}

export interface MergeConflict {
  readonly path: SitePath;
  readonly kind: string;
  readonly base?: Entry;
  readonly ours?: Entry;
  readonly theirs?: Entry;
}

export interface Merged {
  readonly tree: Oid;
  readonly conflicts: readonly MergeConflict[];
  /** Every path of the merged tree that a conflict left a trace in, as git staged it. */
  readonly staged: readonly SitePath[];
}

export interface HeldPath {
  readonly path: SitePath;
  /** The merge that left it open, or the commit that leaves it out. */
  readonly by: Oid;
  /** GitLab refused what the folder has there: not pushed until that changes. `oid`: that content. */
  readonly refused?: { readonly oid: Oid; readonly text: string };
}

/** A path whose content GitLab refused. */
export interface WaitingPath extends Entry {
  readonly path: SitePath;
  readonly text: string;
}

/** A commit of ours that GitLab does not have. */
export interface OwnCommit {
  readonly oid: Oid;
  readonly parents: readonly Oid[];
  readonly author: Author;
  readonly message: string;
  /** Against its parent; empty for a merge. */
  readonly changes: readonly Change[];
}

export interface CommitFacts {
  readonly tree: Oid;
  readonly parents: readonly Oid[];
  /** Committer's time, seconds since 1970. */
  readonly at: number;
  readonly author: string;
  readonly subject: string;
  /** The message after its subject. */
  readonly body: string;
}

interface CommitRequest {
  readonly parents: readonly Oid[];
  /** The tree to begin from. */
  readonly tree: Oid;
  /** Paths to set (or, with `entry` absent, to remove) on top of it. */
  readonly edits?: readonly { readonly path: SitePath; readonly entry?: Entry }[];
  readonly message: string;
  /** Absent: whose connection it is now, who is always the committer. */
  readonly author?: Author;
}

/** What `.gitattributes` say in the folders of the repository above a site. */
export interface Above {
  readonly site: Subfolder;
  /** By folder, `''` for the top; one character per byte. */
  readonly texts: ReadonlyMap<string, string>;
}

/** One bare git repository per site, outside the site. Every method may be called again after a crash. */
export interface Repository {
  /** Creates it where it is missing and clears what a killed git left behind. */
  prepare(signal?: AbortSignal): Promise<void>;
  /**
   * Turns the view to another folder of the repository: from then on trees, paths and differences are those below it,
   * and commits leave alone what lies around. Only while the site is not connected.
   */
  view(subfolder: Subfolder): void;
  ledger(): Promise<Ledger>;
  /** Moves refs in one transaction; `null` removes one. Fails if a ref is not what `expect` says. */
  updateRefs(
    changes: Partial<Record<LedgerName, Oid | null>>,
    expect?: Partial<Record<LedgerName, Oid | null>>,
  ): Promise<void>;
  relation(ours: Oid, theirs: Oid): Promise<Relation>;
  apart(ours: Oid, theirs: Oid): Promise<Apart>;
  /**
   * Whether a merge of two commits can take over what lies around the site's folder from one of them. Always so where the
   * site is the whole of its repository.
   */
  mayJoin(ours: Oid, theirs: Oid): Promise<boolean>;
  /** Commits that `commit` has and the branch's tip has not, oldest first. */
  unpushed(commit: Oid, tip: Oid | undefined): Promise<readonly OwnCommit[]>;
  /** Commits of lines that were given up as refused which `tip` has all the same, and `local` has not. */
  arrived(tip: Oid, local: Oid): Promise<readonly Oid[]>;
  /**
   * Puts `to` in the place of `from` as what is on disk, in one transaction with the paths that wait: those that waited
   * by a commit of the old line wait by the new one, and `waiting` join them.
   */
  replaceLine(from: Oid, to: Oid, waiting: readonly WaitingPath[]): Promise<void>;
  commit(oid: Oid): Promise<CommitFacts>;
  /** Remembered; a site that is the whole of its repository, or whose commit was read before, starts no process. */
  attributesAbove(commit: Oid): Promise<Above>;
  /** All files of a commit. Throws `too-many-files` past the limit. */
  files(commit: Oid, limit: number): Promise<readonly TreeFile[]>;
  /**
   * How many files a commit has; after a change only what differs is counted. Throws `too-many-files` past the limit, at
   * the first file too many.
   */
  count(commit: Oid, limit: number): Promise<number>;
  /** Differences between two commits; `undefined` stands for the empty tree. */
  changes(from: Oid | undefined, to: Oid | undefined): Promise<readonly Change[]>;
  /**
   * Records paths on top of `parent` in one go. Refuses paths that git must not hold. `author`: absent, whose connection
   * it is, who is always the committer.
   */
  commitFiles(
    parent: Oid | undefined,
    pending: readonly PendingFile[],
    message: (changes: readonly Change[]) => string,
    author?: Author,
  ): Promise<CommittedFiles>;
  /** Three-way merge of two commits; `base` where history cannot tell it. Nothing is written but objects. */
  merge(ours: Oid, theirs: Oid, base?: Oid): Promise<Merged>;
  /** Makes a commit from a tree and edits. */
  createCommit(request: CommitRequest): Promise<Oid>;
  /** Bytes of each content, in the order asked. */
  sizes(oids: readonly Oid[]): Promise<readonly number[]>;
  /** Contents, in the order asked. The chunks of one must be read before the next comes. */
  blobs(oids: readonly Oid[]): AsyncIterable<{ oid: Oid; size: number; chunks: AsyncIterable<Buffer> }>;
  /** Paths that wait for a person. */
  held(): Promise<readonly HeldPath[]>;
  /** Notes paths that wait, with their versions, so that these stay reachable. `by`: the merge that left them open. */
  hold(paths: readonly Pick<MergeConflict, 'path' | 'base' | 'ours' | 'theirs'>[], by: Oid): Promise<void>;
  release(paths: readonly SitePath[]): Promise<void>;
  /** Puts a damaged repository aside, under a name that tells when, and begins an empty one. */
  setAside(): Promise<void>;
  /**
   * Housekeeping for an idle moment: kept versions older than `keepAfter` (ms since 1970) go, unreachable objects of more
   * than two weeks go, the rest is packed. May be broken off at any time.
   */
  maintain(keepAfter: number, signal?: AbortSignal): Promise<void>;
  /**
   * Puts the small packs together that edits and fetches leave, one each; what nothing refers to is kept. Only between two
   * runs, as `maintain`.
   */
  fold(signal?: AbortSignal): Promise<void>;
  /** Keeps a commit's tree under its own ref, with what is needed to give it back. */
  keep(request: KeepRequest): Promise<string>;
  kept(): Promise<readonly KeptVersion[]>;
  /** The kept commit's files and their modes as they were on disk. */
  keptFiles(id: string): Promise<{ tree: Oid; files: readonly TreeFile[]; modes: ReadonlyMap<SitePath, KeptMode> }>;
}

interface KeepRequest {
  readonly cause: KeptCause;
  /** ms since 1970. */
  readonly at: number;
  readonly commit: Oid;
  readonly files: number;
  readonly bytes: number;
  readonly modes?: ReadonlyMap<SitePath, KeptMode>;
}

/** A file's permissions and owner when it was kept. */
export interface KeptMode {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** The branch on GitLab. */
export interface Remote {
  /**
   * The branch's tip; `absent` when there is no such branch (an empty repository has none). `told`: somebody says that it
   * moved, or wants to know for certain.
   */
  head(signal?: AbortSignal, told?: boolean): Promise<Oid | 'absent'>;
  /** Brings the branch's commits here and returns its tip, or `absent`. Moves no ref of the ledger. */
  fetch(signal?: AbortSignal, progress?: (progress: Progress) => void): Promise<Oid | 'absent'>;
  /**
   * Somebody says that the branch is at `tip` now. The next check may fetch it meanwhile; whether it is true is what the
   * check finds.
   */
  expectTip?(tip: Oid): void;
  /** A push is likely in this run: what must be asked before it is asked from now on, beside other work. */
  expectPush?(signal?: AbortSignal): void;
  /**
   * Moves the branch from `expected` (null: must not exist) to `commit`. Only ever called with a descendant of
   * `expected`, so it cannot force anything.
   */
  push(
    commit: Oid,
    expected: Oid | null,
    options: { skipCi: boolean },
    signal?: AbortSignal,
    progress?: (progress: Progress) => void,
  ): Promise<PushResult>;
}

export type PushResult =
  /** `text`: what GitLab said along with it, cleaned; absent where it said nothing. */
  | { readonly kind: 'done'; readonly output: string; readonly text?: string }
  /** Someone pushed meanwhile: look again. */
  | { readonly kind: 'moved'; readonly output: string }
  /** GitLab's own words, cleaned. */
  | { readonly kind: 'refused'; readonly text: string; readonly output: string };

/**
 * `gather`: paths at rest may wait a little for others that still change, so that a burst becomes one commit. `take`: they
 * do not. `at once`: nor does a path that changes constantly wait for its turn.
 */
export type Burst = 'gather' | 'take' | 'at once';

/** What a scan of the directory found. */
export interface ScanReport {
  /** Paths to record, settled and readable. */
  readonly pending: readonly PendingFile[];
  /** Paths that changed too recently; look again in `againInMs`. */
  readonly unsettled: readonly SitePath[];
  readonly againInMs?: number;
  /** Paths the ledger says are on disk, that are not there and that we never saw there: written again, never deleted. */
  readonly unapplied: readonly SitePath[];
  readonly notSynced: readonly NotSynced[];
  /** True after a full scan. */
  readonly whole: boolean;
  readonly files: number;
}

export interface ApplyRequest {
  /** What to change, against what the ledger says is there. */
  readonly changes: readonly Change[];
  /** What the folder follows; absent: it stays with the ledger's commit. */
  readonly commit?: Oid;
  /** Of the removals, files that stay in the folder where its rules leave them alone then. */
  readonly letGo?: ReadonlySet<SitePath>;
  /** Permissions for paths that come back from a kept version. */
  readonly modes?: ReadonlyMap<SitePath, KeptMode>;
  readonly blobs: Repository['blobs'];
  readonly sizes: Repository['sizes'];
  readonly progress?: ((progress: Progress) => void) | undefined;
  /** Breaks it off while contents are fetched and staged; once files change their names it is carried through. */
  readonly signal?: AbortSignal | undefined;
}

export interface Applied {
  readonly applied: readonly SitePath[];
  /** Busy: not what the ledger says is there. Left alone, looked at again. */
  readonly skipped: readonly SitePath[];
  /** Not ours to write: counted as agreed, never written, never scanned. */
  readonly refused: readonly NotSynced[];
  /** Of the applied, files that the tree no longer has and that stayed where they are, untracked and ignored. */
  readonly letGo: readonly SitePath[];
  /** Of the skipped, those that the disk does not let us remove or replace: waiting a moment does not help. */
  readonly staying: readonly NotSynced[];
  /**
   * Of the staying, those that have arrived under names which a power cut may take back. `there`: what is there now;
   * absent: nothing.
   */
  readonly notDurable: readonly (NotSynced & { readonly there?: Entry })[];
}

/** A content that was written into a file after it had been replaced. */
export interface LateWrite {
  readonly path: SitePath;
  readonly before: Oid;
  readonly file: PendingFile;
  /** Call once it is recorded: only then the last copy on disk goes. */
  done(): void;
}

/** One file of a folder that is not connected yet. */
export interface SurveyedFile {
  readonly path: SitePath;
  readonly oid: Oid;
  /** As in {@link Directory.entryAt}. */
  readonly mode: Mode;
  readonly size: number;
  readonly pending: PendingFile;
}

/** A folder's contents, read without writing anything anywhere. */
export interface Survey {
  readonly files: readonly SurveyedFile[];
  /** Files that changed while they were read. */
  readonly changing: readonly SitePath[];
  readonly left: readonly NotSynced[];
  readonly ignored: number;
}

/** Where contents are that the repository only points to. */
export interface LargeContents {
  /** Keeps a content that was taken from the folder, until a push uploads it. */
  keep(chunks: AsyncIterable<Buffer>): Promise<Pointer>;
  /**
   * Copies the contents of pointers one after another, from here or from GitLab, where they are asked for together, in
   * this order. What was written counts only when a copy is `done`. Throws what a network throws.
   */
  copier(
    pointers: readonly Pointer[],
    signal?: AbortSignal,
  ): (pointer: Pointer, write: (chunk: Buffer) => Promise<void>) => Promise<Copied>;
}

/** Whose `.gitattributes` count: in place of the folder's own, and above it in place of those of the ledger's commit. */
export interface Bringing {
  readonly files?: readonly TreeFile[];
  readonly commit?: Oid;
}

/** What each rule leaves out, as it was `at` that time, in ms since 1970. */
export interface LeftByRules {
  readonly at: number;
  readonly rules: readonly LeftByRule[];
}

/** One site's folder. */
export interface Directory {
  /**
   * The folder is there, a directory, listable, and not suddenly empty. Throws `folder-*`. As everything here that
   * touches the disk, it also throws `disk-full`, `out-of-resources` and `state-failed`; what goes wrong at one path is
   * told of that path, and only where many meet the same it becomes `folder-unreadable` or `folder-unwritable`.
   */
  check(emptied?: 'not-emptied' | 'may-be-empty'): Promise<RootIdentity>;
  /** What was seen on disk counts no more: what the ledger says is there will be written again. */
  forget(): Promise<void>;
  /** Tells what the ledger says is on disk. Cheap when the manifest already agrees. */
  resetBaseline(disk: Oid | undefined, files: () => Promise<readonly TreeFile[]>): Promise<void>;
  /** Puts back what a crash or a failing disk left half-way. Before any scan. */
  recover(): Promise<{ readonly returned: readonly SitePath[] }>;
  scan(scope: 'touched' | 'all', burst?: Burst): Promise<ScanReport>;
  /**
   * Everything that would be synced, with its content's id: for the dry run of a first connect. `gitignores`: the rules the
   * repository will bring, which count already. `commit`: as in {@link Bringing}.
   */
  survey(gitignores?: readonly (readonly [folder: string, content: string])[], commit?: Oid): Promise<Survey>;
  /**
   * What the repository would get of a path now, without recording it; undefined when it is gone or nothing that is
   * synced. Whether it can be executed is left out: the mode is `100644`, or `120000` for a link. `expected`: what may
   * stand there as it is, also where LFS would point to it. Throws `file-unreadable` where that cannot be told.
   */
  entryAt(path: SitePath, expected?: Oid): Promise<Entry | undefined>;
  /** Whether anything at all stands at a path, or may, where that cannot be told. */
  has(path: SitePath): boolean;
  /**
   * What was recorded of the paths last scanned; `commit` is the ledger's new `disk`. Gives those of the unsteady that
   * could not be read: waiting a moment does not help.
   */
  recordFiles(taken: CommittedFiles): Promise<readonly NotSynced[]>;
  apply(request: ApplyRequest): Promise<Applied>;
  /** The ledger now says `commit`: `applied` paths are as in it. Durable before it returns. */
  saveBaseline(commit: Oid): Promise<void>;
  /** Looks once more at files replaced a while ago. */
  lateWrites(): Promise<readonly LateWrite[]>;
  /** Permissions of the paths, for keeping; of those that can be looked at. */
  modes(paths: readonly SitePath[]): ReadonlyMap<SitePath, KeptMode>;
  /** Of the paths, those that would be one file here with another of them: the one they meet. */
  collisions(paths: readonly SitePath[]): ReadonlyMap<SitePath, SitePath>;
  /** These paths wait for a person: neither scanned nor written. Others that did are ordinary again. */
  hold(paths: readonly SitePath[]): void;
  /** How to record what is at a path now. */
  pendingFile(path: SitePath): PendingFile;
  /**
   * Of the paths, those that stay as they are, since their disk could lose a save in the instant of a replacement and the
   * site's settings do not allow that. `known`: as far as it is known, without touching the folder. `tried`: throws
   * `folder-unwritable` where nothing can be written into the site at all.
   */
  uncaptured(paths: readonly SitePath[], how: 'known' | 'tried'): Promise<readonly SitePath[]>;
  /** Paths of the ledger that are not written here. */
  refused(): readonly SitePath[];
  /** Paths that the branch has no longer, or otherwise, and that we could not remove or replace when we last tried. */
  staying(): readonly SitePath[];
  /** Of the refused, what may be tried again, since what stood against it is gone. */
  overdue(): Promise<readonly Change[]>;
  /** Of a commit's files, those that would not be written here, and why. */
  refusals(files: readonly TreeFile[], bringing?: Bringing): Promise<ReadonlyMap<SitePath, NotSyncedReason>>;
  /** Of a commit's files, the pointers to large files that are not followed here. */
  pointersLeft(files: readonly TreeFile[], bringing?: Bringing): Promise<ReadonlySet<SitePath>>;
  /** What the rules left out at the last full scan; undefined until there was one. */
  leftByRule(): LeftByRules | undefined;
  /** Of the paths, those that `.gitignore` files with these contents ignore; one character per byte. */
  ignoredBy(
    gitignores: readonly (readonly [folder: string, content: string])[],
    paths: readonly SitePath[],
  ): ReadonlySet<SitePath>;
  /** Whether a path that is not tracked is left alone by the rules of the folder as it is now. */
  leaves(path: SitePath): boolean;
  /** What the rules of an earlier version left out until now and the present ones do not. It stays left out. */
  wasIgnored(): readonly NotSynced[];
  /** A person decided about that: the present rules count alone. Durable before it returns. */
  acceptRules(): Promise<void>;
  /** What the disks of the site can do, as far as that was tried; the site's own folder first. */
  readonly disks: readonly DiskFacts[];
  tracked(): number;
  close(): Promise<void>;
}
