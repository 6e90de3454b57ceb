import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type RunAs, compileCache, setpriv } from './daemon.ts';

const main = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), 'src', 'main.ts');

/** How a command ended. */
export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RanWith {
  readonly stateDir?: string;
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly as?: RunAs;
  /** Ends it by SIGTERM when it has printed this. */
  readonly until?: (stdout: string) => boolean;
}

/** The words that start Mooring's command line from its sources. */
export const mooring: readonly string[] = [process.execPath, '--disable-warning=ExperimentalWarning', main];

/** `mooring …` as a process of its own. */
export function run(args: readonly string[], { stateDir, input, env = {}, as, until }: RanWith = {}): Promise<Ran> {
  const [program = '', ...rest] = [...(as ? setpriv(as) : []), ...mooring, ...args];
  const child = spawn(program, rest, {
    env: {
      ...{ PATH: process.env['PATH'] ?? '', HOME: '/nonexistent', LANG: 'C.UTF-8' },
      ...compileCache,
      ...(stateDir === undefined ? {} : { MOORING_STATE: stateDir }),
      ...env,
    },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    // Once: a daemon that is told again does not wait any more.
    if (!child.killed && until?.(stdout)) child.kill('SIGTERM');
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  // A command that does not read ends before everything is written.
  child.stdin.on('error', () => {});
  child.stdin.end(input ?? '');
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
}
