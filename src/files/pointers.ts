import { type Pointer, isPointer, mayPoint, readPointer } from '../model/lfs.ts';
import type { NotSyncedReason } from '../model/site.ts';
import type { Entry, SitePath } from '../model/tree.ts';
import type { ApplyRequest, TreeFile } from '../sync/ports.ts';

export const asPointer: NotSyncedReason = { kind: 'lfs-pointer' };

/** Which of the files that come stand for a content in LFS. `isLarge`: the paths where that is followed. */
export async function pointersAmong(
  files: readonly { readonly path: SitePath; readonly after: Entry }[],
  isLarge: (path: SitePath) => boolean,
  { sizes, blobs }: Pick<ApplyRequest, 'sizes' | 'blobs'>,
): Promise<ReadonlyMap<SitePath, Pointer>> {
  const found = new Map<SitePath, Pointer>();
  const large = files.filter(({ path }) => isLarge(path));
  if (large.length === 0) return found;
  const bytes = await sizes(large.map(({ after }) => after.oid));
  const small = large.filter((_, at) => mayPoint(bytes[at] as number));
  let next = 0;
  for await (const { chunks } of blobs(small.map(({ after }) => after.oid))) {
    const pointer = readPointer(await wholeOf(chunks));
    if (pointer) found.set((small[next] as { path: SitePath }).path, pointer);
    next += 1;
  }
  return found;
}

/** Of a commit's files, those that stand in for a content in LFS, well formed or not. */
export async function standIns(
  files: readonly Pick<TreeFile, 'path' | 'oid' | 'size'>[],
  blobs: ApplyRequest['blobs'],
): Promise<ReadonlySet<SitePath>> {
  const found = new Set<SitePath>();
  const small = files.filter(({ size }) => mayPoint(size));
  let next = 0;
  for await (const { chunks } of blobs(small.map(({ oid }) => oid))) {
    if (isPointer(await wholeOf(chunks))) found.add((small[next] as TreeFile).path);
    next += 1;
  }
  return found;
}

/** A content that is known to be small. */
export async function wholeOf(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(Buffer.from(chunk));
  return Buffer.concat(all);
}
