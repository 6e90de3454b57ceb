import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Hold } from '../../src/model/site.ts';
import { putBack, restoreKept } from '../../src/sync/choice.ts';
import { type EngineWorld, answering, engineWorld } from '../support/engine.ts';
import { git } from '../support/plain-git.ts';

const choices = suite('a person’s choice');

const forty = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`f${i}.txt`, `${i}\n`]));

choices('files put back after history was rewritten stay, and the old history does not come back', () =>
  rewrittenWithLoss(async (world, hold, old) => {
    await putBack(world.repository, hold);
    const outcome = await world.sync();
    assert.is(outcome.hold, undefined, 'it was asked again');
    await settled(world);
    assert.is(Object.keys(world.branch()).length, 41);
    assert.is(world.branch()['kept.txt'], 'theirs');
    assert.throws(() => git(world.bare, 'merge-base', '--is-ancestor', old, 'main'));
  }),
);

choices('an edit made before files are put back on rewritten history is kept too', () =>
  rewrittenWithLoss(async (world, _hold, old) => {
    world.write('f0.txt', 'edited here\n');
    const asked = await world.sync();
    assert.is(asked.hold?.code, 'history-rewritten');
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    const outcome = await world.sync({ ...answering(asked.hold) });
    assert.is(outcome.hold, undefined, 'one yes was not enough');
    await settled(world);
    assert.is(world.branch()['f0.txt'], 'edited here', 'an edit beats a removal');
    assert.throws(() => git(world.bare, 'merge-base', '--is-ancestor', old, 'main'));
  }),
);

choices('a yes to a merge that removes much holds in the next second too', () =>
  connected({ ...forty }, async (world) => {
    world.push(Object.fromEntries(Object.keys(forty).map((path) => [path, null])));
    world.write('new.txt', 'ours\n');
    const { hold } = await world.sync();
    assert.is(hold?.code, 'branch-lost-files');
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    assert.is((await world.sync({ ...answering(hold) })).hold, undefined);
    await settled(world);
    assert.equal(world.branch(), { 'kept.txt': 'kept', 'new.txt': 'ours' });
  }),
);

choices('a whole kept folder comes back without what the folder never held being taken from the branch', () =>
  connected(
    {},
    async (world) => {
      world.push({ '.htaccess': 'Deny from all\n', 'later.html': 'later\n' });
      await world.sync();
      const [kept] = await world.repository.kept();
      await restoreKept(world, kept?.id ?? '', undefined);
      await world.sync();
      assert.equal(world.files(), { 'before.txt': 'before' });
      assert.equal(world.branch(), { 'before.txt': 'before', '.htaccess': 'Deny from all' });
    },
    { 'before.txt': 'before\n' },
  ),
);

choices('what merged into exactly the branch’s text is kept as it stood in the folder', () =>
  connected({ 'page.txt': 'one\ntwo\nthree\nfour\nfive\n' }, async (world) => {
    world.push({ 'page.txt': 'ONE\ntwo\nthree\nfour\nFIVE\n' });
    world.write('page.txt', 'ONE\ntwo\nthree\nfour\nfive\n');
    const tip = world.tip();
    await world.sync();
    assert.is(world.tip(), tip, 'a merge that brings nothing made a commit');
    const [kept] = (await world.repository.kept()).filter(({ cause }) => cause === 'conflict');
    const { files } = await world.repository.keptFiles(kept?.id ?? '');
    const oid = files.find(({ path }) => path === 'page.txt')?.oid ?? '';
    assert.is(git(world.gitDir, 'cat-file', 'blob', oid), 'ONE\ntwo\nthree\nfour\nfive');
    world.write('page.txt', 'six\n');
    world.push({ 'page.txt': 'six\n' });
    await world.sync();
    const count = (await world.repository.kept()).filter(({ cause }) => cause === 'conflict').length;
    assert.is(count, 1, 'the same edit on both sides was kept as a version that lost');
  }),
);

async function connected(
  repository: Record<string, string>,
  test: (world: EngineWorld) => Promise<void>,
  files: Record<string, string> = {},
): Promise<void> {
  const world = await engineWorld({ repository: { 'kept.txt': 'kept\n', ...repository }, files });
  try {
    await world.connect();
    await test(world);
  } finally {
    await world.close();
  }
}

/** The branch is begun anew from its first commit, without most of its files. */
function rewrittenWithLoss(test: (world: EngineWorld, hold: Hold, old: string) => Promise<void>): Promise<void> {
  return connected({}, async (world) => {
    world.push(forty);
    await world.sync();
    const old = world.tip();
    const clone = `${world.dir}/clone`;
    git(clone, 'fetch', '-q', 'origin');
    git(clone, 'checkout', '-q', '-B', 'main', 'origin/main~1');
    git(clone, 'push', '-q', '--force', 'origin', 'HEAD:main');
    world.push({ 'kept.txt': 'theirs\n' });
    const { hold } = await world.sync();
    assert.is(hold?.code, 'branch-lost-files');
    assert.is(Object.keys(world.files()).length, 41);
    await test(world, hold as Hold, old);
  });
}

async function settled(world: EngineWorld): Promise<void> {
  for (const trigger of ['person', 'rescan', 'poll'] as const) {
    const { pulled, pushed, hold } = await world.sync({ trigger });
    assert.equal([pulled, pushed, hold], [[], [], undefined]);
  }
  assert.equal(world.files(), world.branch());
}

choices.run();
