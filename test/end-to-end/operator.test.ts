import { spawn, spawnSync } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { parseTar } from 'nanotar';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createClicker } from '../support/clicker.ts';
import { type RanWith, mooring, run } from '../support/command.ts';
import { type Harbour, harbour } from '../support/daemon.ts';
import { type MooredSite, mooredSite } from '../support/moored.ts';
import { until } from '../support/until.ts';

/** What only the operator may do from the shell: accounts, tokens, everything at once, and a bundle for support. */
const test = suite('the operator');

let made: Harbour;
let site: MooredSite;
const cli = (args: readonly string[], options: RanWith = {}) => run(args, { stateDir: made.stateDir, ...options });

test.before(async () => {
  made = await harbour();
  site = await mooredSite(made, { files: { 'a.txt': 'a\n' } });
  await site.settled();
});
test.after(async () => made.close());

/** Whether somebody can sign in with it. */
async function signsIn(name: string, password: string): Promise<boolean> {
  const clicker = createClicker();
  await clicker.open(`${made.url}/sign-in`);
  return (await clicker.press('Sign in', { Name: name, Password: password })).heading === 'Sites';
}

test('an admin is added with a password from standard input, and listed', async () => {
  const none = await cli(['admin', 'add', 'Jonas']);
  assert.is(none.code, 64);
  const short = await cli(['admin', 'add', 'Jonas'], { input: 'short\n' });
  assert.is(short.code, 64);
  assert.match(short.stderr.replace(/\s+/g, ' '), /at least 12 characters/i);
  assert.is((await cli(['admin', 'add', 'Jonas'], { input: 'a quiet harbour 1\n' })).code, 0);
  assert.match((await cli(['admin', 'list'])).stdout, /^Jonas\s+admin\s+all/m);
  assert.ok(await signsIn('Jonas', 'a quiet harbour 1'));
});

test('a password on the terminal is not shown, and asked twice', async () => {
  const typed = async (...lines: string[]) => {
    const child = spawn('script', ['-qec', [...mooring, 'admin', 'reset-password', 'Jonas'].join(' '), '/dev/null'], {
      env: { PATH: process.env['PATH'] ?? '', MOORING_STATE: made.stateDir, TERM: 'xterm' },
    });
    let shown = '';
    child.stdout.on('data', (chunk: Buffer) => (shown += chunk.toString()));
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    await until('it asks', () => shown.includes('New password of Jonas: '));
    child.stdin.write(`${lines[0]}\r`);
    await until('it asks again', () => shown.includes('Once more: '));
    child.stdin.write(`${lines[1]}\r`);
    return { code: await ended, shown };
  };
  if (spawnSync('script', ['--version']).error) return console.log('not run here: there is no program script');
  const differ = await typed('a louder harbour 2', 'a lauder harbour 2');
  assert.is(differ.code, 64);
  assert.match(differ.shown, 'The two passwords differ');
  // Backspace and the erased line work as everywhere.
  const same = await typed('a louder harbouz\u007fr 2', 'wrong\u0015a louder harbour 2');
  assert.is(same.code, 0, same.shown);
  assert.not.match(same.shown, 'louder');
  assert.ok(await signsIn('Jonas', 'a louder harbour 2'));
  assert.not.ok(await signsIn('Jonas', 'a quiet harbour 1'));
});

test('a token is printed once, reaches as far as it says, and is revoked', async () => {
  const { code, stdout, stderr } = await cli([
    ...['token', 'create', 'monitor', '--account', 'Jonas', '--site', 'Harbour', '--days', '30'],
  ]);
  assert.is(code, 0, stderr);
  assert.match(stdout, /^mooring_[\w-]{43}\n$/);
  const headers = { Authorization: `Bearer ${stdout.trim()}` };
  const status = async (path: string, method = 'GET') =>
    (await fetch(`${made.url}${path}`, { headers, method, redirect: 'manual' })).status;
  assert.is(await status(`/api/v1/sites/${site.id}`), 200);
  assert.is(await status('/metrics'), 200);
  assert.is(await status(`/api/v1/sites/${site.id}/pause`, 'POST'), 403);
  assert.is(await status('/operator/v1/check'), 303, 'to the network it is one page of many, and leads to the sign-in');
  assert.is((await cli(['token', 'create', 'x', '--account', 'Nobody'])).code, 64);
  assert.match((await cli(['token', 'list'])).stdout, /monitor\s+Jonas\s+read\s+1\s+in 30 days/);
  assert.is((await cli(['token', 'revoke', 'monitor'])).code, 0);
  assert.is(await status(`/api/v1/sites/${site.id}`), 401);
  assert.is((await cli(['token', 'revoke', 'monitor'])).code, 64);
});

test('all sites are paused and resumed together', async () => {
  assert.is((await cli(['pause'])).code, 64);
  assert.is((await cli(['pause', '--all', '--until', 'tomorrow'])).code, 64);
  assert.is((await cli(['pause', '--all'])).code, 0);
  assert.match((await cli(['status'])).stdout, /^Harbour\s+Paused/m);
  assert.is((await cli(['resume', '--all'])).code, 0);
  await site.settled();
});

test('log --follow prints each run as it comes', async () => {
  const following = cli(['log', 'Harbour', '--follow', '--json'], {
    until: (stdout) => stdout.trim().split('\n').length > 1,
  });
  let ended = false;
  void following.then(() => (ended = true));
  // An edit that it was too early for is followed by another.
  for (let edit = 0; !ended; edit += 1) {
    await site.write('followed.txt', `${edit}\n`);
    await Promise.race([following, new Promise((resolve) => setTimeout(resolve, 3_000))]);
  }
  const { stdout } = await following;
  const runs = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { id: string; result: string });
  assert.is(runs.at(-1)?.result, 'pushed');
  assert.is(new Set(runs.map(({ id }) => id)).size, runs.length, 'no run twice');
  await site.settled();
});

test('the support bundle is listed before it is written, and holds no secret', async () => {
  const file = join(made.dir, 'bundle.tar.gz');
  const refused = await cli(['doctor', '--output', file]);
  assert.is(refused.code, 64);
  assert.match(refused.stderr, 'check.json');
  assert.match(refused.stderr, 'Give --yes');
  assert.is(await stat(file).catch(() => 'none'), 'none');
  const { code, stdout, stderr } = await cli(['doctor', '--yes', '--output', file]);
  assert.is(code, 0, stderr);
  assert.is(stdout, `${file}\n`);
  assert.is((await stat(file)).mode & 0o777, 0o600);
  assert.is((await cli(['doctor', '--yes', '--output', file])).code, 1, 'nothing is overwritten');

  const bytes = gunzipSync(await readFile(file));
  // A copy, because the parser reads the memory that a Buffer may share from its beginning.
  const parts = parseTar(new Uint8Array(bytes));
  for (const { name } of parts) assert.match(stderr, name.replace('mooring-support/', ''));
  for (const name of ['about', 'check', 'settings', 'sites', 'connections', 'audit', `runs-${site.id}`]) {
    const part = parts.find((one) => one.name === `mooring-support/${name}.json`);
    assert.ok(part, `${name} of ${parts.map((one) => one.name).join(', ')}`);
    assert.ok(JSON.parse(part.text), name);
  }
  const everything = bytes.toString('latin1');
  const key = await readFile(join(made.stateDir, 'secret.key'));
  const { ana } = made.world;
  for (const secret of [
    ...[made.application.secret, made.admin.password, 'a louder harbour 2', key.toString('latin1'), ana.email],
    ...[key.toString('hex'), key.toString('base64').replace(/=+$/, ''), 'mooring_'],
  ])
    assert.not.ok(everything.includes(secret), 'a secret or a mail address');
  // GNU tar has nothing to complain about.
  const listed = spawnSync('tar', ['tzf', file], { encoding: 'utf8' });
  assert.is(listed.stderr, '');
});

test('a password is reset while the daemon is stopped, and what it ends is ended', async () => {
  const clicker = createClicker();
  await clicker.open(`${made.url}/sign-in`);
  await clicker.press('Sign in', { Name: made.admin.name, Password: made.admin.password });
  await made.stop();
  assert.is((await cli(['admin', 'reset-password', 'Nobody'], { input: 'a harbour at night\n' })).code, 64);
  const { code, stderr } = await cli(['admin', 'reset-password', made.admin.name], { input: 'a harbour at night\n' });
  assert.is(code, 0, stderr);
  const elsewhere = join(made.dir, 'nowhere');
  const absent = await run(['admin', 'reset-password', 'Ana'], { stateDir: elsewhere, input: 'a harbour at night\n' });
  assert.is(absent.code, 64);
  assert.is(await stat(elsewhere).catch(() => 'none'), 'none', 'nothing is made there');
  assert.is((await cli(['status'])).code, 69);
  await made.start();
  assert.is((await clicker.open(made.url)).heading, 'Sign in to Mooring', 'the session of before has ended');
  assert.ok(await signsIn(made.admin.name, 'a harbour at night'));
  assert.not.ok(await signsIn(made.admin.name, made.admin.password));
  const { stdout } = await cli(['doctor', '--json', '--yes', '--output', join(made.dir, 'again.tar.gz')]);
  assert.ok(JSON.parse(stdout));
});

test.run();
