import { isIP } from 'node:net';
import { isAbsolute, resolve } from 'node:path';
import { validate } from 'node-cron';
import { z } from 'zod';
import { parseLabelSelector } from './model/label-selector.ts';

/** One environment variable. `config/example.env` shows the same texts; a test keeps the two equal. */
export interface Setting {
  /** Reads the value; an unset variable reads as undefined. */
  readonly schema: z.ZodType;
  /** A valid value. */
  readonly example: string;
  readonly about: string;
  /** What holds while it is not set, in words. */
  readonly fallback: string;
  /** A secret: `NAME_FILE` names a file that holds it, which other processes cannot read as they can the environment. */
  readonly file?: { readonly example: string; readonly about: string; readonly fallback: string };
}

const list = (separator: string): z.ZodType<string[], string> =>
  z.string().transform((text) =>
    text
      .split(separator)
      .map((part) => part.trim())
      .filter(Boolean),
  );

/** Every setting there is, in the order of `config/example.env`. */
const settings = {
  MOORING_STATE: {
    schema: z
      .string()
      .default('./data')
      .transform((path) => resolve(path)),
    example: '/var/lib/mooring',
    about:
      "The state directory: the store, the key and one git repository per site. Back it up with “mooring backup”. Only the daemon's user can enter it. It must not be inside a site or a web root.",
    fallback: './data',
  },
  MOORING_SITES: {
    schema: z
      .string()
      .default('./sites')
      .pipe(list(':'))
      .refine((roots) => roots.length > 0, 'Name at least one folder.')
      .transform((roots) => roots.map((root) => resolve(root)))
      .refine((roots) => !roots.includes('/'), 'The root of the file system cannot hold sites.'),
    example: '/var/www:/srv/sites',
    about: 'Allowed root folders for sites, separated by colons. Mooring refuses a site outside of them.',
    fallback: './sites',
  },
  MOORING_HOST: {
    schema: z
      .string()
      .default('127.0.0.1')
      .refine(
        (host) => isIP(host) > 0 || /^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?$/.test(host),
        'This is not an address or a host name.',
      ),
    example: '127.0.0.1',
    about: 'Address on which Mooring listens. Use 0.0.0.0 for all addresses of the machine.',
    fallback: '127.0.0.1',
  },
  MOORING_PORT: {
    schema: z
      .string()
      .default('7420')
      .refine((text) => /^\d{1,5}$/.test(text) && Number(text) <= 65_535, 'A port is a number from 0 to 65535.')
      .transform(Number),
    example: '7420',
    about: 'Port on which Mooring listens. 0 selects any free port.',
    fallback: '7420',
  },
  MOORING_PUBLIC_URL: {
    schema: z
      .string()
      .optional()
      .refine(
        (text) => text === undefined || isPublicUrl(text),
        'It must start with http:// or https://, followed by a host, optionally a path, and nothing else.',
      ),
    example: 'https://mooring.example.org',
    about:
      'The URL at which browsers and GitLab reach Mooring if it differs from the address above, for example behind a reverse proxy. It may contain a path. Links, the OAuth redirect URI and the webhook URL are derived from it.',
    fallback: 'http:// with the host and port above',
  },
  MOORING_KEY_FILE: {
    schema: z.string().optional(),
    example: '/run/credentials/mooring.service/key',
    about:
      'File with the key that encrypts tokens and secrets in the store: 32 random bytes, raw, in hex or in base64. Mooring creates it on the first start. It may be in a read-only folder, such as a systemd credentials folder.',
    fallback: 'secret.key in the state directory',
  },
  MOORING_ADMIN_NAME: {
    schema: z
      .string()
      .default('admin')
      .refine((name) => [...name].length <= 64, 'A name has at most 64 characters.'),
    example: 'admin',
    about: 'Name of the account that the next setting creates.',
    fallback: 'admin',
  },
  MOORING_ADMIN_PASSWORD: {
    schema: z.string().optional(),
    example: 'correct-horse-battery',
    about:
      'The same password directly in the environment, where other processes of the user may read it. Prefer the file.',
    fallback: 'none',
    file: {
      example: '/run/secrets/mooring_admin_password',
      about:
        'File with the password of the admin account, for unattended installations; at least 12 characters. Mooring creates the account at start or updates its password. Without this setting, Mooring prints a one-time set-up code.',
      fallback: 'none',
    },
  },
  MOORING_DECLARED: {
    schema: z
      .string()
      .optional()
      .transform((path) => (path === undefined ? undefined : resolve(path))),
    example: '/etc/mooring/mooring.yaml',
    about:
      'File that declares the GitLab instance, connections, sites, accounts and notifications, in YAML or JSON. Mooring applies it at start and on SIGHUP. What it declares is read-only on the pages. docs/configuration-as-code.md describes it.',
    fallback: 'none; everything is set on the pages',
  },
  MOORING_SHARD_SELECTOR: {
    schema: z
      .string()
      .optional()
      .transform((text) => (text === undefined ? undefined : (parseLabelSelector(text) ?? 'wrong')))
      .refine((selector) => selector !== 'wrong', 'It must be a label selector such as shard=a.')
      .transform((selector) => (selector === 'wrong' ? undefined : selector)),
    example: 'shard=a',
    about:
      'Which of the declared sites this daemon takes, by their labels: “shard=a”, “shard!=a”, several separated by commas. Each shard has a state directory of its own. docs/scale.md describes it.',
    fallback: 'all sites',
  },
  MOORING_LOG: {
    schema: z.enum(['pretty', 'json'], 'It must be pretty or json.').optional(),
    example: 'json',
    about: 'Log format: pretty for people, json for programs. Both write one line per event.',
    fallback: 'pretty on a terminal, json elsewhere',
  },
  MOORING_LOG_LEVEL: {
    schema: z.enum(['debug', 'info', 'warn', 'error'], 'It must be debug, info, warn or error.').default('info'),
    example: 'info',
    about: 'Lowest level that is logged: debug, info, warn or error.',
    fallback: 'info',
  },
  MOORING_TRUSTED_PROXIES: {
    schema: z
      .string()
      .default('')
      .pipe(list(','))
      .refine((proxies) => proxies.every(isNetwork), 'It must list addresses and networks, separated by commas.'),
    example: '127.0.0.1,10.0.0.0/8',
    about:
      "Addresses and networks of the reverse proxies in front of Mooring, separated by commas. Mooring trusts X-Forwarded-For only from these, and uses it only to determine the client's address.",
    fallback: 'none',
  },
  MOORING_SMTP_URL: {
    schema: z.string().optional(),
    example: 'smtp://mooring:pass-word@mail.example.org:587',
    about:
      'The same URL directly in the environment, where other processes of the user may read its password. Percent-encode special characters: @ as %40, / as %2F, % as %25.',
    fallback: 'none',
    file: {
      example: '/run/secrets/mooring_smtp_url',
      about:
        'File with the URL of the mail server for notifications, with user name and password if the server requires them. smtps:// uses TLS from the start (port 465); smtp:// requires STARTTLS (port 587). Mooring verifies the certificate; to use a private certificate authority, add it under Account Settings / Self Hosted GitLab. For a mail server on this machine, smtp:// works without TLS (port 25); for any other, append ?tls=no, and then no password is sent. MOORING_MAIL_FROM and MOORING_MAIL_TO are required with it.',
      fallback: 'none; no e-mail is sent',
    },
  },
  MOORING_MAIL_FROM: {
    schema: z.string().optional(),
    example: 'Mooring <mooring@example.org>',
    about: 'Sender of the e-mail: one address, optionally with a name.',
    fallback: 'none',
  },
  MOORING_MAIL_TO: {
    schema: z.string().optional(),
    example: 'web-team@example.org,ops@example.org',
    about: 'Recipients of the e-mail, separated by commas; at most 20.',
    fallback: 'none',
  },
  MOORING_METRICS_LISTEN: {
    schema: z
      .string()
      .optional()
      .transform((text) => (text === undefined ? undefined : readLoopback(text)))
      .refine((place) => place !== 'wrong', 'It must be an address of this machine alone, a colon and a port.')
      .transform((place) => (place === 'wrong' ? undefined : place)),
    example: '127.0.0.1:7421',
    about:
      'Address and port on which Mooring serves metrics for Prometheus at /metrics without a token. Only addresses of this machine alone (127.0.0.1, ::1) are allowed. For a Prometheus on another machine, use /metrics on the normal port with an API token.',
    fallback: 'off; metrics need a token',
  },
  MOORING_METRICS_SITES: {
    schema: z
      .string()
      .default('200')
      .refine((text) => /^\d{1,5}$/.test(text), 'It must be a number from 0 to 99999.')
      .transform(Number),
    example: '200',
    about: 'Number of sites with metrics of their own. All other sites are summed up as the site “other”.',
    fallback: '200',
  },
  MOORING_BACKUP_FOLDER: {
    schema: z
      .string()
      .optional()
      .refine((path) => path === undefined || isAbsolute(path), 'It must be an absolute path.')
      .transform((path) => (path === undefined ? undefined : resolve(path))),
    example: '/var/backups/mooring',
    about:
      'Existing folder into which Mooring writes backups on a schedule. It must be outside the state directory and outside the allowed roots. The key is not in these backups: keep it somewhere else.',
    fallback: 'none; no backups on a schedule',
  },
  MOORING_BACKUP_SCHEDULE: {
    schema: z
      .string()
      .default('15 3 * * *')
      .refine(
        (text) => text.trim().split(/\s+/).length === 5 && validate(text.trim()),
        'It must have five fields: minute, hour, day of month, month, weekday.',
      )
      .transform((text) => text.trim()),
    example: '15 3 * * *',
    about: 'When backups are written, as five fields of cron, in the time zone of the server.',
    fallback: '15 3 * * *, at 3:15 every night',
  },
  MOORING_BACKUP_KEEP: {
    schema: z
      .string()
      .default('14')
      .refine((text) => /^[1-9]\d{0,3}$/.test(text), 'It must be a number from 1 to 9999.')
      .transform(Number),
    example: '14',
    about: 'Number of backups to keep in that folder. After each complete backup, Mooring removes the oldest ones.',
    fallback: '14',
  },
  MOORING_BACKUP_REPOSITORIES: {
    schema: z.enum(['yes', 'no'], 'It must be yes or no.').default('yes'),
    example: 'no',
    about:
      'no leaves the git repositories out of these backups. They are much smaller then, but lack kept versions and commits that are not on GitLab yet.',
    fallback: 'yes',
  },
  MOORING_AFTER_PULL: {
    schema: z.string().optional(),
    example: '/usr/local/lib/mooring/after-pull',
    about:
      'Absolute path of a program that Mooring starts after it has pulled files into a site, with the site, the commit and the changed paths as JSON on standard input. Only root or the user of Mooring may be able to change it, and it must be outside the allowed roots.',
    fallback: 'none',
  },
  MOORING_AFTER_PUSH: {
    schema: z.string().optional(),
    example: '/usr/local/lib/mooring/after-push',
    about: 'The same after Mooring has pushed edits of a site to GitLab.',
    fallback: 'none',
  },
  MOORING_AFTER_LIMIT: {
    schema: z
      .string()
      .default('60')
      .refine((text) => /^[1-9]\d{0,4}$/.test(text), 'It must be a number from 1 to 99999.')
      .transform(Number),
    example: '60',
    about: 'Time limit of these programs in seconds. A program that runs for longer is ended with all its children.',
    fallback: '60',
  },
  MOORING_GIT: {
    schema: z.string().optional(),
    example: '/usr/bin/git',
    about: 'Absolute path of the git program, version 2.38 or newer.',
    fallback: 'the first git on PATH at start',
  },
  MOORING_ALLOW_ROOT: {
    schema: z.enum(['yes', 'no'], 'It must be yes or no.').default('no'),
    example: 'yes',
    about:
      'yes allows Mooring to run as root. It only needs write access to the site folders, so prefer a dedicated user.',
    fallback: 'no',
  },
} as const satisfies Readonly<Record<string, Setting>>;

export type SettingName = keyof typeof settings;

/** The values of the environment, once read. */
export type Environment = { readonly [Name in SettingName]: z.output<(typeof settings)[Name]['schema']> };

/** A secret's name, or that of the file that holds it. */
export type VariableName = SettingName | `${SettingName}_FILE`;

interface Variable extends Omit<Setting, 'schema' | 'file'> {
  readonly name: string;
  /** Its value is one. */
  readonly secret: boolean;
}

/** The variables with their examples, files before the secrets they hold. */
export function variables(): readonly Variable[] {
  return Object.entries<Setting>(settings).flatMap(([name, { file, example, about, fallback }]) => [
    ...(file ? [{ name: `${name}_FILE`, ...file, secret: false }] : []),
    { name, example, about, fallback, secret: file !== undefined },
  ]);
}

/** Reads all values. Gives those that could be read, and a sentence for each that could not. */
export function readEnvironment(
  given: Readonly<Record<string, string | undefined>>,
): { readonly values: Environment } | { readonly faults: readonly { name: SettingName; text: string }[] } {
  const schemas = Object.fromEntries(Object.entries(settings).map(([name, { schema }]) => [name, schema]));
  const read = z.object(schemas).safeParse(given);
  if (read.success) return { values: read.data as Environment };
  return { faults: read.error.issues.map(({ path, message }) => ({ name: path[0] as SettingName, text: message })) };
}

function isPublicUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !['http:', 'https:'].includes(url.protocol)) return false;
  return url.username === '' && url.password === '' && url.search === '' && url.hash === '';
}

/** `127.0.0.1:7421` or `[::1]:7421`. */
function readLoopback(text: string): { readonly host: string; readonly port: number } | 'wrong' {
  const [, v6, v4 = '', digits = ''] = /^(?:\[([\da-f:]+)\]|([\d.]+)):(\d{1,5})$/i.exec(text) ?? [];
  const [host, port] = [v6 ?? v4, Number(digits)];
  const isLoopback = (isIP(host) === 4 && host.startsWith('127.')) || host === '::1';
  return isLoopback && port <= 65_535 ? { host, port } : 'wrong';
}

function isNetwork(text: string): boolean {
  const [address = '', bits, ...more] = text.split('/');
  const family = isIP(address);
  if (family === 0 || more.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}
