import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Clock } from '../../src/model/world.ts';
import type { Resolve } from '../../src/net/pins.ts';
import { resolveName } from '../../src/net/probe.ts';
import { systemClock } from '../../src/world.ts';
import { until } from '../support/until.ts';
import { inHarbour, inHarbourWithoutGitLab } from '../support/daemon.ts';
import { filesOf, mooredSite } from '../support/moored.ts';
import { git, gitAsync, scratch } from '../support/plain-git.ts';
import { type Place, inPlace } from './support.ts';

const outages = suite('gitlab-depth/outages');

const page = {
  ...{ status: 200, headers: { 'Content-Type': 'text/html' } },
  body: '<!DOCTYPE html><html><body>GitLab is being upgraded</body></html>',
};

for (const [name, within] of [
  ['everything', ''],
  ['the API alone', '/api/'],
  ['git alone', '.git/'],
] as const)
  outages(`an upgrade page with 200 in place of ${name}: Retrying, and it goes on by itself`, () =>
    inHarbour(async ({ gitlab, ...harbour }) => {
      const site = await mooredSite({ gitlab, ...harbour });
      await site.settled();
      gitlab.faults.add({ match: ({ path }) => path.includes(within), ...page });
      await site.write('waits.md', 'w\n');
      await site.reaches('Retrying');
      gitlab.requests.length = 0;
      await until('it asks again', () => gitlab.requests.length > 2 || undefined);
      assert.is((await site.clicker.open(site.url)).state, 'Retrying');
      gitlab.faults.clear();
      await until('it is pushed', async () => (await site.project.files()).has('waits.md') || undefined);
      await site.reaches('In sync');
    }),
  );

outages(
  'GitLab restored to before the connect: it knows neither token, Reconnect is asked for, and the site goes on',
  () =>
    inHarbourWithoutGitLab(async (harbour) => {
      const { gitlab } = harbour;
      const site = await mooredSite(harbour);
      await site.settled();
      const known = new Set(gitlab.requests.map(({ headers }) => headers.authorization));
      gitlab.faults.add({
        match: ({ headers: { authorization } }) => authorization !== undefined && known.has(authorization),
        ...{ status: 401, body: { message: '401 Unauthorized' } },
      });
      const noRefresh = gitlab.faults.add({
        match: ({ path }) => path === '/oauth/token',
        ...{ status: 400, body: { error: 'invalid_grant' } },
      });
      await site.write('waits.md', 'w\n');
      await site.reaches('On hold');
      noRefresh();
      await site.clicker.open(`${site.url}/hold`);
      await site.clicker.press('Reconnect');
      if (site.clicker.page.words.includes('Authorize Mooring to use')) await site.clicker.press('Authorize Mooring');
      assert.match(site.clicker.page.words, 'Connected to GitLab again');
      await site.settled();
      assert.ok((await site.project.files()).has('waits.md'));
    }),
);

outages('F41: more than three branches in one push: GitLab calls no webhook, and looking finds it', () =>
  inMinutesToCome(async (place, pass) => {
    const { gitlab } = place;
    const site = await mooredSite(place);
    await site.settled();
    const { dir, remove } = scratch();
    try {
      const token = gitlab.tokens.add('ana', ['api']);
      for (const branch of ['one', 'two', 'three']) await site.project.createBranch(branch);
      await gitAsync(dir, 'clone', '-q', site.project.cloneUrl.replace('://', `://oauth2:${token}@`), 'clone');
      const clone = join(dir, 'clone');
      writeFileSync(join(clone, 'many-refs.md'), 'm\n');
      git(clone, 'add', '-A');
      git(clone, 'commit', '-q', '-m', 'To four branches at once');
      await gitlab.quiet();
      const calls = gitlab.webhookDeliveries.length;
      const refs = ['main', 'one', 'two', 'three'].map((branch) => `HEAD:refs/heads/${branch}`);
      await gitAsync(clone, 'push', '-q', 'origin', ...refs);
      // A branch whose webhook works is looked at every ten minutes, at the full minute.
      pass(11);
      const isHere = async () => (await filesOf(site.folder)).has('many-refs.md') || undefined;
      await until('looking finds it', isHere);
      await gitlab.quiet();
      assert.is(gitlab.webhookDeliveries.length, calls, 'a call came, so looking was not needed');
      assert.ok(calls > 0, 'the webhook does not work');
    } finally {
      remove();
    }
  }),
);

function inMinutesToCome(use: (place: Place, pass: (minutes: number) => void) => Promise<void>): Promise<void> {
  let ahead = 0;
  const clock: Clock = { ...systemClock, now: () => systemClock.now() + ahead };
  return inPlace({ overrides: { clock }, gitlab: { allowLocalWebhooks: true } }, (place) =>
    use(place, (minutes) => void (ahead += minutes * 60_000)),
  );
}

outages('S20: a name that leads to a metadata service is refused for git too, before git is started', async () => {
  let isTurned = false;
  let asked = 0;
  const resolve: Resolve = (url) => {
    asked += 1;
    return resolveName(isTurned ? new URL('http://169.254.169.254') : url);
  };
  await inPlace({ overrides: { resolve } }, async (place) => {
    const site = await mooredSite(place);
    await site.settled();
    isTurned = true;
    // What GitLab answers oddly is asked again by git's own commands.
    place.gitlab.faults.add({ match: ({ path }) => path.endsWith('/git-upload-pack'), status: 400 });
    const look = async (): Promise<void> => {
      await site.clicker.open(site.url);
      await site.clicker.press('Sync now');
    };
    const told = await until('it says why', async () => {
      await look();
      const { words } = await site.clicker.open(`${site.url}/settings/syncing`);
      return words.includes('link-local or a metadata service') ? words : undefined;
    });
    assert.match(told, 'Retrying');
    place.gitlab.requests.length = 0;
    const before = asked;
    await until('it is tried again', async () => look().then(() => asked > before || undefined));
    assert.equal(
      place.gitlab.requests.filter(({ path }) => path.endsWith('info/refs')),
      [],
    );
    isTurned = false;
    place.gitlab.faults.clear();
    await site.write('waits.md', 'w\n');
    await until('it goes on', async () => (await site.project.files()).has('waits.md') || undefined);
  });
});

outages(
  'a site whose tokens were dropped with their GitLab’s address is disconnected without a claim to have ended them',
  () =>
    inHarbour(async (harbour) => {
      const { gitlab, url, application } = harbour;
      const site = await mooredSite(harbour);
      await site.settled();
      const { clicker } = site;
      await clicker.open(`${url}/account/gitlab`);
      const moved = gitlab.url.replace('127.0.0.1', 'localhost');
      await clicker.press('Configure Self Hosted GitLab', { 'GitLab URL': moved, Secret: application.secret });
      const asked = await clicker.open(`${site.url}/disconnect`);
      assert.match(asked.words, 'It no longer has the tokens');
      assert.not.match(asked.words, 'revokes the connection’s token');
      const done = await clicker.press('Disconnect');
      assert.match(done.words, 'with something left over');
      assert.match(done.words, 'The connection may still be valid in the GitLab that issued it');
      assert.match(done.words, 'is still there. Remove it in GitLab');
      assert.is(gitlab.requests.filter(({ path }) => path.endsWith('/oauth/revoke')).length, 0);
      assert.ok((await filesOf(site.folder)).size > 0);
    }),
);

outages.run();
