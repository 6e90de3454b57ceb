import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Limits, runFile } from './runner/file.ts';
import { affected, readImports, tierOf } from './runner/graph.ts';
import { until } from './support/until.ts';

const runner = suite('test runner');

const patient: Limits = { silenceMs: 60_000, wholeMs: 120_000 };

/** Runs the source as a test file of its own. */
async function outcomeOf(source: string, limits = patient): ReturnType<typeof runFile> {
  const root = mkdtempSync(join(tmpdir(), 'runner-'));
  symlinkSync(join(import.meta.dirname, '../node_modules'), join(root, 'node_modules'));
  const head = `import { suite } from 'uvu'; import * as assert from 'uvu/assert';\nconst s = suite('planted');\n`;
  writeFileSync(join(root, 'planted.test.mts'), head + source);
  return runFile({ root, file: 'planted.test.mts', folder: join(root, 'tmp') }, limits);
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

const endless = `setInterval(() => {}, 9); s('a', () => {}); s.run();`;

runner('a file of which nothing is heard for long fails', async () => {
  const silent = `s('a', () => new Promise((done) => setTimeout(done, 600_000))); s.run();`;
  assert.match((await outcomeOf(silent, { ...patient, silenceMs: 1_500 })).fault, 'nothing was heard of it for 1.5 s');
});

runner('a file that goes on after its tests fails soon, and says so', async () => {
  const found = await outcomeOf(endless, { ...patient, silenceMs: 1_500 });
  assert.match(found.fault, 'its tests were over, and something was left open');
  assert.is(found.passed, 1);
});

runner('a file that takes longer than any may fails, whatever it says', async () => {
  const chatty = `setInterval(() => process.stderr.write('beat: on and on\\n'), 100); s('a', () => {}); s.run();`;
  assert.match((await outcomeOf(chatty, { silenceMs: 1_500, wholeMs: 4_000 })).fault, 'ended after 4 s');
});

runner('a long test that says where it is may take longer than the silence', async () => {
  const slow = `s('a', async () => {
    for (let i = 0; i < 30; i += 1) {
      await new Promise((done) => setTimeout(done, 100));
      process.stderr.write(\`beat: step \${i}\\n\`);
    }
  });\ns.run();`;
  const found = await outcomeOf(slow, { ...patient, silenceMs: 1_500 });
  assert.equal([found.passed, found.fault], [1, ''], found.output);
  assert.not.match(found.output, 'beat:');
});

/** A test file that starts one process in its own group and one as a daemon would be, and then ends or hangs. */
const forgetful = (
  end: string,
): string => `import { spawn } from 'node:child_process'; import { writeFileSync } from 'node:fs';
  import { tmpdir } from 'node:os';
  s('a', async () => {
    const child = spawn('sleep', ['300'], { stdio: 'inherit' });
    const daemon = spawn('sleep', ['300'], { detached: true, stdio: 'ignore', env: { STATE: tmpdir() + '/state' } });
    writeFileSync(tmpdir() + '/left', 'x');
    console.log('pids ' + child.pid + ' ' + daemon.pid);
    ${end}
  });
  s.run();`;

runner('what a test forgot to end goes with its file', async () => {
  const found = await outcomeOf(forgetful(`setTimeout(() => process.exit(0), 300);`));
  const pids = /pids (\d+) (\d+)/.exec(found.output)?.slice(1).map(Number) ?? [];
  assert.is(pids.length, 2, found.output);
  // SIGKILL is on its way when the runner goes on; a busy machine delivers it a little later.
  await until('the processes are gone', () => pids.every((pid) => !isAlive(pid)));
});

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  runner(`a runner that is ended by ${signal} leaves no process and no folder behind`, async () => {
    const root = mkdtempSync(join(tmpdir(), 'runner-'));
    symlinkSync(join(import.meta.dirname, '../node_modules'), join(root, 'node_modules'));
    mkdirSync(join(root, 'test'));
    mkdirSync(join(root, 'tmp'));
    writeFileSync(join(root, 'test', 'run.ts'), readFileSync(join(import.meta.dirname, 'run.ts')));
    symlinkSync(join(import.meta.dirname, 'runner'), join(root, 'test', 'runner'));
    const pidFile = join(root, 'pids');
    writeFileSync(
      join(root, 'test', 'forgetful.test.ts'),
      `import { suite } from 'uvu'; const s = suite('planted');
      ${forgetful(`writeFileSync(${JSON.stringify(pidFile)}, child.pid + ' ' + daemon.pid + ' ' + process.pid);
      await new Promise(() => setInterval(() => {}, 1000));`)}`,
    );
    const run = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', 'test/run.ts'], {
      cwd: root,
      env: { ...process.env, TMPDIR: join(root, 'tmp') },
      stdio: 'ignore',
    });
    const text = await until('the test runs', () => existsSync(pidFile) && readFileSync(pidFile, 'utf8'));
    const pids = text.split(' ').map(Number);
    assert.is(pids.filter(isAlive).length, 3);
    run.kill(signal);
    await until('the processes are gone', () => pids.every((pid) => !isAlive(pid)));
    await until('the folder is gone', () => readdirSync(join(root, 'tmp')).length === 0);
  });
}

runner('the tier of a file follows from what it runs', () => {
  const graph = readImports(dirname(import.meta.dirname));
  const tiers = ['test/net/url.test.ts', 'test/sync/run.test.ts', 'test/end-to-end/flows.test.ts'];
  assert.equal(
    tiers.map((file) => tierOf(graph, file)),
    ['unit', 'engine', 'system'],
  );
});

runner('a change concerns the tests that run what changed', () => {
  const root = mkdtempSync(join(tmpdir(), 'runner-'));
  const sources: Record<string, string> = {
    'src/a.ts': `import { b } from './b.ts';\nexport const a = b;\n`,
    'src/b.ts': `import type { C } from './c.ts';\nexport const b: C = 1;\n`,
    'src/c.ts': `export type C = number;\n`,
    'src/main.ts': `import { a } from './a.ts';\nconsole.log(a);\n`,
    'src/web/render.ts': `export const page = 1;\n`,
    'test/a.test.ts': `import {\n  a,\n} from '../src/a.ts';\n`,
    'test/b.test.ts': `import { b } from '../src/b.ts';\n`,
    'test/c.test.ts': `import { c } from './c.ts';\n`,
    'test/c.ts': `export const c = () => import('../src/c.ts');\n`,
    'test/main.test.ts': `spawn(join(root, 'src', 'main.ts'));\n`,
    'test/web.test.ts': `export * from '../src/web/render.ts';\n`,
  };
  for (const [path, source] of Object.entries(sources)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), source);
  }
  const graph = readImports(root);
  const tests = Object.keys(sources).filter((path) => path.endsWith('.test.ts'));
  const broken = (...changed: string[]): string[] =>
    affected(graph, tests, changed).map((path) => path.replace(/^test\/|\.test\.ts$/g, ''));
  assert.equal(broken('src/a.ts'), ['a', 'main']);
  assert.equal(broken('src/b.ts'), ['a', 'b', 'main']);
  assert.equal(broken('src/c.ts'), ['c']);
  assert.equal(broken('test/b.test.ts'), ['b']);
  assert.equal(broken('views/pages/site.njk'), ['web']);
  assert.equal(broken('docs/engine.md'), []);
  assert.equal(broken('package.json'), ['a', 'b', 'c', 'main', 'web']);
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
