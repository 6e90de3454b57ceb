import { mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { suite } from 'uvu';
import { stagingFolders } from '../support/staging.ts';
import * as assert from 'uvu/assert';
import { createClicker } from '../support/clicker.ts';
import { until } from '../support/until.ts';
import { type Harbour, admin, freePort, harbour, inProcess, practice } from '../support/daemon.ts';
import { leaksBelow, leaksIn } from '../support/leaks.ts';
import { addSite, authorised, configured, makeFolder, mooredSite, signedIn } from '../support/moored.ts';
import { type Seen, watchProcesses } from '../support/process-watch.ts';

const test = suite('secrets');

const secrets = new Map<string, string>();
let world: Harbour;
let seen: Seen;
let folder: string;

/** What the practice GitLab gives away is what the daemon has to keep. */
function tapTokens(): () => void {
  const { end } = ServerResponse.prototype;
  ServerResponse.prototype.end = function (this: ServerResponse, ...args: unknown[]): ServerResponse {
    const text = String(args[0] ?? '');
    for (const [, kind = '', value = ''] of text.matchAll(/"(access_token|refresh_token)":"([^"]+)"/g))
      secrets.set(`${kind} ${value.slice(0, 6)}…`, value);
    return Reflect.apply(end, this, args) as ServerResponse;
  } as typeof end;
  return () => {
    ServerResponse.prototype.end = end;
  };
}

test.before(async () => {
  const untap = tapTokens();
  const watch = watchProcesses();
  try {
    world = await harbour({
      begin: 'nothing',
      env: { MOORING_LOG_LEVEL: 'debug', MOORING_ADMIN_NAME: admin.name, MOORING_ADMIN_PASSWORD: admin.password },
      tokenLifetimeSeconds: 60,
    });
    watch.follow(world.daemon?.pid ?? 0);
    await everythingThatGoesWrong(world, (pid) => watch.follow(pid));
    for (const { headers } of world.gitlab.webhookDeliveries) {
      const token = headers['X-Gitlab-Token'] ?? headers['x-gitlab-token'];
      if (token) secrets.set(`hook token ${token.slice(0, 4)}…`, token);
    }
  } catch (error) {
    // A hook's error is not told by itself.
    console.log(error, world?.output().slice(-4_000));
    throw error;
  } finally {
    untap();
    seen = await watch.stop();
  }
});
test.after(async () => {
  await world?.close();
});

/** The way through, with every failure on the way that has a secret in its hands. */
async function everythingThatGoesWrong(given: Harbour, follow: (pid: number) => void): Promise<void> {
  const { gitlab, application, url } = given;
  secrets.set('admin password', given.admin.password).set('client secret', application.secret);

  const stranger = createClicker();
  await stranger.open(`${url}/sign-in`);
  await stranger.press('Sign in', { Name: given.admin.name, Password: `${given.admin.password}-not` });

  const me = await signedIn(given);
  noteSession(me.cookies(url));
  // A secret that is wrong, and one with a space in it: neither may be repeated anywhere.
  const wrong = 'gloas-wrong-secret-0123456789abcdef';
  secrets.set('wrong client secret', wrong);
  const form = { 'GitLab URL': gitlab.url, 'Application ID (key)': application.applicationId };
  await me.open(`${url}/account/gitlab`);
  await me.press('Configure Self Hosted GitLab', { ...form, Secret: `${wrong} x` });
  await me.open(`${url}/account/gitlab`);
  await me.press('Configure Self Hosted GitLab', { ...form, Secret: wrong });
  await me.press('Test connection');
  const second = await makeFolder(given.sites, 'second', { files: { 'a.txt': 'a\n' } });
  await addSite(given, me, 'Second', second);
  const page = await authorised(given, me);
  assert.match(page.words, 'GitLab does not know this application');
  // A callback that nobody asked for.
  await me.open(`${url}/oauth/callback?code=${'c'.repeat(64)}&state=${'s'.repeat(43)}`);
  await me.open(`${url}/account/gitlab`);
  await me.press('Configure Self Hosted GitLab', { ...form, Secret: application.secret });
  await configured(given, me);

  const site = await mooredSite(given, {
    clicker: me,
    files: { 'index.html': 'older\n', '.env': 'DB=its-own-secret\n' },
  });
  folder = site.folder;
  await site.reaches('In sync');
  await site.write('edit.txt', 'an edit\n');
  await until('the edit is on GitLab', async () => (await site.project.files()).has('edit.txt'));

  // GitLab fails: at a push first, then at whatever comes.
  gitlab.faults.add({ match: ({ path }) => path.endsWith('/git-receive-pack'), status: 500, times: 1 });
  await site.write('edit-1.txt', 'an edit\n');
  await site.reaches('Retrying');
  await me.press('Sync now');
  await until('the edit is on GitLab', async () => (await site.project.files()).has('edit-1.txt'));
  gitlab.faults.add({ match: ({ path }) => /info.refs|git-(upload|receive)-pack/.test(path), status: 500, times: 3 });
  await site.write('edit-2.txt', 'an edit\n');
  await site.reaches('Retrying');
  await me.press('Sync now');
  await until('the edit is on GitLab', async () => (await site.project.files()).has('edit-2.txt'));

  // A push that is refused, which makes git quote the address.
  site.project.protect('main', { pushLevel: 60 });
  await site.write('edit-3.txt', 'an edit\n');
  await site.reaches('On hold');
  site.project.unprotect('main');
  await me.open(`${site.url}/hold`);
  await me.press('Push again');
  await until('the edit is on GitLab', async () => (await site.project.files()).has('edit-3.txt'));

  // Killed, started, and a token that is renewed.
  await given.kill();
  follow((await given.start()).pid);
  await site.project.push('main', { 'edit.txt': 'answered\n' });
  await until('the push arrives', async () => (await readFile(join(folder, 'edit.txt'), 'utf8')) === 'answered\n');
  // The grant is gone.
  for (const [name, value] of secrets) if (name.startsWith('access_token')) tryRevoke(given, value);
  await me.open(site.url);
  await me.press('Sync now');
  await until('the page asks to reconnect', async () => (await me.open(site.url)).words.includes('On hold'));
  await me.open(`${site.url}/settings/syncing`);
  await me.press('Reconnect');
  if (me.page.words.includes('Authorize Mooring to use')) await me.press('Authorize Mooring');
  await site.project.push('main', { 'edit.txt': 'once more\n' });
  await until('the push arrives', async () => (await readFile(join(folder, 'edit.txt'), 'utf8')) === 'once more\n');
  await gitlab.quiet();
}

function tryRevoke({ gitlab }: Harbour, token: string): void {
  try {
    gitlab.revokeToken(token);
  } catch {
    // Replaced by a newer pair long ago.
  }
}

function noteSession(cookies: string): void {
  for (const [, name = '', value = ''] of cookies.matchAll(/(mooring[\w-]*)=([^;]+)/g))
    secrets.set(`cookie ${name}`, value);
}

test('there were secrets to lose, and tokens were renewed', () => {
  const names = [...secrets.keys()].join(' ');
  assert.match(names, 'access_token');
  assert.match(names, 'refresh_token');
  assert.match(names, 'hook token');
  assert.match(names, 'cookie mooring');
  assert.ok(world.gitlab.requests.filter(({ path }) => path === '/oauth/token').length >= 3);
});

test('no command line held a secret', () => {
  assert.ok(
    seen.commandLines.some((line) => / fast-import|fetch|push/.test(line)),
    'the watch saw git at work',
  );
  assert.equal(
    seen.commandLines.flatMap((line) => leaksIn(line, secrets).map((leak) => `${line}: ${leak}`)),
    [],
  );
  console.log(
    `note: /proc was read ${seen.looks} times; ${seen.commandLines.length} command lines, ${seen.gits.length} git environments`,
  );
});

test('only git processes that talk to GitLab were given the token', () => {
  // Those, and what git itself starts below them.
  const network =
    / (fetch|push|ls-remote|remote-https?|fetch-pack|send-pack|index-pack|unpack-objects|pack-objects|rev-list --objects)( |$)|git-remote-https?/;
  const others = seen.gits.filter(({ commandLine }) => !network.test(commandLine));
  assert.ok(others.length > 0);
  const leaks = others.flatMap(({ commandLine, environment }) =>
    leaksIn(environment, secrets).map((leak) => `${commandLine}: ${leak}`),
  );
  assert.equal(leaks, []);
});

test('no file of the state directory holds a secret in clear, as base64 or URL-encoded', async () => {
  assert.equal(await leaksBelow(world.stateDir, secrets), []);
});

test('the log held none, at its most talkative', () => {
  assert.ok(world.output().length > 1_000);
  assert.equal(leaksIn(world.output(), secrets), []);
});

test('no page showed one', async () => {
  const me = await signedIn(world);
  const [, ...pages] = ['', '/', '/activity', '/account/gitlab', '/sites/add'].map((path) => `${world.url}${path}`);
  const first = await me.open(`${world.url}/`);
  for (const [, href = ''] of first.html.matchAll(/href="(\/sites\/[^"]+)"/g))
    for (const sub of ['', '/settings/syncing', '/kept', '/conflicts']) pages.push(`${world.url}${href}${sub}`);
  for (const url of pages) {
    const { html } = await me.open(url);
    assert.equal(leaksIn(html, secrets), [], url);
  }
});

test('the site’s folder holds no secret, no .git, and nothing that others could enter', async () => {
  assert.equal(await leaksBelow(folder, secrets), []);
  const names = await readdir(folder);
  assert.not.ok(names.includes('.git'));
  for (const staging of stagingFolders(folder)) {
    assert.match(staging, /\/\.mooring-[0-9a-f]{24}$/);
    assert.is((await stat(staging)).mode & 0o777, 0o700);
  }
});

test('the state directory can be entered by its owner alone', async () => {
  assert.is((await stat(world.stateDir)).mode & 0o777, 0o700);
  for (const entry of await readdir(world.stateDir, { withFileTypes: true }))
    if (entry.isFile()) assert.is((await stat(join(world.stateDir, entry.name))).mode & 0o077, 0, entry.name);
});

test('the search itself finds what is planted, in each form', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'mooring-planted-'));
  try {
    const planted = new Map([['planted', 'tøken/with+odd=signs-and-length']]);
    const value = planted.get('planted') ?? '';
    const basic = (before: string): string => Buffer.from(`${before}${value} and more`).toString('base64');
    const texts = [
      value,
      `x=${encodeURIComponent(value)}`,
      basic(''),
      basic('a'),
      basic('ab'),
      `{"v":"${basic('oauth2:')}"}`,
    ];
    for (const [at, text] of texts.entries()) {
      await mkdir(join(dir, String(at)), { recursive: true });
      await writeFile(join(dir, String(at), 'file.json'), `{"before":1}${text}\n`);
      assert.ok((await leaksBelow(join(dir, String(at)), planted)).length > 0, `form ${at} is found`);
    }
    await writeFile(join(world.stateDir, 'planted.json'), `{"token":"${secrets.get('client secret')}"}`);
    const found = await leaksBelow(world.stateDir, secrets);
    assert.is(found.filter((leak) => leak.includes('planted.json')).length, 1);
    await rm(join(world.stateDir, 'planted.json'));
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test('what a sync put aside goes away after its ten minutes', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'mooring-grace-'));
  const port = await freePort();
  const made = await practice(`http://127.0.0.1:${port}/oauth/callback`);
  let ahead = 0;
  const clock = {
    now: () => Date.now() + ahead,
    monotonic: () => performance.now() + ahead,
    sleep: (ms: number, signal?: AbortSignal) =>
      new Promise<void>((resolve, reject) => {
        const timer = setTimeout(resolve, ms).unref();
        signal?.addEventListener('abort', () => {
          clearTimeout(timer);
          reject(signal.reason as Error);
        });
      }),
  };
  const daemon = await inProcess({ dir, port }, { clock });
  try {
    const site = await mooredSite({ ...made, ...daemon, admin }, { files: { 'index.html': 'older\n' } });
    await site.settled();
    const [held = ''] = stagingFolders(site.folder);
    assert.match(held, /\/\.mooring-[0-9a-f]{24}$/);
    assert.is((await stat(held)).mode & 0o777, 0o700);
    assert.not.ok((await site.project.files()).has(basename(held)));
    ahead = 11 * 60_000;
    await site.clicker.open(site.url);
    await site.clicker.press('Sync now');
    await until('the folder is clean', async () => stagingFolders(site.folder).length === 0);
    assert.equal(
      (await readdir(site.folder)).sort(),
      [...new Set([...(await site.project.files()).keys()].map((path) => path.split('/')[0]))].sort(),
    );
  } finally {
    await daemon.stop();
    await made.gitlab.stop();
    await rm(dir, { recursive: true, force: true });
  }
});

test.run();
