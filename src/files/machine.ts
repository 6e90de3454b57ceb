import { readFile, readdir, stat, statfs } from 'node:fs/promises';

/** Room on the file system of a folder, in bytes, as far as we may use it. */
export interface DiskSpace {
  readonly free: number;
  readonly total: number;
}

/** Undefined where it cannot be read. */
export async function diskSpaceOf(folder: string): Promise<DiskSpace | undefined> {
  try {
    const { bavail, blocks, bsize } = await statfs(folder);
    return { free: bavail * bsize, total: blocks * bsize };
  } catch {
    return undefined;
  }
}

/** The user id of a folder's owner; -1, which nobody has, where it cannot be looked at. */
export async function ownerOf(folder: string): Promise<number> {
  return stat(folder).then(
    ({ uid }) => uid,
    () => -1,
  );
}

export interface Watches {
  readonly used: number;
  /** What the kernel grants each user. */
  readonly limit: number;
}

/** The kernel's watches of this process; undefined where there is no such thing as inotify. */
export async function watchesInUse(): Promise<Watches | undefined> {
  try {
    const limit = Number(await readFile('/proc/sys/fs/inotify/max_user_watches', 'utf8'));
    let used = 0;
    for (const fd of await readdir('/proc/self/fdinfo')) {
      // Descriptors come and go while they are counted.
      const text = await readFile(`/proc/self/fdinfo/${fd}`, 'utf8').catch(() => '');
      if (text.includes('inotify wd:')) used += text.split('inotify wd:').length - 1;
    }
    return Number.isFinite(limit) ? { used, limit } : undefined;
  } catch {
    return undefined;
  }
}
