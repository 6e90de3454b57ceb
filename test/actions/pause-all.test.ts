import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createPauseAll } from '../../src/actions/pause-all.ts';
import { type MaintenanceWindow, type PauseAll, turnOf } from '../../src/model/maintenance.ts';
import type { Site, SiteId } from '../../src/model/site.ts';
import { problemOf } from '../net/support.ts';

const pausing = suite('actions/pause-all');

const [minute, hour, day] = [60_000, 3_600_000, 86_400_000];
const noon = Date.UTC(2026, 11, 1, 12);

/** A store in memory, a clock that is moved by hand, and what was done to sites. */
function arrange() {
  const done: string[] = [];
  const state: { now: number; pause?: PauseAll; window?: MaintenanceWindow; paused: string[] } = {
    now: noon,
    paused: [],
  };
  const site = { id: 's1' as SiteId } as Site;
  let wake = (): void => {};
  const actions = createPauseAll({
    store: {
      sites: {
        pauseAll: () => state.pause,
        maintenanceWindow: () => state.window,
        async pauseTogether(pause) {
          state.pause = pause;
          done.push('pause');
          return [site];
        },
        async resumeTogether() {
          delete state.pause;
          done.push('resume');
          return [site];
        },
        async setMaintenanceWindow(window) {
          if (window) state.window = window;
          else delete state.window;
        },
      },
    },
    runtimes: {
      worker: (id) => ({
        paused: () => void done.push(`${id} paused`),
        trigger: (by) => void done.push(`${id} ${by}`),
      }),
      changed: async ({ id }) => void done.push(`${id} changed`),
    },
    clock: {
      now: () => state.now,
      monotonic: () => state.now,
      sleep: () => new Promise((resolve) => (wake = resolve)),
    },
    report: ({ by, act }) => void done.push(`${by}: ${act}`),
    log: () => {},
  });
  actions.start();
  return {
    ...{ actions, state, done },
    /** The daemon's clock reaches a time. */
    async at(time: number) {
      state.now = time;
      wake();
      for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
    },
  };
}

pausing('all sites pause and resume together; a pause with an end ends by itself', async () => {
  const { actions, state, done, at } = arrange();
  await actions.pause('Ana');
  assert.equal(done, ['pause', 's1 paused', 's1 changed', 'Ana: paused-all']);
  await at(noon + 10 * day);
  assert.is(actions.now()?.by, 'Ana');
  done.length = 0;
  await actions.resume('Ana');
  assert.equal(done, ['resume', 's1 changed', 's1 person', 'Ana: resumed-all']);
  await actions.pause('Ana', state.now + hour);
  await at(state.now + hour - 1);
  assert.ok(actions.now());
  await at(state.now + 1);
  assert.is(actions.now(), undefined);
  const { code, facts } = await problemOf(actions.pause('Ana', state.now - minute));
  assert.equal([code, facts], ['form-invalid', { until: 'Enter a time in the future.' }]);
});

pausing('a window begins and ends by the clock, also where the daemon was down at its start', async () => {
  const { actions, state, at } = arrange();
  await actions.plan({ from: noon + hour, until: noon + 3 * hour }, 'Ana');
  await at(noon + hour - 1);
  assert.is(actions.now(), undefined);
  await at(noon + 2 * hour);
  assert.equal(actions.now(), { since: noon + 2 * hour, until: noon + 3 * hour });
  await at(noon + 3 * hour);
  assert.equal([actions.now(), actions.planned(), state.window], [undefined, undefined, undefined]);
});

pausing('a turn that somebody ended early does not begin again; the next one does', async () => {
  const { actions, at } = arrange();
  await actions.plan({ from: noon, until: noon + hour, every: 'day' }, 'Ana');
  assert.ok(actions.now(), 'it begins at once');
  await actions.resume('Lena');
  await at(noon + 2 * minute);
  assert.is(actions.now(), undefined);
  await at(noon + day + minute);
  assert.equal(actions.now(), { since: noon + day + minute, until: noon + day + hour });
});

pausing('a person’s pause outlasts a window', async () => {
  const { actions, at } = arrange();
  await actions.plan({ from: noon + hour, until: noon + 2 * hour }, 'Ana');
  await actions.pause('Ana');
  await at(noon + 90 * minute);
  await at(noon + 3 * hour);
  assert.is(actions.now()?.by, 'Ana');
});

pausing('windows that cannot be meant are refused', async () => {
  const { actions, state } = arrange();
  for (const [window, field] of [
    [{ from: noon + hour, until: noon }, 'until'],
    [{ from: noon - 2 * hour, until: noon - hour }, 'until'],
    [{ from: noon, until: noon + 13 * hour, every: 'day' }, 'until'],
    [{ from: noon, until: noon + 8 * day }, 'until'],
  ] as const) {
    const { facts } = await problemOf(actions.plan(window, 'Ana'));
    assert.equal(Object.keys(facts), [field]);
  }
  assert.is(state.window, undefined);
});

pausing('turns of a window', () => {
  const window = { from: noon, until: noon + hour };
  const at = (of: MaintenanceWindow, now: number) => turnOf(of, now)?.from;
  assert.is(at(window, noon - day), noon);
  assert.is(at(window, noon + hour - 1), noon);
  assert.is(at(window, noon + hour), undefined);
  assert.is(at({ ...window, every: 'day' }, noon + hour), noon + day);
  assert.is(at({ ...window, every: 'day' }, noon + 5 * day + hour - 1), noon + 5 * day);
  assert.is(at({ ...window, every: 'week' }, noon + 8 * day), noon + 14 * day);
});

pausing.run();
