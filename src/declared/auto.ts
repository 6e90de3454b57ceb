import type { ApplyResult } from '../model/declared.ts';
import { asProblem } from '../model/problem.ts';
import { describe } from '../model/remedy.ts';
import type { Clock } from '../model/world.ts';
import type { Apply } from './apply.ts';
import { faultLine } from './words.ts';

export interface AutoApplyDeps {
  readonly apply: Apply;
  /** Undefined: nothing is applied by itself. */
  readonly file: string | undefined;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;
}

/** Applies the daemon's own file at start and whenever it is asked to. */
export interface AutoApply {
  /** Begins at once and is not waited for: syncing goes on with what was applied before. */
  begin(why: 'start' | 'SIGHUP' | 'a new connection'): void;
  /** Why the file is not applied, as sentences; undefined: it is, or there is none. */
  trouble(): string | undefined;
  /** Waits for an apply under way. */
  stop(): Promise<void>;
}

const firstWaitMs = 5_000;
const longestWaitMs = 5 * 60_000;

/**
 * A file with faults changes nothing and keeps nobody from syncing: it is told in the log and under Attention. A GitLab
 * that does not answer just now is asked again until it does, or another apply begins.
 */
export function createAutoApply({ apply, file, clock, log }: AutoApplyDeps): AutoApply {
  let current = new AbortController();
  let last: Promise<void> = Promise.resolve();
  let trouble: string | undefined;

  function tell(result: ApplyResult): void {
    trouble = undefined;
    if (result.kind === 'faults') {
      trouble = result.faults.map((one) => faultLine(result.file, one)).join('\n');
      return log('error', `Nothing of ${result.file} was applied.`, { faults: trouble });
    }
    for (const note of result.notes) log('warn', note);
    for (const { name, line, text } of result.waiting) log('info', `${name} (line ${line}): ${text}`);
    for (const { line, text } of result.changes) log('info', `Applied (line ${line}): ${text}`);
    if (result.kind !== 'stopped') return log('info', `${result.file} is applied.`, { changes: result.changes.length });
    trouble = result.why;
    log('error', `${result.file} was applied in part.`, {
      done: result.changes.length,
      left: result.left.length,
      why: trouble,
    });
  }

  async function run(path: string, by: string, signal: AbortSignal): Promise<void> {
    for (let waitMs = firstWaitMs; !signal.aborted; waitMs = Math.min(longestWaitMs, waitMs * 2)) {
      try {
        return tell(await apply(path, { dryRun: false, by }));
      } catch (error) {
        const { title, happened, todo } = describe(asProblem(error).toFacts());
        trouble = `${title}. ${happened} ${todo}`;
        log('warn', `${path} is not applied yet: it is tried again.`, { why: trouble, error });
        await clock.sleep(waitMs, signal).catch(() => undefined);
      }
    }
  }

  return {
    begin(why) {
      if (file === undefined)
        return void (why === 'SIGHUP' && log('warn', 'MOORING_DECLARED is not set: nothing is applied.'));
      current.abort();
      current = new AbortController();
      const { signal } = current;
      last = last.then(() => run(file, why, signal));
    },
    trouble: () => trouble,
    async stop() {
      current.abort();
      await last;
    },
  };
}
