import type { BranchNews } from '../model/delivery-verifier.ts';
import type { Trigger } from '../model/event.ts';
import type { BranchName } from '../model/instance.ts';
import type { Conflict, Direction, KeptVersion, Plan } from '../model/plan.ts';
import { Problem, asProblem } from '../model/problem.ts';
import { remedies } from '../model/remedy.ts';
import type { Refusal } from '../model/refusal.ts';
import type { Asked, Hold, HoldChoice, HoldCode, Moved, NotSynced, SiteStatus } from '../model/site.ts';
import type { Subfolder } from '../model/subfolder.ts';
import type { Oid, SitePath } from '../model/tree.ts';
import { makeAnew } from './anew.ts';
import { putBack, restoreKept, takeVersion } from './choice.ts';
import { type ConnectDeps, connect, planConnect } from './connect.ts';
import { resolveHeld } from './held.ts';
import { OfferSchedule } from './offer-schedule.ts';
import { pathsId } from './hold.ts';
import { removeLetGo, untrack } from './let-go.ts';
import type { Answer, SignedEdits } from './notes.ts';
import { paced } from './pace.ts';
import type { LeftByRules, Remote, TreeFile } from './ports.ts';
import { ConflictList, type ConflictListDeps } from './conflict-list.ts';
import type { Again, SiteQueue, Queue } from './queue.ts';
import { movedBy } from './record.ts';
import { run } from './run.ts';
import { StatusTracker, type StatusTrackerDeps, none } from './status-tracker.ts';
import { Maintenance, type MaintenanceDeps } from './maintenance.ts';

/** `site`: as it is now; its settings and binding change while the daemon runs. */
export interface SiteWorkerDeps extends StatusTrackerDeps, ConflictListDeps, MaintenanceDeps {
  readonly queue: Queue;
  readonly saveAgreed: (commit: Oid) => Promise<void>;
  /** The push GitLab refused last: a restart alone is no reason to offer it again. */
  readonly refusal: () => Refusal | undefined;
  readonly saveRefusal: (refusal: Refusal | undefined) => Promise<void>;
}

/** A commit that somebody signed for, and the paths it has. */
export interface SignedCommit {
  readonly commit: Oid;
  readonly paths: readonly SitePath[];
}

/** The worker of one site: its queue, its status, and everything a person may ask of it. */
export interface SiteWorker {
  status(): SiteStatus;
  /** `news`: what GitLab says of its branches. */
  trigger(trigger: Trigger, news?: readonly BranchNews[]): void;
  /**
   * Syncs now. Resolves when a run has ended that saw everything which either side had before the call, and took it or
   * named why not; a file that is still being written gets its time to rest. `waiting` aborts when nobody waits any more:
   * what is under way goes on. Throws `broken-off` and `stopping`.
   */
  sync(waiting: AbortSignal): Promise<void>;
  /**
   * The same, and what changed at these paths becomes a commit of its own in the name of `author`. A path that has not
   * changed, or was committed before the call, is in none of the commits. Gives those that were made.
   */
  commitAs(
    edits: Pick<SignedEdits, 'paths' | 'author' | 'message'>,
    waiting: AbortSignal,
  ): Promise<readonly SignedCommit[]>;
  /** A watcher event: the path has its time to rest first. */
  touched(): void;
  /** `changedElsewhere`: types of its file systems that other machines change without our knowledge. */
  watched(watched: boolean, changedElsewhere?: readonly string[]): void;
  /** The folder is compared so often beside the schedule; undefined: not at all. */
  scanned(everyMs: number | undefined): void;
  /**
   * `subfolder`: of a site that is not connected yet; a connected one keeps its own. `asked` aborts when nobody waits for
   * the answer any more.
   */
  plan(branch: BranchName, direction: Direction, remote: Remote, subfolder?: Subfolder, asked?: Asked): Promise<Plan>;
  connect(
    branch: BranchName,
    direction: Direction,
    planId: string,
    remote: Remote,
    bound: () => Promise<void>,
    mode?: 'first' | 'switch',
    subfolder?: Subfolder,
  ): Promise<void>;
  /** Pushes what GitLab refused to where `remote` leads; nothing else changes. */
  pushElsewhere(remote: Remote): Promise<string>;
  disconnected(): Promise<void>;
  paused(): void;
  /** Ends what is under way, wherever it is. False: nothing was. */
  breakOff(): boolean;
  choose(step: string, choice: HoldChoice): Promise<void>;
  restore(keptId: string, path: SitePath | undefined): Promise<void>;
  resolve(conflict: Conflict, choice: 'repository' | 'site'): Promise<void>;
  /** Removes a file from the folder that the repository no longer tracks; it is kept. */
  removeLetGo(path: SitePath): Promise<void>;
  /** Takes a path from the branch and leaves its file in the folder. False: it was not tracked. */
  untrack(path: SitePath): Promise<boolean>;
  /** The list of conflicts was changed by a person. */
  conflictsChanged(): void;
  kept(): Promise<readonly KeptVersion[]>;
  /** Throws `kept-missing`. */
  keptFiles(id: string): Promise<readonly TreeFile[]>;
  /** A blob's bytes, at most `limit` of them. Throws `kept-missing` for one that is not there. */
  content(oid: Oid, limit: number): Promise<Buffer>;
  /** Every path of the question that is open; a restart forgets them until the next scan. */
  heldPaths(): Hold['samples'];
  /** What the rules left out at the last full scan; a restart forgets it until the next one. */
  leftByRule(): LeftByRules | undefined;
  /** What waits for a person since the rules changed; `step` names exactly these paths. */
  wasIgnored(): { readonly step: string; readonly left: readonly NotSynced[] };
  /** The present rules count alone from the next scan on. Throws `plan-outdated` where `step` is another. */
  acceptRules(step: string): Promise<void>;
  /** From now on, edits at these paths become commits of their own with this message. Gives the way to end that. */
  attribute(edits: SignedEdits): () => void;
  /** Does something in its turn between two runs, when nothing of the site is under way. */
  betweenRuns<T>(work: () => Promise<T>): Promise<T>;
  /** Files under Mooring's care in the folder. */
  tracked(): number;
  close(): Promise<void>;
}

/** What is lost at GitLab: to put it back takes a push, and no change of files first. */
const isPushedBack: ReadonlySet<HoldCode> = new Set(['branch-missing', 'went-back']);
const longestWaitMs = 300_000;
/** A site that waits for a person is checked again this often. */
const slowMs = 300_000;

export function createSiteWorker(deps: SiteWorkerDeps): SiteWorker {
  return new Worker(deps);
}

class Worker implements SiteWorker {
  readonly #deps: SiteWorkerDeps;
  readonly #queue: SiteQueue;
  readonly #statusTracker: StatusTracker;
  readonly #conflictList: ConflictList;
  readonly #maintenance: Maintenance;
  readonly #offers: OfferSchedule;
  #failures = 0;
  readonly #signed = new Set<SignedEdits>();
  /** What a person agreed to since the last run: a step, or the state of the folder. It counts until a run ends well. */
  #consent: { answer?: Answer; root?: 'changed' | 'emptied' } = {};

  constructor(deps: SiteWorkerDeps) {
    this.#deps = deps;
    this.#statusTracker = new StatusTracker(deps);
    this.#conflictList = new ConflictList(deps);
    this.#maintenance = new Maintenance(deps, this.#conflictList);
    this.#offers = new OfferSchedule(deps);
    this.#queue = deps.queue.forSite({ run: (triggers, signal) => this.#run(triggers, signal) });
  }

  status(): SiteStatus {
    return this.#statusTracker.status;
  }

  trigger(trigger: Trigger, news: readonly BranchNews[] = []): void {
    const { binding, paused } = this.#deps.site();
    if (!binding || paused) return;
    const told = news.find(({ branch }) => branch === binding.branch);
    if (told) this.#deps.remote.expectTip?.(told.tip);
    this.#queue.trigger(trigger);
  }

  async sync(waiting: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    const { quietMaxMs } = this.#deps.site().settings;
    const until = clock.monotonic() + quietMaxMs;
    for (;;) {
      const began = clock.monotonic();
      const again = await this.#queue.job(async (signal) => {
        const next = await this.#run(new Set(['person', 'rescan']), signal);
        // A run that was broken off has not seen everything, and says nothing of it.
        signal.throwIfAborted();
        return next;
      });
      if (again.inMs !== undefined) this.#queue.trigger(again.trigger ?? 'retry', again.inMs);
      const restsMs = again.trigger === 'watch' ? (again.inMs ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY;
      // What was there at the call has been taken by a run that began after the longest time to rest. What a person
      // has to decide, and what GitLab refused, is waited for by nobody.
      if (restsMs > quietMaxMs || began >= until || this.status().hold) return;
      await clock.sleep(restsMs, waiting);
    }
  }

  async commitAs(
    edits: Pick<SignedEdits, 'paths' | 'author' | 'message'>,
    waiting: AbortSignal,
  ): Promise<readonly SignedCommit[]> {
    const made: SignedCommit[] = [];
    const request = {
      ...edits,
      committed: (commit: Oid, paths: readonly SitePath[]) => void made.push({ commit, paths }),
    };
    // Each run until then knows of it, one that the watcher triggers too.
    this.#signed.add(request);
    try {
      await this.sync(waiting);
    } catch (error) {
      if (!waiting.aborted) throw error;
    } finally {
      this.#signed.delete(request);
    }
    return this.#stillThere(made);
  }

  /** Without those that GitLab refused, and that were made anew in Mooring's own name. */
  async #stillThere(made: readonly SignedCommit[]): Promise<readonly SignedCommit[]> {
    const { repository } = this.#deps;
    const { disk } = await repository.ledger();
    const kept: SignedCommit[] = [];
    for (const one of made)
      if (disk && ['equal', 'ahead'].includes(await repository.relation(disk, one.commit))) kept.push(one);
    return kept;
  }

  touched(): void {
    const { binding, paused, settings } = this.#deps.site();
    if (!binding || paused) return;
    this.#statusTracker.edited();
    this.#queue.trigger('watch', settings.quietMs);
  }

  watched(watched: boolean, changedElsewhere = this.status().changedElsewhere ?? []): void {
    this.#statusTracker.tell({ kind: 'watched', watched, changedElsewhere });
  }

  scanned(everyMs: number | undefined): void {
    if (everyMs !== this.status().scannedEveryMs) this.#statusTracker.tell({ kind: 'scanned', everyMs });
  }

  plan(
    branch: BranchName,
    direction: Direction,
    remote: Remote,
    subfolder: Subfolder = '',
    asked?: Asked,
  ): Promise<Plan> {
    return this.#queue.job(async (stopped) => {
      const signal = asked ? AbortSignal.any([stopped, asked.signal]) : stopped;
      signal.throwIfAborted();
      const { binding, paused } = this.#deps.site();
      // What cannot go there is named in the plan.
      if (binding && !paused) await this.#pushFirst(signal).catch(() => undefined);
      const deps = this.#connectDeps(branch, remote, subfolder, signal);
      const progress = paced(this.#deps.clock, (told) => asked?.progress(told));
      return planConnect({ ...deps, progress }, direction);
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
  ): Promise<void> {
    await this.#queue.job(async (signal) => {
      // Two browsers, or a double click: the first one won while this one waited for its turn.
      const { binding } = this.#deps.site();
      if (binding && (mode === 'first' || binding.branch === branch)) throw new Problem('already-connected', {});
      const before = this.#statusTracker.status;
      this.#statusTracker.tell({ kind: 'started' });
      try {
        const startedAt = this.#deps.clock.now();
        const deps = this.#connectDeps(branch, remote, subfolder, signal);
        const progress = paced(this.#deps.clock, (progress) =>
          this.#statusTracker.tell({ kind: 'progress', progress }),
        );
        const root = await this.#deps.directory.check();
        let isBound = false;
        const done = await connect({ ...deps, progress }, direction, planId, async () => {
          await bound();
          isBound = true;
        }).catch((error: unknown) => {
          // Connected by now: the first run goes on with the folder, and tells what stands against it.
          if (!isBound) throw error;
        });
        await this.#deps.saveRoot(root);
        await this.#refused(undefined);
        this.#statusTracker.tell({ kind: 'connected', ...(done ? await this.#firstMove(done) : {}) });
        const moved = done ? movedBy(done) : { pulled: none, pushed: none, files: [] };
        this.#statusTracker.report(startedAt, new Set(['person']), { result: 'connected', ...moved });
      } catch (error) {
        this.#statusTracker.takeBack(before);
        throw error;
      }
    });
    this.trigger('start');
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

  async pushElsewhere(remote: Remote): Promise<string> {
    const result = await this.#queue.job(async (signal) => {
      const commit = await this.#lineToOffer(signal);
      return remote.push(commit, null, { skipCi: this.#deps.site().settings.skipCi }, signal);
    });
    if (result.kind === 'moved') throw new Problem('form-invalid', { newBranch: 'There is such a branch already.' });
    if (result.kind === 'refused') throw new Problem('push-refused', { text: result.text });
    return result.text ?? '';
  }

  /** The refused line, made anew first where it brings what GitLab refuses and the folder no longer has. */
  async #lineToOffer(signal: AbortSignal): Promise<Oid> {
    const refusal = this.#deps.refusal();
    if (!refusal) throw new Problem('plan-outdated', {});
    const { site, repository, directory, remote, clock } = this.#deps;
    const tip = await remote.head(signal, true);
    const known = tip === 'absent' ? undefined : tip;
    const deps = { site: site(), repository, directory, remote, now: () => clock.now(), signal };
    const anew = known === (await repository.ledger()).remote ? await makeAnew(deps, known, refusal) : undefined;
    if (anew === undefined || anew === 'moved') return refusal.commit;
    await this.#refused({ ...refusal, commit: anew.commit });
    return anew.commit;
  }

  async disconnected(): Promise<void> {
    await this.#queue.job(async () => {
      const { directory } = this.#deps;
      // A repository that cannot be put in order keeps its ledger: the next connect overwrites it.
      await this.#letGo().catch(() => undefined);
      directory.hold([]);
      await directory.resetBaseline(undefined, async () => []);
      await this.#refused(undefined);
      this.#statusTracker.tell({ kind: 'disconnected' });
    });
  }

  async #letGo(): Promise<void> {
    const { repository } = this.#deps;
    await this.#maintenance.prepare();
    await repository.updateRefs({
      disk: null,
      remote: null,
      pending: null,
      offered: null,
      choice: null,
      base: null,
      back: null,
      restored: null,
    });
    await this.#deps.restored?.done();
    await repository.release((await repository.held()).map(({ path }) => path));
  }

  paused(): void {
    this.#statusTracker.tell({ kind: 'paused' });
  }

  breakOff(): boolean {
    return this.#queue.breakOff();
  }

  async choose(step: string, choice: HoldChoice): Promise<void> {
    const { hold } = this.#statusTracker.status;
    if (!hold || hold.step !== step || !hold.choices.includes(choice)) throw new Problem('plan-outdated', {});
    if (choice !== 'leave-out') await this.#refused(undefined);
    if (hold.code === 'root-emptied') {
      if (choice === 'put-back') await this.#queue.job(() => this.#deps.directory.forget());
      else if (choice === 'go-on') this.#consent = { root: 'emptied' };
    } else if (choice === 'adopt' && (hold.code === 'root-changed' || hold.code === 'restored'))
      this.#consent = { root: 'changed' };
    else if (choice === 'put-back' && !isPushedBack.has(hold.code)) {
      await this.#queue.job(() => putBack(this.#deps.repository, hold));
    } else if (choice !== 'try-again') this.#consent = { answer: { hold, choice } };
    this.trigger('person');
  }

  async restore(keptId: string, path: SitePath | undefined): Promise<void> {
    await this.#queue.job(async (signal) => {
      await this.#once(new Set(['person', 'rescan']), signal);
      await this.#keepPresent();
      await restoreKept(this.#deps, keptId, path);
    });
    this.trigger('person');
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
    await this.#queue.job(async () => {
      const held = (await repository.held()).some(({ path }) => path === conflict.path);
      if (held) await resolveHeld({ repository, directory, now: () => clock.now() }, conflict.path, choice);
      else {
        const isLink = conflict.links?.includes(choice) ?? false;
        await takeVersion(this.#deps, conflict.path, oid && { oid, isLink });
      }
    });
    this.trigger('person');
  }

  async removeLetGo(path: SitePath): Promise<void> {
    const { repository, directory, clock } = this.#deps;
    await this.#queue.job(async () => {
      await this.#maintenance.prepare();
      await removeLetGo({ repository, directory, now: () => clock.now() }, path);
    });
  }

  async untrack(path: SitePath): Promise<boolean> {
    const { repository, directory, clock } = this.#deps;
    const untracked = await this.#queue.job(async () => {
      await this.#maintenance.prepare();
      return untrack({ repository, directory, site: this.#deps.site(), now: () => clock.now() }, path);
    });
    if (untracked) this.trigger('person');
    return untracked;
  }

  conflictsChanged(): void {
    this.#statusTracker.tell({ kind: 'conflicts', conflicts: this.#conflictList.open() });
  }

  async kept(): Promise<readonly KeptVersion[]> {
    await this.#maintenance.prepare();
    return this.#deps.repository.kept();
  }

  async keptFiles(id: string): Promise<readonly TreeFile[]> {
    await this.#maintenance.prepare();
    return (await this.#deps.repository.keptFiles(id)).files;
  }

  async content(oid: Oid, limit: number): Promise<Buffer> {
    await this.#maintenance.prepare();
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
    return this.#statusTracker.heldPaths;
  }

  leftByRule(): LeftByRules | undefined {
    return this.#deps.directory.leftByRule();
  }

  wasIgnored(): { step: string; left: readonly NotSynced[] } {
    const left = this.#deps.directory.wasIgnored();
    return { step: pathsId(left.map(({ path }) => path)), left };
  }

  async acceptRules(step: string): Promise<void> {
    await this.#queue.job(async () => {
      if (this.wasIgnored().step !== step) throw new Problem('plan-outdated', {});
      await this.#deps.directory.acceptRules();
    });
    this.trigger('person');
  }

  attribute(edits: SignedEdits): () => void {
    this.#signed.add(edits);
    return () => void this.#signed.delete(edits);
  }

  betweenRuns<T>(work: () => Promise<T>): Promise<T> {
    return this.#queue.job(work);
  }

  tracked(): number {
    return this.#deps.directory.tracked();
  }

  close(): Promise<void> {
    return this.#queue.close().then(() => this.#deps.directory.close());
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
    const at = this.#deps.clock.now();
    try {
      return await this.#once(triggers, signal);
    } catch (error) {
      if (signal.aborted) return {};
      return this.#failed(asProblem(error), triggers, at);
    }
  }

  async #once(triggers: ReadonlySet<Trigger>, signal: AbortSignal): Promise<Again> {
    const { site, repository, directory, remote, random, clock } = this.#deps;
    const at = clock.now();
    const consent = this.#consent;
    await this.#maintenance.beforeRun(consent.root, signal);
    const refusal = this.#deps.refusal();
    const isDue = triggers.has('person') || this.#offers.isDue(triggers.has('webhook'));
    const outcome = await run({
      site: site(),
      repository,
      directory,
      remote,
      random,
      triggers,
      signal,
      now: () => clock.now(),
      ...(consent.answer ? { answer: consent.answer } : {}),
      ...(refusal ? { refusal } : {}),
      signed: [...this.#signed],
      isDue,
      noteLost: (lost) => this.#conflictList.note(lost, clock.now()),
      progress: paced(clock, (progress) => this.#statusTracker.tell({ kind: 'progress', progress })),
    });
    if (this.#consent === consent) this.#consent = {};
    await this.#refused(outcome.refused);
    this.#failures = 0;
    await this.#conflictList.update(outcome.lost, clock.now());
    // With a question open, the answer to it is what is waited for.
    const isRefused = outcome.refused !== undefined && outcome.hold === undefined;
    const waits = isRefused || outcome.notSynced.some(({ reason }) => reason.kind === 'refused');
    const offerInMs = this.#offers.next({ waits, wasOffered: isDue || outcome.wasRefused });
    const nextTryAt = Number.isFinite(offerInMs) ? clock.now() + offerInMs : undefined;
    await this.#statusTracker.ended(outcome, triggers, at, () => this.#conflictList.open(), nextTryAt);
    const { remote: agreed } = await repository.ledger();
    if (agreed && agreed !== this.#deps.agreed()) await this.#deps.saveAgreed(agreed);
    await this.#maintenance.afterRun(outcome, signal);
    const inMs = Math.min(outcome.againInMs ?? Number.POSITIVE_INFINITY, offerInMs);
    return Number.isFinite(inMs) ? { inMs, trigger: 'watch' } : {};
  }

  async #refused(refusal: Refusal | undefined): Promise<void> {
    const before = this.#deps.refusal();
    if (before?.commit !== refusal?.commit || before?.text !== refusal?.text) await this.#deps.saveRefusal(refusal);
  }

  async #failed(problem: Problem, triggers: ReadonlySet<Trigger>, at: number): Promise<{ inMs: number }> {
    this.#failures += 1;
    this.#maintenance.failed(problem);
    const { retry } = remedies[problem.code];
    // Looking for the folder again, or making our own copy anew, needs nobody; what asks a person waits for one.
    const looksAgain = retry === 'soon' || problem.code.startsWith('folder-') || problem.code === 'git-damaged';
    const inMs = Math.max(looksAgain ? this.#backOff() : slowMs, problem.retryAfterMs ?? 0);
    await this.#statusTracker.failed(problem, triggers, at, this.#deps.clock.now() + inMs);
    return { inMs };
  }

  /** Doubling from one second to five minutes, anywhere up to it: many sites must not come back at once. */
  #backOff(): number {
    const ceiling = Math.min(longestWaitMs, 1_000 * 2 ** Math.min(this.#failures, 10));
    return Math.round(ceiling * (0.5 + this.#deps.random.fraction() / 2));
  }
}
