import type { Secret } from './secret.ts';

/** The one self-hosted GitLab this installation serves. */
export interface Instance {
  /** Origin and sub-path, no final slash: `https://gitlab.example/gitlab`. */
  readonly url: string;
  readonly applicationId: string;
  readonly secret: Secret;
  readonly authorizeUrl: string;
  readonly tokenUrl: string;
  readonly apiUrl: string;
  readonly scopes: Scopes;
  readonly advanced: Advanced;
  /** ms since 1970. */
  readonly configuredAt: number;
}

export type Scopes = 'api' | 'read_api write_repository';

/** Settings most installations leave alone. Every request to the instance obeys them: OAuth, REST and git. */
export interface Advanced {
  /** PEM of the house's certificate authority, besides those everybody trusts; empty: none. */
  readonly ca: string;
  /** What this daemon shows a GitLab, or a gateway before it, that asks callers for a certificate. */
  readonly client?: ClientCertificate;
  readonly proxy: string;
  /** Names, addresses and networks that are reached without the proxy. */
  readonly noProxy: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
  /** The address by which GitLab reaches this daemon; empty: the public one. */
  readonly reachableAt: string;
  /** GitLab's access level a repository must give at least to be offered; 30 is Developer. */
  readonly minAccessLevel: number;
}

export interface ClientCertificate {
  /** PEM; the certificate first, then those of the authorities between it and the root, if any. */
  readonly certificate: string;
  /** PEM without a passphrase. */
  readonly key: Secret;
}

export type ConnectionId = string & { readonly __brand: 'ConnectionId' };
export type ProjectId = number & { readonly __brand: 'ProjectId' };
/** Short name, without `refs/heads/`. */
export type BranchName = string & { readonly __brand: 'BranchName' };

/** A connection to GitLab as one of its users. Its tokens stay in the store and are asked for by its id. */
export interface Connection {
  readonly id: ConnectionId;
  /** The Mooring account that made it. */
  readonly owner: string;
  readonly gitlabUserId: number;
  readonly username: string;
  readonly name: string;
  readonly email: string;
  readonly scopes: string;
  readonly health: 'good' | 'reconnect';
  /** ms since 1970: when the present access token was issued. */
  readonly renewedAt: number;
  /** Present: an access token that somebody entered, which nobody can renew but a person. */
  readonly accessToken?: AccessTokenFacts;
}

export interface AccessTokenFacts {
  /** ms since 1970; absent: it does not expire. */
  readonly expiresAt?: number;
}

/**
 * How near the end of an access token is: told a month before, urged a week and a day before. Whole days that are left;
 * 0 on the last one, negative afterwards. Undefined while there is nothing to tell.
 */
export function tokenEnd(
  { expiresAt }: AccessTokenFacts,
  now: number,
): { readonly days: number; readonly tone: 'mute' | 'warn' | 'bad' } | undefined {
  if (expiresAt === undefined) return undefined;
  const days = Math.floor((expiresAt - now) / 86_400_000);
  if (days >= 30) return undefined;
  return { days, tone: days < 1 ? 'bad' : days < 7 ? 'warn' : 'mute' };
}

/** `ends in 6 days`, as half a sentence after the token. */
export function tokenEndWords(days: number): string {
  if (days < 0) return 'has ended';
  if (days === 0) return 'ends within a day';
  return `ends in ${days === 1 ? '1 day' : `${days} days`}`;
}

/** A repository as the picker shows it. */
export interface Project {
  readonly id: ProjectId;
  readonly path: string;
  readonly name: string;
  readonly webUrl: string;
  readonly cloneUrl: string;
  readonly visibility: 'private' | 'internal' | 'public';
  readonly archived: boolean;
  readonly empty: boolean;
  /** Absent where the caller may not read code. */
  readonly defaultBranch?: BranchName;
  /** ms since 1970, coarse. */
  readonly lastActivityAt?: number;
  /** GitLab's level (30 Developer, 40 Maintainer); 0 when GitLab does not say. */
  readonly accessLevel: number;
  readonly lfs: boolean;
  /** Git names its objects by SHA-256, which nothing here can read. */
  readonly sha256?: boolean;
  /** ms since 1970. */
  readonly createdAt?: number;
}

export interface Branch {
  readonly name: BranchName;
  readonly head: string;
  readonly default: boolean;
  readonly protected: boolean;
  readonly canPush: boolean;
}

/** Branches of one repository to choose from, the default one first. */
export interface BranchChoice {
  readonly branches: readonly Branch[];
  /** GitLab has more of them than it was asked for. */
  readonly more: boolean;
}

/** A name or a wildcard that GitLab protects, and who may push there. */
export interface ProtectedBranch {
  readonly pattern: string;
  readonly pushers: readonly (
    { readonly level: number } | { readonly userId: number } | { readonly kind: 'group' | 'other' }
  )[];
}

/** What GitLab checks of each commit that is pushed. Patterns are GitLab's own (RE2). */
export interface PushRule {
  readonly authorEmail?: string;
  readonly message?: string;
  readonly messageNot?: string;
  readonly branchName?: string;
  readonly fileNameNot?: string;
  readonly maxFileBytes?: number;
  readonly membersOnly: boolean;
  readonly committerIsUser: boolean;
  readonly committerHasUsersName: boolean;
  readonly signedOnly: boolean;
  readonly signedOffOnly: boolean;
}

/** GitLab's names for its levels. */
export function roleName(level: number): string {
  if (level >= 50) return 'Owner';
  if (level >= 40) return 'Maintainer';
  if (level >= 30) return 'Developer';
  if (level >= 20) return 'Reporter';
  if (level >= 10) return 'Guest';
  return 'none that GitLab names';
}
