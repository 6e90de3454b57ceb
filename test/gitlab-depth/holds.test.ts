import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../support/until.ts';
import { type Harbour, inHarbour, practice } from '../support/daemon.ts';
import { examplePassword } from '../support/gitlab/example.ts';
import { filesOf, mooredSite } from '../support/moored.ts';
import { Level } from '../support/gitlab/server.ts';

const holds = suite('gitlab-depth/holds');

/** The choices of a hold's page, as a person counts them. */
const buttons = (html: string): string[] =>
  [...html.matchAll(/class="option"[\s\S]*?<h3>([^<]*)<\/h3>/g)].map(([, title = '']) => title);

holds('a deleted repository: cause and choices on the hold’s page; the way out by Disconnect leads there', () =>
  inHarbour(async (harbour) => {
    const site = await mooredSite(harbour);
    await site.settled();
    const files = await filesOf(site.folder);
    await harbour.world.website.delete();
    await site.write('late.md', 'l\n');
    await site.reaches('On hold');
    const page = await site.clicker.open(`${site.url}/hold`);
    assert.match(page.words, 'The repository was not found in GitLab');
    assert.match(page.words, 'harbour/website was not found in GitLab');
    assert.equal(buttons(page.html), [
      'The repository is back, or access was restored',
      'Authorise Mooring again',
      'Use an access token instead',
      'Choose another repository',
    ]);
    await site.clicker.press('Check again');
    await site.reaches('On hold');
    assert.is((await filesOf(site.folder)).size, files.size + 1);
    await site.clicker.open(`${site.url}/hold`);
    await site.clicker.follow('Disconnect');
    assert.match((await site.clicker.press('Disconnect')).words, 'Disconnected from harbour/website');
  }),
);

holds('an archived repository: unarchived, one click pushes what waited', () =>
  inHarbour(async (harbour) => {
    const { website } = harbour.world;
    const site = await mooredSite(harbour);
    await site.settled();
    website.archive();
    await site.write('waits.md', 'w\n');
    await site.reaches('On hold');
    const page = await site.clicker.open(`${site.url}/hold`);
    assert.match(page.words, 'The repository is archived');
    assert.equal(buttons(page.html), ['I’ve unarchived it', 'Choose another repository']);
    website.archive(false);
    await site.clicker.press('Push again');
    await until('pushed', async () => (await website.files()).has('waits.md') || undefined);
    await site.settled();
  }),
);

holds('too little right: a role below Reporter on a private repository, and a scope that is too small', () =>
  inHarbour(async (harbour) => {
    const { gitlab, world } = harbour;
    const site = await mooredSite(harbour, { project: world.gardens });
    await site.settled();
    gitlab.faults.add({
      ...{ match: ({ path }) => path === `/api/v4/projects/${world.gardens.id}`, status: 403 },
      body: { error: 'insufficient_scope', error_description: 'too small', scope: 'api read_api' },
    });
    gitlab.projects.addMember(world.gardens, 'ana', Level.none);
    await site.write('waits.md', 'w\n');
    await site.reaches('On hold');
    const page = await site.clicker.open(`${site.url}/hold`);
    assert.match(page.words, 'The connection’s user has no access to this repository');
    assert.match(page.words, 'it requires the scope api read_api');
    assert.equal(buttons(page.html), [
      'Access was granted',
      'Authorise Mooring again',
      'Use an access token instead',
      'Choose another repository',
    ]);
    gitlab.faults.clear();
    gitlab.projects.addMember(world.gardens, 'ana', Level.maintainer);
    await site.clicker.press('Check again');
    await until('pushed', async () => (await world.gardens.files()).has('waits.md') || undefined);
    await site.settled();
  }),
);

for (const [name, text] of [
  ['storage move', 'The repository is temporarily read-only. Please try again later.'],
  ['Geo secondary', "You can't push code to a read-only GitLab instance."],
  [
    'maintenance mode',
    'Git push is not allowed because this GitLab instance is currently in (read-only) maintenance mode.',
  ],
] as const) {
  holds(`${name}: retrying with GitLab’s words, nobody is asked, the edit arrives when it is over`, () =>
    inHarbour(async (harbour) => {
      const { gitlab, world } = harbour;
      const site = await mooredSite(harbour);
      await site.settled();
      gitlab.faults.add({
        match: ({ url }) => url.includes('git-receive-pack'),
        ...{ status: 403, headers: { 'Content-Type': 'text/plain' }, body: text },
      });
      await site.write('waits.md', 'w\n');
      await site.reaches('Retrying');
      const page = await site.clicker.open(`${site.url}/settings/syncing`);
      assert.match(page.words, 'GitLab is in maintenance');
      assert.match(page.words, text.slice(0, 40));
      gitlab.faults.clear();
      await until('pushed', async () => (await world.website.files()).has('waits.md') || undefined);
      await site.settled();
    }),
  );
}

holds('503 by maintenance mode on every call of the API: its sentence is shown, then all goes on', () =>
  inHarbour(async (harbour) => {
    const { gitlab, world } = harbour;
    const site = await mooredSite(harbour);
    await site.settled();
    gitlab.faults.add({
      ...{ match: ({ path }) => path.startsWith('/api/') || path.includes('.git/'), status: 503 },
      body: { message: 'GitLab Maintenance: system is in maintenance mode' },
      headers: { 'Retry-After': '2' },
    });
    await site.clicker.open(site.url);
    await site.clicker.press('Sync now');
    await site.reaches('Retrying');
    const page = await site.clicker.open(`${site.url}/settings/syncing`);
    assert.match(page.words, 'GitLab says: GitLab Maintenance: system is in maintenance mode');
    await site.write('waits.md', 'w\n');
    gitlab.faults.clear();
    await until('pushed', async () => (await world.website.files()).has('waits.md') || undefined);
    await site.settled();
  }),
);

/** Stops the GitLab of a harbour and puts another one at its address, as a rebuilt server would be. */
async function anotherGitLab(harbour: Harbour): ReturnType<typeof practice> {
  const { port } = new URL(harbour.gitlab.url);
  await harbour.gitlab.stop();
  return practice(`${harbour.url}/oauth/callback`, { gitlab: { port: Number(port) } }, 'another');
}

for (const [name, end] of [
  ['held, nothing pushed to it', 'held'],
  ['a person says it is the right one: its other history is asked about before anything moves', 'adopt'],
] as const) {
  holds(`another GitLab at the same address with a project of the same number and path: ${name}`, () =>
    inHarbour(async (harbour) => {
      const site = await mooredSite(harbour);
      await site.settled();
      const files = await filesOf(site.folder);
      const other = await anotherGitLab(harbour);
      try {
        const { website } = other.world;
        assert.is(website.id, harbour.world.website.id, 'the test needs the same number');
        assert.is(website.path, harbour.world.website.path);
        const before = await website.log();
        await site.write('mine.md', 'm\n');
        await site.reaches('On hold');
        await site.clicker.open(`${harbour.url}/account/gitlab`);
        await site.clicker.press('Configure Self Hosted GitLab', {
          'Application ID (key)': other.application.applicationId,
          Secret: other.application.secret,
        });
        await site.clicker.open(`${site.url}/settings/syncing`);
        await site.clicker.press('Reconnect');
        await site.clicker.press('Sign in', { 'Username or primary email': 'ana', Password: examplePassword });
        if (site.clicker.page.words.includes('Authorize Mooring to use')) await site.clicker.press('Authorize Mooring');
        assert.match(site.clicker.page.words, 'harbour/website was replaced by another project');
        await site.reaches('On hold');
        const page = await until('the hold names it', async () => {
          const shown = await site.clicker.open(`${site.url}/hold`);
          return shown.words.includes('The repository was replaced by another project') ? shown : undefined;
        });
        assert.equal(buttons(page.html), [
          'The right GitLab is back',
          'This is the right project',
          'Choose another repository',
          'Check the GitLab settings',
        ]);
        if (end === 'held') {
          await site.clicker.press('Check again');
          await site.clicker.open(`${site.url}/disconnect`);
          const gone = await site.clicker.press('Disconnect');
          assert.match(gone.words, 'Disconnected from harbour/website');
        } else {
          await site.clicker.press('Use this project');
          const asked = await until('asked', async () => {
            const shown = await site.clicker.open(`${site.url}/hold`);
            return shown.words.includes('The branch’s history was rewritten') ? shown : undefined;
          });
          assert.match(asked.words, 'It was intentional');
        }
        assert.equal(await website.log(), before, 'something was pushed to the other GitLab');
        assert.is((await filesOf(site.folder)).size, files.size + 1);
      } finally {
        await other.gitlab.stop();
      }
    }),
  );
}

holds.run();
