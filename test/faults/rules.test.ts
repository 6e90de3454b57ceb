import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { realFs } from '../../src/files/disk.ts';
import type { SiteSettings } from '../../src/model/site.ts';
import { type EngineWorld, engineWorld } from '../support/engine.ts';
import { foldingFs } from '../support/folding-fs.ts';
import { scratch } from '../support/plain-git.ts';
import { connected, inlineScanner } from './support.ts';

/** What the rules leave out, and what they must not. */
const rules = suite('faults: ignore rules');

const repository = { '.gitignore': '/Build/\n*.LOG\n', 'index.html': 'home\n' };

rules('R16: .gitignore goes by case where the disk does, both ways', () =>
  connected({ repository }, async (world) => {
    world.write('build/site.css', 'ours\n');
    world.write('news.log', 'news\n');
    world.write('Build/left.css', 'ignored\n');
    world.write('crash.LOG', 'ignored\n');
    for (const path of ['.ENV', 'ID_RSA', 'DUMP.SQL']) world.write(path, 'secret\n');
    const { notSynced } = await world.sync({ trigger: 'rescan' });
    assert.equal(Object.keys(world.branch()).sort(), ['.gitignore', 'build/site.css', 'index.html', 'news.log']);
    assert.equal(notSynced.map(({ path, reason }) => `${path} ${reason.kind}`).sort(), [
      '.ENV secret',
      'DUMP.SQL secret',
      'ID_RSA secret',
    ]);
    world.push({ 'build/app.js': 'theirs\n', 'other.log': 'theirs\n' });
    await world.sync();
    assert.is(world.read('build/app.js'), 'theirs\n');
    assert.is(world.read('other.log'), 'theirs\n');
  }),
);

rules('R16: on a disk that folds case, .gitignore does as git does there', () => {
  const fs = foldingFs(realFs(), { case: true, form: false });
  return connected({ fs, scanner: inlineScanner(fs), repository }, async (world) => {
    world.write('build/site.css', 'ignored\n');
    world.write('news.log', 'ignored\n');
    world.write('about.html', 'new\n');
    await world.sync({ trigger: 'rescan' });
    assert.equal(Object.keys(world.branch()).sort(), ['.gitignore', 'about.html', 'index.html']);
  });
});

const content = ['posts/4913/index.html', 'x.part/index.html', 'report.tmp.html', '#x#/a.html', '.DS_Store/a.html'];

rules('R17: content with a name like a tool’s is pushed, and what is left out is counted and named by its rule', () =>
  connected({ repository, settings: { ignore: ['private/'] } }, async (world) => {
    for (const path of content) world.write(path, 'content\n');
    for (const path of ['4913', 'a/4913', 'index.html~', 'private/x', 'private/y', 'x.LOG', '.env'])
      world.write(path, 'left\n');
    await world.sync({ trigger: 'rescan' });
    assert.equal(Object.keys(world.branch()).sort(), ['.gitignore', 'index.html', ...content].sort());
    const told = world.directory
      .leftByRule()
      ?.rules.map(({ by, rule, count, samples }) => [by, rule, count, ...samples]);
    assert.equal(told?.sort(), [
      ['built-in', '*~', 1, 'index.html~'],
      ['built-in', '4913', 2, '4913', 'a/4913'],
      ['gitignore', '*.LOG', 1, 'x.LOG'],
      ['secret', '.env', 1, '.env'],
      ['site', 'private/', 1, 'private'],
    ]);
  }),
);

rules('R17: a built-in rule is turned off for a site by itself', () =>
  connected({ repository, settings: { builtInRulesOff: ['vim', 'backup'] } }, async (world) => {
    for (const path of ['4913', 'index.html~', '.index.html.swp', '.DS_Store']) world.write(path, 'x\n');
    await world.sync({ trigger: 'rescan' });
    assert.equal(
      Object.keys(world.branch()).sort(),
      ['.gitignore', 'index.html', '4913', 'index.html~', '.index.html.swp'].sort(),
    );
  }),
);

rules('R17: a tracked file stays tracked whatever the built-in rules say', () =>
  connected({ repository: { ...repository, 'docs/desktop.ini': 'one\n', '4913': 'one\n' } }, async (world) => {
    world.write('docs/desktop.ini', 'two\n');
    world.push({ '4913': 'two\n' });
    await world.sync();
    assert.is(world.branch()['docs/desktop.ini'], 'two');
    assert.is(world.read('4913'), 'two\n');
  }),
);

const leftovers = [
  '.nfs0000000000a1b2c300000001',
  '.page.html.Ab12Cd',
  'film.mp4.filepart',
  '#page.html#',
  '.#page.html',
].concat(['.fuse_hidden0000000a00000001', '@eaDir/page.html/x.jpg', '~$list.docx', '.~lock.list.odt#', 'Thumbs.db']);

rules('R18: what tools leave in the folder is not committed', () =>
  connected({ repository }, async (world) => {
    for (const path of leftovers) world.write(path, 'leftover\n');
    world.write('page.html', 'content\n');
    await world.sync({ trigger: 'rescan' });
    assert.equal(Object.keys(world.branch()).sort(), ['.gitignore', 'index.html', 'page.html']);
    world.write('deep/.page.html.Ab12Cd', 'leftover\n');
    await world.sync({ trigger: 'watch' });
    assert.equal(Object.keys(world.branch()).sort(), ['.gitignore', 'index.html', 'page.html']);
  }),
);

rules('R19: certificate challenges and the mark of maintenance are not committed', () =>
  connected({ repository }, async (world) => {
    world.write('.well-known/acme-challenge/LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0', 'answer\n');
    world.write('.well-known/security.txt', 'content\n');
    world.write('.maintenance', '<?php $upgrading = 1;\n');
    await world.sync({ trigger: 'rescan' });
    assert.equal(Object.keys(world.branch()).sort(), ['.gitignore', '.well-known/security.txt', 'index.html']);
  }),
);

/** A site that was connected by a version with the rules of before, with files that only those ignored. */
async function upgraded(settings: Partial<SiteSettings>, test: (open: () => Promise<EngineWorld>) => Promise<void>) {
  const { dir, remove } = scratch();
  const worlds: EngineWorld[] = [];
  const open = async (): Promise<EngineWorld> => {
    await worlds.at(-1)?.close();
    const world = await engineWorld({ keep: dir, settings, ...(worlds.length === 0 ? { repository } : {}) });
    worlds.push(world);
    return world;
  };
  try {
    const before = await open();
    await before.connect();
    rmSync(join(dir, 'state', 'rules.json'));
    for (const path of ['build/a.css', 'build/b.css', 'news.log', 'posts/4913/a.html', 'crash.LOG', '.ENV'])
      before.write(path, 'from before\n');
    await test(open);
  } finally {
    await worlds.at(-1)?.close();
    remove();
  }
}

const waiting = (world: EngineWorld): string[] =>
  world.directory
    .wasIgnored()
    .map(({ path, reason }) => ('folder' in reason ? `${path}/` : path))
    .sort();

rules('R16: rules for folders hold for a single path that was touched, by each file of rules on the way', () =>
  connected(
    { repository: { ...repository, '.gitignore': '/cache/\n', 'a/.gitignore': 'tmp/\n', 'a/b': 'b\n' } },
    async (world) => {
      for (const path of ['cache/x/y', 'a/tmp/x/y', 'a/new']) world.write(path, 'x\n');
      await world.sync({ trigger: 'rescan' });
      for (const path of ['cache/x/z', 'cache/w', 'a/tmp/z', 'a/tmp/x/z', 'a/newer']) world.write(path, 'x\n');
      await world.sync({ trigger: 'watch' });
      assert.equal(Object.keys(world.branch()).sort(), [
        '.gitignore',
        'a/.gitignore',
        'a/b',
        'a/new',
        'a/newer',
        'index.html',
      ]);
    },
  ),
);

rules('R16: what an upgrade stops ignoring waits for a person, over restarts, and nothing else waits for it', () =>
  upgraded({}, async (open) => {
    let world = await open();
    const { notSynced } = await world.sync({ trigger: 'start' });
    assert.equal(waiting(world), ['build/', 'news.log', 'posts/4913/']);
    assert.is(notSynced.filter(({ reason }) => reason.kind === 'was-ignored').length, 3);
    world.write('index.html', 'edited\n');
    world.write('build/c.css', 'newer\n');
    world.write('about.html', 'new\n');
    await world.sync({ trigger: 'watch' });
    world.push({ 'theirs.html': 'theirs\n', 'news.log': 'theirs\n' });
    await world.sync();
    const untouched = ['.gitignore', 'about.html', 'index.html', 'news.log', 'theirs.html'];
    assert.equal(Object.keys(world.branch()).sort(), untouched);
    assert.is(world.branch()['index.html'], 'edited');
    assert.is(world.read('news.log'), 'from before\n', 'what waits is not replaced');
    world = await open();
    await world.sync({ trigger: 'start' });
    assert.equal(waiting(world), ['build/', 'posts/4913/']);
    await world.directory.acceptRules();
    await world.sync();
    assert.equal(
      Object.keys(world.branch()).sort(),
      [...untouched, 'build/a.css', 'build/b.css', 'build/c.css', 'posts/4913/a.html'].sort(),
    );
    world = await open();
    world.write('other.log', 'new\n');
    await world.sync({ trigger: 'start' });
    assert.equal(waiting(world), []);
    assert.is(world.branch()['other.log'], 'new', 'it is asked once');
  }),
);

rules('R16: what is put on the site’s own list after an upgrade stays ignored, and is not asked about again', () =>
  upgraded({ ignore: ['/build/', '/news.log', '/posts/4913/'] }, async (open) => {
    const world = await open();
    await world.sync({ trigger: 'start' });
    assert.equal(waiting(world), []);
    assert.equal(Object.keys(world.branch()).sort(), ['.gitignore', 'index.html']);
    world.write('other.log', 'new\n');
    await world.sync();
    assert.is(world.branch()['other.log'], 'new');
  }),
);

rules.run();
