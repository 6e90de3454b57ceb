import { randomBytes } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readProgress, withoutProgress } from '../../src/git/progress.ts';
import type { BranchName } from '../../src/model/instance.ts';
import { Problem } from '../../src/model/problem.ts';
import type { Progress } from '../../src/model/site.ts';
import { paced } from '../../src/sync/pace.ts';
import { overHttp } from '../faults/over-http.ts';
import { kept } from '../faults/support.ts';

const stop = suite('long work');

const many = Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`f${i}.txt`, `${i}\n`]));

stop('broken off in the middle of an apply: no file is half, nothing is taken for an edit, the rest comes later', () =>
  kept({}, async (world) => {
    const tip = world.push(many);
    const before = world.events.length;
    const done = world.triggered('poll');
    while (!progressSince(world.events, before).some(({ act }) => act === 'pulling'))
      await new Promise((resolve) => setImmediate(resolve));
    assert.is(world.worker.breakOff(), true);
    await done;
    assert.not.ok(world.has('f399.txt'), 'it was not broken off');
    for (const [path, content] of Object.entries(world.files())) assert.is(content, world.branch()[path]);
    await world.triggered('rescan');
    assert.is(world.tip(), tip);
    await world.triggered('person');
    assert.equal(world.files(), world.branch());
    assert.is(world.worker.breakOff(), false, 'nothing is under way');
  }),
);

stop('a dry run that nobody waits for any more ends, and the site can be connected afterwards', () =>
  kept({ unconnected: true }, async (world) => {
    const gone = new AbortController();
    const remote = {
      ...world.remote,
      fetch: (signal?: AbortSignal) =>
        new Promise<never>((_, reject) => {
          signal?.addEventListener('abort', () => reject(signal.reason as Error));
          gone.abort(new Problem('broken-off'));
        }),
    };
    const planned = world.worker.plan('main' as BranchName, 'replace', remote, '', {
      signal: gone.signal,
      progress: () => {},
    });
    assert.is(
      await planned.then(
        () => 'planned',
        (error: Problem) => error.code,
      ),
      'broken-off',
    );
    const plan = await world.worker.plan('main' as BranchName, 'replace', world.remote);
    assert.is(plan.added, 4);
  }),
);

stop('a fetch tells how far it is, in objects and bytes', () =>
  overHttp({ repository: { 'big.txt': randomBytes(1_500_000).toString('hex') } }, async (world) => {
    const told: Progress[] = [];
    await world.repository.prepare();
    await world.remote.fetch(undefined, (progress) => told.push(progress));
    assert.ok(told.some(({ act, bytes = 0, done, total }) => act === 'fetching' && bytes > 1_000_000 && done <= total));
  }),
);

stop('git’s own words are read: the last line counts, the server’s counting does not', () => {
  const text =
    'remote: Counting objects: 100% (9/9), done.\rReceiving objects:  10% (1/9)\rReceiving objects:  45% (4/9), 1.50 MiB | 3.00 MiB/s\r';
  assert.equal(readProgress(text, 'fetching'), { act: 'fetching', done: 4, total: 9, bytes: 1_572_864 });
  assert.is(readProgress('remote: Counting objects: 100% (9/9)\r', 'fetching'), undefined);
  const left = 'remote: File size: 12 is too large\nTo http://gitlab.example/a.git\n!\trefs/heads/main [rejected]';
  assert.is(withoutProgress(`Writing objects: 100% (3/3), 250 bytes | 250.00 KiB/s, done.\r\n${left}`), left);
});

stop('progress is told four times a second at the most, with the speed once it can be known', () => {
  let now = 0;
  const told: Progress[] = [];
  const tell = paced({ now: () => 0, monotonic: () => now, sleep: () => Promise.resolve() }, (progress) =>
    told.push(progress),
  );
  for (let bytes = 0; bytes <= 2_000; bytes += 10, now += 10) tell({ act: 'pulling', done: 0, total: 9, bytes });
  assert.is(told.length, 9);
  assert.is(told[0]?.bytesPerSecond, undefined);
  assert.is(told.at(-1)?.bytesPerSecond, 1_000);
  tell({ act: 'pushing', done: 0, total: 0 });
  assert.is(told.at(-1)?.act, 'pushing', 'another act is told at once');
});

function progressSince(events: Parameters<Parameters<typeof kept>[1]>[0]['events'], from: number): Progress[] {
  return events.slice(from).flatMap((event) => (event.kind === 'status' ? (event.status.progress ?? []) : []));
}

stop.run();
