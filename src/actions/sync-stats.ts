import type { RunRecord } from '../model/event.ts';
import type { SiteId } from '../model/site.ts';
import type { Clock } from '../model/world.ts';

/** Syncs in one stretch of time. A run that moved both ways counts as both. */
export interface Bucket {
  readonly pulled: number;
  readonly pushed: number;
  /** Failed, refused by GitLab, or stopped to ask. */
  readonly failed: number;
}

/** How long the syncs took that moved something, from their start to their end. */
export interface Durations {
  readonly syncs: number;
  /** Half of them took no longer; right to a tenth. */
  readonly medianMs: number;
  readonly slowestMs: number;
}

/** Oldest first; the last one is the present hour or day. */
export interface SyncStats {
  readonly hours: readonly Bucket[];
  readonly days: readonly Bucket[];
  readonly took: { readonly days: readonly Durations[]; readonly whole: Durations };
}

export interface SyncStatsActions {
  /** Reads the site's history once; afterwards it is counted as it happens. */
  of(id: SiteId): Promise<SyncStats>;
  /** All sites whose history was read so far, or those of `only`; `complete` says whether these are all. */
  all(only?: readonly SiteId[]): SyncStats & { readonly complete: boolean };
  /** Reads the history of sites one after another, so that nobody waits for it. */
  load(ids: readonly SiteId[]): Promise<void>;
  add(id: SiteId, run: RunRecord): void;
  forget(id: SiteId): void;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** Few enough that reading them holds up nothing else. */
const page = 100;
/** A site that syncs each second for a month is not worth reading to the end. */
const mostPages = 50;

/**
 * A picture of time: what each site pulled, pushed and failed to, in hours and in days, and how long it took. Some
 * 1 kB for a site that rests, 8 kB for one that moves something.
 */
export function createSyncStats(deps: {
  readonly store: {
    readonly history: {
      runs(id: SiteId, page: { limit: number; offset: number }): Promise<{ rows: readonly RunRecord[] }>;
    };
  };
  readonly clock: Pick<Clock, 'now'>;
}): SyncStatsActions {
  const known = new Map<SiteId, Counters>();
  const reading = new Map<SiteId, Promise<Counters>>();
  const meanwhile = new Map<SiteId, RunRecord[]>();
  let complete = false;

  async function read(id: SiteId): Promise<Counters> {
    const counters = new Counters();
    const seen = new Set<string>();
    meanwhile.set(id, []);
    for (let offset = 0; offset < page * mostPages; offset += page) {
      const { rows } = await deps.store.history.runs(id, { limit: page, offset });
      for (const run of rows) {
        if (seen.has(run.id)) continue;
        seen.add(run.id);
        counters.add(run);
      }
      const last = rows.at(-1);
      if (rows.length < page || !last || last.at < deps.clock.now() - 30 * dayMs) break;
    }
    for (const run of meanwhile.get(id) ?? []) if (!seen.has(run.id)) counters.add(run);
    meanwhile.delete(id);
    return counters;
  }

  async function countersOf(id: SiteId): Promise<Counters> {
    const found = known.get(id);
    if (found) return found;
    const going = reading.get(id) ?? read(id);
    reading.set(id, going);
    try {
      const counters = await going;
      known.set(id, counters);
      return counters;
    } finally {
      reading.delete(id);
    }
  }

  return {
    of: async (id) => (await countersOf(id)).read(deps.clock.now()),
    all(only) {
      const sum = new Counters();
      const counted = only ? only.flatMap((id) => known.get(id) ?? []) : known.values();
      for (const counters of counted) sum.include(counters, deps.clock.now());
      return { ...sum.read(deps.clock.now()), complete };
    },
    async load(ids) {
      for (const id of ids) await countersOf(id).catch(() => undefined);
      complete = true;
    },
    add(id, run) {
      known.get(id)?.add(run);
      meanwhile.get(id)?.push(run);
    },
    forget: (id) => void known.delete(id),
  };
}

class Counters {
  readonly #hours = new RingBuffer(hourMs, 24);
  readonly #days = new RingBuffer(dayMs, 30);
  readonly #took = new Times(30);

  add({ at, durationMs, result, pulled, pushed }: RunRecord): void {
    const failed = result === 'failed' || result === 'refused' || result === 'held';
    const moved = (tally: RunRecord['pulled']): number => Math.sign(tally.added + tally.changed + tally.removed);
    const bucket = failed ? [0, 0, 1] : [moved(pulled), moved(pushed), 0];
    this.#hours.add(at, bucket);
    this.#days.add(at, bucket);
    if (!failed && bucket.includes(1)) this.#took.add(at, durationMs);
  }

  read(now: number): SyncStats {
    return { hours: this.#hours.read(now), days: this.#days.read(now), took: this.#took.read(now) };
  }

  include(other: Counters, now: number): void {
    this.#hours.include(other.#hours, now);
    this.#days.include(other.#days, now);
    this.#took.include(other.#took, now);
  }
}

/** The newest `length` stretches of time, three counts each. */
class RingBuffer {
  readonly #unitMs: number;
  readonly #length: number;
  readonly #counts: Uint32Array;
  #newest = 0;

  constructor(unitMs: number, length: number) {
    this.#unitMs = unitMs;
    this.#length = length;
    this.#counts = new Uint32Array(length * 3);
  }

  add(at: number, bucket: readonly number[]): void {
    const index = Math.floor(at / this.#unitMs);
    this.#forward(index);
    if (index <= this.#newest - this.#length) return;
    for (let kind = 0; kind < 3; kind += 1) raise(this.#counts, this.#place(index) + kind, bucket[kind]);
  }

  read(now: number): Bucket[] {
    this.#forward(Math.floor(now / this.#unitMs));
    return Array.from({ length: this.#length }, (_, i) => {
      const place = this.#place(this.#newest - this.#length + 1 + i);
      const [pulled = 0, pushed = 0, failed = 0] = this.#counts.subarray(place, place + 3);
      return { pulled, pushed, failed };
    });
  }

  include(other: RingBuffer, now: number): void {
    const index = Math.floor(now / this.#unitMs);
    this.#forward(index);
    other.#forward(index);
    // Equally long and equally far: place for place.
    if (this.#newest !== other.#newest) return;
    for (let i = 0; i < this.#counts.length; i += 1) raise(this.#counts, i, other.#counts[i]);
  }

  /** Time goes on: what falls out at the far end is forgotten. */
  #forward(index: number): void {
    const steps = Math.min(index - this.#newest, this.#length);
    for (let i = 0; i < steps; i += 1) this.#counts.fill(0, this.#place(index - i), this.#place(index - i) + 3);
    this.#newest = Math.max(this.#newest, index);
  }

  #place(index: number): number {
    return (((index % this.#length) + this.#length) % this.#length) * 3;
  }
}

/** Each step is a fifth longer than the one before: from a tenth of a second to the better part of an hour. */
const steps = 60;
const firstMs = 100;
const stepsPerDouble = 4;

/** How long things took in the newest `length` days: counted by steps, so that many cost no more than few. */
class Times {
  readonly #length: number;
  /** None as long as nothing moved. */
  #counts: Uint32Array | undefined;
  readonly #slowestMs: Float64Array;
  #newest = 0;

  constructor(length: number) {
    this.#length = length;
    this.#slowestMs = new Float64Array(length);
  }

  add(at: number, ms: number): void {
    const day = Math.floor(at / dayMs);
    this.#forward(day);
    if (day <= this.#newest - this.#length) return;
    const place = day % this.#length;
    const step = Math.min(Math.floor(Math.log2(Math.max(ms, firstMs) / firstMs) * stepsPerDouble), steps - 1);
    raise(this.#own(), place * steps + step, 1);
    this.#slowestMs[place] = Math.max(this.#slowestMs[place] ?? 0, ms);
  }

  read(now: number): SyncStats['took'] {
    this.#forward(Math.floor(now / dayMs));
    const counts = this.#counts ?? new Uint32Array(this.#length * steps);
    const whole = new Uint32Array(steps);
    for (let i = 0; i < counts.length; i += 1) raise(whole, i % steps, counts[i]);
    const days = Array.from({ length: this.#length }, (_, i) => {
      const place = (this.#newest + 1 + i) % this.#length;
      return took(counts.subarray(place * steps, (place + 1) * steps), this.#slowestMs[place] ?? 0);
    });
    return { days, whole: took(whole, Math.max(...this.#slowestMs)) };
  }

  include(other: Times, now: number): void {
    const today = Math.floor(now / dayMs);
    this.#forward(today);
    other.#forward(today);
    // Equally long and equally far: place for place.
    if (!other.#counts || this.#newest !== other.#newest) return;
    const counts = this.#own();
    for (let i = 0; i < counts.length; i += 1) raise(counts, i, other.#counts[i]);
    for (let i = 0; i < this.#length; i += 1)
      this.#slowestMs[i] = Math.max(this.#slowestMs[i] ?? 0, other.#slowestMs[i] ?? 0);
  }

  #own(): Uint32Array {
    this.#counts ??= new Uint32Array(this.#length * steps);
    return this.#counts;
  }

  /** Time goes on: what falls out at the far end is forgotten. */
  #forward(day: number): void {
    const passed = Math.min(day - this.#newest, this.#length);
    for (let i = 0; i < passed; i += 1) {
      const place = (day - i) % this.#length;
      this.#counts?.fill(0, place * steps, (place + 1) * steps);
      this.#slowestMs[place] = 0;
    }
    this.#newest = Math.max(this.#newest, day);
  }
}

function raise(counts: Uint32Array, place: number, by = 0): void {
  counts[place] = (counts[place] ?? 0) + by;
}

function took(counts: Uint32Array, slowestMs: number): Durations {
  const syncs = counts.reduce((sum, count) => sum + count, 0);
  if (syncs === 0) return { syncs, medianMs: 0, slowestMs: 0 };
  let left = Math.ceil(syncs / 2);
  const step = counts.findIndex((count) => (left -= count) <= 0);
  const middleMs = firstMs * 2 ** ((step + 0.5) / stepsPerDouble);
  // The last step has no end, and of one sync the time is known.
  const medianMs = syncs === 1 || step === steps - 1 ? slowestMs : Math.min(middleMs, slowestMs);
  return { syncs, medianMs: Math.round(medianMs), slowestMs };
}
