import { Buffer } from 'node:buffer';
import type { ClientRequest, IncomingHttpHeaders } from 'node:http';
import got from 'got';
import type { Agents } from './agents.ts';
import { LimitReached } from './failure.ts';

/** When a request is given up. All times in ms. */
export interface Limits {
  readonly connectMs: number;
  /** Silence on the socket. */
  readonly idleMs: number;
  /** From the start to the last byte … */
  readonly totalMs: number;
  /** … prolonged by this for every byte that moves, so that large transfers live and dripping ones end. */
  readonly msPerByte: number;
  /** Of the answer, unpacked. */
  readonly maxBytes: number;
}

export const restLimits: Limits = {
  connectMs: 5_000,
  idleMs: 20_000,
  totalMs: 30_000,
  msPerByte: 0,
  maxBytes: 16 * 1024 * 1024,
};

/** As git's own low-speed limit: under 1,000 bytes a second it ends. Hooks on GitLab's side may think for a minute. */
export const wireLimits: Limits = {
  connectMs: 5_000,
  idleMs: 90_000,
  totalMs: 120_000,
  msPerByte: 1,
  maxBytes: 2 ** 31 - 1,
};

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** What of a request concerns the transport. */
export interface Sent {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly form?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  readonly body?: Buffer | Streamed;
  /** Takes the body of an answer of 200 piece by piece as it comes; the answer's own body is empty then. */
  readonly take?: (chunk: Buffer, headers: IncomingHttpHeaders) => Promise<void>;
  /** The request is on its way, and the answer awaited. Must not throw. */
  readonly onSent?: () => void;
  readonly signal?: AbortSignal;
  readonly onStale?: 'again' | 'fail';
}

/** A body too large to be held: read anew each time it is sent. */
export interface Streamed {
  /** Bytes; absent where that is known only at the end: it is sent in chunks then. */
  readonly size?: number;
  readonly open: () => AsyncIterable<Buffer>;
}

/** Who hands over the body or takes the answer's could not: nothing is wrong with the way. */
export class OwnFailure extends Error {
  override readonly name = 'OwnFailure';
}

export interface Way {
  readonly url: URL;
  readonly headers: Record<string, string>;
  readonly agents: Agents;
  readonly limits: Limits;
  /** Monotonic ms. */
  readonly monotonic: () => number;
}

/**
 * Sends a request and reads the whole answer; throws got's errors, or `LimitReached`. Over a kept-alive connection that
 * turned out to be closed it is sent once more, if `onStale` says so.
 */
export async function send(wanted: Sent, way: Way): Promise<HttpAnswer> {
  let attempt = sendOnce(wanted, way);
  const again = wanted.onStale ?? (wanted.method === 'GET' ? 'again' : 'fail');
  if (again === 'again') {
    attempt = attempt.catch((error: unknown) => {
      if (error instanceof StaleConnection) return sendOnce(wanted, way);
      throw error;
    });
  }
  return attempt;
}

/** The connection was an old one that the other side had closed meanwhile: nothing was answered. */
class StaleConnection extends Error {
  override readonly name = 'StaleConnection';
}

async function sendOnce(wanted: Sent, way: Way): Promise<HttpAnswer> {
  const { url, headers, agents, limits } = way;
  const watch = watchLimits(way, wanted.signal);
  let own: OwnFailure | undefined;
  const failed = (error: unknown): never => {
    own = new OwnFailure('it could not be handed over', { cause: error });
    throw own;
  };
  let sent: ClientRequest | undefined;
  let answer: { status: number; headers: IncomingHttpHeaders } | undefined;
  const stream = got.stream(url, {
    ...bodyOf(wanted, failed),
    method: wanted.method,
    headers: { ...headers, ...lengthOf(wanted.body) },
    agent: { http: agents.http, https: agents.https },
    followRedirect: false,
    retry: { limit: 0 },
    throwHttpErrors: false,
    timeout: {
      lookup: limits.connectMs,
      connect: limits.connectMs,
      secureConnect: limits.connectMs,
      socket: limits.idleMs,
    },
    signal: watch.signal,
  });
  stream.on('request', (request) => {
    sent = request;
    if (wanted.onSent) request.once('finish', wanted.onSent);
  });
  stream.on('response', (response) => (answer = { status: response.statusCode, headers: response.headers }));
  stream.on('uploadProgress', ({ transferred }) => watch.uploaded(transferred));
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      watch.received(chunk.length);
      if (wanted.take && answer?.status === 200) await wanted.take(chunk, answer.headers).catch(failed);
      else chunks.push(chunk);
    }
    if (!answer) throw new Error('the stream ended without an answer');
    return { ...answer, body: Buffer.concat(chunks) };
  } catch (error) {
    if (own) throw own;
    if (watch.reached) throw watch.reached;
    const plain = withoutRequest(error);
    if (!answer && sent?.reusedSocket && isCut(plain)) throw new StaleConnection('closed', { cause: plain });
    throw plain;
  } finally {
    watch.end();
    stream.destroy();
  }
}

/** Counts bytes and time; aborts its signal, with `reached` set, when a limit is passed. */
function watchLimits({ limits, monotonic }: Way, outer: AbortSignal | undefined) {
  const own = new AbortController();
  const startedAt = monotonic();
  let received = 0;
  let uploaded = 0;
  let reached: LimitReached | undefined;
  const reach = (limit: 'time' | 'size', message: string): LimitReached => {
    reached ??= new LimitReached(limit, message);
    own.abort(reached);
    return reached;
  };
  const look = () => {
    const leftMs = limits.totalMs + (received + uploaded) * limits.msPerByte - (monotonic() - startedAt);
    if (leftMs <= 0) return void reach('time', `not done in time, ${received} bytes received`);
    timer = setTimeout(look, Math.min(leftMs, 60_000) + 1);
  };
  let timer = setTimeout(look, Math.min(limits.totalMs, 60_000));
  return {
    signal: outer ? AbortSignal.any([own.signal, outer]) : own.signal,
    get reached() {
      return reached;
    },
    received(bytes: number) {
      received += bytes;
      if (received > limits.maxBytes) throw reach('size', `more than ${limits.maxBytes} bytes`);
    },
    uploaded(bytes: number) {
      uploaded = bytes;
    },
    end: () => clearTimeout(timer),
  };
}

/**
 * Got's errors hold the whole request, its Authorization header included, and every log prints what an error holds. Only
 * what translating needs is taken over.
 */
function withoutRequest(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error) || depth > 5) return new Error('unknown error');
  const inner = error instanceof AggregateError ? error.errors.map((each) => withoutRequest(each, depth + 1)) : [];
  const cause = error.cause === undefined ? undefined : withoutRequest(error.cause, depth + 1);
  // A proxy's address may hold its password, and node names the proxy in full.
  const message = error.message.replace(/\/\/[^/@\s]*@/g, '//');
  const plain = new AggregateError(inner, message, cause === undefined ? {} : { cause });
  const { code, address, port } = error as NodeJS.ErrnoException & { address?: string; port?: number };
  return Object.assign(plain, { name: error.name, code, address, port });
}

/** A stream waits for a body unless it is given one, be it empty. */
function bodyOf(
  { method, form, json, body }: Sent,
  failed: (error: unknown) => never,
): { form?: Record<string, string>; json?: unknown; body?: Buffer | AsyncIterable<Buffer> } {
  if (form) return { form: { ...form } };
  if (json !== undefined) return { json };
  if (isStreamed(body)) return { body: readFrom(body, failed) };
  return body || method !== 'GET' ? { body: body ?? Buffer.alloc(0) } : {};
}

/** Only what reading throws is our own failure; a cut connection is thrown in here from the other end. */
async function* readFrom({ open }: Streamed, failed: (error: unknown) => never): AsyncGenerator<Buffer> {
  const chunks = open()[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await chunks.next().catch(failed);
      if (next.done) return;
      yield next.value;
    }
  } finally {
    await chunks.return?.();
  }
}

function lengthOf(body: Sent['body']): { 'content-length'?: string } {
  return isStreamed(body) && body.size !== undefined ? { 'content-length': String(body.size) } : {};
}

function isStreamed(body: Sent['body']): body is Streamed {
  return body !== undefined && 'open' in body;
}

function isCut(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ECONNRESET' || code === 'EPIPE';
}
