import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, globSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Counts, type Outcome, type Underway, runFile, stripColours } from './runner/file.ts';
import { type ImportGraph, type Tier, affected, readImports, tierOf } from './runner/graph.ts';
import { sweep, watchOver } from './runner/reaper.ts';

/**
 * Runs the test files, each in a process of its own. uvu alone calls a file good that ran nothing, lost a hook, or was
 * narrowed with `.only`; here each of these fails.
 *
 *     node test/run.ts [word …]           only files whose path holds one of the words
 *       --tier unit|engine|system         only files of that tier; `--list` shows which file is in which
 *       --changed [--base REV]            only files that what changed since REV (HEAD) can break, by what they import
 *       --record-times                    writes test/times.json, by which the longest files start first
 *
 * Lines that begin with `not run here:` or `note:` are shown.
 */

/** Tests wait for the clock, the disk and each other's processes half of the time. */
const AT_ONCE = Math.min(4, 2 * availableParallelism());
const SAY_EVERY_MS = 60_000;
const timesFile = 'test/times.json';

interface Options {
  readonly words: readonly string[];
  readonly tier: string | undefined;
  readonly base: string | undefined;
  readonly list: boolean;
  readonly recordTimes: boolean;
}

function readOptions(args: string[]): Options {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      tier: { type: 'string' },
      changed: { type: 'boolean', default: false },
      base: { type: 'string' },
      list: { type: 'boolean', default: false },
      'record-times': { type: 'boolean', default: false },
    },
  });
  const base = values.base ?? (values.changed ? 'HEAD' : undefined);
  return { words: positionals, tier: values.tier, base, list: values.list, recordTimes: values['record-times'] };
}

async function main(args: string[]): Promise<number> {
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  const options = readOptions(args);
  const graph = readImports(root);
  const files = longestFirst(root, choose(root, graph, options));
  if (options.list) {
    for (const file of files) console.log(`${tierOf(graph, file).padEnd(7)} ${file}`);
    return 0;
  }
  if (files.length === 0) {
    // Nothing that changed can break a test; a word that matches nothing is a mistake.
    const good = options.base !== undefined;
    console.log(`no test file matches ${args.join(' ')}`);
    console.log(`0 passed, ${good ? 0 : 1} failed, 0 skipped`);
    return good ? 0 : 1;
  }
  const outcomes = await runAll(root, files);
  if (options.recordTimes) recordTimes(root, outcomes);
  return conclude(outcomes);
}

function choose(root: string, graph: ImportGraph, { words, tier, base }: Options): readonly string[] {
  const tiers: readonly string[] = ['unit', 'engine', 'system'] satisfies Tier[];
  if (tier !== undefined && !tiers.includes(tier)) throw new Error(`--tier takes one of ${tiers.join(', ')}`);
  const all = globSync('test/**/*.test.ts', { cwd: root }).sort();
  const concerned = base === undefined ? all : affected(graph, all, changedSince(root, base));
  return concerned
    .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
    .filter((file) => tier === undefined || tierOf(graph, file) === tier);
}

/** Paths that differ from `base` or that git does not know yet. */
function changedSince(root: string, base: string): readonly string[] {
  const git = (...args: string[]): string[] =>
    execFileSync('git', args, { cwd: root, encoding: 'utf8' }).split('\0').filter(Boolean);
  return [
    ...git('diff', '--name-only', '-z', '--no-renames', base, '--'),
    ...git('ls-files', '--others', '--exclude-standard', '-z'),
  ];
}

/** A long file that starts last would run alone at the end. One that was never timed may be long. */
function longestFirst(root: string, files: readonly string[]): readonly string[] {
  const times = readTimes(root);
  const seconds = (file: string): number => times[relative('test', file)] ?? Infinity;
  return [...files].sort((a, b) => seconds(b) - seconds(a) || (a < b ? -1 : 1));
}

function readTimes(root: string): Record<string, number> {
  const file = join(root, timesFile);
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Record<string, number>) : {};
}

function recordTimes(root: string, outcomes: readonly Outcome[]): void {
  const fresh = outcomes.map(({ file, seconds }): [string, number] => [relative('test', file), Math.ceil(seconds)]);
  const merged = Object.entries({ ...readTimes(root), ...Object.fromEntries(fresh) })
    .filter(([file]) => existsSync(join(root, 'test', file)))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  writeFileSync(join(root, timesFile), `${JSON.stringify(Object.fromEntries(merged), undefined, 2)}\n`);
}

async function runAll(root: string, files: readonly string[]): Promise<readonly Outcome[]> {
  const folder = mkdtempSync(join(tmpdir(), 'mooring-test-'));
  // Daemons that run as somebody else have to come through it.
  chmodSync(folder, 0o755);
  const leave = watchOver(folder);
  endTogether(folder);
  const waiting = [...files];
  const outcomes: Outcome[] = [];
  const underway = new Set<Underway>();
  const speaker = setInterval(() => sayWhatGoesOn(underway, waiting.length), SAY_EVERY_MS);
  const worker = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      let mine: Underway | undefined;
      const place = { root, file, folder: join(folder, String(files.indexOf(file))) };
      const outcome = await runFile(place, undefined, (one) => underway.add((mine = one)));
      if (mine) underway.delete(mine);
      outcomes.push(outcome);
      show(outcome);
      speaker.refresh();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  clearInterval(speaker);
  sweep(folder);
  leave();
  return outcomes;
}

/** A signal takes everything down before this process ends; SIGKILL leaves that to the reaper. */
function endTogether(folder: string): void {
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    process.once(signal, () => {
      sweep(folder);
      process.exit(code);
    });
  }
}

function sayWhatGoesOn(underway: ReadonlySet<Underway>, waiting: number): void {
  for (const { file, began, tests, said } of underway) {
    const seconds = Math.round((performance.now() - began) / 1000);
    console.log(`…    ${relative('test', file)}: ${seconds} s, ${tests()} tests so far${said() && `; ${said()}`}`);
  }
  if (waiting > 0) console.log(`…    ${waiting} files wait`);
}

function show(outcome: Outcome): void {
  const { file, passed, failed, skipped, seconds, fault, output } = outcome;
  const bad = fault !== '' || failed > 0;
  const name = relative('test', file);
  const counts = `${passed} passed, ${failed} failed, ${skipped} skipped`;
  console.log(`${bad ? 'FAIL' : 'ok  '} ${name.padEnd(44)} ${counts.padEnd(36)} ${seconds.toFixed(1)} s`);
  if (bad) {
    if (fault) console.log(`     ${fault}`);
    console.log(output.replace(/^/gm, '     | '));
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

process.exitCode = await main(process.argv.slice(2));
