import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { suite } from 'uvu';
import { Manifest } from '../../src/files/manifest.ts';
import { scanAll } from '../../src/files/scan.ts';
import type { Scanner } from '../../src/files/scanner.ts';
import type { SyncEvent, Trigger } from '../../src/model/event.ts';
import type { Conflict } from '../../src/model/plan.ts';
import { Problem, type ProblemCode } from '../../src/model/problem.ts';
import type { Site } from '../../src/model/site.ts';
import type { Oid } from '../../src/model/tree.ts';
import type { Clock, Fs } from '../../src/model/world.ts';
import { type SiteWorker, createSiteWorker } from '../../src/sync/site-worker.ts';
import type { Refusal } from '../../src/model/refusal.ts';
import { type SiteQueue, createQueue } from '../../src/sync/queue.ts';
import { type EngineWorld, type WorldOptions, engineWorld } from '../support/engine.ts';
import { git } from '../support/plain-git.ts';
import { stagingFolders } from '../support/staging.ts';

/** A connected site in a world of its own, for one test. */
export async function connected(options: WorldOptions, test: (world: EngineWorld) => Promise<void>): Promise<void> {
  const world = await engineWorld({ repository: website, ...options });
  try {
    await world.connect();
    await test(world);
  } finally {
    await world.close();
  }
}

export const website = {
  'index.html': 'home\n',
  'about.md': 'one\ntwo\nthree\nfour\nfive\nsix\nseven\n',
  'posts/a.md': 'a\n',
  'posts/b.md': 'b\n',
};

/** The world with a keeper around it: what the daemon has for each site. */
export interface KeptWorld extends EngineWorld {
  readonly worker: SiteWorker;
  readonly events: SyncEvent[];
  /** The site as the store has it; a test may change it. */
  site_(): Site;
  /** The store has the site as connected from now on. */
  bind(): void;
  /** Rings and waits until the run that follows is over. */
  triggered(trigger?: Trigger): Promise<void>;
  conflicts(): readonly Conflict[];
  /** The store loses its list. */
  forgetConflicts(): void;
}

/** `copied`: `keep` is the copy of a world that is connected, and nothing runs before the test rings. */
export async function kept(
  options: WorldOptions & { clock?: Clock; unconnected?: true; copied?: true },
  test: (world: KeptWorld) => Promise<void>,
): Promise<void> {
  const world = await engineWorld({ ...(options.copied ? {} : { repository: website }), ...options });
  const clock: Clock = options.clock ?? {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    // Nothing happens by itself: a test rings.
    sleep: (_ms, signal) =>
      new Promise((_, reject) => {
        const broken = (): void => reject(signal?.reason instanceof Error ? signal.reason : new Error('broken off'));
        if (signal?.aborted) broken();
        else signal?.addEventListener('abort', broken);
      }),
  };
  const queue = createQueue({ clock, concurrency: 2 });
  let siteQueue: SiteQueue | undefined;
  let site = world.siteModel;
  let conflicts: readonly Conflict[] = [];
  let agreed: Oid | undefined;
  let refusal: Refusal | undefined;
  const events: SyncEvent[] = [];
  const binding = { projectPath: 'harbour/site', branch: 'main' } as NonNullable<Site['binding']>;
  const bind = (): void => void (site = { ...site, binding });
  try {
    if (!options.unconnected) {
      if (!options.copied) await world.connect();
      bind();
    }
    const worker = createSiteWorker({
      site: () => site,
      repository: world.repository,
      directory: world.directory,
      remote: world.remote,
      queue: { ...queue, forSite: (work) => (siteQueue = queue.forSite(work)) },
      clock,
      random: { bytes: (n) => randomBytes(n), fraction: () => 0.5 },
      report: (event) => void events.push(event),
      saveRoot: async (root) => void (site = { ...site, root }),
      conflicts: () => conflicts,
      agreed: () => agreed,
      saveAgreed: async (commit) => void (agreed = commit),
      saveConflicts: async (next) => void (conflicts = next),
      refusal: () => refusal,
      saveRefusal: async (next) => void (refusal = next),
      switching: { begin: async () => {}, end: async () => {} },
    });
    const triggered = async (trigger: Trigger = 'person'): Promise<void> => {
      worker.trigger(trigger);
      await siteQueue?.job(async () => {});
    };
    if (!options.unconnected && !options.copied) await triggered();
    const forgetConflicts = (): void => void (conflicts = []);
    await test({
      ...world,
      worker,
      events,
      triggered,
      bind,
      site_: () => site,
      conflicts: () => conflicts,
      forgetConflicts,
    });
  } finally {
    await world.close();
  }
}

/** Looks at folders in this thread and through the given file system, so that faults reach the scan too. */
export function inlineScanner(fs: Fs): Scanner {
  return {
    scan: async (root, manifest, rules) => scanAll(fs, root, new Manifest(manifest), rules),
    close: async () => {},
  };
}

export function fault(code: string): Error {
  return Object.assign(new Error(`${code}: on order`), { code });
}

/** The problem that the work ends in. */
export async function problemOf(work: () => Promise<unknown>): Promise<Problem> {
  try {
    await work();
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  throw new Error('expected a problem, but all went well');
}

export async function endsIn(code: ProblemCode, work: () => Promise<unknown>): Promise<Problem> {
  const problem = await problemOf(work);
  if (problem.code !== code) throw problem;
  return problem;
}

/** Feeds git fast-import, which takes any path. Returns main's tip. */
export function plant(bare: string, stream: string | Buffer): string {
  const { status, stderr } = spawnSync('git', ['fast-import', '--force', '--quiet', '--date-format=raw'], {
    cwd: bare,
    input: stream,
    encoding: 'utf8',
    env: { PATH: '/usr/bin:/bin', HOME: '/nonexistent', GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: '/dev/null' },
  });
  if (status !== 0) throw new Error(`fast-import: ${stderr}`);
  return git(bare, 'rev-parse', 'main');
}

/** A commit on main with these lines of fast-import (`M …`, `D …`); `from` '': with no parent. */
export function commitOf(
  lines: readonly string[],
  { from = 'refs/heads/main^0', message = 'Planted', author = 'Eve' } = {},
): string {
  const who = `${author} <eve@harbour.example> 1700000000 +0000`;
  const head = from ? [] : ['reset refs/heads/main', ''];
  const rows = ['commit refs/heads/main', `author ${who}`, `committer ${who}`, `data ${Buffer.byteLength(message)}`];
  return [...head, ...rows, message, ...(from ? [`from ${from}`] : []), ...lines, '', ''].join('\n');
}

/** An inline file for {@link commitOf}. */
export function inline(path: string, content: string, mode = '100644'): string {
  return `M ${mode} inline ${path}\ndata ${Buffer.byteLength(content)}\n${content}`;
}

/** Our children of the name `git…` that live now. */
export function gitChildren(): string[] {
  const found: string[] = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const [state = '', parent = ''] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (Number(parent) !== process.pid || state === 'Z') continue;
      const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      if (/git/.test(line)) found.push(line);
    } catch {
      // It ended while we looked.
    }
  }
  return found;
}

/**
 * Runs this test file once more inside a user and mount namespace, where it may mount without being root; its output
 * and exit code become ours. Returns true inside. Where namespaces are forbidden, says so.
 */
export function inNamespace(file: string): boolean {
  if (process.env['MOORING_TEST_NAMESPACE']) return true;
  const probe = spawnSync('unshare', ['-Urm', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { encoding: 'utf8' });
  if (probe.status !== 0) {
    process.stdout.write(
      `\nnot run here: no mounts in a namespace (${probe.stderr?.trim() || probe.error?.message})\n`,
    );
    const none = suite('in a namespace');
    none('cannot be had here', () => {});
    none.run();
    return false;
  }
  const { status } = spawnSync('unshare', ['-Urm', process.execPath, '--disable-warning=ExperimentalWarning', file], {
    stdio: 'inherit',
    env: { ...process.env, MOORING_TEST_NAMESPACE: 'yes' },
  });
  process.exitCode = status ?? 1;
  return false;
}

/** Mounts a small disk on a folder of its own; only in a namespace. */
export function smallDisk(folder: string, options: string): { grow(options: string): void; unmount(): void } {
  mkdirSync(folder, { recursive: true });
  const mount = (...args: string[]): void => {
    const { status, stderr } = spawnSync('mount', args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`mount: ${stderr}`);
  };
  mount('-t', 'tmpfs', '-o', options, 'tmpfs', folder);
  return {
    grow: (more) => mount('-o', `remount,${more}`, folder),
    unmount: () => void spawnSync('umount', ['-l', folder]),
  };
}

/** True if some commit of the branch, the site's repository or the folder holds the content. */
export function isFound(world: Pick<EngineWorld, 'bare' | 'gitDir' | 'files'>, content: string): boolean {
  if (Object.values(world.files()).some((text) => text.includes(content))) return true;
  return [world.bare, world.gitDir].some((dir) =>
    git(dir, 'log', '--all', '-p', '-m', '--text', '--format=').includes(content),
  );
}

/** What is ours in the folder and beside it: staging folders, and what is in them. */
export function leftovers(site: string): string[] {
  return stagingFolders(site).flatMap((folder) => [folder, ...(readdirSync(folder, { recursive: true }) as string[])]);
}

/** Runs this test file once more as a user without privileges, since root may read and write everything. */
export function asNobody(file: string): boolean {
  if (process.getuid?.() !== 0) return true;
  const nobody = ['--reuid=65534', '--regid=65534', '--clear-groups', '--inh-caps=-all'];
  const { status, error } = spawnSync(
    'setpriv',
    [...nobody, process.execPath, '--disable-warning=ExperimentalWarning', file],
    { stdio: 'inherit', env: { ...process.env, HOME: '/nonexistent' } },
  );
  if (error) throw new Error('setpriv is missing', { cause: error });
  process.exitCode = status ?? 1;
  return false;
}
