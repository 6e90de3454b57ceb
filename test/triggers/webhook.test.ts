import { createHmac } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DeliveryVerifier } from '../../src/model/delivery-verifier.ts';
import { Secret } from '../../src/model/secret.ts';
import type { SiteId } from '../../src/model/site.ts';
import { createSystemHook, createWebhook, type Headers, type HookSecrets } from '../../src/triggers/webhook.ts';
import { handClock } from '../net/support.ts';
import vector from './signed-vector.json' with { type: 'json' };

const webhook = suite('triggers/webhook');
const site = 's1' as SiteId;
const key = `whsec_${Buffer.from([...Array(32).keys()]).toString('base64')}`;
const now = 1_780_000_000_000;
const body = Buffer.from('{"object_kind":"push"}');
const secrets: HookSecrets = { token: new Secret('t0k3n'), signing: new Secret(key), signed: false };

function sign({ id = 'd1', at = now, over = body, with: secret = key } = {}): Record<string, string> {
  const stamp = String(Math.floor(at / 1_000));
  const bytes = Buffer.from(secret.slice('whsec_'.length), 'base64');
  const mac = createHmac('sha256', bytes).update(`${id}.${stamp}.`).update(over).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': stamp, 'webhook-signature': `v1,${mac}` };
}

/** As it comes off the wire: in pieces. */
function hear(hearing: DeliveryVerifier, whole: Buffer): 'accepted' | 'refused' {
  const middle = Math.floor(whole.length / 2);
  for (const piece of [whole.subarray(0, middle), whole.subarray(middle)]) hearing.take(piece);
  return hearing.end();
}

function arrange(given: HookSecrets = secrets, at = now) {
  const rings: string[] = [];
  const news: string[] = [];
  const deliveries: boolean[] = [];
  const open = createWebhook({
    clock: handClock(at),
    secretsOf: (id) => (id === site ? { site, secrets: given } : undefined),
    onTrigger(id, told) {
      rings.push(id);
      news.push(...told.map(({ branch, tip }) => `${branch} ${tip}`));
    },
    onDelivery: (_id, { signed }) => deliveries.push(signed),
  });
  const hook = (id: string, headers: Headers, whole: Buffer) => hear(open(id, headers), whole);
  return { open, hook, rings, news, deliveries };
}

webhook('GitLab’s form of signature is accepted, and no other byte in its place', () => {
  const headers = Object.fromEntries(
    Object.entries(vector.headers).map(([name, value]) => [name.toLowerCase(), value]),
  );
  const given = { ...secrets, signing: new Secret(vector.signing_token) };
  const at = Number(headers['webhook-timestamp']) * 1_000;
  const { hook, deliveries } = arrange(given, at);
  assert.is(hook(site, headers, Buffer.from(vector.body)), 'accepted');
  assert.equal(deliveries, [true]);
  assert.is(hook(site, headers, Buffer.from(`${vector.body}\n`)), 'refused');
});

webhook('forged deliveries are refused and do not ring', () => {
  const cases: [string, Headers][] = [
    ['nothing', {}],
    ['wrong token', { 'x-gitlab-token': 'guess' }],
    ['empty token', { 'x-gitlab-token': '' }],
    ['doubled token', { 'x-gitlab-token': ['t0k3n', 't0k3n'] }],
    ['wrong signature', { ...sign(), 'webhook-signature': 'v1,AAAA' }],
    ['wrong signature with the right token', { ...sign(), 'webhook-signature': 'v1,AAAA', 'x-gitlab-token': 't0k3n' }],
    ['other body', sign({ over: Buffer.from('{}') })],
    ['other key', sign({ with: `whsec_${Buffer.alloc(32).toString('base64')}` })],
    ['too old', sign({ at: now - 301_000 })],
    ['too new', sign({ at: now + 301_000 })],
    ['no id', { ...sign(), 'webhook-id': undefined }],
    ['timestamp no number', { ...sign(), 'webhook-timestamp': 'now' }],
    ['other version', { ...sign(), 'webhook-signature': (sign()['webhook-signature'] ?? '').replace('v1,', 'v2,') }],
  ];
  for (const [name, headers] of cases) {
    const { hook, rings } = arrange();
    assert.is(hook(site, headers, body), 'refused', name);
    assert.is(rings.length, 0, name);
  }
  assert.is(arrange().hook('another', { 'x-gitlab-token': 't0k3n' }, body), 'refused');
});

webhook('within five minutes, and with several signatures while a key changes, it is accepted', () => {
  for (const at of [now - 299_000, now + 299_000]) {
    assert.is(arrange().hook(site, sign({ at }), body), 'accepted');
  }
  const several = { ...sign(), 'webhook-signature': `v1,b2xk v1a,xyz ${sign()['webhook-signature'] ?? ''}` };
  assert.is(arrange().hook(site, several, body), 'accepted');
});

webhook('the token alone is enough until a signed delivery was kept in mind, and again when that is forgotten', () => {
  const kept = { ...secrets, signed: false };
  const { hook, rings, deliveries } = arrange(kept);
  assert.is(hook(site, { 'x-gitlab-token': 't0k3n' }, body), 'accepted');
  assert.is(hook(site, sign(), body), 'accepted');
  assert.equal(deliveries, [false, true]);
  kept.signed = true;
  assert.is(hook(site, { 'x-gitlab-token': 't0k3n' }, body), 'refused');
  assert.is(rings.length, 2);
  // GitLab signs no more: whoever keeps the secrets learned it, and nothing here remembers better.
  kept.signed = false;
  assert.is(hook(site, { 'x-gitlab-token': 't0k3n' }, body), 'accepted');
});

webhook('only a call with the right token may be long; the signature is that of the whole of it', () => {
  const long = Buffer.alloc(3_000_000, 'x');
  const { open, rings } = arrange();
  const headers = { ...sign({ over: long }), 'x-gitlab-token': 't0k3n' };
  const hearing = open(site, headers);
  assert.is(hearing.trusted, true);
  for (let at = 0; at < long.length; at += 64_000) hearing.take(long.subarray(at, at + 64_000));
  assert.is(hearing.end(), 'accepted');
  assert.equal(rings, [site]);
  for (const [id, given] of [
    ['s1', sign()],
    ['s1', { 'x-gitlab-token': 'guess' }],
    ['another', { 'x-gitlab-token': 't0k3n' }],
  ] as const)
    assert.is(open(id, given).trusted, false);
  const short = open(site, headers);
  short.take(long.subarray(1));
  assert.is(short.end(), 'refused');
});

webhook('a repeat is accepted, so that GitLab does not disable the hook, but rings once', () => {
  const { hook, rings } = arrange();
  for (let i = 0; i < 5; i += 1) assert.is(hook(site, sign({ id: 'same' }), body), 'accepted');
  assert.is(rings.length, 1);
  const byToken = arrange();
  const headers = { 'x-gitlab-token': 't0k3n', 'idempotency-key': 'k1' };
  for (let i = 0; i < 5; i += 1) assert.is(byToken.hook(site, headers, body), 'accepted');
  assert.is(byToken.rings.length, 1);
});

webhook('any body and event counts as "look now"', () => {
  for (const strange of ['', 'not json', '[]', '{"project_id":"../../x"}', '\0']) {
    const { hook, rings } = arrange();
    assert.is(
      hook(site, { 'x-gitlab-token': 't0k3n', 'x-gitlab-event': 'Nonsense' }, Buffer.from(strange)),
      'accepted',
    );
    assert.equal(rings, [site]);
  }
});

const tip = '0123456789abcdef0123456789abcdef01234567';

webhook('a push tells where its branch is; what is not exactly that tells nothing', () => {
  const told = (said: object | string): string[] => {
    const { hook, news } = arrange();
    const text = typeof said === 'string' ? said : JSON.stringify(said);
    assert.is(hook(site, { 'x-gitlab-token': 't0k3n' }, Buffer.from(text)), 'accepted');
    return news;
  };
  assert.equal(told({ object_kind: 'push', ref: 'refs/heads/main', after: tip }), [`main ${tip}`]);
  assert.equal(told({ ref: 'refs/heads/a/ü', after: tip }), [`a/ü ${tip}`]);
  const silent: unknown[] = [
    { ref: 'refs/heads/main', after: '0'.repeat(40) },
    { ref: 'refs/tags/v1', after: tip },
    { ref: 'refs/heads/', after: tip },
    { ref: 'refs/heads/main', after: tip.toUpperCase() },
    { ref: 'refs/heads/main', after: `${tip}\n` },
    { ref: 'refs/heads/main', after: `--upload-pack=${tip}` },
    { ref: ['refs/heads/main'], after: tip },
    { after: tip },
    { changes: [null, 7, 'refs/heads/main', {}] },
    { ref: 'refs/heads/main', after: tip, padding: 'x'.repeat(1024 * 1024) },
  ];
  for (const said of silent) assert.equal(told(said as object), [], JSON.stringify(said).slice(0, 100));
});

webhook('five thousand forged posts set off nothing', () => {
  const { hook, rings } = arrange();
  for (let i = 0; i < 5_000; i += 1) hook(site, { 'x-gitlab-token': String(i) }, body);
  assert.is(rings.length, 0);
});

const system = (secret: Secret | undefined) => {
  const heard: string[] = [];
  const open = createSystemHook({
    clock: handClock(now),
    secret: () => secret,
    sitesOf: (id) => (id === 7 ? ['s1' as SiteId, 's2' as SiteId] : []),
    sitesBelow: (path) => (path === 'group/old' ? ['s2' as SiteId] : []),
    onTrigger: (id, told) => heard.push(`ring ${id}`, ...told.map((each) => `${each.branch} ${each.tip}`)),
    onMoved: (id) => heard.push(`moved ${id}`),
    onDelivery: (id) => heard.push(`heard ${id}`),
  });
  return {
    heard,
    call: (token: unknown, body: string) => hear(open({ 'x-gitlab-token': token } as Headers), Buffer.from(body)),
  };
};

webhook('system hook: no secret, none in the call, a wrong one, two of them: refused, and nobody is rung', () => {
  const { heard, call } = system(new Secret('right'));
  for (const token of [undefined, '', 'wrong', 'right ', ['right', 'right']]) {
    assert.is(call(token, '{"project_id":7}'), 'refused');
  }
  for (const token of [undefined, '', 'right']) {
    const unset = system(undefined);
    assert.is(unset.call(token, '{"project_id":7}'), 'refused');
    assert.equal(unset.heard, []);
  }
  assert.equal(heard, []);
});

webhook(
  'system hook: its project’s sites are rung; whatever else the body says, it is accepted and moves nobody',
  () => {
    const { heard, call } = system(new Secret('right'));
    assert.is(
      call('right', '{"event_name":"repository_update","project_id":7,"ref":"../../etc","path":"/x"}'),
      'accepted',
    );
    assert.equal(heard.splice(0), ['heard s1', 'ring s1', 'heard s2', 'ring s2']);
    assert.is(call('right', '{"event_name":"project_rename","project_id":7}'), 'accepted');
    assert.equal(heard.splice(0), ['moved s1', 'ring s1', 'moved s2', 'ring s2']);
    const odd = [
      '',
      'null',
      '[]',
      '{',
      '"x"',
      '{"project_id":"7"}',
      '{"project_id":7.5}',
      '{"project_id":{"$gt":0}}',
      '{"event_name":"group_rename"}',
    ];
    for (const body of [...odd, '{"project_id":8}']) assert.is(call('right', body), 'accepted');
    assert.equal(heard, []);
  },
);

webhook('system hook: an update of a repository tells where its branches are', () => {
  const { heard, call } = system(new Secret('right'));
  const changes = [
    { ref: 'refs/heads/main', before: '0'.repeat(40), after: tip },
    { ref: 'refs/heads/gone', before: tip, after: '0'.repeat(40) },
    ...Array.from({ length: 30 }, () => ({ ref: 'refs/heads/many', after: tip })),
  ];
  call('right', JSON.stringify({ event_name: 'repository_update', project_id: 7, changes }));
  const ofOne = heard.filter((row) => row === `many ${tip}`).length / 2;
  assert.equal([...new Set(heard)], ['heard s1', 'ring s1', `main ${tip}`, `many ${tip}`, 'heard s2', 'ring s2']);
  assert.is(ofOne, 18, 'a long list is read in part');
});

webhook('system hook: pushes prove it, and nothing else does', () => {
  const { heard, call } = system(new Secret('right'));
  const proves = (event: string): boolean => {
    heard.length = 0;
    call('right', JSON.stringify({ event_name: event, project_id: 7 }));
    assert.ok(heard.includes('ring s1'), event);
    return heard.includes('heard s1');
  };
  for (const event of ['push', 'tag_push', 'repository_update']) assert.is(proves(event), true, event);
  for (const event of ['user_add_to_team', 'project_update', 'project_rename', 'project_destroy', 'pushed', ''])
    assert.is(proves(event), false, event);
});

webhook('system hook: a group or user under another name moves all that lay below the old one', () => {
  const { heard, call } = system(new Secret('right'));
  call('right', '{"event_name":"group_rename","old_full_path":"group/old","full_path":"group/new"}');
  assert.equal(heard.splice(0), ['moved s2']);
  call('right', '{"event_name":"user_rename","old_username":"group/old","username":"new"}');
  assert.equal(heard.splice(0), ['moved s2']);
  call('right', '{"event_name":"group_create","old_full_path":"group/old"}');
  for (const odd of ['', 7, null, {}])
    call('right', JSON.stringify({ event_name: 'group_rename', old_full_path: odd, old_username: odd }));
  assert.equal(heard, []);
});

webhook('system hook: a body of many megabytes is accepted and not held', () => {
  const { heard, call } = system(new Secret('right'));
  const refs = Array.from({ length: 30_000 }, (_, at) => `refs/heads/a-rather-long-name-of-a-branch-${at}`);
  const event = { event_name: 'repository_update', project_id: 7 };
  assert.is(call('right', JSON.stringify({ ...event, refs })), 'accepted');
  assert.equal(heard, []);
  assert.is(call('wrong', JSON.stringify(event)), 'refused');
});

webhook.run();
