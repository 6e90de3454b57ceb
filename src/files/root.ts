import { Problem } from '../model/problem.ts';
import type { RootIdentity } from '../model/site.ts';
import type { Fs } from '../model/world.ts';
import { errorCode } from './disk.ts';

/** The folder of a site is there and can be listed. Throws `folder-*`. `isLost`: whether an empty one lost its files. */
export function checkRoot(fs: Fs, root: string, isLost: () => boolean): RootIdentity {
  let fd: number;
  try {
    fd = fs.openRoot(root);
  } catch (error) {
    throw rootProblem(error, root);
  }
  try {
    const stat = fs.statOpen(fd);
    const entries = fs.list(fd).filter(({ name }) => !name.toString('latin1').startsWith('.mooring-'));
    if (entries.length === 0 && isLost()) throw new Problem('folder-emptied', { folder: root });
    return { dev: String(stat.dev), ino: String(stat.ino) };
  } catch (error) {
    throw error instanceof Problem ? error : rootProblem(error, root);
  } finally {
    fs.close(fd);
  }
}

export function rootProblem(error: unknown, folder: string): unknown {
  const codes: Record<string, Problem['code']> = {
    ENOENT: 'folder-missing',
    ELOOP: 'folder-link',
    ENOTDIR: 'folder-not-folder',
    EACCES: 'folder-unreadable',
    ESTALE: 'folder-missing',
    ENODEV: 'folder-missing',
    EIO: 'folder-unreadable',
  };
  const code = codes[errorCode(error)];
  return code ? new Problem(code, { folder }, { cause: error }) : error;
}
