import { createHash, timingSafeEqual } from 'node:crypto';
import type { Connection, Instance } from '../model/instance.ts';
import { Problem } from '../model/problem.ts';
import type { Secret } from '../model/secret.ts';
import type { SiteId } from '../model/site.ts';
import type { Clock, Random } from '../model/world.ts';

/** A fresh pair of tokens; times in ms since 1970. */
export interface Tokens {
  readonly accessToken: Secret;
  readonly refreshToken: Secret;
  readonly expiresAt: number;
  readonly issuedAt: number;
}

export interface ConnectionActsDeps {
  readonly instance: () => Instance | undefined;
  readonly oauth: {
    authorizeUrl(ask: { state: string; challenge: string }): string;
    exchange(proof: { code: string; verifier: Secret }): Promise<{ tokens: Tokens; scopes: string }>;
    revoke(token: Secret): Promise<void>;
  };
  readonly makePkce: (random: Random) => { verifier: Secret; challenge: string };
  readonly user: (token: Secret) => Promise<{ id: number; username: string; name: string; email: string }>;
  readonly store: {
    connection(id: string): Connection | undefined;
    /** The newest usable one of an account. */
    connectionOf(accountId: string): Connection | undefined;
    /**
     * Keeps both durably. Renews the connection under its old id when the account connects the same GitLab user again,
     * so that its sites go on.
     */
    connect(made: Omit<Connection, 'id' | 'health' | 'renewedAt'>, tokens: Tokens): Promise<Connection>;
  };
  readonly clock: Clock;
  readonly random: Random;
}

interface Browser {
  readonly accountId: string;
  /** Whatever is the same for one browser's session and known to nobody else. */
  readonly sessionKey: string;
}

export interface Callback {
  readonly state?: string;
  readonly code?: string;
  readonly error?: string;
  readonly errorDescription?: string;
}

export interface ConnectionActs {
  /** This account's connection, if it still works. */
  mine(accountId: string): Connection | undefined;
  get(id: string): Connection | undefined;
  /** The URL for the browser. Throws `instance-missing`. */
  begin(browser: Browser, site: SiteId): Promise<string>;
  /**
   * Throws `callback-forged` (state missing, unknown, used, older than ten minutes, of another session or instance),
   * `authorisation-denied`, and what exchanging the code throws. Only success stores anything.
   */
  finish(browser: Browser, query: Callback): Promise<{ site: SiteId; connection: Connection }>;
}

/** What is remembered between sending a browser to GitLab and its return. Memory only: a restart means a new click. */
interface Pending {
  readonly sessionKey: string;
  readonly accountId: string;
  readonly site: SiteId;
  readonly verifier: Secret;
  readonly instanceKey: string;
  /** Monotonic ms. */
  readonly at: number;
}

/** Connecting an account with its GitLab user by OAuth. */
export function createConnectionActs(deps: ConnectionActsDeps): ConnectionActs {
  const pending = new Map<string, Pending>();

  function instanceKey(): string {
    const instance = deps.instance();
    if (!instance) throw new Problem('instance-missing');
    return digest(JSON.stringify([instance.url, instance.applicationId, instance.tokenUrl]));
  }

  function dropOld(): void {
    const since = deps.clock.monotonic() - lifetimeMs;
    for (const [key, { at }] of pending) {
      if (at >= since && pending.size <= mostPending) break;
      pending.delete(key);
    }
  }

  /** The flow this callback belongs to. Whatever comes with a state uses it up, also when it is refused. */
  function claim(browser: Browser, state: string | undefined): Pending {
    dropOld();
    const key = digest(state ?? '');
    const flow = pending.get(key);
    pending.delete(key);
    if (!flow) throw new Problem('callback-forged', { reason: 'unknown' });
    if (!same(flow.sessionKey, browser.sessionKey) || !same(flow.accountId, browser.accountId)) {
      throw new Problem('callback-forged', { reason: 'other-session' });
    }
    if (flow.instanceKey !== instanceKey()) throw new Problem('callback-forged', { reason: 'other-instance' });
    return flow;
  }

  return {
    mine: deps.store.connectionOf,
    get: deps.store.connection,

    async begin(browser, site) {
      const state = deps.random.bytes(32).toString('base64url');
      const { verifier, challenge } = deps.makePkce(deps.random);
      const url = deps.oauth.authorizeUrl({ state, challenge });
      const at = deps.clock.monotonic();
      // The state's digest is the key, so that comparing it takes no time an attacker could measure.
      pending.set(digest(state), { ...browser, site, verifier, instanceKey: instanceKey(), at });
      dropOld();
      return url;
    },

    async finish(browser, query) {
      const { site, verifier, accountId } = claim(browser, query.state);
      if (query.error !== undefined) throw refusal(query.error);
      if (query.code === undefined || query.code === '') throw new Problem('callback-forged', { reason: 'no-code' });
      const { tokens, scopes } = await deps.oauth.exchange({ code: query.code, verifier });
      const user = await deps.user(tokens.accessToken).catch(async (error: unknown) => {
        // A grant nobody will use should not stay open; if GitLab does not answer, it ends there by the user's hand.
        await deps.oauth.revoke(tokens.accessToken).catch(() => undefined);
        throw error;
      });
      const { username, name, email } = user;
      const made = { owner: accountId, gitlabUserId: user.id, username, name, email, scopes };
      const connection = await deps.store.connect(made, tokens);
      return { site, connection };
    },
  };
}

const lifetimeMs = 10 * 60_000;
const mostPending = 1_000;

/** GitLab's reason as one of OAuth's fixed words; free text from a URL is not repeated. */
function refusal(error: string): Problem {
  const known = ['access_denied', 'invalid_scope', 'unauthorized_client', 'server_error', 'temporarily_unavailable'];
  return new Problem('authorisation-denied', { error: known.includes(error) ? error : 'unknown' });
}

const digest = (text: string): string => createHash('sha256').update(text).digest('base64url');
const same = (a: string, b: string): boolean => timingSafeEqual(Buffer.from(digest(a)), Buffer.from(digest(b)));
