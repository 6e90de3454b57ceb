import type { Clock } from '../model/world.ts';

/** Every address a name leads to; throws where one of them is never called. */
export type Resolve = (url: URL) => Promise<readonly string[]>;

/** Where a name leads, for programs that would look it up by themselves. */
export interface Pins {
  /** Throws `gitlab-unreachable`: the name leads nowhere, or to an address that is never called. */
  of(url: URL): Promise<readonly string[]>;
}

/** Remembers the last name for a moment: a sync asks several times, and there is one instance. */
export function createPins({ clock, resolve }: { clock: Clock; resolve: Resolve }): Pins {
  let last: { host: string; at: number; found: Promise<readonly string[]> } | undefined;
  return {
    of(url) {
      const { host } = url;
      const at = clock.monotonic();
      if (last?.host === host && at - last.at < rememberedMs) return last.found;
      const now = { host, at, found: resolve(url) };
      last = now;
      now.found.catch(() => {
        if (last === now) last = undefined;
      });
      return now.found;
    },
  };
}

const rememberedMs = 5_000;
