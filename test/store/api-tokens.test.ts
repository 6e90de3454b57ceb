import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openStore } from '../../src/store/store.ts';
import { freshFolder, problemOf, storeOptions } from './fixtures.ts';

const tokens = suite('API tokens');
const facts = { name: 'monitoring', accountId: 'a1', scopes: ['read'] } as const;

tokens('a token is found by its text over a restart, and its text is in no file', async () => {
  const path = freshFolder();
  const first = await openStore(storeOptions(path));
  const { text, token } = await first.apiTokens.add(facts);
  assert.match(text, /^mooring_[\w-]{43}$/);
  await first.close();
  const second = await openStore(storeOptions(path));
  assert.is(second.apiTokens.find(text)?.id, token.id);
  assert.is(second.apiTokens.find(`${text.slice(0, -1)}!`), undefined);
  await second.close();
  for (const name of readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()))
    assert.not.ok(readFileSync(join(name.parentPath, name.name)).includes(text.slice(8)), name.name);
});

tokens('a token ends in its time, with its removal and with its owner', async () => {
  const clock = { at: 1_800_000_000_000 };
  const store = await openStore(storeOptions(freshFolder(), clock));
  const short = await store.apiTokens.add({ ...facts, endsAt: clock.at + 1_000 });
  const plain = await store.apiTokens.add(facts);
  const other = await store.apiTokens.add({ ...facts, accountId: 'a2' });
  assert.ok(store.apiTokens.find(short.text));
  clock.at += 1_000;
  assert.is(store.apiTokens.find(short.text), undefined);
  await store.apiTokens.remove(plain.token.id);
  assert.is(store.apiTokens.find(plain.text), undefined);
  await problemOf('not-found', () => store.apiTokens.remove(plain.token.id));
  await store.apiTokens.removeAll('a2');
  assert.is(store.apiTokens.find(other.text), undefined);
  assert.equal(
    store.apiTokens.all().map(({ id }) => id),
    [short.token.id],
  );
  await store.close();
});

tokens.run();
