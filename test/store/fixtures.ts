import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Problem, type ProblemCode } from '../../src/model/problem.ts';
import type { Random } from '../../src/model/world.ts';
import type { StoreOptions } from '../../src/store/store.ts';

/** A folder of its own for one test, below the system's temporary folder. */
export function freshFolder(): string {
  return mkdtempSync(join(tmpdir(), 'mooring-store-'));
}

export const realRandom: Random = { bytes: randomBytes, fraction: () => 0.5 };

/** Chance that repeats: the same seed gives the same bytes. */
export function seeded(seed: string): Random {
  let n = 0;
  const block = (): Buffer =>
    createHash('sha256')
      .update(`${seed}:${(n += 1)}`)
      .digest();
  return {
    fraction: () => block().readUInt32BE(0) / 2 ** 32,
    bytes(length) {
      let bytes = Buffer.alloc(0);
      while (bytes.length < length) bytes = Buffer.concat([bytes, block()]);
      return bytes.subarray(0, length);
    },
  };
}

/** Options for a store whose passwords hash fast and whose time the test moves. */
export function storeOptions(path: string, clock: { at: number } = { at: 1_800_000_000_000 }): StoreOptions {
  const fail = (error: unknown): never => {
    throw error;
  };
  return {
    path,
    random: realRandom,
    now: () => clock.at,
    onFault: fail,
    onNotes: () => undefined,
    passwordCost: { N: 1024, r: 8, p: 1 },
  };
}

/** The problem that the work throws; fails when it throws none, or another code. */
export async function problemOf(code: ProblemCode, work: () => unknown): Promise<Problem> {
  try {
    await work();
  } catch (error) {
    if (error instanceof Problem && error.code === code) return error;
    throw error;
  }
  throw new Error(`expected the problem ${code}, but all went well`);
}
