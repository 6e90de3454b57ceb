import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createDriver } from '../../src/git/driver.ts';
import type { Trigger } from '../../src/model/event.ts';
import { overHttp } from '../faults/over-http.ts';
import { engineWorld } from '../support/engine.ts';
import { git } from '../support/plain-git.ts';

/** Speed is not tested here, counts are: what a sync costs must follow the change, not the site. */
const cost = suite('what a sync costs');

const many = (count: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`d${i % 10}/f${i}.txt`, `${i}\n`]));

const editRuns: number[] = [];

for (const files of [10, 1_000]) {
  cost(`of ${files} files: a poll that finds nothing starts no process`, async () => {
    let runs = 0;
    const real = createDriver('/usr/bin/git');
    const world = await engineWorld({
      repository: many(files),
      driver: { run: (run) => ((runs += 1), real.run(run)), open: (run) => ((runs += 1), real.open(run)) },
    });
    try {
      await world.connect();
      await world.sync({ trigger: 'start' });
      await world.sync({ trigger: 'poll' });
      runs = 0;
      await world.sync({ trigger: 'poll' });
      assert.is(runs, 0);
      world.write('d1/f1.txt', 'edited\n');
      await world.sync({ trigger: 'watch' });
      editRuns.push(runs);
      process.stdout.write(`note: ${files} files: an edit starts ${runs} processes beside the push\n`);
    } finally {
      await world.close();
    }
  });
}

cost('an edit starts as many processes in a large site as in a small one', () => {
  assert.is(editRuns.length, 2);
  assert.is(editRuns[0], editRuns[1]);
});

/** Every file of a folder, with what a write would change of it. */
function stateOf(dir: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of readdirSync(dir, { recursive: true, encoding: 'utf8' })) {
    const { mtimeNs, ino, size } = statSync(join(dir, name), { bigint: true });
    found[name] = `${ino} ${size} ${mtimeNs}`;
  }
  return found;
}

for (const files of process.env['MOORING_TEST_LONG'] === 'yes' ? [200, 50_000] : [200, 3_000]) {
  cost(`of ${files} files, once warm: an edit and a look start no program, a push of others one`, async () => {
    let started: string[] = [];
    let cycle = '';
    const counts: Record<string, { programs: string[]; requests: number }> = {};
    const wire = { started: (args: readonly string[]) => void started.push(args.slice(0, 5).join(' ')) };
    await overHttp({ repository: many(files), wire }, async (world) => {
      const sync = (trigger: Trigger) => world.sync({ trigger, signal: new AbortController().signal });
      const count = async (what: string, act: () => Promise<unknown>): Promise<void> => {
        [cycle, started] = [what, []];
        const before = world.gitlab.requests.length;
        await act();
        counts[cycle] = { programs: started, requests: world.gitlab.requests.length - before };
      };
      await world.connect();
      for (const round of ['cold', 'warm']) {
        world.write('d1/f1.txt', `edited ${round}\n`);
        await count('edit', () => sync('watch'));
        assert.is(git(world.bare, 'show', 'main:d1/f1.txt'), `edited ${round}`);
        await world.project.push('main', { 'd2/f2.txt': `theirs ${round}\n` });
        await count('incoming', () => sync('webhook'));
        assert.is(world.read('d2/f2.txt'), `theirs ${round}\n`);
        const before = stateOf(join(world.dir, 'state'));
        await count('idle look', () => sync('poll'));
        await count('delivery without news', () => sync('webhook'));
        assert.equal(stateOf(join(world.dir, 'state')), before, 'something was written');
      }
      // Both sides at once, on different files.
      world.write('d3/f3.txt', 'ours\n');
      await world.project.push('main', { 'd4/f4.txt': 'theirs\n' });
      await count('both at once', () => sync('poll'));
      assert.is(world.read('d4/f4.txt'), 'theirs\n');
      assert.is(git(world.bare, 'show', 'main:d3/f3.txt'), 'ours');
    });
    assert.equal(counts['edit'], { programs: [], requests: 1 });
    assert.is(counts['incoming']?.programs.length, 1, counts['incoming']?.programs.join());
    assert.match(counts['incoming']?.programs[0] ?? '', 'index-pack');
    assert.is(counts['incoming']?.requests, 2);
    for (const idle of ['idle look', 'delivery without news'])
      assert.equal(counts[idle], { programs: [], requests: 1 }, idle);
    // The pack, and whether a line that GitLab refused has arrived after all; the merge itself starts nothing.
    const merging = counts['both at once']?.programs ?? [];
    assert.ok(merging.length <= 2 && !merging.some((program) => program.startsWith('merge')), merging.join());
    process.stdout.write(`note: ${files} files: ${JSON.stringify(counts)}\n`);
  });
}

cost.run();
