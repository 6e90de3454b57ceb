import type { DiskFacts } from './disk.ts';
import type { BranchName, ConnectionId, ProjectId } from './instance.ts';
import type { Oid, SitePath, Tally } from './tree.ts';
import type { ProblemFacts } from './problem.ts';

export type SiteId = string & { readonly __brand: 'SiteId' };

/** A folder on disk with a name, and the branch it is connected to, if any. */
export interface Site {
  readonly id: SiteId;
  readonly name: string;
  /** Absolute, resolved, without a final slash. */
  readonly folder: string;
  /** ms since 1970. */
  readonly createdAt: number;
  readonly paused: boolean;
  /** It was paused together with all others, and goes on with them. */
  readonly pausedWithAll?: true;
  readonly binding?: Binding;
  /** The folder's identity when it was last good; a change means another folder stands in its place. */
  readonly root?: RootIdentity;
  readonly settings: SiteSettings;
}

export interface RootIdentity {
  readonly dev: string;
  readonly ino: string;
}

/** What ties a site to a branch. The numeric project id is the key; paths and URLs are looked up by it. */
export interface Binding {
  readonly connectionId: ConnectionId;
  readonly projectId: ProjectId;
  readonly projectPath: string;
  readonly webUrl: string;
  readonly cloneUrl: string;
  readonly branch: BranchName;
  /** The folder of the repository that is the site; absent: the whole of it. */
  readonly subfolder?: SitePath;
  /** When GitLab made the project, ms since 1970: tells it from another one of the same number. */
  readonly projectCreatedAt?: number;
  /** The repository's default branch as it was seen last. */
  readonly defaultBranch?: BranchName;
  /** The one it had when the site's branch was chosen: whoever chose another meant that one. */
  readonly defaultThen?: BranchName;
  /** ms since 1970. */
  readonly connectedAt: number;
  readonly webhook: Webhook;
  /** A switch to another branch that had begun: it holds if the ledger stands on its tip. */
  readonly switching?: { readonly branch: BranchName; readonly tip: Oid };
}

/** The default branch that the site does not follow, although it follows what was the default one before. */
export function newDefault({ branch, defaultBranch, defaultThen }: Binding): BranchName | undefined {
  return defaultThen === branch && defaultBranch !== branch ? defaultBranch : undefined;
}

/** What is known of the project hook that GitLab calls after a push. */
export type Webhook =
  | { readonly kind: 'none'; readonly reason: string; readonly hookId?: number }
  /** GitLab does not call this address. `hookId`, here and elsewhere: the hook that GitLab still has for us. */
  | { readonly kind: 'blocked'; readonly address: string; readonly hookId?: number }
  /**
   * Set up, without proof that it works: none came yet, or a push came without it (`missedAt`, ms since 1970). `said`:
   * GitLab's words when its test call failed.
   */
  | { readonly kind: 'waiting'; readonly hookId: number; readonly missedAt?: number; readonly said?: string }
  | { readonly kind: 'working'; readonly hookId: number; readonly lastDeliveryAt: number }
  /** No project hook that calls: the calls come through the instance's system hook. */
  | { readonly kind: 'system'; readonly lastDeliveryAt: number; readonly hookId?: number }
  /** GitLab calls it no more after too many failures; `resting`: only for a while. */
  | { readonly kind: 'disabled'; readonly hookId: number; readonly resting: boolean };

/** Whose version is live where both sides changed a path; `hold`: each side keeps its own until a person chooses. */
export type ConflictPolicy = 'repository' | 'site' | 'hold';

export interface SiteSettings {
  readonly policy: ConflictPolicy;
  /** Cron expression with five fields: how often the branch is looked at. */
  readonly poll: string;
  /** Cron expression with five fields: how often the whole folder is compared. */
  readonly rescan: string;
  /** A path is taken after this long without a change, in ms. */
  readonly quietMs: number;
  /** … and at the latest this long after its first change, in ms. */
  readonly quietMaxMs: number;
  readonly limits: SiteLimits;
  readonly keepDays: number;
  /** gitignore patterns for untracked paths, on top of the repository's own. */
  readonly ignore: readonly string[];
  /** Paths that look like secrets or server control files and are allowed all the same. */
  readonly allow: readonly string[];
  /** Built-in rules that do not count here, by id; absent: all count. */
  readonly builtInRulesOff?: readonly string[];
  readonly skipCi: boolean;
  /** Large files are synced with Git LFS: pointers in the repository, contents in the folder. */
  readonly lfs?: true;
  /** Whether a file may be executed is synced: git's mode 100755 is the x bit of its owner. */
  readonly executables?: true;
  /** Symbolic links that stay inside the site are synced. */
  readonly links?: true;
  /**
   * Owner and permissions of new files and folders; what is absent follows the folder they come into. Modes are
   * permission bits, as in 0o664.
   */
  readonly newEntries?: {
    readonly owner?: { readonly user: string; readonly group: string };
    readonly fileMode?: number;
    readonly folderMode?: number;
  };
  /** Existing files are replaced and removed even on a disk that cannot capture a save in the same instant. */
  readonly replacesWithoutCapture?: true;
  /** Author and committer of Mooring's commits; absent: the user whose connection it is. */
  readonly author?: { readonly name: string; readonly email: string };
  /** First line of a commit's message, with placeholders; absent: `{summary}`. */
  readonly subject?: string;
}

export interface SiteLimits {
  readonly fileBytes: number;
  readonly files: number;
  readonly siteBytes: number;
  /** Held when more paths than this … */
  readonly massPaths: number;
  /** … and more than this share of all would go. */
  readonly massShare: number;
}

export const defaultSettings: SiteSettings = {
  policy: 'repository',
  poll: '* * * * *',
  rescan: '*/5 * * * *',
  quietMs: 1_000,
  quietMaxMs: 30_000,
  limits: {
    fileBytes: 100 * 1024 * 1024,
    files: 200_000,
    siteBytes: 10 * 1024 * 1024 * 1024,
    massPaths: 20,
    massShare: 0.3,
  },
  keepDays: 90,
  ignore: [],
  allow: [],
  skipCi: false,
};

/** The words on screen: one of these is always true of a site. */
export type SiteState = 'in-sync' | 'syncing' | 'waiting' | 'retrying' | 'hold' | 'paused' | 'off' | 'unknown';

export interface SiteStatus {
  readonly state: SiteState;
  /** ms since 1970: since when the state holds. */
  readonly since: number;
  /** Last run that ended well. */
  readonly checkedAt?: number;
  readonly lastPull?: Moved;
  readonly lastPush?: Moved;
  readonly lastAttempt?: { readonly at: number; readonly result: string };
  /** Paths waiting to be taken from the folder, and since when the oldest commit waits to be pushed. */
  readonly waiting: { readonly toPull: number; readonly toPush: number; readonly oldestUnpushedAt?: number };
  readonly nextTryAt?: number;
  readonly problem?: ProblemFacts;
  readonly hold?: Hold;
  /** Paths that are not synced, with the reason; the first hundred. */
  readonly notSynced: readonly NotSynced[];
  readonly notSyncedCount: number;
  readonly progress?: Progress;
  readonly conflicts: number;
  /** What the site's disks can do, once that was tried; its own folder first. */
  readonly disks?: readonly DiskFacts[];
  readonly watched: boolean;
  /** Types of file systems of the site that other machines can change without this one's knowledge. */
  readonly changedElsewhere?: readonly string[];
  /** So often the whole folder is compared beside the schedule, since not every change is told. */
  readonly scannedEveryMs?: number;
}

/** A site of which nothing is known yet. Grey, never green. */
export function firstStatus(at: number, state: 'off' | 'paused' | 'unknown', disks?: SiteStatus['disks']): SiteStatus {
  return {
    state,
    since: at,
    waiting: { toPull: 0, toPush: 0 },
    notSynced: [],
    notSyncedCount: 0,
    conflicts: 0,
    watched: false,
    ...(disks?.length ? { disks } : {}),
  };
}

export interface Moved {
  readonly at: number;
  readonly files: number;
  readonly commit: Oid;
  readonly subject: string;
  readonly by?: string;
}

export interface NotSynced {
  readonly path: SitePath;
  readonly reason: NotSyncedReason;
}

/** What one rule leaves out: how many paths, and some of them. A folder counts once, with all that is in it. */
export interface LeftByRule {
  readonly by: RuleSource;
  readonly rule: string;
  /** Of a built-in rule. */
  readonly id?: string;
  /** Of a `.gitignore`: the folder it lies in, `''` for the root. */
  readonly folder?: string;
  readonly count: number;
  readonly samples: readonly SitePath[];
}

/** Where a rule stands: in a `.gitignore`, in the site's own list, or in one of Mooring's. */
export type RuleSource = 'gitignore' | 'site' | 'built-in' | 'secret';

/** Why a path is not synced. The page has a sentence for each. */
export type NotSyncedReason =
  | { readonly kind: 'link' }
  /** Links are synced, but this one may lead out of the site. */
  | { readonly kind: 'link-outside' }
  | { readonly kind: 'submodule' }
  | { readonly kind: 'special' }
  | { readonly kind: 'nested-repository' }
  /** `errno`, here and below: what the file system answered. Older versions stored none where rights are missing. */
  | { readonly kind: 'unreadable'; readonly errno?: string }
  | { readonly kind: 'unwritable'; readonly errno?: string }
  /** Replacing it would take it from its owner (`uid`) or its group (`gid`), who could use it until now. */
  | { readonly kind: 'owner'; readonly uid?: number; readonly gid?: number }
  | { readonly kind: 'unremovable'; readonly errno?: string }
  | { readonly kind: 'too-large'; readonly bytes: number; readonly limit: number }
  | { readonly kind: 'too-many' }
  | { readonly kind: 'secret' }
  | { readonly kind: 'control-file' }
  | { readonly kind: 'bad-name' }
  | { readonly kind: 'collides'; readonly with: SitePath }
  | { readonly kind: 'lfs-pointer' }
  /** `text`: what GitLab said. */
  | { readonly kind: 'lfs-missing'; readonly text?: string }
  | { readonly kind: 'lfs-damaged' }
  | { readonly kind: 'ignored-in-the-way' }
  | { readonly kind: 'never-quiet' }
  /** Synced as it is: its lines end in more than one way, and `.gitattributes` want one. */
  | { readonly kind: 'mixed-line-endings' }
  /** A program has the database open, or left it in the middle of a transaction: its file alone is no version. */
  | { readonly kind: 'open-database' }
  /** Left out by the rules of an earlier version and by none now: not committed before a person says so. */
  | { readonly kind: 'was-ignored'; readonly folder?: true }
  /** Both sides changed it, and each keeps its own version until a person chooses. */
  | { readonly kind: 'conflict' }
  /** GitLab would not take it; everything else goes on. */
  | { readonly kind: 'refused' }
  /** Replacing or removing it could lose a save in the same instant, on this disk; the site's settings may allow it. */
  | { readonly kind: 'no-capture' };

export interface Progress {
  readonly act: 'fetching' | 'pulling' | 'pushing' | 'reading';
  /** Files; git's objects while fetching and pushing. `total` 0: not known. */
  readonly done: number;
  readonly total: number;
  /** Bytes so far, where they are counted. */
  readonly bytes?: number;
  readonly bytesPerSecond?: number;
}

/** As {@link Progress}, also of work that is about sites and not one of its syncs. */
export type WorkProgress = Omit<Progress, 'act'> & { readonly act: Progress['act'] | 'checking' | 'handing-over' };

/** Somebody waits for work that may take long: it ends early when they leave, and tells them how far it is. */
export interface Asked {
  readonly signal: AbortSignal;
  readonly progress: (progress: WorkProgress) => void;
}

/** Stopped until a person chooses. `step` names exactly what they are asked about; another step asks again. */
export interface Hold {
  readonly code: HoldCode;
  readonly at: number;
  /** Names exactly what is asked: an answer to another question does not count. Opaque. */
  readonly step: string;
  /** Of `branch-lost-files` and `folder-lost-files`: the tip of the branch when the question came up. */
  readonly incoming?: Oid;
  /** Of `project-other`: when the project was created that has the site's number now. */
  readonly created?: string;
  readonly total: number;
  readonly tally: Tally;
  readonly samples: readonly { readonly path: SitePath; readonly mark: '+' | '~' | '-' }[];
  readonly choices: readonly HoldChoice[];
  /** GitLab's own words, cleaned: why it refuses. */
  readonly text?: string;
  /** Of `went-back`: what the branch lost. */
  readonly back?: WentBack;
}

/** How far a branch went back from the tip that both sides had agreed on. */
interface WentBack {
  /** The lost tip, and the one in its place when the question came up. Absent in what earlier versions stored. */
  readonly between?: { readonly known: Oid; readonly tip: Oid };
  /** Commits that it had and has no more. */
  readonly lost: number;
  /** Commits that it has and did not have then: pushed since. */
  readonly newer: number;
  /** When the newest commit was made that it still has of those both sides knew, in ms since 1970; absent: it has none. */
  readonly to?: number;
}

export type HoldCode =
  | 'folder-lost-files'
  | 'branch-lost-files'
  | 'root-missing'
  | 'root-changed'
  /** The state comes from a backup, and the folder is not the one it was made of. */
  | 'restored'
  | 'root-emptied'
  | 'history-rewritten'
  | 'went-back'
  | 'branch-missing'
  | 'push-refused'
  | 'reconnect'
  | 'project-missing'
  | 'project-archived'
  | 'project-other'
  | 'no-access'
  | 'application-unknown'
  /** Anything else that only a person can change; the problem says what. */
  | 'stopped';

/**
 * `put-back`: undo the loss on the side that lost. `go-on`: it was meant. `adopt`: this folder is the right one.
 * `leave-out`: make the refused commits anew without what is named.
 */
export type HoldChoice = 'put-back' | 'go-on' | 'adopt' | 'try-again' | 'leave-out';
