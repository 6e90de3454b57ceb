import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../support/until.ts';
import type { Harbour } from '../support/daemon.ts';
import type { Project } from '../support/gitlab/server.ts';
import { filesOf, sameFiles } from '../support/moored.ts';
import { snapshot } from '../support/snapshot.ts';
import * as way from './way.ts';

/** The same way as in click-through.test.ts, with JavaScript off: dialogs are pages, and a page is loaded to see news. */
const test = suite('the click-through without script');

let world: Harbour;
let browser: Browser;
let page: Page;
let folder: string;
let project: Project;

test.before(async () => {
  ({ world, project, folder, browser, page } = await way.start({ javaScriptEnabled: false }));
});

test.after(async () => {
  await browser?.close();
  await world?.close();
});

const step = way.inSteps(test, () => ({ page, world }));

step('set up, configure, test, add a site, authorise', async () => {
  await way.setUp(page, world);
  await way.configure(page, world);
  const lines = await way.testConnection(page);
  assert.not.ok(
    lines.some((line) => line.includes('failed')),
    lines.join('\n'),
  );
  // A button that only script could serve would be a lie.
  assert.is(await page.getByRole('button', { name: 'Copy Redirect URI' }).count(), 0);
  await way.addSite(page, 'Harbour', folder);
  await way.authorise(page);
});

step('the picker searches, keeps the words, and goes on to the branch', async () => {
  await way.searchFor(page, 'nothing like this');
  await page.getByRole('heading', { name: /No repository matches/ }).waitFor();
  await page.getByRole('link', { name: 'Refresh' }).first().click();
  assert.is(await page.getByRole('searchbox', { name: 'Search repositories' }).inputValue(), 'nothing like this');
  await way.searchFor(page, 'website');
  await page.getByRole('radio', { name: /harbour\/website/ }).check();
  await page.getByRole('button', { name: 'Choose branch' }).click();
  assert.is(await page.getByLabel('Branch of harbour/website').inputValue(), 'main');
});

step('the warning is a page with the real numbers, and Cancel leaves everything as it was', async () => {
  const before = await snapshot(folder);
  const head = await project.head();
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByRole('heading', { name: 'Replace the files of Harbour?' }).waitFor();
  assert.is(await page.getByRole('dialog').count(), 0);
  assert.equal(await way.tally(page), way.truth(way.folderBefore, await project.files()));
  await way.shot(page, 'no-script-warning');
  await page.getByRole('link', { name: 'Cancel' }).click();
  await page.getByRole('heading', { name: 'Choose a repository' }).waitFor();
  assert.equal(await snapshot(folder), before);
  assert.is(await project.head(), head);
});

step('a commit between the page and the click brings the page back with new numbers', async () => {
  await way.searchFor(page, 'website');
  await page.getByRole('radio', { name: /harbour\/website/ }).check();
  await page.getByRole('button', { name: 'Choose branch' }).click();
  await page.getByRole('button', { name: 'Continue' }).click();
  const shown = await way.tally(page);
  const before = await snapshot(folder);
  await project.push('main', { 'new-while-reading.md': 'Pushed while somebody was reading.\n' });
  await page.getByRole('button', { name: 'Connect Self Hosted GitLab' }).click();
  await page.getByText('Something changed since you looked.').waitFor();
  assert.is((await way.tally(page))['added'], (shown['added'] ?? 0) + 1);
  assert.equal(await snapshot(folder), before);
});

step('connected: the folder is the branch, and what is not ours stays', async () => {
  await page.getByRole('button', { name: 'Connect Self Hosted GitLab' }).click();
  await page.getByText('Harbour is connected.').waitFor();
  await page.getByRole('heading', { name: 'Sync', exact: true }).waitFor();
  await page.getByRole('heading', { name: 'GitLab', exact: true }).waitFor();
  const inFolder = await filesOf(folder);
  for (const name of way.untouchedNames) {
    assert.is(inFolder.get(name)?.toString(), way.folderBefore[name]?.text);
    inFolder.delete(name);
  }
  assert.ok(sameFiles(inFolder, await project.files()), [...inFolder.keys()].join(' '));
});

step('edits go out, commits on GitLab come in, Sync now syncs now', async () => {
  await writeFile(join(folder, 'about.md'), 'Edited in the folder.\n');
  await until('the edit is on the branch', async () =>
    (await project.files()).get('about.md')?.toString().startsWith('Edited in the folder'),
  );
  const signIn = await page.context().newPage();
  await signIn.goto(`${project.webUrl}?edit=about.md`);
  await signIn.getByLabel('Content').fill('Edited on GitLab.\n');
  await signIn.getByRole('button', { name: 'Commit changes' }).click();
  await until('the commit is in the folder', async () =>
    (await readFile(join(folder, 'about.md'), 'utf8')).includes('Edited on GitLab.'),
  );
  await signIn.close();
  world.gitlab.settings.allowLocalWebhooks = false;
  await project.push('main', { 'asked-for.md': 'By a person.\n' });
  await page.getByRole('button', { name: 'Sync now' }).click();
  await page.getByText('Sync requested.').waitFor();
  await until('the push is in the folder', async () => (await filesOf(folder)).has('asked-for.md'));
  world.gitlab.settings.allowLocalWebhooks = true;
});

step('the whole folder comes back by way of a page', async () => {
  await page.getByRole('link', { name: 'Kept versions' }).click();
  await page.getByRole('link', { name: 'Before connecting' }).click();
  await page.getByRole('link', { name: 'Restore the whole folder' }).click();
  await page.getByRole('heading', { name: 'Restore the whole folder of Harbour?' }).waitFor();
  await page.getByRole('button', { name: 'Restore the whole folder' }).click();
  const wanted = new Map(Object.entries(way.folderBefore).map(([path, { text }]) => [path, Buffer.from(text)]));
  await until('the folder is as it was', async () => sameFiles(await filesOf(folder), wanted));
  for (const [path, { mode }] of Object.entries(way.folderBefore))
    assert.is((await stat(join(folder, path))).mode & 0o777, mode, `the mode of ${path}`);
});

step('Disconnect is a page, and all files stay', async () => {
  await page.getByRole('link', { name: 'Site Settings' }).click();
  await page.getByRole('link', { name: 'Disconnect' }).click();
  await page.getByRole('heading', { name: 'Disconnect Harbour from harbour/website?' }).waitFor();
  const before = await filesOf(folder);
  await page.getByRole('button', { name: 'Disconnect' }).click();
  await page.getByText('Disconnected from harbour/website.').waitFor();
  assert.ok(sameFiles(await filesOf(folder), before));
  assert.is(project.hooks.length, 0);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'Sign in to Mooring' }).waitFor();
});

test.run();
