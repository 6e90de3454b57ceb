import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { pointerText, readPointer } from '../../src/model/lfs.ts';
import type { Clicker, Page } from '../support/clicker.ts';
import { until } from '../support/until.ts';
import { type Harbour, inHarbour } from '../support/daemon.ts';
import type { Project } from '../support/gitlab/server.ts';
import { addSite, authorised, configured, filesOf, makeFolder, signedIn } from '../support/moored.ts';
import { gitAsync } from '../support/plain-git.ts';

const sub = suite('gitlab-depth/subfolder');

const around = { 'README.md': 'read me\n', 'docs/other.md': 'other\n', 'app/main.c': 'int main;\n' };
const inside = { 'docs/site/index.html': 'index\n', 'docs/site/css/a.css': 'a {}\n' };

const shaOf = (content: Buffer): string => createHash('sha256').update(content).digest('hex');

const mono = ({ gitlab }: Harbour): Promise<Project> =>
  gitlab.projects.create({ path: 'harbour/mono', owner: 'ana', files: { ...around, ...inside } });

/** As far as the warning, or to wherever the pages stop it. */
async function choose(
  harbour: Harbour,
  clicker: Clicker,
  wish: { name: string; subfolder: string; files?: Record<string, string> },
): Promise<{ page: Page; folder: string }> {
  await configured(harbour, clicker);
  const folder = await makeFolder(harbour.sites, wish.name.toLowerCase(), { files: wish.files ?? {} });
  await addSite(harbour, clicker, wish.name, folder);
  await authorised(harbour, clicker);
  await clicker.press('Search', { 'Search repositories': 'mono' });
  await clicker.press('Choose branch', { 'harbour/mono': true });
  return { page: await clicker.press('Continue', { 'Subfolder of the repository': wish.subfolder }), folder };
}

const text = async (files: Promise<Map<string, Buffer>>): Promise<Record<string, string>> =>
  Object.fromEntries([...(await files)].map(([path, bytes]) => [path, bytes.toString()]));

/** Every path that commits of Mooring touched, merges compared with their branch's side. */
async function touched(project: Project): Promise<string[]> {
  const args = ['log', '--format=', '--name-only', '-m', '--grep=Synced-by: Mooring', 'main', '--not', 'begin'];
  const rows = await gitAsync(project.repoPath, ...args);
  return [...new Set(rows.split('\n').filter(Boolean))];
}

sub('a subfolder as the site: both ways, merges, and nothing around it is ever touched', () =>
  inHarbour(async (harbour) => {
    const project = await mono(harbour);
    await project.createBranch('begin');
    const clicker = await signedIn(harbour);
    const { page, folder } = await choose(harbour, clicker, { name: 'Docs', subfolder: '/docs/site/' });
    assert.match(page.words, 'harbour/mono, folder docs/site, on main');
    assert.match(page.words, /added ?2/);
    await clicker.press('Connect Self Hosted GitLab');
    assert.match(clicker.page.words, 'Only its folder docs/site');
    const url = clicker.page.url.replace('/settings/syncing', '');
    const reaches = (state: string) => until(state, async () => (await clicker.open(url)).state === state || undefined);
    assert.equal(await text(filesOf(folder)), { 'index.html': 'index\n', 'css/a.css': 'a {}\n' });
    await reaches('In sync');

    await writeFile(join(folder, 'up.md'), 'up\n');
    await until('up', async () => (await project.files()).has('docs/site/up.md') || undefined);
    await project.push('main', { 'docs/site/down.md': 'down\n', 'README.md': 'read me again\n', 'app/new.c': 'n\n' });
    await until('down', async () => (await filesOf(folder)).has('down.md') || undefined);
    assert.not.ok((await filesOf(folder)).has('README.md'));
    // Both at once: a merge, with what others did around it.
    await Promise.all([
      writeFile(join(folder, 'ours.md'), 'ours\n'),
      project.push('main', {
        'docs/site/theirs.md': 'theirs\n',
        'docs/other.md': 'other, edited\n',
        'app/main.c': null,
      }),
    ]);
    await until('both', async () => {
      const files = await project.files();
      return (files.has('docs/site/ours.md') && (await filesOf(folder)).has('theirs.md')) || undefined;
    });
    // Only around it: the site has nothing to do.
    await project.push('main', { 'app/only-there.c': 'x\n' });
    await clicker.open(url);
    await clicker.press('Sync now');
    await reaches('In sync');
    const all = await text(project.files());
    assert.is(all['README.md'], 'read me again\n');
    assert.is(all['docs/other.md'], 'other, edited\n');
    assert.is(all['app/only-there.c'], 'x\n');
    assert.not.ok('app/main.c' in all);
    const below = Object.entries(all).filter(([path]) => path.startsWith('docs/site/'));
    assert.equal(
      await text(filesOf(folder)),
      Object.fromEntries(below.map(([path, content]) => [path.slice('docs/site/'.length), content])),
    );
    const paths = await touched(project);
    assert.ok(paths.includes('docs/site/up.md'));
    // A merge differs from its other parent by what came from there; Mooring’s plain commits by their own paths alone.
    const plain = await gitAsync(
      project.repoPath,
      'log',
      '--format=',
      '--name-only',
      '--no-merges',
      '--grep=Synced-by: Mooring',
      'main',
    );
    assert.equal(
      plain.split('\n').filter((path) => path !== '' && !path.startsWith('docs/site/')),
      [],
    );
  }),
);

sub('the rules for large files (LFS) of the folders above count: contents come, and go up as pointers', () =>
  inHarbour(async (harbour) => {
    harbour.gitlab.settings.checkLfs = true;
    const project = await mono(harbour);
    const [one, two, film] = [randomBytes(9_000), randomBytes(9_000), randomBytes(9_000)];
    const put = (content: Buffer): string => {
      project.lfs.set(shaOf(content), content);
      return pointerText({ sha: shaOf(content), size: content.length });
    };
    const rules = '*.bin filter=lfs diff=lfs merge=lfs -text\ndocs/site/films/** filter=lfs\n';
    await project.push('main', { '.gitattributes': rules, 'docs/site/one.bin': put(one) });
    const clicker = await signedIn(harbour);
    await configured(harbour, clicker);
    const folder = await makeFolder(harbour.sites, 'docs', {});
    await addSite(harbour, clicker, 'Docs', folder);
    const url = clicker.page.url.replace('/settings/syncing', '');
    await clicker.open(`${url}/settings/files`);
    await clicker.press('Save', { 'Download and upload them': true });
    await clicker.open(`${url}/settings/syncing`);
    await authorised(harbour, clicker);
    await clicker.press('Search', { 'Search repositories': 'mono' });
    await clicker.press('Choose branch', { 'harbour/mono': true });
    const plan = await clicker.press('Continue', { 'Subfolder of the repository': 'docs/site' });
    assert.match(plan.words, /added ?3/);
    assert.not.match(plan.words, 'only an LFS pointer');
    await clicker.press('Connect Self Hosted GitLab');
    const arrived = async (path: string, content: Buffer) =>
      (await filesOf(folder)).get(path)?.equals(content) || undefined;
    await until('its content', () => arrived('one.bin', one));

    await mkdir(join(folder, 'films'));
    await writeFile(join(folder, 'two.bin'), two);
    await writeFile(join(folder, 'films/a.mp4'), film);
    await until('up', async () => {
      const files = await project.files();
      return (files.has('docs/site/two.bin') && files.has('docs/site/films/a.mp4')) || undefined;
    });
    const files = await project.files();
    assert.is(readPointer(files.get('docs/site/two.bin') ?? Buffer.of())?.sha, shaOf(two));
    assert.is(readPointer(files.get('docs/site/films/a.mp4') ?? Buffer.of())?.sha, shaOf(film));
    assert.ok(project.lfs.get(shaOf(two))?.equals(two));

    // A rule that comes from outside the site, for a file that was there before it.
    await project.push('main', { 'docs/site/late.iso': put(film) });
    await until('named', async () => (await clicker.open(url)).words.includes('only an LFS pointer') || undefined);
    await project.push('main', { 'docs/.gitattributes': '*.iso filter=lfs\n' });
    await clicker.open(url);
    await clicker.press('Sync now');
    // A saved setting is a reason to look at everything.
    await until('it came', async () => {
      await clicker.open(`${url}/settings/files`);
      await clicker.press('Save', { 'Largest file, in MiB': '99' });
      return arrived('late.iso', film);
    });
  }),
);

sub('others move a file out of it while it is edited here: the edit stays inside, theirs outside stays theirs', () =>
  inHarbour(async (harbour) => {
    const project = await mono(harbour);
    const clicker = await signedIn(harbour);
    const long = Array.from({ length: 40 }, (_, at) => `line ${at}`).join('\n');
    await project.push('main', { 'docs/site/long.md': `${long}\n` });
    const { folder } = await choose(harbour, clicker, { name: 'Docs', subfolder: 'docs/site' });
    await clicker.press('Connect Self Hosted GitLab');
    const url = clicker.page.url.replace('/settings/syncing', '');
    await clicker.open(url);
    await clicker.press('Pause');
    await writeFile(join(folder, 'long.md'), `${long}\nedited here\n`);
    await project.push('main', { 'docs/site/long.md': null, 'app/long.md': `${long}\n` });
    await clicker.open(url);
    await clicker.press('Resume');
    await until(
      'the edit',
      async () => (await project.files()).get('docs/site/long.md')?.includes('edited here') || undefined,
    );
    assert.is((await project.files()).get('app/long.md')?.toString(), `${long}\n`);
  }),
);

sub('the subfolder removed in GitLab is held like an emptied branch; no file goes', () =>
  inHarbour(async (harbour) => {
    const project = await mono(harbour);
    const clicker = await signedIn(harbour);
    const { folder } = await choose(harbour, clicker, { name: 'Docs', subfolder: 'docs/site' });
    await clicker.press('Connect Self Hosted GitLab');
    const url = clicker.page.url.replace('/settings/syncing', '');
    await until('in sync', async () => (await clicker.open(url)).state === 'In sync' || undefined);
    await project.push('main', { 'docs/site/index.html': null, 'docs/site/css/a.css': null });
    await until('on hold', async () => (await clicker.open(url)).state === 'On hold' || undefined);
    assert.is((await filesOf(folder)).size, 2);
    await clicker.open(`${url}/hold`);
    await clicker.press('Put 2 files back');
    await until('back', async () => (await project.files()).has('docs/site/css/a.css') || undefined);
    assert.is((await project.files()).get('README.md')?.toString(), 'read me\n');
  }),
);

sub('a new subfolder begins with this folder’s files; another site beside it is fine, one within it is not', () =>
  inHarbour(async (harbour) => {
    const project = await mono(harbour);
    const clicker = await signedIn(harbour);
    const files = { 'a.md': 'a\n', 'deep/b.md': 'b\n' };
    const first = await choose(harbour, clicker, { name: 'One', subfolder: 'sites/one', files });
    await clicker.follow('Show what would be pushed');
    await clicker.press('Connect Self Hosted GitLab');
    assert.match(clicker.page.words, 'One is connected');
    await until('pushed', async () => (await project.files()).has('sites/one/deep/b.md') || undefined);
    assert.equal(await text(filesOf(first.folder)), files);
    assert.is((await project.files()).get('app/main.c')?.toString(), 'int main;\n');

    const within = await choose(harbour, clicker, { name: 'Within', subfolder: 'sites/one/deep' });
    assert.is(within.page.status, 422);
    assert.match(within.page.words, 'The site One already syncs');
    const beside = await choose(harbour, clicker, { name: 'Beside', subfolder: 'docs/site' });
    assert.match(beside.page.words, 'folder docs/site');
    await clicker.press('Connect Self Hosted GitLab');
    assert.match(clicker.page.words, 'Beside is connected');
    await writeFile(join(beside.folder, 'beside.md'), 'b\n');
    await writeFile(join(first.folder, 'one.md'), '1\n');
    await until('both', async () => {
      const all = await project.files();
      return (all.has('docs/site/beside.md') && all.has('sites/one/one.md')) || undefined;
    });
    // The last file of a folder goes, and the folder with it; nothing around it does.
    await rm(join(first.folder, 'deep'), { recursive: true });
    await until('gone', async () => !(await project.files()).has('sites/one/deep/b.md') || undefined);
    assert.is((await project.files()).size, 8);
  }),
);

sub('what cannot be a subfolder is told at its field, and nothing is connected', () =>
  inHarbour(async (harbour) => {
    const project = await mono(harbour);
    const clicker = await signedIn(harbour);
    const before = await project.log();
    const bad = ['../app', 'a/../b', '.git/hooks', 'a//b', 'a\\b', 'README.md', 'README.md/below', 'x'.repeat(600)];
    let { page } = await choose(harbour, clicker, { name: 'Bad', subfolder: bad[0] ?? '' });
    for (const subfolder of bad.slice(1)) {
      assert.is(page.status, 422, `${subfolder} before`);
      assert.match(page.html, /id="subfolder"[^>]*aria-invalid="true"/);
      page = await clicker.press('Continue', { 'Subfolder of the repository': subfolder });
    }
    assert.is(page.status, 422);
    await mkdir(join(harbour.sites, 'bad', 'still-here'));
    assert.equal(await project.log(), before);
    assert.equal(await text(filesOf(join(harbour.sites, 'bad'))), {});
  }),
);

sub.run();
