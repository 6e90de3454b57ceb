import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './until.ts';

/** Where a proxy listens, and where GitLab (below /gitlab) and Mooring (below /mooring) listen behind it. */
interface Ports {
  readonly proxy: number;
  readonly gitlab: number;
  readonly mooring: number;
}

interface Kind {
  /** Where Debian's package puts it. */
  readonly program: string;
  /** A plain set-up, as its documentation begins; `bodies`: the largest request it lets through, where it has a default. */
  readonly config: (ports: Ports, dir: string, bodies?: string) => string;
  readonly file: string;
  readonly args: (file: string, dir: string) => readonly string[];
}

const nginx: Kind = {
  program: '/usr/sbin/nginx',
  file: 'nginx.conf',
  args: (file, dir) => ['-c', file, '-p', dir, '-g', 'daemon off;'],
  config: ({ proxy, gitlab, mooring }, dir, bodies) => `
pid ${dir}/pid;
error_log ${dir}/error.log;
events {}
http {
  access_log off;
  client_body_temp_path ${dir}/body;
  proxy_temp_path ${dir}/proxy;
  fastcgi_temp_path ${dir}/fastcgi;
  uwsgi_temp_path ${dir}/uwsgi;
  scgi_temp_path ${dir}/scgi;
  ${bodies ? `client_max_body_size ${bodies};` : ''}
  server {
    listen 127.0.0.1:${proxy};
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $remote_addr;
    location /gitlab/ { proxy_pass http://127.0.0.1:${gitlab}; }
    location /mooring/ { proxy_pass http://127.0.0.1:${mooring}; }
  }
}
`,
};

const haproxy: Kind = {
  program: '/usr/sbin/haproxy',
  file: 'haproxy.cfg',
  args: (file) => ['-db', '-f', file],
  config: ({ proxy, gitlab, mooring }) => `
defaults
  mode http
  timeout connect 5s
  timeout client 50s
  timeout server 50s
frontend all
  bind 127.0.0.1:${proxy}
  use_backend gitlab if { path_beg /gitlab/ }
  default_backend mooring
backend gitlab
  server one 127.0.0.1:${gitlab}
backend mooring
  server one 127.0.0.1:${mooring}
`,
};

const caddy: Kind = {
  program: '/usr/bin/caddy',
  file: 'Caddyfile',
  args: (file) => ['run', '--adapter', 'caddyfile', '--config', file],
  config: ({ proxy, gitlab, mooring }) => `
{
  admin off
  auto_https off
}
http://127.0.0.1:${proxy} {
  bind 127.0.0.1
  reverse_proxy /gitlab/* 127.0.0.1:${gitlab}
  reverse_proxy /mooring/* 127.0.0.1:${mooring}
}
`,
};

const apache: Kind = {
  program: '/usr/sbin/apache2',
  file: 'apache.conf',
  args: (file) => ['-DFOREGROUND', '-f', file],
  config: ({ proxy, gitlab, mooring }, dir) => `
ServerRoot ${dir}
ServerName 127.0.0.1
PidFile ${dir}/pid
ErrorLog ${dir}/error.log
Listen 127.0.0.1:${proxy}
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
User www-data
Group www-data
AllowEncodedSlashes NoDecode
ProxyPreserveHost On
ProxyPass /gitlab http://127.0.0.1:${gitlab}/gitlab nocanon
ProxyPass /mooring http://127.0.0.1:${mooring}/mooring nocanon
`,
};

export const realProxies: Readonly<Record<string, Kind>> = { nginx, haproxy, caddy, apache };

export interface RealProxy {
  readonly url: string;
  /** Lets larger requests through; the proxy starts anew. */
  allow(bodies: string): Promise<void>;
  close(): Promise<void>;
}

/** Undefined where the program is not installed. */
export async function startProxy(name: string, ports: Ports, bodies?: string): Promise<RealProxy | undefined> {
  const kind = realProxies[name];
  if (!kind || !existsSync(kind.program)) return undefined;
  const dir = mkdtempSync(join(tmpdir(), `mooring-${name}-`));
  chmodSync(dir, 0o755);
  for (const folder of ['body', 'proxy', 'logs']) mkdirSync(join(dir, folder), { mode: 0o777 });
  for (const folder of ['body', 'proxy']) chmodSync(join(dir, folder), 0o777);
  const file = join(dir, kind.file);
  let child: ChildProcess | undefined;
  let output = '';
  const stop = async (): Promise<void> => {
    if (!child || child.exitCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
  };
  const start = async (largest?: string): Promise<void> => {
    writeFileSync(file, kind.config(ports, dir, largest));
    child = spawn(kind.program, kind.args(file, dir), {
      env: { PATH: '/usr/bin:/bin', HOME: dir, XDG_DATA_HOME: dir },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (output += String(chunk)));
    await until(`${name} listens`, async () => {
      if (child?.exitCode !== null) throw new Error(`${name} ended: ${output}`);
      return canConnect(ports.proxy);
    });
  };
  await start(bodies);
  return {
    url: `http://127.0.0.1:${ports.proxy}`,
    async allow(largest) {
      await stop();
      await start(largest);
    },
    async close() {
      await stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** As its package prints it. */
export function proxyVersion(name: string): string {
  const program = realProxies[name]?.program ?? '';
  const flag = name === 'caddy' ? 'version' : '-v';
  return execFileSync(program, [flag], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).split('\n')[0] ?? '';
}

function canConnect(port: number): Promise<true | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(undefined));
  });
}
