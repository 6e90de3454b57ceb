import { z } from 'zod';
import { labelName, labelValue } from '../model/label-selector.ts';
import { settingsDocument, settingsView } from '../model/settings-document.ts';
import { defaultSettings } from '../model/site.ts';

/**
 * What a declaration may hold. Files are checked with this shape, and `config/declared.schema.json`, with which editors
 * complete and check them, is made from it; a test keeps the two equal. `examples` are shown beside a fault.
 */

const line = (most: number) =>
  z
    .string()
    .min(1)
    .max(most)
    .regex(/^[^\p{Cc}]+$/u, 'It must be one line.');

const file = (what: string, example: string) =>
  line(4_000).meta({
    description: `File with ${what}. A relative path counts from the folder of this file. Only Mooring’s user needs to be able to read it.`,
    examples: [example],
  });

const url = (description: string, example: string) =>
  z
    .string()
    .max(2_000)
    .regex(
      /^https?:\/\/[^\s/@?#]+(\/[^\s?#]*)?$/,
      'It must be a URL with http:// or https://, without a user name, ? or #.',
    )
    .meta({ description, examples: [example] });

const pem = (description: string) =>
  z
    .string()
    .max(100_000)
    .regex(/-----BEGIN CERTIFICATE-----/, 'It must be a certificate in PEM.')
    .meta({ description, examples: ['|\n  -----BEGIN CERTIFICATE-----\n  …'] });

export const accessLevels = { developer: 30, maintainer: 40 } as const;

const instance = z
  .strictObject({
    url: url('GitLab’s address, with its sub-path if it has one.', 'https://gitlab.example.org'),
    applicationId: line(300).meta({
      description: 'Application ID of the OAuth application in GitLab.',
      examples: ['"3f0c9a…"'],
    }),
    secretFile: file('the application’s secret', '/run/secrets/gitlab_application_secret'),
    scopes: z
      .enum(['api', 'read_api write_repository'])
      .default('api')
      .meta({ description: 'What Mooring asks for. Without api, there is no webhook.', examples: ['api'] }),
    authorizeUrl: url(
      'Only if it is not derived from the URL.',
      'https://gitlab.example.org/oauth/authorize',
    ).optional(),
    tokenUrl: url('Only if it is not derived from the URL.', 'https://gitlab.example.org/oauth/token').optional(),
    apiUrl: url('Only if it is not derived from the URL.', 'https://gitlab.example.org/api/v4').optional(),
    ca: pem('Certificate of your own certificate authority, in PEM.').optional(),
    caFile: file('the certificate of your own certificate authority, in PEM', '/etc/ssl/house-ca.pem').optional(),
    clientCertificate: pem('Certificate that Mooring shows to GitLab, in PEM.').optional(),
    clientCertificateFile: file('the certificate that Mooring shows to GitLab', '/etc/mooring/client.pem').optional(),
    clientKeyFile: file('the key of that certificate, without a passphrase', '/run/secrets/client_key').optional(),
    proxy: url('Proxy between Mooring and GitLab.', 'http://proxy.example.org:3128').optional(),
    proxyFile: file('the URL of the proxy, if it contains a password', '/run/secrets/proxy_url').optional(),
    noProxy: z
      .array(line(255))
      .max(100)
      .optional()
      .meta({
        description: 'Names, addresses and networks that are reached without the proxy.',
        examples: ['[10.0.0.0/8]'],
      }),
    headersFile: file('extra request headers, one “Name: value” a line', '/run/secrets/gitlab_headers').optional(),
    reachableAt: url(
      'Address by which GitLab reaches Mooring, if it is not the public one.',
      'http://mooring:7420',
    ).optional(),
    minAccessLevel: z
      .enum(['developer', 'maintainer'])
      .default('developer')
      .meta({ description: 'Role that a repository must give at least.', examples: ['developer'] }),
  })
  .meta({ description: 'The GitLab that all sites use.' });

const name = (description: string, example: string) => line(100).meta({ description, examples: [example] });

const account = z
  .strictObject({
    name: line(64).meta({ description: 'The name to sign in with.', examples: ['Jonas'] }),
    role: z.enum(['admin', 'owner', 'viewer']).meta({
      description: 'admin: everything. owner: the named sites. viewer: sees sites and changes nothing.',
      examples: ['owner'],
    }),
    sites: z
      .array(line(100))
      .min(1)
      .max(5_000)
      .optional()
      .meta({
        description: 'Names of the only sites that the account sees. An owner needs them.',
        examples: ['[Museum]'],
      }),
    passwordFile: file(
      'the first password; it is used once, when the account is created, and people change it themselves',
      '/run/secrets/jonas_password',
    ).optional(),
  })
  .meta({ description: 'An account of Mooring.' });

const connection = z
  .strictObject({
    name: name('How sites in this file refer to it.', 'robot'),
    tokenFile: file('an access token of a project, a group or a person', '/run/secrets/gitlab_token').optional(),
    expires: z
      .string()
      .regex(/^\d{4}-\d{2}-\d{2}$/, 'It must be a day such as 2027-03-31.')
      .optional()
      .meta({
        description: 'The token’s expiry date, for a GitLab that does not tell it.',
        examples: ['"2027-03-31"'],
      }),
    user: line(255)
      .optional()
      .meta({
        description:
          'Without tokenFile: the GitLab user who authorises Mooring in a browser. With it: whose token it is.',
        examples: ['ana'],
      }),
    account: line(64)
      .optional()
      .meta({ description: 'The account that it belongs to. Without it, the first admin.', examples: ['Ana'] }),
  })
  .meta({ description: 'Access to GitLab: by a token in a file, or as a user who authorises Mooring in a browser.' });

const source = z
  .strictObject({
    connection: name('Name of a connection in this file.', 'robot'),
    repository: z
      .string()
      .max(500)
      .regex(/^[^\s/]+(\/[^\s/]+)+$/, 'It must be the whole path, with its groups.')
      .meta({ description: 'Whole path of the repository.', examples: ['web/museum'] }),
    branch: line(255).meta({ description: 'The branch to follow.', examples: ['main'] }),
    subfolder: line(500)
      .optional()
      .meta({
        description: 'The folder of the repository that is the site. Without it, all of it.',
        examples: ['public'],
      }),
    direction: z
      .enum(['replace', 'start-from-folder'])
      .default('replace')
      .meta({
        description:
          'What a first connect does. replace: the folder becomes as the branch is, and its files are kept first. start-from-folder: the branch gets the folder’s files.',
        examples: ['replace'],
      }),
    consent: z
      .string()
      .regex(/^[0-9a-f]{32}$/, 'It must be the ID of a plan that “mooring apply --dry-run” showed.')
      .optional()
      .meta({
        description:
          'The ID of the plan that “mooring apply --dry-run” showed for this site. Counts once, and only for both sides exactly as they were shown. Without it, a person confirms on the site’s page.',
        examples: ['9f86d081884c7d659a2feaa0c55ad015'],
      }),
  })
  .meta({ description: 'The branch that the folder is kept the same as.' });

const { schedule, commits, safety, ignored, files, permissions } = settingsDocument.shape;
const settings = z
  .strictObject({
    ...{ schedule: schedule.partial().optional(), commits: commits.partial().optional() },
    ...{ safety: safety.partial().optional(), ignored: ignored.partial().optional() },
    ...{ files: files.partial().optional(), permissions: permissions.partial().optional() },
  })
  .meta({ description: 'Settings that differ from the defaults, as the HTTP API names them.' });

const site = z
  .strictObject({
    name: name('The name shown in Mooring.', 'Museum'),
    folder: z
      .string()
      .max(4_000)
      .regex(/^\/[^\p{Cc}]+$/u, 'It must be a whole path, beginning with /.')
      .meta({ description: 'Its folder, below one of the roots in MOORING_SITES.', examples: ['/var/www/museum'] }),
    labels: z
      .record(
        z.string().regex(labelName, 'A label’s name has 1 to 63 letters, digits, dots, dashes and underscores.'),
        z.string().regex(labelValue, 'A label’s value has at most 63 letters, digits, dots, dashes and underscores.'),
      )
      .optional()
      .meta({
        description: 'By these, MOORING_SHARD_SELECTOR tells which daemon the site belongs to.',
        examples: ['{ shard: a }'],
      }),
    source: source.optional(),
    settings: settings.optional(),
  })
  .meta({ description: 'A folder on this server. It is recognised by its path: another name renames the site.' });

const notifications = z
  .strictObject({
    webhook: z.strictObject({
      addressFile: file('the address of the webhook', '/run/secrets/chat_webhook'),
      form: z
        .enum(['json', 'slack', 'mattermost'])
        .default('json')
        .meta({ description: 'What is sent.', examples: ['mattermost'] }),
      on: z
        .boolean()
        .default(true)
        .meta({ description: 'Whether it is used.', examples: ['true'] }),
      header: line(64)
        .optional()
        .meta({ description: 'Name of a header that the receiver asks for.', examples: ['Authorization'] }),
      valueFile: file('the value of that header', '/run/secrets/chat_header').optional(),
    }),
  })
  .meta({ description: 'Where Mooring reports problems. E-mail is set up in the environment.' });

export const declarationShape = z
  .strictObject({
    version: z.literal(1).meta({ description: 'Version of this format.', examples: ['1'] }),
    instance: instance.optional(),
    accounts: z.array(account).max(1_000).default([]),
    connections: z.array(connection).max(1_000).default([]),
    sites: z.array(site).max(5_000).default([]),
    notifications: notifications.optional(),
  })
  .meta({
    title: 'Mooring declaration',
    description: 'The set-up of one Mooring. See docs/configuration-as-code.md.',
  });

export type Declaration = z.output<typeof declarationShape>;
export type DeclaredInstance = NonNullable<Declaration['instance']>;
export type DeclaredAccount = Declaration['accounts'][number];
export type DeclaredConnection = Declaration['connections'][number];
export type DeclaredSite = Declaration['sites'][number];
export type DeclaredNotifications = NonNullable<Declaration['notifications']>;

/** For editors; draft 7 is what yaml-language-server knows best. */
export function declarationSchema(): unknown {
  return z.toJSONSchema(declarationShape, { target: 'draft-7', io: 'input' });
}

const defaults = settingsView({ name: '', settings: defaultSettings }) as unknown as Record<
  string,
  Record<string, unknown>
>;

/** A value that would be right at a member, as it is written in YAML; undefined where the shape names none. */
export function exampleAt(path: readonly (string | number)[]): string | undefined {
  const [list, , part, section = '', member = ''] = path;
  if (list === 'sites' && part === 'settings') {
    const value = defaults[section]?.[member];
    return value === undefined ? undefined : `${member}: ${JSON.stringify(value)}`;
  }
  let shape: z.ZodType | undefined = declarationShape;
  for (const step of path) {
    shape = bare(shape);
    if (shape instanceof z.ZodArray) shape = shape.element as z.ZodType;
    else if (shape instanceof z.ZodObject) shape = (shape.shape as Record<string, z.ZodType | undefined>)[step];
    else return undefined;
    if (!shape) return undefined;
  }
  const example = (shape.meta()?.['examples'] ?? bare(shape).meta()?.['examples']) as string[] | undefined;
  const name = path.at(-1);
  return example?.[0] === undefined ? undefined : typeof name === 'string' ? `${name}: ${example[0]}` : example[0];
}

/** The names that an object at this path may have; empty where it is none. */
export function membersAt(path: readonly (string | number)[]): string[] {
  let shape: z.ZodType | undefined = declarationShape;
  for (const step of path) {
    shape = bare(shape);
    if (shape instanceof z.ZodArray) shape = shape.element as z.ZodType;
    else if (shape instanceof z.ZodObject) shape = (shape.shape as Record<string, z.ZodType | undefined>)[step];
    if (!shape) return [];
  }
  const inner = bare(shape);
  return inner instanceof z.ZodObject ? Object.keys(inner.shape) : [];
}

function bare(shape: z.ZodType): z.ZodType {
  let inner: z.ZodType = shape;
  while (inner instanceof z.ZodOptional || inner instanceof z.ZodDefault || inner instanceof z.ZodNullable)
    inner = inner.unwrap() as z.ZodType;
  return inner;
}
