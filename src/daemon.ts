import { mkdir } from 'node:fs/promises';
import { type Server, createServer } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createSyncStats } from './actions/sync-stats.ts';
import { permissionsCheck } from './actions/system.ts';
import { ownerOf } from './files/machine.ts';
import { readPrivileges } from './files/privileges.ts';
import { systemUsers } from './files/users.ts';
import { isLocalAddress } from './actions/instance-checks.ts';
import { createProjectTracker } from './actions/project-tracker.ts';
import { createTokenExpiry } from './actions/token-expiry.ts';
import { type Webhooks, createWebhooks } from './actions/webhooks.ts';
import type { Config } from './config.ts';
import { type Events, createEvents } from './events.ts';
import { createGitlabClient } from './gitlab/client.ts';
import { createLfsClient } from './gitlab/lfs.ts';
import { createDriver } from './git/driver.ts';
import { createOauth } from './gitlab/oauth.ts';
import { createTokenKeeper } from './gitlab/tokens.ts';
import type { Log, Mask } from './log.ts';
import { gitStanding } from './model/git-version.ts';
import { Problem } from './model/problem.ts';
import { firstStatus } from './model/site.ts';
import type { Clock, Random } from './model/world.ts';
import { type Overrides, createSiteRuntimes } from './site/runtime.ts';
import { createNotices } from './notify-wiring.ts';
import { createHttp } from './net/http.ts';
import { resolveName } from './net/probe.ts';
import { type Store, openStore } from './store/store.ts';
import { createPeriodicChecks } from './triggers/periodic-checks.ts';
import { createApp } from './web/app.ts';
import { systemClock, systemRandom } from './world.ts';
import { type Parts, saveCa } from './parts.ts';
import { webDeps } from './web-wiring.ts';

export interface Daemon {
  readonly url: string;
  /** For the console at a first start; undefined once there is an account. */
  readonly setupCode: string | undefined;
  /** No new work, runs under way finish (five seconds at most), everything closes in reverse order. */
  stop(): Promise<void>;
}

const limited = fileURLToPath(new URL('../config/git-limited.sh', import.meta.url));
/** Who stops a service often waits for ten seconds and then kills: breaking off has to fit into that too. */
const drainMs = 5_000;

export async function startDaemon(
  config: Config,
  { log, mask }: { log: Log; mask: Mask },
  overrides: Overrides = {},
): Promise<Daemon> {
  const clock = overrides.clock ?? systemClock;
  const random = overrides.random ?? systemRandom;
  await checkGit(config, log);
  const store = await openStore({
    path: config.stateDir,
    keyPath: config.keyFile,
    random,
    now: () => clock.now(),
    onSecret: (secret) => mask.hide(secret),
    onFault: (error) => log('error', 'A write on the side failed.', { error }),
    onNotes: (notes) => notes.forEach(({ text, file }) => log('warn', text, { file })),
  });
  try {
    for (const { text, file } of store.notes) log('warn', text, { file });
    for (const root of config.roots) await mkdir(root, { recursive: true });
    if (config.admin) await ensureAdmin(store, config.admin);
    const parts = await build(config, store, { log, mask, clock, random, overrides });
    for (const site of store.sites.all()) await parts.runtimes.add(site);
    const stopping = new AbortController();
    const app = createApp({ ...webDeps(parts), stopping: stopping.signal });
    // Node looks for late requests only every thirty seconds, unless it is told otherwise.
    const server = await listen(createServer({ connectionsCheckingInterval: 5_000 }, app.callback()), config);
    for (const site of store.sites.all()) await parts.runtimes.changed(site);
    parts.rounds.start();
    parts.notices.notifier.start();
    // Not awaited: the charts of a thousand sites are nothing to wait for.
    void parts.syncStats.load(store.sites.all().map(({ id }) => id));
    log('info', `Mooring is at ${config.publicUrl}`, { sites: store.sites.all().length });
    await logPermissions(store, clock, log);
    return { url: config.publicUrl, setupCode: store.accounts.setupCode, stop: () => stop(parts, server, stopping) };
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function stop(
  { runtimes, rounds, notices, http, store }: Parts,
  server: Server,
  stopping: AbortController,
): Promise<void> {
  stopping.abort();
  const closed = new Promise((resolve) => server.close(resolve));
  await runtimes.stop(drainMs);
  await Promise.all([rounds.stop(), notices.stop()]);
  server.closeAllConnections();
  await closed;
  http.close();
  await store.close();
}

interface Around {
  readonly log: Log;
  readonly mask: Mask;
  readonly clock: Clock;
  readonly random: Random;
  readonly overrides: Overrides;
}

async function build(config: Config, store: Store, { log, mask, clock, random, overrides }: Around): Promise<Parts> {
  const instance = () => store.instance.get();
  const events = createEvents({
    now: () => clock.now(),
    onFault: (error) => log('error', 'A listener failed.', { error }),
  });
  tellHistory(events, store, log);
  const syncStats = createSyncStats({ runs: (id, page) => store.history.runs(id, page), now: () => clock.now() });
  events.follow(undefined, (event) => {
    if (event.kind === 'run') syncStats.add(event.site, event.run);
  });
  const redirectUri = `${config.publicUrl}/oauth/callback`;
  const http = createHttp({ instance, clock, random });
  const oauth = createOauth({ http, instance, redirectUri, clock });
  const tokens = createTokenKeeper({
    store: {
      tokens: (id) => store.instance.tokens(id),
      saveTokens: (id, fresh) => store.instance.saveTokens(id, fresh),
      setHealth: (id, health) => store.instance.setHealth(id, health),
      isLost: (id) => store.instance.connection(id)?.health === 'reconnect',
    },
    clock,
    async refresh(token) {
      const fresh = await oauth.refresh(token);
      // Masked when they are stored, and they may fail to be.
      mask.hide(fresh.accessToken);
      mask.hide(fresh.refreshToken);
      return fresh;
    },
  });
  const caFile = join(config.stateDir, 'instance-ca.pem');
  await saveCa(caFile, store);
  const client = createGitlabClient({ http, apiUrl: () => instance()?.apiUrl ?? '' });
  const report: Parts['report'] = (act) =>
    void events.publish({ kind: 'act', act: { ...act, id: random.bytes(8).toString('hex'), at: clock.now() } });
  const life = createProjectTracker({
    sites: store.sites,
    instance,
    project: (token, id, signal) => client.project(token, id, signal),
    withToken: tokens.withToken,
    report,
    clock,
  });
  const webhooks: Webhooks = createWebhooks({
    publicUrl: config.publicUrl,
    instance,
    connection: (id) => store.instance.connection(id),
    withToken: tokens.withToken,
    client,
    sites: store.sites,
    isLocal: async (url) => (await resolveName(url).catch(() => [])).some(isLocalAddress),
    siteChanged: (id) => runtimes.rescheduled(id),
    random,
  });
  const tokenEnds = createTokenExpiry({
    connections: () => store.instance.connections(),
    isUsed: ({ id }) => store.sites.all().some(({ binding }) => binding?.connectionId === id),
    now: () => clock.now(),
    log,
  });
  tokenEnds.look();
  const rounds = createPeriodicChecks({
    sites: () => store.sites.all().flatMap(({ id, binding, paused }) => (binding && !paused ? [id] : [])),
    async visit(id, signal) {
      tokenEnds.look();
      await life.check(id, 0, signal);
      await webhooks.look(id);
    },
    clock,
    random,
    log,
    ...(overrides.roundsMs === undefined ? {} : { everyMs: overrides.roundsMs }),
  });
  const runtimes = createSiteRuntimes({
    config,
    store,
    clock,
    random,
    instance,
    caFile,
    limited,
    overrides,
    log,
    withToken: tokens.withToken,
    whereabouts: (id) => ({
      check: (maxAgeMs, signal) => life.check(id, maxAgeMs, signal),
      checkForPush: (maxAgeMs, signal) => life.checkForPush(id, maxAgeMs, signal),
    }),
    apart: (place) => life.apart(place),
    onPulled(id, told) {
      if (told) return;
      webhooks
        .missed(id, clock.now())
        .catch((error: unknown) => log('error', 'A missed call could not be noted.', { error }));
    },
    post: (request) => http.post(request),
    checkBreaker: () => http.check(),
    lfs: createLfsClient({ http }),
    publish: (event) => void events.publish(event),
  });
  const notices = createNotices({
    config,
    store,
    events,
    // A site that is just being added or removed has no worker.
    status: (id) => runtimes.find(id)?.status() ?? firstStatus(clock.now(), 'unknown'),
    clock,
    log,
    mask,
    ...(overrides.noticesMs === undefined ? {} : { everyMs: overrides.noticesMs }),
  });
  return {
    config,
    log,
    clock,
    random,
    store,
    events,
    http,
    oauth,
    tokens,
    runtimes,
    syncStats,
    redirectUri,
    caFile,
    client,
    report,
    life,
    webhooks,
    rounds,
    notices,
  };
}
function tellHistory(events: Events, store: Store, log: Log): void {
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

/** Whoever reads the log of a start learns which set-up it found, as under System. */
async function logPermissions(store: Store, clock: Clock, log: Log): Promise<void> {
  const privileges = readPrivileges();
  const userName = systemUsers(clock).userName(privileges.uid);
  const owners = await Promise.all(store.sites.all().map(({ folder }) => ownerOf(folder)));
  const { finding, fix } = permissionsCheck({ ...privileges, userName }, owners);
  log('info', [finding, fix].filter(Boolean).join(' '));
}

async function ensureAdmin(store: Store, admin: NonNullable<Config['admin']>): Promise<void> {
  const { account, outcome } = await store.accounts.ensure(admin.name, admin.password).catch((error: unknown) => {
    if (!(error instanceof Problem) || error.code !== 'form-invalid') throw error;
    const name = error.facts['field'] === 'name' ? 'MOORING_ADMIN_NAME' : 'MOORING_ADMIN_PASSWORD_FILE';
    throw new Problem('config-invalid', { text: `${name}: ${error.facts['hint'] ?? ''}` }, { cause: error });
  });
  if (outcome === 'changed') await store.sessions.endAll(account.id);
}

/** Before anything is opened: a git that is too old would fail in the middle of a merge. */
async function checkGit({ git }: Config, log: Log): Promise<void> {
  const driver = createDriver(git);
  const said = await driver.run({ args: ['--version'], environment: {}, limitMs: 5_000 }).catch(() => undefined);
  const version = /\d+(\.\d+)+/.exec(said?.stdout.toString() ?? '')?.[0];
  const standing = version === undefined ? undefined : gitStanding(version);
  if (standing === 'old') {
    throw new Problem('config-invalid', {
      text: `MOORING_GIT: ${git} is git ${version}. Mooring needs 2.38 or newer.`,
    });
  }
  if (standing === 'good') return;
  const what = version === undefined ? 'does not say its version' : `is git ${version}, without the fixes of July 2025`;
  log('warn', `${git} ${what}. If your distribution did not add the security fixes, install a newer git.`);
}

function listen(server: Server, { host, port }: Config): Promise<Server> {
  // Slow headers and half-sent bodies must not hold connections for ever.
  Object.assign(server, { headersTimeout: 15_000, requestTimeout: 60_000, maxConnections: 1_000 });
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        error.code === 'EADDRINUSE'
          ? new Problem('port-in-use', { host, port: String(port) }, { cause: error })
          : error,
      );
    });
    server.listen(port, host, () => resolve(server));
  });
}
