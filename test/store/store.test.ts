import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { BranchName, Connection, Instance, ProjectId } from '../../src/model/instance.ts';
import { asProblem } from '../../src/model/problem.ts';
import { Secret } from '../../src/model/secret.ts';
import type { Binding } from '../../src/model/site.ts';
import { rotateKey } from '../../src/store/rotation.ts';
import { openStore, type Store } from '../../src/store/store.ts';
import { readSetupCode } from '../../src/store/state-dir.ts';
import { freshFolder, problemOf, storeOptions } from './fixtures.ts';

const store = suite('store');

const canaries = ['app', 'access', 'refresh', 'hook', 'header', 'proxy'].map((name) => `canary-${name}-5f2e9b`);
const [app, access, refresh, hook, header, proxy] = canaries as [string, string, string, string, string, string];
const PASSWORD = 'canary-password-5f2e9b';

const instance: Instance = {
  url: 'https://gitlab.example/gitlab',
  applicationId: 'id',
  secret: new Secret(app),
  authorizeUrl: 'https://gitlab.example/gitlab/oauth/authorize',
  tokenUrl: 'https://gitlab.example/gitlab/oauth/token',
  apiUrl: 'https://gitlab.example/gitlab/api/v4',
  scopes: 'api',
  advanced: {
    ca: '',
    proxy: `http://u:${proxy}@proxy:3128`,
    noProxy: ['storage.example'],
    headers: { 'X-Access': header },
    reachableAt: '',
    minAccessLevel: 30,
  },
  configuredAt: 1,
};

const made: Omit<Connection, 'id' | 'health' | 'renewedAt'> = {
  owner: 'ada',
  gitlabUserId: 7,
  username: 'ada',
  name: 'Ada',
  email: 'ada@example.org',
  scopes: 'api',
};
const tokens = { accessToken: new Secret(access), refreshToken: new Secret(refresh), expiresAt: 20, issuedAt: 10 };

store('what keeps it from being written is told, and no longer once it can be written again', async () => {
  const path = join(freshFolder(), 'state');
  const opened = await openStore(storeOptions(path));
  assert.is(await opened.fault(), undefined);
  const file = join(path, 'accounts.json');
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, `${text} `);
  const add = (): Promise<unknown> => opened.accounts.add('Ada', new Secret(PASSWORD), { role: 'admin' });
  await problemOf('store-damaged', add);
  assert.is(asProblem(await opened.fault()).code, 'store-damaged');
  assert.equal(opened.accounts.all(), []);
  writeFileSync(file, text);
  assert.is(await opened.fault(), undefined);
  await add();
  await opened.close();
});

/** An installation with an account, the instance, a connection and a connected site; closed again. */
async function installation(): Promise<{ path: string; connection: Connection; cookie: string }> {
  const path = join(freshFolder(), 'state');
  const opened = await openStore(storeOptions(path));
  const code = opened.accounts.setupCode ?? '';
  const account = await opened.accounts.setUp({ code, name: 'Ada', password: PASSWORD });
  const { id: cookie } = await opened.sessions.create(account);
  await opened.instance.configure(instance);
  const { connection } = await opened.instance.connect(made, tokens);
  const site = await opened.sites.add({ name: 'Shop', folder: '/srv/shop' });
  const binding: Binding = {
    connectionId: connection.id,
    projectId: 4 as ProjectId,
    projectPath: 'g/p',
    webUrl: 'https://gitlab.example/gitlab/g/p',
    cloneUrl: 'https://gitlab.example/gitlab/g/p.git',
    branch: 'main' as BranchName,
    connectedAt: 5,
    webhook: { kind: 'none', reason: 'not tried' },
  };
  await opened.sites.bind(site.id, binding, new Secret(hook));
  await opened.siteFacts.of(site.id);
  await opened.close();
  return { path, connection, cookie };
}

async function within<T>(path: string, work: (opened: Store) => T | Promise<T>): Promise<T> {
  const opened = await openStore(storeOptions(path));
  try {
    return await work(opened);
  } finally {
    await opened.close();
  }
}

function everySecret(opened: Store): string[] {
  const [connection] = opened.instance.connections();
  const [site] = opened.sites.all();
  const got = opened.instance.tokens(connection!.id);
  const found = opened.instance.get()!;
  return [
    found.secret.open(),
    got.accessToken.open(),
    got.refreshToken.open(),
    opened.sites.hookToken(site!.id)!.open(),
    found.advanced.headers['X-Access']!,
    found.advanced.proxy.split(/[:@]/)[2]!,
  ];
}

const filesBelow = (path: string): string[] =>
  readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

store('an installation comes back as it was, secrets included', async () => {
  const { path, connection } = await installation();
  await within(path, (opened) => {
    assert.equal(everySecret(opened), canaries);
    assert.equal(opened.instance.get()?.advanced, instance.advanced);
    assert.is(opened.instance.connectionOf('ada')?.id, connection.id);
    assert.is(opened.sites.all()[0]?.binding?.branch, 'main');
    assert.is(opened.accounts.setupCode, undefined);
    assert.equal(opened.notes, []);
  });
});

store('no secret lies in any file in clear or in base64, and every mode is narrow', async () => {
  const { path, cookie } = await installation();
  for (const file of filesBelow(path)) {
    const text = readFileSync(file, 'latin1');
    for (const canary of [...canaries, PASSWORD, cookie]) {
      assert.not(text.includes(canary), `${file} holds ${canary}`);
      assert.not(text.includes(Buffer.from(canary).toString('base64').replace(/=+$/, '')), `${file} holds ${canary}`);
    }
    assert.is(statSync(file).mode & 0o777, 0o600, file);
  }
  for (const folder of [path, join(path, 'sites')]) assert.is(statSync(folder).mode & 0o777, 0o700, folder);
});

store('a state directory that others may enter is narrowed, with a note', async () => {
  const { path } = await installation();
  chmodSync(path, 0o755);
  const notes = await within(path, (opened) => opened.notes);
  assert.is(notes[0]?.kind, 'access-narrowed');
  assert.is(statSync(path).mode & 0o777, 0o700);
});

for (const name of ['state', 'accounts', 'sessions', 'instance', 'sites']) {
  store(`${name}.json missing beside the key is an error, not a fresh start`, async () => {
    const { path } = await installation();
    for (const end of ['', '.1', '.2', '.3']) rmSync(join(path, `${name}.json${end}`), { force: true });
    await problemOf('store-missing', () => openStore(storeOptions(path)));
    assert.not(existsSync(join(path, `${name}.json`)));
    assert.not(existsSync(join(path, 'setup-code')));
  });
}

store('a key alone, or other files alone, are no fresh start', async () => {
  const { path } = await installation();
  const onlyKey = join(freshFolder(), 'state');
  mkdirSync(onlyKey);
  copyFileSync(join(path, 'secret.key'), join(onlyKey, 'secret.key'));
  const problem = await problemOf('store-missing', () => openStore(storeOptions(onlyKey)));
  assert.match(problem.facts['hint'] ?? '', 'first-start');
  rmSync(join(onlyKey, 'secret.key'));
  mkdirSync(join(onlyKey, 'history'));
  await problemOf('store-missing', () => openStore(storeOptions(onlyKey)));
});

store('a key of the admin in its own place starts afresh once the admin has said so', async () => {
  const folder = freshFolder();
  const keyPath = join(folder, 'credential');
  writeFileSync(keyPath, `${Buffer.alloc(32, 9).toString('base64')}\n`, { mode: 0o644 });
  const path = join(folder, 'state');
  const options = { ...storeOptions(path), keyPath };
  await problemOf('store-missing', () => openStore(options));
  writeFileSync(join(path, 'first-start'), '');
  const opened = await openStore(options);
  assert.is(opened.notes[0]?.kind, 'access-wide');
  await opened.close();
  assert.not(existsSync(join(path, 'first-start')));
  assert.not(existsSync(join(path, 'secret.key')));
  await (await openStore(options)).close();
});

store('a first start broken off anywhere goes on', async () => {
  const { path } = await installation();
  const whole = ['first-start', 'secret.key', 'accounts.json', 'sessions.json', 'instance.json', 'sites.json'];
  for (let n = 1; n <= whole.length; n += 1) {
    const half = join(freshFolder(), 'state');
    mkdirSync(half);
    writeFileSync(join(half, 'first-start'), '');
    for (const name of whole.slice(1, n)) copyFileSync(join(path, name), join(half, name));
    await within(half, () => undefined);
    assert.ok(existsSync(join(half, 'state.json')));
  }
});

store('a missing, a wrong and a spoilt key are each said, and nothing is touched', async () => {
  const { path } = await installation();
  const key = join(path, 'secret.key');
  const good = readFileSync(key);
  const before = filesBelow(path).length;
  rmSync(key);
  await problemOf('key-missing', () => openStore(storeOptions(path)));
  writeFileSync(key, Buffer.alloc(32, 3), { mode: 0o600 });
  await problemOf('key-wrong', () => openStore(storeOptions(path)));
  writeFileSync(key, 'half', { mode: 0o600 });
  await problemOf('key-wrong', () => openStore(storeOptions(path)));
  writeFileSync(key, good);
  assert.is(filesBelow(path).length, before);
  await within(path, (opened) => assert.equal(everySecret(opened), canaries));
});

store('an edited instance URL opens no secret', async () => {
  const { path, connection } = await installation();
  const file = join(path, 'instance.json');
  const text = readFileSync(file, 'utf8')
    .replaceAll('gitlab.example', 'evil.example')
    .replace(/"checksum":"\w+",/, '');
  writeFileSync(file, text);
  await within(path, async (opened) => {
    await problemOf('store-damaged', () => opened.instance.get());
    await problemOf('store-damaged', () => opened.instance.tokens(connection.id));
  });
});

store('another instance URL drops every connection', async () => {
  const { path, connection } = await installation();
  await within(path, async (opened) => {
    await opened.instance.configure({ ...instance, applicationId: 'new' });
    assert.is(opened.instance.connections().length, 1);
    await opened.instance.configure({ ...instance, url: 'https://other.example' });
    assert.equal(opened.instance.connections(), []);
    await problemOf('grant-lost', () => opened.instance.tokens(connection.id));
  });
});

store('tokens are on disk when saving them resolves, and connecting again keeps the id', async () => {
  const { path, connection } = await installation();
  await within(path, async (opened) => {
    await opened.instance.setHealth(connection.id, 'reconnect');
    assert.is(opened.instance.connectionOf('ada'), undefined);
    const next = { ...tokens, accessToken: new Secret('next'), issuedAt: 30 };
    await opened.instance.saveTokens(connection.id, next);
    const copy = join(freshFolder(), 'copy');
    cpSync(path, copy, { recursive: true });
    await within(copy, (other) => assert.is(other.instance.tokens(connection.id).accessToken.open(), 'next'));
    assert.is(opened.instance.connectionOf('ada')?.renewedAt, 30);
    const again = await opened.instance.connect({ ...made, name: 'Ada L.' }, tokens);
    assert.is(again.connection.id, connection.id);
    assert.is(again.replaced?.accessToken.open(), 'next');
    assert.equal(
      opened.instance.connections().map((each) => each.name),
      ['Ada L.'],
    );
  });
});

store('an access token is a connection beside the same person’s grant, and is never taken for theirs', async () => {
  const { path, connection } = await installation();
  await within(path, async (opened) => {
    const entered = { ...tokens, accessToken: new Secret('glpat-entered'), issuedAt: 40 };
    const first = await opened.instance.connect({ ...made, accessToken: {} }, entered);
    assert.is.not(first.connection.id, connection.id);
    assert.is(first.replaced, undefined);
    assert.is(opened.instance.connectionOf('ada')?.id, connection.id);
    assert.is(opened.instance.tokens(connection.id).accessToken.open(), access);
    const second = await opened.instance.connect({ ...made, accessToken: { expiresAt: 9 } }, entered);
    assert.is(second.connection.id, first.connection.id);
  });
});

store('dropped tokens are gone, and their connection waits for a person', async () => {
  const { path, connection } = await installation();
  await within(path, async (opened) => {
    await opened.instance.dropTokens(connection.id);
    assert.is(opened.instance.connection(connection.id)?.health, 'reconnect');
    const { accessToken, refreshToken } = opened.instance.tokens(connection.id);
    assert.equal([accessToken.open(), refreshToken.open()], ['', '']);
  });
});

store('a site changes, loses its binding and goes', async () => {
  const { path } = await installation();
  await within(path, async (opened) => {
    const [{ id }] = opened.sites.all() as [Store['sites'] extends { all(): readonly (infer S)[] } ? S : never];
    await opened.sites.setWebhook(id, { kind: 'waiting', hookId: 3 });
    assert.equal(opened.sites.get(id)?.binding?.webhook, { kind: 'waiting', hookId: 3 });
    const called = (lastDeliveryAt: number) => ({ kind: 'working', hookId: 3, lastDeliveryAt }) as const;
    await opened.sites.setWebhook(id, called(1_000));
    const written = statSync(join(path, 'sites.json'), { bigint: true }).mtimeNs;
    await opened.sites.setWebhook(id, called(61_000));
    assert.equal(
      [opened.sites.get(id)?.binding?.webhook, opened.sites.all()[0]?.binding?.webhook],
      [called(61_000), called(61_000)],
    );
    assert.is(statSync(join(path, 'sites.json'), { bigint: true }).mtimeNs, written, 'a call alone writes nothing');
    await opened.sites.setWebhook(id, called(601_001));
    assert.ok(readFileSync(join(path, 'sites.json'), 'utf8').includes('601001'));
    await opened.sites.setWebhook(id, called(602_000));
    await opened.sites.setWebhook(id, { kind: 'waiting', hookId: 3 });
    assert.equal(opened.sites.get(id)?.binding?.webhook, { kind: 'waiting', hookId: 3 });
    assert.is((await opened.sites.change(id, { paused: true, root: { dev: '1', ino: '2' } })).paused, true);
    await opened.sites.unbind(id);
    assert.equal([opened.sites.get(id)?.binding, opened.sites.hookToken(id)], [undefined, undefined]);
    await opened.sites.remove(id);
    await opened.siteFacts.forget(id);
    assert.equal([opened.sites.all(), readdirSync(join(path, 'sites'))], [[], []]);
    await problemOf('not-found', () => opened.sites.change(id, { paused: false }));
  });
});

store('a second opening is refused while the first holds, and the lock dies with kill -9', async () => {
  const { path } = await installation();
  const script = `import { openStore } from ${JSON.stringify(join(import.meta.dirname, '../../src/store/store.ts'))};
    import { storeOptions } from ${JSON.stringify(join(import.meta.dirname, 'fixtures.ts'))};
    await openStore(storeOptions(${JSON.stringify(path)}));
    console.log('open');
    setInterval(() => undefined, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  const problem = await problemOf('state-in-use', () => openStore(storeOptions(path)));
  assert.is(problem.facts['pid'], String(child.pid));
  child.kill('SIGKILL');
  await once(child, 'close');
  await within(path, (opened) => assert.equal(everySecret(opened), canaries));
});

store('the set-up code is new at every start, lies in a file, and is gone with the first account', async () => {
  const path = join(freshFolder(), 'state');
  const codes: (string | undefined)[] = [];
  for (let n = 0; n < 2; n += 1) {
    await within(path, async (opened) => {
      codes.push(opened.accounts.setupCode);
      assert.is(await readSetupCode(path), opened.accounts.setupCode);
    });
  }
  assert.match(codes[0] ?? '', /^[0-9a-z]{4}(-[0-9a-z]{4}){3}$/);
  assert.is.not(codes[0], codes[1]);
  await within(path, async (opened) => {
    await opened.accounts.setUp({ code: opened.accounts.setupCode ?? '', name: 'Ada', password: PASSWORD });
  });
  assert.is(await readSetupCode(path), undefined);
});

store(
  'a damaged file of accounts asks for no new first account, and lets nobody in again who was removed',
  async () => {
    const path = join(freshFolder(), 'state');
    const damaged = async (then: (opened: Store) => Promise<void> | void): Promise<void> => {
      for (const name of ['accounts', 'sessions', 'api-tokens']) writeFileSync(join(path, `${name}.json`), '');
      await within(path, then);
    };
    await within(path, async ({ accounts }) => {
      await accounts.setUp({ code: accounts.setupCode ?? '', name: 'Ada', password: PASSWORD });
    });
    let ids: { account: string; session: string; token: string } | undefined;
    await damaged(async ({ accounts, sessions, apiTokens }) => {
      assert.equal([accounts.setupCode, accounts.all().length], [undefined, 1]);
      const ben = await accounts.add('Ben', new Secret(PASSWORD), { role: 'viewer' });
      const { id: session } = await sessions.create(ben);
      const { text } = await apiTokens.add({ name: 'deploy', accountId: ben.id, scopes: ['read'] });
      ids = { account: ben.id, session, token: text };
    });
    await damaged(async ({ accounts, sessions, apiTokens }) => {
      const { account, session, token } = ids!;
      assert.ok(accounts.get(account) && sessions.find(session) && apiTokens.find(token));
      await apiTokens.removeAll(account);
      await sessions.endAll(account);
      await accounts.remove(account);
    });
    await damaged(({ accounts, sessions, apiTokens }) => {
      const { account, session, token } = ids!;
      assert.equal([accounts.get(account), sessions.find(session), apiTokens.find(token)], Array(3).fill(undefined));
    });
  },
);

store('a new key opens everything, the old one nothing, generations included', async () => {
  const { path } = await installation();
  const old = readFileSync(join(path, 'secret.key'));
  await rotateKey(storeOptions(path));
  await within(path, (opened) => assert.equal(everySecret(opened), canaries));
  assert.not(readFileSync(join(path, 'secret.key')).equals(old));
  assert.not(existsSync(join(path, 'secret.key.old')));
  const ids = new Set(filesBelow(path).flatMap((file) => readFileSync(file, 'latin1').match(/"keyId":"\w+"/g) ?? []));
  assert.is(ids.size, 1);
});

store('a change of keys killed at any step is finished by the next start', async () => {
  const { path } = await installation();
  const before = join(freshFolder(), 'before');
  cpSync(path, before, { recursive: true });
  await rotateKey(storeOptions(path));
  // The steps: old key kept; new key in place; instance sealed anew; sites; state.
  for (let step = 1; step <= 5; step += 1) {
    const half = join(freshFolder(), 'half');
    cpSync(before, half, { recursive: true });
    copyFileSync(join(before, 'secret.key'), join(half, 'secret.key.old'));
    if (step >= 2) copyFileSync(join(path, 'secret.key'), join(half, 'secret.key'));
    for (const name of ['instance', 'sites', 'state'].slice(0, Math.max(0, step - 2))) {
      copyFileSync(join(path, `${name}.json`), join(half, `${name}.json`));
    }
    await within(half, (opened) => assert.equal(everySecret(opened), canaries));
    assert.not(existsSync(join(half, 'secret.key.old')));
    await within(half, (opened) => assert.equal(everySecret(opened), canaries));
  }
});

store('a rotation is refused while the daemon runs', async () => {
  const { path } = await installation();
  const key = readFileSync(join(path, 'secret.key'));
  await within(path, () => problemOf('state-in-use', () => rotateKey(storeOptions(path))));
  assert.equal(readFileSync(join(path, 'secret.key')), key);
});

store.run();
