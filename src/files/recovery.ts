import type { Fs } from '../model/world.ts';
import type { SitePath } from '../model/tree.ts';
import { isStaged, undo } from './replace.ts';
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
    // A throw ends the run before anything is looked at: a name that could not be given back is no removal.
    const undone = moves.map((move) => ({ move, how: undo(fs, walk, move) }));
    const returned = undone.filter(({ how }) => how !== 'nothing').map(({ move }) => move.path);
    staging.release(
      walk,
      undone.filter(({ move, how }) => how !== 'was-live' && isOurs(move)).map(({ move }) => move),
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
