import { createHash } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { promisify } from 'node:util';
import { crc32, deflate, deflateSync } from 'node:zlib';
import { Problem } from '../model/problem.ts';
import type { Oid } from '../model/tree.ts';
import { localFailure } from './failure.ts';
import type { ObjectType } from './objects.ts';
import type { WrittenObject } from './tree-edit.ts';

export interface Pack {
  readonly bytes: Buffer;
  /** Where each object begins in it, and the checksum of what stands there. */
  readonly index: readonly { readonly oid: Oid; readonly offset: number; readonly crc: number }[];
  readonly trailer: Buffer;
}

const types: Readonly<Record<ObjectType, number>> = { commit: 1, tree: 2, blob: 3, tag: 4 };

/** A pack of whole objects, each once. */
export async function buildPack(objects: readonly WrittenObject[]): Promise<Pack> {
  const each = [...new Map(objects.map((object) => [object.oid, object])).values()];
  const head = Buffer.alloc(12);
  head.write('PACK');
  head.writeUInt32BE(2, 4);
  head.writeUInt32BE(each.length, 8);
  const parts = [head];
  const index: Pack['index'][number][] = [];
  let offset = head.length;
  let compressed = 0;
  for (const [at, { oid, type, data }] of each.entries()) {
    // Many objects take longer than others should wait.
    compressed += data.length;
    if (at % turnObjects === turnObjects - 1 || compressed > turnBytes) {
      compressed = 0;
      await new Promise(setImmediate);
    }
    const part = Buffer.concat([objectHead(type, data.length), await compress(data)]);
    index.push({ oid, offset, crc: crc32(part) });
    offset += part.length;
    parts.push(part);
  }
  const body = Buffer.concat(parts);
  const trailer = createHash('sha1').update(body).digest();
  return { bytes: Buffer.concat([body, trailer]), index, trailer };
}

/** Pages and other sites have their turn after so many objects, or so many bytes. */
const [turnObjects, turnBytes] = [128, 256 * 1024];

/**
 * Puts a pack into a repository, so that it survives a power cut: both files are on disk before either has its name, and
 * git sees the pack when its index has. Throws as git's own commands do.
 */
export async function writePack(gitDir: string, pack: Pack): Promise<void> {
  const folder = join(gitDir, 'objects', 'pack');
  const name = pack.trailer.toString('hex');
  const temporary = ['pack', 'idx'].map((kind) => join(folder, `tmp_${kind}_${name}`)) as [string, string];
  try {
    await Promise.all([writeDurably(temporary[0], pack.bytes), writeDurably(temporary[1], indexOf(pack))]);
    await rename(temporary[0], join(folder, `pack-${name}.pack`));
    await rename(temporary[1], join(folder, `pack-${name}.idx`));
    await syncFolder(folder);
  } catch (error) {
    await Promise.all(temporary.map((file) => rm(file, { force: true }).catch(() => undefined)));
    // Not made anew: a repository that vanished must not come back as an empty folder.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new Problem('git-damaged', { command: 'write-pack' });
    throw localFailure('write-pack', error instanceof Error ? error.message : String(error));
  }
}

async function writeDurably(file: string, bytes: Buffer): Promise<void> {
  await using handle: FileHandle = await open(file, 'w', 0o444);
  await handle.writeFile(bytes);
  await handle.sync();
}

async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r');
  await handle.sync();
}

const deflateAside = promisify(deflate);

/** Of what is short, compressing aside would take longer than compressing. */
async function compress(data: Buffer): Promise<Buffer> {
  return data.length < 16_384 ? deflateSync(data, { level: 1 }) : deflateAside(data, { level: 1 });
}

/** Four bits of the length beside the type, then seven a byte. */
function objectHead(type: ObjectType, length: number): Buffer {
  const head = [];
  let byte = (types[type] << 4) | (length & 15);
  for (let left = Math.floor(length / 16); left > 0; left = Math.floor(left / 128)) {
    head.push(byte | 0x80);
    byte = left & 0x7f;
  }
  head.push(byte);
  return Buffer.from(head);
}

/** An index of version 2; no pack of ours reaches the offsets that take eight bytes. */
function indexOf({ index, trailer }: Pack): Buffer {
  const ordered = index.toSorted((a, b) => (a.oid < b.oid ? -1 : 1));
  const bytes = Buffer.alloc(8 + 1_024 + ordered.length * 28);
  bytes.writeUInt32BE(0xff744f63, 0);
  bytes.writeUInt32BE(2, 4);
  const [names, checksums, offsets] = [1_032, 1_032 + ordered.length * 20, 1_032 + ordered.length * 24];
  const fanout = new Uint32Array(256);
  for (const [at, { oid, crc, offset }] of ordered.entries()) {
    const first = Number.parseInt(oid.slice(0, 2), 16);
    fanout[first] = (fanout[first] ?? 0) + 1;
    bytes.write(oid, names + at * 20, 'hex');
    bytes.writeUInt32BE(crc, checksums + at * 4);
    bytes.writeUInt32BE(offset, offsets + at * 4);
  }
  let sum = 0;
  for (const [at, count] of fanout.entries()) bytes.writeUInt32BE((sum += count), 8 + at * 4);
  const whole = Buffer.concat([bytes, trailer]);
  return Buffer.concat([whole, createHash('sha1').update(whole).digest()]);
}
