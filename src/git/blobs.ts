import { Problem } from '../model/problem.ts';
import type { Oid } from '../model/tree.ts';
import type { Repository } from '../sync/ports.ts';
import { ByteReader } from './bytes.ts';
import type { GitProcess } from './driver.ts';
import { localFailure } from './failure.ts';
import type { Objects } from './objects.ts';

/** Contents up to this many bytes are read whole, and so many of them through the process that is there. */
const [smallBytes, fewBlobs] = [256 * 1024, 100];

/** What contents of a repository are asked for: few and small ones start no process. */
export function readBlobs(
  objects: Objects,
  open: (args: readonly string[]) => GitProcess,
): Pick<Repository, 'sizes' | 'blobs'> {
  return {
    async sizes(oids) {
      return (await objects.infos(oids)).map(({ size }) => size);
    },

    async *blobs(oids) {
      if (oids.length > fewBlobs) return yield* stream(open, oids);
      const infos = await objects.infos(oids);
      for (const [at, oid] of oids.entries()) {
        const { type, size } = infos[at] ?? {};
        if (type !== 'blob' || size === undefined) throw new Problem('git-damaged', { object: oid });
        if (size > smallBytes) yield* stream(open, [oid]);
        else yield { oid, size, chunks: one((await objects.read(oid, smallBytes)).data) };
      }
    },
  };
}

async function* one(bytes: Buffer): AsyncGenerator<Buffer> {
  if (bytes.length > 0) yield bytes;
}

async function* stream(
  open: (args: readonly string[]) => GitProcess,
  oids: readonly Oid[],
): AsyncGenerator<{ oid: Oid; size: number; chunks: AsyncIterable<Buffer> }> {
  const process = open(['cat-file', '--batch']);
  process.child.stdin?.end(`${oids.join('\n')}\n`);
  const reader = new ByteReader(process.child.stdout);
  try {
    for (const oid of oids) {
      const header = (await reader.until(0x0a))?.toString('latin1');
      // It ended before its time: how it ended tells why, and that need not be damage.
      if (header === undefined) throw localFailure('cat-file', (await process.ended).stderr);
      const [, type, size] = header.split(' ');
      if (type !== 'blob') throw new Problem('git-damaged', { object: oid });
      let left = Number(size);
      const counted = async function* (): AsyncGenerator<Buffer> {
        for await (const chunk of reader.take(Number(size))) {
          left -= chunk.length;
          yield chunk;
        }
      };
      yield { oid, size: Number(size), chunks: counted() };
      for await (const rest of reader.take(left)) void rest;
      await reader.until(0x0a);
    }
  } finally {
    process.end();
    await process.ended;
  }
}
