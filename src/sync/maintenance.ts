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
  /** Set while the state of the site comes from a backup and nothing was done with it yet; absent: it never does. */
  readonly restored?: {
    /** `elsewhere`: on a machine that is another one, or may be. Undefined: it does not. */
    read(): Promise<{ readonly elsewhere: boolean } | undefined>;
    done(): Promise<void>;
  };
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
    const isRestored = await this.#admitRestored(root);
    await this.#mend(signal);
    if (isRestored) await this.#noteRestored();
    await this.#checkRoot(root);
  }

  /**
   * Whether the site's state comes from a backup, from now on to be used. With the folder that it was made of, nobody is
   * asked; any other may be the wrong one, and then what it lacks or has would be published.
   */
  async #admitRestored(agreedTo: 'changed' | 'emptied' | undefined): Promise<boolean> {
    const { directory, site, saveRoot } = this.#deps;
    const restored = await this.#deps.restored?.read();
    if (!restored) return false;
    const now = await directory.check('may-be-empty');
    const { root } = site();
    const isSame = root?.dev === now.dev && root.ino === now.ino && !restored.elsewhere;
    if (!isSame && agreedTo !== 'changed') throw await this.#restoredElsewhere();
    await saveRoot(now);
    return true;
  }

  /** How the folder differs from what the backup says of it. */
  async #restoredElsewhere(): Promise<Problem> {
    const { directory, repository, site } = this.#deps;
    const { disk } = await repository.ledger();
    const files = disk ? await repository.files(disk, Number.POSITIVE_INFINITY) : [];
    const present = new Map((await directory.survey()).files.map(({ path, oid }) => [path, oid]));
    const missing = files.filter(({ path }) => !present.has(path)).length;
    const same = files.filter(({ path, oid }) => present.get(path) === oid).length;
    const counts = {
      same,
      changed: files.length - same - missing,
      missing,
      added: present.size - files.length + missing,
    };
    const stated = Object.entries(disk ? counts : {}).map(([name, count]) => [name, String(count)]);
    return new Problem('folder-restored', { folder: site().folder, ...Object.fromEntries(stated) });
  }

  /** The ref first: a stop between the two does this once more. */
  async #noteRestored(): Promise<void> {
    const { disk } = await this.#deps.repository.ledger();
    if (disk) await this.#deps.repository.updateRefs({ restored: disk });
    await this.#deps.restored?.done();
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
