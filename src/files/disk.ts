import * as fs from 'node:fs';
import koffi from 'koffi';
import type { Fs, Stat } from '../model/world.ts';
import { errorCode } from './errno.ts';

const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY, O_NONBLOCK, O_WRONLY, O_CREAT, O_EXCL } = fs.constants;

/**
 * The real file system, by open directory and name: `/proc/self/fd/<n>/<name>` cannot be redirected by someone who
 * swaps a parent for a link. Linux only.
 */
export function realFs(): Fs {
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
    mountId: (fd) => /^mnt_id:\s*(\d+)/m.exec(fs.readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1] ?? '',
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
    readLink: (dir, name) => fs.readlinkSync(at(dir, name), { encoding: 'buffer' }),
    makeLink: (dir, name, target) => fs.symlinkSync(target, at(dir, name)),
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
    ...platform(),
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

const renameNoReplaceFlag = 1;
const renameExchangeFlag = 2;

/** What Node has no call for. */
type Platform = Pick<Fs, 'exchange' | 'renameNoReplace' | 'attributes' | 'setAttribute'>;

/**
 * `renameat2` is the only way to put a file in another's place and hold in the same instant whatever was there
 * (RENAME_EXCHANGE), and to give a file back without a second name for it, which the kernel refuses for files of other
 * users (RENAME_NOREPLACE; see protected_hardlinks in proc(5)). Empty where the C library or the platform has none.
 */
function platform(): Platform {
  try {
    const library = koffi.load('libc.so.6');
    const renameat2 = library.func(
      'int renameat2(int olddir, const void *old, int newdir, const void *new, uint flags)',
    );
    const renameBy =
      (flags: number): NonNullable<Fs['exchange']> =>
      (a, nameA, b, nameB) => {
        if ((renameat2(a, terminated(nameA), b, terminated(nameB), flags) as number) !== 0)
          throw lastError('renameat2');
      };
    return {
      exchange: renameBy(renameExchangeFlag),
      renameNoReplace: renameBy(renameNoReplaceFlag),
      ...orNothing(() => extendedAttributes(library)),
    };
  } catch {
    return {};
  }
}

/** One call that the library lacks must not cost the others. */
function orNothing<T extends object>(find: () => T): T | Record<string, never> {
  try {
    return find();
  } catch {
    return {};
  }
}

function lastError(call: string): Error {
  const errno = koffi.errno();
  const code = Object.entries(koffi.os.errno).find(([, value]) => value === errno)?.[0] ?? `E${errno}`;
  return Object.assign(new Error(`${code}: ${call}`), { code, errno });
}

/** `security.` holds more than labels, and `trusted.` and `system.` are the kernel's: only these are carried over. */
const carried = /^(?:user\..+|security\.selinux|system\.posix_acl_(?:access|default))$/;
const mostAttributeBytes = 65_536;

function extendedAttributes(library: ReturnType<typeof koffi.load>): Pick<Fs, 'attributes' | 'setAttribute'> {
  // By path: reading an ACL needs no right to read the file, and a descriptor opened for a path alone gives none.
  const list = library.func('long llistxattr(const void *path, void *list, size_t size)');
  const get = library.func('long lgetxattr(const void *path, const char *name, void *value, size_t size)');
  const set = library.func('int fsetxattr(int fd, const char *name, const void *value, size_t size, int flags)');
  const into = Buffer.alloc(mostAttributeBytes);
  return {
    attributes(dir, name) {
      const path = terminated(at(dir, name));
      const listed = Number(list(path, into, into.length));
      if (listed < 0) {
        const error = lastError('llistxattr');
        if (['ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'ENOENT'].includes(errorCode(error))) return new Map();
        throw error;
      }
      const names = into.toString('latin1', 0, listed).split('\0');
      const found = new Map<string, Buffer>();
      for (const each of names.filter((one) => carried.test(one))) {
        const size = Number(get(path, each, into, into.length));
        // Gone since it was listed, or not ours to read: there is nothing to carry over.
        if (size >= 0) found.set(each, Buffer.from(into.subarray(0, size)));
      }
      return found;
    },
    setAttribute(fd, name, value) {
      if ((set(fd, name, value, value.length, 0) as number) !== 0) throw lastError('fsetxattr');
    },
  };
}

const terminated = (name: Buffer): Buffer => Buffer.concat([name, Buffer.from([0])]);
