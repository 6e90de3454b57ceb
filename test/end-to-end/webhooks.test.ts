import { type IncomingHttpHeaders, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Harbour, harbour } from '../support/daemon.ts';
import { type MooredSite, mooredSite } from '../support/moored.ts';
import { overSocket } from '../support/over-socket.ts';
import { join } from 'node:path';
import { until } from '../support/until.ts';

/** A real daemon calls a real receiver; set up on the pages, and read and sent again there and over the API. */
const test = suite('outgoing webhooks of a daemon');

let world: Harbour;
let site: MooredSite;
let [status, secret] = [204, ''];
const received: { headers: IncomingHttpHeaders; body: string }[] = [];
const server = createServer((request, answer) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    received.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
    answer.writeHead(status).end();
  });
});
let address = '';

test.before(async () => {
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
  world = await harbour();
  site = await mooredSite(world);
  await site.settled();
});
test.after(async () => {
  if (process.exitCode) console.log(world?.output().slice(-3_000));
  await world?.close();
  server.closeAllConnections();
  server.close();
});

/** The calls of a type, each accepted by a library that is not ours. */
const calls = (type: string) =>
  received
    .map(({ headers, body }) => {
      const named = ['webhook-id', 'webhook-timestamp', 'webhook-signature'].map((name) => [name, `${headers[name]}`]);
      return new Webhook(secret).verify(body, Object.fromEntries(named)) as {
        type: string;
        data: { site: { id: string }; changes?: { path: string }[]; commit: string };
      };
    })
    .filter((call) => call.type === type);

const api = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
  const answer = await overSocket(join(world.stateDir, 'run', 'mooring.sock'), method, `/api/v1${path}`, body);
  assert.ok(answer.status < 300, `${answer.status} ${answer.body}`);
  return (answer.body === '' ? undefined : JSON.parse(answer.body)) as T;
};

test('an admin adds one on the page and sees its secret once', async () => {
  const { clicker } = site;
  await clicker.open(`${world.url}/account/webhooks`);
  const none = await clicker.press('Add webhook', { Address: 'ftp://x', Pulled: true });
  assert.not.match(none.words, 'whsec_');
  const { words } = await clicker.press('Add webhook', { Address: address, Pulled: true, Pushed: true });
  secret = /whsec_[\w+/=]+/.exec(words)?.[0] ?? '';
  assert.ok(secret.length > 40);
  assert.not.match((await clicker.open(`${world.url}/account/webhooks`)).words, 'whsec_');
});

test('syncs in both directions are told, signed', async () => {
  await site.project.push('main', { 'pulled.txt': 'from GitLab\n' });
  const pulled = await until('the pull is told', () =>
    calls('pulled').find(({ data }) => data.changes?.some(({ path }) => path === 'pulled.txt')),
  );
  assert.is(pulled.data.site.id, site.id);
  await site.write('pushed.txt', 'from the folder\n');
  await until('the push is told', () =>
    calls('pushed').find(({ data }) => data.changes?.some(({ path }) => path === 'pushed.txt')),
  );
});

test('one that fails waits, outlives a kill, and is delivered when the receiver is back', async () => {
  status = 503;
  await site.project.push('main', { 'late.txt': 'late\n' });
  const isLate = ({ data }: ReturnType<typeof calls>[number]): boolean =>
    data.changes?.some(({ path }) => path === 'late.txt') ?? false;
  await until('it was tried', () => calls('pulled').some(isLate));
  const [{ id } = { id: '' }] = (await api<{ webhooks: { id: string }[] }>('GET', '/webhooks')).webhooks;
  type List = { deliveries: { id: string; state: string; tries: unknown[]; body: string }[] };
  const list = async () => (await api<List>('GET', `/webhooks/${id}/deliveries`)).deliveries;
  await until('the try is written down', async () => (await list())[0]?.tries.length === 1);
  await world.kill();
  status = 204;
  const before = received.length;
  await world.start();
  // The list is read from the disk in the background after a start.
  await until('it was delivered after the restart', async () => {
    const all = await list();
    return all.length > 0 && all.every((one) => one.state === 'delivered');
  });
  assert.ok(received.length > before);

  const page = await site.clicker.open(`${world.url}/account/webhooks/${id}`);
  assert.match(page.words, 'Delivered');
  assert.match(page.words, '503');
  const [newest] = await list();
  await api('POST', `/webhooks/${id}/deliveries/${newest?.id ?? ''}/send`);
  assert.is(received.at(-1)?.headers['webhook-id'], newest?.id);
  assert.is(received.at(-1)?.body, newest?.body);
  await api('PATCH', `/webhooks/${id}`, { on: false });
  await api('DELETE', `/webhooks/${id}`);
  assert.equal((await api<{ webhooks: unknown[] }>('GET', '/webhooks')).webhooks, []);
});

test('neither address nor secret is in the state directory or the log in plain text', async () => {
  assert.not.match(world.output(), secret);
});

test.run();
