import type { Mode, Oid, SitePath } from '../model/tree.ts';
import type { Fs } from '../model/world.ts';
import type { LateWrite, OpenFile } from '../sync/ports.ts';
import { pathErrno } from './errno.ts';
import type { hashFile } from './read.ts';
import { isStaged } from './replace.ts';
import { type Held, type Staging, stagedNow } from './staging.ts';
import { DirectoryHandles } from './directory-handles.ts';

export interface LateTools {
  readonly fs: Fs;
  readonly root: string;
  readonly staging: Staging;
  /** The content at `at` now, counted as one of the site's `path`, where `was` may stand as it is. */
  readonly hash: (at: SitePath, path: SitePath, was: Oid | undefined) => ReturnType<typeof hashFile>;
  /** As what is recorded: a plain file, or a link. */
  readonly open: (at: SitePath, path: SitePath, mode: Mode) => Promise<OpenFile | undefined>;
}

/** A replaced file is looked at once more after this long: somebody may still have had it open. */
const graceMs = 600_000;

/** Looks once more at files that were replaced a while ago; what nobody wrote into goes. */
export async function lateWrites(tools: LateTools): Promise<readonly LateWrite[]> {
  const { fs, root, staging } = tools;
  const due = staging.heldFor(graceMs);
  if (due.length === 0) return [];
  const handles = new DirectoryHandles(fs, root);
  try {
    const late: LateWrite[] = [];
    const done: Held[] = [];
    for (const held of due) {
      const now = await becameOf(held, tools, handles);
      if (now === 'nothing') done.push(held);
      else if (now !== 'unknown') late.push(lateWrite(tools, held, now.mode));
    }
    staging.release(handles, done);
    staging.tidy(handles);
    return late;
  } finally {
    handles.close();
  }
}

/** `unknown`: still being written, or not readable at the moment. It stays until that can be told. */
async function becameOf(
  held: Held,
  { fs, hash }: LateTools,
  handles: DirectoryHandles,
): Promise<'nothing' | 'unknown' | { readonly mode: Mode }> {
  try {
    const there = stagedNow(fs, handles, held);
    // Our own content: it was never live, or is live and has this as a second name.
    if (!there || isStaged(there.stat, held)) return 'nothing';
    const now = await hash(placeOf(held), held.path, held.before?.oid);
    if (!now) return 'unknown';
    if (now.oid === held.before?.oid) return 'nothing';
    return { mode: now.form === 'link' ? '120000' : '100644' };
  } catch (error) {
    pathErrno(error);
    return 'unknown';
  }
}

function lateWrite({ fs, root, staging, open }: LateTools, held: Held, mode: Mode): LateWrite {
  return {
    path: held.path,
    before: held.before?.oid ?? ('' as never),
    file: { path: held.path, file: { mode, open: () => open(placeOf(held), held.path, mode) } },
    done() {
      const handles = new DirectoryHandles(fs, root);
      staging.release(handles, [held]);
      staging.tidy(handles);
      handles.close();
    },
  };
}

const placeOf = ({ folder, name }: Held): SitePath => `${folder}/${name}` as SitePath;
