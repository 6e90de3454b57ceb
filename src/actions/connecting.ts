import { branchName } from '../model/branch.ts';
import type { AuditEntry } from '../model/event.ts';
import type { BranchName, Connection, ConnectionId, Instance, Project } from '../model/instance.ts';
import type { Direction, Plan } from '../model/plan.ts';
import { Problem } from '../model/problem.ts';
import { Secret } from '../model/secret.ts';
import type { Asked, Binding, Site, SiteId } from '../model/site.ts';
import type { Subfolder } from '../model/subfolder.ts';
import type { Clock, Random } from '../model/world.ts';
import { type PreflightDeps, createPreflight } from './preflight.ts';
import { type Place, cloneUrl } from './project-tracker.ts';
import { type SiteProjectDeps, type WantedProject, siteOf, subfolderOf, usableProject } from './site-project.ts';

/** What a site's worker does for connecting. `R`: the engine's Remote, only passed through. */
interface WorkerForConnecting<R> {
  plan(branch: BranchName, direction: Direction, remote: R, subfolder: Subfolder, asked?: Asked): Promise<Plan>;
  connect(
    branch: BranchName,
    direction: Direction,
    planId: string,
    remote: R,
    bound: () => Promise<void>,
    mode: 'first' | 'switch',
    subfolder: Subfolder,
  ): Promise<void>;
}

export interface ConnectingDeps<R> extends SiteProjectDeps, Omit<PreflightDeps, 'client'> {
  readonly store: SiteProjectDeps['store'] & {
    readonly instance: { get(): Instance | undefined; connection(id: ConnectionId): Connection | undefined };
    readonly sites: {
      bind(id: SiteId, binding: Binding, hookToken: Secret): Promise<Site>;
      setBranch(id: SiteId, branch: BranchName): Promise<void>;
      setProject(id: SiteId, at: Pick<Binding, 'defaultBranch' | 'defaultThen'>): Promise<void>;
    };
  };
  readonly client: SiteProjectDeps['client'] & PreflightDeps['client'];
  /** The account's own working connection; with `id`: that one, if the account made it. */
  readonly connections: { mine(accountId: string, id?: string): Connection | undefined };
  readonly webhooks: { setUp(id: SiteId): Promise<void> };
  /** Has the site's repository and webhook checked in the background. */
  readonly checks: { soon(id: SiteId): void };
  readonly runtimes: {
    worker(id: SiteId): WorkerForConnecting<R>;
    remote(id: SiteId, where: Place & { readonly branch: BranchName }): R;
    /** Schedules and watcher follow the site. */
    changed(site: Site): Promise<void>;
  };
  readonly report: (entry: Omit<AuditEntry, 'id' | 'at'>) => void;
  readonly clock: Clock;
  readonly random: Random;
}

export interface ConnectRequest extends WantedProject {
  readonly direction: Direction;
  /** The access token to connect with; absent: the account's own connection. A connected site keeps its own. */
  readonly connection?: ConnectionId;
}

export interface Connecting {
  /** Changes nothing. */
  plan(request: ConnectRequest, accountId: string, asked?: Asked): Promise<Plan>;
  /**
   * Carries out the plan the person saw; a connected site is switched to another branch of its repository. Throws
   * `plan-outdated` when either side changed since.
   */
  confirm(request: ConnectRequest & { planId: string }, by: string, accountId: string): Promise<void>;
}

/** Connects a site to a branch, or switches it to another. Everything is checked before the point of no return. */
export function createConnecting<R>(deps: ConnectingDeps<R>): Connecting {
  const { report, runtimes } = deps;
  const preflight = createPreflight(deps);
  return {
    async plan(request, accountId, asked) {
      const wanted = { ...request, branch: branchName(request.branch) };
      const connection = connectionFor(deps, wanted, accountId);
      const project = await usableProject(deps, wanted, connection);
      const check = preflight({ site: siteOf(deps, wanted.site), connection, project, branch: wanted.branch });
      const remote = remoteFor(deps, wanted, connection, project);
      const worker = runtimes.worker(wanted.site);
      const plan = await worker.plan(wanted.branch, wanted.direction, remote, subfolderOf(deps, wanted), asked);
      return { ...plan, obstacles: await check.judge(plan) };
    },

    async confirm(request, by, accountId) {
      const wanted = { ...request, branch: branchName(request.branch) };
      const connection = connectionFor(deps, wanted, accountId);
      const isSwitch = siteOf(deps, wanted.site).binding !== undefined;
      const inner = subfolderOf(deps, wanted);
      const project = await usableProject(deps, wanted, connection);
      const bound = isSwitch
        ? () => saveSwitch(deps, wanted, project)
        : () => saveBinding(deps, { ...wanted, subfolder: inner }, connection, project);
      const remote = remoteFor(deps, wanted, connection, project);
      const mode = isSwitch ? 'switch' : 'first';
      await runtimes
        .worker(wanted.site)
        .connect(wanted.branch, wanted.direction, wanted.planId, remote, bound, mode, inner);
      const act = isSwitch ? 'switched-branch' : 'connected';
      report({ by, site: wanted.site, act, detail: `${project.path} on ${wanted.branch}` });
      await runtimes.changed(siteOf(deps, wanted.site));
      if (isSwitch) return;
      await deps.webhooks.setUp(wanted.site);
      deps.checks.soon(wanted.site);
    },
  };
}

/** Which connection plans and connects: a connected site keeps its own. Throws `already-connected`, `grant-lost`. */
function connectionFor<R>(deps: ConnectingDeps<R>, wanted: ConnectRequest, accountId: string): Connection {
  const { binding, name } = siteOf(deps, wanted.site);
  const isSwitch = binding?.projectId === wanted.projectId && binding.branch !== wanted.branch;
  if (binding && !isSwitch) throw new Problem('already-connected', { site: name, project: binding.projectPath });
  const connection = binding
    ? deps.store.instance.connection(binding.connectionId)
    : deps.connections.mine(accountId, wanted.connection);
  if (connection?.health !== 'good') throw new Problem('grant-lost', {});
  return connection;
}

function remoteFor<R>(deps: ConnectingDeps<R>, wanted: ConnectRequest, connection: Connection, project: Project): R {
  return deps.runtimes.remote(wanted.site, {
    ...{ connectionId: connection.id, projectId: project.id, projectPath: project.path, branch: wanted.branch },
    ...(project.createdAt === undefined ? {} : { projectCreatedAt: project.createdAt }),
  });
}

async function saveSwitch<R>({ store }: ConnectingDeps<R>, wanted: ConnectRequest, project: Project): Promise<void> {
  await store.sites.setBranch(wanted.site, wanted.branch);
  await store.sites.setProject(wanted.site, defaultOf(project));
}

async function saveBinding<R>(
  { store, clock, random }: ConnectingDeps<R>,
  wanted: ConnectRequest & { readonly subfolder: Subfolder },
  connection: Connection,
  project: Project,
): Promise<void> {
  const base = store.instance.get()?.url ?? '';
  const binding: Binding = {
    connectionId: connection.id,
    projectId: project.id,
    projectPath: project.path,
    webUrl: `${base}/${project.path}`,
    cloneUrl: cloneUrl(base, project.path),
    branch: wanted.branch,
    ...(wanted.subfolder === '' ? {} : { subfolder: wanted.subfolder }),
    ...(project.createdAt === undefined ? {} : { projectCreatedAt: project.createdAt }),
    ...defaultOf(project),
    connectedAt: clock.now(),
    webhook: { kind: 'none', reason: 'Not set up yet.' },
  };
  await store.sites.bind(wanted.site, binding, new Secret(random.bytes(32).toString('base64url')));
}

/** The default branch at the time of connecting, so that a later change of it can be noticed. */
function defaultOf({ empty, defaultBranch }: Project): Pick<Binding, 'defaultBranch' | 'defaultThen'> {
  return empty || defaultBranch === undefined ? {} : { defaultBranch, defaultThen: defaultBranch };
}
