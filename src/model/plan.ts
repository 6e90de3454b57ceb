import type { BranchName } from './instance.ts';
import type { NotSynced } from './site.ts';
import type { Oid, SitePath } from './tree.ts';

/** Which side's files the first connect starts from. */
export type Direction = 'replace' | 'start-from-folder';

/** What a first connect would do, counted in a dry run that writes nothing into the folder. */
export interface Plan {
  /** Digest of both sides as they were seen; consent carries it, so it can approve nothing else. */
  readonly id: string;
  readonly direction: Direction;
  readonly branch: BranchName;
  /** The branch's tip; absent: the repository is empty or the branch is new. */
  readonly tip?: Oid;
  readonly replaced: number;
  readonly added: number;
  readonly removed: number;
  readonly same: number;
  readonly samples: readonly PlanSample[];
  /** Files that look like secrets: they stay where they are and are not pushed. */
  readonly secrets: readonly SitePath[];
  /** Other paths that are left exactly as they are. */
  readonly untouched: readonly NotSynced[];
  readonly untouchedCount: number;
  /** Files the repository has but this site refuses, by name. */
  readonly refused: readonly NotSynced[];
  readonly ignored: number;
  /** Switching: edits that the branch the site leaves does not have. They are kept with the present files. */
  readonly unpushed?: { readonly total: number; readonly samples: readonly SitePath[] };
  /** What GitLab's own answers say against it. */
  readonly obstacles?: readonly Obstacle[];
  /** ms since 1970. */
  readonly countedAt: number;
}

/** A rule of GitLab's, or a size, that pushes from here on would run into. */
export type Obstacle = {
  /** Nothing that Mooring cannot see could make it right. */
  readonly certain: boolean;
} & (
  | { readonly kind: 'branch-protected'; readonly pattern: string; readonly needed?: string }
  | { readonly kind: 'branch-name'; readonly pattern: string }
  /** Author and committer of Mooring's commits are one. */
  | { readonly kind: 'author-pattern'; readonly email: string; readonly pattern: string }
  | { readonly kind: 'author-member'; readonly email: string }
  | { readonly kind: 'committer-email'; readonly email: string; readonly username: string }
  | { readonly kind: 'committer-name'; readonly name: string; readonly wanted: string }
  | { readonly kind: 'message-pattern'; readonly subject: string; readonly pattern: string }
  | { readonly kind: 'message-forbidden'; readonly subject: string; readonly pattern: string }
  | { readonly kind: 'unsigned' }
  | { readonly kind: 'no-sign-off' }
  | { readonly kind: 'file-name'; readonly pattern: string; readonly paths: readonly SitePath[] }
  /** `paths`: those of the plan; none: what may come. */
  | { readonly kind: 'file-size'; readonly limit: number; readonly paths: readonly SitePath[] }
  | { readonly kind: 'repository-size'; readonly bytes: number; readonly limit: number }
);

export interface PlanSample {
  readonly mark: '+' | '~' | '-';
  readonly path: SitePath;
  readonly bytes: number;
}

/** What a sync or a connect replaced and can give back. */
export interface KeptVersion {
  readonly id: string;
  /** ms since 1970. */
  readonly at: number;
  readonly cause: KeptCause;
  readonly files: number;
  readonly bytes: number;
}

export type KeptCause =
  | 'connect'
  | 'conflict'
  | 'late-write'
  | 'history-rewritten'
  | 'went-back'
  | 'restore'
  | 'removed'
  | 'refused'
  | 'let-go';

/** A path both sides changed, and how the site's policy resolved it. Both versions stay reachable. */
export interface Conflict {
  readonly id: string;
  /** ms since 1970. */
  readonly at: number;
  readonly path: SitePath;
  readonly kind: 'content' | 'add-add' | 'modify-delete' | 'file-directory' | 'rename' | 'binary' | 'mode';
  /** `both`: each side keeps its own until a person chooses. */
  readonly live: 'repository' | 'site' | 'both';
  /** Blob ids; absent: that side had deleted the path, or there was no common version. */
  readonly base?: Oid;
  readonly repository?: Oid;
  readonly site?: Oid;
  /** The sides whose version is a symbolic link; absent: none. */
  readonly links?: readonly ('repository' | 'site')[];
  readonly resolved?: { readonly at: number; readonly by: string; readonly choice: 'repository' | 'site' };
}
