import type { ProblemFacts } from './problem.ts';
import type { HoldCode, SiteId, SiteStatus } from './site.ts';
import type { Oid, SitePath, Tally } from './tree.ts';

/** Why a run starts. A trigger carries no facts: the run checks for itself. */
export type Trigger = 'watch' | 'poll' | 'webhook' | 'rescan' | 'start' | 'person' | 'retry';

/** Everything worth telling. The bus adds `id` and `at`. */
export type SyncEvent =
  | { readonly kind: 'status'; readonly site: SiteId; readonly status: SiteStatus }
  | { readonly kind: 'run'; readonly site: SiteId; readonly run: RunRecord }
  | { readonly kind: 'act'; readonly act: AuditEntry };

export type Numbered = SyncEvent & { readonly id: number; readonly at: number };

/** One line of a site's activity. Facts only: the page makes the sentence. */
export interface RunRecord {
  readonly id: string;
  /** ms since 1970: when it began. */
  readonly at: number;
  readonly durationMs: number;
  readonly triggers: readonly Trigger[];
  readonly result:
    'pulled' | 'pushed' | 'merged' | 'connected' | 'held' | 'failed' | 'refused' | 'recovered' | 'restored';
  readonly before?: Oid;
  readonly after?: Oid;
  readonly pulled: Tally;
  readonly pushed: Tally;
  /** The first two hundred paths that moved. */
  readonly files: readonly {
    readonly mark: '+' | '~' | '-';
    readonly path: SitePath;
    readonly to: 'site' | 'gitlab';
  }[];
  readonly conflicts: readonly SitePath[];
  /** The first two hundred files that the repository no longer tracks and that stayed in the folder. */
  readonly letGo?: readonly SitePath[];
  readonly subject?: string;
  readonly by?: string;
  readonly hold?: HoldCode;
  readonly problem?: ProblemFacts;
  /** What git and GitLab said, control characters made visible, secrets masked. */
  readonly output: string;
}

/** What a person did. */
export interface AuditEntry {
  readonly id: string;
  readonly at: number;
  readonly by: string;
  readonly site?: SiteId;
  readonly act:
    | 'set-up'
    | 'configured-instance'
    | 'connected-gitlab'
    | 'added-site'
    | 'removed-site'
    | 'connected'
    | 'disconnected'
    | 'paused'
    | 'resumed'
    | 'paused-all'
    | 'resumed-all'
    | 'planned-maintenance'
    | 'asked-for-sync'
    | 'restored'
    | 'resolved'
    | 'chose'
    | 'allowed'
    | 'repository-moved'
    | 'switched-branch'
    | 'pushed-elsewhere'
    | 'handed-over'
    | 'webhook'
    | 'changed-settings'
    | 'renamed-site'
    /** Written before there were roles, as is `removed-admin`. */
    | 'added-admin'
    | 'removed-admin'
    | 'changed-password'
    | 'signed-out-everywhere'
    | 'removed-connection'
    | 'committed-as'
    | 'changed-commit-domains'
    | 'added-account'
    | 'changed-account'
    | 'removed-account'
    | 'made-api-token'
    | 'removed-api-token'
    | 'rotated-key'
    | 'applied';
  /** What it was done to, for the sentence: a repository and branch, a path, a choice. */
  readonly detail: string;
}
