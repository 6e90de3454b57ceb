import { mkdir, writeFile } from 'node:fs/promises';
import { type Server, createServer } from 'node:http';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { createConnecting } from './acts/connecting.ts';
import { createConnectionActs } from './acts/connections.ts';
import { createDecisions } from './acts/decisions.ts';
import { explainPath } from './files/explain.ts';
import { createSiteFolders } from './files/folders.ts';
import { roomAt, watchesInUse } from './files/machine.ts';
import { createDriver } from './git/driver.ts';
import { createInstanceActs } from './acts/instance.ts';
import { type PulseActs, createPulse } from './acts/pulse.ts';
import { createRepositoryActs } from './acts/repositories.ts';
import { createSettingsActs } from './acts/settings.ts';
import { isLocalAddress } from './acts/instance-checks.ts';
import { type ProjectLife, createProjectLife } from './acts/project-life.ts';
import { createSiteActs } from './acts/sites.ts';
import { type Webhooks, createWebhooks } from './acts/webhooks.ts';
import { createSystemActs } from './acts/system.ts';
import type { Config } from './config.ts';
import { type Events, createEvents } from './events.ts';
import { type GitlabClient, createGitlabClient } from './gitlab/client.ts';
import { type Oauth, createOauth, makePkce } from './gitlab/oauth.ts';
import { type TokenKeeper, createTokenKeeper } from './gitlab/tokens.ts';
import type { Log, Mask } from './log.ts';
import type { ActRecord } from './model/event.ts';
import { Problem } from './model/problem.ts';
import { Secret } from './model/secret.ts';
import type { SiteId } from './model/site.ts';
import type { Clock, Random } from './model/world.ts';
import { type Moorings, type Overrides, authorOf, createMoorings } from './moorings.ts';
import { type Http, createHttp } from './net/http.ts';
import { openPort, resolveName } from './net/probe.ts';
import { parseHttpUrl, parseInstanceUrl } from './net/url.ts';
import { type Store, openStore } from './store/store.ts';
import { editMessage, wording } from './sync/message.ts';
import type { Remote } from './sync/ports.ts';
import { checkCron } from './triggers/poll.ts';
import { type Rounds, createRounds } from './triggers/rounds.ts';
import { createWebhook } from './triggers/webhook.ts';
import { createApp } from './web/app.ts';
import type { WebDeps } from './web/deps.ts';
import { systemClock, systemRandom } from './world.ts';

export interface Daemon {
  readonly url: string;
  /** For the console at a first start; undefined once there is an account. */
  readonly setupCode: string | undefined;
  /** No new work, runs under way finish (ten seconds at most), everything closes in reverse order. */
  stop(): Promise<void>;
}

export const version = '0.1.0';
const limited = fileURLToPath(new URL('../config/git-limited.sh', import.meta.url));
const drainMs = 10_000;

/** All the parts, as they are handed around below. */
interface Parts {
  readonly config: Config;
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Random;
  readonly store: Store;
  readonly events: Events;
  readonly http: Http;
  readonly client: GitlabClient;
  readonly oauth: Oauth;
  readonly tokens: TokenKeeper;
  readonly moorings: Moorings;
  readonly life: ProjectLife;
  readonly webhooks: Webhooks;
  readonly rounds: Rounds;
  readonly pulse: PulseActs;
  readonly redirectUri: string;
  readonly caFile: string;
  readonly report: (act: Omit<ActRecord, 'id' | 'at'>) => void;
}

/** Builds everything, connects it and starts it. Throws a Problem when it cannot; then nothing is left running. */
export async function startDaemon(
  config: Config,
  { log, mask }: { log: Log; mask: Mask },
  overrides: Overrides = {},
): Promise<Daemon> {
  const clock = overrides.clock ?? systemClock;
  const random = overrides.random ?? systemRandom;
  const store = await openStore({
    path: config.stateDir,
    keyPath: config.keyFile,
    random,
    now: () => clock.now(),
    onFault: (error) => log('error', 'A write on the side failed.', { error }),
    onNotes: (notes) => notes.forEach(({ text, file }) => log('warn', text, { file })),
  });
  try {
    for (const { text, file } of store.notes) log('warn', text, { file });
    for (const root of config.roots) await mkdir(root, { recursive: true });
    if (config.admin) await ensureAdmin(store, config.admin);
    const parts = await build(config, store, { log, mask, clock, random, overrides });
    for (const site of store.sites.all()) await parts.moorings.add(site);
    const stopping = new AbortController();
    const app = createApp({ ...webDeps(parts), stopping: stopping.signal });
    const server = await listen(createServer(app.callback()), config);
    for (const site of store.sites.all()) await parts.moorings.changed(site);
    parts.rounds.start();
    // Not awaited: the charts of a thousand sites are nothing to wait for.
    void parts.pulse.load(store.sites.all().map(({ id }) => id));
    log('info', `Mooring is at ${config.publicUrl}`, { sites: store.sites.all().length });
    return { url: config.publicUrl, setupCode: store.accounts.setupCode, stop: () => stop(parts, server, stopping) };
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function stop(
  { moorings, rounds, http, store }: Parts,
  server: Server,
  stopping: AbortController,
): Promise<void> {
  stopping.abort();
  const closed = new Promise((resolve) => server.close(resolve));
  await moorings.stop(drainMs);
  await rounds.stop();
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
  const pulse = createPulse({ runs: (id, page) => store.history.runs(id, page), now: () => clock.now() });
  events.follow(undefined, (event) => {
    if (event.kind === 'run') pulse.add(event.site, event.run);
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
  const withToken: TokenKeeper['withToken'] = (id, use, signal) => {
    const masked = (token: Secret): ReturnType<typeof use> => {
      mask.hide(token);
      return use(token);
    };
    return tokens.withToken(id, masked, signal);
  };
  const life = createProjectLife({
    sites: store.sites,
    instance,
    project: (token, id, signal) => client.project(token, id, signal),
    withToken,
    report,
    clock,
  });
  const webhooks: Webhooks = createWebhooks({
    publicUrl: config.publicUrl,
    instance,
    connection: (id) => store.instance.connection(id),
    withToken,
    client,
    sites: store.sites,
    isLocal: async (url) => (await resolveName(url).catch(() => [])).some(isLocalAddress),
    siteChanged: (id) => moorings.rescheduled(id),
    random,
  });
  const rounds = createRounds({
    sites: () => store.sites.all().flatMap(({ id, binding, paused }) => (binding && !paused ? [id] : [])),
    async visit(id) {
      await life.check(id, 0);
      await webhooks.look(id);
    },
    clock,
    random,
    log,
    ...(overrides.roundsMs === undefined ? {} : { everyMs: overrides.roundsMs }),
  });
  const moorings = createMoorings({
    config,
    store,
    clock,
    random,
    instance,
    caFile,
    limited,
    overrides,
    log,
    withToken,
    whereabouts: (id) => ({
      check: (maxAgeMs, signal) => life.check(id, maxAgeMs, signal),
      checkForPush: (maxAgeMs, signal) => life.checkForPush(id, maxAgeMs, signal),
    }),
    onPulled(id, told) {
      if (told) return;
      webhooks
        .missed(id, clock.now())
        .catch((error: unknown) => log('error', 'A missed call could not be noted.', { error }));
    },
    post: (request) => http.post(request),
    publish: (event) => void events.publish(event),
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
    moorings,
    pulse,
    redirectUri,
    caFile,
    client,
    report,
    life,
    webhooks,
    rounds,
  };
}

/** What the pages are handed. */
function webDeps(parts: Parts): WebDeps {
  const { config, log, clock, random, store, events, tokens, client, moorings, report } = parts;
  const instance = () => store.instance.get();
  const withToken: TokenKeeper['withToken'] = (id, use) => tokens.withToken(id, use);
  const keeper = (id: SiteId) => moorings.keeper(id);
  const siteChanged = moorings.changed;
  const folders = createSiteFolders({ roots: config.roots, stateDir: config.stateDir, sites: () => store.sites.all() });
  return {
    about: {
      version,
      publicUrl: config.publicUrl,
      roots: config.roots,
      stateDir: config.stateDir,
      trustedProxies: config.trustedProxies,
    },
    now: () => clock.now(),
    log,
    accounts: accounts(parts),
    sessions: store.sessions,
    instance: instanceActs(parts),
    connections: connectionActs(parts),
    repositories: createRepositoryActs({
      instance,
      client,
      withToken,
      usedBy: (id) => store.sites.all().find(({ binding }) => binding?.projectId === id)?.name,
    }),
    sites: {
      ...createSiteActs({
        store: store.sites,
        keeper,
        siteChanged,
        report,
        nextCheck: moorings.nextCheck,
        patience: moorings.patience,
        now: () => clock.now(),
        siteAdded: moorings.add,
        async siteRemoved(id) {
          await moorings.remove(id);
          parts.pulse.forget(id);
        },
        checkFolder: (path) => folders.checkFolder(path),
      }),
      folders: () => folders.folders(),
    },
    settings: settings(parts),
    system: system(parts),
    pulse: parts.pulse,
    connecting: createConnecting<Remote>({
      webhooks: parts.webhooks,
      lookSoon: (id) => parts.rounds.soon(id),
      sites: store.sites,
      instance,
      client,
      withToken,
      keeper,
      siteChanged,
      report,
      clock,
      random,
      connection: (id) => store.instance.connection(id),
      mine: (accountId) => store.instance.connectionOf(accountId),
      remote: moorings.remote,
      async revoke(id) {
        if (!store.instance.connection(id)?.accessToken) {
          await parts.oauth.revoke(store.instance.tokens(id).accessToken);
        }
        await store.instance.disconnect(id);
        tokens.forget(id);
      },
    }),
    decisions: createDecisions({
      keeper,
      report,
      now: () => clock.now(),
      conflicts: moorings.conflicts,
      saveConflicts: moorings.saveConflicts,
    }),
    history: store.history,
    events: { follow: (since, listener) => events.follow(since, listener) },
    webhook: webhook(parts),
    health: { ready: () => true },
  };
}

function accounts({ store, report }: Parts): WebDeps['accounts'] {
  const { accounts: kept, sessions } = store;
  return {
    exist: () => kept.exist(),
    setUp: (form) => kept.setUp(form),
    check: (name, password, address) => kept.check(name, password, address),
    all: () => kept.all(),
    async add({ name, password }, by) {
      const account = await kept.add(name, new Secret(password));
      report({ by, act: 'added-admin', detail: account.name });
      return account;
    },
    async remove(id, by) {
      const name = kept.get(id)?.name ?? '';
      await kept.remove(id);
      await sessions.endAll(id);
      report({ by, act: 'removed-admin', detail: name });
    },
    async changePassword(id, { present, password }, address) {
      const { name = '' } = kept.get(id) ?? {};
      if (!(await kept.check(name, present, address))) {
        throw new Problem('form-invalid', { field: 'present', text: 'This is not your present password.' });
      }
      await kept.setPassword(id, new Secret(password));
      await sessions.endAll(id);
      report({ by: name, act: 'changed-password', detail: 'their own' });
    },
    async signOutEverywhere(id) {
      await sessions.endAll(id);
      report({ by: kept.get(id)?.name ?? '', act: 'signed-out-everywhere', detail: '' });
    },
  };
}

function system({ config, store, moorings, clock }: Parts): WebDeps['system'] {
  const driver = createDriver(config.git);
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  const ms = (nanoseconds: number): number => (Number.isFinite(nanoseconds) ? Math.max(0, nanoseconds / 1e6 - 20) : 0);
  return createSystemActs({
    version,
    stateDir: config.stateDir,
    sites: () => store.sites.all(),
    status: (id) => moorings.keeper(id).status(),
    connections: () => store.instance.connections(),
    storeNotes: store.notes,
    queue: moorings.load,
    now: () => clock.now(),
    machine: {
      host: hostname(),
      startedAt: clock.now(),
      node: process.versions.node,
      async git() {
        const said = await driver.run({ args: ['--version'], environment: {}, limitMs: 5_000 }).catch(() => undefined);
        return /\d+(\.\d+)+/.exec(said?.stdout.toString() ?? '')?.[0];
      },
      room: () => roomAt(config.stateDir),
      watches: watchesInUse,
      memoryBytes: () => process.memoryUsage.rss(),
      lagMs: () => ({ usual: ms(delay.mean), worst: ms(delay.max) }),
    },
  });
}

function settings({ store, moorings, report, clock }: Parts): WebDeps['settings'] {
  const acts = createSettingsActs({
    store: store.sites,
    siteChanged: moorings.changed,
    report,
    cronFault: checkCron,
    message: (changes, site) => editMessage(changes, wording(site, clock.now())),
    runs: async (id) => (await store.history.runs(id, { limit: 25, offset: 0 })).rows,
  });
  return {
    ...acts,
    cronFault: checkCron,
    author: (id) => authorOf(store, store.sites.get(id)?.binding?.connectionId),
    async explain(id, path) {
      const site = store.sites.get(id);
      if (!site) throw new Problem('not-found', { what: 'site' });
      const { ignore, allow } = site.settings;
      return explainPath({ folder: site.folder, ignore, allow }, path);
    },
  };
}

function instanceActs({
  store,
  clock,
  config,
  http,
  oauth,
  tokens,
  client,
  report,
  redirectUri,
  caFile,
}: Parts): WebDeps['instance'] {
  return createInstanceActs({
    urls: { instanceUrls: parseInstanceUrl, httpUrl: parseHttpUrl },
    store: {
      get: () => store.instance.get(),
      async configure(instance) {
        await store.instance.configure(instance);
        await saveCa(caFile, store);
      },
    },
    async dropTokens() {
      for (const { id } of store.instance.connections()) await store.instance.setHealth(id, 'reconnect');
    },
    report,
    clock,
    redirectUri,
    publicUrl: config.publicUrl,
    network: { resolve: resolveName, openPort, ask: (url) => http.request({ method: 'GET', url, breaker: 'ignore' }) },
    async version() {
      const connection = store.instance.connections().find(({ health }) => health === 'good');
      return connection && tokens.withToken(connection.id, (token) => client.version(token));
    },
    knowsApplication: () => oauth.knowsApplication(),
  });
}

function connectionActs({ store, oauth, client, clock, random, report, moorings }: Parts): WebDeps['connections'] {
  return createConnectionActs({
    instance: () => store.instance.get(),
    oauth,
    makePkce,
    clock,
    random,
    user: (token) => client.user(token),
    tokenFacts: (token) => client.tokenFacts(token),
    store: {
      connection: (id) => store.instance.connection(id),
      connectionOf: (accountId) => store.instance.connectionOf(accountId),
      async connect(made, fresh) {
        const connection = await store.instance.connect(made, fresh);
        report({
          by: store.accounts.get(made.owner)?.name ?? '',
          act: 'connected-gitlab',
          detail: `@${made.username}`,
        });
        // A site that waited for a new grant goes on at once.
        const waiting = store.sites.all().filter(({ binding }) => binding?.connectionId === connection.id);
        for (const { id } of waiting) moorings.keeper(id).ring('person');
        return connection;
      },
    },
  });
}

function webhook({ store, moorings, webhooks, clock, log }: Parts): WebDeps['webhook'] {
  return createWebhook({
    clock,
    secretsOf(id) {
      const secrets = store.sites.hookSecrets(id);
      return secrets && { site: id as SiteId, secrets };
    },
    onRing: (id) => moorings.find(id)?.ring('webhook'),
    onDelivery(id, delivery) {
      webhooks
        .delivered(id, delivery)
        .catch((error: unknown) => log('error', 'A webhook’s arrival could not be noted.', { error }));
    },
  });
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

async function ensureAdmin(store: Store, admin: NonNullable<Config['admin']>): Promise<void> {
  const { account, outcome } = await store.accounts.ensure(admin.name, admin.password);
  if (outcome === 'changed') await store.sessions.endAll(account.id);
}

/** Git reads certificates from files only; the certificate is public, its place in the state directory is not. */
async function saveCa(path: string, store: Store): Promise<void> {
  await writeFile(path, store.instance.get()?.advanced.ca ?? '', { mode: 0o600 });
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
