/** A moment for people: the words, the machine's form and how long ago. Always shown as `<time datetime>`. */
export interface When {
  readonly iso: string;
  /** `14:02:11 GMT` today, `18 Nov 2026, 16:40:52 GMT` on other days. */
  readonly text: string;
  /** `5 min ago`, `in 20 s`. */
  readonly relative: string;
}

export function when(at: number, now: number): When {
  return { iso: new Date(at).toISOString(), text: exact(at, now), relative: relative(at, now) };
}

/** `18 Nov 2026, 16:40:52 GMT`: for sentences that are read on any day. */
export function fullTime(at: number): string {
  return `${dateFormat.format(at)}, ${timeFormat.format(at)} ${zone(at)}`;
}

/** The heading over a day's activity: `Today, Thursday 19 November 2026`. */
export function dayHeading(at: number, now: number): string {
  const day = dayFormat.format(at);
  if (day === dayFormat.format(now)) return `Today, ${day}`;
  return day === dayFormat.format(now - 86_400_000) ? `Yesterday, ${day}` : day;
}

/** `0.4 s`, `12 s`, `2 min 10 s`, `3 h 5 min`, `4 days`. */
export function duration(ms: number): string {
  if (ms < 9_950) return `${(Math.max(ms, 0) / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return pair(Math.floor(seconds / 60), 'min', seconds % 60, 's');
  if (seconds < 86_400) return pair(Math.floor(seconds / 3_600), 'h', Math.floor((seconds % 3_600) / 60), 'min');
  const days = Math.round(seconds / 86_400);
  return `${number(days)} ${days === 1 ? 'day' : 'days'}`;
}

/** `1,140` */
export function number(value: number): string {
  return numberFormat.format(value);
}

/** `1 file`, `1,140 files` */
export function count(value: number, one: string, many = `${one}s`): string {
  return `${number(value)} ${value === 1 ? one : many}`;
}

/** `640 B`, `4.1 kB`, `212 kB`, `2.6 MB` */
export function bytes(value: number): string {
  if (value < 1_000) return `${value} B`;
  let size = value;
  let unit = 'B';
  for (unit of ['kB', 'MB', 'GB', 'TB']) {
    size /= 1_000;
    if (size < 999.5) break;
  }
  return `${size < 9.95 ? size.toFixed(1) : Math.round(size)} ${unit}`;
}

/** Limits are set in powers of two: `412 MiB`. */
export function mebibytes(value: number): string {
  const size = value / 1_048_576;
  return `${size < 9.95 ? size.toFixed(1) : number(Math.round(size))} MiB`;
}

function exact(at: number, now: number): string {
  return dateFormat.format(at) === dateFormat.format(now) ? `${timeFormat.format(at)} ${zone(at)}` : fullTime(at);
}

/** Whole units only: "5 min ago" does not become truer with seconds. */
function relative(at: number, now: number): string {
  const ms = Math.abs(now - at);
  if (ms < 1_500) return 'now';
  const text =
    ms < 60_000 ? `${Math.round(ms / 1_000)} s` : ms < 3_600_000 ? `${Math.round(ms / 60_000)} min` : duration(ms);
  return at <= now ? `${text} ago` : `in ${text}`;
}

function zone(at: number): string {
  const name = zoneFormat.formatToParts(at).find(({ type }) => type === 'timeZoneName')?.value ?? 'GMT';
  return name === 'UTC' ? 'GMT' : name;
}

function pair(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}

const numberFormat = new Intl.NumberFormat('en-GB');
const timeFormat = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const dateFormat = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' });
const dayFormat = new Intl.DateTimeFormat('en-GB', { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });
const zoneFormat = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', timeZoneName: 'short' });
