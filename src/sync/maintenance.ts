import type { BranchName } from '../model/instance.ts';
import { Problem } from '../model/problem.ts';
import type { Binding, RootIdentity, Site } from '../model/site.ts';
import type { Oid } from '../model/tree.ts';
import type { Clock, Random } from '../model/world.ts';
import type { Outcome } from './notes.ts';
import type { Directory, Remote, Repository } from './ports.ts';
import type { ConflictList } from './conflict-list.ts';
import { rebuild } from './rebuild.ts';

export interface MaintenanceDeps {
  readonly site: () => Site;
  readonly repository: Repository;
  readonly directory: Directory;
  readonly remote: Remote;
  readonly clock: Clock;
  readonly random: Random;
  /** Durable before it resolves. */
  readonly saveRoot: (root: RootIdentity) => Promise<void>;
  /** The commit both sides last agreed on, repeated outside the repository: for the day that is lost. */
  readonly agreed: () => Oid | undefined;
  /** A switch of branches under way. `end` without a branch: it did not happen. */
  readonly switching: {
    begin(to: NonNullable<Binding['switching']>): Promise<void>;
    end(branch?: BranchName): Promise<void>;
  };
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** Each leaves a pack or two; git looks an object up in one after another. */
const mostMoves = 50;

/** What a run must find in order, and what is put in order when none moves anything. */
export class Maintenance {
  readonly #deps: MaintenanceDeps;
  readonly #conflictList: ConflictList;
  #prepared = false;
  #damaged = false;
  #maintainedAt: number | undefined;
  #moves = 0;

  constructor(deps: MaintenanceDeps, questions: ConflictList) {
    this.#deps = deps;
    this.#conflictList = questions;
  }

  async prepare(): Promise<void> {
    if (this.#prepared) return;
    await this.#deps.repository.prepare();
    this.#prepared = true;
  }

  /** A run failed. A git that was killed may have left a lock, or the repository is gone: made good before the next. */
  failed({ code }: Problem): void {
    this.#prepared = false;
    if (code === 'git-damaged') this.#damaged = true;
  }

  /** `root`: what a person said yes to about the folder. */
  async beforeRun(root: 'changed' | 'emptied' | undefined, signal: AbortSignal): Promise<void> {
    await this.prepare();
    await this.#finishSwitch();
    await this.#mend(signal);
    await this.#checkRoot(root);
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
    const held = this.#conflictList.held().map((path) => ({ path }));
    const by = agreed();
    if (by && held.length > 0) await repository.hold(held, by);
  }

  /** Another folder in the site's place with the same contents is the same site, remounted. */
  async #checkRoot(agreedTo: 'changed' | 'emptied' | undefined): Promise<void> {
    const { directory, repository, site, saveRoot } = this.#deps;
    const now = await directory.check(agreedTo === 'emptied' ? 'may-be-empty' : 'not-emptied');
    const { root } = site();
    if (root?.dev === now.dev && root.ino === now.ino) return;
    if (root && agreedTo !== 'changed') {
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

  /** Once a day, when nothing moves; and small packs after so many runs that moved something. */
  async afterRun(outcome: Outcome, signal: AbortSignal): Promise<void> {
    const { clock, random, repository, site } = this.#deps;
    const hasMoved = outcome.pulled.length + outcome.pushed.length > 0;
    if (hasMoved) this.#moves += 1;
    if (this.#moves >= mostMoves) {
      this.#moves = 0;
      await repository.fold(signal);
    }
    const now = clock.monotonic();
    this.#maintainedAt ??= now - dayMs + random.fraction() * 6 * hourMs;
    if (hasMoved || now - this.#maintainedAt < dayMs) return;
    this.#maintainedAt = now;
    await repository.maintain(clock.now() - site().settings.keepDays * dayMs, signal);
  }
}
