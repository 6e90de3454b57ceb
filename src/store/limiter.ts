import { createHash } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { Problem } from '../model/problem.ts';

/** How often somebody may be wrong. */
export interface TryLimits {
  /** Wrong tries of one account from one address before waiting begins. */
  readonly perPair: number;
  /** … of all accounts from one address. */
  readonly perAddress: number;
  /** Wrong tries of one account from everywhere after which each address has a single free try. */
  readonly perAccount: number;
  /** The first wait, in ms; it doubles with each further wrong try. */
  readonly firstWaitMs: number;
  readonly longestWaitMs: number;
}

export const defaultTryLimits: TryLimits = {
  perPair: 5,
  perAddress: 30,
  perAccount: 100,
  firstWaitMs: 1_000,
  longestWaitMs: 15 * 60_000,
};

export interface TryLimiter {
  /** Throws `too-many-tries` while this name or address has to wait. */
  check(name: string, address: string): Promise<void>;
  wrong(name: string, address: string): Promise<void>;
  right(name: string, address: string): Promise<void>;
}

const MEMORY_SECONDS = 3_600;

/**
 * Slows guessing down. Only an address ever waits, or an account from that address: whoever floods an account from
 * outside cannot lock its owner out, who comes from elsewhere. Names nobody has are treated like the others, or the
 * waiting would tell which exist.
 */
export function createTryLimiter(limits: TryLimits = defaultTryLimits): TryLimiter {
  const wrongs = new RateLimiterMemory({
    keyPrefix: 'wrong',
    points: Number.MAX_SAFE_INTEGER,
    duration: MEMORY_SECONDS,
  });
  const waits = new RateLimiterMemory({ keyPrefix: 'wait', points: 0, duration: MEMORY_SECONDS });

  async function count(key: string): Promise<number> {
    return (await wrongs.get(key))?.consumedPoints ?? 0;
  }

  async function addWrong(key: string, free: number): Promise<void> {
    const { consumedPoints } = await wrongs.penalty(key);
    if (consumedPoints < free) return;
    const waitMs = Math.min(limits.firstWaitMs * 2 ** Math.min(consumedPoints - free, 30), limits.longestWaitMs);
    await waits.block(key, waitMs / 1000);
  }

  return {
    async check(name, address) {
      const keys = keysOf(name, address);
      const found = await Promise.all([waits.get(keys.pair), waits.get(keys.address)]);
      const waitMs = Math.max(...found.map((each) => each?.msBeforeNext ?? 0));
      if (waitMs <= 0) return;
      const seconds = Math.ceil(waitMs / 1000);
      throw new Problem('too-many-tries', { seconds: String(seconds) }, { retryAfterMs: seconds * 1000 });
    },
    async wrong(name, address) {
      const keys = keysOf(name, address);
      const attacked = (await count(keys.account)) >= limits.perAccount;
      await wrongs.penalty(keys.account);
      await addWrong(keys.pair, attacked ? 1 : limits.perPair);
      await addWrong(keys.address, limits.perAddress);
    },
    async right(name, address) {
      const keys = keysOf(name, address);
      await wrongs.delete(keys.pair);
    },
  };
}

function keysOf(name: string, address: string): { pair: string; address: string; account: string } {
  const account = createHash('sha256').update(name).digest('base64url').slice(0, 16);
  const network = networkOf(address);
  return { pair: `${account}@${network}`, address: `@${network}`, account };
}

/** One household or attacker owns a whole /64 of IPv6. */
function networkOf(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
  if (!isIPv6(plain)) return plain;
  const [head = '', tail] = plain.split('::');
  const left = head.split(':').filter(Boolean);
  const right = tail?.split(':').filter(Boolean) ?? [];
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  return [...left, ...Array<string>(zeros).fill('0'), ...right].slice(0, 4).join(':');
}
