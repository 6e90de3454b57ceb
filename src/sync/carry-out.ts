import type { Hold } from '../model/site.ts';
import type { Refusal } from '../model/refusal.ts';
import { makeAnew, mayBeExcluded } from './anew.ts';
import { type Change, type Oid, type SitePath, tally } from '../model/tree.ts';
import { modesOf } from './choice.ts';
import { guard, lossOf } from './guard.ts';
import { holdPaths } from './held.ts';
import { heldStep, isAnswered, refusedStep, stepId } from './hold.ts';
import { keepLetGo, lettingGo } from './let-go.ts';
import { mergeCommit } from './merge-commit.ts';
import { type Notes, type RunDeps, contentsOf } from './notes.ts';
import { partialCommit } from './partial.ts';
import type { Ledger } from './ports.ts';
import type { Divergence, Step } from './reconcile.ts';
import { wentBack } from './went-back.ts';

type Done = Oid | undefined | 'again' | 'anew';

/** Carries one step out. `again`: somebody pushed meanwhile; `anew`: commits that were refused were made anew. */
export async function carryOut(
  deps: RunDeps,
  notes: Notes,
  ledger: Ledger,
  divergence: Divergence,
  step: Step,
): Promise<Done> {
  switch (step.kind) {
    case 'nothing':
      return undefined;
    case 'branch-missing':
      notes.hold = heldStep(deps, 'branch-missing', stepId(divergence), [], 0, ['try-again', 'put-back']);
      if (!isAnswered(deps, notes.hold.step)) return undefined;
      delete notes.hold;
      return putBranchBack(deps, notes, ledger, divergence);
    case 'rewritten':
      return rewritten(deps, notes, ledger, divergence, step);
    case 'went-back':
      return wentBack(deps, notes, ledger, step);
    case 'push':
      if (divergence.fresh) await keepOldLine(deps, ledger);
      return pushCommit(deps, notes, ledger, divergence, step.commit);
    case 'pull':
      if (step.rewritten && ledger.remote) await keepOldTip(deps, ledger.remote);
      return pullCommit(deps, notes, ledger, divergence, step.target);
    case 'merge':
      return merge(deps, notes, ledger, divergence, step);
    default:
      return step satisfies never;
  }
}

/**
 * Makes the missing branch again. Where the folder got only a part of the last synced commit, its own line does not lead
 * to that: the branch becomes what it was first, or what GitLab had beside the folder would be gone with it.
 */
async function putBranchBack(deps: RunDeps, notes: Notes, ledger: Ledger, divergence: Divergence): Promise<Done> {
  const { repository, remote, site, signal } = deps;
  const { local, known } = divergence;
  const relation = known && (await repository.relation(local, known));
  if (!known || relation === 'equal' || relation === 'ahead') return pushCommit(deps, notes, ledger, divergence, local);
  await repository.updateRefs({ offered: known });
  deps.progress?.({ act: 'pushing', done: 0, total: 0 });
  const result = await remote.push(known, null, { skipCi: site.settings.skipCi }, signal, deps.progress);
  if (result.output) notes.output.push(result.output);
  if (result.kind === 'done') notes.pushed = [...(await repository.changes(undefined, known))];
  await repository.updateRefs({ offered: null });
  if (result.kind !== 'refused') return 'again';
  notes.wasRefused = true;
  notes.refused = { commit: known, text: result.text };
  return undefined;
}

/** The branch's history was replaced while the folder had work of its own: a person decides. */
async function rewritten(
  deps: RunDeps,
  notes: Notes,
  ledger: Ledger,
  divergence: Divergence,
  step: Step & { kind: 'rewritten' },
): Promise<Done> {
  const changes = await deps.repository.changes(step.ours, step.theirs);
  const asked = heldStep(deps, 'history-rewritten', stepId(divergence), changes, deps.directory.tracked(), ['go-on']);
  await keepOldTip(deps, step.known);
  if (!isAnswered(deps, asked.step)) {
    notes.hold = asked;
    return undefined;
  }
  // Only the new history as parent: what somebody removed from it must not come back through ours.
  return merge(deps, notes, ledger, divergence, {
    kind: 'merge',
    ours: step.ours,
    theirs: step.theirs,
    base: step.known,
    parents: [step.theirs],
  });
}

/** What was pushed and what was not, on the line that a person's choice left behind. */
async function keepOldLine(deps: RunDeps, { disk, remote }: Ledger): Promise<void> {
  if (remote) await keepOldTip(deps, remote);
  if (!disk || disk === remote) return;
  await deps.repository.keep({ cause: 'conflict', at: deps.now(), commit: disk, files: 0, bytes: 0 });
}

async function keepOldTip({ repository, now }: RunDeps, tip: Oid): Promise<void> {
  await repository.keep({ cause: 'history-rewritten', at: now(), commit: tip, files: 0, bytes: 0 });
}

async function merge(
  deps: RunDeps,
  notes: Notes,
  ledger: Ledger,
  divergence: Divergence,
  step: Step & { kind: 'merge' },
): Promise<Done> {
  const { repository, now } = deps;
  const { commit, lost } = await mergeCommit(deps, step);
  notes.lost = [...lost];
  const [made, theirs] = await Promise.all([repository.commit(commit), repository.commit(step.theirs)]);
  // A line that does not become a parent is in no ref afterwards, conflicts or not.
  if (step.ours !== step.base && !step.parents.includes(step.ours)) {
    await repository.keep({ cause: 'conflict', at: now(), commit: step.ours, files: lost.length, bytes: 0 });
  }
  // A merge that brings the branch nothing new makes no commit: or a refused path would make merges for ever. A version
  // that lost is something new, although no file shows it: as a parent it stays on GitLab.
  if (made.tree === theirs.tree && lost.length === 0) {
    if (step.parents.includes(step.ours)) await keepOwnBytes(deps, ledger, step);
    return pullCommit(deps, notes, ledger, divergence, step.theirs);
  }
  await holdPaths(deps, lost, commit);
  if (lost.length > 0) await deps.noteLost?.(lost);
  return pushCommit(deps, notes, ledger, divergence, commit);
}

/** A text that merged into exactly what the branch has: as it stood in the folder it would be in no ref any more. */
async function keepOwnBytes(
  { repository, now }: RunDeps,
  { remote }: Ledger,
  { ours, theirs }: { ours: Oid; theirs: Oid },
): Promise<void> {
  const different = new Set((await repository.changes(theirs, ours)).map(({ path }) => path));
  const edited = await repository.changes(remote, ours);
  const files = edited.filter(({ path, after }) => after && different.has(path)).length;
  if (files > 0) await repository.keep({ cause: 'conflict', at: now(), commit: ours, files, bytes: 0 });
}

/** Pushes `commit` and then lets the folder follow it. */
async function pushCommit(
  deps: RunDeps,
  notes: Notes,
  ledger: Ledger,
  divergence: Divergence,
  commit: Oid,
): Promise<Done> {
  const { repository, remote, site, signal } = deps;
  const expected = divergence.remote === 'absent' ? null : divergence.remote;
  const going = await repository.changes(expected ?? undefined, commit);
  const coming = ledger.disk === commit ? [] : await losing(deps, notes, ledger, commit);
  // Exactly what a person chose needs no second question; merged with what came meanwhile it is something else.
  const asked = commit !== ledger.choice && (await ask(deps, going, coming, divergence, expected));
  if (asked) {
    notes.hold = asked;
    return undefined;
  }
  const tip = divergence.remote === 'absent' ? undefined : divergence.remote;
  const without = notes.refused ? undefined : agreedToLeave(deps);
  if (without && deps.refusal && ledger.disk === commit) {
    const done = await leaveOut(deps, notes, tip, deps.refusal, without);
    if (done !== undefined) return done;
  }
  if (deps.refusal?.commit === commit && !deps.isDue) {
    notes.refused = deps.refusal;
    return undefined;
  }
  await repository.updateRefs({ offered: commit });
  deps.progress?.({ act: 'pushing', done: 0, total: 0 });
  const result = await remote.push(commit, expected, { skipCi: site.settings.skipCi }, signal, deps.progress);
  if (result.output) notes.output.push(result.output);
  if (result.kind === 'moved') return 'again';
  if (result.kind === 'refused') {
    notes.wasRefused = true;
    // What GitLab sent keeps arriving: the merge is applied here although it could not be offered there. That much is
    // agreed on before: if the branch is rewritten after this, what it lost is known to have been there.
    if (ledger.disk !== commit) {
      if (tip && ledger.remote !== tip) await repository.updateRefs({ remote: tip });
      await applyCommit(deps, notes, { ...ledger, ...(tip ? { remote: tip } : {}) }, commit);
    }
    const first = (notes.refused ?? deps.refusal)?.first ?? firstPaths(going);
    const refusal = { commit, text: result.text, ...(first ? { first } : {}) };
    const leaves = await mayBeExcluded(deps, tip, refusal);
    notes.refused = { ...refusal, ...(leaves.length > 0 ? { leaves } : {}) };
    return leaveOut(deps, notes, tip, notes.refused, without);
  }
  delete notes.refused;
  const again = new Set(going.map(({ path }) => path));
  notes.pushed = [...notes.pushed.filter(({ path }) => !again.has(path)), ...going];
  const agreed = { remote: commit, offered: null };
  if (ledger.disk === commit) await repository.updateRefs({ ...agreed, choice: null, base: null });
  else await applyCommit(deps, notes, ledger, commit, agreed);
  return commit;
}

/** So many paths of a refused push are remembered by name; of more, nobody would choose which to leave out. */
const mostNamed = 20;

function firstPaths(going: readonly Change[]): readonly SitePath[] | undefined {
  const paths = going.filter(({ after }) => after).map(({ path }) => path);
  return paths.length > mostNamed ? undefined : paths;
}

/** What a person said may be left out of exactly this refused push. */
function agreedToLeave(deps: RunDeps): readonly SitePath[] | undefined {
  const { refusal } = deps;
  if (!refusal?.leaves || !isAnswered(deps, refusedStep(refusal))) return undefined;
  return refusal.leaves.map(({ path }) => path);
}

/** Makes a refused line anew where that can help; otherwise it waits as it is. */
async function leaveOut(
  deps: RunDeps,
  notes: Notes,
  tip: Oid | undefined,
  refusal: Refusal,
  without?: readonly SitePath[],
): Promise<Done> {
  const anew = await makeAnew(deps, tip, refusal, without);
  if (anew === 'moved') return 'again';
  if (!anew) return undefined;
  notes.refused ??= refusal;
  const paths = anew.waiting.map(({ path }) => path);
  if (paths.length > 0)
    notes.leftBehind = { text: refusal.text, paths: [...(notes.leftBehind?.paths ?? []), ...paths] };
  if (anew.commit === tip) delete notes.refused;
  return 'anew';
}

/** Nothing to push: the folder follows the branch. */
async function pullCommit(
  deps: RunDeps,
  notes: Notes,
  ledger: Ledger,
  divergence: Divergence,
  target: Oid,
): Promise<Oid | undefined> {
  const coming = await losing(deps, notes, ledger, target);
  const asked = await ask(deps, [], coming, divergence, null);
  if (asked) {
    notes.hold = asked;
    return undefined;
  }
  await applyCommit(deps, notes, ledger, target, { remote: target, offered: null });
  return target;
}

/**
 * What the folder would become, as far as nobody agreed to it yet. Files that are let go are not lost.
 */
async function losing(deps: RunDeps, notes: Notes, { disk }: Ledger, target: Oid): Promise<readonly Change[]> {
  const changes = await deps.repository.changes(disk, target);
  const letGo = await lettingGo(deps, changes, disk, target);
  return changes.filter(({ path, after }) => !letGo.has(path) && (after || !notes.mayGo.has(path)));
}

/**
 * Applies `target` to the folder. `moves` come last, with the folder: until then the old agreement tells, after a crash,
 * whether the branch was rewritten in between.
 * Paths that are busy are left out, and a commit says so: without it the next snapshot
 * would hold the old content of those paths against the branch's new one, and silently revert it.
 */
export async function applyCommit(
  deps: RunDeps,
  notes: Notes,
  ledger: Ledger,
  target: Oid,
  moves: { remote?: Oid; offered?: null } = {},
): Promise<void> {
  const { repository, directory, signal } = deps;
  const disk = ledger.disk as Oid;
  const changes = await repository.changes(disk, target);
  const letGo = await lettingGo(deps, changes, disk, target);
  await keepLetGo(deps, disk, letGo);
  await repository.updateRefs({ pending: target });
  const modes = ledger.choice && (await modesOf(repository, ledger.choice));
  const { applied, skipped, refused, staying, ...left } = await directory.apply({
    changes,
    letGo,
    commit: target,
    ...contentsOf(repository),
    ...(modes ? { modes } : {}),
    progress: deps.progress,
    signal,
  });
  notes.letGo = [...notes.letGo, ...left.letGo];
  const stayed = new Set(left.letGo);
  const moved = new Set(applied.filter((path) => !stayed.has(path)));
  notes.pulled = changes.filter(({ path }) => moved.has(path));
  const named = new Set([...refused, ...staying].map(({ path }) => path));
  notes.notSynced = [...notes.notSynced.filter(({ path }) => !named.has(path)), ...refused, ...staying];
  if (skipped.length === 0) {
    // The manifest first: only it knows what was refused, and while `pending` stands a crash leads to looking again.
    await directory.saveBaseline(target);
    await repository.updateRefs({ disk: target, pending: null, choice: null, base: null, ...moves }, { disk });
    return;
  }
  const busy = skipped.length - staying.length;
  notes.unsettled += busy;
  if (busy > 0) notes.againInMs = Math.min(notes.againInMs ?? 1_000, 1_000);
  if (applied.length + refused.length === 0) {
    // Nothing arrived, so there is nothing to agree on: the next run decides anew from where the folder stands.
    await repository.updateRefs({ pending: null, ...moves });
    return;
  }
  const partial = await partialCommit(repository, { ...ledger, disk }, target, changes, new Set(skipped));
  await repository.updateRefs(
    { disk: partial.commit, pending: null, choice: null, ...(partial.base ? { base: partial.base } : {}), ...moves },
    { disk },
  );
  await directory.saveBaseline(partial.commit);
}

/** A hold, if the step would take too much away from either side and nobody agreed to exactly this. */
async function ask(
  deps: RunDeps,
  going: readonly Change[],
  coming: readonly Change[],
  divergence: Divergence,
  remoteTip: Oid | null,
): Promise<Hold | undefined> {
  if (isAnswered(deps, stepId(divergence))) return undefined;
  const { repository, directory, site } = deps;
  const counts = remoteTip !== null && tally(going).removed > 0;
  const onBranch = counts ? await repository.count(remoteTip, Number.POSITIVE_INFINITY) : 0;
  const branch = lossOf(going, onBranch);
  // What was agreed to and could not be done is not asked again each time it is tried.
  const staying = new Set(directory.staying());
  const newly = coming.filter(({ path, after }) => after || !staying.has(path));
  const folder = lossOf(newly, directory.tracked());
  const verdict = guard({ branch, folder }, site.settings.limits);
  if (verdict.kind === 'go') return undefined;
  const lost = verdict.code === 'folder-lost-files' ? going : newly;
  const { total } = verdict.code === 'folder-lost-files' ? branch : folder;
  const removed = lost.filter(({ after }) => !after);
  const hold = heldStep(deps, verdict.code, stepId(divergence), removed, total, ['put-back', 'go-on']);
  return divergence.remote === 'absent' ? hold : { ...hold, incoming: divergence.remote };
}
