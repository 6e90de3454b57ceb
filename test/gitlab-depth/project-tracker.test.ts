import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../support/until.ts';
import { type Harbour, inHarbour } from '../support/daemon.ts';
import { type MooredSite, filesOf, mooredSite } from '../support/moored.ts';
import type { Project } from '../support/gitlab/server.ts';
import { git } from '../support/plain-git.ts';

const life = suite('gitlab-depth/project-tracker');

const arrived = (project: Project, path: string, branch = 'main') =>
  until(`${path} is in ${project.path}`, async () => (await project.files(branch)).has(path) || undefined);

/** As a person would: the hold's own button while there is a hold. */
async function syncNow({ clicker, url }: MooredSite): Promise<void> {
  const page = await clicker.open(`${url}/hold`);
  for (const button of ['Check again', 'Push again', 'Sync now']) {
    if (page.words.includes(button)) return void (await clicker.press(button));
  }
}

life('a project renamed, transferred, then a newcomer at the old path: the site follows the number', () =>
  inHarbour(async (harbour) => {
    const { gitlab, world } = harbour;
    const site = await mooredSite(harbour);
    await site.settled();
    world.website.rename('harbour/pages');
    await site.write('after-rename.md', 'renamed\n');
    await arrived(world.website, 'after-rename.md');
    gitlab.groups.add({ path: 'ferries', owner: 'ana' });
    world.website.rename('ferries/pages');
    const newcomer = await gitlab.projects.create({
      ...{ path: 'harbour/website', owner: 'ana', files: { 'stranger.md': 'not ours\n' } },
    });
    const [log, hooks] = [await newcomer.log(), newcomer.hooks.length];
    await world.website.push('main', { 'from-gitlab.md': 'by the number\n' });
    await syncNow(site);
    await until('the push is here', async () => (await filesOf(site.folder)).has('from-gitlab.md') || undefined);
    await site.write('after-newcomer.md', 'still ours\n');
    await arrived(world.website, 'after-newcomer.md');
    await site.settled();
    assert.equal(await newcomer.log(), log, 'the newcomer got a commit');
    assert.is(newcomer.hooks.length, hooks);
    assert.not.ok((await filesOf(site.folder)).has('stranger.md'));
    const page = await site.clicker.open(`${site.url}/settings/syncing`);
    assert.match(page.words, 'ferries/pages on main');
    const story = await site.clicker.open(`${harbour.url}/activity`);
    assert.match(story.words, 'Updated the moved repository');
    assert.match(story.words, 'ferries/pages');
  }),
);

life('an empty newcomer that was put at the old path is not taken for a deleted branch, and gets no branch', () =>
  inHarbour(async (harbour) => {
    const { gitlab, world } = harbour;
    const site = await mooredSite(harbour);
    await site.settled();
    world.website.rename('harbour/pages');
    const newcomer = await gitlab.projects.create({ path: 'harbour/website', owner: 'ana' });
    await site.write('edit.md', 'an edit\n');
    await arrived(world.website, 'edit.md');
    await syncNow(site);
    await site.settled();
    assert.is(await newcomer.head('main'), undefined);
  }),
);

life('an archived project holds the push with its cause, and goes on when it is unarchived', () =>
  inHarbour(async (harbour) => {
    const { world } = harbour;
    const site = await mooredSite(harbour);
    await site.settled();
    const before = await world.website.log();
    world.website.archive(true);
    await site.write('waits.md', 'for the archive\n');
    await site.reaches('On hold');
    const page = await site.clicker.open(`${site.url}/settings/syncing`);
    assert.match(page.words, 'harbour/website is archived');
    assert.equal(await world.website.log(), before);
    world.website.archive(false);
    await syncNow(site);
    await arrived(world.website, 'waits.md');
    await site.settled();
  }),
);

life('access withdrawn and given back: on hold with its cause, no file goes, the edit arrives later', () =>
  inHarbour(async (harbour) => {
    const { gitlab, world } = harbour;
    const site = await mooredSite(harbour, { project: world.gardens });
    await site.settled();
    const files = (await filesOf(site.folder)).size;
    gitlab.projects.addMember(world.gardens, 'ana', 0);
    await site.write('meanwhile.md', 'nobody sees this\n');
    await syncNow(site);
    await site.reaches('On hold');
    const page = await site.clicker.open(`${site.url}/settings/syncing`);
    assert.match(page.words, 'parks/gardens-site was not found in GitLab');
    assert.is((await filesOf(site.folder)).size, files + 1);
    gitlab.projects.addMember(world.gardens, 'ana', 40);
    await syncNow(site);
    await arrived(world.gardens, 'meanwhile.md');
    await site.settled();
  }),
);

/** A project with the same commits at another path: a fork, an import, a clone that somebody pushed there. */
async function fork(harbour: Harbour, path: string, of: Project): Promise<Project> {
  const made = await harbour.gitlab.projects.create({ path, owner: 'ana', files: { 'x.md': 'x\n' } });
  git(made.repoPath, 'fetch', '-q', '--force', '--update-head-ok', of.repoPath, '+refs/heads/*:refs/heads/*');
  assert.is(await made.head(), await of.head());
  return made;
}

life('a fork with the very same commits at the old path gets nothing and stands for nothing', () =>
  inHarbour(async (harbour) => {
    const { website } = harbour.world;
    const site = await mooredSite(harbour);
    await site.settled();
    await site.write('before.md', 'just pushed\n');
    await arrived(website, 'before.md');
    await site.settled();
    website.rename('harbour/pages');
    const stranger = await fork(harbour, 'harbour/website', website);
    const tip = await stranger.head();
    await site.write('after.md', 'ours alone\n');
    await arrived(website, 'after.md');
    assert.is(await stranger.head(), tip, 'the fork got a commit');

    website.rename('harbour/third');
    const another = await fork(harbour, 'harbour/pages', website);
    await website.push('main', { 'from-gitlab.md': 'by the number\n' });
    await until('the push is here', async () => (await filesOf(site.folder)).has('from-gitlab.md') || undefined);
    await site.settled();
    assert.not.ok((await another.files()).has('from-gitlab.md'));
  }),
);

life('a refused push goes to a new branch of the own project, wherever its path leads meanwhile', () =>
  inHarbour(async (harbour) => {
    const { gitlab, world } = harbour;
    const { website } = world;
    const site = await mooredSite(harbour);
    await site.settled();
    website.protect('main', { pushLevel: 0 });
    await site.write('refused.md', 'not on main\n');
    await site.reaches('On hold');
    const elsewhere = async (branch: string) => {
      await site.clicker.open(`${site.url}/hold`);
      return () => site.clicker.press('Push to a new branch', { 'New branch': branch });
    };
    const press = await elsewhere('mooring/one');
    website.rename('harbour/pages');
    const newcomer = await gitlab.projects.create({ path: 'harbour/website', owner: 'ana', files: { 'x.md': 'x\n' } });
    const done = await press();
    assert.match(done.words, 'Pushed to mooring/one');
    assert.match(done.words, 'To create a merge request for mooring/one, visit', 'GitLab’s own words');
    assert.ok((await website.files('mooring/one')).has('refused.md'));
    assert.is(await newcomer.head('mooring/one'), undefined);

    website.archive(true);
    assert.match((await (await elsewhere('mooring/two'))()).words, 'is archived');
    website.archive(false);
    const late = await elsewhere('mooring/three');
    const projects = gitlab.projects.all().length;
    await website.delete();
    assert.match((await late()).words, 'was not found in GitLab');
    assert.is(gitlab.projects.all().length, projects - 1, 'the push made a project');
  }),
);

life('a deleted project is no deletion of files, and a push does not create it anew', () =>
  inHarbour(async (harbour) => {
    const { gitlab, world } = harbour;
    const site = await mooredSite(harbour);
    await site.settled();
    // A push that went through a moment ago proves nothing about the next.
    await site.write('early.md', 'before the end\n');
    await arrived(world.website, 'early.md');
    await site.settled();
    const index = join(site.folder, 'late.md');
    await world.website.delete();
    await site.write('late.md', 'after the end\n');
    await site.reaches('On hold');
    assert.is(await readFile(index, 'utf8'), 'after the end\n');
    assert.not.ok(gitlab.projects.all().some(({ path }) => path === 'harbour/website'));
    // And a site whose GitLab repository is gone can still be disconnected.
    await site.clicker.open(`${site.url}/disconnect`);
    const page = await site.clicker.press('Disconnect');
    assert.match(page.words, 'Disconnected from harbour/website');
  }),
);

life.run();
