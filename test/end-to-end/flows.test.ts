import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { launchBrowser } from '../support/browser.ts';
import { patienceMs, until } from '../support/until.ts';
import { type Harbour, harbour } from '../support/daemon.ts';
import { examplePassword } from '../support/gitlab/example.ts';
import { type MooredSite, filesOf, mooredSite } from '../support/moored.ts';

/** What an admin does with a site that is connected, in a browser, by what is written on the pages. In order. */
const test = suite('an admin’s day in a browser');

let world: Harbour;
let site: MooredSite;
let browser: Browser;
let page: Page;

test.before(async () => {
  world = await harbour();
  site = await mooredSite(world, { name: 'Harbour' });
  browser = await launchBrowser();
  page = await browser.newPage();
  page.setDefaultTimeout(patienceMs);
  await page.goto(`${world.url}/sign-in`);
  await page.getByLabel('Name').fill(world.admin.name);
  await page.getByLabel('Password').fill(world.admin.password);
  await press('Sign in');
  await page.getByRole('heading', { name: 'Sites', exact: true }).waitFor();
});
test.after(async () => {
  if (process.exitCode)
    console.log(await page?.getByRole('main').innerText().catch(String), world?.output().slice(-3_000));
  await browser?.close();
  await world?.close();
});

const press = (name: string): Promise<void> => page.getByRole('button', { name, exact: true }).first().click();
const follow = (name: string): Promise<void> => page.getByRole('link', { name, exact: true }).first().click();
const reads = (text: string | RegExp): Promise<void> => page.getByRole('main').getByText(text).first().waitFor();
const inFolder = (path: string): Promise<string> => readFile(join(site.folder, path), 'utf8').catch(() => 'none');
const onBranch = async (path: string): Promise<string> =>
  (await site.project.files(site.branch)).get(path)?.toString() ?? 'none';

async function openSite(): Promise<void> {
  await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Sites' }).click();
  await follow('Harbour');
  await page.getByRole('heading', { name: 'Harbour', exact: true }).waitFor();
}

test('settings: a path that both sides change may wait for a person', async () => {
  await openSite();
  await page
    .getByRole('link', { name: /Settings/ })
    .last()
    .click();
  await page
    .getByRole('link', { name: /Safety|Conflicts and safety/ })
    .first()
    .click();
  await page.getByRole('radio', { name: /Each side keeps its own/ }).check();
  await page.getByRole('button', { name: /Save/ }).first().click();
  await page.getByRole('radio', { name: /Each side keeps its own/, checked: true }).waitFor();
});

test('pause, a conflict that waits, and the choice that ends it', async () => {
  await openSite();
  await press('Pause');
  await page.getByRole('button', { name: 'Resume' }).waitFor();
  await site.write('about.md', 'written in the folder\n');
  await site.project.push('main', { 'about.md': 'written on GitLab\n' });
  await world.gitlab.quiet();
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  await press('Resume');
  // The page is open and tells it by itself.
  await reads('1 conflict.');
  assert.equal(
    [await inFolder('about.md'), await onBranch('about.md')],
    ['written in the folder\n', 'written on GitLab\n'],
  );
  await follow('Compare and choose');
  await reads('each side’s own');
  await page.getByRole('link', { name: 'Compare about.md' }).click();
  await reads('in the folder');
  await press('Use the repository’s');
  await reads('The repository’s version of about.md is used');
  await until('the choice is in the folder', async () => (await inFolder('about.md')) === 'written on GitLab\n');
  await site.settled();
});

test('a token for a program is made, works, and is refused once it is removed', async () => {
  await page.getByRole('link', { name: 'Account Settings' }).click();
  await follow('API tokens');
  await page.getByLabel('Name').fill('newsroom CMS');
  await page.getByRole('radio', { name: /^Read and sync/ }).check();
  await press('Create token');
  await reads('Token newsroom CMS created');
  const token = (await page.getByText(/^mooring_/).innerText()).trim();
  const call = (path: string, method = 'GET'): Promise<Response> =>
    fetch(`${world.url}/api/v1${path}`, { method, headers: { Authorization: `Bearer ${token}` } });
  const { sites } = (await (await call('/sites')).json()) as { sites: { id: string; name: string; state: string }[] };
  assert.equal(
    sites.map(({ name }) => name),
    ['Harbour'],
  );
  assert.is((await call(`/sites/${site.id}/sync`, 'POST')).status, 202);
  await follow('API tokens');
  assert.is(await page.getByText(token).count(), 0, 'the token is shown a second time');
  await page.getByRole('link', { name: 'Remove newsroom CMS' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove token' }).click();
  await reads('The token newsroom CMS is removed');
  assert.is((await call('/sites')).status, 401);
});

test('the grant is revoked in GitLab: edits wait, Reconnect goes to GitLab and back, and they are pushed', async () => {
  const sent = world.gitlab.requests.findLast(({ headers }) => headers.authorization?.startsWith('Bearer '));
  world.gitlab.revokeToken(sent?.headers.authorization?.slice('Bearer '.length) ?? '');
  await site.write('waits.md', 'until somebody reconnects\n');
  await openSite();
  await follow('See why and decide');
  await press('Reconnect');
  await page.getByLabel('Username or primary email').fill('ana');
  await page.getByLabel('Password').fill(examplePassword);
  await press('Sign in');
  if (await page.getByRole('button', { name: 'Authorize Mooring' }).isVisible()) await press('Authorize Mooring');
  await reads('Connected to GitLab again');
  await until('the edit is on GitLab', async () => (await onBranch('waits.md')) !== 'none');
});

test('Disconnect works while GitLab is away, and says what is left to do there', async () => {
  const before = await filesOf(site.folder);
  await world.gitlab.stop();
  await openSite();
  await page.goto(`${site.url}/settings/syncing`);
  await follow('Disconnect');
  await page.getByRole('dialog').getByRole('button', { name: 'Disconnect' }).click();
  await reads('Mooring could not revoke the connection at GitLab.');
  await reads(/The webhook \d+ of harbour\/website is still there/);
  await page.getByRole('button', { name: 'Connect', exact: true }).waitFor();
  const after = await filesOf(site.folder);
  assert.equal([...after.keys()].sort(), [...before.keys()].sort());
});

test.run();
