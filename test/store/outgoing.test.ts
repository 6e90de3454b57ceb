import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { OutgoingDelivery, OutgoingWebhook } from '../../src/model/outgoing.ts';
import { Secret } from '../../src/model/secret.ts';
import type { SiteId } from '../../src/model/site.ts';
import { rotateKey } from '../../src/store/rotation.ts';
import { openStore } from '../../src/store/store.ts';
import { freshFolder, storeOptions } from './fixtures.ts';

const test = suite('stored outgoing webhooks');

const webhook: OutgoingWebhook = {
  ...{ id: 'ab'.repeat(8), events: ['pulled', 'hold'], on: true, createdAt: 1 },
  ...{ address: new Secret('https://build.example/hooks/9f3a'), secret: new Secret('whsec_cXVheQ==') },
};

async function inFolder(use: (path: string) => Promise<void>): Promise<void> {
  const path = freshFolder();
  try {
    await use(path);
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}

test('address and secret are stored encrypted, and open after a new start and a new key', () =>
  inFolder(async (path) => {
    const first = await openStore(storeOptions(path));
    await first.outgoing.save(webhook);
    await first.outgoing.save({ ...webhook, on: false });
    await first.close();
    const text = readFileSync(join(path, 'outgoing.json'), 'utf8');
    assert.not.match(text, '9f3a');
    assert.not.match(text, 'cXVheQ');
    await rotateKey(storeOptions(path));
    const second = await openStore(storeOptions(path));
    const [found] = second.outgoing.all();
    assert.is(found?.address.open(), webhook.address.open());
    assert.is(found?.secret.open(), webhook.secret.open());
    assert.is(found?.on, false);
    await second.outgoing.remove(webhook.id);
    assert.equal(second.outgoing.all(), []);
    await second.close();
  }));

test('deliveries outlive a restart, and go with their webhook', () =>
  inFolder(async (path) => {
    const delivery: OutgoingDelivery = {
      ...{ id: 'msg_1', webhook: webhook.id, event: 'pulled', site: 's1' as SiteId, at: 1, body: '{}' },
      ...{ state: 'waiting', tries: [], nextAt: 2 },
    };
    const first = await openStore(storeOptions(path));
    assert.equal(await first.deliveries.load(), []);
    await first.deliveries.save(delivery);
    await first.close();
    const second = await openStore(storeOptions(path));
    assert.equal(await second.deliveries.load(), [delivery]);
    await second.deliveries.removeAll(webhook.id);
    assert.equal(await second.deliveries.load(), []);
    await second.close();
  }));

test.run();
