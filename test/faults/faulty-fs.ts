import type { Fs } from '../../src/model/world.ts';
import { fault } from './support.ts';

/** A call of the file port that is to fail: the `at`-th while `on`, or all of them. */
export interface Order {
  readonly call: keyof Fs;
  readonly errno: string;
  /** 1 for the first call; absent: every one. */
  readonly at?: number;
  /** Only calls about these paths: by name, by a descriptor, or, as `content`, of the file that it is written into. */
  readonly victim?: Victim;
  on: boolean;
  /** Calls so far, while on, of each kind. */
  readonly counted: Partial<Record<keyof Fs, number>>;
  met: number;
}

export interface Victim {
  readonly path: string | RegExp;
  readonly content?: string;
}

export function newOrder(order: Pick<Order, 'call' | 'errno' | 'at' | 'victim'>): Order {
  return { ...order, on: false, counted: {}, met: 0 };
}

/** The file system, where one call fails on order. What fails did not happen, but for `close`, as with the kernel's. */
export function faultyFs(real: Fs, order: Order): Fs {
  const paths = new Map<number, string>();
  const join = (dir: number, name: Buffer): string =>
    [paths.get(dir), name.toString('latin1')].filter(Boolean).join('/');
  const opened = (fd: number, path: string): number => {
    paths.set(fd, path);
    return fd;
  };
  const check = (call: keyof Fs, ...about: readonly (string | undefined)[]): void => {
    if (!order.on) return;
    const { victim } = order;
    if (victim && !about.some((path) => isOf(victim, path))) return;
    const count = (order.counted[call] = (order.counted[call] ?? 0) + 1);
    if (call !== order.call || (order.at !== undefined && count !== order.at)) return;
    order.met += 1;
    throw fault(order.errno);
  };
  const { exchange, renameNoReplace, attributes, setAttribute } = real;
  return {
    openRoot(path) {
      check('openRoot', '');
      return opened(real.openRoot(path), '');
    },
    openDirectory(dir, name) {
      check('openDirectory', join(dir, name));
      return opened(real.openDirectory(dir, name), join(dir, name));
    },
    close(fd) {
      const path = paths.get(fd);
      real.close(fd);
      check('close', path);
    },
    list(dir) {
      check('list', paths.get(dir));
      return real.list(dir);
    },
    stat(dir, name) {
      check('stat', join(dir, name));
      return real.stat(dir, name);
    },
    statOpen(fd) {
      check('statOpen', paths.get(fd));
      return real.statOpen(fd);
    },
    mountId: (fd) => real.mountId(fd),
    openFile(dir, name) {
      check('openFile', join(dir, name));
      return opened(real.openFile(dir, name), join(dir, name));
    },
    async read(fd, into) {
      check('read', paths.get(fd));
      return real.read(fd, into);
    },
    readSmall(dir, name, limit) {
      check('readSmall', join(dir, name));
      return real.readSmall(dir, name, limit);
    },
    readLink(dir, name) {
      check('readLink', join(dir, name));
      return real.readLink(dir, name);
    },
    makeLink(dir, name, target) {
      check('makeLink', join(dir, name));
      real.makeLink(dir, name, target);
    },
    createFile(dir, name, mode) {
      check('createFile', join(dir, name));
      return opened(real.createFile(dir, name, mode), join(dir, name));
    },
    async write(fd, bytes) {
      const { content } = order.victim ?? {};
      if (content !== undefined && bytes.includes(content)) paths.set(fd, content);
      check('write', paths.get(fd));
      return real.write(fd, bytes);
    },
    chmod(fd, mode) {
      check('chmod', paths.get(fd));
      real.chmod(fd, mode);
    },
    chown(fd, uid, gid) {
      check('chown', paths.get(fd));
      real.chown(fd, uid, gid);
    },
    async fsync(fd) {
      check('fsync', paths.get(fd));
      return real.fsync(fd);
    },
    makeDirectory(dir, name, mode) {
      check('makeDirectory', join(dir, name));
      real.makeDirectory(dir, name, mode);
    },
    removeDirectory(dir, name) {
      check('removeDirectory', join(dir, name));
      real.removeDirectory(dir, name);
    },
    unlink(dir, name) {
      check('unlink', join(dir, name));
      real.unlink(dir, name);
    },
    link(from, name, to, newName) {
      check('link', join(from, name), join(to, newName));
      real.link(from, name, to, newName);
    },
    rename(from, name, to, newName) {
      check('rename', join(from, name), join(to, newName));
      real.rename(from, name, to, newName);
    },
    free(dir) {
      check('free', paths.get(dir));
      return real.free(dir);
    },
    ...(exchange && {
      exchange(a, nameA, b, nameB) {
        check('exchange', join(a, nameA), join(b, nameB));
        exchange(a, nameA, b, nameB);
      },
    }),
    ...(renameNoReplace && {
      renameNoReplace(from, name, to, newName) {
        check('renameNoReplace', join(from, name), join(to, newName));
        renameNoReplace(from, name, to, newName);
      },
    }),
    ...(attributes && {
      attributes(dir, name) {
        check('attributes', join(dir, name));
        return attributes(dir, name);
      },
    }),
    ...(setAttribute && {
      setAttribute(fd, name, value) {
        check('setAttribute', paths.get(fd));
        setAttribute(fd, name, value);
      },
    }),
  };
}

function isOf({ path, content }: Victim, about: string | undefined): boolean {
  if (about === undefined) return false;
  return about === content || (typeof path === 'string' ? path === about : path.test(about));
}
