/** A time in which nothing is synced: GitLab is being updated, or files are being moved. Times in ms since 1970. */
export interface MaintenanceWindow {
  readonly from: number;
  readonly until: number;
  /** Absent: once. */
  readonly every?: 'day' | 'week';
  /** The start of a turn that somebody ended early. */
  readonly skipped?: number;
}

/** All sites are paused together. */
export interface PauseAll {
  /** The admin's name; absent: a maintenance window began. */
  readonly by?: string;
  readonly since: number;
  /** When they go on by themselves; absent: when somebody resumes them. */
  readonly until?: number;
}

/** The longest that one turn of a window may last. */
export const longestWindowMs = { once: 7 * 86_400_000, day: 12 * 3_600_000, week: 3 * 86_400_000 } as const;

/** The turn of a window that is under way, or comes next. Undefined once a window without repetition is over. */
export function turnOf(
  { from, until, every }: MaintenanceWindow,
  now: number,
): { readonly from: number; readonly until: number } | undefined {
  if (!every) return now < until ? { from, until } : undefined;
  const period = every === 'day' ? 86_400_000 : 7 * 86_400_000;
  const turns = now < until ? 0 : Math.floor((now - until) / period) + 1;
  return { from: from + turns * period, until: until + turns * period };
}
