import { mkdir } from 'node:fs/promises';
import { type RequestListener, type Server, createServer } from 'node:http';
import { permissionsCheck } from './actions/system.ts';
import { programFault } from './after/program.ts';
import { restoredSite } from './backup/restored.ts';
import type { Config } from './config.ts';
import { ownerOf } from './files/machine.ts';
import { readPrivileges } from './files/privileges.ts';
import { systemUsers } from './files/users.ts';
import type { Log, Mask } from './log.ts';
import { gitVersion } from './machine.ts';
import { type AfterHook, hookVariable } from './model/after.ts';
import { gitSupport } from './model/git-version.ts';
import { Problem } from './model/problem.ts';
import type { Clock } from './model/world.ts';
import { type Parts, createParts } from './parts.ts';
import type { Overrides } from './site/runtime.ts';
import { type Store, openStore } from './store/store.ts';
import { createPeerUid, listenOnSocket, socketPath, socketPathFault } from './socket.ts';
import { version } from './version.ts';
import { createWeb } from './web/app.ts';
import { metricsType } from './web/routes/metrics.ts';
import { webDeps } from './web-wiring.ts';
import { systemClock, systemRandom } from './world.ts';

export interface Daemon {
  readonly url: string;
  /** For the console at a first start; undefined once there is an account. */
  readonly setupCode: string | undefined;
  /** Applies the declared file again; not waited for. */
  reload(): void;
  /** No new work, runs under way finish (five seconds at most), everything closes in reverse order. */
  stop(): Promise<void>;
}

/** Who stops a service often waits for ten seconds and then kills: breaking off has to fit into that too. */
const drainMs = 5_000;

export async function startDaemon(
  config: Config,
  { log, mask }: { log: Log; mask: Mask },
  overrides: Overrides = {},
): Promise<Daemon> {
  const clock = overrides.clock ?? systemClock;
  const random = overrides.random ?? systemRandom;
  checkPrograms(config);
  await checkGit(config, log);
  const store = await openStore({
    path: config.stateDir,
    keyPath: config.keyFile,
    random,
    now: () => clock.now(),
    program: version,
    onSecret: (secret) => mask.hide(secret),
    onFault: (error) => log('error', 'A write on the side failed.', { error }),
    onNotes: (notes) => notes.forEach(({ text, file }) => log('warn', text, { file })),
  });
  try {
    for (const { text, file } of store.notes) log('warn', text, { file });
    for (const root of config.roots) await mkdir(root, { recursive: true });
    if (config.admin) await ensureAdmin(store, config.admin);
    const parts = await createParts(config, store, { log, mask, clock, random, overrides });
    for (const site of store.sites.all()) await parts.runtimes.add(site);
    await logRestored(config, store, log);
    const stopping = new AbortController();
    const deps = webDeps(parts);
    const { app, socketApp } = createWeb({ ...deps, stopping: stopping.signal }, createPeerUid());
    // Node looks for late requests only every thirty seconds, unless it is told otherwise.
    const server = await listen(createServer({ connectionsCheckingInterval: 5_000 }, app.callback()), config);
    const socket = await openSocket(config, log, socketApp.callback()).catch((error: unknown) => {
      server.close();
      throw error;
    });
    const measured = await openMetrics(config, parts);
    const servers = [server, ...(socket ? [socket] : []), ...(measured ? [measured] : [])];
    for (const site of store.sites.all()) await parts.runtimes.changed(site);
    parts.checks.start();
    parts.metrics.start();
    parts.pauseAll.start();
    await parts.backups.start();
    parts.notices.notifier.start();
    await parts.notices.calls.start();
    // Not awaited: the charts of a thousand sites are nothing to wait for.
    void parts.syncStats.load(store.sites.all().map(({ id }) => id));
    log('info', `Mooring is at ${config.publicUrl}`, { sites: store.sites.all().length });
    await logPermissions(store, clock, log);
    deps.declared.begin('start');
    return {
      url: config.publicUrl,
      setupCode: store.accounts.setupCode,
      reload: () => deps.declared.begin('SIGHUP'),
      stop: async () => {
        stopping.abort();
        await deps.declared.stop();
        await stop(parts, servers, stopping);
      },
    };
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function stop(
  { runtimes, checks, notices, metrics, pauseAll, backups, afterHooks, http, store }: Parts,
  servers: readonly Server[],
  stopping: AbortController,
): Promise<void> {
  stopping.abort();
  pauseAll.stop();
  metrics.stop();
  const backedUp = backups.stop();
  const closed = Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  await runtimes.stop(drainMs);
  await Promise.all([checks.stop(), notices.stop(), backedUp, afterHooks.stop()]);
  for (const server of servers) server.closeAllConnections();
  await closed;
  http.close();
  await store.close();
}

/** Whoever restored a backup learns what a second installation would do. */
async function logRestored({ stateDir }: Config, { sites }: Store, log: Log): Promise<void> {
  const notes = await Promise.all(sites.all().map(({ id }) => restoredSite(stateDir, id).read()));
  const restored = notes.filter(Boolean).length;
  if (restored === 0) return;
  const text =
    'The state comes from a backup. The old installation must be stopped: GitLab accepts each refresh token once.';
  log('warn', text, { sites: restored });
}

/** Logs which set-up was found, as the System page shows it. */
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

/** What starts with our rights must be nobody's to change but the operator's. Every fault at once. */
function checkPrograms({ after, roots }: Config): void {
  const uid = process.getuid?.() ?? 0;
  const faults = Object.entries(after.programs).flatMap(([hook, program]) => {
    const fault = programFault(program, { uid, roots });
    return fault === undefined ? [] : [`${hookVariable[hook as AfterHook]}: ${fault}`];
  });
  if (faults.length > 0) throw new Problem('config-invalid', { text: faults.join('\n') });
}

/** Before anything is opened: a git that is too old would fail in the middle of a merge. */
async function checkGit({ git }: Config, log: Log): Promise<void> {
  const installed = await gitVersion(git);
  const standing = installed === undefined ? undefined : gitSupport(installed);
  if (standing === 'old') {
    throw new Problem('config-invalid', {
      text: `MOORING_GIT: ${git} is git ${installed}. Mooring needs 2.38 or newer.`,
    });
  }
  if (standing === 'good') return;
  const what =
    installed === undefined
      ? 'did not print its version'
      : `is git ${installed}, without the security fixes of July 2025`;
  log('warn', `${git} ${what}. If your distribution did not add these fixes, install a newer git.`);
}

/** Undefined where the state directory's path is too long for a socket: everything but the command line works there. */
async function openSocket({ stateDir }: Config, log: Log, handler: RequestListener): Promise<Server | undefined> {
  const path = socketPath(stateDir);
  const fault = socketPathFault(path);
  if (fault !== undefined) return void log('warn', `The command line cannot reach this daemon. ${fault}`);
  return bounded(await listenOnSocket(path, handler));
}

/** Metrics without a token, for this machine alone. */
async function openMetrics(
  { metrics: { listen: place } }: Config,
  { metrics, log }: Parts,
): Promise<Server | undefined> {
  if (!place) return undefined;
  // A page of another site must not reach it by a name of its own that leads to this machine.
  const names = ['127.0.0.1', '[::1]', 'localhost', place.host].map((host) => `${host}:${place.port}`);
  const server = createServer((request, answer) => {
    const isAsked =
      request.method === 'GET' && request.url === '/metrics' && names.includes(request.headers.host ?? '');
    if (!isAsked) return void answer.writeHead(404).end();
    metrics.render().then(
      (text) => answer.writeHead(200, { 'Content-Type': metricsType, 'Cache-Control': 'no-store' }).end(text),
      (error: unknown) => {
        log('error', 'The metrics could not be read.', { error });
        answer.writeHead(500).end();
      },
    );
  });
  return listen(server, place);
}

function listen(server: Server, { host, port }: Pick<Config, 'host' | 'port'>): Promise<Server> {
  bounded(server);
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

/** Slow headers and half-sent bodies must not hold connections for ever. */
function bounded(server: Server): Server {
  return Object.assign(server, { headersTimeout: 15_000, requestTimeout: 60_000, maxConnections: 1_000 });
}
