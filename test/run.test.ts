import { mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runFile } from './run.ts';
import { until } from './support/clicker.ts';

const runner = suite('test runner');

/** Runs the source as a test file of its own. */
async function outcomeOf(source: string): ReturnType<typeof runFile> {
  const root = mkdtempSync(join(tmpdir(), 'mooring-runner-'));
  symlinkSync(join(import.meta.dirname, '../node_modules'), join(root, 'node_modules'));
  const head = `import { suite } from 'uvu'; import * as assert from 'uvu/assert';\nconst s = suite('planted');\n`;
  writeFileSync(join(root, 'planted.test.mts'), head + source);
  return runFile(root, 'planted.test.mts');
}

runner('a good file is good, and what it skipped is counted', async () => {
  const found = await outcomeOf(`s('a', () => {}); s('b', async () => {}); s.skip('c'); s.run();`);
  assert.equal([found.passed, found.failed, found.skipped, found.fault], [2, 0, 1, '']);
});

runner('a failing test fails, and its output is there', async () => {
  const found = await outcomeOf(`s('a', () => {}); s('b', () => assert.is(1, 2)); s.run();`);
  assert.equal([found.passed, found.failed], [1, 1]);
  assert.match(found.output, 'Expected values');
});

const bad: Record<string, [string, string]> = {
  'never runs its suite': [`s('a', () => {});`, 'never run'],
  'runs no test': [`s.run();`, 'ran no tests'],
  'only skips': [`s.skip('a', () => {}); s.run();`, 'ran no tests'],
  'is narrowed': [`s('a', () => {});\ns.${'only'}('b', () => {}); s.run();`, '.only'],
  'throws on the way in': [`throw new Error('x');`, 'never run'],
  'ends early with success': [`s('a', () => process.exit(0)); s.run();`, 'without running'],
  'waits for what never comes': [`s('a', () => new Promise(() => {})); s.run();`, 'without running'],
  'fails after its tests': [
    `s('a', () => { setTimeout(() => { throw new Error('x'); }, 50); }); s.run();`,
    'exited with',
  ],
  'takes too long': [`// time limit: 1 s\nsetInterval(() => {}, 9); s('a', () => {}); s.run();`, 'after 1 s'],
};

for (const [name, [source, fault]] of Object.entries(bad)) {
  runner(`a file that ${name} fails`, async () => {
    assert.match((await outcomeOf(source)).fault, fault);
  });
}

for (const hook of ['before', 'before.each', 'after', 'after.each']) {
  runner(`a file whose ${hook} hook throws fails`, async () => {
    const found = await outcomeOf(`s.${hook}(() => { throw new Error('x'); }); s('a', () => {}); s.run();`);
    assert.ok(found.failed > 0 || found.fault !== '', JSON.stringify(found));
  });
}

runner('what a test forgot to end goes with its file', async () => {
  const child = `import { spawn } from 'node:child_process';
    s('a', () => { console.log('child ' + spawn('sleep', ['30'], { stdio: 'inherit' }).pid); setTimeout(() => process.exit(0), 300); });
    s.run();`;
  const found = await outcomeOf(child);
  const pid = Number(/child (\d+)/.exec(found.output)?.[1]);
  assert.ok(pid > 0, found.output);
  // SIGKILL is on its way when the runner goes on; a busy machine delivers it a little later.
  await until('the child is gone', () => !isAlive(pid));
});

/** False also for one that is dead and not yet collected by whoever inherited it. */
function isAlive(pid: number): boolean {
  try {
    return !/\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

runner.run();
