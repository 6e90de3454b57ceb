import { type SitePath, parentOf, pathBytes } from '../model/tree.ts';
import type { Fs, Stat } from '../model/world.ts';
import { errorCode } from './disk.ts';

/**
 * Opens the folders of a site step by step, never through a link, and keeps them open for the length of one piece of
 * work: neighbours share their parents.
 */
export class Walk {
  readonly #fs: Fs;
  readonly #open = new Map<string, number>();

  constructor(fs: Fs, root: string) {
    this.#fs = fs;
    this.#open.set('', fs.openRoot(root));
  }

  get root(): number {
    return this.#open.get('') as number;
  }

  /** The open folder `path` (`''`: the root). Throws ENOENT, ENOTDIR, ELOOP, EACCES. */
  folder(path: string): number {
    const known = this.#open.get(path);
    if (known !== undefined) {
      // To the end of the row: what was just handed out is not what is closed next.
      if (path !== '') this.#open.delete(path);
      this.#open.set(path, known);
      return known;
    }
    const parent = this.folder(parentOf(path));
    const fd = this.#fs.openDirectory(parent, nameOf(path));
    // A deep tree must not use up the process's descriptors: those longest unused go, never the root.
    if (this.#open.size >= 200) this.#closeUnused();
    this.#open.set(path, fd);
    return fd;
  }

  /**
   * The folder a path lies in, made where it is missing. Made open to all, less the process's umask (the daemon's is
   * 077): where the folder around it has a default access list, the kernel goes by that instead, and `made` by nothing.
   */
  makeFolder(path: string, made: (path: string, fd: number) => void): number {
    try {
      return this.folder(path);
    } catch (error) {
      if (errorCode(error) !== 'ENOENT' || path === '') throw error;
      const parent = this.makeFolder(parentOf(path), made);
      this.#fs.makeDirectory(parent, nameOf(path), 0o777);
      const fd = this.folder(path);
      made(path, fd);
      return fd;
    }
  }

  /** Undefined also when a folder on the way is missing, or is no folder: then nothing is at that path. */
  stat(path: SitePath): Stat | undefined {
    try {
      return this.#fs.stat(this.folder(parentOf(path)), nameOf(path));
    } catch (error) {
      if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errorCode(error))) return undefined;
      throw error;
    }
  }

  /** As `stat`; also undefined where we may not look. */
  statQuietly(path: SitePath): Stat | undefined {
    try {
      return this.stat(path);
    } catch (error) {
      if (errorCode(error) === 'EACCES') return undefined;
      throw error;
    }
  }

  /** The deepest folder on the way to a path that is there already. */
  nearestFolder(path: SitePath): string {
    for (let folder = parentOf(path); folder !== ''; folder = parentOf(folder)) {
      if (this.statQuietly(folder as SitePath)?.kind === 'directory') return folder;
    }
    return '';
  }

  /** Must be called when a folder was removed or replaced by us. */
  forget(path: string): void {
    for (const [known, fd] of this.#open) {
      if (known !== path && !known.startsWith(`${path}/`)) continue;
      this.#fs.close(fd);
      this.#open.delete(known);
    }
  }

  close(): void {
    for (const fd of this.#open.values()) this.#fs.close(fd);
    this.#open.clear();
  }

  #closeUnused(): void {
    for (const [path, fd] of this.#open) {
      if (path === '') continue;
      this.#fs.close(fd);
      this.#open.delete(path);
      if (this.#open.size < 100) return;
    }
  }
}

/** The last component of a path, as bytes. */
export function nameOf(path: string): Buffer {
  return pathBytes(path.slice(path.lastIndexOf('/') + 1) as SitePath);
}
