import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { realFs } from '../../src/files/disk.ts';
import { type Folding, collisions } from '../../src/files/folding.ts';
import { type SitePath, pathFromText } from '../../src/model/tree.ts';
import { planConnect } from '../../src/sync/connect.ts';
import { foldingFs } from '../support/folding-fs.ts';
import { git } from '../support/plain-git.ts';
import { inlineScanner, kept } from './support.ts';

/** Names that are two in a repository and one on the site's disk. */
const names = suite('names that fold together');

const kinds: readonly [string, Folding, string, string][] = [
  ['case', { case: true, form: false }, 'README.md', 'readme.md'],
  ['composed accents', { case: false, form: true }, 'café.md'.normalize('NFC'), 'café.md'.normalize('NFD')],
];

for (const [what, folding, first, second] of kinds) {
  const fs = foldingFs(realFs(), folding);
  const options = { fs, scanner: inlineScanner(fs) };
  const [one, two] = [pathFromText(first), pathFromText(second)].sort() as [SitePath, SitePath];
  const textOf = (path: SitePath): string => (path === pathFromText(first) ? first : second);

  names(
    `F36: two new names that differ in ${what} only: the first is written, the second named, none reported gone`,
    () =>
      kept(options, async (world) => {
        const tip = world.push({ [first]: 'first\n', [second]: 'second\n', 'other.md': 'other\n' });
        for (const trigger of ['poll', 'rescan', 'person', 'start'] as const) await world.triggered(trigger);
        assert.is(world.tip(), tip, 'a name that cannot be here was pushed back as a removal');
        const left = world.worker.status().notSynced.find(({ reason }) => reason.kind === 'collides');
        assert.equal([left?.path, left?.reason], [two, { kind: 'collides', with: one }]);
        assert.is(world.read(textOf(one)), textOf(one) === first ? 'first\n' : 'second\n');
        assert.is(world.read('other.md'), 'other\n');
        world.write(textOf(one), 'edited here\n');
        await world.triggered('watch');
        assert.is(git(world.bare, 'show', `main:${textOf(one)}`), 'edited here');
        assert.is(git(world.bare, 'show', `main:${textOf(two)}`), textOf(two) === first ? 'first' : 'second');
      }),
  );

  names(`F36: a new name that differs in ${what} from one that is here is written once the other is gone`, () =>
    kept({ ...options, repository: { [first]: 'first\n', 'index.html': 'home\n' } }, async (world) => {
      world.push({ [second]: 'second\n' });
      await world.triggered('poll');
      assert.is(world.read(first), 'first\n');
      world.push({ [first]: null });
      for (const trigger of ['poll', 'rescan', 'person'] as const) await world.triggered(trigger);
      assert.equal(world.worker.status().notSynced, []);
      assert.equal(world.files(), { [second]: 'second', 'index.html': 'home' });
      assert.is(world.branch()[second], 'second');
    }),
  );

  names(`F36: a rename that changes ${what} only arrives`, () =>
    kept({ ...options, repository: { [`a/${first}`]: 'same\n', 'index.html': 'home\n' } }, async (world) => {
      const tip = world.push({ [`a/${first}`]: null, [`a/${second}`]: 'same\n' });
      for (const trigger of ['poll', 'rescan', 'person'] as const) await world.triggered(trigger);
      assert.is(world.tip(), tip);
      assert.equal(world.files(), { [`a/${second}`]: 'same', 'index.html': 'home' });
    }),
  );

  names(`F36: the dry run of a first connect names what differs in ${what} only`, () =>
    kept(
      {
        ...options,
        unconnected: true,
        files: { ['Été.txt'.normalize('NFC')]: 'tells how the disk takes names\n' },
        repository: { [first]: 'first\n', [second]: 'second\n' },
      },
      async (world) => {
        const { repository, directory, remote } = world;
        const deps = { repository, directory, remote, branch: 'main' as never, now: () => 0, fileLimit: 100 };
        const { refused } = await planConnect(deps, 'replace');
        assert.equal(refused, [{ path: two, reason: { kind: 'collides', with: one } }]);
      },
    ),
  );
}

names('F36: a folder in another spelling holds what is in it back too', () => {
  const found = collisions(
    { case: true, form: false },
    ['Posts/a.md' as SitePath],
    ['posts/b.md' as SitePath, 'Posts/c.md' as SitePath, 'POSTS' as SitePath],
  );
  assert.equal(
    [...found],
    [
      ['POSTS', 'Posts'],
      ['posts/b.md', 'Posts'],
    ],
  );
});

names('F36: where names do not fold, nothing is held back', () =>
  kept({}, async (world) => {
    world.push({ 'README.md': 'one\n', 'readme.md': 'two\n', 'Posts/x.md': 'x\n' });
    await world.triggered('poll');
    assert.equal(world.worker.status().notSynced, []);
    assert.equal(world.files(), world.branch());
    assert.ok(world.has(join('Posts', 'x.md')));
  }),
);

names.run();
