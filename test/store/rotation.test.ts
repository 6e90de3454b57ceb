import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { BranchName, ProjectId } from '../../src/model/instance.ts';
import { Secret } from '../../src/model/secret.ts';
import { rotateKey } from '../../src/store/rotation.ts';
import { openStore } from '../../src/store/store.ts';
import { beat } from '../support/beat.ts';
import { freshFolder, storeOptions } from './fixtures.ts';

/** A change of keys, killed at each of its steps, while the daemon runs and while it is stopped. */
const test = suite('change of keys');

/** Each step takes a start of the store or of the daemon. */
const stride = process.env['MOORING_TEST_LONG'] === 'yes' ? 1 : 7;

const folders: string[] = [];
test.after(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

function fresh(): string {
  const folder = freshFolder();
  folders.push(folder);
  return join(folder, 'state');
}

/** Something sealed in every file that holds such. The site is paused: nothing of it leads outside. */
async function installation(): Promise<string> {
  const path = fresh();
  const store = await openStore(storeOptions(path));
  await store.accounts.ensure('Ada', new Secret('a-password-of-ada'));
  const url = 'http://127.0.0.1:9';
  await store.instance.configure({
    ...{ url, applicationId: 'id', secret: new Secret('canary-instance'), scopes: 'api' },
    ...{ authorizeUrl: `${url}/a`, tokenUrl: `${url}/t`, apiUrl: `${url}/api`, configuredAt: 1 },
    advanced: { ca: '', proxy: '', noProxy: [], headers: {}, reachableAt: '', minAccessLevel: 30 },
  });
  const person = { owner: 'ada', gitlabUserId: 7, username: 'ada', name: 'Ada', email: 'a@b.c', scopes: 'api' };
  const tokens = { accessToken: new Secret('canary-access'), refreshToken: new Secret('canary-refresh') };
  const { connection } = await store.instance.connect(person, { ...tokens, expiresAt: 20, issuedAt: 10 });
  await store.instance.setSystemHookSecret(new Secret('canary-system-hook'));
  const site = await store.sites.add({ name: 'Shop', folder: `${path}-sites/shop` });
  await store.sites.bind(
    site.id,
    {
      ...{ connectionId: connection.id, projectId: 4 as ProjectId, projectPath: 'g/p', branch: 'main' as BranchName },
      ...{ webUrl: `${url}/g/p`, cloneUrl: `${url}/g/p.git`, connectedAt: 5 },
      webhook: { kind: 'none', reason: 'not tried' },
    },
    new Secret('canary-hook'),
  );
  await store.sites.setHookSigning(site.id, { signing: new Secret('canary-signing'), signed: false });
  await store.sites.change(site.id, { paused: true });
  const header = { name: 'X-Key', value: new Secret('canary-header') };
  await store.notify.setWebhook({ on: false, form: 'json', address: new Secret('http://127.0.0.1:9/x'), header });
  await store.close();
  // What an earlier upgrade kept is sealed with the key that is to open nothing any more.
  cpSync(join(path, 'instance.json'), join(path, 'instance.json.version-0'));
  return path;
}

async function secretsIn(path: string): Promise<string[]> {
  const store = await openStore(storeOptions(path));
  try {
    const [connection] = store.instance.connections();
    const [site] = store.sites.all();
    const { accessToken, refreshToken } = store.instance.tokens(connection!.id);
    const { token, signing } = store.sites.hookSecrets(site!.id)!;
    const { address, header } = store.notify.webhook()!;
    const all = [store.instance.get()!.secret, accessToken, refreshToken, store.instance.systemHookSecret()!];
    return [...all, token, signing!, address, header!.value].map((secret) => secret.open());
  } finally {
    await store.close();
  }
}

const canaries = ['instance', 'access', 'refresh', 'system-hook', 'hook', 'signing'].map((name) => `canary-${name}`);
const expected = [...canaries, 'http://127.0.0.1:9/x', 'canary-header'];

const keyIds = (path: string): Set<string> =>
  new Set(
    (readdirSync(path, { recursive: true }) as string[])
      .map((name) => join(path, name))
      .filter((file) => statSync(file).isFile())
      .flatMap((file) => readFileSync(file, 'latin1').match(/"keyId":"\w+"/g) ?? []),
  );

for (const kind of ['stopped', 'running'] as const) {
  test(`killed at its steps, ${kind}: the next start opens everything, and the next change completes`, async () => {
    const original = await installation();
    const first = readFileSync(join(original, 'secret.key'));
    let [steps, tried] = [1, 0];
    for (let isDone = false; !isDone; steps += stride) {
      tried += 1;
      beat(`${kind}, step ${steps}`);
      const path = fresh();
      cpSync(original, path, { recursive: true });
      const helper = join(import.meta.dirname, 'rotating.ts');
      const ran = spawnSync(process.execPath, [helper, kind, path, String(steps)], {
        ...{ encoding: 'utf8', timeout: 120_000 },
        env: { ...process.env, NODE_OPTIONS: '--disable-warning=ExperimentalWarning' },
      });
      isDone = ran.stdout.includes('done');
      if (!isDone) assert.is(ran.signal, 'SIGKILL', ran.stderr);
      assert.equal(await secretsIn(path), expected, `step ${steps}`);
      assert.not(existsSync(join(path, 'secret.key.old')), `step ${steps}`);
      const leftOver = readdirSync(path).filter((name) => /\.\d{4,}$/.test(name));
      assert.equal(leftOver, [], `step ${steps}`);
      assert.is(keyIds(path).size, 1, `step ${steps}: something is sealed with another key`);
      await rotateKey(storeOptions(path));
      assert.equal(await secretsIn(path), expected, `step ${steps}, once more`);
      assert.not(readFileSync(join(path, 'secret.key')).equals(first));
      assert.is(keyIds(path).size, 1);
    }
    process.stdout.write(
      `\nnote: ${kind}: killed at ${tried - 1} of about ${steps} steps; MOORING_TEST_LONG=yes: all\n`,
    );
    assert.ok(steps > 20, `only ${steps} steps`);
  });
}

test('a change that fails halfway is completed by the next one, in the same process', async () => {
  const path = await installation();
  const store = await openStore(storeOptions(path));
  // Somebody else wrote the file: the store does not overwrite it, and the renewal stops there.
  const file = join(path, 'sites.json');
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, `${text} `);
  await store.rotateKey().then(
    () => assert.unreachable('the change went through'),
    () => {},
  );
  assert.ok(existsSync(join(path, 'secret.key.old')));
  assert.is(store.instance.get()?.secret.open(), 'canary-instance');
  writeFileSync(file, text);
  await store.rotateKey();
  await store.close();
  assert.equal(await secretsIn(path), expected);
  assert.not(existsSync(join(path, 'secret.key.old')));
});

test('secrets that are stored while the key changes are sealed with the new one', async () => {
  const path = await installation();
  const store = await openStore(storeOptions(path));
  const [connection] = store.instance.connections();
  const [site] = store.sites.all();
  const tokens = { accessToken: new Secret('canary-access'), refreshToken: new Secret('canary-refresh') };
  const storing = Array.from({ length: 20 }, async () => {
    await store.instance.saveTokens(connection!.id, { ...tokens, expiresAt: 20, issuedAt: 10 });
    await store.notify.setWebhook(store.notify.webhook()!);
    await store.sites.setHookSigning(site!.id, { signing: new Secret('canary-signing'), signed: false });
  });
  await Promise.all([store.rotateKey(), ...storing, store.rotateKey()]);
  await store.close();
  assert.equal(await secretsIn(path), expected);
  assert.is(keyIds(path).size, 1);
});

test.run();
