/** A person who may sign in to Mooring. Every account is an admin for now; sites say whose connection to GitLab they use. */
export interface Account {
  readonly id: string;
  readonly name: string;
  /** ms since 1970. */
  readonly createdAt: number;
}

/** `sync`: may read, and ask for syncs, pause and resume. */
export type ApiScope = 'read' | 'sync';

/** What a program shows to use the API, in the name of the account that made it. Its text is never stored. */
export interface ApiToken {
  readonly id: string;
  readonly name: string;
  readonly accountId: string;
  readonly scope: ApiScope;
  /** ms since 1970. */
  readonly createdAt: number;
  readonly endsAt?: number;
  readonly usedAt?: number;
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
