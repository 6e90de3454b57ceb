import * as fs from 'node:fs';
import koffi from 'koffi';
import type { Fs, Stat } from '../model/world.ts';

const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY, O_NONBLOCK, O_WRONLY, O_CREAT, O_EXCL } = fs.constants;

/**
 * The real file system, by open directory and name: `/proc/self/fd/<n>/<name>` cannot be redirected by someone who
 * swaps a parent for a link. Linux only.
 */
export function realFs(): Fs {
  const exchange = findExchange();
  return {
    openRoot: (path) => fs.openSync(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW),
    openDirectory: (dir, name) => fs.openSync(at(dir, name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW),
    close: (fd) => fs.closeSync(fd),
    list(dir) {
      const entries = fs.readdirSync(`/proc/self/fd/${dir}`, { encoding: 'buffer', withFileTypes: true });
      return entries.map((entry) => ({ name: entry.name, kind: kindOf(entry) }));
    },
    stat(dir, name) {
      const found = fs.lstatSync(at(dir, name), { bigint: true, throwIfNoEntry: false });
      return found && toStat(found);
    },
    statOpen: (fd) => toStat(fs.fstatSync(fd, { bigint: true })),
    openFile: (dir, name) => fs.openSync(at(dir, name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK),
    read: (fd, into) =>
      new Promise((resolve, reject) => {
        fs.read(fd, into, 0, into.length, null, (error, count) => (error ? reject(error) : resolve(count)));
      }),
    readSmall(dir, name, limit) {
      const fd = fs.openSync(at(dir, name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
      try {
        const bytes = Buffer.alloc(limit);
        return bytes.subarray(0, fs.readSync(fd, bytes));
      } finally {
        fs.closeSync(fd);
      }
    },
    createFile: (dir, name, mode) => fs.openSync(at(dir, name), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode),
    async write(fd, bytes) {
      for (let done = 0; done < bytes.length;) {
        done += await new Promise<number>((resolve, reject) => {
          fs.write(fd, bytes, done, bytes.length - done, null, (error, count) =>
            error ? reject(error) : resolve(count),
          );
        });
      }
    },
    chmod: (fd, mode) => fs.fchmodSync(fd, mode),
    chown: (fd, uid, gid) => fs.fchownSync(fd, uid, gid),
    fsync: (fd) => new Promise((resolve, reject) => fs.fsync(fd, (error) => (error ? reject(error) : resolve()))),
    makeDirectory: (dir, name, mode) => fs.mkdirSync(at(dir, name), mode),
    removeDirectory: (dir, name) => fs.rmdirSync(at(dir, name)),
    unlink: (dir, name) => fs.unlinkSync(at(dir, name)),
    link: (from, name, to, newName) => fs.linkSync(at(from, name), at(to, newName)),
    rename: (from, name, to, newName) => fs.renameSync(at(from, name), at(to, newName)),
    free(dir) {
      const { bavail, bsize } = fs.statfsSync(`/proc/self/fd/${dir}`);
      return bavail * bsize;
    },
    ...(exchange ? { exchange } : {}),
  };
}

const at = (dir: number, name: Buffer): Buffer => Buffer.concat([Buffer.from(`/proc/self/fd/${dir}/`), name]);

function kindOf(entry: { isFile(): boolean; isDirectory(): boolean; isSymbolicLink(): boolean }): Stat['kind'] {
  if (entry.isFile()) return 'file';
  if (entry.isDirectory()) return 'directory';
  return entry.isSymbolicLink() ? 'link' : 'other';
}

function toStat(stat: fs.BigIntStats): Stat {
  return {
    kind: kindOf(stat),
    dev: stat.dev,
    ino: stat.ino,
    mode: Number(stat.mode & 0o7777n),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    size: Number(stat.size),
    mtimeNs: stat.mtimeNs,
    ctimeNs: stat.ctimeNs,
  };
}

const renameExchange = 2;

/**
 * `renameat2(RENAME_EXCHANGE)`, which Node does not offer: the only way to put a file in another's place and hold in
 * the same instant whatever was there. Undefined where the C library or the platform has none.
 */
function findExchange(): Fs['exchange'] | undefined {
  try {
    const library = koffi.load('libc.so.6');
    const renameat2 = library.func(
      'int renameat2(int olddir, const void *old, int newdir, const void *new, uint flags)',
    );
    return (a, nameA, b, nameB) => {
      const result = renameat2(a, terminated(nameA), b, terminated(nameB), renameExchange) as number;
      if (result === 0) return;
      const errno = koffi.errno();
      const code = Object.entries(koffi.os.errno).find(([, value]) => value === errno)?.[0] ?? `E${errno}`;
      throw Object.assign(new Error(`${code}: renameat2`), { code });
    };
  } catch {
    return undefined;
  }
}

const terminated = (name: Buffer): Buffer => Buffer.concat([name, Buffer.from([0])]);

/** The code of a system error, or an empty text. */
export function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}
