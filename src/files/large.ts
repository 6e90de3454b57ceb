import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Pointer } from '../model/lfs.ts';

/**
 * Large files that were taken from the folder and are not on GitLab yet, and those that a kept version needs: by the
 * SHA-256 of their content, outside the site and outside git.
 */
export interface LargeStore {
  /** Copies a content in and tells what points to it. Durable when it resolves. */
  keep(chunks: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<Pointer>;
  has(pointer: Pointer): Promise<boolean>;
  read(pointer: Pointer): AsyncIterable<Buffer>;
  /** GitLab has it now. */
  drop(pointer: Pointer): Promise<void>;
  /** All of it goes: the site is removed. */
  clear(): Promise<void>;
}

export function openLargeStore(dir: string): LargeStore {
  const pathOf = ({ sha }: Pointer): string => join(dir, sha.slice(0, 2), sha);
  return {
    async keep(chunks) {
      await mkdir(dir, { recursive: true, mode: 0o700 });
      const temporary = join(dir, `tmp-${randomUUID()}`);
      const file = await open(temporary, 'wx', 0o600);
      const hash = createHash('sha256');
      let size = 0;
      try {
        for await (const chunk of chunks) {
          hash.update(chunk);
          size += chunk.length;
          await file.writeFile(chunk);
        }
        await file.sync();
      } catch (error) {
        await file.close();
        await rm(temporary, { force: true });
        throw error;
      }
      await file.close();
      const pointer = { sha: hash.digest('hex'), size };
      await mkdir(dirname(pathOf(pointer)), { recursive: true, mode: 0o700 });
      await rename(temporary, pathOf(pointer));
      return pointer;
    },
    has: (pointer) =>
      stat(pathOf(pointer)).then(
        ({ size }) => size === pointer.size,
        () => false,
      ),
    read: (pointer) => createReadStream(pathOf(pointer)) as AsyncIterable<Buffer>,
    drop: (pointer) => rm(pathOf(pointer), { force: true }),
    clear: () => rm(dir, { recursive: true, force: true }),
  };
}
