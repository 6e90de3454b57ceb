import { join } from 'node:path';
import type { z } from 'zod';
import type { AfterRecord } from '../model/after.ts';
import type { AuditEntry, RunRecord } from '../model/event.ts';
import type { SiteId } from '../model/site.ts';
import { lineFile, type LineFile } from './lines.ts';
import { actRecord, afterRecord, runRecord } from './records.ts';

/** What happened: one file of lines per site, and one for what people did. Bounded, newest first. */
export interface History {
  addRun(site: SiteId, run: RunRecord): Promise<void>;
  addAct(act: AuditEntry): Promise<void>;
  addAfter(site: SiteId, record: AfterRecord): Promise<void>;
  /** Of these runs, what was started after them, the first start first. */
  after(site: SiteId, runs: readonly string[]): Promise<readonly AfterRecord[]>;
  /** `total` counts what is still kept. */
  runs(id: SiteId, page: { limit: number; offset: number }): Promise<{ rows: readonly RunRecord[]; total: number }>;
  /** `sites`: only what was done to these. */
  acts(page: {
    limit: number;
    offset: number;
    sites?: readonly SiteId[];
  }): Promise<{ rows: readonly AuditEntry[]; total: number }>;
  /** Removes a site's runs; what people did to it stays. */
  forget(site: SiteId): Promise<void>;
  /** Resolves when everything added so far is on disk. */
  flushed(): Promise<void>;
}

/** Some five thousand runs; the generation before it stays as well. */
const MAX_BYTES = 5 * 1024 * 1024;

export function createHistory(options: { folder: string; maxBytes?: number }): History {
  const { folder, maxBytes = MAX_BYTES } = options;
  const acts = lineFile(join(folder, 'acts.jsonl'), { maxBytes, tagOf: (text) => parse(actRecord, text)?.site ?? '' });
  const sites = new Map<SiteId, LineFile>();
  const programs = new Map<SiteId, LineFile>();

  function programsOf(site: SiteId): LineFile {
    fileOf(site);
    const known = programs.get(site);
    if (known) return known;
    const tagOf = (text: string): string | undefined => parse(afterRecord, text)?.run;
    const file = lineFile(join(folder, `after-${site}.jsonl`), { maxBytes: maxBytes / 5, tagOf });
    programs.set(site, file);
    return file;
  }

  function fileOf(site: SiteId): LineFile {
    // Only sites of the store come here, and their ids hold no slash; a second look costs nothing.
    if (!/^[a-z0-9][a-z0-9-]*$/.test(site)) throw new Error(`not a site id: ${site}`);
    const known = sites.get(site);
    if (known) return known;
    const file = lineFile(join(folder, `site-${site}.jsonl`), { maxBytes, tagOf: isObject });
    sites.set(site, file);
    return file;
  }

  return {
    addRun: (site, run) => fileOf(site).append(JSON.stringify(run), ''),
    addAct: (act) => acts.append(JSON.stringify(act), act.site ?? ''),
    addAfter: (site, record) => programsOf(site).append(JSON.stringify(record), record.run),
    async after(site, runs) {
      const { lines } = await programsOf(site).page({ limit: 1_000, offset: 0, tags: new Set(runs) });
      return parseAll(afterRecord, lines).reverse();
    },
    async runs(id, page) {
      const { lines, total } = await fileOf(id).page(page);
      return { rows: parseAll(runRecord, lines), total };
    },
    async acts({ sites: about, limit, offset }) {
      const { lines, total } = await acts.page({ limit, offset, ...(about ? { tags: new Set(about) } : {}) });
      return { rows: parseAll(actRecord, lines), total };
    },
    async forget(site) {
      await Promise.all([fileOf(site).remove(), programsOf(site).remove()]);
      sites.delete(site);
      programs.delete(site);
    },
    async flushed() {
      await Promise.all([acts, ...sites.values(), ...programs.values()].map((file) => file.settled()));
    },
  };
}

/** Cheap, for it runs over the whole file once: is it one whole object of ours? */
function isObject(text: string): string | undefined {
  return text.startsWith('{"') && text.endsWith('}') ? '' : undefined;
}

function parseAll<T>(schema: z.ZodType<T>, lines: readonly string[]): T[] {
  return lines.map((line) => parse(schema, line)).filter((row) => row !== undefined);
}

/** Undefined for a line that a disk fault spoiled: the rest of the story is worth showing. */
function parse<T>(schema: z.ZodType<T>, text: string): T | undefined {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
