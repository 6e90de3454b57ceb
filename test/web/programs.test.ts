import { once } from 'node:events';
import { request as post } from 'node:http';
import type { AddressInfo } from 'node:net';
import request from 'supertest';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Numbered } from '../../src/model/event.ts';
import type { SiteId } from '../../src/model/site.ts';
import { createApp } from '../../src/web/app.ts';
import { signedIn } from './browser.ts';
import { fullWorld } from './content.ts';
import { status } from './support.ts';

const test = suite('programs');

test('the webhook hands over the raw body, needs no session, and answers at once', async () => {
  const world = fullWorld();
  const app = createApp(world.deps).callback();
  const good = await request(app)
    .post('/hooks/gitlab/museum')
    .set('X-Gitlab-Token', 'right')
    .type('json')
    .send('{"a": 1}');
  assert.is(good.status, 200);
  assert.is(good.text, '{}');
  assert.equal(world.calls[0]?.args, ['museum', '{"a": 1}']);
  assert.is((await request(app).post('/hooks/gitlab/museum').set('X-Gitlab-Token', 'wrong').send('{}')).status, 401);
  assert.is((await request(app).get('/hooks/gitlab/museum')).status, 303);
});

test('each answer names its request, and what somebody sends along is not believed', async () => {
  const world = fullWorld();
  const ids: string[] = [];
  const deps = { ...world.deps, inRequest: <T>(id: string, work: () => Promise<T>) => (ids.push(id), work()) };
  const app = createApp(deps).callback();
  for (const path of ['/healthz', '/sign-in', '/no/such/page', '/api/v1/sites', '/hooks/gitlab/museum']) {
    const { headers } = await request(app).get(path).set('X-Request-Id', 'mine');
    assert.is(headers['x-request-id'], ids.at(-1), path);
    assert.match(String(headers['x-request-id']), /^[0-9a-f]{16}$/);
  }
  assert.is(new Set(ids).size, 5);
});

test('a webhook body over one MiB is refused, unless it shows the token: then 25 MiB are GitLab’s own limit', async () => {
  const world = fullWorld();
  const app = createApp(world.deps).callback();
  const send = (path: string, token: string, size: number) =>
    request(app).post(path).set('X-Gitlab-Token', token).type('json').send('x'.repeat(size));
  for (const path of ['/hooks/gitlab/museum', '/hooks/gitlab']) {
    assert.is((await send(path, 'wrong', 1_100_000)).status, 413);
    assert.equal(world.calls, []);
    assert.is((await send(path, 'right', 25 * 1024 * 1024)).status, 200);
    assert.is(String(world.calls[0]?.args.at(-1)).length, 25 * 1024 * 1024);
    world.calls.length = 0;
    assert.is((await send(path, 'right', 25 * 1024 * 1024 + 1)).status, 413);
    assert.equal(world.calls, []);
  }
});

test('a webhook body that does not say its length is heard no further than the limit', async () => {
  const world = fullWorld();
  const server = createApp(world.deps).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const send = (size: number): Promise<number> =>
    new Promise((resolve) => {
      const call = post({ port, host: '127.0.0.1', method: 'POST', path: '/hooks/gitlab/museum' }, (answer) => {
        answer.resume();
        resolve(answer.statusCode ?? 0);
      });
      // Cut off in the middle, the answer may be lost with the rest.
      call.once('error', () => resolve(413));
      for (let left = size; left > 0; left -= 50_000) call.write(Buffer.alloc(50_000, 'x'));
      call.end();
    });
  assert.is(await send(1_000_000), 401);
  assert.is(world.calls.length, 1);
  assert.is(await send(1_100_000), 413);
  assert.is(world.calls.length, 1);
  server.closeAllConnections();
  server.close();
});

test('health says alive, readiness says whether it can work', async () => {
  const world = fullWorld();
  const app = createApp(world.deps).callback();
  assert.is((await request(app).get('/healthz')).text, 'ok\n');
  assert.is((await request(app).get('/readyz')).status, 200);
  world.failing.set('ready', true);
  const answer = await request(app).get('/readyz');
  assert.equal([answer.status, answer.text], [503, 'not ready: the state directory cannot be written\n']);
  world.failing.delete('ready');
  const stopping = new AbortController();
  const stopped = createApp({ ...world.deps, stopping: stopping.signal }).callback();
  assert.is((await request(stopped).get('/readyz')).status, 200);
  stopping.abort();
  assert.is((await request(stopped).get('/readyz')).text, 'not ready: Mooring is stopping\n');
});

test('events stream live, say only what changed, and stop when the daemon does', async () => {
  const world = fullWorld();
  const stopping = new AbortController();
  Object.assign(world.deps, { stopping: stopping.signal });
  const { id } = await signedIn(world);
  const server = createApp(world.deps).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/events`;
  const answer = await fetch(address, { headers: { Cookie: `mooring=${id}` } });
  assert.match(answer.headers.get('content-type') ?? '', 'text/event-stream');
  assert.is(answer.headers.get('x-accel-buffering'), 'no');
  const event = { kind: 'status', site: 'museum', status: status('in-sync'), id: 42, at: 1 } as unknown as Numbered;
  for (const listener of world.listeners) listener(event);
  setTimeout(() => stopping.abort(), 100);
  const text = await answer.text();
  assert.match(text, 'id: 42\nevent: status\ndata: {"site":"museum"}\n\n');
  assert.is(world.listeners.size, 0);
  server.close();
});

test('a program follows the events of the sites its token sees, and resumes', async () => {
  const world = fullWorld();
  const stopping = new AbortController();
  const since: (number | undefined)[] = [];
  const { follow } = world.deps.events;
  Object.assign(world.deps, {
    stopping: stopping.signal,
    events: {
      follow: (from: number | undefined, listener: (event: Numbered) => void) => {
        since.push(from);
        return follow(from, listener);
      },
    },
  });
  world.apiTokens.push({
    id: 'one',
    name: 'one',
    accountId: 'a1',
    scopes: ['read'],
    sites: ['museum' as SiteId],
    createdAt: 0,
  });
  const server = createApp(world.deps).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/api/v1/events`, {
    headers: { Authorization: `Bearer mooring_${'one'.padEnd(43, 'x')}`, 'Last-Event-ID': '41' },
  });
  assert.match(answer.headers.get('content-type') ?? '', 'text/event-stream');
  assert.equal(since, [41]);
  const tell = (id: number, site: string): void => {
    const event = { kind: 'status', site, status: status('in-sync'), id, at: 1 } as unknown as Numbered;
    for (const listener of world.listeners) listener(event);
  };
  tell(42, 'museum');
  tell(43, 'shop');
  world.apiTokens = [];
  tell(44, 'museum');
  const text = await answer.text();
  assert.match(text, 'id: 42\nevent: status\ndata: {"site":"museum"}\n\n');
  assert.not.match(text, /^id: (43|44)/m);
  assert.is(world.listeners.size, 0, 'the stream ends with its token');
  server.close();
});

test('static files may be kept, and lead nowhere else', async () => {
  const app = createApp(fullWorld().deps).callback();
  const sheet = await request(app).get('/app.css');
  assert.match(sheet.headers['cache-control'] ?? '', 'immutable');
  assert.is((await request(app).get('/..%2fpackage.json')).status !== 200, true);
});

test.run();
