import type { Account, ApiToken, Session } from '../model/account.ts';
import type { AuditEntry, Numbered, RunRecord } from '../model/event.ts';
import type {
  BranchChoice,
  BranchName,
  Connection,
  ConnectionId,
  Instance,
  Project,
  ProjectId,
  Scopes,
} from '../model/instance.ts';
import type { DeliveryVerifier } from '../model/delivery-verifier.ts';
import type { Conflict, Direction, KeptVersion, Plan } from '../model/plan.ts';
import type { Channel, Delivery, NoticeWebhookForm, NotificationsView } from '../model/notice.ts';
import type { ProblemFacts } from '../model/problem.ts';
import type { SetUp } from '../model/set-up.ts';
import type { PathVerdict, SettingsForm } from '../model/settings.ts';
import type { Hold, HoldChoice, LeftByRule, NotSynced, Site, SiteId, SiteStatus } from '../model/site.ts';
import type { Attention, SystemReport } from '../model/system.ts';
import type { SitePath } from '../model/tree.ts';

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
    /** Addresses and networks whose `X-Forwarded-For` is believed; absent: none. */
    readonly trustedProxies?: readonly string[];
  };
  readonly now: () => number;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;

  readonly accounts: {
    /** False until the first account exists; then the set-up page is gone for good. */
    exist(): boolean;
    /** Checks the one-time set-up code and makes the first account. */
    setUp(form: { code: string; name: string; password: string }): Promise<Account>;
    /** The account, or undefined after the same time for any wrong name or password. */
    check(name: string, password: string, address: string): Promise<Account | undefined>;
    all(): readonly Account[];
    /** Throws `form-invalid` with `field` and `text`. */
    add(form: { name: string; password: string }, by: string): Promise<Account>;
    /** Ends the account and its sessions. Throws `form-invalid` for the last one. */
    remove(id: string, by: string): Promise<void>;
    /**
     * Changes a person's own password and ends all their sessions. Throws `form-invalid` (`field: present`) when the
     * present one is wrong, `too-many-tries`.
     */
    changePassword(id: string, form: { present: string; password: string }, address: string): Promise<void>;
    /** Ends every session of an account. */
    signOutEverywhere(id: string): Promise<void>;
  };

  readonly sessions: {
    /** A new session; the returned id goes into the cookie and is stored only as its hash. */
    create(account: Account): Promise<{ id: string; session: Session }>;
    find(id: string): Session | undefined;
    end(id: string): Promise<void>;
    /**
     * Form token for a visitor without a session (sign-in, set-up): bound to a random cookie value.
     */
    visitorToken(cookie: string): string;
  };

  readonly instance: {
    get(): Instance | undefined;
    /** What would be derived from a GitLab URL; throws `instance-url-invalid` with `facts.hint`. */
    derive(url: string): { url: string; authorizeUrl: string; tokenUrl: string; apiUrl: string };
    /** `secret` empty keeps the old one (only while the URL stays the same). */
    configure(form: InstanceForm, by: string): Promise<Instance>;
    /** One line per thing that can be wrong, each checked on its own. Never throws. */
    test(): Promise<readonly Check[]>;
    /** The redirect URI to register in GitLab. */
    redirectUri: string;
    /** One hook for all sites, which only a GitLab admin can make. `url`: where it must call. */
    systemHook(): { url: string; isSet: boolean };
    /** A new secret for it, shown once. */
    makeSystemHook(by: string): Promise<string>;
    dropSystemHook(by: string): Promise<void>;
  };

  readonly connections: {
    /** This account's own usable grant, if any; with `id`: that connection, if the account made it and it works. */
    mine(accountId: string, id?: string): Connection | undefined;
    get(id: string): Connection | undefined;
    /** Where to send the browser; remembers state, PKCE verifier, session and site for ten minutes. */
    begin(session: { accountId: string; sessionKey: string }, site: SiteId): Promise<string>;
    /** The callback: checks state against the session, swaps the code. Returns the site it began from. */
    finish(
      session: { accountId: string; sessionKey: string },
      query: { state?: string; code?: string; error?: string; errorDescription?: string; iss?: string },
    ): Promise<{ site: SiteId; connection: Connection }>;
    /** An access token as the account's connection. Throws `form-invalid`, facts by field. */
    useToken(accountId: string, form: { accessToken: string; expires: string }): Promise<Connection>;
  };

  readonly repositories: {
    /** One page of what this connection may see, searched at GitLab, newest activity first. */
    list(connection: Connection, query: { search: string; page: number; before?: ProjectId }): Promise<RepositoryPage>;
    project(connection: Connection, id: ProjectId): Promise<Project>;
    /** The default branch first. */
    branches(connection: Connection, project: Project, search: string): Promise<BranchChoice>;
    /** The instance's page for a new project. */
    newProjectUrl(): string;
  };

  readonly sites: {
    all(): readonly Site[];
    get(id: string): Site | undefined;
    status(id: SiteId): SiteStatus;
    /** Subfolders of the roots, with why one cannot be used. */
    folders(): Promise<readonly FolderOffer[]>;
    add(form: { name: string; folder: string }, by: string): Promise<Site>;
    remove(id: SiteId, by: string): Promise<void>;
    /** `now`: what is under way is broken off; otherwise it ends first. */
    pause(id: SiteId, by: string, when?: 'now'): Promise<void>;
    resume(id: SiteId, by: string): Promise<void>;
    /** Triggers a run and does not wait for it. */
    syncNow(id: SiteId, by: string): Promise<void>;
  };

  readonly settings: {
    /** What each rule leaves out of the folder, when it was looked at last; undefined: not yet since the start. */
    leftByRule(id: SiteId): { readonly at: number; readonly rules: readonly LeftByRule[] } | undefined;
    /** Saves one page. Throws `form-invalid` whose facts are sentences by field. */
    save(id: SiteId, form: SettingsForm, by: string): Promise<Site>;
    /** Lets one path travel that looks like a secret or a server control file. */
    allow(id: SiteId, path: SitePath, by: string): Promise<void>;
    /** What an earlier version ignored and this one does not: it waits. `step` names exactly these paths. */
    wasIgnored(id: SiteId): { readonly step: string; readonly left: readonly NotSynced[] };
    /** Commits that from now on, or ignores it. Throws `plan-outdated`, and `form-invalid` with `text`. */
    decideRules(id: SiteId, step: string, choice: 'commit' | 'ignore', by: string): Promise<void>;
    /** A commit's message as a template would make it. */
    preview(id: SiteId, subject: string): Promise<{ text: string; from: 'last-push' | 'example' }>;
    /** Which rule catches a path, whether it exists or not. */
    explain(id: SiteId, path: SitePath): Promise<PathVerdict>;
    /** What is wrong with a schedule, as a sentence. */
    cronFault(expression: string): string | undefined;
    /** Name and e-mail that commits carry unless the site says otherwise. */
    author(id: SiteId): { name: string; email: string };
    /** How Mooring stands to the owner of the site's folder. */
    setUp(id: SiteId): Promise<SetUp>;
  };

  readonly connecting: {
    /** Dry run of a first connect. May take long on a large repository; reports progress through the site's status. */
    plan(request: ConnectRequest, accountId: string, asked?: AbortSignal): Promise<Plan>;
    /** Carries out the plan the person saw, or throws `plan-outdated` when either side changed since. */
    confirm(request: ConnectRequest & { planId: string }, by: Account['name'], accountId: string): Promise<void>;
    /** Stops syncing. Files stay. Lists what could not be undone, in sentences. */
    disconnect(id: SiteId, by: string): Promise<{ leftOver: readonly string[] }>;
    /** What disconnecting would keep and end, for the confirmation. */
    disconnectFacts(id: SiteId): Promise<{
      files: number;
      keptVersions: number;
      grant: 'revoked' | 'forgotten' | 'dropped' | 'shared';
      webhook: boolean;
    }>;
    /** Tries to set the webhook up again. */
    retryWebhook(id: SiteId): Promise<void>;
    /** The site's branch is the one that is meant, whatever the default one is. */
    stay(id: SiteId): Promise<void>;
    /** What GitLab refused goes to a new branch; the site stays on its own. Gives GitLab's words about it, if any. */
    pushElsewhere(id: SiteId, wanted: { branch: string; mergeRequest: boolean }, by: string): Promise<string>;
    /** The connected site uses this connection from now on. One made `for-this` is forgotten if the site cannot. */
    handOver(id: SiteId, connection: Connection, by: string, made?: 'for-this' | 'before'): Promise<void>;
  };

  readonly apiTokens: {
    all(): readonly ApiToken[];
    /** `text` is the token itself, for this once. */
    add(
      facts: Pick<ApiToken, 'name' | 'accountId' | 'scope' | 'endsAt'>,
      by: string,
    ): Promise<{ readonly token: ApiToken; readonly text: string }>;
    remove(id: string, by: string): Promise<void>;
    /** The token a program showed, if it holds. */
    find(text: string): ApiToken | undefined;
  };
  readonly decisions: {
    /** Answers a hold; `step` is what the person was shown. */
    choose(id: SiteId, step: string, choice: HoldChoice, by: string): Promise<void>;
    /** The same answer for several sites; gives those whose question changed or ended by now. */
    chooseForEach(
      answers: readonly { readonly site: SiteId; readonly step: string }[],
      choice: HoldChoice,
      by: string,
    ): Promise<readonly SiteId[]>;
    /** Every path of the open question. */
    heldPaths(id: SiteId): Hold['samples'];
    conflicts(id: SiteId): readonly Conflict[];
    /** The two (three) versions of a conflict as bytes, at most 5 MiB each, for showing or downloading. */
    versions(id: SiteId, conflictId: string): Promise<ConflictVersions>;
    resolve(id: SiteId, conflictId: string, choice: 'repository' | 'site', by: string): Promise<void>;
    kept(id: SiteId): Promise<readonly KeptVersion[]>;
    keptFiles(id: SiteId, keptId: string): Promise<readonly { path: SitePath; bytes: number }[]>;
    keptFile(id: SiteId, keptId: string, path: SitePath): Promise<Buffer>;
    /** Removes a file that the repository no longer tracks. Throws `not-found` and `plan-outdated`. */
    removeLetGo(id: SiteId, path: SitePath, by: string): Promise<void>;
    /** Whole folder as it was, or the one path. */
    restore(id: SiteId, keptId: string, path: SitePath | undefined, by: string): Promise<void>;
  };

  readonly history: {
    /** Newest first. `before`: id of the last row of the page before. */
    runs(id: SiteId, page: { limit: number; offset: number }): Promise<{ rows: readonly RunRecord[]; total: number }>;
    acts(page: {
      limit: number;
      offset: number;
      site?: SiteId;
    }): Promise<{ rows: readonly AuditEntry[]; total: number }>;
  };

  readonly system: {
    /** Looks at everything anew. Never throws. */
    report(): Promise<SystemReport>;
    /** Soft problems, the heaviest first. */
    attention(): Promise<readonly Attention[]>;
  };

  readonly notifications: {
    view(): NotificationsView;
    /** Throws `form-invalid` whose facts are sentences by field. */
    saveWebhook(form: NoticeWebhookForm, by: string): Promise<void>;
    /** Sends a test at once and says what came back. Never throws. */
    test(channel: Channel, by: string): Promise<Delivery>;
  };

  /** What sites pulled, pushed and failed to, and how long it took, oldest first. */
  readonly syncStats: {
    of(id: SiteId): Promise<SyncStats>;
    /** `complete`: every site's history was read. */
    all(): SyncStats & { readonly complete: boolean };
  };

  readonly events: {
    /** Calls back with every event after `sinceId`, then live. Returns the way to stop. */
    follow(sinceId: number | undefined, listener: (event: Numbered) => void): () => void;
  };

  /** GitLab's call after a push. Answers at once; checks token and signature in constant time, on the raw body. */
  readonly webhook: (
    siteId: string,
    headers: Readonly<Record<string, string | string[] | undefined>>,
  ) => DeliveryVerifier;

  /** The call of the instance's system hook, for whichever site it concerns. */
  readonly systemHook: (headers: Readonly<Record<string, string | string[] | undefined>>) => DeliveryVerifier;

  /** What keeps Mooring from doing its work, a few words each; empty when nothing does. */
  readonly health: { faults(): Promise<readonly string[]> };

  /** Aborted when the daemon stops: ends the live streams, so that the server can close. */
  readonly stopping?: AbortSignal;
}

export interface Bucket {
  readonly pulled: number;
  readonly pushed: number;
  readonly failed: number;
}

/** How long the syncs took that moved something. */
export interface Durations {
  readonly syncs: number;
  /** Right to a tenth. */
  readonly medianMs: number;
  readonly slowestMs: number;
}

/** The last 24 hours and the last 30 days; the last entry is the present hour or day. */
export interface SyncStats {
  readonly hours: readonly Bucket[];
  readonly days: readonly Bucket[];
  readonly took: { readonly days: readonly Durations[]; readonly whole: Durations };
}

export interface InstanceForm {
  readonly url: string;
  readonly applicationId: string;
  readonly secret: string;
  /** Empty: derived from the URL. */
  readonly authorizeUrl: string;
  readonly tokenUrl: string;
  readonly apiUrl: string;
  readonly scopes: Scopes;
  readonly ca: string;
  readonly asTyped: boolean;
  readonly proxy: string;
  readonly noProxy: string;
  /** One `Name: value` a line. */
  readonly headers: string;
  readonly reachableAt: string;
  readonly minAccessLevel: number;
}

export interface Check {
  readonly name: string;
  readonly result: 'good' | 'bad' | 'unknown';
  readonly finding: string;
  readonly fix?: string;
  readonly problem?: ProblemFacts;
}

export interface RepositoryPage {
  readonly rows: readonly { project: Project; disabled?: string }[];
  readonly page: number;
  readonly nextPage?: number;
  /** Of a list too long to be counted: newest projects first, and the next page begins after this one. */
  readonly nextBefore?: ProjectId;
  readonly uncounted?: true;
  readonly total?: number;
}

export interface FolderOffer {
  readonly path: string;
  readonly files: number;
  readonly bytes: number;
  readonly empty: boolean;
  /** A sentence, when the folder cannot be used. */
  readonly disabled?: string;
}

export interface ConnectRequest {
  readonly site: SiteId;
  readonly projectId: ProjectId;
  readonly branch: BranchName;
  readonly direction: Direction;
  /** As typed; a connected site keeps its own. */
  readonly subfolder?: string;
  /** The access token to connect with; absent: the account's own grant. */
  readonly connection?: ConnectionId;
}

export interface ConflictVersions {
  readonly conflict: Conflict;
  readonly repository?: Buffer;
  readonly site?: Buffer;
  readonly base?: Buffer;
}
