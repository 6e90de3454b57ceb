import { Problem } from '../model/problem.ts';
import type { Asked, WorkProgress } from '../model/site.ts';

export type Answer<T> =
  | { readonly kind: 'done'; readonly value: T }
  | { readonly kind: 'running'; readonly progress: WorkProgress | undefined }
  /** Nothing was begun under this key, or its answer was given already. */
  | { readonly kind: 'none' };

/**
 * Work that can outlast the patience of a browser, or of the proxy before it. A page begins it and is answered after two
 * seconds at the latest; until the work is done, the page refreshes itself and asks again.
 */
export interface Pending {
  /** Begins the work unless it runs already. `unasked`: what becomes of it when no page asks for half a minute. */
  begin<T>(key: string, unasked: 'ends' | 'goes on', work: (asked: Asked) => Promise<T>): void;
  /** Gives the answer once; throws what the work threw. */
  answer<T>(key: string): Promise<Answer<T>>;
  /** How far the work is, for a page that waits; its answer stays for {@link answer}. `isRunning` false: ask for that. */
  stateOf(key: string): { readonly isRunning: boolean; readonly progress: WorkProgress | undefined };
}

interface Entry {
  isOver: boolean;
  readonly outcome: Promise<{ readonly value: unknown } | { readonly error: unknown }>;
  readonly ends: AbortController | undefined;
  readonly told: { readonly progress?: WorkProgress };
  /** Runs while no page asks. */
  timer: NodeJS.Timeout | undefined;
}

const patienceMs = 2_000;
const unaskedMs = 30_000;

export function createPending(): Pending {
  const entries = new Map<string, Entry>();

  function leave(key: string, entry: Entry): void {
    clearTimeout(entry.timer);
    entry.timer = setTimeout(() => {
      entry.ends?.abort(new Problem('broken-off'));
      void entry.outcome.then(() => forget(key, entry));
    }, unaskedMs).unref();
  }

  function forget(key: string, entry: Entry): void {
    clearTimeout(entry.timer);
    if (entries.get(key) === entry) entries.delete(key);
  }

  return {
    stateOf(key) {
      const entry = entries.get(key);
      if (entry) leave(key, entry);
      return { isRunning: entry !== undefined && !entry.isOver, progress: entry?.told.progress };
    },

    begin(key, unasked, work) {
      if (entries.has(key)) return;
      const ends = new AbortController();
      const told: { progress?: WorkProgress } = {};
      const asked: Asked = { signal: ends.signal, progress: (progress) => void (told.progress = progress) };
      const outcome = work(asked).then(
        (value) => ({ value }),
        (error: unknown) => ({ error }),
      );
      const entry: Entry = {
        outcome,
        told,
        isOver: false,
        ends: unasked === 'ends' ? ends : undefined,
        timer: undefined,
      };
      void outcome.then(() => (entry.isOver = true));
      entries.set(key, entry);
      leave(key, entry);
    },

    async answer<T>(key: string): Promise<Answer<T>> {
      const entry = entries.get(key);
      if (!entry) return { kind: 'none' };
      leave(key, entry);
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<undefined>((resolve) => {
        timer = setTimeout(() => resolve(undefined), patienceMs);
      });
      const outcome = await Promise.race([entry.outcome, late]);
      clearTimeout(timer);
      if (!outcome) return { kind: 'running', progress: entry.told.progress };
      forget(key, entry);
      if ('error' in outcome) throw outcome.error;
      return { kind: 'done', value: outcome.value as T };
    },
  };
}
