import { basename } from 'node:path';
import { type FSWatcher, watch } from 'chokidar';
import type { SiteId } from '../model/site.ts';

export interface WatchDeps {
  /** Something at this path may have changed. Called often; must not throw. */
  readonly onTouched: (site: SiteId, absolutePath: string) => void;
  /** The site is not (fully) watched any more: scan it by the clock, and show why. Once per watcher and kind. */
  readonly onUnwatched: (site: SiteId, reason: UnwatchedReason) => void;
}

/** `watches`, `instances`: a limit of the kernel; the text names the setting to raise. */
export interface UnwatchedReason {
  readonly kind: 'watches' | 'instances' | 'error';
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
      ignored: isOurs,
    });
    watchers.set(site, watcher);
    const told = new Set<string>();
    const onError = (error: unknown) => {
      // A full kernel table raises one error per folder, and then `ready` as if all were well.
      const reason = reasonOf(error);
      if (!told.has(reason.kind)) deps.onUnwatched(site, reason);
      told.add(reason.kind);
    };
    watcher.on('all', (_event, path) => deps.onTouched(site, path));
    watcher.on('error', onError);
    await new Promise<void>((resolve) => {
      watcher.once('ready', () => resolve());
      setTimeout(resolve, readyMs).unref();
    });
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

/** A folder that never becomes ready must not keep the other sites from being watched. */
const readyMs = 60_000;

/** What the engine itself puts into a folder while it replaces files, and git's own folders. */
function isOurs(path: string): boolean {
  const name = basename(path);
  return name === '.git' || /^\.mooring-[0-9a-f]{16,}$/.test(name);
}

function reasonOf(error: unknown): UnwatchedReason {
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
