import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { join } from 'node:path';
import { Problem } from '../model/problem.ts';
import type { Progress } from '../model/site.ts';
import type { Oid } from '../model/tree.ts';
import type { Author, Ledger } from '../sync/ports.ts';
import { type GitDriver, type GitProcess, write } from './driver.ts';
import { gitEnvironment } from './environment.ts';
import { localFailure } from './failure.ts';
import type { Objects } from './objects.ts';
import { buildPack } from './pack.ts';
import { readProgress } from './progress.ts';
import type { Refs } from './refs.ts';
import { objectsBetween } from './tree-objects.ts';
import { relate } from './walk.ts';

/** What was fetched last, so that nothing of it is cleaned up before the ledger has it. */
export const incoming = 'refs/scratch/incoming';

export interface TransferOptions {
  readonly dir: string;
  readonly home: string;
  /** Absolute path of git. */
  readonly git: string;
  /** Starts git itself. */
  readonly driver: GitDriver;
  /** Starts `prlimit`, which becomes the program that it is given. */
  readonly limited: GitDriver;
  readonly author: () => Author;
  /** No file of git's, a pack above all, becomes larger, in bytes. Asked at each command: the limit is a setting. */
  readonly maxFileBytes: () => number;
  readonly repository: {
    readonly objects: Objects;
    readonly refs: Refs;
    ledger(): Promise<Ledger>;
  };
}

/** What leaves a repository for GitLab and what comes from there, as packs. */
export interface Transfer {
  /** Commits that GitLab is known to have, newest first. Empty before the first fetch. */
  known(): Promise<readonly Oid[]>;
  /** Older commits of the same lines, further and further apart. */
  older(): Promise<readonly Oid[]>;
  /** Whether a commit and all that it needs was here before. */
  has(commit: Oid): Promise<boolean>;
  /** Whether a commit is here now. */
  holds(commit: Oid): Promise<boolean>;
  /**
   * Everything that `commit` has and `expected` has not: in one piece where that is little, else as git packs it. Throws
   * as git's own commands do.
   */
  outgoing(
    commit: Oid,
    expected: Oid,
    progress?: (progress: Progress) => void,
  ): Promise<Buffer | (() => AsyncIterable<Buffer>)>;
  /** Writes an outgoing pack to a file first, so that its length is known. */
  spool(pack: () => AsyncIterable<Buffer>): Promise<Spooled>;
  /** Takes in a pack that comes piece by piece; checks it as a fetch does. */
  receive(signal?: AbortSignal, progress?: (progress: Progress) => void): Receiving;
  /** `commit` was fetched. */
  arrived(commit: Oid): Promise<void>;
  readonly maxFileBytes: () => number;
}

/** Why a pack was not taken in: git's own words, or only that it went over the limit. */
export interface Refused {
  readonly tooLarge: boolean;
  readonly stderr: string;
}

/** A pack that waits in a file. */
export interface Spooled {
  /** Bytes. */
  readonly size: number;
  readonly open: () => AsyncIterable<Buffer>;
  remove(): Promise<void>;
}

export interface Receiving {
  /** Resolves with why no more is wanted, once nobody takes it. */
  write(chunk: Buffer): Promise<Refused | undefined>;
  /** The pack was whole: resolves when it is in the repository, or with why it is not. */
  finish(): Promise<Refused | undefined>;
  abandon(): Promise<void>;
}

/** The commands that only read or take in packs leave nothing in the environment that a network needs. */
export function openTransfer(options: TransferOptions): Transfer {
  const { repository } = options;
  const { objects } = repository;

  const known = async (): Promise<readonly Oid[]> => {
    const { remote } = await repository.ledger();
    const arrived = await readRef(options.dir, incoming);
    return [...new Set([arrived, remote])].filter((oid) => oid !== undefined);
  };

  return {
    known,
    maxFileBytes: options.maxFileBytes,

    async older() {
      const found: Oid[] = [];
      for (const first of await known()) {
        let [at, gap] = [first, 1];
        for (let step = 1; step <= mostOlder; step += 1) {
          const { parents } = await objects.commit(at);
          if (!parents[0]) break;
          at = parents[0];
          if (step < 16 || step % gap === 0) found.push(at);
          if (step >= 16 && step % gap === 0) gap *= 2;
        }
      }
      return [...new Set(found)];
    },

    async has(commit) {
      if (!(await objects.has(commit))) return false;
      for (const each of await known()) {
        if (each === commit) return true;
        const relation = await relate(objects, each, commit).catch(() => undefined);
        if (relation === 'ahead') return true;
      }
      return false;
    },

    holds: (commit) =>
      objects.commit(commit).then(
        () => true,
        () => false,
      ),

    async outgoing(commit, expected, progress) {
      const few = await objectsBetween(objects, commit, expected);
      if (few) return (await buildPack(few)).bytes;
      return () => packObjects(options, [commit, `^${expected}`], progress);
    },

    spool: (pack) => spoolPack(options.dir, pack()),
    receive: (signal, progress) => receivePack(options, signal, progress),

    async arrived(commit) {
      await repository.refs.move([`update ${incoming} ${commit}`]);
    },
  };
}

/** Commits that are looked back over for one that GitLab still has. */
const mostOlder = 256;

async function* packObjects(
  { driver, dir, home, author }: TransferOptions,
  revisions: readonly string[],
  progress?: (progress: Progress) => void,
): AsyncGenerator<Buffer> {
  const flags = ['--revs', '--thin', '--stdout', '--delta-base-offset', progress ? '--progress' : '--quiet'];
  const environment = gitEnvironment({ gitDir: dir, home, author: author() });
  const process = driver.open({ args: ['pack-objects', ...flags], environment });
  follow(process, 'pushing', progress);
  process.child.stdin?.end(`${revisions.join('\n')}\n`);
  try {
    if (process.child.stdout) yield* process.child.stdout as AsyncIterable<Buffer>;
    const { code, stderr } = await process.ended;
    if (code !== 0) throw localFailure('pack-objects', stderr);
  } finally {
    process.end();
    await process.ended;
  }
}

/** Beside the packs, where git removes what is left over of names like this. */
async function spoolPack(dir: string, pack: AsyncIterable<Buffer>): Promise<Spooled> {
  const path = join(dir, 'objects', 'pack', `tmp_push_${randomBytes(6).toString('hex')}`);
  const remove = (): Promise<void> => rm(path, { force: true });
  try {
    await writeFile(path, pack, { mode: 0o600, flag: 'wx' });
    const { size } = await stat(path);
    return { size, remove, open: () => createReadStream(path) as AsyncIterable<Buffer> };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Also of a large repository that is taken in slowly, as for git's own fetch. */
const mostMs = 6 * 3_600_000;

/** As git fetches: what a server sends is checked in full, its links too, and lies outside until it has passed. */
const checks = '--strict=badTimezone=ignore,missingSpaceBeforeDate=ignore,zeroPaddedFilemode=ignore';

function receivePack(
  { limited, dir, home, git, author, maxFileBytes }: TransferOptions,
  signal?: AbortSignal,
  progress?: (progress: Progress) => void,
): Receiving {
  const process = limited.open({
    args: [
      ...[`--fsize=${maxFileBytes()}`, '--core=0', git, 'index-pack', '--stdin', '--fix-thin', checks],
      ...(progress ? ['-v'] : []),
    ],
    environment: gitEnvironment({ gitDir: dir, home, author: author() }),
    limitMs: mostMs,
    ...(signal ? { signal } : {}),
  });
  const { stdin, stdout } = process.child;
  stdout?.resume();
  follow(process, 'fetching', progress);
  let ended: Refused | undefined;
  const end = process.ended.then(({ code, stderr }) => {
    const tooLarge = code === 128 + constants.signals.SIGXFSZ || /died of signal 25/.test(stderr);
    if (code !== 0) ended = { tooLarge, stderr };
    return ended;
  });
  end.catch(() => undefined);
  return {
    async write(chunk) {
      if (stdin && !ended) await write(stdin, chunk);
      return ended;
    },
    async finish() {
      stdin?.end();
      const why = await end;
      signal?.throwIfAborted();
      return why;
    },
    async abandon() {
      process.end();
      await end.catch(() => undefined);
    },
  };
}

function follow(process: GitProcess, act: Progress['act'], progress?: (progress: Progress) => void): void {
  if (!progress) return;
  process.child.stderr?.on('data', (text: string) => {
    const read = readProgress(text, act);
    if (read) progress(read);
  });
}

/** A ref that stands in a file of its own; undefined where it does not, or is packed. */
async function readRef(dir: string, name: string): Promise<Oid | undefined> {
  const text = await readFile(join(dir, name), 'latin1').catch(() => '');
  return /^([0-9a-f]{40})\n$/.exec(text)?.[1] as Oid | undefined;
}

/** What the wire makes of a pack that was not taken in; undefined: git's own fetch shall say it. */
export function refusal({ tooLarge, stderr }: Refused, facts: Record<string, string>): Problem | undefined {
  if (tooLarge) return new Problem('repository-too-large', facts, { cause: new Error(stderr.slice(-500)) });
  const problem = localFailure('index-pack', stderr);
  return ['disk-full', 'git-killed'].includes(problem.code) ? problem : undefined;
}
