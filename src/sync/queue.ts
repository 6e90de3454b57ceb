import PQueue from 'p-queue';
import type { Trigger } from '../model/event.ts';
import { Problem } from '../model/problem.ts';
import type { Clock } from '../model/world.ts';

/** What a run asks of its queue: when to run again, in ms; absent: at the next trigger. */
export interface Again {
  readonly inMs?: number;
  /** `watch`: paths come to rest; `retry`: something failed. */
  readonly trigger?: 'watch' | 'retry';
}

interface SiteWork {
  /** One run. Never throws: it judges its own failures and says when to try again. */
  run(triggers: ReadonlySet<Trigger>, signal: AbortSignal): Promise<Again>;
}

export interface SiteQueue {
  /** Something may have changed. Triggers coalesce: one run handles all that came before it. `inMs`: not before. */
  trigger(trigger: Trigger, inMs?: number): void;
  /** Something a person asked for, in its turn between the runs. */
  job<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T>;
  /** Ends what is under way, wherever it is: the next run goes on from there. False: nothing was. */
  breakOff(): boolean;
  /** No new runs. Resolves when nothing of this site is under way. */
  close(): Promise<void>;
}

export interface Queue {
  forSite(work: SiteWork): SiteQueue;
  /** Runs and jobs under way, and those that wait for a place. */
  load(): { running: number; waiting: number };
  /** Lets what is under way finish for at most `ms`, then breaks it off. */
  drain(ms: number): Promise<void>;
}

/** One run at a time per site, a few sites at a time. */
export function createQueue({ clock, concurrency }: { clock: Clock; concurrency: number }): Queue {
  const slots = new PQueue({ concurrency });
  const stop = new AbortController();
  const queues = new Set<SiteQueue>();
  return {
    forSite(work) {
      const queue = new SerialQueue(work, clock, slots, stop.signal);
      queues.add(queue);
      return queue;
    },
    load: () => ({ running: slots.pending, waiting: slots.size }),
    async drain(ms) {
      const closed = Promise.all([...queues].map((queue) => queue.close()));
      const timer = new AbortController();
      const limit = clock.sleep(ms, timer.signal).then(
        () => stop.abort(new Problem('stopping')),
        () => {},
      );
      await closed;
      timer.abort();
      await limit;
    },
  };
}

class SerialQueue implements SiteQueue {
  readonly #work: SiteWork;
  readonly #clock: Clock;
  readonly #slots: PQueue;
  readonly #signal: AbortSignal;
  readonly #triggers = new Set<Trigger>();
  #wake: { readonly at: number; readonly cancel: AbortController } | undefined;
  #tail: Promise<unknown> = Promise.resolve();
  /** What is under way now. */
  #present: AbortController | undefined;
  #queued = false;
  #closed = false;

  constructor(work: SiteWork, clock: Clock, slots: PQueue, signal: AbortSignal) {
    this.#work = work;
    this.#clock = clock;
    this.#slots = slots;
    this.#signal = signal;
  }

  trigger(trigger: Trigger, inMs = 0): void {
    if (this.#closed) return;
    this.#triggers.add(trigger);
    const at = this.#clock.monotonic() + inMs;
    if (this.#queued || (this.#wake && this.#wake.at <= at)) return;
    this.#wake?.cancel.abort();
    this.#wake = undefined;
    if (inMs <= 0) this.#enqueue();
    else this.#wakeAt(at, inMs);
  }

  job<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#closed) return Promise.reject(new Problem('stopping'));
    return this.#inTurn(work);
  }

  breakOff(): boolean {
    this.#present?.abort(new Problem('broken-off', {}));
    return this.#present !== undefined;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#wake?.cancel.abort();
    await this.#tail.catch(() => {});
  }

  #wakeAt(at: number, inMs: number): void {
    const cancel = new AbortController();
    this.#wake = { at, cancel };
    this.#clock.sleep(inMs, cancel.signal).then(
      () => {
        this.#wake = undefined;
        if (!this.#queued && !this.#closed) this.#enqueue();
      },
      () => {},
    );
  }

  #enqueue(): void {
    this.#queued = true;
    // `run` never throws; what does is our own bug and must not be swallowed.
    void this.#inTurn(async (signal) => {
      this.#queued = false;
      if (this.#closed) return;
      const triggers = new Set(this.#triggers);
      this.#triggers.clear();
      const again = await this.#work.run(triggers, signal);
      if (again.inMs !== undefined) this.trigger(again.trigger ?? 'retry', again.inMs);
    });
  }

  #inTurn<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const mine = this.#tail.then(() => this.#slots.add(() => this.#now(work))) as Promise<T>;
    this.#tail = mine.catch(() => {});
    return mine;
  }

  async #now<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const present = new AbortController();
    this.#present = present;
    try {
      return await work(AbortSignal.any([this.#signal, present.signal]));
    } finally {
      this.#present = undefined;
    }
  }
}
