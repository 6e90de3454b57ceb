import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../src/model/problem.ts';
import { systemClock } from '../../src/world.ts';
import { type Clicker, createClicker } from '../support/clicker.ts';
import { until } from '../support/until.ts';
import { freePort, inProcess } from '../support/daemon.ts';
import { type GitLab, type Project, startGitLab } from '../support/gitlab/server.ts';
import { createGit } from '../support/gitlab/git.ts';
import { createRepository } from '../support/gitlab/repository.ts';
import { filesOf, sameFiles } from '../support/moored.ts';
import { git } from '../support/plain-git.ts';
import { contentsOf, filesBelow, numberOf } from './contents.ts';
import { leavesOf, openedAsItIs, storedLeaves } from './stored.ts';
import { type Facts, moveHere, placesIn, releases, unpack } from './world.ts';

/**
 * What a release left on somebody's disk, opened by the code of the day: it starts, holds what was stored, goes on where
 * it stood, and loses nothing. README.md here says what a witness is, and that this test only ever grows.
 */
const witness = suite('witness');

witness('there is a witness of the first release', () => {
  assert.ok(releases().some(({ version }) => version === '0.1.0'));
});

for (const { version, archive } of releases()) {
  witness(`${version}: every stored value is read, and every secret opens`, () =>
    inFolder(async (dir) => {
      const facts = unpack(archive, dir);
      const { state } = placesIn(dir);
      const stored = storedLeaves(state);
      const { notes, present, secrets, lines, rows } = await readable(openedAsItIs(state, facts.madeAt + 60_000));
      assert.equal(
        notes.filter(({ kind }) => kind !== 'migrated').map(({ text }) => text),
        [],
        'a store file was not good as it was',
      );
      assert.equal(secrets, facts.secrets);
      const held = leavesOf(present);
      assert.ok(stored.length > 1_000, `only ${stored.length} stored values`);
      assert.equal(
        stored.filter(({ leaf }) => !held.has(leaf)),
        [],
        'stored values that nothing reads any more',
      );
      assert.equal(rows, lines, 'lines of the history that cannot be read any more');
    }),
  );

  witness(`${version}: the daemon goes on where it stood, and nothing is lost`, () =>
    inFolder(async (dir) => {
      const facts = unpack(archive, dir);
      const world = await upAgain(dir, facts);
      try {
        const [ana, lena] = await people(world);
        const another = await signedIn(world, facts.admins[0]);
        await Promise.all([halfApplied(world, ana), onHold(world, lena), keptAndLarge(world, another)]);
        await tidiesUp(world, ana);
        await everyLine(world, ana);
        await everyPage(world, ana);
        assert.equal(world.gitlab.errors, []);
      } finally {
        await world.close();
      }
      const after = contentsOf({ ...placesIn(dir), large: world.large() });
      const lost = [...world.before].filter(([oid]) => !after.has(oid));
      assert.equal(lost, [], 'contents that are nowhere any more');
    }),
  );
}

witness.run();

async function inFolder(use: (dir: string) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'mooring-witness-'));
  try {
    await use(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** A problem's facts say what of the stored is not as it should be. */
async function readable<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    throw new Error(`${error.message}: ${JSON.stringify(error.facts)}`, { cause: error });
  }
}

interface World {
  readonly dir: string;
  readonly url: string;
  readonly facts: Facts;
  readonly gitlab: GitLab;
  /** All contents before anything ran, and where each was. */
  readonly before: ReadonlyMap<string, string>;
  large(): Buffer[];
  /** Time passes at once. */
  later(ms: number): void;
  ask(path: string, token?: string): Promise<unknown>;
  close(): Promise<void>;
}

/** The practice GitLab and the daemon of the day on what was unpacked. */
async function upAgain(dir: string, facts: Facts): Promise<World> {
  const places = placesIn(dir);
  const [port, gitlabPort] = [await freePort(), await freePort()];
  const [url, gitlabUrl] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${gitlabPort}`];
  const saved = moveHere(dir, facts, { url, gitlabUrl });
  const onGitLab = createGit(places.gitlab);
  for (const { id, defaultBranch } of saved.projects)
    await createRepository(onGitLab, join(places.gitlab, 'repositories', `${id}.git`), defaultBranch);
  // Shortly after it was made: sessions, tokens and kept versions have an end.
  const [began, from] = [Date.now(), facts.madeAt + 60_000];
  let ahead = 0;
  const now = (): number => from + Date.now() - began + ahead;
  const monotonic = (): number => performance.now() + ahead;
  const gitlab = await startGitLab({
    ...{ port: gitlabPort, dataDir: places.gitlab, saved, allowLocalWebhooks: true, now },
  });
  const large = (): Buffer[] => gitlab.projects.all().flatMap((project) => [...project.lfs.values()]);
  const before = contentsOf({ ...places, large: large() });
  const missing = facts.contents.filter((oid) => !before.has(oid));
  try {
    assert.equal(missing, [], 'the archive lacks what was there when it was made');
    assert.ok(facts.contents.length > 80, `only ${facts.contents.length} contents`);
    const env = { MOORING_ADMIN_PASSWORD: '', MOORING_ADMIN_NAME: '' };
    const daemon = await readable(inProcess({ dir, port, env }, { clock: { ...systemClock, now, monotonic } }));
    return {
      ...{ dir, url, facts, gitlab, before, large },
      later: (ms) => void (ahead += ms),
      async ask(path, token = facts.apiTokens.read) {
        const response = await fetch(`${url}/api/v1${path}`, { headers: { authorization: `Bearer ${token}` } });
        assert.is(response.status, 200, path);
        return response.json();
      },
      async close() {
        await daemon.stop();
        await gitlab.stop();
      },
    };
  } catch (error) {
    await gitlab.stop();
    throw error;
  }
}

async function signedIn({ url }: World, { name, password }: Facts['admins'][number]): Promise<Clicker> {
  const clicker = createClicker();
  await clicker.open(`${url}/sign-in`);
  const page = await clicker.press('Sign in', { Name: name, Password: password });
  assert.is(page.heading, 'Sites', page.words);
  return clicker;
}

/** Who had a password, a session or a token still has it. */
async function people(world: World): Promise<readonly [Clicker, Clicker]> {
  const { url, facts } = world;
  const clickers = [await signedIn(world, facts.admins[0]), await signedIn(world, facts.admins[1])] as const;
  const session = await fetch(`${url}/account/admins`, { headers: { cookie: facts.cookie }, redirect: 'manual' });
  assert.is(session.status, 200, 'the session goes on');
  for (const { name } of facts.admins) assert.match(await session.clone().text(), name);
  for (const token of Object.values(facts.apiTokens)) await world.ask('/sites', token);
  const headers = { authorization: `Bearer ${facts.apiTokens.read}` };
  const resumed = await fetch(`${url}/api/v1/sites/${facts.sites.kinds}/resume`, { method: 'POST', headers });
  assert.is(resumed.status, 403, 'a token that may read still may do no more');
  return clickers;
}

/**
 * What was replaced before the upgrade goes when its time is over, by what the old journal says of it; nothing of it is
 * taken for an edit that somebody made meanwhile.
 */
async function tidiesUp(world: World, clicker: Clicker): Promise<void> {
  const { url, facts } = world;
  const staged = (): string[] =>
    (['quay', 'crane'] as const).flatMap((site) =>
      readdirSync(folderOf(world, site)).filter((name) => name.startsWith('.mooring-')),
    );
  const kept = async (site: keyof Facts['projects']): Promise<number> =>
    keptIn((await clicker.open(`${url}/sites/${facts.sites[site]}/kept`)).html).length;
  assert.is(staged().length, 2);
  const before = await kept('crane');
  world.later(11 * 60_000);
  for (const site of ['quay', 'crane'] as const) {
    await clicker.open(`${url}/sites/${facts.sites[site]}`);
    await clicker.press('Sync now');
  }
  await until('nothing is staged any more', () => staged().length === 0 || undefined);
  assert.is(await kept('quay'), 0, 'our own staged content was taken for what somebody wrote late');
  assert.is(await kept('crane'), before, 'a replaced file was taken for what somebody wrote late');
}

/** Addresses of the kept versions on the page that lists them, newest first. */
const keptIn = (html: string): string[] => [
  ...new Set([...html.matchAll(/href="([^"]*\/kept\/[^"/?]+)"/g)].map(([, href = '']) => href)),
];

interface Activity {
  readonly total: number;
  readonly runs: readonly { readonly id: string; readonly problem: { code: string; title: string } | null }[];
}

/** Every stored line is shown in words, and each kind of problem in words of its own. */
async function everyLine(world: World, clicker: Clicker): Promise<void> {
  const { dir, url, facts } = world;
  const { kinds } = facts.sites;
  const lines = linesOf(dir, `site-${kinds}.jsonl`) as { id: string; subject: string; problem?: { code: string } }[];
  assert.ok(lines.length > 90, `only ${lines.length} runs`);
  const runs: Activity['runs'][number][] = [];
  for (let offset = 0; offset < lines.length; offset += 100)
    runs.push(...((await world.ask(`/sites/${kinds}/activity?limit=100&offset=${offset}`)) as Activity).runs);
  const titles = new Map(runs.map(({ id, problem }) => [id, problem?.title]));
  const vague = titles.get('run-problem-unexpected');
  const words = await allPages(clicker, `${url}/sites/${kinds}`);
  for (const { id, subject, problem } of lines) {
    assert.ok(titles.has(id), `${id} is gone`);
    assert.match(words, subject);
    if (!problem) continue;
    const title = titles.get(id) ?? '';
    assert.is.not(title, '', `${problem.code} has no words`);
    assert.match(words, title);
    if (problem.code !== 'unexpected') assert.is.not(title, vague, `${problem.code} is not known any more`);
  }
  const acts = linesOf(dir, 'acts.jsonl') as { act: string; by: string; detail: string }[];
  assert.ok(acts.length > 30, `only ${acts.length} acts`);
  const told = await allPages(clicker, `${url}/activity`);
  for (const { act, by, detail } of acts) {
    assert.match(told, by);
    if (act !== 'set-up') assert.match(told, detail.trim().replace(/\s+/g, ' '));
  }
}

/** Lines of one history, the older generation too. As they are now: also what the daemon of the day added. */
function linesOf(dir: string, name: string): unknown[] {
  const folder = join(placesIn(dir).state, 'history');
  const files = readdirSync(folder).filter((file) => file === name || file === `${name}.1`);
  return files.flatMap((file) =>
    readFileSync(join(folder, file), 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as unknown),
  );
}

async function allPages(clicker: Clicker, address: string): Promise<string> {
  const words: string[] = [];
  let last = '';
  for (let n = 1; n <= 12; n += 1) {
    const page = await clicker.open(n === 1 ? address : `${address}?page=${n}`);
    assert.is(page.status, 200, page.words);
    assert.not.match(page.words, /\bundefined\b|\[object Object\]|\bNaN\b|Invalid Date/);
    // Beyond the last page the last one is shown again.
    if (page.words === last) break;
    last = page.words;
    words.push(page.words);
  }
  return words.join(' ');
}

const folderOf = ({ dir }: World, name: string): string => join(placesIn(dir).sites, name);
const projectOf = ({ gitlab, facts }: World, site: keyof Facts['projects']): Project =>
  gitlab.projects.get(facts.projects[site]);
const ledgerOf = ({ dir, facts }: World, site: keyof Facts['projects']): string =>
  git(join(placesIn(dir).state, 'repositories', `${facts.sites[site]}.git`), 'for-each-ref', '--format=%(refname)');

async function converged(world: World, site: 'quay' | 'pier', clicker: Clicker): Promise<void> {
  const equal = async (): Promise<true | undefined> =>
    sameFiles(await filesOf(folderOf(world, site)), await projectOf(world, site).files()) || undefined;
  await until(`${site}: folder and branch are equal`, equal);
  const page = `${world.url}/sites/${world.facts.sites[site]}`;
  await until(`${site} is in sync`, async () => (await clicker.open(page)).state === 'In sync');
}

/** The apply that was cut is finished, and what was edited while nothing ran goes up. */
async function halfApplied(world: World, clicker: Clicker): Promise<void> {
  await converged(world, 'quay', clicker);
  const files = await filesOf(folderOf(world, 'quay'));
  const text = (path: string): string => files.get(path)?.toString() ?? '';
  for (const path of ['index.html', 'about.md', 'css/site.css', 'images/anchor.svg', 'images/lighthouse.svg'])
    assert.is(text(path), `${path}, of the apply that was cut\n`);
  assert.is(text('fresh.md'), 'fresh\n');
  assert.is(text('edited-while-down.md'), 'an edit that nobody has seen yet\n');
  assert.not.ok(files.has('content/posts/2026-02-new-crane.md'));
  assert.not.match(ledgerOf(world, 'quay'), 'refs/sync/pending');
  // The cut apply is no edit: nothing of it was taken for one and pushed back.
  const project = projectOf(world, 'quay');
  const cut = (await project.log()).find(({ message }) => message.startsWith('The change that was half applied'));
  assert.is(git(project.repoPath, 'diff', '--name-only', cut?.id ?? '', 'main'), 'edited-while-down.md');
}

/** The question stands as it was; the answers to it and to the conflict are followed. */
async function onHold(world: World, clicker: Clicker): Promise<void> {
  const { url, facts } = world;
  const [folder, project] = [folderOf(world, 'pier'), projectOf(world, 'pier')];
  const site = `${url}/sites/${facts.sites.pier}`;
  await until('it is on hold', async () => (await clicker.open(site)).state === 'On hold');
  const question = await clicker.open(`${site}/hold`);
  assert.match(question.words, '30 of 42 files would be removed');
  for (const path of ['pages/page-1.md', 'pages/page-10.md']) assert.match(question.words, path);
  // Nothing went while it is on hold: neither the removals nor the edit.
  assert.is((await project.files()).size, 42);
  assert.is((await project.files()).get('edited.md')?.toString(), 'not edited\n');
  assert.is(readFileSync(join(folder, 'edited.md'), 'utf8'), 'an edit that the hold keeps from the branch\n');
  assert.is((await filesOf(folder)).size, 12);
  assert.match(ledgerOf(world, 'pier'), 'refs/sync/held/');
  await clicker.press(restores(question.html));
  await until('the pages are back', async () => (await filesOf(folder)).size === 42);
  await until(
    'the edit is pushed',
    async () => (await project.files()).get('edited.md')?.toString().startsWith('an edit') || undefined,
  );
  const versions = { folder: 'the version of the site\n', branch: 'the version of the branch\n' };
  assert.is((await project.files()).get('both.md')?.toString(), versions.branch);
  assert.is(readFileSync(join(folder, 'both.md'), 'utf8'), versions.folder);
  const list = await clicker.open(`${site}/conflicts`);
  await clicker.open(new URL(/href="([^"]*\/conflicts\/[^"]+)"/.exec(list.html)?.[1] ?? '', url).href);
  await clicker.press('Use the site’s');
  await converged(world, 'pier', clicker);
  assert.is((await project.files()).get('both.md')?.toString(), versions.folder);
}

/** The button of the answer that undoes the loss; its words may change. */
function restores(html: string): string {
  const form = /value="put-back">[\s\S]*?<\/form>/.exec(html)?.[0] ?? '';
  return (/<button[^>]*>([\s\S]*?)<\/button>/.exec(form)?.[1] ?? '').replace(/<[^>]*>/g, '').trim();
}

/** Kept versions come back, with modes and large contents; what LFS holds stays whole. */
async function keptAndLarge(world: World, clicker: Clicker): Promise<void> {
  const { url, facts, dir } = world;
  const [folder, project] = [folderOf(world, 'crane'), projectOf(world, 'crane')];
  const site = `${url}/sites/${facts.sites.crane}`;
  await until('it is in sync', async () => (await clicker.open(site)).state === 'In sync');
  const before = await filesOf(folder);
  const old = filesBelow(join(placesIn(dir).state, 'large')).map((path) => numberOf(readFileSync(path)));
  assert.ok(old.length > 0, 'no large content is kept here');
  const list = await clicker.open(`${site}/kept`);
  const versions = keptIn(list.html);
  assert.is(versions.length, 2, 'of the first connect and of the merged text');
  const [latest = '', first = ''] = versions;
  assert.match((await clicker.open(new URL(latest, url).href)).words, 'lines.txt');
  await clicker.open(new URL(`${first}/restore`, url).href);
  await clicker.press('Restore the whole folder');
  const back = await until('the folder is what it was before it was connected', async () => {
    const files = await filesOf(folder);
    return files.get('only-here.txt')?.toString() === 'in no repository\n' && files.has('old.bin') && files;
  });
  assert.is(back.get('index.html')?.toString(), 'as it was on the server\n');
  assert.ok(old.includes(numberOf(back.get('old.bin') ?? Buffer.of())), 'the large content came out of the store');
  await until('it is in sync again', async () => (await clicker.open(site)).state === 'In sync');
  await until('the branch has it', async () => (await project.files()).has('old.bin') || undefined);
  const pointer = (await project.files()).get('old.bin')?.toString() ?? '';
  const sha = /^oid sha256:(\w+)$/m.exec(pointer)?.[1] ?? '';
  assert.ok(project.lfs.get(sha)?.equals(back.get('old.bin') ?? Buffer.of()), 'GitLab has the content of the pointer');
  // And forward again: what the restore replaced was kept first.
  const [replaced = ''] = keptIn((await clicker.open(`${site}/kept`)).html);
  await clicker.open(new URL(`${replaced}/restore`, url).href);
  await clicker.press('Restore the whole folder');
  await until('the folder is what it was', async () => sameFiles(await filesOf(folder), before) || undefined);
  for (const path of ['film.bin', 'new.bin']) assert.ok((before.get(path)?.length ?? 0) > 3_500, `${path} is whole`);
}

/** No page stumbles over what is stored. */
async function everyPage(world: World, clicker: Clicker): Promise<void> {
  const { url, facts } = world;
  const { sites } = (await world.ask('/sites')) as { sites: { id: string; name: string; paused: boolean }[] };
  assert.is(sites.length, 11);
  assert.is(sites.filter(({ paused }) => paused).length, 8);
  const pages = ['/', '/attention', '/system', '/account/gitlab', '/account/tokens', '/account/notifications'];
  const ofSettings = ['schedule', 'safety', 'files', 'ignored', 'commits', 'name'];
  for (const { id } of sites) pages.push(`/sites/${id}`, `/sites/${id}/conflicts`);
  for (const id of [facts.sites.kinds, facts.sites.pier])
    pages.push(...ofSettings.map((page) => `/sites/${id}/settings/${page}`));
  for (const page of pages) {
    const { status, words } = await clicker.open(`${url}${page}`);
    assert.is(status, 200, `${page}: ${words}`);
    assert.not.match(words, /\bundefined\b|\[object Object\]|\bNaN\b|Invalid Date/, page);
  }
  const { words, html } = await clicker.open(`${url}/account/notifications`);
  assert.match(words, 'rooms.harbour.example');
  assert.match(html, 'X-Room');
  for (const name of ['monitoring', 'editor']) assert.match((await clicker.open(`${url}/account/tokens`)).words, name);
  const commits = await clicker.open(`${url}/sites/${facts.sites.kinds}/settings/commits`);
  for (const value of ['Fixed Author', 'fixed@author.example', 'Site: {summary}']) assert.match(commits.html, value);
  assert.match((await clicker.open(`${url}/sites/${facts.sites.kinds}/settings/ignored`)).html, '.env.allowed');
}
