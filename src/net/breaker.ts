import { Problem } from '../model/problem.ts';
import type { Clock, Random } from '../model/world.ts';

/** Keeps all sites together from hammering an instance that is down or limits the rate of requests. */
export interface Breaker {
  /**
   * Throws the Problem of the last failure, with the time left, while no requests may be sent. When that time is
   * over it lets one through, and the others when that one came back.
   */
  check(): void;
  /** `startedAt`: monotonic ms when the request began that went well. */
  succeeded(startedAt: number): void;
  failed(problem: Problem): void;
}

/**
 * Opens at once when GitLab says `Retry-After`, otherwise after several failures in a row, for a time that doubles up
 * to half a minute. Short on purpose: each site backs off by itself, this only spares the instance the sum of them.
 */
export function createBreaker({ clock, random }: { clock: Clock; random: Random }): Breaker {
  let failures = 0;
  let failedAt = 0;
  let openUntil = 0;
  /** Until then GitLab's own rate limit applies: nothing else shortens that. */
  let askedUntil = 0;
  let last: Problem | undefined;
  let isProbing = false;
  const stayAway = (problem: Problem, leftMs: number): never => {
    throw new Problem(problem.code, problem.facts, {
      cause: problem.cause ?? problem,
      retryAfterMs: Math.ceil(leftMs),
    });
  };
  return {
    check() {
      const now = clock.monotonic();
      if (!last || openUntil === 0) return;
      if (now < openUntil) stayAway(last, openUntil - now);
      openUntil = now + probeMs;
      isProbing = true;
    },
    succeeded(startedAt) {
      // What began before the failure says nothing about now.
      if (startedAt < failedAt || clock.monotonic() < askedUntil) return;
      failures = 0;
      isProbing = false;
      last = undefined;
      openUntil = 0;
    },
    failed(problem) {
      const now = clock.monotonic();
      if (!countsAsDown.has(problem.code) || problem.facts['limit'] === 'endpoint') {
        // It was reached, whatever it said of the one that was let through: the next may go.
        if (isProbing) openUntil = now;
        isProbing = false;
        return;
      }
      failures += 1;
      failedAt = now;
      const waitMs = problem.retryAfterMs ?? (failures < tolerated ? 0 : backOff(failures - tolerated, random));
      if (waitMs === 0) return;
      last = problem;
      openUntil = Math.max(openUntil, now + waitMs);
      isProbing = false;
      if (problem.retryAfterMs !== undefined) askedUntil = openUntil;
    },
  };
}

/** Full jitter, from one second doubling to `capMs`: a herd that failed together does not come back together. */
export function backOff(attempt: number, random: Random, capMs = 30_000): number {
  const ceiling = Math.min(capMs, 1_000 * 2 ** Math.min(attempt, 20));
  return Math.max(100, Math.round(ceiling * random.fraction()));
}

const tolerated = 5;
/** One that was let through may take so long before the next is. */
const probeMs = 5_000;
// Not maintenance: GitLab still lets us read then.
const countsAsDown = new Set(['gitlab-unreachable', 'gitlab-slow', 'gitlab-busy', 'gitlab-error']);
