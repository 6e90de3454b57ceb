import type { SiteId } from './site.ts';

/** A program of the operator’s that is started when a sync has moved files. */
export type AfterHook = 'after-pull' | 'after-push';

/** What the environment says about them. */
export interface AfterSettings {
  /** Absolute paths; absent: nothing is started. */
  readonly programs: Readonly<Partial<Record<AfterHook, string>>>;
  readonly limitMs: number;
}

/** One start of a program, or why there was none. */
export interface AfterRecord {
  /** The run whose activity shows it: the last of those that the start was about. */
  readonly run: string;
  readonly hook: AfterHook;
  /** ms since 1970. */
  readonly at: number;
  readonly durationMs: number;
  readonly result: 'done' | 'failed' | 'timed-out' | 'not-started';
  /** What happened, in a sentence; empty where it is done. */
  readonly text: string;
  /** What it printed, cut to size, control characters made visible, secrets masked. */
  readonly output: string;
}

/** The variable that names the program. */
export const hookVariable: Readonly<Record<AfterHook, 'MOORING_AFTER_PULL' | 'MOORING_AFTER_PUSH'>> = {
  'after-pull': 'MOORING_AFTER_PULL',
  'after-push': 'MOORING_AFTER_PUSH',
};

/** What a site’s programs are waiting for, for pages and notifications. */
export interface AfterFailure {
  readonly site: SiteId;
  readonly hook: AfterHook;
  readonly times: number;
  readonly text: string;
}

/** What to say of a program that fails. */
export function afterWords({ hook, text }: Pick<AfterFailure, 'hook' | 'text'>, site: string) {
  return {
    title: `The program in ${hookVariable[hook]} fails for ${site}`,
    happened: text,
    untouched: 'Syncing goes on.',
    todo: 'Open the site’s activity to see what it printed. Mooring starts it again automatically.',
  };
}
