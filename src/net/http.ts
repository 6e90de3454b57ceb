import type { Buffer } from 'node:buffer';
import type { IncomingHttpHeaders } from 'node:http';
import type { Instance } from '../model/instance.ts';
import { Problem } from '../model/problem.ts';
import { proxyFor } from './proxy.ts';
import type { Secret } from '../model/secret.ts';
import type { Clock, Random } from '../model/world.ts';
import { AddressRefused, isForbiddenAddress } from './address.ts';
import { createAgentPool } from './agents.ts';
import { createBreaker } from './breaker.ts';
import { isTlsFailure, translateFailure } from './failure.ts';
import { seeCertificate } from './probe.ts';
import { refusalOf } from './refusal.ts';
import {
  type HttpAnswer,
  type Limits,
  OwnFailure,
  type Streamed,
  type Way,
  restLimits,
  send,
  wireLimits,
} from './transport.ts';

/** What of the instance every request obeys. */
export type NetSettings = Pick<Instance, 'url' | 'apiUrl' | 'tokenUrl' | 'advanced'>;

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** At most one of the three. */
  readonly form?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  readonly body?: Buffer | Streamed;
  /** Takes the body of an answer of 200 piece by piece; the answer's own is empty then. What it throws is thrown. */
  readonly take?: (chunk: Buffer, headers: IncomingHttpHeaders) => Promise<void>;
  /** The request has left, and the answer is awaited. Must not throw. */
  readonly onSent?: () => void;
  /** Sent as Bearer, only to the instance's own origins; any other is a bug and throws a TypeError. */
  readonly token?: Secret;
  readonly limits?: Partial<Limits>;
  readonly signal?: AbortSignal;
  /** `ignore` for what a person waits for and sees fail; everything else leaves a struggling instance alone. */
  readonly breaker?: 'obey' | 'ignore';
  /** Whether to send it again if a kept-alive connection turned out to be closed. GET: yes; others must say so. */
  readonly onStale?: 'again' | 'fail';
  /** `tell`: an answer that sends elsewhere is given as it is; followed it is never. */
  readonly redirect?: 'tell';
}

/** What may go to an address that is not the instance's. */
export type ElsewhereRequest = Pick<HttpRequest, 'url' | 'take' | 'limits' | 'signal'>;

/** A smart-HTTP request of git's wire protocol. */
interface WireRequest {
  readonly url: string;
  /** `authorization` goes only to the instance's own origins, as tokens do. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | Streamed;
  /** As of {@link HttpRequest}. */
  readonly take?: HttpRequest['take'] | undefined;
  readonly onSent?: HttpRequest['onSent'] | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly limits?: Partial<Limits>;
}

export interface Http {
  /**
   * One request, no redirects followed. Resolves with any answer below 500 except 3xx and 429; throws a Problem for
   * those and for every failure on the way: `gitlab-unreachable`, `gitlab-slow`, `gitlab-busy`, `gitlab-maintenance`,
   * `gitlab-error`, `gitlab-answer-odd` (3xx: fact `to`), `tls-*`, `instance-missing`. Rejects with the signal's reason
   * when that ends it.
   */
  request(request: HttpRequest): Promise<HttpAnswer>;
  /**
   * A git wire request under the limits of large transfers. Resolves and throws as `request`. What only reads is sent
   * again if the kept-alive connection was closed meanwhile; a push is not: it may have arrived.
   */
  post(request: WireRequest): Promise<{ status: number; contentType: string; body: Buffer }>;
  /**
   * One GET to where the instance's answer points for a content, its object storage: neither token nor headers of ours go
   * along, it is sent on no further, and what comes of it says nothing about the instance. Resolves with any answer.
   */
  elsewhere(request: ElsewhereRequest): Promise<HttpAnswer>;
  /** Throws the Problem of the last failure while no requests may be sent. */
  check(): void;
  /** Closes idle connections. */
  close(): void;
}

/**
 * The one way out. Every request to the instance goes through here: its certificate authority, proxy, headers and
 * limits hold for OAuth, REST and git alike. `instance` is asked each time, so new settings hold from the next request.
 */
export function createHttp(deps: {
  instance: () => NetSettings | undefined;
  clock: Clock;
  random: Random;
  /** Overrides, for tests. */
  limits?: Partial<Limits>;
  /** Told of each answer or Problem code, for metrics. Must not throw. */
  onAnswer?: (result: number | string, durationMs: number) => void;
}): Http {
  // Large files may lie at a host that needs another way than GitLab: neither closes the other's connections.
  // Nobody but GitLab is shown the client certificate.
  const newPools = () => ({ proxied: createAgentPool(), straight: createAgentPool() });
  const pools = { gitlab: newPools(), others: newPools() };
  const breaker = createBreaker(deps);

  async function request(wanted: HttpRequest): Promise<HttpAnswer> {
    const settings = deps.instance();
    if (!settings) throw new Problem('instance-missing');
    const url = new URL(wanted.url);
    const headers = headersFor(wanted, url, settings);
    if (wanted.breaker !== 'ignore') breaker.check();
    const startedAt = deps.clock.monotonic();
    try {
      const answer = await send(wanted, wayTo(url, settings, headers, limitsOf(wanted)));
      const isTold = wanted.redirect === 'tell' && answer.status >= 300 && answer.status < 400;
      const hasClient = settings.advanced.client !== undefined;
      const refusal = isTold ? undefined : refusalOf(answer, url, { nowMs: deps.clock.now(), hasClient });
      if (refusal) throw refusal;
      breaker.succeeded(startedAt);
      deps.onAnswer?.(answer.status, deps.clock.monotonic() - startedAt);
      return answer;
    } catch (error) {
      wanted.signal?.throwIfAborted();
      if (error instanceof OwnFailure) throw error.cause;
      const problem = await asFailure(error, url, settings);
      breaker.failed(problem);
      deps.onAnswer?.(problem.code, deps.clock.monotonic() - startedAt);
      throw problem;
    }
  }

  function wayTo(url: URL, settings: NetSettings, headers: Record<string, string>, limits: Limits): Way {
    refuseAddress(url);
    const { ca, client } = settings.advanced;
    const proxy = proxyFor(url, settings.advanced);
    const isOwn = isGitlab(url, settings);
    const pool = pools[isOwn ? 'gitlab' : 'others'][proxy === '' ? 'straight' : 'proxied'];
    const agents = pool.for({ ca, proxy, ...(isOwn ? { client } : {}) });
    return { url, headers, agents, limits, monotonic: () => deps.clock.monotonic() };
  }

  async function elsewhere({ url: address, limits, ...wanted }: ElsewhereRequest): Promise<HttpAnswer> {
    const settings = deps.instance();
    if (!settings) throw new Problem('instance-missing');
    const url = new URL(address);
    const isPlainer = url.protocol === 'http:' && settings.url.startsWith('https:');
    if (isPlainer || !['http:', 'https:'].includes(url.protocol)) {
      throw new Problem('gitlab-answer-odd', { host: url.host, reason: 'it is no https address' });
    }
    try {
      const bounds = { ...wireLimits, ...deps.limits, ...limits };
      return await send({ method: 'GET', ...wanted }, wayTo(url, settings, { 'user-agent': 'Mooring' }, bounds));
    } catch (error) {
      wanted.signal?.throwIfAborted();
      if (error instanceof OwnFailure) throw error.cause;
      throw await asFailure(error, url, settings);
    }
  }

  const limitsOf = (wanted: HttpRequest): Limits => ({ ...restLimits, ...deps.limits, ...wanted.limits });

  return {
    request,
    elsewhere,
    async post({ url, headers, body, take, onSent, signal, limits }) {
      const { status, ...answer } = await request({
        method: 'POST',
        url,
        headers,
        body,
        limits: { ...wireLimits, ...deps.limits, ...limits },
        onStale: url.endsWith('/git-upload-pack') ? 'again' : 'fail',
        ...(take && { take }),
        ...(onSent && { onSent }),
        ...(signal && { signal }),
      });
      return { status, contentType: answer.headers['content-type'] ?? '', body: answer.body };
    },
    check: () => breaker.check(),
    close() {
      for (const { proxied, straight } of Object.values(pools)) {
        proxied.close();
        straight.close();
      }
    },
  };
}

function isGitlab(url: URL, { url: base, apiUrl, tokenUrl }: NetSettings): boolean {
  return [base, apiUrl, tokenUrl].some((known) => new URL(known).origin === url.origin);
}

/** The instance's extra headers and its token go to the instance and nowhere else. */
function headersFor({ headers = {}, token }: HttpRequest, url: URL, settings: NetSettings): Record<string, string> {
  const own = isGitlab(url, settings);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw new TypeError(`not http: ${url.protocol}`);
  const given = lowerCased(headers);
  if ((token || 'authorization' in given) && !own) throw new TypeError(`a token must not go to ${url.origin}`);
  const base = { 'user-agent': 'Mooring', ...(own ? lowerCased(settings.advanced.headers) : {}), ...given };
  return token ? { ...base, authorization: `Bearer ${token.open()}` } : base;
}

function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

/** Names are checked when the socket opens; an address written as such never meets the look-up. */
function refuseAddress(url: URL): void {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (isForbiddenAddress(host)) throw new AddressRefused(host);
}

async function asFailure(error: unknown, url: URL, settings: NetSettings): Promise<Problem> {
  if (error instanceof Problem) return error;
  const proxy = proxyFor(url, settings.advanced);
  // Behind a proxy the certificate cannot be looked at directly; the refusal itself is clear enough.
  const certificate = isTlsFailure(error) && proxy === '' ? await seeCertificate(url, 3_000) : undefined;
  return translateFailure(error, url, { certificate, proxy, hasClient: settings.advanced.client !== undefined });
}
