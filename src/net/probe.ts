import { lookup } from 'node:dns/promises';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls, type PeerCertificate } from 'node:tls';
import { Problem } from '../model/problem.ts';
import { guardedLookup, isForbiddenAddress } from './address.ts';
import { type Certificate, translateFailure } from './failure.ts';

/** Every address a name leads to. Throws `gitlab-unreachable`. */
export async function resolveName(url: URL): Promise<readonly string[]> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const found = await lookup(host, { all: true }).catch((error: unknown) => {
    throw translateFailure(error, url);
  });
  const bad = found.find(({ address }) => isForbiddenAddress(address));
  if (bad) {
    const reason = 'its address is link-local or a metadata service, which Mooring never calls';
    throw new Problem('gitlab-unreachable', { host: url.host, address: bad.address, reason });
  }
  return found.map(({ address }) => address);
}

/** Opens and closes a TCP connection; throws `gitlab-unreachable` or `gitlab-slow`. */
export function openPort(url: URL, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ ...target(url), lookup: guardedLookup, timeout: timeoutMs });
    const end = (error?: Error) => {
      socket.destroy();
      if (error) reject(translateFailure(error, url));
      else resolve();
    };
    socket.once('connect', () => end());
    socket.once('error', end);
    socket.once('timeout', () => end(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' })));
  });
}

/**
 * The certificate a server shows, trusted or not, so that a refusal can name its issuer. Undefined when there is none to
 * see within the time. Trust is off for this one look because nothing is ever sent over it; requests never use it.
 */
export function seeCertificate(url: URL, timeoutMs: number): Promise<Certificate | undefined> {
  return new Promise((resolve) => {
    const { host, port } = target(url);
    const servername = /^[\d.]+$|:/.test(host) ? '' : host;
    const socket = connectTls({ host, port, servername, lookup: guardedLookup, rejectUnauthorized: false });
    const end = (found?: Certificate) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(found);
    };
    const timer = setTimeout(() => end(), timeoutMs);
    socket.once('secureConnect', () => end(describe(socket.getPeerCertificate())));
    socket.once('error', () => end());
  });
}

function target(url: URL): { host: string; port: number } {
  const standard = url.protocol === 'https:' ? 443 : 80;
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port === '' ? standard : Number(url.port) };
}

function describe(certificate: PeerCertificate): Certificate {
  const { CN, O } = (certificate.issuer ?? {}) as Partial<Record<string, string | string[]>>;
  const names = certificate.subjectaltname?.replace(/\b(DNS|IP Address):/g, '') ?? '';
  return {
    issuer: [CN ?? O ?? ''].flat().join(' ').slice(0, 200),
    names: names.slice(0, 300),
    validTo: certificate.valid_to ?? '',
  };
}
