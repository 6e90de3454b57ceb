import type { SitePath } from '../model/tree.ts';
import type { Clock, Stat } from '../model/world.ts';
import { RestlessPaths } from './restless.ts';

interface Watched {
  /** Monotonic ms: when the path was first seen to differ. */
  readonly first: number;
  /** Monotonic ms: since when it looks as it does. */
  readonly since: number;
  /** Undefined: an event came, nobody has looked yet. */
  readonly look: string | undefined;
}

/** Paths at rest wait for moving ones this many quiet times. */
const gatherTimes = 3;

/**
 * Tells whether a path has been left alone long enough to be recorded: half of an upload is nobody's version. A path
 * that never rests is taken as it is after a while.
 */
export class Debouncer {
  readonly #clock: Clock;
  readonly #settings: () => { quietMs: number; quietMaxMs: number };
  readonly #watched = new Map<SitePath, Watched>();
  /** Settled because they moved for too long. */
  readonly #moving = new Set<SitePath>();
  readonly #restless: RestlessPaths;

  constructor(clock: Clock, settings: () => { quietMs: number; quietMaxMs: number }) {
    this.#clock = clock;
    this.#settings = settings;
    this.#restless = new RestlessPaths(clock);
  }

  /** Paths that are written without end: taken rarely, and nothing waits for them. */
  get restless(): Pick<RestlessPaths, 'has' | 'all' | 'hurry'> {
    return this.#restless;
  }

  /** An event came for the path: from now on it rests, or does not. */
  noticed(path: SitePath): void {
    const now = this.#clock.monotonic();
    this.#watched.set(path, { first: this.#watched.get(path)?.first ?? now, since: now, look: undefined });
  }

  /**
   * `stat` undefined: the path is gone, which an editor's save also looks like for a moment. `at once`: somebody asks for
   * it, so that one which changes constantly does not wait for its turn.
   */
  settled(path: SitePath, stat: Stat | undefined, pace: 'paced' | 'at once' = 'paced'): boolean {
    const { quietMs, quietMaxMs } = this.#settings();
    const now = this.#clock.monotonic();
    const look = stat ? `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}:${stat.ctimeNs}` : 'gone';
    const before = this.#watched.get(path);
    const unchanged = before !== undefined && (before.look === undefined || before.look === look);
    const watched = { first: before?.first ?? now, since: unchanged ? before.since : now, look };
    this.#watched.set(path, watched);
    // ctime cannot be set by a tool, mtime can; a clock that went back makes the age negative: then two scans decide.
    const age = stat ? this.#clock.now() - Number(stat.ctimeNs / 1_000_000n) : 0;
    const isAtRest = age >= quietMs || now - watched.since >= quietMs;
    if (!isAtRest && now - watched.first < quietMaxMs) return false;
    if (pace === 'paced' && this.#restless.waitMs(path) > 0) return false;
    this.#watched.delete(path);
    if (isAtRest) this.#moving.delete(path);
    else this.#moving.add(path);
    return true;
  }

  /** ms until the first or the last of these may be settled; infinite where there are none. */
  againInMs(paths: readonly SitePath[], which: 'first' | 'last' = 'first'): number {
    const { quietMs } = this.#settings();
    const now = this.#clock.monotonic();
    let [first, last] = [Number.POSITIVE_INFINITY, 0];
    for (const path of paths) {
      const rest = quietMs - (now - (this.#watched.get(path)?.since ?? now));
      const wait = Math.max(Math.min(quietMs, rest), this.#restless.waitMs(path));
      [first, last] = [Math.min(first, wait), Math.max(last, wait)];
    }
    return paths.length === 0 ? Number.POSITIVE_INFINITY : Math.max(20, which === 'last' ? last : first);
  }

  /**
   * While some paths still move, those at rest wait for them a little: one upload is one commit. Not for long, or a
   * log that is written without end would hold up everything else.
   */
  gathers(ready: number, moving: number): boolean {
    const now = this.#clock.monotonic();
    if (ready === 0 || moving === 0) {
      this.#gatheringSince = undefined;
      return false;
    }
    this.#gatheringSince ??= now;
    if (now - this.#gatheringSince < gatherTimes * this.#settings().quietMs) return true;
    this.#gatheringSince = undefined;
    return false;
  }

  #gatheringSince: number | undefined;

  /**
   * While a folder goes, its removals and what is new wait for each other: one move is one commit, and not first a copy
   * and then a loss. Not longer than any other path may take to come to rest.
   */
  waitsForMove(ready: number, isFolderGoing: boolean): boolean {
    const now = this.#clock.monotonic();
    if (ready === 0 || !isFolderGoing) {
      this.#movingSince = undefined;
      return false;
    }
    this.#movingSince ??= now;
    return now - this.#movingSince < this.#settings().quietMaxMs;
  }

  #movingSince: number | undefined;

  /** It is in a commit now. */
  taken(path: SitePath): void {
    this.#restless.taken(path, this.#moving.delete(path));
    this.forget(path);
  }

  /** There is nothing new at the path. */
  forget(path: SitePath): void {
    this.#watched.delete(path);
    this.#moving.delete(path);
  }
}
