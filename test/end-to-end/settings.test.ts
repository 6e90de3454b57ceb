import { execFileSync } from 'node:child_process';
import { readFile, readlink, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../support/until.ts';
import { inHarbour } from '../support/daemon.ts';
import { mooredSite } from '../support/moored.ts';

const test = suite('settings, obeyed');

test('author, template, ignored paths and limits count from the next sync on', () =>
  inHarbour(async (world) => {
    const site = await mooredSite(world);
    const { clicker } = site;
    const set = async (page: string, fill: Record<string, string | true>): Promise<void> => {
      await clicker.open(`${site.url}/settings/${page}`);
      const { words } = await clicker.press('Save', fill);
      assert.match(words, 'Saved.', page);
    };
    await set('commits', {
      Subject: '[{site}] {summary}',
      'A fixed name and e-mail': true,
      Name: 'House CMS',
      'E-mail': 'cms@example.org',
    });
    await set('ignored', { 'This site’s own list': 'private/' });
    await set('files', { 'Largest file, in MiB': '0.1' });
    await site.write('private/notes.txt', 'stays here\n');
    await site.write('large.bin', 'x'.repeat(200_000));
    await site.write('about.md', 'written by the CMS\n');
    const git = (...args: string[]): string =>
      execFileSync('git', ['-C', site.project.repoPath, ...args], { encoding: 'utf8' });
    await until('the commit is on GitLab', () =>
      git('log', '-1', '--format=%s|%an|%ae|%cn|%ce', site.branch).includes('House CMS'),
    );
    const [subject = '', ...people] = git('log', '-1', '--format=%s|%an|%ae|%cn|%ce', site.branch).trim().split('|');
    assert.match(subject, /^\[.+\] (Update|Add) about\.md$/);
    assert.equal(people, ['House CMS', 'cms@example.org', 'House CMS', 'cms@example.org']);
    const files = git('ls-tree', '-r', '--name-only', site.branch);
    assert.not.match(files, 'private/');
    assert.not.match(files, 'large.bin');
    assert.is(await readFile(join(site.folder, 'private/notes.txt'), 'utf8'), 'stays here\n');

    await until('the large file is named', async () => (await clicker.open(site.url)).words.includes('large.bin'));
    await clicker.open(`${site.url}/settings/ignored`);
    assert.match(
      (await clicker.press('Test', { 'Path in the site': 'private/notes.txt' })).words,
      'because its folder private/',
    );
    // GitLab has the commit a moment before the run that pushed it has ended.
    await until('the push is counted', async () =>
      /Last 24 hours \d+ pulled, [1-9]/.test((await clicker.open(site.url)).words),
    );
    assert.match((await clicker.open(`${world.url}/attention`)).words, 'Files over the limit: 1 site');
    const system = (await clicker.open(`${world.url}/system`)).words;
    assert.match(system, /Git good \d+\.\d+/);
    assert.match(system, /Watches good/);
    assert.match((await clicker.open(`${world.url}/activity`)).words, 'Changed settings of');
  }));

test('links travel once the setting is on, both ways and by themselves', () =>
  inHarbour(async (world) => {
    const site = await mooredSite(world, { files: { 'releases/1/page.html': 'one\n' } });
    const { clicker, project, branch } = site;
    const git = (...args: string[]): string =>
      execFileSync('git', ['-C', project.repoPath, ...args], { encoding: 'utf8' });
    await symlink('about.md', join(site.folder, 'early'));
    await until('the link is named', async () => (await clicker.open(site.url)).words.includes('early'));
    await clicker.open(`${site.url}/settings/files`);
    await clicker.press('Save', { 'Sync symbolic links that stay inside the site': true });
    await until('the link from before is committed', () => git('ls-tree', branch, 'early').startsWith('120000'));
    await symlink('early', join(site.folder, 'late'));
    await until('a new one is committed', () => git('ls-tree', branch, 'late').startsWith('120000'));
    await rm(join(site.folder, 'late'));
    await until('its removal is', () => git('ls-tree', branch, 'late') === '');
    const blob = execFileSync('git', ['-C', project.repoPath, 'hash-object', '-w', '--stdin'], { input: 'about.md' });
    const index = { GIT_INDEX_FILE: join(project.repoPath, 'test-index') };
    const withIndex = (...args: string[]): string =>
      execFileSync('git', ['-C', project.repoPath, ...args], { encoding: 'utf8', env: { ...process.env, ...index } });
    withIndex('read-tree', branch);
    withIndex('update-index', '--add', '--cacheinfo', `120000,${blob.toString().trim()},deep/there`);
    const commit = git('commit-tree', withIndex('write-tree').trim(), '-p', branch, '-m', 'A link').trim();
    git('update-ref', `refs/heads/${branch}`, commit);
    await clicker.open(site.url);
    await clicker.press('Sync now');
    await until(
      'the link from GitLab is there',
      async () => (await readlink(join(site.folder, 'deep/there')).catch(() => '')) === 'about.md',
    );
  }));

test('the lists of paths, the guide and the admins are there for a real site', () =>
  inHarbour(async (world) => {
    const site = await mooredSite(world);
    for (const path of ['/guide', '/account/admins', '/attention']) {
      assert.is((await site.clicker.open(`${world.url}${path}`)).status, 200, path);
    }
    const added = await site.clicker.press('Add account', {}).catch(() => undefined);
    assert.is(added, undefined, 'the form is on the page of accounts alone');
    await site.clicker.open(`${world.url}/account/admins`);
    const { words } = await site.clicker.press('Add account', {
      Name: 'Jonas',
      'First password': 'moor-the-second-one',
      Admin: true,
    });
    assert.match(words, 'The account Jonas is added');
  }));

test.run();
