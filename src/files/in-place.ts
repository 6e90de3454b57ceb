import { parentOf } from '../model/tree.ts';
import type { Fs, Stat } from '../model/world.ts';
import { type DirectoryHandles, nameOf } from './directory-handles.ts';
import { close, errorCode, unlessErrno } from './errno.ts';
import { type Move, stagedNow } from './staging.ts';
import { type Swap, type Undone, Unfinished, orUnfinished } from './swap.ts';

/**
 * The last way to create a file, where a disk can give a name neither by a link nor by a rename that replaces nothing:
 * the name is created exclusively and filled from the staged file. Whoever saves there meanwhile writes into the same
 * file or renames over it, so nothing of theirs is overwritten; readers may see a part of the content.
 */
export async function createInPlace(
  fs: Fs,
  handles: DirectoryHandles,
  move: Move,
  announce: (move: Move) => void,
): Promise<Swap> {
  const staged = fs.openFile(handles.folder(move.folder), Buffer.from(move.name));
  try {
    announce({ ...move, inPlace: true });
    const fd = createdAt(fs, handles, move);
    if (fd === undefined) {
      // What is there is somebody's: a crash from here on must not take it for a part of ours.
      announce(move);
      return 'busy';
    }
    try {
      await fill(fs, staged, fd);
    } finally {
      close(fs, fd);
    }
    return 'done';
  } finally {
    close(fs, staged);
  }
}

function createdAt(fs: Fs, handles: DirectoryHandles, move: Move): number | undefined {
  try {
    return fs.createFile(handles.folder(parentOf(move.path)), nameOf(move.path), 0o600);
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return undefined;
    throw error;
  }
}

async function fill(fs: Fs, staged: number, fd: number): Promise<void> {
  try {
    const { uid, gid, mode } = fs.statOpen(staged);
    // As far as this disk has owners and rights: the staged file has got no others.
    unlessErrno(() => fs.chown(fd, uid, gid));
    unlessErrno(() => fs.chmod(fd, mode));
    for await (const chunk of contentOf(fs, staged)) await fs.write(fd, chunk);
    await fs.fsync(fd);
  } catch (error) {
    throw new Unfinished(error);
  }
}

const chunkBytes = 262_144;

async function* contentOf(fs: Fs, fd: number): AsyncGenerator<Buffer> {
  for (;;) {
    const buffer = Buffer.alloc(chunkBytes);
    const count = await fs.read(fd, buffer);
    if (count === 0) return;
    yield buffer.subarray(0, count);
  }
}

/** Takes away what a crash left of a file that was being filled: a part of the staged content, and nothing else. */
export async function undoInPlace(fs: Fs, handles: DirectoryHandles, move: Move): Promise<Undone> {
  const aside = Buffer.from(`${move.name}-old`);
  const staged = stagedNow(fs, handles, move);
  if (staged) returnPart(fs, handles, move, staged.fd, aside);
  const live = handles.stat(move.path);
  if (!staged || live?.kind !== 'file' || live.size >= staged.stat.size) return 'nothing';
  if (!(await isPart(fs, handles, move))) return 'nothing';
  const folder = handles.folder(parentOf(move.path));
  const name = nameOf(move.path);
  fs.rename(folder, name, staged.fd, aside);
  const taken = orUnfinished(() => fs.stat(staged.fd, aside));
  if (taken && isUnchanged(live, taken)) orUnfinished(() => fs.unlink(staged.fd, aside));
  else if (fs.stat(folder, name) === undefined) orUnfinished(() => fs.rename(staged.fd, aside, folder, name));
  return 'nothing';
}

/** Moved aside by an earlier recovery that did not finish: compared again. */
function returnPart(fs: Fs, handles: DirectoryHandles, move: Move, staging: number, aside: Buffer): void {
  if (!fs.stat(staging, aside) || handles.stat(move.path) !== undefined) return;
  fs.rename(staging, aside, handles.folder(parentOf(move.path)), nameOf(move.path));
}

const isUnchanged = (a: Stat, b: Stat): boolean => a.size === b.size && a.mtimeNs === b.mtimeNs && a.ino === b.ino;

async function isPart(fs: Fs, handles: DirectoryHandles, move: Move): Promise<boolean> {
  const whole = fs.openFile(handles.folder(move.folder), Buffer.from(move.name));
  try {
    const part = fs.openFile(handles.folder(parentOf(move.path)), nameOf(move.path));
    try {
      const wanted = contentOf(fs, whole);
      let rest = Buffer.alloc(0);
      for await (const chunk of contentOf(fs, part)) {
        while (rest.length < chunk.length) {
          const next = await wanted.next();
          if (next.done) return false;
          rest = Buffer.concat([rest, next.value]);
        }
        if (!rest.subarray(0, chunk.length).equals(chunk)) return false;
        rest = rest.subarray(chunk.length);
      }
      return true;
    } finally {
      close(fs, part);
    }
  } finally {
    close(fs, whole);
  }
}
