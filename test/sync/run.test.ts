import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import { stagingFolders } from '../support/staging.ts';
import * as assert from 'uvu/assert';
import { type EngineWorld, type WorldOptions, answering, engineWorld } from '../support/engine.ts';
import { allow, forbid } from '../support/forbid.ts';
import { git } from '../support/plain-git.ts';

const sync = suite('one sync');

const website = {
  'index.html': 'home\n',
  'about.md': 'one\ntwo\nthree\nfour\nfive\nsix\nseven\n',
  'posts/a.md': 'a\n',
  'posts/b.md': 'b\n',
};

async function connected(options: WorldOptions, test: (world: EngineWorld) => Promise<void>): Promise<void> {
  const world = await engineWorld({ repository: website, ...options });
  try {
    await world.connect();
    await test(world);
  } finally {
    await world.close();
  }
}

function bothSidesEqual(world: EngineWorld): void {
  assert.equal(world.files(), world.branch());
}

sync('an edit, an addition and a removal in the folder arrive as one commit with nothing else in it', () =>
  connected({}, async (world) => {
    const before = world.tip();
    world.write('about.md', 'new\n');
    world.write('posts/c.md', 'c\n');
    world.remove('posts/a.md');
    const outcome = await world.sync();
    assert.is(outcome.pushed.length, 3);
    assert.is(git(world.bare, 'rev-list', '--count', `${before}..main`), '1');
    assert.equal(git(world.bare, 'diff', '--name-status', before, 'main').split('\n').sort(), [
      'A\tposts/c.md',
      'D\tposts/a.md',
      'M\tabout.md',
    ]);
    bothSidesEqual(world);
  }),
);

sync('what a pull has just written waits for nothing, and an edit in the same place for rest', () =>
  connected({ settings: { quietMs: 60_000 } }, async (world) => {
    world.push({ 'index.html': 'pulled\n', 'new/page.md': 'new\n' });
    const outcome = await world.sync();
    assert.is(outcome.pulled.length, 2);
    // Longer than a tick of the clock: before, a stat does not tell one write from the next.
    await sleep(50);
    for (const path of ['index.html', 'new/page.md']) world.directory.touched(join(world.site, path));
    assert.is((await world.sync({ trigger: 'watch' })).againInMs, undefined, 'our own files wait to come to rest');
    world.write('index.html', 'edited\n');
    await sleep(50);
    assert.ok((await world.sync({ trigger: 'watch' })).againInMs);
    assert.is(git(world.bare, 'show', 'main:index.html'), 'pulled');
  }),
);

sync('a push appears in the folder, folders come and go with their files', () =>
  connected({}, async (world) => {
    world.push({ 'deep/er/x.txt': 'x\n', 'posts/a.md': null, 'posts/b.md': null, 'index.html': 'changed\n' });
    const outcome = await world.sync();
    assert.is(outcome.pulled.length, 4);
    assert.not(world.has('posts'));
    bothSidesEqual(world);
  }),
);

sync('edits of different files on both sides are merged', () =>
  connected({}, async (world) => {
    world.push({ 'index.html': 'theirs\n' });
    world.write('posts/a.md', 'ours\n');
    await world.sync();
    assert.is(world.read('index.html'), 'theirs\n');
    assert.is(world.read('posts/a.md'), 'ours\n');
    bothSidesEqual(world);
  }),
);

sync('edits of different lines of one file are merged', () =>
  connected({}, async (world) => {
    world.push({ 'about.md': 'ONE\ntwo\nthree\nfour\nfive\nsix\nseven\n' });
    world.write('about.md', 'one\ntwo\nthree\nfour\nfive\nsix\nSEVEN\n');
    const outcome = await world.sync();
    assert.equal(outcome.lost, []);
    assert.is(world.read('about.md'), 'ONE\ntwo\nthree\nfour\nfive\nsix\nSEVEN\n');
    bothSidesEqual(world);
  }),
);

sync('edits of the same line: the repository wins and both versions are parents of the merge', () =>
  connected({}, async (world) => {
    const theirs = world.push({ 'index.html': 'theirs\n' });
    world.write('index.html', 'ours\n');
    const outcome = await world.sync();
    assert.equal(
      outcome.lost.map(({ path, live }) => [path, live]),
      [['index.html', 'repository']],
    );
    assert.is(world.read('index.html'), 'theirs\n');
    const [first = '', second = ''] = git(world.bare, 'log', '-1', '--format=%P', 'main').split(' ');
    assert.is(git(world.bare, 'show', `${first}:index.html`), 'ours');
    assert.is(second, theirs);
    bothSidesEqual(world);
  }),
);

sync('the site may win by policy', () =>
  connected({ settings: { policy: 'site' } }, async (world) => {
    world.push({ 'index.html': 'theirs\n' });
    world.write('index.html', 'ours\n');
    await world.sync();
    assert.is(world.read('index.html'), 'ours\n');
    bothSidesEqual(world);
  }),
);

sync('an edit beats a removal on either side', () =>
  connected({}, async (world) => {
    world.push({ 'posts/a.md': null, 'posts/b.md': 'edited there\n' });
    world.write('posts/a.md', 'edited here\n');
    world.remove('posts/b.md');
    await world.sync();
    assert.is(world.read('posts/a.md'), 'edited here\n');
    assert.is(world.read('posts/b.md'), 'edited there\n');
    bothSidesEqual(world);
  }),
);

sync('a file and a folder of the same name on the two sides end with both contents reachable', () =>
  connected({}, async (world) => {
    world.push({ 'thing/inside.txt': 'theirs\n' });
    world.write('thing', 'ours\n');
    const outcome = await world.sync();
    assert.is(outcome.lost.length, 1);
    assert.is(world.read('thing/inside.txt'), 'theirs\n');
    assert.is(git(world.bare, 'show', 'main^1:thing'), 'ours');
    bothSidesEqual(world);
  }),
);

sync('a folder becomes a file and a file a folder', () =>
  connected({}, async (world) => {
    world.push({ posts: null, 'index.html': null });
    world.push({ posts: 'now a file\n', 'index.html/x': 'now a folder\n' });
    await world.sync();
    bothSidesEqual(world);
  }),
);

sync('three quiet syncs write nothing', () =>
  connected({}, async (world) => {
    world.write('about.md', 'new\n');
    await world.sync();
    const before = [world.tip(), git(world.gitDir, 'for-each-ref')];
    for (let i = 0; i < 3; i += 1) await world.sync({ trigger: 'rescan' });
    assert.equal([world.tip(), git(world.gitDir, 'for-each-ref')], before);
  }),
);

sync('a file that became a folder, noticed one look after the folder, does not take the folder with it', () =>
  connected({ settings: { quietMs: 300 } }, async (world) => {
    const path = join(world.site, 'index.html');
    await sleep(350);
    // Without a word to the watcher's side: only a look at everything finds it.
    rmSync(path);
    mkdirSync(path);
    writeFileSync(join(path, 'inside.md'), 'precious\n');
    for (let i = 0; i < 3; i += 1) {
      world.write('about.md', `edit ${i}\n`);
      await sleep(350);
      await world.sync({ trigger: 'rescan' });
    }
    assert.is(world.read('index.html/inside.md'), 'precious\n');
    bothSidesEqual(world);
  }),
);

sync('odd names travel both ways', () =>
  connected({}, async (world) => {
    world.write('ünïcode näme.txt', 'u\n');
    world.write('-rf', 'dash\n');
    world.write('quote"back\\slash\ttab', 'q\n');
    world.push({ 'naïve/--upload-pack=x': 'n\n', 'new\nline': 'nl\n' });
    await world.sync();
    assert.is(world.read('naïve/--upload-pack=x'), 'n\n');
    assert.is(world.read('new\nline'), 'nl\n');
    assert.is(git(world.bare, 'show', 'main:ünïcode näme.txt'), 'u');
    assert.is(git(world.bare, 'show', 'main:quote"back\\slash\ttab'), 'q');
  }),
);

sync('a folder that lost most of its files is held, and the files can be put back', () =>
  connected(
    { repository: Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`f${i}.txt`, `${i}\n`])) },
    async (world) => {
      const before = world.tip();
      for (let i = 0; i < 40; i += 1) world.remove(`f${i}.txt`);
      const outcome = await world.sync();
      assert.is(outcome.hold?.code, 'folder-lost-files');
      assert.is(outcome.hold?.tally.removed, 40);
      assert.is(world.tip(), before);
      await world.sync({ ...answering(outcome.hold) });
      bothSidesEqual(world);
      assert.is(Object.keys(world.branch()).length, 20);
    },
  ),
);

sync('files that only moved are not lost: renaming a folder, or the only file, asks nobody', () =>
  connected(
    { repository: Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`old/f${i}.txt`, `${i}\n`])) },
    async (world) => {
      for (let i = 0; i < 40; i += 1) {
        world.remove(`old/f${i}.txt`);
        world.write(`new/f${i}.txt`, `${i}\n`);
      }
      const outcome = await world.sync();
      assert.is(outcome.hold, undefined);
      bothSidesEqual(world);
    },
  ),
);

sync('a push that removes most files is held; nothing is removed until somebody says so', () =>
  connected(
    { repository: Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`f${i}.txt`, `${i}\n`])) },
    async (world) => {
      world.push(Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`f${i}.txt`, null])));
      const outcome = await world.sync();
      assert.is(outcome.hold?.code, 'branch-lost-files');
      assert.is(Object.keys(world.files()).length, 60);
      const again = await world.sync({
        ...answering(outcome.hold && { ...outcome.hold, step: 'something else' }),
      });
      assert.is(again.hold?.step, outcome.hold?.step);
      await world.sync({ ...answering(outcome.hold) });
      assert.is(Object.keys(world.files()).length, 20);
    },
  ),
);

sync('a lost manifest leads to comparing, never to a removal', () =>
  connected({}, async (world) => {
    const tip = world.tip();
    await world.directory.forget();
    world.remove('posts/a.md');
    await world.sync({ trigger: 'rescan' });
    assert.is(world.tip(), tip);
    assert.is(world.read('posts/a.md'), 'a\n');
  }),
);

sync('rewritten history without work in the folder is followed; the old tip is kept', () =>
  connected({}, async (world) => {
    world.push({ 'posts/a.md': 'soon taken back\n' });
    await world.sync();
    const old = world.tip();
    const clone = `${world.dir}/clone`;
    git(clone, 'fetch', '-q', 'origin');
    git(clone, 'checkout', '-q', '-B', 'main', 'origin/main');
    git(clone, 'commit', '-q', '--amend', '-m', 'Rewritten');
    git(clone, 'push', '-q', '--force', 'origin', 'main');
    await world.sync();
    assert.ok((await world.repository.kept()).some(({ cause }) => cause === 'history-rewritten'));
    world.write('index.html', 'after\n');
    await world.sync();
    assert.throws(() => git(world.bare, 'merge-base', '--is-ancestor', old, 'main'));
    bothSidesEqual(world);
  }),
);

sync('a deleted branch is never re-created unasked', () =>
  connected({}, async (world) => {
    git(world.bare, 'update-ref', '-d', 'refs/heads/main');
    world.write('index.html', 'edited meanwhile\n');
    const outcome = await world.sync();
    assert.is(outcome.hold?.code, 'branch-missing');
    assert.is(git(world.bare, 'for-each-ref'), '');
    assert.is(world.read('index.html'), 'edited meanwhile\n');
  }),
);

for (const { name, edits, isRefused } of [
  { name: 'all of it', edits: [], isRefused: false },
  { name: 'a part of it', edits: ['index.html'], isRefused: false },
  { name: 'a part of it and an edit of its own', edits: ['index.html', 'own.html'], isRefused: false },
  { name: 'a part of it, and GitLab refuses it at first', edits: ['index.html'], isRefused: true },
] as const) {
  sync(`a branch that is put back has all that it had, where the folder has ${name}`, () =>
    connected({ settings: { quietMs: 300 } }, async (world) => {
      const rest = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 400));
      world.push({ 'index.html': 'overwritten there\n', 'about.md': 'theirs\n' });
      const lost = world.push({ 'index.html': 'theirs too\n' });
      if (edits.length > 1) world.write('own.html', 'ours\n');
      if (edits.length > 1) await rest();
      if (edits.length > 0) world.write('index.html', 'ours, not at rest\n');
      await world.sync();
      git(world.bare, 'update-ref', '-d', 'refs/heads/main');
      const { hold } = await world.sync();
      assert.is(hold?.code, 'branch-missing');
      if (isRefused) {
        forbid(world.bare, 'about.md');
        const refused = await world.sync(answering(hold, 'put-back'));
        assert.match(refused.refused?.text ?? '', 'forbidden content');
        assert.is(git(world.bare, 'for-each-ref'), '');
        allow(world.bare);
      }
      await world.sync(answering(hold, 'put-back'));
      await rest();
      await world.sync({ trigger: 'rescan' });
      await world.sync();
      git(world.bare, 'merge-base', '--is-ancestor', lost, 'main');
      for (const path of edits)
        assert.match(git(world.bare, 'log', '-p', '-m', '--format=', 'main', '--', path), 'ours');
      bothSidesEqual(world);
    }),
  );
}

sync('an edit that had no time to rest yet is merged with two parents all the same', () =>
  connected({ settings: { quietMs: 300 } }, async (world) => {
    world.push({ 'index.html': 'theirs\n', 'about.md': 'theirs too\n' });
    world.write('index.html', 'ours\n');
    const first = await world.sync();
    assert.is(first.unsettled > 0, true);
    assert.is(world.read('about.md'), 'theirs too\n');
    assert.is(world.read('index.html'), 'ours\n');
    await new Promise((resolve) => setTimeout(resolve, 400));
    const second = await world.sync({ trigger: 'watch' });
    assert.equal(
      second.lost.map(({ path }) => path),
      ['index.html'],
    );
    assert.is(git(world.bare, 'log', '-1', '--format=%P', 'main').split(' ').length, 2);
    assert.is(git(world.bare, 'show', 'main^1:index.html'), 'ours');
    bothSidesEqual(world);
  }),
);

sync('nothing of ours stays in the folder once replaced files are released', () =>
  connected({}, async (world) => {
    world.push({ 'index.html': 'x\n' });
    await world.sync();
    assert.is(stagingFolders(world.site).length, 1);
    assert.equal(
      new Set(readdirSync(world.site)),
      new Set(Object.keys(world.branch()).map((path) => path.split('/')[0] ?? '')),
    );
    await world.later(11 * 60_000).sync();
    assert.equal(stagingFolders(world.site), []);
  }),
);

sync.run();
