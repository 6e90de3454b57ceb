/** What tests own: time, chance and the file system. Production passes the real ones; nothing else may reach them. */

/** Time and waiting. `now` is wall time in ms since 1970 (may jump); `monotonic` only ever grows, in ms. */
export interface Clock {
  now(): number;
  monotonic(): number;
  /** Resolves after `ms`, or rejects with the signal's reason when it aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Chance: `bytes` for secrets and names, `fraction` in [0, 1) for jitter. */
export interface Random {
  bytes(length: number): Buffer;
  fraction(): number;
}

/** What `lstat` says, in the parts the engine compares. */
export interface Stat {
  readonly kind: 'file' | 'directory' | 'link' | 'other';
  readonly dev: bigint;
  readonly ino: bigint;
  /** Permission bits only. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

/**
 * The system calls the engine needs, by open directory and name: a directory reached by descriptor cannot be swapped
 * for a link behind our back. Every call throws node's system error (`code`), except where it says otherwise.
 */
export interface Fs {
  /** Opens a directory by path; a link in its place is refused. */
  openRoot(path: string): number;
  /** Opens a directory one step down; a link in its place is refused (ELOOP or ENOTDIR). */
  openDirectory(dir: number, name: Buffer): number;
  close(fd: number): void;
  list(dir: number): readonly { readonly name: Buffer; readonly kind: Stat['kind'] }[];
  /** Undefined when there is nothing of that name. */
  stat(dir: number, name: Buffer): Stat | undefined;
  statOpen(fd: number): Stat;
  /** The id of the mount through which a file or folder was opened; empty where the kernel does not tell. */
  mountId(fd: number): string;
  /** For reading, never following a link, never waiting on a pipe. */
  openFile(dir: number, name: Buffer): number;
  read(fd: number, into: Buffer): Promise<number>;
  /** A small file in one go, at most `limit` bytes, without waiting: for rules, inside a scan. */
  readSmall(dir: number, name: Buffer, limit: number): Buffer;
  /** Where a symbolic link leads; fails with EINVAL where there is something else. */
  readLink(dir: number, name: Buffer): Buffer;
  /** A new symbolic link; fails with EEXIST. */
  makeLink(dir: number, name: Buffer, target: Buffer): void;
  /** A new file; fails with EEXIST. */
  createFile(dir: number, name: Buffer, mode: number): number;
  write(fd: number, bytes: Buffer): Promise<void>;
  chmod(fd: number, mode: number): void;
  chown(fd: number, uid: number, gid: number): void;
  fsync(fd: number): Promise<void>;
  makeDirectory(dir: number, name: Buffer, mode: number): void;
  removeDirectory(dir: number, name: Buffer): void;
  unlink(dir: number, name: Buffer): void;
  /** A second name for a file; fails with EEXIST. */
  link(from: number, name: Buffer, to: number, newName: Buffer): void;
  rename(from: number, name: Buffer, to: number, newName: Buffer): void;
  /** Swaps two names in one step. Absent where the platform cannot. */
  readonly exchange?: (a: number, nameA: Buffer, b: number, nameB: Buffer) => void;
  /** Renames unless the new name is taken; fails with EEXIST. Absent where the platform cannot. */
  readonly renameNoReplace?: (from: number, name: Buffer, to: number, newName: Buffer) => void;
  /**
   * What a file or folder carries beside its mode and that has to outlive a replacement: access and default ACL
   * (`system.posix_acl_…`), `user.…` attributes, the SELinux label. By name, as the kernel gives them. Empty where the
   * file system has none. Absent where the platform cannot.
   */
  readonly attributes?: (dir: number, name: Buffer) => ReadonlyMap<string, Buffer>;
  readonly setAttribute?: (fd: number, name: string, value: Buffer) => void;
  /** Bytes free for us on the file system of an open directory. */
  free(dir: number): number;
}
