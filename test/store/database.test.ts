import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import promises from 'node:fs/promises';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { z } from 'zod';
import { asProblem } from '../../src/model/problem.ts';
import { openDatabase, type Database } from '../../src/store/database.ts';
import type { DatabaseOptions } from '../../src/store/store-file.ts';
import { freshFolder, problemOf } from './fixtures.ts';

const database = suite('database');

interface Notes {
  notes: string[];
}

function options(path: string, more: Partial<DatabaseOptions<Notes>> = {}): DatabaseOptions<Notes> {
  const schema = z.strictObject({ notes: z.array(z.string()) });
  const initial = { notes: [] };
  return { path, kind: 'notes', version: 2, schema, migrations: [], initial, missing: 'create', now: () => 0, ...more };
}

const add = (db: Database<Notes>, note: string): Promise<number> => db.update((draft) => draft.notes.push(note));

/** A store with three writes behind it; the present state is a, b, c. */
async function written(more: Partial<DatabaseOptions<Notes>> = {}): Promise<string> {
  const path = join(freshFolder(), 'notes.json');
  const db = await openDatabase(options(path, more));
  for (const note of ['a', 'b', 'c']) await add(db, note);
  return path;
}

database('what was written is read back, in a file of the owner alone', async () => {
  const path = await written();
  assert.equal((await openDatabase(options(path))).data, { notes: ['a', 'b', 'c'] });
  assert.is(statSync(path).mode & 0o777, 0o600);
  for (const n of [1, 2, 3]) assert.is(statSync(`${path}.${n}`).mode & 0o777, 0o600);
  assert.is(readFileSync(path, 'utf8').split('\n').length, 2);
});

database('the fault of a failed write is known until one succeeds', async () => {
  const path = join(freshFolder(), 'notes.json');
  const db = await openDatabase(options(path));
  assert.is(await db.fault(), undefined);
  const text = readFileSync(path, 'utf8');
  writeFileSync(path, `${text} `);
  await problemOf('store-damaged', () => add(db, 'a'));
  const [fault] = await Promise.all([db.fault(), problemOf('store-damaged', () => add(db, 'meanwhile'))]);
  assert.is(asProblem(fault).code, 'store-damaged');
  assert.equal([db.data.notes, readFileSync(path, 'utf8')], [[], `${text} `]);
  writeFileSync(path, text);
  const [healed] = await Promise.all([db.fault(), add(db, 'b')]);
  assert.equal([healed, db.data.notes], [undefined, ['b']]);
});

const damages: Record<string, (text: string) => string> = {
  'cut in the middle': (text) => text.slice(0, text.length / 2),
  'full of NULs': (text) => '\0'.repeat(text.length),
  empty: () => '',
  null: () => 'null',
  '[]': () => '[]',
  '{}': () => '{}',
  'of the wrong shape': (text) => text.replace('["a","b","c"]', '7').replace(/"checksum":"\w+",/, ''),
  'altered by one letter': (text) => text.replace('"c"', '"x"'),
  'of another kind': (text) => text.replace('mooring-notes', 'mooring-sites'),
};

for (const [name, damage] of Object.entries(damages)) {
  database(`a file that is ${name} gives way to the newest good generation, with a note`, async () => {
    const path = await written();
    const bad = damage(readFileSync(path, 'utf8'));
    writeFileSync(path, bad);
    const db = await openDatabase(options(path));
    assert.equal(db.data, { notes: ['a', 'b'] });
    assert.is(db.notes[0]?.kind, 'restored');
    assert.match(db.notes[0]?.text ?? '', `${path}.1`);
    const aside = readdirSync(join(path, '..')).find((entry) => entry.includes('.bad-'));
    assert.is(readFileSync(join(path, '..', aside ?? ''), 'utf8'), bad);
    assert.equal((await openDatabase(options(path))).notes, []);
  });
}

database('where older states must not come back, a bad file gives way to a copy of the present one', async () => {
  const path = await written({ generations: 'copy' });
  for (const damage of Object.values(damages)) {
    writeFileSync(path, damage(readFileSync(path, 'utf8')));
    const db = await openDatabase(options(path, { generations: 'copy' }));
    assert.equal(db.data, { notes: ['a', 'b', 'c'] });
    assert.is(db.notes[0]?.kind, 'restored');
  }
  assert.equal(
    [2, 3].map((n) => existsSync(`${path}.${n}`)),
    [false, false],
  );
});

database('older states that an earlier release or a kill left are no longer there once it was opened', async () => {
  const path = await written();
  const db = await openDatabase(options(path, { generations: 'copy' }));
  assert.equal(
    [2, 3].map((n) => existsSync(`${path}.${n}`)),
    [false, false],
  );
  writeFileSync(path, '');
  assert.equal((await openDatabase(options(path, { generations: 'copy' }))).data, db.data);
});

database('a damaged generation is passed over for the next', async () => {
  const path = await written();
  writeFileSync(path, '');
  writeFileSync(`${path}.1`, 'null');
  assert.equal((await openDatabase(options(path))).data, { notes: ['a'] });
});

database('a file that vanished beside its generations is restored', async () => {
  const path = await written();
  rmSync(path);
  assert.equal((await openDatabase(options(path, { missing: 'must-exist' }))).data, { notes: ['a', 'b'] });
});

database('when nothing is good it stops with instructions and touches nothing', async () => {
  const path = await written();
  for (const end of ['', '.1', '.2', '.3']) writeFileSync(`${path}${end}`, '[]');
  const before = readdirSync(join(path, '..'));
  const problem = await problemOf('store-damaged', () => openDatabase(options(path)));
  assert.match(problem.facts['hint'] ?? '', 'backup');
  assert.equal(readdirSync(join(path, '..')), before);
  assert.is(readFileSync(path, 'utf8'), '[]');
});

database('a missing file is no fresh start where one must be', async () => {
  const path = join(freshFolder(), 'notes.json');
  await problemOf('store-missing', () => openDatabase(options(path, { missing: 'must-exist' })));
  assert.not(existsSync(path));
});

database('a newer version is refused and stays as it is', async () => {
  const path = await written();
  const text = readFileSync(path, 'utf8').replace('"version":2', '"version":3');
  writeFileSync(path, text);
  await problemOf('store-newer', () => openDatabase(options(path)));
  assert.is(readFileSync(path, 'utf8'), text);
});

database('an older version is migrated step by step and a copy is kept', async () => {
  const path = join(freshFolder(), 'notes.json');
  const old = '{"format":"mooring-notes","version":1,"data":{"note":"x"}}';
  writeFileSync(path, old);
  const step = (data: unknown): unknown => ({ notes: [z.object({ note: z.string() }).parse(data).note] });
  const db = await openDatabase(options(path, { migrations: [{ from: 1, step }] }));
  assert.equal(db.data, { notes: ['x'] });
  assert.is(readFileSync(`${path}.version-1`, 'utf8'), old);
  assert.is(db.notes[0]?.kind, 'migrated');
  assert.equal((await openDatabase(options(path))).data, { notes: ['x'] });
});

database('a file edited by hand while stopped is taken once its checksum is out', async () => {
  const path = await written();
  writeFileSync(
    path,
    readFileSync(path, 'utf8')
      .replace('"c"', '"by hand"')
      .replace(/"checksum":"\w+",/, ''),
  );
  const db = await openDatabase(options(path));
  assert.equal([db.data.notes, db.notes], [['a', 'b', 'by hand'], []]);
});

database('a file changed by somebody else while running is not overwritten', async () => {
  const path = await written();
  const db = await openDatabase(options(path));
  writeFileSync(path, 'mine');
  const problem = await problemOf('store-damaged', () => add(db, 'd'));
  assert.is(problem.facts['reason'], 'changed-outside');
  assert.is(readFileSync(path, 'utf8'), 'mine');
  assert.equal(db.data.notes, ['a', 'b', 'c']);
});

database('a file that was only touched is written as ever', async () => {
  const path = await written();
  const db = await openDatabase(options(path));
  writeFileSync(path, readFileSync(path, 'utf8'));
  await add(db, 'd');
  assert.equal((await openDatabase(options(path))).data.notes, ['a', 'b', 'c', 'd']);
});

database('a change that throws leaves memory, disk and its neighbours in the row alone', async () => {
  const path = await written();
  const db = await openDatabase(options(path));
  const bad = db.update((draft) => {
    draft.notes.length = 0;
    throw new Error('no');
  });
  const results = await Promise.allSettled([add(db, 'd'), bad, add(db, 'e')]);
  assert.equal(
    results.map((r) => r.status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  assert.equal(db.data.notes, ['a', 'b', 'c', 'd', 'e']);
});

database('a change that would not be readable is refused before it is written', async () => {
  const path = await written();
  const db = await openDatabase(options(path));
  const text = readFileSync(path, 'utf8');
  const results = await Promise.allSettled([db.update((draft) => Object.assign(draft, { notes: 7 }))]);
  assert.is(results[0].status, 'rejected');
  assert.equal([db.data.notes, readFileSync(path, 'utf8')], [['a', 'b', 'c'], text]);
});

database('a hundred changes at once share few writes and none is lost', async () => {
  const path = join(freshFolder(), 'notes.json');
  const db = await openDatabase(options(path));
  await Promise.all(Array.from({ length: 100 }, (_, n) => add(db, String(n))));
  await db.flushed();
  assert.is((await openDatabase(options(path))).data.notes.length, 100);
});

database('a change that changes nothing writes nothing', async () => {
  const path = await written();
  const db = await openDatabase(options(path));
  const before = statSync(path, { bigint: true });
  await db.update(() => undefined);
  assert.is(statSync(path, { bigint: true }).mtimeNs, before.mtimeNs);
});

// Below: another process, for root may write everywhere and a kill must be real.
const storm = join(import.meta.dirname, 'storm.ts');

database('a write into a read-only folder fails and leaves memory and disk as they were', async () => {
  if (process.getuid?.() !== 0) return console.log('not run here: needs root to become another user');
  const folder = freshFolder();
  const path = join(folder, 'state', 'notes.json');
  mkdirSync(join(folder, 'state'));
  chmodSync(folder, 0o755);
  chownSync(join(folder, 'state'), 65_534, 65_534);
  const args = ['--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, storm, 'read-only', path];
  const { stdout, stderr, error } = spawnSync('setpriv', args, { encoding: 'utf8' });
  if (error) return console.log('not run here: setpriv is missing');
  assert.match(stdout, 'failed with EACCES, memory [a], disk [a]', stderr);
});

database('a full disk fails as disk-full, keeps the generations, and writing goes on when there is room', () => {
  const folder = freshFolder();
  const script = `mount -t tmpfs -o size=64k tmpfs ${folder} && exec ${process.execPath} ${storm} full ${folder}/notes.json`;
  const { stdout, stderr, status } = spawnSync('unshare', ['-Urm', 'sh', '-c', script], { encoding: 'utf8' });
  if (status !== 0 && /unshare|mount/.test(stderr)) return console.log(`not run here: ${stderr.trim()}`);
  assert.match(stdout, 'disk-full, memory 1, then 2, generations good', stderr);
});

for (const { code, generations } of ['EMFILE', 'EIO'].flatMap((code) => [
  { code, generations: 'older' as const },
  { code, generations: 'copy' as const },
])) {
  const kept = generations === 'copy' ? ', where a copy is kept' : '';
  database(`${code} at any call of a write fails that write alone, and the next one is taken${kept}`, async () => {
    const whole = await openDatabase(options(await written({ generations }), { generations }));
    const counting = failAt(Infinity, code);
    await add(whole, 'd');
    const calls = counting.end();
    for (let nth = 1; nth <= calls; nth += 1) {
      const path = await written({ generations });
      const db = await openDatabase(options(path, { generations }));
      const failing = failAt(nth, code);
      const first = await add(db, 'd').catch((error: unknown) => error);
      failing.end();
      const wasWritten = !(first instanceof Error);
      await add(db, 'e');
      const expected = ['a', 'b', 'c', ...(wasWritten ? ['d'] : []), 'e'];
      assert.equal(db.data.notes, expected, `call ${nth} of ${calls}`);
      assert.equal((await openDatabase(options(path, { generations }))).data.notes, expected);
      assert.is(await db.fault(), undefined);
    }
    assert.ok(calls >= 10, `only ${calls} calls were met`);
  });
}

/** From now on the n-th call of the file system fails. `end` puts everything back and tells how many there were. */
function failAt(nth: number, code: string): { end(): number } {
  const names = ['open', 'rename', 'link', 'stat', 'readFile'] as const;
  const real = Object.fromEntries(names.map((name) => [name, promises[name]]));
  let calls = 0;
  const meet = (): void => {
    calls += 1;
    if (calls === nth) throw Object.assign(new Error(`${code}: on order`), { code });
  };
  for (const name of names) {
    const call = real[name] as (...args: unknown[]) => Promise<unknown>;
    Object.assign(promises, {
      async [name](...args: unknown[]) {
        meet();
        const result = await call(...args);
        if (name !== 'open') return result;
        const handle = result as { sync(): Promise<void> };
        const sync = handle.sync.bind(handle);
        handle.sync = async () => {
          meet();
          await sync();
        };
        return handle;
      },
    });
  }
  syncBuiltinESMExports();
  return {
    end() {
      Object.assign(promises, real);
      syncBuiltinESMExports();
      return calls;
    },
  };
}

database('killed at any moment of a storm of writes, the file is one of the states written', async () => {
  const path = join(freshFolder(), 'notes.json');
  let seen = 0;
  for (let round = 0; round < 12; round += 1) {
    const child = spawn(process.execPath, [storm, 'storm', path], { stdio: ['ignore', 'pipe', 'inherit'] });
    let acknowledged = 0;
    child.stdout.on('data', (chunk: Buffer) => {
      acknowledged = Number(chunk.toString().trim().split('\n').pop()) || acknowledged;
    });
    await once(child.stdout, 'data');
    await sleep(15 + round * 7);
    child.kill('SIGKILL');
    await once(child, 'close');
    const db = await openDatabase(options(path, { missing: 'must-exist' }));
    assert.equal(db.notes, []);
    const length = db.data.notes.length;
    assert.ok(length >= acknowledged, `round ${round}: ${length} of ${acknowledged} acknowledged writes are there`);
    assert.equal(
      db.data.notes,
      Array.from({ length }, (_, n) => `${n} ${'x'.repeat(200)}`),
    );
    seen = length;
  }
  assert.ok(seen > 12);
  const left = readdirSync(join(path, '..')).filter((name) => /^notes\.json\.\d{4,}$/.test(name));
  assert.equal(left, []);
});

database.run();
