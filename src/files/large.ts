import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Pointer } from '../model/lfs.ts';
import { isAbsent } from './errno.ts';
import { stateProblem } from './state.ts';

/**
 * Large files that were taken from the folder and are not on GitLab yet, and those that a kept version needs: by the
 * SHA-256 of their content, outside the site and outside git. What keeps, checks or reads a content throws `disk-full`,
 * `out-of-resources` and `state-failed` where the state directory fails.
 */
export interface LargeStore {
  /** Copies a content in and tells what points to it. Durable when it resolves. */
  keep(chunks: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<Pointer>;
  has(pointer: Pointer): Promise<boolean>;
  /** Whether it is here and is what its name says. One that is spoilt goes: GitLab may have it whole. */
  sound(pointer: Pointer): Promise<boolean>;
  read(pointer: Pointer): AsyncIterable<Buffer>;
  /** GitLab has it now. */
  drop(pointer: Pointer): Promise<void>;
  /** What a crash left half-written goes. Only while nothing is being kept. */
  sweep(): Promise<void>;
  /** Contents that were kept before `before` (ms since 1970) go, those apart that are `needed`. */
  tidy(before: number, needed: () => Promise<readonly Pointer[]>): Promise<void>;
  /** All of it goes: the site is removed. */
  clear(): Promise<void>;
}

export function openLargeStore(dir: string): LargeStore {
  const pathOf = ({ sha }: Pick<Pointer, 'sha'>): string => join(dir, sha.slice(0, 2), sha);
  const named = async (name: RegExp): Promise<readonly string[]> => {
    const all = await readdir(dir, { recursive: true }).catch((error: unknown) => {
      if (isAbsent(error)) return [];
      throw error;
    });
    return all.filter((path) => name.test(basename(path)));
  };
  const has = (pointer: Pointer): Promise<boolean> =>
    stat(pathOf(pointer)).then(
      ({ size }) => size === pointer.size,
      () => false,
    );
  async function* read(pointer: Pointer): AsyncGenerator<Buffer> {
    try {
      yield* createReadStream(pathOf(pointer)) as AsyncIterable<Buffer>;
    } catch (error) {
      throw stateProblem(error, pathOf(pointer));
    }
  }
  async function keep(chunks: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<Pointer> {
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
    for (const folder of [dirname(pathOf(pointer)), dir]) await syncFolder(folder);
    return pointer;
  }
  return {
    keep: (chunks) =>
      keep(chunks).catch((error: unknown) => {
        throw stateProblem(error, dir);
      }),
    has,
    async sound(pointer) {
      if (!(await has(pointer))) return false;
      const hash = createHash('sha256');
      for await (const chunk of read(pointer)) hash.update(chunk);
      const isSound = hash.digest('hex') === pointer.sha;
      if (!isSound) await rm(pathOf(pointer), { force: true });
      return isSound;
    },
    read,
    drop: (pointer) => rm(pathOf(pointer), { force: true }),
    async sweep() {
      for (const path of await named(/^tmp-/)) await rm(join(dir, path), { force: true });
    },
    async tidy(before, needed) {
      const old: string[] = [];
      for (const path of await named(/^[0-9a-f]{64}$/)) {
        if ((await stat(join(dir, path))).mtimeMs < before) old.push(basename(path));
      }
      if (old.length === 0) return;
      const stays = new Set((await needed()).map(({ sha }) => sha));
      for (const sha of old) if (!stays.has(sha)) await rm(pathOf({ sha }), { force: true });
    },
    clear: () => rm(dir, { recursive: true, force: true }),
  };
}

/** What GitLab gives now need not be here too, unless a kept version would miss it should the project ever go. */
export async function letGo(
  store: Pick<LargeStore, 'has' | 'drop'>,
  pointers: readonly Pointer[],
  ask: {
    readonly kept: () => Promise<readonly Pointer[]>;
    readonly present: (pointers: readonly Pointer[]) => Promise<readonly Pointer[]>;
  },
): Promise<void> {
  const here: Pointer[] = [];
  for (const pointer of pointers) if (await store.has(pointer)) here.push(pointer);
  if (here.length === 0) return;
  const needed = new Set((await ask.kept()).map(({ sha }) => sha));
  for (const pointer of await ask.present(here)) if (!needed.has(pointer.sha)) await store.drop(pointer);
}

/** Or a power cut takes the name back, and with it the content. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
