import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../src/model/problem.ts';
import type { Remote, Repository } from '../../src/sync/ports.ts';
import { kept } from '../faults/support.ts';

/** What a person must be asked or told is not lost with the run, or the repository, that found it. */
const told = suite('told all the same');

for (const policy of ['repository', 'site', 'hold'] as const) {
  told(`the push arrived and its answer did not: the conflict is listed once, policy ${policy}`, async () => {
    let cut = true;
    const remote = (real: Remote): Remote => ({
      ...real,
      async push(...args) {
        const result = await real.push(...args);
        if (!cut || result.kind !== 'done') return result;
        cut = false;
        throw new Error('the connection was cut');
      },
    });
    await kept({ settings: { policy }, remote }, async (world) => {
      world.push({ 'about.md': 'theirs\n' });
      world.write('about.md', 'ours\n');
      for (const trigger of ['person', 'retry', 'rescan'] as const) await world.triggered(trigger);
      assert.is(cut, false);
      const live = { repository: 'repository', site: 'site', hold: 'both' }[policy];
      assert.equal(
        world.conflicts().map(({ path, live }) => [path, live]),
        [['about.md', live]],
      );
    });
  });
}

for (const [how, wrong] of [
  ['GitLab is down', () => Promise.reject(new Problem('gitlab-unreachable', {}))],
  ['GitLab refuses it', async () => ({ kind: 'refused', text: 'No.', output: 'No.' }) as const],
] as [string, Remote['push']][]) {
  told(`${how}: how many edits wait to be pushed, and since when, until they are pushed`, async () => {
    let well = false;
    const remote = (real: Remote): Remote => ({
      ...real,
      push: (...args) => (well ? real : { push: wrong }).push(...args),
    });
    await kept({ remote }, async (world) => {
      const waiting = (): unknown => world.worker.status().waiting;
      assert.equal(waiting(), { toPull: 0, toPush: 0 });
      const before = Date.now();
      world.write('about.md', 'ours\n');
      world.worker.touched();
      await world.triggered();
      const first = world.worker.status().waiting.oldestUnpushedAt ?? 0;
      assert.ok(first >= before && first <= Date.now());
      assert.equal(waiting(), { toPull: 0, toPush: 1, oldestUnpushedAt: first });
      world.write('posts/a.md', 'ours too\n');
      await world.triggered();
      assert.equal(waiting(), { toPull: 0, toPush: 2, oldestUnpushedAt: first });
      well = true;
      await world.triggered();
      assert.equal(waiting(), { toPull: 0, toPush: 0 });
      assert.is(world.branch()['posts/a.md'], 'ours too');
    });
  });
}

told('an answer that a person gives while a run ends is counted', () => {
  let meanwhile = (): void => {};
  const wrap = (real: Repository): Repository => ({
    ...real,
    async commit(oid) {
      const facts = await real.commit(oid);
      meanwhile();
      return facts;
    },
  });
  return kept({ wrap }, async (world) => {
    world.push({ 'about.md': 'theirs\n' });
    world.write('about.md', 'ours\n');
    await world.triggered();
    assert.is(world.worker.status().conflicts, 1);
    world.push({ 'index.html': 'new\n' });
    meanwhile = () => {
      world.forgetConflicts();
      world.worker.conflictsChanged();
    };
    await world.triggered();
    assert.is(world.worker.status().conflicts, 0);
  });
});

for (const spoilt of ['refs/sync/disk', 'config']) {
  told(`a site is disconnected although its ${spoilt} cannot be read`, () =>
    kept({}, async (world) => {
      writeFileSync(join(world.gitDir, spoilt), '[garbage\n');
      world.write('about.md', 'ours\n');
      await world.triggered();
      await world.worker.disconnected();
      assert.is(world.worker.status().state, 'off');
      assert.is(world.worker.tracked(), 0);
    }),
  );
}

told('the repository is lost: what waited for a person waits on', () =>
  kept({ settings: { policy: 'hold' } }, async (world) => {
    world.push({ 'about.md': 'theirs\n' });
    world.write('about.md', 'ours\n');
    for (const trigger of ['person', 'rescan'] as const) await world.triggered(trigger);
    rmSync(world.gitDir, { recursive: true });
    rmSync(`${world.dir}/state/manifest.jsonl`, { force: true });
    for (const trigger of ['person', 'retry', 'rescan', 'person'] as const) await world.triggered(trigger);
    assert.is(world.files()['about.md'], 'ours');
    assert.is(world.branch()['about.md'], 'theirs');
    assert.is(world.worker.status().problem, undefined);
  }),
);

told.run();
