import { Problem } from '../model/problem.ts';
import type { SiteLimits } from '../model/site.ts';
import type { Oid } from '../model/tree.ts';
import type { Fs } from '../model/world.ts';
import type { Repository } from '../sync/ports.ts';
import { close, unlessErrno } from './errno.ts';
import { openRoot } from './root.ts';

export interface DiskSpaceTools {
  readonly limits: SiteLimits;
  /** Bytes free on the disk of the site. */
  readonly free: () => number;
  /** Bytes the site's files have now. */
  readonly present: () => number;
  readonly sizes: Repository['sizes'];
  readonly folder: string;
}

/** What a file takes on disk beyond its bytes, at the most. */
const blockBytes = 4_096;

/** What is about to be written: blobs, and contents of a known size that the repository only points to. */
export interface Coming {
  readonly blobs: readonly Oid[];
  readonly large: readonly number[];
}

/**
 * Whether new contents fit, asked before the first byte is written: a disk filled to the brim stops the web server too.
 * Their sizes are asked for only where the largest they may be would not fit anyway. Throws `disk-full` and
 * `repository-too-large`.
 */
export async function checkDiskSpace({ blobs, large }: Coming, tools: DiskSpaceTools): Promise<void> {
  const { limits } = tools;
  const most = (blobs.length + large.length) * (limits.fileBytes + blockBytes);
  const free = tools.free();
  const present = most > free ? undefined : tools.present();
  if (present !== undefined && present + most <= limits.siteBytes) return;
  // Larger than one file may be: refused by its name, not written.
  const sizes = [...(await tools.sizes(blobs)), ...large].filter((size) => size <= limits.fileBytes);
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  const total = (present ?? tools.present()) + bytes;
  if (total > limits.siteBytes)
    throw new Problem('repository-too-large', { size: mebibytes(total), limit: mebibytes(limits.siteBytes) });
  const needed = bytes + sizes.length * blockBytes;
  if (needed > free)
    throw new Problem('disk-full', { folder: tools.folder, needs: mebibytes(needed), free: mebibytes(free) });
}

/** Bytes free on the disk of a folder; without end where the disk does not tell. Throws what {@link openRoot} throws. */
export function freeAt(fs: Fs, folder: string): number {
  const fd = openRoot(fs, folder);
  try {
    return unlessErrno(() => fs.free(fd)) ?? Number.POSITIVE_INFINITY;
  } finally {
    close(fs, fd);
  }
}

const mebibytes = (bytes: number): string => `${(Math.ceil((bytes / 1024 ** 2) * 10) / 10).toLocaleString('en')} MiB`;
