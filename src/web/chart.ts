import type { Beat } from './deps.ts';
import { number } from './times.ts';

/** A small chart as SVG paths, and the same numbers in words. */
export interface Chart {
  readonly title: string;
  readonly words: string;
  /** For those who do not see it: the words, and where the most was. */
  readonly label: string;
  readonly viewBox: string;
  readonly pulled: string;
  readonly pushed: string;
  readonly failed: string;
  readonly empty: boolean;
}

const height = 24;
const step = 6;

export function hoursChart(beats: readonly Beat[]): Chart {
  return chart(beats, 'Last 24 hours', 'hour');
}

export function daysChart(beats: readonly Beat[]): Chart {
  return chart(beats, 'Last 30 days', 'day');
}

/** One bar for each stretch of time: pulled below, pushed on it, failed on top. */
function chart(beats: readonly Beat[], title: string, unit: string): Chart {
  const most = Math.max(0, ...beats.map(total));
  const paths = { pulled: '', pushed: '', failed: '' };
  for (const [i, beat] of beats.entries()) {
    let y = height;
    for (const kind of ['pulled', 'pushed', 'failed'] as const) {
      if (beat[kind] === 0) continue;
      // One sync among hundreds is still to be seen.
      const h = Math.max(2, Math.round((beat[kind] / most) * (height - 4)));
      paths[kind] += `M${i * step + step / 2} ${y}v-${h}`;
      y -= h;
    }
  }
  const sum = beats.reduce(add, { pulled: 0, pushed: 0, failed: 0 });
  const words = `${number(sum.pulled)} pulled, ${number(sum.pushed)} pushed, ${number(sum.failed)} failed or held`;
  const label =
    most === 0 ? `${title}: no syncs` : `${title}, by ${unit}: ${words}; at most ${number(most)} in one ${unit}`;
  return { title, words, label, viewBox: `0 0 ${beats.length * step} ${height}`, ...paths, empty: most === 0 };
}

function total({ pulled, pushed, failed }: Beat): number {
  return pulled + pushed + failed;
}

function add(a: Beat, b: Beat): Beat {
  return { pulled: a.pulled + b.pulled, pushed: a.pushed + b.pushed, failed: a.failed + b.failed };
}
