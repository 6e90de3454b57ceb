import type { Notice } from './context.ts';

/** Notices for the page after a redirect. In memory and bounded: a lost notice is only a lost sentence. */
export interface Flash {
  put(key: string, notice: Notice): void;
  /** Gives it once. */
  take(key: string): Notice | undefined;
}

export function createFlash(): Flash {
  const waiting = new Map<string, Notice>();
  return {
    put(key, notice) {
      waiting.delete(key);
      waiting.set(key, notice);
      const oldest = waiting.keys().next();
      if (waiting.size > 200 && oldest.value !== undefined) waiting.delete(oldest.value);
    },
    take(key) {
      const notice = waiting.get(key);
      waiting.delete(key);
      return notice;
    },
  };
}
