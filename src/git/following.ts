import { asProblem } from '../model/problem.ts';
import type { Oid } from '../model/tree.ts';
import type { Remote } from '../sync/ports.ts';

/** Where the repository with the site's number is now. */
export interface Whereabouts {
  /** `moved`: the path is another one than before, and the next command goes there. Throws what keeps the site out. */
  check(maxAgeMs: number, signal?: AbortSignal): Promise<{ readonly moved: boolean }>;
  /** The same before a push, where more is in the way. */
  checkForPush(maxAgeMs: number, signal?: AbortSignal): Promise<{ readonly moved: boolean }>;
}

/** Looking at a branch may rely on an answer this old, unless somebody says that it moved. */
const lookAgeMs = 600_000;

/** A push may rely on an answer this old that was asked for it. */
const aheadMs = 5_000;

/**
 * The Remote that follows its repository by number. What a path leads to proves nothing: after a rename a fork may live
 * there that has the very same commits, and GitLab creates a project where a push finds none, before any lease counts.
 * So GitLab is asked by the number before every push and beside every fetch, and beside a check once in a while. The
 * question before a push is put while its commit is made.
 */
export function followingRemote(remote: Remote, whereabouts: Whereabouts): Remote {
  /** What was asked ahead of a push, in the run that the signal belongs to. */
  let ahead: { readonly run: AbortSignal | undefined; readonly answer: Promise<unknown> } | undefined;
  /** What a check found while the number was asked about, in the run that the signal belongs to. */
  let found: { readonly run: AbortSignal; readonly tip: Oid } | undefined;

  return {
    async head(signal, told = false) {
      found = undefined;
      const where = outcomeOf(whereabouts.check(told ? 0 : lookAgeMs, signal));
      const first = await outcomeOf(remote.head(signal));
      const state = await where;
      if ('value' in state && state.value.moved) return remote.head(signal);
      // Looking changes nothing: that GitLab cannot be asked just now is no reason not to.
      if ('error' in state && isElsewhere.has(asProblem(state.error).code)) throw state.error;
      const tip = await valueOf(first).catch(async (error: unknown) => {
        if (!mayHaveMoved.has(asProblem(error).code)) throw error;
        // The number's answer is the better cause: deleted, withdrawn, archived or simply elsewhere.
        const { moved } = await whereabouts.check(0, signal);
        if (!moved) throw error;
        return remote.head(signal);
      });
      if (tip !== 'absent') {
        if (told && signal && 'value' in state) found = { run: signal, tip };
        return tip;
      }
      // An empty newcomer at the old path has no such branch either.
      const { moved } = await whereabouts.check(0, signal);
      return moved ? remote.head(signal) : tip;
    },

    async fetch(signal, progress) {
      const seen = found?.run === signal ? found?.tip : undefined;
      found = undefined;
      // Side by side: the check costs no time, and what was fetched from a stranger is dropped.
      const fetched = outcomeOf(remote.fetch(signal, progress));
      if (seen) {
        // The commit that was seen there is the same from wherever it came.
        const outcome = await fetched;
        if ('value' in outcome && outcome.value === seen) return seen;
      }
      const { moved } = await whereabouts.check(0, signal).catch(async (error: unknown) => {
        await fetched;
        throw error;
      });
      const first = await fetched;
      return moved ? remote.fetch(signal, progress) : valueOf(first);
    },

    expectTip: (tip) => remote.expectTip?.(tip),

    expectPush(signal) {
      ahead = { run: signal, answer: outcomeOf(whereabouts.checkForPush(0, signal)) };
    },

    async push(commit, expected, options, signal, progress) {
      const asked = ahead?.run === signal ? ahead?.answer : undefined;
      ahead = undefined;
      await asked;
      await whereabouts.checkForPush(asked ? aheadMs : 0, signal);
      const push = (): ReturnType<Remote['push']> => remote.push(commit, expected, options, signal, progress);
      const first = await outcomeOf(push());
      if ('value' in first && first.value.kind === 'done') return first.value;
      if ('error' in first && !mayHaveMoved.has(asProblem(first.error).code)) throw first.error;
      const { moved } = await whereabouts.checkForPush(0, signal);
      return moved ? push() : valueOf(first);
    },
  };
}

const mayHaveMoved = new Set<string>([
  'project-missing',
  'project-not-yours',
  'push-not-allowed',
  'branch-missing',
  'gitlab-answer-odd',
]);

/** The number's own answer: nothing at the path counts against it. */
const isElsewhere = new Set<string>(['project-missing', 'project-not-yours', 'project-other']);

type Outcome<T> = { readonly value: T } | { readonly error: unknown };

function outcomeOf<T>(work: Promise<T>): Promise<Outcome<T>> {
  return work.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
}

async function valueOf<T>(outcome: Outcome<T>): Promise<T> {
  if ('value' in outcome) return outcome.value;
  throw outcome.error;
}
