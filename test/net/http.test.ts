import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Secret } from '../../src/model/secret.ts';
import { createHttp } from '../../src/net/http.ts';
import { handClock, httpFor, listen, listenRaw, problemOf, realClock, realRandom, settingsFor } from './support.ts';

const http = suite('net/http');
const token = new Secret('canary-token-7d1f');

http('sends the token and the instance’s headers to the instance', async () => {
  const gitlab = await listen((_request, response) => response.end('{}'));
  const client = httpFor(settingsFor(gitlab.url, { headers: { 'X-Door': 'open' } }));
  const answer = await client.request({ method: 'GET', url: `${gitlab.url}/api/v4/user`, token });
  assert.is(answer.status, 200);
  assert.is(gitlab.requests[0]?.headers.authorization, 'Bearer canary-token-7d1f');
  assert.is(gitlab.requests[0]?.headers['x-door'], 'open');
  client.close();
  await gitlab.close();
});

http('a redirect to another port is not followed, and the other port sees nothing', async () => {
  const thief = await listen((_request, response) => response.end('{}'));
  for (const status of [301, 302, 307, 308]) {
    const gitlab = await listen((_request, response) =>
      response.writeHead(status, { location: `${thief.url}/x?a=b` }).end(),
    );
    const client = httpFor(settingsFor(gitlab.url));
    const problem = await problemOf(client.request({ method: 'GET', url: `${gitlab.url}/api/v4/user`, token }));
    assert.is(problem.code, 'gitlab-answer-odd');
    assert.is(problem.facts['to'], `${thief.url}/x`);
    const sent = {
      url: `${gitlab.url}/a/b.git/git-upload-pack`,
      headers: { authorization: 'Basic eA==' },
      body: Buffer.from('x'),
    };
    assert.is((await problemOf(client.post(sent))).code, 'gitlab-answer-odd');
    client.close();
    await gitlab.close();
  }
  assert.is(thief.requests.length, 0);
  await thief.close();
});

http('a token for any other origin is a bug and is never sent', async () => {
  const other = await listen((_request, response) => response.end());
  const client = httpFor(settingsFor('http://localhost:1'));
  for (const request of [{ token }, { headers: { Authorization: 'Basic eA==' } }]) {
    const error: unknown = await client.request({ method: 'GET', url: other.url, ...request }).catch((e: unknown) => e);
    assert.instance(error, TypeError);
  }
  assert.is(other.requests.length, 0);
  client.close();
  await other.close();
});

http('the instance’s headers go to its own addresses and nowhere else', async () => {
  const [gitlab, login, other] = await Promise.all(
    Array.from({ length: 3 }, () => listen((_request, response) => response.end('{}'))),
  );
  assert.ok(gitlab && login && other);
  const settings = { ...settingsFor(gitlab.url, { headers: { 'X-Door': 'open' } }), tokenUrl: `${login.url}/token` };
  const client = httpFor(settings);
  for (const { url } of [gitlab, login, other]) await client.request({ method: 'GET', url });
  const seen = [gitlab, login, other].map(({ requests }) => requests[0]?.headers['x-door']);
  assert.equal(seen, ['open', 'open', undefined]);
  client.close();
  await Promise.all([gitlab, login, other].map((server) => server.close()));
});

http('says when nothing listens, and when a name is unknown', async () => {
  const gone = await listen(() => undefined);
  await gone.close();
  const client = httpFor(settingsFor(gone.url));
  const refused = await problemOf(client.request({ method: 'GET', url: gone.url }));
  assert.is(refused.code, 'gitlab-unreachable');
  assert.match(refused.facts['reason'] ?? '', 'refused');
  assert.match(refused.facts['address'] ?? '', String(gone.port));
  const unknown = await problemOf(client.request({ method: 'GET', url: 'http://no-such-host.invalid/' }));
  assert.is(unknown.code, 'gitlab-unreachable');
  assert.match(unknown.facts['reason'] ?? '', 'DNS');
  client.close();
});

http('link-local and metadata addresses are refused at connect', async () => {
  const client = httpFor(settingsFor('http://169.254.169.254'), { connectMs: 500, totalMs: 1_000 });
  for (const host of ['169.254.169.254', '[fe80::1]', '[::ffff:169.254.169.254]', '100.100.100.200']) {
    const problem = await problemOf(client.request({ method: 'GET', url: `http://${host}/latest/meta-data` }));
    assert.is(problem.code, 'gitlab-unreachable', host);
    assert.match(problem.facts['reason'] ?? '', 'metadata', host);
  }
  client.close();
});

http('a silent server, a dripping one and a cut one all end in time', async () => {
  const silent = await listenRaw(() => undefined);
  const dripping = await listenRaw((socket) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n');
    const timer = setInterval(() => socket.write('x'), 20);
    socket.on('close', () => clearInterval(timer));
  });
  const cut = await listenRaw((socket) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf');
    setTimeout(() => socket.destroy(), 30);
  });
  const cases = [
    [silent, 'gitlab-slow'],
    [dripping, 'gitlab-slow'],
    [cut, 'gitlab-unreachable'],
  ] as const;
  for (const [server, code] of cases) {
    const client = httpFor(settingsFor(server.url), { idleMs: 200, totalMs: 400 });
    const request = client.request({ method: 'POST', url: server.url, json: {} });
    const problem = await problemOf(request);
    assert.is(problem.code, code);
    client.close();
    await server.close();
  }
});

http('silence on the line ends a request by itself, long before its whole time', async () => {
  // On a clock that stands still nothing else ends it; the signal would, and its reason is no Problem.
  const silent = await listenRaw(() => undefined);
  const stalled = await listenRaw((socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf'));
  for (const { url, close } of [silent, stalled]) {
    const client = httpFor(settingsFor(url), { idleMs: 100 }, handClock());
    const request = client.request({ method: 'POST', url, json: {}, signal: AbortSignal.timeout(10_000) });
    assert.is((await problemOf(request)).code, 'gitlab-slow');
    client.close();
    await close();
  }
});

http('cutting an answer after any number of bytes is a Problem, never half an answer', async () => {
  const whole = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n{"a":"bcd"}';
  let cutAt = 0;
  const server = await listenRaw((socket) => socket.once('data', () => socket.end(whole.slice(0, cutAt))));
  for (cutAt = 0; cutAt < whole.length; cutAt += 5) {
    const client = httpFor(settingsFor(server.url), { idleMs: 500, totalMs: 1_000 });
    const problem = await problemOf(client.request({ method: 'POST', url: server.url, json: {} }));
    assert.ok(['gitlab-unreachable', 'gitlab-answer-odd'].includes(problem.code), `${cutAt}: ${problem.code}`);
    client.close();
  }
  await server.close();
});

http('large transfers are given time by the bytes that move, dripping ones are not', async () => {
  const steady = await listen((_request, response) => {
    response.writeHead(200);
    let left = 8;
    const timer = setInterval(() => {
      response.write(Buffer.alloc(2_000));
      if (--left > 0) return;
      clearInterval(timer);
      response.end();
    }, 60);
  });
  const client = httpFor(settingsFor(steady.url), { totalMs: 200, idleMs: 5_000 });
  const answer = await client.post({ url: `${steady.url}/a.git/git-upload-pack`, headers: {}, body: Buffer.alloc(0) });
  assert.is(answer.body.length, 16_000);
  assert.is((await problemOf(client.request({ method: 'GET', url: steady.url }))).code, 'gitlab-slow');
  client.close();
  await steady.close();
});

http('an answer over the limit ends the request', async () => {
  const huge = await listen((_request, response) => response.end(Buffer.alloc(200_000)));
  const client = httpFor(settingsFor(huge.url), { maxBytes: 100_000 });
  assert.is((await problemOf(client.request({ method: 'GET', url: huge.url }))).code, 'gitlab-answer-odd');
  client.close();
  await huge.close();
});

http('429 and 503 tell how long to wait, in seconds or as a date', async () => {
  const clock = handClock();
  const cases = [
    { status: 429, headers: { 'retry-after': '30' }, code: 'gitlab-busy', retryAfterMs: 30_000 },
    {
      status: 503,
      headers: { 'retry-after': new Date(clock.now() + 90_000).toUTCString() },
      code: 'gitlab-busy',
      retryAfterMs: 90_000,
    },
    { status: 429, headers: {}, code: 'gitlab-busy', retryAfterMs: 60_000 },
    { status: 429, headers: { 'retry-after': '999999999' }, code: 'gitlab-busy', retryAfterMs: 3_600_000 },
    { status: 503, headers: {}, code: 'gitlab-error', retryAfterMs: undefined },
    { status: 502, headers: {}, code: 'gitlab-error', retryAfterMs: undefined },
  ];
  for (const { status, headers, code, retryAfterMs } of cases) {
    const gitlab = await listen((_request, response) => response.writeHead(status, headers).end('<html>'));
    const client = httpFor(settingsFor(gitlab.url), {}, clock);
    const problem = await problemOf(client.request({ method: 'GET', url: gitlab.url }));
    assert.is(problem.code, code);
    assert.is(problem.retryAfterMs, retryAfterMs);
    client.close();
    await gitlab.close();
  }
});

http('maintenance mode is recognised', async () => {
  const body = '{"message":"GitLab Maintenance: system is in maintenance mode"}';
  const gitlab = await listen((_request, response) => response.writeHead(503).end(body));
  const client = httpFor(settingsFor(gitlab.url));
  assert.is(
    (await problemOf(client.request({ method: 'POST', url: gitlab.url, json: {} }))).code,
    'gitlab-maintenance',
  );
  client.close();
  await gitlab.close();
});

http('an instance that asked for a pause is left alone by all until it is over', async () => {
  const clock = handClock();
  let status = 429;
  const gitlab = await listen((_request, response) => response.writeHead(status, { 'retry-after': '30' }).end('{}'));
  const client = httpFor(settingsFor(gitlab.url), {}, clock);
  const ask = () => client.request({ method: 'GET', url: gitlab.url });
  await problemOf(ask());
  status = 200;
  clock.pass(10_000);
  const waiting = await problemOf(ask());
  assert.is(waiting.code, 'gitlab-busy');
  assert.is(waiting.retryAfterMs, 20_000);
  assert.is(gitlab.requests.length, 1);
  // A person may ask all the same; that it works shortens the others' wait by nothing.
  assert.is((await client.request({ method: 'GET', url: gitlab.url, breaker: 'ignore' })).status, 200);
  assert.is((await problemOf(ask())).retryAfterMs, 20_000);
  clock.pass(20_000);
  assert.is((await ask()).status, 200);
  client.close();
  await gitlab.close();
});

http('GitLab’s limit on one endpoint does not stop the others', async () => {
  const body = '{"message":{"error":"This endpoint has been requested too many times. Try again later."}}';
  const gitlab = await listen((request, response) => response.writeHead(request.url === '/busy' ? 429 : 200).end(body));
  const client = httpFor(settingsFor(gitlab.url));
  assert.is((await problemOf(client.request({ method: 'GET', url: `${gitlab.url}/busy` }))).retryAfterMs, 60_000);
  assert.is((await client.request({ method: 'GET', url: `${gitlab.url}/free` })).status, 200);
  client.close();
  await gitlab.close();
});

http('a 429 of anything else, a proxy’s page, leaves the instance alone for a minute', async () => {
  for (const body of ['<html>Too Many Requests</html>', '{"message":"Too many requests"}', '']) {
    const clock = handClock();
    const gitlab = await listen((request, response) =>
      response.writeHead(request.url === '/busy' ? 429 : 200).end(body),
    );
    const client = httpFor(settingsFor(gitlab.url), {}, clock);
    await problemOf(client.request({ method: 'GET', url: `${gitlab.url}/busy` }));
    const other = () => client.request({ method: 'GET', url: `${gitlab.url}/free` });
    assert.is((await problemOf(other())).retryAfterMs, 60_000, body);
    assert.is(gitlab.requests.length, 1, body);
    clock.pass(60_000);
    assert.is((await other()).status, 200, body);
    client.close();
    await gitlab.close();
  }
});

http('connections are kept alive, and a closed one is replaced without anybody noticing', async () => {
  const ports = new Set<number | undefined>();
  const gitlab = await listen((request, response) => {
    ports.add(request.socket.remotePort);
    response.end('{}');
  });
  const client = httpFor(settingsFor(gitlab.url));
  for (let i = 0; i < 3; i += 1) await client.request({ method: 'GET', url: gitlab.url });
  assert.is(ports.size, 1);
  client.close();
  await gitlab.close();

  let asked = 0;
  const forgetful = await listenRaw((socket) => {
    let answered = false;
    socket.on('data', () => {
      asked += 1;
      // Answers once per connection and resets at the second request, as an idle time-out in the wrong moment does.
      if (answered) return socket.resetAndDestroy();
      answered = true;
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    });
  });
  const again = httpFor(settingsFor(forgetful.url));
  await again.request({ method: 'GET', url: forgetful.url });
  assert.is((await again.request({ method: 'GET', url: forgetful.url })).status, 200);
  assert.is(asked, 3);
  const push = again.post({ url: `${forgetful.url}/a.git/git-receive-pack`, headers: {}, body: Buffer.from('x') });
  assert.is((await problemOf(push)).code, 'gitlab-unreachable');
  assert.is(asked, 4);
  again.close();
  await forgetful.close();
});

http('goes past the proxy where it is not for a host, and leaves the connections of the other way alone', async () => {
  const proxy = await listen((_request, response) => response.end('{"by":"proxy"}'));
  const storage = await listen((_request, response) => response.end('{"by":"storage"}'));
  const client = httpFor(settingsFor('http://gitlab.invalid', { proxy: proxy.url, noProxy: ['localhost'] }));
  for (let turn = 0; turn < 2; turn += 1) {
    const proxied = await client.request({ method: 'GET', url: 'http://gitlab.invalid/api/v4/user' });
    const straight = await client.elsewhere({ url: storage.url });
    assert.equal([proxied.body.toString(), straight.body.toString()], ['{"by":"proxy"}', '{"by":"storage"}']);
  }
  assert.is(new Set(proxy.requests.map(({ socket }) => socket)).size, 1);
  assert.is(new Set(storage.requests.map(({ socket }) => socket)).size, 1);
  client.close();
  await Promise.all([proxy.close(), storage.close()]);
});

http('neither token nor headers go to where an answer points, and no plainer way is taken', async () => {
  const storage = await listen((_request, response) => response.writeHead(302, { location: '/on' }).end());
  const settings = settingsFor('http://gitlab.invalid', { headers: { 'X-House': 'harbour-7' } });
  const client = httpFor(settings);
  assert.is((await client.elsewhere({ url: `${storage.url}/a?signature=s` })).status, 302, 'followed, or not told');
  assert.is(storage.requests.length, 1);
  const { authorization, 'x-house': house } = storage.requests[0]?.headers ?? {};
  assert.equal([authorization, house], [undefined, undefined]);
  client.close();
  const safe = httpFor(settingsFor('https://gitlab.invalid'));
  assert.is((await problemOf(safe.elsewhere({ url: storage.url }))).code, 'gitlab-answer-odd');
  assert.is((await problemOf(safe.elsewhere({ url: 'file:///etc/passwd' }))).code, 'gitlab-answer-odd');
  assert.is((await problemOf(safe.elsewhere({ url: 'https://169.254.169.254/' }))).code, 'gitlab-unreachable');
  assert.is(storage.requests.length, 1);
  safe.close();
  await storage.close();
});

http('goes through the configured proxy, and only through that', async () => {
  const proxy = await listen((_request, response) => response.end('{"by":"proxy"}'));
  const client = httpFor(settingsFor('http://gitlab.invalid', { proxy: proxy.url }));
  const answer = await client.request({ method: 'GET', url: 'http://gitlab.invalid/api/v4/user', token });
  assert.is(answer.body.toString(), '{"by":"proxy"}');
  assert.is(proxy.requests[0]?.url, 'http://gitlab.invalid/api/v4/user');
  client.close();
  process.env['HTTP_PROXY'] = proxy.url;
  process.env['http_proxy'] = proxy.url;
  const direct = httpFor(settingsFor('http://gitlab.invalid'));
  assert.is(
    (await problemOf(direct.request({ method: 'GET', url: 'http://gitlab.invalid/' }))).code,
    'gitlab-unreachable',
  );
  delete process.env['HTTP_PROXY'];
  delete process.env['http_proxy'];
  assert.is(proxy.requests.length, 1);
  direct.close();
  await proxy.close();
});

http('a dead proxy is told under its own name, without its password, and not under GitLab’s', async () => {
  const gone = await listen(() => undefined);
  await gone.close();
  const dead = `http://ana:canary-word@localhost:${gone.port}`;
  for (const [proxy, named] of [
    [dead, `the proxy localhost:${gone.port}: nothing listens`],
    ['http://no-such-proxy.invalid:3128', 'the proxy no-such-proxy.invalid:3128: the name is not known to DNS'],
  ] as const)
    for (const scheme of ['http', 'https']) {
      const url = `${scheme}://gitlab.invalid`;
      const client = httpFor(settingsFor(url, { proxy }));
      const { code, facts } = await problemOf(client.request({ method: 'GET', url }));
      assert.is(code, 'gitlab-unreachable');
      assert.match(facts['reason'] ?? '', named);
      assert.equal([facts['host'], facts['address']], ['gitlab.invalid', undefined]);
      assert.not.match(JSON.stringify(facts), 'canary');
      client.close();
    }
});

http('a caller’s signal ends the wait with its own reason', async () => {
  const silent = await listenRaw(() => undefined);
  const client = httpFor(settingsFor(silent.url));
  const stop = new AbortController();
  const request = client.request({ method: 'GET', url: silent.url, signal: stop.signal });
  const reason = new Error('stopping');
  setTimeout(() => stop.abort(reason), 30);
  assert.is(await request.catch((error: unknown) => error), reason);
  client.close();
  await silent.close();
});

http('without an instance nothing is asked', async () => {
  const client = createHttp({ instance: () => undefined, clock: realClock, random: realRandom });
  assert.is((await problemOf(client.request({ method: 'GET', url: 'http://localhost:1' }))).code, 'instance-missing');
});

http.run();
