import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Touchable, openDirectory } from '../../src/files/directory.ts';
import { realFs } from '../../src/files/disk.ts';
import { type Scanner, createScanner } from '../../src/files/scanner.ts';
import { type GitDriver, createDriver } from '../../src/git/driver.ts';
import { type OpenRepository, openRepository } from '../../src/git/repository.ts';
import type { Trigger } from '../../src/model/event.ts';
import type { BranchName } from '../../src/model/instance.ts';
import type { Direction, Plan } from '../../src/model/plan.ts';
import {
  type Hold,
  type HoldChoice,
  type Site,
  type SiteId,
  type SiteSettings,
  defaultSettings,
} from '../../src/model/site.ts';
import type { Subfolder } from '../../src/model/subfolder.ts';
import type { Fs } from '../../src/model/world.ts';
import { connect, planConnect } from '../../src/sync/connect.ts';
import type { Directory, LargeContents, Remote, Repository } from '../../src/sync/ports.ts';
import type { Answer, Outcome } from '../../src/sync/notes.ts';
import { run } from '../../src/sync/run.ts';
import { git, scratch } from './plain-git.ts';
import { plainRemote } from './plain-remote.ts';

/** One site, its repository and a bare repository as GitLab, with real git and real files; no daemon around it. */
export interface EngineWorld {
  readonly dir: string;
  readonly site: string;
  readonly bare: string;
  readonly gitDir: string;
  readonly repository: Repository;
  readonly directory: Directory & Touchable;
  readonly remote: Remote;
  readonly siteModel: Site;
  /** Writes into the folder as an editor would, and tells the watcher's side of it. */
  write(path: string, content: string | Buffer): void;
  remove(path: string): void;
  read(path: string): string;
  has(path: string): boolean;
  /** All files of the folder, our own staging apart, with contents. */
  files(): Record<string, string>;
  /** A commit on the branch by somebody else. `null` removes. */
  push(changes: Record<string, string | Buffer | null>, message?: string): string;
  /** Files of the branch's tip, with contents. */
  branch(): Record<string, string>;
  tip(): string;
  plan(direction: Direction): Promise<Plan>;
  connect(direction?: Direction): Promise<void>;
  sync(options?: Partial<Parameters<typeof run>[0]> & { trigger?: Trigger }): Promise<Outcome>;
  /** The same world `ms` later. */
  later(ms: number): EngineWorld;
  /** Somebody sets the clock: no time has passed. */
  clockJumps(ms: number): void;
  /** Ends the git processes that wait for the next question. */
  rest(): Promise<void>;
  close(): Promise<void>;
}

export interface WorldOptions {
  readonly settings?: Partial<SiteSettings>;
  readonly fs?: Fs;
  /** Instead of the thread, which always looks at the real file system. */
  readonly scanner?: Scanner;
  readonly files?: Record<string, string>;
  readonly repository?: Record<string, string | Buffer>;
  readonly remote?: (remote: Remote, repository: OpenRepository) => Remote;
  readonly wrap?: (repository: Repository) => Repository;
  readonly keep?: string;
  readonly driver?: GitDriver;
  /** The site is this folder of the repository. */
  readonly subfolder?: Subfolder;
  /** Where contents in LFS are; `settings.lfs` turns it on. */
  readonly large?: LargeContents;
}

/** An answer to a hold, for a run; none where there is no hold. */
export function answering(hold: Hold | undefined, choice: HoldChoice = 'go-on'): { answer?: Answer } {
  return hold ? { answer: { hold, choice } } : {};
}

export async function engineWorld(options: WorldOptions = {}): Promise<EngineWorld> {
  const { dir, remove } = options.keep ? { dir: options.keep, remove: () => {} } : scratch();
  const paths = {
    site: join(dir, 'site'),
    bare: join(dir, 'gitlab.git'),
    gitDir: join(dir, 'state', 'repo.git'),
    clone: join(dir, 'clone'),
  };
  mkdirSync(paths.site, { recursive: true });
  mkdirSync(join(dir, 'state'), { recursive: true });
  if (!existsSync(paths.bare)) git(dir, 'init', '-q', '--bare', '--initial-branch=main', paths.bare);
  const settings: SiteSettings = { ...defaultSettings, quietMs: 0, ...options.settings };
  let ahead = 0;
  let set = 0;
  const clock = {
    now: () => Date.now() + ahead + set,
    monotonic: () => performance.now() + ahead,
    sleep: () => Promise.resolve(),
  };
  const random = { bytes: (n: number) => randomBytes(n), fraction: () => 0.5 };
  const scanner: Scanner = options.scanner ?? createScanner();
  const opened = openRepository({
    dir: paths.gitDir,
    home: join(dir, 'state', 'home'),
    driver: options.driver ?? createDriver('/usr/bin/git'),
    clock,
    author: () => ({ name: 'Ana Petrović', email: 'ana@harbour.example' }),
    ...(options.subfolder ? { subfolder: options.subfolder } : {}),
  });
  const repository = options.wrap?.(opened) ?? opened;
  const directory = openDirectory({
    fs: options.fs ?? realFs(),
    clock,
    random,
    scanner,
    root: paths.site,
    stateDir: join(dir, 'state'),
    settings: () => settings,
    repository,
    ...(options.large ? { large: options.large } : {}),
  });
  const plain = plainRemote({ gitDir: paths.gitDir, bare: paths.bare, branch: 'main' });
  const remote = options.remote ? options.remote(plain, opened) : plain;
  const siteModel: Site = {
    id: 'site' as SiteId,
    name: 'Site',
    folder: paths.site,
    createdAt: 0,
    paused: false,
    settings,
  };

  const write = (path: string, content: string | Buffer): void => {
    const full = join(paths.site, path);
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, content);
    directory.touched(full);
  };
  const push = (changes: Record<string, string | Buffer | null>, message = 'A change'): string => {
    if (!existsSync(paths.clone)) git(dir, 'clone', '-q', paths.bare, paths.clone);
    if (git(paths.bare, 'for-each-ref', 'refs/heads/main')) {
      git(paths.clone, 'fetch', '-q', 'origin');
      git(paths.clone, 'checkout', '-q', '-B', 'main', 'origin/main');
    }
    for (const [path, content] of Object.entries(changes)) {
      const full = join(paths.clone, path);
      if (content === null) rmSync(full, { recursive: true });
      else {
        mkdirSync(dirname(full), { recursive: true });
        writeFileSync(full, content);
      }
    }
    git(paths.clone, 'add', '-A');
    git(paths.clone, 'commit', '-q', '-m', message);
    git(paths.clone, 'push', '-q', 'origin', 'HEAD:main');
    return git(paths.clone, 'rev-parse', 'HEAD');
  };
  if (options.repository) push({ ...options.repository } as Record<string, string>, 'Begin');
  for (const [path, content] of Object.entries(options.files ?? {})) write(path, content);

  const connecting = {
    ...{ repository, directory, remote, branch: 'main' as BranchName },
    now: () => Date.now(),
    fileLimit: 100_000,
  };

  const world: EngineWorld = {
    dir,
    site: paths.site,
    bare: paths.bare,
    gitDir: paths.gitDir,
    repository,
    directory,
    remote,
    siteModel,
    write,
    push,
    remove(path) {
      rmSync(join(paths.site, path), { recursive: true });
      directory.touched(join(paths.site, path));
    },
    read: (path) => readFileSync(join(paths.site, path), 'utf8'),
    has: (path) => existsSync(join(paths.site, path)),
    files: () => readTree(paths.site),
    branch() {
      const names = git(paths.bare, '-c', 'core.quotePath=false', 'ls-tree', '-r', '--name-only', 'main')
        .split('\n')
        .filter(Boolean);
      return Object.fromEntries(names.map((name) => [name, git(paths.bare, 'show', `main:${name}`)]));
    },
    tip: () => git(paths.bare, 'rev-parse', 'main'),
    plan: (direction) => planConnect(connecting, direction),
    async connect(direction = 'replace') {
      const plan = await planConnect(connecting, direction);
      await connect(connecting, direction, plan.id, async () => {});
    },
    async sync({ trigger = 'person', ...more } = {}) {
      await directory.check();
      return run({
        site: siteModel,
        repository,
        directory,
        remote,
        random,
        now: () => Date.now(),
        triggers: new Set([trigger]),
        ...more,
      });
    },
    later(ms) {
      ahead += ms;
      return world;
    },
    clockJumps(ms) {
      set += ms;
    },
    rest: opened.rest,
    async close() {
      await opened.rest();
      await directory.close();
      await scanner.close();
      remove();
    },
  };
  return world;
}

/** Files below a folder with their text, staging folders left out. */
function readTree(root: string, below = ''): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of readdirSync(join(root, below)).sort()) {
    if (name.startsWith('.mooring-')) continue;
    const path = below ? `${below}/${name}` : name;
    if (statSync(join(root, path)).isDirectory()) Object.assign(found, readTree(root, path));
    else found[path] = readFileSync(join(root, path), 'utf8').replace(/\n$/, '');
  }
  return found;
}
