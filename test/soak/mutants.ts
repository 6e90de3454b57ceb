import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Does the suite see the loss that each guard prevents? Each guard is taken out of a copy of the source, and a test
 * must fail. `mutants.ts [word …]` takes only those whose name holds a word.
 */
interface Mutant {
  readonly name: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** The tests that should see it, in turn. */
  readonly tests: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

const crash = 'test/sync/crash.test.ts';
const replace = 'test/files/replace.test.ts';
const run = 'test/sync/run.test.ts';
const model = 'test/soak/model.test.ts';
const properties = 'test/sync/properties.test.ts';
const hammer = 'test/files/hammer.test.ts';

const mutants: readonly Mutant[] = [
  {
    name: 'the captured file is not looked at',
    file: 'src/files/replace.ts',
    from: `return stat.kind === 'file' && sameInode(expected, stat);`,
    to: `return stat.kind === 'file' || sameInode(expected, stat);`,
    tests: [replace, hammer],
  },
  {
    name: 'what was moved aside is not put back after a crash',
    file: 'src/files/directory.ts',
    from: `const returned = moves.filter((move) => undo(this.#o.fs, walk, move)).map(({ path }) => path);`,
    to: `const returned: SitePath[] = moves.length < 0 ? [String(undo) as SitePath] : [];`,
    tests: [crash],
    env: { MOORING_ONLY: 'link', MOORING_BUDGET_S: '100' },
  },
  {
    name: 'replaced files are not looked at once more',
    file: 'src/files/directory.ts',
    from: `if (!now || now.oid === held.before?.oid) done.push(held);`,
    to: `if (now || !now) done.push(held);`,
    tests: [replace],
  },
  {
    name: 'the manifest is trusted without a stat',
    file: 'src/files/apply.ts',
    from: `if (sameSeen(line?.seen, there)) return line?.seen;`,
    to: `if (line?.seen) return seenOf(there, this.#tools.now());`,
    tests: [hammer, model],
  },
  {
    name: 'busy paths count as applied',
    file: 'src/sync/partial.ts',
    from: `.filter(({ path }) => skipped.has(path))`,
    to: `.filter(({ path }) => skipped.has(path) && path === '')`,
    tests: [replace, model],
  },
  {
    name: 'no hold before a mass removal',
    file: 'src/sync/guard.ts',
    from: `if (removed === 0 || total === 0) return false;`,
    to: `if (removed >= 0 || total === 0) return false;`,
    tests: [properties, run],
  },
  {
    name: 'a lost manifest is a removal',
    file: 'src/files/scan.ts',
    from: `else this.#unapplied.add(path);`,
    to: `else this.#gone.add(path);`,
    tests: [run],
  },
  {
    name: 'a push without a lease, by force',
    file: 'test/support/plain-remote.ts',
    from: "`--force-with-lease=${ref}:${expected ?? ''}`",
    to: '`--force-with-lease=${expected ? ref : ref}`',
    tests: ['test/contracts/remote.test.ts', run],
  },
  {
    name: 'a rewritten branch is pushed over',
    file: 'src/sync/reconcile.ts',
    from: `if (rewritten && known) {`,
    to: `if (rewritten && !known) {`,
    tests: [properties, run],
  },
  {
    name: 'a removal beats an edit',
    file: 'src/sync/conflict.ts',
    from: `if (!theirs) return { entry: ours, live: 'site' };`,
    to: `if (!theirs) return { entry: undefined, live: 'repository' };`,
    tests: [properties, run],
  },
  {
    name: 'half a file is recorded',
    file: 'src/files/read.ts',
    from: `const steady = same(first, last) && named !== undefined && same(first, named);`,
    to: `const steady = named !== undefined || same(first, last);`,
    tests: [hammer, replace],
  },
  {
    name: 'removals may take a folder with them',
    file: 'src/git/repository.ts',
    from: `.filter(({ path, mode }) => mode !== undefined || before.has(path))`,
    to: `.filter(({ path }) => path !== '')`,
    tests: [run],
  },
  {
    name: 'an emptied root is believed',
    file: 'src/files/directory.ts',
    from: `if (entries.length === 0 && emptied === 'not-emptied' && this.#seenAtLeast(2))`,
    to: `if (entries.length < 0 && emptied === 'not-emptied' && this.#seenAtLeast(2))`,
    tests: ['test/faults'],
  },
  {
    name: 'the journal is not written before files move',
    file: 'src/files/staging.ts',
    from: `if (moves.length > 0) this.#write(moves.map((move) => ({ kind: 'move', move, at })));`,
    to: `if (moves.length > 0) moves.forEach((move) => this.#take({ kind: 'move', move, at }));`,
    tests: [crash],
    env: { MOORING_ONLY: 'link', MOORING_BUDGET_S: '100' },
  },
];

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const words = process.argv.slice(2);
let unseen = 0;
console.log('mutant | found by | after');
for (const mutant of mutants.filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)))) {
  const said = tryOne(mutant);
  if (said === undefined) unseen += 1;
  console.log(`${mutant.name} | ${said ?? 'NOT FOUND'}`);
}
process.exitCode = unseen === 0 ? 0 : 1;

/** Which test failed, and after how long; undefined: none did. */
function tryOne({ file, from, to, tests, env }: Mutant): string | undefined {
  const dir = mkdtempSync(join(tmpdir(), 'mooring-mutant-'));
  try {
    for (const part of ['src', 'test', 'config', 'views', 'public', 'package.json', 'tsconfig.json'])
      cpSync(join(root, part), join(dir, part), { recursive: true });
    symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'));
    const source = readFileSync(join(dir, file), 'utf8');
    if (source.split(from).length !== 2) return `the patch does not fit ${file} | -`;
    writeFileSync(
      join(dir, file),
      source.replace(from, () => to),
    );
    const began = performance.now();
    let ran = 0;
    for (const test of tests) {
      ran += 1;
      const { status, stdout } = spawnSync(process.execPath, ['test/run.ts', test], {
        cwd: dir,
        encoding: 'utf8',
        env: { ...process.env, MOORING_WORLDS: '40', ...env },
      });
      // A file that ran out of time has seen nothing.
      if (status === 0 || stdout.includes('it was ended after')) continue;
      const failed = /FAIL\s[^"\n]*"([^"\n]+)"/.exec(stdout)?.[1] ?? 'the file as a whole';
      return `${test}: ${failed} | ${ran} ${ran === 1 ? 'file' : 'files'}, ${Math.round((performance.now() - began) / 1000)} s`;
    }
    return undefined;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
