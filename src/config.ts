import { accessSync, constants, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { delimiter, join, resolve } from 'node:path';
import { z } from 'zod';
import type { MailSettings } from './model/notice.ts';
import { Problem } from './model/problem.ts';
import { Secret } from './model/secret.ts';

/** Everything that the environment decides, checked once at start. */
export interface Config {
  readonly stateDir: string;
  /** Folders under which sites may lie; absolute. */
  readonly roots: readonly string[];
  readonly host: string;
  readonly port: number;
  /** Origin and sub-path, no final slash. */
  readonly publicUrl: string;
  readonly keyFile: string;
  /** The account to make at start; absent: the set-up page makes it. */
  readonly admin?: { readonly name: string; readonly password: Secret };
  readonly log: { readonly format: LogFormat; readonly level: LogLevel };
  /** Addresses and networks (CIDR) whose `X-Forwarded-*` headers are believed. */
  readonly trustedProxies: readonly string[];
  /** How notifications are mailed; absent: they are not. */
  readonly mail?: MailSettings;
  /** Absolute. */
  readonly git: string;
  /** Sentences for the log: what is odd, but stops nobody. */
  readonly warnings: readonly string[];
}

type LogFormat = 'pretty' | 'json';
type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** One setting as it is documented; `config/example.env` shows the same, and a test holds the two together. */
export interface Setting {
  readonly name: string;
  readonly example: string;
}

/** What the process is told besides the environment. */
export interface Surroundings {
  /** Whether standard output is a terminal: then people read the log. */
  readonly terminal: boolean;
  /** 0 is root; undefined where there are no user ids. */
  readonly uid: number | undefined;
}

/**
 * Reads the environment; the only place that does. Throws `config-invalid` with every fault at once: `facts.text`
 * has one line per variable, each with a valid example.
 */
export function readConfig(
  env: NodeJS.ProcessEnv = process.env,
  around: Surroundings = { terminal: process.stdout.isTTY, uid: process.getuid?.() },
): Config {
  const faults: string[] = [];
  const fault = (name: string, what: string): void => {
    faults.push(`${name}: ${what} Example: ${name}=${exampleOf(name)}`);
  };
  // An empty variable is one that is not set: compose files and unit files write `NAME=` for "nothing".
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
  const parsed = environment.safeParse(given);
  if (!parsed.success) for (const issue of parsed.error.issues) fault(String(issue.path[0]), issue.message);

  if (parsed.success && around.uid === 0 && parsed.data.MOORING_ALLOW_ROOT === 'no') {
    fault('MOORING_ALLOW_ROOT', 'Mooring does not run as root: give it a user of its own, or force it.');
  }
  const password = readSecret(given, 'MOORING_ADMIN_PASSWORD', fault);
  const mail = readMail(given, fault);
  const git = findGit(given['MOORING_GIT'], given['PATH']);
  if (git === undefined) {
    const why = given['MOORING_GIT']
      ? 'There is no program there.'
      : 'git was not found on PATH. Install it or name it.';
    fault('MOORING_GIT', why);
  }
  if (!parsed.success || git === undefined || faults.length > 0) {
    throw new Problem('config-invalid', { text: faults.join('\n') });
  }
  return assemble(parsed.data, {
    git,
    mail,
    password,
    warnings: warningsOf(given, parsed.data),
    terminal: around.terminal,
  });
}

/** Every setting there is, with a valid example. */
export const settings: readonly Setting[] = [
  { name: 'MOORING_STATE', example: '/var/lib/mooring' },
  { name: 'MOORING_SITES', example: '/var/www:/srv/sites' },
  { name: 'MOORING_HOST', example: '127.0.0.1' },
  { name: 'MOORING_PORT', example: '7420' },
  { name: 'MOORING_PUBLIC_URL', example: 'https://mooring.example.org' },
  { name: 'MOORING_KEY_FILE', example: '/run/credentials/mooring.service/key' },
  { name: 'MOORING_ADMIN_NAME', example: 'admin' },
  { name: 'MOORING_ADMIN_PASSWORD_FILE', example: '/run/secrets/mooring_admin_password' },
  { name: 'MOORING_ADMIN_PASSWORD', example: 'correct-horse-battery' },
  { name: 'MOORING_LOG', example: 'json' },
  { name: 'MOORING_LOG_LEVEL', example: 'info' },
  { name: 'MOORING_TRUSTED_PROXIES', example: '127.0.0.1,10.0.0.0/8' },
  { name: 'MOORING_SMTP_URL_FILE', example: '/run/secrets/mooring_smtp_url' },
  { name: 'MOORING_SMTP_URL', example: 'smtp://mooring:pass-word@mail.example.org:587' },
  { name: 'MOORING_MAIL_FROM', example: 'Mooring <mooring@example.org>' },
  { name: 'MOORING_MAIL_TO', example: 'web-team@example.org,ops@example.org' },
  { name: 'MOORING_GIT', example: '/usr/bin/git' },
  { name: 'MOORING_ALLOW_ROOT', example: 'yes' },
];

const list = (separator: string): z.ZodType<string[], string> =>
  z.string().transform((text) =>
    text
      .split(separator)
      .map((part) => part.trim())
      .filter(Boolean),
  );

const environment = z.object({
  MOORING_STATE: z
    .string()
    .default('./data')
    .transform((path) => resolve(path)),
  MOORING_SITES: z
    .string()
    .default('./sites')
    .pipe(list(':'))
    .refine((roots) => roots.length > 0, 'Name at least one folder.')
    .transform((roots) => roots.map((root) => resolve(root)))
    .refine((roots) => !roots.includes('/'), 'The whole file system is no place for sites.'),
  MOORING_HOST: z
    .string()
    .default('127.0.0.1')
    .refine(
      (host) => isIP(host) > 0 || /^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?$/.test(host),
      'This is no address or host name.',
    ),
  MOORING_PORT: z
    .string()
    .default('7420')
    .refine((text) => /^\d{1,5}$/.test(text) && Number(text) <= 65_535, 'A port is a number from 0 to 65535.')
    .transform(Number),
  MOORING_PUBLIC_URL: z
    .string()
    .optional()
    .refine(
      (text) => text === undefined || isPublicUrl(text),
      'It needs http:// or https://, a host, perhaps a path, and nothing else.',
    ),
  MOORING_KEY_FILE: z.string().optional(),
  MOORING_ADMIN_NAME: z
    .string()
    .default('admin')
    .refine((name) => [...name].length <= 64, 'A name has at most 64 characters.'),
  MOORING_LOG: z.enum(['pretty', 'json'], 'It is pretty or json.').optional(),
  MOORING_LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error'], 'It is debug, info, warn or error.').default('info'),
  MOORING_TRUSTED_PROXIES: z
    .string()
    .default('')
    .pipe(list(','))
    .refine((proxies) => proxies.every(isNetwork), 'It lists addresses and networks, with commas.'),
  MOORING_ALLOW_ROOT: z.enum(['yes', 'no'], 'It is yes or no.').default('no'),
});

type Environment = z.infer<typeof environment>;

function assemble(
  env: Environment,
  found: {
    git: string;
    mail: MailSettings | undefined;
    password: Secret | undefined;
    warnings: string[];
    terminal: boolean;
  },
): Config {
  return deepFreeze({
    stateDir: env.MOORING_STATE,
    roots: env.MOORING_SITES,
    host: env.MOORING_HOST,
    port: env.MOORING_PORT,
    publicUrl: publicUrlOf(env),
    keyFile: env.MOORING_KEY_FILE === undefined ? join(env.MOORING_STATE, 'secret.key') : resolve(env.MOORING_KEY_FILE),
    ...(found.password ? { admin: { name: env.MOORING_ADMIN_NAME, password: found.password } } : {}),
    log: { format: env.MOORING_LOG ?? (found.terminal ? 'pretty' : 'json'), level: env.MOORING_LOG_LEVEL },
    trustedProxies: env.MOORING_TRUSTED_PROXIES,
    ...(found.mail ? { mail: found.mail } : {}),
    git: found.git,
    warnings: found.warnings,
  });
}

function publicUrlOf(env: Environment): string {
  if (env.MOORING_PUBLIC_URL !== undefined) {
    const url = new URL(env.MOORING_PUBLIC_URL);
    return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
  }
  // "Every address" is no address that a browser can open.
  const host = ['0.0.0.0', '::'].includes(env.MOORING_HOST) ? '127.0.0.1' : env.MOORING_HOST;
  return `http://${host.includes(':') ? `[${host}]` : host}:${env.MOORING_PORT}`;
}

function warningsOf(given: NodeJS.ProcessEnv, env: Environment): string[] {
  const known = new Set(settings.map((setting) => setting.name));
  const unknown = Object.keys(given).filter(
    (name) => name.startsWith('MOORING_') && !name.startsWith('MOORING_TEST_') && !known.has(name),
  );
  const warnings = unknown.map((name) => `${name} is no setting of Mooring and has no effect.`);
  const { protocol, hostname } = new URL(publicUrlOf(env));
  if (protocol === 'http:' && !/^(localhost|127\.|\[::1\])/.test(hostname)) {
    warnings.push(`MOORING_PUBLIC_URL is http: passwords cross the network in the clear. Put Mooring behind https.`);
  }
  return warnings;
}

/** From `NAME_FILE`, the better way, or from `NAME`; one final newline of a file does not count. */
function readSecret(given: NodeJS.ProcessEnv, name: string, fault: Fault): Secret | undefined {
  const [value, file] = [given[name], given[`${name}_FILE`]];
  if (file === undefined) return value === undefined ? undefined : new Secret(value);
  if (value !== undefined) fault(`${name}_FILE`, `It is set together with ${name}; set one of the two.`);
  try {
    const text = readFileSync(file, 'utf8').replace(/\r?\n$/, '');
    if (text === '') fault(`${name}_FILE`, `${file} is empty.`);
    return new Secret(text);
  } catch (error) {
    fault(`${name}_FILE`, `${file} cannot be read (${error instanceof Error ? error.message : String(error)}).`);
    return undefined;
  }
}

type Fault = (name: string, what: string) => void;

/** All three or none: a mail server without somebody to write to is a mistake, and so is the other way round. */
function readMail(given: NodeJS.ProcessEnv, fault: Fault): MailSettings | undefined {
  const [url, from, to] = [
    readSecret(given, 'MOORING_SMTP_URL', fault),
    given['MOORING_MAIL_FROM'],
    given['MOORING_MAIL_TO'],
  ];
  if (!url && from === undefined && to === undefined) return undefined;
  const wanted = 'E-mail needs MOORING_SMTP_URL, MOORING_MAIL_FROM and MOORING_MAIL_TO together.';
  if (!url && given['MOORING_SMTP_URL_FILE'] === undefined) fault('MOORING_SMTP_URL', wanted);
  if (from === undefined) fault('MOORING_MAIL_FROM', wanted);
  else if (!isMailbox(from)) fault('MOORING_MAIL_FROM', 'It is one address, perhaps with a name before it.');
  const people = (to ?? '').split(',').map((one) => one.trim());
  if (to === undefined) fault('MOORING_MAIL_TO', wanted);
  else if (!people.every(isAddress) || people.length > 20)
    fault('MOORING_MAIL_TO', 'It lists addresses with commas, at most 20.');
  const server = url && readServer(url, fault);
  return server && from !== undefined && to !== undefined ? { ...server, from, to: people } : undefined;
}

/** Never says what stands in it: it holds a password. */
function readServer(secret: Secret, fault: Fault): Omit<MailSettings, 'from' | 'to'> | undefined {
  const bad = (what: string): undefined => void fault('MOORING_SMTP_URL', what);
  const text = secret.open();
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !['smtp:', 'smtps:'].includes(url.protocol) || url.hostname === '') {
    return bad(
      'It begins with smtp:// or smtps://, and has a host. A sign like @ or / in the password is written %40 or %2F.',
    );
  }
  const plain = url.search === '?tls=no';
  if (!['', '/'].includes(url.pathname) || url.hash !== '' || (url.search !== '' && !plain)) {
    return bad('After host and port it has nothing, or ?tls=no.');
  }
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) === 0 && !/^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?$/.test(host)) return bad('This is no host name.');
  const here = /^(localhost|127\.\d+\.\d+\.\d+|::1)$/.test(host);
  const tls = url.protocol === 'smtps:' ? 'from-the-start' : plain || here ? 'none' : 'starttls';
  if (plain && url.protocol === 'smtps:') return bad('smtps:// is encrypted; ?tls=no belongs to smtp:// only.');
  const [user, password] = [decoded(url.username), decoded(url.password)];
  if (user === undefined || password === undefined) return bad('A % in name or password is written %25.');
  if ((user === '') !== (password === '')) return bad('It has a name and a password, or neither.');
  if (tls === 'none' && user !== '' && !here)
    return bad('Without TLS a password would cross the network in the clear.');
  const port = url.port === '' ? (tls === 'from-the-start' ? 465 : here || plain ? 25 : 587) : Number(url.port);
  return { host, port, tls, ...(user === '' ? {} : { user, password: new Secret(password) }) };
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** No quotes, brackets, spaces or line breaks: nothing that could end an address and begin another. */
function isAddress(text: string): boolean {
  return text.length <= 254 && /^[\w.!#$%&'*+/=?^`{|}~-]+@[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?$/.test(text);
}

function isMailbox(text: string): boolean {
  const [, name, address] = /^([^<>]*)<([^<>]*)>$/.exec(text.trim()) ?? [];
  if (name === undefined || address === undefined) return isAddress(text.trim());
  return isAddress(address) && name.length <= 100 && !/[\p{Cc}",;:@]/u.test(name);
}

/** Looked up once: what PATH says later must not decide which git runs with a token. */
function findGit(named: string | undefined, path: string | undefined): string | undefined {
  if (named !== undefined) return named.startsWith('/') && isProgram(named) ? named : undefined;
  const folders = (path ?? '/usr/bin:/bin').split(delimiter).filter((folder) => folder.startsWith('/'));
  return folders.map((folder) => join(folder, 'git')).find(isProgram);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function isPublicUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !['http:', 'https:'].includes(url.protocol)) return false;
  return url.username === '' && url.password === '' && url.search === '' && url.hash === '';
}

function isNetwork(text: string): boolean {
  const [address = '', bits, ...more] = text.split('/');
  const family = isIP(address);
  if (family === 0 || more.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}

function exampleOf(name: string): string {
  return settings.find((setting) => setting.name === name)?.example ?? '';
}

function deepFreeze<T extends object>(value: T): T {
  for (const member of Object.values(value)) {
    if (typeof member === 'object' && member !== null && !(member instanceof Secret)) deepFreeze(member as object);
  }
  return Object.freeze(value);
}
