import type { ChildProcess } from 'node:child_process';
import { ByteReader } from './bytes.ts';
import { type GitProcess, write } from './driver.ts';
import { localFailure } from './failure.ts';

/** What one question is asked and answered through. What breaks the answer off is thrown. */
export interface Line {
  send(text: string | Buffer): Promise<void>;
  /** The next row of the answer, without its end. */
  row(): Promise<string>;
  /** So many bytes of it. */
  bytes(count: number): Promise<Buffer>;
}

/** The process ended in the midst of an answer. */
class Ended extends Error {
  override readonly name = 'Ended';
}

interface Running {
  readonly process: GitProcess;
  readonly line: Line;
}

const always = (): boolean => true;

/**
 * A git command that answers one question after another, so that a question starts no process. It is started by the first
 * question and ends when it was asked nothing for a while. While it is idle, it keeps nobody from exiting.
 */
export class Coprocess {
  readonly #command: string;
  readonly #start: () => GitProcess;
  readonly #pool: CoprocessPool;
  readonly #onEnd: () => void;
  #running: Running | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #asking = 0;
  #idle: NodeJS.Timeout | undefined;

  /** `onEnd`: it rests or died. */
  constructor(command: string, start: () => GitProcess, pool: CoprocessPool, onEnd: () => void = () => {}) {
    this.#command = command;
    this.#start = start;
    this.#pool = pool;
    this.#onEnd = onEnd;
  }

  /**
   * Runs `talk` after those that were asked before. A process that breaks off, or whose answer `talk` does not
   * understand, is ended, and another one is asked once more if `mayRepeat` says so. Throws what git says at its end.
   */
  ask<T>(talk: (line: Line) => Promise<T>, mayRepeat: () => boolean = always): Promise<T> {
    this.#asking += 1;
    const answer = this.#turn
      .then(() => this.#talk(talk))
      .catch((error: unknown) => {
        if (mayRepeat()) return this.#talk(talk);
        throw error;
      })
      .catch((error: unknown) => {
        throw error instanceof Ended ? localFailure(this.#command, error.message) : error;
      })
      .finally(() => (this.#asking -= 1));
    this.#turn = answer.catch(() => undefined);
    return answer;
  }

  get isIdle(): boolean {
    return this.#asking === 0;
  }

  /** Ends the process once what was asked is answered; the next question starts another. */
  async end(): Promise<void> {
    const rest = this.#turn.then(async () => {
      const running = this.#running;
      if (!running) return;
      this.#forget(running);
      hold(running.process.child, true);
      running.process.child.stdin?.end();
      await running.process.ended.catch(() => undefined);
    });
    this.#turn = rest;
    await rest;
  }

  async #talk<T>(talk: (line: Line) => Promise<T>): Promise<T> {
    clearTimeout(this.#idle);
    const running = (this.#running ??= this.#open());
    hold(running.process.child, true);
    const tooLong = setTimeout(() => running.process.end(), this.#pool.answerMs);
    try {
      const answer = await talk(running.line);
      this.#rest(running);
      return answer;
    } catch (error) {
      this.#forget(running);
      // What is left of the answer is of no use to the next question.
      if (!(error instanceof Ended)) running.process.end();
      hold(running.process.child, true);
      const { stderr } = await running.process.ended;
      throw error instanceof Ended ? new Ended(stderr) : error;
    } finally {
      clearTimeout(tooLong);
    }
  }

  #open(): Running {
    const process = this.#start();
    const { stdin, stdout } = process.child;
    const reader = new ByteReader(stdout);
    const line: Line = {
      send: async (text) => {
        if (stdin) await write(stdin, text);
      },
      async row() {
        const row = await reader.until(0x0a);
        if (row === undefined) throw new Ended();
        return row.toString('latin1');
      },
      bytes: (count) => reader.exactly(count).catch(() => Promise.reject(new Ended())),
    };
    const running = { process, line };
    const forget = (): void => this.#forget(running);
    process.ended.then(forget, forget);
    this.#pool.started(this);
    return running;
  }

  #rest(running: Running): void {
    if (this.#running !== running) return;
    hold(running.process.child, false);
    this.#idle = setTimeout(() => void this.end(), this.#pool.idleMs).unref();
  }

  #forget(running: Running): void {
    if (this.#running !== running) return;
    clearTimeout(this.#idle);
    this.#running = undefined;
    this.#pool.ended(this);
    this.#onEnd();
  }
}

interface PoolLimits {
  readonly processes: number;
  /** An idle process ends after this. */
  readonly idleMs: number;
  /** No answer takes as long: a process that hangs is ended. */
  readonly answerMs: number;
}

/** How many such processes live at once, over all sites: the one that was started first and is idle makes room. */
export class CoprocessPool {
  readonly idleMs: number;
  readonly answerMs: number;
  readonly #limit: number;
  readonly #live = new Set<Coprocess>();

  constructor({ processes = 32, idleMs = 30_000, answerMs = 600_000 }: Partial<PoolLimits> = {}) {
    this.#limit = processes;
    this.idleMs = idleMs;
    this.answerMs = answerMs;
  }

  started(one: Coprocess): void {
    this.#live.add(one);
    for (const other of this.#live) {
      if (this.#live.size <= this.#limit) return;
      if (!other.isIdle) continue;
      this.#live.delete(other);
      void other.end();
    }
  }

  ended(one: Coprocess): void {
    this.#live.delete(one);
  }

  get size(): number {
    return this.#live.size;
  }
}

/** Whether the daemon waits for this process when it has nothing else to do. */
function hold(child: ChildProcess, held: boolean): void {
  for (const part of [child, child.stdin, child.stdout, child.stderr]) {
    const handle = part as { ref?(): void; unref?(): void } | null;
    if (held) handle?.ref?.();
    else handle?.unref?.();
  }
}
