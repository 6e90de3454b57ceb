import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { defaultSettings } from '../../src/model/site.ts';
import { type EngineWorld, engineWorld } from '../support/engine.ts';

/** A path of which the branch brought a version that was not written, and then another. */
const refused = suite('after a refused version');

const settings = {
  ignore: [...defaultSettings.ignore, 'cache.dat'],
  limits: { ...defaultSettings.limits, fileBytes: 100 },
};
const tooLarge = 'x'.repeat(200);

refused('one that fits replaces what was there before', () =>
  connected(async (world) => {
    await brought(world, { 'a.txt': tooLarge });
    assert.is(world.files()['a.txt'], 'first');
    await brought(world, { 'a.txt': 'third\n' });
    assert.is(world.files()['a.txt'], 'third');
  }),
);

refused('what was there before is known again when it is looked at once more', () =>
  connected(async (world) => {
    await brought(world, { 'a.txt': tooLarge });
    await brought(world, { 'a.txt': 'third\n' });
    const { lateWrites } = await world.later(2_000_000).sync({ trigger: 'rescan' });
    assert.equal([lateWrites, await world.repository.kept()], [[], []]);
  }),
);

refused('its removal takes away what was there before, and does not bring it back to the branch', () =>
  connected(async (world) => {
    await brought(world, { 'a.txt': tooLarge });
    await brought(world, { 'a.txt': null });
    assert.not.ok(world.has('a.txt'));
    assert.not.ok('a.txt' in world.branch());
  }),
);

refused('what was edited meanwhile stays, on both sides, and nothing waits for it to rest', () =>
  connected(async (world) => {
    await brought(world, { 'a.txt': tooLarge });
    world.write('a.txt', 'edited\n');
    await brought(world, { 'a.txt': 'third\n' });
    assert.equal([world.files()['a.txt'], world.branch()['a.txt']], ['edited', 'third']);
    world.remove('a.txt');
    await world.sync({ trigger: 'rescan' });
    assert.is(world.files()['a.txt'], 'third');
  }),
);

refused('an ignored file in the way stays, and nothing waits for it to rest', () =>
  connected(async (world) => {
    world.write('cache.dat', 'own\n');
    await brought(world, { 'cache.dat': 'theirs\n' });
    await brought(world, { 'cache.dat': 'theirs, later\n' });
    assert.equal([world.files()['cache.dat'], world.branch()['cache.dat']], ['own', 'theirs, later']);
  }),
);

async function connected(test: (world: EngineWorld) => Promise<void>): Promise<void> {
  const world = await engineWorld({ settings, repository: { 'a.txt': 'first\n', 'b.txt': 'b\n' } });
  try {
    await world.connect();
    await world.sync();
    await test(world);
  } finally {
    await world.close();
  }
}

async function brought(world: EngineWorld, changes: Record<string, string | null>): Promise<void> {
  world.push(changes);
  for (const trigger of ['poll', 'rescan', 'poll'] as const) {
    const { againInMs } = await world.sync({ trigger });
    assert.is(againInMs, undefined, 'it would be looked at each second, for ever');
  }
}

refused.run();
