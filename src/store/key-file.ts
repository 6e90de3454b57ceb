import { readFile, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Problem } from '../model/problem.ts';
import type { Random } from '../model/world.ts';
import { errorCode, exists, syncFolder, writeDurably } from './durable.ts';
import { KEY_BYTES } from './vault.ts';

/** The key of a rotation under way: still opens what was not yet sealed anew. */
export const previousKeyPath = (path: string): string => `${path}.old`;

/**
 * The 32 bytes of the instance key, written as they are, in hex or in base64. May lie in a service-credential folder.
 * Undefined when there is none. Throws `key-wrong` for a file that holds no key, `key-missing` when it cannot be read.
 */
export async function readKey(path: string): Promise<Buffer | undefined> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    if (errorCode(cause) === 'ENOENT') return undefined;
    throw new Problem('key-missing', { path, reason: 'unreadable' }, { cause });
  }
  const key = parseKey(bytes);
  if (!key) throw new Problem('key-wrong', { path, reason: `holds ${bytes.length} bytes that are no key` });
  return key;
}

/** Makes a key. Never replaces one: the caller has made sure that there is none. */
export async function makeKey(path: string, random: Random): Promise<Buffer> {
  const key = random.bytes(KEY_BYTES);
  await writeDurably(path, key);
  return key;
}

/** Who besides the owner may read the key; undefined: nobody. */
export async function keyExposure(path: string): Promise<string | undefined> {
  const mode = (await stat(path)).mode & 0o077;
  return mode === 0 ? undefined : `${path} can be read by others than its owner. Run: chmod 600 ${path}`;
}

/**
 * Puts a new key in place and keeps the present one beside it, in this order: a kill leaves both or the old one. Gives
 * the new one. Throws `key-unwritable` where the key comes from a place that cannot be written; then nothing changed.
 */
export async function replaceKey(path: string, random: Random): Promise<Buffer> {
  const present = await readKey(path);
  if (!present) throw new Problem('key-missing', { path });
  if (await exists(previousKeyPath(path))) throw new Error('a rotation is still under way');
  try {
    await writeDurably(previousKeyPath(path), present);
    return await makeKey(path, random);
  } catch (cause) {
    // Where the new key did not arrive, both files hold the same one, and there is nothing to go on with.
    if ((await readKey(path).catch(() => undefined))?.equals(present))
      await dropPreviousKey(path).catch(() => undefined);
    if (!['EROFS', 'EACCES', 'EPERM'].includes(errorCode(cause))) throw cause;
    throw new Problem('key-unwritable', { path, errno: errorCode(cause) }, { cause });
  }
}

/** Ends a rotation: from now on only the present key opens anything. */
export async function dropPreviousKey(path: string): Promise<void> {
  await rm(previousKeyPath(path), { force: true });
  await syncFolder(dirname(path));
}

function parseKey(bytes: Buffer): Buffer | undefined {
  if (bytes.length === KEY_BYTES) return bytes;
  const text = bytes.toString('latin1').trim();
  if (/^[0-9a-fA-F]{64}$/.test(text)) return Buffer.from(text, 'hex');
  const decoded = Buffer.from(text, 'base64');
  return /^[A-Za-z0-9+/_-]{43}=?$/.test(text) && decoded.length === KEY_BYTES ? decoded : undefined;
}
