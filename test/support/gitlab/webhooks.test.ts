/** Webhooks: what leaves, with which headers and body, and what the network guard holds back. */
import { readFile } from 'node:fs/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Level } from './server.ts';
import { startReceiver, trial, type Receiver, type Trial } from './trial.ts';
import { sign } from './webhooks.ts';
import type { GitLabOptions } from './server.ts';

const hooks = suite('practice GitLab: webhooks');

async function withReceiver(
  run: (given: Trial, receiver: Receiver) => Promise<void>,
  options: GitLabOptions = {},
): Promise<void> {
  const receiver = await startReceiver();
  try {
    await trial((given) => run(given, receiver), { allowLocalWebhooks: true, ...options });
  } finally {
    await receiver.stop();
  }
}

const addHook = ({ rest, world }: Trial, body: object): ReturnType<Trial['rest']> =>
  rest(`/projects/${world.website.id}/hooks`, { method: 'POST', body });

hooks('a push reaches the receiver with GitLab’s headers and payload', () =>
  withReceiver(async (given, { url, received }) => {
    const { gitlab, world } = given;
    const made = await addHook(given, { url, token: 'tell-nobody', push_events: true });
    assert.is(made.status, 201);
    assert.not.match(JSON.stringify(made.body), 'tell-nobody');
    assert.not.ok('token_present' in (made.body as object));
    const before = await world.website.head();
    const after = await world.website.push(
      'main',
      { 'index.html': '<p>new</p>\n', 'about.md': null },
      { message: 'Tidy', user: 'lena' },
    );
    await gitlab.quiet();
    assert.is(received.length, 1);
    const { headers, body } = received[0] as Receiver['received'][0];
    assert.is(headers['x-gitlab-event'], 'Push Hook');
    assert.is(headers['x-gitlab-token'], 'tell-nobody');
    assert.is(headers['user-agent'], 'GitLab/18.5.1');
    assert.is(headers['x-gitlab-instance'], new URL(gitlab.url).origin);
    assert.ok(headers['idempotency-key'] && headers['x-gitlab-event-uuid'] && headers['x-gitlab-webhook-uuid']);
    assert.is(headers['webhook-signature'], undefined);
    const payload = JSON.parse(body) as Record<string, unknown> & { commits: Record<string, unknown>[] };
    const facts = [
      'object_kind',
      'before',
      'after',
      'ref',
      'checkout_sha',
      'user_username',
      'project_id',
      'total_commits_count',
    ];
    assert.equal(
      facts.map((name) => payload[name]),
      ['push', before, after, 'refs/heads/main', after, 'lena', world.website.id, 1],
    );
    assert.equal(payload.commits[0]?.['modified'], ['index.html']);
    assert.equal(payload.commits[0]?.['removed'], ['about.md']);
    // Every member of GitLab's own recorded payload is there.
    const recorded = new URL('./schemas/samples/push_recorded_17_1.json', import.meta.url);
    const sample = JSON.parse(await readFile(recorded, 'utf8')) as Record<string, unknown>;
    assert.equal(
      Object.keys(sample).filter((name) => !(name in payload)),
      [],
    );
    assert.equal(
      Object.keys(sample['project'] as object).filter((name) => !(name in (payload['project'] as object))),
      [],
    );
  }),
);

hooks('GitLab 19 signs; the signature is that of the published vector', () =>
  withReceiver(
    async (given, { url, received }) => {
      const vector = JSON.parse(
        await readFile(new URL('./schemas/samples/signed_vector.json', import.meta.url), 'utf8'),
      ) as {
        signing_token: string;
        headers: Record<string, string>;
      };
      const bytes = await readFile(new URL('./schemas/samples/signed_vector.body.json', import.meta.url));
      const [id = '', time = ''] = [vector.headers['webhook-id'], vector.headers['webhook-timestamp']];
      assert.is(sign(vector.signing_token, id, time, bytes), vector.headers['webhook-signature']);

      const made = await addHook(given, { url, signing_token: vector.signing_token });
      const { token_present: token, signing_token_present: signing } = made.body as Record<string, unknown>;
      assert.equal([token, signing], [false, true]);
      assert.is((await addHook(given, { url, signing_token: 'whsec_short' })).status, 422);
      await given.world.website.push('main', { 'a.txt': 'a' });
      await given.gitlab.quiet();
      const { headers, body } = received[0] as Receiver['received'][0];
      const text = (name: string): string => String(headers[name]);
      assert.is(text('webhook-id'), text('idempotency-key'));
      assert.is(
        text('webhook-signature'),
        sign(vector.signing_token, text('webhook-id'), text('webhook-timestamp'), body),
      );
    },
    { version: '19.2.0' },
  ),
);

hooks('the local network is closed until the switch is on, at saving and at every delivery', () =>
  withReceiver(
    async (given, { url, received }) => {
      const { gitlab, world } = given;
      for (const blocked of [
        url,
        'http://localhost/x',
        'http://10.1.2.3/x',
        'http://[::1]/x',
        'http://169.254.1.1/',
        'ftp://example.org',
        'nonsense',
      ]) {
        const refused = await addHook(given, { url: blocked });
        assert.equal([refused.status, refused.body], [422, { error: 'Invalid url given' }], blocked);
      }
      // GitLab's own origin is exempt: a daemon on a sub-path of it.
      assert.is(
        (await addHook(given, { url: `${new URL(gitlab.url).origin}/mooring/hooks`, push_events: false })).status,
        201,
      );
      gitlab.settings.allowLocalWebhooks = true;
      assert.is((await addHook(given, { url })).status, 201);
      gitlab.settings.allowLocalWebhooks = false;
      await world.website.push('main', { 'a.txt': 'a' });
      await gitlab.quiet();
      assert.is(received.length, 0);
      assert.is(
        gitlab.webhookDeliveries.at(-1)?.error,
        'URL is blocked: Requests to loopback addresses are not allowed',
      );
    },
    { allowLocalWebhooks: false },
  ),
);

hooks('hooks are for Maintainers; they can be read, changed, tested, resent and deleted', () =>
  withReceiver(async (given, receiver) => {
    const { gitlab, world, rest } = given;
    const at = `/projects/${world.website.id}/hooks`;
    const dev = gitlab.users.add({ username: 'dev', name: 'Dev', email: 'dev@example.org', password: 'x' });
    gitlab.projects.addMember(world.website, dev, Level.developer);
    assert.is((await rest(at, { token: gitlab.tokens.add(dev, ['api']) })).status, 403);
    assert.equal((await addHook(given, { push_events: true })).body, { error: 'url is missing' });
    const { id } = (await addHook(given, { url: receiver.url, token: 's', unknown_thing: 1 })).body as { id: number };
    assert.is(((await rest(at)).body as unknown[]).length, 1);
    assert.is((await rest(`${at}/999`)).status, 404);
    const changed = await rest(`${at}/${id}`, {
      method: 'PUT',
      body: { url: `${receiver.url}/2`, tag_push_events: true },
    });
    assert.is((changed.body as { tag_push_events: boolean }).tag_push_events, true);
    // A new URL without the token again forgets the token.
    assert.is(world.website.hooks[0]?.token, '');
    assert.is((await rest(`${at}/${id}`, { method: 'PUT', body: {} })).status, 400);
    const tested = await rest(`${at}/${id}/test/push_events`, { method: 'POST' });
    assert.equal([tested.status, tested.body], [201, { message: '201 Created' }]);
    const events = (await rest(`${at}/${id}/events`)).body as { id: number; response_status: string }[];
    assert.is(events[0]?.response_status, '200');
    assert.equal((await rest(`${at}/${id}/events/${events[0]?.id}/resend`, { method: 'POST' })).body, {
      response_status: 200,
    });
    assert.is(receiver.received.length, 2);
    assert.is(receiver.received[0]?.headers['idempotency-key'], receiver.received[1]?.headers['idempotency-key']);
    for (let more = 0; more < 4; more += 1) await rest(`${at}/${id}/test/push_events`, { method: 'POST' });
    assert.is((await rest(`${at}/${id}/test/push_events`, { method: 'POST' })).status, 429);
    assert.is((await rest(`${at}/${id}`, { method: 'DELETE' })).status, 204);
    assert.is((await rest(`${at}/${id}`)).status, 404);
  }),
);

hooks('a push by git fires too, tags as their own kind, and more than three branches fire nothing', () =>
  withReceiver(async (given, { url, received }) => {
    const { gitlab, world, git, withToken } = given;
    await addHook(given, { url, tag_push_events: true });
    const remote = withToken(world.website.cloneUrl, gitlab.tokens.add('lena', ['api']));
    await git(['clone', '--quiet', remote, 'work']);
    const push = async (...args: string[]): Promise<void> => {
      const { code, stderr } = await git(['-C', 'work', 'push', '--quiet', ...args]);
      assert.is(code, 0, stderr);
      await gitlab.quiet();
    };
    await git(['-C', 'work', 'commit', '--quiet', '--allow-empty', '--message', 'Empty']);
    await push('--push-option=ci.skip', 'origin', 'HEAD:main', 'HEAD:one');
    const payloads = received.map(({ body }) => JSON.parse(body) as Record<string, unknown>);
    assert.equal(payloads.map(({ ref }) => ref).toSorted(), ['refs/heads/main', 'refs/heads/one']);
    assert.ok(payloads.every(({ push_options: options }) => JSON.stringify(options) === '{"ci":{"skip":true}}'));
    assert.is(payloads.find(({ ref }) => ref === 'refs/heads/one')?.['before'], '0'.repeat(40));
    received.length = 0;
    await push('origin', 'HEAD:a1', 'HEAD:a2', 'HEAD:a3', 'HEAD:a4');
    assert.is(received.length, 0);
    await git(['-C', 'work', 'tag', '--annotate', '--message', 'One', 'v1']);
    await push('origin', 'v1');
    await push('origin', ':a1');
    const [tag, deleted] = received.map(({ body }) => JSON.parse(body) as Record<string, unknown>);
    assert.equal([tag?.['object_kind'], tag?.['checkout_sha']], ['tag_push', await world.website.head()]);
    assert.is.not(tag?.['after'], tag?.['checkout_sha']);
    assert.equal([deleted?.['after'], deleted?.['checkout_sha'], deleted?.['commits']], ['0'.repeat(40), null, []]);
  }),
);

hooks('the newest twenty commits are listed, oldest first, beside the true number', () =>
  withReceiver(async (given, { url, received }) => {
    const { gitlab, world, git, withToken } = given;
    await git(['clone', '--quiet', withToken(world.website.cloneUrl, gitlab.tokens.add('ana', ['api'])), 'work']);
    for (let at = 1; at <= 23; at += 1)
      await git(['-C', 'work', 'commit', '--quiet', '--allow-empty', '--message', `n${at}`]);
    await addHook(given, { url });
    await git(['-C', 'work', 'push', '--quiet', 'origin', 'main']);
    await gitlab.quiet();
    const payload = JSON.parse(received[0]?.body ?? '{}') as {
      commits: { title: string }[];
      total_commits_count: number;
    };
    assert.is(payload.total_commits_count, 23);
    assert.equal([payload.commits.length, payload.commits[0]?.title, payload.commits.at(-1)?.title], [20, 'n4', 'n23']);
  }),
);

hooks('failures are not repeated; the fourth in a row pauses the hook, a good test wakes it', async () => {
  let now = Date.UTC(2026, 5, 1);
  await withReceiver(
    async (given, receiver) => {
      const { gitlab, world, rest } = given;
      const { id } = (await addHook(given, { url: receiver.url })).body as { id: number };
      const at = `/projects/${world.website.id}/hooks/${id}`;
      const status = async (): Promise<string> => ((await rest(at)).body as { alert_status: string }).alert_status;
      receiver.status = 500;
      for (let turn = 1; turn <= 4; turn += 1) {
        assert.is(await status(), 'executable');
        await world.website.push('main', { 'n.txt': String(turn) });
        await gitlab.quiet();
      }
      assert.equal([receiver.received.length, await status()], [4, 'temporarily_disabled']);
      await world.website.push('main', { 'n.txt': 'lost' });
      await gitlab.quiet();
      assert.is(receiver.received.length, 4);
      assert.is(gitlab.webhookDeliveries.at(-1)?.error, 'hook is disabled');
      now += 60_001;
      assert.is(await status(), 'executable');
      receiver.status = 200;
      await rest(`${at}/test/push_events`, { method: 'POST' });
      assert.is(world.website.hooks[0]?.recentFailures, 0);
    },
    { now: () => now },
  );
});

hooks('signing switched off: keys are dropped without a word, and no call is signed', () =>
  withReceiver(
    async (given, { url, received }) => {
      const key = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
      given.gitlab.settings.signsWebhooks = false;
      const made = await addHook(given, { url, token: 't', signing_token: key });
      assert.is((made.body as Record<string, unknown>)['signing_token_present'], false);
      await given.world.website.push('main', { 'a.txt': 'a' });
      await given.gitlab.quiet();
      assert.is(received[0]?.headers['webhook-signature'], undefined);
      assert.is(received[0]?.headers['x-gitlab-token'], 't');
    },
    { version: '19.2.0' },
  ),
);

hooks('a project that has all the hooks its plan allows takes no further one', () =>
  withReceiver(async (given, { url }) => {
    given.gitlab.settings.mostHooks = 1;
    assert.is((await addHook(given, { url })).status, 201);
    const refused = await addHook(given, { url });
    assert.equal(
      [refused.status, refused.body],
      [422, { message: { base: ['Maximum number of project hooks (1) exceeded'] } }],
    );
  }),
);

hooks('before 16.11 there is no test call, and four answers of 4xx end a hook for good', () =>
  withReceiver(
    async (given, receiver) => {
      const { gitlab, world, rest } = given;
      const { id } = (await addHook(given, { url: receiver.url })).body as { id: number };
      const at = `/projects/${world.website.id}/hooks/${id}`;
      assert.is((await rest(`${at}/test/push_events`, { method: 'POST' })).status, 404);
      receiver.status = 401;
      for (let turn = 1; turn <= 4; turn += 1) {
        await world.website.push('main', { 'n.txt': String(turn) });
        await gitlab.quiet();
      }
      assert.is(((await rest(at)).body as { alert_status: string }).alert_status, 'disabled');
    },
    { version: '16.10.0' },
  ),
);

hooks('a system hook tells of a renamed project, and of a renamed group once for all that lies below', () =>
  withReceiver(async ({ gitlab, world }, { url, received }) => {
    gitlab.addSystemHook({ url, token: 's' });
    world.website.rename('harbour/pages');
    world.website.rename('parks/pages');
    gitlab.groups.rename('parks', 'green/parks');
    await gitlab.quiet();
    assert.equal([world.website.path, world.gardens.path], ['green/parks/pages', 'green/parks/gardens-site']);
    const told = received.map(({ body }) => JSON.parse(body) as Record<string, unknown>);
    assert.equal(
      told.map((each) => [each['event_name'], each['old_path_with_namespace'] ?? each['old_full_path']]).toSorted(),
      [
        ['group_rename', 'parks'],
        ['project_rename', 'harbour/website'],
        ['project_transfer', 'harbour/pages'],
      ],
    );
  }),
);

hooks.run();
