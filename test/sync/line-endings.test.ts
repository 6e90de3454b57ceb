import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createTextRule, looksLikeText, withLf } from '../../src/files/line-endings.ts';
import type { SitePath } from '../../src/model/tree.ts';
import type { Outcome } from '../../src/sync/notes.ts';
import { type EngineWorld, type WorldOptions, engineWorld } from '../support/engine.ts';
import { git, gitBytes, scratch } from '../support/plain-git.ts';

/** Texts that an editor saves with CRLF, where `.gitattributes` want LF in the repository. */
const endings = suite('sync/line-endings');

async function inWorld(options: WorldOptions, test: (world: EngineWorld) => Promise<void>): Promise<void> {
  const world = await engineWorld(options);
  try {
    await world.connect();
    await world.sync();
    await test(world);
  } finally {
    await world.close();
  }
}

const inBranch = (world: EngineWorld, path: string): string =>
  gitBytes(world.bare, 'cat-file', '-p', `main:${path}`).toString('latin1');

/** In a fresh clone, git sees nothing to commit. */
function isClean(world: EngineWorld): void {
  const { dir, remove } = scratch();
  try {
    git(dir, 'clone', '-q', world.bare, 'clone');
    assert.is(git(join(dir, 'clone'), 'status', '--porcelain'), '');
  } finally {
    remove();
  }
}

async function isQuiet(world: EngineWorld): Promise<Outcome> {
  const outcome = await world.sync({ trigger: 'rescan' });
  assert.equal([outcome.pulled, outcome.pushed], [[], []]);
  return outcome;
}

const attributes = '* text=auto\n*.css text eol=lf\n*.bat eol=crlf\n*.png binary\n*.raw -text\n';
const repository = { '.gitattributes': attributes, 'a.css': 'one\ntwo\n', 'b.txt': 'x\n', 'index.html': 'home\n' };

endings('R21: what is saved with CRLF is committed with LF, and the folder keeps what was saved', () =>
  inWorld({ repository }, async (world) => {
    for (const path of ['a.css', 'b.txt', 'new.css', 'run.bat']) world.write(path, 'one\r\ntwo\r\nthree\r\n');
    await world.sync({ trigger: 'watch' });
    for (const path of ['a.css', 'b.txt', 'new.css', 'run.bat']) {
      assert.is(inBranch(world, path), 'one\ntwo\nthree\n', path);
      assert.is(world.read(path), 'one\r\ntwo\r\nthree\r\n', path);
    }
    isClean(world);
    await isQuiet(world);
    // Saved again with the other kind of ending: git has it already.
    world.write('a.css', 'one\ntwo\nthree\n');
    await isQuiet(world);
    world.write('a.css', 'one\r\ntwo\r\nthree\r\nfour\r\n');
    await world.sync({ trigger: 'watch' });
    assert.is(inBranch(world, 'a.css'), 'one\ntwo\nthree\nfour\n');
  }),
);

endings('R21: an edit from GitLab replaces such a file, and a conflict keeps both versions', () =>
  inWorld({ repository }, async (world) => {
    world.write('a.css', 'one\r\ntwo\r\n');
    await isQuiet(world);
    world.push({ 'a.css': 'one\ntwo\nby others\n' });
    await world.sync();
    assert.is(world.read('a.css'), 'one\ntwo\nby others\n');
    world.write('a.css', 'ours\r\ntwo\r\nby others\r\n');
    world.push({ 'a.css': 'theirs\ntwo\nby others\n' });
    const { lost } = await world.sync();
    assert.is(lost.length, 1);
    assert.is(inBranch(world, 'a.css'), world.read('a.css').replaceAll('\r\n', '\n'));
    assert.match(git(world.bare, 'log', '-p', '-m', 'main', '--', 'a.css'), /\+ours$/m);
    isClean(world);
    await isQuiet(world);
  }),
);

endings('R21: far-apart edits of one text, one of them saved with CRLF, are merged', () =>
  inWorld({ repository: { ...repository, 'a.css': `${'line\n'.repeat(20)}` } }, async (world) => {
    world.write('a.css', `here\r\n${'line\r\n'.repeat(19)}`);
    world.push({ 'a.css': `${'line\n'.repeat(19)}there\n` });
    const { lost } = await world.sync();
    assert.equal(lost, []);
    assert.is(inBranch(world, 'a.css'), `here\n${'line\n'.repeat(18)}there\n`);
    isClean(world);
    await isQuiet(world);
  }),
);

endings('R21: what could not be made again from LF is synced as it is, and named until it is saved otherwise', () =>
  inWorld({ repository }, async (world) => {
    world.write('a.css', 'one\r\ntwo\nthree\r\n');
    await world.sync({ trigger: 'watch' });
    assert.is(inBranch(world, 'a.css'), 'one\r\ntwo\nthree\r\n');
    const named = (outcome: Outcome): string[] =>
      outcome.notSynced.flatMap(({ path, reason }) => (reason.kind === 'mixed-line-endings' ? [path] : []));
    assert.equal(named(await isQuiet(world)), ['a.css']);
    world.write('a.css', 'one\r\ntwo\r\nthree\r\n');
    await world.sync({ trigger: 'watch' });
    assert.is(inBranch(world, 'a.css'), 'one\ntwo\nthree\n');
    assert.equal(named(await isQuiet(world)), []);
    isClean(world);
  }),
);

endings('R21: without attributes, and where they say it is no text, every byte travels as it is', () =>
  inWorld({ repository }, async (world) => {
    const bytes = 'a\r\nb\r\n';
    world.write('c.png', bytes);
    world.write('d.raw', bytes);
    world.write('e.html', `\0${bytes}`);
    await world.sync({ trigger: 'watch' });
    for (const path of ['c.png', 'd.raw']) assert.is(inBranch(world, path), bytes);
    assert.is(inBranch(world, 'e.html'), `\0${bytes}`);
    world.push({ '.gitattributes': null });
    await world.sync();
    world.write('f.css', bytes);
    await world.sync({ trigger: 'watch' });
    assert.is(inBranch(world, 'f.css'), bytes);
    await isQuiet(world);
  }),
);

endings('R21: new rules alone commit nothing, and a file that has CRLF in the repository keeps them', () =>
  inWorld({ repository: { 'a.css': 'one\r\ntwo\r\n', 'b.txt': 'x\r\n' } }, async (world) => {
    world.write('.gitattributes', attributes);
    await world.sync({ trigger: 'watch' });
    await isQuiet(world);
    assert.is(inBranch(world, 'a.css'), 'one\r\ntwo\r\n');
    // Git decides anew of a text, and leaves a file alone that it takes for a text only by its looks.
    world.write('a.css', 'edited\r\ntwo\r\n');
    world.write('b.txt', 'y\r\n');
    await world.sync({ trigger: 'watch' });
    assert.is(inBranch(world, 'a.css'), 'edited\ntwo\n');
    assert.is(inBranch(world, 'b.txt'), 'y\r\n');
    await isQuiet(world);
  }),
);

endings('R21: a first connect that pushes the folder commits LF as well', async () => {
  const world = await engineWorld({
    files: { '.gitattributes': attributes, 'a.css': 'one\r\ntwo\r\n' },
  });
  try {
    await world.connect('start-from-folder');
    await world.sync();
    assert.is(inBranch(world, 'a.css'), 'one\ntwo\n');
    assert.is(world.read('a.css'), 'one\r\ntwo\r\n');
    isClean(world);
    await isQuiet(world);
  } finally {
    await world.close();
  }
});

endings('R21: contents and attributes by chance are committed as git add commits them', () => {
  const { dir, remove } = scratch();
  let state = 20_261_201;
  const chance = (below: number): number => (state = (state * 48_271) % 2_147_483_647) % below;
  const pick = <T>(all: readonly T[]): T => all[chance(all.length)] as T;
  try {
    git(dir, 'init', '-q');
    const says = [
      'text',
      '-text',
      '!text',
      'text=auto',
      'text=input',
      'eol=lf',
      'eol=crlf',
      'binary',
      'text=auto eol=lf',
    ];
    const pieces = ['a\r\n', 'b\r\n', 'b\n', 'c\r', '\0', '\x1a', '\x01', 'ü\r\n', '\t', '\r\n', 'x'.repeat(200)];
    let [converted, mixed] = [0, 0];
    const cases = Array.from({ length: 1_500 }, (_, at) => {
      const alone = pick([true, true, false]);
      const some = alone ? ['a\r\n', 'bc\r\n', '\r\n', 'ü', 'x'.repeat(200)] : pieces;
      const content = Buffer.from(Array.from({ length: 1 + chance(6) }, () => pick(some)).join(''));
      return { path: `d${at % 7}/f${at}`, content, says: Array.from({ length: 1 + chance(2) }, () => pick(says)) };
    });
    const text = cases.map(({ path, says }) => says.map((said) => `/${path} ${said}\n`).join('')).join('');
    writeFileSync(join(dir, '.gitattributes'), text);
    for (const { path, content } of cases) {
      mkdirSync(dirname(join(dir, path)), { recursive: true });
      writeFileSync(join(dir, path), content);
    }
    git(dir, '-c', 'core.autocrlf=false', '-c', 'core.safecrlf=false', 'add', '-A');
    const rule = createTextRule((folder) => (folder === '' ? text : undefined));
    for (const { path, content, says } of cases) {
      const said = rule(path as SitePath);
      const lines = withLf(content);
      const wants = said === 'text' || (said === 'auto' && looksLikeText(content));
      if (wants && lines === 'mixed') {
        mixed += 1;
        continue;
      }
      const ours = wants && typeof lines !== 'string' ? lines : content;
      if (ours !== content) converted += 1;
      const theirs = gitBytes(dir, 'cat-file', '-p', `:${path}`).toString('latin1');
      assert.is(
        ours.toString('latin1'),
        theirs,
        `${path} ${says.join(' ')} ${JSON.stringify(content.toString('latin1'))}`,
      );
    }
    assert.ok(converted > 200);
    process.stdout.write(`note: ${cases.length} cases, ${converted} converted, ${mixed} mixed\n`);
  } finally {
    remove();
  }
});

endings.run();
