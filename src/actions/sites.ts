import type { AuditEntry } from '../model/event.ts';
import { Problem } from '../model/problem.ts';
import { type Site, type SiteId, type SiteStatus, firstStatus } from '../model/site.ts';

export interface SiteActionsDeps {
  readonly store: {
    all(): readonly Site[];
    get(id: string): Site | undefined;
    add(site: { name: string; folder: string }): Promise<Site>;
    change(id: SiteId, to: { paused?: boolean }): Promise<Site>;
    remove(id: SiteId): Promise<void>;
  };
  readonly checkFolder: (path: string) => Promise<string>;
  readonly worker: (id: SiteId) => {
    status(): SiteStatus;
    trigger(trigger: 'person'): void;
    paused(): void;
    breakOff(): boolean;
  };
  /** When the branch is looked at next by the clock, in ms since 1970. */
  readonly nextCheck: (id: SiteId) => number | undefined;
  /** After so long without a good look, in ms, nobody knows how a site stands. */
  readonly patience: (id: SiteId) => number | undefined;
  readonly now: () => number;
  /** A worker, schedules and a watcher are created and removed with the site. */
  readonly siteAdded: (site: Site) => Promise<void>;
  readonly siteChanged: (site: Site) => Promise<void>;
  readonly siteRemoved: (id: SiteId) => Promise<void>;
  readonly report: (act: Omit<AuditEntry, 'id' | 'at'>) => void;
}

export interface SiteActions {
  all(): readonly Site[];
  get(id: string): Site | undefined;
  status(id: SiteId): SiteStatus;
  /** Throws `form-invalid` (facts by field) and `folder-*`. */
  add(form: { name: string; folder: string }, by: string): Promise<Site>;
  remove(id: SiteId, by: string): Promise<void>;
  /** `now`: what is under way is broken off; otherwise it ends first. */
  pause(id: SiteId, by: string, when?: 'now'): Promise<void>;
  resume(id: SiteId, by: string): Promise<void>;
  syncNow(id: SiteId, by: string): Promise<void>;
}

/** Sites come, go, rest and are told to look now. Removing one forgets it; its files stay. */
export function createSiteActions(deps: SiteActionsDeps): SiteActions {
  const { store } = deps;
  const existing = (id: SiteId): Site => {
    const site = store.get(id);
    if (!site) throw new Problem('not-found', {});
    return site;
  };
  return {
    all: () => store.all(),
    get: (id) => store.get(id),
    status(id) {
      const told = store.get(id) ? deps.worker(id).status() : firstStatus(0, 'unknown');
      const status = honest(told, deps.patience(id), deps.now());
      const next = status.nextTryAt ?? deps.nextCheck(id);
      return next === undefined ? status : { ...status, nextTryAt: next };
    },

    async add(form, by) {
      const name = form.name.trim();
      if (name === '' || name.length > 100)
        throw new Problem('form-invalid', { name: 'Give it a name of 1 to 100 characters.' });
      if (store.all().some((site) => site.name === name))
        throw new Problem('form-invalid', { name: `There is a site called ${name} already.` });
      const folder = await deps.checkFolder(form.folder);
      const site = await store.add({ name, folder });
      await deps.siteAdded(site);
      deps.report({ by, site: site.id, act: 'added-site', detail: site.name });
      return site;
    },

    async remove(id, by) {
      const site = existing(id);
      if (site.binding) throw new Problem('already-connected', { site: site.name });
      await deps.siteRemoved(id);
      await store.remove(id);
      deps.report({ by, act: 'removed-site', detail: site.name });
    },

    async pause(id, by, when) {
      const site = await store.change(existing(id).id, { paused: true });
      if (when === 'now') deps.worker(id).breakOff();
      deps.worker(id).paused();
      await deps.siteChanged(site);
      deps.report({ by, site: id, act: 'paused', detail: site.name });
    },

    async resume(id, by) {
      const site = await store.change(existing(id).id, { paused: false });
      await deps.siteChanged(site);
      deps.worker(id).trigger('person');
      deps.report({ by, site: id, act: 'resumed', detail: site.name });
    },

    async syncNow(id, by) {
      const { name } = existing(id);
      deps.report({ by, site: id, act: 'asked-for-sync', detail: name });
      deps.worker(id).trigger('person');
    },
  };
}

/** Well is what was checked lately; what nobody has seen for three looks is unknown, whatever it was. */
function honest(status: SiteStatus, patience: number | undefined, now: number): SiteStatus {
  const since = status.checkedAt ?? status.since;
  const isStale = patience !== undefined && now - since > patience;
  return isStale && status.state === 'in-sync' ? { ...status, state: 'unknown', since: since + patience } : status;
}
