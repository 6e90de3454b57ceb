import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Incident } from '../../src/model/notice.ts';
import { Secret } from '../../src/model/secret.ts';
import type { SiteId } from '../../src/model/site.ts';
import { rotateKey } from '../../src/store/rotation.ts';
import { openStore } from '../../src/store/store.ts';
import { freshFolder, problemOf, storeOptions } from './fixtures.ts';

const notify = suite('store of notifications');

const address = new Secret('https://chat.example/hooks/room-key-4417');
const value = new Secret('header-value-4417');
const webhook = { on: true, form: 'slack', address, header: { name: 'X-Key', value } } as const;

function filesHold(path: string, text: string): boolean {
  const files = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return files.some((file) => readFileSync(join(file.parentPath, file.name)).includes(text));
}

notify('address and header come back after a restart and a change of keys, and stand in no file', async () => {
  const path = freshFolder();
  const first = await openStore(storeOptions(path));
  assert.is(first.notify.webhook(), undefined);
  await first.notify.setWebhook(webhook);
  await first.close();
  for (const text of ['room-key-4417', 'header-value-4417', 'chat.example']) assert.not.ok(filesHold(path, text), text);
  const keyId = /"keyId":"([0-9a-f]+)"/.exec(readFileSync(join(path, 'notify.json'), 'utf8'))?.[1] ?? 'none';
  await rotateKey(storeOptions(path));
  const second = await openStore(storeOptions(path));
  assert.is(second.notify.webhook()?.address.open(), address.open());
  assert.is(second.notify.webhook()?.header?.value.open(), value.open());
  assert.is(second.notify.webhook()?.form, 'slack');
  await second.close();
  assert.is.not(keyId, 'none');
  assert.not.ok(filesHold(path, keyId), 'nor in an older generation under the old key');
});

notify('a header opens only beside the address it was entered for', async () => {
  const path = freshFolder();
  const store = await openStore(storeOptions(path));
  const file = join(path, 'notify.json');
  const read = (): Kept => JSON.parse(readFileSync(file, 'utf8')) as Kept;
  await store.notify.setWebhook(webhook);
  const { header } = read().data.webhook;
  await store.notify.setWebhook({ ...webhook, address: new Secret('https://evil.example/') });
  await store.close();
  // Somebody puts the header that was sealed for one receiver beside the address of another.
  const { checksum: _of, ...after } = read();
  writeFileSync(
    file,
    JSON.stringify({ ...after, data: { ...after.data, webhook: { ...after.data.webhook, header } } }),
  );
  const edited = await openStore(storeOptions(path));
  await problemOf('store-damaged', () => edited.notify.webhook());
  await edited.close();
});

interface Kept {
  checksum: string;
  data: { webhook: { header: unknown } };
}

notify('what was told outlives the process', async () => {
  const path = freshFolder();
  const incident: Incident = {
    key: 'hold s1 branch-missing',
    kind: 'hold',
    at: 1,
    sites: ['s1' as SiteId],
    words: { title: 'a', happened: 'b', untouched: 'c', todo: 'd' },
    told: ['mail'],
    overAt: 2,
  };
  const channels = {
    mail: { sent: { at: 1, subject: 'x' }, digestDay: '2026-11-19' },
    webhook: { failure: { first: 1, at: 2, times: 3, happened: 'x', todo: 'y' } },
  };
  const first = await openStore(storeOptions(path));
  await first.notify.saveLedger({ incidents: [incident], channels });
  await first.close();
  const second = await openStore(storeOptions(path));
  assert.equal(second.notify.ledger(), { incidents: [incident], channels });
  await second.close();
});

notify.run();
