import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../src/model/problem.ts';
import { Secret } from '../../src/model/secret.ts';
import { accountsSchema, createAccounts, type Accounts, type AccountsData } from '../../src/store/accounts.ts';
import { openDatabase } from '../../src/store/database.ts';
import { createTryLimiter, defaultTryLimits } from '../../src/store/limiter.ts';
import { createPasswords, passwordCost } from '../../src/store/password.ts';
import { freshFolder, problemOf, realRandom } from './fixtures.ts';

const accountsSuite = suite('accounts');
const PASSWORD = 'a long password';

async function accounts(more: { cost?: typeof passwordCost; firstWaitMs?: number } = {}): Promise<Accounts> {
  const db = await openDatabase<AccountsData>({
    path: join(freshFolder(), 'accounts.json'),
    kind: 'accounts',
    version: 1,
    schema: accountsSchema,
    migrations: [],
    initial: { accounts: [] },
    missing: 'create',
    now: () => 0,
  });
  return createAccounts({
    db,
    random: realRandom,
    now: () => 42,
    dropSetupCode: () => Promise.resolve(),
    passwords: createPasswords(more.cost ?? { N: 1024, r: 8, p: 1 }),
    limiter: createTryLimiter({ ...defaultTryLimits, firstWaitMs: more.firstWaitMs ?? 1000 }),
  });
}

async function withAda(more: Parameters<typeof accounts>[0] = {}): Promise<Accounts> {
  const made = await accounts(more);
  await made.setUp({ code: made.setupCode ?? '', name: 'Ada', password: PASSWORD });
  return made;
}

accountsSuite('the code makes the first account, in any spelling of its letters, and only the first', async () => {
  const made = await accounts();
  const code = made.setupCode ?? '';
  assert.is(made.exist(), false);
  const wrong = await problemOf('form-invalid', () => made.setUp({ code: 'x', name: 'Ada', password: PASSWORD }));
  assert.is(wrong.facts['field'], 'code');
  const spelling = ` ${code.toUpperCase().replaceAll('-', ' ').replaceAll('0', 'O').replaceAll('1', 'I')} `;
  const ada = await made.setUp({ code: spelling, name: ' Ada ', password: PASSWORD });
  assert.equal([ada.name, ada.createdAt, made.exist(), made.setupCode], ['Ada', 42, true, undefined]);
  await problemOf('setup-done', () => made.setUp({ code, name: 'Eve', password: PASSWORD }));
});

accountsSuite('of two who set up at once, one wins', async () => {
  const made = await accounts();
  const form = { code: made.setupCode ?? '', password: PASSWORD };
  const results = await Promise.allSettled([
    made.setUp({ ...form, name: 'Ada' }),
    made.setUp({ ...form, name: 'Eve' }),
  ]);
  assert.equal(results.map((r) => r.status).sort(), ['fulfilled', 'rejected']);
  assert.is(made.all().length, 1);
});

accountsSuite('a name or password that cannot do is said beside its field', async () => {
  const made = await accounts();
  const code = made.setupCode ?? '';
  for (const [name, password, field] of [
    ['', PASSWORD, 'name'],
    ['a\u202eb', PASSWORD, 'name'],
    ['Ada', 'short', 'password'],
    ['Ada', 'x'.repeat(1001), 'password'],
  ] as const) {
    const problem = await problemOf('form-invalid', () => made.setUp({ code, name, password }));
    assert.is(problem.facts['field'], field);
  }
});

accountsSuite('the right password signs in; a wrong one and a wrong name do not', async () => {
  const made = await withAda();
  assert.is((await made.check('ada', PASSWORD, '10.0.0.1'))?.name, 'Ada');
  assert.is(await made.check('Ada', `${PASSWORD}!`, '10.0.0.1'), undefined);
  assert.is(await made.check('Eve', PASSWORD, '10.0.0.1'), undefined);
});

accountsSuite('the real cost is slow, and a name nobody has takes as long', async () => {
  const made = await withAda({ cost: passwordCost });
  const time = async (name: string): Promise<number> => {
    const began = performance.now();
    await made.check(name, 'not the password', '10.0.0.1');
    return performance.now() - began;
  };
  const known = Math.min(await time('Ada'), await time('Ada'));
  const unknown = Math.min(await time('Eve'), await time('Eve'));
  assert.ok(known > 50, `${known} ms`);
  assert.ok(unknown > known / 3 && unknown < known * 3, `${known} ms for Ada, ${unknown} ms for Eve`);
});

accountsSuite('wrong tries wait longer and longer, and even the right password waits', async () => {
  const made = await withAda({ firstWaitMs: 300 });
  const wrong = (): Promise<unknown> => made.check('Ada', 'wrong password', '10.0.0.1');
  for (let n = 0; n < 5; n += 1) await wrong();
  const first = await problemOf('too-many-tries', () => made.check('Ada', PASSWORD, '10.0.0.1'));
  assert.is(first.retryAfterMs, 1000);
  await sleep(350);
  await wrong();
  await problemOf('too-many-tries', wrong);
  await sleep(350);
  await problemOf('too-many-tries', wrong);
  await sleep(350);
  assert.is((await made.check('Ada', PASSWORD, '10.0.0.1'))?.name, 'Ada');
});

accountsSuite('a flood from everywhere does not lock the owner out', async () => {
  const made = await withAda();
  for (let n = 0; n < 130; n += 1) {
    await made.check('Ada', 'wrong password', `192.0.${n % 26}.1`).catch((error: unknown) => {
      if (!(error instanceof Problem)) throw error;
    });
  }
  assert.is((await made.check('Ada', PASSWORD, '10.0.0.1'))?.name, 'Ada');
});

accountsSuite('one address that tries many names waits, names nobody has like the others', async () => {
  const made = await withAda();
  for (let n = 0; n < 30; n += 1) await made.check(`name ${n}`, 'wrong password', '10.0.0.9');
  await problemOf('too-many-tries', () => made.check('Ada', PASSWORD, '10.0.0.9'));
  for (let n = 0; n < 5; n += 1) await made.check('nobody', 'wrong password', '10.0.0.8');
  await problemOf('too-many-tries', () => made.check('nobody', 'wrong password', '10.0.0.8'));
});

accountsSuite('a household of IPv6 addresses counts as one', async () => {
  const made = await withAda();
  for (let n = 1; n <= 5; n += 1) await made.check('Ada', 'wrong password', `2001:db8::${n}`);
  await problemOf('too-many-tries', () => made.check('Ada', PASSWORD, '2001:db8:0:0:ffff::1'));
  assert.ok(await made.check('Ada', PASSWORD, '2001:db8:0:1::1'));
});

accountsSuite('one address has two tries in the slow hash at once, no more', async () => {
  const made = await withAda({ cost: { N: 16_384, r: 8, p: 1 } });
  const tries = Array.from({ length: 6 }, () => made.check('Ada', PASSWORD, '10.0.0.1'));
  const results = await Promise.allSettled(tries);
  assert.is(results.filter((r) => r.status === 'fulfilled').length, 2);
});

accountsSuite('the account of the environment is made once and its password follows', async () => {
  const made = await accounts();
  const outcomes: string[] = [];
  for (const password of [PASSWORD, PASSWORD, 'another password']) {
    outcomes.push((await made.ensure('admin', new Secret(password))).outcome);
  }
  assert.equal(outcomes, ['made', 'same', 'changed']);
  assert.is(await made.check('admin', PASSWORD, '10.0.0.1'), undefined);
  assert.ok(await made.check('admin', 'another password', '10.0.0.1'));
});

accountsSuite.run();
