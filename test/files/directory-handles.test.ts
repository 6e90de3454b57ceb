import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { realFs } from '../../src/files/disk.ts';
import { DirectoryHandles } from '../../src/files/directory-handles.ts';
import { engineWorld } from '../support/engine.ts';
import { scratch } from '../support/plain-git.ts';

const walking = suite('walk');

walking('a folder that is in use stays open, however many others are opened meanwhile', () => {
  const { dir, remove } = scratch();
  const walk = new DirectoryHandles(realFs(), dir);
  try {
    for (let i = 0; i < 1_000; i += 1) mkdirSync(join(dir, `other-${i}`));
    mkdirSync(join(dir, 'in-use'));
    writeFileSync(join(dir, 'in-use', 'here'), '');
    const first = walk.folder('in-use');
    for (let i = 0; i < 1_000; i += 1) {
      walk.folder(`other-${i}`);
      // By the number that was handed out: asked for anew, it would be opened anew.
      assert.is(realFs().stat(first, Buffer.from('here'))?.kind, 'file', `closed after ${i} others`);
      walk.folder('in-use');
    }
  } finally {
    walk.close();
    remove();
  }
});

walking('a change in five hundred folders arrives whole', async () => {
  const many = (text: string): Record<string, string> =>
    Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`d${i}/sub/page.txt`, `${text} ${i}\n`]));
  const world = await engineWorld({ repository: many('one') });
  try {
    await world.connect();
    await world.sync();
    world.push(many('two'));
    const { pulled, unsettled } = await world.sync({ trigger: 'poll' });
    assert.equal([pulled.length, unsettled], [500, 0]);
    assert.is(world.read('d499/sub/page.txt'), 'two 499\n');
    assert.is(world.read('d0/sub/page.txt'), 'two 0\n');
  } finally {
    await world.close();
  }
});

walking.run();
