import type { Account, ApiToken, Reach } from '../model/account.ts';
import type { AuditEntry } from '../model/event.ts';
import { Problem } from '../model/problem.ts';
import { Secret } from '../model/secret.ts';
import type { Site } from '../model/site.ts';

export interface AccountActionsDeps {
  readonly store: {
    readonly accounts: {
      exist(): boolean;
      all(): readonly Account[];
      get(id: string): Account | undefined;
      setUp(form: { code: string; name: string; password: string }): Promise<Account>;
      check(name: string, password: string, address: string): Promise<Account | undefined>;
      add(name: string, password: Secret, reach: Reach): Promise<Account>;
      setReach(id: string, reach: Reach): Promise<Account>;
      remove(id: string): Promise<void>;
      setPassword(id: string, password: Secret): Promise<void>;
    };
    readonly sites: { get(id: string): Site | undefined };
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

type NewApiToken = Omit<ApiToken, 'id' | 'createdAt' | 'usedAt'>;

export interface AccountActions {
  /** False until the first account exists; from then on the set-up page is gone. */
  exist(): boolean;
  /** Checks the one-time set-up code and creates the first account. Throws `not-allowed`, `form-invalid`. */
  setUp(form: { code: string; name: string; password: string }): Promise<Account>;
  /** Takes the same time for a wrong name and a wrong password. Throws `too-many-tries`. */
  check(name: string, password: string, address: string): Promise<Account | undefined>;
  all(): readonly Account[];
  get(id: string): Account | undefined;
  /** Throws `form-invalid` with `field` and `text`. */
  add(form: { name: string; password: string } & Reach, by: string): Promise<Account>;
  /** Another role or other sites, from the very next request on. Throws `form-invalid` for the last admin. */
  setReach(id: string, reach: Reach, by: string): Promise<Account>;
  /** Ends the account with its sessions, API tokens and connections. Throws `form-invalid` for the last admin. */
  remove(id: string, by: string): Promise<void>;
  /**
   * Changes a person's own password and ends all their sessions. Throws `form-invalid` (`field: present`) when the
   * current password is wrong, and `too-many-tries`.
   */
  changePassword(id: string, form: { present: string; password: string }, address: string): Promise<void>;
  /** For somebody who cannot sign in any more: a new password, and every session ends. Throws `form-invalid`. */
  resetPassword(id: string, password: string, by: string): Promise<void>;
  /** Ends every session of an account. */
  signOutEverywhere(id: string): Promise<void>;
}

/** Who may sign in. */
export function createAccountActions({ store, connectionEnd, report }: AccountActionsDeps): AccountActions {
  const { accounts, sessions, apiTokens } = store;
  const nameOf = (id: string): string => accounts.get(id)?.name ?? '';

  /** `Jonas, site owner of Museum, Parks`: what the audit log says of an account. */
  function described({ name, role, sites }: Pick<Account, 'name' | 'role' | 'sites'>): string {
    const of = sites && ` of ${sites.map((id) => store.sites.get(id)?.name ?? id).join(', ')}`;
    return `${name}, ${roleWords[role]}${of ?? ''}`;
  }

  function checkSites({ sites = [] }: Reach): void {
    if (sites.some((id) => !store.sites.get(id)))
      throw new Problem('form-invalid', { field: 'sites', text: 'One of these sites does not exist any more.' });
  }

  return {
    exist: () => accounts.exist(),
    setUp: (form) => accounts.setUp(form),
    check: (name, password, address) => accounts.check(name, password, address),
    all: () => accounts.all(),
    get: (id) => accounts.get(id),

    async add({ name, password, ...reach }, by) {
      checkSites(reach);
      const account = await accounts.add(name, new Secret(password), reach);
      report({ by, act: 'added-account', detail: described(account) });
      return account;
    },

    async setReach(id, reach, by) {
      checkSites(reach);
      const account = await accounts.setReach(id, reach);
      report({ by, act: 'changed-account', detail: described(account) });
      return account;
    },

    async remove(id, by) {
      const name = nameOf(id);
      await accounts.remove(id);
      await sessions.endAll(id);
      await apiTokens.removeAll(id);
      await connectionEnd.endAllOf(id);
      report({ by, act: 'removed-account', detail: name });
    },

    async changePassword(id, { present, password }, address) {
      const name = nameOf(id);
      if (!(await accounts.check(name, present, address)))
        throw new Problem('form-invalid', { field: 'present', text: 'This is not your current password.' });
      await accounts.setPassword(id, new Secret(password));
      await sessions.endAll(id);
      report({ by: name, act: 'changed-password', detail: 'their own' });
    },

    async resetPassword(id, password, by) {
      await accounts.setPassword(id, new Secret(password));
      await sessions.endAll(id);
      report({ by, act: 'changed-password', detail: `of ${nameOf(id)}` });
    },

    async signOutEverywhere(id) {
      await sessions.endAll(id);
      report({ by: nameOf(id), act: 'signed-out-everywhere', detail: '' });
    },
  };
}

const roleWords: Record<Reach['role'], string> = { admin: 'admin', owner: 'site owner', viewer: 'viewer' };

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
