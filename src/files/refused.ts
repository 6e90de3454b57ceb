import { constants } from 'node:fs';
import { access, readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { errorCode } from './errno.ts';

/** Entries looked at before the walk stops: enough to see how a site is set up. */
const mostLooked = 5_000;
const mostTold = 100;

/**
 * Files below a folder that this process may not read, and folders in which it may make nothing. Asked by access(2),
 * which knows modes, groups and access lists; a process that may pass over them (CAP_DAC_OVERRIDE) must not ask here.
 */
export async function refusedBelow(folder: string): Promise<{ unreadable: string[]; unwritable: string[] }> {
  const [unreadable, unwritable]: [string[], string[]] = [[], []];
  const open = [folder];
  let looked = 0;
  for (let next = open.pop(); next !== undefined && looked < mostLooked; next = open.pop()) {
    if (unreadable.length + unwritable.length >= mostTold) break;
    if (await refuses(next, constants.W_OK | constants.X_OK)) unwritable.push(relative(folder, next) || '.');
    for (const entry of await readdir(next, { withFileTypes: true }).catch(() => [])) {
      looked += 1;
      const path = join(next, entry.name);
      if (entry.isDirectory() && entry.name !== '.git' && !entry.name.startsWith('.mooring-')) open.push(path);
      else if (entry.isFile() && (await refuses(path, constants.R_OK))) unreadable.push(relative(folder, path));
    }
  }
  return { unreadable, unwritable };
}

async function refuses(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => false,
    (error: unknown) => ['EACCES', 'EPERM', 'EROFS'].includes(errorCode(error)),
  );
}
