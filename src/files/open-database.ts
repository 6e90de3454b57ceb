import type { SitePath } from '../model/tree.ts';

/**
 * SQLite keeps what is not yet in a database's file beside it: `-wal` as long as a program has it open, `-journal` during
 * a transaction. Its file alone is half of a version, and a new file put in its place would be changed by the old log.
 */
const logs = ['-wal', '-journal'] as const;

/** Files that belong to an open database, and to nobody once it is closed. */
const companion = /-(?:wal|journal|shm)$/;

/** Whether a path is a database that is open. `sizeOf`: of a file; undefined where there is none. */
export function isOpenDatabase(path: SitePath, sizeOf: (path: SitePath) => number | undefined): boolean {
  return logs.some((log) => (sizeOf(`${path}${log}` as SitePath) ?? 0) > 0 || isOpenWal(path, log, sizeOf));
}

/** A program that only read so far has an empty log and an index of it. */
function isOpenWal(path: SitePath, log: string, sizeOf: (path: SitePath) => number | undefined): boolean {
  return log === '-wal' && sizeOf(`${path}-wal` as SitePath) === 0 && sizeOf(`${path}-shm` as SitePath) !== undefined;
}

/** Whether a name is one of those that SQLite gives to the files beside a database. */
export const isCompanion = (name: string): boolean => companion.test(name);

/** The database that a path would belong to by its name; undefined where the name is no such name. */
export function databaseOf(path: SitePath): SitePath | undefined {
  const database = path.replace(companion, '') as SitePath;
  return database === path || database === '' || database.endsWith('/') ? undefined : database;
}
