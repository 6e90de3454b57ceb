import { Problem, machineProblem } from '../model/problem.ts';
import type { RootIdentity } from '../model/site.ts';
import type { Fs } from '../model/world.ts';
import { close, errnoOf } from './errno.ts';
import { hiddenPlace, readMounts } from './mount-table.ts';

/** The folder of a site is there and can be listed. Throws `folder-*`. `isLost`: whether an empty one lost its files. */
export function checkRoot(fs: Fs, root: string, isLost: () => boolean): RootIdentity {
  const fd = openRoot(fs, root);
  try {
    const stat = fs.statOpen(fd);
    const entries = fs.list(fd).filter(({ name }) => !name.toString('latin1').startsWith('.mooring-'));
    if (entries.length === 0 && isLost()) throw new Problem('folder-emptied', { folder: root });
    return { dev: String(stat.dev), ino: String(stat.ino) };
  } catch (error) {
    throw rootProblem(error, root);
  } finally {
    close(fs, fd);
  }
}

/** Throws `folder-*`, `disk-full` and `out-of-resources`, so that no error of the root is taken for one of a path in it. */
export function openRoot(fs: Fs, root: string): number {
  try {
    return fs.openRoot(root);
  } catch (error) {
    throw rootProblem(error, root);
  }
}

/** An error that was met when the folder of a site was looked at, as a problem; any other error as it is. */
export function rootProblem(error: unknown, folder: string): unknown {
  const errno = errnoOf(error);
  if (errno === undefined) return error;
  const problem = machineProblem(error, { folder });
  if (problem) return problem;
  const hidden = hiddenPlace(folder, readMounts());
  const facts = { folder, errno, ...(hidden === undefined ? {} : { hidden }) };
  return new Problem(codes[errno] ?? 'folder-unreadable', facts, { cause: error });
}

const codes: Readonly<Record<string, Problem['code']>> = {
  ENOENT: 'folder-missing',
  ESTALE: 'folder-missing',
  ENODEV: 'folder-missing',
  ELOOP: 'folder-link',
  ENOTDIR: 'folder-not-folder',
};

/** As {@link rootProblem}, for an error that was met when something was written there. */
export function unwritable(error: unknown, folder: string): unknown {
  const errno = errnoOf(error);
  if (errno === undefined) return error;
  return machineProblem(error, { folder }) ?? new Problem('folder-unwritable', { folder, errno }, { cause: error });
}
