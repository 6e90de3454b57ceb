import type { Conflict } from '../model/plan.ts';
import type { ConflictPolicy } from '../model/site.ts';
import type { Entry, SitePath } from '../model/tree.ts';
import type { MergeConflict, Merged } from './ports.ts';

export interface Resolution {
  /** What to set on top of git's merged tree. */
  readonly edits: readonly { readonly path: SitePath; readonly entry?: Entry }[];
  /** The paths where one side's version did not become live. */
  readonly lost: readonly Lost[];
}

export interface Lost {
  readonly path: SitePath;
  readonly kind: Conflict['kind'];
  readonly live: Conflict['live'];
  readonly base?: Entry;
  readonly repository?: Entry;
  readonly site?: Entry;
}

/**
 * Resolves the paths both sides changed, by the site's policy. Nothing of git's conflict markers and invented names
 * stays, and nothing is written beside the live file: a copy of `config.php` would be served. An edit beats a removal
 * whatever the policy, since it is the one that can be undone. `pointers`: where the repository's version is a pointer
 * that no content may replace, so that it wins. Pure.
 */
export function resolveConflicts(
  merged: Merged,
  policy: ConflictPolicy,
  pointers: ReadonlySet<SitePath> = new Set(),
): Resolution {
  const edits = new Map<SitePath, Entry | undefined>();
  for (const path of merged.staged) edits.set(path, undefined);
  const lost: Lost[] = [];
  for (const conflict of merged.conflicts) {
    const folderSide = folderWins(conflict, policy);
    if (folderSide) {
      lost.push(lose(conflict, folderSide));
      continue;
    }
    const { entry, live } = pick(conflict, pointers.has(conflict.path) ? 'repository' : policy);
    edits.set(conflict.path, entry);
    if (live) lost.push(lose(conflict, live));
  }
  return { edits: [...edits].map(([path, entry]) => (entry ? { path, entry } : { path })), lost };
}

/** One side made the path a folder: if that side wins, the other's file has no place. */
function folderWins({ kind, ours, theirs }: MergeConflict, policy: ConflictPolicy): Conflict['live'] | undefined {
  if (!kind.includes('file/directory')) return undefined;
  // A folder cannot be held against a file: one of the two must be live on both sides.
  if (!theirs && policy !== 'site') return 'repository';
  if (!ours && policy === 'site') return 'site';
  return undefined;
}

function pick(conflict: MergeConflict, policy: ConflictPolicy): { entry: Entry | undefined; live?: Conflict['live'] } {
  const { base, ours, theirs } = conflict;
  if (same(ours, theirs) || same(theirs, base)) return { entry: ours };
  if (same(ours, base)) return { entry: theirs };
  if (!theirs) return { entry: ours, live: 'site' };
  if (!ours) return { entry: theirs, live: 'repository' };
  if (policy === 'site') return { entry: ours, live: 'site' };
  const apart = policy === 'hold' && !conflict.kind.includes('file/directory');
  return { entry: theirs, live: apart ? 'both' : 'repository' };
}

function lose({ path, kind, base, ours, theirs }: MergeConflict, live: Conflict['live']): Lost {
  return {
    path,
    kind: kindOf(kind, base, ours, theirs),
    live,
    ...(base ? { base } : {}),
    ...(theirs ? { repository: theirs } : {}),
    ...(ours ? { site: ours } : {}),
  };
}

function kindOf(kind: string, base?: Entry, ours?: Entry, theirs?: Entry): Conflict['kind'] {
  if (kind.includes('file/directory')) return 'file-directory';
  if (kind.includes('rename')) return 'rename';
  if (kind.includes('binary')) return 'binary';
  if (!ours || !theirs) return 'modify-delete';
  if (!base) return 'add-add';
  return ours.oid === theirs.oid ? 'mode' : 'content';
}

function same(a: Entry | undefined, b: Entry | undefined): boolean {
  return a?.oid === b?.oid && a?.mode === b?.mode;
}
