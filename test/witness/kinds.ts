import type { AuditEntry, RunRecord, Trigger } from '../../src/model/event.ts';
import type { BranchName, ConnectionId, ProjectId } from '../../src/model/instance.ts';
import type { Incident, Ledger } from '../../src/model/notice.ts';
import type { Conflict } from '../../src/model/plan.ts';
import { Problem, type ProblemCode } from '../../src/model/problem.ts';
import { remedies } from '../../src/model/remedy.ts';
import {
  type Binding,
  type HoldCode,
  type NotSynced,
  type NotSyncedReason,
  type SiteId,
  type SiteSettings,
  type SiteState,
  type SiteStatus,
  type Webhook,
  defaultSettings,
} from '../../src/model/site.ts';
import { type Oid, pathFromText } from '../../src/model/tree.ts';

/**
 * One of everything that can be stored, for the witness of a release. The records over the unions make the compiler
 * ask for what a later release adds.
 */

const keys = <T extends string>(all: Record<T, true>): readonly T[] => Object.keys(all) as T[];

const results = keys<RunRecord['result']>({
  ...{ pulled: true, pushed: true, merged: true, connected: true, held: true, failed: true, refused: true },
  ...{ recovered: true, restored: true },
});
const triggers = keys<Trigger>({
  ...{ watch: true, poll: true, webhook: true, rescan: true, start: true, person: true, retry: true },
});
const holdCodes = keys<HoldCode>({
  ...{ 'folder-lost-files': true, 'branch-lost-files': true, 'root-missing': true, 'root-changed': true },
  restored: true,
  ...{ 'root-emptied': true, 'history-rewritten': true, 'branch-missing': true, 'push-refused': true },
  'went-back': true,
  ...{ reconnect: true, 'project-missing': true, 'project-archived': true, 'project-other': true },
  ...{ 'no-access': true, 'application-unknown': true, stopped: true },
});
const acts = keys<AuditEntry['act']>({
  ...{ 'set-up': true, 'configured-instance': true, 'connected-gitlab': true, 'added-site': true },
  ...{ 'removed-site': true, connected: true, disconnected: true, paused: true, resumed: true, restored: true },
  ...{ 'asked-for-sync': true, 'paused-all': true, 'resumed-all': true, 'planned-maintenance': true },
  ...{ resolved: true, chose: true, allowed: true, 'repository-moved': true, 'switched-branch': true },
  ...{ 'pushed-elsewhere': true, 'handed-over': true, webhook: true, 'changed-settings': true },
  ...{ 'renamed-site': true, 'added-admin': true, 'removed-admin': true, 'changed-password': true },
  ...{ 'added-account': true, 'changed-account': true, 'removed-account': true, 'removed-connection': true },
  ...{ 'committed-as': true, 'changed-commit-domains': true },
  ...{ 'signed-out-everywhere': true, 'made-api-token': true, 'removed-api-token': true },
  ...{ 'rotated-key': true, applied: true },
});
const states = keys<SiteState>({
  ...{ 'in-sync': true, syncing: true, waiting: true, retrying: true, hold: true, paused: true, off: true },
  unknown: true,
});
const codes = Object.keys(remedies) as ProblemCode[];

const oid = (n: number): Oid => n.toString(16).padStart(40, 'a') as Oid;
const path = pathFromText;

/** A run of each result, with each trigger, each hold and each problem. */
export function everyRun(at: number): readonly RunRecord[] {
  const run = (name: string, more: Partial<RunRecord> & Pick<RunRecord, 'result'>): RunRecord => ({
    ...{ id: `run-${name}`, at, durationMs: 1_234, triggers: ['poll'], before: oid(1), after: oid(2) },
    ...{ pulled: { added: 1, changed: 2, removed: 3 }, pushed: { added: 4, changed: 5, removed: 6 } },
    files: [
      { mark: '+', path: path(`added by ${name}.md`), to: 'site' },
      { mark: '~', path: path(`changed by ${name}.md`), to: 'gitlab' },
      { mark: '-', path: path(`removed by ${name}.md`), to: 'site' },
    ],
    ...{ conflicts: [path(`both changed ${name}.md`)], subject: `subject of ${name}`, by: `author of ${name}` },
    ...{ output: `output of ${name}\n`, ...more },
  });
  return [
    ...results.map((result) => run(`result-${result}`, { result })),
    ...triggers.map((trigger) => run(`trigger-${trigger}`, { result: 'pushed', triggers: [trigger] })),
    ...holdCodes.map((hold) => run(`hold-${hold}`, { result: 'held', hold })),
    ...codes.map((code) => run(`problem-${code}`, { result: 'failed', problem: problemOf(code) })),
  ];
}

/** The problem with every fact that its words ask for. */
function problemOf(code: ProblemCode) {
  const asked = new Set<string>();
  const facts = new Proxy<Record<string, string>>({}, { get: (_, name) => void asked.add(String(name)) });
  const { title, happened, untouched, todo } = remedies[code];
  for (const sentence of [title, happened, untouched, todo]) sentence(facts);
  const stated = Object.fromEntries([...asked].map((name) => [name, `${name} of ${code}`]));
  return new Problem(code, stated, { cause: new Error(`cause of ${code}`), retryAfterMs: 5_000 }).toFacts();
}

export function everyAct(at: number, site: SiteId): readonly AuditEntry[] {
  return acts.map((act, n) => ({
    ...{ id: `act-${act}`, at, by: `${act} by Ana`, act, detail: `detail of ${act}` },
    ...(n % 2 === 0 ? { site } : {}),
  }));
}

const reasons: Record<NotSyncedReason['kind'], NotSyncedReason> = {
  link: { kind: 'link' },
  'link-outside': { kind: 'link-outside' },
  submodule: { kind: 'submodule' },
  special: { kind: 'special' },
  'nested-repository': { kind: 'nested-repository' },
  unreadable: { kind: 'unreadable', errno: 'EIO' },
  unwritable: { kind: 'unwritable', errno: 'EROFS' },
  owner: { kind: 'owner', uid: 33 },
  unremovable: { kind: 'unremovable', errno: 'EBUSY' },
  'too-large': { kind: 'too-large', bytes: 200_000_001, limit: 100_000_001 },
  'too-many': { kind: 'too-many' },
  secret: { kind: 'secret' },
  'control-file': { kind: 'control-file' },
  'bad-name': { kind: 'bad-name' },
  collides: { kind: 'collides', with: path('readme') },
  'lfs-pointer': { kind: 'lfs-pointer' },
  'lfs-missing': { kind: 'lfs-missing', text: 'GitLab does not have it' },
  'lfs-damaged': { kind: 'lfs-damaged' },
  'ignored-in-the-way': { kind: 'ignored-in-the-way' },
  'never-quiet': { kind: 'never-quiet' },
  'mixed-line-endings': { kind: 'mixed-line-endings' },
  'was-ignored': { kind: 'was-ignored' },
  conflict: { kind: 'conflict' },
  refused: { kind: 'refused' },
  'no-capture': { kind: 'no-capture' },
  'open-database': { kind: 'open-database' },
};
const notSynced: readonly NotSynced[] = Object.values(reasons).map((reason) => ({
  path: path(`not synced ${reason.kind}`),
  reason,
}));

/** Every member of a status; which state, hold and progress it is differs from one to the next. */
export function everyStatus(at: number): readonly SiteStatus[] {
  const acts = ['fetching', 'pulling', 'pushing', 'reading'] as const;
  const choices = ['put-back', 'go-on', 'adopt', 'try-again'] as const;
  return states.map((state, n) => ({
    ...{ state, since: at - n, checkedAt: at - 100 - n, conflicts: n },
    lastPull: { at: at - 200 - n, files: 10 + n, commit: oid(10 + n), subject: `pulled ${n}`, by: `puller ${n}` },
    lastPush: { at: at - 300 - n, files: 20 + n, commit: oid(20 + n), subject: `pushed ${n}`, by: `pusher ${n}` },
    lastAttempt: { at: at - 400 - n, result: `result ${n}` },
    waiting: { toPull: 30 + n, toPush: 40 + n, oldestUnpushedAt: at - 500 - n },
    nextTryAt: at + 600 + n,
    problem: problemOf(codes[n] as ProblemCode),
    hold: {
      ...{ code: holdCodes[n] as HoldCode, at: at - 700 - n, step: `step ${n}`, total: 50 + n, choices },
      tally: { added: 60 + n, changed: 70 + n, removed: 80 + n },
      samples: [{ path: path(`sample ${n}`), mark: '-' as const }],
      text: `what GitLab said ${n}`,
      back: { lost: 490 + n, newer: 590 + n, to: at - 800 - n },
    },
    ...{ notSynced, notSyncedCount: notSynced.length },
    progress: { act: acts[n % 4] as 'reading', done: 90 + n, total: 190 + n, bytes: 290 + n, bytesPerSecond: 390 + n },
    ...{ disks: disksOf(n), watched: n % 2 === 0 },
  }));
}

function disksOf(n: number): NonNullable<SiteStatus['disks']> {
  const replaces = ['exchange', 'link', 'no-replace', 'rename'] as const;
  const creates = ['link', 'no-replace', 'in-place'] as const;
  return [
    {
      ...{ at: `mount ${n}`, type: `type ${n}`, replace: replaces[n % 4] as 'link', create: creates[n % 3] as 'link' },
      ...{ remove: n % 2 === 0 ? 'capture' : 'rename', staging: n % 2 === 0 ? 'outside' : 'inside' },
      ...{ modes: n % 2 === 0, owners: n % 3 === 0, foldsCase: n % 5 === 0, timeStepNs: 790 + n },
    },
  ];
}

export function everyConflict(at: number): readonly Conflict[] {
  const kinds = keys<Conflict['kind']>({
    ...{ content: true, 'add-add': true, 'modify-delete': true, 'file-directory': true, rename: true },
    ...{ binary: true, mode: true },
  });
  const lives = ['repository', 'site', 'both'] as const;
  return kinds.map((kind, n) => ({
    ...{ id: `conflict-${kind}`, at: at - n, path: path(`conflict ${kind}`), kind, live: lives[n % 3] as 'site' },
    ...{ base: oid(100 + n), repository: oid(200 + n), site: oid(300 + n) },
    resolved: { at: at + n, by: `chooser ${n}`, choice: n % 2 === 0 ? ('repository' as const) : ('site' as const) },
  }));
}

/** A connection to nowhere with each kind of webhook and every member that may be absent. */
export function everyBinding(at: number, connectionId: ConnectionId, url: string): readonly Binding[] {
  const webhooks: Record<Webhook['kind'], Webhook> = {
    none: { kind: 'none', reason: 'no right', hookId: 901 },
    blocked: { kind: 'blocked', address: 'http://10.0.0.9', hookId: 902 },
    waiting: { kind: 'waiting', hookId: 903, missedAt: at - 1, said: 'said by GitLab' },
    working: { kind: 'working', hookId: 904, lastDeliveryAt: at - 2 },
    system: { kind: 'system', lastDeliveryAt: at - 3, hookId: 905 },
    disabled: { kind: 'disabled', hookId: 906, resting: true },
  };
  return Object.values(webhooks).map((webhook, n) => ({
    ...{ connectionId, projectId: (5_000 + n) as ProjectId, projectPath: `paused/site-${n}` },
    ...{ webUrl: `${url}/paused/site-${n}`, cloneUrl: `${url}/paused/site-${n}.git`, branch: `b-${n}` as BranchName },
    ...{ subfolder: path(`sub-${n}`), projectCreatedAt: at - 1_000 - n, defaultBranch: `d-${n}` as BranchName },
    ...{ defaultThen: `then-${n}` as BranchName, connectedAt: at - 2_000 - n, webhook },
    switching: { branch: `s-${n}` as BranchName, tip: oid(400 + n) },
  }));
}

export const everySetting: SiteSettings = {
  ...{ policy: 'site', poll: '*/7 * * * *', rescan: '3 * * * *', quietMs: 1_001, quietMaxMs: 30_001 },
  limits: { fileBytes: 12_345_678, files: 123_456, siteBytes: 1_234_567_890, massPaths: 21, massShare: 0.31 },
  ...{ keepDays: 91, ignore: ['*.ignored'], allow: ['.env.allowed'], skipCi: true, lfs: true },
  author: { name: 'Fixed Author', email: 'fixed@author.example' },
  subject: 'Site: {summary}',
};

export const plainSettings: SiteSettings = defaultSettings;

export function everyIncident(at: number, sites: readonly SiteId[]): Ledger {
  const kinds = keys<Incident['kind']>({ hold: true, retrying: true, reconnect: true, token: true, task: true });
  const failure = { first: at - 10, at: at - 5, times: 3, happened: 'The room is closed.', todo: 'Open the room.' };
  return {
    incidents: kinds.map((kind, n) => ({
      ...{ key: `incident-${kind}`, kind, at: at - n, sites },
      words: { title: `title ${n}`, happened: `happened ${n}`, untouched: `untouched ${n}`, todo: `todo ${n}` },
      ...{ told: n % 2 === 0 ? (['mail', 'webhook'] as const) : [], overAt: at + n },
    })),
    channels: {
      mail: { sent: { at: at - 20, subject: 'last mail' }, failure, digestDay: '2026-11-19' },
      webhook: { sent: { at: at - 30, subject: 'last post' }, failure, digestDay: '2026-11-20' },
    },
  };
}
