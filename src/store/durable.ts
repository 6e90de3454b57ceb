import { randomInt } from 'node:crypto';
import { open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Problem } from '../model/problem.ts';

/** What every file of the state directory is created with, whatever the umask: nobody else reads the store. */
export const FILE_MODE = 0o600;
export const FOLDER_MODE = 0o700;

/**
 * Replaces a file so that a crash leaves the old content or the new, never a mixture: temporary file, fsync, rename,
 * fsync of the folder (without the last, a power cut may undo the rename after we have promised it).
 * Throws `disk-full` when there is no room; any other error of the file system rises as it is.
 */
export async function writeDurably(path: string, content: string | Buffer): Promise<void> {
  const temporary = `${path}.${randomInt(1_000_000, 2 ** 40)}`;
  try {
    await writeAll(temporary, content);
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    const code = errorCode(error);
    if (code === 'ENOSPC' || code === 'EDQUOT') {
      throw new Problem('disk-full', { folder: dirname(path) }, { cause: error });
    }
    throw error;
  }
}

// Not write-file-atomic: it calls write once and takes no notice of how much was written. On a disk with one free block
// the kernel writes that much and reports no error, and half a file is renamed into place (seen with 8.0.0).
async function writeAll(path: string, content: string | Buffer): Promise<void> {
  const file = await open(path, 'wx', FILE_MODE);
  try {
    await file.writeFile(content);
    // A command run by root (rotate-key) must not take the store away from the daemon's own user.
    if (process.getuid?.() === 0) {
      const { uid, gid } = await stat(dirname(path));
      await file.chown(uid, gid);
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes renames and new names in a folder survive a power cut. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Removes what a kill between write and rename left of a file and its generations: `<name>.<long number>` beside it. */
export async function sweepTemporary(path: string): Promise<void> {
  const name = basename(path);
  for (const entry of await readdir(dirname(path))) {
    if (entry.startsWith(`${name}.`) && /^([1-3]\.)?\d{4,}$/.test(entry.slice(name.length + 1))) {
      await rm(join(dirname(path), entry), { force: true });
    }
  }
}

/** Whether something has this name; faults other than its absence rise, so that EIO never counts as "not there". */
export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

/** `ENOENT` and its kind; empty for anything that is no system error. */
export function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}
