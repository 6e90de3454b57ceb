import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { engineWorld } from '../support/engine.ts';

const passing = suite('folders that are not watched');

passing('R25: ignored as a whole, by any rule, and with nothing tracked in them', async () => {
  const world = await engineWorld({
    repository: {
      '.gitignore': 'node_modules/\nlogs/\n',
      'theme/.gitignore': '/dist\n',
      'theme/a.css': 'a\n',
      'index.html': 'home\n',
    },
    settings: { ignore: ['cache/'] },
  });
  try {
    world.push({ 'page.html': 'page\n' });
    await world.connect();
    await world.sync();
    const paths = [
      'node_modules',
      'theme/node_modules',
      'theme/dist',
      'cache',
      'logs',
      'theme',
      'dist',
      'theme/lib',
      '.ssh',
    ];
    for (const path of paths) world.write(`${path}/file.txt`, 'x\n');
    const passed = (): string[] => paths.filter((path) => world.directory.passesOver(join(world.site, path)));
    assert.equal(passed(), ['node_modules', 'theme/node_modules', 'theme/dist', 'cache', 'logs', '.ssh']);
    assert.not.ok(world.directory.passesOver(world.site), 'the site itself');
    assert.not.ok(world.directory.passesOver(join(world.dir, 'elsewhere')));
    // Unignored, and known only when what was read before is forgotten.
    world.write('.gitignore', 'logs/\n!logs/\n');
    assert.equal(passed().length, 6);
    world.directory.forgetPassedOver();
    assert.equal(passed(), ['theme/dist', 'cache', '.ssh']);
    await world.sync();
    world.write('.gitignore', 'logs/\n');
    world.directory.forgetPassedOver();
    assert.equal(passed(), ['theme/dist', 'cache', '.ssh'], 'what is tracked stays tracked');
  } finally {
    await world.close();
  }
});

passing.run();
