import type { SiteId } from '../model/site.ts';
import type { Clock, Random } from '../model/world.ts';

export interface PeriodicChecksDeps {
  readonly sites: () => readonly SiteId[];
  /** Looks at one site. A throw is logged and hurts nothing else. */
  readonly visit: (site: SiteId, signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: (level: 'warn', message: string, fields: Record<string, unknown>) => void;
  /** ms between two checks; an hour unless given. */
  readonly everyMs?: number;
}

/** The slow check of what changes without a push: names, webhooks, tokens. One site after another, never in a hurry. */
export interface PeriodicChecks {
  /** Looks at one site out of turn, after what is under way. */
  soon(site: SiteId): void;
  start(): void;
  /** Resolves when no visit is under way, or after three seconds. */
  stop(): Promise<void>;
}

/** A visit under way is given so long to end. */
const stopMs = 3_000;

export function createPeriodicChecks(deps: PeriodicChecksDeps): PeriodicChecks {
  const { clock, random, everyMs = 3_600_000 } = deps;
  const stopping = new AbortController();
  const { signal } = stopping;
  let tail: Promise<void> = Promise.resolve();

  function visit(site: SiteId): Promise<void> {
    tail = tail.then(async () => {
      if (signal.aborted) return;
      await deps
        .visit(site, signal)
        .catch((error: unknown) => deps.log('warn', 'A slow check failed.', { site, error }));
    });
    return tail;
  }

  async function go(): Promise<void> {
    for (;;) {
      // Not on the hour: GitLab has other clients with clocks.
      await clock.sleep(everyMs * (0.9 + random.fraction() / 5), signal);
      for (const site of deps.sites()) await visit(site);
    }
  }

  return {
    soon: (site) => void visit(site),
    // Ends only by the signal; a visit's own failures are logged.
    start: () => void go().catch(() => undefined),
    async stop() {
      stopping.abort();
      // A GitLab that does not answer must not keep the daemon from ending.
      await Promise.race([tail, clock.sleep(stopMs)]);
    },
  };
}
