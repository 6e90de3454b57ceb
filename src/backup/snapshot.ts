import { constants, readFileSync, readdirSync, statSync } from 'node:fs';
import { copyFile, link, mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Problem } from '../model/problem.ts';
import type { Site, SiteId } from '../model/site.ts';
import type { Clock, Random } from '../model/world.ts';
import { FOLDER_MODE } from '../store/durable.ts';
import type { ArchiveFile } from './archive.ts';

/**
 * A consistent picture of the state directory of a daemon that goes on working. What git and the LFS store have is
 * written once and never changed, so hard links to it are a copy that costs nothing and stays when the original is
 * packed or removed. Each site is linked between two of its runs: its refs, its objects and what the store remembers of
 * it then belong together. The store's files come last and at once; a site whose binding changed meanwhile is linked
 * again.
 *
 * Left out: the manifests (a cache, which after a restore would make removals of files that were never seen), what is
 * staged in folders, the older generations of store files, and whatever is made anew at a start.
 */

export interface SnapshotDeps {
  readonly stateDir: string;
  readonly sites: () => readonly Site[];
  /** Does something when no run of the site is under way; undefined: there is no such site any more. */
  readonly betweenRuns: (id: SiteId) => (<T>(work: () => Promise<T>) => Promise<T>) | undefined;
  /** A file of no sessions, to stand in for that of the present ones. */
  readonly noSessions: () => string;
  readonly clock: Clock;
  readonly random: Random;
}

export interface Snapshot {
  readonly files: readonly ArchiveFile[];
  /** IDs of connected sites. */
  readonly connected: readonly SiteId[];
  /** Names of sites that were busy for so long that their repositories are missing. */
  readonly leftOut: readonly string[];
  /** Removes the links. May be called twice. */
  release(): Promise<void>;
}

const workName = 'backup-work';
/** A site that is busy for longer does not keep the others from being backed up. */
const patienceMs = 10 * 60_000;

/** What a backup that was killed left. */
export async function sweepSnapshots(stateDir: string): Promise<void> {
  await rm(join(stateDir, workName), { recursive: true, force: true });
}

export async function takeSnapshot(
  deps: SnapshotDeps,
  withRepositories: boolean,
  signal: AbortSignal,
): Promise<Snapshot> {
  const work = join(deps.stateDir, workName, deps.random.bytes(8).toString('hex'));
  const release = (): Promise<void> => rm(work, { recursive: true, force: true });
  try {
    await mkdir(work, { recursive: true, mode: FOLDER_MODE });
    const linked = new Map<SiteId, LinkedSite>();
    for (let round = 0; ; round += 1) {
      const outdated = deps.sites().filter((site) => linked.get(site.id)?.binding !== bindingOf(site));
      for (const site of outdated) {
        signal.throwIfAborted();
        linked.set(site.id, await linkSite(deps, site, { work, withRepositories, signal }));
      }
      // In one go: nothing of ours can write in between.
      const store = storeFiles(deps.stateDir, deps.noSessions());
      const sites = deps.sites();
      const isCurrent = sites.every((site) => linked.get(site.id)?.binding === bindingOf(site));
      if (!isCurrent && round < 5) continue;
      const present = sites.flatMap(({ id }) => linked.get(id) ?? []);
      return {
        files: [...store, ...present.flatMap(({ files }) => files)],
        connected: sites.filter(({ binding }) => binding).map(({ id }) => id),
        leftOut: present.flatMap(({ wasBusy, name }) => (wasBusy ? [name] : [])),
        release,
      };
    }
  } catch (error) {
    await release();
    throw error;
  }
}

interface LinkedSite {
  readonly name: string;
  readonly binding: string;
  readonly files: readonly ArchiveFile[];
  readonly wasBusy: boolean;
}

const bindingOf = ({ binding, root }: Site): string =>
  JSON.stringify([binding?.projectId, binding?.branch, binding?.subfolder, binding?.switching, root]);

async function linkSite(
  deps: SnapshotDeps,
  { id, name }: Site,
  { work, withRepositories, signal }: { work: string; withRepositories: boolean; signal: AbortSignal },
): Promise<LinkedSite> {
  const { stateDir } = deps;
  const now = (): string => bindingOf(deps.sites().find((site) => site.id === id) ?? ({} as Site));
  const ofStore = (): ArchiveFile[] => [
    ...read(stateDir, `sites/${id}.json`),
    ...read(stateDir, `manifests/${id}/rules.json`),
  ];
  const betweenRuns = deps.betweenRuns(id);
  if (!betweenRuns) return { name, binding: now(), files: [], wasBusy: false };
  if (!withRepositories) return { name, binding: now(), files: ofStore(), wasBusy: false };
  const waiting = new AbortController();
  const linking = betweenRuns(async (): Promise<LinkedSite | undefined> => {
    // Nobody waits for this any more.
    if (waiting.signal.aborted || signal.aborted) return undefined;
    const into = join(work, id);
    await rm(into, { recursive: true, force: true });
    const files = [
      ...(await linkTree(stateDir, `repositories/${id}.git`, into, ofRepository)),
      ...(await linkTree(stateDir, `large/${id}`, into)),
    ];
    return { name, binding: now(), files: [...ofStore(), ...files], wasBusy: false };
  });
  const tooLong = deps.clock.sleep(patienceMs, AbortSignal.any([waiting.signal, signal])).catch(() => undefined);
  try {
    const linked = await Promise.race([linking, tooLong.then(() => undefined)]);
    signal.throwIfAborted();
    return linked ?? { name, binding: now(), files: ofStore(), wasBusy: true };
  } finally {
    waiting.abort();
    linking.catch(() => undefined);
  }
}

/** Git's own, which comes and goes, and what is half-written. */
const passing = /^(tmp_.*|tmp-.*|\.tmp-.*|.*\.lock|fast_import_crash_.*|quarantine)$/;

/** What of a repository is never written in place. The rest is made anew when the site is opened. */
const ofRepository: ReadonlySet<string> = new Set(['HEAD', 'config', 'packed-refs', 'refs', 'objects']);

/** Links every file at and below a folder of the state directory, and names it as it is there. `only`: entries of it. */
async function linkTree(
  stateDir: string,
  name: string,
  into: string,
  only?: ReadonlySet<string>,
): Promise<ArchiveFile[]> {
  const found: ArchiveFile[] = [];
  const entries = await readdir(join(stateDir, name), { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  if (entries.length > 0) await mkdir(join(into, name), { recursive: true, mode: FOLDER_MODE });
  for (const entry of entries) {
    if (passing.test(entry.name) || only?.has(entry.name) === false) continue;
    const below = `${name}/${entry.name}`;
    if (entry.isDirectory()) found.push(...(await linkTree(stateDir, below, into)));
    else if (entry.isFile()) {
      const path = join(into, below);
      await linkOrCopy(join(stateDir, below), path);
      found.push({ name: below, path, size: (await stat(path)).size });
    }
  }
  return found;
}

async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (code === 'ENOSPC' || code === 'EDQUOT') throw new Problem('disk-full', { folder: to }, { cause: error });
    // A file system without links, one that has no more for this file, or a file of another user.
    await copyFile(from, to, constants.COPYFILE_FICLONE);
  }
}

/** Files of the store that every installation has, with their history, read without letting anybody else work. */
function storeFiles(stateDir: string, noSessions: string): ArchiveFile[] {
  const names = readdirSync(stateDir, { withFileTypes: true })
    .filter((entry) => entry.isFile() && /^[a-z-]+\.json$/.test(entry.name) && entry.name !== 'backups.json')
    .map(({ name }) => name);
  const history = readdirIfThere(join(stateDir, 'history')).map((name) => `history/${name}`);
  const deliveries = deliveryNames(stateDir);
  return [...names, ...history, ...deliveries].flatMap((name) =>
    name === 'sessions.json' ? [{ name, content: Buffer.from(noSessions) }] : read(stateDir, name),
  );
}

/** Calls that are owed, and the log of those that were made. */
function deliveryNames(stateDir: string): string[] {
  const folder = join(stateDir, 'deliveries');
  const names = (path: string, like: RegExp): string[] => {
    try {
      return readdirSync(path).filter((name) => like.test(name));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  };
  return names(folder, /^[0-9a-f]{16}$/).flatMap((webhook) =>
    names(join(folder, webhook), /^msg_[0-9a-z]+\.json$/).map((name) => `deliveries/${webhook}/${name}`),
  );
}

function read(stateDir: string, name: string): ArchiveFile[] {
  const path = join(stateDir, name);
  try {
    if (!statSync(path).isFile()) return [];
    return [{ name, content: readFileSync(path) }];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function readdirIfThere(path: string): string[] {
  try {
    return readdirSync(path).filter((name) => /^[a-z0-9-]+\.jsonl(\.1)?$/.test(name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
