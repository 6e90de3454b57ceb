import { z } from 'zod';
import { type Account, type Reach, shortestPassword } from '../model/account.ts';
import { Problem } from '../model/problem.ts';
import type { Secret } from '../model/secret.ts';
import type { Random } from '../model/world.ts';
import type { Database } from './database.ts';
import { createTryLimiter, type TryLimiter } from './limiter.ts';
import { createPasswords, passwordHashSchema, type PasswordHash, type Passwords } from './password.ts';
import type { Migrations } from './migrations.ts';
import { makeSetupCode, sameSetupCode } from './setup-code.ts';
import { siteId } from './shapes.ts';

export interface Accounts {
  exist(): boolean;
  all(): readonly Account[];
  get(id: string): Account | undefined;
  /** The code that the first visitor must know; undefined once there is an account. New at every start. */
  readonly setupCode: string | undefined;
  /**
   * Makes the first account. Throws `setup-done` when there is one, `form-invalid` with `field` and `hint` otherwise.
   */
  setUp(form: { code: string; name: string; password: string }): Promise<Account>;
  /**
   * The account, or undefined after the same time for any wrong name or password.
   * Throws `too-many-tries` with `retryAfterMs`.
   */
  check(name: string, password: string, address: string): Promise<Account | undefined>;
  /**
   * The admin from the environment: made when absent, its role and password brought up to date. `changed` means that
   * its sessions must end. Throws `form-invalid` for a new password that is too short.
   */
  ensure(name: string, password: Secret): Promise<{ account: Account; outcome: 'made' | 'changed' | 'same' }>;
  /** Another account. Throws `form-invalid` with `field` and `hint`. */
  add(name: string, password: Secret, reach: Reach): Promise<Account>;
  /** Another role or other sites. Throws `not-found`, and `form-invalid` for the last admin. */
  setReach(id: string, reach: Reach): Promise<Account>;
  /** Throws `not-found`, and `form-invalid` for the last admin. The caller ends the account's sessions. */
  remove(id: string): Promise<void>;
  /** Throws `not-found`. The caller ends the account's sessions. */
  setPassword(id: string, password: Secret): Promise<void>;
}

interface Stored extends Account {
  password: PasswordHash;
}

export interface AccountsData {
  accounts: Stored[];
}

export const accountsSchema: z.ZodType<AccountsData> = z.strictObject({
  accounts: z.array(
    z.strictObject({
      id: z.string(),
      name: z.string(),
      role: z.enum(['admin', 'owner', 'viewer']),
      sites: z.array(siteId).exactOptional(),
      createdAt: z.number(),
      password: passwordHashSchema,
    }),
  ),
});

/** Before there were roles, every account was an admin. */
export const accountsMigrations: Migrations = [
  {
    from: 1,
    step: (data) => {
      const { accounts } = data as { accounts: object[] };
      return { accounts: accounts.map((account) => ({ ...account, role: 'admin' })) };
    },
  },
];

export interface AccountsDeps {
  readonly db: Database<AccountsData>;
  readonly random: Random;
  readonly now: () => number;
  /** Called once the first account exists: the code on disk is of no more use. */
  readonly dropSetupCode: () => Promise<void>;
  readonly passwords?: Passwords;
  readonly limiter?: TryLimiter;
}

const LONGEST_PASSWORD = 1_000;

export function createAccounts(deps: AccountsDeps): Accounts {
  const { db, random, now, passwords = createPasswords(), limiter = createTryLimiter() } = deps;
  const setupCode = makeSetupCode(random);
  const atWork = new Map<string, number>();

  const records = (): readonly Stored[] => db.data.accounts;
  const byName = (name: string): Stored | undefined =>
    records().find((record) => nameKey(record.name) === nameKey(name));

  /** `first`: nobody may have come before; checked inside the write, for two may ask at once. */
  async function make(name: string, password: string, reach: Reach, admit: 'first' | 'any'): Promise<Account> {
    const record = {
      id: random.bytes(8).toString('hex'),
      name,
      ...checkedReach(reach),
      createdAt: now(),
      password: await passwords.hash(password),
    };
    await db.update((draft) => {
      if (admit === 'first' && draft.accounts.length > 0) throw new Problem('setup-done');
      // Two may ask for the same name at once.
      if (draft.accounts.some((each) => nameKey(each.name) === nameKey(name))) {
        throw invalid('name', 'There is an account of this name already.');
      }
      draft.accounts.push(record);
    });
    await deps.dropSetupCode();
    return toAccount(record);
  }

  async function setHash(id: string, password: string): Promise<void> {
    const hash = await passwords.hash(password);
    await db.update((draft) => {
      const record = draft.accounts.find((each) => each.id === id);
      if (!record) throw new Problem('not-found', { account: id });
      record.password = hash;
    });
  }

  /** The check for the last admin is inside the write: two admins may demote each other at once. */
  async function setReach(id: string, reach: Reach): Promise<Account> {
    const to = checkedReach(reach);
    return db.update((draft) => {
      const at = draft.accounts.findIndex((each) => each.id === id);
      const record = draft.accounts[at];
      if (!record) throw new Problem('not-found', { what: 'account' });
      if (to.role !== 'admin' && isLastAdmin(draft.accounts, id))
        throw invalid('form', 'The last admin must stay an admin.');
      const { role: _role, sites: _sites, ...rest } = record;
      const changed: Stored = { ...rest, ...to };
      draft.accounts[at] = changed;
      return toAccount(changed);
    });
  }

  return {
    exist: () => records().length > 0,
    all: () => records().map(toAccount),
    get: (id) =>
      records()
        .filter((record) => record.id === id)
        .map(toAccount)[0],
    get setupCode() {
      return records().length > 0 ? undefined : setupCode;
    },
    async setUp({ code, name, password }) {
      if (records().length > 0) throw new Problem('setup-done');
      // Before the slow hash: a guess costs us nothing, and 80 bits need no counting of tries.
      if (!sameSetupCode(code, setupCode)) {
        throw invalid('code', 'This is not the set-up code of the running daemon. It changes at every start.');
      }
      checkName(name);
      checkPassword(password);
      return make(name.trim(), password, { role: 'admin' }, 'first');
    },
    async check(name, password, address) {
      const key = nameKey(name);
      await limiter.check(key, address);
      const release = enter(atWork, address);
      try {
        const record = byName(name);
        if (await passwords.matches(password.slice(0, LONGEST_PASSWORD), record?.password)) {
          await limiter.right(key, address);
          return record && toAccount(record);
        }
        await limiter.wrong(key, address);
        return undefined;
      } finally {
        release();
      }
    },
    async ensure(name, password) {
      const record = byName(name);
      const isKnown = record !== undefined && (await passwords.matches(password.open(), record.password));
      if (isKnown && record.role === 'admin') return { account: toAccount(record), outcome: 'same' };
      if (!isKnown) checkPassword(password.open());
      if (!record) return { account: await make(name, password.open(), { role: 'admin' }, 'any'), outcome: 'made' };
      if (!isKnown) await setHash(record.id, password.open());
      return { account: await setReach(record.id, { role: 'admin' }), outcome: 'changed' };
    },
    async add(name, password, reach) {
      checkName(name);
      checkPassword(password.open());
      if (byName(name)) throw invalid('name', 'There is an account of this name already.');
      return make(name.trim(), password.open(), reach, 'any');
    },
    setReach,
    async remove(id) {
      await db.update((draft) => {
        if (!draft.accounts.some((each) => each.id === id)) throw new Problem('not-found', { what: 'account' });
        if (isLastAdmin(draft.accounts, id)) throw invalid('form', 'The last admin cannot be removed.');
        draft.accounts = draft.accounts.filter((each) => each.id !== id);
      });
    },
    async setPassword(id, password) {
      checkPassword(password.open());
      await setHash(id, password.open());
    },
  };
}

/** One address may have two tries in the slow hash at once; more would keep everybody else waiting. */
function enter(atWork: Map<string, number>, address: string): () => void {
  const busy = atWork.get(address) ?? 0;
  if (busy >= 2) throw new Problem('too-many-tries', { seconds: '1' }, { retryAfterMs: 1_000 });
  atWork.set(address, busy + 1);
  return () => {
    const left = (atWork.get(address) ?? 1) - 1;
    if (left > 0) atWork.set(address, left);
    else atWork.delete(address);
  };
}

function toAccount({ password: _password, ...account }: Stored): Account {
  return account;
}

function isLastAdmin(accounts: readonly Stored[], id: string): boolean {
  return !accounts.some((each) => each.id !== id && each.role === 'admin');
}

/** An admin has no list of sites, an owner always has one. */
function checkedReach({ role, sites }: Reach): Reach {
  if (role === 'admin') return { role };
  if (role === 'owner' && (sites ?? []).length === 0) throw invalid('sites', 'Choose at least one site.');
  return { role, ...(sites === undefined ? {} : { sites: [...new Set(sites)] }) };
}

function nameKey(name: string): string {
  return name.normalize('NFKC').trim().toLowerCase();
}

function checkName(name: string): void {
  const length = [...name.trim()].length;
  if (length < 1 || length > 64) throw invalid('name', 'Choose a name of 1 to 64 characters.');
  if (/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(name)) throw invalid('name', 'A name holds no control characters.');
}

function checkPassword(password: string): void {
  if ([...password].length < shortestPassword) {
    throw invalid('password', `Choose a password of at least ${shortestPassword} characters.`);
  }
  if (password.length > LONGEST_PASSWORD) {
    throw invalid('password', `A password has at most ${LONGEST_PASSWORD} characters.`);
  }
}

function invalid(field: string, hint: string): Problem {
  return new Problem('form-invalid', { field, text: hint, hint });
}
