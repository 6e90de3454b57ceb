import { fileURLToPath } from 'node:url';
import { isLocalAddress } from './actions/instance-checks.ts';
import { type ProjectTracker, createProjectTracker } from './actions/project-tracker.ts';
import { honest } from './actions/sites.ts';
import { type SyncStatsActions, createSyncStats } from './actions/sync-stats.ts';
import { createTokenExpiry } from './actions/token-expiry.ts';
import { type Webhooks, createWebhooks } from './actions/webhooks.ts';
import { type AfterHooks, createAfterHooks } from './after/hooks.ts';
import { type Backups, createBackups } from './backup/backups.ts';
import type { Config } from './config.ts';
import { diskSpaceOf, watchesInUse } from './files/machine.ts';
import { type Events, createEvents } from './events.ts';
import { type GitlabClient, createGitlabClient } from './gitlab/client.ts';
import { createLfsClient } from './gitlab/lfs.ts';
import { type Oauth, createOauth } from './gitlab/oauth.ts';
import { type TokenManager, createTokenManager } from './gitlab/tokens.ts';
import type { Log, Mask } from './log.ts';
import type { AuditEntry } from './model/event.ts';
import { type SiteId, type SiteStatus, firstStatus } from './model/site.ts';
import type { Clock, Random } from './model/world.ts';
import { type Http, createHttp } from './net/http.ts';
import { resolveName } from './net/probe.ts';
import { type TlsFiles, createTlsFiles } from './site/tls-files.ts';
import { type Notices, createNotices } from './notify-wiring.ts';
import { type Overrides, type SiteRuntimes, createSiteRuntimes } from './site/runtime.ts';
import type { InstallationNow } from './metrics/gauges.ts';
import { type Metrics, createMetrics } from './metrics/metrics.ts';
import { type Store, noSessions } from './store/store.ts';
import type { Instance } from './model/instance.ts';
import { type PauseAllActions, createPauseAll } from './actions/pause-all.ts';
import { version } from './version.ts';
import { createSchedule } from './triggers/schedule.ts';
import { type PeriodicChecks, createPeriodicChecks } from './triggers/periodic-checks.ts';

/**
 * Everything the daemon is made of, under the names by which `actions/` asks for it: an action declares the few members
 * that it uses, and is handed all of them.
 */
export interface Parts {
  readonly config: Config;
  readonly log: Log;
  readonly mask: Mask;
  readonly clock: Clock;
  readonly random: Random;
  readonly store: Store;
  readonly events: Events;
  readonly http: Http;
  readonly client: GitlabClient;
  readonly oauth: Oauth;
  readonly tokens: TokenManager;
  readonly runtimes: SiteRuntimes;
  readonly projects: ProjectTracker;
  readonly webhooks: Webhooks;
  readonly checks: PeriodicChecks;
  readonly syncStats: SyncStatsActions;
  readonly notices: Notices;
  readonly metrics: Metrics;
  readonly pauseAll: PauseAllActions;
  readonly backups: Backups;
  readonly afterHooks: AfterHooks;
  /** The redirect URI to register in GitLab. */
  readonly redirectUri: string;
  /** The instance's certificates and key, where git reads them. */
  readonly tlsFiles: TlsFiles;
  /** Adds an entry to the audit log. */
  readonly report: (entry: Omit<AuditEntry, 'id' | 'at'>) => void;
}

export interface Surroundings {
  readonly log: Log;
  readonly mask: Mask;
  readonly clock: Clock;
  readonly random: Random;
  readonly overrides: Overrides;
}

const limited = fileURLToPath(new URL('../config/git-limited.sh', import.meta.url));

/** Builds every part and connects them; nothing runs yet. */
export async function createParts(config: Config, store: Store, surroundings: Surroundings): Promise<Parts> {
  const { log, mask, clock, random, overrides } = surroundings;
  const events = createEvents({
    now: () => clock.now(),
    onFault: (error) => log('error', 'A listener failed.', { error }),
  });
  const report: Parts['report'] = (entry) =>
    void events.publish({ kind: 'act', act: { ...entry, id: random.bytes(8).toString('hex'), at: clock.now() } });
  // A site that is just being added or removed has no worker.
  const statusOf = (id: SiteId): SiteStatus => runtimes.find(id)?.status() ?? firstStatus(clock.now(), 'unknown');
  const metrics = createMetrics({
    ...{ clock, most: config.metrics.sites, sites: () => store.sites.all() },
    status: (id) => honest(statusOf(id), runtimes.patience(id), clock.now()),
    installation: installationNow(config, store, { startedAt: clock.now(), queue: () => runtimes.load() }),
  });
  const gitlab = createGitlab(config, store, surroundings, metrics);
  const instance = (): Instance | undefined => store.instance.get();
  const tlsFiles = createTlsFiles({ stateDir: config.stateDir, instance, random });
  await tlsFiles.save();
  const base = { ...gitlab, metrics, config, store, clock, random, log, mask, events, report, tlsFiles };

  const syncStats = createSyncStats(base);
  saveHistory(base);
  events.follow(undefined, (event) => {
    metrics.happened(event);
    if (event.kind === 'run') syncStats.add(event.site, event.run);
  });
  const projects = createProjectTracker(base);
  // Webhooks and runtimes need each other: a webhook's state decides how often its site is polled.
  const webhooks: Webhooks = createWebhooks({
    ...base,
    isLocal: async (url) => (await resolveName(url).catch(() => [])).some(isLocalAddress),
    siteChanged: (id) => runtimes.rescheduled(id),
  });
  const runtimes = createSiteRuntimes({
    ...{ config, store, clock, random, log, overrides, limited, instance, tlsFiles },
    withToken: gitlab.tokens.withToken,
    whereabouts: (id) => ({
      check: (maxAgeMs, signal) => projects.check(id, maxAgeMs, signal),
      checkForPush: (maxAgeMs, signal) => projects.checkForPush(id, maxAgeMs, signal),
    }),
    apart: (place) => projects.apart(place),
    onEdited(id, path) {
      metrics.edited(id, path);
      afterHooks.edited(id, path);
    },
    onPulled(id, told) {
      if (told) return;
      webhooks
        .missed(id, clock.now())
        .catch((error: unknown) => log('error', 'A missed webhook call could not be recorded.', { error }));
    },
    post: (request) => gitlab.http.post(request),
    checkBreaker: () => gitlab.http.check(),
    lfs: createLfsClient(gitlab),
    publish: (event) => void events.publish(event),
  });
  const afterHooks = createAfterHooks({
    ...{ settings: config.after, roots: config.roots, uid: process.getuid?.() ?? 0, clock, log },
    site: (id) => store.sites.get(id),
    status: (id) => runtimes.find(id)?.status(),
    attribute: (id, { paths, message, committed }) =>
      runtimes.find(id)?.attribute({ paths, message, committed: (_commit, of) => committed(of) }) ?? (() => undefined),
    record: (id, record) => store.history.addAfter(id, record),
    mask: (text) => surroundings.mask.mask(text),
  });
  events.follow(undefined, (event) => afterHooks.happened(event));
  const backups = backupsOf(base, () => runtimes);
  const notices = createNotices({
    ...{ config, store, events, clock, random, log, mask: surroundings.mask, backups, afterHooks },
    status: statusOf,
    ...(overrides.noticesMs === undefined ? {} : { everyMs: overrides.noticesMs }),
  });
  const checks = createChecks({ ...base, projects, webhooks }, overrides.roundsMs);
  const pauseAll = createPauseAll({ ...base, runtimes });
  return { ...base, syncStats, projects, webhooks, runtimes, notices, checks, pauseAll, backups, afterHooks };
}

function backupsOf(
  { config, store, clock, random, log }: Pick<Parts, 'config' | 'store' | 'clock' | 'random' | 'log'>,
  runtimes: () => SiteRuntimes,
): Backups {
  return createBackups({
    ...{ version, clock, random, log, noSessions, stateDir: config.stateDir },
    ...(config.backup ? { settings: config.backup } : {}),
    sites: () => store.sites.all(),
    betweenRuns(id) {
      const worker = runtimes().find(id);
      return worker && ((work) => worker.betweenRuns(work));
    },
    signing: () => ({ keyId: store.keyId, secret: store.derive('backups') }),
    schedule: (expression, due) => createSchedule('backup', expression, due, log),
  });
}

/** What metrics tell of the installation. */
function installationNow(
  { stateDir }: Config,
  { instance }: Store,
  { startedAt, queue }: { startedAt: number; queue: () => InstallationNow['queue'] },
): () => Promise<InstallationNow> {
  return async () => ({
    ...{ version, node: process.versions.node, startedAt, queue: queue() },
    memoryBytes: process.memoryUsage.rss(),
    watches: await watchesInUse(),
    disk: await diskSpaceOf(stateDir),
    connections: instance.connections(),
  });
}

/** All that speaks to GitLab, but git itself. */
function createGitlab(
  config: Config,
  store: Store,
  { clock, random, mask }: Surroundings,
  { answered }: Pick<Metrics, 'answered'>,
) {
  const instance = (): ReturnType<Store['instance']['get']> => store.instance.get();
  const redirectUri = `${config.publicUrl}/oauth/callback`;
  const http = createHttp({ instance, clock, random, onAnswer: answered });
  const oauth = createOauth({ http, instance, redirectUri, clock });
  const tokens = createTokenManager({
    store: {
      tokens: (id) => store.instance.tokens(id),
      saveTokens: (id, fresh) => store.instance.saveTokens(id, fresh),
      setHealth: (id, health) => store.instance.setHealth(id, health),
      isLost: (id) => store.instance.connection(id)?.health === 'reconnect',
    },
    clock,
    async refresh(token) {
      const fresh = await oauth.refresh(token);
      // Masked in the log before they are stored: storing may fail, and would log.
      mask.hide(fresh.accessToken);
      mask.hide(fresh.refreshToken);
      return fresh;
    },
  });
  const client = createGitlabClient({ http, apiUrl: () => instance()?.apiUrl ?? '' });
  return { http, oauth, tokens, client, redirectUri };
}

/** What is checked for each connected site from time to time: its project, its webhook, the expiry of its token. */
function createChecks(
  parts: Pick<Parts, 'store' | 'clock' | 'random' | 'log' | 'projects' | 'webhooks'>,
  everyMs: number | undefined,
): PeriodicChecks {
  const { store, clock, random, log, projects, webhooks } = parts;
  const tokenExpiry = createTokenExpiry(parts);
  tokenExpiry.check();
  return createPeriodicChecks({
    sites: () => store.sites.all().flatMap(({ id, binding, paused }) => (binding && !paused ? [id] : [])),
    async visit(id, signal) {
      tokenExpiry.check();
      await projects.check(id, 0, signal);
      await webhooks.check(id);
    },
    ...{ clock, random, log },
    ...(everyMs === undefined ? {} : { everyMs }),
  });
}

/** Every run and every audit entry goes into the history and the log. */
function saveHistory({ events, store, log }: Pick<Parts, 'events' | 'store' | 'log'>): void {
  const failed = (error: unknown): void => log('error', 'The history could not be written.', { error });
  events.follow(undefined, (event) => {
    if (event.kind === 'run') {
      const { result, problem, durationMs } = event.run;
      log(problem ? 'warn' : 'info', `Sync: ${result}`, {
        site: event.site,
        run: event.run.id,
        durationMs,
        ...(problem ? { problem: problem.code, cause: problem.cause } : {}),
      });
      store.history.addRun(event.site, event.run).catch(failed);
    } else if (event.kind === 'act') store.history.addAct(event.act).catch(failed);
  });
}
