import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createSiteActions } from '../../src/actions/sites.ts';
import { type Site, type SiteId, defaultSettings, firstStatus } from '../../src/model/site.ts';

const sites = suite('sites');
const id = 'a' as SiteId;
const site: Site = { id, name: 'A', folder: '/srv/a', createdAt: 0, paused: false, settings: defaultSettings };

/** A site that was in sync at its last good look, `agoMs` before now; three looks take 180 s. */
function lookedAt(agoMs: number): ReturnType<ReturnType<typeof createSiteActions>['status']> {
  const status = { ...firstStatus(0, 'unknown'), state: 'in-sync' as const, checkedAt: now - agoMs };
  return acts({}, status).status(id);
}

const now = 10_000_000;

function acts(
  over: Partial<Parameters<typeof createSiteActions>[0]>,
  status = firstStatus(0, 'unknown'),
): ReturnType<typeof createSiteActions> {
  return createSiteActions({
    store: {
      sites: {
        all: () => [site],
        get: () => site,
        add: () => Promise.resolve(site),
        change: () => Promise.resolve(site),
        remove: () => Promise.resolve(),
      },
    },
    folders: { folders: () => Promise.resolve([]), checkFolder: (path) => Promise.resolve(path) },
    runtimes: {
      worker: () => ({
        status: () => status,
        sync: async () => {},
        trigger: () => {},
        paused: () => {},
        breakOff: () => false,
      }),
      nextCheck: () => now + 1_000,
      patience: () => 180_000,
      add: () => Promise.resolve(),
      changed: () => Promise.resolve(),
      remove: () => Promise.resolve(),
    },
    syncStats: { forget: () => {} },
    clock: { now: () => now },
    report: () => {},
    ...over,
  });
}

sites('a site that nobody has seen well for three looks is unknown, never green', () => {
  assert.is(lookedAt(170_000).state, 'in-sync');
  assert.is(lookedAt(181_000).state, 'unknown');
});

sites('the next look is told also while all is well', () => {
  assert.is(lookedAt(1_000).nextTryAt, 10_001_000);
});

sites('asking for a sync is an entry of the audit log: who, and which site', async () => {
  const told: unknown[] = [];
  const asked = acts({ report: (act) => told.push(act) });
  await asked.syncNow(id, 'Ana');
  assert.equal(told, [{ by: 'Ana', site: id, act: 'asked-for-sync', detail: 'A' }]);
});

sites.run();
