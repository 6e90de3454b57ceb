import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import request from 'supertest';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ApiScope } from '../../src/model/account.ts';
import { Problem } from '../../src/model/problem.ts';
import type { SiteId } from '../../src/model/site.ts';
import { guarded } from '../../src/declared/guard.ts';
import { endpoints } from '../../src/web/api/api.ts';
import { type Endpoint, apiBase } from '../../src/web/api/endpoint.ts';
import { refusalsOf } from '../../src/web/api/open-api.ts';
import { accessTable } from '../../src/web/access.ts';
import { createApp } from '../../src/web/app.ts';
import { signedIn } from './browser.ts';
import { fullWorld } from './content.ts';
import { ana, now, project, run } from './support.ts';

const api = suite('API');

const tokenText = (id: string): string => `mooring_${id.padEnd(43, 'x')}`;
const orphan = tokenText('t3');

type Row = readonly [method: string, path: string, options?: Options];
interface Options {
  readonly as?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly status?: number;
}

/** What was asked and answered, over all tests: the last one compares it with the document. */
const met = new Set<string>();

/** `guarded`: what the world's file declares is refused, as the daemon refuses it. */
function arrange(actions: 'plain' | 'guarded' = 'plain') {
  const world = fullWorld();
  world.projects = [{ project: project(12, 'web/museum') }, { project: project(13, 'web/old'), disabled: 'Archived.' }];
  const add = (id: string, accountId: string, scope: ApiScope, sites?: readonly string[]): void =>
    void world.apiTokens.push({
      ...{ id, name: id, accountId, scopes: [scope], createdAt: now },
      ...(sites ? { sites: sites as SiteId[] } : {}),
    });
  add('admin', 'a1', 'admin');
  add('reads', 'a1', 'read');
  add('syncs', 'a1', 'sync');
  add('owner', 'a7', 'admin');
  add('viewer', 'a8', 'admin');
  add('bound', 'a1', 'admin', ['museum']);
  add('signs', 'a1', 'commit-as');
  const { declared: places, sites, connections } = world.deps;
  const store = { sites, instance: { connection: (id: string) => connections.get(id) } };
  const server = createApp(actions === 'plain' ? world.deps : guarded(world.deps, { places, store })).callback();
  const document = { current: undefined as Document | undefined };
  async function described(): Promise<Document> {
    document.current ??= (await request(server).get('/api/v1/openapi.json')).body as Document;
    return document.current;
  }
  /** Asks, and fails where the answer is not as the document says. */
  async function ask(...[method, path, { as = 'admin', body, headers = {}, status }]: [string, string, Options]) {
    const verb = method.toLowerCase() as 'get' | 'post' | 'put' | 'patch' | 'delete';
    let sent = request(server)
      [verb](`${apiBase}${path}`)
      .set({ ...(as === '' ? {} : { Authorization: `Bearer ${tokenText(as)}` }), ...headers });
    if (body !== undefined) sent = sent.send(body as object);
    const answer = await sent.buffer(true);
    await check(await described(), verb, path, answer);
    if (status !== undefined) assert.is(answer.status, status, `${method} ${path}: ${answer.text}`);
    return answer;
  }
  const good = (method: string, path: string, options: Options = {}) => ask(method, path, options);
  return { world, server, ask: good, described };
}

interface Document {
  readonly openapi: string;
  readonly components: object;
  readonly paths: Record<string, Record<string, { responses: Record<string, Response> }>>;
}
interface Response {
  readonly content?: Record<string, { schema: object }>;
}

let validators: Map<string, ValidateFunction> | undefined;

async function check(document: Document, verb: string, path: string, answer: request.Response): Promise<void> {
  const pattern = patternOf(document, verb, path.replace(/\?.*$/, ''));
  if (pattern === undefined) throw new Error(`${verb} ${path} is not described`);
  const response = document.paths[pattern]?.[verb]?.responses[String(answer.status)];
  if (!response) throw new Error(`${verb} ${path} answered ${answer.status}, which is not described: ${answer.text}`);
  met.add(`${verb} ${pattern} ${answer.status}`);
  const schema = response.content?.['application/json']?.schema;
  if (!schema) return;
  validators ??= new Map();
  const key = `${verb} ${pattern} ${answer.status}`;
  const validate = validators.get(key) ?? compile(document, schema);
  validators.set(key, validate);
  assert.ok(validate(answer.body), `${key}: ${JSON.stringify(validate.errors)}\n${answer.text}`);
}

function compile(document: Document, schema: object): ValidateFunction {
  const ajv = new Ajv2020({ strict: false, formats: { 'date-time': true } });
  ajv.addSchema({ $id: 'api', components: document.components });
  return ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"api#/')) as object);
}

/** The described path that this one is of: one without parameters goes before one with. */
function patternOf(document: Document, verb: string, path: string): string | undefined {
  const fits = Object.keys(document.paths).filter(
    (one) => document.paths[one]?.[verb] && new RegExp(`^${one.replace(/\{\w+\}/g, '[^/]+')}$`).test(path),
  );
  return fits.sort((a, b) => a.split('{').length - b.split('{').length)[0];
}

const consent = { repository: 12, branch: 'main' };
const signed = { paths: ['news.html'], author: { name: 'Jane', email: 'jane@northwick.example' }, message: 'News' };
const month = { from: '2027-01-10T22:00:00.000Z', until: '2027-01-10T23:00:00.000Z', every: 'week' };

/** A request that each endpoint answers well. */
const goodCalls: readonly Row[] = [
  ['GET', '/sites'],
  ['POST', '/sites', { body: { name: 'New', folder: '/srv/sites/new' }, status: 201 }],
  ['GET', '/folders'],
  ['GET', '/sites/museum'],
  ['DELETE', '/sites/parks', { status: 204 }],
  ['POST', '/sites/museum/sync', { as: 'syncs', status: 202 }],
  ['POST', '/sites/museum/sync?wait=true&timeout=5', { as: 'syncs', status: 200 }],
  ['POST', '/sites/museum/pause', { as: 'syncs', body: { now: true }, status: 200 }],
  ['POST', '/sites/museum/resume', { as: 'syncs', status: 200 }],
  ['GET', '/sites/museum/settings', { status: 200 }],
  [
    'PATCH',
    '/sites/museum/settings',
    { headers: { 'If-Match': '*' }, body: { safety: { keepDays: 30 } }, status: 200 },
  ],
  ['POST', '/sites/parks/connect/plan', { body: consent, status: 200 }],
  ['POST', '/sites/parks/connect', { body: { ...consent, plan: 'plan-1' }, status: 200 }],
  ['POST', '/sites/museum/disconnect', { status: 200 }],
  ['POST', '/sites/museum/hand-over', { body: { connection: ana.id }, status: 200 }],
  ['GET', '/sites/museum/activity?limit=2'],
  ['GET', '/sites/museum/activity/r1', { status: 200 }],
  ['GET', '/sites/shop/hold', { status: 200 }],
  ['POST', '/sites/shop/hold', { body: { step: 'STEP', choice: 'CHOICE' }, status: 202 }],
  ['POST', '/sites/shop/hold/push-elsewhere', { body: { branch: 'review/x' }, status: 200 }],
  ['GET', '/sites/museum/conflicts', { status: 200 }],
  ['GET', '/sites/museum/conflicts/k1/site', { status: 200 }],
  ['POST', '/sites/museum/conflicts/k1', { body: { use: 'site' }, status: 200 }],
  ['GET', '/sites/museum/kept?limit=1', { status: 200 }],
  ['GET', '/sites/museum/kept/kv1', { status: 200 }],
  ['GET', '/sites/museum/kept/kv1/files/aW5kZXguaHRtbA', { status: 200 }],
  ['POST', '/sites/museum/kept/kv1/restore', { body: { file: 'aW5kZXguaHRtbA' }, status: 202 }],
  ['POST', '/sites/museum/commit-as', { as: 'signs', body: signed, status: 200 }],
  ['POST', '/sites/museum/commit-as', { as: 'signs', body: { ...signed, message: 'slow', timeout: 1 }, status: 202 }],
  ['POST', '/sites/museum/webhook', { status: 200 }],
  ['POST', '/sites/museum/stay', { status: 200 }],
  ['GET', '/sites/museum/no-longer-ignored', { status: 200 }],
  ['POST', '/sites/museum/no-longer-ignored', { body: { step: 'three', choice: 'ignore' }, status: 202 }],
  ['POST', '/sites/museum/let-go/remove', { body: { file: 'Y2FjaGUudHh0' }, status: 200 }],
  ['GET', '/system', { status: 200 }],
  ['GET', '/commit-as/domains', { status: 200 }],
  ['PUT', '/commit-as/domains', { body: { domains: ['northwick.example'] }, status: 200 }],
  ['GET', '/audit?limit=3'],
  ['GET', '/problems'],
  ['GET', '/connections'],
  ['DELETE', '/connections/c1', { status: 204 }],
  ['GET', '/connections/c1/repositories?search=web', { status: 200 }],
  ['GET', '/connections/c1/repositories/12/branches', { status: 200 }],
  ['GET', '/connections/c-jonas/hand-over?to=c1', { status: 200 }],
  ['POST', '/connections/c-jonas/hand-over', { body: { to: 'c1', sites: ['museum'] }, status: 200 }],
  ['GET', '/instance', { status: 200 }],
  ['PATCH', '/instance', { headers: { 'If-Match': '*' }, body: { minAccessLevel: 40 }, status: 200 }],
  ['POST', '/instance/test', { status: 200 }],
  ['GET', '/pause-all', { status: 200 }],
  ['POST', '/pause-all', { body: {}, status: 200 }],
  ['DELETE', '/pause-all', { status: 204 }],
  ['PUT', '/pause-all/window', { body: month, status: 200 }],
  ['DELETE', '/pause-all/window', { status: 204 }],
  ['GET', '/accounts', { status: 200 }],
  ['POST', '/accounts', { body: { name: 'Lena', password: 'a long password', role: 'viewer' }, status: 201 }],
  ['PATCH', '/accounts/a8', { body: { role: 'owner', sites: ['museum'] }, status: 200 }],
  ['DELETE', '/accounts/a8', { status: 204 }],
  ['GET', '/tokens', { status: 200 }],
  ['POST', '/tokens', { body: { name: 'monitoring', scopes: ['read'] }, status: 201 }],
  ['DELETE', '/tokens/t1', { status: 204 }],
  ['GET', '/webhooks', { status: 200 }],
  ['POST', '/webhooks', { body: { address: 'https://build.example.org/', events: ['pulled'] }, status: 201 }],
  ['PATCH', '/webhooks/w1', { body: { on: false }, status: 200 }],
  ['DELETE', '/webhooks/w1', { status: 204 }],
  ['GET', '/webhooks/w1/deliveries', { status: 200 }],
  ['POST', '/webhooks/w1/deliveries/msg_2/send', { status: 200 }],
];

/** One of {@link goodCalls} for an endpoint, so that one thing can be made wrong in it. */
function callOf({ method, path }: Endpoint): Row {
  const pattern = new RegExp(`^${path.replace(/:\w+/g, '[^/?]+')}(?:\\?|$)`);
  const literal = (row: Row): number => (row[1].replace(/\?.*/, '') === path ? 0 : 1);
  const rows = goodCalls.filter(([verb, at]) => verb.toLowerCase() === method && pattern.test(at));
  const row = rows.sort((a, b) => literal(a) - literal(b))[0];
  if (!row) throw new Error(`no good call for ${method} ${path}`);
  return row;
}

const isStream = ({ answer }: Endpoint): boolean => answer === 'events';
const described = endpoints.filter((one) => !isStream(one));

api('each endpoint answers as its description says', async () => {
  for (const [method, path, options = {}] of goodCalls) {
    const { world, ask } = arrange();
    const hold = world.statuses.get('shop')?.hold;
    const text = JSON.stringify(options.body ?? null)
      .replace('STEP', hold?.step ?? '')
      .replace('CHOICE', hold?.choices[0] ?? '');
    const body = JSON.parse(text) as unknown;
    await ask(method, path, { ...options, ...(body === null ? {} : { body }) });
  }
});

api('without a token that holds, or whose owner is gone, everything is refused and nothing is told', async () => {
  const { world, server, ask } = arrange();
  for (const one of described) {
    const [method, path, options] = callOf(one);
    const { headers, body } = await ask(method, path, { ...options, as: '', status: 401 });
    assert.match(String(headers['www-authenticate']), /^Bearer/);
    assert.is((body as { error: { code: string } }).error.code, 'not-allowed');
  }
  for (const shown of ['Bearer', 'Bearer nonsense-nonsense-nonsense', 'Basic YTpi', `Bearer ${orphan}`])
    assert.is((await request(server).get('/api/v1/sites').set('Authorization', shown)).status, 401);
  assert.is((await request(server).get('/api/v1/events')).status, 401);
  met.add('get /events 401');
  const { id } = await signedIn(world);
  const cookie = await request(server).post('/api/v1/sites/museum/sync').set('Cookie', `mooring=${id}`);
  assert.is(cookie.status, 401, 'a session of a browser is no token');
  assert.equal(
    world.calls.filter(({ name }) => !name.startsWith('log')),
    [],
  );
});

api('what scope or role does not allow is refused, and changes nothing', async () => {
  const { world, ask } = arrange();
  for (const one of described.filter((each) => 403 in refusalsOf(each))) {
    const [method, path, options] = callOf(one);
    const rule = accessTable.get(`${method} ${apiBase}${one.path}`);
    if (rule?.scope !== 'read') await ask(method, path, { ...options, as: 'reads', status: 403 });
    if (rule?.who !== 'viewer') await ask(method, path, { ...options, as: 'viewer', status: 403 });
    if (rule?.who === 'admin' && !one.path.startsWith('/sites/:id'))
      await ask(method, path, { ...options, as: 'bound', status: 403 });
  }
  assert.equal(world.calls, []);
});

api('what does not exist is 404, in each part of an address', async () => {
  const { world, ask } = arrange();
  for (const one of described.filter(({ path }) => path.includes('/:'))) {
    const [method, path, options] = callOf(one);
    const [bare = '', query] = path.split('?');
    const names = one.path.split('/');
    for (const [at, name] of names.entries()) {
      if (!name.startsWith(':') || name === ':file') continue;
      const missing = bare.split('/').map((part, n) => (n === at ? 'no-such' : part));
      await ask(method, missing.join('/') + (query ? `?${query}` : ''), { ...options, status: 404 });
    }
  }
  assert.equal(
    world.calls.filter(({ name }) => !name.startsWith('repositories.')),
    [],
  );
});

api('a token of one site gets nothing but 404 for every other site', async () => {
  const { world, ask } = arrange();
  const others = world.sites.map(({ id }) => id).filter((id) => id !== 'museum');
  for (const one of endpoints.filter(({ path }) => path.startsWith('/sites/:id'))) {
    const [method, path, options] = callOf(one);
    for (const id of [...others, 'no-such']) {
      const at = path.replace(/^\/sites\/[^/?]+/, `/sites/${id}`);
      for (const as of ['bound', 'owner']) {
        const { body } = await ask(method, at, { ...options, as, status: 404 });
        const { code, happened } = (body as { error: { code: string; happened: string } }).error;
        assert.equal([code, happened], ['not-found', happened]);
      }
    }
  }
  assert.equal(world.calls, []);
  for (const path of ['/sites', '/audit', '/problems', '/connections', '/tokens', '/system']) {
    const { text } = await ask('GET', path, { as: 'bound', status: 200 });
    for (const id of others) assert.not.match(text, `"${id}"`, `${path} tells of ${id}`);
  }
});

api('unknown and missing members are refused by their name', async () => {
  const { world, ask } = arrange();
  for (const one of described.filter(({ query, body }) => query || body)) {
    const [method, path, given = {}] = callOf(one);
    const options = JSON.parse(JSON.stringify(given).replace('CHOICE', 'go-on')) as Options;
    const isQuery = one.body === undefined;
    const at = isQuery ? `${path}${path.includes('?') ? '&' : '?'}surplus=1` : path;
    const body = isQuery ? options.body : { ...(options.body as object), surplus: 1 };
    const headers = one.tagged ? { 'If-Match': '*' } : {};
    const answer = await ask(method, at, { ...options, body, headers, status: 422 });
    const { error } = answer.body as { error: { code: string; fields: Record<string, string> } };
    assert.equal([error.code, error.fields], ['request-invalid', { surplus: 'There is no such field.' }]);
  }
  assert.equal(world.calls, []);
  const nested = await ask('PATCH', '/sites/museum/settings', {
    body: { safety: { keepDay: 3 } },
    headers: { 'If-Match': '*' },
    status: 422,
  });
  assert.match(nested.text, 'safety.keepDay');
});

api('a body that is no JSON, or too large, is refused', async () => {
  const { server, ask } = arrange();
  const send = (text: string, type = 'application/json') =>
    request(server)
      .post('/api/v1/sites')
      .set({ Authorization: `Bearer ${tokenText('admin')}`, 'Content-Type': type })
      .send(text);
  for (const text of ['{', '"text"', '[1]', '{"name": 3}']) assert.is((await send(text)).status, 422, text);
  assert.is((await send('name=a&folder=b', 'application/x-www-form-urlencoded')).status, 422);
  assert.match((await send(`{"name": "${'x'.repeat(600_000)}"}`)).text, 'larger than Mooring accepts');
  assert.is((await ask('POST', '/sites', { body: { name: 'a', folder: '/b', __proto__: { c: 1 } } })).status, 201);
});

api('what stands in the way is a conflict', async () => {
  const { world, ask } = arrange();
  const fails = (name: string, code: Problem['code']): void => void world.failing.set(name, new Problem(code, {}));
  fails('sites.remove', 'already-connected');
  await ask('DELETE', '/sites/museum', { status: 409 });
  await ask('POST', '/sites/parks/sync', { status: 409 });
  fails('connecting.plan', 'already-connected');
  await ask('POST', '/sites/museum/connect/plan', { body: consent, status: 409 });
  fails('connecting.confirm', 'plan-outdated');
  await ask('POST', '/sites/parks/connect', { body: { ...consent, plan: 'old' }, status: 409 });
  fails('connecting.disconnect', 'not-connected');
  await ask('POST', '/sites/parks/disconnect', { status: 409 });
  fails('connecting.handOver', 'not-connected');
  await ask('POST', '/sites/parks/hand-over', { body: { connection: ana.id }, status: 409 });
  await ask('POST', '/sites/museum/hold', { body: { step: 'gone', choice: 'go-on' }, status: 409 });
  fails('connecting.pushElsewhere', 'plan-outdated');
  await ask('POST', '/sites/shop/hold/push-elsewhere', { body: { branch: 'x' }, status: 409 });
  await ask('POST', '/sites/parks/webhook', { status: 409 });
  await ask('POST', '/sites/parks/stay', { status: 409 });
  fails('settings.decideRules', 'plan-outdated');
  await ask('POST', '/sites/museum/no-longer-ignored', { body: { step: 'old', choice: 'commit' }, status: 409 });
  fails('decisions.removeLetGo', 'plan-outdated');
  await ask('POST', '/sites/museum/let-go/remove', { body: { file: 'Y2FjaGUudHh0' }, status: 409 });
  fails('commitAs.commit', 'not-connected');
  await ask('POST', '/sites/parks/commit-as', { as: 'signs', body: signed, status: 409 });
  fails('handOver.remove', 'connection-in-use');
  await ask('DELETE', '/connections/c1', { status: 409 });
});

api('what a file declares is refused with the file and the line, and nothing is done', async () => {
  const { world, ask } = arrange('guarded');
  const at = { file: '/etc/mooring/mooring.yaml', line: 7, column: 5 };
  world.declared = { instance: at, accounts: { a8: at }, sites: { museum: at, parks: at } };
  const any = { 'If-Match': '*' };
  const refused: readonly Row[] = [
    ['PATCH', '/sites/museum/settings', { headers: any, body: { schedule: { quietSeconds: 2 } } }],
    ['PATCH', '/instance', { headers: any, body: { minAccessLevel: 40 } }],
    ['PATCH', '/accounts/a8', { body: { role: 'viewer' } }],
    ['DELETE', '/accounts/a8', {}],
    ['DELETE', '/sites/parks', {}],
    ['POST', '/sites/museum/disconnect', {}],
    ['POST', '/sites/museum/hand-over', { body: { connection: ana.id } }],
    ['POST', '/connections/c-jonas/hand-over', { body: { to: 'c1', sites: ['museum'] } }],
  ];
  for (const [method, path, options] of refused) {
    const { body } = await ask(method, path, { ...options, status: 409 });
    const { code, happened } = (body as { error: { code: string; happened: string } }).error;
    assert.is(code, 'declared', `${method} ${path}`);
    assert.match(happened, '/etc/mooring/mooring.yaml, line 7');
  }
  const changing =
    /^(settings\.save|instance\.configure|accounts\.(setReach|remove)|sites\.remove|connecting\.|handOver\.carryOut)/;
  assert.equal(
    world.calls.filter(({ name }) => changing.test(name)).map(({ name }) => name),
    [],
  );
  // What leads nowhere else goes on: no change at all, and what is not declared.
  await ask('PATCH', '/sites/museum/settings', { headers: any, body: {}, status: 200 });
  await ask('POST', '/sites/museum/pause', { body: {}, status: 200 });
  await ask('PATCH', '/accounts/a7', { body: { role: 'viewer' }, status: 200 });
});

api('settings and instance are changed only by whoever has read what they are now', async () => {
  const { world, ask } = arrange();
  for (const [path, body] of [
    ['/sites/museum/settings', { schedule: { quietSeconds: 3 } }],
    ['/instance', { minAccessLevel: 40 }],
  ] as const) {
    const { headers } = await ask('GET', path, { status: 200 });
    const tag = String(headers['etag']);
    assert.match(tag, /^"[\w-]{22}"$/);
    await ask('PATCH', path, { body, status: 428 });
    await ask('PATCH', path, { body, headers: { 'If-Match': '"another"' }, status: 412 });
    assert.equal(world.calls, []);
    await ask('PATCH', path, { body, headers: { 'If-Match': tag }, status: 200 });
    world.calls.length = 0;
  }
});

api('a change of settings is what a page would send, and names only what it changes', async () => {
  const { world, ask } = arrange();
  const body = {
    name: 'Museum',
    commits: { author: { name: 'Web', email: 'web@example.org' } },
    ignored: { ignore: ['*.log', 'cache/'] },
    permissions: { fileMode: '664' },
  };
  await ask('PATCH', '/sites/museum/settings', { body, headers: { 'If-Match': '*' }, status: 200 });
  const saved = world.calls.find(({ name }) => name === 'settings.saveAll')?.args[1] as Record<string, unknown>[];
  assert.equal(
    saved.map(({ page }) => page),
    ['name', 'commits', 'ignored', 'permissions'],
  );
  assert.equal([saved[1]?.['author'], saved[1]?.['authorEmail']], ['fixed', 'web@example.org']);
  assert.is(saved[2]?.['ignore'], '*.log\ncache/');
  assert.equal([saved[3]?.['fileMode'], saved[3]?.['folderMode'], saved[3]?.['owner']], ['664', '', '']);
});

api('no secret of the instance is answered, and none is lost by a change', async () => {
  const { world, ask } = arrange();
  const { text } = await ask('GET', '/instance', { status: 200 });
  assert.not.match(text, 'gloas-very-secret');
  assert.not.match(text, 'dmz');
  assert.match(text, 'X-Northwick-Zone');
  await ask('PATCH', '/instance', { body: { reachableAt: 'http://10.0.0.4' }, headers: { 'If-Match': '*' } });
  const [form] = world.calls.find(({ name }) => name === 'instance.configure')?.args as [Record<string, unknown>];
  assert.equal(
    [form['secret'], form['headers'], form['reachableAt']],
    ['', 'X-Northwick-Zone: dmz', 'http://10.0.0.4'],
  );
});

api('a key makes the same request create once, and no other', async () => {
  const { world, ask } = arrange();
  const headers = { 'Idempotency-Key': 'one' };
  const body = { name: 'backup', scopes: ['read'] };
  const [first, second] = await Promise.all([
    ask('POST', '/tokens', { body, headers, status: 201 }),
    ask('POST', '/tokens', { body, headers, status: 201 }),
  ]);
  assert.equal(first.body, second.body);
  assert.is(world.calls.filter(({ name }) => name === 'apiTokens.add').length, 1);
  const other = await ask('POST', '/tokens', { body: { ...body, name: 'other' }, headers, status: 422 });
  assert.match(other.text, 'key-reused');
  await ask('POST', '/tokens', { body, headers, as: 'owner', status: 201 });
  assert.is(world.calls.filter(({ name }) => name === 'apiTokens.add').length, 2, 'keys of two tokens are two');
  world.failing.set('sites.add', new Problem('form-invalid', { name: 'There is one.' }));
  const site = { body: { name: 'x', folder: '/y' }, headers: { 'Idempotency-Key': 'two' } };
  await ask('POST', '/sites', { ...site, status: 422 });
  world.failing.clear();
  await ask('POST', '/sites', { ...site, status: 201 });
  await ask('POST', '/accounts', { body: { name: 'L', password: 'short', role: 'viewer' }, status: 422 });
});

api('cursors give each row once, also while new ones come', async () => {
  const { world, ask } = arrange();
  world.runs = Array.from({ length: 12 }, (_, n) => run(`run-${n}`));
  const ids: string[] = [];
  let cursor = '';
  do {
    const { body } = await ask('GET', `/sites/museum/activity?limit=5${cursor}`, { status: 200 });
    const { runs, next } = body as { runs: { id: string }[]; next: string | null };
    ids.push(...runs.map(({ id }) => id));
    cursor = next === null ? '' : `&cursor=${next}`;
    world.runs.unshift(run(`newer-${ids.length}`));
  } while (cursor !== '');
  assert.equal(
    ids,
    Array.from({ length: 12 }, (_, n) => `run-${n}`),
  );
  await ask('GET', '/sites/museum/activity?cursor=nonsense', { status: 422 });
  const offset = (await ask('GET', '/sites/museum/activity?limit=2&offset=4', { status: 200 })).body as {
    runs: { id: string }[];
  };
  assert.equal(
    offset.runs.map(({ id }) => id),
    world.runs.slice(4, 6).map(({ id }) => id),
  );
  const sites = new Set<string>();
  let next: string | null = '';
  while (next !== null) {
    const { body } = await ask('GET', `/sites?limit=2${next && `&cursor=${next}`}`, { status: 200 });
    const page = body as { sites: { id: string }[]; next: string | null };
    for (const { id } of page.sites) sites.add(id);
    next = page.next;
  }
  assert.is(sites.size, world.sites.length);
});

api('a token makes none that reaches further than itself', async () => {
  const { world, ask } = arrange();
  const made = await ask('POST', '/tokens', { as: 'bound', body: { name: 'x', scopes: ['admin'] }, status: 201 });
  assert.equal((made.body as { token: { sites: string[] } }).token.sites, ['museum']);
  await ask('POST', '/tokens', { as: 'bound', body: { name: 'x', scopes: ['read'], sites: ['shop'] }, status: 422 });
  await ask('DELETE', '/tokens/t2', { as: 'bound', status: 404 });
  await ask('DELETE', '/tokens/admin', { as: 'owner', status: 404 });
  const old = { name: 'x', scopes: ['read'], expiresAt: '2020-01-01T00:00:00.000Z' };
  await ask('POST', '/tokens', { body: old, status: 422 });
  await ask('POST', '/tokens', { body: { name: 'x', scopes: ['commit-as'] }, status: 422 });
  await ask('POST', '/tokens', { as: 'signs', body: { name: 'x', scopes: ['commit-as'] }, status: 403 });
  await ask('POST', '/sites/museum/commit-as', { body: signed, status: 403 });
  assert.is(world.calls.filter(({ name }) => name === 'apiTokens.remove').length, 0);
});

api('connecting needs a connection of one’s own, and the plan says whose access it is', async () => {
  const { world, ask } = arrange();
  const planned = await ask('POST', '/sites/parks/connect/plan', { body: consent, status: 200 });
  assert.equal((planned.body as { connection: object }).connection, { id: ana.id, username: ana.username });
  world.connection = undefined;
  const { text } = await ask('POST', '/sites/parks/connect/plan', { body: consent, status: 422 });
  assert.match(text, 'Authorise Mooring once in a browser');
  await ask('GET', '/connections/c1/repositories', { status: 404 });
});

api('a token asks in the name of its owner', async () => {
  const { world, ask } = arrange();
  await ask('POST', '/sites/museum/sync', { as: 'syncs' });
  assert.equal(world.calls[0]?.args, ['museum', 'Miriam Okafor (syncs)']);
});

api('a token is made on its page, shown once, and removed after a question', async () => {
  const { world } = arrange();
  const { get: browse, post: send } = await signedIn(world);
  const empty = await send('/account/tokens', { name: '', scope: 'all', days: '1' });
  assert.is(empty.status, 422);
  assert.match(empty.text, 'Enter a name.');
  const none = await send('/account/tokens', { name: 'x', scope: 'read', days: '30', which: 'some' });
  assert.match(none.text, 'Select at least one site.');
  const form = { name: 'backup <b>', scope: 'read', days: '30', which: 'some', 'site-museum': 'yes' };
  const made = await send('/account/tokens', form);
  assert.match(made.text, `mooring_${'T'.repeat(43)}`);
  assert.match(made.text, 'backup &lt;b&gt;');
  const [facts] = world.calls.find(({ name }) => name === 'apiTokens.add')?.args as [
    { endsAt: number; accountId: string; sites: string[] },
  ];
  assert.is(facts.accountId, 'a1');
  assert.equal(facts.sites, ['museum']);
  assert.is(facts.endsAt, world.deps.now() + 30 * 86_400_000);
  const again = await browse('/account/tokens');
  assert.not.match(again.text, 'TTTTT');
  assert.match((await browse('/account/tokens/t9/remove')).text, 'Remove the API token backup');
  assert.is((await send('/account/tokens/t9/remove', {})).status, 303);
  assert.is((await send('/account/tokens/t9/remove', {})).status, 404);
  assert.not.match((await browse('/account/tokens')).text, 'backup &lt;b&gt;');
});

api('the document has every route, and each of its paths and statuses was met here', async () => {
  const { described: read } = arrange();
  const document = await read();
  assert.is(document.openapi, '3.1.0');
  const routes = [...accessTable].flatMap(([route, { scope }]) => (scope && route.includes(apiBase) ? [route] : []));
  const known = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((verb) => `${verb.toUpperCase()} ${apiBase}${path.replace(/\{(\w+)\}/g, ':$1')}`),
  );
  assert.equal(known.sort(), routes.sort());
  const all = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).flatMap(([verb, { responses }]) =>
      Object.keys(responses)
        .filter((status) => status !== 'default')
        .map((status) => `${verb} ${path} ${status}`),
    ),
  );
  // Its stream is followed in test/web/programs.test.ts.
  met.add('get /events 200');
  assert.equal(
    all.filter((one) => !met.has(one)),
    [],
    'described and met by no test',
  );
  console.log(`note: ${all.length} answers of ${known.length} operations`);
});

api.run();
