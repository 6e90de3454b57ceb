import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { sweep } from './reaper.ts';

/** Runs one test file in a process of its own, and says what became of it. */

export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

export interface Outcome extends Counts {
  readonly file: string;
  readonly seconds: number;
  readonly output: string;
  /** Why the file fails although its tests may not; empty: it does not. */
  readonly fault: string;
}

/** A file that is under way. */
export interface Underway {
  readonly file: string;
  readonly began: number;
  /** Finished tests so far. */
  tests(): number;
  /** What it said last of a long test: see `beat` in test/support/beat.ts. */
  said(): string;
}

export interface Limits {
  /** A file that says nothing for so long hangs. A slow machine says less often, but it says something. */
  readonly silenceMs: number;
  /** No file takes longer than this, whatever it says. */
  readonly wholeMs: number;
}

export const limits: Limits = { silenceMs: 300_000, wholeMs: 45 * 60_000 };

const LINGER_MS = 30_000;
const GRACE_MS = 2_000;

/** What a file's output and end say. */
function judge(output: string, end: { code: number | null; ended: string }): Counts & { fault: string } {
  const text = stripColours(output);
  const sum = (word: string): number =>
    [...text.matchAll(new RegExp(`^\\s*${word}:\\s+(\\d+)`, 'gm'))].reduce((n, m) => n + Number(m[1]), 0);
  const totals = [...text.matchAll(/^\s*Total:\s+(\d+)/gm)];
  const total = sum('Total');
  const passed = sum('Passed');
  const skipped = sum('Skipped');
  const failed = Math.max(0, total - passed);
  const counts = { passed, failed, skipped };
  if (end.ended) return { ...counts, fault: end.ended };
  if (totals.length === 0) return { ...counts, fault: 'it ended without running a suite' };
  if (failed > 0) return { ...counts, fault: '' };
  if (end.code !== 0) return { ...counts, fault: `it exited with ${end.code ?? 'a signal'} though no test failed` };
  if (total === 0) return { ...counts, fault: 'it ran no tests' };
  return { ...counts, fault: '' };
}

/** What the source alone gives away; empty when there is nothing wrong with it. */
function inspect(source: string): string {
  if (/^\s*[\w$.]+\.only\(/m.test(source)) return 'it holds .only';
  const suites = [...source.matchAll(/^(?:const|let)\s+([\w$]+)\s*=\s*suite[(<]/gm)].map((m) => m[1] ?? '');
  const idle = suites.filter((name) => !source.includes(`${name}.run()`));
  return idle.length > 0 ? `its suite ${idle.join(', ')} is never run` : '';
}

/**
 * `root`: folder of the project, `file`: path below it, `folder`: what it may use as its temporary folder. Everything
 * that the file started is ended and the folder is gone when this resolves. Never rejects.
 */
export async function runFile(
  { root, file, folder }: { root: string; file: string; folder: string },
  { silenceMs, wholeMs }: Limits = limits,
  started: (underway: Underway) => void = () => {},
): Promise<Outcome> {
  const began = performance.now();
  const sourceFault = inspect(readFileSync(join(root, file), 'utf8'));
  mkdirSync(folder, { recursive: true });
  // Like /tmp: some tests go on as another user.
  chmodSync(folder, 0o1777);
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', file], {
    cwd: root,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...compileCache(root), NODE_ENV: 'test', FORCE_COLOR: '0', TMPDIR: folder },
  });
  const chunks: Buffer[] = [];
  let ended = '';
  const end = (why: string): void => {
    ended ||= why;
    killGroup(child.pid);
  };
  const wholeTimer = setTimeout(() => end(`it was ended after ${wholeMs / 1000} s`), wholeMs);
  const silent = (): void => end(`it was ended: nothing was heard of it for ${silenceMs / 1000} s`);
  const lingers = (): void => end('it was ended: its tests were over, and something was left open');
  let silenceTimer = setTimeout(silent, silenceMs);
  const heard = (chunk: Buffer): void => {
    chunks.push(chunk);
    clearTimeout(silenceTimer);
    silenceTimer = summary.test(chunk.toString('latin1'))
      ? setTimeout(lingers, Math.min(silenceMs, LINGER_MS))
      : setTimeout(silent, silenceMs);
  };
  child.stdout.on('data', heard);
  child.stderr.on('data', heard);
  const text = (): string => Buffer.concat(chunks).toString('utf8');
  started({
    file,
    began,
    tests: () => text().match(/[•✘]/g)?.length ?? 0,
    said: () => [...text().matchAll(beats)].at(-1)?.[1] ?? '',
  });
  const code = await new Promise<number | null>((resolve) => {
    child.once('error', () => resolve(null));
    child.once('exit', (exitCode) => {
      // Whoever it started holds the pipes open.
      killGroup(child.pid);
      sweep(folder);
      const late = setTimeout(() => resolve(exitCode), GRACE_MS);
      child.once('close', () => {
        clearTimeout(late);
        resolve(exitCode);
      });
    });
  });
  clearTimeout(wholeTimer);
  clearTimeout(silenceTimer);
  const output = text().replace(beats, '');
  const judged = judge(output, { code, ended });
  return { file, seconds: (performance.now() - began) / 1000, output, ...judged, fault: sourceFault || judged.fault };
}

/** The sources are compiled once, not by each of hundreds of processes. Not under coverage, which it makes coarser. */
function compileCache(root: string): Record<string, string> {
  if (process.env['NODE_V8_COVERAGE'] || process.env['NODE_COMPILE_CACHE']) return {};
  return { NODE_COMPILE_CACHE: join(root, 'node_modules', '.cache', 'compiled') };
}

/** The last lines that uvu prints; a test that failed may have left a server open. */
const summary = /^ {2}Duration:/m;

/** Lines that only say that a long test goes on. */
const beats = /(?<=^|[\s•✘])beat: (.*)\n/gm;

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nobody of the group is left.
  }
}

export function stripColours(text: string): string {
  return text.replace(/\u001b\[[\d;]*m/g, '');
}
