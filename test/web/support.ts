import { createHash } from 'node:crypto';
import type { DeclaredAt, DeclaredSource } from '../../src/model/declared.ts';
import type { Account, ApiToken, Session } from '../../src/model/account.ts';
import type { OutgoingView } from '../../src/actions/outgoing.ts';
import type { OutgoingDelivery } from '../../src/model/outgoing.ts';
import type { AfterRecord } from '../../src/model/after.ts';
import type { AuditEntry, Numbered, RunRecord } from '../../src/model/event.ts';
import type {
  Branch,
  BranchName,
  Connection,
  ConnectionId,
  Instance,
  Project,
  ProjectId,
} from '../../src/model/instance.ts';
import type { DeliveryVerifier } from '../../src/model/delivery-verifier.ts';
import type { PauseAll } from '../../src/model/maintenance.ts';
import type { Delivery, NotificationsView } from '../../src/model/notice.ts';
import type { Conflict, KeptVersion, Plan } from '../../src/model/plan.ts';
import { Problem } from '../../src/model/problem.ts';
import { Secret } from '../../src/model/secret.ts';
import {
  defaultSettings,
  type Binding,
  type NotSynced,
  type Site,
  type SiteId,
  type SiteStatus,
} from '../../src/model/site.ts';
import type { Attention, SetUpCheck, SystemCheck } from '../../src/model/system.ts';
import { pathFromText, type Oid, type SitePath } from '../../src/model/tree.ts';
import type { ConflictVersions } from '../../src/actions/decisions.ts';
import type { Check } from '../../src/actions/instance.ts';
import type { FolderChoice } from '../../src/actions/sites.ts';
import type { SyncStats } from '../../src/actions/sync-stats.ts';
import type { WebDeps } from '../../src/web/deps.ts';

export const now = Date.UTC(2026, 10, 19, 14, 7, 2);
export const publicUrl = 'http://127.0.0.1:8080';
export const password = 'correct horse battery';

/** Everything a test may put in or look at. The pages see only `deps`. */
export interface World {
  deps: WebDeps;
  accounts: Account[];
  sites: Site[];
  statuses: Map<string, SiteStatus>;
  instance: Instance | undefined;
  connection: Connection | undefined;
  projects: { project: Project; disabled?: string }[];
  branches: Branch[];
  moreBranches: boolean;
  plan: Plan;
  runs: RunRecord[];
  after: AfterRecord[];
  /** Sites of which no run is told. */
  quiet: Set<SiteId>;
  acts: AuditEntry[];
  conflicts: Conflict[];
  versions: Omit<ConflictVersions, 'conflict'>;
  apiTokens: ApiToken[];
  kept: KeptVersion[];
  keptFiles: { path: SitePath; bytes: number }[];
  folders: FolderChoice[];
  checks: Check[];
  systemChecks: SystemCheck[];
  setUpChecks: SetUpCheck[];
  declared: {
    instance?: DeclaredAt;
    notifications?: DeclaredAt;
    accounts?: Record<string, DeclaredAt>;
    sites?: Record<string, DeclaredAt>;
    sources?: Record<string, DeclaredSource>;
  };
  attention: Attention[];
  wasIgnored: NotSynced[];
  notifications: NotificationsView;
  outgoing: OutgoingView[];
  deliveries: OutgoingDelivery[];
  /** What becomes of a test. */
  delivery: Delivery;
  pulse: SyncStats;
  listeners: Set<(event: Numbered) => void>;
  /** What was asked of the other rooms, in order. */
  calls: { name: string; args: unknown[] }[];
  /** Methods by name that throw this instead. */
  failing: Map<string, unknown>;
  pause?: PauseAll;
  /** A plan of the branch `slow` is done when this is. */
  gate: Promise<void>;
}

export function createWorld(over: { publicUrl?: string; account?: boolean; now?: () => number } = {}): World {
  const sessions = new Map<string, Session>();
  let made = 0;
  const world: World = {
    deps: undefined as unknown as WebDeps,
    accounts: over.account === false ? [] : [miriam],
    sites: [],
    statuses: new Map(),
    instance: undefined,
    connection: undefined,
    projects: [],
    branches: [
      branch('main', { default: true }),
      branch('next'),
      branch('release/spring', { canPush: false, protected: true }),
    ],
    moreBranches: false,
    plan: plan(),
    wasIgnored: [],
    runs: [],
    after: [],
    quiet: new Set(),
    acts: [],
    conflicts: [],
    versions: {},
    apiTokens: [],
    kept: [],
    keptFiles: [],
    folders: [],
    checks: [],
    systemChecks: [],
    setUpChecks: [],
    declared: {},
    attention: [],
    notifications: { damaged: false },
    outgoing: [],
    deliveries: [],
    delivery: { kind: 'good', said: '250 Accepted' },
    pulse: { hours: [], days: [], took: { days: [], whole: { syncs: 0, medianMs: 0, slowestMs: 0 } } },
    listeners: new Set(),
    calls: [],
    failing: new Map(),
    gate: new Promise(() => {}),
  };
  const did = (name: string, ...args: unknown[]): void => {
    world.calls.push({ name, args });
    if (world.failing.has(name)) throw world.failing.get(name);
  };
  const outgoingOf = (id: string): OutgoingView => {
    const found = world.outgoing.find((one) => one.id === id);
    if (!found) throw new Problem('not-found', { what: 'webhook' });
    return found;
  };
  const url = over.publicUrl ?? publicUrl;
  world.deps = {
    backups: { prepare: () => Promise.reject(new Problem('unexpected')), key: async () => '' },
    about: { version: '1.4.0', publicUrl: url, roots: ['/srv/sites', '/mnt/archive'], stateDir: '/var/lib/mooring' },
    now: over.now ?? (() => now),
    inRequest: (_id, work) => work(),
    log(level, message, fields) {
      // Each request logs itself.
      if (level !== 'debug') world.calls.push({ name: `log.${level}`, args: [message, fields] });
    },
    accounts: {
      exist: () => world.accounts.length > 0,
      setUp: async (form) => {
        did('accounts.setUp', form);
        if (form.code !== 'kelp-4417-bight')
          throw new Problem('not-allowed', { text: 'This code is not the one printed last.' });
        world.accounts.push({ id: 'a1', name: form.name, role: 'admin', createdAt: now });
        return world.accounts[0] as Account;
      },
      check: async (name, given) => {
        did('accounts.check', name);
        return given === password ? world.accounts.find((one) => one.name === name) : undefined;
      },
      all: () => world.accounts,
      get: (id) => world.accounts.find((one) => one.id === id),
      setReach: async (id, reach, by) => {
        did('accounts.setReach', id, reach, by);
        const at = world.accounts.findIndex((one) => one.id === id);
        const { name, createdAt } = world.accounts[at] as Account;
        return (world.accounts[at] = { id, name, createdAt, ...reach });
      },
      add: async ({ name, password: _password, ...reach }, by) => {
        did('accounts.add', name, by);
        const made = { id: `a${world.accounts.length + 1}`, name, createdAt: now, ...reach };
        world.accounts.push(made);
        return made;
      },
      remove: async (id, by) => {
        did('accounts.remove', id, by);
        world.accounts = world.accounts.filter((one) => one.id !== id);
      },
      changePassword: async (id, { present }) => {
        did('accounts.changePassword', id);
        if (present !== password)
          throw new Problem('form-invalid', { field: 'present', text: 'This is not your current password.' });
      },
      resetPassword: async (id, _password, by) => did('accounts.resetPassword', id, by),
      signOutEverywhere: async (id) => did('accounts.signOutEverywhere', id),
    },
    sessions: {
      create: async (account) => {
        made += 1;
        const id = `session-${made}-${'x'.repeat(20)}`;
        const session = {
          accountId: account.id,
          accountName: account.name,
          formToken: `token-${made}`,
          createdAt: now,
        };
        sessions.set(id, session);
        return { id, session };
      },
      find: (id) => sessions.get(id),
      end: async (id) => void sessions.delete(id),
      visitorToken: (cookie) => createHash('sha256').update(`visitor ${cookie}`).digest('hex'),
    },
    instance: {
      get: () => world.instance,
      derive: (text) => {
        if (!/^https?:\/\//.test(text))
          throw new Problem('instance-url-invalid', { url: text, hint: 'It has to begin with https:// or http://.' });
        const clean = text.replace(/\/+$/, '');
        return {
          url: clean,
          authorizeUrl: `${clean}/oauth/authorize`,
          tokenUrl: `${clean}/oauth/token`,
          apiUrl: `${clean}/api/v4`,
        };
      },
      configure: async (form, by) => {
        did('instance.configure', form, by);
        const derived = world.deps.instance.derive(form.url);
        world.instance = { ...gitlab(), ...derived, applicationId: form.applicationId };
        return world.instance;
      },
      test: async () => world.checks,
      redirectUri: `${url}/oauth/callback`,
      systemHook: () => ({ url: `${url}/hooks/gitlab`, isSet: false }),
      makeSystemHook: async (by) => (did('instance.makeSystemHook', by), 'shown-once'),
      dropSystemHook: async (by) => did('instance.dropSystemHook', by),
    },
    connections: {
      mine: (_account, id) => (id === undefined || id === world.connection?.id ? world.connection : undefined),
      get: () => world.connection,
      begin: async (session, site) => {
        did('connections.begin', session, site);
        return `${world.instance?.authorizeUrl ?? 'https://gitlab.invalid'}?state=s1`;
      },
      finish: async (session, query) => {
        did('connections.finish', session, query);
        if (query.error) throw new Problem('authorisation-denied', { text: query.errorDescription ?? '' });
        if (query.state !== 's1' || !query.code) throw new Problem('callback-forged');
        world.connection = ana;
        return { wanted: { site: (world.sites[0] as Site).id }, connection: ana };
      },
      useToken: async (...args) => {
        did('connections.useToken', ...args);
        return ana;
      },
    },
    pauseAll: {
      now: () => world.pause,
      planned: () => undefined,
      pause: async (...args) => did('pauseAll.pause', ...args),
      resume: async (...args) => did('pauseAll.resume', ...args),
      plan: async (...args) => did('pauseAll.plan', ...args),
    },
    handOver: {
      connections: () => [
        { connection: ana, owner: 'Miriam Okafor', sites: [] },
        {
          connection: {
            ...ana,
            id: 'c-jonas' as ConnectionId,
            owner: 'a9',
            username: 'jonas',
            name: 'Jonas Lindqvist',
          },
          owner: undefined,
          sites: world.sites,
        },
      ],
      remove: async (...args) => did('handOver.remove', ...args),
      targets: () => [ana],
      check: async (from, to, asked) => {
        did('handOver.check', from, to);
        asked.progress({ act: 'checking', done: 1, total: world.sites.length });
        return world.sites.map((one, at) => ({
          ...{ site: one, binding: { projectPath: one.binding?.projectPath ?? '', branch: 'main' as BranchName } },
          ...(at === 1
            ? {
                problem: new Problem('push-not-allowed', {
                  user: '@ana',
                  role: 'Reporter',
                  needed: 'Developer',
                }).toFacts(),
              }
            : {}),
        }));
      },
      carryOut: async (...args) => {
        did('handOver.carryOut', ...args.slice(0, 4));
        return { moved: args[2].length, stayed: [] };
      },
    },
    repositories: {
      list: async (_connection, { search, page }) => {
        did('repositories.list', search, page);
        const rows = world.projects.filter(({ project }) => project.path.includes(search));
        return { rows, page, total: rows.length };
      },
      project: async (_connection, id) => {
        did('repositories.project', id);
        const found = world.projects.find(({ project }) => project.id === id);
        if (!found) throw new Problem('project-missing');
        return found.project;
      },
      branches: async () => {
        did('repositories.branches');
        return { branches: world.branches, more: world.moreBranches };
      },
      newProjectUrl: () => 'https://gitlab.northwick.example/projects/new',
    },
    sites: {
      all: () => world.sites,
      get: (id) => world.sites.find((one) => one.id === id),
      status: (id) => world.statuses.get(id) ?? status('off'),
      folders: async () => world.folders,
      add: async (form, by) => {
        did('sites.add', form, by);
        const made = site('parks', { name: form.name, folder: form.folder });
        world.sites.push(made);
        return made;
      },
      remove: async (id, by) => did('sites.remove', id, by),
      pause: async (id, by) => did('sites.pause', id, by),
      resume: async (id, by) => did('sites.resume', id, by),
      syncNow: async (id, by) => did('sites.syncNow', id, by),
      syncAndWait: async (id, by) => {
        did('sites.syncAndWait', id, by);
        return true;
      },
    },
    settings: {
      wasIgnored: (id) => ({ step: 'three', left: id === 'museum' ? world.wasIgnored : [] }),
      decideRules: async (...args) => did('settings.decideRules', ...args),
      ignore: async (...args) => (did('settings.ignore', ...args), true),
      leftByRule: () => ({
        at: now - 200_000,
        rules: [
          {
            by: 'built-in',
            id: 'macos',
            rule: '.DS_Store',
            count: 12,
            samples: ['.DS_Store', 'a/.DS_Store'] as SitePath[],
          },
          {
            by: 'gitignore',
            rule: 'node_modules/',
            folder: 'theme',
            count: 1,
            samples: ['theme/node_modules'] as SitePath[],
          },
          { by: 'site', rule: 'cache/', count: 1, samples: ['cache'] as SitePath[] },
          { by: 'secret', rule: '*.sql', count: 2, samples: ['backup/a.sql', 'backup/b.sql'] as SitePath[] },
        ],
      }),
      save: async (id, form, by) => {
        did('settings.save', id, form, by);
        return world.deps.sites.get(id) as Site;
      },
      saveAll: async (id, forms, by) => {
        did('settings.saveAll', id, forms, by);
        return world.deps.sites.get(id) as Site;
      },
      allow: async (...args) => did('settings.allow', ...args),
      preview: async (_id, subject) => ({
        text: `${subject.replace('{summary}', 'Update 3 files in content/visit').replace('{site}', 'Museum website')}\n\n~ content/visit/hours.md\n~ content/visit/groups.md\n~ content/visit/access.md\n\nSynced-by: Mooring\n`,
        from: 'last-push',
      }),
      setUp: async () => 'group',
      read: ({ name, settings }) => ({ name, settings }),
      explain: async (_id, path) =>
        path.endsWith('.sql')
          ? { kind: 'caught', by: 'secret', rule: '*.sql', at: path }
          : path.startsWith('cache/')
            ? { kind: 'caught', by: 'site', rule: 'cache/', at: pathFromText('cache') }
            : { kind: 'synced' },
      cronFault: (expression) => (expression.split(' ').length === 5 ? undefined : 'Write five fields.'),
      author: () => ({ name: ana.name, email: ana.email }),
    },
    connecting: {
      plan: async (request) => {
        did('connecting.plan', request);
        return { ...world.plan, direction: request.direction, branch: request.branch };
      },
      confirm: async (request, by, accountId) => did('connecting.confirm', request, by, accountId),
      disconnect: async (id, by) => {
        did('connecting.disconnect', id, by);
        return { leftOver: [] };
      },
      disconnectFacts: async () => ({ files: 1206, keptVersions: 14, connection: 'revoked', webhook: false }),
      retryWebhook: async (id) => did('connecting.retryWebhook', id),
      stay: async (id) => did('connecting.stay', id),
      pushElsewhere: async (...args) => {
        did('connecting.pushElsewhere', ...args);
        return '';
      },
      handOver: async (...args) => did('connecting.handOver', ...args),
    },
    apiTokens: {
      all: () => world.apiTokens,
      add: async (facts, by) => {
        did('apiTokens.add', facts, by);
        const token = { id: 't9', createdAt: now, ...facts };
        world.apiTokens.push(token);
        return { token, text: `mooring_${'T'.repeat(43)}` };
      },
      remove: async (id, by) => {
        did('apiTokens.remove', id, by);
        world.apiTokens = world.apiTokens.filter((token) => token.id !== id);
      },
      find: (text) => world.apiTokens.find(({ id }) => text === `mooring_${id.padEnd(43, 'x')}`),
    },
    decisions: {
      choose: async (...args) => did('decisions.choose', ...args),
      chooseForEach: async (...args) => {
        did('decisions.chooseForEach', ...args);
        return [];
      },
      heldPaths: (id) => world.statuses.get(id)?.hold?.samples ?? [],
      conflicts: () => world.conflicts,
      versions: async (_site, id) => ({
        ...world.versions,
        conflict: world.conflicts.find((one) => one.id === id) as Conflict,
      }),
      resolve: async (...args) => did('decisions.resolve', ...args),
      kept: async () => world.kept,
      keptFiles: async () => world.keptFiles,
      keptFile: async (_site, _kept, path) => {
        did('decisions.keptFile', path);
        return Buffer.from('<script>alert(1)</script>');
      },
      restore: async (...args) => did('decisions.restore', ...args),
      removeLetGo: async (...args) => did('decisions.removeLetGo', ...args),
    },
    commitAs: {
      domains: () => ['northwick.example'],
      setDomains: async (...args) => did('commitAs.setDomains', ...args),
      commit: async (id, form, by, waiting) => {
        did('commitAs.commit', id, form, by);
        if (form.message === 'slow') await new Promise((resolve) => waiting.addEventListener('abort', resolve));
        return { commits: [{ commit: oid('c0ffee'), paths: form.paths.map(pathFromText) }], left: [] };
      },
    },
    history: {
      runs: async (id, { limit, offset }) => {
        const runs = world.quiet.has(id) ? [] : world.runs;
        return { rows: runs.slice(offset, offset + limit), total: runs.length };
      },
      after: async () => world.after,
      acts: async ({ limit, offset, sites }) => {
        const acts = world.acts.filter(({ site: about }) => !sites || (about !== undefined && sites.includes(about)));
        return { rows: acts.slice(offset, offset + limit), total: acts.length };
      },
    },
    system: {
      report: async () => ({
        host: 'dmz-web-03',
        startedAt: now - 17 * 86_400_000,
        memoryBytes: 98_566_144,
        lagMs: { usual: 1.2, worst: 9 },
        queue: { running: 1, waiting: 0 },
        checks: world.systemChecks,
      }),
      reportOf: () => world.systemChecks.filter(({ name }) => name === 'Disks of sites'),
      attention: async (only) =>
        only
          ? world.attention.filter((entry) => entry.sites.some((id) => only.some((one) => one.id === id)))
          : world.attention,
    },
    notifications: {
      view: () => world.notifications,
      saveWebhook: async (form, by) => did('notifications.saveWebhook', form, by),
      test: async (channel, by) => {
        did('notifications.test', channel, by);
        return world.delivery;
      },
    },
    outgoing: {
      all: () => world.outgoing,
      get: (id) => outgoingOf(id),
      add: async ({ address, events }, by) => {
        did('outgoing.add', address, events, by);
        const host = new URL(address).host;
        const webhook = { id: `w${world.outgoing.length + 1}`, address, host, events, on: true, createdAt: now };
        world.outgoing.push(webhook);
        return { webhook, secret: 'whsec_c2VjcmV0' };
      },
      turn: async (id, on, by) => {
        const found = outgoingOf(id);
        did('outgoing.turn', id, on, by);
        return { ...found, on };
      },
      remove: async (id, by) => did('outgoing.remove', outgoingOf(id).id, by),
      deliveries: (id) => world.deliveries.filter(({ webhook }) => webhook === outgoingOf(id).id),
      sendAgain: async (id, delivery) => {
        const found = world.deliveries.find((one) => one.id === delivery && one.webhook === outgoingOf(id).id);
        if (!found) throw new Problem('not-found', { what: 'delivery' });
        did('outgoing.sendAgain', id, delivery);
        return found;
      },
    },
    syncStats: {
      of: async () => world.pulse,
      all: () => ({ ...world.pulse, complete: true }),
    },
    events: {
      follow: (_since, listener) => {
        world.listeners.add(listener);
        return () => void world.listeners.delete(listener);
      },
    },
    webhook: (siteId, headers) => hearing(headers, (body) => did('webhook', siteId, body)),
    systemHook: (headers) => hearing(headers, (body) => did('systemHook', body)),
    metrics: { render: async (sites) => sites?.map(({ id }) => `${id}\n`).join('') ?? 'all\n' },
    declared: {
      instance: () => world.declared.instance,
      notifications: () => world.declared.notifications,
      account: (id) => world.declared.accounts?.[id],
      connection: () => undefined,
      site: (id) => world.declared.sites?.[id],
      source: (id) => world.declared.sources?.[id],
      apply: async (file) => ({ file, kind: 'applied', changes: [], waiting: [], notes: [] }),
      exported: () => 'version: 1\n',
      begin: () => {},
      trouble: () => undefined,
      stop: async () => {},
    },
    key: { rotate: async () => ({ key: '/var/lib/mooring/secret.key' }) },
    setUp: { check: async () => world.setUpChecks, settings: () => ({}) },
    health: { faults: async () => (world.failing.has('ready') ? ['the state directory cannot be written'] : []) },
  };
  return world;
}

/** Hears the whole body, so that a test can compare it. */
function hearing(headers: Readonly<Record<string, unknown>>, heard: (body: string) => void): DeliveryVerifier {
  const trusted = headers['x-gitlab-token'] === 'right';
  const chunks: Buffer[] = [];
  return {
    trusted,
    take: (chunk) => void chunks.push(chunk),
    end() {
      heard(Buffer.concat(chunks).toString());
      return trusted ? 'accepted' : 'refused';
    },
  };
}

export const miriam: Account = { id: 'a1', name: 'Miriam Okafor', role: 'admin', createdAt: now };

export const ana: Connection = {
  id: 'c1' as ConnectionId,
  owner: 'a1',
  gitlabUserId: 7,
  username: 'a.petrovic',
  name: 'Ana Petrović',
  email: 'ana.petrovic@northwick.example',
  scopes: 'api',
  health: 'good',
  renewedAt: now - 3_420_000,
};

export function gitlab(): Instance {
  const url = 'https://gitlab.northwick.example';
  return {
    url,
    applicationId: '4f0c1b7e29aa8d5e6c31f7b20d9e84a3c5b6f1e08d7a42935c10be6fa8d2734e',
    secret: new Secret('gloas-very-secret'),
    authorizeUrl: `${url}/oauth/authorize`,
    tokenUrl: `${url}/oauth/token`,
    apiUrl: `${url}/api/v4`,
    scopes: 'api',
    advanced: { ca: '', proxy: '', noProxy: [], headers: {}, reachableAt: '', minAccessLevel: 30 },
    configuredAt: now - 48 * 86_400_000,
  };
}

export function site(id: string, over: Partial<Site> = {}): Site {
  return {
    id: id as SiteId,
    name: 'Parks and gardens',
    folder: `/srv/sites/${id}`,
    createdAt: now - 86_400_000,
    paused: false,
    settings: defaultSettings,
    ...over,
  };
}

export function binding(projectPath: string, branchName: string, over: Partial<Binding> = {}): Binding {
  return {
    connectionId: ana.id,
    projectId: 12 as ProjectId,
    projectPath,
    webUrl: `https://gitlab.northwick.example/${projectPath}`,
    cloneUrl: `https://gitlab.northwick.example/${projectPath}.git`,
    branch: branchName as BranchName,
    connectedAt: now - 86_400_000,
    webhook: { kind: 'working', hookId: 3, lastDeliveryAt: now - 291_000 },
    ...over,
  };
}

export function status(state: SiteStatus['state'], over: Partial<SiteStatus> = {}): SiteStatus {
  return {
    state,
    since: now - 4_000,
    waiting: { toPull: 0, toPush: 0 },
    notSynced: [],
    notSyncedCount: 0,
    conflicts: 0,
    watched: true,
    ...(state === 'off' ? {} : { checkedAt: now - 4_000 }),
    ...over,
  };
}

export function project(id: number, path: string, over: Partial<Project> = {}): Project {
  return {
    id: id as ProjectId,
    path,
    name: path.slice(path.lastIndexOf('/') + 1),
    webUrl: `https://gitlab.northwick.example/${path}`,
    cloneUrl: `https://gitlab.northwick.example/${path}.git`,
    visibility: 'private',
    archived: false,
    empty: false,
    defaultBranch: 'main' as BranchName,
    lastActivityAt: now - 7_200_000,
    accessLevel: 30,
    lfs: false,
    ...over,
  };
}

export function branch(name: string, over: Partial<Branch> = {}): Branch {
  return { name: name as BranchName, head: oid('9e41c07b'), default: false, protected: false, canPush: true, ...over };
}

export function plan(over: Partial<Plan> = {}): Plan {
  return {
    id: 'plan-1',
    direction: 'replace',
    branch: 'main' as BranchName,
    tip: oid('9e41c07b'),
    replaced: 38,
    added: 121,
    removed: 43,
    same: 235,
    samples: [
      { mark: '~', path: pathFromText('content/allotments/rules.md'), bytes: 4_100 },
      { mark: '~', path: pathFromText('content/opening-times.md'), bytes: 1_800 },
      { mark: '+', path: pathFromText('content/trails/heron-walk.md'), bytes: 3_300 },
      { mark: '-', path: pathFromText('uploads/2024/bandstand-programme.pdf'), bytes: 2_600_000 },
      { mark: '-', path: pathFromText('uploads/2024/rose-garden.jpg'), bytes: 840_000 },
    ],
    secrets: [pathFromText('.env'), pathFromText('backup/parks-2026-10-01.sql')],
    untouched: [
      { path: pathFromText('.git'), reason: { kind: 'nested-repository' } },
      { path: pathFromText('current'), reason: { kind: 'link' } },
    ],
    untouchedCount: 2,
    refused: [{ path: pathFromText('.htaccess'), reason: { kind: 'control-file' } }],
    ignored: 12,
    countedAt: now - 50_000,
    ...over,
  };
}

export function run(id: string, over: Partial<RunRecord> = {}): RunRecord {
  const none = { added: 0, changed: 0, removed: 0 };
  return {
    id,
    at: now - 291_000,
    durationMs: 400,
    triggers: ['webhook'],
    result: 'pulled',
    before: oid('5d20f8ae'),
    after: oid('9e41c07b'),
    pulled: { added: 1, changed: 2, removed: 0 },
    pushed: none,
    files: [{ mark: '~', path: pathFromText('content/visit/hours.md'), to: 'site' }],
    conflicts: [],
    output: '',
    ...over,
  };
}

export function oid(start: string): Oid {
  return start.padEnd(40, '0') as Oid;
}
