import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../src/model/problem.ts';
import { backOff, createBreaker } from '../../src/net/breaker.ts';
import { handClock, realRandom } from './support.ts';

const breaker = suite('net/breaker');
const down = new Problem('gitlab-unreachable', { host: 'gitlab.example' });

const isOpen = (subject: { check(): void }): boolean => {
  try {
    subject.check();
    return false;
  } catch {
    return true;
  }
};

breaker('opens after several failures in a row, for a while, and closes with the first success', () => {
  const clock = handClock();
  const subject = createBreaker({ clock, random: { ...realRandom, fraction: () => 0.999 } });
  for (let i = 0; i < 4; i += 1) subject.failed(down);
  assert.not(isOpen(subject));
  subject.failed(down);
  assert.ok(isOpen(subject));
  clock.pass(1_000);
  assert.not(isOpen(subject));
  subject.failed(down);
  clock.pass(1_000);
  assert.ok(isOpen(subject));
  clock.pass(1_000);
  subject.succeeded(clock.monotonic());
  subject.failed(down);
  assert.not(isOpen(subject));
});

breaker('after its time one is let through, and the others when that one came back', () => {
  const clock = handClock();
  const subject = createBreaker({ clock, random: { ...realRandom, fraction: () => 0.999 } });
  for (let i = 0; i < 5; i += 1) subject.failed(down);
  clock.pass(1_000);
  const through = (): number => Array.from({ length: 20 }, () => isOpen(subject)).filter((open) => !open).length;
  assert.is(through(), 1);
  clock.pass(4_000);
  assert.is(through(), 0);
  clock.pass(1_000);
  assert.is(through(), 1, 'the first never came back');
  // It was refused, and so GitLab is there: one after the other.
  subject.failed(new Problem('grant-lost'));
  assert.is(through(), 1);
  subject.succeeded(clock.monotonic());
  assert.is(through(), 20);
});

breaker('what GitLab asked for is shortened by nothing, neither by an older answer nor by a later one', () => {
  const clock = handClock();
  const subject = createBreaker({ clock, random: realRandom });
  const begun = clock.monotonic();
  clock.pass(10);
  subject.failed(new Problem('gitlab-busy', {}, { retryAfterMs: 600_000 }));
  subject.succeeded(begun);
  assert.ok(isOpen(subject));
  subject.failed(new Problem('gitlab-busy', {}, { retryAfterMs: 1_000 }));
  clock.pass(10_000);
  // Somebody tried all the same, and was answered.
  subject.succeeded(clock.monotonic());
  assert.ok(isOpen(subject));
  clock.pass(590_000);
  assert.not(isOpen(subject));
  subject.succeeded(clock.monotonic());
  assert.not(isOpen(subject));
});

for (const code of ['gitlab-unreachable', 'gitlab-slow', 'gitlab-busy', 'gitlab-error'] as const)
  breaker(`${code} opens it`, () => {
    const subject = createBreaker({ clock: handClock(), random: { ...realRandom, fraction: () => 0.999 } });
    for (let i = 0; i < 5; i += 1) subject.failed(new Problem(code));
    assert.ok(isOpen(subject));
  });

breaker('a refusal of one user or project is no reason to leave the instance alone', () => {
  const subject = createBreaker({ clock: handClock(), random: realRandom });
  const codes = [
    'grant-lost',
    'project-missing',
    'scope-too-small',
    'gitlab-answer-odd',
    'gitlab-maintenance',
  ] as const;
  for (const code of codes) for (let i = 0; i < 10; i += 1) subject.failed(new Problem(code));
  assert.not(isOpen(subject));
});

breaker('back-off doubles up to its cap, with full jitter', () => {
  const most = { ...realRandom, fraction: () => 0.9999 };
  assert.equal(
    [0, 1, 2, 3, 10].map((n) => Math.ceil(backOff(n, most) / 1_000)),
    [1, 2, 4, 8, 30],
  );
  assert.is(backOff(5, { ...realRandom, fraction: () => 0 }), 100);
});

breaker.run();
