import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { HoldChoice } from '../../src/model/site.ts';
import type { Oid } from '../../src/model/tree.ts';
import { putBack } from '../../src/sync/choice.ts';
import { type KeptWorld, isFound, kept } from '../faults/support.ts';
import { type EngineWorld, type WorldOptions, answering, engineWorld } from '../support/engine.ts';
import { allow, forbid } from '../support/forbid.ts';
import { git, scratch } from '../support/plain-git.ts';

/** The branch lost commits that both sides had agreed on: a GitLab that was restored, or somebody who reset it. */
const back = suite('a branch that went back');

/** A site that pulled a day's work: one file is new, one changed, one removed. GitLab then loses that day. */
function lost(test: (world: KeptWorld, tips: Tips) => Promise<void>, options: WorldOptions = {}): Promise<void> {
  return kept(options, async (world) => {
    const old = world.tip();
    world.push({ 'index.html': 'the day’s home\n', 'posts/c.md': 'written that day\n' });
    world.push({ 'posts/b.md': null });
    await world.triggered();
    const known = world.tip();
    assert.equal(world.files(), world.branch());
    rewind(world, old);
    await test(world, { old, known });
  });
}

interface Tips {
  readonly old: string;
  readonly known: string;
}

function rewind(world: Pick<EngineWorld, 'bare'>, to: string): void {
  git(world.bare, 'update-ref', 'refs/heads/main', to);
}

const isOn = (world: Pick<EngineWorld, 'bare'>, commit: string): boolean => {
  try {
    git(world.bare, 'merge-base', '--is-ancestor', commit, 'main');
    return true;
  } catch {
    return false;
  }
};

/** Rings until nothing is left to do: both sides are the same, and no further look makes a commit. */
async function settled(world: KeptWorld): Promise<void> {
  for (const trigger of ['person', 'rescan'] as const) await world.triggered(trigger);
  assert.is(world.worker.status().hold, undefined);
  assert.equal(world.files(), world.branch());
  const before = [world.tip(), git(world.gitDir, 'for-each-ref')];
  for (const trigger of ['rescan', 'poll'] as const) await world.triggered(trigger);
  assert.equal([world.tip(), git(world.gitDir, 'for-each-ref')], before);
  assert.is((await world.repository.ledger()).back, undefined);
}

async function answer(world: KeptWorld, choice: HoldChoice): Promise<void> {
  await world.worker.choose(world.worker.status().hold?.step ?? '', choice);
  await world.triggered('watch');
}

back('nothing moves on either side, whatever looks at it; the question says what is concerned', () =>
  lost(async (world, { old }) => {
    const before = world.files();
    for (const trigger of ['poll', 'webhook', 'rescan', 'start', 'person', 'retry', 'watch'] as const)
      await world.triggered(trigger);
    const { state, hold } = world.worker.status();
    assert.is(state, 'hold');
    assert.is(hold?.code, 'went-back');
    assert.equal(hold?.choices, ['put-back', 'go-on']);
    assert.equal(hold?.tally, { added: 1, changed: 1, removed: 1 });
    assert.equal(
      hold?.samples.map(({ mark, path }) => `${mark} ${path}`),
      ['~ index.html', '+ posts/b.md', '- posts/c.md'],
    );
    assert.is(hold?.back?.lost, 2);
    assert.is(hold?.back?.newer, 0);
    assert.is(hold?.back?.to, Number(git(world.bare, 'log', '-1', '--format=%ct', old)) * 1_000);
    assert.equal(world.files(), before);
    assert.is(world.tip(), old);
    const told = world.events.filter((event) => event.kind === 'run' && event.run.hold === 'went-back');
    assert.is(told.length, 1, 'it was told more than once');
  }),
);

back('edits go on being committed, none is pushed, and the question stays the same', () =>
  lost(async (world, { old }) => {
    await world.triggered('poll');
    const { step, at } = world.worker.status().hold ?? {};
    world.write('about.md', 'edited meanwhile\n');
    await world.triggered('watch');
    world.write('posts/c.md', 'an edit of what the branch lost\n');
    await world.triggered('watch');
    assert.is(world.tip(), old);
    const { hold, waiting } = world.worker.status();
    assert.equal([hold?.step, hold?.at], [step, at]);
    assert.is(waiting.toPush, 2);
    const { disk } = await world.repository.ledger();
    assert.is(git(world.gitDir, 'show', `${disk}:about.md`), 'edited meanwhile');
    assert.is(git(world.gitDir, 'show', `${disk}:posts/c.md`), 'an edit of what the branch lost');
  }),
);

back('pushed back: GitLab has the very same commits again, and no file in the folder changed', () =>
  lost(async (world, { known }) => {
    const before = world.files();
    await world.triggered('poll');
    await answer(world, 'put-back');
    assert.is(world.tip(), known);
    assert.equal(world.files(), before);
    await settled(world);
    const { run } = world.events.findLast((event) => event.kind === 'run') as { run: { result: string } };
    assert.is(run.result, 'pushed');
  }),
);

back('pushed back: edits made meanwhile come on top, also of a file that the branch had lost', () =>
  lost(async (world, { known }) => {
    world.write('about.md', 'edited meanwhile\n');
    world.write('posts/c.md', 'an edit of what the branch lost\n');
    world.remove('posts/a.md');
    await world.triggered('poll');
    await answer(world, 'put-back');
    await settled(world);
    assert.ok(isOn(world, known));
    assert.equal(world.branch(), {
      'index.html': 'the day’s home',
      'about.md': 'edited meanwhile',
      'posts/c.md': 'an edit of what the branch lost',
    });
  }),
);

back('followed: the folder is as the branch, and the state before comes back with one click', () =>
  lost(async (world, { old, known }) => {
    const before = world.files();
    await world.triggered('poll');
    await answer(world, 'go-on');
    await settled(world);
    assert.is(world.tip(), old);
    assert.is(world.has('posts/c.md'), false);
    assert.is(world.files()['posts/b.md'], 'b');
    const [version] = (await world.worker.kept()).filter(({ cause }) => cause === 'went-back');
    await world.worker.restore(version?.id ?? '', undefined);
    await settled(world);
    assert.equal(world.files(), before);
    assert.not(isOn(world, known), 'the lost commits came back by the way');
  }),
);

back('followed: edits made meanwhile stay edits and are pushed, also of a file that the branch had lost', () =>
  lost(async (world, { known }) => {
    world.write('about.md', 'edited meanwhile\n');
    world.write('posts/c.md', 'an edit of what the branch lost\n');
    await world.triggered('poll');
    await answer(world, 'go-on');
    await settled(world);
    assert.not(isOn(world, known));
    assert.equal(world.branch(), {
      'index.html': 'home',
      'about.md': 'edited meanwhile',
      'posts/a.md': 'a',
      'posts/b.md': 'b',
      'posts/c.md': 'an edit of what the branch lost',
    });
    assert.ok(isFound(world, 'the day’s home'), 'what was replaced is nowhere');
  }),
);

for (const more of [0, 1]) {
  back(`GitLab has the commits again by itself, with ${more} on top: nobody needs to answer`, () =>
    lost(async (world, { known }) => {
      world.write('about.md', 'edited meanwhile\n');
      await world.triggered('poll');
      assert.is(world.worker.status().hold?.code, 'went-back');
      rewind(world, known);
      if (more > 0) world.push({ 'later.md': 'later\n' });
      await world.triggered('poll');
      await settled(world);
      assert.ok(isOn(world, known));
      assert.is(world.branch()['about.md'], 'edited meanwhile');
    }),
  );
}

back('commits pushed onto the older tip end no question: it is asked with their number', () =>
  lost(async (world) => {
    await world.triggered('poll');
    const before = world.files();
    world.push({ 'posts/d.md': 'written after the restore\n' });
    for (const trigger of ['webhook', 'poll', 'rescan'] as const) await world.triggered(trigger);
    const { hold } = world.worker.status();
    assert.equal([hold?.code, hold?.back?.lost, hold?.back?.newer], ['went-back', 2, 1]);
    assert.equal(hold?.choices, ['put-back', 'go-on']);
    assert.equal(world.files(), before, 'followed unasked');
  }),
);

back('pushed back after others pushed: a merge has both, by the site’s policy', () =>
  lost(async (world, { known }) => {
    await world.triggered('poll');
    const newer = world.push({ 'index.html': 'home after the restore\n', 'posts/d.md': 'new\n' });
    world.write('about.md', 'edited meanwhile\n');
    await world.triggered('poll');
    await answer(world, 'put-back');
    await settled(world);
    assert.ok(isOn(world, known) && isOn(world, newer));
    assert.equal(world.branch(), {
      'index.html': 'home after the restore',
      'about.md': 'edited meanwhile',
      'posts/a.md': 'a',
      'posts/c.md': 'written that day',
      'posts/d.md': 'new',
    });
    const [conflict] = world.conflicts();
    assert.equal([conflict?.path, conflict?.live], ['index.html', 'repository']);
  }),
);

back('pushed back after others pushed, under the policy that each side keeps its own version', () =>
  lost(
    async (world, { known }) => {
      await world.triggered('poll');
      world.push({ 'index.html': 'home after the restore\n' });
      await world.triggered('poll');
      await answer(world, 'put-back');
      for (const trigger of ['person', 'rescan', 'poll'] as const) await world.triggered(trigger);
      assert.ok(isOn(world, known));
      assert.is(world.files()['index.html'], 'the day’s home');
      assert.is(world.branch()['index.html'], 'home after the restore');
      assert.is(world.worker.status().hold, undefined);
      const [conflict] = world.conflicts();
      assert.equal([conflict?.path, conflict?.live], ['index.html', 'both']);
    },
    { settings: { policy: 'hold' } },
  ),
);

back('followed after others pushed: the folder has their commits, the lost ones do not come back', () =>
  lost(async (world, { known }) => {
    await world.triggered('poll');
    const newer = world.push({ 'posts/d.md': 'new\n' });
    await world.triggered('poll');
    await answer(world, 'go-on');
    await settled(world);
    assert.is(world.tip(), newer);
    assert.not(isOn(world, known));
    assert.ok((await world.worker.kept()).some(({ cause }) => cause === 'went-back'));
  }),
);

for (const choice of ['put-back', 'go-on'] as const) {
  back(`others pushed before the answer ${choice} was carried out: it holds, and their commits are ordinary ones`, () =>
    lost(async (world, { known }) => {
      const { hold } = await world.sync();
      const newer = world.push({ 'posts/d.md': 'new\n' });
      await world.sync({ ...answering(hold, choice) });
      await settled(world);
      assert.ok(isOn(world, newer));
      assert.is(isOn(world, known), choice === 'put-back');
      assert.is(world.files()['posts/d.md'], 'new');
    }),
  );

  back(`the branch begins anew elsewhere before the answer ${choice} was carried out: it is asked again`, () =>
    lost(async (world) => {
      const before = world.files();
      const { hold } = await world.sync();
      const clone = join(world.dir, 'clone');
      git(clone, 'fetch', '-q', 'origin');
      git(clone, 'checkout', '-q', '-B', 'main', 'origin/main');
      git(clone, 'commit', '-q', '--amend', '-m', 'Another beginning');
      git(clone, 'push', '-q', '--force', 'origin', 'HEAD:main');
      const tip = world.tip();
      const again = await world.sync({ ...answering(hold, choice) });
      assert.ok(again.hold);
      assert.equal([world.tip(), world.files()], [tip, before]);
    }),
  );
}

back('GitLab went back further before the answer «follow» was carried out: it is asked again', () =>
  kept({}, async (world) => {
    const first = world.tip();
    const second = world.push({ 'posts/c.md': 'c\n' });
    world.push({ 'posts/d.md': 'd\n' });
    await world.triggered();
    const before = world.files();
    rewind(world, second);
    const { hold } = await world.sync();
    rewind(world, first);
    const again = await world.sync({ ...answering(hold, 'go-on') });
    assert.is(again.hold?.code, 'went-back');
    assert.equal(world.files(), before);
  }),
);

back('GitLab went back further before the answer was carried out: what was lost is pushed all the same', () =>
  kept({}, async (world) => {
    const first = world.tip();
    const second = world.push({ 'posts/c.md': 'c\n' });
    const known = world.push({ 'posts/d.md': 'd\n' });
    await world.triggered();
    rewind(world, second);
    const { hold } = await world.sync();
    rewind(world, first);
    await world.sync({ ...answering(hold, 'put-back') });
    assert.is(world.tip(), known);
  }),
);

back('whatever else happens to the branch while it is asked about, it is not followed unasked', () =>
  lost(async (world, { known }) => {
    await world.triggered('poll');
    const before = world.files();
    const clone = join(world.dir, 'clone');
    git(clone, 'fetch', '-q', 'origin');
    git(clone, 'checkout', '-q', '-B', 'main', 'origin/main');
    git(clone, 'commit', '-q', '--amend', '-m', 'Another beginning');
    git(clone, 'push', '-q', '--force', 'origin', 'HEAD:main');
    await world.triggered('poll');
    assert.is(world.worker.status().state, 'hold');
    git(world.bare, 'update-ref', '-d', 'refs/heads/main');
    await world.triggered('poll');
    assert.is(world.worker.status().hold?.code, 'branch-missing');
    assert.equal(world.files(), before);
    git(world.bare, 'update-ref', 'refs/heads/main', known);
    await world.triggered('poll');
    await settled(world);
    assert.equal(world.files(), before);
  }),
);

back(
  'GitLab refuses the lost commits: its words stand in the question, nothing is lost, and they can be pushed later',
  () =>
    lost(async (world, { old, known }) => {
      await world.triggered('poll');
      forbid(world.bare, 'posts/c.md', 'no posts of that day');
      await answer(world, 'put-back');
      const refused = world.worker.status();
      assert.equal([refused.state, refused.hold?.code, refused.nextTryAt], ['hold', 'went-back', undefined]);
      assert.is(refused.hold?.text, 'no posts of that day');
      assert.is(world.tip(), old);
      const told = world.events.flatMap((event) => (event.kind === 'run' ? [event.run.result] : []));
      assert.equal(told.slice(-2), ['held', 'refused']);
      await world.triggered('poll');
      assert.is(world.worker.status().hold?.text, 'no posts of that day', 'the words are gone with the next look');
      allow(world.bare);
      await world.triggered('poll');
      assert.is(world.tip(), old, 'it was pushed again unasked');
      await answer(world, 'put-back');
      assert.is(world.tip(), known);
      await settled(world);
    }),
);

back('a commit of a machine whose clock is wrong does not date the question', () =>
  kept({}, async (world) => {
    const who = 'a <a@harbour.example> 2208988800 +0000';
    const tree = git(world.bare, 'rev-parse', 'main^{tree}');
    const raw = [`tree ${tree}`, `parent ${world.tip()}`, `author ${who}`, `committer ${who}`, '', 'From 2040', ''];
    writeFileSync(join(world.dir, 'raw'), raw.join('\n'));
    const old = git(world.bare, 'hash-object', '-t', 'commit', '-w', join(world.dir, 'raw'));
    rewind(world, old);
    world.push({ 'posts/c.md': 'c\n' });
    await world.triggered();
    rewind(world, old);
    await world.triggered('poll');
    const { hold } = world.worker.status();
    assert.is(hold?.back?.to, 2_208_988_800_000);
    assert.ok((hold?.at ?? Number.POSITIVE_INFINITY) <= Date.now());
  }),
);

back('a new process asks the same question, with the same time', () =>
  lost(async (world, { old }) => {
    const before = world.files();
    const { hold } = await world.sync();
    world.write('about.md', 'edited while it was down\n');
    const next = await engineWorld({ keep: world.dir });
    const again = await next.sync({ trigger: 'start' });
    assert.equal([again.hold?.code, again.hold?.step, again.hold?.at], ['went-back', hold?.step, hold?.at]);
    assert.equal(next.files(), { ...before, 'about.md': 'edited while it was down' });
    assert.is(next.tip(), old);
    await next.directory.close();
  }),
);

const forty = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`many/${i}.txt`, `${i}\n`]));

back('followed where it takes most files: one yes is enough', () =>
  kept({}, async (world) => {
    const old = world.tip();
    world.push(forty);
    await world.triggered();
    rewind(world, old);
    await world.triggered('poll');
    assert.is(world.worker.status().hold?.tally.removed, 40);
    await answer(world, 'go-on');
    await settled(world);
    assert.is(Object.keys(world.files()).length, 4);
  }),
);

for (const choice of ['put-back', 'go-on'] as const) {
  back(`the folder lost most files meanwhile: ${choice} is no word about that`, () =>
    kept({ repository: { 'kept.txt': 'kept\n', ...forty } }, async (world) => {
      const old = world.tip();
      world.push({ 'kept.txt': 'later\n' });
      await world.triggered();
      rewind(world, old);
      for (const path of Object.keys(forty)) world.remove(path);
      await world.triggered('poll');
      assert.is(world.worker.status().hold?.code, 'went-back');
      await answer(world, choice);
      const { hold } = world.worker.status();
      assert.is(hold?.code, 'folder-lost-files');
      assert.is(Object.keys(world.branch()).length, 41, 'the branch lost them unasked');
      // The first answer holds: it is not asked about again while this question is open.
      await world.triggered('poll');
      assert.is(world.worker.status().hold?.code, 'folder-lost-files');
      await answer(world, 'put-back');
      await settled(world);
      assert.is(Object.keys(world.files()).length, 41);
      assert.is(world.files()['kept.txt'], choice === 'go-on' ? 'kept' : 'later');
    }),
  );
}

back('the process ends right after the answer «follow»: files can still be put back, or go', () =>
  kept({}, async (world) => {
    const old = world.tip();
    world.push(forty);
    await world.triggered();
    const known = world.tip();
    rewind(world, old);
    await world.triggered('poll');
    // As the answer leaves it, before any file moved.
    await world.repository.updateRefs({ remote: old as Oid, base: known as Oid, back: null });
    const { hold } = await world.sync();
    assert.is(hold?.code, 'branch-lost-files');
    if (hold) await putBack(world.repository, hold);
    const outcome = await world.sync();
    assert.is(outcome.hold, undefined);
    assert.not(isOn(world, known), 'the lost commits came back by the way');
    await settled(world);
    assert.is(Object.keys(world.branch()).length, 44);
  }),
);

back('what the branch lost had not reached the folder yet: it is not forgotten, and can be pushed back', () =>
  lost(async (world, { old, known }) => {
    // As after an apply that found every file busy.
    const before = await world.repository.ledger();
    await world.repository.updateRefs({ disk: old as Oid }, { disk: before.disk ?? null });
    await world.directory.resetBaseline(old as Oid, () => world.repository.files(old as Oid, 100));
    git(world.dir, '--git-dir', world.bare, '--work-tree', world.site, 'checkout', '-q', '-f', old, '--', '.');
    rmSync(join(world.site, 'posts/c.md'));
    world.directory.touchedAll();
    const { hold } = await world.sync();
    assert.is(hold?.code, 'went-back');
    await world.sync({ ...answering(hold, 'put-back') });
    assert.is(world.tip(), known);
    await settled(world);
    assert.is(world.files()['posts/c.md'], 'written that day');
  }),
);

/** A site that is a folder of the repository. */
const inside = (world: EngineWorld): Record<string, string> =>
  Object.fromEntries(
    Object.entries(world.branch()).flatMap(([path, text]) => (path.startsWith('docs/') ? [[path.slice(5), text]] : [])),
  );

for (const choice of ['put-back', 'go-on'] as const) {
  back(`a subfolder as the site, ${choice}: what lies around comes back or stays away with it`, () =>
    kept({ subfolder: 'docs' as never, repository: { 'docs/a.md': 'a\n', 'README.md': 'readme\n' } }, async (world) => {
      const old = world.tip();
      world.push({ 'docs/a.md': 'later\n', 'README.md': 'later readme\n' });
      const known = world.push({ 'other/b.md': 'b\n' });
      await world.triggered();
      rewind(world, old);
      world.write('c.md', 'edited meanwhile\n');
      await world.triggered('poll');
      const { hold } = world.worker.status();
      assert.equal([hold?.code, hold?.back?.lost, hold?.tally.changed], ['went-back', 2, 1]);
      await answer(world, choice);
      for (const trigger of ['rescan', 'poll'] as const) await world.triggered(trigger);
      const { 'README.md': readme, 'other/b.md': other } = world.branch();
      const isBack = choice === 'put-back';
      assert.is(isOn(world, known), isBack);
      assert.equal([readme, other], isBack ? ['later readme', 'b'] : ['readme', undefined]);
      assert.equal(inside(world), world.files());
      assert.equal(world.files(), { 'a.md': isBack ? 'later' : 'a', 'c.md': 'edited meanwhile' });
    }),
  );
}

back(
  'a subfolder as the site: lost and newer commits that both changed what lies around are nothing to merge here',
  () =>
    kept({ subfolder: 'docs' as never, repository: { 'docs/a.md': 'a\n', 'README.md': 'readme\n' } }, async (world) => {
      const old = world.tip();
      world.push({ 'docs/a.md': 'later\n', 'other/b.md': 'b\n' });
      await world.triggered();
      rewind(world, old);
      await world.triggered('poll');
      world.push({ 'docs/d.md': 'new\n' });
      await world.triggered('poll');
      assert.equal(
        world.worker.status().hold?.choices,
        ['put-back', 'go-on'],
        'only one side changed what lies around',
      );
      world.push({ 'README.md': 'another readme\n' });
      await world.triggered('poll');
      assert.equal(world.worker.status().hold?.choices, ['go-on']);
      await answer(world, 'go-on');
      assert.equal(inside(world), world.files());
      assert.is(world.branch()['README.md'], 'another readme');
    }),
);

back('two sites on one branch: what one of them pushes back ends the question of the other', async () => {
  const { dir, remove } = scratch();
  const repository = { 'one/a.md': 'a\n', 'two/b.md': 'b\n' };
  const one = await engineWorld({ repository, subfolder: 'one' as never });
  mkdirSync(dir, { recursive: true });
  symlinkSync(one.bare, join(dir, 'gitlab.git'));
  const two = await engineWorld({ keep: dir, subfolder: 'two' as never });
  try {
    await one.connect();
    await two.connect();
    const old = one.tip();
    one.write('a.md', 'of the day\n');
    await one.sync();
    await two.sync();
    two.write('b.md', 'of the day too\n');
    await two.sync();
    const known = two.tip();
    rewind(one, old);
    const [first, second] = [(await one.sync()).hold, (await two.sync()).hold];
    assert.equal([first?.back?.lost, second?.back?.lost], [1, 2]);
    // The first site never saw the second one’s commit: what it can push back is the older part.
    await one.sync({ ...answering(first, 'put-back') });
    assert.is((await one.sync()).hold, undefined);
    assert.is(one.branch()['two/b.md'], 'b');
    // The answer of the second, given before, is still about what is missing.
    assert.is((await two.sync({ ...answering(second, 'put-back') })).hold, undefined);
    assert.is(two.tip(), known);
    await one.sync();
    assert.equal(one.files(), { 'a.md': 'of the day' });
    assert.equal(two.files(), { 'b.md': 'of the day too' });
  } finally {
    await one.close();
    await two.close();
    remove();
  }
});

back.run();
