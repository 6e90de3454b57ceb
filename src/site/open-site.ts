import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { restoredSite } from '../backup/restored.ts';
import type { Config } from '../config.ts';
import { type Touchable, openDirectory } from '../files/directory.ts';
import type { Scanner } from '../files/scanner.ts';
import type { CoprocessPool } from '../git/coprocess.ts';
import type { GitDriver } from '../git/driver.ts';
import { gitEnvironment } from '../git/environment.ts';
import { largeRepository, pointersBetween, pointersKept, pointersNeeded } from '../git/large.ts';
import { openRepository } from '../git/repository.ts';
import { type Transfer, openTransfer } from '../git/transfer.ts';
import type { SyncEvent } from '../model/event.ts';
import type { ConnectionId } from '../model/instance.ts';
import type { Conflict } from '../model/plan.ts';
import type { Site, SiteId, SiteStatus } from '../model/site.ts';
import { displayPath } from '../model/tree.ts';
import type { Clock, Fs, Random } from '../model/world.ts';
import type { Store } from '../store/store.ts';
import type { Author, Directory, LargeContents, Remote, Repository } from '../sync/ports.ts';
import type { Queue } from '../sync/queue.ts';
import { type SiteWorker, createSiteWorker } from '../sync/site-worker.ts';
import type { LargeFiles } from './large-files.ts';
import type { RemoteSite } from './remote.ts';

/** Everything that lives while a site is known: its repository, folder and worker. */
export interface SiteRuntime {
  readonly worker: SiteWorker;
  readonly directory: Directory & Touchable;
  readonly large: LargeContents;
  readonly pointers: RemoteSite['pointers'];
  readonly transfer: Transfer;
  readonly conflicts: { get(): readonly Conflict[]; save(conflicts: readonly Conflict[]): Promise<void> };
  /** Ends what it keeps running. */
  close(): Promise<void>;
}

export interface OpenSiteDeps {
  readonly config: Pick<Config, 'stateDir' | 'git'>;
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly fs: Fs;
  readonly driver: GitDriver;
  /** Starts `prlimit`. */
  readonly limitedDriver: GitDriver;
  readonly pool: CoprocessPool;
  readonly scanner: Scanner;
  readonly queue: Queue;
  readonly repositoryDir: (id: SiteId) => string;
  readonly largeFiles: LargeFiles;
  readonly large: LargeContents;
  /** Made once the site's repository is there. */
  readonly remote: (repository: Pick<RemoteSite, 'pointers' | 'transfer'>) => Remote;
  readonly publish: (event: SyncEvent) => void;
  /** A run ended and had pulled files; `told`: GitLab's call was among what set it off. */
  readonly onPulled: (id: SiteId, told: boolean) => void;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;
  readonly overrides: {
    readonly repository?: (repository: Repository, site: SiteId) => Repository;
    readonly directory?: (directory: Directory & Touchable, site: SiteId) => Directory & Touchable;
  };
}

export const manifestDir = (stateDir: string, id: SiteId): string => join(stateDir, 'manifests', id);

/** Opens what one site consists of. Nothing runs before its worker is triggered. */
export async function openSite(deps: OpenSiteDeps, site: Site): Promise<SiteRuntime> {
  const { store, log, overrides } = deps;
  const { id } = site;
  const present = (): Site => store.sites.get(id) ?? site;
  const author = (): Author => present().settings.author ?? authorOf(store, present().binding?.connectionId);
  await mkdir(manifestDir(deps.config.stateDir, id), { recursive: true, mode: 0o700 });
  const { repository, pointers, transfer, rest } = openSiteRepository(deps, id, present, author);
  const opened = openSiteDirectory(deps, site, present, repository);
  await opened.load();
  const directory = overrides.directory?.(opened, id) ?? opened;
  // Nothing is being kept yet: what is half-written is a crash's.
  await deps.largeFiles.store
    .sweep()
    .catch((error: unknown) => log('warn', 'The store of large files could not be swept.', { site: id, error }));
  const facts = await siteFacts(deps, id);
  const worker = createSiteWorker({
    site: present,
    repository: overrides.repository?.(repository, id) ?? repository,
    directory,
    queue: deps.queue,
    clock: deps.clock,
    random: deps.random,
    remote: deps.remote({ pointers, transfer }),
    ...(facts.remembered ? { remembered: facts.remembered } : {}),
    report(event) {
      deps.publish(event);
      if (event.kind !== 'run') return;
      facts.remember(worker.status());
      const { pulled, triggers } = event.run;
      if (pulled.added + pulled.changed + pulled.removed > 0) deps.onPulled(id, triggers.includes('webhook'));
    },
    restored: restoredSite(deps.config.stateDir, id),
    saveRoot: async (root) => void (await store.sites.change(id, { root })),
    conflicts: facts.conflicts.get,
    saveConflicts: facts.conflicts.save,
    ...facts.kept,
    switching: {
      begin: (to) => store.sites.setSwitching(id, to),
      async end(branch) {
        const { binding } = present();
        if (binding) await store.sites.setBranch(id, branch ?? binding.branch);
      },
    },
  });
  return {
    ...{ worker, directory, conflicts: facts.conflicts, pointers, transfer, large: deps.large },
    close: () => worker.close().then(rest),
  };
}

function openSiteRepository(
  { config, clock, driver, limitedDriver, pool, repositoryDir, largeFiles, log }: OpenSiteDeps,
  id: SiteId,
  present: () => Site,
  author: () => Author,
): { repository: Repository; pointers: RemoteSite['pointers']; transfer: Transfer; rest: () => Promise<void> } {
  const dir = repositoryDir(id);
  const home = join(config.stateDir, 'git-home');
  const subfolder = present().binding?.subfolder ?? '';
  const bare = openRepository({ ...{ dir, home, driver, clock, author, subfolder, pool } });
  const tools = (): Parameters<typeof pointersKept>[0] => ({
    ...{ driver, blobs: bare.blobs },
    environment: gitEnvironment({ gitDir: dir, home, author: author() }),
  });
  return {
    rest: bare.rest,
    transfer: openTransfer({
      ...{ dir, home, driver, limited: limitedDriver, git: config.git, author, repository: bare },
      maxFileBytes: () => present().settings.limits.siteBytes,
    }),
    repository: largeRepository(
      bare,
      (keepAfter) => largeFiles.store.tidy(keepAfter, () => pointersNeeded(tools())),
      (error) => log('warn', 'The store of large files could not be tidied.', { site: id, error }),
    ),
    pointers: {
      between: (commit, expected) => pointersBetween(tools(), commit, expected),
      kept: () => pointersKept(tools()),
    },
  };
}

function openSiteDirectory(
  { config, fs, clock, random, scanner, large, log }: OpenSiteDeps,
  { id, folder }: Site,
  present: () => Site,
  repository: Repository,
): Directory & Touchable {
  return openDirectory({
    ...{ fs, clock, random, scanner, repository, large },
    root: folder,
    stateDir: manifestDir(config.stateDir, id),
    settings: () => present().settings,
    lostAttributes: (path, names) =>
      log('warn', 'Attributes of a replaced file could not be kept.', {
        ...{ site: id, path: displayPath(path), attributes: names.join(', ') },
      }),
  });
}

/** What the store remembers of one site between two lives of the daemon. */
async function siteFacts({ store, log }: OpenSiteDeps, id: SiteId) {
  const facts = await store.siteFacts.of(id);
  const conflicts: SiteRuntime['conflicts'] = {
    get: () => facts.data.conflicts,
    save: (next) => facts.update((draft) => void (draft.conflicts = [...next])),
  };
  const kept: Pick<Parameters<typeof createSiteWorker>[0], 'agreed' | 'saveAgreed' | 'refusal' | 'saveRefusal'> = {
    agreed: () => facts.data.agreed,
    saveAgreed: (commit) => facts.update((draft) => void (draft.agreed = commit)),
    refusal: () => facts.data.refusal,
    saveRefusal: (refusal) =>
      facts.update((draft) => {
        if (refusal) draft.refusal = { ...refusal };
        else delete draft.refusal;
      }),
  };
  return {
    conflicts,
    kept,
    remembered: facts.data.status,
    remember(status: SiteStatus): void {
      const noted = facts.update((draft) => void (draft.status = status));
      noted.catch((error: unknown) => log('warn', 'A site’s status could not be noted.', { site: id, error }));
    },
  };
}

/** Push rules check author and committer: both are the person whose grant is used. */
export function authorOf(store: Store, id: ConnectionId | undefined): Author {
  const connection = id === undefined ? undefined : store.instance.connection(id);
  if (!connection) return { name: 'Mooring', email: 'mooring@localhost' };
  const host = new URL(store.instance.get()?.url ?? 'http://localhost').hostname;
  return { name: connection.name, email: connection.email || `${connection.username}@users.noreply.${host}` };
}
