import { type Pointer, pointerLimit, readPointer } from '../model/lfs.ts';
import type { Oid } from '../model/tree.ts';
import type { Remote, Repository } from '../sync/ports.ts';
import type { GitDriver } from './driver.ts';
import { localFailure } from './failure.ts';

export interface LargeRemoteOptions {
  readonly isOn: () => boolean;
  /** The large files that a push needs on GitLab. */
  readonly pointers: (commit: Oid, expected: Oid | null) => Promise<readonly Pointer[]>;
  /** Resolves with GitLab's words when it refuses one. */
  readonly upload: (pointers: readonly Pointer[], signal?: AbortSignal) => Promise<string | undefined>;
}

/** The Remote that uploads large files before the commits that point to them. */
export function largeRemote(remote: Remote, { isOn, pointers, upload }: LargeRemoteOptions): Remote {
  return {
    head: (signal) => remote.head(signal),
    fetch: (signal, progress) => remote.fetch(signal, progress),
    async push(commit, expected, options, signal, progress) {
      const wanted = isOn() ? await pointers(commit, expected) : [];
      const text = wanted.length === 0 ? undefined : await upload(wanted, signal);
      if (text !== undefined) return { kind: 'refused', text, output: text };
      return remote.push(commit, expected, options, signal, progress);
    },
  };
}

/** The pointers among everything that `commit` has and `known` has not, also in commits between them. */
export async function pointersBetween(
  {
    driver,
    environment,
    blobs,
  }: { driver: GitDriver; environment: Record<string, string>; blobs: Repository['blobs'] },
  commit: Oid,
  known: Oid | null,
): Promise<readonly Pointer[]> {
  const ask = async (args: readonly string[], input?: string): Promise<string> => {
    const { code, stdout, stderr } = await driver.run({ args, environment, ...(input ? { input: [input] } : {}) });
    if (code !== 0) throw localFailure(args[0] ?? '', stderr);
    return stdout.toString('latin1');
  };
  const objects = await ask(['rev-list', '--objects', '--no-object-names', commit, ...(known ? ['--not', known] : [])]);
  if (objects === '') return [];
  const rows = await ask(['cat-file', '--batch-check=%(objectname) %(objecttype) %(objectsize)'], objects);
  const small = rows.split('\n').flatMap((row) => {
    const [oid, type, size] = row.split(' ');
    return type === 'blob' && Number(size) < pointerLimit ? [oid as Oid] : [];
  });
  const found = new Map<string, Pointer>();
  for await (const { chunks } of blobs(small)) {
    const bytes: Buffer[] = [];
    for await (const chunk of chunks) bytes.push(Buffer.from(chunk));
    const pointer = readPointer(Buffer.concat(bytes));
    if (pointer) found.set(pointer.sha, pointer);
  }
  return [...found.values()];
}
