import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Oid } from '../../src/model/tree.ts';
import { type Divergence, type Step, reconcile } from '../../src/sync/reconcile.ts';

const reconciling = suite('sync/reconcile');

const oid = (digit: string): Oid => digit.repeat(40) as Oid;
const [L, R, K, B] = [oid('1'), oid('2'), oid('3'), oid('b')];

/** Both sides moved since they agreed on K: each row says what differs from that. */
const diverged: Divergence = { local: L, remote: R, known: K, relation: 'diverged', history: 'continued' };

const table: readonly (readonly [name: string, standing: Divergence, step: Step])[] = [
  // The branch is not there.
  [
    'a branch that was never seen and is not there is made by the first push',
    { local: L, remote: 'absent', relation: 'ahead', history: 'continued' },
    { kind: 'push', commit: L, expected: null },
  ],
  [
    'a branch that was known and is gone waits for a person and is not made again',
    { ...diverged, remote: 'absent', relation: 'ahead' },
    { kind: 'branch-missing' },
  ],
  [
    'a branch that is gone waits even if the folder has nothing new',
    { ...diverged, local: K, remote: 'absent', relation: 'ahead' },
    { kind: 'branch-missing' },
  ],
  [
    'a branch that is gone waits even if a half-way apply left its own base',
    { ...diverged, remote: 'absent', relation: 'ahead', base: B },
    { kind: 'branch-missing' },
  ],
  // History goes on.
  [
    'the same commit on both sides needs nothing',
    { ...diverged, local: R, relation: 'equal', known: R },
    { kind: 'nothing' },
  ],
  [
    'the same commit on both sides needs nothing though the branch was never seen',
    { local: R, remote: R, relation: 'equal', history: 'continued' },
    { kind: 'nothing' },
  ],
  [
    'a folder that is ahead is pushed, and only onto the tip it was compared with',
    { ...diverged, relation: 'ahead', known: R },
    { kind: 'push', commit: L, expected: R },
  ],
  [
    'the lease is on the tip that was looked at, not on the one last agreed on',
    { ...diverged, relation: 'ahead' },
    { kind: 'push', commit: L, expected: R },
  ],
  [
    'a folder that is behind pulls the tip',
    { ...diverged, local: K, relation: 'behind' },
    { kind: 'pull', target: R, rewritten: false },
  ],
  [
    'two sides that both moved are merged, with both as parents and ours first',
    diverged,
    { kind: 'merge', ours: L, theirs: R, parents: [L, R] },
  ],
  [
    'two sides that have nothing in common wait for a person, with what was agreed before',
    { ...diverged, relation: 'unrelated' },
    { kind: 'rewritten', ours: L, theirs: R, known: K },
  ],
  [
    'two sides that have nothing in common and never agreed wait with the tip as what is known',
    { local: L, remote: R, relation: 'unrelated', history: 'continued' },
    { kind: 'rewritten', ours: L, theirs: R, known: R },
  ],
  // Only its own base tells.
  [
    'with a base of its own the merge starts there and stands on the branch alone',
    { ...diverged, base: B },
    { kind: 'merge', ours: L, theirs: R, base: B, parents: [R] },
  ],
  ...(['equal', 'ahead', 'behind', 'unrelated'] as const).map(
    (relation) =>
      [
        `with a base of its own a folder that history calls ${relation} is merged all the same`,
        { ...diverged, relation, base: B },
        { kind: 'merge', ours: L, theirs: R, base: B, parents: [R] },
      ] as const,
  ),
  // History was rewritten.
  [
    'removed commits are not pushed back where the new tip is an ancestor of the folder’s',
    { ...diverged, relation: 'ahead', history: 'rewritten' },
    { kind: 'rewritten', ours: L, theirs: R, known: K },
  ],
  [
    'a rewritten branch is followed without asking where the folder has nothing of its own',
    { ...diverged, local: K, history: 'rewritten' },
    { kind: 'pull', target: R, rewritten: true },
  ],
  // The branch went back.
  [
    'a branch that went back is not followed even where the folder has nothing of its own',
    { ...diverged, local: K, relation: 'ahead', history: 'back' },
    { kind: 'went-back', theirs: R, known: K },
  ],
  [
    'a branch that went back waits for a person where the folder has work of its own',
    { ...diverged, relation: 'ahead', history: 'back' },
    { kind: 'went-back', theirs: R, known: K },
  ],
  [
    'a branch that went back and has other commits since waits too',
    { ...diverged, local: K, history: 'back' },
    { kind: 'went-back', theirs: R, known: K },
  ],
  [
    'a branch that went back to where the folder stands waits too: what it lost is known here alone',
    { ...diverged, local: R, relation: 'equal', history: 'back' },
    { kind: 'went-back', theirs: R, known: K },
  ],
  [
    'a branch that went back waits even if a half-way apply left its own base',
    { ...diverged, relation: 'ahead', history: 'back', base: B },
    { kind: 'went-back', theirs: R, known: K },
  ],
  [
    'a branch that is not there has not gone back',
    { ...diverged, remote: 'absent', relation: 'ahead', history: 'back' },
    { kind: 'branch-missing' },
  ],
  [
    'a rewritten branch and work in the folder wait for a person',
    { ...diverged, history: 'rewritten' },
    { kind: 'rewritten', ours: L, theirs: R, known: K },
  ],
  [
    'a rewritten branch waits also where the folder counts as behind it',
    { ...diverged, relation: 'behind', history: 'rewritten' },
    { kind: 'rewritten', ours: L, theirs: R, known: K },
  ],
  [
    'a rewritten branch that the folder stands on already needs nothing',
    { ...diverged, local: R, relation: 'equal', history: 'rewritten' },
    { kind: 'nothing' },
  ],
  [
    'a rewritten branch waits even if a half-way apply left its own base',
    { ...diverged, history: 'rewritten', base: B },
    { kind: 'rewritten', ours: L, theirs: R, known: K },
  ],
  [
    'a choice made on the new history is pushed onto it',
    { ...diverged, relation: 'ahead', history: 'rewritten', fresh: true },
    { kind: 'push', commit: L, expected: R },
  ],
  [
    'a choice made on a history that was rewritten again is not pushed',
    { ...diverged, history: 'rewritten', fresh: true },
    { kind: 'rewritten', ours: L, theirs: R, known: K },
  ],
  // Another project's history.
  [
    'a history with nothing in common is not followed even where the folder has nothing of its own',
    { ...diverged, local: K, relation: 'unrelated', history: 'unrelated' },
    { kind: 'rewritten', ours: K, theirs: R, known: K },
  ],
  [
    'a choice made on a history with nothing in common is pushed onto it',
    { ...diverged, relation: 'ahead', history: 'unrelated', fresh: true },
    { kind: 'push', commit: L, expected: R },
  ],
  [
    'a history with nothing in common that the folder stands on already needs nothing',
    { ...diverged, local: R, relation: 'equal', history: 'unrelated' },
    { kind: 'nothing' },
  ],
  [
    'history cannot have been rewritten where nothing was known of it',
    { local: L, remote: R, relation: 'ahead', history: 'rewritten' },
    { kind: 'push', commit: L, expected: R },
  ],
];

for (const [name, standing, step] of table) reconciling(name, () => assert.equal(reconcile(standing), step));

reconciling.run();
