import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Whereabouts, followingRemote } from '../../src/git/following.ts';
import { Problem } from '../../src/model/problem.ts';
import type { Oid } from '../../src/model/tree.ts';
import type { Remote } from '../../src/sync/ports.ts';
import { problemOf } from '../net/support.ts';

const following = suite('asking by number before a push');

/** Whatever was about to be asked has been. */
const asked = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const commit = 'a'.repeat(40) as Oid;

/** A remote and GitLab's answers, which come when they are let through; `said`: everything that happened, in order. */
function world() {
  const said: string[] = [];
  const answers: ((problem?: Problem) => void)[] = [];
  const checkForPush: Whereabouts['checkForPush'] = (maxAgeMs) => {
    said.push(`ask ${maxAgeMs}`);
    if (maxAgeMs > 0) return Promise.resolve({ moved: false });
    return new Promise((resolve, reject) => {
      answers.push((problem) => (problem ? reject(problem) : resolve({ moved: false })));
    });
  };
  const never = (): never => {
    throw new Error('not asked here');
  };
  const inner: Remote = {
    head: never,
    fetch: never,
    async push() {
      said.push('push');
      return { kind: 'done', output: '' };
    },
  };
  const remote = followingRemote(inner, { check: never, checkForPush });
  return { remote, said, answers };
}

following('a push that was expected waits for the answer that is on its way, and asks no second time', async () => {
  const { remote, said, answers } = world();
  const run = new AbortController().signal;
  remote.expectPush?.(run);
  said.push('commit');
  const pushed = remote.push(commit, commit, { skipCi: false }, run);
  await asked();
  assert.equal(said, ['ask 0', 'commit'], 'no byte of it before the answer');
  answers[0]?.();
  await pushed;
  assert.equal(said, ['ask 0', 'commit', 'ask 5000', 'push']);
});

following('an answer counts for its own run and for one push only', async () => {
  const { remote, said, answers } = world();
  const [run, later] = [new AbortController().signal, new AbortController().signal];
  remote.expectPush?.(run);
  answers[0]?.();
  const other = remote.push(commit, commit, { skipCi: false }, later);
  await asked();
  answers[1]?.();
  await other;
  assert.equal(said, ['ask 0', 'ask 0', 'push']);
  remote.expectPush?.(later);
  answers[2]?.();
  await remote.push(commit, commit, { skipCi: false }, later);
  const again = remote.push(commit, commit, { skipCi: false }, later);
  await asked();
  answers[3]?.();
  await again;
  assert.equal(said.slice(3), ['ask 0', 'ask 5000', 'push', 'ask 0', 'push']);
});

following('what keeps the site out is asked about once more, and then nothing is pushed', async () => {
  const said: string[] = [];
  const missing = new Problem('project-missing', {});
  const checkForPush: Whereabouts['checkForPush'] = async (maxAgeMs) => {
    said.push(`ask ${maxAgeMs}`);
    throw missing;
  };
  const never = (): never => {
    throw new Error('not asked here');
  };
  const remote = followingRemote({ head: never, fetch: never, push: never }, { check: never, checkForPush });
  remote.expectPush?.();
  assert.is(await problemOf(remote.push(commit, commit, { skipCi: false })), missing);
  assert.equal(said, ['ask 0', 'ask 5000']);
});

following('the commit that a look saw while the number was asked about needs no second question', async () => {
  const said: string[] = [];
  const check: Whereabouts['check'] = async (maxAgeMs) => (said.push(`ask ${maxAgeMs}`), { moved: false });
  let fetched: Oid = commit;
  const never = (): never => {
    throw new Error('not asked here');
  };
  const inner: Remote = { head: async () => commit, fetch: async () => (said.push('fetch'), fetched), push: never };
  const remote = followingRemote(inner, { check, checkForPush: never });
  const run = new AbortController().signal;
  await remote.head(run, true);
  assert.is(await remote.fetch(run), commit);
  assert.equal(said.splice(0), ['ask 0', 'fetch']);
  // For another commit, in another run, a second time, or after a look that asked nobody, it counts for nothing.
  await remote.head(run, true);
  fetched = 'b'.repeat(40) as Oid;
  await remote.fetch(run);
  assert.equal(said.splice(0), ['ask 0', 'fetch', 'ask 0']);
  fetched = commit;
  await remote.head(run, true);
  await remote.fetch(new AbortController().signal);
  assert.equal(said.splice(0), ['ask 0', 'fetch', 'ask 0']);
  await remote.head(run, true);
  await remote.fetch(run);
  await remote.fetch(run);
  assert.equal(said.splice(0), ['ask 0', 'fetch', 'fetch', 'ask 0']);
  await remote.head(run, false);
  await remote.fetch(run);
  assert.equal(said, ['ask 600000', 'fetch', 'ask 0']);
});

following.run();
