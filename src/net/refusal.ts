import type { Buffer } from 'node:buffer';
import type { IncomingHttpHeaders } from 'node:http';
import { Problem } from '../model/problem.ts';
import { clientCertificateProblem, proxyRefusal } from './failure.ts';
import { foreign401 } from './gateway.ts';

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/**
 * What an answer says about the instance as a whole, whatever was asked: redirects, throttles, outages. Undefined when
 * the answer is about the question. `nowMs`: wall time, for dates in `Retry-After`; `hasClient`: a client certificate is
 * configured.
 */
export function refusalOf(
  answer: Answer,
  url: URL,
  { nowMs, hasClient = false }: { readonly nowMs: number; readonly hasClient?: boolean },
): Problem | undefined {
  const { status, headers } = answer;
  const facts = { host: url.host, status: String(status) };
  // Only a proxy says so: GitLab has not seen the request.
  if (status === 407) return proxyRefusal(url, status);
  if (status === 401) return foreign401(answer, url);
  if (isClientCertificateRefusal(answer)) return clientCertificateProblem(url, hasClient);
  if (status >= 300 && status < 400) return moved(url, headers.location);
  if (status < 500 && status !== 429) return undefined;
  const maintenance = status === 503 && maintenanceText.exec(answer.body.toString('latin1', 0, 2_000))?.[0];
  if (maintenance) {
    return new Problem(
      'gitlab-maintenance',
      { ...facts, text: maintenance },
      { retryAfterMs: retryAfter(headers, nowMs) ?? 60_000 },
    );
  }
  const retryAfterMs = retryAfter(headers, nowMs);
  if (status === 429 && retryAfterMs === undefined) {
    // A minute is the window of GitLab's limits. Those per endpoint concern no other call; what a proxy means nobody knows.
    const limit = isEndpointLimit(answer.body) ? { limit: 'endpoint' } : {};
    return new Problem('gitlab-busy', { ...facts, ...limit }, { retryAfterMs: 60_000 });
  }
  if (status !== 500 && retryAfterMs !== undefined) return new Problem('gitlab-busy', facts, { retryAfterMs });
  return new Problem('gitlab-error', facts);
}

/** nginx (400, or 495 and 496 inside) and Apache (403) answer in HTTP what other servers say by ending the handshake. */
function isClientCertificateRefusal({ status, body }: Answer): boolean {
  if (![400, 403, 495, 496].includes(status)) return false;
  const text = body.toString('latin1', 0, 2_000);
  return /No required SSL certificate was sent|The SSL certificate error|client certificate|requires a valid certificate/i.test(
    text,
  );
}

/** GitLab's own sentence, and of the rest of the answer nothing. */
const maintenanceText = /[\w .:,()'-]{0,100}maintenance mode[\w .:,()'-]{0,100}/i;

/** GitLab's own form for these alone: `{"message":{"error":"This endpoint has been requested too many times …"}}`. */
function isEndpointLimit(body: Buffer): boolean {
  return /^\s*\{\s*"message"\s*:\s*\{\s*"error"\s*:/.test(body.toString('latin1', 0, 200));
}

/** `Retry-After` in ms: seconds or an HTTP date, at most an hour; undefined when there is none that can be read. */
function retryAfter(headers: IncomingHttpHeaders, nowMs: number): number | undefined {
  const text = headers['retry-after']?.trim();
  if (text === undefined || text === '') return undefined;
  const ms = /^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - nowMs;
  if (Number.isNaN(ms)) return undefined;
  return Math.min(Math.max(ms, 1_000), 3_600_000);
}

/** Redirects are never followed: a token must not travel where the other side points. The target is named without its query. */
function moved(url: URL, location: string | undefined): Problem {
  const target = location !== undefined && URL.canParse(location, url.href) ? new URL(location, url) : undefined;
  const to = target ? `${target.protocol}//${target.host}${target.pathname}`.slice(0, 300) : 'another address';
  return new Problem('gitlab-answer-odd', { host: url.host, to, reason: `it sends on to ${to}`, text: `go to ${to}` });
}
