import { parentOf } from '../model/tree.ts';
import type { Fs, Stat } from '../model/world.ts';
import { errnoOf, errorCode, isAbsent, unlessErrno } from './errno.ts';
import { type Seen, sameInode } from './manifest.ts';
import { type Move, stagedNow } from './staging.ts';
import { type DirectoryHandles, nameOf } from './directory-handles.ts';

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

/** The path must be free: a link fails if anything has taken the name. */
export function create(fs: Fs, handles: DirectoryHandles, move: Move): Swap {
  const staging = handles.folder(move.folder);
  const folder = handles.folder(parentOf(move.path));
  try {
    fs.link(staging, Buffer.from(move.name), folder, nameOf(move.path));
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return 'busy';
    throw error;
  }
  return 'done';
}

export function replace(fs: Fs, handles: DirectoryHandles, move: Move): Swap {
  const expected = move.before?.seen;
  if (!expected) throw new Error('a replacement needs to know what it replaces');
  return fs.exchange ? replaceByExchange(fs, handles, move, expected) : replaceByLink(fs, handles, move, expected);
}

/** Moves the file aside; a name that holds something else gets it back. */
export function remove(fs: Fs, handles: DirectoryHandles, move: Move): Swap {
  const expected = move.before?.seen;
  if (!expected) throw new Error('a removal needs to know what it removes');
  return moveAside(fs, handles, move, expected);
}

/** One system call: the name is never free, and what it held is in our hands in the same instant. */
function replaceByExchange(fs: Fs, handles: DirectoryHandles, move: Move, expected: Seen): Swap {
  const staging = handles.folder(move.folder);
  const folder = handles.folder(parentOf(move.path));
  const staged = Buffer.from(move.name);
  const live = nameOf(move.path);
  const swap = (): void => fs.exchange?.(staging, staged, folder, live);
  try {
    swap();
  } catch (error) {
    if (isAbsent(error)) return 'busy';
    throw error;
  }
  const captured = lookOr(() => fs.stat(staging, staged), swap);
  if (captured && isExpected(captured, expected)) return 'done';
  // Somebody saved in the last gap: their file goes back to its name.
  orUnfinished(swap);
  const returned = orUnfinished(() => fs.stat(staging, staged));
  if (returned && isStaged(returned, move)) return 'was-live';
  // And saved once more on top of ours: the newer save stays live, the older waits here and is recorded later.
  orUnfinished(swap);
  return 'busy';
}

/** What was captured may be somebody's save: where it cannot be looked at, it goes back to its name at once. */
function lookOr(look: () => Stat | undefined, undo: () => void): Stat | undefined {
  try {
    return look();
  } catch (error) {
    orUnfinished(undo);
    throw errnoOf(error) === undefined ? error : new Unfinished(error);
  }
}

function orUnfinished<T>(step: () => T): T {
  try {
    return step();
  } catch (error) {
    // Any other error is a fault of this program and rises as it is.
    throw errnoOf(error) === undefined ? error : new Unfinished(error);
  }
}

/** Where exchange is missing: a gap of some microseconds without the name, but nothing is ever overwritten. */
function replaceByLink(fs: Fs, handles: DirectoryHandles, move: Move, expected: Seen): Swap {
  const aside = { ...move, name: asideName(move) };
  if (moveAside(fs, handles, aside, expected) === 'busy') return 'busy';
  let linked: Swap;
  try {
    linked = create(fs, handles, move);
  } catch (error) {
    orUnfinished(() => giveBack(fs, handles, aside));
    throw error;
  }
  const staging = handles.folder(move.folder);
  orUnfinished(() => fs.rename(staging, Buffer.from(aside.name), staging, Buffer.from(move.name)));
  return linked;
}

const asideName = (move: Move): string => `${move.name}-old`;

function moveAside(fs: Fs, handles: DirectoryHandles, move: Move, expected: Seen): Swap {
  const staging = handles.folder(move.folder);
  const folder = handles.folder(parentOf(move.path));
  const aside = Buffer.from(move.name);
  try {
    fs.rename(folder, nameOf(move.path), staging, aside);
  } catch (error) {
    if (isAbsent(error)) return 'busy';
    throw error;
  }
  let captured: Stat | undefined;
  try {
    captured = fs.stat(staging, aside);
  } catch (error) {
    orUnfinished(() => giveBack(fs, handles, move));
    throw error;
  }
  if (captured && isExpected(captured, expected)) return 'done';
  orUnfinished(() => giveBack(fs, handles, move));
  return 'busy';
}

/**
 * Puts what lies under a staging name back to its path, unless something newer has taken the path: then it stays, to
 * be recorded with the late writes. Tries one way after another, where the system refuses one.
 */
function giveBack(fs: Fs, handles: DirectoryHandles, move: Move): void {
  const staging = handles.folder(move.folder);
  const folder = handles.folder(parentOf(move.path));
  const aside = Buffer.from(move.name);
  const name = nameOf(move.path);
  let refused: unknown;
  for (const way of [
    // No second name is needed, which the kernel refuses for files of other users (protected_hardlinks in proc(5)).
    ...(fs.renameNoReplace ? [() => fs.renameNoReplace?.(staging, aside, folder, name)] : []),
    () => {
      fs.link(staging, aside, folder, name);
      unlessErrno(() => fs.unlink(staging, aside));
    },
    // Where neither can be had, a save in the instant between these two would be lost. A name that stays empty until
    // somebody mends the disk is the greater harm.
    () => {
      if (fs.stat(folder, name) === undefined) fs.rename(staging, aside, folder, name);
    },
  ]) {
    try {
      return way();
    } catch (error) {
      if (errorCode(error) === 'EEXIST') return;
      if (errnoOf(error) === undefined) throw error;
      refused = error;
    }
  }
  throw refused;
}

/**
 * What became of a move that a crash cut: `returned`, a file went back to its name; `was-live`, it did so in exchange for
 * our own content, which somebody may have opened meanwhile.
 */
export type Undone = 'nothing' | 'returned' | 'was-live';

/**
 * After a crash: finishes nothing, puts back what was taken. The journal says what was meant, the inodes how far it
 * came. Throws what the system throws; may be called again then.
 */
export function undo(fs: Fs, handles: DirectoryHandles, move: Move): Undone {
  const aside = { ...move, name: asideName(move) };
  const old = stagedNow(fs, handles, aside);
  const now = stagedNow(fs, handles, move);
  const isHalf = old !== undefined && now !== undefined && handles.stat(move.path) === undefined;
  if (isHalf && putBack(fs, handles, aside) && !stagedNow(fs, handles, aside)) return 'returned';
  // Between the link and the last step of a replacement: done, but for that.
  if (old) fs.rename(old.fd, Buffer.from(aside.name), old.fd, Buffer.from(move.name));
  const taken = old ?? now;
  if (!taken || (!old && isStaged(taken.stat, move))) return 'nothing';
  const live = handles.stat(move.path);
  if (live === undefined) return putBack(fs, handles, move) ? 'returned' : 'nothing';
  // Saved in the last gap and swapped out with the old file: it is newer than ours, and was about to be given back.
  const isNewer = move.before !== undefined && !isExpected(taken.stat, move.before.seen);
  if (!fs.exchange || !isNewer || !isStaged(live, move)) return 'nothing';
  fs.exchange(taken.fd, Buffer.from(move.name), handles.folder(parentOf(move.path)), nameOf(move.path));
  return 'was-live';
}

/** The folder may have gone with its last file. Where a file has its name, what was taken stays to be recorded. */
function putBack(fs: Fs, handles: DirectoryHandles, move: Move): boolean {
  const folder = parentOf(move.path);
  try {
    handles.makeFolder(folder, () => {});
  } catch (error) {
    if (handles.isBlocked(folder, error)) return false;
    throw error;
  }
  giveBack(fs, handles, move);
  return true;
}

/** True when what lies under the staging name is our own staged content, which git has too. */
export function isStaged(stat: Stat, move: Move): boolean {
  return move.staged !== undefined && move.staged.ino === String(stat.ino) && move.staged.dev === String(stat.dev);
}

function isExpected(stat: Stat, expected: Seen): boolean {
  return stat.kind === 'file' && sameInode(expected, stat);
}
