import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Delivery, NoticeWebhook } from '../../src/model/notice.ts';
import { Problem } from '../../src/model/problem.ts';
import { Secret } from '../../src/model/secret.ts';
import { createOutgoing, parseHookUrl } from '../../src/net/outgoing.ts';
import { toBody, toText } from '../../src/notify/forms.ts';
import { sendHook } from '../../src/notify/hook.ts';
import { news } from '../../src/notify/words.ts';
import { makeCertificates } from '../net/certificates.ts';
import { listenRaw, realClock } from '../net/support.ts';
import { binding } from '../web/support.ts';
import { harbourmaster, hold } from './support.ts';

const test = suite('webhook for notices');

interface Receiver {
  readonly url: string;
  readonly got: { method: string; path: string; headers: Record<string, unknown>; body: string }[];
  close(): Promise<void>;
}

/** A real receiver; `answer` says what it does with each call. */
async function receiver(status = 200, body = 'ok', headers: Record<string, string> = {}): Promise<Receiver> {
  const got: Receiver['got'] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString();
      got.push({ method: request.method ?? '', path: request.url ?? '', headers: request.headers, body: text });
      response.writeHead(status, headers).end(body);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    got,
    async close() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

const message = (await (async () => {
  const world = harbourmaster();
  world.is(world.add('Museum'), 'hold', hold('branch-missing'));
  await world.look();
  return world.sent[0]!.message;
})())!;

async function post(
  address: string,
  over: Partial<NoticeWebhook> = {},
  { ca = '', limits = {} }: { ca?: string; limits?: Parameters<typeof createOutgoing>[0]['limits'] & object } = {},
): Promise<Delivery> {
  const outgoing = createOutgoing({ ca: () => ca, clock: realClock, limits });
  try {
    const settings = { on: true, form: 'json', address: new Secret(address), ...over } as const;
    return await sendHook({ post: (request) => outgoing.post(request) }, settings, message);
  } finally {
    outgoing.close();
  }
}

const happened = (delivery: Delivery): string => (delivery.kind === 'bad' ? delivery.happened : 'good');

test('a message is posted once, with its header, in the form that was chosen', async () => {
  const there = await receiver();
  const header = { name: 'X-Room-Key', value: new Secret('kept-in-the-vault') };
  const delivery = await post(`${there.url}/hooks/abc?key=1`, { header });
  assert.equal(delivery, { kind: 'good', said: 'It answered 200 and says “ok”.' });
  const [call] = there.got;
  assert.is(there.got.length, 1);
  assert.is(call?.method, 'POST');
  assert.is(call?.path, '/hooks/abc?key=1');
  assert.is(call?.headers['x-room-key'], 'kept-in-the-vault');
  assert.match(String(call?.headers['content-type']), 'application/json');
  const body = JSON.parse(call?.body ?? '') as Record<string, unknown>;
  assert.is(body['subject'], 'Mooring: Museum is on hold: The branch no longer exists in GitLab');
  const [incident] = body['incidents'] as Record<string, unknown>[];
  assert.is(incident?.['state'], 'began');
  assert.equal(incident?.['sites'], [
    { id: 's1', name: 'Museum', repository: 'town/s1', branch: 'main', link: 'https://mooring.example/m/sites/s1' },
  ]);
  for (const form of ['slack', 'mattermost'] as const) {
    await post(there.url, { form });
    const { text } = JSON.parse(there.got.at(-1)?.body ?? '') as { text: string };
    assert.match(text, 'https://mooring.example/m/sites/s1');
    assert.match(text, 'The branch no longer exists in GitLab');
  }
  await there.close();
});

test('a redirect is not followed, so that no secret goes where the other side points', async () => {
  const elsewhere = await receiver();
  for (const status of [301, 302, 307, 308]) {
    const there = await receiver(status, '', { location: `${elsewhere.url}/x` });
    const delivery = await post(there.url, { header: { name: 'X-Key', value: new Secret('s3cret-value') } });
    assert.match(happened(delivery), `answered ${status}`);
    assert.match(delivery.kind === 'bad' ? delivery.todo : '', 'does not follow redirects');
    assert.is(there.got.length, 1);
    await there.close();
  }
  assert.equal(elsewhere.got, []);
  await elsewhere.close();
});

test('what comes back is bounded, and what an inner server says is not passed on', async () => {
  const cases: [number, string, string][] = [
    [404, 'no_service', 'answered 404 and says “no_service”.'],
    [400, '{"id":"web.x","message":"Invalid webhook"}', 'answered 400 and says “Invalid webhook”.'],
    [403, '{"secret":"AKIA1234"}', 'answered 403.'],
    [500, '<html>root:x:0:0:root</html>', 'answered 500.'],
    [500, 'password=hunter2', 'answered 500.'],
    [418, 'x'.repeat(4_000), 'answered 418.'],
  ];
  for (const [status, body, expected] of cases) {
    const there = await receiver(status, body);
    assert.is(happened(await post(there.url)), `${new URL(there.url).host} ${expected}`);
    await there.close();
  }
  const flood = await receiver(200, 'x'.repeat(200_000));
  assert.match(happened(await post(flood.url)), 'far larger than expected');
  await flood.close();
});

test('a receiver that is gone, silent or has a wrong certificate is told by its host alone', async () => {
  const limits = { connectMs: 300, idleMs: 300, totalMs: 500 };
  const gone = await listenRaw(() => undefined);
  await gone.close();
  const refused = await post(`${gone.url}/hooks/room-key?sig=very-secret`, {}, { limits });
  assert.is(
    happened(refused),
    `localhost:${gone.port} could not be reached: nothing listens on that port (connection refused).`,
  );
  assert.not.match(JSON.stringify(refused), /room-key|very-secret/);
  const silent = await listenRaw(() => undefined);
  assert.match(happened(await post(silent.url, {}, { limits })), 'did not answer in time');
  await silent.close();
  const { ca, good } = makeCertificates();
  const { createServer: createTls } = await import('node:https');
  const calls: string[] = [];
  const tls = createTls(good, (request, response) => {
    calls.push(String(request.headers['x-key']));
    response.end('ok');
  }).listen(0, 'localhost');
  await once(tls, 'listening');
  const url = `https://localhost:${(tls.address() as AddressInfo).port}`;
  const header = { name: 'X-Key', value: new Secret('shown') };
  assert.match(happened(await post(url, { header })), 'certificate');
  assert.equal(calls, []);
  assert.is((await post(url, { header }, { ca })).kind, 'good', 'the house’s own authority counts');
  tls.closeAllConnections();
  tls.close();
});

test('only http and https, without credentials, and never a metadata service; the local network is fine', async () => {
  const reasons: [string, RegExp][] = [
    ['ftp://chat.example/x', /Only https/],
    ['file:///etc/passwd', /Only https/],
    ['javascript:alert(1)', /must begin/],
    ['chat.example/hooks', /must begin/],
    ['https://user:pass@chat.example/x', /user name or password/],
    ['https://user@chat.example/x?y', /user name or password/],
    ['https://chat.example/x#part', /must not contain/],
    ['http://169.254.169.254/latest', /never called/],
    ['http://[fe80::1]/', /never called/],
    ['http://0x7f.1/', /usual form/],
    ['https://chat.example/a b', /no spaces/],
    ['https://chat.example/?a\nb', /no spaces/],
  ];
  for (const [text, reason] of reasons) {
    let found: unknown;
    try {
      parseHookUrl(text);
    } catch (error) {
      found = error;
    }
    assert.ok(found instanceof Problem, text);
    assert.match(found.facts['reason'] ?? '', reason, text);
  }
  for (const text of ['http://10.0.0.7:8065/hooks/x', 'https://chat.lan/w?sig=a%2Fb&v=1', ' http://localhost/x '])
    assert.is(parseHookUrl(text).href, text.trim());
  assert.match(happened(await post('http://169.254.169.254/latest/meta-data')), 'could not be reached');
});

/** A name as bad as names come, in each place a name can stand. */
const evil =
  'x\r\n<!channel> <https://evil.example|click> @all @here *b* _i_ `c` ~s~ [l](https://evil.example) ![p](//e) | # > www.evil.example &amp;\u202e\u0007';

const hostile = await (async () => {
  const world = harbourmaster();
  const at = { ...binding(evil, evil), subfolder: 'a\nb' as never };
  const id = world.add(evil, { binding: at });
  world.is(id, 'retrying', { problem: { code: 'gitlab-error', facts: { text: evil, host: evil }, cause: evil } });
  await world.look();
  world.is(id, 'hold', {
    problem: { code: 'push-not-allowed', facts: { text: evil, project: evil, branch: evil }, cause: evil },
  });
  await world.look();
  return world.sent[0]!.message;
})();

test('hostile names stay on their line in an e-mail', () => {
  const text = toText(hostile);
  assert.match(hostile.subject, /^Mooring: x\\x0d\\x0a<!channel>/);
  assert.not.match(hostile.subject, /[\r\n]/);
  assert.not.match(text.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u);
  assert.not.ok(text.split('\n').some((line) => line.startsWith('<!channel>')));
  assert.ok(hostile.subject.length <= 170);
});

test('hostile names call nobody, link nowhere and show no picture in Slack and Mattermost', () => {
  const slack = toBody(hostile, 'slack') as { text: string; mrkdwn: boolean };
  assert.is(slack.mrkdwn, false);
  assert.not.match(slack.text, /[<>]/, 'Slack reads <…> as a link or a call');
  assert.not.match(slack.text, /&(?!amp;|lt;|gt;)/);
  const { text } = toBody(hostile, 'mattermost') as { text: string };
  assert.not.match(text, /@(?!\u200b)/, 'Mattermost calls whoever stands after @');
  assert.not.match(text, /(?<!\\)[[\]()*_`~|#!]/u, 'every sign of Markdown is a sign again');
  assert.not.match(text, /www\.(?!\u200b)/, 'nor does a bare address become a link');
  const links = [...text.matchAll(/<([^>\\]*)>/g)].map(([, link]) => link ?? '');
  assert.ok(links.length >= 2);
  for (const link of links) assert.match(link, /^https:\/\/mooring\.example\/m\//);
  for (const body of [slack.text, text])
    assert.not.match(body.replaceAll('\n', '').replaceAll('\u200b', ''), /[\p{Cc}\p{Cf}]/u);
});

test('hostile names are plain values in JSON', () => {
  const text = JSON.stringify(toBody(hostile, 'json'));
  assert.not.match(JSON.stringify(JSON.parse(text)).replaceAll('\\\\', ''), /\\[rnbu]/);
});

test('a long name is cut, and a message of many sites stays small', () => {
  const world = harbourmaster();
  const sites = Array.from({ length: 500 }, (_, i) => world.add(`${i} ${'n'.repeat(5_000)}`));
  const words = {
    title: 't'.repeat(600),
    happened: 'h'.repeat(600),
    untouched: 'u'.repeat(600),
    todo: 'd'.repeat(600),
  };
  const incidents = sites.map((id) => ({ key: id, kind: 'reconnect' as const, at: 0, sites, words, told: [] }));
  const site = (id: string) => world.sites.find((one) => one.id === id);
  const made = news(incidents, 'webhook', { publicUrl: 'https://m.example', site, now: 0 })!;
  for (const form of ['json', 'slack', 'mattermost'] as const)
    assert.ok(JSON.stringify(toBody(made, form)).length < 120_000, form);
});

test.run();
