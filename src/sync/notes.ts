import type { Trigger } from '../model/event.ts';
import type { Hold, HoldChoice, NotSynced, Progress, Site } from '../model/site.ts';
import type { Refusal } from '../model/refusal.ts';
import type { Change, Oid, SitePath, Tally } from '../model/tree.ts';
import type { Random } from '../model/world.ts';
import type { Lost } from './conflict.ts';
import type { ApplyRequest, Author, Directory, Remote, Repository } from './ports.ts';

export interface RunDeps {
  readonly site: Site;
  readonly repository: Repository;
  readonly directory: Directory;
  readonly remote: Remote;
  readonly random: Random;
  /** Wall time in ms. */
  readonly now: () => number;
  readonly triggers: ReadonlySet<Trigger>;
  /** A person's answer to the last hold. */
  readonly answer?: Answer;
  /** The last push GitLab refused: not offered again by itself until something is different, or it `isDue`. */
  readonly refusal?: Refusal;
  /** What GitLab refused may be offered again: somebody asked for it, or enough time went by. */
  readonly isDue?: boolean;
  /** Told before a merge is offered, and durable when it resolves: a cut must not hide that a version lost. */
  readonly noteLost?: (lost: readonly Lost[]) => Promise<void>;
  /** What is to be committed in somebody's name, the oldest first. */
  readonly signed?: readonly SignedEdits[];
  readonly progress?: (progress: Progress) => void;
  readonly signal?: AbortSignal;
}

/** Edits that somebody signs for: a commit of its own has exactly these paths, and nobody else's edits. */
export interface SignedEdits {
  readonly paths: ReadonlySet<SitePath>;
  /** Absent: whose connection it is. */
  readonly author?: Author;
  readonly message: string;
  /** Told when the ledger has the commit. */
  readonly committed: (commit: Oid, paths: readonly SitePath[]) => void;
}

/** The question as it was shown, and what a person chose. It counts only while the same question stands. */
export interface Answer {
  readonly hold: Hold;
  readonly choice: HoldChoice;
}

/** Where an apply finds what it is to write. */
export function contentsOf(repository: Repository): Pick<ApplyRequest, 'blobs' | 'sizes'> {
  return { blobs: (oids) => repository.blobs(oids), sizes: (oids) => repository.sizes(oids) };
}

/** Paths that wait from this run on, since GitLab refused their content. */
interface LeftBehind {
  readonly paths: readonly SitePath[];
  readonly text: string;
}

/** What one run did and where it left the site. */
export interface Outcome {
  readonly hold?: Hold;
  readonly refused?: Refusal;
  readonly leftBehind?: LeftBehind;
  /** GitLab refused something in this very run. */
  readonly wasRefused: boolean;
  readonly snapshot?: Tally;
  readonly pulled: readonly Change[];
  readonly pushed: readonly Change[];
  readonly lost: readonly Lost[];
  readonly before?: Oid;
  readonly after?: Oid;
  /** Paths that must rest first, and how long to wait, in ms. */
  readonly unsettled: number;
  readonly againInMs?: number;
  readonly notSynced: readonly NotSynced[];
  /** Files a crash had moved aside and that are back at their names. */
  readonly returned: readonly SitePath[];
  readonly lateWrites: readonly SitePath[];
  /** Files that the repository no longer tracks and that stayed in the folder. */
  readonly letGo: readonly SitePath[];
  readonly output: string;
}

/** What a run gathers while it goes. */
export interface Notes {
  hold?: Hold;
  refused?: Refusal;
  leftBehind?: LeftBehind;
  wasRefused: boolean;
  snapshot?: Tally;
  pulled: Change[];
  pushed: Change[];
  lost: Lost[];
  before?: Oid | undefined;
  unsettled: number;
  againInMs?: number;
  notSynced: NotSynced[];
  returned: SitePath[];
  lateWrites: SitePath[];
  letGo: SitePath[];
  /** Paths that a person saw and agreed to see removed from the folder: they are not asked about again. */
  mayGo: ReadonlySet<SitePath>;
  output: string[];
}

export function noNotes(): Notes {
  const lists = {
    pulled: [],
    pushed: [],
    lost: [],
    notSynced: [],
    returned: [],
    lateWrites: [],
    letGo: [],
    output: [],
  };
  return { ...lists, mayGo: new Set(), wasRefused: false, unsettled: 0 };
}

export function finish(notes: Notes, after?: Oid): Outcome {
  const { before, output, mayGo: _mayGo, ...rest } = notes;
  return { ...rest, output: output.join('\n'), ...(before ? { before } : {}), ...(after ? { after } : {}) };
}
