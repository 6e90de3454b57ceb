import { execFileSync } from 'node:child_process';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Harbour, harbour } from '../support/daemon.ts';
import { type MooredSite, mooredSite } from '../support/moored.ts';
import { until } from '../support/until.ts';

const test = suite('two-sided edits');

let world: Harbour;
let site: MooredSite;
const ten = (change: Record<number, string> = {}): string =>
  Array.from({ length: 10 }, (_, at) => `${change[at + 1] ?? `line ${at + 1}`}\n`).join('');

test.before(async () => {
  world = await harbour();
  site = await mooredSite(world);
  await site.write('lines.txt', ten());
  await site.settled();
});
test.after(async () => {
  if (process.exitCode) console.log(world?.output().slice(-4_000));
  await world?.close();
});

/** Both acts happen before either side can see the other. */
async function apart(inFolder: () => Promise<unknown>, onGitLab: () => Promise<unknown>): Promise<void> {
  await site.clicker.open(site.url);
  await site.clicker.press('Pause');
  await until('the site is paused', async () => (await site.clicker.open(site.url)).words.includes('Resume'));
  const began = performance.now();
  await inFolder();
  await onGitLab();
  await world.gitlab.quiet();
  // Rested as long as an edit has to, so that it is taken before anything else happens.
  await until('the edits have rested', () => performance.now() > began + 1_200);
  await site.clicker.open(site.url);
  await site.clicker.press('Resume');
  await site.settled();
}

/** A file as the commits of the branch's newest merge had it: each parent's, then the merge's. */
async function versions(path: string): Promise<string[]> {
  const git = (...args: string[]): string =>
    execFileSync('git', ['-C', site.project.repoPath, ...args], { encoding: 'utf8' });
  const [merge = '', ...parents] = git('log', '--merges', '-1', '--format=%H %P', site.branch).trim().split(' ');
  assert.is(parents.length, 2, 'the newest merge has two parents');
  return [...parents, merge].map((commit) => git('show', `${commit}:${path}`));
}

const inFolder = (path: string): Promise<string> => readFile(join(site.folder, path), 'utf8');

test('different files: both sides get both edits, and there is no conflict', async () => {
  await apart(
    () => site.write('ours.txt', 'written in the folder\n'),
    () => site.project.push('main', { 'theirs.txt': 'written on GitLab\n', 'about.md': 'edited on GitLab\n' }),
  );
  assert.is(await inFolder('theirs.txt'), 'written on GitLab\n');
  assert.is(await inFolder('about.md'), 'edited on GitLab\n');
  assert.is((await site.project.files()).get('ours.txt')?.toString(), 'written in the folder\n');
  const page = await site.clicker.open(`${site.url}/conflicts`);
  assert.match(page.words, 'No conflicts');
});

test('different lines of one file: both edits are in it on both sides', async () => {
  await apart(
    () => site.write('lines.txt', ten({ 2: 'ours' })),
    () => site.project.push('main', { 'lines.txt': ten({ 9: 'theirs' }) }),
  );
  assert.is(await inFolder('lines.txt'), ten({ 2: 'ours', 9: 'theirs' }));
  const found = await versions('lines.txt');
  assert.equal(found.slice(0, 2).sort(), [ten({ 2: 'ours' }), ten({ 9: 'theirs' })].sort());
  assert.match((await site.clicker.open(`${site.url}/conflicts`)).words, 'No conflicts');
  await site.write('lines.txt', ten());
  await site.settled();
});

test('the same line: the repository’s version is live, the page names the conflict, both versions are on GitLab', async () => {
  await apart(
    () => site.write('lines.txt', ten({ 5: 'ours' })),
    () => site.project.push('main', { 'lines.txt': ten({ 5: 'theirs' }) }),
  );
  assert.is(await inFolder('lines.txt'), ten({ 5: 'theirs' }));
  const [one = '', two = '', merged] = await versions('lines.txt');
  assert.equal([one, two].sort(), [ten({ 5: 'ours' }), ten({ 5: 'theirs' })].sort());
  assert.is(merged, ten({ 5: 'theirs' }));
  assert.match((await site.clicker.open(site.url)).words, '1 conflict.');
  const list = await site.clicker.follow('Compare and choose');
  assert.match(list.words, 'lines.txt');
  const page = await site.clicker.follow('lines.txt');
  assert.match(page.words, 'ours');
  assert.match(page.words, 'theirs');
});

test('the other version of a conflict is one click away, and is an edit like any other', async () => {
  await site.clicker.open(`${site.url}/conflicts`);
  await site.clicker.follow('lines.txt');
  const page = await site.clicker.press('Use the site’s');
  assert.match(page.words, 'The site’s version of lines.txt is used');
  await until('the other version is in the folder', async () => (await inFolder('lines.txt')) === ten({ 5: 'ours' }));
  await site.settled();
  assert.match((await site.clicker.open(`${site.url}/conflicts`)).words, 'Ana used the site’s version');
});

test('an edit here against a removal there, and the reverse: the edit is lost on neither side', async () => {
  await apart(
    () => site.write('ours.txt', 'edited in the folder while it was removed\n'),
    () => site.project.push('main', { 'ours.txt': null }),
  );
  const byPage = await site.clicker.open(`${site.url}/conflicts`);
  const live = (await site.project.files()).get('ours.txt')?.toString();
  if (live === undefined) assert.match(byPage.words, 'ours.txt');
  else assert.is(live, 'edited in the folder while it was removed\n');
  assert.ok((await history('ours.txt')).includes('edited in the folder while it was removed\n'));

  await apart(
    () => rm(join(site.folder, 'theirs.txt')),
    () => site.project.push('main', { 'theirs.txt': 'edited on GitLab while it was removed\n' }),
  );
  assert.ok((await history('theirs.txt')).includes('edited on GitLab while it was removed\n'));
  assert.is(await inFolder('theirs.txt'), 'edited on GitLab while it was removed\n');
});

/** Every content a path ever had on the branch, in any parent. */
async function history(path: string): Promise<string[]> {
  const git = (...args: string[]): string =>
    execFileSync('git', ['-C', site.project.repoPath, ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  const contents: string[] = [];
  for (const commit of git('rev-list', site.branch).trim().split('\n')) {
    try {
      contents.push(git('show', `${commit}:${path}`));
    } catch {
      // Not in this one.
    }
  }
  return contents;
}

/** A path in every kept version, as the page gives it. */
async function keptContents(path: string): Promise<string[]> {
  const contents: string[] = [];
  const get = async (url: string): Promise<string> =>
    (await fetch(url, { headers: { cookie: site.clicker.cookies(url) } })).text();
  const links = (html: string, pattern: RegExp): string[] => [
    ...new Set([...html.matchAll(pattern)].map(([, href = '']) => href)),
  ];
  for (const kept of links(await get(`${site.url}/kept`), /href="([^"]*\/kept\/[^"?/]+)"/g)) {
    const page = await get(new URL(kept, site.url).href);
    const p = Buffer.from(path).toString('base64url');
    for (const file of links(page, new RegExp(`href="([^"]*/file\\?p=${p})"`, 'g')))
      contents.push(await get(new URL(file, site.url).href));
  }
  return contents;
}

test('edits at the same moment, with nobody pausing anything: equal in the end, every version to be found', async () => {
  for (let turn = 1; turn <= 5; turn += 1) {
    const [ours, theirs] = [ten({ 5: `ours ${turn}` }), ten({ 5: `theirs ${turn}` })];
    await Promise.all([
      writeFile(join(site.folder, 'lines.txt'), ours),
      site.project.push('main', { 'lines.txt': theirs }),
    ]);
    await until(`turn ${turn}: both versions are to be found`, async () => {
      const found = [...(await history('lines.txt')), ...(await keptContents('lines.txt'))];
      return found.includes(ours) && found.includes(theirs);
    });
    await site.settled();
  }
});

test('an edit that has not rested yet when a push of the same line is pulled: both are in the merge’s parents', async () => {
  await site.clicker.open(site.url);
  await site.clicker.press('Pause');
  await until('the site is paused', async () => (await site.clicker.open(site.url)).words.includes('Resume'));
  await site.project.push('main', { 'lines.txt': ten({ 5: 'theirs, quickly' }) });
  await world.gitlab.quiet();
  await site.write('lines.txt', ten({ 5: 'ours, quickly' }));
  await site.clicker.press('Resume');
  await until('both are on GitLab', async () => {
    const found = await history('lines.txt');
    return found.includes(ten({ 5: 'ours, quickly' })) && found.includes(ten({ 5: 'theirs, quickly' }));
  });
  await site.settled();
});

test('Paused is what the page says, also when the button was pressed during a sync', async () => {
  for (let turn = 1; turn <= 5; turn += 1) {
    const head = await site.project.head();
    await site.clicker.open(site.url);
    const pause = site.clicker.request('Pause');
    await site.write('lines.txt', ten({ 1: `turn ${turn}` }));
    await until('the edit is on GitLab', async () => (await site.project.head()) !== head);
    await site.clicker.send(pause);
    try {
      await site.reaches('Paused');
    } finally {
      await site.clicker.press('Resume');
    }
    await site.settled();
  }
});

test('after all that the site is as usable as before', async () => {
  const before = await site.project.head();
  await site.write('after.txt', 'all well\n');
  await until('the edit arrives', async () => (await site.project.files()).has('after.txt'));
  assert.is((await site.project.log())[1]?.id, before);
  await site.project.push('main', { 'after.txt': 'all well here too\n' });
  await until('the push arrives', async () => (await inFolder('after.txt')) === 'all well here too\n');
  await site.settled();
});

test('a large folder that moves is one commit, is no loss to ask about, and moves back in one', async () => {
  const names = Array.from({ length: 2_000 }, (_, at) => `a${at % 20}/${at}.txt`);
  await site.project.push('main', Object.fromEntries(names.map((name) => [`from/${name}`, `${name}\n`])));
  await site.settled();
  for (const [before, after] of [
    ['from', 'to'],
    ['to', 'from'],
  ] as const) {
    const tip = await site.project.head();
    await rename(join(site.folder, before), join(site.folder, after));
    await until('it is on GitLab', async () => (await site.project.head()) !== tip);
    await site.settled();
    const git = (...args: string[]): string =>
      execFileSync('git', ['-C', site.project.repoPath, ...args], { encoding: 'utf8' }).trim();
    assert.is(git('rev-list', '--count', `${tip}..main`), '1', site.clicker.page.words.slice(0, 600));
    const files = git('ls-tree', '-r', '--name-only', 'main').split('\n');
    assert.is(files.filter((name) => name.startsWith(`${after}/`)).length, 2_000);
    assert.is(files.filter((name) => name.startsWith(`${before}/`)).length, 0);
  }
});

test.run();
