import { branchName } from '../model/branch.ts';
import { type Branch, type BranchName, type Connection, type ConnectionId, roleName } from '../model/instance.ts';
import type { Instance, Project, ProjectId } from '../model/instance.ts';
import type { Direction, Plan } from '../model/plan.ts';
import { Problem, asProblem } from '../model/problem.ts';
import type { AuditEntry } from '../model/event.ts';
import { Secret } from '../model/secret.ts';
import type { Binding, Site, SiteId } from '../model/site.ts';
import { type Subfolder, overlap, subfolder } from '../model/subfolder.ts';
import type { Clock, Random } from '../model/world.ts';
import { type Place, cloneUrl, isOther, otherProject } from './project-tracker.ts';
import { type PreflightDeps, createPreflight } from './preflight.ts';
import { leastLevel, mayNotBegin } from './repositories.ts';
import { hookIdOf } from './webhooks.ts';

/** What a site's worker does for connecting. `R`: the engine's Remote, only passed through. */
interface WorkerForConnecting<R> {
  plan(branch: BranchName, direction: Direction, remote: R, subfolder: Subfolder, asked?: AbortSignal): Promise<Plan>;
  connect(
    branch: BranchName,
    direction: Direction,
    planId: string,
    remote: R,
    bound: () => Promise<void>,
    mode: 'first' | 'switch',
    subfolder: Subfolder,
  ): Promise<Plan>;
  /**
   * Pushes what GitLab refused to where `remote` leads. Resolves with GitLab's words about it, if any. Throws
   * `plan-outdated`, `push-refused`, `form-invalid`.
   */
  pushElsewhere(remote: R): Promise<string>;
  trigger(trigger: 'person'): void;
  disconnected(): Promise<void>;
  kept(): Promise<readonly unknown[]>;
  tracked(): number;
}

export interface ConnectingDeps<R> {
  readonly instance: () => Instance | undefined;
  readonly connection: (id: ConnectionId) => Connection | undefined;
  /** The account's own grant, if it works; with `id`: that connection, if the account made it. */
  readonly mine: (accountId: string, id?: string) => Connection | undefined;
  readonly withToken: <T>(id: ConnectionId, use: (token: Secret) => Promise<T>) => Promise<T>;
  /** Ends the grant at GitLab and forgets it here; an access token is only forgotten. */
  readonly revoke: (id: ConnectionId) => Promise<void>;
  /** Whether its tokens are here: those of another GitLab are dropped, and so can be ended only there. */
  readonly hasTokens: (id: ConnectionId) => boolean;
  readonly client: {
    project(token: Secret, id: ProjectId): Promise<Project>;
    /** Throws `branch-missing`. */
    branch(token: Secret, id: ProjectId, name: BranchName): Promise<Branch>;
  } & PreflightDeps['client'];
  readonly sites: {
    all(): readonly Site[];
    get(id: string): Site | undefined;
    bind(id: SiteId, binding: Binding, hookToken: Secret): Promise<Site>;
    unbind(id: SiteId): Promise<Site>;
    setConnection(id: SiteId, connectionId: ConnectionId): Promise<void>;
    setBranch(id: SiteId, branch: BranchName): Promise<void>;
    setProject(id: SiteId, at: Pick<Binding, 'defaultBranch' | 'defaultThen'>): Promise<void>;
  };
  readonly author: PreflightDeps['author'];
  readonly message: PreflightDeps['message'];
  readonly webhooks: {
    setUp(id: SiteId): Promise<void>;
    look(id: SiteId): Promise<void>;
    remove(id: SiteId, binding: Binding): Promise<'gone' | 'left' | 'unknown'>;
  };
  /** Has the site's repository and webhook looked at in the background. */
  readonly lookSoon: (id: SiteId) => void;
  readonly worker: (id: SiteId) => WorkerForConnecting<R>;
  readonly remote: (id: SiteId, where: Place & { readonly branch: BranchName }, pushOptions?: readonly string[]) => R;
  /** Schedules and watcher follow the site. */
  readonly siteChanged: (site: Site) => Promise<void>;
  readonly report: (act: Omit<AuditEntry, 'id' | 'at'>) => void;
  readonly clock: Clock;
  readonly random: Random;
}

interface ConnectRequest {
  readonly site: SiteId;
  readonly projectId: ProjectId;
  readonly branch: BranchName;
  readonly direction: Direction;
  /** The folder of the repository that becomes the site, as typed; a connected site keeps its own. */
  readonly subfolder?: string;
  /** The access token to connect with; absent: the account's own grant. A connected site keeps what it has. */
  readonly connection?: ConnectionId;
}

interface DisconnectFacts {
  readonly files: number;
  readonly keptVersions: number;
  readonly grant: 'revoked' | 'forgotten' | 'dropped' | 'shared';
  readonly webhook: boolean;
}

export interface Connecting {
  /** `asked` aborts when nobody waits for the answer any more. */
  plan(wanted: ConnectRequest, accountId: string, asked?: AbortSignal): Promise<Plan>;
  /** A connected site of the same repository is switched to the branch instead. */
  confirm(wanted: ConnectRequest & { planId: string }, by: string, accountId: string): Promise<void>;
  /** The present branch is meant, whatever the repository's default one is. Throws `not-connected`. */
  stay(id: SiteId): Promise<void>;
  /**
   * Pushes what GitLab refused to a new branch of the same repository, with a merge request into the site's branch if
   * asked for. The site stays on its branch, and on hold until that takes the commit or the rule changes.
   */
  pushElsewhere(id: SiteId, wanted: { branch: string; mergeRequest: boolean }, by: string): Promise<string>;
  /**
   * The site uses this connection from now on: another person's, or an access token. Throws what keeps its user from
   * the repository (`project-missing`, `push-not-allowed`); then everything stays as it was, and a connection that was
   * made for this and serves no other site is forgotten again.
   */
  handOver(id: SiteId, connection: Connection, by: string, made?: 'for-this' | 'before'): Promise<void>;
  disconnect(id: SiteId, by: string): Promise<{ leftOver: readonly string[] }>;
  /** `grant`: what becomes of it. `dropped`: its tokens are not here any more, so nobody can end it from here. */
  disconnectFacts(id: SiteId): Promise<DisconnectFacts>;
  retryWebhook(id: SiteId): Promise<void>;
}

/** Ties a site to a branch and unties it. Everything is checked before the point of no return. */
export function createConnecting<R>(deps: ConnectingDeps<R>): Connecting {
  const { sites, client, withToken } = deps;
  const preflight = createPreflight(deps);

  const siteOf = (id: SiteId): Site => {
    const site = sites.get(id);
    if (!site) throw new Problem('not-found', {});
    return site;
  };
  const connectionOf = (accountId: string, id?: ConnectionId): Connection => {
    const connection = deps.mine(accountId, id);
    if (!connection) throw new Problem('grant-lost', {});
    return connection;
  };

  /** Whose grant plans and connects: a connected site keeps its own. */
  function grantFor(wanted: ConnectRequest, accountId: string): Connection {
    const { binding, name } = siteOf(wanted.site);
    if (!binding) return connectionOf(accountId, wanted.connection);
    if (!isSwitch(wanted)) throw new Problem('already-connected', { site: name, project: binding.projectPath });
    const connection = deps.connection(binding.connectionId);
    if (connection?.health !== 'good') throw new Problem('grant-lost', {});
    return connection;
  }

  function folderOf(wanted: ConnectRequest): Subfolder {
    const { binding } = siteOf(wanted.site);
    return binding ? (binding.subfolder ?? '') : subfolder(wanted.subfolder ?? '');
  }

  /** The same repository, another branch. */
  function isSwitch(wanted: ConnectRequest): boolean {
    const { binding } = siteOf(wanted.site);
    return binding?.projectId === wanted.projectId && binding.branch !== wanted.branch;
  }

  /** The project as GitLab sees it now, if this connection may moor a site to it. */
  async function checked(wanted: ConnectRequest, connection: Connection): Promise<Project> {
    const project = await withToken(connection.id, (token) => client.project(token, wanted.projectId));
    const { binding } = siteOf(wanted.site);
    if (binding && isOther(binding, project)) throw otherProject(binding.projectPath, project);
    const facts = { project: project.path, branch: wanted.branch };
    const mine = folderOf(wanted);
    const other = sites
      .all()
      .filter(({ binding, id }) => id !== wanted.site && binding?.projectId === project.id)
      .find((site) => overlap(mine, site.binding?.subfolder ?? ''));
    if (other) throw new Problem('project-in-use', { ...facts, site: other.name });
    if (project.archived) throw new Problem('project-archived', facts);
    // Level 0: GitLab names no role (rights through a shared group); the branch itself tells.
    const level = project.accessLevel;
    const least = leastLevel(deps.instance()?.advanced ?? { minAccessLevel: 0 });
    if (level > 0 && level < least) {
      throw new Problem('push-not-allowed', { ...facts, role: roleName(level), needed: roleName(least) });
    }
    if (mayNotBegin(project)) throw new Problem('repository-empty', facts);
    if (!project.empty) await checkBranch(wanted, connection, facts);
    return project;
  }

  /** A protected branch is said before the warning, not after the first edit. Of a new one nobody knows yet. */
  async function checkBranch(
    wanted: ConnectRequest,
    connection: Connection,
    facts: Record<string, string>,
  ): Promise<void> {
    const ask = (token: Secret): Promise<Branch> => client.branch(token, wanted.projectId, wanted.branch);
    const branch = await withToken(connection.id, ask).catch((error: unknown) => {
      if (asProblem(error).code === 'branch-missing') return undefined;
      throw error;
    });
    if (branch && !branch.canPush) throw new Problem('push-not-allowed', facts);
  }

  const remoteFor = (wanted: ConnectRequest, connection: Connection, project: Project): R =>
    deps.remote(wanted.site, {
      ...{ connectionId: connection.id, projectId: project.id, projectPath: project.path, branch: wanted.branch },
      ...(project.createdAt === undefined ? {} : { projectCreatedAt: project.createdAt }),
    });

  const boundSite = (id: SiteId): { site: Site; binding: Binding } => {
    const site = siteOf(id);
    if (!site.binding) throw new Problem('not-connected', { site: site.name });
    return { site, binding: site.binding };
  };

  return {
    async plan(request, accountId, asked) {
      const wanted = { ...request, branch: branchName(request.branch) };
      const connection = grantFor(wanted, accountId);
      const project = await checked(wanted, connection);
      const remote = remoteFor(wanted, connection, project);
      const ahead = preflight({ site: siteOf(wanted.site), connection, project, branch: wanted.branch });
      const plan = await deps
        .worker(wanted.site)
        .plan(wanted.branch, wanted.direction, remote, folderOf(wanted), asked);
      return { ...plan, obstacles: await ahead.judge(plan) };
    },

    async confirm(request, by, accountId) {
      const wanted = { ...request, branch: branchName(request.branch) };
      const connection = grantFor(wanted, accountId);
      const before = siteOf(wanted.site).binding;
      const inner = folderOf(wanted);
      const project = await checked(wanted, connection);
      const hookToken = new Secret(deps.random.bytes(32).toString('base64url'));
      const bound = async (): Promise<void> => {
        if (before) {
          await sites.setBranch(wanted.site, wanted.branch);
          await sites.setProject(wanted.site, defaultOf(project));
        } else
          await sites.bind(
            wanted.site,
            bindingFor({ ...wanted, subfolder: inner }, connection, project, deps),
            hookToken,
          );
      };
      const remote = remoteFor(wanted, connection, project);
      const mode = before ? 'switch' : 'first';
      await deps
        .worker(wanted.site)
        .connect(wanted.branch, wanted.direction, wanted.planId, remote, bound, mode, inner);
      const act = before ? 'switched-branch' : 'connected';
      deps.report({ by, site: wanted.site, act, detail: `${project.path} on ${wanted.branch}` });
      await deps.siteChanged(siteOf(wanted.site));
      if (before) return;
      await deps.webhooks.setUp(wanted.site);
      deps.lookSoon(wanted.site);
    },

    async stay(id) {
      const { defaultBranch } = boundSite(id).binding;
      if (defaultBranch !== undefined) await sites.setProject(id, { defaultThen: defaultBranch });
    },

    async pushElsewhere(id, { branch: typed, mergeRequest }, by) {
      const { binding } = boundSite(id);
      const branch = branchName(typed);
      const options = mergeRequest ? ['merge_request.create', `merge_request.target=${binding.branch}`] : [];
      const said = await deps.worker(id).pushElsewhere(deps.remote(id, { ...binding, branch }, options));
      deps.report({ by, site: id, act: 'pushed-elsewhere', detail: `${binding.projectPath} on ${branch}` });
      return said;
    },

    async handOver(id, connection, by, made = 'before') {
      const { binding } = boundSite(id);
      const wanted = { site: id, projectId: binding.projectId, branch: binding.branch, direction: 'replace' } as const;
      await checked(wanted, connection).catch(async (error: unknown) => {
        if (made === 'for-this') await forgetUnused(connection.id);
        throw error;
      });
      if (binding.connectionId !== connection.id) {
        await sites.setConnection(id, connection.id);
        await endGrant(id, binding);
        deps.report({ by, site: id, act: 'handed-over', detail: `as @${connection.username}` });
      }
      deps.worker(id).trigger('person');
      deps.lookSoon(id);
    },

    async disconnect(id, by) {
      const { binding } = siteOf(id);
      if (!binding) throw new Problem('not-connected', {});
      const site = await sites.unbind(id);
      await deps.siteChanged(site);
      await deps.worker(id).disconnected();
      const leftOver = [...(await removeWebhook(id, binding)), ...(await endGrant(id, binding))];
      deps.report({ by, site: id, act: 'disconnected', detail: `${binding.projectPath} on ${binding.branch}` });
      return { leftOver };
    },

    async disconnectFacts(id) {
      const { binding } = siteOf(id);
      const worker = deps.worker(id);
      const webhook = binding !== undefined && hookIdOf(binding.webhook) !== undefined;
      const kept = await worker.kept();
      return {
        files: worker.tracked(),
        keptVersions: kept.length,
        grant: binding ? fateOfGrant(id, binding) : 'shared',
        webhook,
      };
    },

    async retryWebhook(id) {
      await deps.webhooks.setUp(id);
      await deps.webhooks.look(id);
    },
  };

  async function removeWebhook(id: SiteId, binding: Binding): Promise<string[]> {
    const left = await deps.webhooks.remove(id, binding);
    if (left === 'gone') return [];
    const { projectPath, webhook } = binding;
    if (left === 'unknown')
      return [
        `A webhook may still be in ${projectPath}. Look in GitLab under Settings / Webhooks, and remove it there.`,
      ];
    return [
      `The webhook ${hookIdOf(webhook)} of ${projectPath} is still there. Remove it in GitLab under Settings / Webhooks.`,
    ];
  }

  async function forgetUnused(connectionId: ConnectionId): Promise<void> {
    if (sites.all().some(({ binding }) => binding?.connectionId === connectionId)) return;
    // What kept it from the repository is the cause to tell, not that GitLab could not be told of its end.
    await deps.revoke(connectionId).catch(() => undefined);
  }

  /** Another site may still need the same grant. */
  function sharesGrant(id: SiteId, { connectionId }: Binding): boolean {
    return sites.all().some((site) => site.id !== id && site.binding?.connectionId === connectionId);
  }

  function fateOfGrant(id: SiteId, binding: Binding): DisconnectFacts['grant'] {
    const connection = deps.connection(binding.connectionId);
    if (!connection) return 'dropped';
    if (sharesGrant(id, binding)) return 'shared';
    if (!deps.hasTokens(connection.id)) return 'dropped';
    return connection.accessToken ? 'forgotten' : 'revoked';
  }

  async function endGrant(id: SiteId, binding: Binding): Promise<string[]> {
    const connection = deps.connection(binding.connectionId);
    // Another GitLab was configured meanwhile, and nothing of the one before was kept.
    if (!connection) return [grantElsewhere];
    if (sharesGrant(id, binding)) return [];
    const isHere = deps.hasTokens(connection.id);
    try {
      await deps.revoke(binding.connectionId);
      if (!isHere) return [grantElsewhere];
      // A person made it, perhaps not for Mooring alone: it is forgotten here, and theirs to end.
      return connection.accessToken
        ? ['The access token still works. Revoke it in GitLab if nothing else uses it.']
        : [];
    } catch {
      return ['Mooring could not revoke the connection at GitLab. Revoke it there under your profile / Applications.'];
    }
  }
}

const grantElsewhere =
  'The connection may still be valid in the GitLab that issued it. Mooring no longer has its tokens. Revoke it there under your profile / Applications or Access tokens.';

/** The default branch as it is while the site is put on its branch: what it becomes later is measured against it. */
function defaultOf({ empty, defaultBranch }: Project): Pick<Binding, 'defaultBranch' | 'defaultThen'> {
  return empty || defaultBranch === undefined ? {} : { defaultBranch, defaultThen: defaultBranch };
}

function bindingFor<R>(
  wanted: ConnectRequest & { subfolder: Subfolder },
  connection: Connection,
  project: Project,
  deps: ConnectingDeps<R>,
): Binding {
  const base = deps.instance()?.url ?? '';
  return {
    connectionId: connection.id,
    projectId: project.id,
    projectPath: project.path,
    webUrl: `${base}/${project.path}`,
    cloneUrl: cloneUrl(base, project.path),
    branch: wanted.branch,
    ...(wanted.subfolder === '' ? {} : { subfolder: wanted.subfolder }),
    ...(project.createdAt === undefined ? {} : { projectCreatedAt: project.createdAt }),
    ...defaultOf(project),
    connectedAt: deps.clock.now(),
    webhook: { kind: 'none', reason: 'Not set up yet.' },
  };
}
