import type { Change, Oid, SitePath } from '../model/tree.ts';
import type { MergeConflict, Merged } from '../sync/ports.ts';
import { oddAnswer } from './failure.ts';

/** What `git merge-tree --write-tree -z --messages` printed. */
export interface MergeTreeOutput {
  readonly tree: Oid;
  /** What git staged: under the names it gave (`x~<label>` for a file in a folder's way), 2 ours, 3 theirs. */
  readonly staged: readonly { readonly path: SitePath; readonly oid: Oid; readonly stage: 1 | 2 | 3 }[];
  readonly messages: readonly { readonly kind: string; readonly paths: readonly SitePath[] }[];
}

/**
 * Parses the NUL-separated form: the tree, what is staged, an empty field, the messages. Only the messages hold the
 * original paths: that is where conflicts are read from. After them may stand text that no NUL ends: advice on
 * submodules. Throws `git-failed` for output that is cut off.
 */
export function parseMergeTree(output: Buffer): MergeTreeOutput {
  const fields = output.toString('latin1').split('\0');
  const [tree = ''] = fields;
  if (!/^[0-9a-f]{40,64}$/.test(tree)) throw oddAnswer('merge-tree');
  const staged: MergeTreeOutput['staged'][number][] = [];
  let at = 1;
  for (; ; at += 1) {
    const row = /^[0-7]{6} ([0-9a-f]{40,64}) ([123])\t([^]+)$/.exec(fields[at] ?? '');
    if (!row) break;
    staged.push({ path: row[3] as SitePath, oid: row[1] as Oid, stage: Number(row[2]) as 1 | 2 | 3 });
  }
  if (fields[at] !== '') throw oddAnswer('merge-tree');
  at += 1;
  const messages: { kind: string; paths: SitePath[] }[] = [];
  while (/^[0-9]+$/.test(fields[at] ?? '')) {
    const count = Number(fields[at]);
    const paths = fields.slice(at + 1, at + 1 + count) as SitePath[];
    messages.push({ kind: fields[at + 1 + count] ?? '', paths });
    at += count + 3;
  }
  // What follows the last NUL is ended by nothing: where the lists reach into it, or stop before it, they are not whole.
  if (at !== fields.length - 1) throw oddAnswer('merge-tree');
  return { tree: tree as Oid, staged, messages };
}

/**
 * The paths that need a decision, with what each side has there. Taken from the two lists of changes since the common
 * version, not from git's stages: those name invented paths for file/folder clashes.
 */
export function conflictsOf(
  output: MergeTreeOutput,
  ours: readonly Change[],
  theirs: readonly Change[],
): Pick<Merged, 'conflicts' | 'staged'> {
  const oursAt = new Map(ours.map((change) => [change.path, change]));
  const theirsAt = new Map(theirs.map((change) => [change.path, change]));
  const kinds = new Map<SitePath, string>();
  for (const { kind, paths } of output.messages) {
    if (!kind.startsWith('CONFLICT')) continue;
    for (const path of paths) if (!kinds.has(path)) kinds.set(path, /\((.*)\)/.exec(kind)?.[1] ?? kind);
  }
  const staged = [...new Set(output.staged.map(({ path }) => path))];
  for (const path of staged)
    if (!kinds.has(path) && (oursAt.has(path) || theirsAt.has(path))) kinds.set(path, 'contents');
  // Git speaks of a folder in the way also where the file's side left it as it was: it just went, and nothing clashes.
  for (const [path, kind] of kinds) {
    const [mine, yours] = [oursAt.get(path), theirsAt.get(path)];
    if (kind.includes('file/directory') && !(mine && yours) && !(mine ?? yours)?.after) kinds.delete(path);
  }
  // Where one side's file and the other's folder meet, only one of them can be live: each file of the folder is in it.
  for (const [path, kind] of [...kinds].filter(([, kind]) => kind.includes('file/directory'))) {
    for (const change of [...ours, ...theirs])
      if (change.after && change.path.startsWith(`${path}/`) && !kinds.has(change.path)) kinds.set(change.path, kind);
  }
  for (const path of [...carried(output, 2, ours, theirs), ...carried(output, 3, theirs, ours)])
    if (!kinds.has(path)) kinds.set(path, 'rename');
  const conflicts: MergeConflict[] = [];
  for (const [path, kind] of kinds) {
    const mine = oursAt.get(path);
    const yours = theirsAt.get(path);
    if (!mine && !yours) continue;
    const base = mine?.before ?? yours?.before;
    conflicts.push({
      path,
      kind,
      ...(base ? { base } : {}),
      ...entry('ours', mine ? mine.after : base),
      ...entry('theirs', yours ? yours.after : base),
    });
  }
  return { conflicts, staged };
}

/**
 * Old names whose edits git carried to where `mine` had moved the file, and where another file now stands too. Only one
 * of the two can be live there; so that the edit is live somewhere, its old name counts as edited against removed.
 */
function carried(
  output: MergeTreeOutput,
  stage: 2 | 3,
  mine: readonly Change[],
  yours: readonly Change[],
): readonly SitePath[] {
  const own = new Map(mine.map((change) => [change.path, change.after?.oid]));
  const mixed = output.staged.filter(
    (row) => row.stage === stage && own.get(row.path) && own.get(row.path) !== row.oid,
  );
  if (mixed.length === 0) return [];
  const gone = new Map(mine.filter(({ after }) => !after).map((change) => [change.path, change.before?.oid]));
  const edited = yours.filter(({ path, before, after }) => before && after && gone.has(path)).map(({ path }) => path);
  const places = new Map(mine.filter(({ before }) => !before).map(({ path, after }) => [after?.oid, path]));
  const targets = new Set(mixed.map(({ path }) => path));
  // Moved without a change: known by its content. Otherwise every moved file that is not known to be elsewhere.
  return edited.filter((path) => {
    const place = places.get(gone.get(path));
    return place === undefined || targets.has(place);
  });
}

function entry<K extends 'ours' | 'theirs'>(
  key: K,
  value: MergeConflict[K],
): Pick<MergeConflict, K> | Record<never, never> {
  return value ? { [key]: value } : {};
}
