import { z } from 'zod';
import type { DiskFacts } from '../model/disk.ts';
import type { BranchName, ConnectionId, ProjectId } from '../model/instance.ts';
import type { Conflict } from '../model/plan.ts';
import type { ProblemCode, ProblemFacts } from '../model/problem.ts';
import type { Binding, Hold, Moved, NotSynced, SiteId, SiteSettings, SiteStatus, Webhook } from '../model/site.ts';
import type { Oid, SitePath } from '../model/tree.ts';

/** The model's words as they stand in JSON. Strict: a member we do not know is damage or a forgotten version step. */

/** Every member present and changeable: the two sides may differ in `readonly` and `?`, in nothing else. */
type Writable<T> = T extends string | number | boolean | undefined
  ? T
  : T extends readonly (infer E)[]
    ? Writable<E>[]
    : { -readonly [K in keyof T]-?: Writable<T[K]> };

type Same<A, B> = [A, B] extends [B, A] ? unknown : 'the schema lacks a value or a member';

/**
 * The schema, once it is known to take every value of the type. `z.ZodType<T>` alone proves only that it gives nothing
 * else: a state that the model gains and the schema lacks would make the store refuse to be written.
 */
export const whole =
  <T>() =>
  <O extends T>(schema: z.ZodType<O> & Same<Writable<T>, Writable<O>>): z.ZodType<T> =>
    schema;

const branded = <T extends string>(): z.ZodType<T> => z.string() as unknown as z.ZodType<T>;

export const siteId = z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/) as unknown as z.ZodType<SiteId>;
export const connectionId = branded<ConnectionId>();
export const projectId = z.int().positive() as unknown as z.ZodType<ProjectId>;
export const branchName = branded<BranchName>();
export const oid = z.string().regex(/^[0-9a-f]{40}([0-9a-f]{24})?$/) as unknown as z.ZodType<Oid>;
export const sitePath = z.string().min(1) as unknown as z.ZodType<SitePath>;
export const tally = z.strictObject({ added: z.number(), changed: z.number(), removed: z.number() });
const side = z.enum(['repository', 'site']);
export const mark = z.enum(['+', '~', '-']);

export const problemFacts = whole<ProblemFacts>()(
  z.strictObject({
    // Not listed here: an old code in a history file must not make it unreadable.
    code: branded<ProblemCode>(),
    facts: z.record(z.string(), z.string()),
    cause: z.string(),
    retryAfterMs: z.number().exactOptional(),
  }),
);

const webhook = whole<Webhook>()(
  z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('none'), reason: z.string(), hookId: z.int().exactOptional() }),
    z.strictObject({ kind: z.literal('blocked'), address: z.string(), hookId: z.int().exactOptional() }),
    z.strictObject({
      kind: z.literal('waiting'),
      hookId: z.int(),
      missedAt: z.number().exactOptional(),
      said: z.string().exactOptional(),
    }),
    z.strictObject({ kind: z.literal('working'), hookId: z.int(), lastDeliveryAt: z.number() }),
    z.strictObject({ kind: z.literal('system'), lastDeliveryAt: z.number(), hookId: z.int().exactOptional() }),
    z.strictObject({ kind: z.literal('disabled'), hookId: z.int(), resting: z.boolean() }),
  ]),
);

export const binding = whole<Binding>()(
  z.strictObject({
    connectionId,
    projectId,
    projectPath: z.string(),
    webUrl: z.string(),
    cloneUrl: z.string(),
    branch: branchName,
    subfolder: sitePath.exactOptional(),
    projectCreatedAt: z.number().exactOptional(),
    defaultBranch: branchName.exactOptional(),
    defaultThen: branchName.exactOptional(),
    connectedAt: z.number(),
    webhook,
    switching: z.strictObject({ branch: branchName, tip: oid }).exactOptional(),
  }),
);

export const settings = whole<SiteSettings>()(
  z.strictObject({
    policy: z.enum(['repository', 'site', 'hold']),
    poll: z.string(),
    rescan: z.string(),
    quietMs: z.number().nonnegative(),
    quietMaxMs: z.number().nonnegative(),
    limits: z.strictObject({
      fileBytes: z.number(),
      files: z.number(),
      siteBytes: z.number(),
      massPaths: z.number(),
      massShare: z.number(),
    }),
    keepDays: z.number(),
    ignore: z.array(z.string()),
    allow: z.array(z.string()),
    builtInRulesOff: z.array(z.string()).exactOptional(),
    skipCi: z.boolean(),
    lfs: z.literal(true).exactOptional(),
    executables: z.literal(true).exactOptional(),
    links: z.literal(true).exactOptional(),
    replacesWithoutCapture: z.literal(true).exactOptional(),
    newEntries: z
      .strictObject({
        owner: z.strictObject({ user: z.string(), group: z.string() }).exactOptional(),
        fileMode: z.int().min(0).max(0o777).exactOptional(),
        folderMode: z.int().min(0).max(0o777).exactOptional(),
      })
      .exactOptional(),
    author: z.strictObject({ name: z.string(), email: z.string() }).exactOptional(),
    subject: z.string().exactOptional(),
  }),
);

export const conflict = whole<Conflict>()(
  z.strictObject({
    id: z.string(),
    at: z.number(),
    path: sitePath,
    kind: z.enum(['content', 'add-add', 'modify-delete', 'file-directory', 'rename', 'binary', 'mode']),
    live: z.enum(['repository', 'site', 'both']),
    base: oid.exactOptional(),
    repository: oid.exactOptional(),
    site: oid.exactOptional(),
    links: z.array(side).exactOptional(),
    resolved: z.strictObject({ at: z.number(), by: z.string(), choice: side }).exactOptional(),
  }),
);

const moved = whole<Moved>()(
  z.strictObject({
    at: z.number(),
    files: z.number(),
    commit: oid,
    subject: z.string(),
    by: z.string().exactOptional(),
  }),
);

const plainReason = z.enum([
  'link',
  'submodule',
  'special',
  'nested-repository',
  'too-many',
  'secret',
  'control-file',
  'bad-name',
  'lfs-pointer',
  'lfs-damaged',
  'ignored-in-the-way',
  'never-quiet',
  'mixed-line-endings',
  'link-outside',
  'open-database',
  'conflict',
  'refused',
  'no-capture',
]);

const notSynced = whole<NotSynced>()(
  z.strictObject({
    path: sitePath,
    reason: z.union([
      z.strictObject({ kind: plainReason }),
      z.strictObject({ kind: z.enum(['unreadable', 'unwritable', 'unremovable']), errno: z.string().exactOptional() }),
      z.strictObject({ kind: z.literal('too-large'), bytes: z.number(), limit: z.number() }),
      z.strictObject({ kind: z.literal('collides'), with: sitePath }),
      z.strictObject({ kind: z.literal('was-ignored'), folder: z.literal(true).exactOptional() }),
      z.strictObject({ kind: z.literal('lfs-missing'), text: z.string().exactOptional() }),
      z.strictObject({ kind: z.literal('owner'), uid: z.int().exactOptional(), gid: z.int().exactOptional() }),
    ]),
  }),
);

export const holdCode = z.enum([
  'folder-lost-files',
  'branch-lost-files',
  'root-missing',
  'root-changed',
  'restored',
  'root-emptied',
  'history-rewritten',
  'went-back',
  'branch-missing',
  'push-refused',
  'reconnect',
  'project-missing',
  'project-archived',
  'project-other',
  'no-access',
  'application-unknown',
  'stopped',
]);

const hold = whole<Hold>()(
  z.strictObject({
    code: holdCode,
    at: z.number(),
    step: z.string(),
    incoming: oid.exactOptional(),
    created: z.string().exactOptional(),
    total: z.number(),
    tally,
    samples: z.array(z.strictObject({ path: sitePath, mark })),
    choices: z.array(z.enum(['put-back', 'go-on', 'adopt', 'try-again', 'leave-out'])),
    text: z.string().exactOptional(),
    back: z
      .strictObject({
        between: z.strictObject({ known: oid, tip: oid }).exactOptional(),
        lost: z.number(),
        newer: z.number(),
        to: z.number().exactOptional(),
      })
      .exactOptional(),
  }),
);

const diskFacts = whole<DiskFacts>()(
  z.strictObject({
    at: z.string(),
    type: z.string(),
    replace: z.enum(['exchange', 'link', 'no-replace', 'rename']),
    create: z.enum(['link', 'no-replace', 'in-place']),
    remove: z.enum(['capture', 'rename']),
    modes: z.boolean(),
    owners: z.boolean(),
    foldsCase: z.boolean(),
    timeStepNs: z.number(),
    staging: z.enum(['outside', 'inside']),
  }),
);

const plainStatus = whole<SiteStatus>()(
  z.strictObject({
    state: z.enum(['in-sync', 'syncing', 'waiting', 'retrying', 'hold', 'paused', 'off', 'unknown']),
    since: z.number(),
    checkedAt: z.number().exactOptional(),
    lastPull: moved.exactOptional(),
    lastPush: moved.exactOptional(),
    lastAttempt: z.strictObject({ at: z.number(), result: z.string() }).exactOptional(),
    waiting: z.strictObject({ toPull: z.number(), toPush: z.number(), oldestUnpushedAt: z.number().exactOptional() }),
    nextTryAt: z.number().exactOptional(),
    problem: problemFacts.exactOptional(),
    hold: hold.exactOptional(),
    notSynced: z.array(notSynced),
    notSyncedCount: z.number(),
    progress: z
      .strictObject({
        act: z.enum(['fetching', 'pulling', 'pushing', 'reading']),
        done: z.number(),
        total: z.number(),
        bytes: z.number().exactOptional(),
        bytesPerSecond: z.number().exactOptional(),
      })
      .exactOptional(),
    conflicts: z.number(),
    disks: z.array(diskFacts).exactOptional(),
    watched: z.boolean(),
    changedElsewhere: z.array(z.string()).exactOptional(),
    scannedEveryMs: z.number().exactOptional(),
  }),
);

/** Older versions stored how files were replaced at a site, and assumed the rest of what its disk can do. */
export const status: z.ZodType<SiteStatus> = z.preprocess((stored) => {
  if (typeof stored !== 'object' || stored === null || !('replaces' in stored)) return stored;
  const { replaces, ...rest } = stored;
  const assumed = { modes: true, owners: true, foldsCase: false, timeStepNs: 1, staging: 'inside' };
  const disk = { at: '', type: '', replace: replaces, create: 'link', remove: 'capture', ...assumed };
  return { ...rest, disks: [disk] };
}, plainStatus);

export const fileMoved = z.strictObject({ mark, path: sitePath, to: z.enum(['site', 'gitlab']) });
