import type { SiteId } from '../model/site.ts';
import type { Clock } from '../model/world.ts';

export interface ExtraScansDeps {
  readonly clock: Clock;
  /** How long the last full scan of a site took, in ms; undefined until there was one. */
  readonly costMs: (site: SiteId) => number | undefined;
  readonly onTrigger: (site: SiteId) => void;
  /** How often the site is scanned from now on; undefined: as its schedule says. */
  readonly onPace: (site: SiteId, everyMs: number | undefined) => void;
}

export interface ExtraScans {
  start(site: SiteId): void;
  stop(site: SiteId): void;
  close(): void;
}

const shortestMs = 30_000;
/** A schedule is hardly ever longer: a scan that may only come so seldom is left to it. */
const longestMs = 4 * 60_000;
/** A scan may take this share of the time. */
const share = 0.02;

/** How often a scan of that cost may come; undefined where it is too dear to come more often than the schedule says. */
export function paceFor(costMs: number | undefined): number | undefined {
  if (costMs === undefined) return undefined;
  const everyMs = Math.max(shortestMs, Math.ceil(costMs / share / 1_000) * 1_000);
  return everyMs <= longestMs ? everyMs : undefined;
}

/** Full scans beside the schedule, for sites whose changes the kernel does not tell, as often as they are cheap. */
export function createExtraScans({ clock, costMs, onTrigger, onPace }: ExtraScansDeps): ExtraScans {
  const running = new Map<SiteId, AbortController>();

  async function go(site: SiteId, signal: AbortSignal): Promise<void> {
    for (;;) {
      const everyMs = paceFor(costMs(site));
      onPace(site, everyMs);
      await clock.sleep(everyMs ?? shortestMs, signal);
      if (everyMs !== undefined) onTrigger(site);
    }
  }

  function stop(site: SiteId): void {
    running.get(site)?.abort();
    running.delete(site);
  }

  return {
    start(site) {
      if (running.has(site)) return;
      const stopped = new AbortController();
      running.set(site, stopped);
      go(site, stopped.signal).catch((error: unknown) => {
        if (!stopped.signal.aborted) throw error;
      });
    },
    stop,
    close: () => [...running.keys()].forEach(stop),
  };
}
