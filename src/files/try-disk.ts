import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type DiskFacts, createRung, removeRung, replaceRung } from '../model/disk.ts';
import type { Fs } from '../model/world.ts';
import { tryAbilities } from './abilities.ts';
import { close } from './errno.ts';
import { mountOf, readMounts } from './mount-table.ts';

/**
 * What the disk of a site's folder can do, tried in a folder that is left out of every scan and removed again: for a
 * check while no worker is there that knows. Throws what the system throws where nothing can be made there.
 */
export async function tryDisk(fs: Fs, site: string): Promise<DiskFacts> {
  const folder = await mkdtemp(join(site, '.mooring-'));
  try {
    const fd = fs.openRoot(folder);
    try {
      const fresh = (): string => randomBytes(8).toString('hex');
      const abilities = await tryAbilities(fs, fd, fresh, (name) => {
        if (fs.stat(fd, name)) fs.unlink(fd, name);
      });
      return {
        ...{ at: '', type: mountOf(site, readMounts())?.type ?? '', staging: 'inside' },
        ...{ replace: replaceRung(abilities), create: createRung(abilities), remove: removeRung(abilities) },
        ...{ modes: abilities.chmod, owners: abilities.chown },
        ...{ foldsCase: abilities.folding.case, timeStepNs: abilities.timeStepNs },
      };
    } finally {
      close(fs, fd);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
