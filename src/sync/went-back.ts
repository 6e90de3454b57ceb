import { mayPoint } from '../model/lfs.ts';
import type { Hold } from '../model/site.ts';
import type { Oid } from '../model/tree.ts';
import { holdPaths, recallHeld } from './held.ts';
import { backStep, heldStep } from './hold.ts';
import { mergeCommit } from './merge-commit.ts';
import { trailer } from './message.ts';
import type { Notes, RunDeps } from './notes.ts';
import type { Apart, Ledger, Repository } from './ports.ts';
import type { Step } from './reconcile.ts';

/**
 * The branch lost commits that both sides had agreed on: somebody reset it, or GitLab was restored from an older backup.
 * Neither side moves until a person says which of the two states is the right one. Edits in the folder are in commits
 * by now, and stay there whatever the answer is.
 */

type WentBack = Step & { kind: 'went-back' };

/** Asks, or carries out the answer. `again`: the refs say by now what is left to do. */
export async function wentBack(
  deps: RunDeps,
  notes: Notes,
  ledger: Ledger,
  step: WentBack,
): Promise<'again' | undefined> {
  const { repository } = deps;
  const seen = ledger.back ?? (await noteSeen(deps, step.theirs));
  const apart = await repository.apart(step.known, step.theirs);
  const mayPutBack = apart.theirs === 0 || (await repository.mayJoin(step.known, step.theirs));
  const hold = await question(deps, step, { seen, apart, mayPutBack });
  const answer = await answerTo(deps, step);
  if (answer?.choice === 'put-back' && mayPutBack) return putBack(deps, notes, step, apart, hold);
  if (answer?.choice === 'go-on') return follow(deps, notes, ledger, { ...step, theirs: answer.tip });
  ask(deps, notes, step.known, hold);
  return undefined;
}

/**
 * What a person said, and about which tip, as far as it fits what is there now. What others pushed onto that tip is
 * pulled or merged as any push is. What is lost is still lost where GitLab went back further.
 */
async function answerTo(
  { repository, answer }: RunDeps,
  { known, theirs }: WentBack,
): Promise<{ readonly choice: 'put-back' | 'go-on'; readonly tip: Oid } | undefined> {
  const { hold, choice } = answer ?? {};
  const between = hold?.back?.between;
  if (between?.known !== known || (choice !== 'put-back' && choice !== 'go-on')) return undefined;
  const { tip } = between;
  const since = await repository.relation(tip, theirs);
  const fits = since === 'equal' || since === 'behind' || (choice === 'put-back' && since === 'ahead');
  return fits ? { choice, tip } : undefined;
}

/**
 * Notes when the branch was first seen to have gone back, and to which tip. Without a parent: a commit is never dated
 * before its parent, and that one may be of a machine whose clock is wrong.
 */
async function noteSeen({ repository }: RunDeps, tip: Oid): Promise<Oid> {
  const { tree } = await repository.commit(tip);
  const message = `The branch went back\n\n${tipKey}${tip}\n${trailer}\n`;
  const back = await repository.createCommit({ parents: [], tree, message });
  await repository.updateRefs({ back });
  return back;
}

const tipKey = 'Branch-tip: ';

/** The tip that was fetched when the branch was seen to have gone back: what GitLab has until somebody pushes again. */
export async function tipWhenBack(repository: Repository, { back }: Ledger): Promise<Oid | undefined> {
  if (!back) return undefined;
  const { body } = await repository.commit(back);
  const row = body.split('\n').find((line) => line.startsWith(tipKey));
  return row?.slice(tipKey.length) as Oid | undefined;
}

async function question(
  deps: RunDeps,
  step: WentBack,
  { seen, apart, mayPutBack }: { seen: Oid; apart: Apart; mayPutBack: boolean },
): Promise<Hold> {
  const { repository, directory } = deps;
  const changes = await repository.changes(step.known, step.theirs);
  const { at } = await repository.commit(seen);
  return {
    ...heldStep(deps, 'went-back', backStep(step), changes, directory.tracked(), [
      ...(mayPutBack ? (['put-back'] as const) : []),
      'go-on',
    ]),
    at: at * 1_000,
    back: {
      between: { known: step.known, tip: step.theirs },
      lost: apart.ours,
      newer: apart.theirs,
      ...(apart.since === undefined ? {} : { to: apart.since * 1_000 }),
    },
  };
}

/** A push of the lost commits that GitLab refused is part of the question until it is answered anew. */
function ask({ refusal }: RunDeps, notes: Notes, known: Oid, hold: Hold): void {
  const was = notes.refused ?? (refusal?.commit === known ? refusal : undefined);
  notes.hold = was ? { ...hold, text: was.text } : hold;
  if (was) notes.refused = was;
}

/**
 * A GitLab that lost commits may have lost large files with them, and the folder has the only copy. It is kept before a
 * push that needs it, and before the folder loses it to a kept version that has no more than the pointer.
 */
async function keepLargeFiles({ repository, directory, site }: RunDeps, { known, theirs }: WentBack): Promise<void> {
  if (!site.settings.lfs) return;
  const refused = new Set(directory.refused());
  const here = (await repository.changes(known, theirs)).flatMap(({ path, before }) =>
    before && !refused.has(path) && directory.has(path) ? [{ path, oid: before.oid }] : [],
  );
  const sizes = await repository.sizes(here.map(({ oid }) => oid));
  const pending = here.filter((_, at) => mayPoint(sizes[at] ?? 0)).map(({ path }) => directory.pendingFile(path));
  // Reading is what keeps it; the commit is in no ref and goes.
  if (pending.length > 0) await repository.commitFiles(undefined, pending, () => `Large files\n\n${trailer}\n`);
}

/** Pushes exactly what GitLab lost, merged with what was pushed since. The folder and its edits follow in the next round. */
async function putBack(
  deps: RunDeps,
  notes: Notes,
  step: WentBack,
  apart: Apart,
  hold: Hold,
): Promise<'again' | undefined> {
  const { repository, remote, site, signal } = deps;
  const { known, theirs } = step;
  const isLonger = apart.theirs > 0;
  const { commit, lost } = isLonger
    ? await mergeCommit(deps, { ours: known, theirs, parents: [known, theirs] })
    : { commit: known, lost: [] };
  await keepLargeFiles(deps, step);
  await holdPaths(deps, lost, commit);
  if (lost.length > 0) await deps.noteLost?.(lost);
  notes.lost = [...lost];
  await repository.updateRefs({ offered: commit });
  deps.progress?.({ act: 'pushing', done: 0, total: 0 });
  const result = await remote.push(commit, theirs, { skipCi: site.settings.skipCi }, signal, deps.progress);
  if (result.output) notes.output.push(result.output);
  if (result.kind === 'done') {
    notes.before = theirs;
    notes.pushed = [...(await repository.changes(theirs, commit))];
    return 'again';
  }
  // The merge came to nothing, and so did what it left open.
  await repository.updateRefs({ offered: null });
  await recallHeld(repository, deps.directory);
  notes.lost = [];
  if (result.kind === 'moved') return 'again';
  notes.wasRefused = true;
  notes.refused = { commit: known, text: result.text };
  ask(deps, notes, known, hold);
  return undefined;
}

/**
 * The older tip is right. From here on it is what was agreed on, and the lost one is where edits are merged from: history
 * would take the lost commits for edits of the folder. One transaction, so that the answer outlives a crash.
 */
async function follow(deps: RunDeps, notes: Notes, ledger: Ledger, step: WentBack): Promise<'again'> {
  const { repository, now } = deps;
  const { known, theirs } = step;
  await keepLargeFiles(deps, step);
  await repository.keep({ cause: 'went-back', at: now(), commit: known, files: 0, bytes: 0 });
  await repository.updateRefs(
    { remote: theirs, base: ledger.base ?? known, offered: null, back: null },
    { remote: known },
  );
  const shown = await repository.changes(known, theirs);
  notes.mayGo = new Set(shown.filter(({ after }) => !after).map(({ path }) => path));
  return 'again';
}
