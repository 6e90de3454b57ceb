import { asProblem } from '../model/problem.ts';
import type { Remote } from '../sync/ports.ts';

/** Where the repository with the site's number is now. */
export interface Whereabouts {
  /** `moved`: the path is another one than before, and the next command goes there. Throws what keeps the site out. */
  check(maxAgeMs: number, signal?: AbortSignal): Promise<{ readonly moved: boolean }>;
  /** The same before a push, where more is in the way. */
  checkForPush(maxAgeMs: number, signal?: AbortSignal): Promise<{ readonly moved: boolean }>;
}

/** A push may rely on an answer this old, because the lease names a commit that only the right repository has. */
const pushAgeMs = 60_000;

/**
 * The Remote that follows its repository by number. Looking costs nothing extra: only a surprise (no branch, no
 * repository, a commit to fetch) asks GitLab where the repository is.
 */
export function followingRemote(remote: Remote, whereabouts: Whereabouts): Remote {
  return {
    async head(signal) {
      const tip = await remote.head(signal).catch(async (error: unknown) => {
        if (!mayHaveMoved.has(asProblem(error).code)) throw error;
        // The number's answer is the better cause: deleted, withdrawn, archived or simply elsewhere.
        const { moved } = await whereabouts.check(0, signal);
        if (!moved) throw error;
        return remote.head(signal);
      });
      if (tip !== 'absent') return tip;
      // An empty newcomer at the old path has no such branch either.
      const { moved } = await whereabouts.check(0, signal);
      return moved ? remote.head(signal) : tip;
    },

    async fetch(signal, progress) {
      // Side by side: the check costs no time, and what was fetched from a stranger is dropped.
      const fetched = settle(remote.fetch(signal, progress));
      const { moved } = await whereabouts.check(0, signal).catch(async (error: unknown) => {
        await fetched;
        throw error;
      });
      const first = await fetched;
      if (moved) return remote.fetch(signal, progress);
      if ('error' in first) throw first.error;
      return first.value;
    },

    async push(commit, expected, options, signal, progress) {
      // Without a commit to expect there is no lease: a branch of that name would be made wherever the path leads.
      await whereabouts.checkForPush(expected === null ? 0 : pushAgeMs, signal);
      const push = (): ReturnType<Remote['push']> => remote.push(commit, expected, options, signal, progress);
      const first = await settle(push());
      if ('value' in first && first.value.kind === 'done') return first.value;
      if ('error' in first && !mayHaveMoved.has(asProblem(first.error).code)) throw first.error;
      const { moved } = await whereabouts.checkForPush(0, signal);
      if (moved) return push();
      if ('error' in first) throw first.error;
      return first.value;
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

type Settled<T> = { readonly value: T } | { readonly error: unknown };

function settle<T>(work: Promise<T>): Promise<Settled<T>> {
  return work.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
}
