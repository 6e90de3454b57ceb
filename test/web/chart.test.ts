import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createSyncStats } from '../../src/actions/sync-stats.ts';
import type { RunRecord } from '../../src/model/event.ts';
import type { SiteId } from '../../src/model/site.ts';
import { tookChart } from '../../src/web/chart.ts';
import { signedIn } from './browser.ts';
import { fullWorld } from './content.ts';
import { now, run, site } from './support.ts';

const test = suite('chart');
const id = 'museum' as SiteId;
const day = 86_400_000;
const none = { added: 0, changed: 0, removed: 0 };

const lasted = (name: string, at: number, durationMs: number, over: Partial<RunRecord> = {}): RunRecord =>
  run(name, { at, durationMs, ...over });

const pulseOf = (rows: readonly RunRecord[]) =>
  createSyncStats({ clock: { now: () => now }, store: { history: { runs: async () => ({ rows }) } } });

/** Where a path's strokes begin and end, from the top. */
const strokes = (path: string): number[][] =>
  path
    .split('M')
    .slice(1)
    .map((one) => one.split(/[ vVh]/).map((word) => Math.abs(Number(word))));

test('the chart, its words and its table say what the records say', async () => {
  const planted = [
    lasted('a', now, 100),
    lasted('b', now, 1_000),
    lasted('c', now, 100_000),
    lasted('d', now - 2 * day, 1_000, { result: 'pushed', pulled: none, pushed: { ...none, changed: 1 } }),
    lasted('e', now - 29 * day, 10_000, { result: 'connected' }),
    // None of these: it failed, it moved nothing, it is too long ago.
    lasted('f', now, 900_000, { result: 'failed' }),
    lasted('g', now, 800_000, { pulled: none }),
    lasted('h', now - 31 * day, 700_000),
  ];
  const { took } = await pulseOf(planted).of(id);
  assert.is(took.days.length, 30);
  assert.equal(
    took.days.filter(({ syncs }) => syncs > 0).map(({ syncs, slowestMs }) => [syncs, slowestMs]),
    [
      [1, 10_000],
      [1, 1_000],
      [3, 100_000],
    ],
  );
  const today = took.days.at(-1)?.medianMs ?? 0;
  assert.ok(Math.abs(today - 1_000) <= 100, `${today} ms is the median to a tenth`);
  assert.is(took.days.at(-3)?.medianMs, 1_000, 'of one sync the time is known');

  const chart = tookChart(took, now);
  assert.equal(chart.ticks, ['100 s', '10 s', '1 s']);
  assert.equal(
    chart.rows.map((row) => Object.values(row)),
    [
      ['19 Nov', '3', '1.0 s', '1 min 40 s'],
      ['17 Nov', '1', '1.0 s', '1.0 s'],
      ['21 Oct', '1', '10 s', '10 s'],
    ],
  );
  assert.is(chart.words, 'last 30 days: median 1.0\u00a0s, slowest 1\u00a0min\u00a040\u00a0s');
  assert.match(chart.label, 'on 19 Nov, of 5 syncs that changed files');
  // Ten times as long is one line of the scale higher.
  const [hundred = 0, ten = 0, one = 0] = strokes(chart.grid).map(([, y = 0]) => y);
  assert.is(hundred, 1);
  assert.ok(Math.abs(ten - hundred - (one - ten)) < 0.2);
  const slowest = strokes(chart.slowest);
  assert.equal(
    slowest.map(([x]) => x),
    [3, 27 * 6 + 3, 29 * 6 + 3],
    'each day has its place',
  );
  assert.equal(
    slowest.map(([, , y]) => y),
    [ten, one, hundred],
  );
  assert.equal(
    strokes(chart.medians).map(([x, from = 0, length = 0]) => [x, from - length / 2]),
    slowest.map(([x, from]) => [x, from]),
    'the mark stands on its median, where the line to the slowest begins',
  );
});

test('a month without syncs has words and no picture', async () => {
  const chart = tookChart((await pulseOf([]).of(id)).took, now);
  assert.equal(chart.rows, []);
  assert.is(chart.words, 'last 30 days: no sync changed any files');
  const world = fullWorld();
  world.pulse = { ...world.pulse, took: (await pulseOf([]).of(id)).took };
  const { text } = await (await signedIn(world)).get('/sites/museum');
  assert.match(text, 'last 30 days: no sync changed any files');
  assert.not.match(text, 'took-days');
});

test('site, dashboard and System show the times, with units, as a picture and as a table', async () => {
  const world = fullWorld();
  world.pulse = await pulseOf([lasted('a', now, 1_000), lasted('b', now - day, 190_000)]).of(id);
  const me = await signedIn(world);
  for (const path of ['/sites/museum', '/', '/system']) {
    const { text } = await me.get(path);
    assert.match(
      text,
      /role="img" aria-label="Sync duration, last 30 days: median 1.0.s, slowest 3.min.10.s on 18 Nov/,
    );
    assert.match(text, '<th scope="row">18 Nov</th><td>1</td><td>3 min 10 s</td><td>3 min 10 s</td>');
    assert.match(text, '<span>1,000 s</span><span>100 s</span><span>10 s</span><span>1 s</span>');
  }
});

test('the table stays open while the page lives, and keeps the picture from the empty site', async () => {
  const me = await signedIn(fullWorld());
  for (const path of ['/live', '/sites/museum/live'])
    assert.match((await me.get(path)).text, '<details class="fold after" id="took-days">');
  assert.not.match((await me.get('/sites/parks')).text, 'Sync duration');
});

test('a thousand busy sites make one small chart', async () => {
  const world = fullWorld();
  world.sites = Array.from({ length: 1_000 }, (_, i) => site(`s${i}`, { name: `Site ${i}` }));
  const pulse = createSyncStats({
    clock: { now: () => now },
    store: {
      history: {
        runs: async (of, { offset }) => ({
          rows:
            offset > 0
              ? []
              : Array.from({ length: 60 }, (_, i) => lasted(`${of}-${i}`, now - (i % 30) * day, 200 + i * 1_009)),
        }),
      },
    },
  });
  await pulse.load(world.sites.map((one) => one.id));
  pulse.all();
  const started = performance.now();
  world.pulse = pulse.all();
  const ms = performance.now() - started;
  assert.is(world.pulse.took.whole.syncs, 60_000);
  assert.ok(world.pulse.took.days.every(({ syncs }) => syncs === 2_000));
  const { text } = await (await signedIn(world)).get('/');
  assert.ok(text.length < 60_000, `${text.length} bytes`);
  console.log(`1,000 sites, a sync on each of 30 days: counted in ${ms.toFixed(1)} ms, page of ${text.length} bytes`);
});

test.run();
