import { execFileSync } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Clicker } from '../support/clicker.ts';
import { until } from '../support/until.ts';
import { type Harbour, inHarbour } from '../support/daemon.ts';
import { addSite, authorised, configured, filesOf, makeFolder, mooredSite, signedIn } from '../support/moored.ts';
import { Level, type Project } from '../support/gitlab/server.ts';

const preflight = suite('gitlab-depth/preflight');

/** A new site whose owner stands before the branches of a repository. */
async function atBranches(harbour: Harbour, project: Project): Promise<Clicker> {
  const clicker = await signedIn(harbour);
  await configured(harbour, clicker);
  const folder = await makeFolder(harbour.sites, 'fresh', { files: { 'mine.md': 'm\n' } });
  await addSite(harbour, clicker, 'Fresh', folder);
  await authorised(harbour, clicker);
  await clicker.press('Search', { 'Search repositories': project.path.slice(project.path.indexOf('/') + 1) });
  await clicker.press('Choose branch', { [project.path]: true });
  return clicker;
}

const chosen = (html: string): string | undefined => /<option[^>]*selected[^>]*>([^<]*)/.exec(html)?.[1];

preflight('a thousand branches before main: main is chosen, in a few requests; the search finds the others', () =>
  inHarbour(async (harbour) => {
    const { gitlab, world } = harbour;
    const project = world.website;
    const tip = await project.head();
    const names = Array.from({ length: 1050 }, (_, i) => `feature/a${String(i).padStart(4, '0')}`);
    const input = names.map((name) => `create refs/heads/${name} ${tip}\n`).join('');
    execFileSync('git', ['--git-dir', project.repoPath, 'update-ref', '--stdin'], { input });
    const clicker = await atBranches(harbour, project);
    assert.is(chosen(clicker.page.html), 'main (default)');
    assert.match(clicker.page.words, 'GitLab has more branches than are listed here');
    const asked = gitlab.requests.filter(({ path }) => path.includes('/repository/branches'));
    assert.ok(asked.length <= 4, `${asked.length} requests for branches`);
    const here = clicker.page.url.split('#')[0];
    const found = await clicker.open(`${here}&branches=a1049`);
    assert.is(chosen(found.html), 'feature/a1049', 'the only one there is');
    const many = await clicker.open(`${here}&branches=a104`);
    assert.is(chosen(many.html), 'Choose a branch', 'nobody means just any');
    const none = await clicker.press('Continue', {});
    assert.match(none.words, 'Choose a branch, or enter the name of a new one.');
  }),
);

preflight('a default branch that takes no pushes: said, and no other is chosen in its place', () =>
  inHarbour(async (harbour) => {
    const { website } = harbour.world;
    for (const name of ['archive/2019', 'archive/2020']) await website.createBranch(name);
    website.protect('main', { pushLevel: Level.none });
    const clicker = await atBranches(harbour, website);
    assert.is(chosen(clicker.page.html), 'Choose a branch');
    assert.match(clicker.page.words, 'The default branch main is protected: you cannot push to it.');
  }),
);

preflight('what GitLab would refuse stands in the warning before the click, and GitLab does refuse it', () =>
  inHarbour(async (harbour) => {
    const { gitlab, world } = harbour;
    const site = await mooredSite(harbour);
    await site.settled();
    world.website.protect('release/*', { pushLevel: Level.none });
    world.website.setPushRule({ author_email_regex: '@northwick\\.example$', reject_unsigned_commits: true });
    world.website.setSize(11 * 1024 ** 3);
    gitlab.requests.length = 0;
    const plan = await site.clicker.open(`${site.url}/confirm?project=${world.website.id}&branch=release/1`);
    assert.is(plan.status, 200);
    assert.match(plan.words, 'GitLab will reject the push.');
    assert.match(plan.words, 'New branches named like “release/*” are protected, and nobody can push to them.');
    assert.match(plan.words, 'must match “@northwick\\.example$”');
    assert.match(plan.words, 'Every commit must be signed');
    assert.match(plan.words, 'The repository’s size, with its history and all branches, is 11 GiB');
    const refused = await site.clicker.press('Switch branch');
    assert.is(refused.status, 409);
    // What GitLab does not tell is no obstacle, and stops nobody.
    for (const part of ['protected_branches', 'push_rule'])
      gitlab.faults.add({ match: ({ path }) => path.endsWith(part), status: 500 });
    gitlab.faults.add({ match: ({ url }) => url.includes('statistics=true'), status: 403 });
    const quiet = await site.clicker.open(`${site.url}/confirm?project=${world.website.id}&branch=site/draft`);
    assert.not.match(quiet.words, 'refuse');
    assert.match((await site.clicker.press('Switch branch')).words, 'is on site/draft now');
  }),
);

preflight('large files of a repository whose site does not follow LFS are counted in the warning', () =>
  inHarbour(async (harbour) => {
    const { website } = harbour.world;
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${'a'.repeat(64)}\nsize 123456\n`;
    const rules = '*.mp4 filter=lfs diff=lfs merge=lfs -text\n';
    await website.push('main', { '.gitattributes': rules, 'film.mp4': pointer, 'tour.mp4': pointer });
    const clicker = await atBranches(harbour, website);
    const plan = await clicker.press('Continue');
    assert.match(plan.words, '2 files of the repository are in LFS, and LFS is turned off for this site.');
    assert.match(plan.html, /href="[^"]*\/settings\/files"/);
  }),
);

preflight('an empty repository and rights of which GitLab names no role: the row is open, and so is the way', () =>
  inHarbour(async (harbour) => {
    const { gitlab, world } = harbour;
    const unnamed = (answer: unknown): unknown =>
      Array.isArray(answer)
        ? answer.map(unnamed)
        : { ...(answer as object), permissions: { project_access: null, group_access: null } };
    gitlab.faults.add({ match: ({ path }) => /\/api\/v4\/projects(\/\d+)?$/.test(path), mangle: unnamed });
    const clicker = await atBranches(harbour, world.empty);
    const plan = await clicker.press('Continue');
    assert.is(plan.status, 200);
    await clicker.press('Connect Self Hosted GitLab');
    await until('the first push', async () => (await world.empty.files('main')).has('mine.md') || undefined);
  }),
);

preflight('a renamed branch: look again, switch to the default one, or make it again; each does what it says', () =>
  inHarbour(async (harbour) => {
    const { website } = harbour.world;
    const site = await mooredSite(harbour);
    await site.settled();
    await website.createBranch('trunk');
    await website.setDefault('trunk');
    await website.deleteBranch('main');
    await site.reaches('On hold');
    const hold = await site.clicker.open(`${site.url}/hold`);
    for (const button of ['Check again', 'Switch to trunk', 'Choose another branch', 'Create the branch again'])
      assert.match(hold.words, button);
    await site.clicker.press('Check again');
    await site.reaches('On hold');
    assert.is(await website.head('main'), undefined, 'looking again made the branch');
    await site.clicker.open(`${site.url}/hold`);
    const plan = await site.clicker.follow('Switch to trunk');
    assert.match(plan.words, 'The site stops using main');
    assert.match((await site.clicker.press('Switch branch')).words, 'is on trunk now');
    await site.write('onwards.md', 'o\n');
    await until('onwards', async () => (await website.files('trunk')).has('onwards.md') || undefined);
    await site.reaches('In sync');
    // And the branch that comes back by itself ends the hold.
    const tip = await website.head('trunk');
    await website.deleteBranch('trunk');
    await site.reaches('On hold');
    await website.createBranch('trunk', tip);
    await site.clicker.open(`${site.url}/hold`);
    await site.clicker.press('Check again');
    await site.reaches('In sync');
    assert.ok((await filesOf(site.folder)).has('onwards.md'));
  }),
);

preflight('another default branch is told once, where it can be settled; who chose another branch is not asked', () =>
  inHarbour(async (harbour) => {
    const { website } = harbour.world;
    const site = await mooredSite(harbour);
    await site.settled();
    for (const name of ['trunk', 'next']) await website.createBranch(name);
    const attention = async (): Promise<string> => (await site.clicker.open(`${harbour.url}/attention`)).words;
    assert.not.match(await attention(), 'default branch');
    await website.setDefault('trunk');
    await site.write('edit.md', 'e\n');
    await site.settled();
    assert.match(await attention(), 'Another default branch in GitLab: 1 site');
    for (const path of ['', '/settings/syncing'])
      assert.match((await site.clicker.open(site.url + path)).words, 'trunk is now the repository’s default branch.');
    await site.clicker.press('Stay on main');
    assert.not.match((await site.clicker.open(site.url)).words, 'now the repository’s default branch');
    assert.not.match(await attention(), 'default branch');
    // Chosen with open eyes: whatever becomes the default one afterwards.
    await site.clicker.open(`${site.url}/confirm?project=${website.id}&branch=next`);
    await site.clicker.press('Switch branch');
    await website.setDefault('main');
    await site.write('again.md', 'a\n');
    await until('again', async () => (await website.files('next')).has('again.md') || undefined);
    await site.reaches('In sync');
    assert.not.match(await attention(), 'default branch');
    // Back on the default one, which is left behind again: told again.
    await site.clicker.open(`${site.url}/confirm?project=${website.id}&branch=main`);
    await site.clicker.press('Switch branch');
    await website.setDefault('trunk');
    await site.write('back.md', 'b\n');
    await until('back', async () => (await website.files('main')).has('back.md') || undefined);
    assert.match(await attention(), 'Another default branch in GitLab: 1 site');
  }),
);

preflight.run();
