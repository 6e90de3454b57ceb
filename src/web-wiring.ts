import { createAccountActions, createApiTokenActions } from './actions/accounts.ts';
import { createCommitAs } from './actions/commit-as.ts';
import { createConnectedSite } from './actions/connected-site.ts';
import { createConnecting } from './actions/connecting.ts';
import { createConnectionEnd } from './actions/connection-end.ts';
import { createConnectionActions } from './actions/connections.ts';
import { createDecisions } from './actions/decisions.ts';
import { createDeliveries } from './actions/deliveries.ts';
import { createHandOver } from './actions/hand-over.ts';
import { createInstanceActions } from './actions/instance.ts';
import { createKeyActions } from './actions/key.ts';
import { createNotificationActions } from './actions/notifications.ts';
import { createOutgoingActions } from './actions/outgoing.ts';
import { createRepositoryActions } from './actions/repositories.ts';
import { createSettingsActions } from './actions/settings.ts';
import { createSiteActions } from './actions/sites.ts';
import { createSystemActions } from './actions/system.ts';
import { createAutoApply } from './declared/auto.ts';
import { createDeclared } from './declared-wiring.ts';
import { checkSetUp } from './check/set-up.ts';
import { givenSettings, setUpDeps } from './check-wiring.ts';
import { explainPath } from './files/explain.ts';
import { createSiteFolders } from './files/folders.ts';
import { ownerOf } from './files/machine.ts';
import { readPrivileges } from './files/privileges.ts';
import { systemUsers } from './files/users.ts';
import { makePkce } from './gitlab/oauth.ts';
import { withLogFields } from './log.ts';
import { createMachine } from './machine.ts';
import type { ConnectionId } from './model/instance.ts';
import { setUpOf } from './model/set-up.ts';
import { Problem } from './model/problem.ts';
import type { Site } from './model/site.ts';
import type { Change, SitePath } from './model/tree.ts';
import { parseHookUrl } from './net/outgoing.ts';
import { openPort, resolveName } from './net/probe.ts';
import { proxyFor, readNoProxy } from './net/proxy.ts';
import { likelyInstead, parseHttpUrl, parseInstanceUrl } from './net/url.ts';
import type { Parts } from './parts.ts';
import { authorOf } from './site/open-site.ts';
import { editMessage, wording } from './sync/message.ts';
import type { Remote } from './sync/ports.ts';
import { readKey } from './store/key-file.ts';
import { checkCron } from './triggers/poll.ts';
import { createSystemHook, createWebhook } from './triggers/webhook.ts';
import { version } from './version.ts';
import type { WebDeps } from './web/deps.ts';

/** The parts, and what actions need of the machine and the network beside them. */
export function actionParts(parts: Parts) {
  const { config, clock, http, store } = parts;
  const connectionEnd = createConnectionEnd(parts);
  const connections = createConnectionActions({ ...parts, makePkce });
  return {
    ...{ ...parts, connections, connectionEnd, version, cronFault: checkCron, ownerOf, parseHookUrl },
    folders: createSiteFolders({ roots: config.roots, stateDir: config.stateDir, sites: () => store.sites.all() }),
    machine: createMachine(config, clock),
    users: systemUsers(clock),
    author: (id: ConnectionId | undefined) => authorOf(store, id),
    commitMessage: (changes: readonly Change[], site: Site) => editMessage(changes, wording(site, clock.now())),
    explainPath: ({ folder, settings }: Site, path: SitePath) => explainPath({ folder, ...settings }, path),
    setUp: (owner: number) => setUpOf(readPrivileges(), owner),
    urls: { instanceUrls: parseInstanceUrl, httpUrl: parseHttpUrl, likelyInstead, noProxy: readNoProxy },
    network: {
      ...{ resolve: resolveName, openPort, proxyFor },
      ask: (url: string) => http.request({ method: 'GET', url, breaker: 'ignore' }),
    },
  };
}

/** What the pages are handed: every action, each with the parts it asks for. */
export function webDeps(parts: Parts): WebDeps {
  const { config, clock, log, store } = parts;
  const shared = actionParts(parts);
  const { connections } = shared;
  const deliveries = createDeliveries({ ...parts, onTrigger: (id) => parts.metrics.delivered(id) });
  const connectedSite = createConnectedSite<Remote>(shared);
  const { declared, actions } = createDeclared(parts, shared, {
    ...{ accounts: createAccountActions(shared), instance: createInstanceActions(shared), connections },
    ...{ sites: createSiteActions(shared), settings: createSettingsActions(shared) },
    connecting: { ...createConnecting<Remote>(shared), ...connectedSite },
    handOver: createHandOver({ ...shared, connectedSite }),
    notifications: createNotificationActions(shared),
  });
  const auto = createAutoApply({ apply: declared.apply, file: config.declared, clock, log });
  // What waited for somebody to authorise Mooring is found without anybody applying the file again.
  parts.events.follow(undefined, (event) => {
    if (event.kind === 'act' && event.act.act === 'connected-gitlab') auto.begin('a new connection');
  });
  return {
    ...actions,
    declared: { ...declared, ...auto },
    about: {
      version,
      publicUrl: config.publicUrl,
      roots: config.roots,
      stateDir: config.stateDir,
      trustedProxies: config.trustedProxies,
    },
    now: () => clock.now(),
    log,
    inRequest: (request, work) => withLogFields({ request }, work),
    apiTokens: createApiTokenActions(shared),
    repositories: createRepositoryActions(shared),
    pauseAll: parts.pauseAll,
    decisions: createDecisions(shared),
    commitAs: createCommitAs(shared),
    system: createSystemActions({ ...shared, declared: auto }),
    outgoing: createOutgoingActions({ ...shared, calls: parts.notices.calls }),
    syncStats: parts.syncStats,
    sessions: store.sessions,
    history: store.history,
    events: parts.events,
    metrics: parts.metrics,
    webhook: createWebhook({ ...deliveries.webhook, clock }),
    systemHook: createSystemHook({ ...deliveries.systemHook, clock }),
    health: { faults: () => faults(parts) },
    backups: { prepare: parts.backups.prepare, key: () => keyText(store.keyPath) },
    key: createKeyActions(shared),
    setUp: { check: () => checkSetUp(setUpDeps(parts, shared)), settings: givenSettings },
  };
}

async function keyText(path: string): Promise<string> {
  const key = await readKey(path);
  if (!key) throw new Problem('key-missing', { path, reason: 'absent' });
  return key.toString('hex');
}

async function faults({ store, runtimes }: Parts): Promise<readonly string[]> {
  const unwritable = (await store.fault()) !== undefined;
  return [
    ...(unwritable ? ['the state directory cannot be written'] : []),
    ...(runtimes.isScheduling() ? [] : ['the scheduler does not run']),
  ];
}
