import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { realFs } from '../../src/files/disk.ts';
import { Problem } from '../../src/model/problem.ts';
import type { Fs } from '../../src/model/world.ts';
import type { Remote } from '../../src/sync/ports.ts';
import { kept } from '../faults/support.ts';
import { type EngineWorld, engineWorld } from '../support/engine.ts';

/** Files that may not be removed, as in a folder of somebody else's: the disk says so, which it never does to root. */
const test = suite('a removal that is not allowed');

test('is named and tried again, not each second, and does not bring the file back to the branch', () =>
  within(async (world, disk) => {
    disk.refuses = true;
    world.push({ 'a.txt': null });
    await looked(world, ['a.txt']);
    assert.equal([world.read('a.txt'), world.branch()['a.txt']], ['first\n', undefined]);
    disk.refuses = false;
    await looked(world, []);
    assert.not.ok(world.has('a.txt'));
    assert.not.ok('a.txt' in world.branch());
  }));

test('keeps nothing else from arriving or from being pushed', () =>
  within(async (world, disk) => {
    disk.refuses = true;
    world.push({ 'a.txt': null, 'b.txt': 'theirs\n' });
    await looked(world, ['a.txt']);
    world.write('c.txt', 'ours\n');
    await looked(world, ['a.txt']);
    assert.equal(world.files(), { 'a.txt': 'first', 'b.txt': 'theirs', 'c.txt': 'ours' });
    assert.equal(world.branch(), { 'b.txt': 'theirs', 'c.txt': 'ours' });
    disk.refuses = false;
    await looked(world, []);
    assert.equal(world.files(), world.branch());
  }));

test('loses no edit of the file that stays', () =>
  within(async (world, disk) => {
    disk.refuses = true;
    world.push({ 'a.txt': null });
    await looked(world, ['a.txt']);
    world.write('a.txt', 'edited\n');
    await looked(world, []);
    assert.equal([world.read('a.txt'), world.branch()['a.txt']], ['edited\n', 'edited']);
  }));

for (const beside of ['b.txt', undefined])
  test(`of many files${beside ? ' beside a change' : ''} is asked once, and told as no edit of anybody’s`, () => {
    const disk = { refuses: false };
    let down = false;
    const many = Array.from({ length: 40 }, (_, i) => `a-${i}.txt`);
    const repository = Object.fromEntries(['b.txt', 'c.txt', ...many].map((path) => [path, `${path}\n`]));
    const remote = (real: Remote): Remote => ({
      ...real,
      head: (signal) => (down ? Promise.reject(new Problem('gitlab-unreachable', {})) : real.head(signal)),
    });
    return kept({ fs: guarded(realFs(), disk), repository, remote }, async (world) => {
      disk.refuses = true;
      world.push({
        ...Object.fromEntries(many.map((path) => [path, null])),
        ...(beside ? { [beside]: 'theirs\n' } : {}),
      });
      await world.triggered('poll');
      await world.worker.choose(world.worker.status().hold?.step ?? '', 'go-on');
      for (const trigger of ['poll', 'rescan', 'poll'] as const) {
        await world.triggered(trigger);
        const { hold, notSynced } = world.worker.status();
        assert.is(hold, undefined, 'the same is asked again');
        assert.is(notSynced.filter(({ reason }) => reason.kind === 'unremovable').length, many.length);
      }
      assert.is(world.read('b.txt'), beside ? 'theirs\n' : 'b.txt\n');
      down = true;
      await world.triggered('poll');
      assert.equal(world.worker.status().waiting, { toPull: 0, toPush: 0 });
      down = false;
      disk.refuses = false;
      for (const trigger of ['poll', 'rescan'] as const) await world.triggered(trigger);
      assert.equal(world.files(), { 'b.txt': beside ? 'theirs' : 'b.txt', 'c.txt': 'c.txt' });
      assert.equal(world.branch(), world.files());
    });
  });

/** Three looks; each names exactly these paths as not removed, and asks for no look of its own. */
async function looked(world: EngineWorld, named: readonly string[]): Promise<void> {
  for (const trigger of ['poll', 'rescan', 'poll'] as const) {
    const { againInMs, notSynced } = await world.sync({ trigger });
    assert.is(againInMs, undefined, 'it would be looked at each second, for ever');
    const found = notSynced.filter(({ reason }) => reason.kind === 'unremovable').map(({ path }) => path);
    assert.equal([...found], named);
  }
}

async function within(use: (world: EngineWorld, disk: { refuses: boolean }) => Promise<void>): Promise<void> {
  const disk = { refuses: false };
  const world = await engineWorld({
    fs: guarded(realFs(), disk),
    repository: { 'a.txt': 'first\n', 'b.txt': 'b\n' },
  });
  try {
    await world.connect();
    await world.sync();
    await use(world, disk);
  } finally {
    await world.close();
  }
}

/** What begins with `a` may not leave its folder. */
function guarded(real: Fs, disk: { refuses: boolean }): Fs {
  return {
    ...real,
    rename(from, name, to, newName) {
      if (disk.refuses && /^a\b/.test(name.toString())) throw Object.assign(new Error('EACCES'), { code: 'EACCES' });
      real.rename(from, name, to, newName);
    },
  };
}

test.run();
