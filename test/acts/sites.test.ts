import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createSiteActs } from '../../src/acts/sites.ts';
import { type Site, type SiteId, defaultSettings, firstStatus } from '../../src/model/site.ts';

const sites = suite('sites');
const id = 'a' as SiteId;
const site: Site = { id, name: 'A', folder: '/srv/a', createdAt: 0, paused: false, settings: defaultSettings };

/** A site that was in sync at its last good look, `agoMs` before now; three looks take 180 s. */
function lookedAt(agoMs: number): ReturnType<ReturnType<typeof createSiteActs>['status']> {
  const now = 10_000_000;
  const status = { ...firstStatus(0, 'unknown'), state: 'in-sync' as const, checkedAt: now - agoMs };
  const acts = createSiteActs({
    store: {
      all: () => [site],
      get: () => site,
      add: () => Promise.resolve(site),
      change: () => Promise.resolve(site),
      remove: () => Promise.resolve(),
    },
    checkFolder: (path) => Promise.resolve(path),
    keeper: () => ({ status: () => status, ring: () => {}, paused: () => {}, breakOff: () => false }),
    nextCheck: () => now + 1_000,
    patience: () => 180_000,
    now: () => now,
    siteAdded: () => Promise.resolve(),
    siteChanged: () => Promise.resolve(),
    siteRemoved: () => Promise.resolve(),
    report: () => {},
  });
  return acts.status(id);
}

sites('a site that nobody has seen well for three looks is unknown, never green', () => {
  assert.is(lookedAt(170_000).state, 'in-sync');
  assert.is(lookedAt(181_000).state, 'unknown');
});

sites('the next look is told also while all is well', () => {
  assert.is(lookedAt(1_000).nextTryAt, 10_001_000);
});

sites.run();
