import koffi from 'koffi';
import { type Problem, machineProblem } from '../model/problem.ts';
import type { Fs } from '../model/world.ts';

/** The code of an error, or an empty text. */
export function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

const known: Readonly<Record<string, number>> = koffi.os.errno;

/** The errno of an error of the system, such as `EIO`; undefined for any other error. */
export function errnoOf(error: unknown): string | undefined {
  const code = errorCode(error);
  if (Object.hasOwn(known, code)) return code;
  // Node has no names for some errors of Linux, among them that of a damaged file system.
  const [, value] = /^(?:Unknown system error -|E)(\d+)$/.exec(code) ?? [];
  if (value === undefined) return undefined;
  return Object.entries(known).find(([, each]) => each === Number(value))?.[0] ?? `E${value}`;
}

/** Nothing is there. No other error says so. */
export const isAbsent = (error: unknown): boolean => errorCode(error) === 'ENOENT';

/** This file system cannot do it at all. */
export const isUnsupported = (error: unknown): boolean =>
  ['EINVAL', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP'].includes(errorCode(error));

/** These errors say that the call itself was wrong. */
const faultsOfOurs = new Set(['EBADF', 'EFAULT']);

/**
 * The errno, where an error is a matter of the path it was met at and of nothing else. Throws `disk-full` and
 * `out-of-resources`, and an error that does not come from the file system as it is.
 */
export function pathErrno(error: unknown): string {
  const problem = machineProblem(error);
  if (problem) throw problem;
  const errno = errnoOf(error);
  if (errno === undefined || faultsOfOurs.has(errno)) throw error;
  return errno;
}

/** The answer, or undefined where the path cannot be looked at. Throws as {@link pathErrno} does. */
export function unlessErrno<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    pathErrno(error);
    return undefined;
  }
}

/**
 * At so many paths the same errno is no longer a matter of each of them: the disk fails, and a list of single files
 * would hide that. It is the number of removals from which a person is asked as well.
 */
const mostPaths = 20;

/** However many: whole folders that belong to others are ordinary, and the others are about one name or one file. */
const oneByOne = new Set(['EACCES', 'EPERM', 'ENAMETOOLONG', 'EILSEQ', 'EFBIG']);

/** Makes an error at one path the reason for which that path is not synced, and counts the paths that meet the same. */
export class PathErrors {
  readonly #paths = new Map<string, number>();
  readonly #tooMany: (errno: string, error: unknown) => Problem;

  constructor(tooMany: (errno: string, error: unknown) => Problem) {
    this.#tooMany = tooMany;
  }

  /** Throws as {@link pathErrno} does, and what was given where too many paths met the same errno. */
  reason<K extends 'unreadable' | 'unwritable' | 'unremovable'>(
    kind: K,
    error: unknown,
  ): { readonly kind: K; readonly errno: string } {
    const errno = pathErrno(error);
    const count = (this.#paths.get(errno) ?? 0) + 1;
    this.#paths.set(errno, count);
    if (count >= mostPaths && !oneByOne.has(errno)) throw this.#tooMany(errno, error);
    return { kind, errno };
  }
}

/**
 * Closes a descriptor. Linux gives it up whatever close(2) answers, and what we write is synced before: nothing can be
 * made of an error. Throws what does not come from the file system.
 */
export function close(fs: Fs, fd: number): void {
  try {
    fs.close(fd);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined || faultsOfOurs.has(errno)) throw error;
  }
}
