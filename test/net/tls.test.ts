import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { inspect } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { gitEnvironment } from '../../src/git/environment.ts';
import { fetchFailure } from '../../src/git/failure.ts';
import { describe } from '../../src/model/remedy.ts';
import { Secret } from '../../src/model/secret.ts';
import { createTlsFiles } from '../../src/site/tls-files.ts';
import type { NetSettings } from '../../src/net/http.ts';
import { handshakeRefused } from '../../src/net/failure.ts';
import { trustedAuthorities } from '../../src/net/trust.ts';
import { freePort } from '../support/daemon.ts';
import { until } from '../support/until.ts';
import { scratch } from '../support/plain-git.ts';
import { makeCertificates, makeChain } from './certificates.ts';
import { httpFor, listen, listenRaw, problemOf, settingsFor } from './support.ts';

const tls = suite('net/tls');

tls('names what is wrong with a certificate, and trusts a private authority once it is configured', async () => {
  const { ca, good, expired, foreign } = makeCertificates();
  const cases = [
    { name: 'unknown authority', tls: good, ca: '', code: 'tls-untrusted' },
    { name: 'expired', tls: expired, ca, code: 'tls-expired' },
    { name: 'other name', tls: foreign, ca, code: 'tls-name' },
  ];
  for (const each of cases) {
    const gitlab = await listen((_request, response) => response.end('{}'), each.tls);
    const client = httpFor(settingsFor(gitlab.url, { ca: each.ca }));
    const problem = await problemOf(client.request({ method: 'GET', url: gitlab.url }));
    assert.is(problem.code, each.code, each.name);
    assert.is(problem.facts['issuer'], 'Practice Authority', each.name);
    assert.is(problem.facts['host'], `localhost:${gitlab.port}`);
    if (each.code === 'tls-name') assert.is(problem.facts['names'], 'other.example');
    assert.is(gitlab.requests.length, 0);
    client.close();
    await gitlab.close();
  }
  const gitlab = await listen((_request, response) => response.end('{}'), good);
  let present = ca;
  const client = httpFor({
    ...settingsFor(gitlab.url),
    get advanced() {
      return settingsFor(gitlab.url, { ca: present }).advanced;
    },
  });
  assert.is((await client.request({ method: 'GET', url: gitlab.url })).status, 200);
  present = '';
  assert.is((await problemOf(client.request({ method: 'GET', url: gitlab.url }))).code, 'tls-untrusted');
  client.close();
  await gitlab.close();
});

tls(
  'an authority below the top is trusted by itself, the machine’s own stay so, and git goes by the same list',
  async () => {
    const { root, issuing, chained } = makeChain();
    const other = makeCertificates();
    const before = getCACertificates('default');
    setDefaultCACertificates([...before, other.ca]);
    const { dir, remove } = scratch();
    try {
      for (const [name, ca, server] of [
        ['the top one', root, chained],
        ['the one that signed', issuing, chained],
        ['another one, where the machine knows the right one', root, other.good],
        ['none, where the machine knows it', '', other.good],
      ] as const) {
        const gitlab = await listen((_request, response) => response.writeHead(404).end('{}'), server);
        const client = httpFor(settingsFor(gitlab.url, { ca }));
        assert.is((await client.request({ method: 'GET', url: gitlab.url })).status, 404, name);
        client.close();
        const caFile = join(dir, 'ca.pem');
        writeFileSync(caFile, `${trustedAuthorities(ca).join('\n')}\n`);
        const network = { baseUrl: gitlab.url, authorization: 'Basic eA==', headers: {}, caFile, proxy: '' };
        const author = { name: 'Ana', email: 'ana@harbour.example' };
        const env = gitEnvironment({ gitDir: dir, home: dir, author, network });
        const said = await new Promise<string>((done) => {
          execFile('git', ['ls-remote', `${gitlab.url}/a.git`], { env }, (_error, _out, err) => done(err));
        });
        assert.match(said, 'not found', `git: ${name}`);
        await gitlab.close();
      }
    } finally {
      setDefaultCACertificates(before);
      remove();
    }
  },
);

tls('git’s proxy has its port, also where the address leaves it to the scheme', () => {
  const proxyOf = (proxy: string): string | undefined => {
    const network = { baseUrl: 'https://gitlab.example', authorization: '', headers: {}, caFile: '', proxy };
    const env = gitEnvironment({ gitDir: '/x', home: '/x', author: { name: 'A', email: 'a@x.example' }, network });
    const at = Object.entries(env).find(([key, value]) => key.startsWith('GIT_CONFIG_KEY_') && value === 'http.proxy');
    return env[(at?.[0] ?? '').replace('KEY', 'VALUE')];
  };
  assert.is(proxyOf(''), '');
  assert.is(proxyOf('http://proxy.example'), 'http://proxy.example:80');
  assert.is(proxyOf('https://proxy.example'), 'https://proxy.example:443');
  assert.is(proxyOf('http://a%40b:p%3Aw@proxy.example'), 'http://a%40b:p%3Aw@proxy.example:80');
  assert.is(proxyOf('http://[::1]:3128'), 'http://[::1]:3128');
});

tls('a server that wants a client certificate: none, a wrong one and the right one', async () => {
  const { ca, good, client } = makeCertificates();
  const stranger = makeCertificates().client;
  for (const version of ['1.2', '1.3'] as const) {
    const server = await opensslServer({ ...good, ca }, version);
    for (const [name, shown, wanted] of [
      ['none', undefined, 'requires a client certificate'],
      ['of another authority', stranger, 'rejected the client certificate'],
      ['the right one', client, undefined],
    ] as const) {
      const what = `TLS ${version}: ${name}`;
      // TLS 1.2 tells a missing certificate by the alert that stands for anything else as well.
      const isVague = version === '1.2' && shown === undefined;
      const own = shown ? { client: { certificate: shown.cert, key: new Secret(shown.key) } } : {};
      const settings = settingsFor(server.url, { ca, ...own });
      const http = httpFor(settings);
      const asked = http.request({ method: 'GET', url: server.url });
      if (wanted === undefined) assert.is((await asked).status, 200, what);
      else if (isVague) assert.is((await problemOf(asked)).facts['reason'], handshakeRefused, what);
      else assert.match(describe(await problemOf(asked)).title, wanted, what);
      http.close();
      const text = await gitSays(settings);
      const { code } = fetchFailure(text, { project: 'a', branch: 'main' });
      if (wanted === undefined) assert.match(text, 'not valid: is this a git repository?', `git, ${what}: ${text}`);
      else assert.ok(['tls-client-certificate', 'gitlab-unreachable'].includes(code), `git, ${what}: ${text}`);
    }
    await server.close();
  }
});

/** A server of OpenSSL's own, which ends the handshake of a caller without a certificate of the authority by an alert. */
async function opensslServer(of: { key: string; cert: string; ca: string }, version: '1.2' | '1.3') {
  const { dir, remove } = scratch();
  for (const name of ['key', 'cert', 'ca'] as const) writeFileSync(join(dir, name), of[name]);
  const port = await freePort();
  const flags = ['-Verify', '1', '-verify_return_error', '-www', `-tls1_${version.slice(2)}`, '-quiet'];
  const files = ['-cert', 'cert', '-key', 'key', '-CAfile', 'ca'];
  const child = spawn('openssl', ['s_server', '-accept', `localhost:${port}`, ...files, ...flags], {
    cwd: dir,
    stdio: 'ignore',
  });
  await until('openssl listens', () => canConnect(port));
  return {
    url: `https://localhost:${port}`,
    async close() {
      child.kill();
      await once(child, 'exit');
      remove();
    },
  };
}

function canConnect(port: number): Promise<true | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, 'localhost', () => resolve(true)).on('error', () => resolve(undefined));
    socket.on('connect', () => socket.destroy());
  });
}

/** What git prints when it asks a server, with the files that the daemon would give it. */
async function gitSays(settings: NetSettings): Promise<string> {
  const { dir, remove } = scratch();
  const random = { bytes: randomBytes, fraction: Math.random };
  const files = createTlsFiles({ stateDir: dir, random, instance: () => ({ ...settings, ...rest }) });
  await files.save();
  const network = { baseUrl: settings.url, authorization: 'Basic eA==', headers: {}, proxy: '', ...files.network() };
  const env = gitEnvironment({ gitDir: dir, home: dir, author: { name: 'Ana', email: 'ana@x.example' }, network });
  const text = await new Promise<string>((done) => {
    execFile('git', ['ls-remote', `${settings.url}/a.git`], { env }, (_error, _out, err) => done(err));
  });
  remove();
  return text;
}

const rest = {
  ...{ applicationId: 'id', secret: new Secret('s'), authorizeUrl: '', configuredAt: 0 },
  scopes: 'api' as const,
};

tls('says so when the port does not speak TLS', async () => {
  const plain = await listen((_request, response) => response.end());
  const url = plain.url.replace('http:', 'https:');
  const client = httpFor(settingsFor(url));
  const problem = await problemOf(client.request({ method: 'GET', url }));
  assert.is(problem.code, 'gitlab-unreachable');
  assert.match(problem.facts['reason'] ?? '', 'TLS');
  client.close();
  await plain.close();
});

tls('https goes through a proxy as a tunnel, and the certificate is still checked', async () => {
  const { ca, good } = makeCertificates();
  const gitlab = await listen((_request, response) => response.end('{"by":"gitlab"}'), good);
  const tunnels: string[] = [];
  const proxy = await listenRaw((socket) => {
    socket.once('data', (head) => {
      tunnels.push(head.toString().split('\r\n')[0] ?? '');
      const onward = connect(gitlab.port, 'localhost', () => {
        socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
        socket.pipe(onward).pipe(socket);
      });
      onward.on('error', () => socket.destroy());
      socket.on('close', () => onward.destroy());
    });
  });
  const trusting = httpFor(settingsFor(gitlab.url, { ca, proxy: proxy.url }));
  const answer = await trusting.request({ method: 'GET', url: gitlab.url, token: new Secret('canary') });
  assert.is(answer.body.toString(), '{"by":"gitlab"}');
  assert.equal(tunnels, [`CONNECT localhost:${gitlab.port} HTTP/1.1`]);
  trusting.close();
  const wary = httpFor(settingsFor(gitlab.url, { proxy: proxy.url }));
  assert.is((await problemOf(wary.request({ method: 'GET', url: gitlab.url }))).code, 'tls-untrusted');
  wary.close();
  await proxy.close();
  await gitlab.close();
});

tls('a proxy that refuses is told as such', async () => {
  const proxy = await listenRaw((socket) =>
    socket.once('data', () => socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n')),
  );
  const withPassword = proxy.url.replace('//', '//user:canary-pw@');
  const client = httpFor(settingsFor('https://gitlab.invalid', { proxy: withPassword }));
  const problem = await problemOf(client.request({ method: 'GET', url: 'https://gitlab.invalid/' }));
  assert.is(problem.code, 'gitlab-unreachable');
  assert.match(problem.facts['reason'] ?? '', 'proxy');
  assert.not.match(inspect(problem, { depth: 20, showHidden: true }), 'canary');
  client.close();
  await proxy.close();
});

tls.run();
