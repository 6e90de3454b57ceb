import { copyFile, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { Problem } from '../model/problem.ts';
import { errorCode, exists, FILE_MODE, FOLDER_MODE, syncFolder } from './durable.ts';
import { decode, type Form, versionIn } from './envelope.ts';
import type { StoreNote } from './store-file.ts';

/** Holds the store's files as they were before the upgrade from one version of the store. */
const COPY = 'before-upgrade-';
const UNDER_WAY = '.under-way';
const underWay = (from: number): string => `${COPY}${from}${UNDER_WAY}`;

/**
 * The newest state of a file that can be read, whatever its version; undefined: none can. Writes nothing, also where the
 * file is damaged: opening it repairs it. Throws `store-newer`.
 */
export async function readWithoutWriting<T>(
  form: Form<T>,
  path: string,
): Promise<{ readonly data: T; readonly version: number } | undefined> {
  for (const name of [path, `${path}.1`, `${path}.2`, `${path}.3`]) {
    const text = await textOf(name);
    const reading = text === undefined ? undefined : decode(form, text, name);
    if (reading?.kind === 'good') return { data: reading.data, version: reading.writtenVersion };
  }
  return undefined;
}

/**
 * Throws `store-newer` if any file of the store was written by a newer version. All of them are looked at before the
 * first is opened, because opening a file may already rewrite it. `known`: the version of each kind that this program
 * can read; `sites/` holds files of the kind `site`.
 */
export async function refuseNewer(folder: string, known: Readonly<Record<string, number>>): Promise<void> {
  const files = Object.keys(known).map((kind) => ({ kind, path: join(folder, `${kind}.json`) }));
  for (const name of await namesIn(join(folder, 'sites')))
    if (name.endsWith('.json')) files.push({ kind: 'site', path: join(folder, 'sites', name) });
  for (const { kind, path } of files) {
    const version = versionIn(kind, (await textOf(path)) ?? '');
    const needed = known[kind] ?? 0;
    if (version === undefined || version <= needed) continue;
    const by = await writtenBy(folder);
    throw new Problem('store-newer', {
      ...{ path, version: String(version), needed: String(needed), folder },
      ...(by === undefined ? {} : { by }),
    });
  }
}

/** Which Mooring wrote the state last, as far as a form that may be unknown tells it. */
async function writtenBy(folder: string): Promise<string | undefined> {
  const form = z.object({ data: z.object({ writtenBy: z.string().regex(/^[\w.+-]{1,40}$/) }) });
  try {
    return form.parse(JSON.parse((await textOf(join(folder, 'state.json'))) ?? '')).data.writtenBy;
  } catch {
    return undefined;
  }
}

/**
 * Copies the store's files before an upgrade changes them, so that going back is putting them back. An upgrade that was
 * killed keeps the copy of its first try, the only one that holds no changed file; the copy gets its name for good when
 * the upgrade is over, so that the next upgrade from the same version makes one of its own.
 */
export async function keepBeforeUpgrade(folder: string, from: number): Promise<void> {
  const copy = join(folder, underWay(from));
  if (await exists(copy)) return;
  const partial = `${copy}.partial`;
  await rm(partial, { recursive: true, force: true });
  for (const inner of ['', 'sites']) {
    await mkdir(join(partial, inner), { mode: FOLDER_MODE });
    for (const name of await namesIn(join(folder, inner)))
      if (name.endsWith('.json')) await copyDurably(join(folder, inner, name), join(partial, inner, name));
    await syncFolder(join(partial, inner));
  }
  await rename(partial, copy);
  await syncFolder(folder);
}

/** Called once the store has its new version, and at every start: one that was killed in between is ended too. */
export async function endUpgrade(folder: string, now: number): Promise<StoreNote | undefined> {
  const found = (await namesIn(folder)).find((name) => name.startsWith(COPY) && name.endsWith(UNDER_WAY));
  if (found === undefined) return undefined;
  const utc = new Date(now).toISOString().replaceAll(/[-:]|\.\d+/g, '');
  const copy = join(folder, `${found.slice(0, -UNDER_WAY.length)}-${utc}`);
  await rename(join(folder, found), copy);
  await syncFolder(folder);
  const text = `The store was upgraded. Its files from before are kept in ${copy}.`;
  return { file: folder, kind: 'migrated', text };
}

/**
 * Removes what earlier upgrades kept. For a change of keys: what is in there only opens with the old key, which must
 * open nothing any more.
 */
export async function dropCopies(folder: string): Promise<void> {
  for (const inner of ['', 'sites'])
    for (const name of await namesIn(join(folder, inner)))
      if (name.startsWith(COPY) || /\.json\.version-\d+$/.test(name))
        await rm(join(folder, inner, name), { recursive: true, force: true });
  await syncFolder(folder);
}

async function copyDurably(from: string, to: string): Promise<void> {
  await copyFile(from, to);
  const file = await open(to, 'r+');
  try {
    await file.chmod(FILE_MODE);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).map((name) => basename(name));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'EISDIR'].includes(errorCode(error))) return undefined;
    throw error;
  }
}
