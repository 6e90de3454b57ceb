import { Problem } from '../model/problem.ts';
import { type Entry, type SitePath, displayPath } from '../model/tree.ts';
import type { Directory, Repository } from './ports.ts';

type Sides = { readonly repository: Pick<Repository, 'sizes'>; readonly directory: Pick<Directory, 'pointersLeft'> };
type File = Entry & { readonly path: SitePath };

/** The paths where a commit has a pointer to a large file that this site does not follow: no content may take its place. */
export async function pointersLeft(
  { repository, directory }: Sides,
  files: readonly File[],
): Promise<ReadonlySet<SitePath>> {
  const plain = files.filter(({ mode }) => mode.startsWith('100'));
  const sizes = await repository.sizes(plain.map(({ oid }) => oid));
  return directory.pointersLeft(plain.map((file, at) => ({ ...file, size: sizes[at] as number })));
}

/** Throws `lfs-not-followed` where `next` would be a content in place of such a pointer. */
export async function checkNotOverPointer(sides: Sides, present: File | undefined, next: Entry): Promise<void> {
  if (!present || (await pointersLeft(sides, [present])).size === 0) return;
  const { path } = present;
  if ((await pointersLeft(sides, [{ path, ...next }])).size === 0)
    throw new Problem('lfs-not-followed', { path: displayPath(path) });
}
