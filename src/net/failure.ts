import { Problem } from '../model/problem.ts';
import { AddressRefused } from './address.ts';

/** A server's certificate in words; texts may be empty. */
export interface Certificate {
  readonly issuer: string;
  /** The names it is valid for. */
  readonly names: string;
  readonly validTo: string;
}

/** Raised inside the client when its own limits end a request. */
export class LimitReached extends Error {
  override readonly name = 'LimitReached';
  readonly limit: 'time' | 'size';

  constructor(limit: 'time' | 'size', message: string) {
    super(message);
    this.limit = limit;
  }
}

/** Whether an error says that the server's certificate was not accepted: then a look at it gives better facts. */
export function isTlsFailure(error: unknown): boolean {
  return tlsCode(codesOf(error)) !== undefined;
}

/** What is known of the request that failed. `hasClient`: a client certificate is configured. */
interface FailureContext {
  readonly certificate?: Certificate | undefined;
  /** The one the request went through, empty for none. */
  readonly proxy?: string;
  readonly hasClient?: boolean;
}

/**
 * What ended a request before there was an answer, as a Problem. Facts: `host`, `address`, `reason` in
 * words, `at` when it ended at the `proxy` or while agreeing on `tls`; for TLS `host`, `issuer`, `names`, `until`; each
 * absent when it is not known. Nothing of what a server said goes into them but a proxy's status, so an inner server's
 * answers cannot be read through error pages.
 */
export function translateFailure(
  error: unknown,
  url: URL,
  { certificate, proxy = '', hasClient = false }: FailureContext = {},
): Problem {
  const host = url.host;
  const limit = chain(error).find((e) => e instanceof LimitReached);
  if (limit?.limit === 'size') {
    return new Problem(
      'gitlab-answer-odd',
      { host, reason: 'the answer is far larger than expected' },
      { cause: error },
    );
  }
  if (limit || isTimeout(error))
    return new Problem('gitlab-slow', { host, address: addressOf(error) }, { cause: error });
  const codes = codesOf(error);
  const tls = tlsCode(codes);
  if (tls) return new Problem(tls, certificateFacts(host, certificate), { cause: error });
  if (chain(error).some(({ message }) => clientCertificateAlert.test(message)))
    return clientCertificateProblem(url, hasClient, { cause: error });
  if (codes.includes('ERR_PROXY_TUNNEL')) return proxyRefusal(url, tunnelStatus(error), { cause: error });
  if (chain(error).some(({ message }) => /alert handshake failure/.test(message)))
    return new Problem('gitlab-unreachable', { host, reason: handshakeRefused }, { cause: error });
  const code = codes.find((c) => c in reasons) ?? codes[0] ?? '';
  if (code.startsWith('HPE_')) {
    return new Problem('gitlab-answer-odd', { host, reason: 'the answer is no valid HTTP' }, { cause: error });
  }
  const reason = reasons[code] ?? 'the connection failed';
  if (proxy !== '' && beforeAnyAnswer.has(code)) {
    // The first machine on the way is the proxy: GitLab's name and address were never looked for.
    const facts = { host, reason: `the proxy ${new URL(proxy).host}: ${reason}` };
    return new Problem('gitlab-unreachable', facts, { cause: error });
  }
  const at = notTls.has(code) ? 'tls' : undefined;
  return new Problem('gitlab-unreachable', known({ host, address: addressOf(error), reason, at }), { cause: error });
}

/** The other side wants a certificate of ours, or another one. */
export function clientCertificateProblem(url: URL, wasSent: boolean, options: { cause?: unknown } = {}): Problem {
  return new Problem('tls-client-certificate', { host: url.host, ...(wasSent ? { sent: 'yes' } : {}) }, options);
}

/** Alerts by which a server refuses a caller for its certificate, or for having none, in OpenSSL's words. */
const clientCertificateAlert =
  /alert (?:certificate required|bad certificate|unsupported certificate|certificate (?:revoked|expired|unknown)|unknown ca|no certificate)/;

/** A proxy did not pass the request on; `status` is what it answered, 0 when that is not known. */
export function proxyRefusal(url: URL, status: number, options: { cause?: unknown } = {}): Problem {
  const reason = proxyReason(status);
  const facts = { host: url.host, reason, at: 'proxy', status: status === 0 ? undefined : String(status) };
  return new Problem('gitlab-unreachable', known(facts), options);
}

function proxyReason(status: number): string {
  if (status === 407) return 'the proxy asks for a name and password';
  const said = status === 0 ? '' : ` (it answered ${status})`;
  if (status >= 502 && status <= 504) return `the proxy does not get through to GitLab${said}`;
  return `the proxy refused to pass the connection on${said}`;
}

/** Node says it only in its message: `… via http://proxy/: HTTP/1.1 407 Proxy Authentication Required`. */
function tunnelStatus(error: unknown): number {
  const found = chain(error).map(({ message }) => / HTTP\/1\.\d (\d{3})\b/.exec(message)?.[1]);
  return Number(found.find((status) => status !== undefined) ?? 0);
}

/** TLS 1.2 has one alert for a missing certificate and for many other things. */
export const handshakeRefused = 'it refused the TLS handshake, as some servers do that ask for a client certificate';

const reasons: Readonly<Record<string, string>> = {
  ENOTFOUND: 'the name is not known to DNS',
  EAI_AGAIN: 'DNS does not answer',
  EAI_NODATA: 'the name has no address in DNS',
  ECONNREFUSED: 'nothing listens on that port (connection refused)',
  EHOSTUNREACH: 'no route leads to that host',
  ENETUNREACH: 'no route leads to that network',
  EHOSTDOWN: 'the host is down',
  ECONNRESET: 'the connection was cut',
  ECONNABORTED: 'the connection was cut',
  EPIPE: 'the connection was cut',
  ERR_HTTP_CONTENT_LENGTH_MISMATCH: 'the connection was cut',
  EADDRREFUSED: 'its address is link-local or a metadata service, which Mooring never calls',
  EACCES: 'this machine does not allow the connection',
  EPERM: 'this machine does not allow the connection',
  EPROTO: 'the other side does not speak TLS on that port',
  ERR_SSL_WRONG_VERSION_NUMBER: 'the other side does not speak TLS on that port',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'the other side does not speak TLS on that port',
};

/** A connection that never came about. */
const beforeAnyAnswer = new Set([
  ...['ENOTFOUND', 'EAI_AGAIN', 'EAI_NODATA', 'ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN'],
  ...['EACCES', 'EPERM'],
]);

const notTls = new Set(['EPROTO', 'ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_PACKET_LENGTH_TOO_LONG']);

const tlsCodes: Readonly<Record<string, 'tls-untrusted' | 'tls-expired' | 'tls-name'>> = {
  CERT_HAS_EXPIRED: 'tls-expired',
  CERT_NOT_YET_VALID: 'tls-expired',
  ERR_TLS_CERT_ALTNAME_INVALID: 'tls-name',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'tls-untrusted',
  SELF_SIGNED_CERT_IN_CHAIN: 'tls-untrusted',
  UNABLE_TO_GET_ISSUER_CERT: 'tls-untrusted',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'tls-untrusted',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'tls-untrusted',
  CERT_UNTRUSTED: 'tls-untrusted',
  CERT_REVOKED: 'tls-untrusted',
  CERT_SIGNATURE_FAILURE: 'tls-untrusted',
  INVALID_CA: 'tls-untrusted',
  INVALID_PURPOSE: 'tls-untrusted',
};

function tlsCode(codes: readonly string[]): 'tls-untrusted' | 'tls-expired' | 'tls-name' | undefined {
  return codes.map((code) => tlsCodes[code]).find((found) => found !== undefined);
}

function certificateFacts(host: string, certificate: Certificate | undefined): Record<string, string> {
  return known({ host, issuer: certificate?.issuer, names: certificate?.names, until: certificate?.validTo });
}

function known(facts: Record<string, string | undefined>): Record<string, string> {
  const found = Object.entries(facts).flatMap(([name, value]) =>
    value === undefined || value === '' ? [] : [[name, value]],
  );
  return Object.fromEntries(found) as Record<string, string>;
}

function isTimeout(error: unknown): boolean {
  return chain(error).some((e) => e.name === 'TimeoutError') || codesOf(error).includes('ETIMEDOUT');
}

function addressOf(error: unknown): string {
  for (const e of chain(error)) {
    if (e instanceof AddressRefused) return e.address;
    if (!('address' in e) || typeof e.address !== 'string') continue;
    return 'port' in e && typeof e.port === 'number' ? `${e.address} port ${e.port}` : e.address;
  }
  return '';
}

function codesOf(error: unknown): string[] {
  return chain(error).flatMap((e) => ('code' in e && typeof e.code === 'string' ? [e.code] : []));
}

/** The error, its causes, and what an AggregateError (several addresses tried) holds. */
function chain(error: unknown, depth = 0): Error[] {
  if (!(error instanceof Error) || depth > 5) return [];
  const inner = error instanceof AggregateError ? error.errors : [];
  return [error, ...[error.cause, ...inner].flatMap((e) => chain(e, depth + 1))];
}
