import type { SiteId } from './site.ts';

/** One thing about this installation: as it should be, or with what to do about it. */
export interface SystemCheck {
  readonly name: string;
  readonly result: 'good' | 'warn' | 'bad' | 'unknown';
  readonly finding: string;
  readonly fix?: string;
}

/** How this installation is, looked at just now. */
export interface SystemReport {
  readonly checks: readonly SystemCheck[];
  readonly startedAt: number;
  readonly host: string;
  readonly memoryBytes: number;
  /** How far the event loop is behind: usually, and at worst since the start. */
  readonly lagMs: { readonly usual: number; readonly worst: number };
  readonly queue: { readonly running: number; readonly waiting: number };
}

/** Something that stops nobody yet. One entry per kind, however many sites it touches. */
export interface Attention {
  readonly kind:
    | 'token-ending'
    | 'reconnect'
    | 'webhook'
    | 'default-branch'
    | 'unwatched'
    | 'never-quiet'
    | 'too-large'
    | 'lfs'
    | 'secrets'
    | 'was-ignored'
    | 'went-back'
    | 'disk'
    | 'watches'
    | 'software'
    | 'store'
    | 'backup'
    | 'after'
    | 'notify'
    | 'declared';
  readonly tone: 'warn' | 'bad' | 'mute';
  readonly title: string;
  readonly text: string;
  /** The page that helps. */
  readonly help?: 'system' | 'account' | 'ignored' | 'files' | 'syncing' | 'notifications' | 'went-back';
  /** What is to be entered at one of the sites. */
  readonly wants?: 'access-token';
  readonly sites: readonly SiteId[];
}

/**
 * One line of `mooring check`. `note`: nothing is known to be wrong, and only time or a person can tell. `fail`: something
 * does not work.
 */
export interface SetUpCheck {
  readonly area: string;
  readonly result: 'ok' | 'note' | 'warn' | 'fail';
  readonly finding: string;
  readonly fix?: string;
}
