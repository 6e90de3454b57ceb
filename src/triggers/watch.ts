import { basename } from 'node:path';
import { type FSWatcher, watch } from 'chokidar';
import type { SiteId } from '../model/site.ts';

export interface WatchDeps {
  /** Something at this path may have changed. Called often; must not throw. */
  readonly onTouched: (site: SiteId, absolutePath: string) => void;
  /** The site is not (fully) watched any more: scan it by the clock, and show why. Once per watcher and kind. */
  readonly onUnwatched: (site: SiteId, reason: UnwatchedReason) => void;
  /** Whether a folder is ignored with all that is in it: then it is not watched. Must not throw. */
  readonly passesOver: (site: SiteId, folder: string) => boolean;
  /** Whether the file system tells of what is written there; yes, where that cannot be tried. `late` aborts then. Must not fail. */
  readonly isTold: (folder: string, late: AbortSignal) => Promise<boolean>;
  /** What is ignored may have changed, so the site is watched anew; `began`: it is, and what happened meanwhile was missed. */
  readonly onRules: (site: SiteId, stage: 'changed' | 'began') => void;
}

/**
 * `watches`, `instances`: a limit of the kernel; the text names the setting to raise. `silent`: the file system tells
 * nothing of what is written there.
 */
export interface UnwatchedReason {
  readonly kind: 'watches' | 'instances' | 'silent' | 'error';
  readonly text: string;
}

export interface Watch {
  /** Starts (or starts anew, after the folder was swapped) and resolves when it is ready or has failed. */
  start(site: SiteId, folder: string): Promise<void>;
  stop(site: SiteId): Promise<void>;
  /** Final. */
  close(): Promise<void>;
}

/**
 * Reports what happens in the sites' folders, without judging it. It is a hint, not the truth: the kernel drops events
 * without a word when its queue overflows, so scans by the clock remain. Watchers start one after another, because two
 * hundred at once take three times the memory and stall the process.
 */
export function createWatch(deps: WatchDeps): Watch {
  const watchers = new Map<SiteId, FSWatcher>();
  const renewals = new Map<SiteId, NodeJS.Timeout>();
  let queue: Promise<unknown> = Promise.resolve();
  let isClosed = false;

  const inTurn = (act: () => Promise<void>): Promise<void> => {
    const turn = queue.then(act, act);
    queue = turn.catch(() => undefined);
    return turn;
  };

  async function end(site: SiteId): Promise<void> {
    const watcher = watchers.get(site);
    watchers.delete(site);
    clearTimeout(renewals.get(site));
    renewals.delete(site);
    await watcher?.close();
  }

  async function begin(site: SiteId, folder: string): Promise<void> {
    await end(site);
    if (isClosed) return;
    const watcher = watch(folder, {
      ignoreInitial: true,
      followSymlinks: false,
      atomic: false,
      awaitWriteFinish: false,
      ignored: (path, stats) =>
        isOurs(path) || (stats?.isDirectory() === true && path !== folder && deps.passesOver(site, path)),
    });
    watchers.set(site, watcher);
    const told = new Set<string>();
    const onError = (error: unknown) => {
      // A full kernel table raises one error per folder, and then `ready` as if all were well.
      const reason = reasonOf(error);
      if (!told.has(reason.kind)) deps.onUnwatched(site, reason);
      told.add(reason.kind);
    };
    watcher.on('all', (_event, path) => {
      deps.onTouched(site, path);
      if (basename(path) === '.gitignore') renew(site, folder);
    });
    watcher.on('error', onError);
    await new Promise<void>((resolve) => {
      watcher.once('ready', () => resolve());
      setTimeout(resolve, readyMs).unref();
    });
    void deps.isTold(folder, AbortSignal.timeout(toldMs)).then((told) => {
      if (!told && watchers.get(site) === watcher) onError(silent);
    });
  }

  /** Which folders are watched goes by the rules of before; a moment later, since rules are often written in bursts. */
  function renew(site: SiteId, folder: string): void {
    clearTimeout(renewals.get(site));
    const again = async (): Promise<void> => {
      if (isClosed || !watchers.has(site)) return;
      deps.onRules(site, 'changed');
      await begin(site, folder);
      deps.onRules(site, 'began');
    };
    renewals.set(site, setTimeout(() => void inTurn(again), renewMs).unref());
  }

  return {
    start: (site, folder) => inTurn(() => begin(site, folder)),
    stop: (site) => inTurn(() => end(site)),
    async close() {
      isClosed = true;
      await inTurn(async () => void (await Promise.all([...watchers.keys()].map(end))));
    },
  };
}

const renewMs = 2_000;

/** How long a written name may take to be told. */
const toldMs = 2_000;

const silent = new Error('the file system tells nothing');

/** A folder that never becomes ready must not keep the other sites from being watched. */
const readyMs = 60_000;

/** What the engine itself puts into a folder while it replaces files, and git's own folders. */
function isOurs(path: string): boolean {
  const name = basename(path);
  return name === '.git' || /^\.mooring-[0-9a-f]{16,}$/.test(name);
}

function reasonOf(error: unknown): UnwatchedReason {
  if (error === silent) return { kind: 'silent', text: 'The folder’s file system does not report changes.' };
  const code = error instanceof Error && 'code' in error ? error.code : '';
  if (code === 'ENOSPC') {
    return { kind: 'watches', text: 'The kernel’s limit of watches is reached: raise fs.inotify.max_user_watches.' };
  }
  if (code === 'EMFILE' || code === 'ENFILE') {
    return {
      kind: 'instances',
      text: 'The kernel’s limit of watchers is reached: raise fs.inotify.max_user_instances.',
    };
  }
  return {
    kind: 'error',
    text: `The folder cannot be watched (${typeof code === 'string' && code ? code : 'unknown error'}).`,
  };
}
