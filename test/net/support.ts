import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Problem } from '../../src/model/problem.ts';
import type { Clock, Random } from '../../src/model/world.ts';
import { createHttp, type NetSettings } from '../../src/net/http.ts';
import type { Limits } from '../../src/net/transport.ts';

export const realClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: async (ms, signal) => void (await sleep(ms, undefined, signal ? { signal } : {})),
};

/** A clock that stands still until told; its sleeps end when time passes them. */
export function handClock(startMs = 1_700_000_000_000) {
  let passedMs = 0;
  const sleepers = new Set<{ at: number; wake: () => void }>();
  const clock: Clock = {
    now: () => startMs + passedMs,
    monotonic: () => passedMs,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        const sleeper = { at: passedMs + ms, wake: resolve };
        sleepers.add(sleeper);
        signal?.addEventListener('abort', () => {
          sleepers.delete(sleeper);
          reject(signal.reason as Error);
        });
      }),
  };
  const pass = (ms: number): void => {
    passedMs += ms;
    for (const sleeper of [...sleepers]) {
      if (sleeper.at > passedMs) continue;
      sleepers.delete(sleeper);
      sleeper.wake();
    }
  };
  return { ...clock, pass };
}

export const realRandom: Random = { bytes: (length) => randomBytes(length), fraction: () => 0.5 };

/** A server on a spare loopback port, with what it was asked. */
export async function listen(listener: RequestListener, tls?: { key: string; cert: string }) {
  const requests: IncomingMessage[] = [];
  const heard: RequestListener = (request, response) => {
    requests.push(request);
    listener(request, response);
  };
  const server: Server = tls ? createTlsServer(tls, heard) : createServer(heard);
  const port = await start(server);
  return {
    port,
    url: `${tls ? 'https' : 'http'}://localhost:${port}`,
    requests,
    close: () => closeServer(server),
  };
}

/** A TCP server that does with each connection what it likes. */
export async function listenRaw(onSocket: (socket: Socket) => void) {
  const server = createTcpServer((socket) => {
    socket.on('error', () => undefined);
    sockets.add(socket);
    onSocket(socket);
  });
  const sockets = new Set<Socket>();
  const port = await start(server);
  const close = async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  };
  return { port, url: `http://localhost:${port}`, close };
}

async function start(server: TcpServer): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  return (server.address() as AddressInfo).port;
}

async function closeServer(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

export function settingsFor(url: string, advanced: Partial<NetSettings['advanced']> = {}): NetSettings {
  const none = { ca: '', proxy: '', noProxy: [], headers: {}, reachableAt: '', minAccessLevel: 30 };
  return { url, apiUrl: `${url}/api/v4`, tokenUrl: `${url}/oauth/token`, advanced: { ...none, ...advanced } };
}

export function httpFor(settings: NetSettings, limits: Partial<Limits> = {}, clock: Clock = realClock) {
  return createHttp({ instance: () => settings, clock, random: realRandom, limits });
}

/** The Problem a promise ends in; anything else fails the test. */
export async function problemOf(work: Promise<unknown>): Promise<Problem> {
  const error: unknown = await work.then(
    () => new Error('it succeeded'),
    (reason: unknown) => reason,
  );
  if (error instanceof Problem) return error;
  throw error;
}

/** Certificates made by openssl, as an admin would: `ca` signs `good`, `expired` and `foreign` (another name). */
export function makeCertificates() {
  const home = mkdtempSync(join(tmpdir(), 'mooring-tls-'));
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: home, stdio: 'ignore' });
  const read = (name: string) => readFileSync(join(home, name), 'utf8');
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl(
    'req',
    '-x509',
    ...newKey,
    '-keyout',
    'ca.key',
    '-out',
    'ca.pem',
    '-days',
    '30',
    '-subj',
    '/CN=Practice Authority',
  );
  const sign = (name: string, dnsName: string, dates: string[]) => {
    openssl(
      'req',
      ...newKey,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.csr`,
      '-subj',
      `/CN=${dnsName}`,
      '-addext',
      `subjectAltName=DNS:${dnsName}`,
    );
    openssl(
      'x509',
      '-req',
      '-in',
      `${name}.csr`,
      '-CA',
      'ca.pem',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-copy_extensions',
      'copy',
      '-out',
      `${name}.pem`,
      ...dates,
    );
    return { key: read(`${name}.key`), cert: read(`${name}.pem`) };
  };
  return {
    ca: read('ca.pem'),
    good: sign('good', 'localhost', ['-days', '10']),
    // `-days -1` makes it end before it begins, which is expired whatever the clock says.
    expired: sign('expired', 'localhost', ['-days', '-1']),
    foreign: sign('foreign', 'other.example', ['-days', '10']),
  };
}

/** A root, the authority below it that signs, and a server with a certificate from that one, which it sends along. */
export function makeChain() {
  const home = mkdtempSync(join(tmpdir(), 'mooring-chain-'));
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: home, stdio: 'ignore' });
  const read = (name: string) => readFileSync(join(home, name), 'utf8');
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const root = ['-keyout', 'root.key', '-out', 'root.pem', '-days', '30', '-subj', '/CN=House Root'];
  openssl('req', '-x509', ...newKey, ...root);
  const sign = (name: string, by: string, subject: string, extension: string) => {
    const asked = ['-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', subject, '-addext', extension];
    openssl('req', ...newKey, ...asked);
    const signer = ['-CA', `${by}.pem`, '-CAkey', `${by}.key`, '-CAcreateserial', '-copy_extensions', 'copy'];
    openssl('x509', '-req', '-in', `${name}.csr`, ...signer, '-out', `${name}.pem`, '-days', '10');
  };
  sign('issuing', 'root', '/CN=House Issuing', 'basicConstraints=critical,CA:TRUE');
  sign('server', 'issuing', '/CN=localhost', 'subjectAltName=DNS:localhost');
  const chained = { key: read('server.key'), cert: `${read('server.pem')}${read('issuing.pem')}` };
  return { root: read('root.pem'), issuing: read('issuing.pem'), chained };
}
