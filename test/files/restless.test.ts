import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Debouncer } from '../../src/files/debouncer.ts';
import type { SitePath } from '../../src/model/tree.ts';
import type { Stat } from '../../src/model/world.ts';
import { handClock } from '../net/support.ts';

/** A log that is written without end, and people who save often. */
const restless = suite('paths that change without end');
const [log, page] = ['a.log', 'b.html'] as SitePath[] as [SitePath, SitePath];

function arrange() {
  const clock = handClock(1_000_000);
  const debouncer = new Debouncer(clock, () => ({ quietMs: 1_000, quietMaxMs: 30_000 }));
  let size = 0;
  /** A write now, and a look right after it, as an event sets it off. */
  const written = (path: SitePath): boolean => {
    debouncer.noticed(path);
    size += 1;
    const ns = BigInt(clock.now()) * 1_000_000n;
    const settled = debouncer.settled(path, { dev: 1n, ino: 1n, size, mtimeNs: ns, ctimeNs: ns } as unknown as Stat);
    if (settled) debouncer.taken(path);
    return settled;
  };
  /** A save that rests for long enough. */
  const saved = (path: SitePath): boolean => {
    debouncer.noticed(path);
    clock.pass(1_500);
    const ns = BigInt(clock.now() - 1_500) * 1_000_000n;
    const settled = debouncer.settled(path, { ctimeNs: ns } as Stat);
    if (settled) debouncer.taken(path);
    return settled;
  };
  /** How often a log written each half second was taken in so many seconds. */
  const logged = (seconds: number): number => {
    let takes = 0;
    for (let half = 0; half < 2 * seconds; half += 1) {
      clock.pass(500);
      if (written(log)) takes += 1;
    }
    return takes;
  };
  return { clock, debouncer, written, saved, logged };
}

restless(
  'R20: a log that never rests is taken each half minute at first, then named and taken each two minutes',
  () => {
    const { debouncer, logged } = arrange();
    assert.is(logged(62), 2);
    assert.equal(debouncer.restless.all(), []);
    assert.is(logged(31), 1);
    assert.equal(debouncer.restless.all(), [log]);
    const takes = logged(1_200);
    assert.ok(takes >= 7 && takes <= 10, `${takes} commits in twenty minutes`);
    assert.equal(debouncer.restless.all(), [log], 'still named');
  },
);

restless('R20: one that rests between its lines is named as well, after sixty commits within ten minutes', () => {
  const { clock, debouncer, saved } = arrange();
  let takes = 0;
  for (let at = 0; at < 100; at += 1) {
    if (saved(log)) takes += 1;
    clock.pass(4_000);
    if (takes === 60) break;
  }
  assert.is(takes, 60);
  assert.ok(debouncer.restless.has(log));
  assert.not.ok(saved(log), 'not before its time');
  const wait = debouncer.againInMs([log]);
  assert.ok(wait > 60_000 && wait <= 120_000, `${wait} ms`);
  clock.pass(wait);
  assert.ok(saved(log));
});

restless('R20: a person who saves each half minute for an hour is not taken for a log', () => {
  const { clock, debouncer, saved } = arrange();
  for (let at = 0; at < 120; at += 1) {
    assert.ok(saved(page));
    clock.pass(28_500);
  }
  assert.equal(debouncer.restless.all(), []);
});

restless('R20: an upload that takes minutes, once, is not named', () => {
  const { clock, debouncer, written, saved } = arrange();
  for (let at = 0; at < 120; at += 1) {
    clock.pass(500);
    written(page);
  }
  clock.pass(2_000);
  assert.ok(saved(page));
  assert.equal(debouncer.restless.all(), []);
});

restless('R20: whoever asks for a sync gets what is at rest now', () => {
  const { clock, debouncer, logged } = arrange();
  logged(120);
  clock.pass(2_000);
  const stat = { ctimeNs: BigInt(clock.now() - 2_000) * 1_000_000n } as Stat;
  assert.not.ok(debouncer.settled(log, stat));
  assert.ok(debouncer.settled(log, stat, 'at once'));
});

restless('R20: one for which something arrived does not wait for its turn, once', () => {
  const { clock, debouncer, logged, saved } = arrange();
  logged(120);
  debouncer.restless.hurry(log);
  assert.ok(saved(log));
  clock.pass(2_000);
  assert.not.ok(saved(log));
});

restless('R20: what has stopped for ten minutes is an ordinary path again', () => {
  const { clock, debouncer, logged, saved } = arrange();
  logged(120);
  assert.equal(debouncer.restless.all(), [log]);
  clock.pass(601_000);
  assert.equal(debouncer.restless.all(), []);
  assert.ok(saved(log));
  assert.equal(debouncer.restless.all(), []);
});

restless('R20: other paths do not wait for it', () => {
  const { debouncer, logged } = arrange();
  logged(120);
  assert.is(debouncer.againInMs([]), Number.POSITIVE_INFINITY);
  debouncer.noticed(page);
  assert.is(debouncer.againInMs([log, page]), 1_000);
  assert.not.ok(debouncer.restless.has(page));
});

restless.run();
