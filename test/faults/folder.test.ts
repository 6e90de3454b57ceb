import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { engineWorld } from '../support/engine.ts';
import { git } from '../support/plain-git.ts';
import { snapshot } from '../support/snapshot.ts';
import { commitOf, connected, endsIn, inline, kept, plant } from './support.ts';

/** What stands and happens in an ordinary folder: first contact, odd files, names, modes, rules. */
const folder = suite('folder');

for (const [what, files, repository, left] of [
  ['both empty', {}, undefined, {}],
  ['a full folder, an empty repository', { 'a.txt': 'a\n' }, undefined, {}],
  ['an empty folder, a full repository', {}, { 'b.txt': 'b\n' }, { 'b.txt': 'b' }],
  [
    'both full',
    { 'a.txt': 'a\n', 'both.txt': 'here\n' },
    { 'b.txt': 'b\n', 'both.txt': 'there\n' },
    { 'b.txt': 'b', 'both.txt': 'there' },
  ],
] as const) {
  folder(`F23: first connect, ${what}: nothing is written before the yes, and what it replaces is kept`, async () => {
    const world = await engineWorld({ files: { ...files }, ...(repository ? { repository: { ...repository } } : {}) });
    try {
      const { planConnect, connect } = await import('../../src/sync/connect.ts');
      const { repository: repo, directory, remote } = world;
      const deps = {
        repository: repo,
        directory,
        remote,
        branch: 'main' as never,
        now: () => Date.now(),
        fileLimit: 1_000,
      };
      const before = await snapshot(world.site);
      const refs = git(world.bare, 'for-each-ref');
      const plan = await planConnect(deps, 'replace');
      assert.equal(await snapshot(world.site), before);
      assert.is(git(world.bare, 'for-each-ref'), refs);
      const has = (path: string): boolean => path in files;
      const comes = Object.keys(repository ?? {});
      if (repository) {
        assert.is(plan.added, comes.filter((path) => !has(path)).length);
        assert.is(plan.replaced, comes.filter(has).length);
        assert.is(plan.removed, Object.keys(files).filter((path) => !comes.includes(path)).length);
      }
      world.write('late.txt', 'after the plan\n');
      await endsIn('plan-outdated', () => connect(deps, 'replace', plan.id, async () => {}));
      assert.is(world.read('late.txt'), 'after the plan\n');
      world.remove('late.txt');
      await connect(deps, 'replace', plan.id, async () => {});
      assert.equal(
        world.files(),
        repository ? left : Object.fromEntries(Object.entries(files).map(([k, v]) => [k, v.trim()])),
      );
      if (Object.keys(files).length > 0) {
        const all = git(world.gitDir, 'log', '--all', '-p', '--text', '--format=');
        for (const content of Object.values(files)) assert.ok(all.includes(content.trim()), `not kept: ${content}`);
      }
    } finally {
      await world.close();
    }
  });
}

folder('F33: a file that grows while it is read is never a half version; it arrives when it rests', () =>
  connected({ settings: { quietMs: 300, quietMaxMs: 60_000 } }, async (world) => {
    const tip = world.tip();
    for (let i = 0; i < 4; i += 1) {
      world.write('upload.bin', 'x'.repeat(1_000 * (i + 1)));
      const outcome = await world.sync({ trigger: 'watch' });
      assert.ok(outcome.unsettled >= 1);
      assert.is(world.tip(), tip);
    }
    await new Promise((resolve) => setTimeout(resolve, 350));
    await world.sync({ trigger: 'watch' });
    assert.is(git(world.bare, 'cat-file', '-s', 'main:upload.bin'), '4000');
    assert.is(git(world.bare, 'rev-list', '--count', `${tip}..main`), '1');
  }),
);

folder('F33: an edit of the same size with its old time put back is still found', () =>
  connected({}, async (world) => {
    const file = join(world.site, 'index.html');
    const { atime, mtime } = statSync(file);
    writeFileSync(file, 'HOME\n');
    utimesSync(file, atime, mtime);
    await world.sync({ trigger: 'rescan' });
    assert.is(git(world.bare, 'show', 'main:index.html'), 'HOME');
  }),
);

folder('F33: an endless writer does not keep other files from travelling', () =>
  connected({ settings: { quietMs: 200, quietMaxMs: 60_000 } }, async (world) => {
    world.write('index.html', 'edited\n');
    await new Promise((resolve) => setTimeout(resolve, 250));
    for (let i = 0; i < 8; i += 1) {
      world.write('endless.txt', 'x'.repeat(i + 1));
      await world.sync({ trigger: 'watch' });
      await new Promise((resolve) => setTimeout(resolve, 120));
    }
    assert.is(git(world.bare, 'show', 'main:index.html'), 'edited');
  }),
);

folder('F34: five hundred files from the branch make no commit, and three more looks do nothing', () =>
  kept({}, async (world) => {
    const tip = world.push(
      Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`d${i % 10}/${i}.txt`, `${i}\n`])),
    );
    await world.triggered('poll');
    // As the watcher would: every path that was just written.
    for (let i = 0; i < 500; i += 1) world.directory.touched(join(world.site, `d${i % 10}/${i}.txt`));
    const refs = git(world.gitDir, 'for-each-ref');
    for (const trigger of ['watch', 'rescan', 'poll'] as const) await world.triggered(trigger);
    assert.is(world.tip(), tip);
    assert.is(git(world.gitDir, 'for-each-ref'), refs);
    assert.equal(world.files(), world.branch());
  }),
);

folder('F35: pipes, sockets and links are named and hang nothing; hard links and holes are ordinary files', () =>
  connected(
    { settings: { limits: { fileBytes: 1e6, files: 1e5, siteBytes: 1e9, massPaths: 20, massShare: 0.3 } } },
    async (world) => {
      execFileSync('mkfifo', [join(world.site, 'pipe')]);
      const server = createServer().listen(join(world.site, 'socket'));
      linkSync(join(world.site, 'index.html'), join(world.site, 'second-name.html'));
      writeFileSync(join(world.site, 'hole.bin'), '');
      truncateSync(join(world.site, 'hole.bin'), 500_000);
      writeFileSync(join(world.site, 'huge.bin'), '');
      truncateSync(join(world.site, 'huge.bin'), 50_000_000_000);
      const outcome = await world.sync({ trigger: 'rescan' });
      server.close();
      const why = Object.fromEntries(outcome.notSynced.map(({ path, reason }) => [path, reason.kind]));
      assert.equal(why, { pipe: 'special', socket: 'special', 'huge.bin': 'too-large' });
      assert.is(git(world.bare, 'show', 'main:second-name.html'), 'home');
      assert.is(git(world.bare, 'cat-file', '-s', 'main:hole.bin'), '500000');
    },
  ),
);

folder('F36: names that differ in case or in Unicode form only, too long names, and dots at the end', () =>
  connected({}, async (world) => {
    const long = 'n'.repeat(256);
    const pairs = {
      'Readme.txt': '1',
      'README.txt': '2',
      '"e\\314\\201.txt"': '3',
      '"\\303\\251.txt"': '4',
      'dot.': '5',
      CON: '6',
    };
    const lines = [...Object.entries(pairs).map(([at, text]) => inline(at, text)), inline(long, 'long')];
    const tip = plant(world.bare, commitOf(lines));
    const outcome = await world.sync();
    assert.ok(outcome.notSynced.some(({ path, reason }) => path === long && reason.kind === 'bad-name'));
    for (const [name, text] of Object.entries({
      'Readme.txt': '1',
      'README.txt': '2',
      'e\u0301.txt': '3',
      '\u00e9.txt': '4',
      'dot.': '5',
      CON: '6',
    }))
      assert.is(world.read(name), text, name);
    await world.sync({ trigger: 'rescan' });
    assert.is(world.tip(), tip);
  }),
);

folder('F37: mode and owner of a replaced file stay, and a folder’s group is inherited', () =>
  connected({}, async (world) => {
    const file = join(world.site, 'index.html');
    chmodSync(file, 0o640);
    chmodSync(join(world.site, 'posts'), 0o2750);
    const root = process.getuid?.() === 0;
    if (root) {
      chownSync(file, 1234, 4321);
      chownSync(join(world.site, 'posts'), 1234, 4321);
    } else process.stdout.write('\nnot run here: only root may give files away\n');
    world.directory.touchedAll();
    world.push({ 'index.html': 'new\n', 'posts/new.md': 'new\n', 'posts/deep/x.md': 'x\n' });
    await world.sync();
    await world.sync();
    assert.is(world.read('index.html'), 'new\n');
    assert.is(statSync(file).mode & 0o7777, 0o640);
    if (root) {
      assert.equal([statSync(file).uid, statSync(file).gid], [1234, 4321]);
      assert.is(statSync(join(world.site, 'posts/new.md')).gid, 4321);
      assert.is(statSync(join(world.site, 'posts/deep/x.md')).gid, 4321);
    }
    assert.is(statSync(join(world.site, 'posts')).mode & 0o7777, 0o2750);
  }),
);

folder(
  'F38: a .gitignore of `*` arrives: what is tracked stays tracked, nothing is removed, untracked files stay here',
  () =>
    connected({}, async (world) => {
      mkdirSync(join(world.site, 'local'));
      const tip = plant(world.bare, commitOf([inline('.gitignore', '*\n')]));
      await world.sync();
      writeFileSync(join(world.site, 'local', 'untracked.txt'), 'stays here\n');
      await world.sync({ trigger: 'rescan' });
      assert.is(world.tip(), tip);
      world.write('index.html', 'edited\n');
      await world.sync();
      assert.is(git(world.bare, 'show', 'main:index.html'), 'edited');
      assert.is(git(world.bare, 'diff', '--name-only', tip, 'main'), 'index.html');
      assert.ok(existsSync(join(world.site, 'local', 'untracked.txt')));
      for (const path of ['about.md', 'posts/a.md']) assert.ok(world.has(path));
    }),
);

folder.run();
