import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { gitBytes } from '../support/plain-git.ts';
import { type KeptWorld, kept, website } from './support.ts';

/** Databases of SQLite in a site, which this process holds open as a CMS does. */
const databases = suite('databases in the site');

const name = 'data.sqlite';

function made(file: string, journal: 'wal' | 'delete', ...texts: readonly string[]): DatabaseSync {
  const database = new DatabaseSync(file);
  database.exec(`PRAGMA journal_mode = ${journal}; CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)`);
  for (const text of texts) add(database, text);
  return database;
}

const add = (database: DatabaseSync, text: string): void =>
  void database.prepare('INSERT INTO notes (text) VALUES (?)').run(text);

/** The rows of a database; throws where it is damaged. */
function rows(file: string): unknown[] {
  const database = new DatabaseSync(file);
  try {
    assert.equal({ ...database.prepare('PRAGMA integrity_check').get() }, { integrity_check: 'ok' });
    const all = database.prepare('SELECT text FROM notes ORDER BY id').all();
    return all.map((row) => row['text']);
  } finally {
    database.close();
  }
}

function rowsOnBranch(world: KeptWorld): unknown[] {
  const copy = join(world.dir, 'copy.sqlite');
  writeFileSync(copy, gitBytes(world.bare, 'show', `main:${name}`));
  return rows(copy);
}

/** A database as a commit has it. */
function closed(world: KeptWorld, ...texts: readonly string[]): Buffer {
  const file = join(world.dir, `closed-${texts.length}.sqlite`);
  made(file, 'wal', ...texts).close();
  return readFileSync(file);
}

const namedIn = ({ worker }: KeptWorld): readonly string[] =>
  worker.status().notSynced.map(({ path, reason }) => `${path} ${reason.kind}`);

databases('R20: an open database is not committed in the middle, and as a whole once it is closed', () =>
  kept({}, async (world) => {
    const database = made(join(world.site, name), 'wal', 'one', 'two');
    world.write('about.md', 'edited\n');
    await world.triggered('rescan');
    assert.equal(namedIn(world), [`${name} open-database`]);
    assert.equal(Object.keys(world.branch()), Object.keys(website).sort(), 'something of the database was committed');
    assert.is(world.branch()['about.md'], 'edited');
    add(database, 'three');
    database.close();
    world.directory.touched(join(world.site, `${name}-wal`));
    await world.triggered('watch');
    assert.equal(namedIn(world), []);
    assert.equal(rowsOnBranch(world), ['one', 'two', 'three']);
    assert.equal(Object.keys(world.branch()), [...Object.keys(website), name].sort());
  }),
);

databases('R20: in the middle of a transaction with a journal it is not committed either', () =>
  kept({}, async (world) => {
    const database = made(join(world.site, name), 'delete', 'one');
    await world.triggered('rescan');
    assert.equal(rowsOnBranch(world), ['one'], 'between two transactions its file is whole');
    database.exec('BEGIN IMMEDIATE; PRAGMA cache_spill = 1; PRAGMA cache_size = 5');
    for (let n = 0; n < 300; n += 1) add(database, `row ${n} ${'x'.repeat(500)}`);
    await world.triggered('rescan');
    assert.equal(namedIn(world), [`${name} open-database`]);
    assert.equal(rowsOnBranch(world), ['one']);
    database.exec('COMMIT');
    database.close();
    await world.triggered('rescan');
    assert.is(rowsOnBranch(world).length, 301);
    assert.equal(namedIn(world), []);
  }),
);

databases('R20: an open database is not replaced, everything else arrives, and it is once it is closed', () =>
  kept({}, async (world) => {
    world.push({ [name]: closed(world, 'one') });
    await world.triggered();
    const database = new DatabaseSync(join(world.site, name));
    assert.equal(database.prepare('SELECT text FROM notes').all().length, 1);
    world.push({ [name]: closed(world, 'one', 'of GitLab'), 'index.html': 'home 2\n' });
    await world.triggered();
    await world.triggered('rescan');
    assert.equal(namedIn(world), [`${name} open-database`]);
    assert.is(world.read('index.html'), 'home 2\n');
    assert.equal(database.prepare('SELECT text FROM notes').all().length, 1);
    assert.equal(rowsOnBranch(world), ['one', 'of GitLab'], 'the old version was pushed back');
    database.close();
    await world.triggered('rescan');
    assert.equal(namedIn(world), []);
    assert.equal(rows(join(world.site, name)), ['one', 'of GitLab']);
  }),
);

databases('R20: a removal waits in the same way, and what is written until then is an edit', () =>
  kept({}, async (world) => {
    world.push({ [name]: closed(world, 'one') });
    await world.triggered();
    const database = new DatabaseSync(join(world.site, name));
    add(database, 'of the site');
    world.push({ [name]: null });
    await world.triggered();
    await world.triggered('rescan');
    assert.ok(world.has(name));
    add(database, 'and more');
    database.close();
    world.directory.touched(join(world.site, `${name}-wal`));
    await world.triggered('rescan');
    await world.triggered('rescan');
    assert.equal(rows(join(world.site, name)), ['one', 'of the site', 'and more']);
    assert.equal(rowsOnBranch(world), ['one', 'of the site', 'and more'], 'an edit wins over a removal');
  }),
);

databases('R20: files that are only named so are files like any other', () =>
  kept({}, async (world) => {
    world.write('travel-journal', 'no database beside it\n');
    world.write('bash-wal', '');
    await world.triggered('rescan');
    assert.is(world.branch()['travel-journal'], 'no database beside it');
    assert.is(world.branch()['bash-wal'], '');
    assert.equal(namedIn(world), []);
  }),
);

databases.run();
