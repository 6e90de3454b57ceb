import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createSystemActions, type Machine, type SystemDeps } from '../../src/actions/system.ts';
import type { BackupStatus } from '../../src/model/backup.ts';
import type { Connection, ConnectionId } from '../../src/model/instance.ts';
import type { DiskFacts } from '../../src/model/disk.ts';
import { defaultSettings, firstStatus, type Site, type SiteId, type SiteStatus } from '../../src/model/site.ts';
import { pathFromText } from '../../src/model/tree.ts';

const test = suite('system');
const now = Date.UTC(2026, 10, 19);
const GiB = 1024 ** 3;

const good: Machine = {
  host: 'here',
  startedAt: now,
  node: '24.11.0',
  git: async () => '2.43.0',
  diskSpace: async () => ({ free: 60 * GiB, total: 80 * GiB }),
  watches: async () => ({ used: 10, limit: 1_000 }),
  privileges: () => ({ uid: 1500, userName: 'mooring', capabilities: new Set() }),
  ownerOf: async () => 1500,
  memoryBytes: () => 1,
  lagMs: () => ({ usual: 1, worst: 2 }),
};

const site = (id: string, webhook: 'working' | 'none'): Site => ({
  id: id as SiteId,
  name: id,
  folder: `/srv/${id}`,
  createdAt: 0,
  paused: false,
  settings: defaultSettings,
  binding: {
    connectionId: 'c1' as ConnectionId,
    projectId: 1 as never,
    projectPath: 'a/b',
    webUrl: '',
    cloneUrl: '',
    branch: 'main' as never,
    connectedAt: 0,
    webhook: webhook === 'none' ? { kind: 'none', reason: '' } : { kind: 'working', hookId: 1, lastDeliveryAt: now },
  },
});

interface Scene {
  readonly backups?: BackupStatus;
  readonly sites?: readonly Site[];
  readonly connections?: readonly Connection[];
  readonly status?: SiteStatus;
  readonly notices?: ReturnType<SystemDeps['notices']['on']>;
}

function acts(scene: Scene = {}, machine: Partial<Machine> = {}) {
  const status: SiteStatus = { ...firstStatus(now, 'unknown'), state: 'in-sync', watched: true };
  return createSystemActions({
    version: '1.0.0',
    config: { stateDir: '/var/lib/mooring' },
    machine: { ...good, ...machine },
    store: {
      sites: { all: () => scene.sites ?? [] },
      instance: { connections: () => scene.connections ?? [] },
      notes: [],
    },
    runtimes: {
      worker: () => ({ status: () => scene.status ?? status }),
      load: () => ({ running: 0, waiting: 0 }),
    },
    notices: { on: () => scene.notices ?? [] },
    afterHooks: { failures: () => [] },
    backups: { status: () => scene.backups ?? { last: { at: now, bytes: 1, leftOut: [] } } },
    clock: { now: () => now },
  });
}

const named = async (name: string, machine: Partial<Machine>) =>
  (await acts({}, machine).report()).checks.find((check) => check.name === name);

test('all is well, and nothing needs a look', async () => {
  assert.ok((await acts().report()).checks.every(({ result }) => result === 'good'));
  assert.equal(await acts().attention(), []);
});

test('R1: how files are replaced on the sites’ disks is said once for all sites alike, the weakest first', async () => {
  const disk: DiskFacts = {
    ...{ at: '', type: 'ext4', replace: 'exchange', create: 'link', remove: 'capture', staging: 'outside' },
    ...{ modes: true, owners: true, foldsCase: false, timeStepNs: 1 },
  };
  const weak: DiskFacts = {
    ...disk,
    at: 'uploads',
    type: 'vfat',
    replace: 'rename',
    create: 'in-place',
    remove: 'rename',
  };
  const checkOf = async (disks: readonly DiskFacts[]) => {
    const status: SiteStatus = { ...firstStatus(now, 'unknown'), disks };
    const { checks } = await acts({ sites: [site('a', 'none'), site('b', 'none')], status }).report();
    return checks.find(({ name }) => name === 'Disks of sites');
  };
  assert.is(await checkOf([]), undefined);
  const good = await checkOf([disk]);
  assert.is(good?.result, 'good');
  assert.match(good?.finding ?? '', /^a, b: Files are replaced in one step/);
  const bad = await checkOf([disk, weak]);
  assert.is(bad?.result, 'warn');
  assert.match(bad?.finding ?? '', /^a, b: This disk cannot protect .* a, b: Files are replaced in one step/);
  assert.match(bad?.fix ?? '', /Conflicts and safety/);
});

test('what an upgrade stopped ignoring is under Attention, once for all sites', async () => {
  const left: SiteStatus = {
    ...firstStatus(now, 'unknown'),
    notSynced: [{ path: pathFromText('build'), reason: { kind: 'was-ignored', folder: true } }],
  };
  const sites = [site('a', 'working'), site('b', 'working')];
  const found = await acts({ sites, status: left }).attention();
  assert.equal(
    found.map(({ kind, sites: named }) => [kind, ...named]),
    [['was-ignored', 'a', 'b']],
  );
});

test('branches that went back together are one entry, before everything else', async () => {
  const status: SiteStatus = {
    ...firstStatus(now, 'unknown'),
    ...{ state: 'hold', watched: true },
    hold: {
      ...{ code: 'went-back', at: now, step: 'a:b', total: 9, samples: [], choices: ['put-back', 'go-on'] },
      tally: { added: 0, changed: 1, removed: 0 },
    },
  };
  const sites = [site('a', 'none'), site('b', 'none')].map((one, n): Site => ({
    ...one,
    ...(one.binding ? { binding: { ...one.binding, projectId: n as never } } : {}),
  }));
  const found = await acts({ sites, status }).attention();
  assert.equal(
    found.map(({ kind, tone, help, sites: named }) => [kind, tone, help, ...named]),
    [
      ['went-back', 'bad', 'went-back', 'a', 'b'],
      ['webhook', 'mute', 'syncing', 'a', 'b'],
    ],
  );
  assert.match(found[0]?.title ?? '', '2 branches lost commits');
});

test('software out of support, a full disk and used-up watches say what to do', async () => {
  assert.is((await named('Node', { node: '22.22.0' }))?.result, 'good');
  assert.is((await named('Node', { node: '23.1.0' }))?.result, 'unknown');
  assert.is((await named('Git', { git: async () => '2.37.9' }))?.result, 'bad');
  assert.is((await named('Git', { git: async () => undefined }))?.result, 'bad');
  assert.is((await named('Disk', { diskSpace: async () => ({ free: 4 * GiB, total: 80 * GiB }) }))?.result, 'warn');
  assert.is((await named('Disk', { diskSpace: async () => ({ free: GiB / 2, total: 80 * GiB }) }))?.result, 'bad');
  assert.is((await named('Disk', { diskSpace: async () => undefined }))?.result, 'unknown', 'never green unseen');
  assert.match((await named('Watches', { watches: async () => ({ used: 900, limit: 1_000 }) }))?.fix ?? '', '=2000');
});

test('a soft problem of many sites is one entry, the heaviest first', async () => {
  const sites = [site('a', 'none'), site('b', 'none'), site('c', 'working')];
  const connection = { id: 'c1', health: 'reconnect', username: 'ana' } as Connection;
  const status: SiteStatus = {
    ...firstStatus(now, 'unknown'),
    state: 'in-sync',
    watched: true,
    notSynced: [{ path: pathFromText('film.mp4'), reason: { kind: 'too-large', bytes: 2, limit: 1 } }],
  };
  const found = await acts({ sites, connections: [connection], status }).attention();
  assert.equal(
    found.map(({ kind, sites: touched }) => `${kind} ${touched.length}`),
    ['reconnect 3', 'too-large 3', 'webhook 2'],
  );
});

test('a token that ends within two weeks is told, a grant nobody uses is not', async () => {
  const ending = (days: number): Connection =>
    ({ id: 'c1', health: 'good', username: 'bot', accessToken: { expiresAt: now + days * 86_400_000 } }) as Connection;
  const told = async (connection: Connection, sites: Site[]) =>
    (await acts({ sites, connections: [connection] }).attention()).map(({ title }) => title);
  assert.equal(await told(ending(3), [site('c', 'working')]), ['The access token of @bot ends in 3 days']);
  assert.equal(await told(ending(30), [site('c', 'working')]), []);
  assert.equal(await told(ending(3), []), []);
});

test('a way of telling people that keeps failing is told once, and only while it lasts', async () => {
  const failing = (times: number) => ({
    channel: 'mail' as const,
    record: { failure: { first: now, at: now, times, happened: 'mail.example did not answer.', todo: 'Check it.' } },
  });
  const told = async (times: number) => (await acts({ notices: [failing(times)] }).attention())[0];
  assert.is(await told(3), undefined, 'it may be over soon');
  const found = await told(4);
  assert.is(found?.title, 'Nobody is told by e-mail');
  assert.is(found?.help, 'notifications');
  assert.match(found?.text ?? '', 'mail.example did not answer. Check it. Tried 4 times');
  assert.equal(await acts({ notices: [{ channel: 'webhook', record: {} }] }).attention(), []);
});

test('the last backup is shown, and one that fails or is not whole wants somebody', async () => {
  const last = { at: now - 3 * 3_600_000, bytes: 5 * 1024 ** 2, leftOut: [] };
  const shown = async (backups: BackupStatus) => {
    const { checks } = await acts({ backups }).report();
    const check = checks.find(({ name }) => name === 'Backup');
    return `${check?.result}: ${check?.finding}`;
  };
  assert.is(await shown({ last }), 'good: Last backup 3 hours ago, 5 MiB.');
  assert.is(await shown({}), 'unknown: There is no backup yet.');
  assert.match(await shown({ last: { ...last, leftOut: ['Museum'] } }), /^warn: .*Museum/);
  const failure = { first: now, at: now, times: 1, text: 'The disk of /b is full.' };
  assert.match(await shown({ last, failure }), /^bad: .*The disk of \/b is full\. Last backup 3 hours ago/);
  const [attention] = await acts({ backups: { failure } }).attention();
  assert.is(attention?.kind, 'backup');
});

test.run();
