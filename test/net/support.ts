import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer, type ServerOptions as TlsOptions } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer, type Socket } from 'node:net';
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
export async function listen(listener: RequestListener, tls?: TlsOptions & { key: string; cert: string }) {
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
