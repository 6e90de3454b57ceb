import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createClicker } from '../support/clicker.ts';
import { beat } from '../support/beat.ts';
import { until } from '../support/until.ts';
import { type Harbour, inHarbourWithoutGitLab } from '../support/daemon.ts';
import { examplePassword } from '../support/gitlab/example.ts';
import type { Clock } from '../../src/model/world.ts';
import { systemClock } from '../../src/world.ts';
import { inPlace } from './support.ts';
import { type MooredSite, addSite, configured, filesOf, makeFolder, mooredSite, signedIn } from '../support/moored.ts';
import { Level } from '../support/gitlab/server.ts';

const grants = suite('gitlab-depth/grants');

/** As GitLab answers a token that it does not accept. */
const dead = { status: 401, body: { message: '401 Unauthorized' }, headers: { 'content-type': 'application/json' } };

/** The token that the daemon showed GitLab last, and which GitLab took. */
function tokenNow({ gitlab }: Harbour): string {
  const sent = gitlab.requests.findLast(
    ({ headers, status }) => status === 200 && headers.authorization?.startsWith('Bearer '),
  );
  return sent?.headers.authorization?.slice('Bearer '.length) ?? '';
}

/** What GitLab answers to it. */
async function standing({ gitlab }: Harbour, token: string): Promise<number> {
  const headers = { authorization: `Bearer ${token}` };
  return (await fetch(`${gitlab.url}/api/v4/user`, { headers })).status;
}

const tokenOf = (harbour: Harbour, value: (token: string) => void): void => {
  const sent = harbour.gitlab.requests.findLast(({ headers }) => headers.authorization?.startsWith('Bearer '));
  value(sent?.headers.authorization?.slice('Bearer '.length) ?? '');
};

for (const [name, end] of [
  ['revoked in GitLab', (harbour: Harbour) => tokenOf(harbour, (token) => harbour.gitlab.revokeToken(token))],
  [
    'the application deleted',
    ({ gitlab, application }: Harbour) => gitlab.applications.remove(application.applicationId),
  ],
] as const) {
  grants(`${name}: Reconnect, edits wait, GitLab is not shown the dead token again and again`, () =>
    inHarbourWithoutGitLab(async (harbour) => {
      const { gitlab, world } = harbour;
      const site = await mooredSite(harbour);
      await site.settled();
      end(harbour);
      gitlab.requests.length = 0;
      await site.write('waits.md', 'until somebody reconnects\n');
      await site.reaches('On hold');
      const page = await site.clicker.open(`${site.url}/settings/syncing`);
      assert.match(page.words, 'Reconnect');
      const refused = (): number => gitlab.requests.filter(({ status }) => status === 401 || status === 400).length;
      const before = refused();
      assert.ok(before <= 4, `${before} refused requests`);
      for (const edit of [1, 2, 3]) {
        await site.write(`more-${edit}.md`, 'm\n');
        await site.clicker.open(site.url);
        const sent = site.clicker.request('Pause');
        await site.clicker.send({ ...sent, url: sent.url.replace(/pause$/, 'sync') });
      }
      await site.reaches('On hold');
      assert.is(refused(), before, 'a token that is known to be dead was sent');
      if (name !== 'revoked in GitLab') return;
      await site.clicker.open(`${site.url}/hold`);
      await site.clicker.press('Reconnect');
      if (site.clicker.page.words.includes('Authorize Mooring to use')) await site.clicker.press('Authorize Mooring');
      assert.match(site.clicker.page.words, 'Connected to GitLab again');
      await site.settled();
      assert.ok((await world.website.files()).has('more-3.md'));
    }),
  );
}

grants('one Reconnect wakes every site of the grant, and ends the pair before at GitLab', () =>
  inHarbourWithoutGitLab(async (harbour) => {
    const { gitlab, world } = harbour;
    const site = await mooredSite(harbour);
    const other = await mooredSite(harbour, { clicker: site.clicker, project: world.gardens, name: 'Gardens' });
    await site.settled();
    await other.settled();
    // Not by the clock: only the grant may wake it.
    await site.clicker.open(`${other.url}/settings/schedule`);
    await site.clicker.press('Save', { 'When to check': '0 0 1 1 *' });
    const before = tokenNow(harbour);
    // Lost to the daemon and alive in GitLab, as after a restored backup.
    gitlab.faults.add({ ...dead, match: () => true });
    gitlab.faults.add({ match: ({ path }) => path === '/oauth/token', status: 400, body: { error: 'invalid_grant' } });
    await site.write('waits.md', 'w\n');
    await other.write('waits.md', 'w\n');
    await site.reaches('On hold');
    await other.reaches('On hold');
    gitlab.faults.clear();
    await site.clicker.open(`${site.url}/settings/syncing`);
    await site.clicker.press('Reconnect');
    if (site.clicker.page.words.includes('Authorize Mooring to use')) await site.clicker.press('Authorize Mooring');
    assert.match(site.clicker.page.words, 'Connected to GitLab again');
    await other.settled();
    await until('the pair before has ended', async () => (await standing(harbour, before)) === 401 || undefined);
    assert.is(await standing(harbour, tokenNow(harbour)), 200);
  }),
);

/** The five minutes between two looks at a site on hold, in a second and a half. */
const hasty: Clock = {
  ...systemClock,
  sleep: (ms, signal) => systemClock.sleep(ms === 300_000 ? 1_500 : ms, signal),
};

grants('a blocked user: on hold with that cause, and it goes on by itself when unblocked', () =>
  inPlace({ overrides: { clock: hasty } }, async (place) => {
    const { gitlab, world } = place;
    const site = await mooredSite(place);
    await site.settled();
    await site.clicker.open(`${site.url}/settings/schedule`);
    await site.clicker.press('Save', { 'When to check': '0 0 1 1 *' });
    gitlab.blockUser('ana');
    await site.write('waits.md', 'w\n');
    await site.reaches('On hold');
    const page = await site.clicker.open(`${site.url}/settings/syncing`);
    assert.match(page.words, 'blocked');
    gitlab.blockUser('ana', false);
    // Nobody touches anything.
    await until('pushed', async () => (await world.website.files()).has('waits.md') || undefined);
    await site.settled();
  }),
);

grants('reconnect as somebody else: the site goes on with that grant; without access nothing changes', () =>
  inHarbourWithoutGitLab(async (harbour) => {
    const { gitlab, world } = harbour;
    const site = await mooredSite(harbour);
    await site.settled();
    const as = async (username: string): Promise<void> => {
      await site.clicker.open(`${gitlab.url}/users/sign_in`);
      if (!site.clicker.page.words.includes('Username or primary email')) {
        await site.clicker.press('Sign out');
        await site.clicker.open(`${gitlab.url}/users/sign_in`);
      }
      await site.clicker.press('Sign in', { 'Username or primary email': username, Password: examplePassword });
      await site.clicker.open(`${site.url}/settings/syncing`);
      await site.clicker.press('Reconnect');
      if (site.clicker.page.words.includes('Authorize Mooring to use')) await site.clicker.press('Authorize Mooring');
    };
    gitlab.projects.addMember(world.website, 'piet', Level.none);
    await as('piet');
    const refused = site.clicker.page;
    assert.match(refused.words, `${world.website.path} was not found in GitLab`);
    assert.match(refused.words, 'or @piet has no access');
    assert.ok(refused.html.includes('/reconnect"'), 'the page offers another way in');
    assert.match(refused.words, 'Reconnect as another user');
    const still = await site.clicker.open(`${site.url}/settings/syncing`);
    assert.match(still.words, '@ana');
    const before = tokenNow(harbour);
    await as('lena');
    // Nobody uses ana’s any more: it does not stay open in GitLab.
    assert.is(await standing(harbour, before), 401);
    const page = await site.clicker.open(`${site.url}/settings/syncing`);
    assert.match(page.words, '@lena');
    await site.write('by-lena.md', 'l\n');
    await until('pushed', async () => (await world.website.files()).has('by-lena.md') || undefined);
    assert.match(JSON.stringify((await world.website.log())[0]), 'lena@harbour.example');
    await site.settled();
  }),
);

grants('all sites are paused together: nothing moves, also after a restart, until they are resumed', () =>
  inHarbourWithoutGitLab(async (harbour) => {
    const clicker = await signedIn(harbour);
    const { world } = harbour;
    const site = await mooredSite(harbour, { clicker });
    const apart = await mooredSite(harbour, { clicker, project: world.gardens, name: 'Gardens' });
    for (const one of [site, apart]) await one.settled();
    await clicker.open(apart.url);
    await clicker.press('Pause');
    await clicker.open(`${harbour.url}/pause-all`);
    await clicker.press('Pause all');
    await site.write('waits.md', 'here\n');
    await world.website.push('main', { 'waits-too.md': 'there\n' });
    await harbour.kill();
    await harbour.start();
    await clicker.open(harbour.url);
    assert.match(clicker.page.words, 'All sites are paused since');
    assert.not.ok((await world.website.files()).has('waits.md'));
    assert.not.ok((await filesOf(site.folder)).has('waits-too.md'));
    await clicker.follow('Resume all');
    await clicker.press('Resume all');
    await until('pushed', async () => (await world.website.files()).has('waits.md') || undefined);
    await until('pulled', async () => (await filesOf(site.folder)).has('waits-too.md') || undefined);
    assert.match((await clicker.open(apart.url)).state, 'Paused', 'it was paused on its own');
  }),
);

const manySites = Number(process.env['MOORING_TEST_SITES'] ?? 3);

grants(`the ${manySites} sites of somebody who leaves are handed over at once; one without access stays`, () =>
  inHarbourWithoutGitLab(async (harbour) => {
    const { gitlab } = harbour;
    const ana = await signedIn(harbour);
    const sites: MooredSite[] = [];
    for (let number = 1; number <= manySites; number += 1) {
      beat(`site ${number} of ${manySites}`);
      const path = `harbour/leaves-${number}`;
      const project = await gitlab.projects.create({ path, owner: 'ana', files: { 'index.html': `${number}\n` } });
      gitlab.projects.addMember(project, 'lena', number === 2 ? Level.none : Level.maintainer);
      sites.push(await mooredSite(harbour, { clicker: ana, project, name: `Site ${number}` }));
    }
    for (const site of sites) await site.settled();
    await ana.open(`${harbour.url}/account/admins`);
    await ana.press('Add account', { Name: 'Lena', 'First password': 'lena-moors-it-too', Admin: true });

    const lena = createClicker();
    await lena.open(`${harbour.url}/sign-in`);
    await lena.press('Sign in', { Name: 'Lena', Password: 'lena-moors-it-too' });
    await lena.open(`${harbour.url}/account/connections`);
    await lena.follow('Hand over the sites of @ana');
    await lena.press('Authorise in GitLab');
    await lena.press('Sign in', { 'Username or primary email': 'lena', Password: examplePassword });
    if (lena.page.words.includes('Authorize Mooring to use')) await lena.press('Authorize Mooring');
    // Back at Mooring, each repository was asked about as Lena.
    assert.match(lena.page.words, 'From @ana to @lena');
    assert.match(lena.page.words, 'GitLab does not show harbour/leaves-2 to @lena');
    const count = manySites - 1 === 1 ? '1 site' : `${manySites - 1} sites`;
    const before = await standing(harbour, tokenNow(harbour));
    assert.is(before, 200);
    const done = await lena.press(`Hand over ${count}`);
    assert.match(done.words, `${count} handed over to @lena`);
    for (const [at, site] of sites.entries()) {
      beat(`edit ${at + 1} of ${manySites}`);
      await site.write('after.md', 'a\n');
      await until('pushed', async () => (await site.project.files()).has('after.md') || undefined);
      const author = at === 1 ? 'ana@harbour.example' : 'lena@harbour.example';
      assert.match(JSON.stringify((await site.project.log())[0]), author, site.project.path);
    }
  }),
);

grants('another admin takes a site on as themselves: edits, webhook, kept versions and the other site stay', () =>
  inHarbourWithoutGitLab(async (harbour) => {
    const { world } = harbour;
    const ana = await signedIn(harbour);
    const site = await mooredSite(harbour, { clicker: ana, files: { 'before.md': 'kept\n' } });
    const other = await mooredSite(harbour, { clicker: ana, project: world.gardens, name: 'Gardens' });
    await site.settled();
    const hooks = world.website.hooks.map(({ id }) => id);
    await ana.open(`${harbour.url}/account/admins`);
    await ana.press('Add account', { Name: 'Lena', 'First password': 'lena-moors-it-too', Admin: true });
    await ana.open(site.url);
    await ana.press('Pause');
    await site.write('waits.md', 'pushed by whoever takes it on\n');

    const lena = createClicker();
    await lena.open(`${harbour.url}/sign-in`);
    await lena.press('Sign in', { Name: 'Lena', Password: 'lena-moors-it-too' });
    const before = await lena.open(`${site.url}/settings/syncing`);
    assert.match(before.words, 'The connection of Ana, who authorised Mooring in GitLab.');
    await lena.press('Use your own connection');
    await lena.press('Sign in', { 'Username or primary email': 'lena', Password: examplePassword });
    if (lena.page.words.includes('Authorize Mooring to use')) await lena.press('Authorize Mooring');
    const after = await lena.open(`${site.url}/settings/syncing`);
    assert.match(after.words, '@lena');
    assert.match(after.words, 'Your own connection.');
    assert.not.match(after.words, 'Use your own connection');
    assert.match((await ana.open(`${site.url}/settings/syncing`)).words, 'The connection of Lena');
    await lena.open(site.url);
    await lena.press('Resume');
    await until('pushed', async () => (await world.website.files()).has('waits.md') || undefined);
    assert.match(JSON.stringify((await world.website.log())[0]), 'lena@harbour.example');
    await site.settled();
    assert.equal(
      world.website.hooks.map(({ id }) => id),
      hooks,
    );
    assert.match((await lena.open(`${site.url}/kept`)).words, 'Before connecting');
    // Ana’s grant still serves the other site.
    await other.write('hers.md', 'h\n');
    await until('her push', async () => (await world.gardens.files()).has('hers.md') || undefined);
    assert.match(JSON.stringify((await world.gardens.log())[0]), 'ana@harbour.example');
    // And back, now without asking GitLab: she has a grant that works.
    await ana.open(`${site.url}/settings/syncing`);
    const back = await ana.press('Use your own connection');
    assert.match(back.words, 'This site now uses your connection');
    await site.write('again.md', 'a\n');
    await until('her push', async () => (await world.website.files()).has('again.md') || undefined);
    const story = await ana.open(`${harbour.url}/activity`);
    assert.match(story.words, 'as @lena');
  }),
);

grants(
  'an access token as second way: its end is read, shown and warned of; a wrong or a small one is told at its field',
  () =>
    inHarbourWithoutGitLab(async (harbour) => {
      const { gitlab, world } = harbour;
      const clicker = await signedIn(harbour);
      await configured(harbour, clicker);
      const folder = await makeFolder(harbour.sites, 'unattended', {});
      await addSite(harbour, clicker, 'Unattended', folder);
      await clicker.follow('Use an access token');
      const wrong = await clicker.press('Use this token', { 'Access token': 'glpat-wrongwrong' });
      assert.is(wrong.status, 422);
      assert.match(wrong.words, 'GitLab does not accept this token');
      const small = await clicker.press('Use this token', { 'Access token': gitlab.tokens.add('ana', ['read_api']) });
      assert.match(small.words, 'It needs api, or read_api and write_repository');
      const secret = gitlab.tokens.add('ana', ['api'], Date.now() + 6.5 * 86_400_000);
      await clicker.press('Use this token', { 'Access token': secret });
      assert.is(clicker.page.heading, 'Choose a repository');
      await clicker.press('Search', { 'Search repositories': 'website' });
      await clicker.press('Choose branch', { 'harbour/website': true });
      await clicker.press('Continue');
      const page = await clicker.press('Connect Self Hosted GitLab');
      assert.match(page.words, 'Unattended is connected');
      assert.match(page.words, /This token ends in [56] days/);
      assert.not.ok(page.html.includes(secret));
      await world.website.push('main', { 'down.md': 'd\n' });
      await until('down', async () => (await filesOf(folder)).has('down.md') || undefined);
      assert.not.match(harbour.output(), secret);
      // For those who read the log and no pages.
      await harbour.stop();
      const { length } = harbour.output();
      await harbour.start();
      assert.match(harbour.output().slice(length), /"days":[56][^\n]*An access token expires soon/);
    }),
);

grants(
  'the application’s secret renewed: nothing breaks while the token lives; the new one saved, all sites go on',
  () =>
    inHarbourWithoutGitLab(
      async (harbour) => {
        const site = await mooredSite(harbour);
        await site.settled();
        await site.clicker.open(`${site.url}/settings/schedule`);
        await site.clicker.press('Save', { 'When to check': '0 0 1 1 *' });
        const secret = harbour.gitlab.applications.renewSecret(harbour.application.applicationId);
        await until('on hold', async () => {
          const page = await site.clicker.open(site.url);
          if (page.state === 'On hold') return true;
          if (page.words.includes('Sync now')) await site.clicker.press('Sync now');
          return undefined;
        });
        const page = await site.clicker.open(`${site.url}/hold`);
        assert.match(page.words, 'GitLab does not know this application');
        for (const way of ['I’ve fixed it', 'Check the GitLab settings', 'Authorise Mooring again'])
          assert.match(page.words, way);
        await site.clicker.open(`${harbour.url}/account/gitlab`);
        await site.clicker.press('Configure Self Hosted GitLab', { Secret: secret });
        assert.match(site.clicker.page.words, 'Self Hosted GitLab is configured');
        await site.settled();
      },
      { tokenLifetimeSeconds: 8 },
    ),
);

grants.run();
