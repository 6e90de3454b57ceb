import { realpathSync, statSync } from 'node:fs';
import { dirname, isAbsolute } from 'node:path';

/**
 * Why a program must not be started, as a sentence; undefined: it may be. Whoever can write the file, or a folder on the
 * way to it, decides what runs with Mooring's rights. That must be the operator alone: not another user of the machine,
 * and not somebody who pushes to a repository.
 */
export function programFault(
  program: string,
  { uid, roots }: { readonly uid: number; readonly roots: readonly string[] },
): string | undefined {
  if (!isAbsolute(program)) return 'It must be an absolute path.';
  try {
    const path = realpathSync(program);
    const root = [program, path].map((each) => roots.find((folder) => each.startsWith(`${folder}/`))).find(Boolean);
    if (root !== undefined) return `It must not be in ${root}: whoever can push to a site could replace it.`;
    const file = statSync(path);
    if (!file.isFile()) return `${path} is not a file.`;
    if ((file.mode & 0o111) === 0) return `${path} is not executable. Run: chmod 755 ${path}`;
    const isTrusted = (owner: number): boolean => owner === 0 || owner === uid;
    if (!isTrusted(file.uid)) return `${path} belongs to another user. It must belong to root or to Mooring’s user.`;
    if ((file.mode & 0o022) !== 0) return `${path} can be changed by other users. Run: chmod go-w ${path}`;
    for (let folder = dirname(path); ; folder = dirname(folder)) {
      const { mode, uid: owner } = statSync(folder);
      // In a sticky folder, such as /tmp, only the owner of a file may replace it.
      const isOpen = (mode & 0o022) !== 0 && (mode & 0o1000) === 0;
      if (isOpen || !isTrusted(owner)) return `Other users can change what is in ${folder}, and so replace ${path}.`;
      if (folder === dirname(folder)) return undefined;
    }
  } catch (error) {
    const { code = String(error) } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' ? `There is no file ${program}.` : `${program} cannot be looked at (${code}).`;
  }
}
