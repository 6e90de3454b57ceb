import { branchName } from '../model/branch.ts';
import type { BranchName, Connection, ConnectionId, Instance, Project, ProjectId } from '../model/instance.ts';
import type { Direction, Plan } from '../model/plan.ts';
import { Problem, asProblem } from '../model/problem.ts';
import type { ActRecord } from '../model/event.ts';
import { Secret } from '../model/secret.ts';
import type { Binding, Site, SiteId, Webhook } from '../model/site.ts';
import type { Clock, Random } from '../model/world.ts';

/** What one site's keeper does for connecting. `R`: the engine's Remote, only passed through. */
interface KeeperForConnecting<R> {
  plan(branch: BranchName, direction: Direction, remote: R): Promise<Plan>;
  connect(
    branch: BranchName,
    direction: Direction,
    planId: string,
    remote: R,
    bound: () => Promise<void>,
  ): Promise<Plan>;
  disconnected(): Promise<void>;
  kept(): Promise<readonly unknown[]>;
  tracked(): number;
}

export interface ConnectingDeps<R> {
  readonly publicUrl: string;
  readonly instance: () => Instance | undefined;
  readonly connection: (id: ConnectionId) => Connection | undefined;
  readonly mine: (accountId: string) => Connection | undefined;
  readonly withToken: <T>(id: ConnectionId, use: (token: Secret) => Promise<T>) => Promise<T>;
  /** Ends the grant at GitLab and forgets it here. */
  readonly revoke: (id: ConnectionId) => Promise<void>;
  readonly client: {
    project(token: Secret, id: ProjectId): Promise<Project>;
    setHook(
      token: Secret,
      id: ProjectId,
      hook: { url: string; token: Secret; signingToken?: Secret },
    ): Promise<{ id: number } | undefined>;
    deleteHook(token: Secret, id: ProjectId, hookId: number): Promise<void>;
  };
  readonly sites: {
    all(): readonly Site[];
    get(id: string): Site | undefined;
    bind(id: SiteId, binding: Binding, hookToken: Secret): Promise<Site>;
    unbind(id: SiteId): Promise<Site>;
    setWebhook(id: SiteId, webhook: Webhook): Promise<void>;
    hookToken(id: string): Secret | undefined;
  };
  readonly keeper: (id: SiteId) => KeeperForConnecting<R>;
  readonly remote: (id: SiteId, where: { connectionId: ConnectionId; projectPath: string; branch: BranchName }) => R;
  /** Schedules and watcher follow the site. */
  readonly siteChanged: (site: Site) => Promise<void>;
  readonly report: (act: Omit<ActRecord, 'id' | 'at'>) => void;
  readonly clock: Clock;
  readonly random: Random;
}

export interface Wish {
  readonly site: SiteId;
  readonly projectId: ProjectId;
  readonly branch: BranchName;
  readonly direction: Direction;
}

export interface Connecting {
  plan(wish: Wish, accountId: string): Promise<Plan>;
  confirm(wish: Wish & { planId: string }, by: string, accountId: string): Promise<void>;
  disconnect(id: SiteId, by: string): Promise<{ leftOver: readonly string[] }>;
  disconnectFacts(id: SiteId): Promise<{ files: number; keptVersions: number; revokes: boolean; webhook: boolean }>;
  retryWebhook(id: SiteId): Promise<void>;
}

/** GitLab's Developer: the least that may push to an ordinary branch; Maintainer for the first push of all. */
const developer = 30;
const maintainer = 40;

/** Ties a site to a branch and unties it. Everything is checked before the point of no return. */
export function createConnecting<R>(deps: ConnectingDeps<R>): Connecting {
  const { sites, client, withToken } = deps;

  const siteOf = (id: SiteId): Site => {
    const site = sites.get(id);
    if (!site) throw new Problem('not-found', {});
    return site;
  };
  const connectionOf = (accountId: string): Connection => {
    const connection = deps.mine(accountId);
    if (!connection) throw new Problem('grant-lost', {});
    return connection;
  };

  /** The project as GitLab sees it now, if this connection may moor a site to it. */
  async function checked(wish: Wish, connection: Connection): Promise<Project> {
    if (siteOf(wish.site).binding) throw new Problem('already-connected', { site: siteOf(wish.site).name });
    const project = await withToken(connection.id, (token) => client.project(token, wish.projectId));
    const facts = { project: project.path };
    const other = sites.all().find(({ binding, id }) => id !== wish.site && binding?.projectId === project.id);
    if (other) throw new Problem('project-in-use', { ...facts, site: other.name });
    if (project.archived) throw new Problem('project-archived', facts);
    if (project.accessLevel < developer) throw new Problem('push-not-allowed', facts);
    if (project.empty && project.accessLevel < maintainer) throw new Problem('repository-empty', facts);
    return project;
  }

  const remoteFor = (wish: Wish, connection: Connection, project: Project): R =>
    deps.remote(wish.site, { connectionId: connection.id, projectPath: project.path, branch: wish.branch });

  /** Makes GitLab call us after each push. Nothing depends on it but how fast a push arrives. */
  async function setUpWebhook(id: SiteId): Promise<void> {
    const { binding } = siteOf(id);
    const hookToken = sites.hookToken(id);
    if (!binding || !hookToken) return;
    const connection = deps.connection(binding.connectionId);
    if (connection && !connection.scopes.split(' ').includes('api')) {
      return sites.setWebhook(id, { kind: 'none', reason: 'The connection has no api scope.' });
    }
    const url = `${deps.instance()?.advanced.reachableAt || deps.publicUrl}/hooks/gitlab/${id}`;
    const wish = { url, token: hookToken };
    try {
      const hook = await withToken(binding.connectionId, (token) => client.setHook(token, binding.projectId, wish));
      await sites.setWebhook(
        id,
        hook ? { kind: 'waiting', hookId: hook.id } : { kind: 'blocked', address: new URL(url).host },
      );
    } catch (error) {
      await sites.setWebhook(id, { kind: 'none', reason: hookRefusal(asProblem(error)) });
    }
  }

  return {
    async plan(request, accountId) {
      const wish = { ...request, branch: branchName(request.branch) };
      const connection = connectionOf(accountId);
      const project = await checked(wish, connection);
      return deps.keeper(wish.site).plan(wish.branch, wish.direction, remoteFor(wish, connection, project));
    },

    async confirm(request, by, accountId) {
      const wish = { ...request, branch: branchName(request.branch) };
      const connection = connectionOf(accountId);
      const project = await checked(wish, connection);
      const hookToken = new Secret(deps.random.bytes(32).toString('base64url'));
      const bound = async (): Promise<void> => {
        await sites.bind(wish.site, bindingFor(wish, connection, project, deps), hookToken);
      };
      const remote = remoteFor(wish, connection, project);
      await deps.keeper(wish.site).connect(wish.branch, wish.direction, wish.planId, remote, bound);
      deps.report({ by, site: wish.site, act: 'connected', detail: `${project.path} on ${wish.branch}` });
      await deps.siteChanged(siteOf(wish.site));
      await setUpWebhook(wish.site);
    },

    async disconnect(id, by) {
      const { binding } = siteOf(id);
      if (!binding) throw new Problem('not-connected', {});
      const site = await sites.unbind(id);
      await deps.siteChanged(site);
      await deps.keeper(id).disconnected();
      const leftOver = [...(await removeWebhook(binding)), ...(await endGrant(binding))];
      deps.report({ by, site: id, act: 'disconnected', detail: `${binding.projectPath} on ${binding.branch}` });
      return { leftOver };
    },

    async disconnectFacts(id) {
      const { binding } = siteOf(id);
      const keeper = deps.keeper(id);
      const webhook = binding?.webhook.kind === 'waiting' || binding?.webhook.kind === 'working';
      const kept = await keeper.kept();
      return {
        files: keeper.tracked(),
        keptVersions: kept.length,
        revokes: binding !== undefined && !sharesGrant(binding),
        webhook,
      };
    },

    retryWebhook: setUpWebhook,
  };

  async function removeWebhook({ connectionId, projectId, projectPath, webhook }: Binding): Promise<string[]> {
    if (webhook.kind !== 'waiting' && webhook.kind !== 'working') return [];
    try {
      await withToken(connectionId, (token) => client.deleteHook(token, projectId, webhook.hookId));
      return [];
    } catch {
      return [
        `The webhook ${webhook.hookId} of ${projectPath} is still there. Remove it in GitLab under Settings / Webhooks.`,
      ];
    }
  }

  /** Another site may still need the same grant. */
  function sharesGrant({ connectionId, projectId }: Binding): boolean {
    return sites.all().some(({ binding }) => binding?.connectionId === connectionId && binding.projectId !== projectId);
  }

  async function endGrant(binding: Binding): Promise<string[]> {
    if (sharesGrant(binding) || !deps.connection(binding.connectionId)) return [];
    try {
      await deps.revoke(binding.connectionId);
      return [];
    } catch {
      return ['GitLab could not be told to end the grant. Revoke it there under your profile / Applications.'];
    }
  }
}

function bindingFor<R>(wish: Wish, connection: Connection, project: Project, deps: ConnectingDeps<R>): Binding {
  const base = deps.instance()?.url ?? '';
  return {
    connectionId: connection.id,
    projectId: project.id,
    projectPath: project.path,
    webUrl: `${base}/${project.path}`,
    cloneUrl: cloneUrl(base, project.path),
    branch: wish.branch,
    connectedAt: deps.clock.now(),
    webhook: { kind: 'none', reason: 'Not set up yet.' },
  };
}

/**
 * Built from the instance's own address, not taken from GitLab's answer: an admin can set another clone address there,
 * and the token must go to the instance alone.
 */
export function cloneUrl(instanceUrl: string, projectPath: string): string {
  return `${instanceUrl}/${projectPath}.git`;
}

function hookRefusal({ code }: Problem): string {
  if (code === 'not-allowed') return 'Only a Maintainer may make webhooks in this repository.';
  if (code === 'scope-too-small') return 'The connection has no api scope.';
  return 'GitLab did not answer when the webhook was set up.';
}
