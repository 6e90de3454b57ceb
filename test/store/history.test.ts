import { appendFileSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { AuditEntry, RunRecord } from '../../src/model/event.ts';
import type { SiteId } from '../../src/model/site.ts';
import { pathFromText } from '../../src/model/tree.ts';
import { createHistory } from '../../src/store/history.ts';
import { freshFolder } from './fixtures.ts';

const historySuite = suite('history');
const shop = 'shop-1' as SiteId;
const none = { added: 0, changed: 0, removed: 0 };

function run(n: number, output = ''): RunRecord {
  return {
    id: `run-${n}`,
    at: n,
    durationMs: 1,
    triggers: ['watch'],
    result: 'pushed',
    pulled: none,
    pushed: { ...none, added: 1 },
    files: [{ mark: '+', path: pathFromText(`über/${n}.md`), to: 'gitlab' }],
    conflicts: [],
    output,
  };
}

const act = (n: number, site?: SiteId): AuditEntry => ({
  id: `act-${n}`,
  at: n,
  by: 'Ada',
  act: 'paused',
  detail: 'x',
  ...(site ? { site } : {}),
});

const ids = (rows: readonly { id: string }[]): string[] => rows.map((row) => row.id);

historySuite('runs come back newest first, page by page, over a restart too', async () => {
  const folder = freshFolder();
  const history = createHistory({ folder });
  for (let n = 1; n <= 7; n += 1) await history.addRun(shop, run(n));
  for (const each of [history, createHistory({ folder })]) {
    const { rows, total } = await each.runs(shop, { limit: 3, offset: 2 });
    assert.equal([ids(rows), total], [['run-5', 'run-4', 'run-3'], 7]);
    assert.equal(rows[0], run(5));
    assert.equal((await each.runs('other' as SiteId, { limit: 3, offset: 0 })).total, 0);
  }
  assert.is(statSync(join(folder, 'site-shop-1.jsonl')).mode & 0o777, 0o600);
});

historySuite('what people did can be asked for one site', async () => {
  const history = createHistory({ folder: freshFolder() });
  for (let n = 1; n <= 6; n += 1) await history.addAct(act(n, n % 2 === 0 ? shop : undefined));
  assert.equal(ids((await history.acts({ limit: 2, offset: 0 })).rows), ['act-6', 'act-5']);
  const { rows, total } = await history.acts({ limit: 2, offset: 1, sites: [shop] });
  assert.equal([ids(rows), total], [['act-4', 'act-2'], 3]);
});

historySuite('a torn last line is passed over and the next one is whole', async () => {
  const folder = freshFolder();
  await createHistory({ folder }).addRun(shop, run(1));
  const file = join(folder, 'site-shop-1.jsonl');
  appendFileSync(file, JSON.stringify(run(2)).slice(0, 40));
  const history = createHistory({ folder });
  assert.equal(ids((await history.runs(shop, { limit: 9, offset: 0 })).rows), ['run-1']);
  await history.addRun(shop, run(3));
  assert.equal(ids((await createHistory({ folder }).runs(shop, { limit: 9, offset: 0 })).rows), ['run-3', 'run-1']);
});

historySuite('a spoilt line in the middle costs only itself', async () => {
  const folder = freshFolder();
  const file = join(folder, 'site-shop-1.jsonl');
  const lines = [run(1), run(2), run(3)].map((row) => JSON.stringify(row));
  writeFileSync(file, `${lines[0]}\n\0\0\0\n{"id":7}\n${lines[2]}\n`);
  const { rows } = await createHistory({ folder }).runs(shop, { limit: 9, offset: 0 });
  assert.equal(ids(rows), ['run-3', 'run-1']);
});

historySuite('a full file is turned over; one older generation stays and is paged through', async () => {
  const folder = freshFolder();
  const history = createHistory({ folder, maxBytes: 2_000 });
  for (let n = 1; n <= 40; n += 1) await history.addRun(shop, run(n));
  const file = join(folder, 'site-shop-1.jsonl');
  assert.ok(statSync(file).size <= 2_000 && statSync(`${file}.1`).size <= 2_000);
  const { rows, total } = await history.runs(shop, { limit: 99, offset: 0 });
  assert.is(rows.length, total);
  assert.equal(
    ids(rows),
    Array.from({ length: total }, (_, n) => `run-${40 - n}`),
  );
  assert.equal(ids((await createHistory({ folder }).runs(shop, { limit: 99, offset: 0 })).rows), ids(rows));
});

historySuite('many at once stay in order, none lost', async () => {
  const folder = freshFolder();
  const history = createHistory({ folder });
  await Promise.all(Array.from({ length: 50 }, (_, n) => history.addRun(shop, run(n))));
  await history.flushed();
  const lines = readFileSync(join(folder, 'site-shop-1.jsonl'), 'utf8').trim().split('\n');
  assert.equal(
    lines.map((line) => JSON.parse(line).at),
    Array.from({ length: 50 }, (_, n) => n),
  );
});

historySuite('a page of a large file is read without reading the file', async () => {
  const folder = freshFolder();
  const big = 'x'.repeat(50_000);
  const file = join(folder, 'site-shop-1.jsonl');
  writeFileSync(file, Array.from({ length: 90 }, (_, n) => `${JSON.stringify(run(n, big))}\n`).join(''));
  const history = createHistory({ folder });
  await history.runs(shop, { limit: 1, offset: 0 });
  // Everything but the last line spoilt behind its back: a page of one must not notice.
  const last = Buffer.byteLength(JSON.stringify(run(89, big))) + 1;
  const bytes = readFileSync(file);
  bytes.fill(0, 0, bytes.length - last);
  writeFileSync(file, bytes);
  assert.equal(ids((await history.runs(shop, { limit: 1, offset: 0 })).rows), ['run-89']);
});

historySuite('a site that goes takes its runs along', async () => {
  const folder = freshFolder();
  const history = createHistory({ folder });
  await history.addRun(shop, run(1));
  await history.forget(shop);
  assert.not(existsSync(join(folder, 'site-shop-1.jsonl')));
  assert.is((await history.runs(shop, { limit: 1, offset: 0 })).total, 0);
});

historySuite('an id that is no site id reaches no file', async () => {
  const history = createHistory({ folder: freshFolder() });
  const results = await Promise.allSettled([
    Promise.resolve().then(() => history.runs('../x' as SiteId, { limit: 1, offset: 0 })),
  ]);
  assert.is(results[0].status, 'rejected');
});

historySuite.run();
