import { type KeyObject, X509Certificate, createPrivateKey } from 'node:crypto';
import type { Advanced, ClientCertificate, Instance, Scopes } from '../model/instance.ts';
import { Problem } from '../model/problem.ts';
import { Secret } from '../model/secret.ts';

/** What the settings page sends; all texts as typed. */
export interface InstanceForm {
  readonly url: string;
  /** The person says that GitLab lives at that very URL, though it looks like a repository's. */
  readonly asTyped: boolean;
  readonly applicationId: string;
  /** Empty: the present one stays, as long as the GitLab URL and the Token URL's server do. */
  readonly secret: string;
  readonly authorizeUrl: string;
  readonly tokenUrl: string;
  readonly apiUrl: string;
  readonly scopes: Scopes;
  readonly ca: string;
  readonly clientCertificate: string;
  /** Empty: the stored one stays, if the certificate belongs to it and the GitLab URL does not change. */
  readonly clientKey: string;
  readonly proxy: string;
  readonly noProxy: string;
  readonly headers: string;
  readonly reachableAt: string;
  readonly minAccessLevel: number;
}

/** Reads URLs as people type them; both throw `instance-url-invalid` with fact `hint`, a sentence. */
export interface UrlReader {
  readonly instanceUrls: (text: string) => { url: string; authorizeUrl: string; tokenUrl: string; apiUrl: string };
  readonly httpUrl: (text: string) => URL;
  /** The URL that was probably meant instead of one of an instance; undefined: nothing speaks against it. */
  readonly likelyInstead: (url: string) => string | undefined;
  /** Throws `form-invalid` with fact `noProxy`. */
  readonly noProxy: (text: string) => readonly string[];
}

/**
 * The form as an instance. Throws `form-invalid` whose facts are keyed by field name, each a sentence, all faults at
 * once. `configuredAt`: ms since 1970.
 */
export function readInstanceForm(
  form: InstanceForm,
  { present, urls, configuredAt }: { present: Instance | undefined; urls: UrlReader; configuredAt: number },
): Instance {
  const faults: Record<string, string> = {};
  const read = <T>(field: string, get: () => T, instead: T): T => {
    try {
      return get();
    } catch (error) {
      faults[field] = sentenceOf(error);
      return instead;
    }
  };
  const none = { url: '', authorizeUrl: '', tokenUrl: '', apiUrl: '' };
  const derived = read('url', () => urls.instanceUrls(form.url), none);
  const likely =
    derived.url === '' || form.asTyped || present?.url === derived.url ? undefined : urls.likelyInstead(derived.url);
  if (likely !== undefined)
    faults['url'] =
      `This looks like a repository inside GitLab. Did you mean ${likely}? If GitLab lives there, tick “${asTyped}”.`;
  const endpoint = (field: 'authorizeUrl' | 'tokenUrl' | 'apiUrl') => {
    const typed = form[field].trim();
    return typed === '' ? derived[field] : read(field, () => endpointOf(urls.httpUrl(typed), derived.url), '');
  };
  const tokenUrl = endpoint('tokenUrl');
  // It is sent to the token endpoint: to another server only by somebody who knows it.
  const stays = present?.url === derived.url && (tokenUrl === '' || sameOrigin(present.tokenUrl, tokenUrl));
  const instance: Instance = {
    url: derived.url,
    applicationId: read('applicationId', () => applicationIdOf(form.applicationId), ''),
    secret: read('secret', () => secretOf(form.secret, stays ? present.secret : undefined), new Secret('')),
    authorizeUrl: endpoint('authorizeUrl'),
    tokenUrl,
    apiUrl: endpoint('apiUrl'),
    scopes: form.scopes,
    advanced: readAdvanced(
      form,
      { urls, kept: present?.url === derived.url ? present.advanced.client : undefined },
      read,
    ),
    configuredAt,
  };
  if (Object.keys(faults).length > 0) throw new Problem('form-invalid', faults);
  return instance;
}

/** Beside the field, once the URL was doubted. */
const asTyped = 'Use this address as it is';

type Read = <T>(field: string, get: () => T, instead: T) => T;

function readAdvanced(
  form: InstanceForm,
  { urls, kept }: { readonly urls: UrlReader; readonly kept: ClientCertificate | undefined },
  read: Read,
): Advanced {
  const certificate = read('clientCertificate', () => clientCertificateOf(form.clientCertificate), '');
  const client =
    certificate === ''
      ? read('clientKey', () => noKeyAlone(form), undefined)
      : read('clientKey', () => ({ certificate, key: clientKeyOf(form.clientKey, certificate, kept) }), undefined);
  return {
    ca: read('ca', () => caOf(form.ca), ''),
    ...(client ? { client } : {}),
    proxy: read('proxy', () => proxyOf(form.proxy, urls), ''),
    noProxy: read('noProxy', () => urls.noProxy(form.noProxy), []),
    headers: read('headers', () => headersOf(form.headers), {}),
    reachableAt: read('reachableAt', () => optionalUrl(form.reachableAt, urls), ''),
    minAccessLevel: read('minAccessLevel', () => levelOf(form.minAccessLevel), 30),
  };
}

function sameOrigin(a: string, b: string): boolean {
  return new URL(a).origin === new URL(b).origin;
}

function applicationIdOf(text: string): string {
  const id = text.trim();
  if (id === '') throw new Fault('Enter the Application ID that GitLab shows for this application.');
  if (/\s/.test(id) || id.length > 300) throw new Fault('An Application ID is one word, without spaces.');
  return id;
}

/** Spaces are not trimmed away in silence: a secret pasted with half a line around it is the wrong secret. */
function secretOf(text: string, kept: Secret | undefined): Secret {
  if (text === '' && kept) return kept;
  if (text === '')
    throw new Fault(
      'Enter the Secret. It must be entered again whenever the GitLab URL or the server of the Token URL changes.',
    );
  if (/\s/.test(text)) throw new Fault('The Secret contains a space or a line break. Paste it again without it.');
  if (text.length > 500) throw new Fault('This is too long for a Secret.');
  return new Secret(text);
}

/** The token endpoint receives the secret, the API the token: over http only when the instance itself is http. */
function endpointOf(url: URL, instanceUrl: string): string {
  if (url.protocol === 'http:' && instanceUrl.startsWith('https:')) {
    throw new Fault('This address uses http although your GitLab uses https: secrets would be sent unencrypted.');
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
}

function caOf(text: string): string {
  const pem = text.replace(/\r\n/g, '\n').trim();
  if (/PRIVATE KEY/.test(pem))
    throw new Fault('This holds a private key. Paste only the certificate of the authority.');
  return certificatesOf(pem);
}

function clientCertificateOf(text: string): string {
  const pem = text.replace(/\r\n/g, '\n').trim();
  if (/PRIVATE KEY/.test(pem)) throw new Fault('This holds a private key. Paste it into the field below.');
  return certificatesOf(pem);
}

function noKeyAlone({ clientCertificate, clientKey }: InstanceForm): undefined {
  if (clientKey.trim() !== '' && clientCertificate.trim() === '')
    throw new Fault('A key without its certificate is of no use. Paste the certificate above.');
}

function clientKeyOf(text: string, certificate: string, kept: ClientCertificate | undefined): Secret {
  const pem = text.replace(/\r\n/g, '\n').trim();
  const leaf = new X509Certificate(certificate);
  if (pem === '') {
    if (kept && leaf.checkPrivateKey(createPrivateKey(kept.key.open()))) return kept.key;
    throw new Fault('Enter the key of this certificate.');
  }
  if (/ENCRYPTED/.test(pem))
    throw new Fault('This key has a passphrase. Paste it without one: openssl pkey -in client.key prints it.');
  if (!leaf.checkPrivateKey(privateKeyOf(pem))) throw new Fault('This key does not belong to the certificate.');
  return new Secret(`${pem}\n`);
}

function privateKeyOf(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    throw new Fault('This is not a private key. Paste it as PEM: from BEGIN PRIVATE KEY to END PRIVATE KEY.');
  }
}

function certificatesOf(pem: string): string {
  if (pem === '') return '';
  const parts = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  if (parts.length === 0) throw new Fault('Paste the certificate as PEM: from BEGIN CERTIFICATE to END CERTIFICATE.');
  for (const [index, part] of parts.entries()) {
    try {
      new X509Certificate(part);
    } catch {
      throw new Fault(`Certificate ${index + 1} of ${parts.length} cannot be read. Copy it again, with all its lines.`);
    }
  }
  return `${parts.join('\n')}\n`;
}

function proxyOf(text: string, urls: UrlReader): string {
  const typed = text.trim();
  if (typed === '') return '';
  // A proxy may ask for a name and password, which the reader of URLs refuses everywhere else.
  const bare = urls.httpUrl(typed.replace(/^(https?:\/\/)[^/@]*@/i, '$1'));
  if (bare.pathname !== '/') throw new Fault('A proxy is a host and a port, such as http://proxy.example:3128.');
  return new URL(typed).href.replace(/\/$/, '');
}

function headersOf(text: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const line of text.split('\n').map((each) => each.trim())) {
    if (line === '') continue;
    const [, name = '', value = ''] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):\s*([\x21-\x7e][\x20-\x7e]*)$/.exec(line) ?? [];
    if (name === '')
      throw new Fault(`Write each header as “Name: value”. This line is different: ${line.slice(0, 60)}`);
    if (ourHeaders.has(name.toLowerCase())) throw new Fault(`${name} is set by Mooring itself.`);
    found[name] = value;
  }
  return found;
}

const ourHeaders = new Set(
  ['authorization', 'host', 'content-length', 'content-type', 'transfer-encoding', 'connection', 'accept'].concat([
    'accept-encoding',
    'cookie',
    'git-protocol',
    'proxy-authorization',
    'private-token',
    'upgrade',
    'expect',
    'te',
  ]),
);

function optionalUrl(text: string, urls: UrlReader): string {
  if (text.trim() === '') return '';
  const url = urls.httpUrl(text);
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
}

function levelOf(level: number): number {
  if (![10, 15, 20, 25, 30, 40, 50].includes(level)) throw new Fault('Choose one of the levels in the list.');
  return level;
}

/** A sentence for the field it is raised for. */
class Fault extends Error {}

function sentenceOf(error: unknown): string {
  if (error instanceof Fault) return error.message;
  if (!(error instanceof Problem)) throw error;
  return error.facts['hint'] ?? error.facts['noProxy'] ?? 'This is not a usable address.';
}
