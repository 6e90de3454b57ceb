import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { BranchName } from '../../src/model/instance.ts';
import { Problem } from '../../src/model/problem.ts';
import type { Oid, SitePath } from '../../src/model/tree.ts';
import type { Remote } from '../../src/sync/ports.ts';
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
    await world.triggered('person');
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
    for (const trigger of ['watch', 'rescan', 'poll', 'start'] as const) await world.triggered(trigger);
    assert.is(world.tip(), tip, 'it resolved itself');
    assert.equal(sides(world), ['ours', 'theirs']);
    assert.ok(
      world.worker.status().notSynced.some(({ path, reason }) => path === 'about.md' && reason.kind === 'conflict'),
    );
    assert.is(world.conflicts().length, 1);
  }),
);

held('edits of a held path stay where they were made', () =>
  apart(async (world) => {
    world.write('about.md', 'ours, later\n');
    world.write('posts/a.md', 'an ordinary edit\n');
    world.push({ 'about.md': 'theirs, later\n' });
    for (const trigger of ['person', 'rescan'] as const) await world.triggered(trigger);
    assert.equal(sides(world), ['ours, later', 'theirs, later']);
    assert.is(world.branch()['posts/a.md'], 'an ordinary edit');
  }),
);

held('a disconnected site waits for nobody, although GitLab was down before', () => {
  let down = false;
  const remote = (real: Remote): Remote => ({
    ...real,
    head: (signal) => (down ? Promise.reject(new Problem('gitlab-unreachable', {})) : real.head(signal)),
  });
  return kept({ settings, remote }, async (world) => {
    world.push({ 'about.md': 'theirs\n' });
    world.write('about.md', 'ours\n');
    await world.triggered('person');
    assert.is((await world.repository.held()).length, 1);
    down = true;
    await world.triggered('person');
    assert.is(world.worker.status().problem?.code, 'gitlab-unreachable');
    await world.worker.disconnected();
    assert.equal(await world.repository.held(), []);
    const file = { path: 'about.md' as SitePath, mode: '100644' as const, oid: 'a'.repeat(40) as Oid, size: 1 };
    assert.is((await world.directory.refusals([file])).size, 0);
  });
});

held('neither a lost manifest nor a removal on the branch decides for a person', () =>
  apart(async (world) => {
    await world.directory.forget();
    rmSync(join(world.dir, 'state', 'manifest.jsonl'));
    await world.directory.resetBaseline(undefined, async () => []);
    await world.triggered('rescan');
    assert.equal(sides(world), ['ours', 'theirs']);
    world.push({ 'about.md': null });
    for (const trigger of ['poll', 'rescan', 'person'] as const) await world.triggered(trigger);
    assert.equal(sides(world), ['ours', 'none']);
  }),
);

for (const choice of ['repository', 'site'] as const) {
  const wanted = { repository: 'theirs, later', site: 'ours, later' }[choice];
  held(`a choice ends it: the ${choice}’s version, as it is by now, is on both sides`, () =>
    apart(async (world) => {
      world.write('about.md', 'ours, later\n');
      world.push({ 'about.md': 'theirs, later\n' });
      await world.triggered('person');
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
      await world.triggered('person');
      await choose(world, choice);
      assert.equal(sides(world), ['none', 'none']);
      assert.ok(isKept(world, 'ours\n') && isKept(world, 'theirs\n'));
    }),
  );
}

held('the answer to the push is lost, then the list too: the path is listed again, once, and can be settled', () => {
  let isCut = false;
  const remote = (to: Remote): Remote => ({
    ...to,
    async push(...request) {
      const answer = await to.push(...request);
      if (!isCut) return answer;
      isCut = false;
      throw new Problem('gitlab-unreachable', {});
    },
  });
  return kept({ settings, remote }, async (world) => {
    world.push({ 'about.md': 'theirs\n' });
    world.write('about.md', 'ours\n');
    isCut = true;
    await world.triggered('person');
    assert.is(world.conflicts().length, 1);
    world.forgetConflicts();
    for (const trigger of ['retry', 'rescan', 'poll'] as const) await world.triggered(trigger);
    assert.equal(sides(world), ['ours', 'theirs']);
    const listed = world.conflicts().map(({ path, live, repository, site }) => [path, live, repository, site]);
    const [ours, theirs] = ['ours\n', 'theirs\n'].map(blobOf);
    assert.equal(listed, [['about.md', 'both', theirs, ours]]);
    await choose(world, 'site');
    assert.equal(sides(world), ['ours', 'ours']);
  });
});

held('a switch of branches that GitLab refuses decides nothing', () =>
  apart(async (world) => {
    const next = 'next' as BranchName;
    const remote: Remote = {
      ...world.remote,
      fetch: async () => 'absent',
      push: async () => ({ kind: 'refused', text: 'no', output: '' }),
    };
    const plan = await world.worker.plan(next, 'replace', remote);
    const ended = await world.worker
      .connect(next, 'replace', plan.id, remote, async () => {}, 'switch')
      .then(
        () => 'connected',
        (error: Problem) => error.code,
      );
    assert.is(ended, 'push-refused');
    for (const trigger of ['rescan', 'poll'] as const) await world.triggered(trigger);
    assert.equal(sides(world), ['ours', 'theirs']);
  }),
);

held('a remount with nothing else new asks nobody, also right after a restart', () =>
  apart(async (world) => {
    // As after a restart: what is not synced is known from the ledger and the manifest alone.
    Object.assign(world.worker.status(), { notSynced: [] });
    Object.assign(world.site_(), { root: { dev: '1', ino: '1' } });
    await world.triggered('start');
    assert.is(world.worker.status().hold, undefined);
    assert.equal(sides(world), ['ours', 'theirs']);
  }),
);

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
    await world.triggered('person');
    assert.is(world.branch()['posts/a.md'], 'edited');
  }),
);

async function choose(world: KeptWorld, choice: 'repository' | 'site'): Promise<void> {
  const [conflict] = world.conflicts();
  assert.ok(conflict);
  await world.worker.resolve(conflict, choice);
  for (const trigger of ['person', 'rescan', 'person'] as const) await world.triggered(trigger);
  assert.equal(await world.repository.held(), []);
  assert.equal(world.worker.status().notSynced, []);
}

const blobOf = (content: string): string =>
  createHash('sha1').update(`blob ${content.length}\0${content}`).digest('hex');

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
