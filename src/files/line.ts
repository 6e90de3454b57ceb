import type { NotSyncedReason } from '../model/site.ts';
import type { Entry } from '../model/tree.ts';
import type { Stat } from '../model/world.ts';

/** What we believe is at one path. Without `seen` we only know what the ledger says: the file is looked at again. */
export interface Line extends Entry {
  readonly seen?: Seen;
  /** Not ours to write here: counts as agreed, is not scanned and never reported as gone. */
  readonly refused?: NotSyncedReason;
  /** Whether its owner could execute the file when it was last seen; absent where nobody asked. */
  readonly isExecutable?: boolean;
  /** A text that was committed as it is, for its lines end in more than one way, although `.gitattributes` want LF. */
  readonly hasMixedLines?: true;
  /** What still stands at the path in place of a refused version, as far as we put it there. */
  readonly was?: Entry;
}

/** A line that says why nothing is written. */
export type RefusedLine = Line & Required<Pick<Line, 'refused'>>;

/** A file's stat when its content was last known. */
export interface Seen {
  readonly dev: string;
  readonly ino: string;
  readonly size: number;
  readonly mtimeNs: string;
  readonly ctimeNs: string;
  /** Written so recently that a second write in the same tick of the clock would not show: read it again. */
  readonly unsure?: true;
}

/** Coarsest step in which a local file system's time stamps move, with room to spare, in ns. */
const tickNs = 20_000_000n;

/** `nowMs`: wall time of the stat; a file that changed within a tick of it is marked unsure. */
export function seenOf(stat: Stat, nowMs: number): Seen {
  const recent = BigInt(Math.round(nowMs)) * 1_000_000n - stat.ctimeNs < tickNs;
  return {
    ...(recent ? { unsure: true as const } : {}),
    dev: String(stat.dev),
    ino: String(stat.ino),
    size: stat.size,
    mtimeNs: String(stat.mtimeNs),
    ctimeNs: String(stat.ctimeNs),
  };
}

/** The same file with, as far as a stat can tell, the same content. */
export function sameSeen(seen: Seen | undefined, stat: Stat): boolean {
  return seen !== undefined && !seen.unsure && sameInode(seen, stat) && seen.ctimeNs === String(stat.ctimeNs);
}

/** As {@link sameSeen} without ctime, which our own rename and link change. */
export function sameInode(seen: Seen, stat: Stat): boolean {
  return (
    seen.ino === String(stat.ino) &&
    seen.dev === String(stat.dev) &&
    seen.size === stat.size &&
    seen.mtimeNs === String(stat.mtimeNs)
  );
}
