// time limit: 180 s
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../support/clicker.ts';
import { inHarbour } from '../support/daemon.ts';
import { filesOf, mooredSite, signedIn } from '../support/moored.ts';

const hooks = suite('gitlab-depth/system-hook');

hooks('one hook for all sites: pushes arrive by it although project hooks are blocked; refused after its removal', () =>
  inHarbour(
    async (harbour) => {
      const { gitlab, world, url } = harbour;
      const clicker = await signedIn(harbour);
      const one = await mooredSite(harbour, { clicker });
      const two = await mooredSite(harbour, { clicker, project: world.gardens, name: 'Gardens' });
      // Only a call can bring a push within the time of this test.
      for (const site of [one, two]) {
        await site.settled();
        await clicker.open(`${site.url}/settings/schedule`);
        await clicker.press('Save', { 'When to look': '0 0 1 1 *' });
        const page = await clicker.open(`${site.url}/settings/syncing`);
        assert.match(page.words, 'Blocked by GitLab');
      }
      await clicker.open(`${url}/account/gitlab`);
      const made = await clicker.press('Make a secret token');
      const secret = /id="system-secret">([\w-]{43})</.exec(made.html)?.[1] ?? '';
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
      const page = await clicker.open(`${one.url}/settings/syncing`);
      assert.match(page.words, 'GitLab’s system hook calls');

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
      await clicker.press('Refuse its calls');
      assert.is((await call(secret, JSON.stringify(forged))).status, 401);
    },
    { allowLocalWebhooks: false },
  ),
);

hooks.run();
