import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { Problem } from '../../src/model/problem.ts';
import { openDatabase, type Database } from '../../src/store/database.ts';

/** The other process of database.test.ts: writes until it is killed, or into a folder that refuses. */

const [act, path = ''] = process.argv.slice(2);
const schema = z.strictObject({ notes: z.array(z.string()) });
const open = (): Promise<Database<{ notes: string[] }>> =>
  openDatabase({
    path,
    kind: 'notes',
    version: 2,
    schema,
    migrations: [],
    initial: { notes: [] },
    missing: 'create',
    now: () => 0,
  });

async function failureOf(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
    return 'nothing';
  } catch (error) {
    if (error instanceof Problem) return error.code;
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  }
}

if (act === 'storm') {
  const db = await open();
  for (;;) {
    await db.update((draft) => draft.notes.push(`${draft.notes.length} ${'x'.repeat(200)}`));
    process.stdout.write(`${db.data.notes.length}\n`);
  }
}

if (act === 'read-only') {
  const db = await open();
  await db.update((draft) => draft.notes.push('a'));
  chmodSync(dirname(path), 0o555);
  const failure = await failureOf(() => db.update((draft) => draft.notes.push('b')));
  const disk = schema.parse(JSON.parse(readFileSync(path, 'utf8')).data).notes;
  console.log(`failed with ${failure}, memory [${db.data.notes.join()}], disk [${disk.join()}]`);
}

if (act === 'full') {
  const db = await open();
  for (let n = 0; n < 4; n += 1) await db.update((draft) => draft.notes.splice(0, 1, `small ${n}`));
  const filler = join(dirname(path), 'filler');
  try {
    writeFileSync(filler, Buffer.alloc(1 << 20));
  } catch {
    // Full, as wanted.
  }
  let failure = '';
  for (let n = 0; n < 5; n += 1) {
    failure = await failureOf(() => db.update((draft) => draft.notes.push('x'.repeat(8_000))));
  }
  const memory = db.data.notes.length;
  rmSync(filler);
  await db.update((draft) => draft.notes.push('after'));
  const older = [1, 2, 3].map((n) => JSON.parse(readFileSync(`${path}.${n}`, 'utf8')).data.notes[0]);
  const generations = older.join() === 'small 3,small 2,small 1' ? 'good' : older.join();
  console.log(`${failure}, memory ${memory}, then ${db.data.notes.length}, generations ${generations}`);
}
