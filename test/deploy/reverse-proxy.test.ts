import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type RequestOptions, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parse } from 'yaml';
import { writeBeginning } from '../support/beginnings.ts';
import { admin, freePort, hasEnded, spawnServe } from '../support/daemon.ts';
import { until } from '../support/until.ts';

/** The examples in `config/reverse-proxy`, with other ports and a certificate made here. */
const test = suite('reverse proxies');

const folder = join(import.meta.dirname, '../../config/reverse-proxy');
const example = (name: string): string => readFileSync(join(folder, name), 'utf8');

interface Place {
  readonly dir: string;
  readonly port: number;
  readonly host: string;
  readonly isBelow: boolean;
}

interface Kind {
  readonly program: string;
  readonly files: readonly [own: string, below: string];
  /** Makes the example run as it is in a folder, and gives the arguments of the program. */
  readonly prepare: (
    text: string,
    place: Place,
    gitlab: number,
  ) => { config: string; args: (file: string) => string[] };
}

/** Certificates where an example expects them. */
const ownCertificate = (text: string, dir: string): string =>
  text
    .replace(/\/etc\/ssl\/certs\/\S+\.pem/g, `${dir}/cert.pem`)
    .replace(/\/etc\/ssl\/private\/\S+\.key/g, `${dir}/key.pem`);

const kinds: Readonly<Record<string, Kind>> = {
  nginx: {
    program: '/usr/sbin/nginx',
    files: ['nginx.conf', 'nginx-sub-path.conf'],
    prepare: (text, { dir, port, isBelow, host }, gitlab) => {
      const certificate = `ssl_certificate ${dir}/cert.pem; ssl_certificate_key ${dir}/key.pem;`;
      const server = isBelow
        ? `server { listen 443 ssl; server_name ${host}; ${certificate}\n${text}\nlocation / { proxy_pass http://127.0.0.1:${gitlab}; } }`
        : text;
      const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
        (name) => `${name}_temp_path ${dir}/${name};`,
      );
      const config = `pid ${dir}/pid; error_log ${dir}/error.log; events {}\nhttp { access_log off; ${temporary.join(' ')}\n${ownCertificate(server, dir).replace('listen 443', `listen 127.0.0.1:${port}`)} }\n`;
      return { config, args: (file) => ['-c', file, '-p', dir, '-g', 'daemon off;'] };
    },
  },
  caddy: {
    program: '/usr/bin/caddy',
    files: ['Caddyfile', 'Caddyfile-sub-path'],
    // Its own authority issues the certificate: nobody outside may be asked for one.
    prepare: (text, { port }) => ({
      config: `{\n admin off\n https_port ${port}\n local_certs\n skip_install_trust\n auto_https disable_redirects\n default_bind 127.0.0.1\n}\n${text}`,
      args: (file) => ['run', '--adapter', 'caddyfile', '--config', file],
    }),
  },
  apache: {
    program: '/usr/sbin/apache2',
    files: ['apache.conf', 'apache-sub-path.conf'],
    prepare: (text, { dir, port }) => {
      const modules = ['mpm_event', 'authz_core', 'ssl', 'headers', 'proxy', 'proxy_http', 'socache_shmcb'].map(
        (name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`,
      );
      const whole = [`ServerRoot ${dir}`, 'ServerName 127.0.0.1', `PidFile ${dir}/pid`, `ErrorLog ${dir}/error.log`];
      const config = [...whole, `Listen 127.0.0.1:${port}`, ...modules, 'User www-data', 'Group www-data', ''].join(
        '\n',
      );
      return {
        config: config + ownCertificate(text, dir).replace('*:443', `*:${port}`),
        args: (file) => ['-DFOREGROUND', '-f', file],
      };
    },
  },
};

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** As a browser asks, by name; ends at the first words of a stream. */
function ask({ port, host }: Place, path: string, options: RequestOptions = {}, form = ''): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { host, origin: `https://${host}`, ...options.headers };
    const sent = request(
      { host: '127.0.0.1', port, path, servername: host, rejectUnauthorized: false, agent: false, ...options, headers },
      (response) => {
        let body = '';
        const done = (): void => resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
        response.on('data', (chunk: Buffer) => {
          body += chunk.toString();
          if (!String(response.headers['content-type']).startsWith('text/event-stream')) return;
          done();
          sent.destroy();
        });
        response.on('end', done);
      },
    );
    sent.on('error', reject);
    sent.end(form);
  });
}

const cookieOf = ({ headers }: Answer): string =>
  [headers['set-cookie'] ?? []]
    .flat()
    .map((one) => one.split(';')[0])
    .join('; ');

/** Signs in as a browser does, and looks at what a proxy could spoil. */
async function visit(place: Place): Promise<void> {
  const base = place.isBelow ? '/mooring' : '';
  const page = await ask(place, `${base}/sign-in`);
  assert.is(page.status, 200, page.body);
  const token = /name="token" value="([^"]*)"/.exec(page.body)?.[1] ?? '';
  const form = new URLSearchParams({ token, name: admin.name, password: admin.password }).toString();
  const headers = { cookie: cookieOf(page), 'content-type': 'application/x-www-form-urlencoded' };
  const entered = await ask(place, `${base}/sign-in`, { method: 'POST', headers }, form);
  assert.equal([entered.status, entered.headers['location']], [303, `${base}/`], entered.body);
  const cookie = cookieOf(entered);
  assert.match(String(entered.headers['set-cookie']), /secure/i);
  const home = await ask(place, `${base}/`, { headers: { cookie } });
  assert.is(home.status, 200);
  assert.match(home.body, `href="${base}/docs"`);
  assert.is((await ask(place, `${base}/docs/install`, { headers: { cookie } })).status, 200);
  const live = await ask(place, `${base}/events`, { headers: { cookie } });
  assert.match(String(live.headers['content-type']), 'text/event-stream');
  assert.is((await ask(place, `${base}/sites/a%2Fb`, { headers: { cookie } })).status, 404, 'an encoded slash');
  if (place.isBelow) {
    assert.is((await ask(place, '/')).body, 'GitLab');
    assert.is((await ask(place, '/mooringother')).body, 'GitLab');
  }
}

interface Daemon {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
}

async function startDaemon(dir: string, port: number, publicUrl: string): Promise<Daemon> {
  const stateDir = join(dir, 'state');
  for (const name of ['state', 'sites']) mkdirSync(join(dir, name), { mode: 0o700 });
  await writeBeginning({ stateDir, admin });
  let said = '';
  const settings = { MOORING_STATE: stateDir, MOORING_SITES: join(dir, 'sites'), MOORING_PORT: String(port) };
  const proxied = { MOORING_PUBLIC_URL: publicUrl, MOORING_TRUSTED_PROXIES: '127.0.0.1', MOORING_ALLOW_ROOT: 'yes' };
  const env = { PATH: process.env['PATH'] ?? '', HOME: dir, ...settings, ...proxied };
  const daemon = spawnServe(env, undefined, (text) => (said += text));
  await until('the daemon answers', async () => {
    if (hasEnded(daemon.child)) throw new Error(said);
    return (await fetch(`http://127.0.0.1:${port}/readyz`)).ok;
  });
  return daemon;
}

async function runExample(kind: Kind, isBelow: boolean): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'mooring-deploy-'));
  chmodSync(dir, 0o755);
  const host = isBelow ? 'gitlab.example.org' : 'mooring.example.org';
  const place: Place = { dir, host, isBelow, port: await freePort() };
  const mooring = await freePort();
  const gitlab = createServer((_request, response) => response.end('GitLab')).listen(0, '127.0.0.1');
  await once(gitlab, 'listening');
  const gitlabPort = (gitlab.address() as { port: number }).port;
  const subject = ['-subj', `/CN=${host}`, '-keyout', join(dir, 'key.pem'), '-out', join(dir, 'cert.pem')];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...subject], {
    stdio: 'pipe',
  });
  const text = example(kind.files[isBelow ? 1 : 0])
    .replaceAll('127.0.0.1:7420', `127.0.0.1:${mooring}`)
    .replaceAll('127.0.0.1:8080', `127.0.0.1:${gitlabPort}`);
  const { config, args } = kind.prepare(text, place, gitlabPort);
  const file = join(dir, 'proxy.conf');
  writeFileSync(file, config);
  const daemon = await startDaemon(dir, mooring, `https://${host}${isBelow ? '/mooring' : ''}`);
  let said = '';
  const env = { PATH: '/usr/bin:/bin', HOME: dir, XDG_DATA_HOME: dir };
  const proxy = spawn(kind.program, args(file), { env, stdio: ['ignore', 'pipe', 'pipe'] });
  for (const stream of [proxy.stdout, proxy.stderr]) stream.on('data', (chunk) => (said += String(chunk)));
  try {
    await until('the proxy answers', async () => {
      if (hasEnded(proxy)) throw new Error(`the proxy ended: ${said}`);
      return (await ask(place, isBelow ? '/mooring/healthz' : '/healthz')).status === 200;
    });
    await visit(place);
  } finally {
    proxy.kill('SIGTERM');
    daemon.child.kill('SIGTERM');
    if (!hasEnded(proxy)) await once(proxy, 'exit');
    await daemon.ended;
    gitlab.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

for (const [name, kind] of Object.entries(kinds))
  for (const isBelow of [false, true])
    test(`${name}, ${isBelow ? 'below GitLab’s address' : 'on a host of its own'}`, async () => {
      if (!existsSync(kind.program)) return console.log(`not run here: ${name} is not installed`);
      await runExample(kind, isBelow);
    });

test('traefik: the examples are YAML, with a router to a service that exists', () => {
  console.log('not run here: traefik is not installed; its examples are only parsed');
  for (const name of ['traefik.yml', 'traefik-sub-path.yml']) {
    const { http } = parse(example(name)) as {
      http: { routers: Record<string, { rule: string; service: string }>; services: Record<string, object> };
    };
    const [router] = Object.values(http.routers);
    assert.match(router?.rule ?? '', /^Host\(`[a-z.]+`\)/);
    assert.ok(Object.hasOwn(http.services, router?.service ?? ''));
  }
});

test.run();
