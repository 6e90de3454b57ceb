import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { SiteId } from '../../src/model/site.ts';
import { createExtraScans, paceFor } from '../../src/triggers/extra-scans.ts';

const scans = suite('extra scans');
const site = 's1' as SiteId;

scans('R24: as often as a scan takes a fiftieth of the time, within bounds', () => {
  assert.is(paceFor(undefined), undefined);
  assert.is(paceFor(3), 30_000);
  assert.is(paceFor(600), 30_000);
  assert.is(paceFor(1_234), 62_000);
  assert.is(paceFor(4_800), 240_000);
  assert.is(paceFor(4_900), undefined);
});

scans('R24: triggers while they are cheap, says how often, and ends', async () => {
  const waits: { ms: number; wake: () => void }[] = [];
  let costMs: number | undefined;
  const triggered: SiteId[] = [];
  const paces: (number | undefined)[] = [];
  const extra = createExtraScans({
    clock: {
      now: () => 0,
      monotonic: () => 0,
      sleep: (ms, signal) =>
        new Promise((wake, reject) => {
          waits.push({ ms, wake });
          signal?.addEventListener('abort', () => reject(new Error('aborted')));
        }),
    },
    costMs: () => costMs,
    onTrigger: (id) => void triggered.push(id),
    onPace: (_site, everyMs) => void paces.push(everyMs),
  });
  const next = async (): Promise<number | undefined> => {
    const before = waits.length;
    waits.at(-1)?.wake();
    for (let i = 0; i < 100 && waits.length === before; i += 1) await Promise.resolve();
    return waits.at(-1)?.ms;
  };
  extra.start(site);
  extra.start(site);
  assert.is(waits.length, 1, 'started twice');
  costMs = 1_000;
  assert.is(await next(), 50_000);
  assert.equal(triggered, [], 'before any cost was known');
  costMs = 60_000;
  assert.is(await next(), 30_000);
  assert.equal(triggered, [site]);
  await next();
  assert.equal(triggered, [site], 'too dear');
  assert.equal(paces, [undefined, 50_000, undefined, undefined]);
  extra.close();
  const count = waits.length;
  await next();
  assert.is(waits.length, count, 'it went on');
});

scans.run();
