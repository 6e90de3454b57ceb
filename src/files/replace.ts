import { type Abilities, replaceRung } from '../model/disk.ts';
import { parentOf } from '../model/tree.ts';
import type { Fs, Stat } from '../model/world.ts';
import { errnoOf, errorCode, isAbsent, isUnsupported, unlessErrno } from './errno.ts';
import { createInPlace, undoInPlace } from './in-place.ts';
import { type Swap, type Undone, Unfinished, orUnfinished } from './swap.ts';
import { type Seen, sameInode } from './line.ts';
import { type Move, stagedNow } from './staging.ts';
import { type DirectoryHandles, nameOf } from './directory-handles.ts';

/** What the disk can do there, and whether its weakest way of replacing was chosen. */
export interface Ways extends Pick<Abilities, 'exchange' | 'link' | 'noReplace'> {
  /** A save in the instant of the replacement may be lost where nothing on this disk can capture it. */
  readonly overwrites: boolean;
}

/**
 * Gives a staged file a name that must be free. `announce` writes the journal, for a name that is filled in place: what
 * a crash leaves of it is a part of the staged content.
 */
export async function create(
  fs: Fs,
  handles: DirectoryHandles,
  move: Move,
  { ways, announce }: { readonly ways: Ways; readonly announce: (move: Move) => void },
): Promise<Swap> {
  const { swap } = take(fs, handles, move, ways);
  return swap ?? createInPlace(fs, handles, move, announce);
}

/** What became of taking a name; without `swap`, the disk has no way to do it in one step. */
interface Taken {
  readonly swap?: Swap;
  /** What the disk answered last to a way that it turned out not to have. */
  readonly refused?: Error;
}

/** Takes a free name in one step, in the first way that the disk has. */
function take(fs: Fs, handles: DirectoryHandles, move: Move, ways: Ways): Taken {
  const args = [
    handles.folder(move.folder),
    Buffer.from(move.name),
    handles.folder(parentOf(move.path)),
    nameOf(move.path),
  ] as const;
  let refused: Error | undefined;
  for (const way of [ways.link ? fs.link : undefined, ways.noReplace ? fs.renameNoReplace : undefined]) {
    try {
      way?.(...args);
      if (way) return { swap: 'done' };
    } catch (error) {
      if (errorCode(error) === 'EEXIST') return { swap: 'busy' };
      if (!isUnsupported(error)) throw error;
      refused = error as Error;
    }
  }
  return refused ? { refused } : {};
}

export function replace(fs: Fs, handles: DirectoryHandles, move: Move, ways: Ways): Swap {
  const expected = move.before?.seen;
  if (!expected) throw new Error('a replacement needs to know what it replaces');
  if (!ways.exchange) return replaceAside(fs, handles, move, { expected, ways });
  try {
    return replaceByExchange(fs, handles, move, expected);
  } catch (error) {
    if (!isUnsupported(error) || replaceRung({ ...ways, exchange: false }) === 'rename') throw error;
    return replaceAside(fs, handles, move, { expected, ways });
  }
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
  const captured = statOr(() => fs.stat(staging, staged), swap);
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
function statOr(stat: () => Stat | undefined, undo: () => void): Stat | undefined {
  try {
    return stat();
  } catch (error) {
    orUnfinished(undo);
    throw errnoOf(error) === undefined ? error : new Unfinished(error);
  }
}

/** Where exchange is missing: a gap of some microseconds without the name. */
function replaceAside(
  fs: Fs,
  handles: DirectoryHandles,
  move: Move,
  { expected, ways }: { readonly expected: Seen; readonly ways: Ways },
): Swap {
  const aside = { ...move, name: asideName(move) };
  if (moveAside(fs, handles, aside, expected) === 'busy') return 'busy';
  let taken: Swap;
  try {
    const { swap, refused } = take(fs, handles, move, ways);
    // The weakest way only where it was chosen, and never where the disk was to have a better one.
    if (!swap && (refused || !ways.overwrites)) throw refused ?? noCapture();
    taken = swap ?? renameOver(fs, handles, move);
  } catch (error) {
    orUnfinished(() => giveBack(fs, handles, aside));
    throw error;
  }
  const staging = handles.folder(move.folder);
  orUnfinished(() => fs.rename(staging, Buffer.from(aside.name), staging, Buffer.from(move.name)));
  return taken;
}

const noCapture = (): Error => Object.assign(new Error('this disk cannot capture'), { code: 'EOPNOTSUPP' });

/** The weakest way: what takes the name between the check and the rename is lost. */
function renameOver(fs: Fs, handles: DirectoryHandles, move: Move): Swap {
  const folder = handles.folder(parentOf(move.path));
  if (fs.stat(folder, nameOf(move.path)) !== undefined) return 'busy';
  fs.rename(handles.folder(move.folder), Buffer.from(move.name), folder, nameOf(move.path));
  return 'done';
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
 * After a crash: finishes nothing, puts back what was taken. The journal says what was meant, the inodes how far it
 * came. Throws what the system throws; may be called again then.
 */
export async function undo(fs: Fs, handles: DirectoryHandles, move: Move): Promise<Undone> {
  if (move.inPlace) return undoInPlace(fs, handles, move);
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
  return (stat.kind === 'file' || stat.kind === 'link') && sameInode(expected, stat);
}
