import type { SitePath } from '../model/tree.ts';
import type { Clock } from '../model/world.ts';

interface Takes {
  /** Monotonic ms of the last takes, oldest first. */
  readonly at: number[];
  /** How often in a row it was taken without having come to rest. */
  forced: number;
}

/** Over this long a path is watched, in ms. */
const spanMs = 600_000;
/** So many takes in that time are no person's saves. */
const mostTakes = 60;
/** So many takes in a row of a path that never rests: a log, or a database of another kind. */
const mostForced = 3;
/** A restless path is taken at most this often, in ms. */
const paceMs = 120_000;

/**
 * Paths that programs write without end, such as logs. Each of their versions would become a commit that nobody needs, so
 * they are taken rarely, hold up nothing else, and are named.
 */
export class RestlessPaths {
  readonly #clock: Clock;
  readonly #takes = new Map<SitePath, Takes>();
  /** Somebody waits for what is there now. */
  readonly #due = new Set<SitePath>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `forced`: it had not come to rest. */
  taken(path: SitePath, forced: boolean): void {
    const now = this.#clock.monotonic();
    this.#due.delete(path);
    const { at, forced: before } = this.#takes.get(path) ?? { at: [], forced: 0 };
    this.#takes.set(path, {
      at: [...at, now].slice(-mostTakes),
      forced: forced ? before + 1 : before < mostForced ? 0 : before,
    });
  }

  has(path: SitePath): boolean {
    const takes = this.#takes.get(path);
    const now = this.#clock.monotonic();
    const [oldest = now] = takes?.at ?? [];
    const newest = takes?.at.at(-1) ?? 0;
    if (!takes || now - newest > spanMs) return false;
    return takes.forced >= mostForced || (takes.at.length === mostTakes && newest - oldest <= spanMs);
  }

  /** It need not wait for its turn this time. */
  hurry(path: SitePath): void {
    if (this.has(path)) this.#due.add(path);
  }

  /** ms until a path may be taken again; 0 for all that are not restless. */
  waitMs(path: SitePath): number {
    if (this.#due.has(path) || !this.has(path)) return 0;
    const last = this.#takes.get(path)?.at.at(-1) ?? 0;
    return Math.max(0, last + paceMs - this.#clock.monotonic());
  }

  all(): readonly SitePath[] {
    this.#forgetOld(this.#clock.monotonic());
    return [...this.#takes.keys()].filter((path) => this.has(path));
  }

  #forgetOld(now: number): void {
    for (const [path, { at }] of this.#takes) if (now - (at.at(-1) ?? 0) > spanMs) this.#takes.delete(path);
  }
}
