import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { SitePath } from '../../src/model/tree.ts';
import { type KeptWorld, kept } from '../faults/support.ts';
import { git } from '../support/plain-git.ts';

/** The policy under which each side keeps its own version until a person chooses. */
const held = suite('held paths');

const settings = { policy: 'hold' as const };

/** Both sides changed `about.md` in the same line; `index.html` was changed on the branch alone. */
function apart(test: (world: KeptWorld) => Promise<void>, path = 'about.md'): Promise<void> {
  return kept({ settings }, async (world) => {
    world.push({ [path]: 'theirs\n', 'index.html': 'new\n' });
    world.write(path, 'ours\n');
    await world.rung('person');
    await test(world);
  });
}

function sides(world: KeptWorld, path = 'about.md'): [folder: string, branch: string] {
  return [world.files()[path] ?? 'none', world.branch()[path] ?? 'none'];
}

held('each side keeps its own version, everything else goes on, and the path is named', () =>
  apart(async (world) => {
    assert.equal(sides(world), ['ours', 'theirs']);
    assert.is(world.files()['index.html'], 'new');
    const [conflict] = world.conflicts();
    assert.equal([conflict?.path, conflict?.live], ['about.md', 'both']);
    const parents = git(world.bare, 'log', '-1', '--format=%P', 'main').split(' ');
    assert.is(parents.length, 2);
    const tip = world.tip();
    for (const trigger of ['watch', 'rescan', 'poll', 'start'] as const) await world.rung(trigger);
    assert.is(world.tip(), tip, 'it resolved itself');
    assert.equal(sides(world), ['ours', 'theirs']);
    assert.ok(
      world.keeper.status().notSynced.some(({ path, reason }) => path === 'about.md' && reason.kind === 'conflict'),
    );
    assert.is(world.conflicts().length, 1);
  }),
);

held('edits of a held path stay where they were made', () =>
  apart(async (world) => {
    world.write('about.md', 'ours, later\n');
    world.write('posts/a.md', 'an ordinary edit\n');
    world.push({ 'about.md': 'theirs, later\n' });
    for (const trigger of ['person', 'rescan'] as const) await world.rung(trigger);
    assert.equal(sides(world), ['ours, later', 'theirs, later']);
    assert.is(world.branch()['posts/a.md'], 'an ordinary edit');
  }),
);

held('neither a lost manifest nor a removal on the branch decides for a person', () =>
  apart(async (world) => {
    await world.directory.forget();
    rmSync(join(world.dir, 'state', 'manifest.jsonl'));
    await world.directory.agree(undefined, async () => []);
    await world.rung('rescan');
    assert.equal(sides(world), ['ours', 'theirs']);
    world.push({ 'about.md': null });
    for (const trigger of ['poll', 'rescan', 'person'] as const) await world.rung(trigger);
    assert.equal(sides(world), ['ours', 'none']);
  }),
);

for (const choice of ['repository', 'site'] as const) {
  const wanted = { repository: 'theirs, later', site: 'ours, later' }[choice];
  held(`a choice ends it: the ${choice}’s version, as it is by now, is on both sides`, () =>
    apart(async (world) => {
      world.write('about.md', 'ours, later\n');
      world.push({ 'about.md': 'theirs, later\n' });
      await world.rung('person');
      await choose(world, choice);
      assert.equal(sides(world), [wanted, wanted]);
      assert.equal(world.files(), world.branch());
      const blob = git(world.dir, 'hash-object', join(world.site, 'about.md'));
      assert.ok(blob);
      assert.ok(isKept(world, 'ours, later\n'), 'the folder’s version is nowhere');
    }),
  );

  held(`the ${choice}’s version is chosen after that side removed the path`, () =>
    apart(async (world) => {
      if (choice === 'site') rmSync(join(world.site, 'about.md'));
      else world.push({ 'about.md': null });
      await world.rung('person');
      await choose(world, choice);
      assert.equal(sides(world), ['none', 'none']);
      assert.ok(isKept(world, 'ours\n') && isKept(world, 'theirs\n'));
    }),
  );
}

held('a path whose merge was overtaken is an ordinary one again', () =>
  kept({ settings }, async (world) => {
    const before = world.tip();
    world.push({ 'about.md': 'theirs\n' });
    world.write('about.md', 'ours\n');
    // A merge that never came to anything: the process ended before its push.
    await world.repository.hold([{ path: 'about.md' as SitePath }], before as never);
    git(world.gitDir, 'update-ref', '-d', 'refs/sync/offered');
    const lone = git(world.gitDir, 'commit-tree', '-m', 'x', `${before}^{tree}`);
    await world.repository.hold([{ path: 'posts/a.md' as SitePath }], lone as never);
    world.write('posts/a.md', 'edited\n');
    await world.rung('person');
    assert.is(world.branch()['posts/a.md'], 'edited');
  }),
);

async function choose(world: KeptWorld, choice: 'repository' | 'site'): Promise<void> {
  const [conflict] = world.conflicts();
  assert.ok(conflict);
  await world.keeper.resolve(conflict, choice);
  for (const trigger of ['person', 'rescan', 'person'] as const) await world.rung(trigger);
  assert.equal(await world.repository.held(), []);
  assert.equal(world.keeper.status().notSynced, []);
}

/** Reachable from a ref of the site's repository. */
function isKept(world: KeptWorld, content: string): boolean {
  const objects = git(world.gitDir, 'rev-list', '--all', '--objects')
    .split('\n')
    .map((row) => row.split(' ')[0]);
  return objects.some(
    (oid) =>
      git(world.gitDir, 'cat-file', '-t', oid ?? '') === 'blob' &&
      `${git(world.gitDir, 'cat-file', 'blob', oid ?? '')}\n` === content,
  );
}

held.run();
