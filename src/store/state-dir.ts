import { chmod, mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Problem } from '../model/problem.ts';
import type { Random } from '../model/world.ts';
import type { StoreNote } from './store-file.ts';
import { exists, FOLDER_MODE, sweepTemporary, syncFolder, writeDurably } from './durable.ts';
import { keyExposure, makeKey, previousKeyPath, readKey } from './key-file.ts';
import { takeLock, type Lock } from './lock.ts';

/** The state directory, ours alone until `close`. */
export interface StateDir {
  readonly path: string;
  readonly keyPath: string;
  /** The present key first, then the one of a rotation that was broken off. */
  readonly keys: readonly [Buffer, ...Buffer[]];
  /** True for a first start, until `finish`. */
  readonly fresh: boolean;
  readonly notes: readonly StoreNote[];
  /** The first start is complete: from now on a missing store is an error. May be called at every start. */
  finish(): Promise<void>;
  writeSetupCode(code: string): Promise<void>;
  dropSetupCode(): Promise<void>;
  close(): void;
}

/** The file that tells an installation from an empty folder; see {@link openStateDir}. */
export const MARK = 'state.json';
/** Present while a first start is under way. An admin who brings their own key makes it by hand, once. */
const FIRST_START = 'first-start';
const SETUP_CODE = 'setup-code';
/** What may lie in a state directory that was never used: ours, and what a freshly made file system has. */
const HARMLESS = new Set([FIRST_START, SETUP_CODE, 'lock', 'lost+found']);

/**
 * Opens the state directory: makes it for the owner alone, takes the lock, finds the key.
 *
 * An empty directory is a fresh start. A key, or anything else of ours, without a store is not: a store that vanished
 * (an unmounted volume, a bad restore) must not turn the installation into one that the first visitor can claim.
 * Throws `state-in-use`, `store-missing`, `key-missing`, `key-wrong`, `config-invalid`.
 */
export async function openStateDir(options: { path: string; keyPath: string; random: Random }): Promise<StateDir> {
  const { path, keyPath, random } = options;
  const notes = await prepareFolder(path);
  const lock = takeLock(join(path, 'lock'));
  try {
    const fresh = await isFresh(path, keyPath);
    if (fresh) await writeDurably(join(path, FIRST_START), '');
    const present = (await readKey(keyPath)) ?? (fresh ? await makeKey(keyPath, random) : undefined);
    if (!present) throw new Problem('key-missing', { path: keyPath, reason: 'absent' });
    const previous = await readKey(previousKeyPath(keyPath));
    // A change of keys that was killed may have left a copy of a key.
    for (const file of [keyPath, previousKeyPath(keyPath)]) await sweepTemporary(file);
    const exposure = await keyExposure(keyPath);
    if (exposure) notes.push({ file: keyPath, kind: 'access-wide', text: exposure });
    return stateDir({ path, keyPath, fresh, notes, lock, keys: previous ? [present, previous] : [present] });
  } catch (error) {
    lock.release();
    throw error;
  }
}

function stateDir(made: Pick<StateDir, 'path' | 'keyPath' | 'keys' | 'fresh' | 'notes'> & { lock: Lock }): StateDir {
  const { lock, ...facts } = made;
  const inside = (name: string): string => join(facts.path, name);
  const drop = async (name: string): Promise<void> => {
    await rm(inside(name), { force: true });
    await syncFolder(facts.path);
  };
  return {
    ...facts,
    finish: () => drop(FIRST_START),
    writeSetupCode: (code) => writeDurably(inside(SETUP_CODE), `${code}\n`),
    dropSetupCode: () => drop(SETUP_CODE),
    close: () => lock.release(),
  };
}

/** The set-up code of the running daemon, for a command line beside it; undefined once it was used. */
export async function readSetupCode(stateDirPath: string): Promise<string | undefined> {
  const file = join(stateDirPath, SETUP_CODE);
  return (await exists(file)) ? (await readFile(file, 'utf8')).trim() : undefined;
}

async function prepareFolder(path: string): Promise<StoreNote[]> {
  try {
    await mkdir(path, { recursive: true, mode: FOLDER_MODE });
    const found = await stat(path);
    if ((found.mode & 0o077) === 0) return [];
    await chmod(path, FOLDER_MODE);
    const text = `${path} could be entered by others than its owner; it cannot any more (mode 0700).`;
    return [{ file: path, kind: 'access-narrowed', text }];
  } catch (cause) {
    const hint = `The state directory ${path} cannot be made or is not this user's. Set MOORING_STATE to a folder that is.`;
    throw new Problem('config-invalid', { text: hint, hint }, { cause });
  }
}

/**
 * Whether a state directory was never used, or does not exist. Changes nothing. Throws `store-missing` for one that lost
 * its store.
 */
export async function isUnused(path: string, keyPath: string): Promise<boolean> {
  return !(await exists(path)) || isFresh(path, keyPath);
}

async function isFresh(path: string, keyPath: string): Promise<boolean> {
  const names = await readdir(path);
  if (names.includes(MARK) || names.some((name) => name.startsWith(`${MARK}.`))) return false;
  // Set before anything else is made and removed last: a first start that was broken off goes on.
  if (names.includes(FIRST_START)) return true;
  const left = names.filter((name) => !HARMLESS.has(name));
  const key = (await readKey(keyPath)) !== undefined;
  if (!key && left.length === 0) return true;
  const found = key ? `the key ${keyPath}` : left.slice(0, 5).join(', ');
  throw new Problem('store-missing', {
    path,
    found,
    hint: `There is ${found}, but no store in ${path}. If a disk is not mounted or a restore is incomplete, put the state directory back. If this is a new installation with a key you made yourself, create the empty file ${join(path, FIRST_START)} and start again.`,
  });
}
