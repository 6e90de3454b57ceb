import { spawn } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Runs the test files, each in a process of its own. uvu alone calls a file good that ran nothing, lost a hook, or was
 * narrowed with `.only`; here each of these fails.
 *
 *     node test/run.ts [word …]      only files whose path holds one of the words
 *
 * A file may say `// time limit: 300 s` in its first lines. Lines that begin with `not run here:` or `note:` are shown.
 */

const AT_ONCE = Math.min(2, availableParallelism());
const DEFAULT_LIMIT_S = 150;
const GRACE_MS = 2_000;

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

interface Outcome extends Counts {
  readonly file: string;
  readonly seconds: number;
  readonly output: string;
  /** Why the file fails although its tests may not; empty: it does not. */
  readonly fault: string;
}

/** What a file's output and end say. Exported for the test of this runner. */
export function judge(output: string, end: { code: number | null; timedOut: string }): Counts & { fault: string } {
  const text = stripColours(output);
  const sum = (word: string): number =>
    [...text.matchAll(new RegExp(`^\\s*${word}:\\s+(\\d+)`, 'gm'))].reduce((n, m) => n + Number(m[1]), 0);
  const totals = [...text.matchAll(/^\s*Total:\s+(\d+)/gm)];
  const total = sum('Total');
  const passed = sum('Passed');
  const skipped = sum('Skipped');
  const failed = Math.max(0, total - passed);
  const counts = { passed, failed, skipped };
  if (end.timedOut) return { ...counts, fault: end.timedOut };
  if (totals.length === 0) return { ...counts, fault: 'it ended without running a suite' };
  if (failed > 0) return { ...counts, fault: '' };
  if (end.code !== 0) return { ...counts, fault: `it exited with ${end.code ?? 'a signal'} though no test failed` };
  if (total === 0) return { ...counts, fault: 'it ran no tests' };
  return { ...counts, fault: '' };
}

/** What the source alone gives away. */
export function inspect(source: string): { limitS: number; fault: string } {
  const head = source.split('\n', 15).join('\n');
  const limitS = Number(/\/\/ time limit: (\d+) s/.exec(head)?.[1] ?? DEFAULT_LIMIT_S);
  if (/^\s*[\w$.]+\.only\(/m.test(source)) return { limitS, fault: 'it holds .only' };
  const suites = [...source.matchAll(/^(?:const|let)\s+([\w$]+)\s*=\s*suite[(<]/gm)].map((m) => m[1] ?? '');
  const idle = suites.filter((name) => !source.includes(`${name}.run()`));
  if (idle.length > 0) return { limitS, fault: `its suite ${idle.join(', ')} is never run` };
  return { limitS, fault: '' };
}

/** Runs one file and says how it went. Never throws. */
export async function runFile(root: string, file: string): Promise<Outcome> {
  const began = performance.now();
  const { limitS, fault } = inspect(readFileSync(join(root, file), 'utf8'));
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', file], {
    cwd: root,
    // A group of its own: what a test forgot to end goes with it.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_ENV: 'test', FORCE_COLOR: '0' },
  });
  running.add(child.pid ?? 0);
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk));
  let timedOut = '';
  const timer = setTimeout(() => {
    timedOut = `it was ended after ${limitS} s`;
    endGroup(child.pid);
  }, limitS * 1000);
  const code = await new Promise<number | null>((resolve) => {
    child.once('error', () => resolve(null));
    child.once('exit', (exitCode) => {
      // Grandchildren would hold the pipes open; one that left the group may do so for ever.
      endGroup(child.pid);
      const late = setTimeout(() => resolve(exitCode), GRACE_MS);
      child.once('close', () => {
        clearTimeout(late);
        resolve(exitCode);
      });
    });
  });
  clearTimeout(timer);
  running.delete(child.pid ?? 0);
  const output = Buffer.concat(chunks).toString('utf8');
  const judged = judge(output, { code, timedOut });
  return { file, seconds: (performance.now() - began) / 1000, output, ...judged, fault: fault || judged.fault };
}

const running = new Set<number>();

async function main(words: readonly string[]): Promise<number> {
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  const all = globSync('test/**/*.test.ts', { cwd: root }).sort();
  const files = words.length === 0 ? all : all.filter((file) => words.some((word) => file.includes(word)));
  if (files.length === 0) {
    console.log(`no test file matches ${words.join(' ')}`);
    console.log('0 passed, 1 failed, 0 skipped');
    return 1;
  }
  const waiting = [...files];
  const outcomes: Outcome[] = [];
  const worker = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const outcome = await runFile(root, file);
      outcomes.push(outcome);
      show(outcome);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return conclude(outcomes);
}

function show(outcome: Outcome): void {
  const { file, passed, failed, skipped, seconds, fault, output } = outcome;
  const bad = fault !== '' || failed > 0;
  const name = relative('test', file);
  const counts = `${passed} passed, ${failed} failed, ${skipped} skipped`;
  console.log(`${bad ? 'FAIL' : 'ok  '} ${name.padEnd(44)} ${counts.padEnd(36)} ${seconds.toFixed(1)} s`);
  if (bad) {
    if (fault) console.log(`     ${fault}`);
    console.log(indent(output));
    return;
  }
  // uvu has begun the line with the suite's name and its dots.
  const said = stripColours(output).matchAll(/(?:^|[\s•✘])((?:not run here|note): .*)$/gm);
  for (const [, line] of said) console.log(`     ${line}`);
}

function conclude(outcomes: readonly Outcome[]): number {
  const sum = (key: keyof Counts): number => outcomes.reduce((n, outcome) => n + outcome[key], 0);
  // A file that failed as a whole counts as one failure, so that the closing line can never look good.
  const faults = outcomes.filter((outcome) => outcome.fault !== '' && outcome.failed === 0).length;
  const failed = sum('failed') + faults;
  const bad = outcomes.filter((outcome) => outcome.fault !== '' || outcome.failed > 0);
  if (bad.length > 0) console.log(`\nfailed: ${bad.map((outcome) => outcome.file).join(' ')}`);
  console.log(`\n${sum('passed')} passed, ${failed} failed, ${sum('skipped')} skipped`);
  return failed === 0 ? 0 : 1;
}

function endGroup(pid: number | undefined): void {
  if (pid === undefined || pid === 0) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nobody of the group is left.
  }
}

function indent(text: string): string {
  return text.replace(/^/gm, '     | ');
}

function stripColours(text: string): string {
  return text.replace(/\u001b\[[\d;]*m/g, '');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.once(signal, () => {
      for (const pid of running) endGroup(pid);
      process.exit(code);
    });
  }
  process.exitCode = await main(process.argv.slice(2));
}
