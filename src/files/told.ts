import { randomBytes } from 'node:crypto';
import { type FSWatcher, mkdirSync, rmdirSync, watch } from 'node:fs';
import { join } from 'node:path';

/**
 * Whether the file system of a folder tells of what is written there, tried with a name that no scan looks at; yes, where
 * that cannot be tried. `late` aborts when it would have been told by now. What others write on a disk that several machines share may go untold all the same.
 */
export async function isTold(folder: string, late: AbortSignal): Promise<boolean> {
  const name = `.mooring-${randomBytes(12).toString('hex')}`;
  let watcher: FSWatcher | undefined;
  try {
    const own = (watcher = watch(folder));
    const told = new Promise<boolean>((resolve) => {
      own.on('change', (_kind, changed) => void (changed === name && resolve(true)));
      own.on('error', () => resolve(true));
      late.addEventListener('abort', () => resolve(false));
    });
    // At once, so that nothing is left if the process ends.
    mkdirSync(join(folder, name), 0o700);
    rmdirSync(join(folder, name));
    return await told;
  } catch {
    return true;
  } finally {
    watcher?.close();
  }
}
