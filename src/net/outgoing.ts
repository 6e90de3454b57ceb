import { Problem } from '../model/problem.ts';
import type { Clock } from '../model/world.ts';
import { createAgentPool } from './agents.ts';
import { isTlsFailure, translateFailure } from './failure.ts';
import { seeCertificate } from './probe.ts';
import { type HttpAnswer, type Limits, send } from './transport.ts';
import { parseHttpUrl } from './url.ts';

/** Posts to somebody who is not the instance: none of its headers, tokens, proxy and breaker go along. */
export interface Outgoing {
  /**
   * One POST of JSON, or of a body as it is, no redirects followed. Resolves with any answer, of which no more than 64 KiB are read; throws
   * the Problems of `net/http.ts` for every failure on the way.
   */
  post(request: {
    readonly url: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly json?: unknown;
    readonly body?: Buffer;
    readonly signal?: AbortSignal | undefined;
  }): Promise<HttpAnswer>;
  close(): void;
}

const usual: Limits = { connectMs: 5_000, idleMs: 10_000, totalMs: 15_000, msPerByte: 0, maxBytes: 64 * 1024 };

/** `ca`: the house's own authority, for receivers that live in it too; empty: none. Asked each time. */
export function createOutgoing(deps: { ca: () => string; clock: Clock; limits?: Partial<Limits> }): Outgoing {
  const pool = createAgentPool();
  return {
    async post({ url: address, headers, json, body, signal }) {
      const url = parseHookUrl(address);
      try {
        return await send(
          { method: 'POST', ...(body ? { body } : { json }), ...(signal ? { signal } : {}) },
          {
            url,
            headers: { ...headers, 'user-agent': 'Mooring' },
            agents: pool.for({ ca: deps.ca(), proxy: '' }),
            limits: { ...usual, ...deps.limits },
            monotonic: () => deps.clock.monotonic(),
          },
        );
      } catch (error) {
        signal?.throwIfAborted();
        if (error instanceof Problem) throw error;
        throw translateFailure(error, url, {
          certificate: isTlsFailure(error) ? await seeCertificate(url, 3_000) : undefined,
        });
      }
    },
    close: pool.close,
  };
}

/**
 * Reads what a person typed as the address of a webhook: as {@link parseHttpUrl}, and it may have a query, where some
 * receivers want their key. Throws `instance-url-invalid`, facts `reason` and `hint`.
 */
export function parseHookUrl(text: string): URL {
  const typed = text.trim();
  const query = /^[^?#]*(\?[^#\s\\\p{Cc}]*)$/u.exec(typed)?.[1] ?? '';
  const url = parseHttpUrl(typed.slice(0, typed.length - query.length));
  url.search = query;
  return url;
}
