import { createHash } from 'node:crypto';
import { type Entry, type Oid, type SitePath, parentOf } from '../model/tree.ts';
import { type Pointer, pointerLimit, pointerText, readPointer } from '../model/lfs.ts';
import type { Fs, Stat } from '../model/world.ts';
import type { OpenFile } from '../sync/ports.ts';
import { close, errorCode, isAbsent } from './errno.ts';
import { DirectoryHandles, nameOf } from './directory-handles.ts';
import { withLf } from './line-endings.ts';

const chunkBytes = 1024 * 1024;

/** Told how the reading of a file ended. */
export interface Reading {
  /** It was the same from the first byte to the last. */
  done(stat: Stat): void;
  /** The disk failed after it was opened; the rest of the content is made up, and `finish` answers no. */
  failed(error: unknown): void;
}

/**
 * Opens one file of a site for recording: through one descriptor, with a stat before and after and a stat of the name
 * at the end, so that a file which changes meanwhile is known to have changed. Undefined when it is no plain file now.
 * Throws what the system throws where that is not certain.
 */
export function openSteady(fs: Fs, root: string, path: SitePath, reading: Reading): OpenFile | undefined {
  const opened = openPlain(fs, root, path);
  if (!opened) return undefined;
  const { fd, stat: first } = opened;
  let isWhole = true;
  const failed = (error: unknown): void => {
    isWhole = false;
    reading.failed(error);
  };
  return {
    size: first.size,
    chunks: padded(fs, fd, first.size, failed),
    finish() {
      try {
        const last = fs.statOpen(fd);
        const named = lookAgain(fs, root, path);
        const steady = isWhole && same(first, last) && named !== undefined && same(first, named);
        if (steady) reading.done(first);
        return steady;
      } catch (error) {
        failed(error);
        return false;
      } finally {
        close(fs, fd);
      }
    },
  };
}

/** As {@link openSteady}, for a symbolic link, whose content is its target. */
export function openLink(fs: Fs, root: string, path: SitePath, reading: Reading): OpenFile | undefined {
  const link = readLink(fs, root, path);
  return (
    link && {
      size: link.target.length,
      chunks: onlyOne(link.target),
      finish() {
        try {
          const now = readLink(fs, root, path);
          const isSteady = now !== undefined && same(now.stat, link.stat);
          if (isSteady) reading.done(link.stat);
          return isSteady;
        } catch (error) {
          reading.failed(error);
          return false;
        }
      },
    }
  );
}

/** The link that stands at a path and where it leads; undefined where there is none. Throws what the system throws. */
export function readLink(fs: Fs, root: string, path: SitePath): { target: Buffer; stat: Stat } | undefined {
  const handles = new DirectoryHandles(fs, root);
  try {
    const folder = handles.folderIfThere(parentOf(path));
    if (folder === undefined) return undefined;
    const stat = fs.stat(folder, nameOf(path));
    if (stat?.kind !== 'link') return undefined;
    const target = fs.readLink(folder, nameOf(path));
    // A link cannot be written to: the same inode before and after is the same target.
    const after = fs.stat(folder, nameOf(path));
    return after && same(stat, after) ? { target, stat } : undefined;
  } catch (error) {
    if (isAbsent(error) || errorCode(error) === 'EINVAL') return undefined;
    throw error;
  } finally {
    handles.close();
  }
}

/** What a file's content is in the repository: its bytes, a pointer to them in LFS, or its lines with LF alone; of a link its target. */
export type Form = 'bytes' | 'pointer' | 'lf' | 'link';

/** A file's present content, by the id of what the repository has or would get of it. */
export interface Hashed {
  readonly oid: Oid;
  readonly stat: Stat;
  readonly form: Form;
}

/** How the repository keeps a path. `hasLf`: whether a content with CRLF alone gets LF there. */
export interface Kept {
  readonly large?: boolean | undefined;
  readonly hasLf?: (content: Buffer) => Promise<boolean>;
  /** Whether a symbolic link counts; otherwise it is nothing that has a content. */
  readonly links?: boolean;
  /** Where the file's content in some form is one of these, it is that one whatever the rules say now. */
  readonly known?: readonly (Oid | undefined)[];
}

/** So many bytes are held to look at line endings; longer files are kept as they are. */
export const longestText = 16 * 1024 * 1024;

/**
 * The blob id git would give the file's present content; undefined when it is gone, no plain file, or changing. Throws
 * what the system throws where that cannot be told. A file that was committed in one form stays so until somebody edits
 * it.
 */
export async function hashFile(fs: Fs, root: string, path: SitePath, kept: Kept = {}): Promise<Hashed | undefined> {
  const link = kept.links ? readLink(fs, root, path) : undefined;
  if (link) return { oid: blobId(link.target), stat: link.stat, form: 'link' };
  let seen: Stat | undefined;
  const file = openSteady(fs, root, path, {
    done(stat) {
      seen = stat;
    },
    failed(error) {
      throw error;
    },
  });
  if (!file) return undefined;
  const known = kept.known?.filter((oid) => oid !== undefined) ?? [];
  const mayPoint = kept.large || known.length > 0;
  const holds = file.size < pointerLimit || (file.size <= longestText && (kept.hasLf ?? known.length > 0));
  const hash = createHash('sha1').update(`blob ${file.size}\0`);
  const sha = createHash('sha256');
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of file.chunks) {
      hash.update(chunk);
      if (mayPoint) sha.update(chunk);
      if (holds) chunks.push(Buffer.from(chunk));
    }
  } catch (error) {
    file.finish();
    throw error;
  }
  if (!file.finish() || !seen) return undefined;
  const asItIs: Hashed = { oid: hash.digest('hex') as Oid, stat: seen, form: 'bytes' };
  if (file.size === 0 || known.includes(asItIs.oid)) return asItIs;
  const content = Buffer.concat(chunks);
  if (mayPoint && (file.size >= pointerLimit || readPointer(content) === undefined)) {
    const pointer = blobId(Buffer.from(pointerText({ sha: sha.digest('hex'), size: file.size })));
    if (kept.large || known.includes(pointer)) return { oid: pointer, stat: seen, form: 'pointer' };
  }
  const lines = holds ? withLf(content) : 'same';
  if (typeof lines === 'string') return asItIs;
  const oid = blobId(lines);
  const isLf = known.includes(oid) || (await kept.hasLf?.(content));
  return isLf ? { oid, stat: seen, form: 'lf' } : asItIs;
}

/** As the tree would have it; whether a file can be executed is not asked. */
export function entryOf(hashed: Hashed | undefined): Entry | undefined {
  return hashed && { mode: hashed.form === 'link' ? '120000' : '100644', oid: hashed.oid };
}

function blobId(content: Buffer): Oid {
  return createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex') as Oid;
}

/**
 * As {@link openSteady}, for a file that the repository keeps in LFS: its content goes to `keep`, and what is recorded
 * is the pointer. A file that is a pointer itself, or empty, is recorded as it is, as git-lfs does.
 */
export async function openLarge(
  file: OpenFile | undefined,
  keep: (chunks: AsyncIterable<Buffer>) => Promise<Pointer>,
): Promise<OpenFile | undefined> {
  if (!file || file.size === 0) return file;
  try {
    const small = file.size < pointerLimit ? await whole(file.chunks) : undefined;
    const isPointer = small && readPointer(small) !== undefined;
    const chunks = small ? onlyOne(small) : file.chunks;
    const recorded = isPointer ? small : Buffer.from(pointerText(await keep(chunks)));
    return { size: recorded.length, chunks: onlyOne(recorded), finish: () => file.finish() };
  } catch (error) {
    file.finish();
    throw error;
  }
}

/** As {@link openSteady}, with the content that `inRepository` makes of the file's own. A very long file stays as it is. */
export async function openText(
  file: OpenFile | undefined,
  inRepository: (content: Buffer) => Promise<Buffer>,
): Promise<OpenFile | undefined> {
  if (!file || file.size === 0 || file.size > longestText) return file;
  try {
    const recorded = await inRepository(await whole(file.chunks));
    return { size: recorded.length, chunks: onlyOne(recorded), finish: () => file.finish() };
  } catch (error) {
    file.finish();
    throw error;
  }
}

async function whole(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(Buffer.from(chunk));
  return Buffer.concat(all);
}

async function* onlyOne(content: Buffer): AsyncGenerator<Buffer> {
  yield content;
}

function openPlain(fs: Fs, root: string, path: SitePath): { fd: number; stat: Stat } | undefined {
  const handles = new DirectoryHandles(fs, root);
  try {
    const fd = openIfFile(fs, handles, path);
    if (fd === undefined) return undefined;
    try {
      const stat = fs.statOpen(fd);
      if (stat.kind === 'file') return { fd, stat };
    } catch (error) {
      close(fs, fd);
      throw error;
    }
    close(fs, fd);
    return undefined;
  } finally {
    handles.close();
  }
}

/** What is in the way of opening a file may be that it is none, such as a link or a socket: then its name shows that too. */
function openIfFile(fs: Fs, handles: DirectoryHandles, path: SitePath): number | undefined {
  const folder = handles.folderIfThere(parentOf(path));
  if (folder === undefined) return undefined;
  try {
    return fs.openFile(folder, nameOf(path));
  } catch (error) {
    if (isAbsent(error) || fs.stat(folder, nameOf(path))?.kind !== 'file') return undefined;
    throw error;
  }
}

function lookAgain(fs: Fs, root: string, path: SitePath): Stat | undefined {
  const handles = new DirectoryHandles(fs, root);
  try {
    return handles.stat(path);
  } finally {
    handles.close();
  }
}

/**
 * Exactly `size` bytes: a file that shrank or cannot be read on is filled up, since the size was announced before the
 * first byte.
 */
async function* padded(fs: Fs, fd: number, size: number, failed: (error: unknown) => void): AsyncGenerator<Buffer> {
  let isReadable = true;
  for (let left = size; left > 0;) {
    const buffer = Buffer.alloc(Math.min(chunkBytes, left));
    const count = isReadable ? await fs.read(fd, buffer).catch(cannot) : 0;
    const chunk = count === 0 ? buffer : buffer.subarray(0, count);
    left -= chunk.length;
    yield chunk;
  }

  function cannot(error: unknown): number {
    isReadable = false;
    failed(error);
    return 0;
  }
}

function same(a: Stat, b: Stat): boolean {
  return a.dev === b.dev && a.ino === b.ino && a.size === b.size && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs;
}
