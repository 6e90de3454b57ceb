import type { Fs } from '../model/world.ts';
import { type SitePath, parentOf } from '../model/tree.ts';
import { isUnsupported } from './errno.ts';
import { isStaged, undo } from './replace.ts';
import { unwritable } from './root.ts';
import { type Held, type Staging, stagedNow } from './staging.ts';
import { DirectoryHandles, foldersTo } from './directory-handles.ts';

/**
 * Puts back what a crash, or a disk that failed, left half-way between staging and its name. `moves`: how many there
 * were. Throws `folder-unwritable` and the problems of disk, process and state: the run ends before anything is looked
 * at, since a name that could not be given back is no removal.
 */
export async function recoverMoves(
  fs: Fs,
  root: string,
  staging: Staging,
): Promise<{ readonly moves: number; readonly returned: readonly SitePath[] }> {
  const moves = staging.unsettled();
  const handles = new DirectoryHandles(fs, root);
  const isOurs = (move: Held): boolean => {
    const now = stagedNow(fs, handles, move);
    return !now || isStaged(now.stat, move);
  };
  try {
    const undone = [];
    for (const move of moves) undone.push({ move, how: await undo(fs, handles, move) });
    const returned = undone.filter(({ how }) => how !== 'nothing').map(({ move }) => move.path);
    staging.release(
      handles,
      undone.filter(({ move, how }) => how !== 'was-live' && isOurs(move)).map(({ move }) => move),
    );
    // Somebody may be writing into what was live for a while: looked at once more, like a replaced file.
    const wereLive = undone.filter(({ how }) => how === 'was-live').map(({ move }) => move);
    staging.announce(wereLive.map(({ folder, name, path }) => ({ folder, name, path })));
    await syncFolders(fs, handles, moves);
    staging.sweep(handles);
    staging.makeFinal();
    staging.tidy(handles);
    return { moves: moves.length, returned };
  } catch (error) {
    throw unwritable(error, root);
  } finally {
    handles.close();
  }
}

/**
 * What arrived before the end came counts from now on, and its names may not be safe yet: a power cut would take them
 * back, and that would look like an edit.
 */
async function syncFolders(fs: Fs, handles: DirectoryHandles, moves: readonly Held[]): Promise<void> {
  const folders = new Set(['', ...moves.flatMap(({ path }) => foldersTo(parentOf(path)))]);
  for (const folder of moves.length === 0 ? [] : folders) {
    const fd = handles.folderIfThere(folder);
    if (fd !== undefined) await fs.fsync(fd).catch(unlessUnsupported);
  }
}

/** Many network disks sync no folders: there it is the server that keeps names. */
function unlessUnsupported(error: unknown): void {
  if (!isUnsupported(error)) throw error;
}
