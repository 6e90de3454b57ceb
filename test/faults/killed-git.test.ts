import { randomBytes } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { overHttp } from './over-http.ts';
import { commitOf, inline, plant, problemOf } from './support.ts';

const killed = suite('faults/killed-git');

/** Kills the next program whose command line holds `words`, as the kernel does when memory runs out. */
async function killNext(words: string): Promise<void> {
  for (;;) {
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      let line = '';
      try {
        line = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      } catch {
        // It ended meanwhile.
      }
      if (!line.includes(words) || !isOurs(pid)) continue;
      process.kill(Number(pid), 'SIGKILL');
      return;
    }
    await sleep(1);
  }
}

/** Whether a process descends from this one: other tests run at the same time. */
function isOurs(pid: string): boolean {
  for (let at = pid; at !== '0' && at !== '1';) {
    if (Number(at) === process.pid) return true;
    try {
      at = /^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${at}/status`, 'utf8'))?.[1] ?? '0';
    } catch {
      return false;
    }
  }
  return false;
}

/** Large enough that taking it in lasts a while. */
const large = (): string => randomBytes(6_000_000).toString('base64');

for (const [way, over] of [
  ['over the wire', { wire: { started: () => {} } }],
  ['by git’s own commands', {}],
] as const) {
  killed(`R14: git is killed while it takes in what was fetched, ${way}: told as that, and made up for`, () =>
    overHttp(over, async (world) => {
      await world.connect();
      await world.sync();
      plant(world.bare, commitOf([inline('large.txt', large())]));
      const [problem] = await Promise.all([problemOf(() => world.sync()), killNext('index-pack')]);
      assert.is(problem.code, 'git-killed', problem.message);
      await world.sync();
      assert.is(world.read('large.txt').length, 8_000_000);
    }),
  );
}

killed.run();
