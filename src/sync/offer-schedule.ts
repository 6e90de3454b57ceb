import type { Clock, Random } from '../model/world.ts';

const minuteMs = 60_000;
/** What GitLab refused is offered again after these, and then each time after the last. */
const waitsMs = [5, 10, 15, 30, 60].map((minutes) => minutes * minuteMs);

/**
 * When to offer again what GitLab refused, with nobody at the pages: somebody may have given the role back, lifted a
 * protection or changed a rule there. Slowly, and sooner when GitLab shows life; a restart is no reason.
 */
export class OfferSchedule {
  readonly #clock: Clock;
  readonly #random: Random;
  #dueAt: number | undefined;
  #offeredAt = Number.NEGATIVE_INFINITY;
  #times = 0;

  constructor({ clock, random }: { readonly clock: Clock; readonly random: Random }) {
    this.#clock = clock;
    this.#random = random;
  }

  /** `calls`: GitLab called. Then at once, but not for each of a hundred calls in a minute. */
  isDue(calls: boolean): boolean {
    if (this.#dueAt === undefined) return false;
    const now = this.#clock.monotonic();
    if (calls) this.#dueAt = Math.min(this.#dueAt, Math.max(now, this.#offeredAt + minuteMs));
    return now >= this.#dueAt;
  }

  /** A run ended. `waits`: something refused is left; `wasOffered`: it was tried. In how many ms to try again. */
  next({ waits, wasOffered }: { waits: boolean; wasOffered: boolean }): number {
    if (!waits) {
      this.#dueAt = undefined;
      this.#times = 0;
      return Number.POSITIVE_INFINITY;
    }
    const now = this.#clock.monotonic();
    if (wasOffered) this.#offeredAt = now;
    if (this.#dueAt === undefined || wasOffered) {
      const wait = waitsMs[Math.min(this.#times, waitsMs.length - 1)] as number;
      this.#times += 1;
      this.#dueAt = now + Math.round(wait * (0.75 + this.#random.fraction() / 2));
    }
    return Math.max(0, this.#dueAt - now);
  }
}
