import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isLocalAddress } from '../../src/acts/instance-checks.ts';
import { createWebhooks } from '../../src/acts/webhooks.ts';
import type { Connection, ConnectionId, ProjectId } from '../../src/model/instance.ts';
import { Secret } from '../../src/model/secret.ts';
import type { Binding, Site, SiteId, Webhook } from '../../src/model/site.ts';
import { createWebhook } from '../../src/triggers/webhook.ts';
import { type Scene, withGitLab } from '../gitlab/support.ts';
import { listen, realClock, realRandom } from '../net/support.ts';
import { until } from '../support/clicker.ts';

const webhooks = suite('acts/webhooks');
const id = 's1' as SiteId;

/** One connected site, a server that GitLab calls, and everything that is kept of the webhook. */
async function arrange(scene: Scene, { scopes = 'api' } = {}) {
  const kept: { webhook: Webhook; token: Secret; signing?: Secret; signed: boolean } = {
    ...{ webhook: { kind: 'none', reason: '' }, token: new Secret('shared-token'), signed: false },
  };
  const answers = { status: 200 };
  const rings: string[] = [];
  const onDelivery = (_: SiteId, delivery: { at: number; signed: boolean }): void => {
    pending.push(acts.delivered(id, delivery));
  };
  const pending: Promise<void>[] = [];
  const heard = createWebhook({
    clock: realClock,
    secretsOf: () => ({ site: id, secrets: kept }),
    onRing: (site) => rings.push(site),
    onDelivery,
  });
  const server = await listen((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (answers.status !== 200) return void response.writeHead(answers.status).end();
      const verdict = heard(id, request.headers, Buffer.concat(chunks));
      response.writeHead(verdict === 'accepted' ? 202 : 401).end();
    });
  });
  const binding = (): Binding => ({
    ...{ connectionId: 'c1' as ConnectionId, projectId: scene.project.id as ProjectId, webhook: kept.webhook },
    ...{ projectPath: scene.project.path, webUrl: '', cloneUrl: '', branch: 'main' as never, connectedAt: 0 },
  });
  const publicUrl = { now: server.url };
  const token = scene.pat('ana');
  const deps = {
    get publicUrl() {
      return publicUrl.now;
    },
    instance: scene.instance,
    connection: () => ({ scopes }) as Connection,
    withToken: <T>(_: ConnectionId, use: (token: Secret) => Promise<T>) => use(token),
    client: scene.client,
    sites: {
      get: () => ({ id, binding: binding() }) as unknown as Site,
      setWebhook: async (_: SiteId, webhook: Webhook) => void (kept.webhook = webhook),
      hookSecrets: () => kept,
      setHookSigning: async (_: SiteId, { signing, signed }: { signing?: Secret; signed: boolean }) => {
        if (signing) kept.signing = signing;
        kept.signed = signed;
      },
    },
    isLocal: async (url: URL) => isLocalAddress(url.hostname) || url.hostname === 'localhost',
    siteChanged: () => undefined,
    random: realRandom,
  };
  const acts = createWebhooks(deps);
  const settled = async () => {
    await scene.gitlab.quiet();
    await Promise.all(pending);
  };
  return { acts, kept, rings, answers, server, publicUrl, binding, settled, hooks: () => scene.project.hooks };
}

webhooks(
  'GitLab 19: both secrets are sent, the test delivery is signed, and from then on unsigned ones are refused',
  () =>
    withGitLab(
      async (scene) => {
        const { acts, kept, rings, hooks, settled, server } = await arrange(scene);
        await acts.setUp(id);
        await settled();
        assert.is(hooks().length, 1);
        assert.is(hooks()[0]?.token, 'shared-token');
        assert.match(hooks()[0]?.signingToken ?? '', /^whsec_[A-Za-z0-9+/]{43}=$/);
        assert.is(hooks()[0]?.signingToken, kept.signing?.open());
        assert.is(kept.webhook.kind, 'working');
        assert.is(kept.signed, true);
        assert.equal(rings, [id]);
        const forged = await fetch(`${server.url}/hooks/gitlab/${id}`, {
          ...{ method: 'POST', headers: { 'x-gitlab-token': 'shared-token' }, body: '{}' },
        });
        assert.is(forged.status, 401, 'the right token alone is no longer enough');
        await server.close();
      },
      { allowLocalWebhooks: true, version: '19.0.0' },
    ),
);

webhooks('GitLab 18 drops the signing token without a word: the token alone is accepted', () =>
  withGitLab(
    async (scene) => {
      const { acts, kept, settled, server } = await arrange(scene);
      await acts.setUp(id);
      await settled();
      assert.is(kept.webhook.kind, 'working');
      assert.is(kept.signed, false);
      await server.close();
    },
    { allowLocalWebhooks: true, version: '18.5.1' },
  ),
);

webhooks(
  'set up again and again, and from another address: never more than one hook; doubles of a restored backup go',
  () =>
    withGitLab(
      async (scene) => {
        const { acts, publicUrl, hooks, server, settled } = await arrange(scene);
        await acts.setUp(id);
        await acts.setUp(id);
        assert.is(hooks().length, 1);
        const elsewhere = await listen((_, response) => void response.writeHead(202).end());
        publicUrl.now = elsewhere.url;
        await acts.look(id);
        assert.equal(
          hooks().map(({ url }) => url),
          [`${elsewhere.url}/hooks/gitlab/${id}`],
        );
        const double = { url: `${elsewhere.url}/hooks/gitlab/${id}`, token: 'old' };
        await fetch(`${scene.gitlab.url}/api/v4/projects/${scene.project.id}/hooks`, {
          method: 'POST',
          headers: { authorization: `Bearer ${scene.pat('ana').open()}`, 'content-type': 'application/json' },
          body: JSON.stringify(double),
        });
        assert.is(hooks().length, 2);
        await acts.setUp(id);
        assert.is(hooks().length, 1);
        await settled();
        await elsewhere.close();
        await server.close();
      },
      { allowLocalWebhooks: true },
    ),
);

webhooks('a hook that GitLab disabled after failures is switched on again by a test delivery', () =>
  withGitLab(
    async (scene) => {
      const { acts, kept, answers, hooks, server, settled } = await arrange(scene);
      await acts.setUp(id);
      await settled();
      answers.status = 500;
      for (let push = 0; push < 4; push += 1) {
        await scene.project.push('main', { 'index.html': `${push}` });
        await settled();
      }
      await acts.look(id);
      assert.equal({ ...kept.webhook }, { kind: 'disabled', hookId: hooks()[0]?.id, resting: true });
      answers.status = 200;
      await acts.look(id);
      await settled();
      assert.is(kept.webhook.kind, 'working');
      assert.is(hooks()[0]?.disabledUntil, undefined);
      await server.close();
    },
    { allowLocalWebhooks: true },
  ),
);

webhooks(
  'a hook that somebody deleted in GitLab is made anew; removing takes it away, also when it is gone already',
  () =>
    withGitLab(
      async (scene) => {
        const { acts, binding, hooks, server, settled } = await arrange(scene);
        await acts.setUp(id);
        (hooks() as unknown[]).length = 0;
        await acts.look(id);
        assert.is(hooks().length, 1);
        assert.is(await acts.remove(id, binding()), 'gone');
        assert.is(hooks().length, 0);
        assert.is(await acts.remove(id, binding()), 'gone');
        await settled();
        await server.close();
      },
      { allowLocalWebhooks: true },
    ),
);

webhooks(
  'a hook of our number that is another’s, on another GitLab at the same address, is neither changed nor deleted',
  () =>
    withGitLab(
      async (scene) => {
        const { acts, kept, binding, hooks, server, settled } = await arrange(scene);
        await acts.setUp(id);
        const theirs = hooks()[0];
        assert.ok(theirs);
        theirs.url = 'https://ci.example/hooks/gitlab/other';
        assert.is(await acts.remove(id, binding()), 'gone');
        assert.is(hooks()[0], theirs);
        await acts.setUp(id);
        assert.is(theirs.url, 'https://ci.example/hooks/gitlab/other');
        assert.is(hooks().length, 2);
        assert.is.not(
          kept.webhook.kind === 'waiting' || kept.webhook.kind === 'working' ? kept.webhook.hookId : 0,
          theirs.id,
        );
        await settled();
        await server.close();
      },
      { allowLocalWebhooks: true },
    ),
);

webhooks(
  '422 for a local address is “blocked by GitLab” with that address; allowed later, trying again sets it up',
  () =>
    withGitLab(async (scene) => {
      const { acts, kept, server, settled } = await arrange(scene);
      await acts.setUp(id);
      assert.equal(kept.webhook, { kind: 'blocked', address: new URL(server.url).host });
      scene.gitlab.settings.allowLocalWebhooks = true;
      await acts.setUp(id);
      await settled();
      assert.is(kept.webhook.kind, 'working');
      await server.close();
    }),
);

webhooks('422 for any other address is no local block; without the scope api, and below Maintainer, it says so', () =>
  withGitLab(async (scene) => {
    const first = await arrange(scene);
    first.publicUrl.now = 'http://mooring.invalid';
    scene.gitlab.faults.add({
      ...{ match: ({ method, path }) => method === 'POST' && path.endsWith('/hooks'), times: 1 },
      ...{ status: 422, body: { error: 'Invalid url given' } },
    });
    await first.acts.setUp(id);
    assert.match(JSON.stringify(first.kept.webhook), 'GitLab refuses to call mooring.invalid');
    const small = await arrange(scene, { scopes: 'read_api write_repository' });
    await small.acts.setUp(id);
    assert.equal(small.kept.webhook, { kind: 'none', reason: 'The connection has no api scope.' });
    scene.gitlab.faults.add({
      ...{ match: ({ path }) => path.endsWith('/hooks'), status: 403, body: { message: '403 Forbidden' } },
    });
    await first.acts.setUp(id);
    assert.match(JSON.stringify(first.kept.webhook), 'Only a Maintainer');
    await first.server.close();
    await small.server.close();
  }),
);

webhooks(
  'a push that came without a call takes the proof away, a call shortly before does not, and the next gives it back',
  () =>
    withGitLab(
      async (scene) => {
        const { acts, kept, server, settled } = await arrange(scene);
        await acts.setUp(id);
        await settled();
        await until('working', () => kept.webhook.kind === 'working');
        const { lastDeliveryAt = 0 } = kept.webhook as { lastDeliveryAt?: number };
        await acts.missed(id, lastDeliveryAt + 5_000);
        assert.is(kept.webhook.kind, 'working');
        await acts.missed(id, lastDeliveryAt + 61_000);
        assert.equal({ ...kept.webhook, hookId: 0 }, { kind: 'waiting', hookId: 0, missedAt: lastDeliveryAt + 61_000 });
        await acts.delivered(id, { at: lastDeliveryAt + 70_000, signed: false });
        assert.is(kept.webhook.kind, 'working');
        await server.close();
      },
      { allowLocalWebhooks: true },
    ),
);

webhooks.run();
