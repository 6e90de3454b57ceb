import { type ChildProcess, spawn } from 'node:child_process';
import type { Clock } from '../model/world.ts';

/** How a program ended. */
export interface Ended {
  /** Its exit code; undefined after a signal. */
  readonly code?: number;
  readonly signal?: string;
  readonly wasTooLong: boolean;
  /** Both of its outputs as they came, with a note in the place of what was left out. */
  readonly output: string;
}

/** Everything that it finds in its environment: nothing of Mooring's own. */
const environment = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/',
  LANG: 'C.UTF-8',
} as const;

/** Mooring's own umask keeps everybody else out; what a program writes into a site is for the web server. */
const starter = ['-c', 'umask 022 && exec "$1"', 'sh'];

/** Of each, the beginning and the end of the output. */
const mostBytes = 32 * 1024;
/** Between the request to end and the end. */
const graceMs = 2_000;

/**
 * Starts a program in a process group of its own, without a shell that reads anything, and gives it `input`. When it has
 * ended, when its time is over and when `signal` aborts, the whole group ends, so nothing that it forked stays, unless
 * it left the group on purpose (setsid). Output that nobody keeps is read all the same: a full pipe would stop it.
 */
export async function runProgram(
  program: string,
  input: string,
  { limitMs, clock, signal }: { readonly limitMs: number; readonly clock: Clock; readonly signal: AbortSignal },
): Promise<Ended> {
  signal.throwIfAborted();
  const child = spawn('/bin/sh', [...starter, program], { cwd: '/', env: environment, detached: true });
  const output = new BoundedOutput();
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => output.add(chunk));
  // A program that does not read its input closes the pipe.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const over = new AbortController();
  let wasTooLong = false;
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, by) => resolve({ code, signal: by }));
  });
  const limit = clock.sleep(limitMs, AbortSignal.any([over.signal, signal])).then(
    () => void (wasTooLong = true),
    () => undefined,
  );
  const ending = limit.then(async () => {
    if (over.signal.aborted) return;
    endGroup(child, 'SIGTERM');
    await clock.sleep(graceMs, over.signal).catch(() => undefined);
    endGroup(child, 'SIGKILL');
  });
  try {
    const { code, signal: by } = await exited;
    return { ...(code === null ? {} : { code }), ...(by ? { signal: by } : {}), wasTooLong, output: output.text() };
  } finally {
    over.abort();
    await ending;
    endGroup(child, 'SIGKILL');
    // Somebody who left the group may hold the pipes for ever.
    child.stdout.destroy();
    child.stderr.destroy();
  }
}

function endGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // Nobody of the group is left.
  }
}

/** The first and the last bytes, however many there are in between. */
class BoundedOutput {
  readonly #first: Buffer[] = [];
  #last: Buffer = Buffer.alloc(0);
  #firstBytes = 0;
  #bytes = 0;

  add(chunk: Buffer): void {
    this.#bytes += chunk.length;
    const head = chunk.subarray(0, mostBytes - this.#firstBytes);
    // Copied: a part of a chunk would keep all of it in memory.
    if (head.length > 0) this.#first.push(Buffer.from(head));
    this.#firstBytes += head.length;
    if (head.length === chunk.length) return;
    this.#last = Buffer.from(Buffer.concat([this.#last, chunk.subarray(head.length)]).subarray(-mostBytes));
  }

  text(): string {
    const first = Buffer.concat(this.#first).toString();
    const omitted = this.#bytes - this.#firstBytes - this.#last.length;
    return `${first}${omitted > 0 ? `\n… ${omitted} bytes left out …\n` : ''}${this.#last.toString()}`;
  }
}
