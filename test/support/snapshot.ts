import { createHash } from 'node:crypto';
import { lstat, readFile, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';

/** Everything a person could see of a folder, its files and their folders: bytes, times, mode, owner, inode. */
export async function snapshot(folder: string, path = '.'): Promise<Record<string, string>> {
  const stat = await lstat(join(folder, path), { bigint: true });
  const { mtimeNs, ctimeNs, mode, uid, gid, ino, size } = stat;
  const content = stat.isFile()
    ? createHash('sha256')
        .update(await readFile(join(folder, path)))
        .digest('hex')
    : stat.isSymbolicLink()
      ? await readlink(join(folder, path))
      : '';
  const found = { [path]: [content, mtimeNs, ctimeNs, mode.toString(8), uid, gid, ino, size].join(' ') };
  if (!stat.isDirectory()) return found;
  for (const name of (await readdir(join(folder, path))).sort())
    Object.assign(found, await snapshot(folder, join(path, name)));
  return found;
}
