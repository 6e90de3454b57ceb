import { parentOf } from '../model/tree.ts';
import type { Fs, Stat } from '../model/world.ts';
import { errorCode } from './disk.ts';
import { type Seen, sameInode } from './manifest.ts';
import { type Move, ignoreMissing, stagedNow } from './staging.ts';
import { type Walk, nameOf } from './walk.ts';

/**
 * Puts a staged file in the place of another, or takes one away, without losing a save that happens in the same
 * instant. «Look, then rename over» loses what is saved between the two; unlinking loses what is written into the old
 * file afterwards. So whatever is at the name is *captured*, looked at, and given back if it is not what we expected.
 *
 * - `done`: the staged content is live; what it replaced lies under the staging name.
 * - `busy`: something else was there. It is there still.
 * - `was-live`: as `busy`, but the staged content had the name for an instant: somebody may have opened it and may be
 *   writing into it yet.
 */
export type Swap = 'done' | 'busy' | 'was-live';

/** The path must be free: a link fails if anything has taken the name. */
export function create(fs: Fs, walk: Walk, move: Move): Swap {
  const staging = walk.folder(move.folder);
  const folder = walk.folder(parentOf(move.path));
  try {
    fs.link(staging, Buffer.from(move.name), folder, nameOf(move.path));
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return 'busy';
    throw error;
  }
  return 'done';
}

export function replace(fs: Fs, walk: Walk, move: Move): Swap {
  const expected = move.before?.seen;
  if (!expected) throw new Error('a replacement needs to know what it replaces');
  return fs.exchange ? replaceByExchange(fs, walk, move, expected) : replaceByLink(fs, walk, move, expected);
}

/** Moves the file aside; a name that holds something else gets it back. */
export function remove(fs: Fs, walk: Walk, move: Move): Swap {
  const expected = move.before?.seen;
  if (!expected) throw new Error('a removal needs to know what it removes');
  return moveAside(fs, walk, move, expected);
}

/** One system call: the name is never free, and what it held is in our hands in the same instant. */
function replaceByExchange(fs: Fs, walk: Walk, move: Move, expected: Seen): Swap {
  const staging = walk.folder(move.folder);
  const folder = walk.folder(parentOf(move.path));
  const staged = Buffer.from(move.name);
  const live = nameOf(move.path);
  const swap = (): void => fs.exchange?.(staging, staged, folder, live);
  try {
    swap();
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return 'busy';
    throw error;
  }
  const captured = fs.stat(staging, staged);
  if (captured && isExpected(captured, expected)) return 'done';
  // Somebody saved in the last gap: their file goes back to its name.
  swap();
  const returned = fs.stat(staging, staged);
  if (returned && isStaged(returned, move)) return 'was-live';
  // And saved once more on top of ours: the newer save stays live, the older waits here and is recorded later.
  swap();
  return 'busy';
}

/** Where exchange is missing: a gap of some microseconds without the name, but nothing is ever overwritten. */
function replaceByLink(fs: Fs, walk: Walk, move: Move, expected: Seen): Swap {
  const aside = { ...move, name: asideName(move) };
  if (moveAside(fs, walk, aside, expected) === 'busy') return 'busy';
  const staging = walk.folder(move.folder);
  const linked = create(fs, walk, move);
  fs.unlink(staging, Buffer.from(move.name));
  fs.rename(staging, Buffer.from(aside.name), staging, Buffer.from(move.name));
  return linked;
}

const asideName = (move: Move): string => `${move.name}-old`;

function moveAside(fs: Fs, walk: Walk, move: Move, expected: Seen): Swap {
  const staging = walk.folder(move.folder);
  const folder = walk.folder(parentOf(move.path));
  const aside = Buffer.from(move.name);
  try {
    fs.rename(folder, nameOf(move.path), staging, aside);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return 'busy';
    throw error;
  }
  const captured = fs.stat(staging, aside);
  if (captured && isExpected(captured, expected)) return 'done';
  giveBack(fs, walk, { ...move }, captured);
  return 'busy';
}

/**
 * Puts what lies under a staging name back to its path, unless something newer has taken the path: then it stays, to
 * be recorded with the late writes. Never two plain renames: a save in between would be lost.
 */
function giveBack(fs: Fs, walk: Walk, move: Move, captured: Stat | undefined): void {
  const staging = walk.folder(move.folder);
  const folder = walk.folder(parentOf(move.path));
  const aside = Buffer.from(move.name);
  if (captured?.kind === 'directory') {
    // A folder has no second name; renaming one onto anything but an empty folder fails by itself.
    fs.rename(staging, aside, folder, nameOf(move.path));
    return;
  }
  try {
    // No second name is needed, which the kernel refuses for files of other users (protected_hardlinks in proc(5)).
    if (fs.renameNoReplace) return fs.renameNoReplace(staging, aside, folder, nameOf(move.path));
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return;
    if (!['EINVAL', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP'].includes(errorCode(error))) throw error;
  }
  try {
    fs.link(staging, aside, folder, nameOf(move.path));
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return;
    throw error;
  }
  ignoreMissing(() => fs.unlink(staging, aside));
}

/**
 * What became of a move that a crash cut: `returned`, a file went back to its name; `was-live`, it did so in exchange for
 * our own content, which somebody may have opened meanwhile.
 */
export type Undone = 'nothing' | 'returned' | 'was-live';

/** After a crash: finishes nothing, puts back what was taken. The journal says what was meant, the inodes how far it came. */
export function undo(fs: Fs, walk: Walk, move: Move): Undone {
  const aside = { ...move, name: asideName(move) };
  const old = stagedNow(fs, walk, aside);
  const now = stagedNow(fs, walk, move);
  if (old && now) {
    // Between the link and the last two steps of a replacement: done, but for them.
    if (walk.stat(move.path) !== undefined) fs.unlink(now.fd, Buffer.from(move.name));
    else if (!putBack(fs, walk, aside, old.stat)) return 'nothing';
    else return stagedNow(fs, walk, aside) ? undo(fs, walk, move) : 'returned';
  }
  if (old) fs.rename(old.fd, Buffer.from(aside.name), old.fd, Buffer.from(move.name));
  const taken = old ?? now;
  if (!taken || (!old && isStaged(taken.stat, move))) return 'nothing';
  const live = walk.stat(move.path);
  if (live === undefined) return putBack(fs, walk, move, taken.stat) ? 'returned' : 'nothing';
  // Saved in the last gap and swapped out with the old file: it is newer than ours, and was about to be given back.
  const isNewer = move.before !== undefined && !isExpected(taken.stat, move.before.seen);
  if (!fs.exchange || !isNewer || !isStaged(live, move)) return 'nothing';
  fs.exchange(taken.fd, Buffer.from(move.name), walk.folder(parentOf(move.path)), nameOf(move.path));
  return 'was-live';
}

/** The folder may have gone with its last file. Where a file has its name, what was taken stays to be recorded. */
function putBack(fs: Fs, walk: Walk, move: Move, taken: Stat): boolean {
  try {
    walk.makeFolder(parentOf(move.path), () => {});
  } catch (error) {
    if (['ENOTDIR', 'ELOOP'].includes(errorCode(error))) return false;
    throw error;
  }
  giveBack(fs, walk, move, taken);
  return true;
}

/** True when what lies under the staging name is our own staged content, which git has too. */
export function isStaged(stat: Stat, move: Move): boolean {
  return move.staged !== undefined && move.staged.ino === String(stat.ino) && move.staged.dev === String(stat.dev);
}

function isExpected(stat: Stat, expected: Seen): boolean {
  return stat.kind === 'file' && sameInode(expected, stat);
}
