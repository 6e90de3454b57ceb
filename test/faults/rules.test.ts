import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { realFs } from '../../src/files/disk.ts';
import { foldingFs } from '../support/folding-fs.ts';
import { connected, inlineScanner } from './support.ts';

/** What the rules leave out, and what they must not. */
const rules = suite('faults: ignore rules');

const repository = { '.gitignore': '/Build/\n*.LOG\n', 'index.html': 'home\n' };

rules('R16: .gitignore goes by case where the disk does, both ways', () =>
  connected({ repository }, async (world) => {
    world.write('build/site.css', 'ours\n');
    world.write('news.log', 'news\n');
    world.write('Build/left.css', 'ignored\n');
    world.write('crash.LOG', 'ignored\n');
    for (const path of ['.ENV', 'ID_RSA', 'DUMP.SQL']) world.write(path, 'secret\n');
    const { notSynced } = await world.sync({ trigger: 'rescan' });
    assert.equal(Object.keys(world.branch()).sort(), ['.gitignore', 'build/site.css', 'index.html', 'news.log']);
    assert.equal(notSynced.map(({ path, reason }) => `${path} ${reason.kind}`).sort(), [
      '.ENV secret',
      'DUMP.SQL secret',
      'ID_RSA secret',
    ]);
    world.push({ 'build/app.js': 'theirs\n', 'other.log': 'theirs\n' });
    await world.sync();
    assert.is(world.read('build/app.js'), 'theirs\n');
    assert.is(world.read('other.log'), 'theirs\n');
  }),
);

rules('R16: on a disk that folds case, .gitignore does as git does there', () => {
  const fs = foldingFs(realFs(), { case: true, form: false });
  return connected({ fs, scanner: inlineScanner(fs), repository }, async (world) => {
    world.write('build/site.css', 'ignored\n');
    world.write('news.log', 'ignored\n');
    world.write('about.html', 'new\n');
    await world.sync({ trigger: 'rescan' });
    assert.equal(Object.keys(world.branch()).sort(), ['.gitignore', 'about.html', 'index.html']);
  });
});

rules.run();
