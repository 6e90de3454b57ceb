import type { Writable } from 'node:stream';
import type { AccountActions, ApiTokenActions } from '../actions/accounts.ts';
import type { CommitAsActions } from '../actions/commit-as.ts';
import type { ConnectedSite } from '../actions/connected-site.ts';
import type { Connecting } from '../actions/connecting.ts';
import type { ConnectionActions } from '../actions/connections.ts';
import type { Decisions } from '../actions/decisions.ts';
import type { KeyActions } from '../actions/key.ts';
import type { HandOver } from '../actions/hand-over.ts';
import type { InstanceActions } from '../actions/instance.ts';
import type { NotificationActions } from '../actions/notifications.ts';
import type { OutgoingActions } from '../actions/outgoing.ts';
import type { PauseAllActions } from '../actions/pause-all.ts';
import type { RepositoryActions } from '../actions/repositories.ts';
import type { SettingsActions } from '../actions/settings.ts';
import type { SiteActions } from '../actions/sites.ts';
import type { SyncStatsActions } from '../actions/sync-stats.ts';
import type { SystemActions } from '../actions/system.ts';
import type { Apply } from '../declared/apply.ts';
import type { AutoApply } from '../declared/auto.ts';
import type { DeclaredPlaces } from '../declared/guard.ts';
import type { Account, Session } from '../model/account.ts';
import type { AfterRecord } from '../model/after.ts';
import type { DeliveryVerifier } from '../model/delivery-verifier.ts';
import type { AuditEntry, Numbered, RunRecord } from '../model/event.ts';
import type { Site, SiteId } from '../model/site.ts';
import type { SetUpCheck } from '../model/system.ts';

/**
 * All that the pages are handed; nothing else reaches them. Methods throw a `Problem` for whatever a person can do
 * something about; the failure middleware turns it into a page, a form handler may show it beside the field.
 */
export interface WebDeps {
  readonly about: {
    readonly version: string;
    /** Origin and sub-path under which browsers reach Mooring, no final slash. Links are made from this alone. */
    readonly publicUrl: string;
    /** Folders under which sites may lie. */
    readonly roots: readonly string[];
    readonly stateDir: string;
    /** Addresses and networks whose `X-Forwarded-For` is trusted; absent: none. */
    readonly trustedProxies?: readonly string[];
  };
  readonly now: () => number;
  readonly log: (level: 'debug' | 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;
  /** Lines that are logged while `work` goes on carry the request's id. */
  readonly inRequest: <T>(id: string, work: () => Promise<T>) => Promise<T>;

  readonly accounts: AccountActions;
  readonly apiTokens: ApiTokenActions;
  readonly instance: InstanceActions;
  readonly connections: ConnectionActions;
  readonly handOver: HandOver;
  readonly repositories: RepositoryActions;
  readonly sites: SiteActions;
  readonly pauseAll: Pick<PauseAllActions, 'now' | 'planned' | 'pause' | 'resume' | 'plan'>;
  readonly settings: SettingsActions;
  readonly connecting: Connecting & ConnectedSite;
  readonly decisions: Decisions;
  readonly commitAs: CommitAsActions;
  readonly system: SystemActions;
  readonly notifications: NotificationActions;
  readonly outgoing: OutgoingActions;
  readonly syncStats: Pick<SyncStatsActions, 'of' | 'all'>;

  readonly sessions: {
    /** A new session; the returned id goes into the cookie and is stored only as its hash. */
    create(account: Account): Promise<{ id: string; session: Session }>;
    find(id: string): Session | undefined;
    end(id: string): Promise<void>;
    /** Form token for a visitor without a session (sign-in, set-up): bound to a random cookie value. */
    visitorToken(cookie: string): string;
  };

  readonly history: {
    /** Newest first. */
    runs(id: SiteId, page: { limit: number; offset: number }): Promise<{ rows: readonly RunRecord[]; total: number }>;
    /** Of these runs, what was started after them. */
    after(id: SiteId, runs: readonly string[]): Promise<readonly AfterRecord[]>;
    /** `sites`: only what was done to these. */
    acts(page: {
      limit: number;
      offset: number;
      sites?: readonly SiteId[];
    }): Promise<{ rows: readonly AuditEntry[]; total: number }>;
  };

  readonly events: {
    /** Calls back with every event after `sinceId`, then live. Returns the way to stop. */
    follow(sinceId: number | undefined, listener: (event: Numbered) => void): () => void;
  };

  /** The text format of Prometheus. `sites`: only of these, and nothing of the installation. */
  readonly metrics: { render(sites?: readonly Site[]): Promise<string> };

  /** GitLab's call after a push. Answers at once; checks token and signature in constant time, on the raw body. */
  readonly webhook: (siteId: string, headers: Headers) => DeliveryVerifier;

  /** The call of the instance's system hook, for whichever site it concerns. */
  readonly systemHook: (headers: Headers) => DeliveryVerifier;

  /** What keeps Mooring from doing its work, a few words each; empty when nothing does. */
  readonly health: { faults(): Promise<readonly string[]> };

  /**
   * Everything about the set-up that can be wrong, as `mooring check` prints it, and the environment's settings that are
   * set, without secrets.
   */
  readonly setUp: { check(): Promise<readonly SetUpCheck[]>; settings(): Readonly<Record<string, string>> };

  /** For the operator alone: an archive of everything, and the key that it lacks. */
  readonly backups: {
    prepare(
      withRepositories: boolean,
      signal: AbortSignal,
    ): Promise<{ readonly leftOut: readonly string[]; write(to: Writable): Promise<void>; release(): Promise<void> }>;
    /** In hex. */
    key(): Promise<string>;
  };
  readonly key: KeyActions;

  /** What a file declares. The other actions refuse to change it, with `declared`. */
  readonly declared: DeclaredPlaces & AutoApply & { readonly apply: Apply; exported(): string };

  /** Aborted when the daemon stops: ends the live streams, so that the server can close. */
  readonly stopping?: AbortSignal;
}

type Headers = Readonly<Record<string, string | string[] | undefined>>;
