import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';

/** A password at rest. The parameters stand beside it, so they can grow without locking anybody out. */
export interface PasswordHash {
  readonly kdf: 'scrypt';
  readonly N: number;
  readonly r: number;
  readonly p: number;
  readonly salt: string;
  readonly hash: string;
}

export const passwordHashSchema: z.ZodType<PasswordHash> = z.strictObject({
  kdf: z.literal('scrypt'),
  N: z.int().max(1 << 20),
  r: z.int().max(32),
  p: z.int().max(16),
  salt: z.string().min(16),
  hash: z.string().min(32),
});

export interface PasswordCost {
  readonly N: number;
  readonly r: number;
  readonly p: number;
}

/** About half a second and 64 MiB each. */
export const passwordCost: PasswordCost = { N: 65_536, r: 8, p: 2 };

/** Two at once, or a flood of sign-ins would take the memory and all of libuv's threads. */
const AT_ONCE = 2;

export interface Passwords {
  hash(password: string): Promise<PasswordHash>;
  /** Against no hash it is always false, and takes the same time. */
  matches(password: string, stored: PasswordHash | undefined): Promise<boolean>;
}

export function createPasswords(cost: PasswordCost = passwordCost): Passwords {
  const nobody: PasswordHash = {
    kdf: 'scrypt',
    ...cost,
    salt: toBase64(randomBytes(16)),
    hash: toBase64(Buffer.alloc(32)),
  };
  let running = 0;
  const queue: (() => void)[] = [];

  async function turn<T>(work: () => Promise<T>): Promise<T> {
    if (running >= AT_ONCE) await new Promise<void>((go) => queue.push(go));
    else running += 1;
    try {
      return await work();
    } finally {
      // The place passes on; it is given back only when nobody waits.
      const next = queue.shift();
      if (next) next();
      else running -= 1;
    }
  }

  return {
    async hash(password) {
      const salt = randomBytes(16);
      const hash = await turn(() => derive(password, salt, cost, 32));
      return { kdf: 'scrypt', ...cost, salt: toBase64(salt), hash: toBase64(hash) };
    },
    async matches(password, stored) {
      const against = stored ?? nobody;
      const expected = Buffer.from(against.hash, 'base64');
      const actual = await turn(() => derive(password, Buffer.from(against.salt, 'base64'), against, expected.length));
      return timingSafeEqual(actual, expected) && stored !== undefined;
    },
  };
}

function derive(password: string, salt: Buffer, { N, r, p }: PasswordCost, length: number): Promise<Buffer> {
  // One spelling of a password, whichever way a keyboard composes its letters.
  const text = password.normalize('NFKC');
  return new Promise((resolve, reject) => {
    scrypt(text, salt, length, { N, r, p, maxmem: 256 * N * r }, (error, key) =>
      error ? reject(error) : resolve(key),
    );
  });
}

function toBase64(bytes: Buffer): string {
  return bytes.toString('base64');
}
