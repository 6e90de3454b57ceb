import { createReadStream } from 'node:fs';
import { chown, mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Problem } from '../model/problem.ts';
import type { Random } from '../model/world.ts';
import { FILE_MODE, FOLDER_MODE, exists, syncFolder, writeDurably } from '../store/durable.ts';
import { readKey } from '../store/key-file.ts';
import { takeLock } from '../store/lock.ts';
import { MARK } from '../store/state-dir.ts';
import { createVault } from '../store/vault.ts';
import { type Manifest, type Signing, readArchive } from './archive.ts';
import { restoredName, restoredNote } from './restored.ts';

/** There while a restore is under way: what is beside it is half of one. */
const underWay = 'restore-under-way';
/** What may lie in a state directory that takes a backup in. */
const harmless = new Set(['lock', 'lost+found', 'first-start', 'setup-code', 'run', underWay]);

export interface RestoreOptions {
  readonly file: string;
  readonly stateDir: string;
  /** Where the daemon will look for its key. */
  readonly keyPath: string;
  /** The key that `--with-key` had written; absent: the one at `keyPath`, if there is one. */
  readonly keyFile?: string;
  readonly random: Random;
}

export interface Restored {
  readonly manifest: Manifest;
  /** False: there is no key yet, so nobody could tell whether the archive is as it was made. */
  readonly isSigned: boolean;
}

/**
 * Puts a backup into an empty state directory. The whole archive is checked before anything is written. Throws
 * `backup-damaged`, `backup-foreign`, `backup-state-exists`, `state-in-use`, `key-wrong`.
 */
export async function restoreBackup(options: RestoreOptions): Promise<Restored> {
  const { file, stateDir, keyPath, keyFile, random } = options;
  const present = await readKey(keyPath);
  const given = keyFile === undefined ? undefined : await readKey(keyFile);
  if (keyFile !== undefined && !given) throw new Problem('key-missing', { path: keyFile, reason: 'absent' });
  if (present && given && !present.equals(given)) throw new Problem('backup-state-exists', { path: keyPath });
  const key = given ?? present;
  const signing = key && signingWith(key, random);
  await refuseState(stateDir, keyPath);
  await readArchive(() => createReadStream(file), signing);

  await mkdir(stateDir, { recursive: true, mode: FOLDER_MODE });
  const lock = takeLock(join(stateDir, 'lock'));
  try {
    await refuseState(stateDir, keyPath);
    await empty(stateDir, keyPath);
    await writeDurably(join(stateDir, underWay), '');
    const putKey = async (): Promise<void> => {
      if (given && !present) await writeDurably(keyPath, given);
    };
    const manifest = await unpack(options, signing, putKey);
    await rm(join(stateDir, underWay));
    await syncFolder(stateDir);
    return { manifest, isSigned: signing !== undefined };
  } finally {
    lock.release();
  }
}

/** The key that signs and checks the manifests of an installation’s backups. */
export function signingWith(key: Buffer, random: Random): Signing {
  const vault = createVault([key], random);
  return { keyId: vault.keyId, secret: vault.derive('backups') };
}

/** Throws `backup-state-exists` where there is an installation, or anything else. */
async function refuseState(stateDir: string, keyPath: string): Promise<void> {
  if (!(await exists(stateDir))) return;
  const names = await readdir(stateDir);
  // Once the store's mark is there, a restore is complete, and a daemon may have gone on with it since.
  if (names.includes(underWay) && !names.includes(MARK)) return;
  const others = names.filter((name) => !harmless.has(name) && join(stateDir, name) !== keyPath);
  if (others.length > 0) throw new Problem('backup-state-exists', { path: stateDir });
}

/** Removes what a restore that was broken off had written. */
async function empty(stateDir: string, keyPath: string): Promise<void> {
  for (const name of await readdir(stateDir)) {
    if (harmless.has(name) && name !== 'first-start' && name !== 'setup-code') continue;
    if (join(stateDir, name) !== keyPath) await rm(join(stateDir, name), { recursive: true, force: true });
  }
}

/** The store's mark last: without it, no daemon starts on what is there. `before`: what must be there by then. */
async function unpack(
  { file, stateDir }: RestoreOptions,
  signing: Signing | undefined,
  before: () => Promise<void>,
): Promise<Manifest> {
  const owner = process.getuid?.() === 0 ? await stat(stateDir) : undefined;
  const folders = new Set<string>([stateDir]);
  let mark: Buffer | undefined;
  const write = async (name: string, content: AsyncIterable<Buffer>): Promise<void> => {
    const path = join(stateDir, name);
    for (let folder = dirname(path); !folders.has(folder); folder = dirname(folder)) folders.add(folder);
    await mkdir(dirname(path), { recursive: true, mode: FOLDER_MODE });
    const handle = await open(path, 'wx', FILE_MODE);
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (owner) await chown(path, owner.uid, owner.gid);
  };
  const manifest = await readArchive(
    () => createReadStream(file),
    signing,
    async (name, content) => {
      if (name !== MARK) return write(name, content);
      const chunks: Buffer[] = [];
      for await (const chunk of content) chunks.push(chunk);
      mark = Buffer.concat(chunks);
    },
  ).catch((error: unknown) => {
    const { code = '' } = error as NodeJS.ErrnoException;
    throw code === 'ENOSPC' || code === 'EDQUOT'
      ? new Problem('disk-full', { folder: stateDir }, { cause: error })
      : error;
  });
  if (!mark) throw new Problem('backup-damaged', { reason: `${MARK} is missing` });
  const note = [Buffer.from(restoredNote(manifest.machine))];
  for (const id of manifest.sites) await write(restoredName(id), asAsync(note));
  for (const folder of [...folders].sort().reverse()) {
    if (owner && folder !== stateDir) await chown(folder, owner.uid, owner.gid);
    await syncFolder(folder);
  }
  await before();
  await writeDurably(join(stateDir, MARK), mark);
  return manifest;
}

async function* asAsync(chunks: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* chunks;
}
