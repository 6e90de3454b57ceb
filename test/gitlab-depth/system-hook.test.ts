import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { systemClock } from '../../src/world.ts';
import type { Clicker } from '../support/clicker.ts';
import { until } from '../support/until.ts';
import { inHarbour } from '../support/daemon.ts';
import { filesOf, type MooredSite, mooredSite, signedIn } from '../support/moored.ts';
import { inPlace } from './support.ts';

const hooks = suite('gitlab-depth/system-hook');

/** Only a call, or a person, has the branch looked at within the time of a test. */
async function neverPolled(site: MooredSite): Promise<void> {
  await site.settled();
  await site.clicker.open(`${site.url}/settings/schedule`);
  await site.clicker.press('Save', { 'When to check': '0 0 1 1 *' });
}

const syncing = async ({ clicker, url }: MooredSite): Promise<string> =>
  (await clicker.open(`${url}/settings/syncing`)).words;

/** The secret of a new system hook, which the page shows once. */
async function systemSecret(url: string, clicker: Clicker): Promise<string> {
  await clicker.open(`${url}/account/gitlab`);
  const made = await clicker.press('Create a secret token');
  return /id="system-secret">([\w-]{43})</.exec(made.html)?.[1] ?? '';
}

hooks('one hook for all sites: pushes arrive by it although project hooks are blocked; refused after its removal', () =>
  inHarbour(
    async (harbour) => {
      const { gitlab, world, url } = harbour;
      const clicker = await signedIn(harbour);
      const one = await mooredSite(harbour, { clicker });
      const two = await mooredSite(harbour, { clicker, project: world.gardens, name: 'Gardens' });
      for (const site of [one, two]) {
        await neverPolled(site);
        assert.match(await syncing(site), 'Blocked by GitLab');
      }
      const secret = await systemSecret(url, clicker);
      assert.is.not(secret, '');
      assert.not.match((await clicker.open(`${url}/account/gitlab`)).html, secret);
      gitlab.addSystemHook({ url: `${url}/hooks/gitlab`, token: secret });

      await world.website.push('main', { 'one.md': '1\n' });
      await until('one', async () => (await filesOf(one.folder)).has('one.md') || undefined);
      assert.not.ok((await filesOf(two.folder)).has('one.md'));
      await world.gardens.push('main', { 'two.md': '2\n' });
      await until('two', async () => (await filesOf(two.folder)).has('two.md') || undefined);
      await gitlab.quiet();
      const sent = gitlab.webhookDeliveries.filter(({ event }) => event === 'System Hook');
      assert.ok(sent.every(({ status }) => status === 200));
      assert.match(await syncing(one), 'GitLab’s system hook is used');

      // It is only a hint: a forged body with the right secret costs a look, a wrong secret nothing.
      const call = (token: string, body: string): Promise<Response> =>
        fetch(`${url}/hooks/gitlab`, { method: 'POST', headers: { 'X-Gitlab-Token': token }, body });
      const before = await filesOf(one.folder);
      const forged = { event_name: 'repository_update', project_id: world.website.id, refs: ['refs/heads/evil'] };
      assert.is((await call(secret, JSON.stringify(forged))).status, 200);
      assert.is((await call('x'.repeat(43), JSON.stringify(forged))).status, 401);
      assert.is((await call('', '{}')).status, 401);
      await one.settled();
      assert.equal(await filesOf(one.folder), before);
      assert.not.match(harbour.output(), secret);

      await clicker.open(`${url}/account/gitlab`);
      await clicker.press('Stop accepting it');
      assert.is((await call(secret, JSON.stringify(forged))).status, 401);
    },
    { allowLocalWebhooks: false },
  ),
);

hooks('it is not proven by what is no push; a group, then the project under another name is followed at once', () =>
  inHarbour(
    async (harbour) => {
      const { gitlab, world, url } = harbour;
      const clicker = await signedIn(harbour);
      const site = await mooredSite(harbour, { clicker });
      await neverPolled(site);
      const secret = await systemSecret(url, clicker);
      gitlab.addSystemHook({ url: `${url}/hooks/gitlab`, token: secret });
      const body = JSON.stringify({ event_name: 'user_add_to_team', project_id: world.website.id });
      const headers = { 'X-Gitlab-Token': secret };
      assert.is((await fetch(`${url}/hooks/gitlab`, { method: 'POST', headers, body })).status, 200);
      const followed = async (path: string): Promise<void> => {
        await until(`${path} is followed`, async () => (await syncing(site)).includes(path) || undefined);
        // By a look at the repository and its hooks, not by a run that happened to ask.
        await until(
          'it was looked at',
          () => gitlab.requests.some((seen) => seen.path.endsWith('/hooks')) || undefined,
        );
        gitlab.requests.length = 0;
      };
      gitlab.requests.length = 0;
      gitlab.groups.rename('harbour', 'quay');
      await followed('quay/website');
      world.website.rename('quay/pages');
      await followed('quay/pages');
      const events = gitlab.webhookDeliveries.map(({ body: sent }) => /"event_name":"(\w+)"/.exec(sent)?.[1]);
      assert.equal(events.slice(-2), ['group_rename', 'project_rename']);
      assert.match(await syncing(site), 'Blocked by GitLab', 'a rename proves no push');
      await world.website.push('main', { 'moved.md': 'm\n' });
      await until('it arrives', async () => (await filesOf(site.folder)).has('moved.md') || undefined);
      await until('proven', async () => /system hook is used/.test(await syncing(site)) || undefined);
    },
    { allowLocalWebhooks: false },
  ),
);

hooks('a push whose call has more than a mebibyte arrives by it', () =>
  inHarbour(async (harbour) => {
    const site = await mooredSite(harbour);
    await neverPolled(site);
    const long = `${'a'.repeat(200)}/${'b'.repeat(200)}`;
    const changes = Object.fromEntries(Array.from({ length: 2_700 }, (_, at) => [`${long}/page-${at}.html`, `${at}`]));
    await harbour.world.website.push('main', changes);
    await harbour.gitlab.quiet();
    const call = harbour.gitlab.webhookDeliveries.at(-1);
    assert.ok((call?.body.length ?? 0) > 1024 * 1024);
    assert.is(call?.status, 200);
    await until('it arrives', async () => (await filesOf(site.folder)).has(`${long}/page-2699.html`) || undefined);
  }),
);

hooks('the hourly round follows a repository that moved, with nobody to tell of it', () =>
  inPlace({ overrides: { roundsMs: 300 } }, async (place) => {
    const site = await mooredSite(place);
    await neverPolled(site);
    place.world.website.rename('harbour/pages');
    await until('it is followed', async () => /harbour\/pages/.test(await syncing(site)) || undefined);
  }),
);

hooks('a push that came without a call: the page says so, and that it looks each minute again', () => {
  let ahead = 0;
  const clock = { ...systemClock, now: () => Date.now() + ahead };
  return inPlace({ overrides: { clock } }, async (place) => {
    const site = await mooredSite(place);
    await neverPolled(site);
    await until('working', async () => /Working, last delivery/.test(await syncing(site)) || undefined);
    let pushes = 0;
    await until('missed', async () => {
      // The check that follows a connect may come late, and makes a hook anew that is gone: then another push goes untold.
      (site.project.hooks as unknown[]).length = 0;
      ahead += 61_000;
      pushes += 1;
      await site.project.push('main', { [`untold-${pushes}.md`]: 'u\n' });
      await site.clicker.open(site.url);
      await site.clicker.press('Sync now');
      await until('pulled', async () => (await filesOf(site.folder)).has(`untold-${pushes}.md`) || undefined);
      return /A push arrived without a delivery/.test(await syncing(site)) || undefined;
    });
  });
});

hooks.run();
