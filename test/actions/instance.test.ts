import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createInstanceActions, type InstanceActionsDeps } from '../../src/actions/instance.ts';
import type { InstanceForm } from '../../src/actions/instance-form.ts';
import type { Connection, Instance } from '../../src/model/instance.ts';
import { Problem } from '../../src/model/problem.ts';
import { Secret } from '../../src/model/secret.ts';
import { type Site, type Webhook, firstStatus } from '../../src/model/site.ts';
import { proxyFor, readNoProxy } from '../../src/net/proxy.ts';
import { likelyInstead, parseHttpUrl, parseInstanceUrl } from '../../src/net/url.ts';
import { makeCertificates } from '../net/certificates.ts';
import { handClock, problemOf, realRandom } from '../net/support.ts';

const instance = suite('actions/instance');

const filled: InstanceForm = {
  url: 'https://gitlab.example/gitlab/',
  asTyped: false,
  applicationId: 'a1b2',
  secret: 's3cr3t',
  authorizeUrl: '',
  tokenUrl: '',
  apiUrl: '',
  scopes: 'api',
  clientCertificate: '',
  clientKey: '',
  ca: '',
  proxy: '',
  noProxy: '',
  headers: '',
  reachableAt: '',
  minAccessLevel: 30,
};

interface Scene {
  readonly network?: InstanceActionsDeps['network'];
  readonly knowsApplication?: () => Promise<boolean>;
  readonly connections?: readonly Connection[];
  readonly sites?: readonly Site[];
}

const working = { id: 'c0', health: 'good' } as Connection;

function arrange(scene: Scene = {}) {
  let saved: Instance | undefined;
  let hook: Secret | undefined;
  const done: string[] = [];
  const clock = handClock();
  const acts = createInstanceActions({
    urls: { instanceUrls: parseInstanceUrl, httpUrl: parseHttpUrl, likelyInstead, noProxy: readNoProxy },
    store: {
      sites: { all: () => scene.sites ?? [] },
      instance: {
        get: () => saved,
        configure: async (next) => void (done.push('save'), (saved = next)),
        systemHookSecret: () => hook,
        setSystemHookSecret: async (secret) => void (hook = secret),
        connections: () => scene.connections ?? [working],
        connection: (id) => (scene.connections ?? [working]).find((one) => one.id === id),
        dropTokens: async (id) => void done.push(`drop ${id}`),
      },
    },
    tlsFiles: { save: async () => {} },
    runtimes: {
      find: (id) => ({
        status: () => firstStatus(0, 'unknown'),
        trigger: (trigger) => done.push(`${id} ${trigger}`),
      }),
    },
    checks: { soon: (id) => done.push(`check ${id}`) },
    random: realRandom,
    report: ({ by, detail }) => done.push(`${by} ${detail}`),
    clock,
    redirectUri: 'https://mooring.example/connect/callback',
    config: { publicUrl: 'https://mooring.example' },
    network: scene.network ?? {
      resolve: () => Promise.resolve(['192.0.2.1']),
      openPort: () => Promise.resolve(),
      proxyFor,
      ask: () =>
        Promise.resolve({
          status: 401,
          headers: { date: new Date(clock.now()).toUTCString(), 'content-type': 'application/json' },
        }),
    },
    tokens: { withToken: (_id, use) => use(new Secret('t')) },
    client: { version: async () => ({ version: '18.5.1' }) },
    oauth: { knowsApplication: scene.knowsApplication ?? (async () => true) },
  });
  const configure = (form: Partial<InstanceForm> = {}) => acts.configure({ ...filled, ...form }, 'Ana');
  const faults = async (form: Partial<InstanceForm>) => {
    const problem = await problemOf(configure(form));
    assert.is(problem.code, 'form-invalid');
    return problem.facts;
  };
  const line = async (name: string) => (await acts.test()).find((check) => check.name === name);
  return { acts, configure, faults, line, done, clock };
}

instance('configuring derives the endpoints, keeps edited ones, and stores what was typed', async () => {
  const { configure, done } = arrange();
  const saved = await configure({
    apiUrl: 'https://api.gitlab.example/v4/',
    headers: 'X-Door: open\n\nX-Two: a: b',
    proxy: 'http://u:p@proxy.example:3128',
  });
  assert.is(saved.url, 'https://gitlab.example/gitlab');
  assert.is(saved.tokenUrl, 'https://gitlab.example/gitlab/oauth/token');
  assert.is(saved.apiUrl, 'https://api.gitlab.example/v4');
  assert.equal(saved.advanced.headers, { 'X-Door': 'open', 'X-Two': 'a: b' });
  assert.is(saved.advanced.proxy, 'http://u:p@proxy.example:3128');
  assert.is(saved.secret.open(), 's3cr3t');
  assert.equal(done, ['save', 'Ana https://gitlab.example/gitlab']);
});

instance('a blank secret keeps the old one while the URL stays, and is asked for when it changes', async () => {
  const { configure, faults } = arrange();
  assert.match((await faults({ secret: '' }))['secret'] ?? '', 'Enter the Secret');
  await configure();
  assert.is((await configure({ secret: '', minAccessLevel: 40 })).secret.open(), 's3cr3t');
  assert.match((await faults({ secret: '', url: 'https://other.example' }))['secret'] ?? '', 'Secret');
});

instance(
  'a stored secret goes to no other server: a Token URL elsewhere asks for it, another path does not',
  async () => {
    const { configure, faults } = arrange();
    await configure();
    const elsewhere = await faults({ secret: '', tokenUrl: 'https://elsewhere.example/oauth/token' });
    assert.equal(Object.keys(elsewhere), ['secret']);
    assert.match(elsewhere['secret'] ?? '', 'the server of the Token URL');
    const port = await faults({ secret: '', tokenUrl: 'https://gitlab.example:8443/gitlab/oauth/token' });
    assert.equal(Object.keys(port), ['secret']);
    const path = await configure({ secret: '', tokenUrl: 'https://gitlab.example/other/token' });
    assert.is(path.secret.open(), 's3cr3t');
    // What is wrong with the address is told alone.
    assert.equal(Object.keys(await faults({ secret: '', tokenUrl: 'http://gitlab.example/oauth/token' })), [
      'tokenUrl',
    ]);
  },
);

instance('another URL, API, token endpoint or application drops the tokens before it is stored', async () => {
  const oauth = { id: 'o1', health: 'good' } as Connection;
  // An access token belongs to no application and never goes to the token endpoint.
  const entered = { id: 'p1', health: 'good', accessToken: {} } as Connection;
  const changes: [Partial<InstanceForm>, string[]][] = [
    [{ minAccessLevel: 40 }, []],
    [{ url: 'https://b.example' }, ['drop o1', 'drop p1']],
    [{ apiUrl: 'https://b.example/api' }, ['drop o1', 'drop p1']],
    [{ tokenUrl: 'https://b.example/t' }, ['drop o1']],
    [{ applicationId: 'z' }, ['drop o1']],
  ];
  for (const [change, drops] of changes) {
    const { configure, done } = arrange({ connections: [oauth, entered] });
    await configure();
    done.length = 0;
    await configure(change);
    assert.equal(done.slice(0, drops.length + 1), [...drops, 'save']);
  }
});

instance('sites that wait or lost their connection try again at once; webhooks follow a new address', async () => {
  const site = (id: string, connectionId: string, paused = false) =>
    ({ id, paused, binding: { connectionId, webhook: { kind: 'none', reason: '' } } }) as unknown as Site;
  const sites = [site('well', 'c0'), site('cut-off', 'gone'), site('paused', 'c0', true)];
  const { configure, done } = arrange({ sites });
  await configure();
  assert.equal(done.slice(1), ['check well', 'cut-off retry', 'check cut-off', 'Ana https://gitlab.example/gitlab']);
});

instance('every fault is told at once, each beside its field', async () => {
  const { faults, done } = arrange();
  const found = await faults({
    url: 'https://gitlab.example/users/sign_in',
    applicationId: ' ',
    secret: ' padded ',
    tokenUrl: 'ftp://x',
    ca: 'not a certificate',
    proxy: 'http://proxy.example/path',
    headers: 'Authorization: Bearer x',
    reachableAt: 'mooring.local',
    minAccessLevel: 7,
  });
  assert.equal(Object.keys(found).sort(), [
    'applicationId',
    'ca',
    'headers',
    'minAccessLevel',
    'proxy',
    'reachableAt',
    'secret',
    'tokenUrl',
    'url',
  ]);
  assert.match(found['url'] ?? '', 'Did you mean https://gitlab.example?');
  for (const sentence of Object.values(found)) assert.match(sentence, /[.?]$/);
  assert.equal(done, []);
});

instance('the CA must be certificates in PEM, never a key', async () => {
  const { configure, faults } = arrange();
  const { ca, good } = makeCertificates();
  assert.is(
    (await configure({ ca: `words around\r\n${ca.replaceAll('\n', '\r\n')}\r\n${good.cert}` })).advanced.ca.match(
      /BEGIN/g,
    )?.length,
    2,
  );
  assert.match((await faults({ ca: `${ca}${good.key}` }))['ca'] ?? '', 'private key');
  assert.match((await faults({ ca: ca.replace(/[A-Za-z0-9+/]{20}\n/, 'AAAA\n') }))['ca'] ?? '', 'cannot be read');
});

instance('secrets and http endpoints under an https GitLab are not mixed', async () => {
  const { faults } = arrange();
  assert.match((await faults({ tokenUrl: 'http://gitlab.example/oauth/token' }))['tokenUrl'] ?? '', 'http');
  assert.match((await faults({ secret: 'two words' }))['secret'] ?? '', 'space');
  for (const headers of ['Host: x', 'Cookie: x', 'no colon', 'Bad Name: x', 'X: a\x01'])
    assert.ok((await faults({ headers }))['headers'], headers);
});

instance('the test has one line per thing, all good where all is well', async () => {
  const { acts, configure } = arrange();
  assert.equal(
    (await acts.test()).map(({ name, result }) => [name, result]),
    [['Settings', 'bad']],
  );
  await configure();
  assert.equal(
    (await acts.test()).map(({ name, result }) => [name, result]),
    [
      ['Name', 'good'],
      ['Port', 'good'],
      ['Encryption', 'good'],
      ['Clock', 'good'],
      ['GitLab', 'good'],
      ['Application', 'good'],
      ['Redirect URI', 'unknown'],
      ['Webhook', 'unknown'],
    ],
  );
});

instance('each thing that is wrong shows on its own line, with a fix', async () => {
  const network = {
    resolve: () => Promise.resolve(['10.0.0.5']),
    openPort: () => Promise.resolve(),
    proxyFor,
    ask: () => Promise.reject(new Problem('tls-untrusted', { host: 'gitlab.example', issuer: 'House CA' })),
  };
  let asked = 0;
  const knowsApplication = () => Promise.resolve((asked += 1) === 0);
  const { configure, line } = arrange({ network, knowsApplication });
  await configure();
  assert.is((await line('Name'))?.result, 'good');
  assert.is((await line('Port'))?.result, 'good');
  assert.is((await line('Encryption'))?.result, 'bad');
  assert.match((await line('Encryption'))?.finding ?? '', 'House CA');
  assert.match((await line('Encryption'))?.fix ?? '', 'Under Advanced, paste the certificate');
  for (const name of ['Clock', 'GitLab', 'Application']) assert.is((await line(name))?.result, 'unknown', name);
  assert.is(asked, 0, 'the application cannot be asked where GitLab does not answer');
  const webhook = await line('Webhook');
  assert.is(webhook?.result, 'unknown');
  assert.match(webhook?.finding ?? '', 'local address');
  assert.match(webhook?.fix ?? '', 'Outbound requests');
});

instance('a clock that is off, a page that is no GitLab and a redirect are told', async () => {
  let headers: Record<string, string> = { 'content-type': 'text/html', date: new Date(0).toUTCString() };
  const ask = () => Promise.resolve({ status: 200, headers });
  const base = { resolve: () => Promise.resolve(['192.0.2.1']), openPort: () => Promise.resolve(), proxyFor };
  const { configure, line } = arrange({ network: { ...base, ask }, connections: [] });
  await configure();
  assert.is((await line('Clock'))?.result, 'bad');
  assert.is((await line('GitLab'))?.result, 'bad');
  headers = {};
  assert.is((await line('Clock'))?.result, 'unknown');
  const moved = () => Promise.reject(new Problem('gitlab-answer-odd', { host: 'a.example', to: 'https://b.example/' }));
  const sent = arrange({ network: { ...base, ask: moved } });
  await sent.configure();
  assert.match((await sent.line('GitLab'))?.finding ?? '', 'https://b.example/');
});

instance('an application at a token address of its own is tried, whatever the API says', async () => {
  const ask = () => Promise.reject(new Problem('gitlab-slow', { host: 'gitlab.example' }));
  const base = { resolve: () => Promise.resolve(['192.0.2.1']), openPort: () => Promise.resolve(), proxyFor };
  const { configure, line } = arrange({ network: { ...base, ask }, knowsApplication: () => Promise.resolve(false) });
  await configure({ tokenUrl: 'https://sign-in.example/oauth/token' });
  assert.is((await line('GitLab'))?.result, 'bad');
  assert.match((await line('GitLab'))?.finding ?? '', 'did not answer in time');
  assert.match((await line('Application'))?.fix ?? '', 'copy its Application ID');
  const noGitLab = arrange({ knowsApplication: () => Promise.reject(new Problem('instance-not-gitlab', {})) });
  await noGitLab.configure();
  assert.match((await noGitLab.line('Application'))?.fix ?? '', 'Check the Token URL');
});

instance('the line Webhook says what the sites’ webhooks have shown', async () => {
  const at = handClock().now();
  const told = async (...webhooks: Webhook[]) => {
    const sites = webhooks.map((webhook) => ({ id: 's1', name: 'Blog', binding: { webhook } }) as unknown as Site);
    const { configure, line } = arrange({ sites });
    await configure();
    return line('Webhook');
  };
  const blocked: Webhook = { kind: 'blocked', address: '10.0.0.5:8080' };
  assert.is((await told({ kind: 'none', reason: '' }))?.finding.slice(0, 16), 'GitLab will call');
  assert.is((await told(blocked, { kind: 'working', hookId: 1, lastDeliveryAt: at }))?.result, 'good');
  assert.is((await told({ kind: 'system', lastDeliveryAt: at }))?.result, 'good');
  const before = await told({ kind: 'working', hookId: 1, lastDeliveryAt: at - 1 });
  assert.is(before?.result, 'unknown', 'another address may have been called then');
  assert.match(before?.finding ?? '', 'before these settings');
  const refused = await told(blocked, { kind: 'working', hookId: 1, lastDeliveryAt: at - 1 });
  assert.is(refused?.result, 'bad');
  assert.match(refused?.finding ?? '', '10.0.0.5:8080 for the site Blog');
  assert.match(refused?.fix ?? '', 'Outbound requests');
  for (const lost of [
    { kind: 'disabled', hookId: 1, resting: true },
    { kind: 'waiting', hookId: 1, missedAt: at },
  ] as const) {
    assert.is((await told(lost))?.result, 'bad', lost.kind);
    assert.match((await told(lost))?.fix ?? '', 'Recent events');
  }
});

instance('a webhook below GitLab’s own address always gets through', async () => {
  const { configure, line } = arrange();
  await configure({ reachableAt: 'https://gitlab.example/mooring' });
  assert.is((await line('Webhook'))?.result, 'good');
  await configure({ scopes: 'read_api write_repository' });
  assert.match((await line('Webhook'))?.finding ?? '', 'polled');
});

instance('the system hook’s secret is made anew each time, for the address GitLab reaches this daemon by', async () => {
  const { acts, configure, done } = arrange();
  await configure({ reachableAt: 'http://10.0.0.5:8080' });
  assert.equal(acts.systemHook(), { url: 'http://10.0.0.5:8080/hooks/gitlab', isSet: false });
  const first = await acts.makeSystemHook('Ana');
  assert.is(first.length, 43);
  assert.is.not(await acts.makeSystemHook('Ana'), first);
  assert.is(acts.systemHook().isSet, true);
  await acts.dropSystemHook('Ana');
  assert.is(acts.systemHook().isSet, false);
  assert.not.match(done.join(), first);
});

instance.run();
