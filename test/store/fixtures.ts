import { randomBytes } from 'node:crypto';
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
