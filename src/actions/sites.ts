import type { AuditEntry } from '../model/event.ts';
import { Problem } from '../model/problem.ts';
import { type Site, type SiteId, type SiteStatus, firstStatus } from '../model/site.ts';
import type { Clock } from '../model/world.ts';

export interface SiteActionsDeps {
  readonly store: {
    readonly sites: {
      all(): readonly Site[];
      get(id: string): Site | undefined;
      add(site: { name: string; folder: string }): Promise<Site>;
      change(id: SiteId, to: { paused?: boolean }): Promise<Site>;
      remove(id: SiteId): Promise<void>;
    };
  };
  readonly folders: {
    folders(): Promise<readonly FolderChoice[]>;
    /** The folder's real path, or throws `folder-*`. */
    checkFolder(path: string): Promise<string>;
  };
  /** A worker, schedules and a watcher are created and removed with the site. */
  readonly runtimes: {
    worker(id: SiteId): {
      status(): SiteStatus;
      trigger(trigger: 'person'): void;
      sync(waiting: AbortSignal): Promise<void>;
      paused(): void;
      breakOff(): boolean;
    };
    /** When the schedule checks the branch next, in ms since 1970. */
    nextCheck(id: SiteId): number | undefined;
    /** After so long without a successful check, in ms, a site's state counts as unknown. */
    patience(id: SiteId): number | undefined;
    add(site: Site): Promise<void>;
    changed(site: Site): Promise<void>;
    remove(id: SiteId): Promise<void>;
  };
  readonly syncStats: { forget(id: SiteId): void };
  readonly clock: Pick<Clock, 'now'>;
  readonly report: (entry: Omit<AuditEntry, 'id' | 'at'>) => void;
}

/** A folder under one of the roots. */
export interface FolderChoice {
  readonly path: string;
  /** Counted up to a bound: a larger folder shows the bound. */
  readonly files: number;
  readonly bytes: number;
  readonly empty: boolean;
  /** A sentence, when the folder cannot be used. */
  readonly disabled?: string;
}

export interface SiteActions {
  all(): readonly Site[];
  get(id: string): Site | undefined;
  status(id: SiteId): SiteStatus;
  /** Subfolders of the roots, with why one cannot be used. */
  folders(): Promise<readonly FolderChoice[]>;
  /** Throws `form-invalid` (facts by field) and `folder-*`. */
  add(form: { name: string; folder: string }, by: string): Promise<Site>;
  remove(id: SiteId, by: string): Promise<void>;
  /** `now`: a sync under way is stopped; otherwise it ends first. */
  pause(id: SiteId, by: string, when?: 'now'): Promise<void>;
  resume(id: SiteId, by: string): Promise<void>;
  /** Triggers a sync and does not wait for it. */
  syncNow(id: SiteId, by: string): Promise<void>;
  /**
   * Syncs and waits until a run has ended that saw everything from before the call, or until `waiting` aborts. False: it
   * is still under way. Throws `not-connected`.
   */
  syncAndWait(id: SiteId, by: string, waiting: AbortSignal): Promise<boolean>;
}

/** Adds, removes, pauses and syncs sites. Removing a site leaves its files. */
export function createSiteActions(deps: SiteActionsDeps): SiteActions {
  const { runtimes, report } = deps;
  const store = deps.store.sites;
  const existing = (id: SiteId): Site => {
    const site = store.get(id);
    if (!site) throw new Problem('not-found', {});
    return site;
  };
  return {
    all: () => store.all(),
    get: (id) => store.get(id),
    status(id) {
      const told = store.get(id) ? runtimes.worker(id).status() : firstStatus(0, 'unknown');
      const status = honest(told, runtimes.patience(id), deps.clock.now());
      const next = status.nextTryAt ?? runtimes.nextCheck(id);
      return next === undefined ? status : { ...status, nextTryAt: next };
    },

    folders: () => deps.folders.folders(),

    async add(form, by) {
      const name = form.name.trim();
      if (name === '' || name.length > 100)
        throw new Problem('form-invalid', { name: 'Give it a name of 1 to 100 characters.' });
      if (store.all().some((site) => site.name === name))
        throw new Problem('form-invalid', { name: `There is a site called ${name} already.` });
      const folder = await deps.folders.checkFolder(form.folder);
      const site = await store.add({ name, folder });
      await runtimes.add(site);
      report({ by, site: site.id, act: 'added-site', detail: site.name });
      return site;
    },

    async remove(id, by) {
      const site = existing(id);
      if (site.binding) throw new Problem('already-connected', { site: site.name });
      await runtimes.remove(id);
      deps.syncStats.forget(id);
      await store.remove(id);
      report({ by, act: 'removed-site', detail: site.name });
    },

    async pause(id, by, when) {
      const site = await store.change(existing(id).id, { paused: true });
      if (when === 'now') runtimes.worker(id).breakOff();
      runtimes.worker(id).paused();
      await runtimes.changed(site);
      report({ by, site: id, act: 'paused', detail: site.name });
    },

    async resume(id, by) {
      const site = await store.change(existing(id).id, { paused: false });
      await runtimes.changed(site);
      runtimes.worker(id).trigger('person');
      report({ by, site: id, act: 'resumed', detail: site.name });
    },

    async syncNow(id, by) {
      const { name } = existing(id);
      report({ by, site: id, act: 'asked-for-sync', detail: name });
      runtimes.worker(id).trigger('person');
    },

    async syncAndWait(id, by, waiting) {
      const { name, binding } = existing(id);
      if (!binding) throw new Problem('not-connected', { site: name });
      report({ by, site: id, act: 'asked-for-sync', detail: name });
      const left = new Promise<false>((resolve) => {
        waiting.addEventListener('abort', () => resolve(false), { once: true });
        if (waiting.aborted) resolve(false);
      });
      const ended = runtimes
        .worker(id)
        .sync(waiting)
        .then(
          () => true,
          (error: unknown) => {
            if (waiting.aborted) return false;
            throw error;
          },
        );
      return Promise.race([ended, left]);
    },
  };
}

/** `in-sync` needs a recent check: after three missed ones the state is unknown. `patience`: of its schedule, in ms. */
export function honest(status: SiteStatus, patience: number | undefined, now: number): SiteStatus {
  const since = status.checkedAt ?? status.since;
  const isStale = patience !== undefined && now - since > patience;
  return isStale && status.state === 'in-sync' ? { ...status, state: 'unknown', since: since + patience } : status;
}
