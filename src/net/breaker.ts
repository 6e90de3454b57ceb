import { Problem } from '../model/problem.ts';
import type { Clock, Random } from '../model/world.ts';

/** Keeps all sites together from hammering an instance that is down or has asked to be left alone. */
export interface Breaker {
  /** Throws the Problem of the last failure, with the time left, while the instance is to be left alone. */
  check(): void;
  succeeded(): void;
  failed(problem: Problem): void;
}

/**
 * Opens at once when GitLab says `Retry-After`, otherwise after several failures in a row, for a time that doubles up
 * to half a minute. Short on purpose: each site backs off by itself, this only spares the instance the sum of them.
 */
export function createBreaker({ clock, random }: { clock: Clock; random: Random }): Breaker {
  let failures = 0;
  let openUntil = 0;
  let last: Problem | undefined;
  return {
    check() {
      const leftMs = Math.ceil(openUntil - clock.monotonic());
      if (!last || leftMs <= 0) return;
      throw new Problem(last.code, last.facts, { cause: last.cause ?? last, retryAfterMs: leftMs });
    },
    succeeded() {
      failures = 0;
      last = undefined;
      openUntil = 0;
    },
    failed(problem) {
      if (!countsAsDown.has(problem.code) || problem.facts['limit'] === 'endpoint') return;
      failures += 1;
      const waitMs = problem.retryAfterMs ?? (failures < tolerated ? 0 : backOff(failures - tolerated, random));
      if (waitMs === 0) return;
      last = problem;
      openUntil = clock.monotonic() + waitMs;
    },
  };
}

/** Full jitter, from one second doubling to `capMs`: a herd that failed together does not come back together. */
export function backOff(attempt: number, random: Random, capMs = 30_000): number {
  const ceiling = Math.min(capMs, 1_000 * 2 ** Math.min(attempt, 20));
  return Math.max(100, Math.round(ceiling * random.fraction()));
}

const tolerated = 5;
// Not maintenance: GitLab still lets us read then.
const countsAsDown = new Set(['gitlab-unreachable', 'gitlab-slow', 'gitlab-busy', 'gitlab-error']);
