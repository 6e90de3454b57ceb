import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Certificates made by openssl, as an admin would: `ca` signs `good`, `expired` and `foreign` (another name) for servers,
 * and `client`.
 */
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
    client: sign('client', 'mooring', ['-days', '10']),
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
