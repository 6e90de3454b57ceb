import { randomUUID } from 'node:crypto';
import type { RunRecord, SyncEvent, Trigger } from '../model/event.ts';
import type { BranchName } from '../model/instance.ts';
import type { Conflict, Direction, KeptVersion, Plan } from '../model/plan.ts';
import { Problem, asProblem } from '../model/problem.ts';
import { remedies } from '../model/remedy.ts';
import type { Binding, Hold, HoldChoice, Moved, RootIdentity, Site, SiteStatus } from '../model/site.ts';
import { firstStatus } from '../model/site.ts';
import type { Subfolder } from '../model/subfolder.ts';
import { type Oid, type SitePath, tally } from '../model/tree.ts';
import type { Clock, Random } from '../model/world.ts';
import { putBack, restoreKept, takeVersion } from './choice.ts';
import type { Lost } from './conflict.ts';
import { settleHeld } from './held.ts';
import { problemHold, refusedHold } from './hold.ts';
import type { Outcome, Refusal } from './notes.ts';
import { type ConnectDeps, connect, planConnect } from './connect.ts';
import type { Directory, Remote, Repository, TreeFile } from './ports.ts';
import type { Again, Lane, Queue } from './queue.ts';
import { filesOf, planTally, resultOf, worthTelling } from './record.ts';
import { paced } from './pace.ts';
import { rebuild } from './rebuild.ts';
import { run } from './run.ts';
import { type StatusFact, nextStatus } from './status.ts';

export interface KeeperDeps {
  /** The site as it is now: its settings and binding change while the daemon runs. */
  readonly site: () => Site;
  readonly repository: Repository;
  readonly directory: Directory;
  readonly remote: Remote;
  readonly queue: Queue;
  readonly clock: Clock;
  readonly random: Random;
  /** The status before the last restart: what happened is still true, how it stands must be seen anew. */
  readonly remembered?: SiteStatus;
  readonly report: (event: SyncEvent) => void;
  /** Durable before it resolves. */
  readonly saveRoot: (root: RootIdentity) => Promise<void>;
  readonly conflicts: () => readonly Conflict[];
  /** The commit both sides last agreed on, repeated outside the repository: for the day that is lost. */
  readonly agreed: () => Oid | undefined;
  readonly saveAgreed: (commit: Oid) => Promise<void>;
  /** The push GitLab refused last: a restart alone is no reason to offer it again. */
  readonly refusal: () => Refusal | undefined;
  readonly saveRefusal: (refusal: Refusal | undefined) => Promise<void>;
  /** A switch of branches under way. `end` without a branch: it did not happen. */
  readonly switching: {
    begin(to: NonNullable<Binding['switching']>): Promise<void>;
    end(branch?: BranchName): Promise<void>;
  };
  readonly saveConflicts: (conflicts: readonly Conflict[]) => Promise<void>;
}

/** Keeps one site: its lane, its status, and everything a person may ask of it. */
export interface Keeper {
  status(): SiteStatus;
  ring(trigger: Trigger): void;
  /** A watcher event: the path has its time to rest first. */
  touched(): void;
  watched(watched: boolean): void;
  /** `subfolder`: of a site that is not connected yet; a connected one keeps its own. */
  /** `asked` aborts when nobody waits for the answer any more. */
  plan(
    branch: BranchName,
    direction: Direction,
    remote: Remote,
    subfolder?: Subfolder,
    asked?: AbortSignal,
  ): Promise<Plan>;
  connect(
    branch: BranchName,
    direction: Direction,
    planId: string,
    remote: Remote,
    bound: () => Promise<void>,
    mode?: 'first' | 'switch',
    subfolder?: Subfolder,
  ): Promise<Plan>;
  /** Pushes what GitLab refused to where `remote` leads; nothing else changes. */
  pushElsewhere(remote: Remote): Promise<void>;
  disconnected(): Promise<void>;
  paused(): void;
  /** Ends what is under way, wherever it is. False: nothing was. */
  breakOff(): boolean;
  choose(step: string, choice: HoldChoice): Promise<void>;
  restore(keptId: string, path: SitePath | undefined): Promise<void>;
  resolve(conflict: Conflict, choice: 'repository' | 'site'): Promise<void>;
  /** The list of conflicts was changed by a person. */
  conflictsChanged(): void;
  kept(): Promise<readonly KeptVersion[]>;
  /** Throws `kept-missing`. */
  keptFiles(id: string): Promise<readonly TreeFile[]>;
  /** A blob's bytes, at most `limit` of them. Throws `kept-missing` for one that is not there. */
  content(oid: Oid, limit: number): Promise<Buffer>;
  /** Every path of the question that is open; a restart forgets them until the next look. */
  heldPaths(): Hold['samples'];
  /** Files under Mooring's care in the folder. */
  tracked(): number;
  close(): Promise<void>;
}

/** So many paths of a run or a question are written down by name. */
const namedPaths = 200;
const longestWaitMs = 300_000;
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** A refused push and a site that waits for a person are looked at again this often. */
const slowMs = 300_000;

export function createKeeper(deps: KeeperDeps): Keeper {
  return new SiteKeeper(deps);
}

class SiteKeeper implements Keeper {
  readonly #deps: KeeperDeps;
  readonly #lane: Lane;
  #status: SiteStatus;
  #failures = 0;
  #prepared = false;
  /** What a person said yes to: a step, or the state of the folder. For the next run that ends well only. */
  #consent: { step?: string; root?: 'changed' | 'emptied' } = {};
  constructor(deps: KeeperDeps) {
    this.#deps = deps;
    const { paused, binding } = deps.site();
    const state = !binding ? 'off' : paused ? 'paused' : 'unknown';
    this.#status = {
      ...firstStatus(deps.clock.now(), state, deps.directory.replaces),
      ...(binding && deps.remembered ? whatHappened(deps.remembered) : {}),
    };
    this.#lane = deps.queue.lane({ run: (triggers, signal) => this.#run(triggers, signal) });
  }

  status(): SiteStatus {
    return this.#status;
  }

  ring(trigger: Trigger): void {
    const { binding, paused } = this.#deps.site();
    if (binding && !paused) this.#lane.ring(trigger);
  }

  touched(): void {
    const { binding, paused, settings } = this.#deps.site();
    if (binding && !paused) this.#lane.ring('watch', settings.quietMs);
  }

  watched(watched: boolean): void {
    this.#tell({ kind: 'watched', watched });
  }

  plan(
    branch: BranchName,
    direction: Direction,
    remote: Remote,
    subfolder: Subfolder = '',
    asked?: AbortSignal,
  ): Promise<Plan> {
    return this.#lane.job(async (lane) => {
      const signal = asked ? AbortSignal.any([lane, asked]) : lane;
      signal.throwIfAborted();
      const { binding, paused } = this.#deps.site();
      // What cannot go there is named in the plan.
      if (binding && !paused) await this.#pushFirst(signal).catch(() => undefined);
      return planConnect(this.#connectDeps(branch, remote, subfolder, signal), direction);
    });
  }

  /** Edits belong on the branch the site is on: before another one is chosen they go there, the newest too. */
  async #pushFirst(signal: AbortSignal): Promise<void> {
    for (let turn = 0; turn < 3; turn += 1) {
      const { inMs } = await this.#once(new Set(['poll', 'rescan']), signal);
      if (inMs === undefined) return;
      await this.#deps.clock.sleep(Math.min(inMs, 2_000), signal);
    }
  }

  async connect(
    branch: BranchName,
    direction: Direction,
    planId: string,
    remote: Remote,
    bound: () => Promise<void>,
    mode: 'first' | 'switch' = 'first',
    subfolder: Subfolder = '',
  ): Promise<Plan> {
    const plan = await this.#lane.job(async (signal) => {
      // Two browsers, or a double click: the first one won while this one waited for its turn.
      const { binding } = this.#deps.site();
      if (binding && (mode === 'first' || binding.branch === branch)) throw new Problem('already-connected', {});
      const before = this.#status;
      this.#tell({ kind: 'started' });
      try {
        const startedAt = this.#deps.clock.now();
        const deps = this.#connectDeps(branch, remote, subfolder, signal);
        const progress = paced(this.#deps.clock, (progress) => this.#tell({ kind: 'progress', progress }));
        const done = await connect({ ...deps, progress }, direction, planId, bound);
        await this.#deps.saveRoot(await this.#deps.directory.check());
        await this.#refused(undefined);
        this.#tell({ kind: 'connected', ...(await this.#firstMove(done)) });
        this.#report(startedAt, new Set(['person']), {
          result: 'connected',
          ...(done.direction === 'replace'
            ? { pulled: planTally(done), pushed: none }
            : { pulled: none, pushed: planTally(done) }),
          files: done.samples.slice(0, namedPaths).map(({ mark, path }) => ({
            mark,
            path,
            to: done.direction === 'replace' ? 'site' : 'gitlab',
          })),
        });
        return done;
      } catch (error) {
        this.#status = before;
        this.#publish();
        throw error;
      }
    });
    this.ring('start');
    return plan;
  }

  /** Connecting moved files too: the pages count from here. */
  async #firstMove(plan: Plan): Promise<{ pull?: Moved; push?: Moved }> {
    const { disk } = await this.#deps.repository.ledger();
    const files = plan.added + plan.replaced + plan.removed;
    if (!disk || files === 0) return {};
    const { subject, author } = await this.#deps.repository.commit(disk);
    const moved = { at: this.#deps.clock.now(), files, commit: disk, subject, by: author };
    return plan.direction === 'replace' ? { pull: moved } : { push: moved };
  }

  async pushElsewhere(remote: Remote): Promise<void> {
    const result = await this.#lane.job((signal) => {
      const refusal = this.#deps.refusal();
      if (!refusal) throw new Problem('plan-outdated', {});
      return remote.push(refusal.commit, null, { skipCi: this.#deps.site().settings.skipCi }, signal);
    });
    if (result.kind === 'moved') throw new Problem('form-invalid', { newBranch: 'There is such a branch already.' });
    if (result.kind === 'refused') throw new Problem('push-refused', { text: result.text });
  }

  async disconnected(): Promise<void> {
    await this.#lane.job(async () => {
      const none = { disk: null, remote: null, pending: null, offered: null, choice: null, base: null };
      if (this.#prepared) {
        await this.#deps.repository.move(none);
        await this.#releaseAll();
      }
      await this.#deps.directory.agree(undefined, async () => []);
      await this.#refused(undefined);
      this.#tell({ kind: 'disconnected' });
    });
  }

  async #releaseAll(): Promise<void> {
    const { repository, directory } = this.#deps;
    await repository.release((await repository.held()).map(({ path }) => path));
    directory.hold([]);
  }

  paused(): void {
    this.#tell({ kind: 'paused' });
  }

  breakOff(): boolean {
    return this.#lane.breakOff();
  }

  async choose(step: string, choice: HoldChoice): Promise<void> {
    const { hold } = this.#status;
    if (!hold || hold.step !== step || !hold.choices.includes(choice)) throw new Problem('plan-outdated', {});
    await this.#refused(undefined);
    if (hold.code === 'root-emptied') {
      if (choice === 'put-back') await this.#lane.job(() => this.#deps.directory.forget());
      else if (choice === 'go-on') this.#consent = { root: 'emptied' };
    } else if (choice === 'adopt' && hold.code === 'root-changed') this.#consent = { root: 'changed' };
    else if (choice === 'put-back' && hold.code !== 'branch-missing') {
      await this.#lane.job(() => putBack(this.#deps.repository, hold));
    } else this.#consent = { step };
    this.ring('person');
  }

  async restore(keptId: string, path: SitePath | undefined): Promise<void> {
    await this.#lane.job(async (signal) => {
      await this.#once(new Set(['person', 'rescan']), signal);
      await this.#keepPresent();
      await restoreKept(this.#deps.repository, keptId, path, this.#deps.directory.refused());
    });
    this.ring('person');
  }

  /** A restore replaces files too: what it replaces can be given back in the same way. */
  async #keepPresent(): Promise<void> {
    const { repository, directory, clock } = this.#deps;
    const { disk } = await repository.ledger();
    if (!disk) throw new Problem('not-connected', {});
    const files = await repository.files(disk, Number.POSITIVE_INFINITY);
    const bytes = files.reduce((sum, { size }) => sum + size, 0);
    const modes = directory.modes(files.map(({ path }) => path));
    await repository.keep({ cause: 'restore', at: clock.now(), commit: disk, files: files.length, bytes, modes });
  }

  async resolve(conflict: Conflict, choice: 'repository' | 'site'): Promise<void> {
    const { repository, directory, clock } = this.#deps;
    const oid = choice === 'repository' ? conflict.repository : conflict.site;
    await this.#lane.job(async () => {
      const held = (await repository.held()).some(({ path }) => path === conflict.path);
      if (held) await settleHeld({ repository, directory, now: () => clock.now() }, conflict.path, choice);
      else await takeVersion(repository, conflict.path, oid);
    });
    this.ring('person');
  }

  conflictsChanged(): void {
    this.#tell({ kind: 'conflicts', conflicts: this.#openConflicts() });
  }

  #openConflicts(): number {
    return this.#deps.conflicts().filter(({ resolved }) => !resolved).length;
  }

  async kept(): Promise<readonly KeptVersion[]> {
    await this.#prepare();
    return this.#deps.repository.kept();
  }

  async keptFiles(id: string): Promise<readonly TreeFile[]> {
    await this.#prepare();
    return (await this.#deps.repository.keptFiles(id)).files;
  }

  async content(oid: Oid, limit: number): Promise<Buffer> {
    await this.#prepare();
    const chunks: Buffer[] = [];
    let left = limit;
    for await (const blob of this.#deps.repository.blobs([oid])) {
      for await (const chunk of blob.chunks) {
        if (left > 0) chunks.push(Buffer.from(chunk.subarray(0, left)));
        left -= chunk.length;
      }
    }
    return Buffer.concat(chunks);
  }

  heldPaths(): Hold['samples'] {
    return this.#heldPaths;
  }

  #heldPaths: Hold['samples'] = [];

  tracked(): number {
    return this.#deps.directory.tracked();
  }

  close(): Promise<void> {
    return this.#lane.close().then(() => this.#deps.directory.close());
  }

  async #prepare(): Promise<void> {
    if (this.#prepared) return;
    await this.#deps.repository.prepare();
    this.#prepared = true;
  }

  #connectDeps(branch: BranchName, remote: Remote, wanted: Subfolder, signal: AbortSignal): ConnectDeps {
    const { repository, directory, clock, site } = this.#deps;
    const { binding } = site();
    const subfolder = binding ? (binding.subfolder ?? '') : wanted;
    if (!binding) repository.view(subfolder);
    return {
      repository,
      directory,
      remote,
      branch,
      subfolder,
      signal,
      now: () => clock.now(),
      fileLimit: site().settings.limits.files,
      ...(binding ? { switching: (tip) => this.#deps.switching.begin({ branch, tip }) } : {}),
    };
  }

  async #run(triggers: ReadonlySet<Trigger>, signal: AbortSignal): Promise<Again> {
    const { binding, paused } = this.#deps.site();
    if (!binding || paused) return {};
    try {
      return await this.#once(triggers, signal);
    } catch (error) {
      if (signal.aborted) return {};
      return this.#failed(asProblem(error), triggers);
    }
  }

  async #once(triggers: ReadonlySet<Trigger>, signal: AbortSignal): Promise<Again> {
    const { site, repository, directory, remote, random, clock } = this.#deps;
    const at = clock.now();
    await this.#prepare();
    await this.#finishSwitch();
    await this.#mend(signal);
    await this.#checkRoot();
    const consent = this.#consent;
    const { step } = consent;
    const refusal = triggers.has('person') ? undefined : this.#deps.refusal();
    const outcome = await run({
      site: site(),
      repository,
      directory,
      remote,
      random,
      triggers,
      signal,
      now: () => clock.now(),
      ...(step ? { consent: step } : {}),
      ...(refusal ? { refusal } : {}),
      noteLost: (lost) => this.#saveConflicts(lost, [], clock.now()),
      progress: paced(clock, (progress) => this.#tell({ kind: 'progress', progress })),
    });
    if (this.#consent === consent) this.#consent = {};
    await this.#refused(outcome.refused);
    this.#failures = 0;
    await this.#settle(outcome, triggers, at);
    const { remote: agreed } = await repository.ledger();
    if (agreed && agreed !== this.#deps.agreed()) await this.#deps.saveAgreed(agreed);
    await this.#maintain(outcome, signal);
    return outcome.againInMs === undefined ? {} : { inMs: outcome.againInMs, trigger: 'watch' };
  }

  async #refused(refusal: Refusal | undefined): Promise<void> {
    const before = this.#deps.refusal();
    if (before?.commit !== refusal?.commit) await this.#deps.saveRefusal(refusal);
  }

  /** A stop between the ledger's step to another branch and the record of it: the ledger tells which of them holds. */
  async #finishSwitch(): Promise<void> {
    const { switching } = this.#deps.site().binding ?? {};
    if (!switching) return;
    const { remote } = await this.#deps.repository.ledger().catch(() => ({ remote: undefined }));
    await this.#deps.switching.end(remote === switching.tip ? switching.branch : undefined);
  }

  /** A connected site whose repository is gone or cannot be read gets a new one. */
  async #mend(signal: AbortSignal): Promise<void> {
    const { repository, remote, agreed } = this.#deps;
    const { disk } = await repository.ledger().catch(() => ({ disk: undefined }));
    if (disk && !this.#damaged) return;
    this.#damaged = false;
    await rebuild(repository, remote, agreed(), signal);
    // What waited for a person went with the repository; the list of questions did not.
    const held = this.#deps.conflicts().filter(isOpenHeld);
    const by = agreed();
    if (by && held.length > 0)
      await repository.hold(
        held.map(({ path }) => ({ path })),
        by,
      );
  }

  #damaged = false;

  /** Once a day, when nothing moves. */
  async #maintain(outcome: Outcome, signal: AbortSignal): Promise<void> {
    const { clock, repository, site } = this.#deps;
    const now = clock.monotonic();
    this.#maintainedAt ??= now - dayMs + this.#deps.random.fraction() * 6 * hourMs;
    if (outcome.pulled.length + outcome.pushed.length > 0 || now - this.#maintainedAt < dayMs) return;
    this.#maintainedAt = now;
    await repository.maintain(clock.now() - site().settings.keepDays * dayMs, signal);
  }

  #maintainedAt: number | undefined;

  /** Another folder in the site's place with the same contents is the same site, remounted. */
  async #checkRoot(): Promise<void> {
    const { directory, repository, site, saveRoot } = this.#deps;
    const now = await directory.check(this.#consent.root === 'emptied' ? 'may-be-empty' : 'not-emptied');
    const { root } = site();
    if (root?.dev === now.dev && root.ino === now.ino) return;
    if (root && this.#consent.root !== 'changed') {
      const { disk } = await repository.ledger();
      const files = disk ? await repository.files(disk, Number.POSITIVE_INFINITY) : [];
      const survey = await directory.survey();
      const present = new Map(survey.files.map(({ path, oid }) => [path, oid]));
      const refused = new Set([...directory.refused(), ...survey.left.map(({ path }) => path)]);
      const same = files.every(({ path, oid }) => present.get(path) === oid || refused.has(path));
      if (!same) throw new Problem('folder-changed', { folder: site().folder });
    }
    await saveRoot(now);
  }

  async #settle(outcome: Outcome, triggers: ReadonlySet<Trigger>, at: number): Promise<void> {
    const { clock } = this.#deps;
    const now = clock.now();
    const was = this.#status;
    await this.#noteConflicts(outcome, now);
    const asked = outcome.hold ?? (outcome.refused ? refusedHold(outcome, now) : undefined);
    this.#heldPaths = asked?.samples ?? [];
    const hold = asked && { ...asked, samples: asked.samples.slice(0, namedPaths) };
    const after = outcome.after;
    const about =
      after && (outcome.pulled.length > 0 || outcome.pushed.length > 0)
        ? await this.#deps.repository.commit(after)
        : undefined;
    const moved = (files: number): Moved | undefined =>
      about && after && files > 0
        ? { at: now, files, commit: after, subject: about.subject, by: about.author }
        : undefined;
    const pull = moved(outcome.pulled.length);
    const push = moved(outcome.pushed.length);
    this.#tell({
      kind: 'ended',
      result: outcome.pulled.length + outcome.pushed.length > 0 ? resultOf(outcome) : 'nothing',
      unsettled: outcome.unsettled,
      notSynced: outcome.notSynced,
      conflicts: this.#openConflicts(),
      ...(hold ? { hold } : {}),
      ...(pull ? { pull } : {}),
      ...(push ? { push } : {}),
    });
    if (!worthTelling(outcome, was, hold)) return;
    this.#report(at, triggers, {
      result: hold ? (outcome.refused ? 'refused' : 'held') : resultOf(outcome),
      pulled: tally(outcome.pulled),
      pushed: tally(outcome.pushed),
      files: filesOf(outcome),
      conflicts: outcome.lost.map(({ path }) => path),
      ...(outcome.before ? { before: outcome.before } : {}),
      ...(after ? { after } : {}),
      ...(about ? { subject: about.subject, by: about.author } : {}),
      ...(hold ? { hold: hold.code } : {}),
      ...(outcome.refused
        ? { problem: { code: 'push-refused', facts: { text: outcome.refused.text }, cause: '' } }
        : {}),
      output: outcome.output,
    });
  }

  async #noteConflicts(outcome: Outcome, at: number): Promise<void> {
    const lost = new Set(outcome.lost.map(({ path }) => path));
    await this.#saveConflicts(outcome.lost, await this.#unlisted(lost, at), at);
  }

  /** A merge that had to be made twice, or was told before it was offered, is one question for each path. */
  async #saveConflicts(lost: readonly Lost[], unlisted: readonly Conflict[], at: number): Promise<void> {
    const found = lost.map(({ path, kind, live, base, repository, site }): Conflict => ({
      id: randomUUID(),
      at,
      path,
      kind,
      live,
      ...(base ? { base: base.oid } : {}),
      ...(repository ? { repository: repository.oid } : {}),
      ...(site ? { site: site.oid } : {}),
    }));
    if (found.length + unlisted.length === 0) return;
    const isAgain = (conflict: Conflict): boolean =>
      !conflict.resolved &&
      found.some(
        ({ path, live, site }) =>
          path === conflict.path && ((live === 'both' && isOpenHeld(conflict)) || site === conflict.site),
      );
    const before = this.#deps.conflicts().filter((conflict) => !isAgain(conflict));
    const all = [...found, ...unlisted, ...before];
    // A question that is not listed can never be answered.
    await this.#deps.saveConflicts(all.filter((conflict, place) => place < 500 || isOpenHeld(conflict)));
  }

  /** Held paths without a question: the run that held them was cut off before it could list them. */
  async #unlisted(found: ReadonlySet<SitePath>, at: number): Promise<Conflict[]> {
    const { repository, conflicts } = this.#deps;
    const held = await repository.held();
    const listed = new Set(
      held.length === 0
        ? []
        : conflicts()
            .filter(isOpenHeld)
            .map(({ path }) => path),
    );
    const unlisted: Conflict[] = [];
    for (const { path, by } of held) {
      if (found.has(path) || listed.has(path)) continue;
      const [ours, theirs] = (await repository.commit(by)).parents;
      const change = (await repository.changes(theirs, ours)).find((changed) => changed.path === path);
      unlisted.push({
        ...{ id: randomUUID(), at, path, kind: 'content', live: 'both' },
        ...(change?.before ? { repository: change.before.oid } : {}),
        ...(change?.after ? { site: change.after.oid } : {}),
      });
    }
    return unlisted;
  }

  async #failed(problem: Problem, triggers: ReadonlySet<Trigger>): Promise<{ inMs: number }> {
    const { clock } = this.#deps;
    const now = clock.now();
    this.#failures += 1;
    if (problem.code === 'git-damaged') this.#damaged = true;
    // A git that was killed may have left a lock, or the repository is gone: made good before the next try.
    this.#prepared = false;
    const retry = remedies[problem.code].retry;
    // Looking for the folder again, or making our own copy anew, needs nobody; what asks a person waits for one.
    const looksAgain = retry === 'soon' || problem.code.startsWith('folder-') || problem.code === 'git-damaged';
    const inMs = Math.max(looksAgain ? this.#backOff() : slowMs, problem.retryAfterMs ?? 0);
    const facts = problem.toFacts();
    // What mends itself is tried again and asks nobody.
    const hold = retry === 'soon' ? undefined : problemHold(problem, now);
    const same = this.#status.problem?.code === facts.code;
    this.#tell({
      kind: 'failed',
      problem: facts,
      nextTryAt: now + inMs,
      asks: retry !== 'soon',
      ...(hold ? { hold } : {}),
    });
    // Once per incident: the same failure again changes the next try, not the story.
    if (!same)
      this.#report(now, triggers, {
        result: hold ? 'held' : 'failed',
        problem: facts,
        ...(hold ? { hold: hold.code } : {}),
      });
    return { inMs };
  }

  /** Doubling from one second to five minutes, anywhere up to it: many sites must not come back at once. */
  #backOff(): number {
    const ceiling = Math.min(longestWaitMs, 1_000 * 2 ** Math.min(this.#failures, 10));
    return Math.round(ceiling * (0.5 + this.#deps.random.fraction() / 2));
  }

  #tell(fact: StatusFact): void {
    const now = this.#deps.clock.now();
    const told = nextStatus(this.#status, fact, now);
    // A run that was under way when somebody paused the site ends in a paused site.
    const { binding, paused } = this.#deps.site();
    const next = binding && paused ? nextStatus(told, { kind: 'paused' }, now) : told;
    if (next === this.#status) return;
    this.#status = next;
    this.#publish();
  }

  #publish(): void {
    this.#deps.report({ kind: 'status', site: this.#deps.site().id, status: this.#status });
  }

  #report(
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

const isOpenHeld = ({ live, resolved }: Conflict): boolean => live === 'both' && !resolved;

function whatHappened({ lastPull, lastPush, lastAttempt, checkedAt, conflicts }: SiteStatus): Partial<SiteStatus> {
  return {
    conflicts,
    ...(checkedAt === undefined ? {} : { checkedAt }),
    ...(lastPull ? { lastPull } : {}),
    ...(lastPush ? { lastPush } : {}),
    ...(lastAttempt ? { lastAttempt } : {}),
  };
}

const none = { added: 0, changed: 0, removed: 0 };
