import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DiskFacts } from '../../src/model/disk.ts';
import type { ProblemFacts } from '../../src/model/problem.ts';
import { type Hold, type Moved, type NotSynced, type SiteStatus, firstStatus } from '../../src/model/site.ts';
import type { Oid, SitePath } from '../../src/model/tree.ts';
import { type StatusFact, nextStatus } from '../../src/sync/status.ts';

const telling = suite('sync/status');

type Ended = StatusFact & { kind: 'ended' };
type Failed = StatusFact & { kind: 'failed' };

const [now, before] = [1_000, 500];
const moved = (at: number): Moved => ({ at, files: 2, commit: 'c'.repeat(40) as Oid, subject: 's' });
const hold = (code: Hold['code']): Hold => ({
  ...{ code, at: 400, step: 'a:b', total: 50, samples: [], choices: ['go-on'] },
  tally: { added: 1, changed: 2, removed: 40 },
});
const problem: ProblemFacts = { code: 'gitlab-unreachable', facts: { reason: 'down' }, cause: '' };
const notSynced = (count: number): NotSynced[] =>
  Array.from({ length: count }, (_, n) => ({ path: `p${n}` as SitePath, reason: { kind: 'link' } }));

const localDisk: DiskFacts = {
  ...{ at: '', type: 'ext4', replace: 'exchange', create: 'link', remove: 'capture' },
  ...{ modes: true, owners: true, foldsCase: false, timeStepNs: 1, staging: 'outside' },
};

/** A status in which every member is set, so that each row shows what stays and what goes. */
const full: SiteStatus = {
  state: 'syncing',
  since: before,
  checkedAt: 300,
  lastPull: moved(200),
  lastPush: moved(201),
  lastAttempt: { at: 300, result: 'nothing' },
  waiting: { toPull: 3, toPush: 4, oldestUnpushedAt: 250 },
  nextTryAt: 2_000,
  problem,
  hold: hold('branch-missing'),
  notSynced: notSynced(1),
  notSyncedCount: 1,
  progress: { act: 'fetching', done: 1, total: 2 },
  conflicts: 5,
  disks: [localDisk],
  watched: true,
};

/** `full` without some members, and with others instead. */
function but(without: readonly (keyof SiteStatus)[], more: Partial<SiteStatus> = {}): SiteStatus {
  const entries = Object.entries(full).filter(([key]) => !without.includes(key as keyof SiteStatus));
  return { ...Object.fromEntries(entries), ...more } as SiteStatus;
}

const ended: Ended = {
  ...{ kind: 'ended', result: 'pulled', unsettled: 0, notSynced: [], conflicts: 0 },
  unpushed: { paths: 0 },
};
const afterEnd: SiteStatus = but(['progress', 'problem', 'hold', 'nextTryAt'], {
  ...{ state: 'in-sync', since: now, checkedAt: now, conflicts: 0, notSynced: [], notSyncedCount: 0 },
  lastAttempt: { at: now, result: 'pulled' },
  waiting: { toPull: 0, toPush: 0 },
});

const failed: Failed = { kind: 'failed', unpushed: { paths: 0 }, problem, nextTryAt: 3_000, asks: false };
const afterFailure: SiteStatus = but(['progress', 'hold'], {
  ...{ state: 'retrying', since: now, problem, nextTryAt: 3_000 },
  lastAttempt: { at: now, result: 'gitlab-unreachable' },
  waiting: { toPull: 3, toPush: 0 },
});

const table: readonly (readonly [name: string, fact: StatusFact, next: SiteStatus, from?: SiteStatus])[] = [
  // A run begins and goes on.
  ['while a run goes on the last known facts stay', { kind: 'started' }, full],
  [
    'a run that starts begins a state of its own',
    { kind: 'started' },
    but([], { since: now }),
    but([], { state: 'hold' }),
  ],
  [
    'progress is the newest, and the run keeps its age',
    { kind: 'progress', progress: { act: 'pushing', done: 7, total: 9 } },
    but([], { progress: { act: 'pushing', done: 7, total: 9 } }),
  ],
  [
    'progress after another state is a run',
    { kind: 'progress', progress: { act: 'pushing', done: 7, total: 9 } },
    but([], { since: now, progress: { act: 'pushing', done: 7, total: 9 } }),
    but([], { state: 'unknown' }),
  ],
  // A run ends.
  ['a run that ends well ends every trouble and is in sync', ended, afterEnd],
  [
    'a site that was in sync and still is keeps the age of that',
    ended,
    { ...afterEnd, since: before },
    but([], { state: 'in-sync' }),
  ],
  ['one edit that still moves waits', { ...ended, unsettled: 1 }, { ...afterEnd, state: 'waiting' }],
  [
    'a question is on hold even if edits still move',
    { ...ended, unsettled: 1, hold: hold('history-rewritten') },
    { ...afterEnd, state: 'hold', hold: hold('history-rewritten') },
  ],
  [
    'what the branch lost waits to be pulled',
    { ...ended, hold: hold('branch-lost-files') },
    {
      ...afterEnd,
      ...{ state: 'hold', hold: hold('branch-lost-files'), waiting: { toPull: 40, toPush: 0 } },
    },
  ],
  [
    'what the folder lost does not wait to be pulled',
    { ...ended, hold: hold('folder-lost-files') },
    { ...afterEnd, state: 'hold', hold: hold('folder-lost-files') },
  ],
  [
    'what is not pushed waits, with its age',
    { ...ended, unpushed: { paths: 3, since: 900 } },
    { ...afterEnd, waiting: { toPull: 0, toPush: 3, oldestUnpushedAt: 900 } },
  ],
  [
    'an age of zero is an age',
    { ...ended, unpushed: { paths: 3, since: 0 } },
    { ...afterEnd, waiting: { toPull: 0, toPush: 3, oldestUnpushedAt: 0 } },
  ],
  ['a pull is the last pull', { ...ended, pull: moved(999) }, { ...afterEnd, lastPull: moved(999) }],
  ['a push is the last push', { ...ended, push: moved(998) }, { ...afterEnd, lastPush: moved(998) }],
  ['conflicts are counted anew', { ...ended, conflicts: 2 }, { ...afterEnd, conflicts: 2 }],
  [
    '100 paths that do not travel are all named',
    { ...ended, notSynced: notSynced(100) },
    { ...afterEnd, notSynced: notSynced(100), notSyncedCount: 100 },
  ],
  [
    'of 101 paths that do not travel the first 100 are named and all are counted',
    { ...ended, notSynced: notSynced(101) },
    { ...afterEnd, notSynced: notSynced(100), notSyncedCount: 101 },
  ],
  // A run fails.
  ['a failure that mends itself is tried again; what was last good stays', failed, afterFailure],
  [
    'a failure that only a person can end is on hold with its question',
    { ...failed, asks: true, hold: hold('root-missing') },
    { ...afterFailure, state: 'hold', hold: hold('root-missing') },
  ],
  [
    'a failure without a question drops the question before it',
    { ...failed, asks: true },
    {
      ...afterFailure,
      state: 'hold',
    },
  ],
  [
    'a second failure keeps the age of the first',
    failed,
    { ...afterFailure, since: before },
    but([], { state: 'retrying' }),
  ],
  [
    'a failure tells what waits to be pushed and leaves what waits to be pulled',
    { ...failed, unpushed: { paths: 6, since: 800 } },
    { ...afterFailure, waiting: { toPull: 3, toPush: 6, oldestUnpushedAt: 800 } },
  ],
  // What people do.
  [
    'a paused site has neither progress nor a next try',
    { kind: 'paused' },
    but(['progress', 'nextTryAt'], { state: 'paused', since: now }),
  ],
  [
    'a site that is paused already keeps the age of that',
    { kind: 'paused' },
    but(['progress', 'nextTryAt'], { state: 'paused' }),
    but([], { state: 'paused' }),
  ],
  [
    'a site that was connected is not known to be in sync yet',
    { kind: 'connected' },
    but(['problem', 'hold', 'progress'], { state: 'unknown', since: now }),
  ],
  [
    'what a connect moved is the last pull and push',
    { kind: 'connected', pull: moved(997), push: moved(996) },
    but(['problem', 'hold', 'progress'], {
      ...{ state: 'unknown', since: now, lastPull: moved(997), lastPush: moved(996) },
    }),
  ],
  [
    'a site that was disconnected forgets all but what its disks can do',
    { kind: 'disconnected' },
    firstStatus(now, 'off', [localDisk]),
  ],
  [
    'a site that was disconnected before anything was known of it is off',
    { kind: 'disconnected' },
    firstStatus(now, 'off'),
    firstStatus(before, 'unknown'),
  ],
  ['answered conflicts change nothing but their count', { kind: 'conflicts', conflicts: 1 }, but([], { conflicts: 1 })],
  ['a watch that ends changes nothing else', { kind: 'watched', watched: false }, but([], { watched: false })],
  ['a watch that begins changes nothing else', { kind: 'watched', watched: true }, full, but([], { watched: false })],
  [
    'R24: a watch on a disk that other machines change says so',
    { kind: 'watched', watched: true, changedElsewhere: ['nfs4'] },
    but([], { changedElsewhere: ['nfs4'] }),
  ],
  ['R24: a site is scanned more often', { kind: 'scanned', everyMs: 30_000 }, but([], { scannedEveryMs: 30_000 })],
  [
    'R24: a site is scanned by its schedule alone again',
    { kind: 'scanned', everyMs: undefined },
    full,
    but([], { scannedEveryMs: 30_000 }),
  ],
  [
    'what was not looked at for long is unknown, and its facts stay',
    { kind: 'stale' },
    but([], { state: 'unknown', since: now }),
  ],
];

for (const [name, fact, next, from = full] of table)
  telling(name, () => assert.equal(nextStatus(from, fact, now), next));

telling('a fact that changes nothing gives back the very same status, so that nobody is told twice', () => {
  assert.is(nextStatus(full, { kind: 'started' }, now), full);
  const unknown = firstStatus(before, 'unknown');
  assert.is(nextStatus(unknown, { kind: 'stale' }, now), unknown);
});

telling('the status before is left as it was', () => {
  const copy = structuredClone(full);
  for (const [, fact] of table) nextStatus(full, fact, now);
  assert.equal(full, copy);
});

telling.run();
