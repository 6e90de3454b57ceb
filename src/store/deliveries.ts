import { mkdir, readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { type OutgoingDelivery, outgoingEvents } from '../model/outgoing.ts';
import { FOLDER_MODE, errorCode, writeDurably } from './durable.ts';
import { siteId } from './shapes.ts';

/** Calls that are owed and were made, one file each: a call that waits must not cost the writing of all others. */
export interface DeliveryStore {
  /** Everything that is kept, in no order. */
  load(): Promise<readonly OutgoingDelivery[]>;
  /** Durable when it resolves. */
  save(delivery: OutgoingDelivery): Promise<void>;
  remove(delivery: Pick<OutgoingDelivery, 'id' | 'webhook'>): Promise<void>;
  /** Of a webhook that is removed. */
  removeAll(webhook: string): Promise<void>;
}

const schema = z.strictObject({
  id: z.string(),
  webhook: z.string(),
  event: z.enum(outgoingEvents),
  site: siteId,
  at: z.number(),
  body: z.string(),
  state: z.enum(['waiting', 'delivered', 'failed']),
  tries: z.array(z.strictObject({ at: z.number(), good: z.boolean(), said: z.string() })),
  nextAt: z.number().exactOptional(),
}) satisfies z.ZodType<OutgoingDelivery>;

export function createDeliveryStore(folder: string): DeliveryStore {
  const folderOf = (webhook: string): string => join(folder, webhook);
  const fileOf = ({ id, webhook }: Pick<OutgoingDelivery, 'id' | 'webhook'>): string =>
    join(folderOf(webhook), `${id}.json`);
  return {
    async load() {
      const found: OutgoingDelivery[] = [];
      for (const webhook of await namesIn(folder))
        for (const name of await namesIn(folderOf(webhook))) {
          const one = await read(join(folderOf(webhook), name));
          if (one && fileOf(one) === join(folderOf(webhook), name)) found.push(one);
        }
      return found;
    },
    async save(delivery) {
      await mkdir(folderOf(delivery.webhook), { recursive: true, mode: FOLDER_MODE });
      await writeDurably(fileOf(delivery), JSON.stringify(delivery));
    },
    remove: (delivery) => rm(fileOf(delivery), { force: true }),
    removeAll: (webhook) => rm(folderOf(webhook), { recursive: true, force: true }),
  };
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Undefined for a file that a disk fault spoiled, and for one that a kill left half-written beside its name. */
async function read(path: string): Promise<OutgoingDelivery | undefined> {
  try {
    return schema.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch {
    return undefined;
  }
}
