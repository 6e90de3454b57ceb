import type { ConnectionId } from '../model/instance.ts';
import { Problem } from '../model/problem.ts';
import type { Secret } from '../model/secret.ts';
import type { Clock } from '../model/world.ts';
import type { Tokens } from './oauth.ts';

/** Where tokens are kept; writes are durable when they resolve. */
export interface TokenStore {
  /** Throws `grant-lost` for a connection that is gone. */
  tokens(id: ConnectionId): Tokens;
  saveTokens(id: ConnectionId, tokens: Tokens): Promise<void>;
  /** `reconnect`: only a person can authorise again. */
  setHealth(id: ConnectionId, health: 'reconnect'): Promise<void>;
  /** Absent: never known to be lost. Tokens of a lost connection are not sent again: GitLab counts wrong tokens, and bans. */
  isLost?(id: ConnectionId): boolean;
}

export interface TokenManager {
  /**
   * A token good for two minutes or more by our clock (of one that lives shorter than eight: a quarter of its life;
   * of one that nobody renews: whatever is left). Throws `grant-lost` (connection gone or ended; fact `reason`:
   * `entered` for a token that a person entered), what a refresh throws, and the signal's reason. Prefer
   * {@link TokenManager.withToken}: this one may be renewed while in use.
   */
  tokenFor(id: ConnectionId, signal?: AbortSignal): Promise<Secret>;
  /**
   * Runs `use` with a token that is not renewed meanwhile. If it throws `grant-lost` (GitLab said 401), the token is
   * renewed once and `use` runs once more; a second `grant-lost` marks the connection and is thrown. Do not nest for
   * one connection: the inner call may have to wait for the outer one.
   */
  withToken<T>(id: ConnectionId, use: (token: Secret) => Promise<T>, signal?: AbortSignal): Promise<T>;
  /** Forgets a connection that was removed. */
  forget(id: ConnectionId): void;
}

/** One connection's state in memory. */
interface RefreshQueue {
  holders: number;
  /** The last link of this connection's queue of looks and refreshes. */
  tail: Promise<unknown>;
  /** A pair GitLab issued for `old` and the store did not take: dropped it is lost for good, so it is offered again. */
  unsaved?: { readonly old: Tokens; readonly fresh: Tokens };
  /** The token whose holders were waited for: once for all who ask, or each in the queue would wait anew. */
  waitedFor?: Secret;
  waiting: (() => void)[];
}

/**
 * The only one who renews tokens. GitLab ends the old pair in the instant it issues the new one, without grace: so one
 * refresh at a time, kept durably before use, and never while a git operation stands between its two requests.
 */
export function createTokenManager(deps: {
  store: TokenStore;
  refresh: (token: Secret) => Promise<Tokens>;
  clock: Clock;
  /** ms a refresh waits for holders of the old token; then it goes ahead, and they renew and repeat. */
  holderWaitMs?: number;
}): TokenManager {
  const queues = new Map<ConnectionId, RefreshQueue>();
  const queueOf = (id: ConnectionId): RefreshQueue => {
    const queue = queues.get(id) ?? { holders: 0, tail: Promise.resolve(), waiting: [] };
    queues.set(id, queue);
    return queue;
  };

  /** Runs `act` after everything queued before it for this connection. */
  function inTurn<T>(queue: RefreshQueue, act: () => Promise<T>): Promise<T> {
    const turn = queue.tail.then(act, act);
    queue.tail = turn.catch(() => undefined);
    return turn;
  }

  /** The present pair, renewed if it is near its end, or if it still is the one GitLab has just refused. */
  function current(id: ConnectionId, refused?: Secret, onChosen?: (queue: RefreshQueue) => void): Promise<Tokens> {
    const queue = queueOf(id);
    return inTurn(queue, async () => {
      const tokens = await choose(id, queue, refused);
      onChosen?.(queue);
      return tokens;
    });
  }

  async function choose(id: ConnectionId, queue: RefreshQueue, refused: Secret | undefined): Promise<Tokens> {
    const tokens = await stored(id, queue);
    const isForPeople = tokens.refreshToken.open() === '';
    if (tokens.accessToken.open() === '') throw new Problem('grant-lost', { reason: 'dropped' });
    if (deps.store.isLost?.(id)) throw new Problem('grant-lost', { reason: isForPeople ? 'entered' : 'known' });
    const isRefused = refused !== undefined && same(tokens.accessToken, refused);
    if (isRefused && isForPeople) throw await lost(id, tokens, new Problem('grant-lost', { reason: 'entered' }));
    // Of a token that nobody renews GitLab says itself when it ends: the day may have been typed by hand.
    if (!isRefused && (isForPeople || !endsWithin(tokens, Math.min(freshMs, lifetimeOf(tokens) / 4)))) return tokens;
    await holdersGone(queue, tokens);
    // Dropped, or authorised anew, while it waited: the old one goes nowhere any more.
    if (!isStill(id, tokens)) return choose(id, queue, refused);
    // Whoever still holds it would be cut off in mid-operation; while it lasts, let them finish.
    if (queue.holders > 0 && !isRefused && !endsWithin(tokens, Math.min(lastMs, lifetimeOf(tokens) / 8))) return tokens;
    return renew(id, queue, tokens);
  }

  /** What the store has, once it has what GitLab issued last. A new connect meanwhile beats both. */
  async function stored(id: ConnectionId, queue: RefreshQueue): Promise<Tokens> {
    const { unsaved } = queue;
    if (unsaved && isStill(id, unsaved.old)) await deps.store.saveTokens(id, unsaved.fresh);
    delete queue.unsaved;
    return deps.store.tokens(id);
  }

  async function renew(id: ConnectionId, queue: RefreshQueue, old: Tokens): Promise<Tokens> {
    try {
      const fresh = await deps.refresh(old.refreshToken);
      const keepsRefresh = fresh.refreshToken.open() === '';
      queue.unsaved = { old, fresh: keepsRefresh ? { ...fresh, refreshToken: old.refreshToken } : fresh };
    } catch (error) {
      throw isConnectionLost(error) ? await lost(id, old, error) : error;
    }
    return stored(id, queue);
  }

  /** Marks the connection, unless somebody has authorised anew meanwhile. */
  async function lost(id: ConnectionId, old: Tokens, problem: Problem): Promise<Problem> {
    if (isStill(id, old)) await deps.store.setHealth(id, 'reconnect');
    return problem;
  }

  const isStill = (id: ConnectionId, { accessToken }: Tokens): boolean =>
    same(deps.store.tokens(id).accessToken, accessToken);

  async function holdersGone(queue: RefreshQueue, { accessToken }: Tokens): Promise<void> {
    if (queue.holders === 0 || (queue.waitedFor && same(queue.waitedFor, accessToken))) return;
    queue.waitedFor = accessToken;
    const stop = new AbortController();
    const gone = new Promise<void>((resolve) => queue.waiting.push(resolve));
    const tooLong = deps.clock.sleep(deps.holderWaitMs ?? 60_000, stop.signal).catch(() => undefined);
    await Promise.race([gone, tooLong]);
    stop.abort();
  }

  const endsWithin = ({ expiresAt }: Tokens, ms: number): boolean => expiresAt - deps.clock.now() < ms;

  /** Takes hold in the same turn that chose the pair, so that no refresh can slip in between. */
  async function take(id: ConnectionId, signal: AbortSignal | undefined, refused?: Secret): Promise<Tokens> {
    const taken = current(id, refused, (queue) => (queue.holders += 1));
    return abortable(taken, signal).catch((error: unknown) => {
      // Given up while waiting: whenever the turn comes, nobody holds.
      void taken.then(() => release(id)).catch(() => undefined);
      throw error;
    });
  }

  function release(id: ConnectionId): void {
    const queue = queueOf(id);
    queue.holders -= 1;
    if (queue.holders === 0) for (const wake of queue.waiting.splice(0)) wake();
  }

  async function hold<T>(id: ConnectionId, tokens: Tokens, use: (token: Secret) => Promise<T>): Promise<T> {
    try {
      return await use(tokens.accessToken);
    } finally {
      release(id);
    }
  }

  return {
    tokenFor: async (id, signal) => (await abortable(current(id), signal)).accessToken,

    async withToken(id, use, signal) {
      const tokens = await take(id, signal);
      try {
        return await hold(id, tokens, use);
      } catch (error) {
        if (!isConnectionLost(error)) throw error;
        const renewed = await take(id, signal, tokens.accessToken);
        return hold(id, renewed, use).catch(async (again: unknown) => {
          throw isConnectionLost(again) ? await lost(id, renewed, again) : again;
        });
      }
    },

    forget: (id) => void queues.delete(id),
  };
}

/** Renewed when it has less than this left, or than a quarter of its life: it must not be renewed for each use. */
const freshMs = 120_000;
/** With less than this left it is renewed although somebody still holds it. */
const lastMs = 15_000;
const lifetimeOf = ({ issuedAt, expiresAt }: Tokens): number => Math.max(0, expiresAt - issuedAt);

const same = (a: Secret, b: Secret): boolean => a.open() === b.open();
const isConnectionLost = (error: unknown): error is Problem => error instanceof Problem && error.code === 'grant-lost';

/** Leaves the waiting, not the work: a refresh that somebody else gave up on must still be kept. */
async function abortable<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  signal.throwIfAborted();
  work.catch(() => undefined);
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    void work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
