import type { Progress } from '../model/site.ts';
import type { Clock } from '../model/world.ts';

/** So often progress is told at the most, in ms: a page cannot show more, and ten thousand files are ten thousand calls. */
const everyMs = 250;

/** Passes progress on at a pace, with the speed at which bytes come since that act began. */
export function paced(clock: Clock, tell: (progress: Progress) => void): (progress: Progress) => void {
  let act: Progress['act'] | undefined;
  let begun = 0;
  let told = Number.NEGATIVE_INFINITY;
  return (progress) => {
    const now = clock.monotonic();
    if (progress.act !== act) {
      act = progress.act;
      begun = now;
      told = Number.NEGATIVE_INFINITY;
    }
    if (now - told < everyMs) return;
    told = now;
    const { bytes } = progress;
    const known = bytes !== undefined && now - begun >= 1_000;
    tell(known ? { ...progress, bytesPerSecond: Math.round((bytes * 1_000) / (now - begun)) } : progress);
  };
}
