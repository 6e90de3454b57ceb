import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../support/until.ts';
import { inHarbour } from '../support/daemon.ts';
import { filesOf, mooredSite, sameFiles } from '../support/moored.ts';
import type { Repository } from '../../src/sync/ports.ts';
import { Level } from '../support/gitlab/server.ts';
import { inPlace } from './support.ts';

const branches = suite('gitlab-depth/branches');

branches(
  'switch to an existing branch: the same warning in numbers, the old branch stays, the old files come back with one click',
  () =>
    inHarbour(async (harbour) => {
      const { website } = harbour.world;
      await website.createBranch('next');
      await website.push('next', { 'only-next.md': 'n\n', 'index.html': 'the next one\n' });
      const site = await mooredSite(harbour);
      await site.settled();
      const main = await website.head('main');
      await site.clicker.open(`${site.url}/settings/syncing`);
      await site.clicker.follow('Switch branch');
      const plan = await site.clicker.press('Continue', { [`Branch of ${website.path}`]: 'next' });
      assert.match(plan.words, 'The site stops using main');
      assert.match(plan.words, 'only-next.md');
      const done = await site.clicker.press('Switch branch');
      assert.match(done.words, 'Harbour is on next now');
      await until('the files of next', async () => (await filesOf(site.folder)).has('only-next.md') || undefined);
      await site.write('up.md', 'to next\n');
      await until('up on next', async () => (await website.files('next')).has('up.md') || undefined);
      assert.is(await website.head('main'), main, 'main did not move');
      const kept = await site.clicker.open(`${site.url}/kept`);
      assert.match(kept.words, 'Before connecting');
      assert.is(website.hooks.length, 1);
    }),
);

branches('switch to a new branch: made where the site was, no file changes, later edits go there', () =>
  inHarbour(async (harbour) => {
    const { website } = harbour.world;
    const site = await mooredSite(harbour);
    await site.settled();
    const [files, main] = [await filesOf(site.folder), await website.head('main')];
    await site.clicker.open(`${site.url}/branch`);
    const plan = await site.clicker.press('Continue', { 'Or a new branch from main': 'site/draft' });
    assert.match(plan.words, 'Mooring creates it from the last known commit of main');
    await site.clicker.press('Switch branch');
    assert.equal(await filesOf(site.folder), files);
    assert.is(await website.head('site/draft'), main);
    await site.write('draft.md', 'd\n');
    await until('draft', async () => (await website.files('site/draft')).has('draft.md') || undefined);
    assert.is(await website.head('main'), main);
    await site.reaches('In sync');
    // The same answer twice, as a double click sends it, is no second switch.
    await site.clicker.open(`${site.url}/confirm?project=${website.id}&branch=site/draft`);
    assert.not.match(site.clicker.page.words, 'The site stops using');
  }),
);

branches('a protected branch is said before the warning, by row and by address', () =>
  inHarbour(async (harbour) => {
    const { website } = harbour.world;
    await website.createBranch('release');
    website.protect('release', { pushLevel: Level.none });
    const site = await mooredSite(harbour);
    await site.settled();
    const page = await site.clicker.open(`${site.url}/branch`);
    assert.match(page.html, /release \(protected: you cannot push\)/);
    const refused = await site.clicker.open(`${site.url}/confirm?project=${website.id}&branch=release`);
    assert.is(refused.status, 422);
    assert.match(refused.words, 'The branch release of harbour/website is protected');
  }),
);

branches(
  'a refused push: GitLab’s words, no storm, pulling goes on, and a new branch with a merge request takes the commit',
  () =>
    inHarbour(async (harbour) => {
      const { gitlab, world } = harbour;
      const { website } = world;
      const site = await mooredSite(harbour);
      await site.settled();
      website.protect('main', { pushLevel: Level.none });
      await site.write('refused.md', 'not on main\n');
      await site.reaches('On hold');
      const page = await site.clicker.open(`${site.url}/hold`);
      assert.match(page.words, 'GitLab says:');
      assert.match(page.words, 'You are not allowed to push code to protected branches on this project.');
      const pushes = (): number => gitlab.requests.filter(({ path }) => path.endsWith('/git-receive-pack')).length;
      const tried = pushes();
      await website.push('main', { 'theirs.md': 'arrives\n' });
      await until('pulling goes on', async () => (await filesOf(site.folder)).has('theirs.md') || undefined);
      await site.reaches('On hold');
      // One push for the merge that came of it; the same commit is not offered again and again.
      const { words } = await site.clicker.open(`${site.url}/hold`);
      assert.match(words, 'It belongs on another branch');
      await gitlab.quiet();
      assert.ok(pushes() <= tried + 2, `${pushes() - tried} more pushes`);
      const done = await site.clicker.press('Push to a new branch', { 'New branch': 'mooring/proposal' });
      assert.match(done.words, 'Mooring asked GitLab to open a merge request');
      assert.ok((await website.files('mooring/proposal')).has('refused.md'));
      await gitlab.quiet();
      const hook = gitlab.webhookDeliveries.find(({ body }) => body.includes('refs/heads/mooring/proposal'));
      const { push_options: options } = JSON.parse(hook?.body ?? '{}') as { push_options?: unknown };
      assert.equal(options, { merge_request: { create: true, target: 'main' } });
      const again = await site.clicker.open(`${site.url}/hold`);
      assert.match(again.words, 'The branch is protected, and the connection’s user cannot push to it');
      website.unprotect('main');
      await site.clicker.press('Push again');
      await site.settled();
      assert.ok((await website.files()).has('refused.md'));
    }),
);

branches('no push right at all (403 at the door) is a refusal too: what others push keeps arriving', () =>
  inHarbour(async (harbour) => {
    const { gitlab, world } = harbour;
    const site = await mooredSite(harbour, { project: world.gardens });
    await site.settled();
    gitlab.projects.addMember(world.gardens, 'ana', Level.reporter);
    await site.write('mine.md', 'm\n');
    await site.reaches('On hold');
    const page = await site.clicker.open(`${site.url}/hold`);
    assert.match(page.words, 'You are not allowed to push code to this project.');
    assert.match(page.words, 'Authorise Mooring again');
    assert.not.match(page.words, 'Push to a new branch');
    await world.gardens.push('main', { 'theirs.md': 't\n' });
    await until('theirs', async () => (await filesOf(site.folder)).has('theirs.md') || undefined);
  }),
);

branches('a refused commit is not offered once more by a restart; the hold and its words are there again', () =>
  inHarbour(async (harbour) => {
    const { gitlab, world } = harbour;
    const site = await mooredSite(harbour);
    await site.settled();
    world.website.protect('main', { pushLevel: Level.none });
    await site.write('refused.md', 'r\n');
    await site.reaches('On hold');
    const pushes = (): number => gitlab.requests.filter(({ url }) => url.includes('git-receive-pack')).length;
    const tried = pushes();
    await harbour.stop();
    await harbour.start();
    await site.reaches('On hold');
    const page = await site.clicker.open(`${site.url}/hold`);
    assert.match(page.words, 'You are not allowed to push code to protected branches on this project.');
    assert.is(pushes(), tried, 'the refused commit was offered again');
    await site.clicker.press('Push to a new branch', { 'New branch': 'mooring/after-restart' });
    assert.ok((await world.website.files('mooring/after-restart')).has('refused.md'));
    world.website.unprotect('main');
    await site.clicker.open(`${site.url}/hold`);
    await site.clicker.press('Push again');
    await site.settled();
  }),
);

branches('edits go to the branch the site leaves, before the switch is counted', () =>
  inHarbour(async (harbour) => {
    const { website } = harbour.world;
    await website.createBranch('next');
    const site = await mooredSite(harbour);
    await site.settled();
    await site.write('last.md', 'the last edit on main\n');
    const plan = await site.clicker.open(`${site.url}/confirm?project=${website.id}&branch=next`);
    assert.is((await website.files('main')).get('last.md')?.toString(), 'the last edit on main\n');
    assert.not.match(plan.words, 'that main does not have');
    await site.clicker.press('Switch branch');
    await until('next', async () => !(await filesOf(site.folder)).has('last.md') || undefined);
    await site.reaches('In sync');
    assert.not.ok((await website.files('next')).has('last.md'));
  }),
);

branches('edits that the old branch refuses are named before the switch, kept with it, and can be restored', () =>
  inHarbour(async (harbour) => {
    const { website } = harbour.world;
    await website.createBranch('next');
    const site = await mooredSite(harbour);
    await site.settled();
    website.protect('main', { pushLevel: Level.none });
    await site.write('stuck.md', 'nobody takes this\n');
    await site.reaches('On hold');
    const plan = await site.clicker.open(`${site.url}/confirm?project=${website.id}&branch=next`);
    assert.match(plan.words, '1 edit that main does not have.');
    assert.match(plan.words, 'stuck.md');
    await site.clicker.press('Switch branch');
    await site.reaches('In sync');
    assert.not.ok((await filesOf(site.folder)).has('stuck.md'));
    await site.clicker.open(`${site.url}/kept`);
    await site.clicker.follow('Show files');
    assert.match(site.clicker.page.words, 'stuck.md');
  }),
);

for (const [name, when, branch] of [
  ['before the ledger’s step: it did not happen', 'before', 'main'],
  ['after the ledger’s step: it is finished', 'after', 'next'],
] as const) {
  branches(`a switch that breaks off ${name}, without a hold`, async () => {
    let armed = false;
    const breaks = (repository: Repository): Repository => ({
      ...repository,
      async updateRefs(changes, expect) {
        const isStep = armed && changes.disk !== undefined && changes.remote !== undefined;
        if (isStep) armed = false;
        if (isStep && when === 'before') throw new Error('cut off');
        await repository.updateRefs(changes, expect);
        if (isStep) throw new Error('cut off');
      },
    });
    await inPlace({ overrides: { repository: breaks } }, async (place) => {
      const { website } = place.world;
      await website.createBranch('next');
      await website.push('next', { 'only-next.md': 'n\n' });
      const site = await mooredSite(place);
      await site.settled();
      const heads = await Promise.all(['main', 'next'].map((one) => website.head(one)));
      await site.clicker.open(`${site.url}/confirm?project=${website.id}&branch=next`);
      armed = true;
      assert.is((await site.clicker.press('Switch branch')).status, 500);
      await site.clicker.open(site.url);
      await site.clicker.press('Sync now');
      await until(
        'the files of the branch that holds',
        async () => sameFiles(await filesOf(site.folder), await website.files(branch)) || undefined,
      );
      await site.reaches('In sync');
      const page = await site.clicker.open(`${site.url}/settings/syncing`);
      assert.match(page.words, `harbour/website on ${branch}`);
      assert.equal(await Promise.all(['main', 'next'].map((one) => website.head(one))), heads);
    });
  });
}

branches.run();
