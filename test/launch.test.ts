import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const launch = suite('launch');
const config = join(import.meta.dirname, '../config');

/** A repository with the launcher, nothing to install, and the given script as its test runner. */
function repository(script: string, engines = '>=18'): string {
  const root = mkdtempSync(join(tmpdir(), 'mooring-launch-'));
  for (const folder of ['config', 'test', 'node_modules']) mkdirSync(join(root, folder));
  copyFileSync(join(config, 'launch.js'), join(root, 'config/launch.js'));
  writeFileSync(join(root, 'package.json'), JSON.stringify({ type: 'module', engines: { node: engines } }));
  writeFileSync(join(root, 'package-lock.json'), '{"packages":{}}');
  writeFileSync(join(root, 'node_modules/.package-lock.json'), '{"packages":{}}');
  writeFileSync(join(root, 'test/run.ts'), script);
  return root;
}

interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<{ code: number | null; output: string }>;
  /** Resolves when the output holds the words. */
  says(words: string): Promise<void>;
}

function start(root: string, ...args: string[]): Running {
  const child = spawn(process.execPath, [join(root, 'config/launch.js'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const ended = once(child, 'close').then(() => ({ code: child.exitCode, output }));
  const says = async (words: string): Promise<void> => {
    while (!output.includes(words)) await once(child.stdout, 'data');
  };
  return { child, ended, says };
}

launch('arguments go in, the exit code comes out', async () => {
  const root = repository(`console.log('got', process.argv.slice(2).join()); process.exitCode = 7;`);
  const { code, output } = await start(root, 'test', 'web', 'store').ended;
  assert.equal([code, output.trim()], [7, 'got web,store']);
});

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  launch(`${signal} reaches what was started, and its own way of ending counts`, async () => {
    const script = `process.on('${signal}', () => { console.log('closing'); process.exit(5); });
      setInterval(() => {}, 1000); console.log('ready');`;
    const running = start(repository(script), 'test');
    await running.says('ready');
    running.child.kill(signal);
    const { code, output } = await running.ended;
    assert.is(code, 5);
    assert.match(output, 'closing');
  });
}

launch('an unknown command says how it is used', async () => {
  const { code, output } = await start(repository(''), 'toString').ended;
  assert.is(code, 64);
  assert.match(output, 'usage:');
});

launch('packages installed by npm itself are taken as they are; a stamp remembers it', async () => {
  const root = repository(`console.log('ran')`);
  assert.is((await start(root, 'test').ended).output.trim(), 'ran');
  assert.is(readFileSync(join(root, 'node_modules/.mooring-stamp'), 'utf8'), '{"packages":{}}');
  assert.not(existsSync(join(root, '.mooring-launch')));
});

launch('the lock of a launch that died is taken over; that of a living one is waited for', async () => {
  const root = repository(`console.log('ran')`);
  const lock = join(root, '.mooring-launch');
  mkdirSync(lock);
  writeFileSync(join(lock, 'pid'), '4194304');
  assert.match((await start(root, 'test').ended).output, 'ran');

  const other = repository(`console.log('ran')`);
  mkdirSync(join(other, '.mooring-launch'));
  writeFileSync(join(other, '.mooring-launch/pid'), String(process.pid));
  const running = start(other, 'test');
  await once(running.child.stderr!, 'data');
  running.child.kill('SIGTERM');
  assert.match((await running.ended).output, 'Waiting for another launch');
  assert.ok(existsSync(join(other, '.mooring-launch')));
});

launch.run();
