import type { Bucket, SyncStats, Durations } from '../actions/sync-stats.ts';
import { count, duration, number } from './times.ts';

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

export function hoursChart(buckets: readonly Bucket[]): Chart {
  return chart(buckets, 'Last 24 hours', 'hour');
}

export function daysChart(buckets: readonly Bucket[]): Chart {
  return chart(buckets, 'Last 30 days', 'day');
}

/** One bar for each stretch of time: pulled below, pushed on it, failed on top. */
function chart(buckets: readonly Bucket[], title: string, unit: string): Chart {
  const most = Math.max(0, ...buckets.map(total));
  const paths = { pulled: '', pushed: '', failed: '' };
  for (const [i, bucket] of buckets.entries()) {
    let y = height;
    for (const kind of ['pulled', 'pushed', 'failed'] as const) {
      if (bucket[kind] === 0) continue;
      // One sync among hundreds is still to be seen.
      const h = Math.max(2, Math.round((bucket[kind] / most) * (height - 4)));
      paths[kind] += `M${i * step + step / 2} ${y}v-${h}`;
      y -= h;
    }
  }
  const sum = buckets.reduce(add, { pulled: 0, pushed: 0, failed: 0 });
  const words = `${number(sum.pulled)} pulled, ${number(sum.pushed)} pushed, ${number(sum.failed)} failed or held`;
  const label =
    most === 0 ? `${title}: no syncs` : `${title}, by ${unit}: ${words}; at most ${number(most)} in one ${unit}`;
  return { title, words, label, viewBox: `0 0 ${buckets.length * step} ${height}`, ...paths, empty: most === 0 };
}

function total({ pulled, pushed, failed }: Bucket): number {
  return pulled + pushed + failed;
}

function add(a: Bucket, b: Bucket): Bucket {
  return { pulled: a.pulled + b.pulled, pushed: a.pushed + b.pushed, failed: a.failed + b.failed };
}

/** How long syncs took: for each day a mark at the median and a line up to the slowest, and the same as a table. */
export interface TookChart {
  readonly title: string;
  readonly words: string;
  readonly label: string;
  readonly viewBox: string;
  /** The scale from top to bottom. Each step is ten times the one below it, so all are equally far apart. */
  readonly ticks: readonly string[];
  readonly grid: string;
  readonly medians: string;
  readonly slowest: string;
  /** Newest first; only days on which something moved. */
  readonly rows: readonly {
    readonly day: string;
    readonly syncs: string;
    readonly median: string;
    readonly slowest: string;
  }[];
}

const tall = 60;
const dayMs = 86_400_000;

export function tookChart({ days, whole }: SyncStats['took'], now: number): TookChart {
  const title = 'Sync duration';
  const first = Math.floor(now / dayMs) - days.length + 1;
  const seen = days.map((took, i) => ({ took, x: i * step + step / 2, day: dayFormat.format((first + i) * dayMs) }));
  const moved = seen.filter(({ took }) => took.syncs > 0);
  const { ticks, y } = scale(moved.map(({ took }) => took));
  const worst = moved.find(({ took }) => took.slowestMs === whole.slowestMs);
  const words =
    whole.syncs === 0
      ? 'last 30 days: no sync changed any files'
      : `last 30 days: median ${span(whole.medianMs)}, slowest ${span(whole.slowestMs)}`;
  const width = days.length * step;
  return {
    title,
    words,
    label: `${title}, ${words}${worst ? ` on ${worst.day}, of ${count(whole.syncs, 'sync')} that changed files` : ''}`,
    viewBox: `0 0 ${width} ${tall}`,
    ticks: ticks.map((ms) => `${number(ms / 1_000)} s`),
    grid: ticks.map((ms) => `M0 ${y(ms)}h${width}`).join(''),
    medians: moved.map(({ took, x }) => `M${x} ${y(took.medianMs) + 1.5}v-3`).join(''),
    slowest: moved.map(({ took, x }) => `M${x} ${y(took.medianMs)}V${y(took.slowestMs)}`).join(''),
    rows: moved.reverse().map(({ took, day }) => ({
      day,
      syncs: number(took.syncs),
      median: duration(took.medianMs),
      slowest: duration(took.slowestMs),
    })),
  };
}

/** From a tenth of a second to hours in one picture: each line is ten times the one below it. */
function scale(moved: readonly Durations[]): { ticks: number[]; y: (ms: number) => number } {
  const shown = moved.flatMap(({ medianMs, slowestMs }) => [decade(medianMs), decade(slowestMs)]);
  const low = Math.floor(Math.min(...shown, 3));
  const high = Math.max(low + 1, Math.ceil(Math.max(...shown, low)));
  const ticks = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (high - i));
  // Half a line's width stays free above and below.
  const y = (ms: number): number => Math.round((1 + ((high - decade(ms)) / (high - low)) * (tall - 2)) * 10) / 10;
  return { ticks, y };
}

/** What takes less than a tenth of a second is not told apart. */
function decade(ms: number): number {
  return Math.log10(Math.max(ms, 100));
}

/** A number and its unit stay on one line. */
function span(ms: number): string {
  return duration(ms).replaceAll(' ', '\u00a0');
}

/** The days of the counts are days of Greenwich. */
const dayFormat = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', timeZone: 'UTC' });
