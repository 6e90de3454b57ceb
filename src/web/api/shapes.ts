import { z } from 'zod';
import { apiScopes } from '../../model/account.ts';

/** Shapes of answers. `meta({ id })` names those that the document refers to. */

export const moment = z.iso.datetime().describe('RFC 3339, in UTC.');
export const momentOrNull = moment.nullable();

const tally = z.strictObject({ added: z.int(), changed: z.int(), removed: z.int() });

const said = { code: z.string(), title: z.string(), happened: z.string(), untouched: z.string(), todo: z.string() };

export const problem = z
  .strictObject(said)
  .meta({ id: 'Problem', description: 'What happened, what was not touched, what to do.' });

export const errorAnswer = z
  .strictObject({
    error: z.strictObject({
      ...said,
      fields: z.record(z.string(), z.string()).optional().describe('What is wrong, by member of the request.'),
      help: z.string().describe('Where the documentation explains the problem, for people who are signed in.'),
    }),
  })
  .meta({ id: 'Error' });

const declared = z
  .strictObject({ file: z.string(), line: z.int() })
  .nullable()
  .describe('Where a file declares it: it can only be changed there.');

const moved = z.strictObject({ at: moment, files: z.int(), commit: z.string(), subject: z.string() }).nullable();

export const site = z
  .strictObject({
    id: z.string(),
    name: z.string(),
    folder: z.string(),
    paused: z.boolean(),
    repository: z.strictObject({ id: z.int(), path: z.string(), branch: z.string() }).nullable(),
    connection: z.string().nullable().describe('The connection whose access the site uses.'),
    state: z.enum(['in-sync', 'syncing', 'waiting', 'retrying', 'hold', 'paused', 'off', 'unknown']),
    stateText: z.string(),
    since: moment,
    checkedAt: momentOrNull,
    lastPull: moved,
    lastPush: moved,
    waiting: z.strictObject({ toPull: z.int(), toPush: z.int() }),
    nextTryAt: momentOrNull,
    conflicts: z.int(),
    notSynced: z.int(),
    hold: z.strictObject({ code: z.string(), since: moment }).nullable(),
    problem: problem.nullable(),
    declared,
  })
  .meta({ id: 'Site' });

const run = {
  id: z.string(),
  at: moment,
  durationMs: z.number(),
  triggers: z.array(z.string()),
  result: z.string(),
  pulled: tally,
  pushed: tally,
  before: z.string().nullable(),
  after: z.string().nullable(),
  conflicts: z.array(z.string()),
  problem: problem.nullable(),
};
export const runShort = z.strictObject(run).meta({ id: 'Run' });

const mark = z.enum(['+', '~', '-']).describe('Added, changed, removed.');
export const runWhole = z
  .strictObject({
    ...run,
    subject: z.string().nullable(),
    by: z.string().nullable(),
    hold: z.string().nullable(),
    files: z
      .array(z.strictObject({ mark, path: z.string(), to: z.enum(['site', 'gitlab']) }))
      .describe('The first two hundred paths that moved.'),
    letGo: z.array(z.strictObject({ id: z.string(), path: z.string() })),
    output: z.string().describe('What git and GitLab said.'),
    after: z
      .array(
        z.strictObject({
          hook: z.enum(['after-pull', 'after-push']),
          at: moment,
          durationMs: z.number(),
          result: z.enum(['done', 'failed', 'timed-out', 'not-started']),
          text: z.string(),
          output: z.string(),
        }),
      )
      .describe('Programs that were started after the run.'),
  })
  .meta({ id: 'RunDetails' });

export const auditEntry = z
  .strictObject({
    id: z.string(),
    at: moment,
    by: z.string(),
    act: z.string(),
    site: z.string().nullable(),
    detail: z.string(),
  })
  .meta({ id: 'AuditEntry' });

const advanced = {
  authorizeUrl: z.string(),
  tokenUrl: z.string(),
  apiUrl: z.string(),
  scopes: z.enum(['api', 'read_api write_repository']),
  ca: z.string().describe('PEM of the certificate authority, or empty.'),
  clientCertificate: z.string().describe('PEM, or empty. Its key is never answered.'),
  proxy: z.string().describe('Without its password.'),
  noProxy: z.array(z.string()),
  reachableAt: z.string().describe('The address by which GitLab reaches Mooring; empty: the public one.'),
  minAccessLevel: z.int(),
};

export const instance = z
  .strictObject({
    url: z.string(),
    applicationId: z.string(),
    hasSecret: z.boolean(),
    ...advanced,
    headers: z.array(z.string()).describe('Names only: a value may be a secret.'),
    configuredAt: moment,
  })
  .nullable();

export const instanceAnswer = z
  .strictObject({
    instance,
    redirectUri: z.string(),
    systemHook: z.strictObject({ url: z.string(), isSet: z.boolean() }),
    declared,
  })
  .meta({ id: 'Instance' });

const text = (max: number) => z.string().max(max);

export const instanceChange = z
  .strictObject({
    url: text(500),
    asTyped: z.boolean().describe('Use the URL as it is, although it looks like a repository’s.'),
    applicationId: text(500),
    secret: text(500).describe('Absent: the stored one stays, while the GitLab URL does.'),
    authorizeUrl: text(500),
    tokenUrl: text(500),
    apiUrl: text(500),
    scopes: advanced.scopes,
    ca: text(200_000),
    clientCertificate: text(200_000),
    clientKey: text(50_000),
    proxy: text(500),
    noProxy: z.array(text(500)).max(500),
    headers: z.record(z.string(), text(2_000)).describe('All of them: those that are absent are removed.'),
    reachableAt: text(500),
    minAccessLevel: z.int(),
  })
  .partial()
  .meta({ id: 'InstanceChange' });

export const checkResult = z.strictObject({
  name: z.string(),
  result: z.enum(['good', 'bad', 'unknown']),
  finding: z.string(),
  fix: z.string().nullable(),
});

export const connection = z
  .strictObject({
    id: z.string(),
    username: z.string(),
    name: z.string(),
    email: z.string(),
    kind: z.enum(['oauth', 'access-token']),
    health: z.enum(['good', 'reconnect']),
    expiresAt: momentOrNull,
    owner: z.string().nullable().describe('The account that made it; null: it was removed.'),
    sites: z.array(z.string()),
  })
  .meta({ id: 'Connection' });

export const handOverRow = z.strictObject({
  site: z.string(),
  repository: z.string(),
  branch: z.string(),
  problem: problem.nullable(),
});

export const repository = z
  .strictObject({
    id: z.int(),
    path: z.string(),
    webUrl: z.string(),
    defaultBranch: z.string().nullable(),
    empty: z.boolean(),
    disabled: z.string().nullable().describe('Why it cannot be chosen.'),
  })
  .meta({ id: 'Repository' });

export const branch = z.strictObject({
  name: z.string(),
  head: z.string(),
  default: z.boolean(),
  protected: z.boolean(),
  canPush: z.boolean(),
});

export const connectRequest = z.strictObject({
  repository: z.int().positive(),
  branch: z.string().min(1).max(300),
  direction: z.enum(['replace', 'start-from-folder']).default('replace'),
  subfolder: z.string().max(500).optional(),
  connection: z.string().max(100).optional().describe('One of your own; absent: the one you authorised.'),
});

export const plan = z
  .strictObject({
    id: z.string().describe('Send it as `plan` to connect: consent to exactly this.'),
    connection: z.strictObject({ id: z.string(), username: z.string() }).describe('Whose access is used.'),
    repository: z.int(),
    branch: z.string(),
    direction: z.enum(['replace', 'start-from-folder']),
    tip: z.string().nullable(),
    replaced: z.int(),
    added: z.int(),
    removed: z.int(),
    same: z.int(),
    ignored: z.int(),
    samples: z.array(z.strictObject({ mark, path: z.string(), bytes: z.number() })),
    secrets: z.array(z.string()),
    untouched: z.int(),
    refused: z.array(z.string()),
    obstacles: z.array(z.strictObject({ kind: z.string(), certain: z.boolean() })),
  })
  .meta({ id: 'Plan' });

export const conflict = z
  .strictObject({
    id: z.string(),
    at: moment,
    path: z.string(),
    kind: z.string(),
    live: z.enum(['repository', 'site', 'both']).describe('Whose version is in use.'),
    hasRepository: z.boolean(),
    hasSite: z.boolean(),
    resolved: z.strictObject({ at: moment, by: z.string(), use: z.enum(['repository', 'site']) }).nullable(),
  })
  .meta({ id: 'Conflict' });

export const keptVersion = z
  .strictObject({
    id: z.string(),
    at: moment,
    until: moment,
    cause: z.string(),
    files: z.int(),
    bytes: z.number(),
  })
  .meta({ id: 'KeptVersion' });

export const keptFile = z.strictObject({
  id: z.string().describe('Names the file in this version; paths need not be text.'),
  path: z.string(),
  bytes: z.number(),
});

const choice = z.enum(['put-back', 'go-on', 'adopt', 'try-again', 'leave-out']);

export const hold = z
  .strictObject({
    code: z.string(),
    since: moment,
    step: z.string().describe('Names exactly what is asked; send it with the answer.'),
    title: z.string(),
    reason: z.string(),
    choices: z.array(z.strictObject({ choice, title: z.string(), body: z.string() })),
    total: z.int(),
    tally,
    samples: z.array(z.strictObject({ mark, path: z.string() })),
  })
  .meta({ id: 'Hold' });

export const holdAnswer = z.strictObject({ step: z.string().min(1).max(500), choice });

const id = z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/);

export const token = z
  .strictObject({
    id: z.string(),
    name: z.string(),
    account: z.string().nullable(),
    scopes: z.array(z.enum(apiScopes)),
    sites: z.array(z.string()).nullable().describe('Null: all sites that its account sees.'),
    createdAt: moment,
    expiresAt: momentOrNull,
    usedAt: momentOrNull,
  })
  .meta({ id: 'Token' });

export const tokenRequest = z.strictObject({
  name: z.string().trim().min(1).max(64),
  scopes: z.array(z.enum(apiScopes)).min(1).max(apiScopes.length),
  sites: z.array(id).min(1).max(1_000).optional(),
  expiresAt: moment.optional().describe('Absent: never.'),
});

export const reachRequest = z.strictObject({
  role: z.enum(['admin', 'owner', 'viewer']),
  sites: z.array(id).max(1_000).optional().describe('Of an owner or a viewer; absent: all.'),
});

export const accountRequest = reachRequest.extend({ name: z.string().max(64), password: z.string().max(1_000) });

export const account = z
  .strictObject({
    id: z.string(),
    name: z.string(),
    role: z.enum(['admin', 'owner', 'viewer']),
    sites: z.array(z.string()).nullable().describe('Null: all.'),
    createdAt: moment,
    declared,
  })
  .meta({ id: 'Account' });

export { settingsChange, settingsDocument as settings } from '../../model/settings-document.ts';

export const pauseAll = z
  .strictObject({
    pause: z.strictObject({ since: moment, until: momentOrNull, by: z.string().nullable() }).nullable(),
    window: z
      .strictObject({ from: moment, until: moment, every: z.enum(['once', 'day', 'week']) })
      .nullable()
      .describe('The planned maintenance window: its present or next turn.'),
  })
  .meta({ id: 'PauseAll' });

export const attention = z.strictObject({
  kind: z.string(),
  tone: z.enum(['bad', 'warn', 'mute']),
  title: z.string(),
  text: z.string(),
  sites: z.array(z.string()),
});
