import { mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Clicker, type Page, createClicker } from '../support/clicker.ts';
import { until } from '../support/until.ts';
import { type Harbour, freePort, harbour, inHarbourWithoutGitLab } from '../support/daemon.ts';
import {
  addSite,
  authorised,
  configured,
  connectTo,
  filesOf,
  makeFolder,
  mooredSite,
  sameFiles,
  signedIn,
} from '../support/moored.ts';
import { snapshot } from '../support/snapshot.ts';

/** Each thing a person can get wrong: the page says what happened, what was not touched and what to do; nothing is half-done. */
const test = suite('bad input');

let world: Harbour;
let me: Clicker;
let number = 0;

test.before(async () => {
  world = await harbour({ begin: 'account' });
  me = await signedIn(world);
});
test.after(async () => {
  if (process.exitCode) console.log(world?.output().slice(-4_000));
  await world?.close();
});

const instancePage = (): string => `${world.url}/account/gitlab`;
const form = (more: Record<string, string> = {}): Record<string, string> => ({
  'GitLab URL': world.gitlab.url,
  'Application ID (key)': world.application.applicationId,
  Secret: world.application.secret,
  ...more,
});
async function configure(more: Record<string, string> = {}): Promise<Page> {
  await me.open(instancePage());
  return me.press('Configure Self Hosted GitLab', form(more));
}
/** A fresh site that is connected to nothing; ends on its Source Syncing page. */
async function freshSite(files: Record<string, string> = { 'index.html': 'mine\n' }): Promise<string> {
  number += 1;
  const folder = await makeFolder(world.sites, `site-${number}`, { files });
  await addSite(world, me, `Site ${number}`, folder);
  assert.match(me.page.words, 'Source Syncing');
  return folder;
}
const says = (page: Page, words: string | RegExp): boolean =>
  typeof words === 'string' ? page.words.includes(words) : words.test(page.words);
/** A problem page has its four parts. */
function isProblem(page: Page, ...words: (string | RegExp)[]): void {
  for (const part of ['What happened', 'What was not touched', 'What to do', 'Technical cause', ...words])
    assert.match(page.words, part);
}

test('a wrong GitLab URL is told beside its field, with what was probably meant', async () => {
  const likely: [string, string | RegExp][] = [
    ['gitlab.example.org', 'Did you mean https://gitlab.example.org?'],
    ['ftp://gitlab.example.org', /begin with https|Only https/],
    [`${world.gitlab.url}/users/sign_in`, `Did you mean ${world.gitlab.url}?`],
    [`${world.gitlab.url}/harbour/website`, `Did you mean ${world.gitlab.url}?`],
    [`${world.gitlab.url}/harbour/website/-/tree/main`, `Did you mean ${world.gitlab.url}?`],
    ['http://ana:geheim@gitlab.example.org', 'must not contain a user name or password'],
    ['http://169.254.169.254', 'never called'],
    ['https://git lab', 'no spaces'],
  ];
  for (const [typed, words] of likely) {
    const page = await configure({ 'GitLab URL': typed });
    assert.is(page.status, 422, typed);
    assert.ok(says(page, words), `${typed}: ${page.words}`);
    assert.match(page.words, 'Not configured');
    assert.not.match(page.html, world.application.secret);
  }
});

test('a secret with a space, inside or in front, is refused and not cut', async () => {
  for (const secret of [` ${world.application.secret}`, 'glo as', 'gloas\tx', `${world.application.secret} `]) {
    const page = await configure({ Secret: secret });
    assert.is(page.status, 422, JSON.stringify(secret));
    assert.match(page.words, 'The Secret contains a space or a line break.');
    assert.match(page.words, 'Not configured');
  }
});

test('Connect without an instance leads to its settings', async () => {
  await freshSite();
  const page = await me.press('Connect');
  assert.is(page.heading, 'Self Hosted GitLab');
});

test('an unreachable host: Test connection says so and Connect says it before anything is lost', async () => {
  const port = await freePort();
  await configure({ 'GitLab URL': `http://127.0.0.1:${port}` });
  const tested = await me.press('Test connection');
  assert.match(tested.words, 'failed');
  const other = await configure({ 'GitLab URL': 'http://no-such-host.invalid' });
  assert.match(other.words, 'is configured');
  assert.match((await me.press('Test connection')).words, 'failed');
});

test('something that is not GitLab: Test connection says that it answers otherwise', async () => {
  const server = createServer((_, response) => response.end('<h1>A printer</h1>'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = server.address() as { port: number };
    await configure({ 'GitLab URL': `http://127.0.0.1:${port}` });
    assert.match((await me.press('Test connection')).words, 'failed');
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test('a wrong application id: GitLab’s own page is met, and Test connection names the line', async () => {
  await configure({ 'Application ID (key)': 'f'.repeat(64) });
  assert.match((await me.press('Test connection')).words, 'failed');
  await freshSite();
  const page = await authorised(world, me);
  assert.match(page.words, 'unknown client');
  assert.ok(page.url.startsWith(world.gitlab.url));
});

test('a wrong secret: the way back says that GitLab does not know the application', async () => {
  await configure({ Secret: 'gloas-not-this-one' });
  const folder = await freshSite();
  const before = await snapshot(folder);
  const page = await authorised(world, me);
  assert.is(page.heading, 'GitLab does not know this application');
  isProblem(page, 'No file and no repository was changed.', 'Account Settings / Self Hosted GitLab');
  assert.equal(await snapshot(folder), before);
});

test('a redirect URI that GitLab does not know: GitLab answers a page, and Test connection says what to register', async () => {
  const other = world.gitlab.applications.add({
    ...{ name: 'Other', redirectUris: ['http://127.0.0.1:1/another/callback'], scopes: ['api'], confidential: true },
  });
  await configure({ 'Application ID (key)': other.applicationId, Secret: other.secret });
  const tested = await me.press('Test connection');
  assert.match(tested.words, `${world.url}/oauth/callback`);
  await freshSite();
  const page = await authorised(world, me);
  assert.match(page.words, /redirect uri/i, page.words);
  // The site's page before pressing Connect says which address has to be there, or the settings do.
  assert.match((await me.open(instancePage())).words, `${world.url}/oauth/callback`);
});

test('authorisation denied: nothing is connected, Connect can be pressed again', async () => {
  assert.match((await configure()).words, 'is configured');
  const folder = await freshSite();
  const before = await snapshot(folder);
  const settings = me.page.url;
  await me.press('Connect');
  const page = await me.press('Deny');
  assert.is(page.heading, 'Authorisation was denied');
  isProblem(page, 'Select Connect again');
  assert.match((await me.open(settings)).words, 'Authentication required');
  assert.equal(await snapshot(folder), before);
});

test('a callback with wrong, missing or used state is refused and connects nobody', async () => {
  await freshSite();
  const settings = me.page.url;
  for (const query of ['', 'code=abc', `code=abc&state=${'x'.repeat(43)}`, 'error=access_denied']) {
    const page = await me.open(`${world.url}/oauth/callback?${query}`);
    assert.is(page.heading, 'This sign-in link has expired or was started in another browser');
    isProblem(page, 'No connection was added or changed.');
  }
  assert.match((await me.open(settings)).words, 'Authentication required');
  // The question of one browser, answered in another.
  const sent = me.request('Connect');
  const response = await fetch(sent.url, {
    ...{ method: 'POST', body: sent.fields, redirect: 'manual' },
    headers: { cookie: me.cookies(sent.url), 'sec-fetch-site': 'same-origin' },
  });
  const state = new URL(response.headers.get('location') ?? '').searchParams.get('state') ?? '';
  assert.ok(state.length > 20);
  const other = await signedIn(world);
  assert.is(
    (await other.open(`${world.url}/oauth/callback?code=abc&state=${state}`)).heading,
    'This sign-in link has expired or was started in another browser',
  );
  // And used up by that: not good for the right browser either.
  assert.is(
    (await me.open(`${world.url}/oauth/callback?code=abc&state=${state}`)).heading,
    'This sign-in link has expired or was started in another browser',
  );
});

test('folders that cannot be a site are refused beside the field', async () => {
  const { sites, stateDir, dir } = world;
  await mkdir(join(dir, 'elsewhere'));
  await mkdir(join(sites, 'real'));
  await symlink(join(sites, 'real'), join(sites, 'a-link'));
  await writeFile(join(sites, 'a-file'), '');
  const refused: [string, string | RegExp][] = [
    [join(dir, 'elsewhere'), 'is not below'],
    [`${sites}/../elsewhere`, 'is not below'],
    ['/etc', 'is not below'],
    [stateDir, /state directory|may not list|refuses/],
    [join(sites, 'a-link'), 'symbolic link'],
    [join(sites, 'a-file'), 'exists but is not a folder'],
    [join(sites, 'missing'), 'does not exist'],
    ['relative/folder', 'beginning with /'],
    [join(sites, 'site-1'), 'Site 1'],
    [join(sites, 'site-1', 'below'), /Site 1|does not exist/],
  ];
  for (const [path, words] of refused) {
    const page = await addSite(world, me, 'Refused', path);
    assert.is(page.status, 422, path);
    assert.ok(says(page, words), `${path}: ${page.words}`);
  }
  assert.not.match((await me.open(`${world.url}/`)).words, 'Refused');
  const outside = await addSite(world, me, 'Refused', '/etc');
  assert.match(outside.words, 'MOORING_SITES', 'the setting is called by its name');
});

test('an empty repository can be started from the folder by a Maintainer', async () => {
  const folder = await freshSite({ 'index.html': 'the first\n', 'css/a.css': 'a {}\n' });
  // The folder's own times change: a name is written into it and removed, to see whether it can be watched.
  const filesIn = async () => ({ ...(await snapshot(folder)), '.': '' });
  const before = await filesIn();
  const page = await connectTo(world, me, { project: world.world.empty });
  assert.match(page.heading, /Push the files of Site/);
  assert.match(page.words, 'No file in the folder changes.');
  await me.press('Connect Self Hosted GitLab');
  assert.match(me.page.words, 'is connected');
  assert.equal(await filesIn(), before);
  assert.ok(sameFiles(await filesOf(folder), await world.world.empty.files()));
});

test('an empty repository is a disabled row for a Developer, who is refused a first push', async () => {
  const { gitlab } = world;
  const mara = gitlab.users.add({ username: 'mara', name: 'Mara', email: 'm@x.example', password: 'practice-gitlab' });
  const bare = await gitlab.projects.create({ path: 'harbour/bare', owner: 'ana' });
  const yacht = await gitlab.projects.create({ path: 'harbour/yacht', owner: 'ana', files: { 'a.txt': 'a\n' } });
  gitlab.projects.addMember(bare, mara, 30);
  gitlab.projects.addMember(yacht, mara, 30);
  await inHarbourWithoutGitLab(async (other) => {
    const { gitlab: hers } = other;
    const user = hers.users.add({ username: 'mara', name: 'Mara', email: 'm@x.example', password: 'practice-gitlab' });
    const empty = await hers.projects.create({ path: 'harbour/bare', owner: 'ana' });
    const full = await hers.projects.create({ path: 'harbour/yacht', owner: 'ana', files: { 'a.txt': 'a\n' } });
    hers.projects.addMember(empty, user, 30);
    hers.projects.addMember(full, user, 30);
    const clicker = await signedIn(other);
    await configured(other, clicker);
    const folder = await makeFolder(other.sites, 'hers', { files: { 'index.html': 'hers\n' } });
    const before = await snapshot(folder);
    await addSite(other, clicker, 'Hers', folder);
    const page = await authorised(other, clicker, 'mara');
    const id = /\/sites\/([^/]+)\//.exec(page.url)?.[1] ?? '';
    assert.match(page.words, 'Empty, and you are Developer: GitLab lets only a Maintainer make the first push.');
    assert.throws(() => clicker.request('Choose branch', { 'harbour/bare': true }), /disabled/);
    // Somebody who writes the address by hand gets no further.
    const forced = await clicker.open(
      `${other.url}/sites/${id}/confirm?project=${empty.id}&branch=main&direction=start-from-folder`,
    );
    assert.match(forced.words, /empty/i);
    assert.not.match(forced.words, 'Connect Self Hosted GitLab');
    // The default branch is protected for her too: it cannot be chosen, a branch of her own can.
    await clicker.open(`${other.url}/sites/${id}/repository?project=${full.id}`);
    assert.match(clicker.page.html, /<option value="main" disabled>/);
    await clicker.press('Continue', { 'Or a new branch from main': 'mara/site' });
    await clicker.press('Connect Self Hosted GitLab');
    assert.match(clicker.page.words, 'is connected');
    await writeFile(join(folder, 'b.txt'), 'b\n');
    await until('her edit is on her branch', async () =>
      (await full.files('mara/site').catch(() => new Map())).has('b.txt'),
    );
    assert.ok(before);
  });
});

test('a repository without push right is a disabled row, and its address by hand is refused', async () => {
  const folder = await freshSite();
  const before = await snapshot(folder);
  const page = await authorised(world, me);
  assert.match(page.words, 'You cannot push: your role is Reporter');
  const id = /\/sites\/([^/]+)\//.exec(page.url)?.[1] ?? '';
  const { reported, archived, hidden } = world.world;
  for (const project of [reported, archived, hidden]) {
    const forced = await me.open(`${world.url}/sites/${id}/confirm?project=${project.id}&branch=main`);
    assert.ok(forced.status >= 400, project.path);
    assert.not.match(forced.words, 'Connect Self Hosted GitLab');
  }
  assert.equal(await snapshot(folder), before);
});

test('a double click on Connect Self Hosted GitLab connects once', async () => {
  const project = await world.gitlab.projects.create({
    path: 'harbour/twice',
    owner: 'ana',
    files: { 'a.txt': 'a\n' },
  });
  const folder = await freshSite({ 'a.txt': 'mine\n' });
  await connectTo(world, me, { project });
  const sent = me.request('Connect Self Hosted GitLab');
  const post = (): Promise<string> =>
    fetch(sent.url, {
      ...{ method: 'POST', body: sent.fields },
      headers: { cookie: me.cookies(sent.url), 'sec-fetch-site': 'same-origin' },
    }).then((response) => response.text());
  const pages = await Promise.all([post(), post()]);
  // The second click waits for what the first began; the notice is shown once.
  const titles = pages.map((html) => /<title>([^<·]*)/.exec(html)?.[1]?.trim() ?? html);
  assert.equal(titles, ['Source Syncing', 'Source Syncing']);
  assert.is(pages.filter((html) => html.includes('is connected')).length, 1);
  assert.is(await readFile(join(folder, 'a.txt'), 'utf8'), 'a\n');
  assert.is(project.hooks.length, 1);
});

test('two browsers confirming: one connects, the other is told', async () => {
  const project = await world.gitlab.projects.create({ path: 'harbour/both', owner: 'ana', files: { 'a.txt': 'a\n' } });
  const folder = await freshSite({ 'a.txt': 'mine\n' });
  const settings = me.page.url;
  await connectTo(world, me, { project });
  const other = await signedIn(world);
  await other.open(settings);
  await connectTo(world, other, { project });
  await Promise.all([me.press('Connect Self Hosted GitLab'), other.press('Connect Self Hosted GitLab')]);
  const headings = [me, other].map(({ page }) =>
    page.words.includes('is already connected')
      ? 'already'
      : page.words.includes('is connected')
        ? 'connected'
        : page.words,
  );
  assert.equal(headings.sort(), ['already', 'connected'], headings.join('\n'));
  assert.is(await readFile(join(folder, 'a.txt'), 'utf8'), 'a\n');
});

test('a folder that holds .git: its .git stays byte for byte, and the site syncs', async () => {
  const project = await world.gitlab.projects.create({
    path: 'harbour/nested',
    owner: 'ana',
    files: { 'a.txt': 'a\n' },
  });
  const folder = await freshSite({
    ...{ 'a.txt': 'mine\n', '.git/HEAD': 'ref: refs/heads/main\n', '.git/config': '[core]\n\tbare = false\n' },
    'lib/.git/HEAD': 'ref: refs/heads/x\n',
  });
  const inside = await snapshot(join(folder, '.git'));
  const nested = await snapshot(join(folder, 'lib/.git'));
  const page = await connectTo(world, me, { project });
  assert.match(page.words, '.git');
  await me.press('Connect Self Hosted GitLab');
  await until('the folder follows', async () => (await readFile(join(folder, 'a.txt'), 'utf8')) === 'a\n');
  await writeFile(join(folder, 'b.txt'), 'b\n');
  await until('an edit arrives', async () => (await project.files()).has('b.txt'));
  assert.equal(await snapshot(join(folder, '.git')), inside);
  assert.equal(await snapshot(join(folder, 'lib/.git')), nested);
  assert.not.ok([...(await project.files()).keys()].some((path) => path.includes('.git/')));
});

test('what the repository ignores is not the first connect’s to remove', async () => {
  const project = await world.gitlab.projects.create({
    ...{ path: 'harbour/ignoring', owner: 'ana' },
    files: { '.gitignore': 'uploads/\n*.log\n', 'a.txt': 'a\n' },
  });
  const folder = await freshSite({ 'uploads/photo.txt': 'of a visitor\n', 'today.log': 'line\n', 'a.txt': 'mine\n' });
  await connectTo(world, me, { project });
  await me.press('Connect Self Hosted GitLab');
  await until('the folder follows', async () => (await readFile(join(folder, 'a.txt'), 'utf8')) === 'a\n');
  assert.is(await readFile(join(folder, 'uploads/photo.txt'), 'utf8'), 'of a visitor\n');
  assert.is(await readFile(join(folder, 'today.log'), 'utf8'), 'line\n');
});

test('a folder that vanishes is waited for, nothing is removed from the branch, and it goes on when it is back', async () => {
  const project = await world.gitlab.projects.create({
    path: 'harbour/gone',
    owner: 'ana',
    files: { 'a.txt': 'a\n', 'b.txt': 'b\n' },
  });
  const site = await mooredSite(world, { name: 'Vanishing', project, clicker: me });
  await site.settled();
  const head = await project.head();
  // The page is opened first: once Mooring itself has noticed the hold, the button is gone.
  await me.open(site.url);
  await rename(site.folder, `${site.folder}-away`);
  await me.press('Sync now');
  await site.reaches('On hold');
  const page = await me.open(`${site.url}/hold`);
  assert.match(page.words, 'The site’s folder is missing');
  assert.match(page.words, 'does not treat this as a deletion');
  assert.is(await project.head(), head);
  await rename(`${site.folder}-away`, site.folder);
  await site.settled();
  assert.is(await project.head(), head);
});

test('a folder emptied at once is on hold, and put back by a click', async () => {
  const project = await world.gitlab.projects.create({
    path: 'harbour/emptied',
    owner: 'ana',
    files: { 'a.txt': 'a\n', 'b.txt': 'b\n', 'c.txt': 'c\n' },
  });
  const site = await mooredSite(world, { name: 'Emptied', project, clicker: me });
  await site.settled();
  const head = await project.head();
  for (const name of ['a.txt', 'b.txt', 'c.txt']) await rm(join(site.folder, name));
  await site.reaches('On hold');
  assert.is(await project.head(), head);
  await me.open(`${site.url}/hold`);
  assert.match(me.page.words, 'The folder is empty');
});

test('files and a folder that Mooring may not write are named, and nothing in them changes', async () => {
  if (process.getuid?.() !== 0) {
    console.log('not run here: a daemon of another user needs root to start it');
    return;
  }
  const uid = 12_345;
  const { chown, chmod } = await import('node:fs/promises');
  const given = await harbour({ started: false, as: { uid, gid: uid } });
  try {
    await chown(given.stateDir, uid, uid);
    await chown(given.sites, uid, uid);
    await given.start();
    const clicker = await signedIn(given);
    const folder = await makeFolder(given.sites, 'theirs', { files: { 'a.txt': 'a\n' } });
    const refused = await addSite(given, clicker, 'Theirs', folder);
    assert.is(refused.status, 422);
    assert.match(refused.words, 'denied writing to');
    // The folder is ours now, one of its folders is still another's.
    await chown(folder, uid, uid);
    await mkdir(join(folder, 'content'));
    await writeFile(join(folder, 'content/posts'), '');
    await rm(join(folder, 'content/posts'));
    await writeFile(join(folder, 'secret-of-root.txt'), 'only root reads this\n', { mode: 0o600 });
    await chmod(join(folder, 'content'), 0o755);
    const kept = await snapshot(join(folder, 'content'));
    const site = await mooredSite(given, { name: 'Theirs', files: {}, clicker });
    const page = await site.reaches('In sync');
    assert.match(page.words, 'Mooring has no permission to write it');
    assert.match(page.words, 'secret-of-root.txt');
    assert.is(await readFile(join(folder, 'index.html'), 'utf8').then((text) => text.length > 0), true);
    assert.equal(await snapshot(join(folder, 'content')), kept);
    assert.is(await readFile(join(folder, 'secret-of-root.txt'), 'utf8'), 'only root reads this\n');
    const files = await given.world.website.files();
    assert.ok(
      files.has('content/posts/2026-02-new-crane.md'),
      'what could not be written is not removed from the branch',
    );
    assert.not.ok(files.has('secret-of-root.txt'));
    await site.write('b.txt', 'b\n');
    await until('the rest goes on', async () => (await given.world.website.files()).has('b.txt'));
  } finally {
    await given.close();
  }
});

test('a root that is a link, and one inside which a link leads out, give no site outside', async () => {
  const given = await harbour({ started: false });
  try {
    await rename(given.sites, `${given.sites}-real`);
    await symlink(`${given.sites}-real`, given.sites);
    await given.start();
    const clicker = await signedIn(given);
    const folder = join(given.sites, 'site');
    await mkdir(folder);
    const page = await addSite(given, clicker, 'Through a link', folder);
    // Either it is refused in words, or the site lies at the real place: never two names for one folder.
    if (page.status === 422) assert.match(page.words, /link|outside/);
    else assert.match(page.words, `${given.sites}-real/site`);
  } finally {
    await given.close();
  }
});

test('a store that is not ours: the daemon says so and ends, and changes nothing', async () => {
  const cases: [string, string, RegExp][] = [
    ['state.json', 'this is no store', /damaged|cannot be read|key is missing/],
    ['other.json', '{}', /no store|state is missing/],
    ['secret.key', 'x'.repeat(44), /missing|key/],
  ];
  for (const [name, content, words] of cases) {
    const given = await harbour({ started: false, begin: 'nothing' });
    try {
      await writeFile(join(given.stateDir, name), content, { mode: 0o600 });
      const error = await given.start().then(
        () => undefined,
        (reason: unknown) => reason,
      );
      assert.ok(error, `${name}: it does not start`);
      assert.match(given.output(), words, given.output());
      assert.match(given.output(), 'Not touched:');
      assert.match(given.output(), 'To do:');
      assert.is(await readFile(join(given.stateDir, name), 'utf8'), content);
      assert.not.match(given.output(), '    at ');
    } finally {
      await given.close();
    }
  }
});

test('a new password from the environment that is too short: the daemon names the variable, ends, makes no account', async () => {
  const given = await harbour({ started: false, begin: 'nothing', env: { MOORING_ADMIN_PASSWORD: 'eleven-char' } });
  try {
    await given.start().catch(() => undefined);
    assert.match(given.output(), 'MOORING_ADMIN_PASSWORD_FILE: Choose a password of at least 12 characters.');
    assert.not.match(given.output(), 'eleven-char');
    assert.not.match(given.output(), '    at ');
    const accounts = await readFile(join(given.stateDir, 'accounts.json'), 'utf8');
    assert.match(accounts, '"accounts":[]');
  } finally {
    await given.close();
  }
});

test('a port in use, and a state directory in use: the second one says so and ends', async () => {
  const given = await harbour({ started: false, begin: 'nothing', env: { MOORING_PORT: String(world.port) } });
  try {
    await given.start().catch(() => undefined);
    await until('the message', () => given.output().includes('The port is in use'));
    assert.match(given.output(), `port ${world.port}`);
    assert.match(given.output(), 'MOORING_PORT');
  } finally {
    await given.close();
  }
  const second = await harbour({ started: false, begin: 'nothing', env: { MOORING_STATE: world.stateDir } });
  try {
    await second.start().catch(() => undefined);
    assert.match(second.output(), 'This state directory is in use');
  } finally {
    await second.close();
  }
  assert.is((await createClicker().open(`${world.url}/healthz`)).status, 200);
});

test.run();
