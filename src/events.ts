import type { Numbered, SyncEvent } from './model/event.ts';

/** Everything worth telling goes through here once: history, live pages, metrics and the log follow. */
export interface Events {
  /** Adds id and time and tells every follower, at once unless a follower is publishing. Never throws. */
  publish(event: SyncEvent): Numbered;
  /**
   * Calls back with every event after `sinceId` that is still remembered, then live. Without `sinceId` live only.
   * Returns the way to stop, which may be called twice.
   */
  follow(sinceId: number | undefined, listener: (event: Numbered) => void): () => void;
}

/** `capacity`: how many events a page that was away can catch up on; a page that missed more loads itself anew. */
export function createEvents(options: {
  now: () => number;
  onFault: (error: unknown) => void;
  capacity?: number;
}): Events {
  const { now, onFault, capacity = 1_000 } = options;
  const remembered: Numbered[] = [];
  const followers = new Set<(event: Numbered) => void>();
  const undelivered: Numbered[] = [];
  let delivering = false;
  // From the clock, so that ids go on growing over a restart: a browser that comes back with an old id gets what is new.
  let id = now();

  function tell(listener: (event: Numbered) => void, event: Numbered): void {
    try {
      listener(event);
    } catch (error) {
      onFault(error);
    }
  }

  /** A listener may publish: what it says comes after what is being told, for everybody in the same order. */
  function deliver(): void {
    if (delivering) return;
    delivering = true;
    for (let event = undelivered.shift(); event; event = undelivered.shift()) {
      remembered.push(event);
      if (remembered.length > capacity) remembered.shift();
      for (const follower of [...followers]) if (followers.has(follower)) tell(follower, event);
    }
    delivering = false;
  }

  return {
    publish(event) {
      id += 1;
      const numbered = { ...event, id, at: now() };
      undelivered.push(numbered);
      deliver();
      return numbered;
    },
    follow(sinceId, listener) {
      // A function of its own for each, so that one listener may follow twice and stop once.
      const follower = (event: Numbered): void => listener(event);
      // What is published meanwhile waits, or it would come before what is being replayed, or not at all.
      const outer = delivering;
      delivering = true;
      if (sinceId !== undefined) for (const event of [...remembered]) if (event.id > sinceId) tell(follower, event);
      followers.add(follower);
      delivering = outer;
      deliver();
      return () => void followers.delete(follower);
    },
  };
}
