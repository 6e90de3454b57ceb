import { spawn } from 'node:child_process';
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Mutant, type Run, mutants } from './bugs.ts';
import { limits } from '../runner/file.ts';

/**
 * Does the suite see the loss that each guard prevents? Each guard is taken out of a copy of the source, and a test
 * must fail; the untouched copy must pass the same tests, or finding something would mean nothing.
 * `mutants.ts [word …]` takes only those whose name holds a word.
 */
interface Said {
  readonly good: boolean;
  readonly text: string;
}

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const words = process.argv.slice(2);
const began = performance.now();
const chosen = mutants.filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)));

const jobs: { readonly name: string; readonly work: () => Promise<Said> }[] = [
  ...baseline(chosen),
  ...chosen.map((mutant) => ({ name: mutant.name, work: () => find(mutant) })),
];
console.log('mutant | found by | after');
const results = await inPairs(jobs);
const bad = results.filter(({ good }) => !good).length;
const seconds = Math.round((performance.now() - began) / 1_000);
console.log(
  `${chosen.length} mutants, ${bad === 0 ? 'every one found' : `${bad} rows are not as they should be`}, ${seconds} s`,
);
process.exitCode = bad === 0 ? 0 : 1;

/** What must pass on the untouched copy: each test as the mutants run it. */
function baseline(all: readonly Mutant[]): { name: string; work: () => Promise<Said> }[] {
  const runs = new Map(all.flatMap(({ tests }) => tests).map((run) => [JSON.stringify(run), run]));
  return [...runs.values()].map((run) => ({
    name: '(nothing changed)',
    work: async () => {
      const ran = await inCopy([], [run]);
      const only = run.env?.['MOORING_ONLY'];
      const name = `${run.file}${only ? ` (${only})` : ''}`;
      const text = ran.failed ? `FAILS ITSELF: ${ran.failed}` : `- | ${name} passes`;
      return { good: ran.failed === undefined, text: `${text}, ${ran.seconds} s` };
    },
  }));
}

async function find({ patches, tests }: Mutant): Promise<Said> {
  const ran = await inCopy(patches, tests);
  if (ran.failed === undefined) return { good: false, text: `NOT FOUND | ${ran.seconds} s` };
  const files = ran.files === 1 ? '' : `${ran.files} files, `;
  return { good: !ran.unfit, text: `${ran.failed} | ${files}${ran.runs}${ran.seconds} s` };
}

interface Ran {
  /** The test that failed; undefined: none did. */
  readonly failed?: string;
  /** The patch did not fit. */
  readonly unfit?: true;
  readonly files: number;
  readonly runs: string;
  readonly seconds: number;
}

async function inCopy(patches: Mutant['patches'], tests: readonly Run[]): Promise<Ran> {
  const dir = mkdtempSync(join(tmpdir(), 'mooring-mutant-'));
  const start = performance.now();
  const took = (): number => Math.round((performance.now() - start) / 1_000);
  try {
    // Some tests go on as nobody, who must be able to read them.
    chmodSync(dir, 0o755);
    for (const part of ['src', 'test', 'config', 'views', 'public', 'package.json', 'tsconfig.json'])
      cpSync(join(root, part), join(dir, part), { recursive: true });
    symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'));
    for (const { file, from, to } of patches) {
      const source = readFileSync(join(dir, file), 'utf8');
      const parts = source.split(from).length - 1;
      if (parts !== 1)
        return { failed: `the patch fits ${parts} places of ${file}`, unfit: true, files: 0, runs: '', seconds: 0 };
      writeFileSync(
        join(dir, file),
        source.replace(from, () => to),
      );
    }
    for (const [at, run] of tests.entries()) {
      const { failed, output } = await runTest(dir, run);
      if (!failed) continue;
      const name = /FAIL\s[^"\n]*"([^"\n]+)"/.exec(output)?.[1] ?? 'the file as a whole';
      return { failed: `${run.file}: ${name}`, files: at + 1, runs: runsOf(output), seconds: took() };
    }
    return { files: tests.length, runs: '', seconds: took() };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** How many worlds, crashes or cases it took, where the test says so. */
function runsOf(output: string): string {
  const found =
    /(\d+) worlds? until/.exec(output)?.[0] ??
    /crashed at \d+ of them/.exec(output)?.[0] ??
    /Property failed after (\d+) tests?/.exec(output)?.[0];
  return found ? `${found}, ` : '';
}

/** Ends a file as soon as it has failed: servers that a broken test left open would keep it for its whole time. */
function runTest(dir: string, { file, env }: Run): Promise<{ failed: boolean; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', file], {
      cwd: dir,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      // What a planted bug keeps from coming is not waited for as long as on a slow machine.
      env: { ...process.env, NODE_ENV: 'test', FORCE_COLOR: '0', MOORING_TEST_PATIENCE_S: '45', ...env },
    });
    const chunks: string[] = [];
    const end = (): void => void (child.pid && endGroup(child.pid));
    const heard = (chunk: Buffer): void => {
      chunks.push(chunk.toString());
      if (hasFailed(chunks.join(''))) end();
    };
    child.stdout.on('data', heard);
    child.stderr.on('data', heard);
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      end();
    }, limits.silenceMs);
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(timer);
      end();
      const output = chunks.join('');
      // A file that only ran out of time has seen nothing.
      resolve({ failed: hasFailed(output) || (!isLate && code !== 0), output });
    });
  });
}

/** A suite has ended, and not all of it passed. */
function hasFailed(output: string): boolean {
  return /\bFAIL\s/.test(output) && /Duration:/.test(output);
}

function endGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nobody of the group is left.
  }
}

/** Two at a time, told in order. */
async function inPairs(all: readonly { name: string; work: () => Promise<Said> }[]): Promise<Said[]> {
  const said: Said[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let at = next++; at < all.length; at = next++) {
      const job = all[at]!;
      const result = await job.work();
      said.push(result);
      console.log(`${job.name} | ${result.text}`);
    }
  };
  await Promise.all([worker(), worker()]);
  return said;
}
