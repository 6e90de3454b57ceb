import type { SiteId } from './site.ts';

/**
 * What an account may do. `admin`: everything. `owner`: sees and acts on its named sites; other sites do not exist for
 * it. `viewer`: sees sites and changes nothing but its own password.
 */
export type Role = 'admin' | 'owner' | 'viewer';

/** How far an account or a token reaches. */
export interface Reach {
  readonly role: Role;
  /** The only sites it sees; absent: all. An admin sees all, an owner always has a list. */
  readonly sites?: readonly SiteId[];
}

/** A person who may sign in to Mooring. */
export interface Account extends Reach {
  readonly id: string;
  readonly name: string;
  /** ms since 1970. */
  readonly createdAt: number;
}

/**
 * What a token may do, as far as its account may. `read`: read. `sync`: also ask for syncs, pause and resume. `admin`:
 * everything its account may, but for `commit-as`: `sync`, and have named paths committed in somebody else's name.
 */
export const apiScopes = ['read', 'sync', 'admin', 'commit-as'] as const;
export type ApiScope = (typeof apiScopes)[number];

/** What a program shows to use the API, in the name of the account that made it. Its text is never stored. */
export interface ApiToken {
  readonly id: string;
  readonly name: string;
  readonly accountId: string;
  readonly scopes: readonly ApiScope[];
  /** The only sites it sees; absent: all that its account sees. */
  readonly sites?: readonly SiteId[];
  /** ms since 1970. */
  readonly createdAt: number;
  readonly endsAt?: number;
  readonly usedAt?: number;
}

export const seesAll = ({ sites }: Reach): boolean => sites === undefined;

export function seesSite({ sites }: Reach, id: SiteId): boolean {
  return sites === undefined || sites.includes(id);
}

/** What is left of an account's reach in the hands of its token: a token of some sites administers nothing else. */
export function reachOf(account: Reach, { sites }: Pick<ApiToken, 'sites'>): Reach {
  if (sites === undefined) return account;
  return {
    role: account.role === 'admin' ? 'owner' : account.role,
    sites: sites.filter((id) => seesSite(account, id)),
  };
}

/** Which scopes allow what needs a scope. */
const allowing: Readonly<Record<ApiScope, readonly ApiScope[]>> = {
  read: apiScopes,
  sync: ['sync', 'admin', 'commit-as'],
  admin: ['admin'],
  'commit-as': ['commit-as'],
};

export function allowsScope(scopes: readonly ApiScope[], needed: ApiScope): boolean {
  return scopes.some((scope) => allowing[needed].includes(scope));
}

/** Who is signed in, as the server knows it. The cookie holds only an opaque id. */
export interface Session {
  readonly accountId: string;
  readonly accountName: string;
  /** Every form carries this; see the CSRF check. */
  readonly formToken: string;
  /** ms since 1970. */
  readonly createdAt: number;
}

/** Of a password that is set from now on, in characters. One that was set before stays good. */
export const shortestPassword = 12;
