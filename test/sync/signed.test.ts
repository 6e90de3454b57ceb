import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Oid, type SitePath, pathFromText } from '../../src/model/tree.ts';
import type { SignedEdits } from '../../src/sync/notes.ts';
import type { Repository } from '../../src/sync/ports.ts';
import { type EngineWorld, type WorldOptions, engineWorld } from '../support/engine.ts';
import { installHook } from '../support/forbid.ts';
import { git } from '../support/plain-git.ts';

/** Commits in the name of somebody who asked for it: of the paths they named, and of nobody else's edits. */
const test = suite('signed edits');

const website = { 'index.html': 'home\n', 'about.md': 'about\n', 'posts/a.md': 'a\n', 'posts/b.md': 'b\n' };

async function connected(options: WorldOptions, use: (world: EngineWorld) => Promise<void>): Promise<void> {
  const world = await engineWorld({ repository: website, ...options });
  try {
    await world.connect();
    await use(world);
  } finally {
    await world.close();
  }
}

interface Request extends SignedEdits {
  readonly made: { commit: Oid; paths: readonly SitePath[] }[];
}

function jane(paths: readonly string[], name = 'Jane Doe'): Request {
  const made: Request['made'] = [];
  return {
    paths: new Set(paths.map(pathFromText)),
    author: { name, email: `${name.split(' ')[0]?.toLowerCase()}@harbour.example` },
    message: `Publish by ${name}`,
    committed: (commit, about) => void made.push({ commit, paths: about }),
    made,
  };
}

const pathsIn = ({ bare }: EngineWorld, commit: string): string[] =>
  git(bare, 'show', '--format=', '--name-only', commit).split('\n').filter(Boolean).sort();

const who = ({ bare }: EngineWorld, commit: string): string => git(bare, 'show', '-s', '--format=%an/%ae/%cn', commit);

const bothSidesEqual = (world: EngineWorld): void => assert.equal(world.files(), world.branch());

test('the named paths are a commit of their own, and everybody else’s edits stay in the ordinary one', () =>
  connected({}, async (world) => {
    const before = world.tip();
    world.write('posts/a.md', 'by Jane\n');
    world.write('posts/new.md', 'new by Jane\n');
    world.remove('posts/b.md');
    world.write('about.md', 'by somebody else\n');
    world.write('left.txt', 'by somebody else\n');
    const request = jane(['posts/a.md', 'posts/new.md', 'posts/b.md', 'index.html']);
    const outcome = await world.sync({ signed: [request] });
    bothSidesEqual(world);
    const [first = '', second = '', ...more] = git(world.bare, 'rev-list', '--reverse', `${before}..main`).split('\n');
    assert.equal(more, []);
    assert.equal(
      request.made.map(({ commit, paths }) => [commit, [...paths].sort()]),
      [[first, ['posts/a.md', 'posts/b.md', 'posts/new.md']]],
    );
    assert.equal(pathsIn(world, first), ['posts/a.md', 'posts/b.md', 'posts/new.md']);
    assert.is(who(world, first), 'Jane Doe/jane@harbour.example/Ana Petrović');
    assert.equal(git(world.bare, 'show', '-s', '--format=%B', first).trim().split('\n'), [
      'Publish by Jane Doe',
      '',
      'Synced-by: Mooring',
    ]);
    assert.equal(pathsIn(world, second), ['about.md', 'left.txt']);
    assert.is(who(world, second), 'Ana Petrović/ana@harbour.example/Ana Petrović');
    assert.equal(outcome.snapshot, { added: 2, changed: 2, removed: 1 });
    assert.is((await world.sync({ trigger: 'rescan' })).pushed.length, 0);
  }));

test('where nothing of what is named has changed, nobody signs for anything', () =>
  connected({}, async (world) => {
    world.write('about.md', 'by somebody else\n');
    const request = jane(['index.html', 'posts/a.md', 'no/such/file']);
    await world.sync({ signed: [request] });
    assert.equal(request.made, []);
    assert.is(who(world, 'main'), 'Ana Petrović/ana@harbour.example/Ana Petrović');
    bothSidesEqual(world);
  }));

test('two who name the same path: whoever asked first signs for it', () =>
  connected({}, async (world) => {
    world.write('posts/a.md', 'a, new\n');
    world.write('posts/b.md', 'b, new\n');
    const [first, second] = [jane(['posts/a.md']), jane(['posts/a.md', 'posts/b.md'], 'Tom Roe')];
    await world.sync({ signed: [first, second] });
    assert.equal(
      [first, second].map(({ made }) => made.map(({ paths }) => paths)),
      [[['posts/a.md']], [['posts/b.md']]],
    );
    assert.is(who(world, first.made[0]?.commit ?? ''), 'Jane Doe/jane@harbour.example/Ana Petrović');
    assert.is(who(world, second.made[0]?.commit ?? ''), 'Tom Roe/tom@harbour.example/Ana Petrović');
    bothSidesEqual(world);
  }));

test('a file takes the place of a folder, and a folder that of a file, over two commits', () =>
  connected({}, async (world) => {
    world.remove('posts');
    world.write('posts', 'a file now\n');
    world.remove('about.md');
    world.write('about.md/part.md', 'a folder now\n');
    await world.sync({ signed: [jane(['posts', 'about.md/part.md'])] });
    bothSidesEqual(world);
    world.remove('posts');
    world.write('posts/again.md', 'a folder again\n');
    world.remove('about.md');
    world.write('about.md', 'a file again\n');
    const request = jane(['posts', 'about.md/part.md']);
    await world.sync({ signed: [request] });
    bothSidesEqual(world);
    assert.equal(world.files(), {
      'about.md': 'a file again',
      'index.html': 'home',
      'posts/again.md': 'a folder again',
    });
  }));

test('the other side’s push is merged, and the signed commit stays as it is', () =>
  connected({}, async (world) => {
    world.push({ 'index.html': 'by the repository\n' });
    world.write('posts/a.md', 'by Jane\n');
    const request = jane(['posts/a.md']);
    await world.sync({ signed: [request] });
    bothSidesEqual(world);
    const commit = request.made[0]?.commit ?? '';
    assert.is(git(world.bare, 'merge-base', '--is-ancestor', commit, 'main'), '');
    assert.is(who(world, commit), 'Jane Doe/jane@harbour.example/Ana Petrović');
    assert.is(who(world, 'main'), 'Ana Petrović/ana@harbour.example/Ana Petrović');
  }));

test('where GitLab refuses the author, the files go in Mooring’s own name, and the signed commit is in no history', () =>
  connected({}, async (world) => {
    installHook(world.bare, [
      'read old new ref',
      'git log --format=%ae "$old..$new" | grep -q "^jane@" || exit 0',
      "echo \"GitLab: Author's email 'jane@harbour.example' does not follow the pattern\" >&2",
      'exit 1',
    ]);
    world.write('posts/a.md', 'by Jane\n');
    const request = jane(['posts/a.md']);
    const outcome = await world.sync({ signed: [request], isDue: true });
    const again = await world.sync({ isDue: true, ...(outcome.refused ? { refusal: outcome.refused } : {}) });
    assert.is(again.refused, undefined);
    bothSidesEqual(world);
    assert.is(who(world, 'main'), 'Ana Petrović/ana@harbour.example/Ana Petrović');
    const commit = request.made[0]?.commit as Oid;
    const { disk } = await world.repository.ledger();
    assert.not.ok(['equal', 'ahead'].includes(await world.repository.relation(disk as Oid, commit)));
  }));

/** Fails once, before or after the nth call of a step does its work. */
function failing(step: 'commitFiles' | 'updateRefs', nth: number, when: 'before' | 'after') {
  let calls = 0;
  const state = { armed: false };
  const wrap = (repository: Repository): Repository => ({
    ...repository,
    async [step](...all: never[]) {
      if (!state.armed || (calls += 1) !== nth) return (repository[step] as (...given: never[]) => unknown)(...all);
      if (when === 'after') await (repository[step] as (...given: never[]) => unknown)(...all);
      throw new Error('cut');
    },
  });
  return { state, wrap };
}

for (const [step, nth] of [
  ['commitFiles', 1],
  ['updateRefs', 1],
  ['commitFiles', 2],
  ['updateRefs', 2],
] as const) {
  for (const when of ['before', 'after'] as const) {
    test(`cut ${when} ${step} ${nth}: nothing is lost, and nobody signs for what they did not name`, async () => {
      const { state, wrap } = failing(step, nth, when);
      await connected({ wrap }, async (world) => {
        const before = world.tip();
        world.write('posts/a.md', 'by Jane\n');
        world.write('about.md', 'by somebody else\n');
        const request = jane(['posts/a.md']);
        state.armed = true;
        await world.sync({ signed: [request] }).then(
          () => assert.unreachable(),
          (error: unknown) => assert.is((error as Error).message, 'cut'),
        );
        state.armed = false;
        // As after a restart: the request is forgotten, the edits are not.
        await world.sync({ trigger: 'start' });
        bothSidesEqual(world);
        assert.equal([world.read('posts/a.md'), world.read('about.md')], ['by Jane\n', 'by somebody else\n']);
        for (const commit of git(world.bare, 'rev-list', `${before}..main`).split('\n').filter(Boolean))
          if (who(world, commit).startsWith('Jane')) assert.equal(pathsIn(world, commit), ['posts/a.md']);
        const isSigned = git(world.bare, 'log', '--format=%an', `${before}..main`).includes('Jane');
        assert.is(isSigned, request.made.length > 0 || (step === 'updateRefs' && nth === 1 && when === 'after'));
      });
    });
  }
}

test.run();
