import { chmodSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type EngineWorld, type WorldOptions, engineWorld } from '../support/engine.ts';
import { git } from '../support/plain-git.ts';

/** The one permission that git records. */
const executables = suite('sync/executables');

const repository = { 'run.sh': '#!/bin/sh\n', 'page.html': 'home\n' };
const on = { executables: true } as const;

async function inWorld(options: WorldOptions, test: (world: EngineWorld) => Promise<void>): Promise<void> {
  const world = await engineWorld({ repository, ...options });
  try {
    await world.connect();
    await world.sync();
    await test(world);
  } finally {
    await world.close();
  }
}

const modeOf = (world: EngineWorld, path: string): number => statSync(join(world.site, path)).mode & 0o777;
const chmod = (world: EngineWorld, path: string, mode: number): void => {
  chmodSync(join(world.site, path), mode);
  world.directory.touched(join(world.site, path));
};
const inBranch = (world: EngineWorld, path: string): string =>
  git(world.bare, 'ls-tree', 'main', path).split(' ')[0] ?? '';

/** Somebody changes modes at GitLab. */
function pushModes(world: EngineWorld, modes: Record<string, number>, contents: Record<string, string> = {}): void {
  const clone = join(world.dir, 'clone');
  git(clone, 'pull', '-q');
  for (const [path, mode] of Object.entries(modes)) chmodSync(join(clone, path), mode);
  world.push(contents, 'Modes');
}

async function isQuiet(world: EngineWorld): Promise<void> {
  const { pulled, pushed } = await world.sync({ trigger: 'rescan' });
  assert.equal([pulled, pushed], [[], []]);
}

executables('R23: off, the x bit travels in neither direction, and what git has of it stays', () =>
  inWorld({}, async (world) => {
    chmod(world, 'run.sh', 0o755);
    await isQuiet(world);
    assert.is(inBranch(world, 'run.sh'), '100644');
    pushModes(world, { 'page.html': 0o755 });
    await world.sync();
    assert.is(modeOf(world, 'page.html') & 0o111, 0);
    world.write('page.html', 'edited\n');
    await world.sync({ trigger: 'watch' });
    assert.is(inBranch(world, 'page.html'), '100755');
    await isQuiet(world);
  }),
);

executables('R23: on, a chmod in the folder is an edit, and a new file brings its bit along', () =>
  inWorld({ settings: on }, async (world) => {
    chmod(world, 'run.sh', 0o755);
    world.write('new.sh', 'x\n');
    chmod(world, 'new.sh', 0o700);
    await world.sync({ trigger: 'watch' });
    assert.is(inBranch(world, 'run.sh'), '100755');
    assert.is(inBranch(world, 'new.sh'), '100755');
    assert.is(inBranch(world, 'page.html'), '100644');
    await isQuiet(world);
    world.write('run.sh', 'edited\n');
    chmod(world, 'run.sh', 0o644);
    await world.sync({ trigger: 'watch' });
    assert.is(inBranch(world, 'run.sh'), '100644');
    // Rights that git does not know change nothing.
    chmod(world, 'run.sh', 0o600);
    chmod(world, 'new.sh', 0o750);
    await isQuiet(world);
  }),
);

executables('R23: on, a bit from GitLab is given to whoever may read, and taken from all', () =>
  inWorld({ settings: on }, async (world) => {
    chmod(world, 'page.html', 0o640);
    await isQuiet(world);
    pushModes(world, { 'page.html': 0o755 });
    await world.sync();
    assert.is(modeOf(world, 'page.html'), 0o750);
    assert.is(world.read('page.html'), 'home\n');
    await isQuiet(world);
    pushModes(world, { 'page.html': 0o644 }, { 'page.html': 'changed too\n' });
    await world.sync();
    assert.is(modeOf(world, 'page.html'), 0o640);
    assert.is(world.read('page.html'), 'changed too\n');
    pushModes(world, {}, { 'tool.sh': 'x\n' });
    pushModes(world, { 'tool.sh': 0o755 });
    await world.sync();
    assert.is(modeOf(world, 'tool.sh') & 0o100, 0o100);
    await isQuiet(world);
  }),
);

executables('R23: on, an edit here and a bit from there both count, and so do both the other way round', () =>
  inWorld({ settings: on, repository: { ...repository, 'run.sh': 'one\n' } }, async (world) => {
    world.write('run.sh', 'edited here\n');
    pushModes(world, { 'run.sh': 0o755 });
    await world.sync();
    assert.is(modeOf(world, 'run.sh') & 0o100, 0o100);
    assert.is(world.read('run.sh'), 'edited here\n');
    assert.is(inBranch(world, 'run.sh'), '100755');
    await isQuiet(world);
    chmod(world, 'page.html', 0o755);
    world.push({ 'page.html': 'edited there\n' });
    await world.sync();
    assert.is(world.read('page.html'), 'edited there\n');
    assert.is(inBranch(world, 'page.html'), '100755');
    assert.is(modeOf(world, 'page.html') & 0o100, 0o100);
    await isQuiet(world);
  }),
);

executables('R23: turning it on changes nothing by itself; what is changed from then on counts', () =>
  inWorld({}, async (world) => {
    pushModes(world, { 'page.html': 0o755 });
    await world.sync();
    chmod(world, 'run.sh', 0o755);
    await isQuiet(world);
    Object.assign(world.siteModel.settings, on);
    await isQuiet(world);
    world.write('page.html', 'edited\n');
    world.write('run.sh', 'edited\n');
    await world.sync({ trigger: 'watch' });
    assert.is(inBranch(world, 'page.html'), '100755', 'nobody took it away');
    assert.is(inBranch(world, 'run.sh'), '100644', 'nobody gave it since');
    chmod(world, 'page.html', 0o755);
    await isQuiet(world);
    chmod(world, 'page.html', 0o644);
    chmod(world, 'run.sh', 0o644);
    chmod(world, 'run.sh', 0o755);
    await world.sync({ trigger: 'watch' });
    assert.is(inBranch(world, 'page.html'), '100644');
    await isQuiet(world);
  }),
);

executables.run();
