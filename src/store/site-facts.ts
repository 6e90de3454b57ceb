import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import type { Conflict } from '../model/plan.ts';
import type { SiteId, SiteStatus } from '../model/site.ts';
import type { Refusal } from '../model/refusal.ts';
import type { Oid } from '../model/tree.ts';
import { openDatabase, type Database } from './database.ts';
import type { StoreNote } from './store-file.ts';
import { exists, syncFolder } from './durable.ts';
import { conflict, mark, oid, sitePath, status } from './shapes.ts';

/** What one site remembers between runs. Losing it costs words on a page, never a file: git's refs hold the truth. */
interface SiteFacts {
  /** As last told; `state` is worked out again after a start. */
  status?: SiteStatus;
  conflicts: Conflict[];
  /** The commit both sides last agreed on: a hint for the day the repository is lost, no more. */
  agreed?: Oid;
  /** The push GitLab refused last, in its words. */
  refusal?: Refusal;
}

export interface SiteFactsStore {
  /** The site's facts; opened, or made, at the first call. */
  of(id: SiteId): Promise<Database<SiteFacts>>;
  /** Removes the site's file, its generations included. */
  forget(id: SiteId): Promise<void>;
  flushed(): Promise<void>;
}

export const siteFactsSchema: z.ZodType<SiteFacts> = z.strictObject({
  status: status.exactOptional(),
  conflicts: z.array(conflict),
  agreed: oid.exactOptional(),
  refusal: z
    .strictObject({
      commit: oid,
      text: z.string(),
      first: z.array(sitePath).exactOptional(),
      leaves: z.array(z.strictObject({ path: sitePath, mark })).exactOptional(),
    })
    .exactOptional(),
});

/** One file per site, so that a busy site rewrites only its own few kilobytes. */
export function createSiteFacts(deps: {
  folder: string;
  now: () => number;
  onNotes: (notes: readonly StoreNote[]) => void;
}): SiteFactsStore {
  const { folder, now, onNotes } = deps;
  const open = new Map<SiteId, Promise<Database<SiteFacts>>>();
  const pathOf = (id: SiteId): string => join(folder, `${id}.json`);

  async function openOne(id: SiteId): Promise<Database<SiteFacts>> {
    const db = await openDatabase<SiteFacts>({
      path: pathOf(id),
      kind: 'site',
      version: 1,
      schema: siteFactsSchema,
      migrations: [],
      initial: { conflicts: [] },
      missing: 'create',
      now,
    });
    if (db.notes.length > 0) onNotes(db.notes);
    return db;
  }

  return {
    of(id) {
      const known = open.get(id);
      if (known) return known;
      const opening = openOne(id);
      open.set(id, opening);
      // A failed opening is tried again at the next call.
      opening.catch(() => open.delete(id));
      return opening;
    },
    async forget(id) {
      const db = await open.get(id)?.catch(() => undefined);
      await db?.flushed();
      open.delete(id);
      for (const end of ['', '.1', '.2', '.3']) await rm(`${pathOf(id)}${end}`, { force: true });
      if (await exists(folder)) await syncFolder(dirname(pathOf(id)));
    },
    async flushed() {
      const all = await Promise.allSettled(open.values());
      for (const each of all) if (each.status === 'fulfilled') await each.value.flushed();
    },
  };
}
