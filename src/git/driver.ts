import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import { Problem } from '../model/problem.ts';
import { noteRunning, signalGroup } from './orphans.ts';

/** What a finished git process said. Exit codes are the caller's to judge: `merge-tree` says 1 for a conflict. */
export interface GitResult {
  readonly code: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface GitRun {
  readonly args: readonly string[];
  readonly environment: Record<string, string>;
  /** Written to stdin; absent: stdin is closed. */
  readonly input?: Iterable<Buffer | string> | AsyncIterable<Buffer | string>;
  readonly signal?: AbortSignal | undefined;
  /** The process group is ended after this, in ms. */
  readonly limitMs?: number;
  /** More output than this ends the run, in bytes: a hostile tree must not fill the memory. */
  readonly maxOutput?: number;
}

/** Starts git. The one place for processes whose stdin, bytes or exit code matter; tests wrap it. */
export interface GitDriver {
  run(run: GitRun): Promise<GitResult>;
  /** A process whose output is read as it comes. The caller ends it. */
  open(run: Omit<GitRun, 'input' | 'maxOutput'>): GitProcess;
}

/** Runs a command that must succeed and gives what it printed. Throws `git-damaged` and its like. */
export type Ask = (args: readonly string[], more?: Partial<GitRun>) => Promise<Buffer>;

export interface GitProcess {
  readonly child: ChildProcess;
  /** The exit code; rejects only when git cannot be started. */
  readonly ended: Promise<{ code: number; stderr: string }>;
  end(): void;
}

/** As git says of its own children. */
export const killedWords = 'fatal: git died of signal 9';

const tenMinutes = 600_000;
const outputLimit = 256 * 1024 * 1024;

/** Runs `binary` without a shell, each process in a group of its own so that its children end with it. */
export function createDriver(binary: string): GitDriver {
  return {
    open: (run) => open(binary, run, 'pipe'),
    async run({ limitMs = tenMinutes, ...run }) {
      const process = open(binary, run, run.input ? 'pipe' : 'ignore');
      const { child } = process;
      const chunks: Buffer[] = [];
      let size = 0;
      let broken: Error | undefined;
      const stop = (why: Error): void => {
        broken ??= why;
        process.end();
      };
      const timer = setTimeout(
        () => stop(new Problem('git-failed', { command: run.args[0] ?? '', text: 'it took too long' })),
        limitMs,
      );
      child.stdout?.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > (run.maxOutput ?? outputLimit)) stop(new Problem('repository-too-large', {}));
        else chunks.push(chunk);
      });
      const fed = run.input ? feed(child, run.input).catch((error: unknown) => stop(error as Error)) : undefined;
      try {
        const { code, stderr } = await process.ended;
        await fed;
        run.signal?.throwIfAborted();
        if (broken) throw broken;
        return { code, stdout: Buffer.concat(chunks), stderr };
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

function open(binary: string, run: Omit<GitRun, 'input'>, stdin: 'pipe' | 'ignore'): GitProcess {
  run.signal?.throwIfAborted();
  const child = spawn(binary, run.args, { env: run.environment, detached: true, stdio: [stdin, 'pipe', 'pipe'] });
  const gitDir = run.environment['GIT_DIR'];
  const forget = gitDir && child.pid !== undefined ? noteRunning(gitDir, child.pid) : () => {};
  // A git that died early closes the pipe; its exit code tells the story, not the EPIPE.
  child.stdin?.on('error', () => {});
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    if (stderr.length < 65_536) stderr += text;
  });
  let isOurs = false;
  const end = (): void => {
    isOurs = true;
    // What nobody reads any more would keep the pipe, and with it `ended`, open for ever.
    child.stdout?.destroy();
    endGroup(child);
  };
  run.signal?.addEventListener('abort', end, { once: true });
  const tooLong = run.limitMs === undefined ? undefined : setTimeout(end, run.limitMs).unref();
  const ended = new Promise<{ code: number; stderr: string }>((resolve, reject) => {
    child.once('error', (error) => reject(new Problem('git-failed', { command: run.args[0] ?? '' }, { cause: error })));
    child.once('close', (code, signal) => {
      // Git cannot say so itself, and whoever reads its words must not take the silence for something else.
      if (signal === 'SIGKILL' && !isOurs) stderr += `${killedWords}\n`;
      // As a shell tells it: a process that a signal ended has no code of its own.
      resolve({ code: code ?? (signal ? 128 + constants.signals[signal] : 1), stderr });
    });
  }).finally(() => {
    forget();
    clearTimeout(tooLong);
    run.signal?.removeEventListener('abort', end);
  });
  // Whoever reads the output learns of a git that never started only at its end: until then it must not end the process.
  ended.catch(() => {});
  return { child, ended, end };
}

/** SIGTERM to the whole group, SIGKILL after five seconds: git's children hold the token and the locks. */
function endGroup(child: ChildProcess): void {
  const { pid } = child;
  if (pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  signalGroup(pid, 'SIGTERM');
  const timer = setTimeout(() => signalGroup(pid, 'SIGKILL'), 5_000);
  child.once('close', () => clearTimeout(timer));
}

async function feed(child: ChildProcess, input: NonNullable<GitRun['input']>): Promise<void> {
  const { stdin } = child;
  if (!stdin) return;
  for await (const chunk of input) await write(stdin, chunk);
  stdin.end();
}

/** Writes with back-pressure; resolves also when the reader is gone (its exit code tells why). */
export function write(stdin: NonNullable<ChildProcess['stdin']>, chunk: Buffer | string): Promise<void> {
  if (stdin.destroyed || stdin.write(chunk)) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      stdin.off('drain', done).off('close', done).off('error', done);
      resolve();
    };
    stdin.once('drain', done).once('close', done).once('error', done);
  });
}
