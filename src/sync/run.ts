import type { Trigger } from '../model/event.ts';
import { Problem } from '../model/problem.ts';
import type { Hold, HoldCode, NotSynced, Progress, Site } from '../model/site.ts';
import { type Change, type Oid, type SitePath, type Tally, tally } from '../model/tree.ts';
import type { Random } from '../model/world.ts';
import { type Lost, settle } from './conflict.ts';
import { type Loss, guard } from './guard.ts';
import { editMessage, trailer } from './message.ts';
import type { Directory, KeptMode, Ledger, Remote, Repository } from './ports.ts';
import { type Standing, type Step, reconcile } from './reconcile.ts';
import { partialCommit } from './partial.ts';
import { recover } from './recover.ts';

export interface RunDeps {
  readonly site: Site;
  readonly repository: Repository;
  readonly directory: Directory;
  readonly remote: Remote;
  readonly random: Random;
  /** Wall time in ms. */
  readonly now: () => number;
  readonly triggers: ReadonlySet<Trigger>;
  /** The step a person said yes to. */
  readonly consent?: string;
  /** The last push GitLab refused: not offered again by itself until something is different. */
  readonly refusal?: Refusal;
  /** Permissions for paths that a choice brings back. */
  readonly modes?: ReadonlyMap<SitePath, KeptMode>;
  readonly progress?: (progress: Progress) => void;
  readonly signal?: AbortSignal;
}

/** A push GitLab would not take, in its own words. */
export interface Refusal {
  readonly commit: Oid;
  readonly text: string;
}

/** What one run did and where it left the site. */
export interface Outcome {
  readonly hold?: Hold;
  readonly refused?: Refusal;
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
  readonly output: string;
}

/** Someone pushes again and again: after this many quick rounds it is better to wait. */
const quickRounds = 5;

/**
 * One sync of one site, top to bottom. The order is the promise: edits in the folder are in a commit before anything
 * else happens; a commit is on GitLab before the folder follows; agreement covers only what was really applied.
 */
export async function run(deps: RunDeps): Promise<Outcome> {
  const { repository, directory, signal } = deps;
  const notes: Notes = {
    pulled: [],
    pushed: [],
    lost: [],
    notSynced: [],
    returned: [],
    lateWrites: [],
    output: [],
    unsettled: 0,
  };
  const returned = await recover(repository, directory);
  notes.returned.push(...returned);
  await takeEdits(deps, notes);
  await keepLateWrites(deps, notes);
  for (let round = 1; ; round += 1) {
    signal?.throwIfAborted();
    const ledger = await repository.ledger();
    const standing = await stand(deps, ledger, round);
    notes.before ??= ledger.remote;
    if (!standing) return finish(notes);
    const step = reconcile(standing);
    if (step.kind === 'nothing') {
      await repository.move({
        remote: standing.remote as Oid,
        offered: null,
        ...(ledger.choice ? { choice: null } : {}),
      });
      if (ledger.choice && ledger.choice !== ledger.disk) await bring(deps, notes, ledger, ledger.choice);
      return finish(notes, standing.remote as Oid);
    }
    const done = await take(deps, notes, ledger, standing, step);
    if (done !== 'again') return finish(notes, done);
    if (round === quickRounds) throw new Problem('remote-moved', { project: deps.site.binding?.projectPath ?? '' });
  }
}

/** What a run gathers while it goes. */
interface Notes {
  hold?: Hold;
  refused?: Refusal;
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
  output: string[];
}

function finish(notes: Notes, after?: Oid): Outcome {
  const { before, output, ...rest } = notes;
  return { ...rest, output: output.join('\n'), ...(before ? { before } : {}), ...(after ? { after } : {}) };
}

/** From here on, no settled edit on disk can be lost. */
async function takeEdits({ repository, directory, triggers }: RunDeps, notes: Notes): Promise<void> {
  const ledger = await repository.ledger();
  const { disk } = ledger;
  if (!disk) throw new Problem('not-connected', {});
  await directory.agree(disk, () => repository.files(disk, Number.POSITIVE_INFINITY));
  const everything = triggers.has('rescan') || triggers.has('start');
  const hurried = [...triggers].some((trigger) => trigger !== 'watch');
  const found = await directory.look(everything ? 'all' : 'touched', hurried ? 'take' : 'gather');
  notes.unsettled = found.unsettled.length;
  if (found.againInMs !== undefined) notes.againInMs = found.againInMs;
  notes.notSynced = [...found.notSynced];
  if (found.taking.length > 0) {
    const taken = await repository.take(disk, found.taking, editMessage);
    if (taken.commit !== disk) {
      notes.snapshot = tally(await repository.changes(disk, taken.commit));
      await repository.move({ disk: taken.commit }, { disk });
    }
    await directory.recorded(taken);
    if (taken.unsteady.length > 0) notes.againInMs = Math.min(notes.againInMs ?? 1_000, 1_000);
  }
  if (found.unapplied.length > 0) await writeUnapplied(repository, directory, found.unapplied);
}

/** The ledger says these are on disk and nobody ever saw them there: a lost manifest must not look like a removal. */
async function writeUnapplied(repository: Repository, directory: Directory, paths: readonly SitePath[]): Promise<void> {
  const { disk } = await repository.ledger();
  if (!disk) return;
  const wanted = new Set(paths);
  const files = (await repository.files(disk, Number.POSITIVE_INFINITY)).filter(({ path }) => wanted.has(path));
  const changes = files.map(({ path, mode, oid }): Change => ({ path, after: { mode, oid } }));
  await directory.apply({ changes, blobs: (oids) => repository.blobs(oids) });
  await directory.settled(disk);
}

/** A content written into a file after it had been replaced is nobody's present version: it is kept, and told. */
async function keepLateWrites({ repository, directory, now }: RunDeps, notes: Notes): Promise<void> {
  for (const late of await directory.lateWrites()) {
    const taken = await repository.take(undefined, [late.taking], () => `Late write\n\n${trailer}\n`);
    if (taken.entries.size === 0) continue;
    await repository.keep({ cause: 'late-write', at: now(), commit: taken.commit, files: 1, bytes: 0 });
    late.done();
    notes.lateWrites.push(late.path);
  }
}

/** Triggers that say the branch may have moved. An edit in the folder does not: the push finds out. */
const lookingTriggers: readonly Trigger[] = ['poll', 'webhook', 'start', 'person', 'retry'];

/** Where both sides stand; undefined when nobody has reason to look and nothing waits to be pushed. */
async function stand(deps: RunDeps, ledger: Ledger, round: number): Promise<Standing | undefined> {
  const { repository, remote, triggers, signal } = deps;
  const local = await localSide(deps, ledger);
  const looks = round > 1 || lookingTriggers.some((trigger) => triggers.has(trigger));
  if (!looks && local === ledger.remote && !ledger.base) return undefined;
  let tip: Oid | 'absent' = ledger.remote ?? 'absent';
  if (looks || !ledger.remote || ledger.base) {
    tip = await remote.head(signal);
    if (tip !== 'absent' && tip !== ledger.remote) tip = await remote.fetch(signal, deps.progress);
  }
  const known = ledger.remote;
  const moved = tip !== 'absent' && known !== undefined && tip !== known;
  const history = moved ? await repository.relation(known, tip as Oid) : 'equal';
  return {
    local,
    remote: tip,
    ...(known ? { known } : {}),
    relation: tip === 'absent' ? 'ahead' : await repository.relation(local, tip),
    rewritten: history !== 'equal' && history !== 'behind',
    ...(ledger.base ? { base: ledger.base } : {}),
  };
}

/** The folder's side: its last snapshot, together with a person's choice that was not carried out yet. */
async function localSide({ repository }: RunDeps, ledger: Ledger): Promise<Oid> {
  const disk = ledger.disk as Oid;
  if (!ledger.choice) return disk;
  const relation = await repository.relation(ledger.choice, disk);
  if (relation === 'ahead' || relation === 'equal') return ledger.choice;
  if (relation === 'behind') return disk;
  // Edits came after the choice: both count, and the newer edit wins where they meet.
  const merged = await repository.merge(disk, ledger.choice);
  const { edits } = settle(merged, 'site');
  const choice = await repository.make({
    parents: [disk, ledger.choice],
    tree: merged.tree,
    edits,
    message: mergeMessage(0),
  });
  await repository.move({ choice });
  return choice;
}

/** Carries one step out. `again`: somebody pushed meanwhile. */
async function take(
  deps: RunDeps,
  notes: Notes,
  ledger: Ledger,
  standing: Standing,
  step: Step,
): Promise<Oid | undefined | 'again'> {
  switch (step.kind) {
    case 'nothing':
      return undefined;
    case 'branch-missing':
      notes.hold = hold(deps, 'branch-missing', stepId(standing), [], 0, ['put-back']);
      if (deps.consent !== notes.hold.step) return undefined;
      delete notes.hold;
      return offer(deps, notes, ledger, standing.local, null);
    case 'rewritten':
      return rewritten(deps, notes, ledger, standing, step);
    case 'push':
      return offer(deps, notes, ledger, step.commit, step.expected);
    case 'pull':
      if (step.rewritten && ledger.remote) await keepOldTip(deps, ledger.remote);
      return follow(deps, notes, ledger, standing, step.target);
    case 'merge':
      return merge(deps, notes, ledger, standing, step);
    default:
      return step satisfies never;
  }
}

/** The branch's history was replaced while the folder had work of its own: a person decides. */
async function rewritten(
  deps: RunDeps,
  notes: Notes,
  ledger: Ledger,
  standing: Standing,
  step: Step & { kind: 'rewritten' },
): Promise<Oid | undefined | 'again'> {
  const changes = await deps.repository.changes(step.ours, step.theirs);
  const asked = hold(deps, 'history-rewritten', stepId(standing), changes, deps.directory.tracked(), ['go-on']);
  if (deps.consent !== asked.step) {
    notes.hold = asked;
    return undefined;
  }
  await keepOldTip(deps, step.known);
  // Only the new history as parent: what somebody removed from it must not come back through ours.
  return merge(deps, notes, ledger, standing, {
    kind: 'merge',
    ours: step.ours,
    theirs: step.theirs,
    base: step.known,
    parents: [step.theirs],
  });
}

async function keepOldTip({ repository, now }: RunDeps, tip: Oid): Promise<void> {
  const already = await repository.kept();
  if (already.some(({ cause, id }) => cause === 'history-rewritten' && id.includes(tip.slice(0, 12)))) return;
  await repository.keep({ cause: 'history-rewritten', at: now(), commit: tip, files: 0, bytes: 0 });
}

async function merge(
  deps: RunDeps,
  notes: Notes,
  ledger: Ledger,
  standing: Standing,
  step: Step & { kind: 'merge' },
): Promise<Oid | undefined | 'again'> {
  const { repository, site, now } = deps;
  const merged = await repository.merge(step.ours, step.theirs, step.base);
  const { edits, lost } = settle(merged, site.settings.policy);
  const commit = await repository.make({
    parents: step.parents,
    tree: merged.tree,
    edits,
    message: mergeMessage(lost.length),
  });
  notes.lost = [...lost];
  const [made, theirs] = await Promise.all([repository.commit(commit), repository.commit(step.theirs)]);
  // A merge that brings the branch nothing new makes no commit: or a refused path would make merges for ever. A version
  // that lost is something new, although no file shows it: as a parent it stays on GitLab.
  if (made.tree === theirs.tree && lost.length === 0) return follow(deps, notes, ledger, standing, step.theirs);
  if (lost.length > 0 && !step.parents.includes(step.ours)) {
    await repository.keep({ cause: 'conflict', at: now(), commit: step.ours, files: lost.length, bytes: 0 });
  }
  return offer(deps, notes, ledger, commit, standing.remote === 'absent' ? null : standing.remote);
}

/** Pushes `commit` and then lets the folder follow it. */
async function offer(
  deps: RunDeps,
  notes: Notes,
  ledger: Ledger,
  commit: Oid,
  expected: Oid | null,
): Promise<Oid | undefined | 'again'> {
  const { repository, remote, site, signal } = deps;
  const going = await repository.changes(expected ?? undefined, commit);
  const coming = ledger.disk === commit ? [] : await repository.changes(ledger.disk, commit);
  const asked = await ask(deps, going, coming, `${commit}:${expected ?? 'none'}`, expected);
  if (asked) {
    notes.hold = asked;
    return undefined;
  }
  if (deps.refusal?.commit === commit) {
    notes.refused = deps.refusal;
    return undefined;
  }
  await repository.move({ offered: commit });
  deps.progress?.({ act: 'pushing', done: 0, total: going.length });
  const result = await remote.push(commit, expected, { skipCi: site.settings.skipCi }, signal);
  if (result.output) notes.output.push(result.output);
  if (result.kind === 'moved') return 'again';
  if (result.kind === 'refused') {
    notes.refused = { commit, text: result.text };
    // What GitLab sent keeps arriving: the merge is applied here although it could not be offered there.
    if (ledger.disk !== commit) await bring(deps, notes, ledger, commit);
    return undefined;
  }
  notes.pushed = [...going];
  await repository.move({ remote: commit, offered: null });
  if (ledger.disk === commit) await repository.move({ choice: null, base: null });
  else await bring(deps, notes, { ...ledger, remote: commit }, commit);
  return commit;
}

/** Nothing to push: the folder follows the branch. */
async function follow(
  deps: RunDeps,
  notes: Notes,
  ledger: Ledger,
  standing: Standing,
  target: Oid,
): Promise<Oid | undefined> {
  const coming = await deps.repository.changes(ledger.disk, target);
  const asked = await ask(deps, [], coming, stepId(standing), null);
  if (asked) {
    notes.hold = asked;
    return undefined;
  }
  await bring(deps, notes, ledger, target, { remote: target, offered: null });
  return target;
}

/**
 * Applies `target` to the folder. Paths that are busy are left out, and a commit says so: without it the next snapshot
 * would hold the old content of those paths against the branch's new one, and silently revert it.
 */
async function bring(
  deps: RunDeps,
  notes: Notes,
  ledger: Ledger,
  target: Oid,
  moves: { remote?: Oid; offered?: null } = {},
): Promise<void> {
  const { repository, directory } = deps;
  const disk = ledger.disk as Oid;
  const changes = await repository.changes(disk, target);
  await repository.move({ pending: target });
  const { applied, skipped, refused } = await directory.apply({
    changes,
    blobs: (oids) => repository.blobs(oids),
    ...(deps.modes ? { modes: deps.modes } : {}),
    ...(deps.progress ? { progress: deps.progress } : {}),
  });
  const moved = new Set(applied);
  notes.pulled = changes.filter(({ path }) => moved.has(path));
  notes.notSynced = [...notes.notSynced, ...refused];
  if (skipped.length === 0) {
    await repository.move({ disk: target, pending: null, choice: null, base: null, ...moves }, { disk });
    await directory.settled(target);
    return;
  }
  notes.unsettled += skipped.length;
  notes.againInMs = Math.min(notes.againInMs ?? 1_000, 1_000);
  const partial = await partialCommit(repository, disk, target, changes, new Set(skipped));
  await repository.move(
    { disk: partial.commit, pending: null, choice: null, ...(partial.base ? { base: partial.base } : {}), ...moves },
    { disk },
  );
  await directory.settled(partial.commit);
}

/** A hold, if the step would take too much away from either side and nobody agreed to exactly this. */
async function ask(
  deps: RunDeps,
  going: readonly Change[],
  coming: readonly Change[],
  step: string,
  remoteTip: Oid | null,
): Promise<Hold | undefined> {
  if (deps.consent === step) return undefined;
  const { repository, directory, site } = deps;
  const branch: Loss = { removed: tally(going).removed, total: 0 };
  if (branch.removed > 0 && remoteTip) {
    Object.assign(branch, { total: (await repository.files(remoteTip, Number.POSITIVE_INFINITY)).length });
  }
  const folder: Loss = { removed: tally(coming).removed, total: directory.tracked() };
  const verdict = guard({ branch, folder }, site.settings.limits);
  if (verdict.kind === 'go') return undefined;
  const lost = verdict.code === 'folder-lost-files' ? going : coming;
  const { total } = verdict.code === 'folder-lost-files' ? branch : folder;
  return hold(
    deps,
    verdict.code,
    step,
    lost.filter(({ after }) => !after),
    total,
    ['put-back', 'go-on'],
  );
}

function hold(
  deps: RunDeps,
  code: HoldCode,
  step: string,
  changes: readonly Change[],
  total: number,
  choices: Hold['choices'],
): Hold {
  const samples = changes.slice(0, 200).map(({ path, before, after }) => ({ path, mark: markOf(before, after) }));
  return { code, at: deps.now(), step, total, tally: tally(changes), samples, choices };
}

/** Names exactly what a person is asked about: another tip or another snapshot is another question. */
function stepId({ local, remote }: Standing): string {
  return `${local}:${remote}`;
}

export function markOf(before: Change['before'], after: Change['after']): '+' | '~' | '-' {
  if (!before) return '+';
  return after ? '~' : '-';
}

function mergeMessage(conflicts: number): string {
  const settled =
    conflicts === 0
      ? ''
      : `\n${conflicts} ${conflicts === 1 ? 'path was' : 'paths were'} changed on both sides; both versions are in the parents.\n`;
  return `Merge edits of the site and of the repository\n${settled}\n${trailer}\n`;
}
