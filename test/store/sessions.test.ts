import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openDatabase, type Database } from '../../src/store/database.ts';
import { createSessions, sessionsSchema, type Sessions, type SessionsData } from '../../src/store/sessions.ts';
import { freshFolder, realRandom } from './fixtures.ts';

const sessionsSuite = suite('sessions');
const DAY = 86_400_000;
const ada = { id: 'a1', name: 'Ada', createdAt: 0 };

interface Setting {
  path: string;
  clock: { at: number };
  faults: unknown[];
}

function setting(): Setting {
  return { path: join(freshFolder(), 'sessions.json'), clock: { at: 1_800_000_000_000 }, faults: [] };
}

async function open({ path, clock, faults }: Setting): Promise<{ sessions: Sessions; db: Database<SessionsData> }> {
  const now = (): number => clock.at;
  const db = await openDatabase<SessionsData>({
    path,
    kind: 'sessions',
    version: 1,
    schema: sessionsSchema,
    migrations: [],
    initial: { sessions: {} },
    missing: 'create',
    now,
  });
  const secret = Buffer.alloc(32, 1);
  return {
    db,
    sessions: createSessions({ db, random: realRandom, now, secret: () => secret, onFault: (e) => faults.push(e) }),
  };
}

sessionsSuite('a session is found by its id, over a restart too, and the id is not on disk', async () => {
  const where = setting();
  const { id, session } = await (await open(where)).sessions.create(ada);
  const { sessions } = await open(where);
  assert.equal(sessions.find(id), session);
  assert.ok(Buffer.from(id, 'base64url').length === 32);
  const text = readFileSync(where.path, 'utf8');
  assert.not(text.includes(id));
  assert.not(text.includes(session.formToken));
});

sessionsSuite('each session has an id and a form token of its own', async () => {
  const { sessions } = await open(setting());
  const [one, two] = [await sessions.create(ada), await sessions.create(ada)];
  assert.is.not(one.id, two.id);
  assert.is.not(one.session.formToken, two.session.formToken);
  assert.is(sessions.find('nonsense'), undefined);
});

sessionsSuite('seven idle days end it; use keeps it, for thirty days at most', async () => {
  const where = setting();
  const { sessions } = await open(where);
  const idle = await sessions.create(ada);
  const used = await sessions.create(ada);
  for (let day = 1; day < 30; day += 1) {
    where.clock.at += DAY;
    assert.ok(sessions.find(used.id), `day ${day}`);
    if (day >= 7) assert.is(sessions.find(idle.id), undefined);
  }
  where.clock.at += DAY;
  assert.is(sessions.find(used.id), undefined);
});

sessionsSuite('being seen is written now and then, not at every view', async () => {
  const where = setting();
  const { sessions, db } = await open(where);
  const { id } = await sessions.create(ada);
  const before = readFileSync(where.path, 'utf8');
  where.clock.at += 60_000;
  sessions.find(id);
  await db.flushed();
  assert.is(readFileSync(where.path, 'utf8'), before);
  where.clock.at += 600_000;
  sessions.find(id);
  await db.flushed();
  assert.match(readFileSync(where.path, 'utf8'), String(where.clock.at));
});

sessionsSuite('ended is ended, over a restart too; one, or all of an account', async () => {
  const where = setting();
  const { sessions } = await open(where);
  const made = [await sessions.create(ada), await sessions.create(ada), await sessions.create({ ...ada, id: 'b2' })];
  await sessions.end(made[0]!.id);
  assert.equal(
    made.map(({ id }) => sessions.find(id) !== undefined),
    [false, true, true],
  );
  await sessions.endAll('a1');
  const again = (await open(where)).sessions;
  assert.equal(
    made.map(({ id }) => again.find(id) !== undefined),
    [false, false, true],
  );
});

sessionsSuite('with a store that cannot be written, signing in still works', async () => {
  const where = setting();
  const { sessions } = await open(where);
  const fs = await import('node:fs');
  fs.writeFileSync(where.path, 'somebody else');
  const { id } = await sessions.create(ada);
  assert.ok(sessions.find(id));
  assert.is(where.faults.length, 1);
});

sessionsSuite('fifty sessions of an account are kept, the newest', async () => {
  const where = setting();
  const { sessions } = await open(where);
  const first = await sessions.create(ada);
  for (let n = 0; n < 50; n += 1) {
    where.clock.at += 1;
    await sessions.create(ada);
  }
  assert.is(sessions.find(first.id), undefined);
});

sessionsSuite('a visitor’s token is bound to the cookie', async () => {
  const { sessions } = await open(setting());
  assert.is(sessions.visitorToken('c'), sessions.visitorToken('c'));
  assert.is.not(sessions.visitorToken('c'), sessions.visitorToken('d'));
});

sessionsSuite.run();
