import { createHash, timingSafeEqual } from 'node:crypto';
import type { AuditEntry } from '../model/event.ts';
import type { Connection, ConnectionId, Instance } from '../model/instance.ts';
import { Problem } from '../model/problem.ts';
import { Secret } from '../model/secret.ts';
import type { Site, SiteId } from '../model/site.ts';
import type { Clock, Random } from '../model/world.ts';

/** A fresh pair of tokens; times in ms since 1970. */
export interface Tokens {
  readonly accessToken: Secret;
  readonly refreshToken: Secret;
  readonly expiresAt: number;
  readonly issuedAt: number;
}

export interface ConnectionActionsDeps {
  readonly store: {
    readonly instance: ConnectionStore;
    readonly sites: { all(): readonly Site[] };
    readonly accounts: { get(id: string): { readonly name: string } | undefined };
  };
  readonly client: {
    user(token: Secret): Promise<{ id: number; username: string; name: string; email: string }>;
    /** Undefined where GitLab does not tell. */
    tokenFacts(token: Secret): Promise<{ scopes: readonly string[]; expiresAt?: number } | undefined>;
  };
  readonly runtimes: { worker(id: SiteId): { trigger(trigger: 'person'): void } };
  readonly oauth: {
    authorizeUrl(ask: { state: string; challenge: string }): string;
    exchange(proof: { code: string; verifier: Secret }): Promise<{ tokens: Tokens; scopes: string }>;
    revoke(token: Secret): Promise<void>;
  };
  readonly makePkce: (random: Random) => { verifier: Secret; challenge: string };
  readonly report: (entry: Omit<AuditEntry, 'id' | 'at'>) => void;
  readonly log: (level: 'warn', message: string, fields: Record<string, unknown>) => void;
  readonly clock: Clock;
  readonly random: Random;
}

interface ConnectionStore {
  get(): Instance | undefined;
  connection(id: string): Connection | undefined;
  /** The newest working connection that the account authorised; no access token. */
  connectionOf(accountId: string): Connection | undefined;
  /**
   * Saves both durably. Renews the connection under its old id when the account connects the same GitLab user again in
   * the same way, so that its sites go on; `replaced` is the pair it had.
   */
  connect(
    made: Omit<Connection, 'id' | 'health' | 'renewedAt'>,
    tokens: Tokens,
  ): Promise<{ readonly connection: Connection; readonly replaced?: Tokens }>;
}

interface Browser {
  readonly accountId: string;
  /** Whatever is the same for one browser's session and known to nobody else. */
  readonly sessionKey: string;
}

interface Callback {
  readonly state?: string;
  readonly code?: string;
  readonly error?: string;
  readonly errorDescription?: string;
  /** Who answers (RFC 9207). GitLab says nothing yet; one that does must be ours. */
  readonly iss?: string;
}

/** What somebody connects for: one site, or taking over the sites of another connection. */
export type Wanted = { readonly site: SiteId } | { readonly handOver: ConnectionId };

export interface ConnectionActions {
  /** This account's own connection, if it still works; with `id`: that connection, if the account made it and it works. */
  mine(accountId: string, id?: string): Connection | undefined;
  get(id: string): Connection | undefined;
  /** The URL for the browser. Throws `instance-missing`. */
  begin(browser: Browser, wanted: Wanted): Promise<string>;
  /**
   * Throws `callback-forged` (state missing, unknown, used, older than ten minutes, of another session or instance),
   * `authorisation-denied`, and what exchanging the code throws. Only success stores anything.
   */
  finish(browser: Browser, query: Callback): Promise<{ wanted: Wanted; connection: Connection }>;
  /**
   * The second way, for unattended installs: an access token of a project, a group or a person. Throws `form-invalid`
   * (facts `accessToken`, `expires`: sentences), `instance-missing`, and what asking GitLab throws.
   */
  useToken(accountId: string, form: TokenForm): Promise<Connection>;
}

interface TokenForm {
  readonly accessToken: string;
  /** The day it ends, as `2027-03-31`; empty: GitLab is asked, or it never ends. */
  readonly expires: string;
}

/** What is remembered between sending a browser to GitLab and its return. Memory only: a restart means a new click. */
interface Pending {
  readonly sessionKey: string;
  readonly accountId: string;
  readonly wanted: Wanted;
  readonly verifier: Secret;
  readonly instanceKey: string;
  /** Monotonic ms. */
  readonly at: number;
}

/** Connecting an account with its GitLab user by OAuth. */
export function createConnectionActions(deps: ConnectionActionsDeps): ConnectionActions {
  const pending = new Map<string, Pending>();

  function instanceKey(): string {
    const instance = deps.store.instance.get();
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

  /** Saves the connection; sites that waited for it go on at once. */
  async function save(...made: Parameters<ConnectionStore['connect']>): ReturnType<ConnectionStore['connect']> {
    const saved = await deps.store.instance.connect(...made);
    const { id, owner, username } = saved.connection;
    deps.report({ by: deps.store.accounts.get(owner)?.name ?? '', act: 'connected-gitlab', detail: `@${username}` });
    for (const site of deps.store.sites.all())
      if (site.binding?.connectionId === id) deps.runtimes.worker(site.id).trigger('person');
    return saved;
  }

  /** Nobody here has it any more. Not waited for: the new pair works whether GitLab hears of the old one or not. */
  function endReplaced(replaced: Tokens, fresh: Tokens): void {
    const [before, now] = [replaced, fresh].map((pair) => [pair.accessToken.open(), pair.refreshToken.open()]);
    const [access = '', refresh] = before ?? [];
    if (access === '' || now?.includes(access) || now?.includes(refresh ?? '')) return;
    deps.oauth
      .revoke(replaced.accessToken)
      .catch((error: unknown) => deps.log('warn', 'A replaced connection could not be revoked at GitLab.', { error }));
  }

  return {
    mine(accountId, id) {
      if (id === undefined) return deps.store.instance.connectionOf(accountId);
      const found = deps.store.instance.connection(id);
      return found?.owner === accountId && found.health === 'good' ? found : undefined;
    },
    get: (id) => deps.store.instance.connection(id),

    async begin(browser, wanted) {
      const state = deps.random.bytes(32).toString('base64url');
      const { verifier, challenge } = deps.makePkce(deps.random);
      const url = deps.oauth.authorizeUrl({ state, challenge });
      const at = deps.clock.monotonic();
      // The state's digest is the key, so that comparing it takes no time an attacker could measure.
      pending.set(digest(state), { ...browser, wanted, verifier, instanceKey: instanceKey(), at });
      dropOld();
      return url;
    },

    async finish(browser, query) {
      const { wanted, verifier, accountId } = claim(browser, query.state);
      if (query.iss !== undefined && query.iss.replace(/\/$/, '') !== deps.store.instance.get()?.url) {
        throw new Problem('callback-forged', { reason: 'other-issuer' });
      }
      if (query.error !== undefined) throw refusal(query.error);
      if (query.code === undefined || query.code === '') throw new Problem('callback-forged', { reason: 'no-code' });
      const { tokens, scopes } = await deps.oauth.exchange({ code: query.code, verifier });
      const user = await deps.client.user(tokens.accessToken).catch(async (error: unknown) => {
        // An unused authorisation should not stay valid. If GitLab does not answer, only its user can revoke it there.
        await deps.oauth.revoke(tokens.accessToken).catch(() => undefined);
        throw error;
      });
      const { username, name, email } = user;
      const made = { owner: accountId, gitlabUserId: user.id, username, name, email, scopes };
      const { connection, replaced } = await save(made, tokens);
      if (replaced) endReplaced(replaced, tokens);
      return { wanted, connection };
    },

    async useToken(accountId, form) {
      const instance = deps.store.instance.get();
      if (!instance) throw new Problem('instance-missing');
      const accessToken = readToken(form.accessToken);
      const facts = await deps.client.tokenFacts(accessToken).catch(notAccepted);
      const { id: gitlabUserId, username, name, email } = await deps.client.user(accessToken).catch(notAccepted);
      const scopes = facts?.scopes ?? instance.scopes.split(' ');
      const missing = missingScope(scopes);
      if (missing) throw new Problem('form-invalid', { accessToken: missing });
      const now = deps.clock.now();
      const expiresAt = facts ? facts.expiresAt : readDay(form.expires, now);
      const made = { owner: accountId, gitlabUserId, username, name, email, scopes: scopes.join(' ') };
      const kept = { ...made, accessToken: expiresAt === undefined ? {} : { expiresAt } };
      const tokens = { accessToken, refreshToken: new Secret(''), expiresAt: expiresAt ?? endOfTime, issuedAt: now };
      // The token before it stays: a person made it, and it is theirs to end.
      return (await save(kept, tokens)).connection;
    },
  };
}

/** The last moment of the year 9999: late enough for a token that does not expire, and still a date. */
const endOfTime = 253_402_300_799_000;

function readToken(typed: string): Secret {
  const token = typed.trim();
  if (token === '') throw new Problem('form-invalid', { accessToken: 'Paste the access token.' });
  if (!/^[\x21-\x7e]{8,500}$/.test(token)) {
    throw new Problem('form-invalid', { accessToken: 'This is no access token: it holds a space, or is too short.' });
  }
  return new Secret(token);
}

/** Whoever pastes a token that does not work is told at the field, not on a page about a lost authorisation. */
function notAccepted(error: unknown): never {
  if (error instanceof Problem && error.code === 'grant-lost') {
    throw new Problem('form-invalid', {
      accessToken: 'GitLab does not accept this token: it is revoked, expired or mistyped.',
    });
  }
  throw error;
}

/** Reading the API finds the repository, writing the repository pushes; `api` allows both. */
function missingScope(scopes: readonly string[]): string | undefined {
  if (scopes.includes('api')) return undefined;
  if (scopes.includes('read_api') && scopes.includes('write_repository')) return undefined;
  return `The token has the scopes ${scopes.join(', ') || 'none'}. It needs api, or read_api and write_repository.`;
}

/** GitLab ends a token when its last day begins, in UTC. */
function readDay(typed: string, now: number): number | undefined {
  const day = typed.trim();
  if (day === '') return undefined;
  const at = /^\d{4}-\d{2}-\d{2}$/.test(day) ? Date.parse(`${day}T00:00:00Z`) : NaN;
  if (Number.isNaN(at)) throw new Problem('form-invalid', { expires: 'Write the day as 2027-03-31.' });
  if (at <= now) throw new Problem('form-invalid', { expires: 'This day is over: the token would not work any more.' });
  return at;
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
