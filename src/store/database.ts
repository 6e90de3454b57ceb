import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Low } from 'lowdb';
import { Problem } from '../model/problem.ts';
import { exists, FOLDER_MODE, sweepTemporary } from './durable.ts';
import { type DatabaseOptions, StoreFile, type StoreNote } from './store-file.ts';

/** One small JSON file (below 1 MB: it is rewritten whole), held in memory and changed one step at a time. */
export interface Database<T> {
  /** What the disk holds. Never change it in place. */
  readonly data: T;
  readonly notes: readonly StoreNote[];
  /**
   * Applies the change to a copy and writes it; resolves with the change's own result once it is on disk. Changes that
   * come while a write is under way share the next one. When the change throws or the write fails, nothing has
   * happened. Throws `disk-full`, or `store-damaged` with `reason: changed-outside` when somebody else wrote the file.
   */
  update<R>(change: (draft: T) => R): Promise<R>;
  /**
   * What the last write failed with, after writing what is held once more; undefined: it succeeded, or does now. Costs
   * nothing while all is well.
   */
  fault(): Promise<unknown>;
  /** Makes the older generations equal to the present one, for when what they hold must not come back. */
  forgetGenerations(): Promise<void>;
  /** Resolves when no write is under way. */
  flushed(): Promise<void>;
}

/**
 * Opens a store file. A damaged one is put aside and the newest good generation takes its place, with a note; when
 * none is good, throws `store-damaged` and touches nothing. Throws `store-missing`, `store-newer`.
 */
export async function openDatabase<T>(options: DatabaseOptions<T>): Promise<Database<T>> {
  const { path, initial } = options;
  await mkdir(dirname(path), { recursive: true, mode: FOLDER_MODE });
  await sweepTemporary(path);
  const file = new StoreFile(options);
  const low = new Low<T>(file, initial);
  if (!(await exists(path)) && !(await file.hasGenerations())) {
    if (options.missing === 'must-exist') throw new Problem('store-missing', { path });
    await low.write();
  }
  await low.read();
  return inARow(low, file);
}

interface Waiting<T> {
  apply(draft: T): void;
  done(): void;
  fail(error: unknown): void;
}

// lowdb's own update() changes memory even when the write fails; here memory follows the disk, never leads it.
function inARow<T>(low: Low<T>, file: StoreFile<T>): Database<T> {
  let waiting: Waiting<T>[] = [];
  let running: Promise<void> | undefined;
  let fault: unknown;

  async function writeBatch(batch: Waiting<T>[]): Promise<void> {
    let draft = low.data;
    const applied: Waiting<T>[] = [];
    for (const each of batch) {
      // A copy for each, so that one change that throws half-way leaves the others in the batch clean.
      const next = structuredClone(draft);
      try {
        each.apply(next);
        draft = next;
        applied.push(each);
      } catch (error) {
        each.fail(error);
      }
    }
    if (applied.length === 0) return;
    try {
      await file.write(draft);
      low.data = file.held;
      fault = undefined;
      for (const each of applied) each.done();
    } catch (error) {
      fault = error;
      for (const each of applied) each.fail(error);
    }
  }

  async function drain(): Promise<void> {
    while (waiting.length > 0) {
      const batch = waiting;
      waiting = [];
      await writeBatch(batch);
    }
    running = undefined;
  }

  return {
    get data() {
      return low.data;
    },
    notes: file.notes,
    async fault() {
      while (running) await running;
      if (fault === undefined) return undefined;
      running = file.rewrite().then(
        () => void (fault = undefined),
        (error: unknown) => void (fault = error),
      );
      await running;
      // Changes that came meanwhile have waited for it.
      running = waiting.length > 0 ? drain() : undefined;
      return fault;
    },
    update<R>(change: (draft: T) => R): Promise<R> {
      return new Promise<R>((resolve, reject) => {
        let result: R;
        waiting.push({ apply: (draft) => (result = change(draft)), done: () => resolve(result), fail: reject });
        running ??= drain();
      });
    },
    forgetGenerations: () => file.forgetGenerations(),
    flushed: () => running ?? Promise.resolve(),
  };
}
