// time limit: 300 s
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createClicker, until } from '../support/clicker.ts';
import { type Harbour, inHarbour } from '../support/daemon.ts';
import { examplePassword } from '../support/gitlab/example.ts';
import { addSite, configured, filesOf, makeFolder, mooredSite, signedIn } from '../support/moored.ts';
import { Level } from '../support/gitlab/server.ts';

const grants = suite('gitlab-depth/grants');

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
    inHarbour(async (harbour) => {
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

grants('a blocked user: on hold with that cause, and it goes on by itself when unblocked', () =>
  inHarbour(async (harbour) => {
    const { gitlab, world } = harbour;
    const site = await mooredSite(harbour);
    await site.settled();
    gitlab.blockUser('ana');
    await site.write('waits.md', 'w\n');
    await site.reaches('On hold');
    const page = await site.clicker.open(`${site.url}/settings/syncing`);
    assert.match(page.words, 'blocked');
    gitlab.blockUser('ana', false);
    await site.clicker.open(`${site.url}/hold`);
    await site.clicker.press('Try again');
    await until('pushed', async () => (await world.website.files()).has('waits.md') || undefined);
    await site.settled();
  }),
);

grants('reconnect as somebody else: the site goes on with that grant; without access nothing changes', () =>
  inHarbour(async (harbour) => {
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
    assert.match(site.clicker.page.words, 'not to be found in GitLab');
    const still = await site.clicker.open(`${site.url}/settings/syncing`);
    assert.match(still.words, '@ana');
    await as('lena');
    const page = await site.clicker.open(`${site.url}/settings/syncing`);
    assert.match(page.words, '@lena');
    await site.write('by-lena.md', 'l\n');
    await until('pushed', async () => (await world.website.files()).has('by-lena.md') || undefined);
    assert.match(JSON.stringify((await world.website.log())[0]), 'lena@harbour.example');
    await site.settled();
  }),
);

grants('another admin takes a site on as themselves: edits, webhook, kept versions and the other site stay', () =>
  inHarbour(async (harbour) => {
    const { world } = harbour;
    const ana = await signedIn(harbour);
    const site = await mooredSite(harbour, { clicker: ana, files: { 'before.md': 'kept\n' } });
    const other = await mooredSite(harbour, { clicker: ana, project: world.gardens, name: 'Gardens' });
    await site.settled();
    const hooks = world.website.hooks.map(({ id }) => id);
    await ana.open(`${harbour.url}/account/admins`);
    await ana.press('Add admin', { Name: 'Lena', 'First password': 'lena-moors-it-too' });
    await ana.open(site.url);
    await ana.press('Pause');
    await site.write('waits.md', 'pushed by whoever takes it on\n');

    const lena = createClicker();
    await lena.open(`${harbour.url}/sign-in`);
    await lena.press('Sign in', { Name: 'Lena', Password: 'lena-moors-it-too' });
    const before = await lena.open(`${site.url}/settings/syncing`);
    assert.match(before.words, 'The grant of Ana, who authorised Mooring in GitLab.');
    await lena.press('Use your own grant');
    await lena.press('Sign in', { 'Username or primary email': 'lena', Password: examplePassword });
    if (lena.page.words.includes('Authorize Mooring to use')) await lena.press('Authorize Mooring');
    const after = await lena.open(`${site.url}/settings/syncing`);
    assert.match(after.words, '@lena');
    assert.match(after.words, 'Your own grant.');
    assert.not.match(after.words, 'Use your own grant');
    assert.match((await ana.open(`${site.url}/settings/syncing`)).words, 'The grant of Lena');
    await lena.open(site.url);
    await lena.press('Resume');
    await until('pushed', async () => (await world.website.files()).has('waits.md') || undefined);
    assert.match(JSON.stringify((await world.website.log())[0]), 'lena@harbour.example');
    await site.settled();
    assert.equal(
      world.website.hooks.map(({ id }) => id),
      hooks,
    );
    assert.match((await lena.open(`${site.url}/kept`)).words, 'As it was before connecting');
    // Ana’s grant still serves the other site.
    await other.write('hers.md', 'h\n');
    await until('her push', async () => (await world.gardens.files()).has('hers.md') || undefined);
    assert.match(JSON.stringify((await world.gardens.log())[0]), 'ana@harbour.example');
    // And back, now without asking GitLab: she has a grant that works.
    await ana.open(`${site.url}/settings/syncing`);
    const back = await ana.press('Use your own grant');
    assert.match(back.words, 'This site uses your grant now');
    await site.write('again.md', 'a\n');
    await until('her push', async () => (await world.website.files()).has('again.md') || undefined);
    const story = await ana.open(`${harbour.url}/activity`);
    assert.match(story.words, 'as @lena');
  }),
);

grants(
  'an access token as second way: its end is read, shown and warned of; a wrong or a small one is told at its field',
  () =>
    inHarbour(async (harbour) => {
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
    }),
);

grants('the application’s secret renewed: nothing breaks while the token lives, then Reconnect', () =>
  inHarbour(
    async (harbour) => {
      const site = await mooredSite(harbour);
      await site.settled();
      harbour.gitlab.faults.add({
        ...{ match: ({ path }) => path === '/oauth/token', status: 401 },
        body: { error: 'invalid_client', error_description: 'Client authentication failed' },
      });
      await until('on hold', async () => {
        const page = await site.clicker.open(site.url);
        if (page.state === 'On hold') return true;
        if (page.words.includes('Sync now')) await site.clicker.press('Sync now');
        return undefined;
      });
      const page = await site.clicker.open(`${site.url}/hold`);
      assert.match(page.words, 'GitLab does not know this application');
      for (const way of ['It is put right', 'Look at the instance', 'Authorise Mooring again'])
        assert.match(page.words, way);
      harbour.gitlab.faults.clear();
      await site.clicker.press('Try again');
      await site.settled();
    },
    { tokenLifetimeSeconds: 8 },
  ),
);

grants.run();
