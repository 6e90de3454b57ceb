import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../src/model/problem.ts';
import { Secret } from '../../src/model/secret.ts';
import type { SiteId } from '../../src/model/site.ts';
import {
  accountsMigrations,
  accountsSchema,
  createAccounts,
  type Accounts,
  type AccountsData,
} from '../../src/store/accounts.ts';
import { openDatabase } from '../../src/store/database.ts';
import { migrate } from '../../src/store/migrations.ts';
import { createTryLimiter, defaultTryLimits } from '../../src/store/limiter.ts';
import { type PasswordHash, type Passwords, createPasswords, passwordCost } from '../../src/store/password.ts';
import { freshFolder, problemOf, realRandom } from './fixtures.ts';

const accountsSuite = suite('accounts');
const PASSWORD = 'a long password';

interface More {
  readonly cost?: typeof passwordCost;
  readonly passwords?: Passwords;
  readonly firstWaitMs?: number;
}

async function accounts(more: More = {}, present: AccountsData['accounts'] = []): Promise<Accounts> {
  const db = await openDatabase<AccountsData>({
    path: join(freshFolder(), 'accounts.json'),
    kind: 'accounts',
    version: 1,
    schema: accountsSchema,
    migrations: [],
    initial: { accounts: present },
    missing: 'create',
    now: () => 0,
  });
  return createAccounts({
    db,
    random: realRandom,
    now: () => 42,
    dropSetupCode: () => Promise.resolve(),
    passwords: more.passwords ?? createPasswords(more.cost ?? { N: 1024, r: 8, p: 1 }),
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

accountsSuite('a name nobody has costs the same slow hash as one that somebody has', async () => {
  const asked: (PasswordHash | undefined)[] = [];
  const real = createPasswords(passwordCost);
  const matches: Passwords['matches'] = async (password, stored) => {
    asked.push(stored);
    return real.matches(password, stored);
  };
  const made = await withAda({ passwords: { hash: real.hash, matches } });
  await made.check('Ada', 'not the password', '10.0.0.1');
  await made.check('Eve', 'not the password', '10.0.0.1');
  const { N, r, p } = asked[0] ?? { N: 0, r: 0, p: 0 };
  assert.equal([asked.length, asked[1], { N, r, p }], [2, undefined, passwordCost]);
  // scrypt's cost is memory as well as time: the least that is thought fit for passwords today.
  assert.ok(128 * N * r >= 64 * 1024 * 1024);
});

accountsSuite('a new password has twelve characters or more, wherever it is set', async () => {
  const [short, long] = [new Secret('eleven-char'), new Secret('twelve-chars')];
  assert.equal([short.open().length, long.open().length], [11, 12]);
  const made = await accounts();
  const form = { code: made.setupCode ?? '', name: 'Ada' };
  await problemOf('form-invalid', () => made.setUp({ ...form, password: short.open() }));
  await problemOf('form-invalid', () => made.ensure('Ada', short));
  const ada = await made.setUp({ ...form, password: long.open() });
  await problemOf('form-invalid', () => made.setPassword(ada.id, short));
  await problemOf('form-invalid', () => made.add('Eve', short, { role: 'viewer' }));
  assert.ok(await made.add('Eve', long, { role: 'viewer' }));
});

accountsSuite('before there were roles, everybody was an admin, and stays one', async () => {
  const passwords = createPasswords({ N: 1024, r: 8, p: 1 });
  const before = { accounts: [{ id: 'a1', name: 'Ada', createdAt: 1, password: await passwords.hash(PASSWORD) }] };
  const after = accountsSchema.parse(migrate(before, 1, { version: 2, migrations: accountsMigrations }));
  assert.equal(
    after.accounts.map(({ role, sites }) => [role, sites]),
    [['admin', undefined]],
  );
});

accountsSuite('an owner needs a site, an admin has no list, and the last admin stays one', async () => {
  const made = await withAda();
  const [ada] = made.all();
  const secret = new Secret(PASSWORD);
  const none = await problemOf('form-invalid', () => made.add('Eve', secret, { role: 'owner', sites: [] }));
  assert.is(none.facts['field'], 'sites');
  const sites = ['0123456789' as SiteId];
  const eve = await made.add('Eve', secret, { role: 'owner', sites });
  assert.equal(made.get(eve.id)?.sites, sites);
  await problemOf('form-invalid', () => made.setReach(ada?.id ?? '', { role: 'viewer' }));
  await problemOf('form-invalid', () => made.remove(ada?.id ?? ''));
  assert.equal((await made.setReach(eve.id, { role: 'admin', sites })).sites, undefined);
  await made.remove(ada?.id ?? '');
  await problemOf('not-found', () => made.setReach('gone', { role: 'viewer' }));
});

accountsSuite('the admin from the environment is one again at the next start', async () => {
  const made = await withAda();
  await made.add('Eve', new Secret(PASSWORD), { role: 'viewer' });
  assert.is((await made.ensure('Eve', new Secret(PASSWORD))).outcome, 'changed');
  assert.is(made.all().find(({ name }) => name === 'Eve')?.role, 'admin');
});

accountsSuite('a shorter password that an account has already goes on being good', async () => {
  const passwords = createPasswords({ N: 1024, r: 8, p: 1 });
  const made = await accounts({}, [
    { id: 'a1', name: 'Ada', role: 'admin', createdAt: 1, password: await passwords.hash('ten-chars!') },
  ]);
  assert.is((await made.ensure('Ada', new Secret('ten-chars!'))).outcome, 'same');
  assert.ok(await made.check('Ada', 'ten-chars!', '10.0.0.1'));
  await problemOf('form-invalid', () => made.ensure('Ada', new Secret('other-ten!')));
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
