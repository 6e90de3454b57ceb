import request from 'supertest';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createApp } from '../../src/web/app.ts';
import { createAddress } from '../../src/web/address.ts';
import { ours, signedIn, visitor } from './browser.ts';
import { fullWorld } from './content.ts';
import { createWorld, gitlab, password, publicUrl } from './support.ts';

const test = suite('walls');

test('a form of another site changes nothing, whatever wall it meets', async () => {
  const world = fullWorld();
  const me = await signedIn(world);
  const tries: [string, Record<string, string>, Record<string, string>][] = [
    ['cross-site', {}, { 'Sec-Fetch-Site': 'cross-site' }],
    ['same-site', {}, { 'Sec-Fetch-Site': 'same-site' }],
    ['another origin', {}, { Origin: 'https://evil.example' }],
    ['no origin at all', {}, {}],
    ['null origin', {}, { Origin: 'null' }],
    ['spoofed host', {}, { Origin: 'http://evil.example', Host: 'evil.example' }],
    ['no token', { token: '' }, ours],
    ['another token', { token: 'token-999' }, ours],
  ];
  for (const [name, form, headers] of tries) {
    const answer = await me.post('/sites/museum/pause', form, headers);
    assert.is(answer.status, 403, name);
    assert.match(answer.text, 'What was not touched', name);
  }
  assert.equal(world.calls, []);
  assert.is((await me.post('/sites/museum/pause', {}, { Origin: publicUrl })).status, 303, 'our own origin passes');
  assert.is(world.calls.length, 1);
});

test('a body that is no form carries no token', async () => {
  const world = fullWorld();
  const { id, token } = await signedIn(world);
  const send = request(createApp(world.deps).callback()).post('/sites/museum/pause');
  const answer = await send
    .set({ Cookie: `mooring=${id}`, ...ours })
    .type('text/plain')
    .send(`token=${token}`);
  assert.is(answer.status, 403);
});

test('GET changes nothing anywhere', async () => {
  const world = fullWorld();
  const me = await signedIn(world);
  for (const path of ['sync', 'pause', 'resume', 'connect', 'reconnect', 'webhook']) {
    assert.is((await me.get(`/sites/museum/${path}`)).status, 404, path);
  }
  assert.is((await me.get('/sign-out')).status, 404);
  assert.equal(world.calls, []);
});

test('a body over the limit is refused with a page', async () => {
  const answer = await (await signedIn(fullWorld())).post('/sites/add', { name: 'x'.repeat(300_000) });
  assert.is(answer.status, 422);
  assert.match(answer.text, 'larger than Mooring accepts');
});

test('repeated, nested and prototype keys are no values', async () => {
  const world = fullWorld();
  const { id, token } = await signedIn(world);
  const send = request(createApp(world.deps).callback()).post('/sites/add').type('form');
  const body = `token=${token}&name=a&name=b&folder[x]=1&__proto__[name]=c&constructor=d`;
  const answer = await send.set({ Cookie: `mooring=${id}`, ...ours }).send(body);
  assert.is(answer.status, 422);
  assert.equal(world.calls, []);
});

test('without a session everything leads to the sign-in, and back only to known paths', async () => {
  const someone = visitor(fullWorld());
  const page = await someone.get('/sites/museum?page=2');
  assert.is(page.status, 303);
  assert.is(page.headers['location'], '/sign-in?to=%2Fsites%2Fmuseum%3Fpage%3D2');
  assert.is((await someone.get('/events')).status, 403);
  assert.is((await someone.get('/sites/museum/live')).status, 403);
  assert.is((await someone.post('/sites/museum/pause')).headers['location'], '/sign-in');
});

test('nobody is sent to another host after signing in', async () => {
  const bad = [
    '//evil.example',
    '/\\evil.example',
    'https://evil.example',
    '/%09/evil',
    '/\t/evil.example',
    '/sign-out',
    '/oauth/callback',
    '/sites/../..//evil.example',
    '',
  ];
  for (const to of bad) {
    const form = { name: 'Miriam Okafor', password, to };
    const answer = await visitor(fullWorld()).post('/sign-in', form);
    assert.is(answer.status, 303);
    const target = answer.headers['location'] ?? '';
    assert.is(new URL(target, publicUrl).origin, publicUrl, to);
    assert.ok(target === '/' || target.startsWith('/sites'), `${to} led to ${target}`);
  }
  const good = await visitor(fullWorld()).post('/sign-in', {
    name: 'Miriam Okafor',
    password,
    to: '/sites/museum?page=2',
  });
  assert.is(good.headers['location'], '/sites/museum?page=2');
});

test('the headers keep the page ours', async () => {
  const world = createWorld();
  world.instance = gitlab();
  const { headers } = await visitor(world).get('/sign-in');
  const policy = headers['content-security-policy'] ?? '';
  for (const part of [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'self' https://gitlab.northwick.example",
  ]) {
    assert.match(policy, part);
  }
  assert.not.match(policy, 'unsafe');
  const { headers: before } = await visitor(createWorld()).get('/sign-in');
  assert.match(before['content-security-policy'] ?? '', /form-action 'self'(;|$)/);
  assert.is(headers['x-content-type-options'], 'nosniff');
  assert.is(headers['referrer-policy'], 'no-referrer');
  assert.is(headers['strict-transport-security'], undefined);
  assert.is(headers['cache-control'], 'no-store');
});

test('problem pages keep the headers too', async () => {
  const { headers, status } = await (await signedIn(fullWorld())).get('/nothing-here');
  assert.is(status, 404);
  assert.match(headers['content-security-policy'] ?? '', "default-src 'none'");
});

test('https has stricter cookies and HSTS; plain http on a name keeps Origin usable', async () => {
  const secure = createWorld({ publicUrl: 'https://mooring.example' });
  const answer = await visitor(secure).get('/sign-in');
  assert.match(answer.headers['strict-transport-security'] ?? '', 'max-age');
  assert.match(
    String(answer.headers['set-cookie']),
    /__Host-mooring-visitor=[^;]+; path=\/; samesite=lax; secure; httponly/,
  );
  const plain = createWorld({ publicUrl: 'http://mooring.intern:8080' });
  assert.is((await visitor(plain).get('/sign-in')).headers['referrer-policy'], 'same-origin');
});

test('links are made from the public URL, never from the Host header', async () => {
  const me = await signedIn(fullWorld());
  const page = await me.get('/', {
    Host: 'evil.example',
    'X-Forwarded-Host': 'evil.example',
    'X-Forwarded-Proto': 'https',
  });
  assert.not.match(page.text, 'evil.example');
});

test('under a sub-path every link, redirect and form stays below it', async () => {
  const world = fullWorld({ publicUrl: 'http://127.0.0.1:8080/tools/mooring' });
  const me = await signedIn(world);
  for (const path of [
    '/tools/mooring/',
    '/tools/mooring/sites/museum',
    '/tools/mooring/account/gitlab',
    '/tools/mooring/sites/parks/repository?project=12',
  ]) {
    const page = await me.get(path);
    assert.is(page.status, 200, path);
    for (const [, target] of page.text.matchAll(/(?:href|action|src|formaction|data-live|data-events)="(\/[^"]*)"/g)) {
      assert.ok(target?.startsWith('/tools/mooring/'), `${path}: ${target}`);
    }
  }
  const moved = await me.post('/tools/mooring/sites/museum/pause', { to: '/sites/museum' });
  assert.is(moved.headers['location'], '/tools/mooring/sites/museum');
  assert.is(
    (await visitor(world).get('/tools/mooring/activity')).headers['location'],
    '/tools/mooring/sign-in?to=%2Factivity',
  );
  const sheet = /href="([^"]*app\.css[^"]*)"/.exec((await me.get('/tools/mooring/')).text)?.[1] ?? '';
  assert.is((await me.get(sheet)).status, 200);
});

test('known paths are few', () => {
  const { known } = createAddress('https://mooring.example/x');
  for (const path of ['/', '/sites/a', '/activity?page=2', '/account/gitlab']) assert.is(known(path), path);
  for (const path of [
    '//a',
    '/\\a',
    'sites',
    '/hooks/x',
    '/setup',
    'javascript:alert(1)',
    '/sites/\u0000',
    7,
    undefined,
  ])
    assert.is(known(path), undefined);
});

test.run();
