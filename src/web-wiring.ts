import { hostname } from 'node:os';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createConnecting } from './actions/connecting.ts';
import { createConnectionActions } from './actions/connections.ts';
import { createDecisions } from './actions/decisions.ts';
import { explainPath } from './files/explain.ts';
import { createSiteFolders } from './files/folders.ts';
import { ownerOf, roomAt, watchesInUse } from './files/machine.ts';
import { readPrivileges } from './files/privileges.ts';
import { systemUsers } from './files/users.ts';
import { createDriver } from './git/driver.ts';
import { createInstanceActions } from './actions/instance.ts';
import { createNotificationActions } from './actions/notifications.ts';
import { createRepositoryActions } from './actions/repositories.ts';
import { createSettingsActions, exampleChanges } from './actions/settings.ts';
import { createSiteActions } from './actions/sites.ts';
import { createSystemActions } from './actions/system.ts';
import { makePkce } from './gitlab/oauth.ts';
import { Problem } from './model/problem.ts';
import { Secret } from './model/secret.ts';
import { setUpOf } from './model/set-up.ts';
import type { Connection } from './model/instance.ts';
import type { SiteId } from './model/site.ts';
import { authorOf } from './site/runtime.ts';
import { openPort, resolveName } from './net/probe.ts';
import { parseHookUrl } from './net/outgoing.ts';
import { proxyFor, readNoProxy } from './net/proxy.ts';
import { likelyInstead, parseHttpUrl, parseInstanceUrl } from './net/url.ts';
import { editMessage, wording } from './sync/message.ts';
import type { Remote } from './sync/ports.ts';
import { checkCron } from './triggers/poll.ts';
import { createSystemHook, createWebhook } from './triggers/webhook.ts';
import type { WebDeps } from './web/deps.ts';
import { type Parts, saveCa } from './parts.ts';
import { version } from './version.ts';

/** What the pages are handed. */
export function webDeps(parts: Parts): WebDeps {
  const { config, log, clock, random, store, events, tokens, client, runtimes, report } = parts;
  const instance = () => store.instance.get();
  const { withToken } = tokens;
  const worker = (id: SiteId) => runtimes.worker(id);
  const siteChanged = runtimes.changed;
  const connections = connectionActs(parts);
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
    connections,
    repositories: createRepositoryActions({
      instance,
      client,
      withToken,
      usedBy: (id) =>
        store.sites.all().find(({ binding }) => binding?.projectId === id && binding.subfolder === undefined)?.name,
    }),
    sites: {
      ...createSiteActions({
        store: store.sites,
        worker,
        siteChanged,
        report,
        nextCheck: runtimes.nextCheck,
        patience: runtimes.patience,
        now: () => clock.now(),
        siteAdded: runtimes.add,
        async siteRemoved(id) {
          await runtimes.remove(id);
          parts.syncStats.forget(id);
        },
        checkFolder: (path) => folders.checkFolder(path),
      }),
      folders: () => folders.folders(),
    },
    apiTokens: apiTokens(parts),
    settings: settings(parts),
    system: system(parts),
    syncStats: parts.syncStats,
    notifications: createNotificationActions({
      mail: config.mail,
      store: store.notify,
      notifier: parts.notices.notifier,
      parseAddress: parseHookUrl,
      report,
    }),
    connecting: createConnecting<Remote>({
      webhooks: parts.webhooks,
      lookSoon: (id) => parts.rounds.soon(id),
      sites: store.sites,
      instance,
      client,
      withToken,
      worker,
      siteChanged,
      report,
      clock,
      random,
      connection: (id) => store.instance.connection(id),
      mine: connections.mine,
      remote: runtimes.remote,
      author: (id) => authorOf(store, id),
      message: (site) => editMessage(exampleChanges, wording(site, clock.now())),
      async revoke(id) {
        const connection = store.instance.connection(id);
        if (connection) await endAtGitLab(parts, connection);
        await store.instance.disconnect(id);
        tokens.forget(id);
      },
      hasTokens: (id) => store.instance.tokens(id).accessToken.open() !== '',
    }),
    decisions: createDecisions({
      worker,
      report,
      now: () => clock.now(),
      runs: async (id) => (await store.history.runs(id, { limit: 500, offset: 0 })).rows,
      conflicts: runtimes.conflicts,
      saveConflicts: runtimes.saveConflicts,
      followed: runtimes.followed,
      adoptProject: (id, created) => parts.life.adopt(id, created),
      askAgain: (id) => askAgain(parts, id),
    }),
    history: store.history,
    events: { follow: (since, listener) => events.follow(since, listener) },
    webhook: webhook(parts),
    systemHook: systemHook(parts),
    health: {
      async faults() {
        const fault = await store.fault();
        return [
          ...(fault === undefined ? [] : ['the state directory cannot be written']),
          ...(runtimes.isScheduling() ? [] : ['the scheduler does not run']),
        ];
      },
    },
  };
}

function accounts(parts: Parts): WebDeps['accounts'] {
  const { store, report } = parts;
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
      await store.apiTokens.removeAll(id);
      await endGrants(parts, id);
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

function apiTokens({ store, report }: Parts): WebDeps['apiTokens'] {
  return {
    all: () => store.apiTokens.all(),
    find: (text) => store.apiTokens.find(text),
    async add(facts, by) {
      const made = await store.apiTokens.add(facts);
      report({ by, act: 'made-api-token', detail: made.token.name });
      return made;
    },
    async remove(id, by) {
      const { name } = await store.apiTokens.remove(id);
      report({ by, act: 'removed-api-token', detail: name });
    },
  };
}

/** Tokens that were dropped, because they would travel elsewhere now, are nobody's to send; one that was entered neither. */
async function endAtGitLab({ store, oauth }: Parts, { id, accessToken: entered }: Connection): Promise<void> {
  const { accessToken } = store.instance.tokens(id);
  if (!entered && accessToken.open() !== '') await oauth.revoke(accessToken);
}

/** A token that a person entered counted as lost; they say that it works. GitLab is asked with it, once. */
async function askAgain({ store }: Parts, site: SiteId): Promise<void> {
  const connection = store.instance.connection(store.sites.get(site)?.binding?.connectionId ?? '');
  if (!connection?.accessToken || store.instance.tokens(connection.id).accessToken.open() === '') return;
  await store.instance.setHealth(connection.id, 'good');
}

/** No grant outlives its owner: their sites wait until another admin reconnects them. */
async function endGrants(parts: Parts, owner: string): Promise<void> {
  const { store, runtimes, log } = parts;
  for (const connection of store.instance.connections().filter((each) => each.owner === owner)) {
    await store.instance.setHealth(connection.id, 'reconnect');
    // Not waited for: a GitLab that is away must not keep anybody from being removed.
    endAtGitLab(parts, connection).catch((error: unknown) =>
      log('warn', 'A removed admin’s connection could not be revoked at GitLab.', { error }),
    );
    for (const { id, binding } of store.sites.all())
      if (binding?.connectionId === connection.id) runtimes.worker(id).trigger('person');
  }
}

function system({ config, store, runtimes, notices, clock }: Parts): WebDeps['system'] {
  const driver = createDriver(config.git);
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  const ms = (nanoseconds: number): number => (Number.isFinite(nanoseconds) ? Math.max(0, nanoseconds / 1e6 - 20) : 0);
  return createSystemActions({
    version,
    stateDir: config.stateDir,
    sites: () => store.sites.all(),
    status: (id) => runtimes.worker(id).status(),
    connections: () => store.instance.connections(),
    storeNotes: store.notes,
    notices: notices.on,
    queue: runtimes.load,
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
      privileges: () => ({ ...readPrivileges(), userName: systemUsers(clock).userName(readPrivileges().uid) }),
      ownerOf,
      memoryBytes: () => process.memoryUsage.rss(),
      lagMs: () => ({ usual: ms(delay.mean), worst: ms(delay.max) }),
    },
  });
}

function settings({ store, runtimes, report, clock }: Parts): WebDeps['settings'] {
  const acts = createSettingsActions({
    store: store.sites,
    siteChanged: runtimes.changed,
    wasIgnored: (id) => runtimes.worker(id).wasIgnored(),
    acceptRules: (id, step) => runtimes.worker(id).acceptRules(step),
    report,
    cronFault: checkCron,
    message: (changes, site) => editMessage(changes, wording(site, clock.now())),
    runs: async (id) => (await store.history.runs(id, { limit: 25, offset: 0 })).rows,
    users: systemUsers(clock),
    mayGiveFilesAway: () => setUpOf(readPrivileges(), -1) === 'capabilities',
  });
  return {
    ...acts,
    cronFault: checkCron,
    author: (id) => authorOf(store, store.sites.get(id)?.binding?.connectionId),
    setUp: async (id) => setUpOf(readPrivileges(), await ownerOf(store.sites.get(id)?.folder ?? '')),
    async explain(id, path) {
      const site = store.sites.get(id);
      if (!site) throw new Problem('not-found', { what: 'site' });
      return explainPath({ folder: site.folder, ...site.settings }, path);
    },
    wasIgnored: (id) => runtimes.find(id)?.wasIgnored() ?? { step: '', left: [] },
    leftByRule: (id) => runtimes.find(id)?.leftByRule(),
  };
}

function instanceActs({
  store,
  clock,
  random,
  config,
  http,
  oauth,
  tokens,
  client,
  runtimes,
  rounds,
  report,
  redirectUri,
  caFile,
}: Parts): WebDeps['instance'] {
  return createInstanceActions({
    urls: { instanceUrls: parseInstanceUrl, httpUrl: parseHttpUrl, likelyInstead, noProxy: readNoProxy },
    store: {
      get: () => store.instance.get(),
      async configure(instance) {
        await store.instance.configure(instance);
        await saveCa(caFile, store);
        wakeTroubled(store, runtimes);
        // Webhooks follow the address by which GitLab reaches this daemon at once, not within the hour.
        for (const { id, binding, paused } of store.sites.all()) if (binding && !paused) rounds.soon(id);
      },
      systemHookSecret: () => store.instance.systemHookSecret(),
      setSystemHookSecret: (secret) => store.instance.setSystemHookSecret(secret),
    },
    random,
    async dropTokens(of) {
      const dropped = store.instance.connections().filter(({ accessToken }) => of === 'all' || !accessToken);
      for (const { id } of dropped) await store.instance.dropTokens(id);
    },
    report,
    clock,
    redirectUri,
    publicUrl: config.publicUrl,
    network: {
      ...{ resolve: resolveName, openPort, proxyFor },
      ask: (url) => http.request({ method: 'GET', url, breaker: 'ignore' }),
    },
    async version() {
      const connection = store.instance.connections().find(({ health }) => health === 'good');
      return connection && tokens.withToken(connection.id, (token) => client.version(token));
    },
    knowsApplication: () => oauth.knowsApplication(),
    webhooks: () =>
      store.sites.all().flatMap(({ name, binding }) => (binding ? [{ site: name, webhook: binding.webhook }] : [])),
  });
}

/** New settings: what waited for them goes on at once, and what they cut off says so. */
function wakeTroubled(store: Parts['store'], runtimes: Parts['runtimes']): void {
  for (const { id, binding } of store.sites.all()) {
    const worker = runtimes.find(id);
    const connection = binding && store.instance.connection(binding.connectionId);
    if (worker?.status().problem || connection?.health !== 'good') worker?.trigger('retry');
  }
}

function connectionActs({ store, oauth, client, clock, random, report, runtimes, log }: Parts): WebDeps['connections'] {
  return createConnectionActions({
    instance: () => store.instance.get(),
    oauth,
    makePkce,
    clock,
    random,
    log,
    user: (token) => client.user(token),
    tokenFacts: (token) => client.tokenFacts(token),
    store: {
      connection: (id) => store.instance.connection(id),
      connectionOf: (accountId) => store.instance.connectionOf(accountId),
      async connect(made, fresh) {
        const { connection, ...rest } = await store.instance.connect(made, fresh);
        report({
          by: store.accounts.get(made.owner)?.name ?? '',
          act: 'connected-gitlab',
          detail: `@${made.username}`,
        });
        // A site that waited for a new grant goes on at once.
        const waiting = store.sites.all().filter(({ binding }) => binding?.connectionId === connection.id);
        for (const { id } of waiting) runtimes.worker(id).trigger('person');
        return { connection, ...rest };
      },
    },
  });
}

function webhook({ store, runtimes, webhooks, clock, log }: Parts): WebDeps['webhook'] {
  return createWebhook({
    clock,
    secretsOf(id) {
      const secrets = store.sites.hookSecrets(id);
      return secrets && { site: id as SiteId, secrets };
    },
    onTrigger: (id) => runtimes.find(id)?.trigger('webhook'),
    onDelivery(id, delivery) {
      webhooks
        .delivered(id, delivery)
        .catch((error: unknown) => log('error', 'A webhook’s arrival could not be noted.', { error }));
    },
  });
}

function systemHook({ store, runtimes, webhooks, life, rounds, clock, log }: Parts): WebDeps['systemHook'] {
  return createSystemHook({
    clock,
    secret: () => store.instance.systemHookSecret(),
    sitesOf: (projectId) =>
      store.sites.all().flatMap(({ id, binding }) => (binding?.projectId === projectId ? [id] : [])),
    sitesBelow(path) {
      const start = `${path}/`.toLowerCase();
      const lies = (at: string | undefined): boolean => at?.toLowerCase().startsWith(start) ?? false;
      return store.sites.all().flatMap(({ id, binding }) => (lies(binding?.projectPath) ? [id] : []));
    },
    onTrigger: (id) => runtimes.find(id)?.trigger('webhook'),
    onMoved(id) {
      life.doubt(id);
      rounds.soon(id);
    },
    onDelivery(id, at) {
      webhooks
        .deliveredBySystem(id, at)
        .catch((error: unknown) => log('error', 'A webhook’s arrival could not be noted.', { error }));
    },
  });
}
