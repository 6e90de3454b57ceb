import { errnoOf } from './errno.ts';

/**
 * Puts a staged file in the place of another, or takes one away, without losing a save that happens in the same
 * instant. «Look, then rename over» loses what is saved between the two; unlinking loses what is written into the old
 * file afterwards. So whatever is at the name is *captured*, looked at, and given back if it is not what we expected.
 *
 * - `done`: the staged content is live; what it replaced lies under the staging name.
 * - `busy`: something else was there. It is there still.
 * - `was-live`: as `busy`, but the staged content had the name for an instant: somebody may have opened it and may be
 *   writing into it yet.
 *
 * An error of the system is thrown with everything at its name as before, or else as {@link Unfinished}.
 */
export type Swap = 'done' | 'busy' | 'was-live';

/**
 * The disk failed between two steps, and so did giving back what was moved. Nothing is lost: the journal has the move,
 * and as long as it is not settled the next recovery undoes it. `cause`: what the system answered.
 */
export class Unfinished extends Error {
  constructor(cause: unknown) {
    super('what was moved aside could not be given back', { cause });
  }
}

/** A step between two others: where it fails, something is not where it belongs. */
export function orUnfinished<T>(step: () => T): T {
  try {
    return step();
  } catch (error) {
    // Any other error is a fault of this program and rises as it is.
    throw errnoOf(error) === undefined ? error : new Unfinished(error);
  }
}

/**
 * What became of a move that a crash cut: `returned`, a file went back to its name; `was-live`, it did so in exchange for
 * our own content, which somebody may have opened meanwhile.
 */
export type Undone = 'nothing' | 'returned' | 'was-live';
