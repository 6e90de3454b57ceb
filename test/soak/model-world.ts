import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { realFs } from '../../src/files/disk.ts';
import type { SyncEvent, Trigger } from '../../src/model/event.ts';
import type { Conflict } from '../../src/model/plan.ts';
import { Problem } from '../../src/model/problem.ts';
import type { HoldChoice, RootIdentity, Site } from '../../src/model/site.ts';
import { type Oid, pathBytes } from '../../src/model/tree.ts';
import type { Clock, Fs } from '../../src/model/world.ts';
import { type SiteWorker, type SiteWorkerDeps, createSiteWorker } from '../../src/sync/site-worker.ts';
import type { Remote, Repository } from '../../src/sync/ports.ts';
import { type SiteQueue, createQueue } from '../../src/sync/queue.ts';
import { type EngineWorld, engineWorld } from '../support/engine.ts';
import { git } from '../support/plain-git.ts';
import type { Chance } from './chance.ts';
import { Doom, doomedFs, doomedRemote, doomedRepository, inlineScanner } from './doom.ts';
import { Edits, plantedLocks } from './model-edits.ts';
import { assertSame, folderFiles, isAncestor, leftovers, missing, treeFiles } from './oracle.ts';

/** Steps at which a process of the model likes to end. */
const namedSteps = [
  'exchange',
  'link',
  'createFile',
  'fsync',
  'rename',
  'unlink',
  'take',
  'move',
  'push',
  'fetch',
  'make',
];

/** What the store holds between two processes. */
interface Stored {
  readonly root?: RootIdentity;
  readonly agreed?: Oid;
  readonly conflicts: readonly Conflict[];
  readonly refusal?: Parameters<SiteWorkerDeps['saveRefusal']>[0];
}

/**
 * One site with its keeper and its lane, real files and real git, under a clock that the model owns; two sides that edit
 * the same few paths, a person who chooses, and everything that can fail. The process ends at any step: then nothing
 * more of it reaches the disk, and a new one goes on from what it left.
 */
export class ModelWorld {
  readonly trace: string[] = [];
  readonly edits: Edits;
  readonly count = { kills: 0, faults: 0, runs: 0, holds: 0, backs: 0 };
  readonly #dir: string;
  readonly #chance: Chance;
  readonly #policy: 'repository' | 'site';
  readonly #way: 'exchange' | 'link';
  readonly #pushes: [string | null, string][] = [];
  readonly #tips = new Set<string>();
  /** What was answered last about each tip that the branch had lost, and how often it had lost any by then. */
  readonly #answers = new Map<
    string,
    { readonly step: string; readonly choice: HoldChoice; readonly losses: number }
  >();
  #fault: 'none' | 'cut-before' | 'cut-after' | 'refused' | 'slow' = 'none';
  #diskIsFull = false;
  #stored: Stored[] = [{ conflicts: [] }];
  #site: Site | undefined;
  #live: Live | undefined;

  constructor(dir: string, seed: number, chance: Chance) {
    this.#dir = dir;
    this.#chance = chance;
    this.#policy = chance.once(2) ? 'repository' : 'site';
    this.#way = chance.once(4) ? 'link' : 'exchange';
    this.edits = new Edits(dir, seed, chance, (text) => this.trace.push(text));
  }

  async begin(): Promise<void> {
    const world = await engineWorld({
      keep: this.#dir,
      repository: this.edits.first(),
      scanner: inlineScanner(realFs()),
    });
    await world.connect();
    this.#site = {
      ...world.siteModel,
      settings: { ...world.siteModel.settings, policy: this.#policy },
      binding: { projectPath: 'harbour/site', branch: 'main' } as NonNullable<Site['binding']>,
    };
    await world.close();
    mkdirSync(join(this.#dir, 'outside'));
    writeFileSync(join(this.#dir, 'outside', 'sentinel'), 'not ours');
  }

  /** One thing happens. */
  async operate(): Promise<void> {
    const at = this.#chance.pick(100);
    if (at < 38) this.#touched(this.edits.site());
    else if (at < 62) {
      this.edits.remote();
      this.#noteTip();
    } else if (at < 80) await this.#ring(this.#chance.oneOf(['poll', 'webhook', 'watch', 'rescan', 'person'] as const));
    else if (at < 83) await this.#tick(this.#chance.oneOf([100, 5_000, 120_000, 700_000, 7_200_000]));
    else if (at < 88) this.#network();
    else if (at < 96) await this.#trouble();
    else await this.#admin();
  }

  /** What somebody at GitLab pushed. */
  #noteTip(): void {
    const tip = git(join(this.#dir, 'gitlab.git'), 'for-each-ref', '--format=%(objectname)', 'refs/heads/main');
    if (tip) this.#tips.add(tip);
  }

  /**
   * Whatever GitLab refused in between: what came from it is still part of its branch, and so is every version that lost
   * a conflict, unless somebody took the branch's history away.
   */
  #assertNothingLeftGitLab(): void {
    if (!this.edits.branchOnlyGrew) return;
    const bare = join(this.#dir, 'gitlab.git');
    for (const tip of this.#tips) assert.ok(isAncestor(bare, tip, 'main'), `${tip} is no longer on GitLab`);
    const lost = (this.#stored.at(-1)?.conflicts ?? []).flatMap(({ live, site }) =>
      live === 'repository' && site ? [site as string] : [],
    );
    if (lost.length === 0) return;
    const there = new Set(git(bare, 'rev-list', '--objects', '--no-object-names', 'main').split('\n'));
    assert.equal(
      lost.filter((oid) => !there.has(oid)),
      [],
      'a version that lost a conflict is not on GitLab',
    );
  }

  /** A third of all events never arrives. */
  #touched(paths: readonly string[]): void {
    for (const path of paths) {
      if (this.#chance.once(3) || !this.#live) continue;
      this.#live.world.directory.touched(join(this.#dir, 'site', path));
    }
  }

  #network(): void {
    this.#fault = this.#chance.oneOf(['cut-before', 'cut-after', 'refused', 'none'] as const);
    this.count.faults += 1;
    this.trace.push(`network ${this.#fault}`);
  }

  async #trouble(): Promise<void> {
    const kind = this.#chance.oneOf(['end', 'end', 'manifest', 'store', 'lock', 'disk', 'clock', 'double'] as const);
    this.count.faults += 1;
    this.trace.push(kind);
    if (kind === 'disk') this.#diskIsFull = !this.#diskIsFull;
    else if (kind === 'clock')
      this.#live?.world.clockJumps(this.#chance.oneOf([-3_600_000, 3_600_000, -5, 86_400_000]));
    else if (kind === 'lock') this.#plantLock();
    else if (kind === 'double') await this.#ring('webhook', 'webhook');
    else {
      await this.#end();
      if (kind === 'manifest') rmSync(join(this.#dir, 'state', 'manifest.jsonl'), { force: true });
      // The generation before the last change.
      else if (kind === 'store' && this.#stored.length > 1) this.#stored.pop();
    }
  }

  #plantLock(): void {
    const name = this.#chance.oneOf(plantedLocks);
    writeFileSync(join(this.#dir, 'state', 'repo.git', name), '');
  }

  async #admin(): Promise<void> {
    const kind = this.#chance.oneOf(['pause', 'resume', 'choose', 'choose', 'restore'] as const);
    const site = this.#site as Site;
    this.trace.push(kind);
    if (kind === 'pause' || kind === 'resume') {
      this.#site = { ...site, paused: kind === 'pause' };
      if (kind === 'pause') this.#live?.worker.paused();
      else await this.#ring('start');
    } else if (kind === 'choose') await this.#choose();
    else await this.#restore();
  }

  /** A person answers what the site asks. */
  async #choose(): Promise<void> {
    const live = await this.#process();
    const { hold } = live.worker.status();
    if (!hold || hold.choices.length === 0) return;
    const choice = this.#chance.oneOf(hold.choices);
    this.count.holds += 1;
    this.trace.push(`${hold.code}: ${choice}`);
    if (hold.code === 'went-back') {
      const [known = ''] = hold.step.split(':');
      this.#answers.set(known, { step: hold.step, choice, losses: this.edits.losses });
      this.count.backs += 1;
    }
    await this.#asked(() => live.worker.choose(hold.step, choice));
  }

  /** An agreement is given up for an older tip, or what came on top of one, only where a person said so of both. */
  #asksFirst(repository: Repository): Repository {
    return {
      ...repository,
      updateRefs: async (changes, expect) => {
        const { remote: known, back } = await repository.ledger();
        const next = changes.remote;
        const relation = known && next ? await repository.relation(known, next) : 'equal';
        if (known && (relation === 'ahead' || (back && relation === 'diverged'))) {
          const { step, choice } = this.#answers.get(known) ?? {};
          assert.equal([step, choice], [`${known}:${next}`, 'go-on'], 'a branch that went back was followed unasked');
        }
        return repository.updateRefs(changes, expect);
      },
    };
  }

  /** What was to be pushed back is on GitLab, unless it lost something again afterwards. */
  #assertPushedBack(): void {
    const bare = join(this.#dir, 'gitlab.git');
    for (const [known, { choice, losses }] of this.#answers)
      if (choice === 'put-back' && losses === this.edits.losses)
        assert.ok(isAncestor(bare, known, 'main'), `${known} was not pushed back`);
  }

  async #restore(): Promise<void> {
    const { worker } = await this.#process();
    if (this.#site?.paused) return;
    await this.#asked(async () => {
      const kept = await worker.kept();
      if (kept.length === 0) return;
      const { id } = this.#chance.oneOf(kept);
      const files = await worker.keptFiles(id);
      const path = this.#chance.once(2) ? files[this.#chance.pick(files.length || 1)]?.path : undefined;
      this.trace.push(path === undefined ? 'restore all' : 'restore one');
      await worker.restore(id, path);
    });
  }

  /** Something a person asked for: it may fail with a problem, which the page would show. */
  async #asked(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!this.#live?.doom.dead && !(error instanceof Problem)) throw error;
      this.trace.push(error instanceof Problem ? error.code : 'broken off');
    }
    await this.#runsEnd();
  }

  async #tick(ms: number): Promise<void> {
    this.trace.push(`tick ${ms}`);
    const live = await this.#process();
    live.world.later(ms);
    live.clock.advance(ms);
    await this.#runsEnd();
  }

  async #ring(...triggers: readonly Trigger[]): Promise<void> {
    const { worker } = await this.#process();
    this.trace.push(...triggers);
    this.count.runs += 1;
    for (const trigger of triggers) worker.trigger(trigger);
    await this.#runsEnd();
  }

  /** Waits for the lane; sees whether the process came to its end in it. */
  async #runsEnd(): Promise<void> {
    const live = this.#live;
    if (!live) return;
    await live.lane().job(async () => {});
    if (live.doom.dead) {
      this.count.kills += 1;
      this.trace.push(`killed at ${live.doom.trace.at(-1)}`);
      await this.#end();
      if (this.#chance.once(4)) rmSync(join(this.#dir, 'state', 'manifest.jsonl'), { force: true });
      return;
    }
    const { state, problem, hold } = live.worker.status();
    this.trace.push(problem?.code ?? hold?.code ?? state);
    assert.is.not(problem?.code, 'unexpected', JSON.stringify(problem));
  }

  async #end(): Promise<void> {
    const live = this.#live;
    this.#live = undefined;
    await live?.doom.buried();
  }

  async #process(healthy = false): Promise<Live> {
    if (this.#live) return this.#live;
    this.trace.push('start');
    const doom = this.#nextDoom(healthy);
    const { exchange: _exchange, renameNoReplace: _renameNoReplace, ...linking } = realFs();
    const platform: Fs = this.#way === 'link' ? linking : realFs();
    const fs = doomedFs(
      fullFs(platform, () => this.#diskIsFull),
      doom,
    );
    const world = await engineWorld({
      keep: this.#dir,
      fs,
      scanner: inlineScanner(fs),
      settings: { policy: this.#policy },
      wrap: (repository) => doomedRepository(this.#asksFirst(repository), doom),
      remote: (remote) => doomedRemote(this.#faulty(remote), doom, (from, to) => this.#pushes.push([from, to])),
    });
    const clock = new ModelClock();
    let siteQueue: SiteQueue | undefined;
    const queue = createQueue({ clock, concurrency: 1 });
    const worker = createSiteWorker({
      ...this.#keeperDeps(world, doom),
      clock,
      queue: { ...queue, forSite: (work) => (siteQueue = queue.forSite(work)) },
    });
    doom.armed = true;
    this.#live = { world, worker, doom, clock, lane: () => siteQueue as SiteQueue };
    worker.trigger('start');
    this.count.runs += 1;
    await this.#runsEnd();
    if (this.#live) this.#honest(this.#live);
    return this.#live ?? this.#process(healthy);
  }

  #nextDoom(healthy: boolean): Doom {
    const state = join(this.#dir, 'state');
    if (healthy || this.#chance.once(2)) return new Doom(Number.POSITIVE_INFINITY, state);
    if (this.#chance.once(2)) return new Doom(1 + this.#chance.pick(60), state);
    return new Doom(1 + this.#chance.pick(4), state, this.#chance.oneOf(namedSteps));
  }

  #keeperDeps(world: EngineWorld, doom: Doom): Omit<SiteWorkerDeps, 'clock' | 'queue'> {
    const stored = (): Stored => this.#stored.at(-1) as Stored;
    const save = async (change: Partial<Stored>): Promise<void> => {
      doom.step('save');
      this.#stored = [...this.#stored, { ...stored(), ...change }].slice(-3);
      const { root } = stored();
      if (root && this.#site) this.#site = { ...this.#site, root };
    };
    return {
      site: () => this.#site as Site,
      repository: world.repository,
      directory: world.directory,
      remote: world.remote,
      random: { bytes: (n) => Buffer.alloc(n, 7), fraction: () => 0.5 },
      report: (_event: SyncEvent) => {},
      saveRoot: (root) => save({ root }),
      conflicts: () => stored().conflicts,
      agreed: () => stored().agreed,
      saveAgreed: (agreed) => save({ agreed }),
      refusal: () => stored().refusal,
      saveRefusal: (refusal) => save({ refusal }),
      switching: { begin: async () => {}, end: async () => {} },
      saveConflicts: (conflicts) => save({ conflicts }),
    };
  }

  #faulty(remote: Remote): Remote {
    const cut = (when: 'cut-before' | 'cut-after'): void => {
      if (this.#fault === when)
        throw new Problem('gitlab-unreachable', { project: 'p', branch: 'main', reason: 'cut' });
    };
    return {
      ...remote,
      head: async (signal) => {
        cut('cut-before');
        return remote.head(signal);
      },
      push: async (...args) => {
        cut('cut-before');
        const text = this.#fault === 'refused' ? this.#ruleSays(args[0], args[1]) : undefined;
        if (text) return { kind: 'refused', text, output: text };
        const result = await remote.push(...args);
        if (result.kind === 'done') this.#pushes.push([args[1], args[0]]);
        cut('cut-after');
        return result;
      },
    };
  }

  /** Every second rule is against anything at all; the others look at each new commit for one path, and name it. */
  #ruleSays(commit: Oid, expected: Oid | null): string | undefined {
    if (this.count.faults % 2 === 0) return 'no';
    const range = expected ? `${expected}..${commit}` : commit;
    const paths = git(join(this.#dir, 'state', 'repo.git'), 'log', '-m', '--format=', '--name-only', range).split('\n');
    return paths.includes('dir/b.md') ? 'File name dir/b.md was prohibited by the pattern "b".' : undefined;
  }

  /** After a look at everything, «in sync» is what it says. */
  #honest({ worker, world }: Live): void {
    if (worker.status().state !== 'in-sync') return;
    this.#assertEqual(worker, world);
  }

  #assertEqual(worker: SiteWorker, world: EngineWorld): void {
    // A site path is bytes; the names compared here are text.
    const apart = worker.status().notSynced.map(({ path }) => pathBytes(path).toString('utf8'));
    const isApart = (path: string): boolean => apart.some((at) => path === at || path.startsWith(`${at}/`));
    const without = (files: Map<string, string>) => new Map([...files].filter(([path]) => !isApart(path)));
    assertSame(without(folderFiles(world.site)), without(treeFiles(world.bare, 'main')));
  }

  /** All faults go, open questions are answered, and everything comes to rest: then nothing may be lost. */
  async judge(): Promise<void> {
    this.trace.push('heal');
    this.edits.finish();
    this.#fault = 'none';
    this.#diskIsFull = false;
    await this.#end();
    this.#site = { ...(this.#site as Site), paused: false };
    await this.#process(true);
    for (let round = 0; round < 16; round += 1) {
      await this.#tick(400_000);
      const before = this.#refs();
      await this.#ring('rescan');
      await this.#ring('person');
      const { hold } = (await this.#process(true)).worker.status();
      if (hold) await this.#choose();
      else if (round > 1 && before === this.#refs()) break;
    }
    const { worker, world } = await this.#process(true);
    assert.equal(worker.status().problem, undefined);
    assert.is(worker.status().hold, undefined, 'it still asks');
    this.#assertEqual(worker, world);
    const before = this.#refs();
    for (const trigger of ['rescan', 'poll', 'person'] as const) await this.#ring(trigger);
    assert.is(this.#refs(), before, 'a further look made a commit');
    // What was replaced may go; what was written into it late is kept first.
    await this.#tick(2_000_000);
    await this.#ring('rescan');
    await this.#ring('person');
    assert.equal(missing(world, [...this.edits.written]), [], 'lost');
    this.#assertNothingLeftGitLab();
    this.#assertPushedBack();
    assert.equal(this.edits.invented(), [], 'nobody wrote this');
    assert.equal(this.edits.gone(), [], 'nobody removed this');
    for (const [from, to] of this.#pushes) if (from) assert.ok(isAncestor(world.gitDir, from, to), 'not forward');
    assert.ok(this.#pushes.length <= 12 * (this.count.runs + 1), `${this.#pushes.length} pushes`);
    assert.equal(leftovers(world), [], 'left behind');
    assert.is(readFileSync(join(this.#dir, 'outside', 'sentinel'), 'utf8'), 'not ours');
    await this.#end();
    await world.close();
  }

  #refs(): string {
    const gitDir = join(this.#dir, 'state', 'repo.git');
    const tip = git(join(this.#dir, 'gitlab.git'), 'for-each-ref', 'refs/heads/main');
    return `${tip}\n${git(gitDir, 'for-each-ref', 'refs/sync/disk', 'refs/sync/remote')}`;
  }
}

interface Live {
  readonly world: EngineWorld;
  readonly worker: SiteWorker;
  readonly doom: Doom;
  readonly clock: ModelClock;
  lane(): SiteQueue;
}

/** Stands still until it is told to go on. */
class ModelClock implements Clock {
  #ms = 0;
  #sleepers: { readonly at: number; wake: () => void }[] = [];

  now(): number {
    return Date.now() + this.#ms;
  }

  monotonic(): number {
    return this.#ms;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const broken = (): void => reject(signal?.reason instanceof Error ? signal.reason : new Error('broken off'));
      if (signal?.aborted) return broken();
      signal?.addEventListener('abort', broken);
      this.#sleepers.push({ at: this.#ms + ms, wake: resolve });
    });
  }

  advance(ms: number): void {
    this.#ms += ms;
    const due = this.#sleepers.filter(({ at }) => at <= this.#ms);
    this.#sleepers = this.#sleepers.filter(({ at }) => at > this.#ms);
    for (const { wake } of due) wake();
  }
}

/** A disk without room while `isFull`. */
function fullFs(real: Fs, isFull: () => boolean): Fs {
  const refuse = (): void => {
    if (isFull()) throw Object.assign(new Error('ENOSPC: on order'), { code: 'ENOSPC' });
  };
  return {
    ...real,
    createFile(...args) {
      refuse();
      return real.createFile(...args);
    },
    write: async (...args) => {
      refuse();
      return real.write(...args);
    },
    makeDirectory(...args) {
      refuse();
      real.makeDirectory(...args);
    },
  };
}
