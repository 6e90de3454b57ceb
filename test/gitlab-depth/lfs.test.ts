import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { type IncomingHttpHeaders, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import { stagingFolders } from '../support/staging.ts';
import * as assert from 'uvu/assert';
import { pointerText, readPointer } from '../../src/model/lfs.ts';
import { until } from '../support/until.ts';
import { type Harbour, inHarbour } from '../support/daemon.ts';
import type { Project } from '../support/gitlab/server.ts';
import { type MooredSite, filesOf, mooredSite } from '../support/moored.ts';

const lfs = suite('gitlab-depth/lfs');

const shaOf = (content: Buffer): string => createHash('sha256').update(content).digest('hex');
const pointerTo = (content: Buffer): string => pointerText({ sha: shaOf(content), size: content.length });

/** Puts the content on GitLab and gives its pointer. */
function put(project: Project, content: Buffer): string {
  project.lfs.set(shaOf(content), content);
  return pointerTo(content);
}

const attributes = '*.bin filter=lfs diff=lfs merge=lfs -text\nfilms/** filter=lfs\n';
const first = randomBytes(300_000);

async function arrange(harbour: Harbour, more: Record<string, string> = {}): Promise<Project> {
  const { gitlab } = harbour;
  gitlab.settings.checkLfs = true;
  const project = await gitlab.projects.create({ path: 'harbour/media', owner: 'ana', files: { 'index.html': 'i\n' } });
  await project.push('main', { '.gitattributes': attributes, 'first.bin': put(project, first), ...more });
  return project;
}

async function turnOn(site: MooredSite, fill: Record<string, string> = {}): Promise<void> {
  await site.clicker.open(`${site.url}/settings/files`);
  await site.clicker.press('Save', { 'Download and upload them': true, ...fill });
}

const content = (site: MooredSite, path: string): Promise<Buffer> => readFile(join(site.folder, path));
const arrives = (site: MooredSite, path: string, wanted: Buffer): Promise<unknown> =>
  until(`${path} has its content`, async () => (await content(site, path)).equals(wanted) || undefined);
/** The SHA-256 of contents that Mooring keeps for a site, and what else lies there. */
const keptHere = async ({ stateDir }: Harbour, { id }: Pick<MooredSite, 'id'>): Promise<string[]> => {
  const dir = join(stateDir, 'large', id);
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map(({ name }) => name)
    .sort();
};
const pointer = async (project: Project, path: string) => readPointer((await project.files()).get(path) ?? Buffer.of());

lfs('off: named and not written; turned on: the content comes; edits, new and removed files go both ways', () =>
  inHarbour(async (harbour) => {
    const project = await arrange(harbour);
    const site = await mooredSite(harbour, { project });
    await site.reaches('In sync');
    assert.not.ok(existsSync(join(site.folder, 'first.bin')));
    assert.match(
      (await site.clicker.open(site.url)).words,
      'The repository contains only an LFS pointer, and LFS is turned off for this site',
    );
    await turnOn(site);
    await arrives(site, 'first.bin', first);
    await site.reaches('In sync');

    // Up: the commit holds a pointer, and GitLab has its content before it has the commit.
    const [edited, fresh, film] = [randomBytes(200_000), randomBytes(1_500), randomBytes(2_500_000)];
    await site.write('first.bin', edited);
    await site.write('deep/fresh.bin', fresh);
    await site.write('films/2026/harbour.mp4', film);
    await site.write('plain.txt', 'as it is\n');
    await site.write('empty.bin', '');
    await until('up', async () => (await pointer(project, 'films/2026/harbour.mp4'))?.sha === shaOf(film) || undefined);
    await site.reaches('In sync');
    assert.equal(await pointer(project, 'first.bin'), { sha: shaOf(edited), size: edited.length });
    assert.equal(await pointer(project, 'deep/fresh.bin'), { sha: shaOf(fresh), size: fresh.length });
    for (const one of [edited, fresh, film]) assert.ok(project.lfs.get(shaOf(one))?.equals(one));
    const files = await project.files();
    assert.is(files.get('plain.txt')?.toString(), 'as it is\n');
    assert.is(files.get('empty.bin')?.length, 0);
    const tip = await project.head();
    assert.equal(await keptHere(harbour, site), [], 'what GitLab has need not be here too');

    // Down: changed by others, a rename of the same content, and a removal.
    const next = randomBytes(400_000);
    const same = files.get('deep/fresh.bin') ?? '';
    await project.push('main', { 'first.bin': put(project, next), 'deep/fresh.bin': null, 'moved.bin': same });
    await arrives(site, 'first.bin', next);
    await arrives(site, 'moved.bin', fresh);
    assert.not.ok(existsSync(join(site.folder, 'deep/fresh.bin')));
    await site.reaches('In sync');
    // Written again with the same bytes: nothing to commit.
    const before = await project.head();
    assert.is.not(before, tip);
    await site.write('first.bin', next);
    await site.clicker.open(site.url);
    await site.clicker.press('Sync now');
    await site.reaches('In sync');
    assert.is(await project.head(), before);
    // A restart compares by content where it must, and finds nothing to do either.
    await harbour.stop();
    const store = join(harbour.stateDir, 'large', site.id);
    await rename(store, `${store}.away`);
    await writeFile(store, 'what stands here is no folder');
    await harbour.start();
    await site.reaches('In sync');
    await harbour.stop();
    await rm(store);
    await rename(`${store}.away`, store);
    await writeFile(join(harbour.stateDir, 'large', site.id, 'tmp-of-a-crash'), 'half');
    await harbour.start();
    await site.reaches('In sync');
    assert.equal(await keptHere(harbour, site), [], 'half-written contents stay for ever');
    assert.is(await project.head(), before);
    assert.ok((await content(site, 'first.bin')).equals(next));
  }),
);

lfs('what git-lfs and people write into .gitattributes is understood: spaces, macros, quotes', () =>
  inHarbour(async (harbour) => {
    const rules = [
      '\ufeff[attr]large filter=lfs diff=lfs merge=lfs -text',
      'Big[[:space:]]Films/** filter=lfs diff=lfs merge=lfs -text',
      '*.raw large',
      '"My Pictures/*.tif" large',
    ];
    const project = await arrange(harbour);
    const [film, raw, picture] = [randomBytes(9_000), randomBytes(9_000), randomBytes(9_000)];
    await project.push('main', {
      '.gitattributes': `${rules.join('\n')}\n${attributes}`,
      'Big Films/one.mp4': put(project, film),
      'a.raw': put(project, raw),
      'My Pictures/a.tif': put(project, picture),
    });
    const site = await mooredSite(harbour, { project });
    await turnOn(site);
    await arrives(site, 'Big Films/one.mp4', film);
    await arrives(site, 'a.raw', raw);
    await arrives(site, 'My Pictures/a.tif', picture);
    const paths = ['Big Films/two.mp4', 'b.raw', 'My Pictures/b.tif'];
    const fresh = randomBytes(9_000);
    for (const path of paths) await site.write(path, fresh);
    await site.write('last.md', 'l\n');
    await until('up', async () => {
      const files = await project.files();
      return [...paths, 'last.md'].every((path) => files.has(path)) || undefined;
    });
    for (const path of paths) assert.is((await pointer(project, path))?.sha, shaOf(fresh), path);
  }),
);

lfs('missing, damaged, too long or over the limit: named, never written, and everything else syncs', () =>
  inHarbour(async (harbour) => {
    const [damaged, long, big, late] = [randomBytes(900), randomBytes(900), randomBytes(2_200_000), randomBytes(900)];
    const project = await arrange(harbour, {
      'late.bin': pointerTo(late),
      'damaged.bin': pointerTo(damaged),
      'long.bin': pointerTo(long),
      'odd.bin': 'version https://git-lfs.github.com/spec/v1\noid sha1:12\nsize x\n',
      'not-tracked.dat': pointerTo(first),
    });
    project.lfs.set(shaOf(damaged), randomBytes(900));
    project.lfs.set(shaOf(long), Buffer.concat([long, Buffer.from('!')]));
    await project.push('main', { 'big.bin': put(project, big) });
    const site = await mooredSite(harbour, { project });
    await turnOn(site, { 'Largest file, in MiB': '2' });
    await arrives(site, 'first.bin', first);
    const page = await until('the page tells of this sync', async () => {
      const shown = await site.reaches('In sync');
      return shown.words.includes('Object does not exist') && shown;
    });
    for (const [path, why] of [
      [
        'late.bin',
        'An LFS file that GitLab does not provide; only its pointer exists. GitLab says: Object does not exist',
      ],
      ['damaged.bin', 'whose content does not match its pointer'],
      ['long.bin', 'whose content does not match its pointer'],
      ['odd.bin', 'The repository contains only an LFS pointer, and LFS is turned off for this site'],
      ['not-tracked.dat', 'The repository contains only an LFS pointer, and LFS is turned off for this site'],
      ['big.bin', 'the limit is 2'],
    ] as const) {
      assert.not.ok(existsSync(join(site.folder, path)), path);
      assert.match(page.words, path);
      assert.match(page.words, why);
    }
    await site.write('goes-on.md', 'g\n');
    await until('the rest', async () => (await project.files()).has('goes-on.md') || undefined);
    // A content committed at a refused path would end the pointer: it stays here.
    const before = (await project.files()).get('damaged.bin');
    await site.write('damaged.bin', 'mine\n');
    await site.write('after.md', 'a\n');
    await until('after', async () => (await project.files()).has('after.md') || undefined);
    assert.equal((await project.files()).get('damaged.bin'), before);
    // Uploaded by somebody at last: the next look at everything has it.
    project.lfs.set(shaOf(late), late);
    await turnOn(site, { 'Largest file, in MiB': '3' });
    await arrives(site, 'late.bin', late);
    await arrives(site, 'big.bin', big);
  }),
);

lfs('GitLab refuses a content: the push waits with its words, nothing is half pushed, and it goes on', () =>
  inHarbour(async (harbour) => {
    const { gitlab } = harbour;
    const project = await arrange(harbour);
    const site = await mooredSite(harbour, { project });
    await turnOn(site);
    await arrives(site, 'first.bin', first);
    await site.reaches('In sync');
    const tip = await project.head();
    gitlab.faults.add({
      match: ({ method, path }) => method === 'PUT' && path.includes('/gitlab-lfs/objects/'),
      ...{ status: 413, body: { message: 'Your push to this repository has been rejected: storage quota' } },
    });
    const over = randomBytes(5_000);
    await site.write('over.bin', over);
    await site.reaches('On hold');
    const page = await site.clicker.open(`${site.url}/hold`);
    assert.match(page.words, 'GitLab rejects the push');
    assert.match(page.words, 'Your push to this repository has been rejected: storage quota');
    assert.is(await project.head(), tip);
    // Edited again before it may go: both versions are in commits, and both contents follow them.
    const then = randomBytes(6_000);
    await site.write('over.bin', then);
    const both = [over, then].map(shaOf).sort();
    await until('taken', async () => (await keptHere(harbour, site)).join() === both.join() || undefined);
    gitlab.faults.clear();
    await until('pushed', async () => {
      const held = await site.clicker.open(`${site.url}/hold`);
      if (held.words.includes('Push again')) await site.clicker.press('Push again');
      return (await pointer(project, 'over.bin'))?.sha === shaOf(then) || undefined;
    });
    await site.reaches('In sync');
    assert.ok(project.lfs.get(shaOf(then))?.equals(then));
    // A first version that GitLab did not get stays here with the refused commits, which are a kept version.
    const here = await keptHere(harbour, site);
    for (const sha of both) assert.ok(project.lfs.has(sha) || here.includes(sha), sha);
    assert.ok(here.every((sha) => both.includes(sha)));
  }),
);

lfs('contents in an object storage come from there, by a redirect or at once; the token does not go along', () =>
  inHarbour(async (harbour) => {
    const { gitlab } = harbour;
    const project = await arrange(harbour);
    const second = randomBytes(4_000);
    const asked: IncomingHttpHeaders[] = [];
    const storage = createServer((request, response) => {
      asked.push(request.headers);
      response.end(request.url?.includes(shaOf(second)) ? second : first);
    }).listen(0, '127.0.0.1');
    await once(storage, 'listening');
    const bucket = `http://127.0.0.1:${(storage.address() as AddressInfo).port}/bucket`;
    try {
      gitlab.faults.add({
        match: ({ path }) => path.endsWith(`/gitlab-lfs/objects/${shaOf(first)}`),
        ...{ status: 302, headers: { Location: `${bucket}/${shaOf(first)}?signature=canary` }, body: '' },
      });
      const site = await mooredSite(harbour, { project });
      await turnOn(site);
      await arrives(site, 'first.bin', first);
      const object = { oid: shaOf(second), size: second.length };
      gitlab.faults.add({
        match: ({ path }) => path.endsWith('/info/lfs/objects/batch'),
        ...{ status: 200, headers: { 'Content-Type': 'application/vnd.git-lfs+json' } },
        body: { objects: [{ ...object, actions: { download: { href: `${bucket}/${object.oid}?signature=canary` } } }] },
      });
      await project.push('main', { 'second.bin': put(project, second) });
      await arrives(site, 'second.bin', second);
      assert.ok(asked.length >= 2);
      for (const headers of asked) assert.is(headers.authorization, undefined, 'the token went along');
      assert.not.match(harbour.output(), 'canary');
    } finally {
      storage.close();
    }
  }),
);

lfs('connecting a folder that holds the same content counts it as the same; a kept large file comes back', () =>
  inHarbour(
    async (harbour) => {
      const project = await arrange(harbour);
      const mine = randomBytes(50_000);
      // Turned on for a site that is not connected yet, by its settings.
      const { clicker, url, folder, id } = await mooredSite(harbour, {
        project,
        files: { '.gitattributes': attributes, 'first.bin': mine },
        before: async (site) => {
          await site.clicker.open(`${site.url}/settings/files`);
          await site.clicker.press('Save', { 'Download and upload them': true });
        },
      });
      await until('replaced', async () => (await readFile(join(folder, 'first.bin'))).equals(first) || undefined);
      await until('in sync', async () => (await clicker.open(url)).state === 'In sync' || undefined);
      assert.not.ok(project.lfs.has(shaOf(mine)), 'a content of the kept folder was uploaded');
      await clicker.open(`${url}/kept`);
      await clicker.follow('Show files');
      const download =
        /href="([^"]*\/file\?p=[^"]*)"[^>]*>Download<span class="vh"> first\.bin/.exec(clicker.page.html)?.[1] ?? '';
      const got = await fetch(new URL(download, url), { headers: { cookie: clicker.cookies(url) } });
      assert.ok(Buffer.from(await got.arrayBuffer()).equals(mine), 'the kept content, not its pointer');
      await clicker.follow('Restore the whole folder');
      await clicker.press('Restore the whole folder');
      await until('restored', async () => (await readFile(join(folder, 'first.bin'))).equals(mine) || undefined);
      await until('pushed', async () => (await pointer(project, 'first.bin'))?.sha === shaOf(mine) || undefined);
      assert.ok(project.lfs.get(shaOf(mine))?.equals(mine));
      assert.ok((await filesOf(folder)).size >= 2);
      await until('in sync', async () => (await clicker.open(url)).state === 'In sync' || undefined);
      // GitLab has it too; but were the project to go, the kept version would have nothing.
      assert.equal(await keptHere(harbour, { id }), [shaOf(mine)]);
      // Spoilt where it lies, it is not handed out: GitLab has it whole.
      const place = join(harbour.stateDir, 'large', id, shaOf(mine).slice(0, 2), shaOf(mine));
      await writeFile(place, randomBytes(mine.length));
      const again = await fetch(new URL(download, url), { headers: { cookie: clicker.cookies(url) } });
      assert.ok(Buffer.from(await again.arrayBuffer()).equals(mine));
    },
    { gitlab: { basePath: '/gitlab' } },
  ),
);

lfs('a download is stopped by a person; nothing half done is left, and it comes when the site goes on', () =>
  inHarbour(async (harbour) => {
    const { gitlab } = harbour;
    const project = await arrange(harbour);
    const site = await mooredSite(harbour, { project });
    await turnOn(site);
    await arrives(site, 'first.bin', first);
    await site.reaches('In sync');
    // It would take days.
    gitlab.faults.add({
      match: ({ method, path }) => method === 'GET' && path.includes('/gitlab-lfs/objects/'),
      drip: { bytes: 1, everyMs: 500 },
    });
    const film = randomBytes(1_000_000);
    await project.push('main', { 'film.bin': put(project, film), 'index.html': 'next\n' });
    await until('the download has begun', () =>
      gitlab.requests.some(({ method, path }) => method === 'GET' && path.endsWith(`/${shaOf(film)}`)),
    );
    await until('it can be stopped', async () => {
      await site.clicker.open(site.url);
      return site.clicker.page.html.includes('Stop and pause') || undefined;
    });
    await site.clicker.press('Stop and pause');
    await site.reaches('Paused');
    gitlab.faults.clear();
    await site.clicker.press('Resume');
    // A run that was still under way would have the site's lane to itself.
    await arrives(site, 'film.bin', film);
    await site.reaches('In sync');
    assert.is((await content(site, 'index.html')).toString(), 'next\n');
    // The file that was replaced waits there for late edits; of the film nothing does.
    for (const staging of stagingFolders(site.folder))
      assert.equal([...(await filesOf(staging)).values()].map(String), ['i\n']);
  }),
);

lfs.run();
