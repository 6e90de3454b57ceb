import { type SitePath, parentOf, pathBytes, sitePath } from '../model/tree.ts';
import type { Fs, Stat } from '../model/world.ts';
import { close, errorCode, isAbsent, unlessErrno } from './errno.ts';
import { openRoot } from './root.ts';

/**
 * Opens the folders of a site step by step, never through a link, and keeps them open for the length of one piece of
 * work: neighbours share their parents.
 */
export class DirectoryHandles {
  readonly #fs: Fs;
  readonly #open = new Map<string, number>();
  /** The mounts of open folders. */
  readonly #mounts = new Map<string, string>();
  /** The folder of the site. */
  readonly site: string;

  /** Throws what {@link openRoot} throws. */
  constructor(fs: Fs, site: string) {
    this.#fs = fs;
    this.site = site;
    this.#open.set('', openRoot(fs, site));
  }

  get root(): number {
    return this.#open.get('') as number;
  }

  /** The open folder `path` (`''`: the root). Throws what the system throws. */
  folder(path: string): number {
    const known = this.#open.get(path);
    if (known !== undefined) {
      // To the end of the row: what was just handed out is not what is closed next.
      if (path !== '') this.#open.delete(path);
      this.#open.set(path, known);
      return known;
    }
    const fd = isOutside(path)
      ? this.#fs.openRoot(placeOf(path))
      : this.#fs.openDirectory(this.folder(parentOf(path)), nameOf(path));
    // A deep tree must not use up the process's descriptors: those longest unused go, never the root.
    if (this.#open.size >= 200) this.#closeUnused();
    this.#open.set(path, fd);
    return fd;
  }

  /**
   * The mount of the folder `path`, by its id and its device: a rename can leave neither. A bind mount has the same device
   * as what it shows, and a subvolume has the same mount as the one it lies in. Throws what the system throws.
   */
  mountOf(path: string): string {
    const fd = this.folder(path);
    let mount = this.#mounts.get(path);
    if (mount === undefined) {
      mount = `${this.#fs.mountId(fd)}:${this.#fs.statOpen(fd).dev}`;
      this.#mounts.set(path, mount);
    }
    return mount;
  }

  /** The topmost folder of the site on the mount of the folder `path`. Throws what the system throws. */
  topOfMount(path: string): string {
    let top = path;
    while (top !== '' && this.mountOf(parentOf(top)) === this.mountOf(top)) top = parentOf(top);
    return top;
  }

  /** As `folder`; undefined where it is certain that there is no such folder. */
  folderIfThere(path: string): number | undefined {
    try {
      return this.folder(path);
    } catch (error) {
      if (isAbsent(error) || this.isBlocked(path, error)) return undefined;
      throw error;
    }
  }

  /**
   * Whether the error by which a folder cannot be opened says that it, or one on the way to it, is no folder, and a look
   * from above shows the same: a disk that fails may answer anything.
   */
  isBlocked(path: string, error: unknown): boolean {
    if (!['ENOTDIR', 'ELOOP'].includes(errorCode(error)) || isOutside(path)) return false;
    for (const folder of foldersTo(path)) {
      if (this.#fs.stat(this.folder(parentOf(folder)), nameOf(folder))?.kind !== 'directory') return true;
    }
    return false;
  }

  /**
   * The folder a path lies in, made where it is missing. Made open to all, less the process's umask (the daemon's is
   * 077): where the folder around it has a default access list, the kernel goes by that instead, and `made` by nothing.
   */
  makeFolder(path: string, made: (path: string, fd: number) => void): number {
    try {
      return this.folder(path);
    } catch (error) {
      if (!isAbsent(error) || path === '') throw error;
      const parent = this.makeFolder(parentOf(path), made);
      this.#fs.makeDirectory(parent, nameOf(path), 0o777);
      try {
        const fd = this.folder(path);
        made(path, fd);
        return fd;
      } catch (failed) {
        // A folder that exists keeps the rights it has, so the next attempt has to make it anew.
        this.forget(path);
        unlessErrno(() => this.#fs.removeDirectory(parent, nameOf(path)));
        throw failed;
      }
    }
  }

  /** Undefined also when a folder on the way is missing, or is no folder: then nothing is at that path. */
  stat(path: SitePath): Stat | undefined {
    const folder = this.folderIfThere(parentOf(path));
    return folder === undefined ? undefined : this.#fs.stat(folder, nameOf(path));
  }

  /** As `stat`; also undefined where it cannot be looked at. */
  statQuietly(path: SitePath): Stat | undefined {
    return unlessErrno(() => this.stat(path));
  }

  /** Whether something is there, or may be where that cannot be told. */
  mayHold(path: SitePath): boolean {
    return unlessErrno(() => this.stat(path) ?? 'nothing') !== 'nothing';
  }

  /** The deepest folder on the way to a path that is there already. */
  nearestFolder(path: SitePath): string {
    for (let folder = parentOf(path); folder !== ''; folder = parentOf(folder)) {
      if (this.stat(folder as SitePath)?.kind === 'directory') return folder;
    }
    return '';
  }

  /** Must be called when a folder was removed or replaced by us. */
  forget(path: string): void {
    for (const [known, fd] of this.#open) {
      if (known !== path && !known.startsWith(`${path}/`)) continue;
      close(this.#fs, fd);
      this.#open.delete(known);
      this.#mounts.delete(known);
    }
  }

  close(): void {
    for (const fd of this.#open.values()) close(this.#fs, fd);
    this.#open.clear();
  }

  #closeUnused(): void {
    for (const [path, fd] of this.#open) {
      if (path === '') continue;
      close(this.#fs, fd);
      this.#open.delete(path);
      this.#mounts.delete(path);
      if (this.#open.size < 100) return;
    }
  }
}

/** Begins a path that is not below the site, but absolute. No path of a repository or a folder has this byte. */
const outsideMark = '\0';

/** The absolute path of a folder, to be opened like one of the site. */
export const outside = (folder: string): SitePath => `${outsideMark}${sitePath(Buffer.from(folder))}` as SitePath;

export const isOutside = (path: string): boolean => path.startsWith(outsideMark);

const placeOf = (path: string): string => pathBytes(path.slice(1) as SitePath).toString('utf8');

/** The last component of a path, as bytes. */
export function nameOf(path: string): Buffer {
  return pathBytes(path.slice(path.lastIndexOf('/') + 1) as SitePath);
}

/** A folder and those it lies in, the topmost first; not the root. */
export function foldersTo(path: string): string[] {
  const folders: string[] = [];
  for (let folder = path; folder !== ''; folder = parentOf(folder)) folders.unshift(folder);
  return folders;
}
