import { isIP } from 'node:net';
import type { Author } from '../sync/ports.ts';

/**
 * The whole environment of every git process, built from nothing: what is not here, git does not see. No file on this
 * machine, no variable of the daemon's and nothing inside a repository can change what git does.
 */
export interface GitEnvironment {
  readonly gitDir: string;
  /** An empty directory nobody may write to. */
  readonly home: string;
  readonly author: Author;
  /** Seconds since 1970, for both dates of a commit. */
  readonly date?: number;
  readonly network?: GitNetwork;
  /** Settings of one command, on top of those of all. */
  readonly config?: readonly (readonly [string, string])[];
}

/** Set for fetch and push only: no other git process ever sees the token. */
export interface GitNetwork {
  /** The instance's base URL: the header is sent there and nowhere else. */
  readonly baseUrl: string;
  /** Value of the Authorization header. */
  readonly authorization: string;
  readonly headers: Readonly<Record<string, string>>;
  /** A file with the private authority's certificate; empty: the system's. */
  readonly caFile: string;
  /** The files of the client certificate and of its key, which is encrypted with `passphrase`. */
  readonly client?: { readonly certificateFile: string; readonly keyFile: string; readonly passphrase: string };
  readonly proxy: string;
  /** Where the instance's name leads; absent: git looks it up. */
  readonly addresses?: readonly string[];
  /** How long it may move less than 1,000 bytes a second; 30 unless said otherwise. */
  readonly silenceSeconds?: number;
}

/** Environment variables for one git process. */
export function gitEnvironment(options: GitEnvironment): Record<string, string> {
  const { gitDir, home, author, network } = options;
  const environment: Record<string, string> = {
    PATH: '/usr/bin:/bin',
    HOME: home,
    XDG_CONFIG_HOME: home,
    LC_ALL: 'C.UTF-8',
    TZ: 'UTC',
    GIT_DIR: gitDir,
    GIT_CEILING_DIRECTORIES: '/',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_SYSTEM: '/dev/null',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ASKPASS: '/bin/false',
    SSH_ASKPASS: '/bin/false',
    GIT_SSH_COMMAND: '/bin/false',
    GIT_EDITOR: '/bin/false',
    GIT_PAGER: 'cat',
    GIT_ALLOW_PROTOCOL: network?.baseUrl.startsWith('http:') ? 'https:http' : 'https',
    GIT_PROTOCOL_FROM_USER: '0',
    GIT_OPTIONAL_LOCKS: '0',
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_NO_LAZY_FETCH: '1',
    GIT_LITERAL_PATHSPECS: '1',
    GIT_AUTHOR_NAME: author.name,
    GIT_AUTHOR_EMAIL: author.email,
    GIT_COMMITTER_NAME: author.name,
    GIT_COMMITTER_EMAIL: author.email,
  };
  if (options.date !== undefined) {
    environment.GIT_AUTHOR_DATE = `${options.date} +0000`;
    environment.GIT_COMMITTER_DATE = `${options.date} +0000`;
  }
  if (network?.client) environment['MOORING_RUN_KEY_PASSPHRASE'] = network.client.passphrase;
  const config = [...fixedConfig, ...(options.config ?? []), ...(network ? networkConfig(network) : [])];
  environment.GIT_CONFIG_COUNT = String(config.length);
  config.forEach(([key, value], index) => {
    environment[`GIT_CONFIG_KEY_${index}`] = key;
    environment[`GIT_CONFIG_VALUE_${index}`] = value;
  });
  return environment;
}

/** These come from the environment and so beat every configuration file, also in git's own children. */
const fixedConfig: readonly (readonly [string, string])[] = [
  ['core.hooksPath', '/dev/null'],
  ['core.fsmonitor', 'false'],
  ['core.symlinks', 'false'],
  ['core.protectHFS', 'true'],
  ['core.protectNTFS', 'true'],
  ['core.attributesFile', '/dev/null'],
  ['core.excludesFile', '/dev/null'],
  ['core.autocrlf', 'false'],
  // Default git does not fsync loose objects or refs: a power cut could lose a commit it had acknowledged.
  ['core.fsync', 'committed,reference'],
  ['core.fsyncMethod', 'batch'],
  ['core.quotePath', 'false'],
  // Git's defaults grow with the repository and the number of cores; a small machine beside GitLab has other work.
  ['core.bigFileThreshold', '64m'],
  ['core.deltaBaseCacheLimit', '64m'],
  ['pack.windowMemory', '64m'],
  ['pack.deltaCacheSize', '64m'],
  ['pack.threads', '2'],
  ['transfer.fsckObjects', 'true'],
  ['fetch.fsckObjects', 'true'],
  // The three that GitLab itself lets pass: old histories carry them.
  ['fetch.fsck.badTimezone', 'ignore'],
  ['fetch.fsck.missingSpaceBeforeDate', 'ignore'],
  ['fetch.fsck.zeroPaddedFilemode', 'ignore'],
  ['submodule.recurse', 'false'],
  ['fetch.recurseSubmodules', 'false'],
  ['push.recurseSubmodules', 'no'],
  ['diff.ignoreSubmodules', 'all'],
  ['push.default', 'nothing'],
  ['push.followTags', 'false'],
  ['transfer.bundleURI', 'false'],
  ['remote.origin.followRemoteHEAD', 'never'],
  ['gc.auto', '0'],
  ['maintenance.auto', 'false'],
  ['protocol.version', '2'],
  ['safe.bareRepository', 'explicit'],
  ['commit.gpgSign', 'false'],
  ['merge.directoryRenames', 'false'],
  ['credential.helper', ''],
];

/**
 * Redirects stay off: with git's default, a redirect to another host receives the token on the follow-up request even
 * when the header is scoped to the first host's URL.
 */
function networkConfig(network: GitNetwork): [string, string][] {
  const scope = `http.${network.baseUrl}/.extraHeader`;
  return [
    ['http.followRedirects', 'false'],
    ['http.sslVerify', 'true'],
    ['http.proxy', withPort(network.proxy)],
    ...pin(network),
    // At once and not after a refusal: it is also what our own requests do, and some proxies never ask.
    ...(hasPassword(network.proxy) ? ([['http.proxyAuthMethod', 'basic']] as [string, string][]) : []),
    // Some proxies cut large transfers over HTTP/2, and nothing here gains by it.
    ['http.version', 'HTTP/1.1'],
    ['http.saveCookies', 'false'],
    ['http.lowSpeedLimit', '1000'],
    ['http.lowSpeedTime', String(network.silenceSeconds ?? 30)],
    ...(network.client ? clientConfig(network.client) : []),
    ...(network.caFile ? ([['http.sslCAInfo', network.caFile]] as [string, string][]) : []),
    [scope, `Authorization: ${network.authorization}`],
    ...Object.entries(network.headers).map(([name, value]): [string, string] => [scope, `${name}: ${value}`]),
  ];
}

/**
 * Git asks its credential helper for the passphrase of the key. The helper answers that question alone, from the
 * environment: nothing that a server asks for is answered by it.
 */
function clientConfig({ certificateFile, keyFile }: NonNullable<GitNetwork['client']>): [string, string][] {
  const helper = `!f() { grep -q '^protocol=cert$' && printf 'password=%s\\n' "$MOORING_RUN_KEY_PASSPHRASE"; }; f`;
  return [
    ['http.sslCert', certificateFile],
    ['http.sslKey', keyFile],
    ['http.sslCertPasswordProtected', 'true'],
    ['credential.helper', helper],
  ];
}

/** In curl's form, `host:port:address,address`. What is an address already leads nowhere else. */
function pin({ baseUrl, addresses = [] }: GitNetwork): [string, string][] {
  if (addresses.length === 0) return [];
  const { protocol, hostname, port } = new URL(baseUrl);
  if (isIP(hostname.replace(/^\[|\]$/g, ''))) return [];
  const found = addresses.map((address) => (isIP(address) === 6 ? `[${address}]` : address)).join(',');
  return [['http.curloptResolve', `${hostname}:${port || (protocol === 'https:' ? '443' : '80')}:${found}`]];
}

/** Without a port git means 1080, where everybody else means the scheme's own; and a URL drops the scheme's own. */
function withPort(proxy: string): string {
  if (!URL.canParse(proxy)) return proxy;
  const { protocol, username, password, hostname, port } = new URL(proxy);
  const user = username === '' ? '' : `${username}${password === '' ? '' : `:${password}`}@`;
  return `${protocol}//${user}${hostname}:${port || (protocol === 'https:' ? '443' : '80')}`;
}

const hasPassword = (proxy: string): boolean => URL.canParse(proxy) && new URL(proxy).username !== '';

/** Basic credentials as GitLab takes them for an OAuth or access token. */
export function basicAuthorization(token: string): string {
  return `Basic ${Buffer.from(`oauth2:${token}`).toString('base64')}`;
}
