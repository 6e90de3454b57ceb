import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, lchownSync, readdirSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readConfig } from '../../src/config.ts';
import { type Daemon, startDaemon } from '../../src/daemon.ts';
import { type Mask, createLog, createMask } from '../../src/log.ts';
import type { Overrides } from '../../src/site/runtime.ts';
import { until } from './until.ts';
import { writeBeginning } from './beginnings.ts';
import { type Example, startExample } from './gitlab/example.ts';
import type { GitLab, GitLabOptions } from './gitlab/server.ts';

/** The real daemon as a process of its own, with a practice GitLab beside it that knows its application. */
export interface Harbour {
  /** Holds everything below; removed by close(). */
  readonly dir: string;
  readonly stateDir: string;
  /** The root under which sites may lie. */
  readonly sites: string;
  readonly port: number;
  readonly url: string;
  readonly gitlab: GitLab;
  readonly world: Example;
  readonly application: Application;
  readonly admin: { readonly name: string; readonly password: string };
  /** The process that runs now; undefined when none does. */
  readonly daemon: Running | undefined;
  /** Everything all its processes wrote so far. */
  output(): string;
  /** Starts it again on the same state. Resolves when it answers. */
  start(): Promise<Running>;
  /** SIGTERM; gives the exit code. */
  stop(): Promise<number | null>;
  /** SIGKILL to the process and its children. */
  kill(): Promise<void>;
  close(): Promise<void>;
}

export interface Running {
  readonly pid: number;
  /** Resolves with the exit code when the process ends; null after a signal. */
  readonly ended: Promise<number | null>;
}

export interface Application {
  readonly applicationId: string;
  readonly secret: string;
}

export interface HarbourOptions {
  readonly env?: Readonly<Record<string, string>>;
  /**
   * What is there before the first start. `authorised`, where nothing is said: an account, the practice GitLab entered,
   * and a grant of Ana's. `account`: only the account. `nothing`: not even that.
   */
  readonly begin?: 'authorised' | 'account' | 'nothing';
  /** The build, as it is deployed; else the sources. */
  readonly isBuilt?: boolean;
  /** Whom to run the daemon as; needs root. */
  readonly as?: RunAs;
  readonly allowLocalWebhooks?: boolean;
  readonly tokenLifetimeSeconds?: number;
  /** What else the practice GitLab is to be. */
  readonly gitlab?: GitLabOptions;
  /** Where the daemon listens, and the address by which browsers and GitLab reach it through a proxy. */
  readonly behind?: { readonly port: number; readonly publicUrl: string };
  /** False: start() is called later. */
  readonly started?: boolean;
}

/** A user of this machine, as setpriv makes a process one. */
export interface RunAs {
  readonly uid: number;
  readonly gid: number;
  readonly groups?: readonly number[];
  /** Names of capabilities as setpriv has them (`chown`); none, where nothing is said. */
  readonly capabilities?: readonly string[];
}

/** The command line that starts a program as that user. */
export function setpriv({ uid, gid, groups = [], capabilities = [] }: RunAs): readonly string[] {
  const sets = ['-all', ...capabilities.map((name) => `+${name}`)].join(',');
  return [
    ...['setpriv', `--reuid=${uid}`, `--regid=${gid}`],
    groups.length > 0 ? `--groups=${groups.join(',')}` : '--clear-groups',
    ...[`--inh-caps=${sets}`, `--ambient-caps=${sets}`, `--bounding-set=${sets}`],
  ];
}

export const admin = { name: 'Ana', password: 'moor-the-tests-well' } as const;

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export async function harbour(options: HarbourOptions = {}): Promise<Harbour> {
  const { begin = 'authorised' } = options;
  const dir = await mkdtemp(join(tmpdir(), 'mooring-e2e-'));
  await chmod(dir, 0o755);
  const [stateDir, sites] = [join(dir, 'state'), join(dir, 'sites')];
  await mkdir(sites, { mode: 0o755 });
  await mkdir(stateDir, { mode: 0o700 });
  const port = options.behind?.port ?? (await freePort());
  const url = options.behind?.publicUrl ?? `http://127.0.0.1:${port}`;
  const { gitlab, world, application } = await practice(`${url}/oauth/callback`, options);
  const env = {
    ...{ PATH: process.env['PATH'] ?? '', HOME: dir, NODE_ENV: 'production', LANG: 'C.UTF-8' },
    ...{ MOORING_STATE: stateDir, MOORING_SITES: sites, MOORING_PORT: String(port), MOORING_ALLOW_ROOT: 'yes' },
    ...compileCache,
    ...(options.behind ? { MOORING_PUBLIC_URL: url } : {}),
    ...options.env,
  };
  if (begin !== 'nothing') {
    const keyFile = options.env?.['MOORING_KEY_FILE'];
    const authorised = begin === 'authorised' ? { gitlab: { server: gitlab, world, application } } : {};
    await writeBeginning({ stateDir, keyFile, admin, ...authorised });
    if (options.as) giveTo(options.as, stateDir);
  }
  const output: string[] = [];
  let now: (Running & { readonly child: ChildProcess }) | undefined;

  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    if (!now) return null;
    const { child, ended, pid } = now;
    if (signal === 'SIGKILL') killGroup(pid);
    else child.kill(signal);
    const code = await ended;
    // A git that was cut off from its parent would still write.
    killGroup(pid);
    now = undefined;
    return code;
  };
  const start = async (): Promise<Running> => {
    if (now) throw new Error('the daemon runs already');
    now = spawnServe(env, options.as, (text) => output.push(text), options.isBuilt ? built : sources);
    const { ended, child } = now;
    const gone = ended.then((code) => {
      throw new Error(`the daemon ended with ${code}:\n${output.join('')}`);
    });
    // Only a failure when it ends before it answered.
    gone.catch(() => {});
    // Nobody waits for one that has ended: a wait that goes on keeps the test's process alive.
    const answers = until('the daemon answers', async () => hasEnded(child) || (await fetch(`${url}/readyz`)).ok);
    await Promise.race([answers, gone]);
    return now;
  };

  const made: Harbour = {
    ...{ dir, stateDir, sites, port, url, gitlab, world, application, admin },
    get daemon() {
      return now;
    },
    output: () => output.join(''),
    start,
    stop: () => end('SIGTERM'),
    kill: async () => void (await end('SIGKILL')),
    async close() {
      await end('SIGKILL');
      await gitlab.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
  try {
    if (options.started !== false) await start();
  } catch (error) {
    await made.close();
    throw error;
  }
  return made;
}

/** Runs `use` in a harbour and takes everything down afterwards, whatever happened. Says what the daemon said on failure. */
export async function inHarbour(use: (harbour: Harbour) => Promise<void>, options: HarbourOptions = {}): Promise<void> {
  const made = await harbour(options);
  try {
    await use(made);
  } catch (error) {
    process.stdout.write(`${made.output().slice(-6_000)}\n`);
    throw error;
  } finally {
    await made.close();
  }
}

/** The same with an account and no GitLab entered, for tests of the way to one. */
export function inHarbourWithoutGitLab(
  use: (harbour: Harbour) => Promise<void>,
  options: HarbourOptions = {},
): Promise<void> {
  return inHarbour(use, { ...options, begin: 'account' });
}

/** A practice GitLab with the example world and an application for the daemon. */
export async function practice(
  redirectUri: string,
  {
    allowLocalWebhooks = true,
    tokenLifetimeSeconds = 7_200,
    gitlab: more = {},
  }: Pick<HarbourOptions, 'allowLocalWebhooks' | 'tokenLifetimeSeconds' | 'gitlab'> = {},
  which: 'copy' | 'another' = 'copy',
): Promise<{ gitlab: GitLab; world: Example; application: Application }> {
  const { gitlab, world } = await startExample({ allowLocalWebhooks, tokenLifetimeSeconds, ...more }, which);
  const application = gitlab.applications.add({
    ...{ name: 'Mooring', redirectUris: [redirectUri], scopes: ['api', 'read_api', 'write_repository'] },
    confidential: true,
  });
  await gitlab.quiet();
  return { gitlab, world, application };
}

/**
 * The daemon in this process, for tests that own its clock or its ports. `gitlab`: where it is given, the state begins
 * with an account and a grant of Ana's at it.
 */
export async function inProcess(
  { dir, port, env = {}, gitlab }: InProcess,
  overrides: Overrides = {},
): Promise<Daemon & { readonly stateDir: string; readonly sites: string; readonly mask: Mask; output(): string }> {
  const [stateDir, sites] = [join(dir, 'state'), join(dir, 'sites')];
  if (gitlab && !existsSync(stateDir)) await writeBeginning({ stateDir, admin, gitlab });
  const config = readConfig(
    {
      ...{ PATH: process.env['PATH'], MOORING_STATE: stateDir, MOORING_SITES: sites, MOORING_PORT: String(port) },
      ...{ MOORING_ADMIN_NAME: admin.name, MOORING_ADMIN_PASSWORD: admin.password, MOORING_ALLOW_ROOT: 'yes', ...env },
    },
    { terminal: false, uid: process.getuid?.() },
  );
  const mask = createMask();
  const lines: string[] = [];
  const log = createLog({ ...config.log, mask, level: 'error' });
  const daemon = await startDaemon(config, { log, mask }, overrides);
  return { ...daemon, stateDir, sites, mask, output: () => lines.join('\n') };
}

interface InProcess {
  readonly dir: string;
  readonly port: number;
  readonly env?: Record<string, string>;
  readonly gitlab?: { readonly server: GitLab; readonly world: Example; readonly application: Application };
}

export function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

/** A port of this machine that nobody listens on. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

/** Node compiles the sources once for all the daemons of a run. Not while coverage is measured: it would be coarser. */
export const compileCache: Record<string, string> =
  process.env['NODE_COMPILE_CACHE'] && !process.env['NODE_V8_COVERAGE']
    ? { NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] }
    : {};

function giveTo({ uid, gid }: RunAs, folder: string): void {
  for (const name of readdirSync(folder, { recursive: true }) as string[]) lchownSync(join(folder, name), uid, gid);
  lchownSync(folder, uid, gid);
}

const sources = ['--disable-warning=ExperimentalWarning', join(root, 'src', 'main.ts')];
/** As in `config/mooring.service`. */
const built = ['--max-semi-space-size=4', join(root, 'dist', 'main.js')];

/** `node src/main.ts serve`, in a process group of its own. */
export function spawnServe(
  env: Readonly<Record<string, string>>,
  as: RunAs | undefined,
  heard: (text: string) => void,
  program: readonly string[] = sources,
): Running & { readonly child: ChildProcess } {
  const [command = '', ...args] = [...(as ? setpriv(as) : []), process.execPath, ...program, 'serve'];
  const child = spawn(command, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  child.stdout.on('data', (chunk: Buffer) => heard(chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => heard(chunk.toString()));
  const ended = new Promise<number | null>((resolve) => {
    child.once('error', () => resolve(127));
    child.once('exit', (code) => resolve(code));
  });
  return { child, pid: child.pid ?? 0, ended };
}

function killGroup(pid: number): void {
  if (pid === 0) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nobody of the group is left.
  }
}
