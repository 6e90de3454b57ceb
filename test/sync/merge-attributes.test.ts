import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Subfolder } from '../../src/model/subfolder.ts';
import { type EngineWorld, type WorldOptions, engineWorld } from '../support/engine.ts';

/** What `.gitattributes` say about merging. */
const merging = suite('sync/merge-attributes');

const lines = (...changed: readonly (readonly [number, string])[]): string => {
  const all = Array.from({ length: 12 }, (_, at) => `line ${at}`);
  for (const [at, text] of changed) all[at] = text;
  return `${all.join('\n')}\n`;
};
const [here, there] = [lines([1, 'here']), lines([10, 'there'])];
const both = lines([1, 'here'], [10, 'there']);

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

/** Both sides change far-apart lines of one file; gives what the folder has afterwards, and how many conflicts. */
async function merged(attributes: Record<string, string>, path: string, world?: WorldOptions) {
  let outcome: { text: string; conflicts: number } | undefined;
  await inWorld({ ...world, repository: { ...attributes, [path]: lines(), 'index.html': 'x\n' } }, async (made) => {
    made.write(path, here);
    made.push({ [path]: there });
    const { lost } = await made.sync();
    assert.not.ok(existsSync(join(made.gitDir, 'info', 'attributes')), 'it is for one merge only');
    outcome = { text: made.read(path), conflicts: lost.length };
    const quiet = await made.sync({ trigger: 'rescan' });
    assert.equal([quiet.pulled, quiet.pushed], [[], []]);
  });
  return outcome;
}

const blended = { text: both, conflicts: 0 };
/** The repository's version is live, and the folder's is kept: the default policy. */
const chosen = { text: there, conflicts: 1 };

for (const [name, attributes, path, wanted] of [
  ['no attributes: far-apart lines are put together', {}, 'data.json', blended],
  ['-merge: one version or the other', { '.gitattributes': '*.json -merge\n' }, 'data.json', chosen],
  ['binary is -merge too', { '.gitattributes': '*.json binary\n' }, 'a/data.json', chosen],
  ['a macro of its own', { '.gitattributes': '[attr]whole -merge\n*.json whole\n' }, 'data.json', chosen],
  ['other files are not concerned', { '.gitattributes': '*.json -merge\n' }, 'data.txt', blended],
  [
    'the nearer file counts',
    { '.gitattributes': '*.json -merge\n', 'a/.gitattributes': '*.json merge\n' },
    'a/d.json',
    blended,
  ],
  ['a driver that nobody configured', { '.gitattributes': '*.json merge=ours\n' }, 'data.json', blended],
  ['a name full of signs', { '.gitattributes': '*.json -merge\n' }, 'we"ird [a]*?\\ ü.json', chosen],
] as const) {
  merging(`R22: ${name}`, async () => {
    assert.equal(await merged(attributes as Record<string, string>, path), wanted);
  });
}

merging('R22: merge=union keeps the lines of both sides, in a site that is a folder as well', async () => {
  for (const at of ['', 'sub/']) {
    const repository = { '.gitattributes': '*.log merge=union\n', [`${at}a.log`]: 'one\n', [`${at}b.txt`]: 'one\n' };
    await inWorld({ repository, ...(at ? { subfolder: 'sub' as Subfolder } : {}) }, async (world) => {
      for (const name of ['a.log', 'b.txt']) world.write(name, 'one\nhere\n');
      world.push({ [`${at}a.log`]: 'one\nthere\n', [`${at}b.txt`]: 'one\nthere\n' });
      const { lost } = await world.sync();
      assert.equal(
        lost.map(({ path }) => path),
        ['b.txt'],
      );
      assert.equal(world.read('a.log').split('\n').sort(), ['', 'here', 'one', 'there']);
    });
  }
});

merging('R22: what a crash left of an earlier merge says nothing about the next', () =>
  inWorld({ repository: { 'a.txt': lines() } }, async (world) => {
    mkdirSync(join(world.gitDir, 'info'), { recursive: true });
    writeFileSync(join(world.gitDir, 'info', 'attributes'), '"/a.txt" -merge\n');
    world.write('a.txt', here);
    world.push({ 'a.txt': there });
    const { lost } = await world.sync();
    assert.equal([world.read('a.txt'), lost.length], [both, 0]);
  }),
);

merging.run();
