import type { Fs } from '../model/world.ts';
import type { SitePath } from '../model/tree.ts';
import { type Undone, isStaged, undo } from './replace.ts';
import { errorCode } from './disk.ts';
import { type Held, type Staging, stagedNow } from './staging.ts';
import { Walk } from './walk.ts';

/** Puts back what a crash left half-way between staging and its name. `moves`: how many there were. */
export function recoverMoves(
  fs: Fs,
  root: string,
  staging: Staging,
): { readonly moves: number; readonly returned: readonly SitePath[] } {
  const moves = staging.unsettled();
  const walk = new Walk(fs, root);
  const isOurs = (move: Held): boolean => {
    const now = stagedNow(fs, walk, move);
    return !now || isStaged(now.stat, move);
  };
  try {
    // One that cannot be put back keeps nothing else from going on: its content stays under its staging name, and is
    // recorded from there like a late write.
    const undone = moves.map((move) => ({ move, how: tryUndo(fs, walk, move) }));
    const returned = undone.filter(({ how }) => how === 'returned' || how === 'was-live').map(({ move }) => move.path);
    staging.release(
      walk,
      undone.filter(({ move, how }) => how !== 'was-live' && how !== 'stuck' && isOurs(move)).map(({ move }) => move),
    );
    // Somebody may be writing into what was live for a while: looked at once more, like a replaced file.
    const wereLive = undone.filter(({ how }) => how === 'was-live').map(({ move }) => move);
    staging.announce(wereLive.map(({ folder, name, path }) => ({ folder, name, path })));
    staging.sweep(walk);
    staging.settle();
    staging.tidy(walk);
    return { moves: moves.length, returned };
  } finally {
    walk.close();
  }
}

function tryUndo(fs: Fs, walk: Walk, move: Held): Undone | 'stuck' {
  try {
    return undo(fs, walk, move);
  } catch (error) {
    if (errorCode(error) === '') throw error;
    return 'stuck';
  }
}
