/**
 * Trouble on order: rules that make chosen requests slow, wrong, redirected or cut off in the middle.
 * A rule with a status, body or redirect answers by itself; any other lets the request through and spoils the answer,
 * so the work behind it (a refresh, a push) is really done although the client never hears of it.
 */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

export interface SeenRequest {
  readonly at: number;
  readonly method: string;
  /** With sub-path, without query. */
  readonly path: string;
  /** Exactly as received, query included. */
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  /** 0 until the answer has begun; stays 0 when it was cut before. */
  status: number;
}

export interface FaultRule {
  readonly match: (request: SeenRequest) => boolean;
  /** How often the rule applies; without it, always. */
  readonly times?: number;
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer | object;
  /** A Location; answers 302 unless status says otherwise. */
  readonly redirect?: string;
  /** Wait before anything is done. */
  readonly delayMs?: number;
  /** Send the answer in pieces of so many bytes, with a pause before each. */
  readonly drip?: { readonly bytes: number; readonly everyMs: number };
  /** Break the connection after so many bytes of the body; 0 sends not even the head. */
  readonly cutAfterBytes?: number;
  /** Changes a REST answer before GitLab's schema is held against it. */
  readonly mangle?: (answer: unknown) => unknown;
}

export interface Faults {
  /** Adds a rule; the newest that matches wins. Returns a function that takes it away. */
  add(rule: FaultRule): () => void;
  clear(): void;
}

export interface FaultEngine extends Faults {
  take(request: SeenRequest): FaultRule | undefined;
}

export function createFaults(): FaultEngine {
  let rules: { rule: FaultRule; left: number }[] = [];
  return {
    add(rule) {
      const entry = { rule, left: rule.times ?? Number.POSITIVE_INFINITY };
      rules.unshift(entry);
      return () => {
        rules = rules.filter((other) => other !== entry);
      };
    },
    clear() {
      rules = [];
    },
    take(request) {
      const entry = rules.find(({ rule, left }) => left > 0 && rule.match(request));
      if (entry) entry.left -= 1;
      return entry?.rule;
    },
  };
}

export const answersItself = (rule: FaultRule): boolean =>
  rule.status !== undefined || rule.body !== undefined || rule.redirect !== undefined;

export async function answer(rule: FaultRule, response: ServerResponse): Promise<void> {
  const body = rule.body ?? '';
  const json = typeof body === 'object' && !Buffer.isBuffer(body);
  const bytes = Buffer.from(json ? JSON.stringify(body) : (body as string | Buffer));
  const headers: OutgoingHttpHeaders = {
    'Content-Type': json ? 'application/json' : 'text/plain',
    'Content-Length': bytes.length,
    ...(rule.redirect === undefined ? {} : { Location: rule.redirect }),
    ...rule.headers,
  };
  response.writeHead(rule.status ?? (rule.redirect === undefined ? 200 : 302), headers);
  response.end(bytes);
  await new Promise((resolve) => response.once('close', resolve));
}

/** Puts itself between the server and the socket, for headers, drip and cut. */
export function spoil(rule: FaultRule, response: ServerResponse): void {
  for (const [name, value] of Object.entries(rule.headers ?? {})) response.setHeader(name, value);
  const { drip, cutAfterBytes } = rule;
  if (!drip && cutAfterBytes === undefined) return;

  const write = response.write.bind(response) as (chunk: Buffer) => boolean;
  const end = response.end.bind(response) as () => void;
  let left = cutAfterBytes ?? Number.POSITIVE_INFINITY;
  let cut = false;
  let queue = Promise.resolve();

  const send = async (chunk: Buffer): Promise<void> => {
    const size = drip?.bytes ?? Math.max(chunk.length, 1);
    // Whoever went away is waited for no longer: a slow enough drip would keep this process for days.
    for (let at = 0; at < chunk.length && !cut && !response.destroyed; at += size) {
      if (drip) await sleep(drip.everyMs);
      const piece = chunk.subarray(at, Math.min(at + size, at + left, chunk.length));
      left -= piece.length;
      if (piece.length > 0 && !response.destroyed) write(piece);
      if (left <= 0) await sever();
    }
  };
  const sever = async (): Promise<void> => {
    cut = true;
    // Give the bytes allowed time to leave; a reset would take them back.
    if (cutAfterBytes !== 0) await sleep(20);
    response.socket?.destroy();
  };

  // Koa and the git bridge use only these forms of write and end.
  response.write = ((chunk: Buffer | string): boolean => {
    queue = queue.then(() => send(Buffer.from(chunk)));
    return true;
  }) as ServerResponse['write'];
  response.end = ((chunk?: Buffer | string | (() => void)): ServerResponse => {
    queue = queue
      .then(() => (chunk === undefined || typeof chunk === 'function' ? undefined : send(Buffer.from(chunk))))
      .then(async () => {
        if (cutAfterBytes !== undefined && !cut) await sever();
        else if (!cut) end();
      });
    return response;
  }) as ServerResponse['end'];
}
