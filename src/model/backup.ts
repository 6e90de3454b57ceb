/** The last backups, as System shows them. */
export interface BackupStatus {
  /** The last one that was complete. */
  readonly last?: {
    /** ms since 1970. */
    readonly at: number;
    readonly bytes: number;
    /** Where it is; absent: whoever asked for it wrote it. */
    readonly file?: string;
    /** Names of sites whose repositories were not in it, although they should have been. */
    readonly leftOut: readonly string[];
  };
  /** Since the last complete one; `first` and `at` in ms since 1970. */
  readonly failure?: { readonly first: number; readonly at: number; readonly times: number; readonly text: string };
}

/** What to say of a backup that failed. */
export function backupWords({ text }: NonNullable<BackupStatus['failure']>): {
  happened: string;
  untouched: string;
  todo: string;
} {
  return {
    happened: `The last scheduled backup was not written. ${text}`,
    untouched: 'Syncing goes on. Earlier backups are still there.',
    todo: 'Check the folder in MOORING_BACKUP_FOLDER and its disk. Mooring tries again at the next scheduled time.',
  };
}

/** Backups by the clock, from the environment. */
export interface BackupSettings {
  /** Absolute. */
  readonly folder: string;
  /** Five fields, as cron has them. */
  readonly schedule: string;
  /** So many archives stay. */
  readonly keep: number;
  readonly withRepositories: boolean;
}
