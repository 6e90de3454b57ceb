import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createDriver } from '../../src/git/driver.ts';
import { engineWorld } from '../support/engine.ts';

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

cost.run();
