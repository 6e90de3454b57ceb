import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createSyncStats } from '../../src/actions/sync-stats.ts';
import type { RunRecord } from '../../src/model/event.ts';
import type { SiteId } from '../../src/model/site.ts';

const test = suite('pulse');
const id = 'museum' as SiteId;
const hour = 3_600_000;
const start = Date.UTC(2026, 10, 19, 14, 7);
const none = { added: 0, changed: 0, removed: 0 };

function run(name: string, at: number, over: Partial<RunRecord> = {}): RunRecord {
  return {
    id: name,
    at,
    durationMs: 1,
    triggers: ['poll'],
    result: 'pulled',
    pulled: { ...none, added: 2 },
    pushed: none,
    files: [],
    conflicts: [],
    output: '',
    ...over,
  };
}

type Runs = (site: SiteId) => Promise<{ rows: readonly RunRecord[] }>;
const historyOf = (runs: Runs) => ({ history: { runs } });

test('history is read once, then counted as it happens', async () => {
  let reads = 0;
  const rows = [run('b', start - hour), run('a', start - 40 * 24 * hour)];
  const pulse = createSyncStats({
    clock: { now: () => start },
    store: historyOf(async () => {
      reads += 1;
      return { rows };
    }),
  });
  assert.is((await pulse.of(id)).hours.at(-2)?.pulled, 1);
  pulse.add(id, run('c', start, { result: 'merged', pushed: { ...none, changed: 1 } }));
  pulse.add(id, run('d', start, { result: 'failed' }));
  const { hours, days } = await pulse.of(id);
  assert.equal(hours.at(-1), { pulled: 1, pushed: 1, failed: 1 });
  assert.is(hours.length, 24);
  assert.is(days.length, 30);
  assert.is(
    days.reduce((sum, { pulled }) => sum + pulled, 0),
    2,
    'what is older than a month does not count',
  );
  assert.is(reads, 1);
});

test('a run that ends while the history is read counts once', async () => {
  const pulse = createSyncStats({
    clock: { now: () => start },
    store: historyOf(async () => {
      pulse.add(id, run('a', start));
      pulse.add(id, run('b', start));
      return { rows: [run('a', start)] };
    }),
  });
  const [one, two] = await Promise.all([pulse.of(id), pulse.of(id)]);
  assert.is(one.hours.at(-1)?.pulled, 2);
  assert.equal(one, two);
});

test('time that passes without runs empties the picture', async () => {
  let now = start;
  const pulse = createSyncStats({
    clock: { now: () => now },
    store: historyOf(async () => ({ rows: [run('a', start)] })),
  });
  await pulse.load([id]);
  assert.is(pulse.all().hours.at(-1)?.pulled, 1);
  now += 23 * hour;
  assert.is(pulse.all().hours.at(0)?.pulled, 1);
  now += hour;
  assert.is(
    pulse.all().hours.reduce((sum, { pulled }) => sum + pulled, 0),
    0,
  );
  now += 40 * 24 * hour;
  assert.ok(pulse.all().days.every(({ pulled }) => pulled === 0));
  assert.is(pulse.all().complete, true);
});

test('how long syncs took is told by day, of those that moved something, and survives a restart', async () => {
  const day = 24 * hour;
  const rows = [
    run('a', start, { durationMs: 400 }),
    run('b', start, { durationMs: 130_000 }),
    run('c', start, { durationMs: 600 }),
    run('d', start, { durationMs: 999_000, result: 'held' }),
    run('e', start, { durationMs: 999_000, pulled: none }),
    run('f', start - 29 * day, { durationMs: 7_200_000 }),
    run('g', start - 30 * day, { durationMs: 999_000 }),
  ];
  const lived = createSyncStats({ clock: { now: () => start }, store: historyOf(async () => ({ rows: [] })) });
  await lived.of(id);
  for (const one of rows) lived.add(id, one);
  const read = createSyncStats({ clock: { now: () => start }, store: historyOf(async () => ({ rows })) });
  const { took } = await read.of(id);
  assert.equal(took, (await lived.of(id)).took, 'what was counted as it happened is what history tells');
  assert.equal([took.days.at(-1)?.syncs, took.days.at(-1)?.slowestMs], [3, 130_000]);
  assert.ok(Math.abs((took.days.at(-1)?.medianMs ?? 0) - 600) <= 60);
  assert.equal(took.days[0], { syncs: 1, medianMs: 7_200_000, slowestMs: 7_200_000 });
  assert.is(took.whole.syncs, 4);
  assert.is(took.whole.slowestMs, 7_200_000);
  assert.equal(took.days[1], { syncs: 0, medianMs: 0, slowestMs: 0 });
});

test('times of all sites are one picture, and old ones are forgotten', async () => {
  let now = start;
  const of = async (site: SiteId) => ({ rows: [run(`${site}1`, start, { durationMs: site === id ? 300 : 9_000 })] });
  const pulse = createSyncStats({ clock: { now: () => now }, store: historyOf(of) });
  const other = 'shop' as SiteId;
  await pulse.load([id, other]);
  pulse.add(other, run('x', start, { durationMs: 9_000 }));
  const { whole } = pulse.all().took;
  assert.equal([whole.syncs, whole.slowestMs], [3, 9_000]);
  assert.ok(Math.abs(whole.medianMs - 9_000) <= 900);
  pulse.forget(other);
  assert.equal(pulse.all().took.whole, { syncs: 1, medianMs: 300, slowestMs: 300 });
  now += 30 * 24 * hour;
  assert.is(pulse.all().took.whole.syncs, 0);
});

test.run();
