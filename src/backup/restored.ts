import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { SiteId } from '../model/site.ts';
import { syncFolder } from '../store/durable.ts';
import { machineId } from './machine-id.ts';

/** What a restore notes beside each connected site, until the site's first run has begun to use its state. */
export const restoredName = (id: string): string => `manifests/${id}/restored.json`;

const noteSchema = z.strictObject({ machine: z.string() });

/** The note for sites of a backup that was made on this machine. */
export const restoredNote = (machine: string): string => `${JSON.stringify({ machine })}\n`;

/** Whether a site's state comes from a backup and waits to be compared with its folder and branch. */
export function restoredSite(stateDir: string, id: SiteId) {
  const path = join(stateDir, restoredName(id));
  let known: { readonly elsewhere: boolean } | undefined | 'not read' = 'not read';
  return {
    async read(): Promise<{ readonly elsewhere: boolean } | undefined> {
      if (known === 'not read') known = await readNote(path);
      return known;
    },
    async done(): Promise<void> {
      if (known === undefined) return;
      await rm(path, { force: true });
      await syncFolder(join(path, '..'));
      known = undefined;
    },
  };
}

async function readNote(path: string): Promise<{ readonly elsewhere: boolean } | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const here = machineId();
  const { machine } = parse(text);
  return { elsewhere: machine !== '' && here !== '' && machine !== here };
}

/** A note that cannot be read is one of another machine: then a person is asked. */
function parse(text: string): z.output<typeof noteSchema> {
  try {
    return noteSchema.parse(JSON.parse(text));
  } catch {
    return { machine: 'not known' };
  }
}
