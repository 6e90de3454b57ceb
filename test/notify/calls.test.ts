import { mkdtempSync, rmSync } from 'node:fs';
import { type IncomingHttpHeaders, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Webhook } from 'standardwebhooks';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Numbered, RunRecord } from '../../src/model/event.ts';
import { type OutgoingDelivery, type OutgoingWebhook, outgoingEvents } from '../../src/model/outgoing.ts';
import { Secret } from '../../src/model/secret.ts';
import type { Site, SiteId } from '../../src/model/site.ts';
import { pathFromText } from '../../src/model/tree.ts';
import { createOutgoing } from '../../src/net/outgoing.ts';
import { type Calls, createCalls } from '../../src/notify/calls.ts';
import { createDeliveryStore } from '../../src/store/deliveries.ts';
import { systemClock, systemRandom } from '../../src/world.ts';
import { until } from '../support/until.ts';

/** Calls over real HTTP to a real receiver; only the time between tries is the test’s. */
const test = suite('outgoing webhooks');

interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

interface World {
  readonly received: Received[];
  /** What the receiver answers from now on. */
  status: number;
  webhook: OutgoingWebhook;
  readonly waits: number[];
  readonly calls: () => Calls;
  happened(run: Partial<RunRecord>): void;
  only(): OutgoingDelivery;
  /** The process ends and another begins with what was stored. */
  restart(): Promise<void>;
  /** The next pause is over. */
  later(): void;
}

const secret = `whsec_${Buffer.alloc(24, 7).toString('base64')}`;
const none = { added: 0, changed: 0, removed: 0 };
const site = {
  ...{ id: 's1' as SiteId, name: 'Museum', folder: '/srv/museum' },
  binding: { projectPath: 'town/museum', branch: 'main' },
} as unknown as Site;
const pulled: Partial<RunRecord> = {
  result: 'pulled',
  pulled: { added: 1, changed: 0, removed: 0 },
  files: [{ mark: '+', path: pathFromText('kür.txt'), to: 'site' }],
};

async function inWorld(use: (world: World) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'mooring-calls-'));
  const received: Received[] = [];
  const server = createServer((request, answer) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      received.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
      answer.writeHead(world.status, { 'Content-Type': 'text/plain', Location: 'http://127.0.0.1:1/' }).end('thanks');
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?key=1`;
  const outgoing = createOutgoing({ ca: () => '', clock: systemClock });
  let [calls, ahead] = [undefined as unknown as Calls, 0];
  const waits: number[] = [];
  let wake: (() => void)[] = [];
  const clock = {
    ...systemClock,
    now: () => Date.now() + ahead,
    sleep: (ms: number, signal?: AbortSignal) => {
      if (ms <= 0) return Promise.resolve();
      waits.push(ms);
      return new Promise<void>((done, reject) => {
        wake.push(done);
        signal?.addEventListener('abort', () => reject(new Error('over')));
      });
    },
  };
  const begin = async (): Promise<void> => {
    calls = createCalls({
      ...{ publicUrl: 'https://mooring.example', clock, random: systemRandom, log: () => {} },
      webhooks: () => [world.webhook],
      site: (id) => (id === site.id ? site : undefined),
      store: createDeliveryStore(join(dir, 'deliveries')),
      post: (request) => outgoing.post(request),
    });
    await calls.start();
  };
  const world: World = {
    ...{ received, status: 204, waits, calls: () => calls },
    webhook: {
      ...{ id: 'ab'.repeat(8), on: true, createdAt: 0, events: outgoingEvents },
      ...{ address: new Secret(address), secret: new Secret(secret) },
    },
    happened(run) {
      const whole: RunRecord = {
        ...{ id: 'r1', at: 0, durationMs: 1, triggers: ['poll'], result: 'pulled', pulled: none, pushed: none },
        ...{ files: [], conflicts: [], output: '', ...run },
      };
      calls.happened({ kind: 'run', site: site.id, run: whole, id: 1, at: 0 } as Numbered);
    },
    only() {
      const all = calls.deliveries(world.webhook.id);
      assert.is(all.length, 1);
      return all[0] as OutgoingDelivery;
    },
    async restart() {
      await calls.stop();
      wake = [];
      await begin();
    },
    later() {
      ahead += 24 * 3_600_000;
      const due = wake;
      wake = [];
      for (const each of due) each();
    },
  };
  await begin();
  try {
    await use(world);
  } finally {
    await calls.stop();
    outgoing.close();
    server.closeAllConnections();
    server.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

const verify = ({ headers, body }: Received): unknown => {
  // The library compares the time of the call with the present.
  const named = Object.fromEntries(
    ['webhook-id', 'webhook-timestamp', 'webhook-signature'].map((name) => [name, String(headers[name])]),
  );
  return new Webhook(secret).verify(body, named);
};

test('a call says what happened, and an independent library accepts its signature', () =>
  inWorld(async (world) => {
    world.happened(pulled);
    await until('it was called', () => world.received.length === 1);
    const [call] = world.received as [Received];
    assert.is(call.headers['content-type'], 'application/json');
    const value = verify(call) as { type: string; data: Record<string, unknown> };
    assert.is(value.type, 'pulled');
    assert.equal(value.data['site'], { id: 's1', name: 'Museum' });
    assert.equal(value.data['changes'], [{ path: 'kür.txt', change: 'added' }]);
    assert.is(value.data['complete'], true);
    assert.throws(() => verify({ ...call, body: call.body.replace('Museum', 'museum') }));
    await until('it is delivered', () => world.only().state === 'delivered');
    assert.match(world.only().tries[0]?.said ?? '', 'It answered 204');
  }));

test('each event is sent to whoever asked for it, and a hold once', () =>
  inWorld(async (world) => {
    world.webhook = { ...world.webhook, events: ['hold', 'conflict', 'pushed'] };
    world.happened(pulled);
    world.happened({ result: 'held', hold: 'went-back' });
    world.happened({ result: 'held', hold: 'went-back' });
    world.happened({ result: 'failed', problem: { code: 'gitlab-unreachable', facts: {}, cause: '' } as never });
    world.happened({ result: 'held', hold: 'went-back' });
    world.happened({ result: 'merged', pushed: { ...none, changed: 1 }, conflicts: [pathFromText('a.txt')] });
    world.happened({ result: 'held', hold: 'went-back' });
    await until('all were called', () => world.received.length === 4);
    const types = world.received.map((call) => (verify(call) as { type: string }).type).sort();
    assert.equal(types, ['conflict', 'hold', 'hold', 'pushed']);
  }));

test('what fails is tried again with growing pauses, under the same ID and a new signature', () =>
  inWorld(async (world) => {
    world.status = 503;
    world.happened(pulled);
    for (let tries = 1; tries <= 8; tries += 1) {
      await until(`try ${tries} is over`, () => world.only().tries.length === tries);
      if (tries < 8) {
        assert.is(world.only().state, 'waiting');
        await until('it waits', () => world.waits.length === tries);
        world.later();
      }
    }
    assert.is(world.only().state, 'failed');
    assert.equal(
      world.waits.map((ms, at) => ms > (world.waits[at - 1] ?? 0)).filter((grows) => !grows).length <= 1,
      true,
    );
    assert.is(new Set(world.received.map(({ headers }) => headers['webhook-id'])).size, 1);
    assert.is(new Set(world.received.map(({ headers }) => headers['webhook-signature'])).size, 8);
    // A person mended the receiver.
    world.status = 200;
    const again = await world.calls().sendAgain(world.webhook.id, world.only().id);
    assert.is(again.state, 'delivered');
    assert.is(world.received.length, 9);
    const twice = await world.calls().sendAgain(world.webhook.id, again.id);
    assert.is(twice.state, 'delivered');
    assert.is(world.received.length, 10);
  }));

test('what is owed outlives the process', () =>
  inWorld(async (world) => {
    world.status = 500;
    world.happened(pulled);
    await until('the first try is over', () => world.only().tries.length === 1);
    const { id } = world.only();
    await world.restart();
    assert.is(world.only().id, id);
    world.status = 204;
    world.later();
    await until('it is delivered', () => world.only().state === 'delivered');
    await world.restart();
    assert.is(world.only().state, 'delivered');
    assert.is(world.received.length, 2, 'it was sent again after it was delivered');
  }));

test('redirects are not followed; a receiver that is gone is not asked again; one that is off gets nothing', () =>
  inWorld(async (world) => {
    world.status = 302;
    world.happened(pulled);
    await until('it was tried', () => world.only().tries.length === 1);
    assert.match(world.only().tries[0]?.said ?? '', 'answered 302');
    await world.calls().forget(world.webhook.id);
    world.status = 410;
    world.happened(pulled);
    await until('it is given up', () => world.only().state === 'failed');
    await world.calls().forget(world.webhook.id);
    world.webhook = { ...world.webhook, on: false };
    world.happened(pulled);
    assert.equal(world.calls().deliveries(world.webhook.id), []);
  }));

test('the log is bounded', () =>
  inWorld(async (world) => {
    for (let n = 0; n < 130; n += 1) world.happened({ ...pulled, id: `r${n}` });
    await until('all are delivered', () => world.received.length === 130);
    await until('none waits', () =>
      world
        .calls()
        .deliveries(world.webhook.id)
        .every(({ state }) => state !== 'waiting'),
    );
    world.happened(pulled);
    await until('the last is delivered', () => world.received.length === 131);
    assert.ok(world.calls().deliveries(world.webhook.id).length <= 101);
    await world.restart();
    assert.ok(world.calls().deliveries(world.webhook.id).length <= 101);
  }));

test.run();
