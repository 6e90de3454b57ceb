import { type Folding, folded } from '../../src/files/folding.ts';
import type { Fs } from '../../src/model/world.ts';

/** A file system that takes names for the same which differ in case or in how accents are composed: macOS, SMB, FAT. */
export function foldingFs(real: Fs, folding: Folding): Fs {
  const key = (name: Buffer): string => folded(folding, name.toString('latin1'));
  /** The name as it is on disk. */
  const as = (dir: number, name: Buffer): Buffer =>
    real.list(dir).find((entry) => key(entry.name) === key(name))?.name ?? name;
  return {
    ...real,
    openDirectory: (dir, name) => real.openDirectory(dir, as(dir, name)),
    stat: (dir, name) => real.stat(dir, as(dir, name)),
    openFile: (dir, name) => real.openFile(dir, as(dir, name)),
    readSmall: (dir, name, limit) => real.readSmall(dir, as(dir, name), limit),
    readLink: (dir, name) => real.readLink(dir, as(dir, name)),
    makeLink: (dir, name, target) => real.makeLink(dir, as(dir, name), target),
    createFile: (dir, name, mode) => real.createFile(dir, as(dir, name), mode),
    makeDirectory: (dir, name, mode) => real.makeDirectory(dir, as(dir, name), mode),
    removeDirectory: (dir, name) => real.removeDirectory(dir, as(dir, name)),
    unlink: (dir, name) => real.unlink(dir, as(dir, name)),
    link: (from, name, to, newName) => real.link(from, as(from, name), to, as(to, newName)),
    rename: (from, name, to, newName) => real.rename(from, as(from, name), to, as(to, newName)),
    ...(real.exchange
      ? {
          exchange: (a: number, nameA: Buffer, b: number, nameB: Buffer) =>
            real.exchange?.(a, as(a, nameA), b, as(b, nameB)),
        }
      : {}),
  };
}
