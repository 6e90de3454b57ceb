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
  /** A push that needed these went through. */
  readonly pushed: (pointers: readonly Pointer[], signal?: AbortSignal) => Promise<void>;
}

/** The Remote that uploads large files before the commits that point to them. */
export function largeRemote(remote: Remote, { isOn, pointers, upload, pushed }: LargeRemoteOptions): Remote {
  return {
    head: (signal) => remote.head(signal),
    fetch: (signal, progress) => remote.fetch(signal, progress),
    expectTip: (tip) => remote.expectTip?.(tip),
    async push(commit, expected, options, signal, progress) {
      const wanted = isOn() ? await pointers(commit, expected) : [];
      const text = wanted.length === 0 ? undefined : await upload(wanted, signal);
      if (text !== undefined) return { kind: 'refused', text, output: text };
      const result = await remote.push(commit, expected, options, signal, progress);
      // The push counts, whatever comes of tidying up after it.
      if (result.kind === 'done' && wanted.length > 0) await pushed(wanted, signal).catch(() => {});
      return result;
    },
  };
}

/** The Repository whose housekeeping also concerns the contents of large files. `failed`: until the next time. */
export function largeRepository(
  repository: Repository,
  tidy: (keepAfter: number) => Promise<void>,
  failed: (error: unknown) => void,
): Repository {
  return {
    ...repository,
    async maintain(keepAfter, signal) {
      await repository.maintain(keepAfter, signal);
      signal?.throwIfAborted();
      // The run before it was good: contents that stay longer are no failure of it.
      await tidy(keepAfter).catch(failed);
    },
  };
}

interface PointerTools {
  readonly driver: GitDriver;
  readonly environment: Record<string, string>;
  readonly blobs: Repository['blobs'];
}

/** The pointers among everything that `commit` has and `known` has not, also in commits between them. */
export function pointersBetween(tools: PointerTools, commit: Oid, known: Oid | null): Promise<readonly Pointer[]> {
  return pointersIn(tools, [commit, ...(known ? [`^${known}`] : [])]);
}

/** The pointers whose contents must stay here. */
export async function pointersNeeded(tools: PointerTools): Promise<readonly Pointer[]> {
  return [...(await pointersKept(tools)), ...(await pointersUnpushed(tools))];
}

/** The pointers of kept versions and of paths that wait for a person: GitLab may never have seen their contents. */
export async function pointersKept(tools: PointerTools): Promise<readonly Pointer[]> {
  const trees = await ask(tools, ['for-each-ref', '--format=%(tree)', 'refs/sync/keep/', 'refs/sync/held/']);
  return pointersIn(tools, trees.split('\n').filter(Boolean));
}

/** The pointers of commits that are not on the branch: taken from the folder, offered, chosen, refused and kept. */
async function pointersUnpushed(tools: PointerTools): Promise<readonly Pointer[]> {
  const rows = await ask(tools, ['for-each-ref', '--format=%(refname) %(objectname)', 'refs/sync/']);
  const refs = new Map(
    rows.split('\n').flatMap((row) => {
      const [, name = '', oid = ''] = /^refs\/sync\/([a-z]+|keep\/\S+) (\w+)$/.exec(row) ?? [];
      return name === '' ? [] : [[name, oid] as const];
    }),
  );
  const remote = refs.get('remote');
  refs.delete('remote');
  return pointersIn(tools, [...refs.values(), ...(remote ? [`^${remote}`] : [])]);
}

/** `revisions`: commits and trees, with `^` those whose objects do not count. */
async function pointersIn(tools: PointerTools, revisions: readonly string[]): Promise<readonly Pointer[]> {
  if (revisions.every((revision) => revision.startsWith('^'))) return [];
  const listing = ['rev-list', '--objects', '--no-object-names', '--stdin'];
  const objects = await ask(tools, listing, `${revisions.join('\n')}\n`);
  if (objects === '') return [];
  const rows = await ask(tools, ['cat-file', '--batch-check=%(objectname) %(objecttype) %(objectsize)'], objects);
  const small = rows.split('\n').flatMap((row) => {
    const [oid, type, size] = row.split(' ');
    return type === 'blob' && Number(size) < pointerLimit ? [oid as Oid] : [];
  });
  const found = new Map<string, Pointer>();
  for await (const { chunks } of tools.blobs(small)) {
    const bytes: Buffer[] = [];
    for await (const chunk of chunks) bytes.push(Buffer.from(chunk));
    const pointer = readPointer(Buffer.concat(bytes));
    if (pointer) found.set(pointer.sha, pointer);
  }
  return [...found.values()];
}

async function ask({ driver, environment }: PointerTools, args: readonly string[], input?: string): Promise<string> {
  const { code, stdout, stderr } = await driver.run({ args, environment, ...(input ? { input: [input] } : {}) });
  if (code !== 0) throw localFailure(args[0] ?? '', stderr);
  return stdout.toString('latin1');
}
