import type { Account, ApiToken } from '../model/account.ts';
import type { AuditEntry } from '../model/event.ts';
import { Problem } from '../model/problem.ts';
import { Secret } from '../model/secret.ts';

export interface AccountActionsDeps {
  readonly store: {
    readonly accounts: {
      exist(): boolean;
      all(): readonly Account[];
      get(id: string): Account | undefined;
      setUp(form: { code: string; name: string; password: string }): Promise<Account>;
      check(name: string, password: string, address: string): Promise<Account | undefined>;
      add(name: string, password: Secret): Promise<Account>;
      remove(id: string): Promise<void>;
      setPassword(id: string, password: Secret): Promise<void>;
    };
    readonly sessions: { endAll(accountId: string): Promise<void> };
    readonly apiTokens: {
      all(): readonly ApiToken[];
      find(text: string): ApiToken | undefined;
      add(facts: NewApiToken): Promise<{ token: ApiToken; text: string }>;
      remove(id: string): Promise<ApiToken>;
      removeAll(accountId: string): Promise<void>;
    };
  };
  readonly connectionEnd: { endAllOf(accountId: string): Promise<void> };
  readonly report: (entry: Omit<AuditEntry, 'id' | 'at'>) => void;
}

type NewApiToken = Pick<ApiToken, 'name' | 'accountId' | 'scope' | 'endsAt'>;

export interface AccountActions {
  /** False until the first account exists; from then on the set-up page is gone. */
  exist(): boolean;
  /** Checks the one-time set-up code and creates the first account. Throws `not-allowed`, `form-invalid`. */
  setUp(form: { code: string; name: string; password: string }): Promise<Account>;
  /** Takes the same time for a wrong name and a wrong password. Throws `too-many-tries`. */
  check(name: string, password: string, address: string): Promise<Account | undefined>;
  all(): readonly Account[];
  /** Throws `form-invalid` with `field` and `text`. */
  add(form: { name: string; password: string }, by: string): Promise<Account>;
  /** Ends the account with its sessions, API tokens and connections. Throws `form-invalid` for the last account. */
  remove(id: string, by: string): Promise<void>;
  /**
   * Changes a person's own password and ends all their sessions. Throws `form-invalid` (`field: present`) when the
   * current password is wrong, and `too-many-tries`.
   */
  changePassword(id: string, form: { present: string; password: string }, address: string): Promise<void>;
  /** Ends every session of an account. */
  signOutEverywhere(id: string): Promise<void>;
}

/** Who may sign in. */
export function createAccountActions({ store, connectionEnd, report }: AccountActionsDeps): AccountActions {
  const { accounts, sessions, apiTokens } = store;
  const nameOf = (id: string): string => accounts.get(id)?.name ?? '';
  return {
    exist: () => accounts.exist(),
    setUp: (form) => accounts.setUp(form),
    check: (name, password, address) => accounts.check(name, password, address),
    all: () => accounts.all(),

    async add({ name, password }, by) {
      const account = await accounts.add(name, new Secret(password));
      report({ by, act: 'added-admin', detail: account.name });
      return account;
    },

    async remove(id, by) {
      const name = nameOf(id);
      await accounts.remove(id);
      await sessions.endAll(id);
      await apiTokens.removeAll(id);
      await connectionEnd.endAllOf(id);
      report({ by, act: 'removed-admin', detail: name });
    },

    async changePassword(id, { present, password }, address) {
      const name = nameOf(id);
      if (!(await accounts.check(name, present, address)))
        throw new Problem('form-invalid', { field: 'present', text: 'This is not your current password.' });
      await accounts.setPassword(id, new Secret(password));
      await sessions.endAll(id);
      report({ by: name, act: 'changed-password', detail: 'their own' });
    },

    async signOutEverywhere(id) {
      await sessions.endAll(id);
      report({ by: nameOf(id), act: 'signed-out-everywhere', detail: '' });
    },
  };
}

export interface ApiTokenActions {
  all(): readonly ApiToken[];
  /** `text` is the token itself; it is not stored and cannot be shown again. */
  add(facts: NewApiToken, by: string): Promise<{ readonly token: ApiToken; readonly text: string }>;
  remove(id: string, by: string): Promise<void>;
  /** The token with this text, unless it has expired. */
  find(text: string): ApiToken | undefined;
}

/** What programs sign in with. */
export function createApiTokenActions({ store, report }: AccountActionsDeps): ApiTokenActions {
  const { apiTokens } = store;
  return {
    all: () => apiTokens.all(),
    find: (text) => apiTokens.find(text),
    async add(facts, by) {
      const added = await apiTokens.add(facts);
      report({ by, act: 'made-api-token', detail: added.token.name });
      return added;
    },
    async remove(id, by) {
      const { name } = await apiTokens.remove(id);
      report({ by, act: 'removed-api-token', detail: name });
    },
  };
}
