import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isLocalAddress } from '../../src/actions/instance-checks.ts';
import { createWebhooks, hookIdOf } from '../../src/actions/webhooks.ts';
import type { Connection, ConnectionId, ProjectId } from '../../src/model/instance.ts';
import { Secret } from '../../src/model/secret.ts';
import type { Binding, Site, SiteId, Webhook } from '../../src/model/site.ts';
import { createWebhook } from '../../src/triggers/webhook.ts';
import { type Scene, withGitLab } from '../gitlab/support.ts';
import { listen, realClock, realRandom } from '../net/support.ts';
import { until } from '../support/until.ts';

const webhooks = suite('actions/webhooks');
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
    onTrigger: (site) => rings.push(site),
    onDelivery,
  });
  const server = await listen((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (answers.status !== 200) return void response.writeHead(answers.status).end();
      const hearing = heard(id, request.headers);
      for (const chunk of chunks) hearing.take(chunk);
      response.writeHead(hearing.end() === 'accepted' ? 202 : 401).end();
    });
  });
  const binding = (): Binding => ({
    ...{ connectionId: 'c1' as ConnectionId, projectId: scene.project.id as ProjectId, webhook: kept.webhook },
    ...{ projectPath: scene.project.path, webUrl: '', cloneUrl: '', branch: 'main' as never, connectedAt: 0 },
  });
  const publicUrl = { now: server.url };
  const token = scene.pat('ana');
  const deps = {
    config: {
      get publicUrl() {
        return publicUrl.now;
      },
    },
    tokens: { withToken: <T>(_: ConnectionId, use: (token: Secret) => Promise<T>) => use(token) },
    client: scene.client,
    store: {
      instance: { get: scene.instance, connection: () => ({ scopes }) as Connection },
      sites: {
        get: () => ({ id, binding: binding() }) as unknown as Site,
        setWebhook: async (_: SiteId, webhook: Webhook) => void (kept.webhook = webhook),
        hookSecrets: () => kept,
        setHookSigning: async (_: SiteId, { signing, signed }: { signing?: Secret; signed: boolean }) => {
          if (signing) kept.signing = signing;
          kept.signed = signed;
        },
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

/** What came of the newest call. */
const lastStatus = (scene: Scene): number | undefined => scene.gitlab.webhookDeliveries.at(-1)?.status;

const inHooks = ({ path }: { readonly path: string }): boolean => path.includes('/hooks');

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
        await acts.check(id);
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
      await acts.check(id);
      assert.equal({ ...kept.webhook }, { kind: 'disabled', hookId: hooks()[0]?.id, resting: true });
      answers.status = 200;
      await acts.check(id);
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
        await acts.check(id);
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

webhooks('GitLab calls the address by which it reaches this daemon, where one is set; a look keeps to it', () =>
  withGitLab(
    async (scene) => {
      const { acts, hooks, server, settled, publicUrl } = await arrange(scene);
      const reachableAt = server.url;
      publicUrl.now = 'https://mooring.example';
      scene.configure({ advanced: { ...scene.instance().advanced, reachableAt } });
      await acts.setUp(id);
      await settled();
      assert.equal(
        hooks().map(({ url }) => url),
        [`${reachableAt}/hooks/gitlab/${id}`],
      );
      const before = scene.gitlab.requests.length;
      await acts.check(id);
      const written = scene.gitlab.requests.slice(before).filter(({ method }) => method === 'PUT');
      assert.equal(written, [], 'the hook leads where it should: nothing to save');
      scene.configure({ advanced: { ...scene.instance().advanced, reachableAt: '' } });
      publicUrl.now = reachableAt.replace('localhost', '127.0.0.1');
      await acts.check(id);
      assert.equal(
        hooks().map(({ url }) => url),
        [`${publicUrl.now}/hooks/gitlab/${id}`],
      );
      await settled();
      await server.close();
    },
    { allowLocalWebhooks: true },
  ),
);

webhooks(
  'GitLab signs no more: the next look takes the demand back, and calls by the token alone are heard again',
  () =>
    withGitLab(
      async (scene) => {
        const { acts, kept, settled, server } = await arrange(scene);
        await acts.setUp(id);
        await settled();
        assert.is(kept.signed, true);
        scene.gitlab.settings.signsWebhooks = false;
        await scene.project.push('main', { 'lost.txt': 'x' });
        await settled();
        assert.is(lastStatus(scene), 401, 'until then it looks like a forger');
        await acts.check(id);
        await settled();
        assert.is(kept.signed, false);
        for (const content of ['1', '2', '3', '4', '5']) {
          await scene.project.push('main', { 'heard.txt': content });
          await settled();
          assert.is(lastStatus(scene), 202);
        }
        assert.is(kept.webhook.kind, 'working');
        assert.is(scene.gitlab.webhookDeliveries.at(-1)?.headers['webhook-signature'], undefined);
        // And back: one signed call is enough to demand them again.
        scene.gitlab.settings.signsWebhooks = true;
        await acts.setUp(id);
        await settled();
        assert.is(kept.signed, true);
        await server.close();
      },
      { allowLocalWebhooks: true, version: '19.0.0' },
    ),
);

webhooks('setting up fails for a moment: the hook is not forgotten, its calls count, disconnecting takes it away', () =>
  withGitLab(
    async (scene) => {
      const { acts, kept, settled, server, hooks, binding } = await arrange(scene);
      await acts.setUp(id);
      await settled();
      const hookId = hooks()[0]?.id;
      const heal = scene.gitlab.faults.add({ match: inHooks, status: 502, body: 'bad gateway' });
      await acts.setUp(id);
      assert.equal(kept.webhook, {
        ...{ kind: 'none', reason: 'GitLab did not answer when the webhook was set up.', hookId },
      });
      assert.is(await acts.remove(id, binding()), 'left');
      heal();
      await scene.project.push('main', { x: '1' });
      await settled();
      assert.equal({ ...kept.webhook, lastDeliveryAt: 0 }, { kind: 'working', hookId, lastDeliveryAt: 0 });
      assert.is(await acts.remove(id, binding()), 'gone');
      assert.is(hooks().length, 0);
      await server.close();
    },
    { allowLocalWebhooks: true },
  ),
);

webhooks(
  'the answer to its making is lost: its first call, the next look and disconnecting find it by its address',
  () =>
    withGitLab(
      async (scene) => {
        const first = await arrange(scene);
        const making = ({ method, path }: { method: string; path: string }) =>
          method === 'POST' && path.endsWith('/hooks');
        const lose = async (): Promise<void> => {
          scene.gitlab.faults.add({ match: making, times: 1, cutAfterBytes: 0 });
          await first.acts.setUp(id);
          assert.equal(first.kept.webhook, {
            ...{ kind: 'none', reason: 'GitLab did not answer when the webhook was set up.' },
          });
          assert.is(first.hooks().length, 1);
        };
        await lose();
        await scene.project.push('main', { x: '1' });
        await first.settled();
        assert.is(first.kept.webhook.kind, 'working');
        first.kept.webhook = { kind: 'none', reason: '' };
        await first.acts.check(id);
        await first.settled();
        assert.is(first.kept.webhook.kind, 'working');
        assert.is(first.hooks().length, 1);
        first.kept.webhook = { kind: 'none', reason: '' };
        const theirs = structuredClone({ ...first.hooks()[0], log: [], url: 'https://ci.example/hooks/gitlab/other' });
        (first.hooks() as unknown[]).push(theirs);
        assert.is(await first.acts.remove(id, first.binding()), 'gone');
        assert.equal(
          first.hooks().map(({ url }) => url),
          ['https://ci.example/hooks/gitlab/other'],
        );
        await first.server.close();
      },
      { allowLocalWebhooks: true },
    ),
);

webhooks('disconnecting without a known hook while GitLab is away, or without the right to ask: nothing is left', () =>
  withGitLab(async (scene) => {
    const { acts, binding, server } = await arrange(scene);
    scene.gitlab.faults.add({ match: inHooks, status: 403, body: { message: '403 Forbidden' } });
    assert.is(await acts.remove(id, binding()), 'gone');
    await server.close();
    const small = await arrange(scene, { scopes: 'read_api write_repository' });
    scene.gitlab.requests.length = 0;
    assert.is(await small.acts.remove(id, small.binding()), 'gone');
    assert.is(scene.gitlab.requests.filter(inHooks).length, 0);
    await small.server.close();
  }),
);

webhooks(
  'another address that GitLab refuses: the hook of the old one is kept in mind, and moves when it is allowed',
  () =>
    withGitLab(
      async (scene) => {
        const { acts, kept, settled, server, hooks, publicUrl, binding } = await arrange(scene);
        await acts.setUp(id);
        await settled();
        const hookId = hooks()[0]?.id;
        scene.gitlab.settings.allowLocalWebhooks = false;
        publicUrl.now = server.url.replace('localhost', '127.0.0.1');
        await acts.check(id);
        assert.equal(kept.webhook, { kind: 'blocked', address: new URL(publicUrl.now).host, hookId });
        scene.gitlab.settings.allowLocalWebhooks = true;
        await acts.check(id);
        await settled();
        assert.equal(
          hooks().map(({ id: each, url }) => [each, url]),
          [[hookId, `${publicUrl.now}/hooks/gitlab/${id}`]],
        );
        // Those that piled up under other hosts go too.
        (hooks() as unknown[]).unshift({
          ...structuredClone(hooks()[0]),
          id: 9_999,
          url: `https://old.example/hooks/gitlab/${id}`,
        });
        await acts.setUp(id);
        assert.equal(
          hooks().map((each) => each.id),
          [hookId],
        );
        await settled();
        assert.is(await acts.remove(id, binding()), 'gone');
        assert.is(hooks().length, 0);
        await server.close();
      },
      { allowLocalWebhooks: true },
    ),
);

webhooks('any other refusal is told in GitLab’s words, not as a blocked network', () =>
  withGitLab(
    async (scene) => {
      const { acts, kept, server, settled } = await arrange(scene);
      const reason = (): string => (kept.webhook.kind === 'none' ? kept.webhook.reason : kept.webhook.kind);
      scene.gitlab.settings.mostHooks = 0;
      await acts.setUp(id);
      assert.match(reason(), /“Maximum number of project hooks \(0\) exceeded”\. Fix this .* Settings \/ Webhooks/);
      scene.gitlab.settings.mostHooks = 100;
      for (const [body, words] of [
        [{ error: 'Invalid branch filter given' }, '“Invalid branch filter given”'],
        [{ message: { signing_token: ['must start with whsec_'] } }, '“signing_token must start with whsec_”'],
        ['', '“no reason given”'],
      ] as const) {
        const saving = ({ method, path }: { method: string; path: string }) =>
          method === 'POST' && path.endsWith('/hooks');
        scene.gitlab.faults.add({ match: saving, status: 422, body, times: 1 });
        await acts.setUp(id);
        assert.match(reason(), words);
      }
      scene.gitlab.faults.add({
        ...{ match: ({ method }) => method === 'POST', times: 1, status: 422 },
        body: { message: { url: ['is blocked: Requests to the local network are not allowed'] } },
      });
      await acts.setUp(id);
      assert.is(kept.webhook.kind, 'blocked', 'a GitLab that says so itself is believed');
      await settled();
      await server.close();
    },
    { allowLocalWebhooks: true },
  ),
);

webhooks('blocked when it calls, not when it was saved: the test call tells, and the page says how to allow it', () =>
  withGitLab(
    async (scene) => {
      const { acts, kept, server, settled, hooks } = await arrange(scene);
      const { settings } = scene.gitlab;
      const host = new URL(server.url).host;
      // The name meant another address while it was saved, or the admin closes the network right after.
      const closing = scene.gitlab.faults.add({
        ...{ match: ({ path }) => (path.includes('/test/') ? !(settings.allowLocalWebhooks = false) : false) },
        mangle: (answer) => answer,
      });
      await acts.setUp(id);
      closing();
      assert.equal(kept.webhook, { kind: 'blocked', address: host, hookId: hooks()[0]?.id });
      // A hook that was proven and lost its proof says it at the next look.
      settings.allowLocalWebhooks = true;
      await acts.check(id);
      await settled();
      assert.is(kept.webhook.kind, 'working');
      settings.allowLocalWebhooks = false;
      await acts.missed(id, Date.now() + 61_000);
      assert.is(kept.webhook.kind, 'waiting');
      await acts.check(id);
      assert.equal(kept.webhook, { kind: 'blocked', address: host, hookId: hooks()[0]?.id });
      assert.is(hooks().length, 1);
      scene.gitlab.faults.add({
        ...{ match: ({ path }) => path.includes('/test/'), times: 1, status: 422 },
        body: { message: 'URL is blocked: Host cannot be resolved or invalid' },
      });
      settings.allowLocalWebhooks = true;
      await acts.setUp(id);
      assert.equal(kept.webhook, {
        ...{ kind: 'none', reason: `GitLab does not find the name ${host}.`, hookId: hooks()[0]?.id },
      });
      await server.close();
    },
    { allowLocalWebhooks: true },
  ),
);

webhooks('a test call that failed is shown in GitLab’s words, made printable, until one arrives', () =>
  withGitLab(
    async (scene) => {
      const { acts, kept, server, settled, answers, hooks } = await arrange(scene);
      answers.status = 500;
      const failing = scene.gitlab.faults.add({
        match: ({ path }) => path.includes('/test/'),
        ...{ status: 422, body: { message: 'Net::ReadTimeout \u202e\u0007' } },
      });
      await acts.setUp(id);
      const waiting = { kind: 'waiting', hookId: hooks()[0]?.id };
      assert.equal({ ...kept.webhook }, { ...waiting, said: 'Net::ReadTimeout \\u{202e}\\x07' });
      failing();
      // GitLab got through to something, which was not this daemon: nothing is proven, and nothing failed.
      const arriving = { status: 201, body: { message: '201 Created' } };
      scene.gitlab.faults.add({ match: ({ path }) => path.includes('/test/'), times: 1, ...arriving });
      await acts.setUp(id);
      assert.equal({ ...kept.webhook }, waiting);
      answers.status = 200;
      await acts.setUp(id);
      await settled();
      assert.is(kept.webhook.kind, 'working');
      await server.close();
    },
    { allowLocalWebhooks: true },
  ),
);

webhooks('removing where GitLab is away: left, if it was there; not known, if its making was never answered', () =>
  withGitLab(
    async (scene) => {
      const { acts, binding, kept, server, settled, hooks } = await arrange(scene);
      // Made in GitLab, and the answer is lost.
      scene.gitlab.faults.add({
        match: ({ method, path }) => method === 'POST' && path.endsWith('/hooks'),
        ...{ times: 1, cutAfterBytes: 0 },
      });
      await acts.setUp(id);
      assert.is(hooks().length, 1);
      assert.is(hookIdOf(kept.webhook), undefined);
      const away = scene.gitlab.faults.add({ match: inHooks, status: 502, body: 'Bad Gateway' });
      assert.is(await acts.remove(id, binding()), 'unknown');
      kept.webhook = { kind: 'waiting', hookId: hooks()[0]?.id ?? 0 };
      assert.is(await acts.remove(id, binding()), 'left');
      away();
      kept.webhook = { kind: 'none', reason: '' };
      // Who may not look at webhooks could not have made one.
      const closed = scene.gitlab.faults.add({ match: inHooks, status: 403, body: { message: '403 Forbidden' } });
      assert.is(await acts.remove(id, binding()), 'gone');
      closed();
      assert.is(await acts.remove(id, binding()), 'gone');
      assert.is(hooks().length, 0);
      await settled();
      await server.close();
    },
    { allowLocalWebhooks: true },
  ),
);

webhooks('a push came without a call: looking again does not take a test call for the proof', () =>
  withGitLab(
    async (scene) => {
      const { acts, kept, server, settled, hooks } = await arrange(scene);
      await acts.setUp(id);
      await settled();
      const hook = hooks()[0];
      assert.ok(hook);
      hook.events['push_events'] = false;
      await acts.missed(id, Date.now() + 61_000);
      await acts.check(id);
      await settled();
      assert.is(kept.webhook.kind, 'waiting');
      assert.ok('missedAt' in kept.webhook);
      assert.is(hook.events['push_events'], true, 'who unticked pushes did so by mistake');
      await scene.project.push('main', { x: '1' });
      await settled();
      assert.is(kept.webhook.kind, 'working');
      await server.close();
    },
    { allowLocalWebhooks: true },
  ),
);

webhooks('before 16.11 there is no test call: a hook that is disabled for good is made anew', () =>
  withGitLab(
    async (scene) => {
      const { acts, kept, answers, server, settled, hooks } = await arrange(scene);
      await acts.setUp(id);
      await scene.project.push('main', { x: 'a' });
      await settled();
      assert.is(kept.webhook.kind, 'working');
      const old = hooks()[0];
      answers.status = 404;
      for (const content of ['1', '2', '3', '4']) {
        await scene.project.push('main', { x: content });
        await settled();
      }
      assert.is(old?.disabledForGood, true);
      answers.status = 200;
      await acts.check(id);
      assert.is(hooks().length, 1);
      assert.is.not(hooks()[0]?.id, old?.id);
      assert.equal(kept.webhook, { kind: 'waiting', hookId: hooks()[0]?.id });
      await scene.project.push('main', { x: 'b' });
      await settled();
      assert.is(kept.webhook.kind, 'working');
      await server.close();
    },
    { allowLocalWebhooks: true, version: '16.5.0' },
  ),
);

webhooks('more than a hundred hooks: ours is found on whichever page, and no second one is made', () =>
  withGitLab(
    async (scene) => {
      const { acts, kept, server, settled, hooks, binding } = await arrange(scene);
      await acts.setUp(id);
      await settled();
      const ours = hooks()[0];
      const many = Array.from({ length: 205 }, (_, at) => ({
        ...structuredClone({ ...ours, log: [] }),
        ...{ id: 10_000 + at, url: `https://ci.example/${at}` },
      }));
      (hooks() as unknown[]).splice(0, 1, ...many, ours);
      kept.webhook = { kind: 'none', reason: '' };
      await acts.setUp(id);
      await acts.setUp(id);
      await settled();
      assert.is(hooks().length, 206);
      assert.is(hookIdOf(kept.webhook), ours?.id);
      assert.is(await acts.remove(id, binding()), 'gone');
      assert.is(hooks().length, 205);
      await server.close();
    },
    { allowLocalWebhooks: true },
  ),
);

webhooks('why there is none: the repository vanished, the grant ended, the user is blocked, the answer is odd', () =>
  withGitLab(
    async (scene) => {
      const { acts, kept, server, settled, hooks } = await arrange(scene);
      await acts.setUp(id);
      await settled();
      const hookId = hooks()[0]?.id;
      for (const [status, message, words] of [
        [404, '404 Project Not Found', /does not find the repository/],
        [401, '401 Unauthorized', /accepts the connection’s token no more/],
        [403, '403 Forbidden - Your account has been blocked.', /has blocked the user/],
        [418, 'I am a teapot', /not understood: “I am a teapot”/],
      ] as const) {
        const heal = scene.gitlab.faults.add({ match: inHooks, status, body: { message } });
        await acts.setUp(id);
        heal();
        assert.match(kept.webhook.kind === 'none' ? kept.webhook.reason : kept.webhook.kind, words);
        assert.is(hookIdOf(kept.webhook), hookId);
      }
      const gone = scene.gitlab.faults.add({ match: inHooks, status: 404, body: { message: '404 Project Not Found' } });
      await acts.check(id);
      assert.match(JSON.stringify(kept.webhook), 'does not find the repository');
      gone();
      await server.close();
    },
    { allowLocalWebhooks: true },
  ),
);

webhooks(
  'a system hook counts only where no project hook calls, and a push without its call takes its proof away',
  () =>
    withGitLab(
      async (scene) => {
        const { acts, kept, server } = await arrange(scene);
        for (const webhook of [
          { kind: 'working', hookId: 7, lastDeliveryAt: 1 },
          { kind: 'waiting', hookId: 7 },
          { kind: 'disabled', hookId: 7, resting: false },
        ] as const) {
          kept.webhook = webhook;
          await acts.deliveredBySystem(id, 100_000);
          assert.is(kept.webhook, webhook);
        }
        kept.webhook = { kind: 'blocked', address: 'host', hookId: 7 };
        await acts.deliveredBySystem(id, 100_000);
        assert.equal(kept.webhook, { kind: 'system', lastDeliveryAt: 100_000, hookId: 7 });
        await acts.check(id);
        await acts.missed(id, 159_999);
        assert.is(kept.webhook.kind, 'system');
        await acts.missed(id, 160_000);
        assert.equal(
          { ...kept.webhook },
          {
            ...{ kind: 'none', reason: 'A push came without a call of the system hook.', hookId: 7 },
          },
        );
        await server.close();
      },
      { allowLocalWebhooks: true },
    ),
);

webhooks.run();
