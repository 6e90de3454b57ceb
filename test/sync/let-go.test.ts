import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { realFs } from '../../src/files/disk.ts';
import type { Problem } from '../../src/model/problem.ts';
import type { SitePath } from '../../src/model/tree.ts';
import { removeLetGo, untrack } from '../../src/sync/let-go.ts';
import { type EngineWorld, type WorldOptions, engineWorld } from '../support/engine.ts';

import { Doom, doomedFs, doomedRemote, doomedRepository, inlineScanner } from '../soak/doom.ts';
import { git, scratch } from '../support/plain-git.ts';
import { beat } from '../support/beat.ts';

/** The repository stops tracking what the site still needs. */
const letGo = suite('sync/let-go');

const repository = {
  'index.html': 'home\n',
  'config.php': 'ours\n',
  'cache/a': 'a\n',
  'cache/b/c': 'c\n',
  other: 'x\n',
};

async function inWorld(options: WorldOptions, test: (world: EngineWorld) => Promise<void>): Promise<void> {
  const world = await engineWorld({ repository, ...options });
  try {
    await world.connect();
    await test(world);
  } finally {
    await world.close();
  }
}

/** A further look finds nothing to do, on either side. */
async function isQuiet(world: EngineWorld): Promise<void> {
  const tip = world.tip();
  const { pulled, pushed } = await world.sync({ trigger: 'rescan' });
  assert.equal([pulled, pushed, world.tip()], [[], [], tip]);
}

letGo('R15: a file that is no longer tracked and newly ignored stays here, is kept and told', () =>
  inWorld({}, async (world) => {
    world.push({ 'config.php': null, '.gitignore': '/config.php\n', 'index.html': 'new\n' });
    const outcome = await world.sync();
    assert.is(world.read('config.php'), 'ours\n');
    assert.is(world.read('index.html'), 'new\n');
    assert.equal(outcome.letGo, ['config.php']);
    assert.equal(outcome.pulled.map(({ path }) => path).sort(), ['.gitignore', 'index.html'], 'it is no removal');
    const [kept] = await world.repository.kept();
    assert.is(kept?.cause, 'let-go');
    const { files, modes } = await world.repository.keptFiles(kept?.id ?? '');
    assert.ok(files.some(({ path }) => path === 'config.php'));
    assert.is(modes.get('config.php' as SitePath)!.mode & 0o777, 0o644);
    await isQuiet(world);
    world.write('config.php', 'edited here\n');
    await isQuiet(world);
    assert.is(world.read('config.php'), 'edited here\n');
  }),
);

letGo('R20: a path that somebody ignores goes from the branch, and its file stays as it is', () =>
  inWorld({ settings: { ignore: ['/cache/a'] } }, async (world) => {
    const deps = { ...world, site: world.siteModel, now: () => Date.now() };
    world.write('cache/a', 'written a moment ago\n');
    world.write('other', 'an edit that waits\n');
    assert.is(await untrack(deps, 'cache/a' as SitePath), true);
    assert.is(await untrack(deps, 'cache/a' as SitePath), false);
    const { pushed } = await world.sync();
    assert.equal(pushed.map(({ path }) => path).sort(), ['cache/a', 'other']);
    assert.not.ok('cache/a' in world.branch());
    assert.is(world.branch()['other'], 'an edit that waits');
    assert.is(world.read('cache/a'), 'written a moment ago\n');
    await isQuiet(world);
    world.write('cache/a', 'and again\n');
    await isQuiet(world);
    assert.not.ok('cache/a' in world.branch());
    assert.is(world.read('cache/a'), 'and again\n');
  }),
);

letGo('R15: a path that was ignored before is removed as ever', () =>
  inWorld({ repository: { ...repository, '.gitignore': '/config.php\n' } }, async (world) => {
    world.push({ 'config.php': null, '.gitignore': '/config.php\n/more\n' });
    const outcome = await world.sync();
    assert.not.ok(world.has('config.php'));
    assert.equal(outcome.letGo, []);
    await isQuiet(world);
  }),
);

letGo('R15: a path that is not ignored afterwards is removed as ever, and so is one ignored by the site alone', () =>
  inWorld({ settings: { ignore: ['/other'] } }, async (world) => {
    world.push({ 'config.php': null, other: null, '.gitignore': '*.php\n!config.php\n' });
    const outcome = await world.sync();
    assert.not.ok(world.has('config.php'));
    assert.not.ok(world.has('other'));
    assert.equal(outcome.letGo, []);
    await isQuiet(world);
  }),
);

letGo('R15: whole folders, by rules in nested files too', () =>
  inWorld({}, async (world) => {
    world.push({ cache: null, '.gitignore': '/cache/\n' });
    assert.equal([...(await world.sync()).letGo].sort(), ['cache/a', 'cache/b/c']);
    assert.is(world.read('cache/b/c'), 'c\n');
    world.push({ 'deep/x.log': '1\n', 'deep/y.txt': '2\n' });
    await world.sync();
    world.push({ 'deep/x.log': null, 'deep/.gitignore': '*.log\n' });
    assert.equal((await world.sync()).letGo, ['deep/x.log']);
    assert.is(world.read('deep/x.log'), '1\n');
    await isQuiet(world);
  }),
);

letGo('R15: in a site that is a folder of its repository', () =>
  inWorld(
    {
      subfolder: 'site' as SitePath,
      repository: { 'site/config.php': 'ours\n', 'site/index.html': 'home\n', 'outside.txt': 'x\n' },
    },
    async (world) => {
      world.push({ 'site/config.php': null, 'site/.gitignore': '/config.php\n' });
      assert.equal((await world.sync()).letGo, ['config.php']);
      assert.is(world.read('config.php'), 'ours\n');
      await isQuiet(world);
    },
  ),
);

letGo('R15: in a merge, with an edit of the file that is let go', () =>
  inWorld({}, async (world) => {
    world.push({ 'config.php': null, cache: null, '.gitignore': '/config.php\n/cache/\n' });
    world.write('index.html', 'edited here\n');
    world.write('cache/a', 'edited here\n');
    const outcome = await world.sync();
    assert.equal([...outcome.letGo].sort(), ['cache/b/c', 'config.php']);
    assert.is(world.read('config.php'), 'ours\n');
    // An edit beats a removal, also of what is ignored: it stays tracked.
    assert.is(world.branch()['cache/a'], 'edited here');
    assert.is(world.branch()['index.html'], 'edited here');
    await isQuiet(world);
  }),
);

letGo('R15: while the file with the new rule is busy the other waits, and is let go with it', () =>
  inWorld({ repository: { ...repository, '.gitignore': '*.log\n' } }, async (world) => {
    world.push({ 'config.php': null, '.gitignore': '*.log\n/config.php\n', 'index.html': 'new\n' });
    let edited = false;
    const { directory } = world;
    const apply = directory.apply.bind(directory);
    directory.apply = (request) => {
      // Somebody saves the rules in the instant before they are replaced.
      if (!edited) world.write('.gitignore', '# mine\n*.log\n');
      edited = true;
      return apply(request);
    };
    const outcome = await world.sync();
    assert.ok(edited);
    assert.equal(outcome.letGo, []);
    assert.is(world.read('index.html'), 'new\n');
    assert.is(world.read('config.php'), 'ours\n');
    const later = await world.sync();
    assert.equal(later.letGo, ['config.php']);
    assert.is(world.read('config.php'), 'ours\n');
    assert.match(world.read('.gitignore'), '/config.php');
    await isQuiet(world);
  }),
);

letGo('R15: where the folder’s own rules bring the path back, it is removed and not committed again', () =>
  inWorld({ settings: { ignore: ['/deep/.gitignore'] } }, async (world) => {
    world.push({ 'deep/config.php': 'ours\n' });
    await world.sync();
    mkdirSync(join(world.site, 'deep'), { recursive: true });
    writeFileSync(join(world.site, 'deep/.gitignore'), '!config.php\n');
    world.push({ 'deep/config.php': null, '.gitignore': 'config.php\n' });
    assert.equal((await world.sync()).letGo, []);
    assert.not.ok(world.has('deep/config.php'));
    await isQuiet(world);
  }),
);

letGo('R15: files that are let go are not lost: no mass deletion is asked about', () =>
  inWorld(
    { repository: { ...Object.fromEntries(Array.from({ length: 60 }, (_, n) => [`c/${n}`, `${n}\n`])), a: 'a\n' } },
    async (world) => {
      world.push({ c: null, '.gitignore': '/c/\n' });
      const outcome = await world.sync();
      assert.is(outcome.hold, undefined);
      assert.is(outcome.letGo.length, 60);
      world.push({ '.gitignore': null });
      await world.sync();
      await world.sync({ trigger: 'rescan' });
      assert.is(world.branch()['c/7'], '7', 'without the rule they are new files');
    },
  ),
);

letGo('R15: a switch to a branch that ignores a file leaves it too', () =>
  inWorld({}, async (world) => {
    world.push({ 'config.php': null, '.gitignore': '/config.php\n' });
    await world.connect();
    assert.is(world.read('config.php'), 'ours\n');
    await isQuiet(world);
  }),
);

letGo('R15: what was let go and is tracked again later is not replaced unasked', () =>
  inWorld({}, async (world) => {
    world.push({ 'config.php': null, '.gitignore': '/config.php\n' });
    await world.sync();
    world.push({ '.gitignore': '# none\n', 'config.php': 'theirs\n' });
    await world.sync();
    assert.is(world.read('config.php'), 'ours\n', 'nobody asked for it to be replaced');
  }),
);

letGo('R15: removed here too by a person, it is kept first as it is then', () =>
  inWorld({}, async (world) => {
    const deps = { repository: world.repository, directory: world.directory, now: () => Date.now() };
    world.push({ 'config.php': null, '.gitignore': '/config.php\n' });
    await world.sync();
    world.write('config.php', 'edited since\n');
    await removeLetGo(deps, 'config.php' as SitePath);
    assert.not.ok(world.has('config.php'));
    await isQuiet(world);
    const contents: string[] = [];
    for (const { id } of await world.repository.kept()) {
      const { files } = await world.repository.keptFiles(id);
      const file = files.find(({ path }) => path === 'config.php');
      if (file) contents.push(git(world.gitDir, 'cat-file', 'blob', file.oid));
      assert.ok(
        files.some(({ path }) => path === 'index.html'),
        'restoring all of it takes nothing else away',
      );
    }
    assert.equal(contents.sort(), ['edited since', 'ours']);
    for (const path of ['config.php', 'index.html'] as SitePath[]) {
      try {
        await removeLetGo(deps, path);
        assert.unreachable();
      } catch (error) {
        assert.is((error as Problem).code, path === 'config.php' ? 'not-found' : 'plan-outdated');
      }
    }
    assert.ok(world.has('index.html'));
  }),
);

letGo('R15: ended at any step, the next process lets go the same files and loses none', async () => {
  const { dir: root, remove } = scratch();
  try {
    const from = join(root, 'from');
    mkdirSync(from);
    const before = await engineWorld({ keep: from, repository });
    await before.connect();
    before.push({ 'config.php': null, cache: null, 'index.html': 'new\n', '.gitignore': '/config.php\n/cache/\n' });
    await before.close();
    const steps = await crashAt(root, from, Number.POSITIVE_INFINITY);
    const chosen = isLong
      ? steps
      : steps.filter((_, i) => i % 3 === 0 || /move|rename|exchange|link/.test(steps[i] ?? ''));
    process.stdout.write(`\nnote: ${chosen.length} of ${steps.length} steps; MOORING_TEST_LONG=yes: all\n`);
    assert.ok(chosen.length > 5);
    for (const [at, step] of steps.entries()) {
      if (!chosen.includes(step)) continue;
      beat(`crash at step ${at + 1} of ${steps.length}`);
      await crashAt(root, from, at + 1);
    }
  } finally {
    remove();
  }
});

const isLong = process.env['MOORING_TEST_LONG'] === 'yes';

/** A process that ends at step `n`, and one that goes on. The steps of the first. */
async function crashAt(root: string, from: string, n: number): Promise<readonly string[]> {
  const dir = mkdtempSync(join(root, 'w-'));
  execFileSync('cp', ['-a', `${from}/.`, dir]);
  git(join(dir, 'clone'), 'remote', 'set-url', 'origin', join(dir, 'gitlab.git'));
  const doom = new Doom(n, join(dir, 'state'));
  const fs = doomedFs(realFs(), doom);
  const world = await engineWorld({
    ...{ keep: dir, fs, scanner: inlineScanner(fs) },
    wrap: (inner) => doomedRepository(inner, doom),
    remote: (remote) => doomedRemote(remote, doom, () => {}),
  });
  await world.repository.prepare();
  doom.armed = true;
  try {
    await world.sync();
  } catch (error) {
    if (!doom.dead) throw error;
  }
  await doom.buried();
  doom.armed = false;
  const next = await engineWorld({ keep: dir });
  const told = `step ${n} (${doom.trace.at(-1)})`;
  try {
    for (const trigger of ['start', 'person', 'rescan'] as const) await next.sync({ trigger });
    const here = { ...repository, 'index.html': 'new\n', '.gitignore': '/config.php\n/cache/\n' };
    for (const [path, content] of Object.entries(here))
      assert.is(next.has(path) && next.read(path), content, `${told} ${path}`);
    assert.equal(Object.keys(next.branch()).sort(), ['.gitignore', 'index.html', 'other'], told);
    assert.is(git(next.bare, 'rev-list', '--count', 'main'), '2', `${told}: nothing had to be pushed`);
    assert.ok(
      (await next.repository.kept()).some(({ cause }) => cause === 'let-go'),
      told,
    );
    const { pending, offered, base } = await next.repository.ledger();
    assert.equal([pending, offered, base], [undefined, undefined, undefined], told);
  } finally {
    await next.close();
    rmSync(dir, { recursive: true });
  }
  return doom.trace;
}

letGo.run();
