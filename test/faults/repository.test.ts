import {
  closeSync,
  cpSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
  chmodSync,
  existsSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Remote } from '../../src/sync/ports.ts';
import { type EngineWorld, answering, engineWorld } from '../support/engine.ts';
import { git } from '../support/plain-git.ts';
import { connected, isFound, kept } from './support.ts';

/** The site's own git repository, and what others do to the branch. */
const repo = suite('repository');

function equal(world: EngineWorld): void {
  assert.equal(world.files(), world.branch());
}

/** Rewrites main on the server as a force push does. */
function forced(world: EngineWorld, ...commands: string[][]): string {
  const clone = join(world.dir, 'clone');
  git(clone, 'fetch', '-q', 'origin');
  git(clone, 'checkout', '-q', '-B', 'main', 'origin/main');
  for (const command of commands) git(clone, ...command);
  git(clone, 'push', '-q', '--force', 'origin', 'HEAD:main');
  return git(clone, 'rev-parse', 'HEAD');
}

repo(
  'F13: the site’s git directory vanishes while it runs: it is made anew, and no file is removed on either side',
  () =>
    kept({}, async (world) => {
      const tip = world.tip();
      const before = world.files();
      rmSync(world.gitDir, { recursive: true });
      world.write('index.html', 'edited without a repository\n');
      for (const trigger of ['watch', 'rescan', 'poll', 'person', 'start'] as const) await world.triggered(trigger);
      assert.equal(world.files(), { ...before, 'index.html': 'edited without a repository' });
      assert.is(git(world.bare, 'diff', '--name-status', tip, 'main'), 'M\tindex.html');
      git(world.bare, 'merge-base', '--is-ancestor', tip, 'main');
    }),
);

repo('F13: all refs lost: connecting again compares, shows the numbers and removes nothing unasked', async () => {
  const world = await engineWorld({ repository: { 'index.html': 'home\n', 'about.md': 'about\n' } });
  try {
    await world.connect();
    world.write('index.html', 'edited before the loss\n');
    for (const ref of git(world.gitDir, 'for-each-ref', '--format=%(refname)').split('\n'))
      git(world.gitDir, 'update-ref', '-d', ref);
    const fresh = await engineWorld({ keep: world.dir });
    const tip = world.tip();
    let code = '';
    await fresh.sync().catch((error: { code?: string }) => (code = error.code ?? ''));
    assert.is(code, 'not-connected');
    assert.is(fresh.tip(), tip);
    assert.is(fresh.read('index.html'), 'edited before the loss\n');
    await fresh.connect('replace');
    assert.is(fresh.read('index.html'), 'home\n');
    assert.ok(isFound(fresh, 'edited before the loss'), 'the edit was not kept');
    equal(fresh);
    await fresh.close();
  } finally {
    await world.close();
  }
});

repo('F13: the manifest is lost, or torn: everything is compared by content and nothing changes', () =>
  connected({}, async (world) => {
    const tip = world.tip();
    const manifest = join(world.dir, 'state', 'manifest.jsonl');
    for (const spoil of [
      () => rmSync(manifest),
      () => truncateSync(manifest, 37),
      () => writeFileSync(manifest, '\0\0'),
    ]) {
      spoil();
      const again = await engineWorld({ keep: world.dir });
      await again.sync({ trigger: 'start' });
      assert.is(again.tip(), tip);
      equal(again);
      await again.close();
    }
  }),
);

repo('F14: yesterday’s state directory is put back: both sides go on, nothing is reverted', async () => {
  const world = await engineWorld({ repository: { 'index.html': 'one\n', 'old.md': 'old\n', 'keep.md': 'keep\n' } });
  try {
    await world.connect();
    const [state, backup] = [join(world.dir, 'state'), join(world.dir, 'backup')];
    await world.directory.close();
    cpSync(state, backup, { recursive: true });
    world.push({ 'index.html': 'two from gitlab\n', 'added.md': 'added there\n' });
    await world.sync();
    world.write('site.md', 'added here\n');
    world.remove('old.md');
    await world.sync();
    world.push({ 'late.md': 'while stopped\n' });
    world.write('index.html', 'three in the folder\n');
    await world.directory.close();
    rmSync(state, { recursive: true });
    cpSync(backup, state, { recursive: true });
    const tip = world.tip();
    const restored = await engineWorld({ keep: world.dir });
    await restored.sync({ trigger: 'start' });
    await restored.sync({ trigger: 'rescan' });
    await restored.sync();
    equal(restored);
    git(world.bare, 'merge-base', '--is-ancestor', tip, 'main');
    assert.is(restored.read('added.md'), 'added there\n');
    assert.is(restored.read('site.md'), 'added here\n');
    assert.is(restored.read('late.md'), 'while stopped\n');
    assert.not(restored.has('old.md'), 'a removal was reverted');
    assert.ok(isFound(restored, 'three in the folder'));
    assert.ok(isFound(restored, 'two from gitlab'));
    await restored.close();
  } finally {
    await world.close();
  }
});

const locks = ['HEAD.lock', 'config.lock', 'packed-refs.lock', 'shallow.lock', 'index.lock', 'refs/sync/disk.lock'];

repo('F16: locks of a git that died are removed at the start, and the sync goes on', () =>
  connected({}, async (world) => {
    for (const lock of [...locks, 'refs/sync/remote.lock', 'refs/scratch/incoming.lock', 'refs/scratch/import.lock']) {
      mkdirSync(join(world.gitDir, lock, '..'), { recursive: true });
      writeFileSync(join(world.gitDir, lock), '');
    }
    writeFileSync(join(world.gitDir, 'objects', 'pack', 'tmp_pack_dead'), 'half a pack');
    const again = await engineWorld({ keep: world.dir });
    await again.repository.prepare();
    again.write('index.html', 'edited\n');
    world.push({ 'about.md': 'theirs\n' });
    await again.sync({ trigger: 'start' });
    equal(again);
    const left = (readdirSync(world.gitDir, { recursive: true }) as string[]).filter((name) =>
      /\.lock$|tmp_/.test(name),
    );
    assert.equal(left, []);
    await again.close();
  }),
);

repo('F16: a lock left by a git of ours that died while the daemon runs does not stop the site for good', () =>
  kept({}, async (world) => {
    for (const lock of locks) writeFileSync(join(world.gitDir, lock), '');
    world.write('index.html', 'edited\n');
    await world.triggered('watch');
    await world.triggered('retry');
    await world.triggered('retry');
    assert.is(git(world.bare, 'show', 'main:index.html'), 'edited');
    equal(world);
  }),
);

repo('F16: a lock of a living git is not removed while it lives', () =>
  kept({}, async (world) => {
    const git_ = join(world.gitDir, 'refs', 'sync', 'disk.lock');
    writeFileSync(git_, '');
    // Only a run of our own may clear it, never a page that reads kept versions meanwhile.
    await world.worker.kept();
    assert.ok(existsSync(git_));
  }),
);

for (const [what, spoil] of [
  ['a corrupt object', corruptObject],
  ['a zero-length ref', (dir: string) => writeFileSync(join(dir, 'refs/sync/disk'), '')],
  ['an empty HEAD', (dir: string) => writeFileSync(join(dir, 'HEAD'), '')],
] as const) {
  repo(`F17: ${what}: it is said, and no file changes on either side`, () =>
    kept({}, async (world) => {
      const tip = world.push({ 'posts/a.md': 'theirs\n' });
      world.write('index.html', 'ours, not pushed yet\n');
      const before = world.files();
      spoil(world.gitDir);
      const again = await engineWorld({ keep: world.dir });
      let said = '';
      for (let i = 0; i < 2; i += 1) {
        await again.repository
          .prepare()
          .then(() => again.sync({ trigger: 'start' }))
          .catch((error: Error) => (said = error.message));
      }
      assert.is(again.read('index.html'), before['index.html'] + '\n');
      if (said) {
        assert.is(again.tip(), tip);
        assert.equal(again.files(), before);
      } else {
        // It healed: then both edits are there.
        equal(again);
        assert.is(again.read('posts/a.md'), 'theirs\n');
      }
      await again.close();
    }),
  );
}

function corruptObject(dir: string): void {
  const tree = git(dir, 'rev-parse', 'refs/sync/disk^{tree}');
  const loose = join(dir, 'objects', tree.slice(0, 2), tree.slice(2));
  const file = existsSync(loose)
    ? loose
    : join(dir, 'objects/pack', readdirSync(join(dir, 'objects/pack')).find((name) => name.endsWith('.pack')) ?? '');
  chmodSync(file, 0o600);
  const fd = openSync(file, 'r+');
  writeSync(fd, Buffer.from('corrupt!'), 0, 8, Math.floor(statSync(file).size / 2));
  closeSync(fd);
}

/** Does the work and loses the answer. */
function answerLost(on: { cut: boolean }): (remote: Remote) => Remote {
  return (remote) => ({
    ...remote,
    async push(...args) {
      const result = await remote.push(...args);
      if (!on.cut) return result;
      on.cut = false;
      throw new Error('the connection was cut before the answer');
    },
  });
}

repo('F18: the push arrived and its answer was lost: no second commit, no conflict', () => {
  const on = { cut: false };
  return connected({ remote: answerLost(on) }, async (world) => {
    const before = world.tip();
    world.write('index.html', 'edited\n');
    on.cut = true;
    let failed = false;
    await world.sync().catch(() => (failed = true));
    assert.ok(failed && !on.cut, 'the cut was not met');
    const outcome = await world.sync({ trigger: 'retry' });
    assert.equal(outcome.lost, []);
    assert.is(git(world.bare, 'rev-list', '--count', `${before}..main`), '1');
    equal(world);
  });
});

repo('F18: the merge’s push arrived, its answer was lost, and there are new edits on both sides', () => {
  const on = { cut: false };
  return connected({ remote: answerLost(on) }, async (world) => {
    world.write('posts/a.md', 'ours 1\n');
    world.push({ 'posts/b.md': 'theirs 1\n' });
    on.cut = true;
    await world.sync().catch(() => undefined);
    assert.not(on.cut, 'the cut was not met');
    world.write('posts/a.md', 'ours 2\n');
    world.push({ 'posts/b.md': 'theirs 2\n' });
    const outcome = await world.sync({ trigger: 'retry' });
    assert.equal(outcome.lost, []);
    assert.is(world.read('posts/a.md'), 'ours 2\n');
    assert.is(world.read('posts/b.md'), 'theirs 2\n');
    equal(world);
  });
});

/** Somebody pushes in the last moment, `times` times. */
function faster(rival: () => void, times: number): (remote: Remote) => Remote {
  let left = times;
  return (remote) => ({
    ...remote,
    push(...args) {
      if (left > 0) {
        left -= 1;
        rival();
      }
      return remote.push(...args);
    },
  });
}

repo('F19: somebody pushed between our fetch and our push: merged, nothing forced', () => {
  let world_: EngineWorld | undefined;
  const rival = faster(() => world_?.push({ 'posts/b.md': 'theirs\n' }), 1);
  return connected({ remote: rival }, async (world) => {
    world_ = world;
    world.write('posts/a.md', 'ours\n');
    await world.sync();
    assert.is(world.read('posts/b.md'), 'theirs\n');
    assert.is(git(world.bare, 'show', 'main:posts/a.md'), 'ours');
    equal(world);
  });
});

repo('F19: somebody pushes before each of our pushes: after a few tries it waits, with both versions safe', () => {
  let world_: EngineWorld | undefined;
  let n = 0;
  const rival = faster(() => world_?.push({ 'posts/b.md': `theirs ${(n += 1)}\n` }), 50);
  return kept({ remote: rival }, async (world) => {
    world_ = world;
    world.write('posts/a.md', 'ours\n');
    await world.triggered('watch');
    assert.ok(n >= 2 && n <= 6, `${n} tries`);
    assert.is(world.worker.status().problem?.code, 'remote-moved');
    assert.is(world.worker.status().state, 'retrying');
    assert.is(git(world.bare, 'show', 'main:posts/b.md'), `theirs ${n}`, 'something was forced');
    assert.is(world.read('posts/a.md'), 'ours\n');
  });
});

function refusing(world: EngineWorld, words: string): () => void {
  mkdirSync(join(world.bare, 'hooks'), { recursive: true });
  const hook = join(world.bare, 'hooks', 'pre-receive');
  writeFileSync(hook, `#!/bin/sh\ncat > /dev/null\necho x >> '${world.dir}/tries'\nprintf '${words}\\n'\nexit 1\n`, {
    mode: 0o755,
  });
  return () => rmSync(hook);
}

repo('F20: GitLab refuses the push: the edit stays and waits, what others push keeps arriving, no storm of tries', () =>
  kept({}, async (world) => {
    const allow = refusing(world, 'GitLab: not on \\033[2JSunday');
    world.write('posts/a.md', 'ours\n');
    for (const trigger of ['watch', 'poll', 'poll', 'rescan', 'retry'] as const) await world.triggered(trigger);
    const { hold, state } = world.worker.status();
    assert.is(state, 'hold');
    assert.is(hold?.code, 'push-refused');
    assert.is(statSync(join(world.dir, 'tries')).size, 2, 'it was offered more than once');
    const told = world.events.filter((event) => event.kind === 'run' && event.run.result === 'refused');
    assert.is(told.length, 1);
    assert.match(JSON.stringify(told), /not on .*Sunday/);
    git(world.bare, 'config', 'receive.denyDeletes', 'true');
    allow();
    const rules = refusing.bind(undefined, world, 'GitLab: no');
    world.push({ 'posts/b.md': 'theirs\n' });
    const again = rules();
    await world.triggered('poll');
    assert.is(world.read('posts/b.md'), 'theirs\n', 'what others pushed did not arrive');
    assert.is(world.read('posts/a.md'), 'ours\n');
    again();
    await world.triggered('person');
    assert.is(git(world.bare, 'show', 'main:posts/a.md'), 'ours');
    assert.is(world.worker.status().state, 'in-sync');
    equal(world);
  }),
);

repo(
  'F21: history rewritten while the folder has work: held; agreed, both edits live and the old commits do not return',
  () =>
    connected({}, async (world) => {
      world.push({ 'secret.txt': 'purge me\n' });
      await world.sync();
      const old = world.tip();
      forced(world, ['reset', '-q', '--hard', 'HEAD~1'], ['commit', '-q', '--allow-empty', '-m', 'Purged']);
      const theirs = world.push({ 'posts/b.md': 'theirs\n' });
      world.write('posts/a.md', 'ours\n');
      const outcome = await world.sync();
      assert.is(outcome.hold?.code, 'history-rewritten');
      assert.is(world.tip(), theirs);
      assert.is(world.read('posts/b.md'), 'b\n', 'applied while held');
      await world.sync({ ...answering(outcome.hold) });
      assert.is(world.read('posts/a.md'), 'ours\n');
      assert.is(world.read('posts/b.md'), 'theirs\n');
      equal(world);
      assert.throws(() => git(world.bare, 'merge-base', '--is-ancestor', old, 'main'), 'the purged history came back');
      assert.not(world.has('secret.txt'));
      const keeps = git(world.gitDir, 'for-each-ref', '--contains', old, 'refs/sync/keep/');
      assert.ok(keeps.length > 0, 'the old tip is not kept');
    }),
);

repo('F21: unrelated history with other files: held, nothing applied; the old tip is kept', () =>
  connected({}, async (world) => {
    const before = world.files();
    const old = world.tip();
    const clone = join(world.dir, 'clone');
    git(clone, 'checkout', '-q', '--orphan', 'fresh');
    git(clone, 'rm', '-rqf', '.');
    writeFileSync(join(clone, 'only.txt'), 'unrelated\n');
    git(clone, 'add', '-A');
    git(clone, 'commit', '-q', '-m', 'Unrelated');
    git(clone, 'push', '-q', '--force', 'origin', 'HEAD:main');
    const outcome = await world.sync();
    assert.ok(outcome.hold, 'it was not held');
    assert.equal(world.files(), before);
    assert.ok(git(world.gitDir, 'for-each-ref', '--contains', old, 'refs/sync/keep/').length > 0);
  }),
);

repo('F21: unrelated history against work in the folder: held; agreed, the edit survives', () =>
  connected({}, async (world) => {
    world.write('posts/a.md', 'ours\n');
    const clone = join(world.dir, 'clone');
    git(clone, 'checkout', '-q', '--orphan', 'fresh');
    git(clone, 'commit', '-q', '-m', 'Unrelated');
    git(clone, 'push', '-q', '--force', 'origin', 'HEAD:main');
    const outcome = await world.sync();
    assert.is(outcome.hold?.code, 'history-rewritten');
    assert.is(world.read('posts/a.md'), 'ours\n');
    await world.sync({ ...answering(outcome.hold) });
    assert.is(world.read('posts/a.md'), 'ours\n');
    equal(world);
  }),
);

repo('F22: the branch is deleted: no file goes, edits are taken meanwhile, and it goes on when it returns', () =>
  kept({}, async (world) => {
    const before = world.files();
    const tip = world.tip();
    git(world.bare, 'update-ref', '-d', 'refs/heads/main');
    for (const trigger of ['poll', 'rescan', 'start', 'person'] as const) await world.triggered(trigger);
    assert.is(world.worker.status().hold?.code, 'branch-missing');
    // To look again is no word to make it again.
    await world.worker.choose(world.worker.status().hold?.step ?? '', 'try-again');
    await world.triggered('poll');
    assert.is(git(world.bare, 'for-each-ref'), '');
    world.write('posts/a.md', 'edited meanwhile\n');
    await world.triggered('watch');
    await world.triggered('poll');
    assert.equal(world.files(), { ...before, 'posts/a.md': 'edited meanwhile' });
    assert.is(git(world.bare, 'for-each-ref'), '');
    git(world.bare, 'update-ref', 'refs/heads/main', tip);
    await world.triggered('poll');
    assert.is(world.worker.status().hold, undefined);
    assert.is(git(world.bare, 'show', 'main:posts/a.md'), 'edited meanwhile');
    equal(world);
  }),
);

repo(
  'F22: the branch is deleted and made again with other content: merged by the last agreement or held, never emptied',
  () =>
    kept({}, async (world) => {
      git(world.bare, 'update-ref', '-d', 'refs/heads/main');
      await world.triggered('poll');
      const clone = join(world.dir, 'clone');
      git(clone, 'checkout', '-q', '--orphan', 'again');
      git(clone, 'rm', '-rqf', '.');
      writeFileSync(join(clone, 'README.md'), 'begun again\n');
      git(clone, 'add', '-A');
      git(clone, 'commit', '-q', '-m', 'Again');
      git(clone, 'push', '-q', 'origin', 'HEAD:main');
      const before = world.files();
      await world.triggered('poll');
      assert.is(world.worker.status().state, 'hold');
      assert.equal(world.files(), before);
    }),
);

repo.run();
