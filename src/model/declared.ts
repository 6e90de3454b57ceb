import type { BranchName, ConnectionId, ProjectId } from './instance.ts';
import type { Direction } from './plan.ts';
import type { SiteId } from './site.ts';
import type { Subfolder } from './subfolder.ts';

/** Where something stands in a file; both count from 1. */
export interface DeclaredPlace {
  readonly line: number;
  readonly column: number;
}

/** The branch that a declared site is to follow. */
export interface DeclaredSource {
  /** The connection's name in the file. */
  readonly connection: string;
  /** Absent: nobody has authorised it yet. */
  readonly connectionId?: ConnectionId;
  readonly repository: string;
  /** Absent: GitLab could not be asked yet. */
  readonly projectId?: ProjectId;
  readonly branch: BranchName;
  readonly subfolder: Subfolder;
  readonly direction: Direction;
}

/** A file that was applied, and where in it each declared thing stands. What is in here can only be changed there. */
export interface DeclaredMarks {
  /** Absolute. */
  readonly file: string;
  readonly instance?: DeclaredPlace;
  readonly notifications?: DeclaredPlace;
  /** By account. */
  readonly accounts: Readonly<Record<string, DeclaredPlace>>;
  /** By connection. */
  readonly connections: Readonly<Record<string, DeclaredPlace & { readonly name: string }>>;
  readonly sites: Readonly<Record<string, DeclaredPlace & { readonly source?: DeclaredSource }>>;
}

/** Why something is declared and where, in words for a page: `/etc/mooring/mooring.yaml, line 12`. */
export interface DeclaredAt extends DeclaredPlace {
  readonly file: string;
}

/** What an earlier consent of a site was, so that none counts twice. */
export interface UsedConsents {
  /** How many were used; part of what the next one is made of. */
  readonly uses: number;
  /** The latest, oldest first; `at` in ms since 1970. */
  readonly used: readonly { readonly id: string; readonly at: number }[];
}

export const noConsents: UsedConsents = { uses: 0, used: [] };

/** What is wrong with a declaration, one fault at one place. */
export interface DeclaredFault extends DeclaredPlace {
  /** Of the member: `sites[2].source.branch`; empty for the file as a whole. */
  readonly path: string;
  readonly text: string;
  /** Something that would be right there. */
  readonly example?: string;
}

/** One thing that applying changes, in words. */
export interface DeclaredChange {
  /** Of the member. */
  readonly path: string;
  readonly line: number;
  readonly text: string;
}

/** A declared site that a person has to connect, or to switch. */
export interface DeclaredWait {
  readonly site?: SiteId;
  readonly name: string;
  readonly line: number;
  /** What it waits for, as a sentence. */
  readonly text: string;
  /** The page where a person can confirm it: a path of Mooring's, or the whole URL. */
  readonly page?: string;
  /** What would happen, and the consent to exactly that; only where it was asked for. */
  readonly plan?: {
    readonly consent: string;
    readonly direction: Direction;
    readonly replaced: number;
    readonly added: number;
    readonly removed: number;
    readonly same: number;
    readonly samples: readonly { readonly mark: string; readonly path: string }[];
  };
}

/** How applying a file ended. */
export type ApplyResult = { readonly file: string } & (
  | { readonly kind: 'faults'; readonly faults: readonly DeclaredFault[] }
  | ({ readonly kind: 'planned' | 'applied' } & ApplyOutcome)
  /** A change failed midway. `left`: what was not done; applying again completes it. */
  | ({ readonly kind: 'stopped'; readonly left: readonly DeclaredChange[]; readonly why: string } & ApplyOutcome)
);

export interface ApplyOutcome {
  /** Done; with `planned`: what would be. */
  readonly changes: readonly DeclaredChange[];
  readonly waiting: readonly DeclaredWait[];
  /** What is worth knowing, and is no change. */
  readonly notes: readonly string[];
}
