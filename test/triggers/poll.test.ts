import { mock } from 'node:test';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { SiteId } from '../../src/model/site.ts';
import { checkCron, createPoll } from '../../src/triggers/poll.ts';
import type { Clock } from '../../src/model/world.ts';
import { realRandom } from '../net/support.ts';

const poll = suite('triggers/poll');

poll('schedules of five fields are taken', () => {
  for (const good of [
    '* * * * *',
    '*/5 * * * *',
    '0 3 * * mon-fri',
    '0,30 8-18 1 jan-mar *',
    ' 5  4 * *  0 ',
    '0 0 * * fri-sun',
  ]) {
    assert.is(checkCron(good), undefined, good);
  }
});

poll('seconds, reversed ranges, nonsense and dates that never come are refused with a sentence', () => {
  const bad = [
    '* * * * * *',
    '* * * *',
    '',
    '50-10 * * * *',
    '0 22-2 * * *',
    '0 0 * * sat-mon',
    '0 0 * dec-jan *',
    '61 * * * *',
  ];
  for (const each of [...bad, 'often please and now ok', '0 0 31 2 *', '* * * * x']) {
    assert.type(checkCron(each), 'string', each);
  }
});

/** Runs on node's own fake timers: real minutes are too long for a test. */
async function minutes(n: number): Promise<void> {
  for (let second = 0; second < n * 60; second += 1) {
    mock.timers.tick(1_000);
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  }
}

function arrange(fraction = 0) {
  mock.timers.enable({ apis: ['Date', 'setTimeout'], now: Date.UTC(2026, 0, 1, 12, 0, 30) });
  const rings: string[] = [];
  const faults: string[] = [];
  let unseenMs = 0;
  const clock: Clock = {
    now: () => Date.now(),
    monotonic: () => Date.now() + unseenMs,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason as Error));
        setTimeout(resolve, ms);
      }),
  };
  const poller = createPoll({
    clock,
    random: { ...realRandom, fraction: () => fraction },
    onTrigger: (id, trigger) => rings.push(`${id} ${trigger}`),
    log: (_level, message) => faults.push(message),
  });
  const end = async () => {
    await poller.stop();
    mock.timers.reset();
  };
  /** Time in which no timer of the scheduler came. */
  const passUnseen = (ms: number): void => void (unseenMs += ms);
  return { poller, rings, faults, passUnseen, end };
}

const site = (id: string, more: object = {}) => ({
  id: id as SiteId,
  paused: false,
  binding: { webhook: { kind: 'none', reason: '' } } as never,
  settings: { poll: '* * * * *', rescan: '*/5 * * * *' },
  ...more,
});

poll('rings each connected site by both schedules; not a paused, unconnected or removed one', async () => {
  const { poller, rings, faults, end } = arrange();
  poller.update(site('s1'));
  poller.update(site('s1'));
  poller.update(site('paused', { paused: true }));
  poller.update({ id: 'unconnected' as SiteId, paused: false, settings: { poll: '* * * * *', rescan: '* * * * *' } });
  poller.update(site('removed'));
  poller.remove('removed' as SiteId);
  await minutes(5);
  assert.equal(rings.sort(), [...Array<string>(5).fill('s1 poll'), 's1 rescan']);
  rings.length = 0;
  poller.update(site('s1', { settings: { poll: '*/2 * * * *', rescan: '0 3 * * *' } }));
  await minutes(4);
  assert.equal(rings, ['s1 poll', 's1 poll']);
  poller.update(site('s1', { paused: true }));
  rings.length = 0;
  await minutes(3);
  assert.equal(rings, []);
  assert.equal(faults, []);
  await end();
});

poll('spreads a ring by jitter, and a delayed one does not come after stop', async () => {
  const { poller, rings, end } = arrange(0.9);
  poller.update(site('s1'));
  await minutes(35 / 60);
  assert.equal(rings, []);
  await minutes(10 / 60);
  assert.equal(rings, ['s1 poll']);
  await minutes(50 / 60);
  await end();
  assert.equal(rings, ['s1 poll']);
});

poll('a schedule that cannot be used is logged and hurts nothing else', async () => {
  const { poller, rings, faults, end } = arrange();
  poller.update(site('s1', { settings: { poll: '* * * * *', rescan: 'broken' } }));
  await minutes(1);
  assert.equal(rings, ['s1 poll']);
  assert.is(faults.length, 1);
  await end();
});

poll(
  'a site whose webhook works is looked at every ten minutes; every minute again at once without proof',
  async () => {
    const { poller, rings, end } = arrange();
    const withHook = (kind: string) =>
      site('s1', { binding: { webhook: { kind } }, settings: { poll: '* * * * *', rescan: '0 3 * * *' } });
    poller.update(withHook('working'));
    await minutes(1);
    assert.equal(rings, ['s1 poll']);
    await minutes(20);
    assert.is(rings.length, 3);
    assert.ok(
      (poller.next('s1' as SiteId) ?? 0) > Date.now() + 5 * 60_000,
      'the page names the next look, not the next minute',
    );
    poller.update(withHook('waiting'));
    await minutes(3);
    assert.is(rings.length, 6);
    await end();
  },
);

poll(
  'the scheduler is alive while it runs, also without a site, and not once it stands still or has stopped',
  async () => {
    const { poller, passUnseen, end } = arrange();
    assert.is(poller.isAlive(), true);
    await minutes(30);
    assert.is(poller.isAlive(), true);
    passUnseen(2.5 * 60_000);
    assert.is(poller.isAlive(), true);
    passUnseen(60_000);
    assert.is(poller.isAlive(), false);
    await minutes(1);
    assert.is(poller.isAlive(), true);
    await end();
    assert.is(poller.isAlive(), false);
  },
);

poll.run();
