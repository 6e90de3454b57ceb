import { setTimeout as sleep } from 'node:timers/promises';

/**
 * How long a test waits for what must come. Nothing is measured by it: a machine under load takes its time, and only
 * what never comes takes as long as this.
 */
export const patienceMs = Number(process.env['MOORING_TEST_PATIENCE_S'] ?? 180) * 1000;

/** Between two looks at the most. */
const longestMs = 400;

/** Waits until `ready` gives something; says what it waited for when it never does. */
export async function until<T>(
  what: string,
  ready: () => Promise<T | false | undefined> | T | false | undefined,
): Promise<T> {
  const end = performance.now() + patienceMs;
  let last: unknown;
  for (let waitMs = 20; ; waitMs = Math.min(waitMs * 1.4, longestMs)) {
    try {
      const found = await ready();
      if (found !== false && found !== undefined) return found;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (performance.now() > end) throw new Error(`${what}: never within ${patienceMs / 1000} s`, { cause: last });
    // Asking often takes the time of what is waited for: most questions start git or draw a page.
    await sleep(waitMs);
  }
}
