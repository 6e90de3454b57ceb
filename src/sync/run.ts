import type { Trigger } from '../model/event.ts';
import type { NotSynced } from '../model/site.ts';
import { Problem } from '../model/problem.ts';
import { type Change, type Oid, type SitePath, tally } from '../model/tree.ts';
import { reconcileRestored } from './after-restore.ts';
import { checkBranchSize } from './branch-size.ts';
import { applyCommit, carryOut } from './carry-out.ts';
import { insteadOf, standsFor } from './choice.ts';
import { resolveConflicts } from './conflict.ts';
import { recallHeld } from './held.ts';
import { editMessage, mergeMessage, trailer, wording } from './message.ts';
import { type Notes, type Outcome, type RunDeps, type SignedEdits, contentsOf, finish, noNotes } from './notes.ts';
import type { CommittedFiles, Ledger, PendingFile, Repository } from './ports.ts';
import { type Divergence, reconcile } from './reconcile.ts';
import { recover } from './recover.ts';
import { tipWhenBack } from './went-back.ts';

/** Someone pushes again and again: after this many quick attempts it is better to wait. */
const quickAttempts = 5;
/** GitLab names one file at a time that it refuses; after this many the rest waits for the next run. */
const mostAnew = 20;

/**
 * One sync of one site, top to bottom. The order is the promise: edits in the folder are in a commit before anything
 * else happens; a commit is on GitLab before the folder follows; agreement covers only what was really applied.
 */
export async function run(deps: RunDeps): Promise<Outcome> {
  const { repository, directory, signal } = deps;
  const notes = noNotes();
  await reconcileRestored(deps);
  const { returned, letGo } = await recover(repository, directory);
  notes.returned.push(...returned);
  notes.letGo.push(...letGo);
  await recallHeld(repository, directory, deps);
  await commitEdits(deps, notes);
  await keepLateWrites(deps, notes);
  let anew = 0;
  for (let attempt = 1; ; attempt += 1) {
    signal?.throwIfAborted();
    let ledger = await repository.ledger();
    let divergence = await compareSides(deps, ledger, attempt);
    notes.before ??= ledger.remote;
    if (!divergence) return end(deps, notes);
    if (await rejoin(deps, ledger, divergence)) {
      ledger = await repository.ledger();
      divergence = (await compareSides(deps, ledger, attempt + 1)) as Divergence;
    }
    // The branch has again what it lost.
    if (ledger.back && divergence.remote !== 'absent' && divergence.history === 'continued')
      await repository.updateRefs({ back: null });
    const step = reconcile(divergence);
    if (step.kind === 'nothing') {
      await resetBaseline(deps, notes, ledger, divergence.remote as Oid);
      return end(deps, notes, divergence.remote as Oid);
    }
    const done = await carryOut(deps, notes, ledger, divergence, step);
    if (done !== 'again' && done !== 'anew') return end(deps, notes, done);
    if (done === 'anew') anew += 1;
    if (anew === mostAnew) return end(deps, notes);
    if (attempt - anew === quickAttempts)
      throw new Problem('remote-moved', { project: deps.site.binding?.projectPath ?? '' });
  }
}

/** What waits since GitLab refused it is named as that, and not as a conflict. */
async function end({ repository }: RunDeps, notes: Notes, after?: Oid): Promise<Outcome> {
  const refused = new Set((await repository.held()).filter((held) => held.refused).map(({ path }) => path));
  if (refused.size > 0) {
    const others = notes.notSynced.filter(({ path }) => !refused.has(path));
    notes.notSynced = [...others, ...[...refused].map((path): NotSynced => ({ path, reason: { kind: 'refused' } }))];
  }
  return finish(notes, after);
}

/**
 * Commits that were given up as refused are on the branch all the same: a push that was cut off was carried out late, or
 * somebody merged them from elsewhere. What they brought must not count as somebody else's, or a file that was removed
 * here since would come back.
 */
async function rejoin(
  deps: RunDeps,
  ledger: Ledger,
  { local, remote, relation, history, base }: Divergence,
): Promise<boolean> {
  const { repository, directory } = deps;
  if (relation !== 'diverged' || history !== 'continued' || base || remote === 'absent') return false;
  if (local !== ledger.disk) return false;
  const arrived = await repository.arrived(remote, local);
  if (arrived.length === 0) return false;
  const { tree } = await repository.commit(local);
  const disk = await repository.createCommit({ parents: [local, ...arrived], tree, message: mergeMessage(0) });
  await repository.updateRefs({ disk }, { disk: local });
  await directory.resetBaseline(disk, () => repository.files(disk, Number.POSITIVE_INFINITY));
  return true;
}

/** Both sides are the same; what a crash left open about it is closed. An unchanged site starts no process for this. */
async function resetBaseline(deps: RunDeps, notes: Notes, ledger: Ledger, tip: Oid): Promise<void> {
  const { disk, remote, offered, choice } = ledger;
  // A choice that was pushed, and the process ended before the folder followed.
  if (choice && choice !== disk) return applyCommit(deps, notes, ledger, choice, { remote: tip, offered: null });
  if (remote !== tip || offered || choice)
    await deps.repository.updateRefs({ remote: tip, offered: null, choice: null });
}

/** From here on, no settled edit on disk can be lost. */
async function commitEdits(deps: RunDeps, notes: Notes): Promise<void> {
  const { repository, directory, triggers } = deps;
  const { disk } = await repository.ledger();
  if (!disk) throw new Problem('not-connected', {});
  await directory.resetBaseline(disk, () => repository.files(disk, Number.POSITIVE_INFINITY));
  const everything = triggers.has('rescan') || triggers.has('start');
  const hurried = [...triggers].some((trigger) => trigger !== 'watch');
  const burst = triggers.has('person') ? 'at once' : hurried ? 'take' : 'gather';
  const found = await directory.scan(everything ? 'all' : 'touched', burst);
  notes.unsettled = found.unsettled.length;
  if (found.againInMs !== undefined) notes.againInMs = found.againInMs;
  notes.notSynced = [...found.notSynced];
  if (found.pending.length > 0) {
    deps.remote.expectPush?.(deps.signal);
    const { signed, rest } = bySignature(found.pending, deps.signed ?? []);
    let tip = disk;
    for (const { edits, pending } of signed) {
      const { commit, entries } = await commitPending(deps, notes, tip, pending, edits);
      if (commit !== tip) edits.committed(commit, [...entries.keys()]);
      tip = commit;
    }
    if (rest.length > 0) tip = (await commitPending(deps, notes, tip, rest)).commit;
    if (tip !== disk) notes.snapshot = tally(await repository.changes(disk, tip));
  }
  if (found.unapplied.length > 0) notes.notSynced.push(...(await writeUnapplied(deps, found.unapplied)));
  const late = new Set(found.whole ? await writeOverdue(deps) : []);
  notes.notSynced = notes.notSynced.filter(({ path }) => !late.has(path));
}

/** One commit on top of what is on disk: in the name of whoever signs, else with the site's own wording. */
async function commitPending(
  { repository, directory, site, now }: RunDeps,
  notes: Notes,
  disk: Oid,
  pending: readonly PendingFile[],
  signed?: SignedEdits,
): Promise<CommittedFiles> {
  const message = (changes: readonly Change[]): string =>
    signed ? `${signed.message.trim()}\n\n${trailer}\n` : editMessage(changes, wording(site, now()));
  const taken = await repository.commitFiles(disk, pending, message, signed?.author);
  if (taken.commit !== disk) await repository.updateRefs({ disk: taken.commit }, { disk });
  const unread = await directory.recordFiles(taken);
  notes.notSynced.push(...unread);
  if (taken.unsteady.length > unread.length) notes.againInMs = Math.min(notes.againInMs ?? 1_000, 1_000);
  return taken;
}

/** Whoever asked first signs for a path that two name. What nobody names is left for the ordinary commit. */
function bySignature(
  pending: readonly PendingFile[],
  requests: readonly SignedEdits[],
): { signed: { edits: SignedEdits; pending: readonly PendingFile[] }[]; rest: readonly PendingFile[] } {
  let rest = pending;
  const signed = requests.flatMap((edits) => {
    const named = rest.filter(({ path }) => edits.paths.has(path));
    rest = rest.filter(({ path }) => !edits.paths.has(path));
    return named.length > 0 ? [{ edits, pending: named }] : [];
  });
  return { signed, rest };
}

/** What was not written, and may be now: a limit was raised, or what stood in its place is gone. */
async function writeOverdue(deps: RunDeps): Promise<readonly SitePath[]> {
  const { repository, directory, progress, signal } = deps;
  const changes = await directory.overdue();
  const { disk } = await repository.ledger();
  if (changes.length === 0 || !disk) return [];
  const { applied } = await directory.apply({ changes, ...contentsOf(repository), progress, signal });
  await directory.saveBaseline(disk);
  return applied;
}

/** The ledger says these are on disk and nobody ever saw them there: a lost manifest must not look like a removal. */
async function writeUnapplied(deps: RunDeps, paths: readonly SitePath[]): Promise<readonly NotSynced[]> {
  const { repository, directory, progress, signal } = deps;
  const { disk } = await repository.ledger();
  if (!disk) return [];
  const wanted = new Set(paths);
  const files = (await repository.files(disk, Number.POSITIVE_INFINITY)).filter(({ path }) => wanted.has(path));
  const changes = files.map(({ path, mode, oid }): Change => ({ path, after: { mode, oid } }));
  const { refused, staying } = await directory.apply({ changes, ...contentsOf(repository), progress, signal });
  await directory.saveBaseline(disk);
  return [...refused, ...staying];
}

/** A content written into a file after it had been replaced is nobody's present version: it is kept, and told. */
async function keepLateWrites({ repository, directory, now }: RunDeps, notes: Notes): Promise<void> {
  for (const late of await directory.lateWrites()) {
    const taken = await repository.commitFiles(undefined, [late.file], () => `Late write\n\n${trailer}\n`);
    if (taken.entries.size === 0) continue;
    await repository.keep({ cause: 'late-write', at: now(), commit: taken.commit, files: 1, bytes: 0 });
    late.done();
    notes.lateWrites.push(late.path);
  }
}

/** Triggers that say the branch may have moved. An edit in the folder does not: the push finds out. */
const lookingTriggers: readonly Trigger[] = ['poll', 'webhook', 'start', 'person', 'retry'];

/** Where both sides stand; undefined when nobody has reason to look and nothing waits to be pushed. */
async function compareSides(deps: RunDeps, ledger: Ledger, attempt: number): Promise<Divergence | undefined> {
  const { repository, remote, triggers, signal } = deps;
  const local = await localSide(deps, ledger);
  // While the branch is known to have gone back, a push on top of what it lost can only fail.
  const looks = attempt > 1 || ledger.back !== undefined || lookingTriggers.some((trigger) => triggers.has(trigger));
  if (!looks && local === ledger.remote && !ledger.base) return undefined;
  const known = ledger.remote;
  let tip: Oid | 'absent' = known ?? 'absent';
  if (looks || !known || ledger.base) {
    tip = await remote.head(signal, triggers.has('webhook') || triggers.has('person'));
    if (tip !== 'absent' && tip !== known && tip !== (await tipWhenBack(repository, ledger))) {
      tip = await remote.fetch(signal, deps.progress);
      if (tip !== 'absent' && known) await checkBranchSize(repository, tip, deps.site.settings.limits.files, known);
    }
  }
  const history = await historyOf(repository, ledger, tip);
  const other = history === 'rewritten' || history === 'unrelated';
  const fresh = other && local === ledger.choice && !(await contains(repository, local, known as Oid));
  return {
    local,
    remote: tip,
    ...(known ? { known } : {}),
    relation: tip === 'absent' ? 'ahead' : await repository.relation(local, tip),
    history,
    ...(fresh ? { fresh } : {}),
    ...(ledger.base && !(await standsInstead(repository, ledger, local)) ? { base: ledger.base } : {}),
  };
}

/** Whether the folder's side is a choice that was made on the branch's new line: history tells then who changed what. */
async function standsInstead(repository: Repository, { choice }: Ledger, local: Oid): Promise<boolean> {
  return local === choice && (await standsFor(repository, choice)) !== undefined;
}

/** How the branch's tip came about from the one that both sides last agreed on. */
async function historyOf(
  repository: Repository,
  { remote: known, back }: Ledger,
  tip: Oid | 'absent',
): Promise<Divergence['history']> {
  if (!known || tip === 'absent' || tip === known) return 'continued';
  const since = await repository.relation(known, tip);
  if (since === 'behind' || since === 'equal') return 'continued';
  if (since === 'unrelated') return 'unrelated';
  // Whatever was pushed meanwhile, the question stays open until somebody answers it.
  return since === 'ahead' || back ? 'back' : 'rewritten';
}

async function contains(repository: Repository, commit: Oid, ancestor: Oid): Promise<boolean> {
  const relation = await repository.relation(commit, ancestor);
  return relation === 'equal' || relation === 'ahead';
}

/** The folder's side: its last snapshot, together with a person's choice that was not carried out yet. */
async function localSide({ repository }: RunDeps, ledger: Ledger): Promise<Oid> {
  const disk = ledger.disk as Oid;
  if (!ledger.choice) return disk;
  const relation = await repository.relation(ledger.choice, disk);
  if (relation === 'ahead' || relation === 'equal') return ledger.choice;
  if (relation === 'behind') return disk;
  const before = await standsFor(repository, ledger.choice);
  if (before === disk) return ledger.choice;
  // Edits came after the choice: both count, and the newer edit wins where they meet.
  const merged = await repository.merge(disk, ledger.choice, before);
  const { edits } = resolveConflicts(merged, 'site');
  const choice = await repository.createCommit({
    parents: before ? [ledger.choice] : [disk, ledger.choice],
    tree: merged.tree,
    edits,
    message: before ? `${mergeMessage(0)}${insteadOf(disk)}\n` : mergeMessage(0),
  });
  await repository.updateRefs({ choice });
  return choice;
}
