import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { git } from '../support/plain-git.ts';
import { asNobody, kept } from './support.ts';

/** As a user without privileges, since root may read and write everything. */
const nobody = suite('without privileges');

nobody('F35: an unreadable file and folder are named and never taken for removed; the rest travels', () =>
  kept({}, async (world) => {
    const tip = world.tip();
    chmodSync(join(world.site, 'index.html'), 0);
    chmodSync(join(world.site, 'posts'), 0);
    world.write('about.md', 'edited\n');
    for (const trigger of ['watch', 'rescan', 'person', 'start'] as const) await world.triggered(trigger);
    assert.is(git(world.bare, 'diff', '--name-status', tip, 'main'), 'M\tabout.md');
    assert.ok(
      world.worker.status().notSynced.some(({ path, reason }) => path === 'posts' && reason.kind === 'unreadable'),
    );
    chmodSync(join(world.site, 'posts'), 0o755);
    chmodSync(join(world.site, 'index.html'), 0o644);
    await world.triggered('rescan');
    assert.equal(world.files(), world.branch());
  }),
);

nobody('F35: while a .gitignore may not be read, nothing new of its folder travels', () =>
  kept({ repository: { '.gitignore': 'cache/\n', 'index.html': 'home\n' } }, async (world) => {
    const tip = world.tip();
    chmodSync(join(world.site, '.gitignore'), 0);
    world.write('cache/private.txt', 'must not travel\n');
    for (const trigger of ['watch', 'rescan'] as const) await world.triggered(trigger);
    assert.is(world.tip(), tip, 'an ignored file was pushed');
    world.write('index.html', 'edited\n');
    await world.triggered('watch');
    assert.is(git(world.bare, 'diff', '--name-status', tip, 'main'), 'M\tindex.html');
    chmodSync(join(world.site, '.gitignore'), 0o644);
    await world.triggered('rescan');
    assert.not.ok(world.branch()['cache/private.txt']);
  }),
);

nobody('F6: a folder without write permission is left as it is, named, and pushed back by nobody', () =>
  kept({}, async (world) => {
    mkdirSync(join(world.site, 'free'));
    chmodSync(join(world.site, 'posts'), 0o555);
    const tip = world.push({
      'posts/a.md': 'theirs\n',
      'posts/b.md': null,
      'posts/new.md': 'new\n',
      'index.html': 'new\n',
    });
    for (const trigger of ['poll', 'rescan', 'person'] as const) await world.triggered(trigger);
    assert.is(world.tip(), tip, 'what could not be written was pushed back as an edit');
    assert.is(world.read('index.html'), 'new\n');
    assert.is(world.read('posts/a.md'), 'a\n');
    chmodSync(join(world.site, 'posts'), 0o755);
    await world.triggered('rescan');
    assert.equal(world.files(), world.branch());
    assert.equal(world.worker.status().notSynced, []);
  }),
);

if (asNobody(import.meta.filename)) nobody.run();
