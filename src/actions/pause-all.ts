import type { AuditEntry } from '../model/event.ts';
import { type MaintenanceWindow, type PauseAll, longestWindowMs, turnOf } from '../model/maintenance.ts';
import { Problem } from '../model/problem.ts';
import type { Site, SiteId } from '../model/site.ts';
import type { Clock } from '../model/world.ts';

export interface PauseAllDeps {
  readonly store: {
    readonly sites: {
      pauseAll(): PauseAll | undefined;
      maintenanceWindow(): MaintenanceWindow | undefined;
      /** Pauses every connected site that is not paused; gives those. On disk when it resolves. */
      pauseTogether(pause: PauseAll): Promise<readonly Site[]>;
      /** Resumes what {@link pauseTogether} paused, but what somebody has resumed since; gives those. */
      resumeTogether(): Promise<readonly Site[]>;
      setMaintenanceWindow(window: MaintenanceWindow | undefined): Promise<void>;
    };
  };
  readonly runtimes: {
    worker(id: SiteId): { paused(): void; trigger(trigger: 'person'): void };
    changed(site: Site): Promise<void>;
  };
  readonly clock: Clock;
  readonly report: (entry: Omit<AuditEntry, 'id' | 'at'>) => void;
  readonly log: (level: 'info' | 'error', message: string, fields?: Record<string, unknown>) => void;
}

export interface PauseAllActions {
  /** How it stands: undefined while sites sync as usual. */
  now(): PauseAll | undefined;
  /** The window that is planned, with the turn that is under way or comes next. */
  planned(): { readonly window: MaintenanceWindow; readonly turn: { from: number; until: number } } | undefined;
  /** Syncs under way finish. `until`: ms since 1970. Throws `form-invalid` (fact `until`). */
  pause(by: string, until?: number): Promise<void>;
  /** Ends the turn of a maintenance window early, too. */
  resume(by: string): Promise<void>;
  /** Throws `form-invalid` (facts `from`, `until`); undefined: none any more. */
  plan(window: MaintenanceWindow | undefined, by: string): Promise<void>;
  /** Begins and ends what is due, now and each minute. */
  start(): void;
  stop(): void;
}

/** Pauses all sites together, at once or for a maintenance window. Edits wait in the folders and are pushed afterwards. */
export function createPauseAll(deps: PauseAllDeps): PauseAllActions {
  const { clock, runtimes, report, log } = deps;
  const { sites } = deps.store;
  const stopping = new AbortController();

  async function pauseNow(pause: PauseAll): Promise<void> {
    for (const site of await sites.pauseTogether(pause)) {
      runtimes.worker(site.id).paused();
      await runtimes.changed(site);
    }
  }

  async function resumeNow(): Promise<void> {
    for (const site of await sites.resumeTogether()) {
      await runtimes.changed(site);
      runtimes.worker(site.id).trigger('person');
    }
  }

  /** Whatever is due by the clock. A daemon that was down meanwhile makes up for it. */
  async function tick(): Promise<void> {
    const now = clock.now();
    const pause = sites.pauseAll();
    if (pause?.until !== undefined && pause.until <= now) {
      await resumeNow();
      log('info', 'The pause of all sites is over.');
    }
    const window = sites.maintenanceWindow();
    const turn = window && turnOf(window, now);
    if (window && !turn) return sites.setMaintenanceWindow(undefined);
    if (!turn || turn.from > now || window?.skipped === turn.from || sites.pauseAll()) return;
    await pauseNow({ since: now, until: turn.until });
    log('info', 'A maintenance window began: all sites are paused.', { until: new Date(turn.until).toISOString() });
  }

  async function go(): Promise<void> {
    for (;;) {
      await tick().catch((error: unknown) => log('error', 'The maintenance window could not be looked at.', { error }));
      await clock.sleep(60_000 - (clock.now() % 60_000), stopping.signal);
    }
  }

  return {
    now: () => sites.pauseAll(),
    planned() {
      const window = sites.maintenanceWindow();
      const turn = window && turnOf(window, clock.now());
      return window && turn && { window, turn };
    },

    async pause(by, until) {
      if (until !== undefined && until <= clock.now())
        throw new Problem('form-invalid', { until: 'Enter a time in the future.' });
      await pauseNow({ by, since: clock.now(), ...(until === undefined ? {} : { until }) });
      report({ by, act: 'paused-all', detail: until === undefined ? '' : `until ${new Date(until).toISOString()}` });
    },

    async resume(by) {
      const window = sites.maintenanceWindow();
      const turn = window && turnOf(window, clock.now());
      if (window && turn && turn.from <= clock.now())
        await sites.setMaintenanceWindow({ ...window, skipped: turn.from });
      await resumeNow();
      report({ by, act: 'resumed-all', detail: '' });
    },

    async plan(window, by) {
      if (window) checkWindow(window, clock.now());
      await sites.setMaintenanceWindow(window);
      report({ by, act: 'planned-maintenance', detail: window ? new Date(window.from).toISOString() : 'none' });
      await tick();
    },

    // Ends only by the signal.
    start: () => void go().catch(() => undefined),
    stop: () => stopping.abort(),
  };
}

function checkWindow({ from, until, every }: MaintenanceWindow, now: number): void {
  const longest = longestWindowMs[every ?? 'once'];
  if (until <= from) throw new Problem('form-invalid', { until: 'The end comes before the start.' });
  if (!every && until <= now) throw new Problem('form-invalid', { until: 'This time is over.' });
  if (until - from > longest)
    throw new Problem('form-invalid', { until: `At most ${longest / 3_600_000} hours after the start.` });
}
