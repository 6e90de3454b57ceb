import { readdir, stat } from 'node:fs/promises';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { SimpleGit } from 'simple-git';
import { Problem } from '../model/problem.ts';
import type { Progress } from '../model/site.ts';
import type { Oid } from '../model/tree.ts';
import type { Author, Remote } from '../sync/ports.ts';
import { killedWords } from './driver.ts';
import { gitEnvironment } from './environment.ts';
import { fetchFailure } from './failure.ts';
import { dropEnded, notesOf } from './orphans.ts';
import { readProgress, withoutProgress } from './progress.ts';
import { type PushOutput, readPush } from './push-result.ts';
import { type RemoteAddress, type Session, type TransportQuirks, factsOf } from './session.ts';
import { incoming } from './transfer.ts';
import { type Suspect, findSuspect, refusedObject, suspected } from './suspect.ts';

export interface CliRemoteOptions {
  readonly dir: string;
  readonly home: string;
  /** Absolute path of git. */
  readonly git: string;
  /** `config/git-limited.sh`: limits that hold for git's children too. */
  readonly limited: string;
  readonly author: () => Author;
  readonly session: Session;
  readonly quirks: TransportQuirks;
  /** No file of git's, a pack above all, becomes larger, in bytes. Asked at each command: the limit is a setting. */
  readonly maxFileBytes: () => number;
  /** How long a transfer may be silent at first, in seconds; 30 unless said otherwise. */
  readonly silenceSeconds?: number;
  /** For every push: what GitLab shall do with it. */
  readonly pushOptions?: readonly string[];
}

/** The Remote by git's own commands, through simple-git: the reference, and the fallback of the wire. */
export function cliRemote(options: CliRemoteOptions): Remote {
  const { quirks } = options;
  let suspect: { readonly object: Oid; readonly facts: Suspect } | undefined;
  const [fetching, pushing] = [createPatience(options.silenceSeconds), createPatience(options.silenceSeconds)];
  return {
    async head(signal) {
      return options.session(async (address) => {
        const ref = `refs/heads/${address.branch}`;
        const { code, stdout, stderr } = await run(
          options,
          address,
          ['ls-remote', '--heads', '--', address.url, ref],
          signal,
        );
        if (code !== 0) throw fetchFailure(stderr, factsOf(address));
        const row = stdout.split('\n').find((line) => line.endsWith(`\t${ref}`));
        return row ? (row.split('\t')[0] as Oid) : 'absent';
      }, signal);
    },

    async fetch(signal, progress) {
      return options.session(async (address) => {
        const refspec = `+refs/heads/${address.branch}:${incoming}`;
        const flags = [
          '--no-tags',
          '--no-write-fetch-head',
          '--no-auto-maintenance',
          '--no-recurse-submodules',
          '--refmap=',
          '--progress',
        ];
        const told = progress && follow(progress, 'fetching');
        const args = ['fetch', ...flags, '--', address.url, refspec];
        const { code, stderr } = await run(options, fetching.give(address), args, signal, told);
        if (code !== 0) {
          const problem = fetching.learn(
            fetchFailure(stderr, factsOf(address), { atLimit: await isAtLimit(options.dir, options.maxFileBytes()) }),
          );
          if (problem.code === 'branch-missing') return 'absent';
          const object = problem.code === 'fetch-refused' ? refusedObject(stderr) : undefined;
          if (!object) throw problem;
          // Looked for once: a retry brings the same object again.
          if (suspect?.object !== object)
            suspect = { object, facts: await suspectOf(options, address, object, signal) };
          throw new Problem(problem.code, { ...problem.facts, ...suspect.facts }, { cause: problem.cause });
        }
        fetching.enough();
        const { stdout } = await run(options, undefined, ['rev-parse', '--verify', incoming], signal);
        return stdout.trim() as Oid;
      }, signal);
    },

    async push(commit, expected, { skipCi }, signal, progress) {
      return options.session(async (address) => {
        const ref = `refs/heads/${address.branch}`;
        const flags = ['--porcelain', '--progress', '--no-verify', `--force-with-lease=${ref}:${expected ?? ''}`];
        if (skipCi) flags.push('--push-option=ci.skip');
        for (const option of options.pushOptions ?? []) flags.push(`--push-option=${option}`);
        const told = progress && follow(progress, 'pushing');
        const args = ['push', ...flags, '--', address.url, `${commit}:${ref}`];
        const push = (): Promise<PushOutput> =>
          run(options, pushing.give(address), [...(quirks.needsLength ? withLength : []), ...args], signal, told);
        let result = await push();
        if (!quirks.needsLength && /\b411\b/.test(result.stderr)) {
          quirks.needsLength = true;
          result = await push();
        }
        const read = readPush(result, ref, factsOf(address));
        if ('problem' in read) throw pushing.learn(read.problem);
        pushing.enough();
        return read;
      }, signal);
    },
  };
}

/** Git says how long a body is if it fits into this buffer. */
const withLength = ['-c', `http.postBuffer=${512 * 1024 * 1024}`];

/** Whether the pack that came in last had reached the limit of a file when its fetch ended. */
async function isAtLimit(dir: string, limit: number): Promise<boolean> {
  const folder = join(dir, 'objects', 'pack');
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.startsWith('tmp_pack_'));
  const sizes = await Promise.all(
    names.map((name) =>
      stat(join(folder, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  );
  return sizes.some((size) => size >= limit);
}

/** Whose commit brings an object that git refuses, found in a repository of its own. */
async function suspectOf(
  options: CliRemoteOptions,
  address: RemoteAddress,
  object: Oid,
  signal?: AbortSignal,
): Promise<Suspect> {
  const path = join(options.dir, 'quarantine');
  const there = { ...options, dir: path };
  const refspec = `+refs/heads/${address.branch}:${suspected}`;
  const unchecked = ['-c', 'transfer.fsckObjects=false', '-c', 'fetch.fsckObjects=false'];
  const flags = ['--no-tags', '--no-write-fetch-head', '--no-auto-maintenance', '--no-recurse-submodules', '--refmap='];
  return findSuspect(options.dir, object, {
    path,
    git: (args) => run(there, undefined, args, signal),
    fetch: async () =>
      (await run(there, address, [...unchecked, 'fetch', ...flags, '--', address.url, refspec], signal)).code === 0,
  });
}

function follow(progress: (progress: Progress) => void, act: Progress['act']): (stderr: string) => void {
  return (stderr) => {
    const read = readProgress(stderr, act);
    if (read) progress(read);
  };
}

/**
 * One simple-git instance per command: a failed task rejects those queued behind it. It resolves on exit 1 with an
 * empty stderr, so the exit code is read from its result, not from whether it threw.
 */
async function run(
  options: CliRemoteOptions,
  /** Undefined: a local command, which never sees the token. */
  address: RemoteAddress | undefined,
  args: string[],
  signal?: AbortSignal,
  told?: (stderr: string) => void,
): Promise<PushOutput> {
  const environment = {
    ...gitEnvironment({
      gitDir: options.dir,
      home: options.home,
      author: options.author(),
      ...(address ? { network: address.network } : {}),
    }),
    MOORING_GIT: options.git,
    MOORING_RUN_FILE_BYTES: String(options.maxFileBytes()),
    MOORING_RUN_NOTES: notesOf(options.dir),
  };
  let captured: PushOutput = { code: 0, stdout: '', stderr: '' };
  // Loaded with the first command: what a connected site does all day goes over the wire.
  const { simpleGit } = await import('simple-git');
  const git: SimpleGit = simpleGit({
    baseDir: options.dir,
    binary: options.limited,
    allowEnvironment: Object.keys(environment),
    // Each of these is refused by default even to switch the dangerous thing off, which is all we do with them.
    unsafe: {
      allowUnsafeCustomBinary: true,
      allowUnsafeConfigEnvCount: true,
      allowUnsafeConfigPaths: true,
      allowUnsafeAskPass: true,
      allowUnsafeSshCommand: true,
      allowUnsafeEditor: true,
      allowUnsafePager: true,
      allowUnsafeHooksPath: true,
      allowUnsafeFsMonitor: true,
      allowUnsafeCredentialHelper: true,
      allowUnsafeProtocolOverride: true,
      allowUnsafeGitProxy: true,
    },
    ...(signal ? { abort: signal } : {}),
    errors(error, result) {
      captured = {
        code: result.exitCode,
        stdout: Buffer.concat(result.stdOut).toString('utf8'),
        stderr: withoutProgress(Buffer.concat(result.stdErr).toString('utf8')),
      };
      // What ran git passes on that it was killed, and git had no time for a word.
      if (result.exitCode === 128 + constants.signals.SIGKILL)
        captured = { ...captured, stderr: `${captured.stderr}\n${killedWords}` };
      // A negative code: it could not be started at all. Any other is git's answer, and is read as such.
      return result.exitCode < 0 && error instanceof Error ? error : undefined;
    },
  }).env(environment);
  if (told) git.outputHandler((_command, _stdout, stderr) => void stderr.on('data', (chunk) => told(String(chunk))));
  try {
    await git.raw(args);
  } catch (error) {
    signal?.throwIfAborted();
    throw new Problem('git-failed', { command: args[0] ?? '' }, { cause: error });
  } finally {
    dropEnded(options.dir);
  }
  return captured;
}

/**
 * How long a transfer may be silent. GitLab can think for longer before it sends a large pack, or after it got one: each
 * time that was too short the next may take twice as long, or it would end at the same point for ever.
 */
function createPatience(leastSeconds = 30) {
  let seconds = leastSeconds;
  return {
    give: (address: RemoteAddress): RemoteAddress => ({
      ...address,
      network: { ...address.network, silenceSeconds: seconds },
    }),
    learn(problem: Problem): Problem {
      if (problem.code === 'gitlab-slow') seconds = Math.min(seconds * 2, 16 * leastSeconds);
      return problem;
    },
    enough(): void {
      seconds = leastSeconds;
    },
  };
}
