import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem, type ProblemCode } from '../../src/model/problem.ts';
import type { HoldChoice, HoldCode } from '../../src/model/site.ts';
import type { Change, Entry, Oid, SitePath } from '../../src/model/tree.ts';
import { heldStep, isAnswered, problemHold, refusedHold, stepId } from '../../src/sync/hold.ts';
import type { Outcome, RunDeps } from '../../src/sync/notes.ts';
import type { Divergence } from '../../src/sync/reconcile.ts';

const holding = suite('sync/hold');

const oid = (digit: string): Oid => digit.repeat(40) as Oid;
const entry = (digit: string): Entry => ({ mode: '100644', oid: oid(digit) });
const nothing = { total: 0, tally: { added: 0, changed: 0, removed: 0 }, samples: [] };
const deps = { now: () => 77 } as RunDeps;
const standing: Divergence = { local: oid('1'), remote: oid('2'), relation: 'ahead', history: 'continued' };

holding('a held step shows each path with its mark, the counts, and what can be chosen', () => {
  const changes: Change[] = [
    { path: 'new' as SitePath, after: entry('1') },
    { path: 'edited' as SitePath, before: entry('1'), after: entry('2') },
    { path: 'gone' as SitePath, before: entry('1') },
    { path: 'gone too' as SitePath, before: entry('2') },
  ];
  assert.equal(heldStep(deps, 'branch-lost-files', 'a:b', changes, 40, ['put-back', 'go-on']), {
    code: 'branch-lost-files',
    at: 77,
    step: 'a:b',
    total: 40,
    tally: { added: 1, changed: 1, removed: 2 },
    samples: [
      { path: 'new', mark: '+' },
      { path: 'edited', mark: '~' },
      { path: 'gone', mark: '-' },
      { path: 'gone too', mark: '-' },
    ],
    choices: ['put-back', 'go-on'],
  });
});

holding('a held step without changes counts nothing', () => {
  assert.equal(heldStep(deps, 'branch-missing', 'a:absent', [], 0, ['try-again']), {
    ...{ code: 'branch-missing', at: 77, step: 'a:absent', choices: ['try-again'] },
    ...nothing,
  });
});

holding('a step is named by the snapshot and the tip it is between', () => {
  assert.is(stepId(standing), `${oid('1')}:${oid('2')}`);
  assert.is(stepId({ ...standing, remote: 'absent' }), `${oid('1')}:absent`);
});

holding('another tip, another snapshot, or the two swapped is another step', () => {
  const others: Divergence[] = [
    { ...standing, remote: oid('3') },
    { ...standing, local: oid('3') },
    { ...standing, local: oid('2'), remote: oid('1') },
  ];
  const ids = [standing, ...others].map(stepId);
  assert.is(new Set(ids).size, 4);
});

holding('the same snapshot and tip are the same step, however they came about', () => {
  assert.is(stepId({ ...standing, known: oid('4'), relation: 'diverged', history: 'rewritten' }), stepId(standing));
});

holding('a refused push can be tried again and says what GitLab said', () => {
  const outcome = { before: oid('1'), refused: { commit: oid('2'), text: 'no binaries here' } } as Outcome;
  assert.equal(refusedHold(outcome, 5), {
    ...{ code: 'push-refused', at: 5, step: `refused:${oid('2')}`, choices: ['try-again'] },
    ...nothing,
    text: 'no binaries here',
  });
});

holding('a refused push without a word, onto a branch never seen, has no text', () => {
  const bare = { ...{ code: 'push-refused', at: 5, choices: ['try-again'] }, ...nothing };
  const step = `refused:${oid('2')}`;
  assert.equal(refusedHold({ refused: { commit: oid('2'), text: '' } } as Outcome, 5), { ...bare, step });
  assert.equal(refusedHold({} as Outcome, 5), { ...bare, step: '' });
});

const questions: readonly (readonly [ProblemCode, HoldCode, readonly HoldChoice[]])[] = [
  ['folder-missing', 'root-missing', ['try-again']],
  ['folder-link', 'root-missing', ['try-again']],
  ['folder-not-folder', 'root-missing', ['try-again']],
  ['folder-emptied', 'root-emptied', ['try-again', 'put-back', 'go-on']],
  ['folder-changed', 'root-changed', ['adopt', 'try-again']],
  ['folder-restored', 'restored', ['adopt', 'try-again']],
  ['grant-lost', 'reconnect', []],
  ['user-blocked', 'reconnect', ['try-again']],
  ['project-missing', 'project-missing', ['try-again']],
  ['project-archived', 'project-archived', ['try-again']],
  ['project-other', 'project-other', ['try-again', 'adopt']],
  ['project-not-yours', 'no-access', ['try-again']],
  ['push-not-allowed', 'no-access', ['try-again']],
  ['scope-too-small', 'no-access', ['try-again']],
  ['application-unknown', 'application-unknown', ['try-again']],
  // Near misses: what only sounds like one of the above.
  ['folder-unreadable', 'stopped', ['try-again']],
  ['branch-missing', 'stopped', ['try-again']],
  ['tls-untrusted', 'stopped', ['try-again']],
  ['git-damaged', 'stopped', ['try-again']],
  ['unexpected', 'stopped', ['try-again']],
];

holding('a question about another project says when that one was created', () => {
  assert.is(problemHold(new Problem('project-other', { created: '2026-01-02' }), 9).created, '2026-01-02');
  assert.is('created' in problemHold(new Problem('project-other'), 9), false);
});

holding('an answer counts for the question that was shown, and for no other', () => {
  const hold = heldStep(deps, 'branch-missing', 'a:b', [], 0, ['put-back']);
  assert.is(isAnswered({ answer: { hold, choice: 'put-back' } }, 'a:b'), true);
  assert.is(isAnswered({ answer: { hold, choice: 'put-back' } }, 'a:c'), false);
  assert.is(isAnswered({}, 'a:b'), false);
});

for (const [code, hold, choices] of questions) {
  const offered = choices.length === 0 ? 'nothing' : choices.join(', ');
  holding(`${code} becomes the question ${hold}, with ${offered} to choose`, () => {
    assert.equal(problemHold(new Problem(code), 9), { code: hold, at: 9, step: `${code}:`, ...nothing, choices });
  });
}

holding('a token that a person entered can be tried again, a lost connection cannot', () => {
  const choicesOf = (facts: Record<string, string>): readonly HoldChoice[] =>
    problemHold(new Problem('grant-lost', facts), 9).choices;
  assert.equal(choicesOf({ reason: 'entered' }), ['try-again']);
  assert.equal(choicesOf({ reason: 'revoked' }), []);
  assert.equal(choicesOf({}), []);
});

holding('the reason decides only about a lost connection', () => {
  assert.equal(problemHold(new Problem('user-blocked', { reason: 'revoked' }), 9).choices, ['try-again']);
});

const steps: readonly (readonly [name: string, facts: Record<string, string>, step: string])[] = [
  ['a question about a folder is about that very folder', { folder: '/srv/a' }, 'project-other:/srv/a'],
  ['a question about another project is about that very project', { created: '2026' }, 'project-other:2026'],
  ['a folder names a question before a project does', { folder: '/srv/a', created: '2026' }, 'project-other:/srv/a'],
  ['other facts do not name a question', { text: 'no', project: 'g/p' }, 'project-other:'],
];

for (const [name, facts, step] of steps)
  holding(name, () => assert.is(problemHold(new Problem('project-other', facts), 9).step, step));

holding('GitLab’s words are part of the question where it said any', () => {
  assert.is(problemHold(new Problem('push-not-allowed', { text: 'You may not' }), 9).text, 'You may not');
  assert.not.ok('text' in problemHold(new Problem('push-not-allowed', { text: '' }), 9));
  assert.not.ok('text' in problemHold(new Problem('push-not-allowed'), 9));
});

holding.run();
