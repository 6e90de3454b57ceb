import {
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  appendFileSync,
  openSync,
  writeSync,
  closeSync,
  statSync,
  chmodSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import { stagingFolders } from '../support/staging.ts';
import * as assert from 'uvu/assert';
import { realFs } from '../../src/files/disk.ts';
import type { Fs } from '../../src/model/world.ts';
import { type EngineWorld, engineWorld } from '../support/engine.ts';
import { git } from '../support/plain-git.ts';

/**
 * Somebody acts in the very instant in which a file is replaced. Whatever they do, their content must be found
 * afterwards: in the folder, on the branch's history, or among the kept versions.
 */
const replacing = suite('replacing a file');

type Point = 'beforeSwap' | 'afterSwap';
type Rival = (path: string) => void;

const rivals: Record<string, { act: Rival; content?: string }> = {
  'saves by renaming over': { act: renameOver, content: 'rival rename\n' },
  'writes in place': { act: (path) => writeFileSync(path, 'rival in place\n'), content: 'rival in place\n' },
  appends: { act: (path) => appendFileSync(path, 'rival line\n'), content: 'rival line' },
  'removes the file': { act: (path) => rmSync(path) },
  'puts a folder in its place': { act: folderInstead, content: 'rival in a folder\n' },
  'puts a link in its place': { act: linkInstead },
};

for (const way of ['exchange', 'link'] as const) {
  for (const point of ['beforeSwap', 'afterSwap'] as const) {
    for (const [name, { act, content }] of Object.entries(rivals)) {
      replacing(
        `by ${way}: somebody ${name} ${point === 'beforeSwap' ? 'just before' : 'just after'} the swap`,
        async () => {
          let armed = false;
          let met = 0;
          const fs = parked(way, point, () => {
            if (!armed) return;
            armed = false;
            met += 1;
            act(join(world.site, 'page.html'));
          });
          const world = await engineWorld({ fs, repository: { 'page.html': 'old\n', 'other.html': 'other\n' } });
          try {
            await world.connect();
            const theirs = world.push({ 'page.html': 'new from gitlab\n' });
            armed = true;
            await world.sync();
            assert.is(met, 1, 'the point was not reached');
            for (let i = 0; i < 3; i += 1) {
              world.directory.touchedAll();
              await world.sync({ trigger: 'rescan' });
              await world.sync();
            }
            if (content) assert.ok(found(world, content.trim()), `lost: ${content}`);
            assert.ok(git(world.bare, 'log', '--all', '--format=%H').includes(theirs));
            const left = world.files();
            const branch = world.branch();
            if (!name.includes('link')) assert.equal(left, branch);
          } finally {
            await world.close();
          }
        },
      );
    }
  }
}

replacing('a write through an old descriptor, after the file was replaced, is kept', async () => {
  const world = await engineWorld({ repository: { 'page.html': 'old\n' } });
  try {
    await world.connect();
    const fd = openSync(join(world.site, 'page.html'), 'r+');
    world.push({ 'page.html': 'new\n' });
    await world.sync();
    writeSync(fd, 'late and long\n');
    closeSync(fd);
    assert.is(world.read('page.html'), 'new\n');
    const later = world.later(11 * 60_000);
    const outcome = await later.sync();
    assert.equal(outcome.lateWrites, ['page.html']);
    assert.ok((await world.repository.kept()).some(({ cause }) => cause === 'late-write'));
    assert.ok(found(world, 'late and long'));
    assert.equal(readdirSync(world.site), ['page.html']);
  } finally {
    await world.close();
  }
});

replacing('a clock that is set does not shorten the time in which a late write is found', async () => {
  const world = await engineWorld({ repository: { 'page.html': 'old\n' } });
  try {
    await world.connect();
    const fd = openSync(join(world.site, 'page.html'), 'r+');
    world.push({ 'page.html': 'new\n' });
    await world.sync();
    world.clockJumps(86_400_000);
    await world.sync();
    writeSync(fd, 'late and long\n');
    closeSync(fd);
    world.clockJumps(-3 * 86_400_000);
    assert.equal((await world.later(11 * 60_000).sync()).lateWrites, ['page.html']);
    assert.ok(found(world, 'late and long'));
  } finally {
    await world.close();
  }
});

replacing('the staging folder goes when nothing in it can still be written to', async () => {
  const world = await engineWorld({ repository: { 'page.html': 'old\n' } });
  try {
    await world.connect();
    world.push({ 'page.html': 'new\n' });
    await world.sync();
    const [staging = ''] = stagingFolders(world.site);
    assert.match(staging, /\/\.mooring-[0-9a-f]{24}$/);
    assert.is(statSync(staging).mode & 0o777, 0o700);
    await world.later(11 * 60_000).sync();
    assert.equal(readdirSync(world.site), ['page.html']);
    assert.equal(stagingFolders(world.site), []);
  } finally {
    await world.close();
  }
});

replacing('permissions of a replaced file stay, a new file is readable for the web server', async () => {
  const world = await engineWorld({ repository: { 'page.html': 'old\n' } });
  try {
    await world.connect();
    chmodSync(join(world.site, 'page.html'), 0o640);
    world.push({ 'page.html': 'new\n', 'dir/added.html': 'added\n' });
    world.directory.touchedAll();
    await world.sync();
    assert.is(statSync(join(world.site, 'page.html')).mode & 0o7777, 0o640);
    assert.is(statSync(join(world.site, 'dir/added.html')).mode & 0o7777, 0o644);
    assert.is(statSync(join(world.site, 'dir')).mode & 0o7777, 0o755);
  } finally {
    await world.close();
  }
});

replacing.run();

/** The real file system, stopped at one point of a swap; `link`: as on a platform without exchange. */
function parked(way: 'exchange' | 'link', point: Point, act: () => void): Fs {
  const real = realFs();
  const { exchange, renameNoReplace: _renameNoReplace, ...rest } = real;
  const isLive = (name: Buffer): boolean => name.toString() === 'page.html';
  if (way === 'exchange') {
    if (!exchange) throw new Error('this kernel cannot exchange two names');
    return {
      ...real,
      exchange(a, nameA, b, nameB) {
        if (point === 'beforeSwap') act();
        exchange(a, nameA, b, nameB);
        if (point === 'afterSwap') act();
      },
    };
  }
  return {
    ...rest,
    rename(from, name, to, newName) {
      if (point === 'beforeSwap' && isLive(name)) act();
      real.rename(from, name, to, newName);
    },
    link(from, name, to, newName) {
      real.link(from, name, to, newName);
      if (point === 'afterSwap' && isLive(newName)) act();
    },
  };
}

function renameOver(path: string): void {
  writeFileSync(`${path}.part`, 'rival rename\n');
  renameSync(`${path}.part`, path);
}

function folderInstead(path: string): void {
  rmSync(path);
  mkdirSync(path);
  writeFileSync(join(path, 'inside.txt'), 'rival in a folder\n');
}

function linkInstead(path: string): void {
  rmSync(path);
  symlinkSync('/etc/hostname', path);
}

/** In the folder, in any commit on GitLab, or in any commit of the site's own repository. */
function found(world: EngineWorld, content: string): boolean {
  if (Object.values(world.files()).some((text) => text.includes(content))) return true;
  return [world.bare, world.gitDir].some((dir) => {
    const objects = git(dir, 'rev-list', '--all', '--objects')
      .split('\n')
      .map((row) => row.split(' ')[0] ?? '')
      .filter(Boolean);
    return objects.some(
      (oid) => git(dir, 'cat-file', '-t', oid) === 'blob' && git(dir, 'cat-file', 'blob', oid).includes(content),
    );
  });
}
