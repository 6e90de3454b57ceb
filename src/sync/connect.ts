import { createHash } from 'node:crypto';
import type { BranchName } from '../model/instance.ts';
import type { Direction, Plan, PlanSample } from '../model/plan.ts';
import { Problem } from '../model/problem.ts';
import type { NotSynced, Progress } from '../model/site.ts';
import type { Subfolder } from '../model/subfolder.ts';
import { type Change, type Oid, type SitePath, displayPath, isLink, sameContent, tally } from '../model/tree.ts';
import { checkBranchSize } from './branch-size.ts';
import { gitignoresOf } from './gitignores.ts';
import { editMessage, trailer } from './message.ts';
import { contentsOf } from './notes.ts';
import { partialCommit } from './partial.ts';
import type { Directory, Remote, Repository, Survey, TreeFile } from './ports.ts';

export interface ConnectDeps {
  readonly repository: Repository;
  readonly directory: Directory;
  readonly remote: Remote;
  readonly branch: BranchName;
  readonly now: () => number;
  readonly fileLimit: number;
  /** Part of what a person says yes to. */
  readonly subfolder?: Subfolder;
  /**
   * Present: the site is connected already, and a branch that does not exist begins where the present one is. Called
   * just before the ledger steps to `tip` of the other branch; durable when it resolves.
   */
  readonly switching?: (tip: Oid) => Promise<void>;
  readonly signal?: AbortSignal;
  readonly progress?: (progress: Progress) => void;
}

/** Both sides as they were seen for one plan. */
interface Sides {
  readonly tip?: Oid;
  /** The branch is still to be made, at `tip`. */
  readonly isNew?: boolean;
  readonly theirs: readonly TreeFile[];
  readonly survey: Survey;
  /** What the repository has and this site would not write, and why. */
  readonly refused: readonly NotSynced[];
}

/** The dry run of a first connect: counts what would happen and writes nothing into the folder. */
export async function planConnect(deps: ConnectDeps, direction: Direction): Promise<Plan> {
  await deps.directory.check();
  await deps.repository.prepare();
  const sides = await surveySides(deps, direction);
  const unpushed = deps.switching ? await notPushed(deps, sides.survey) : [];
  const plan = describe(sides, direction, deps);
  return unpushed.length === 0 ? plan : { ...plan, unpushed: { total: unpushed.length, samples: unpushed } };
}

/** What the folder has otherwise than the branch it leaves: it stays in the kept version alone. */
async function notPushed({ repository, directory, fileLimit }: ConnectDeps, survey: Survey): Promise<SitePath[]> {
  const { remote } = await repository.ledger();
  if (!remote) return [];
  const files = await repository.files(remote, fileLimit);
  const there = new Map(files.map((file) => [file.path, file]));
  const refused = await directory.refusals(files, { commit: remote });
  const here = new Set(survey.files.map(({ path }) => path));
  const edited = survey.files.filter((file) => !sameContent(there.get(file.path), file)).map(({ path }) => path);
  const removed = [...there.values()].filter((file) => !here.has(file.path) && !refused.has(file.path));
  return [...edited, ...removed.map(({ path }) => path)].sort();
}

/**
 * Carries out the plan a person said yes to. Looks again first: if either side is not what the plan showed, nothing is
 * touched and `plan-outdated` is thrown. `bound` is called when the point of no return is durable, before the first
 * file changes: what fails after it, the next ordinary run goes on with.
 */
export async function connect(
  deps: ConnectDeps,
  direction: Direction,
  planId: string,
  bound: () => Promise<void>,
): Promise<Plan> {
  await deps.directory.check();
  await deps.repository.prepare();
  const sides = await surveySides(deps, direction);
  const plan = describe(sides, direction, deps);
  if (plan.id !== planId) throw new Problem('plan-outdated', {});
  if (direction === 'replace') await tryDisks(deps, sides);
  const { repository } = deps;
  // A connected site without a ledger would be broken by a crash here; its ledger is replaced in one step below.
  if (!deps.switching)
    await repository.updateRefs({
      disk: null,
      remote: null,
      pending: null,
      offered: null,
      choice: null,
      base: null,
      back: null,
    });
  await deps.directory.resetBaseline(undefined, async () => []);
  deps.directory.hold([]);
  const kept = await keepFolder(deps, sides);
  if (sides.isNew && sides.tip) await begin(deps, sides.tip);
  if (direction === 'replace' && sides.tip) await replaceFolder(deps, kept, { ...sides, tip: sides.tip }, bound);
  else await startFromFolder(deps, kept, sides, bound);
  return plan;
}

/** The listing stops at the first file too many; only then it is worth finding out whose commit brought it. */
async function filesOf(repository: Repository, tip: Oid, limit: number): Promise<readonly TreeFile[]> {
  return repository.files(tip, limit).catch(async (error: unknown) => {
    await checkBranchSize(repository, tip, limit);
    throw error;
  });
}

async function surveySides(deps: ConnectDeps, direction: Direction): Promise<Sides> {
  const { repository, directory, remote, fileLimit, signal, progress, switching } = deps;
  const found = await remote.fetch(signal, progress);
  const from = found === 'absent' && switching ? (await repository.ledger()).remote : undefined;
  const tip = from ?? found;
  const theirs = tip === 'absent' ? [] : await filesOf(repository, tip, fileLimit);
  // The repository's own rules count already: what it ignores is not the connect's to remove.
  const commit = tip === 'absent' ? undefined : tip;
  const survey = await directory.survey(await gitignoresOf(repository, theirs), commit);
  if (survey.changing.length > 0) {
    throw new Problem('plan-outdated', { path: displayPath(survey.changing[0] as SitePath) });
  }
  const ours = new Set(survey.files.map(({ path }) => path));
  const rivals = directory.collisions(theirs.map(({ path }) => path));
  // The rules for large files are those that will be in the folder: the branch's, or what it has already.
  const files = direction === 'replace' ? theirs : [];
  const reasons = await directory.refusals(theirs, { files, ...(commit ? { commit } : {}) });
  const refused: NotSynced[] = [];
  if (direction === 'replace') refused.push(...(await staying(deps, theirs, survey, 'known')));
  for (const file of theirs) {
    const rival = rivals.get(file.path);
    const reason =
      reasons.get(file.path) ??
      (rival === undefined ? undefined : { kind: 'collides' as const, with: rival }) ??
      (!ours.has(file.path) && directory.has(file.path) ? { kind: 'ignored-in-the-way' as const } : undefined);
    if (reason) refused.push({ path: file.path, reason });
  }
  return { theirs, survey, refused, ...(commit ? { tip: commit } : {}), ...(from ? { isNew: true } : {}) };
}

/** Before anything is given up: what the disks turn out to be unable to do would have been part of the plan. */
async function tryDisks(deps: ConnectDeps, { theirs, survey, refused }: Sides): Promise<void> {
  const found = await staying(deps, theirs, survey, 'tried');
  const shown = refused.filter(({ reason }) => reason.kind === 'no-capture');
  if (found.length !== shown.length) throw new Problem('plan-outdated', {});
}

/** What the folder has otherwise than the branch, and its disks cannot replace or remove without the chance of a loss. */
async function staying(
  { directory }: ConnectDeps,
  theirs: readonly TreeFile[],
  { files }: Survey,
  disks: 'known' | 'tried',
): Promise<NotSynced[]> {
  const there = new Map(theirs.map(({ path, oid }) => [path, oid]));
  const others = files.filter(({ path, oid }) => there.get(path) !== oid).map(({ path }) => path);
  return (await directory.uncaptured(others, disks)).map((path) => ({ path, reason: { kind: 'no-capture' } }));
}

function describe(sides: Sides, direction: Direction, deps: ConnectDeps): Plan {
  // Neither side's file moves where the repository's is not ours to write.
  const refused = new Set(sides.refused.map(({ path }) => path));
  const theirs = new Map(sides.theirs.filter(({ path }) => !refused.has(path)).map((file) => [file.path, file]));
  const ours = new Map(sides.survey.files.filter(({ path }) => !refused.has(path)).map((file) => [file.path, file]));
  const [from, to] = direction === 'replace' ? [ours, theirs] : [theirs, ours];
  const samples: PlanSample[] = [];
  let same = 0;
  for (const [path, file] of to) {
    const before = from.get(path);
    if (sameContent(before, file)) same += 1;
    else samples.push({ mark: before ? '~' : '+', path, bytes: file.size });
  }
  for (const [path, file] of from) if (!to.has(path)) samples.push({ mark: '-', path, bytes: file.size });
  const count = (mark: PlanSample['mark']): number => samples.filter((sample) => sample.mark === mark).length;
  const untouched = sides.survey.left.filter(({ reason }) => reason.kind !== 'secret');
  return {
    id: digest(sides, `${direction} ${deps.subfolder ?? ''}`),
    direction,
    branch: deps.branch,
    ...(sides.tip && !sides.isNew ? { tip: sides.tip } : {}),
    replaced: count('~'),
    added: count('+'),
    removed: count('-'),
    same,
    samples: samples.sort((a, b) => order(a) - order(b) || (a.path < b.path ? -1 : 1)),
    secrets: sides.survey.left.filter(({ reason }) => reason.kind === 'secret').map(({ path }) => path),
    untouched,
    untouchedCount: untouched.length,
    refused: sides.refused,
    ignored: sides.survey.ignored,
    countedAt: deps.now(),
  };
}

/** What is lost first: those are the paths a person must see. */
const order = ({ mark }: PlanSample): number => ['-', '~', '+'].indexOf(mark);

/** Names both sides exactly: the same id means the same step. */
function digest({ tip, isNew, survey, refused }: Sides, what: string): string {
  const hash = createHash('sha256').update(`${what}\n${isNew ? 'new ' : ''}${tip ?? 'absent'}\n`);
  const rows = survey.files
    .map((file) => `${file.oid}${isLink(file) ? ' link' : ''} ${JSON.stringify(file.path)}`)
    .sort();
  const left = [...survey.left, ...refused].map(({ path, reason }) => `${reason.kind} ${JSON.stringify(path)}`).sort();
  return hash.update(rows.join('\n')).update('\n--\n').update(left.join('\n')).digest('hex').slice(0, 32);
}

/** The folder as it is, under its own ref: a commit that no pushed commit ever descends from. */
async function keepFolder({ repository, directory, now }: ConnectDeps, { survey, ...sides }: Sides): Promise<Oid> {
  const taken = await repository.commitFiles(
    undefined,
    survey.files.map(({ pending }) => pending),
    () => 'Folder before it was connected\n',
  );
  const changed = survey.files.some((file) => !sameContent(taken.entries.get(file.path), file));
  if (changed || taken.unsteady.length > 0) throw new Problem('plan-outdated', {});
  const bytes = survey.files.reduce((sum, { size }) => sum + size, 0);
  if (survey.files.length > 0) {
    const modes = directory.modes(survey.files.map(({ path }) => path));
    await repository.keep({
      cause: 'connect',
      at: now(),
      commit: taken.commit,
      files: survey.files.length,
      bytes,
      modes,
    });
  }
  // A pointer that stands in the folder as it does on the branch is agreed on by nobody: it is named like any other.
  const theirs = new Map(sides.theirs.map(({ path, oid }) => [path, oid]));
  const pointers = new Set(sides.refused.flatMap(({ path, reason }) => (reason.kind === 'lfs-pointer' ? [path] : [])));
  const agreed = [...taken.entries].filter(([path, entry]) => !pointers.has(path) || theirs.get(path) !== entry?.oid);
  await directory.recordFiles({ ...taken, entries: new Map(agreed) });
  return taken.commit;
}

/** Makes the branch that a connected site is switched to. */
async function begin({ remote, branch, signal }: ConnectDeps, tip: Oid): Promise<void> {
  const result = await remote.push(tip, null, { skipCi: false }, signal);
  if (result.kind === 'moved') throw new Problem('plan-outdated', {});
  if (result.kind === 'refused') throw new Problem('push-refused', { text: result.text, branch });
}

async function replaceFolder(
  { repository, directory, fileLimit, switching, signal, progress }: ConnectDeps,
  kept: Oid,
  { tip, theirs }: Sides & { readonly tip: Oid },
  bound: () => Promise<void>,
): Promise<void> {
  const changes = await repository.changes(kept, tip);
  await switching?.(tip);
  await repository.updateRefs({
    disk: kept,
    pending: tip,
    remote: tip,
    offered: null,
    choice: null,
    base: null,
    back: null,
  });
  await releaseAll(repository);
  await bound();
  const { skipped } = await directory.apply({
    changes,
    commit: tip,
    ...contentsOf(repository),
    progress,
    signal,
  });
  if (skipped.length === 0) {
    await repository.updateRefs({ disk: tip, pending: null });
    await directory.resetBaseline(tip, async () => theirs);
    return;
  }
  // Edited in the instant of the swap: that edit is a conflict of the next cycle, with both versions kept.
  const partial = await partialCommit(repository, { disk: kept, remote: tip }, tip, changes, new Set(skipped));
  await repository.updateRefs({ disk: partial.commit, pending: null, ...(partial.base ? { base: partial.base } : {}) });
  await directory.resetBaseline(partial.commit, () => repository.files(partial.commit, fileLimit));
}

/** Only when the ledger has stepped: where that fails, what waited for a person waits on. */
async function releaseAll(repository: Repository): Promise<void> {
  await repository.release((await repository.held()).map(({ path }) => path));
}

/** The folder does not change at all: only the branch does, by one commit on top of what it has. */
async function startFromFolder(deps: ConnectDeps, kept: Oid, sides: Sides, bound: () => Promise<void>): Promise<void> {
  const { repository, directory, remote, signal } = deps;
  const changes = await repository.changes(sides.tip, kept);
  // What this site would not write is not its to remove from the repository either.
  const refused = new Set(sides.refused.map(({ path }) => path));
  const edits = changes
    .filter(({ path }) => refused.has(path))
    .map(({ path, before }) => (before ? { path, entry: before } : { path }));
  const going = changes.filter(({ path }) => !refused.has(path));
  const { tree } = await repository.commit(kept);
  const commit = await repository.createCommit({
    parents: sides.tip ? [sides.tip] : [],
    tree,
    edits,
    message: firstMessage(going),
  });
  const result = await remote.push(commit, sides.tip ?? null, { skipCi: false }, signal);
  if (result.kind === 'moved') throw new Problem('plan-outdated', {});
  if (result.kind === 'refused') throw new Problem('push-refused', { text: result.text, branch: deps.branch });
  await deps.switching?.(commit);
  await repository.updateRefs({
    disk: commit,
    remote: commit,
    pending: null,
    offered: null,
    choice: null,
    base: null,
    back: null,
  });
  await releaseAll(repository);
  await directory.resetBaseline(commit, () => repository.files(commit, deps.fileLimit));
  await bound();
}

function firstMessage(changes: readonly Change[]): string {
  const { added, changed, removed } = tally(changes);
  if (changed === 0 && removed === 0 && added > 20) return `Add ${added} files of the site\n\n${trailer}\n`;
  return editMessage(changes);
}
