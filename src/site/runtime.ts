import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Place, ProjectTracker } from '../actions/project-tracker.ts';
import type { Config } from '../config.ts';
import type { Touchable } from '../files/directory.ts';
import { realFs } from '../files/disk.ts';
import { changedElsewhere, readMounts } from '../files/mount-table.ts';
import { createScanner } from '../files/scanner.ts';
import { isTold } from '../files/told.ts';
import { CoprocessPool } from '../git/coprocess.ts';
import { createDriver } from '../git/driver.ts';
import type { Whereabouts } from '../git/following.ts';
import type { SyncEvent } from '../model/event.ts';
import { readPointer } from '../model/lfs.ts';
import type { Conflict } from '../model/plan.ts';
import { Problem } from '../model/problem.ts';
import type { Binding, Site, SiteId } from '../model/site.ts';
import { type SitePath, pathFromText } from '../model/tree.ts';
import type { Clock, Fs, Random } from '../model/world.ts';
import { type Resolve, createPins } from '../net/pins.ts';
import { resolveName } from '../net/probe.ts';
import type { Store } from '../store/store.ts';
import type { Author, Directory, LargeContents, Remote, Repository } from '../sync/ports.ts';
import { createQueue } from '../sync/queue.ts';
import type { SiteWorker } from '../sync/site-worker.ts';
import { createExtraScans } from '../triggers/extra-scans.ts';
import { createPoll } from '../triggers/poll.ts';
import { createWatch } from '../triggers/watch.ts';
import { type LargeFiles, openLargeFiles } from './large-files.ts';
import { type SiteRuntime, authorOf, manifestDir, openSite } from './open-site.ts';
import { type RemoteDeps, type RemoteSite, type Where, openSession, siteRemote } from './remote.ts';

/** What tests may own instead of the real world; each part is the real one unless given. */
export interface Overrides {
  readonly clock?: Clock;
  readonly random?: Random;
  readonly fs?: Fs;
  /** ms between two slow checks of names, webhooks and tokens. */
  readonly roundsMs?: number;
  /** ms between two checks of what people are to be told of. */
  readonly noticesMs?: number;
  /** Wrap a site's ports as they are made: for faults and kills at named points. */
  readonly repository?: (repository: Repository, site: SiteId) => Repository;
  readonly directory?: (directory: Directory & Touchable, site: SiteId) => Directory & Touchable;
  readonly remote?: (remote: Remote, site: SiteId) => Remote;
  /** Where the names lead that git is sent to. */
  readonly resolve?: Resolve;
}

export interface SiteRuntimesDeps extends Pick<
  RemoteDeps,
  'instance' | 'withToken' | 'post' | 'lfs' | 'checkBreaker' | 'tlsFiles' | 'limited'
> {
  readonly config: Config;
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  /** Where a connected site's repository is now. */
  readonly whereabouts: (id: SiteId) => Whereabouts;
  /** Where any other repository is. */
  readonly apart: ProjectTracker['apart'];
  /** A file event named a path of a site. */
  readonly onEdited: (id: SiteId, path: SitePath) => void;
  /** A run ended and had pulled this many files; `told`: GitLab's call was among what set it off. */
  readonly onPulled: (id: SiteId, told: boolean) => void;
  readonly publish: (event: SyncEvent) => void;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;
  readonly overrides: Overrides;
}

/** Every site's repository, folder, worker, schedules and watcher: made with the site, ended with it. */
export interface SiteRuntimes {
  /** Throws `not-found`. */
  worker(id: SiteId): SiteWorker;
  find(id: string): SiteWorker | undefined;
  conflicts(id: SiteId): readonly Conflict[];
  saveConflicts(id: SiteId, conflicts: readonly Conflict[]): Promise<void>;
  /** `pushOptions`: sent along with every push. */
  remote(id: SiteId, where: Where & Place, pushOptions?: readonly string[]): Remote;
  /** What is known of its webhook changed: only the schedule follows. */
  rescheduled(id: SiteId): void;
  add(site: Site): Promise<void>;
  /** Connected, disconnected, paused, resumed, or set otherwise: schedules and watcher follow. */
  changed(site: Site): Promise<void>;
  remove(id: SiteId): Promise<void>;
  /** What a content stands for, where it is a pointer to a large file that can be had; otherwise itself. */
  followed(id: SiteId, content: Buffer): Promise<Buffer>;
  /** When the branch is checked next by the clock, in ms since 1970. */
  nextCheck(id: SiteId): number | undefined;
  /** Runs under way and waiting for a place. */
  load(): { running: number; waiting: number };
  /** After so long without a good check, in ms, nobody knows how a site stands. */
  patience(id: SiteId): number | undefined;
  /** False when the scheduler stands still. */
  isScheduling(): boolean;
  /** No new triggers; runs under way finish within `ms`. */
  stop(ms: number): Promise<void>;
}

/** How many sites are synced at the same time. */
const concurrency = 4;

export function createSiteRuntimes(deps: SiteRuntimesDeps): SiteRuntimes {
  const { config, store, clock, overrides } = deps;
  const runtimes = new Map<SiteId, SiteRuntime>();
  const [driver, limitedDriver] = [createDriver(config.git), createDriver('prlimit')];
  const [scanner, pool] = [createScanner(), new CoprocessPool()];
  const queue = createQueue({ clock, concurrency });
  const { watch, poll, extraScans } = createTriggers(deps, runtimes);
  const repositoryDir = (id: SiteId): string => join(config.stateDir, 'repositories', `${id}.git`);
  const largeFiles = (id: SiteId): LargeFiles => openLargeFiles(join(config.stateDir, 'large', id), deps.lfs);
  const pins = createPins({ clock, resolve: overrides.resolve ?? resolveName });
  const quirks = { needsLength: false };
  const remoteDeps = { ...deps, repositoryDir, pins, quirks, override: overrides.remote };

  const find = (id: SiteId): SiteRuntime => {
    const found = runtimes.get(id);
    if (!found) throw new Problem('not-found', { site: id });
    return found;
  };

  const settingsOf = (id: SiteId): Pick<RemoteSite, 'maxFileBytes' | 'usesLfs'> => ({
    maxFileBytes: () => store.sites.get(id)?.settings.limits.siteBytes ?? 0,
    usesLfs: () => store.sites.get(id)?.settings.lfs === true,
  });

  async function add(site: Site): Promise<void> {
    const { id } = site;
    const binding = (): Binding | undefined => (store.sites.get(id) ?? site).binding;
    const author = (): Author =>
      (store.sites.get(id) ?? site).settings.author ?? authorOf(store, binding()?.connectionId);
    const files = largeFiles(id);
    const whereabouts = deps.whereabouts(id);
    const opened = await openSite(
      {
        ...{ ...deps, driver, limitedDriver, pool, scanner, queue, repositoryDir },
        fs: overrides.fs ?? realFs(),
        ...{ largeFiles: files, large: files.contents(openSession(deps, binding)) },
        remote: (repository) =>
          siteRemote(remoteDeps, {
            ...{ id, where: binding, whereabouts, author, ...settingsOf(id), large: files, ...repository },
          }),
      },
      site,
    );
    runtimes.set(id, opened);
  }

  /** For a repository that no binding leads to yet, or for another branch. */
  function remote(id: SiteId, where: Where & Place, pushOptions: readonly string[] = []): Remote {
    const whereabouts = deps.apart(where);
    const none = { between: async () => [], kept: async () => [] };
    return siteRemote(remoteDeps, {
      ...{ id, whereabouts, ...settingsOf(id), large: largeFiles(id), pushOptions },
      pointers: runtimes.get(id)?.pointers ?? none,
      transfer: runtimes.get(id)?.transfer,
      where: () => ({ ...where, projectPath: whereabouts.path() }),
      author: () => store.sites.get(id)?.settings.author ?? authorOf(store, where.connectionId),
    });
  }

  return {
    worker: (id) => find(id).worker,
    find: (id) => runtimes.get(id as SiteId)?.worker,
    conflicts: (id) => find(id).conflicts.get(),
    saveConflicts: (id, conflicts) => find(id).conflicts.save(conflicts),
    remote,
    nextCheck: (id) => poll.next(id),
    patience: (id) => poll.patience(id),
    rescheduled(id) {
      const site = store.sites.get(id);
      if (site && runtimes.has(id)) poll.update(site);
    },
    followed: async (id, content) =>
      store.sites.get(id)?.settings.lfs ? followed(runtimes.get(id)?.large, content) : content,
    load: () => queue.load(),
    isScheduling: () => poll.isAlive(),
    add,

    async changed(site) {
      poll.update(site);
      extraScans.stop(site.id);
      if (!site.binding || site.paused) return watch.stop(site.id);
      const { worker, directory } = find(site.id);
      const shared = changedElsewhere(site.folder, readMounts());
      worker.watched(true, shared);
      worker.scanned(undefined);
      if (shared.length > 0) extraScans.start(site.id);
      directory.forgetPassedOver();
      await watch.start(site.id, site.folder);
      worker.trigger('start');
    },

    async remove(id) {
      poll.remove(id);
      extraScans.stop(id);
      await watch.stop(id);
      await runtimes.get(id)?.close();
      runtimes.delete(id);
      await store.siteFacts.forget(id);
      await store.history.forget(id);
      await rm(manifestDir(config.stateDir, id), { recursive: true, force: true });
      await rm(repositoryDir(id), { recursive: true, force: true });
      await largeFiles(id).store.clear();
    },

    async stop(ms) {
      await poll.stop();
      extraScans.close();
      await watch.close();
      await queue.drain(ms);
      for (const runtime of runtimes.values()) await runtime.close();
      await scanner.close();
    },
  };
}

/** What tells the workers that something may have changed. */
function createTriggers(
  { clock, random, log, onEdited, store }: SiteRuntimesDeps,
  runtimes: ReadonlyMap<SiteId, SiteRuntime>,
) {
  const watch = createWatch({
    onTouched(id, path) {
      const site = runtimes.get(id);
      site?.directory.touched(path);
      site?.worker.touched();
      const folder = store.sites.get(id)?.folder;
      if (folder !== undefined && path.startsWith(`${folder}/`))
        onEdited(id, pathFromText(path.slice(folder.length + 1)));
    },
    isTold,
    passesOver: (id, folder) => runtimes.get(id)?.directory.passesOver(folder) ?? false,
    onRules(id, stage) {
      const site = runtimes.get(id);
      if (stage === 'changed') return site?.directory.forgetPassedOver();
      site?.directory.touchedAll();
      site?.worker.touched();
    },
    onUnwatched(id, { text }) {
      runtimes.get(id)?.worker.watched(false);
      extraScans.start(id);
      log('warn', 'A site is not watched for changes: it is scanned by the clock instead.', { site: id, reason: text });
    },
  });
  const extraScans = createExtraScans({
    clock,
    costMs: (id) => runtimes.get(id)?.directory.scanMs,
    onTrigger: (id) => runtimes.get(id)?.worker.trigger('rescan'),
    onPace: (id, everyMs) => runtimes.get(id)?.worker.scanned(everyMs),
  });
  const poll = createPoll({
    onTrigger: (id, trigger) => runtimes.get(id)?.worker.trigger(trigger),
    ...{ clock, random, log },
  });
  return { watch, poll, extraScans };
}

/** What a content stands for, where it is a pointer to a large file that can be had; otherwise itself. */
async function followed(large: LargeContents | undefined, content: Buffer): Promise<Buffer> {
  const pointer = readPointer(content);
  const copy = pointer && large?.copier([pointer]);
  if (!copy) return content;
  const chunks: Buffer[] = [];
  const copied = await copy(pointer, async (chunk) => void chunks.push(chunk));
  return copied === 'done' ? Buffer.concat(chunks) : content;
}
