import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import { type Header, extract as extractTar, pack as packTar } from 'tar-stream';
import { z } from 'zod';
import { Problem } from '../model/problem.ts';

/**
 * The archive of a backup: a compressed tar file that any `tar` can list. Last come its manifest, with size and SHA-256
 * of every entry, and a signature of the manifest with a key that is derived from the installation's own. Both are last
 * because the archive is written as it is read, without a copy of it anywhere.
 */

/** A file of the archive; its content, or where it is. A file that is named must not change any more. */
export type ArchiveFile = { readonly name: string } & (
  { readonly content: Buffer } | { readonly path: string; readonly size: number }
);

/** What signs a manifest. `keyId` names the installation's key without giving anything of it away. */
export interface Signing {
  readonly keyId: string;
  readonly secret: Buffer;
}

const manifestName = 'manifest.json';
const signatureName = 'manifest.hmac-sha256';
/** Some two million entries; more are no backup of ours. */
const mostManifestBytes = 256 * 1024 ** 2;

const entrySchema = z.strictObject({
  name: z.string(),
  size: z.int().nonnegative(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});

const manifestSchema = z.strictObject({
  format: z.literal('mooring-backup'),
  version: z.literal(1),
  mooring: z.string(),
  /** ms since 1970. */
  createdAt: z.number(),
  host: z.string(),
  /** Names the machine; empty where it has no ID. */
  machine: z.string(),
  keyId: z.string(),
  withRepositories: z.boolean(),
  /** Connected sites: their state is to be compared with the branch before it counts. */
  sites: z.array(z.string().regex(/^[a-z0-9][a-z0-9-]*$/)),
  /** Names of sites whose repositories are missing, although they should be here. */
  leftOut: z.array(z.string()),
  entries: z.array(entrySchema),
});

export type Manifest = z.output<typeof manifestSchema>;

/** Writes an archive to its end, and ends `to`. Gives its size in bytes. */
export async function writeArchive(
  files: Iterable<ArchiveFile>,
  about: Omit<Manifest, 'format' | 'version' | 'entries'>,
  { secret }: Signing,
  to: Writable,
  signal: AbortSignal,
): Promise<number> {
  const pack = packTar();
  const modified = new Date(about.createdAt);
  const entries: z.output<typeof entrySchema>[] = [];
  const add = async (file: ArchiveFile): Promise<void> => {
    const size = 'content' in file ? file.content.length : file.size;
    const hash = createHash('sha256');
    const header = { name: `mooring-backup/${file.name}`, size, mode: 0o600, mtime: modified, uid: 0, gid: 0 };
    const done = Promise.withResolvers<void>();
    const entry = pack.entry(header, (error) => (error ? done.reject(error) : done.resolve())) as unknown as Writable;
    entry.once('error', done.reject);
    // Also where the entry fails while nobody waits for it yet.
    done.promise.catch(() => undefined);
    const chunks = 'content' in file ? [file.content] : (createReadStream(file.path) as AsyncIterable<Buffer>);
    let read = 0;
    for await (const chunk of chunks) {
      hash.update(chunk);
      read += chunk.length;
      if (!entry.write(chunk)) await Promise.race([once(entry, 'drain'), done.promise]);
    }
    if (read !== size) throw new Error(`${file.name} has ${read} bytes, and had ${size}`);
    entry.end();
    await done.promise;
    entries.push({ name: file.name, size, sha256: hash.digest('hex') });
  };
  const fill = async (): Promise<void> => {
    for (const file of files) await add(file);
    const manifest = Buffer.from(JSON.stringify({ format: 'mooring-backup', version: 1, ...about, entries }));
    await add({ name: manifestName, content: manifest });
    await add({ name: signatureName, content: Buffer.from(`${sign(manifest, secret)}\n`) });
    pack.finalize();
  };
  let bytes = 0;
  const count = async function* (chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      bytes += chunk.length;
      yield chunk;
    }
  };
  // Git's objects are compressed already: little effort is enough for the rest.
  const written = pipeline(pack as AsyncIterable<Buffer>, createGzip({ level: 1 }), count, to, { signal });
  const filled = fill().catch((error: unknown) => {
    pack.destroy(error instanceof Error ? error : new Error(String(error)));
    throw error;
  });
  await Promise.all([written, filled]);
  return bytes;
}

function sign(manifest: Buffer, secret: Buffer): string {
  return createHmac('sha256', secret).update(manifest).digest('hex');
}

/** Called for each file of the archive, in its order; reads `content` to its end. */
export type Take = (name: string, content: AsyncIterable<Buffer>) => Promise<void>;

/**
 * Reads an archive through and compares everything in it with its manifest. `signing`: the key that it must be signed
 * with; absent: then the checksums tell of damage, and not of somebody who meant it. Throws `backup-damaged` and
 * `backup-foreign`.
 */
export async function readArchive(
  open: () => Readable,
  signing: Signing | undefined,
  take: Take = async (_name, content) => {
    for await (const _ of content);
  },
): Promise<Manifest> {
  const found = new Map<string, { size: number; sha256: string }>();
  const own = new Map<string, Buffer>();
  const extract = extractTar();
  const fed = pipeline(open(), createGunzip(), extract as unknown as Writable);
  // Told by whoever reads the entries.
  fed.catch(() => undefined);
  try {
    for await (const entry of extract) {
      const name = nameOf(entry.header);
      if (found.has(name) || own.has(name)) throw damaged(`${name} is in it twice`);
      if (name === manifestName || name === signatureName) own.set(name, await whole(entry as AsyncIterable<Buffer>));
      else if (own.size > 0) throw damaged('there are files after its manifest');
      else {
        const seen = { size: 0, hash: createHash('sha256') };
        await take(name, counted(entry as AsyncIterable<Buffer>, seen));
        found.set(name, { size: seen.size, sha256: seen.hash.digest('hex') });
      }
    }
    await fed;
  } catch (error) {
    throw asDamage(error);
  }
  return check(found, own, signing);
}

async function* counted(
  chunks: AsyncIterable<Buffer>,
  seen: { size: number; hash: ReturnType<typeof createHash> },
): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    seen.size += chunk.length;
    seen.hash.update(chunk);
    yield chunk;
  }
}

function check(
  found: ReadonlyMap<string, { readonly size: number; readonly sha256: string }>,
  own: ReadonlyMap<string, Buffer>,
  signing: Signing | undefined,
): Manifest {
  const [text, signature] = [own.get(manifestName), own.get(signatureName)];
  if (!text || !signature) throw damaged('its end is missing');
  const manifest = parseManifest(text);
  const stated = new Map(manifest.entries.map(({ name, size, sha256 }) => [name, { size, sha256 }]));
  for (const [name, { size, sha256 }] of found) {
    const should = stated.get(name);
    if (!should) throw damaged(`its manifest does not know ${name}`);
    if (should.size !== size || should.sha256 !== sha256) throw damaged(`the checksum of ${name} does not match`);
  }
  for (const name of stated.keys()) if (!found.has(name)) throw damaged(`${name} is missing`);
  if (!signing) return manifest;
  if (manifest.keyId !== signing.keyId)
    throw new Problem('backup-foreign', { expected: manifest.keyId, found: signing.keyId });
  const should = Buffer.from(`${sign(text, signing.secret)}\n`);
  if (signature.length !== should.length || !timingSafeEqual(signature, should))
    throw damaged('somebody changed it: its signature does not match');
  return manifest;
}

function parseManifest(text: Buffer): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(text.toString());
  } catch {
    throw damaged('its manifest cannot be read');
  }
  const { version } = (value ?? {}) as { version?: unknown };
  if (typeof version === 'number' && version > 1) throw damaged('a newer version of Mooring made it');
  const { success, data } = manifestSchema.safeParse(value);
  if (!success) throw damaged('its manifest has the wrong shape');
  return data;
}

/** The entry's name below `mooring-backup/`. Only plain files, at names that cannot lead anywhere else. */
function nameOf({ name, type, size }: Header): string {
  const below = name.startsWith('mooring-backup/') ? name.slice('mooring-backup/'.length) : '';
  const parts = below.split('/');
  const isSafe = parts.every((part) => /^[\w@=+,~%.-]{1,255}$/.test(part) && part !== '.' && part !== '..');
  if (type !== 'file' || !isSafe) throw damaged('it has an entry that is no file of a backup');
  if (parts[0]?.startsWith('manifest.') && size > mostManifestBytes) throw damaged('its manifest is too large');
  return below;
}

async function whole(content: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of content) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const damaged = (reason: string, cause?: unknown): Problem => new Problem('backup-damaged', { reason }, { cause });

/** What zlib and tar say of bytes that are cut off or altered; an error of the disk stays what it is. */
function asDamage(error: unknown): unknown {
  if (error instanceof Problem) return error;
  const { code = '', message = '' } = error as NodeJS.ErrnoException;
  if (code === 'Z_BUF_ERROR' || /unexpected end/i.test(message)) return damaged('it is cut off', error);
  if (code.startsWith('Z_') || /tar header/i.test(message)) return damaged('its bytes were altered', error);
  return error;
}
