import { Ajv2020 } from 'ajv/dist/2020.js';
import request from 'supertest';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createApp } from '../../src/web/app.ts';
import { signedIn } from './browser.ts';
import { fullWorld } from './content.ts';

const api = suite('API');

const reads = `Bearer mooring_${'t1'.padEnd(43, 'x')}`;
const syncs = `Bearer mooring_${'t2'.padEnd(43, 'x')}`;
const orphan = `Bearer mooring_${'t3'.padEnd(43, 'x')}`;

function open() {
  const world = fullWorld();
  const app = createApp(world.deps).callback();
  const get = (path: string, authorization = reads) => request(app).get(path).set('Authorization', authorization);
  const post = (path: string, authorization = syncs) => request(app).post(path).set('Authorization', authorization);
  return { world, app, get, post };
}

api('without a token that holds, or whose owner is gone, everything is refused and nothing is told', async () => {
  const { world, app, get, post } = open();
  for (const path of [
    '/api/v1/sites',
    '/api/v1/sites/museum',
    '/api/v1/sites/no-such',
    '/api/v1/sites/museum/activity',
  ]) {
    for (const shown of ['', 'Bearer', 'Bearer nonsense-nonsense-nonsense', 'Basic YTpi', orphan]) {
      const { status, headers, body } = await get(path, shown);
      assert.is(status, 401);
      assert.match(String(headers['www-authenticate']), /^Bearer/);
      assert.is((body as { error: { code: string } }).error.code, 'not-allowed');
    }
  }
  assert.is((await post('/api/v1/sites/museum/sync', 'Bearer nonsense-nonsense-nonsense')).status, 401);
  const { id } = await signedIn(world);
  const cookie = await request(app).post('/api/v1/sites/museum/sync').set('Cookie', `mooring=${id}`);
  assert.is(cookie.status, 401, 'a session of a browser is no token');
  assert.not.ok(world.calls.some(({ name }) => name.startsWith('sites.')));
});

api('a token that may only read changes nothing', async () => {
  const { world, post } = open();
  for (const act of ['sync', 'pause', 'resume']) {
    const { status, body } = await post(`/api/v1/sites/museum/${act}`, reads);
    assert.is(status, 403);
    assert.match((body as { error: { happened: string } }).error.happened, /is read-only/);
  }
  assert.not.ok(world.calls.some(({ name }) => name.startsWith('sites.')));
});

api('a token that may sync asks in its owner’s name', async () => {
  const { world, post } = open();
  assert.is((await post('/api/v1/sites/museum/sync')).status, 202);
  assert.is((await post('/api/v1/sites/museum/pause')).status, 200);
  assert.is((await post('/api/v1/sites/museum/resume')).status, 200);
  const asked = world.calls.filter(({ name }) => name.startsWith('sites.'));
  assert.equal(
    asked.map(({ name }) => name),
    ['sites.syncNow', 'sites.pause', 'sites.resume'],
  );
  assert.equal(asked[0]?.args, ['museum', 'Miriam Okafor (newsroom CMS, “publish” button)']);
});

api('every answer is as its description says', async () => {
  const { world, app, get, post } = open();
  const description = (await request(app).get('/api/v1/openapi.json')).body as Description;
  assert.is(description.openapi, '3.1.0');
  const ajv = new Ajv2020({ strict: false, formats: { 'date-time': /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/ } });
  ajv.addSchema({ $id: 'api', components: description.components });
  const faults = (path: string, method: 'get' | 'post', status: string, body: unknown): unknown => {
    const responses = description.paths[path]?.[method].responses ?? {};
    const schema = (responses[status] ?? responses['default'])?.content['application/json'].schema;
    if (!schema) throw new Error(`${method} ${path} is not described`);
    const text = JSON.stringify(schema).replaceAll('"#/', '"api#/');
    const valid = ajv.compile(JSON.parse(text) as object);
    return valid(body) ? null : valid.errors;
  };
  const check = (...call: Parameters<typeof faults>): void => assert.is(faults(...call), null, call[0]);
  check('/sites', 'get', '200', (await get('/api/v1/sites')).body);
  for (const { id } of world.sites) check('/sites/{id}', 'get', '200', (await get(`/api/v1/sites/${id}`)).body);
  const activity = (await get('/api/v1/sites/museum/activity?limit=2')).body as { runs: unknown[] };
  check('/sites/{id}/activity', 'get', '200', activity);
  assert.is(activity.runs.length, 2);
  check('/sites/{id}/sync', 'post', '202', (await post('/api/v1/sites/museum/sync')).body);
  check('/sites/{id}', 'get', '404', (await get('/api/v1/sites/no-such')).body);
  assert.is((await get('/api/v1/sites/no-such')).status, 404);
  assert.is((await get('/api/v1/no-such')).status, 404);
  assert.ok(faults('/sites/{id}', 'get', '200', { id: 1 }), 'the check sees nothing');
});

api('a token is made on its page, shown once, and removed after a question', async () => {
  const { world } = open();
  const { get: browse, post: send } = await signedIn(world);
  const empty = await send('/account/tokens', { name: '', scope: 'all', days: '1' });
  assert.is(empty.status, 422);
  assert.match(empty.text, 'Enter a name.');
  const made = await send('/account/tokens', { name: 'backup <b>', scope: 'read', days: '30' });
  assert.match(made.text, `mooring_${'T'.repeat(43)}`);
  assert.match(made.text, 'backup &lt;b&gt;');
  const [facts] = world.calls.find(({ name }) => name === 'apiTokens.add')?.args as [
    { endsAt: number; accountId: string },
  ];
  assert.is(facts.accountId, 'a1');
  assert.is(facts.endsAt, world.deps.now() + 30 * 86_400_000);
  const again = await browse('/account/tokens');
  assert.not.match(again.text, 'TTTTT');
  assert.match((await browse('/account/tokens/t9/remove')).text, 'Remove the API token backup');
  assert.is((await send('/account/tokens/t9/remove', {})).status, 303);
  assert.is((await send('/account/tokens/t9/remove', {})).status, 404);
  assert.not.match((await browse('/account/tokens')).text, 'backup &lt;b&gt;');
});

interface Description {
  readonly openapi: string;
  readonly components: object;
  readonly paths: Record<
    string,
    Record<'get' | 'post', { responses: Record<string, { content: { 'application/json': { schema: object } } }> }>
  >;
}

api.run();
