import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { mooring, run } from '../support/command.ts';
import { type Harbour, harbour } from '../support/daemon.ts';
import { type MooredSite, addSite, makeFolder, mooredSite } from '../support/moored.ts';
import { until } from '../support/until.ts';

const test = suite('command line');
const isRoot = process.getuid?.() === 0;

let made: Harbour;
let site: MooredSite;
const cli = (args: string, options: Parameters<typeof run>[1] = {}) =>
  run(args.split(' '), { stateDir: made.stateDir, ...options });

test.before(async () => {
  made = await harbour();
  site = await mooredSite(made, { files: { 'a.txt': 'a\n' } });
  await site.settled();
  await addSite(made, site.clicker, 'The museum', await makeFolder(made.sites, 'museum', {}));
});
test.after(async () => made.close());

test('help and wrong usage: 64, and nothing on standard output', async () => {
  const help = await cli('help');
  assert.is(help.code, 0);
  for (const line of help.stdout.split('\n')) assert.ok(line.length <= 80, line);
  for (const args of ['bogus', 'status --bogus', 'sync', 'log harbour --lines 0', 'completion ruby', 'sync no-such']) {
    const { code, stdout, stderr } = await cli(args);
    assert.is(code, 64, args);
    assert.is(stdout, '', args);
    assert.ok(stderr.length > 10, args);
  }
});

test('without a daemon: 69; as somebody else: 77', async () => {
  const absent = await run(['status'], { stateDir: join(made.dir, 'nowhere') });
  assert.is(absent.code, 69);
  assert.match(absent.stderr, 'No daemon answers at');
  const inJson = await run(['status', '--json'], { stateDir: join(made.dir, 'nowhere') });
  assert.is((JSON.parse(inJson.stderr) as { error: { code: string } }).error.code, 'not-running');
  if (!isRoot) return console.log('not run here: becoming another user needs root');
  const other = await cli('status', { as: { uid: 33, gid: 33 } });
  assert.is(other.code, 77, other.stderr);
  assert.match(other.stderr, 'You have no permission to open');
});

test('status tells in a table and in JSON, and by name or ID', async () => {
  const { code, stdout } = await cli('status');
  assert.is(code, 0);
  assert.match(stdout, /^Harbour\s+In sync\s+.*harbour\/website:main$/m);
  assert.match(stdout, /^The museum\s+Not connected/m);
  assert.not.match(stdout, '\u001b');
  const { sites } = JSON.parse((await cli('status --json')).stdout) as { sites: { id: string; state: string }[] };
  assert.equal(sites.map(({ state }) => state).sort(), ['in-sync', 'off']);
  assert.is((JSON.parse((await cli('status HARBOUR --json')).stdout) as { id: string }).id, site.id);
  assert.match((await cli(`status ${site.id}`)).stdout, site.folder);
});

test('colours only on a terminal, and never with NO_COLOR', async () => {
  const onTerminal = (env: Record<string, string>) =>
    spawnSync('script', ['-qec', [...mooring, 'status'].join(' '), '/dev/null'], {
      env: { PATH: process.env['PATH'] ?? '', TERM: 'xterm', MOORING_STATE: made.stateDir, ...env },
      ...{ encoding: 'utf8', timeout: 60_000 },
    });
  const plain = onTerminal({ NO_COLOR: '1' });
  if (plain.error) return console.log('not run here: there is no program script');
  assert.match(plain.stdout, 'In sync');
  assert.not.match(plain.stdout, '\u001b');
  assert.match(onTerminal({}).stdout, '\u001b[32mIn sync');
});

test('sync, pause, resume and log reach the site, and the audit log names the user', async () => {
  assert.is((await cli('pause Harbour')).code, 0);
  assert.match((await cli('status')).stdout, /^Harbour\s+Paused/m);
  assert.is((await cli('resume Harbour')).code, 0);
  await site.write('b.txt', 'b\n');
  assert.is((await cli('sync Harbour')).code, 0);
  await site.settled();
  const log = await cli('log Harbour -n 5');
  assert.match(log.stdout, /Z {2}connected {2}pulled \+\d+/);
  assert.match(log.stdout, /Z {2}pushed {5}pushed \+1$/m);
  const { words } = await site.clicker.open(`${made.url}/activity`);
  assert.match(words, `command line (uid ${process.getuid?.()})`);
});

test('status --watch prints a line for each change where there is no terminal', async () => {
  const watching = cli('status Harbour --watch', { until: (stdout) => stdout.includes('Paused') });
  await until('it has begun', async () => (await cli('pause Harbour')).code === 0);
  const { code, stdout } = await watching;
  assert.is(code, 0);
  assert.match(stdout, /^\S+Z Harbour: Paused$/m);
  assert.is((await cli('resume Harbour')).code, 0);
});

test('completion knows commands, options and sites', async () => {
  const { stdout: script } = await cli('completion bash');
  const dir = await mkdtemp(join(tmpdir(), 'mooring-complete-'));
  try {
    await writeFile(join(dir, 'mooring'), `#!/bin/sh\nexec ${mooring.join(' ')} "$@"\n`, { mode: 0o755 });
    const complete = (...words: string[]): string[] => {
      const ask = `${script}\nCOMP_WORDS=(${words.map((word) => JSON.stringify(word)).join(' ')}); COMP_CWORD=${words.length - 1}; _mooring; printf '%s\\n' "\${COMPREPLY[@]}"`;
      const env = { PATH: `${dir}:${process.env['PATH'] ?? ''}`, MOORING_STATE: made.stateDir };
      const { stdout, stderr, status } = spawnSync('bash', ['-c', ask], { env, encoding: 'utf8', timeout: 60_000 });
      assert.is(status, 0, stderr);
      return stdout.trim().split('\n');
    };
    assert.equal(complete('mooring', 'sta'), ['status']);
    assert.equal(complete('mooring', 'log', '--fo'), ['--follow']);
    assert.equal(complete('mooring', 'completion', 'f'), ['fish']);
    assert.equal(complete('mooring', 'pause', 'The'), ['The\\ museum']);
    for (const shell of ['zsh', 'fish']) {
      const { stdout } = await cli(`completion ${shell}`);
      await writeFile(join(dir, shell), stdout);
      const checked = spawnSync(shell, ['-n', join(dir, shell)], { encoding: 'utf8', timeout: 60_000 });
      if (checked.error) console.log(`not run here: ${shell} (${checked.error.message})`);
      else assert.is(checked.status, 0, checked.stderr);
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test('the key is replaced while the daemon runs, and while it is stopped', async () => {
  const key = join(made.stateDir, 'secret.key');
  const first = await readFile(key);
  const running = await cli('rotate-key');
  assert.is(running.code, 0, running.stderr);
  const second = await readFile(key);
  assert.not(second.equals(first));
  assert.is((await stat(key)).mode & 0o777, 0o600);
  // Its tokens and the webhook's secret open as before, without a restart and after one.
  await site.write('after-rotation.txt', 'b\n');
  await site.settled();
  await made.stop();
  const stopped = await cli('rotate-key');
  assert.is(stopped.code, 0, stopped.stderr);
  assert.not((await readFile(key)).equals(second));
  await made.start();
  await site.clicker.open(site.url);
  await site.write('after-both.txt', 'c\n');
  await site.settled();
});

test.run();
