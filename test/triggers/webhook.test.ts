import { createHmac } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Secret } from '../../src/model/secret.ts';
import type { SiteId } from '../../src/model/site.ts';
import { createSystemHook, createWebhook, type Headers, type HookSecrets, verify } from '../../src/triggers/webhook.ts';
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

function arrange(given: HookSecrets = secrets) {
  const rings: string[] = [];
  const deliveries: boolean[] = [];
  const hook = createWebhook({
    clock: handClock(now),
    secretsOf: (id) => (id === site ? { site, secrets: given } : undefined),
    onRing: (id) => rings.push(id),
    onDelivery: (_id, { signed }) => deliveries.push(signed),
  });
  return { hook, rings, deliveries };
}

webhook('GitLab’s form of signature is accepted, and no other byte in its place', () => {
  const headers = Object.fromEntries(
    Object.entries(vector.headers).map(([name, value]) => [name.toLowerCase(), value]),
  );
  const given = { ...secrets, signing: new Secret(vector.signing_token) };
  const at = Number(headers['webhook-timestamp']) * 1_000;
  assert.is(verify(headers, Buffer.from(vector.body), given, at), 'signature');
  assert.is(verify(headers, Buffer.from(`${vector.body}\n`), given, at), 'none');
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

webhook('the token alone is enough until a signed delivery was seen, then no more', () => {
  const { hook, rings, deliveries } = arrange();
  assert.is(hook(site, { 'x-gitlab-token': 't0k3n' }, body), 'accepted');
  assert.is(hook(site, sign(), body), 'accepted');
  assert.is(hook(site, { 'x-gitlab-token': 't0k3n' }, body), 'refused');
  assert.is(rings.length, 2);
  assert.equal(deliveries, [false, true]);
  assert.is(arrange({ ...secrets, signed: true }).hook(site, { 'x-gitlab-token': 't0k3n' }, body), 'refused');
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

webhook('five thousand forged posts cost little', () => {
  const { hook, rings } = arrange();
  const startedAt = performance.now();
  for (let i = 0; i < 5_000; i += 1) hook(site, { 'x-gitlab-token': String(i) }, body);
  assert.ok(performance.now() - startedAt < 2_000);
  assert.is(rings.length, 0);
});

const system = (secret: Secret | undefined) => {
  const heard: string[] = [];
  const hook = createSystemHook({
    clock: handClock(now),
    secret: () => secret,
    sitesOf: (id) => (id === 7 ? ['s1' as SiteId, 's2' as SiteId] : []),
    onRing: (id) => heard.push(`ring ${id}`),
    onMoved: (id) => heard.push(`moved ${id}`),
    onDelivery: (id) => heard.push(`heard ${id}`),
  });
  return {
    heard,
    call: (token: unknown, body: string) => hook({ 'x-gitlab-token': token } as Headers, Buffer.from(body)),
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
    assert.equal(heard.splice(0), ['heard s1', 'moved s1', 'ring s1', 'heard s2', 'moved s2', 'ring s2']);
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

webhook.run();
