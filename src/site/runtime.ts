import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Place, type ProjectTracker, cloneUrl, pageAsOdd } from '../actions/project-tracker.ts';
import type { Config } from '../config.ts';
import { type Touchable, openDirectory } from '../files/directory.ts';
import { realFs } from '../files/disk.ts';
import { type LargeStore, letGo, openLargeStore } from '../files/large.ts';
import { changedElsewhere, readMounts } from '../files/mount-table.ts';
import { createScanner } from '../files/scanner.ts';
import { isTold } from '../files/told.ts';
import { createDriver } from '../git/driver.ts';
import { basicAuthorization, gitEnvironment } from '../git/environment.ts';
import { largeRemote, largeRepository, pointersBetween, pointersKept, pointersNeeded } from '../git/large.ts';
import { type Whereabouts, followingRemote } from '../git/following.ts';
import { type RemoteAddress, cliRemote } from '../git/remote.ts';
import { openRepository } from '../git/repository.ts';
import { type WirePost, withAuthDiagnosis, withPinnedAddress, wireRemote } from '../git/wire.ts';
import type { AtPlace, LfsClient, LfsPlace } from '../gitlab/lfs.ts';
import type { SyncEvent } from '../model/event.ts';
import { type Pointer, readPointer } from '../model/lfs.ts';
import { type Oid, displayPath } from '../model/tree.ts';
import type { ConnectionId, Instance } from '../model/instance.ts';
import type { Conflict } from '../model/plan.ts';
import { Problem } from '../model/problem.ts';
import { type Resolve, createPins } from '../net/pins.ts';
import { resolveName } from '../net/probe.ts';
import { proxyFor } from '../net/proxy.ts';
import type { Secret } from '../model/secret.ts';
import type { Binding, Site, SiteId, SiteStatus } from '../model/site.ts';
import type { Clock, Fs, Random } from '../model/world.ts';
import type { Store } from '../store/store.ts';
import { type SiteWorker, createSiteWorker } from '../sync/site-worker.ts';
import type { Author, Directory, LargeContents, Remote, Repository } from '../sync/ports.ts';
import { createQueue } from '../sync/queue.ts';
import { createExtraScans } from '../triggers/extra-scans.ts';
import { createPoll } from '../triggers/poll.ts';
import { createWatch } from '../triggers/watch.ts';

/** What tests may own instead of the real world; each part is the real one unless given. */
export interface Overrides {
  readonly clock?: Clock;
  readonly random?: Random;
  readonly fs?: Fs;
  /** ms between two slow looks at names, webhooks and tokens. */
  readonly roundsMs?: number;
  /** ms between two looks at what people are to be told of. */
  readonly noticesMs?: number;
  /** Wrap a site's ports as they are made: for faults and kills at named points. */
  readonly repository?: (repository: Repository, site: SiteId) => Repository;
  readonly directory?: (directory: Directory & Touchable, site: SiteId) => Directory & Touchable;
  readonly remote?: (remote: Remote, site: SiteId) => Remote;
  /** Where the names lead that git is sent to. */
  readonly resolve?: Resolve;
}

export interface SiteRuntimesDeps {
  readonly config: Config;
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly instance: () => Instance | undefined;
  readonly withToken: <T>(id: ConnectionId, use: (token: Secret) => Promise<T>, signal?: AbortSignal) => Promise<T>;
  readonly post: WirePost;
  readonly lfs: LfsClient;
  /** Throws while GitLab asks to be left alone. */
  readonly checkBreaker: () => void;
  /** Where a connected site's repository is now. */
  readonly whereabouts: (id: SiteId) => Whereabouts;
  /** Where any other repository is. */
  readonly apart: ProjectTracker['apart'];
  /** A run ended and had pulled this many files; `told`: GitLab's call was among what set it off. */
  readonly onPulled: (id: SiteId, told: boolean) => void;
  /** Where the instance's own certificate authority lies for git. */
  readonly caFile: string;
  /** `config/git-limited.sh`. */
  readonly limited: string;
  readonly publish: (event: SyncEvent) => void;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;
  readonly overrides: Overrides;
}

/** Where a branch is, and whose grant reaches it. */
type Where = Place & Pick<Binding, 'branch'>;

/** Every site's repository, folder, worker, schedules and watcher: made with the site, ended with it. */
export interface SiteRuntimes {
  /** Throws `not-found`. */
  worker(id: SiteId): SiteWorker;
  find(id: string): SiteWorker | undefined;
  conflicts(id: SiteId): readonly Conflict[];
  saveConflicts(id: SiteId, conflicts: readonly Conflict[]): Promise<void>;
  /** `pushOptions`: sent along with every push. */
  remote(id: SiteId, where: Where, pushOptions?: readonly string[]): Remote;
  /** What is known of its webhook changed: only the schedule follows. */
  rescheduled(id: SiteId): void;
  add(site: Site): Promise<void>;
  /** Connected, disconnected, paused, resumed, or set otherwise: schedules and watcher follow. */
  changed(site: Site): Promise<void>;
  remove(id: SiteId): Promise<void>;
  /** What a content stands for, where it is a pointer to a large file that can be had; otherwise itself. */
  followed(id: SiteId, content: Buffer): Promise<Buffer>;
  /** When the branch is looked at next by the clock, in ms since 1970. */
  nextCheck(id: SiteId): number | undefined;
  /** Runs under way and waiting for a place. */
  load(): { running: number; waiting: number };
  /** After so long without a good look, in ms, nobody knows how a site stands. */
  patience(id: SiteId): number | undefined;
  /** False when the scheduler stands still. */
  isScheduling(): boolean;
  /** No new triggers; runs under way finish within `ms`. */
  stop(ms: number): Promise<void>;
}

/** How many sites are synced at the same time. */
const concurrency = 4;

interface SiteRuntime {
  readonly worker: SiteWorker;
  readonly directory: Directory & Touchable;
  readonly large: LargeContents;
  readonly pointers: {
    /** The large files that a push of `commit` needs on GitLab. */
    between(commit: Oid, expected: Oid | null): Promise<readonly Pointer[]>;
    /** Those of kept versions, and of paths that wait for a person. */
    kept(): Promise<readonly Pointer[]>;
  };
  readonly conflicts: { get(): readonly Conflict[]; save(conflicts: readonly Conflict[]): Promise<void> };
}

export function createSiteRuntimes(deps: SiteRuntimesDeps): SiteRuntimes {
  const { config, store, clock, random, log, overrides } = deps;
  const home = join(config.stateDir, 'git-home');
  const driver = createDriver(config.git);
  const scanner = createScanner();
  const queue = createQueue({ clock, concurrency });
  const fs = overrides.fs ?? realFs();
  const pins = createPins({ clock, resolve: overrides.resolve ?? resolveName });
  const runtimes = new Map<SiteId, SiteRuntime>();
  const repositoryDir = (id: SiteId): string => join(config.stateDir, 'repositories', `${id}.git`);
  const manifestDir = (id: SiteId): string => join(config.stateDir, 'manifests', id);
  const largeStore = (id: SiteId): LargeStore => openLargeStore(join(config.stateDir, 'large', id));

  const watch = createWatch({
    onTouched(id, path) {
      const site = runtimes.get(id);
      site?.directory.touched(path);
      site?.worker.touched();
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
    clock,
    random,
    log,
  });

  const find = (id: SiteId): SiteRuntime => {
    const found = runtimes.get(id);
    if (!found) throw new Problem('not-found', { site: id });
    return found;
  };

  function remote(id: SiteId, where: Where, pushOptions: readonly string[] = []): Remote {
    const place = deps.apart(where);
    const address = addressOf(deps, () => ({ ...where, projectPath: place.path() }));
    const author = (): Author => store.sites.get(id)?.settings.author ?? authorOf(store, where.connectionId);
    return followingRemote(remoteAt(id, address, author, pushOptions), place);
  }

  function remoteAt(id: SiteId, address: AddressOf, author: () => Author, pushOptions: readonly string[] = []): Remote {
    const maxFileBytes = (): number => store.sites.get(id)?.settings.limits.siteBytes ?? 0;
    const cli = cliRemote({
      ...{ dir: repositoryDir(id), home, git: config.git, limited: deps.limited, author, maxFileBytes, pushOptions },
      address: withAuthDiagnosis(deps.post, withPinnedAddress(address, pins)),
    });
    const wire = wireRemote({ post: deps.post, address, fallback: cli, checkBreaker: deps.checkBreaker });
    const inner = overrides.remote?.(wire, id) ?? wire;
    return largeRemote(inner, {
      isOn: () => store.sites.get(id)?.settings.lfs === true,
      pointers: (commit, expected) => runtimes.get(id)?.pointers.between(commit, expected) ?? Promise.resolve([]),
      upload: (pointers, signal) =>
        address((where) => upload(largeStore(id), placeOf(where, signal), pointers), signal),
      pushed: (pointers, signal) =>
        letGo(largeStore(id), pointers, {
          kept: async () => (await runtimes.get(id)?.pointers.kept()) ?? [],
          present: (here) => atPlace(address, signal)((place) => deps.lfs.present(place, here)),
        }),
    });
  }

  function upload(kept: LargeStore, place: LfsPlace, pointers: readonly Pointer[]): Promise<string | undefined> {
    return deps.lfs.upload(place, pointers, async (pointer) =>
      (await kept.sound(pointer)) ? () => kept.read(pointer) : undefined,
    );
  }

  /** From what was taken here, else from GitLab. */
  function largeContents(id: SiteId, address: AddressOf): LargeContents {
    const kept = largeStore(id);
    return {
      keep: (chunks) => kept.keep(chunks),
      copier(pointers, signal) {
        let fetching: ReturnType<LfsClient['downloads']> | undefined;
        return async (pointer, write) => {
          if (!(await kept.sound(pointer))) {
            const absent = fetching ? [] : await only(pointers, async (one) => !(await kept.has(one)));
            fetching ??= deps.lfs.downloads(atPlace(address, signal), absent);
            return fetching(pointer, write);
          }
          for await (const chunk of kept.read(pointer)) await write(chunk);
          return 'done';
        };
      },
    };
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
    async followed(id, content) {
      const pointer = store.sites.get(id)?.settings.lfs ? readPointer(content) : undefined;
      const copy = pointer && runtimes.get(id)?.large.copier([pointer]);
      if (!copy) return content;
      const chunks: Buffer[] = [];
      const copied = await copy(pointer, async (chunk) => void chunks.push(chunk));
      return copied === 'done' ? Buffer.concat(chunks) : content;
    },
    load: () => queue.load(),
    isScheduling: () => poll.isAlive(),

    async add(site) {
      const { id } = site;
      const present = (): Site => store.sites.get(id) ?? site;
      const author = (): Author => present().settings.author ?? authorOf(store, present().binding?.connectionId);
      await mkdir(manifestDir(id), { recursive: true, mode: 0o700 });
      const facts = await store.siteFacts.of(id);
      const conflicts: SiteRuntime['conflicts'] = {
        get: () => facts.data.conflicts,
        save: (next) => facts.update((draft) => void (draft.conflicts = [...next])),
      };
      const remember = (status: SiteStatus): void => {
        const noted = facts.update((draft) => void (draft.status = status));
        noted.catch((error: unknown) => log('warn', 'A site’s status could not be noted.', { site: id, error }));
      };
      const large = largeContents(
        id,
        addressOf(deps, () => present().binding),
      );
      const bare = openRepository({
        ...{ dir: repositoryDir(id), home, driver, clock, author },
        subfolder: present().binding?.subfolder ?? '',
      });
      const opened = openDirectory({
        ...{ fs, clock, random, scanner, repository: bare, large },
        root: site.folder,
        stateDir: manifestDir(id),
        settings: () => present().settings,
        lostAttributes: (path, names) =>
          log('warn', 'Attributes of a replaced file could not be kept.', {
            ...{ site: id, path: displayPath(path), attributes: names.join(', ') },
          }),
      });
      const directory = overrides.directory?.(opened, id) ?? opened;
      const pointerTools = (): Parameters<typeof pointersKept>[0] => ({
        ...{ driver, blobs: bare.blobs },
        environment: gitEnvironment({ gitDir: repositoryDir(id), home, author: author() }),
      });
      const pointers: SiteRuntime['pointers'] = {
        between: (commit, expected) => pointersBetween(pointerTools(), commit, expected),
        kept: () => pointersKept(pointerTools()),
      };
      // Nothing is being kept yet: what is half-written is a crash's.
      await largeStore(id)
        .sweep()
        .catch((error: unknown) => log('warn', 'The store of large files could not be swept.', { site: id, error }));
      const repository = largeRepository(
        bare,
        (keepAfter) => largeStore(id).tidy(keepAfter, () => pointersNeeded(pointerTools())),
        (error) => log('warn', 'The store of large files could not be tidied.', { site: id, error }),
      );
      const worker: SiteWorker = createSiteWorker({
        site: present,
        repository: overrides.repository?.(repository, id) ?? repository,
        directory,
        queue,
        clock,
        random,
        remote: followingRemote(
          remoteAt(
            id,
            addressOf(deps, () => present().binding),
            author,
          ),
          deps.whereabouts(id),
        ),
        ...(facts.data.status ? { remembered: facts.data.status } : {}),
        report(event) {
          deps.publish(event);
          if (event.kind !== 'run') return;
          remember(worker.status());
          const { pulled, triggers } = event.run;
          if (pulled.added + pulled.changed + pulled.removed > 0) deps.onPulled(id, triggers.includes('webhook'));
        },
        saveRoot: async (root) => void (await store.sites.change(id, { root })),
        conflicts: conflicts.get,
        agreed: () => facts.data.agreed,
        saveAgreed: (commit) => facts.update((draft) => void (draft.agreed = commit)),
        saveConflicts: conflicts.save,
        refusal: () => facts.data.refusal,
        saveRefusal: (refusal) =>
          facts.update((draft) => {
            if (refusal) draft.refusal = { ...refusal };
            else delete draft.refusal;
          }),
        switching: {
          begin: (to) => store.sites.setSwitching(id, to),
          async end(branch) {
            const { binding } = present();
            if (binding) await store.sites.setBranch(id, branch ?? binding.branch);
          },
        },
      });
      runtimes.set(id, { worker, directory, conflicts, pointers, large });
    },

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
      await runtimes.get(id)?.worker.close();
      runtimes.delete(id);
      await store.siteFacts.forget(id);
      await store.history.forget(id);
      await rm(manifestDir(id), { recursive: true, force: true });
      await rm(repositoryDir(id), { recursive: true, force: true });
      await largeStore(id).clear();
    },

    async stop(ms) {
      await poll.stop();
      extraScans.close();
      await watch.close();
      await queue.drain(ms);
      for (const { worker } of runtimes.values()) await worker.close();
      await scanner.close();
    },
  };
}

function placeOf({ url, branch, network }: RemoteAddress, signal?: AbortSignal): LfsPlace {
  return { url, branch, authorization: network.authorization, signal };
}

function atPlace(address: AddressOf, signal?: AbortSignal): AtPlace {
  return (use) => address((where) => use(placeOf(where, signal)), signal);
}

async function only(
  pointers: readonly Pointer[],
  holds: (pointer: Pointer) => Promise<boolean>,
): Promise<readonly Pointer[]> {
  const answers = await Promise.all(pointers.map(holds));
  return pointers.filter((_, at) => answers[at]);
}

type AddressOf = <T>(use: (address: RemoteAddress) => Promise<T>, signal?: AbortSignal) => Promise<T>;

/** Asked anew for each command: projects move, tokens are renewed, settings change. */
function addressOf({ instance, withToken, caFile }: SiteRuntimesDeps, where: () => Where | undefined): AddressOf {
  return (use, signal) => {
    const site = where();
    if (!site) return Promise.reject(new Problem('not-connected', {}));
    const act = (token: Secret): ReturnType<typeof use> => {
      const present = instance();
      if (!present) throw new Problem('instance-missing', {});
      const { advanced } = present;
      const network = {
        baseUrl: present.url,
        authorization: basicAuthorization(token.open()),
        headers: advanced.headers,
        caFile,
        proxy: proxyFor(new URL(present.url), advanced),
      };
      const { projectPath: project, branch } = site;
      return use({ url: cloneUrl(present.url, project), project, branch, network });
    };
    return withToken(site.connectionId, act, signal).catch((error: unknown) => {
      throw error instanceof Problem ? pageAsOdd(error) : error;
    });
  };
}

/** Push rules check author and committer: both are the person whose grant is used. */
export function authorOf(store: Store, id: ConnectionId | undefined): Author {
  const connection = id === undefined ? undefined : store.instance.connection(id);
  if (!connection) return { name: 'Mooring', email: 'mooring@localhost' };
  const host = new URL(store.instance.get()?.url ?? 'http://localhost').hostname;
  return { name: connection.name, email: connection.email || `${connection.username}@users.noreply.${host}` };
}
