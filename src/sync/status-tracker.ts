import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { RunRecord, SyncEvent, Trigger } from '../model/event.ts';
import type { Problem, ProblemFacts } from '../model/problem.ts';
import { remedies } from '../model/remedy.ts';
import { type Hold, type Moved, type Site, type SiteStatus, firstStatus } from '../model/site.ts';
import { displayPath, tally } from '../model/tree.ts';
import type { Clock } from '../model/world.ts';
import { problemHold, refusedHold } from './hold.ts';
import type { Outcome } from './notes.ts';
import type { Directory, Repository } from './ports.ts';
import { filesOf, resultOf, worthTelling } from './record.ts';
import { type StatusFact, type Unpushed, nextStatus } from './status.ts';

export interface StatusTrackerDeps {
  readonly site: () => Site;
  readonly clock: Clock;
  readonly repository: Repository;
  readonly directory: Directory;
  /** The status before the last restart: what happened is still true, how it stands must be seen anew. */
  readonly remembered?: SiteStatus;
  readonly report: (event: SyncEvent) => void;
}

/** So many paths of a run or a question are written down by name. */
export const namedPaths = 200;

/** What is told of one site: how it stands now, and a record of each run that moved something or asks something. */
export class StatusTracker {
  readonly #deps: StatusTrackerDeps;
  #status: SiteStatus;
  /** Every path of the question that is open; its status names only the first. */
  #heldPaths: Hold['samples'] = [];
  /** The first edit that is not on GitLab was noticed then. */
  #unpushedSince: number | undefined;

  constructor(deps: StatusTrackerDeps) {
    this.#deps = deps;
    const { paused, binding } = deps.site();
    const state = !binding ? 'off' : paused ? 'paused' : 'unknown';
    this.#status = {
      ...firstStatus(deps.clock.now(), state, deps.directory.disks),
      ...(binding && deps.remembered ? whatHappened(deps.remembered) : {}),
    };
  }

  get status(): SiteStatus {
    return this.#status;
  }

  get heldPaths(): Hold['samples'] {
    return this.#heldPaths;
  }

  /** Somebody seems to have edited something. */
  edited(): void {
    this.#unpushedSince ??= this.#deps.clock.now();
  }

  tell(fact: StatusFact): void {
    const now = this.#deps.clock.now();
    const told = nextStatus(this.#status, fact, now);
    // A run that was under way when somebody paused the site ends in a paused site.
    const { binding, paused } = this.#deps.site();
    const next = binding && paused ? nextStatus(told, { kind: 'paused' }, now) : told;
    const { disks } = this.#deps.directory;
    this.#turn(disks.length > 0 && !isDeepStrictEqual(disks, next.disks) ? { ...next, disks } : next);
  }

  /** What was begun did not happen: the site stands as it stood. */
  takeBack(before: SiteStatus): void {
    this.#turn(before);
  }

  #turn(next: SiteStatus): void {
    if (next === this.#status) return;
    this.#status = next;
    this.#deps.report({ kind: 'status', site: this.#deps.site().id, status: next });
  }

  /** A run came to its end. `conflicts`: questions that are open, asked when it is told: a person may answer meanwhile. */
  async ended(
    outcome: Outcome,
    triggers: ReadonlySet<Trigger>,
    at: number,
    conflicts: () => number,
    nextTryAt?: number,
  ): Promise<void> {
    const now = this.#deps.clock.now();
    const was = this.#status;
    const asked = outcome.hold ?? (outcome.refused ? refusedHold(outcome, now) : undefined);
    this.#heldPaths = asked?.samples ?? [];
    const hold = asked && { ...asked, samples: asked.samples.slice(0, namedPaths) };
    const { after, pulled, pushed, unsettled } = outcome;
    const unpushed = this.#unpushed(unsettled + (hold ? await this.#recorded() : 0), at);
    const moves = pulled.length + pushed.length > 0;
    const about = after && moves ? await this.#deps.repository.commit(after) : undefined;
    const moved = (files: number): Moved | undefined =>
      about && after && files > 0
        ? { at: now, files, commit: after, subject: about.subject, by: about.author }
        : undefined;
    const pull = moved(pulled.length);
    const push = moved(pushed.length);
    this.tell({
      kind: 'ended',
      result: attemptOf(outcome, hold),
      unsettled,
      unpushed,
      notSynced: outcome.notSynced,
      conflicts: conflicts(),
      ...(hold ? { hold } : {}),
      ...(nextTryAt === undefined ? {} : { nextTryAt }),
      ...(pull ? { pull } : {}),
      ...(push ? { push } : {}),
    });
    if (!worthTelling(outcome, was, hold)) return;
    this.report(at, triggers, {
      result: hold
        ? outcome.refused
          ? 'refused'
          : 'held'
        : outcome.leftBehind && !moves
          ? 'refused'
          : resultOf(outcome),
      pulled: tally(pulled),
      pushed: tally(pushed),
      files: filesOf(outcome),
      conflicts: outcome.lost.map(({ path }) => path),
      ...(outcome.letGo.length > 0 ? { letGo: outcome.letGo.slice(0, namedPaths) } : {}),
      ...(outcome.before ? { before: outcome.before } : {}),
      ...(after ? { after } : {}),
      ...(about ? { subject: about.subject, by: about.author } : {}),
      ...(hold ? { hold: hold.code } : {}),
      ...refusalOf(outcome),
      output: outcome.output,
    });
  }

  /** `at`: when the run began that failed. */
  async failed(problem: Problem, triggers: ReadonlySet<Trigger>, at: number, nextTryAt: number): Promise<void> {
    const unpushed = this.#unpushed(await this.#recorded(), at);
    const now = this.#deps.clock.now();
    const facts = problem.toFacts();
    // What mends itself is tried again and asks nobody.
    const asks = remedies[problem.code].retry !== 'soon';
    const hold = asks ? problemHold(problem, now) : undefined;
    const same = this.#status.problem?.code === facts.code;
    this.tell({ kind: 'failed', problem: facts, unpushed, nextTryAt, asks, ...(hold ? { hold } : {}) });
    // Once per incident: the same failure again changes the next try, not the story.
    if (same) return;
    this.report(now, triggers, {
      result: hold ? 'held' : 'failed',
      problem: facts,
      ...(hold ? { hold: hold.code } : {}),
    });
  }

  /** Edits that are in our repository and not on GitLab. */
  async #recorded(): Promise<number> {
    const { repository } = this.#deps;
    try {
      const { disk, remote, base } = await repository.ledger();
      // With a `base`, the folder stands behind the branch and not before it.
      if (!disk || !remote || base || (await repository.relation(disk, remote)) === 'behind') return 0;
      const staying = new Set(this.#deps.directory.staying());
      return (await repository.changes(remote, disk)).filter(({ path }) => !staying.has(path)).length;
    } catch {
      // A repository that cannot be read is the problem that is being told.
      return 0;
    }
  }

  /** An edit made after `at`, while the run went on, is the next run's. */
  #unpushed(paths: number, at: number): Unpushed {
    if (paths === 0) {
      if (this.#unpushedSince !== undefined && this.#unpushedSince < at) this.#unpushedSince = undefined;
      return { paths };
    }
    this.#unpushedSince ??= at;
    return { paths, since: this.#unpushedSince };
  }

  report(
    at: number,
    triggers: ReadonlySet<Trigger>,
    record: Partial<RunRecord> & { result: RunRecord['result'] },
  ): void {
    const { clock, site, report } = this.#deps;
    report({
      kind: 'run',
      site: site().id,
      run: {
        id: randomUUID(),
        at,
        durationMs: Math.max(0, clock.now() - at),
        triggers: [...triggers],
        pulled: none,
        pushed: none,
        files: [],
        conflicts: [],
        output: '',
        ...record,
      },
    });
  }
}

/** What became of a run, for the status: that GitLab refused something is never «nothing to do». */
function attemptOf(outcome: Outcome, hold: Hold | undefined): string {
  if (outcome.refused) return 'refused';
  if (outcome.pulled.length + outcome.pushed.length > 0) return resultOf(outcome);
  if (hold) return 'held';
  return outcome.leftBehind ? 'refused' : 'nothing';
}

function refusalOf({ refused, leftBehind }: Outcome): { problem?: ProblemFacts } {
  const text = refused?.text ?? leftBehind?.text;
  if (text === undefined) return {};
  const paths = refused ? undefined : leftBehind?.paths.map(displayPath).join(', ');
  return { problem: { code: 'push-refused', facts: { text, ...(paths ? { paths } : {}) }, cause: '' } };
}

function whatHappened({ lastPull, lastPush, lastAttempt, checkedAt, conflicts }: SiteStatus): Partial<SiteStatus> {
  return {
    conflicts,
    ...(checkedAt === undefined ? {} : { checkedAt }),
    ...(lastPull ? { lastPull } : {}),
    ...(lastPush ? { lastPush } : {}),
    ...(lastAttempt ? { lastAttempt } : {}),
  };
}

export const none = { added: 0, changed: 0, removed: 0 };
