import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../support/until.ts';
import type { Harbour } from '../support/daemon.ts';
import type { Project } from '../support/gitlab/server.ts';
import { filesOf, makeFolder, sameFiles } from '../support/moored.ts';
import { snapshot } from '../support/snapshot.ts';
import * as way from './way.ts';

/** One long way through, in order: each test begins where the one before ended. */
const test = suite('the click-through in a browser');

let world: Harbour;
let browser: Browser;
let page: Page;
let site: Page;
let folder: string;
let project: Project;
/** What the browser itself found wrong: errors of script, refused by our own policy. */
const complaints: string[] = [];

test.before(async () => {
  ({ world, project, folder, browser, page } = await way.start({ javaScriptEnabled: true }));
  // One file that both sides have already.
  await writeFile(join(folder, 'about.md'), (await project.files()).get('about.md') ?? '');
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    const ours = message.location().url.startsWith(world.url);
    if (message.type() === 'error' && ours) complaints.push(`${message.text()} ${message.location().url}`);
  });
});

test.after(async () => {
  await browser?.close();
  await world?.close();
});

const step = way.inSteps(test, () => ({ page, world }));

step('the set-up code from the console makes the first account', async () => {
  await way.setUp(page, world);
  // Off a terminal the output has one form: every line is JSON.
  for (const line of world.output().trim().split('\n')) JSON.parse(line);
  await way.shot(page, 'dashboard-empty');
});

step('the instance is configured once, and every line of Test connection passes', async () => {
  await way.configure(page, world);
  const lines = await way.testConnection(page);
  assert.ok(lines.length >= 4, lines.join('\n'));
  await way.shot(page, 'instance-tested');
  assert.not.ok(
    lines.some((line) => line.includes('failed')),
    lines.join('\n'),
  );
});

step('a site is a name and a folder', async () => {
  await way.addSite(page, 'Harbour', folder);
  await way.shot(page, 'syncing-not-connected');
});

step('Connect leads to GitLab and back to the picker', async () => {
  await way.authorise(page);
  await way.shot(page, 'picker');
  assert.ok(await page.getByRole('radio', { name: /old-timetable/ }).isDisabled());
  assert.ok(await page.getByRole('radio', { name: /annual-report/ }).isDisabled());
  assert.is(await page.getByRole('radio', { name: /lena/ }).count(), 0);
});

step('the picker searches on the server and brings the branches of what is chosen', async () => {
  await way.searchFor(page, 'nothing like this');
  await page.getByRole('heading', { name: /No repository matches/ }).waitFor();
  await way.searchFor(page, 'website');
  await page.getByRole('radio', { name: /harbour\/website/ }).check();
  await page.getByLabel('Branch of harbour/website').waitFor();
  assert.is(await page.getByLabel('Branch of harbour/website').inputValue(), 'main');
  await way.shot(page, 'picker-chosen');
});

step('the warning has the real numbers, and closing it leaves every byte, time, mode and inode', async () => {
  const before = await snapshot(folder);
  const head = await project.head();
  const repository = await project.files();
  const about = repository.get('about.md')?.toString() ?? '';
  const numbers = way.truth({ ...way.folderBefore, 'about.md': { text: about } }, repository);
  const dialog = page.getByRole('dialog', { name: 'Replace the files of Harbour?' });

  await page.getByRole('button', { name: 'Continue' }).click();
  await dialog.waitFor();
  assert.is(await dialog.evaluate((element) => element.tagName), 'DIALOG');
  assert.equal(await way.tally(page), numbers);
  assert.is(numbers['removed'], 3);
  await dialog.getByText('.env', { exact: true }).first().waitFor();
  await dialog.getByText('You can restore them with one click').waitFor();
  await dialog.getByText('notes/2025.txt').waitFor();
  await way.shot(page, 'warning');
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'hidden' });
  assert.equal(await snapshot(folder), before);

  await page.getByRole('button', { name: 'Continue' }).click();
  await dialog.getByRole('button', { name: 'Connect Self Hosted GitLab' }).waitFor();
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await dialog.waitFor({ state: 'hidden' });
  assert.equal(await snapshot(folder), before);
  assert.is(await project.head(), head);
});

step('an edit between the warning and the click brings the warning back with new numbers', async () => {
  const dialog = page.getByRole('dialog', { name: 'Replace the files of Harbour?' });
  await page.getByRole('button', { name: 'Continue' }).click();
  await dialog.getByRole('button', { name: 'Connect Self Hosted GitLab' }).waitFor();
  const shown = await way.tally(page);
  await writeFile(join(folder, 'notes/2026.txt'), 'Written while somebody was reading.\n');
  const before = await snapshot(folder);
  await dialog.getByRole('button', { name: 'Connect Self Hosted GitLab' }).click();
  await dialog.getByText('Something changed since you looked.').waitFor();
  assert.is((await way.tally(page))['removed'], (shown['removed'] ?? 0) + 1);
  assert.equal(await snapshot(folder), before);
  await rm(join(folder, 'notes/2026.txt'));
  await page.keyboard.press('Escape');
});

step('Connect Self Hosted GitLab connects: the folder is the branch, and what is not ours stays', async () => {
  const mine = await snapshot(folder);
  await page.getByRole('button', { name: 'Continue' }).click();
  const dialog = page.getByRole('dialog', { name: 'Replace the files of Harbour?' });
  await dialog.getByRole('button', { name: 'Connect Self Hosted GitLab' }).click();
  await page.getByText('Harbour is connected.').waitFor();
  await page.getByRole('region', { name: 'Sync' }).getByText('In sync').waitFor();
  const card = page.getByRole('region', { name: 'GitLab' });
  await card.getByRole('link', { name: 'harbour/website' }).waitFor();
  await card.getByText('Connected', { exact: true }).waitFor();
  await way.shot(page, 'connected');
  const inFolder = await filesOf(folder);
  for (const name of way.untouchedNames) inFolder.delete(name);
  assert.ok(sameFiles(inFolder, await project.files()), [...inFolder.keys()].join(' '));
  const now = await snapshot(folder);
  for (const name of [...way.untouchedNames, 'about.md']) assert.is(now[name], mine[name], name);
  assert.is((await stat(join(folder, 'index.html'))).mode & 0o777, 0o640, 'a replaced file keeps its mode');
  assert.is((await stat(join(folder, 'content/posts'))).mode & 0o777, 0o755);
  assert.is((await stat(join(folder, 'content/posts/2026-02-new-crane.md'))).mode & 0o777, 0o644);
});

/** Waits for the next commit after `before` and says what it changed, path to A, M, D or R. */
async function nextCommit(before: string | undefined): Promise<{ id: string; author: string; names: string[] }> {
  const files = await filesAt(before);
  const id = await until('a commit on the branch', async () => {
    const head = await project.head();
    return head !== before && head;
  });
  const [newest, older] = await project.log();
  assert.is(older?.id, before, 'one commit, on top of what was there');
  const after = await project.files();
  const names = [...new Set([...files.keys(), ...after.keys()])]
    .filter((path) => !same(files.get(path), after.get(path)))
    .map((path) => `${files.has(path) ? (after.has(path) ? '~' : '-') : '+'}${path}`)
    .sort();
  return { id, author: newest?.authorName ?? '', names };
}
let seen: { head: string | undefined; files: Map<string, Buffer> } | undefined;
async function filesAt(head: string | undefined): Promise<Map<string, Buffer>> {
  if (!seen || seen.head !== head) seen = { head, files: await project.files() };
  return seen.files;
}
const same = (a: Buffer | undefined, b: Buffer | undefined): boolean => (a && b ? a.equals(b) : a === b);

/** What `act` does in the folder arrives as one commit with these changes and no other. */
async function becomes(names: string[], act: () => Promise<void>): Promise<void> {
  const head = await project.head();
  await filesAt(head);
  await act();
  const commit = await nextCommit(head);
  assert.equal(commit.names, names);
  assert.is(commit.author, 'Ana Petrović');
}

step('an edit, a new file and a removal each arrive as a commit with nothing else in it', async () => {
  site = page;
  await becomes(['~about.md'], () => writeFile(join(folder, 'about.md'), '# About us\n\nEdited in the folder.\n'));
  await becomes(['+news/tide.md'], async () => {
    await makeFolder(world.sites, 'harbour', { files: { 'news/tide.md': '# High water at six\n' } });
  });
  await becomes(['-images/lighthouse.svg'], () => rm(join(folder, 'images/lighthouse.svg')));
  await becomes(['~css/site.css'], async () => {
    // As editors save: a new file renamed over the old one.
    await writeFile(join(folder, 'css/.site.css.swp'), 'body { color: navy; }\n');
    await rename(join(folder, 'css/.site.css.swp'), join(folder, 'css/site.css'));
  });
});

test('a rename is one commit', async () => {
  try {
    await becomes(['+news/tides.md', '-news/tide.md'], () =>
      rename(join(folder, 'news/tide.md'), join(folder, 'news/tides.md')),
    );
  } finally {
    await until('the rename is complete', async () => !(await project.files()).has('news/tide.md'));
  }
});

test('the commit of a new file says just that', async () => {
  await becomes(['+berths/list.md'], async () => {
    await makeFolder(world.sites, 'harbour', { files: { 'berths/list.md': '1 to 12\n' } });
  });
  assert.match((await project.log())[0]?.message ?? '', /^Add berths\/list\.md\n/);
});

step('“Commit changes” on GitLab’s page arrives by webhook, and the open page tells it without a reload', async () => {
  await site.getByRole('link', { name: 'Activity' }).last().click();
  await site.getByRole('heading', { name: 'Harbour', exact: true }).waitFor();
  await site.evaluate(() => void Object.assign(globalThis, { notReloaded: true }));
  await site.getByText('Live', { exact: true }).waitFor();
  const before = await filesOf(folder);

  const gitlab = await browser.newPage();
  await gitlab.goto(`${project.webUrl}?edit=about.md`);
  await gitlab.getByLabel('Username or primary email').fill('ana');
  await gitlab.getByLabel('Password').fill('practice-gitlab');
  await gitlab.getByRole('button', { name: 'Sign in' }).click();
  await gitlab.goto(`${project.webUrl}?edit=about.md`);
  await gitlab.getByLabel('Content').fill('# About us\n\nEdited on GitLab.\n');
  await gitlab.getByLabel('Commit message').fill('Say it better');
  await gitlab.getByRole('button', { name: 'Commit changes' }).click();
  await until('the change is in the folder', async () =>
    (await readFile(join(folder, 'about.md'), 'utf8')).includes('Edited on GitLab.'),
  );
  await gitlab.close();

  await site.getByText('Pulled 1 file').first().waitFor();
  await site.getByText('webhook', { exact: true }).first().waitFor();
  assert.ok(await site.evaluate(() => 'notReloaded' in globalThis));
  await way.shot(site, 'site-activity');
  const after = await filesOf(folder);
  const changed = [...after.keys()].filter((path) => !same(before.get(path), after.get(path)));
  assert.equal(changed, ['about.md']);
  await site.getByRole('link', { name: 'Site Settings' }).click();
  await site.getByText('Working, last delivery').waitFor();
});

step('with webhooks off a push arrives within the poll interval', async () => {
  world.gitlab.settings.allowLocalWebhooks = false;
  await project.push('main', { 'content/posts/by-poll.md': 'Found by asking.\n' });
  await world.gitlab.quiet();
  const arrived = async (): Promise<boolean> => (await filesOf(folder)).has('content/posts/by-poll.md');
  assert.not.ok(await arrived());
  // While a webhook works the branch is polled every ten minutes; a new schedule begins with its next minute.
  await site.getByRole('link', { name: 'Schedule', exact: true }).click();
  await site.getByLabel('When to check').fill('*/1 * * * *');
  await site.getByRole('button', { name: 'Save', exact: true }).click();
  // A minute, the jitter that spreads many sites, and the sync itself.
  await until('the push is in the folder', arrived);
  world.gitlab.settings.allowLocalWebhooks = true;
});

test('the whole folder as it was before connecting comes back with one click, modes and all', async () => {
  await site.getByRole('link', { name: 'Kept versions' }).click();
  await way.shot(site, 'kept');
  await site.getByRole('link', { name: 'Before connecting' }).click();
  await site.getByRole('link', { name: 'Restore the whole folder' }).click();
  const dialog = site.getByRole('dialog', { name: 'Restore the whole folder of Harbour?' });
  await dialog.waitFor();
  await way.shot(site, 'restore');
  await dialog.getByRole('button', { name: 'Restore the whole folder' }).click();
  await site.getByText('The folder is being restored.').waitFor();
  const about = (await project.log()).at(-1);
  assert.ok(about);
  const wanted = new Map(Object.entries(way.folderBefore).map(([path, { text }]) => [path, Buffer.from(text)]));
  await until('the folder is as it was', async () => {
    const now = await filesOf(folder);
    now.delete('about.md');
    return sameFiles(now, wanted);
  });
  for (const [path, { mode }] of Object.entries(way.folderBefore))
    assert.is((await stat(join(folder, path))).mode & 0o777, mode, `the mode of ${path}`);
  for (const name of way.untouchedNames) wanted.delete(name);
  await until('the branch has it too', async () => {
    const now = await project.files();
    now.delete('about.md');
    return sameFiles(now, wanted);
  });
});

test('what the restore replaced is itself kept', async () => {
  await site.getByRole('link', { name: 'Kept versions' }).click();
  const table = site.getByRole('table', { name: 'Kept versions, newest first' });
  assert.ok((await table.getByRole('row').count()) > 2, await table.innerText());
});

step('Disconnect says what goes, leaves every file, removes the webhook and ends the grant', async () => {
  await site.getByRole('link', { name: 'Site Settings' }).click();
  await site.getByRole('link', { name: 'Disconnect' }).click();
  const dialog = site.getByRole('dialog', { name: 'Disconnect Harbour from harbour/website?' });
  await dialog.getByText('Mooring stops syncing this site.').waitFor();
  await way.shot(site, 'disconnect');
  assert.is(project.hooks.length, 1);
  const before = await snapshot(folder);
  await dialog.getByRole('button', { name: 'Disconnect' }).click();
  await site.getByText('Disconnected from harbour/website.').waitFor();
  assert.is(project.hooks.length, 0);
  assert.ok(world.gitlab.requests.some(({ path, status }) => path === '/oauth/revoke' && status === 200));
  const now = await snapshot(folder);
  for (const path of Object.keys(way.folderBefore)) assert.is(now[path], before[path], path);
  await site.getByRole('navigation').getByRole('link', { name: 'Activity', exact: true }).first().click();
  await site.getByText('Disconnected').waitFor();
  await way.shot(site, 'activity');
  await site.getByRole('navigation').getByRole('link', { name: 'Sites', exact: true }).first().click();
  await way.shot(site, 'dashboard');
});

step('the browser had nothing to complain about', async () => {
  // The warning that came back after the edit is an answer with status 409, which browsers note as an error.
  assert.equal(
    complaints.filter((text) => !text.includes('409')),
    [],
  );
});

test.run();
