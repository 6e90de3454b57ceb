import { readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { rebuild } from '../../src/sync/rebuild.ts';
import { engineWorld } from '../support/engine.ts';
import { git } from '../support/plain-git.ts';

const rebuilding = suite('a lost repository');

rebuilding('is made anew from the branch; edits not yet pushed are found again in the folder', async () => {
  const world = await engineWorld({ repository: { 'a.txt': 'a\n', 'b.txt': 'b\n' } });
  try {
    await world.connect();
    await world.sync();
    const { remote: agreed } = await world.repository.ledger();
    world.push({ 'b.txt': 'theirs\n' });
    writeFileSync(join(world.site, 'a.txt'), 'edited while nobody looked\n');
    for (const file of readdirSync(world.gitDir)) rmSync(join(world.gitDir, file), { recursive: true });
    await rebuild(world.repository, world.remote, agreed);
    await world.sync({ trigger: 'start' });
    assert.is(world.read('b.txt'), 'theirs\n');
    assert.equal(world.files(), world.branch());
    assert.is(world.branch()['a.txt'], 'edited while nobody looked');
    assert.ok(readdirSync(join(world.dir, 'state')).some((name) => name.startsWith('repo.git.damaged-')));
  } finally {
    await world.close();
  }
});

rebuilding('whose agreement is not part of the branch any more waits for a person; nothing is removed', async () => {
  const world = await engineWorld({ repository: { 'a.txt': 'a\n' } });
  try {
    await world.connect();
    await world.sync();
    const { remote: agreed } = await world.repository.ledger();
    const clone = `${world.dir}/clone`;
    git(clone, 'commit', '-q', '--amend', '-m', 'Rewritten');
    git(clone, 'push', '-q', '--force', 'origin', 'HEAD:main');
    try {
      await rebuild(world.repository, world.remote, agreed);
      assert.unreachable('it went on');
    } catch (error) {
      assert.match(String(error), /git-damaged/);
    }
    assert.is(world.read('a.txt'), 'a\n');
  } finally {
    await world.close();
  }
});

rebuilding('a truncated object is told as damage, not as an edit', async () => {
  const world = await engineWorld({ repository: { 'a.txt': 'a\n' } });
  try {
    await world.connect();
    await world.sync();
    const objects = join(world.gitDir, 'objects');
    const found = readdirSync(objects, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    for (const entry of found) truncateSync(join(entry.parentPath, entry.name), 3);
    world.write('a.txt', 'edited\n');
    try {
      await world.sync();
      assert.unreachable('it went on');
    } catch (error) {
      assert.match(String(error), /git-damaged/);
    }
    assert.is(world.read('a.txt'), 'edited\n');
  } finally {
    await world.close();
  }
});

rebuilding('housekeeping drops kept versions past their time and nothing else', async () => {
  const world = await engineWorld({ repository: { 'a.txt': 'a\n' }, files: { 'old.txt': 'old\n' } });
  try {
    await world.connect();
    await world.sync();
    assert.is((await world.repository.kept()).length, 1);
    await world.repository.maintain(Date.now() - 1_000_000);
    assert.is((await world.repository.kept()).length, 1);
    await world.repository.maintain(Date.now() + 1);
    assert.is((await world.repository.kept()).length, 0);
    world.write('a.txt', 'after\n');
    await world.sync();
    assert.equal(world.files(), world.branch());
  } finally {
    await world.close();
  }
});

rebuilding.run();
