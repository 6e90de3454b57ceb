import { mkdir, writeFile } from 'node:fs/promises';
import { type Server, createServer } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createConnecting } from './acts/connecting.ts';
import { createConnectionActs } from './acts/connections.ts';
import { createDecisions } from './acts/decisions.ts';
import { createSiteFolders } from './files/folders.ts';
import { createInstanceActs } from './acts/instance.ts';
import { createRepositoryActs } from './acts/repositories.ts';
import { createSiteActs } from './acts/sites.ts';
import type { Config } from './config.ts';
import { type Events, createEvents } from './events.ts';
import { type GitlabClient, createGitlabClient } from './gitlab/client.ts';
import { type Oauth, createOauth, makePkce } from './gitlab/oauth.ts';
import { type TokenKeeper, createTokenKeeper } from './gitlab/tokens.ts';
import type { Log, Mask } from './log.ts';
import type { ActRecord } from './model/event.ts';
import { Problem } from './model/problem.ts';
import type { SiteId } from './model/site.ts';
import type { Clock, Random } from './model/world.ts';
import { type Moorings, type Overrides, createMoorings } from './moorings.ts';
import { type Http, createHttp } from './net/http.ts';
import { openPort, resolveName } from './net/probe.ts';
import { parseHttpUrl, parseInstanceUrl } from './net/url.ts';
import { type Store, openStore } from './store/store.ts';
import type { Remote } from './sync/ports.ts';
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
    log('info', `Mooring is at ${config.publicUrl}`, { sites: store.sites.all().length });
    return { url: config.publicUrl, setupCode: store.accounts.setupCode, stop: () => stop(parts, server, stopping) };
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function stop({ moorings, http, store }: Parts, server: Server, stopping: AbortController): Promise<void> {
  stopping.abort();
  const closed = new Promise((resolve) => server.close(resolve));
  await moorings.stop(drainMs);
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
  const redirectUri = `${config.publicUrl}/oauth/callback`;
  const http = createHttp({ instance, clock, random });
  const oauth = createOauth({ http, instance, redirectUri, clock });
  const tokens = createTokenKeeper({
    store: store.instance,
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
    withToken: (id, use, signal) =>
      tokens.withToken(
        id,
        (token) => {
          mask.hide(token);
          return use(token);
        },
        signal,
      ),
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
    redirectUri,
    caFile,
    client: createGitlabClient({ http, apiUrl: () => instance()?.apiUrl ?? '' }),
    report: (act) =>
      void events.publish({ kind: 'act', act: { ...act, id: random.bytes(8).toString('hex'), at: clock.now() } }),
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
    about: { version, publicUrl: config.publicUrl, roots: config.roots, stateDir: config.stateDir },
    now: () => clock.now(),
    log,
    accounts: store.accounts,
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
        siteAdded: moorings.add,
        siteRemoved: moorings.remove,
        checkFolder: (path) => folders.checkFolder(path),
      }),
      folders: () => folders.folders(),
    },
    connecting: createConnecting<Remote>({
      publicUrl: config.publicUrl,
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
        await parts.oauth.revoke(store.instance.tokens(id).accessToken);
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

function webhook({ store, moorings, clock, log }: Parts): WebDeps['webhook'] {
  return createWebhook({
    clock,
    secretsOf(id) {
      const token = store.sites.hookToken(id);
      return token && { site: id as SiteId, secrets: { token, signed: false } };
    },
    onRing: (id) => moorings.find(id)?.ring('webhook'),
    onDelivery(id, { at }) {
      const known = store.sites.get(id)?.binding?.webhook;
      if (known?.kind !== 'waiting' && known?.kind !== 'working') return;
      store.sites
        .setWebhook(id, { kind: 'working', hookId: known.hookId, lastDeliveryAt: at })
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
