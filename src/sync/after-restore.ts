import { type Change, type Entry, type Oid, type SitePath, isLink, sameContent } from '../model/tree.ts';
import { trailer } from './message.ts';
import type { RunDeps } from './notes.ts';
import type { Directory, Ledger, Repository } from './ports.ts';

/**
 * The ledger comes from a backup: it tells how the folder was then. Since then the site may have synced many times, so
 * that what the folder has is on the branch, and what the ledger says is old news. Taken for the baseline as it is, the
 * ledger would make edits of everything that arrived since, and they would undo what others did to the same files.
 *
 * Before the folder is scanned, the baseline is therefore found anew: the state of the branch which the folder resembles
 * most, and for each path that the folder has in another state of the branch since the backup, that state. Such a path
 * is no edit. What the branch never had is one. A path that is missing is written again, as after a lost manifest.
 */
export async function reconcileRestored(deps: RunDeps): Promise<void> {
  const { repository, directory, remote, signal } = deps;
  const ledger = await repository.ledger();
  const { disk, remote: known, pending } = ledger;
  if (!ledger.restored) return;
  // A first connect that a person agreed to was under way: its journal tells what was to happen.
  if (!disk || !known || pending === known) return repository.updateRefs({ restored: null });
  let tip = await remote.head(signal, true);
  if (tip !== 'absent') tip = await remote.fetch(signal, deps.progress);
  const isContinued = tip !== 'absent' && ['equal', 'behind'].includes(await repository.relation(known, tip));
  // Everything that was under way then is over, one way or another.
  const over = { pending: null, offered: null, choice: null, back: null, restored: null };
  // A branch that is gone, went back or was rewritten is a question to a person, who is asked it in the ordinary way.
  if (tip === 'absent' || !isContinued) return repository.updateRefs(over);
  await keepUnpushed(deps, [disk, ledger.choice], tip);
  // Nobody has pushed anything since, Mooring neither: the ledger is as good as on the day.
  if (['equal', 'ahead'].includes(await repository.relation(disk, tip)))
    return repository.updateRefs({ ...over, remote: tip });
  await directory.resetBaseline(disk, () => repository.files(disk, Number.POSITIVE_INFINITY));
  const { edges, first } = await edgesSince(repository, ledger as Ledger & { disk: Oid; remote: Oid }, tip);
  const states = statesOf(edges);
  const present = await presentStates(directory, states);
  const baseline = closest(edges, first, tip, present);
  const edits = await others(repository, baseline, present);
  if (edits.length === 0) return repository.updateRefs({ ...over, disk: baseline, remote: baseline, base: null });
  const { tree } = await repository.commit(baseline);
  const message = `Restored from a backup\n\n${trailer}\n`;
  const mixed = await repository.createCommit({ parents: [baseline], tree, edits, message });
  // No state of the branch is exactly this one, so history cannot say who changed what: the tree can.
  await repository.updateRefs({ ...over, disk: mixed, remote: baseline, base: mixed });
}

/** What was not on GitLab when the backup was made, and may be nowhere else. */
async function keepUnpushed(
  { repository, now }: RunDeps,
  commits: readonly (Oid | undefined)[],
  tip: Oid,
): Promise<void> {
  for (const commit of commits) {
    if (!commit || ['equal', 'behind'].includes(await repository.relation(commit, tip))) continue;
    await repository.keep({ cause: 'conflict', at: now(), commit, files: 0, bytes: 0 });
  }
}

/** A step of the branch from one commit to the next. */
interface Edge {
  readonly parent: Oid;
  readonly child: Oid;
  readonly changes: readonly Change[];
}

/** A longer history is not gone through commit by commit. */
const mostCommits = 20_000;

/**
 * Every step of the branch since the backup, the oldest first, and the commits they begin from: those the folder's line
 * had at the time. A partial apply over a rewritten history adds the step that it had left.
 */
async function edgesSince(
  repository: Repository,
  { disk, remote: known, base }: Ledger & { readonly disk: Oid; readonly remote: Oid },
  tip: Oid,
): Promise<{ edges: readonly Edge[]; first: readonly Oid[] }> {
  const edges: Edge[] = [];
  const between = async (parent: Oid, child: Oid): Promise<Edge> => ({
    ...{ parent, child },
    changes: await repository.changes(parent, child),
  });
  if (base) edges.push(await between(base, known));
  if ((await repository.apart(tip, disk)).ours > mostCommits)
    return { edges: [...edges, await between(known, tip)], first: [known] };
  const commits = await repository.unpushed(tip, disk);
  const inRange = new Set(commits.map(({ oid }) => oid));
  for (const { oid, parents, changes } of commits) {
    const [parent] = parents;
    if (parents.length === 1 && parent) edges.push({ parent, child: oid, changes });
    else for (const each of parents) edges.push(await between(each, oid));
  }
  const first = commits.flatMap(({ parents }) => parents).filter((parent) => !inRange.has(parent));
  return { edges, first: [...new Set(first)] };
}

/** By {@link contentOf}. */
type States = ReadonlyMap<SitePath, ReadonlyMap<string, Entry | undefined>>;

/** The same for a file whatever it may do; a link is never the same as a file with its target as content. */
const contentOf = (entry: Entry | undefined): string =>
  entry === undefined ? 'absent' : isLink(entry) ? `link ${entry.oid}` : entry.oid;

/** For each path that changed, every state it was in. */
function statesOf(edges: readonly Edge[]): States {
  const states = new Map<SitePath, Map<string, Entry | undefined>>();
  for (const { changes } of edges)
    for (const { path, before, after } of changes) {
      const known = states.get(path) ?? new Map<string, Entry | undefined>();
      for (const entry of [before, after]) known.set(contentOf(entry), entry);
      states.set(path, known);
    }
  return states;
}

/** Of the paths, those that the folder has in one of their states, and in which. All others were edited. */
async function presentStates(
  directory: Directory,
  states: States,
): Promise<ReadonlyMap<SitePath, { readonly entry?: Entry }>> {
  const present = new Map<SitePath, { entry?: Entry }>();
  for (const [path, known] of states) {
    const content = await contentAt(directory, path, [...known.values()].at(-1)?.oid);
    if (content === undefined || !known.has(content)) continue;
    const entry = known.get(content);
    present.set(path, entry ? { entry } : {});
  }
  return present;
}

/** `absent`: nothing is there. Undefined: something that is no file, or that cannot be read. */
async function contentAt(directory: Directory, path: SitePath, newest: Oid | undefined): Promise<string | undefined> {
  if (!directory.has(path)) return contentOf(undefined);
  const entry = await directory.entryAt(path, newest).catch(() => undefined);
  return entry && contentOf(entry);
}

/**
 * The commit that has most paths as the folder has them. Of several, the oldest: an edit that was made to a newer state
 * merges well from an older one, while the other way round it would undo the newer.
 */
function closest(
  edges: readonly Edge[],
  first: readonly Oid[],
  tip: Oid,
  present: ReadonlyMap<SitePath, { readonly entry?: Entry }>,
): Oid {
  const fits = (path: SitePath, entry: Entry | undefined): number => {
    const here = present.get(path);
    return here && sameContent(here.entry, entry) ? 1 : 0;
  };
  // Relative to the tip: from a child to its parent, only what the step changed counts.
  const scores = new Map<Oid, number>([[tip, 0]]);
  for (const { parent, child, changes } of [...edges].reverse()) {
    const score = scores.get(child);
    if (score === undefined || scores.has(parent)) continue;
    const gained = changes.reduce((sum, { path, before, after }) => sum + fits(path, before) - fits(path, after), 0);
    scores.set(parent, score + gained);
  }
  let [best, most] = [tip, Number.NEGATIVE_INFINITY];
  for (const commit of [...first, ...edges.map(({ child }) => child)]) {
    const score = scores.get(commit);
    if (score !== undefined && score > most) [best, most] = [commit, score];
  }
  return best;
}

/** Where the folder has another state of the branch than the baseline has. */
async function others(
  repository: Repository,
  baseline: Oid,
  present: ReadonlyMap<SitePath, { readonly entry?: Entry }>,
): Promise<readonly { readonly path: SitePath; readonly entry?: Entry }[]> {
  const files = await repository.files(baseline, Number.POSITIVE_INFINITY);
  const there = new Map(files.map(({ path, mode, oid }) => [path, { mode, oid }]));
  return [...present].flatMap(([path, { entry }]) =>
    sameContent(there.get(path), entry) ? [] : [{ path, ...(entry ? { entry } : {}) }],
  );
}
