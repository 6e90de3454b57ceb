import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Clock } from '../../src/model/world.ts';
import { OfferSchedule } from '../../src/sync/offer-schedule.ts';
import type { Remote } from '../../src/sync/ports.ts';
import { allow, forbid, installHook, prohibited } from '../support/forbid.ts';
import { until } from '../support/until.ts';
import { kept } from '../faults/support.ts';

/** When what GitLab refused is offered again, with nobody at the pages. */
const offers = suite('offers');

const minute = 60_000;

/** A clock that stands still until a test lets it go on. */
class StillClock implements Clock {
  #ms = 0;
  #sleepers: { readonly at: number; readonly wake: () => void }[] = [];

  now(): number {
    return 1_700_000_000_000 + this.#ms;
  }

  monotonic(): number {
    return this.#ms;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const sleeper = { at: this.#ms + ms, wake: resolve };
      this.#sleepers.push(sleeper);
      signal?.addEventListener('abort', () => {
        this.#sleepers = this.#sleepers.filter((one) => one !== sleeper);
        reject(new Error('broken off'));
      });
    });
  }

  /** To the next moment somebody waits for; how long that was, in ms. */
  next(): number | undefined {
    const at = Math.min(...this.#sleepers.map((one) => one.at));
    if (!Number.isFinite(at)) return undefined;
    const passed = at - this.#ms;
    this.pass(passed);
    return passed;
  }

  pass(ms: number): void {
    this.#ms += ms;
    const due = this.#sleepers.filter(({ at }) => at <= this.#ms);
    this.#sleepers = this.#sleepers.filter(({ at }) => at > this.#ms);
    for (const { wake } of due) wake();
  }
}

/** A remote that counts what is pushed to it. */
function counting(): { pushes: () => number; remote: (real: Remote) => Remote } {
  let pushes = 0;
  return {
    pushes: () => pushes,
    remote: (real) => ({
      ...real,
      push(...args) {
        pushes += 1;
        return real.push(...args);
      },
    }),
  };
}

offers('slowly, ever more slowly, and at the latest after an hour and a quarter', () => {
  const clock = new StillClock();
  const schedule = new OfferSchedule({ clock, random: { bytes: (n) => Buffer.alloc(n), fraction: () => 0.999 } });
  const waits: number[] = [];
  for (let i = 0; i < 24; i += 1) {
    const wait = schedule.next({ waits: true, wasOffered: true });
    waits.push(wait / minute);
    clock.pass(wait - 1);
    assert.is(schedule.isDue(false), false);
    clock.pass(1);
    assert.is(schedule.isDue(false), true);
  }
  assert.ok((waits[0] as number) >= 5 && (waits[0] as number) <= 15, `${waits[0]} minutes`);
  assert.ok(waits.every((wait, at) => wait <= 75 && wait >= (waits[at - 1] ?? 0)));
});

offers('nothing refused is never due, also when GitLab calls', () => {
  const clock = new StillClock();
  const schedule = new OfferSchedule({ clock, random: { bytes: (n) => Buffer.alloc(n), fraction: () => 0.5 } });
  assert.is(schedule.isDue(true), false);
  schedule.next({ waits: true, wasOffered: true });
  assert.is(schedule.next({ waits: false, wasOffered: false }), Number.POSITIVE_INFINITY);
  clock.pass(600 * minute);
  assert.is(schedule.isDue(true), false);
});

offers('a thousand calls in an hour are not a thousand pushes', () => {
  const clock = new StillClock();
  const schedule = new OfferSchedule({ clock, random: { bytes: (n) => Buffer.alloc(n), fraction: () => 0.5 } });
  schedule.next({ waits: true, wasOffered: true });
  let offered = 0;
  for (let i = 0; i < 1_000; i += 1) {
    clock.pass(3_600);
    const isDue = schedule.isDue(true);
    if (isDue) offered += 1;
    schedule.next({ waits: true, wasOffered: isDue });
  }
  assert.ok(offered > 10 && offered <= 60, `${offered} pushes in an hour`);
});

for (const [name, words] of [
  ['a protected branch', 'GitLab: You are not allowed to push code to protected branches on this project.'],
  ['a role that was too low', 'GitLab: You are not allowed to push code to this project.'],
  ['a rule', 'forbidden content'],
] as const) {
  offers(`${name}: offered a few times in hours, and it arrives by itself when it is undone at GitLab`, async () => {
    const clock = new StillClock();
    const { pushes, remote } = counting();
    await kept({ clock, remote }, async (world) => {
      installHook(world.bare, [`echo "${words}" >&2`, 'exit 1']);
      world.write('about.md', 'edited\n');
      await world.triggered('rescan');
      assert.is(world.worker.status().hold?.code, 'push-refused');
      const first = pushes();
      for (let i = 0; i < 3; i += 1) await world.triggered('poll');
      assert.is(pushes(), first, 'a look at the branch was taken for a reason');
      let passed = 0;
      for (let tries = 1; tries <= 3; tries += 1) {
        passed += clock.next() ?? 0;
        await until('offered again', () => pushes() === first + tries);
        await world.triggered('poll');
      }
      assert.ok(passed >= 15 * minute, `three pushes in ${passed / minute} minutes`);
      allow(world.bare);
      clock.next();
      await until('it arrived', () => world.branch()['about.md'] === 'edited');
      await until('in sync', () => world.worker.status().state === 'in-sync');
      assert.is(clock.next(), undefined, 'something is still waited for');
    });
  });
}

offers('GitLab calls: at once', async () => {
  const clock = new StillClock();
  const { pushes, remote } = counting();
  await kept({ clock, remote }, async (world) => {
    installHook(world.bare, ['echo no >&2', 'exit 1']);
    world.write('about.md', 'edited\n');
    await world.triggered('rescan');
    allow(world.bare);
    clock.pass(minute);
    await world.triggered('webhook');
    assert.is(world.branch()['about.md'], 'edited');
    assert.is(pushes(), 2);
  });
});

offers('a pull that brought something, and a new edit, offer all that waits', async () => {
  const clock = new StillClock();
  await kept({ clock }, async (world) => {
    for (const [path, life] of [
      ['one.md', () => world.push({ 'theirs.md': 'theirs\n' })],
      ['two.md', () => world.write('three.md', 'edited\n')],
    ] as const) {
      installHook(world.bare, ['echo no >&2', 'exit 1']);
      world.write(path, 'edited\n');
      await world.triggered('rescan');
      assert.not.ok(path in world.branch());
      allow(world.bare);
      life();
      await world.triggered('poll');
      assert.is(world.branch()[path], 'edited');
    }
  });
});

offers('a restart is no reason; the schedule begins anew', async () => {
  const clock = new StillClock();
  const { pushes, remote } = counting();
  await kept({ clock, remote }, async (world) => {
    installHook(world.bare, ['echo no >&2', 'exit 1']);
    world.write('about.md', 'edited\n');
    await world.triggered('rescan');
    const tried = pushes();
    await world.triggered('start');
    assert.is(pushes(), tried);
  });
});

offers('a file that waits alone goes along by itself when the rule is gone', async () => {
  const clock = new StillClock();
  const { pushes, remote } = counting();
  await kept({ clock, remote }, async (world) => {
    forbid(world.bare, 'secret', prohibited);
    world.write('secret.txt', 'hunter2\n');
    await world.triggered('rescan');
    const status = world.worker.status();
    assert.equal([status.state, status.notSyncedCount], ['in-sync', 1]);
    const before = pushes();
    clock.next();
    await until('offered again', () => pushes() === before + 1);
    await world.triggered('poll');
    assert.equal([world.worker.status().state, world.worker.status().notSyncedCount], ['in-sync', 1]);
    allow(world.bare);
    clock.next();
    await until('it arrived', () => world.branch()['secret.txt'] === 'hunter2');
  });
});

offers.run();
