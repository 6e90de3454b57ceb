import type { Abilities } from '../model/disk.ts';
import type { Fs } from '../model/world.ts';
import { close, errorCode, isUnsupported } from './errno.ts';
import { foldingSeen } from './folding.ts';

/** Ends the names of files that something is tried with: their other spellings differ. */
const mark = '-é';

/**
 * Tries what a disk can do, in an open staging folder, with two files that differ in size: their sizes tell which of
 * them has a name afterwards, on disks that give a file another inode number as well. `fresh` gives unused names, and
 * `remove` removes what has one. Throws what the system throws where nothing can be made there at all.
 */
export async function tryAbilities(
  fs: Fs,
  dir: number,
  fresh: () => string,
  remove: (name: Buffer) => void,
): Promise<Abilities> {
  const [full, empty, other] = [fresh(), fresh(), fresh()].map((name) => Buffer.from(`${name}${mark}`)) as Names;
  try {
    const fd = fs.createFile(dir, full, 0o600);
    let rights;
    try {
      await fs.write(fd, Buffer.from('x'));
      rights = { chmod: changesMode(fs, fd), chown: works(() => chownToItself(fs, fd)) };
    } finally {
      close(fs, fd);
    }
    close(fs, fs.createFile(dir, empty, 0o600));
    const sizeOf = (name: Buffer): number | undefined => fs.stat(dir, name)?.size;
    const folding = foldingSeen(fs, dir);
    const timeStepNs = stepOf([full, empty].flatMap((name) => fs.stat(dir, name) ?? []).map(({ mtimeNs }) => mtimeNs));
    const link = links(fs, dir, full, other, empty) && sizeOf(other) === 1;
    remove(other);
    const noReplace = keepsWhatIsThere(fs, dir, full, empty, other) && sizeOf(other) === 1 && sizeOf(empty) === 0;
    const at = sizeOf(other) === 1 ? other : full;
    const exchange = works(() => fs.exchange?.(dir, at, dir, empty)) && sizeOf(at) === 0 && sizeOf(empty) === 1;
    return { ...rights, exchange: exchange && fs.exchange !== undefined, noReplace, link, folding, timeStepNs };
  } finally {
    for (const name of [full, empty, other]) remove(name);
  }
}

type Names = [Buffer, Buffer, Buffer];

/** What disks answer that do not have a call, or not for us. */
function isRefusedCall(error: unknown): boolean {
  return isUnsupported(error) || ['EPERM', 'EACCES', 'EXDEV', 'EMLINK'].includes(errorCode(error));
}

/** Whether a call succeeds. An error that is not about the call says nothing of what the disk can do, and is thrown. */
function works(call: () => void): boolean {
  try {
    call();
    return true;
  } catch (error) {
    if (!isRefusedCall(error)) throw error;
    return false;
  }
}

/** Whether a call refuses to take a name that is taken. */
function refuses(call: () => void): boolean {
  try {
    call();
    return false;
  } catch (error) {
    if (errorCode(error) !== 'EEXIST' && !isRefusedCall(error)) throw error;
    return errorCode(error) === 'EEXIST';
  }
}

function links(fs: Fs, dir: number, from: Buffer, to: Buffer, taken: Buffer): boolean {
  return works(() => fs.link(dir, from, dir, to)) && refuses(() => fs.link(dir, from, dir, taken));
}

function keepsWhatIsThere(fs: Fs, dir: number, from: Buffer, taken: Buffer, to: Buffer): boolean {
  const { renameNoReplace } = fs;
  if (!renameNoReplace || !refuses(() => renameNoReplace(dir, from, dir, taken))) return false;
  return works(() => renameNoReplace(dir, from, dir, to));
}

function changesMode(fs: Fs, fd: number): boolean {
  return works(() => fs.chmod(fd, 0o640)) && fs.statOpen(fd).mode === 0o640;
}

function chownToItself(fs: Fs, fd: number): void {
  const { uid, gid } = fs.statOpen(fd);
  fs.chown(fd, uid, gid);
}

/** The largest step of which all these times are multiples, of those that file systems have. */
function stepOf(times: readonly bigint[]): number {
  const steps = [2_000_000_000n, 1_000_000_000n, 10_000_000n, 1_000_000n, 1_000n, 100n];
  return Number(steps.find((step) => times.every((time) => time % step === 0n)) ?? 1n);
}
