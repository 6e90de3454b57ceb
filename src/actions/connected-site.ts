import { branchName } from '../model/branch.ts';
import type { AuditEntry } from '../model/event.ts';
import type { BranchName, Connection, ConnectionId } from '../model/instance.ts';
import type { Binding, Site, SiteId } from '../model/site.ts';
import type { ConnectionEnd, ConnectionFate } from './connection-end.ts';
import type { Place } from './project-tracker.ts';
import { type SiteProjectDeps, bindingOf, usableProject } from './site-project.ts';
import { hookIdOf } from './webhooks.ts';

export interface ConnectedSiteDeps<R> extends SiteProjectDeps {
  readonly store: SiteProjectDeps['store'] & {
    readonly sites: {
      unbind(id: SiteId): Promise<Site>;
      setConnection(id: SiteId, connectionId: ConnectionId): Promise<void>;
      setProject(id: SiteId, at: Pick<Binding, 'defaultThen'>): Promise<void>;
    };
  };
  readonly connectionEnd: Pick<ConnectionEnd, 'endFor' | 'endUnused' | 'fateOf'>;
  readonly webhooks: {
    setUp(id: SiteId): Promise<void>;
    check(id: SiteId): Promise<void>;
    remove(id: SiteId, binding: Binding): Promise<'gone' | 'left' | 'unknown'>;
  };
  readonly checks: { soon(id: SiteId): void };
  readonly runtimes: {
    worker(id: SiteId): {
      /**
       * Pushes what GitLab refused to where `remote` leads. Resolves with GitLab's words about it, if any. Throws
       * `plan-outdated`, `push-refused`, `form-invalid`.
       */
      pushElsewhere(remote: R): Promise<string>;
      trigger(trigger: 'person'): void;
      disconnected(): Promise<void>;
      kept(): Promise<readonly unknown[]>;
      tracked(): number;
    };
    remote(id: SiteId, where: Place & { readonly branch: BranchName }, pushOptions?: readonly string[]): R;
    changed(site: Site): Promise<void>;
  };
  readonly report: (entry: Omit<AuditEntry, 'id' | 'at'>) => void;
}

interface DisconnectFacts {
  /** How many files of the folder stay. */
  readonly files: number;
  readonly keptVersions: number;
  readonly connection: ConnectionFate;
  /** Whether GitLab has a webhook of ours that would be removed. */
  readonly webhook: boolean;
}

export interface ConnectedSite {
  /** The site stays on its branch although the repository's default branch changed. Throws `not-connected`. */
  stay(id: SiteId): Promise<void>;
  /**
   * Pushes what GitLab refused to a new branch of the same repository, with a merge request into the site's branch if
   * asked for. The site stays on its branch, and on hold until that takes the commit or the rule changes. Gives GitLab's
   * words about the push, if any.
   */
  pushElsewhere(id: SiteId, wanted: { branch: string; mergeRequest: boolean }, by: string): Promise<string>;
  /**
   * The site uses this connection from now on: another person's, or an access token. Throws what keeps its user from
   * the repository (`project-missing`, `push-not-allowed`); then everything stays as it was, and a connection that was
   * made for this and serves no other site is ended again.
   */
  handOver(id: SiteId, connection: Connection, by: string, made?: 'for-this' | 'before'): Promise<void>;
  /** Stops syncing. Files stay. `leftOver`: what could not be undone at GitLab, in sentences. */
  disconnect(id: SiteId, by: string): Promise<{ leftOver: readonly string[] }>;
  /** What disconnecting would keep and end. */
  disconnectFacts(id: SiteId): Promise<DisconnectFacts>;
  /** Tries to set the webhook up again. */
  retryWebhook(id: SiteId): Promise<void>;
}

/** What people do with a site while it is connected, and how that ends. */
export function createConnectedSite<R>(deps: ConnectedSiteDeps<R>): ConnectedSite {
  const { store, runtimes, webhooks, connectionEnd, report } = deps;
  return {
    async stay(id) {
      const { defaultBranch } = bindingOf(deps, id);
      if (defaultBranch !== undefined) await store.sites.setProject(id, { defaultThen: defaultBranch });
    },

    async pushElsewhere(id, { branch: typed, mergeRequest }, by) {
      const binding = bindingOf(deps, id);
      const branch = branchName(typed);
      const options = mergeRequest ? ['merge_request.create', `merge_request.target=${binding.branch}`] : [];
      const said = await runtimes.worker(id).pushElsewhere(runtimes.remote(id, { ...binding, branch }, options));
      report({ by, site: id, act: 'pushed-elsewhere', detail: `${binding.projectPath} on ${branch}` });
      return said;
    },

    async handOver(id, connection, by, made = 'before') {
      const binding = bindingOf(deps, id);
      const wanted = { site: id, projectId: binding.projectId, branch: binding.branch };
      await usableProject(deps, wanted, connection).catch(async (error: unknown) => {
        if (made === 'for-this') await connectionEnd.endUnused(connection.id);
        throw error;
      });
      if (binding.connectionId !== connection.id) {
        await store.sites.setConnection(id, connection.id);
        await connectionEnd.endFor(id, binding);
        report({ by, site: id, act: 'handed-over', detail: `as @${connection.username}` });
      }
      runtimes.worker(id).trigger('person');
      deps.checks.soon(id);
    },

    async disconnect(id, by) {
      const binding = bindingOf(deps, id);
      await runtimes.changed(await store.sites.unbind(id));
      await runtimes.worker(id).disconnected();
      const hook = leftOverHook(await webhooks.remove(id, binding), binding);
      const leftOver = [...hook, ...(await connectionEnd.endFor(id, binding))];
      report({ by, site: id, act: 'disconnected', detail: `${binding.projectPath} on ${binding.branch}` });
      return { leftOver };
    },

    async disconnectFacts(id) {
      const { binding } = store.sites.get(id) ?? {};
      const worker = runtimes.worker(id);
      const kept = await worker.kept();
      return {
        files: worker.tracked(),
        keptVersions: kept.length,
        connection: binding ? connectionEnd.fateOf(id, binding) : 'shared',
        webhook: binding !== undefined && hookIdOf(binding.webhook) !== undefined,
      };
    },

    async retryWebhook(id) {
      await webhooks.setUp(id);
      await webhooks.check(id);
    },
  };
}

function leftOverHook(left: 'gone' | 'left' | 'unknown', { projectPath, webhook }: Binding): readonly string[] {
  if (left === 'gone') return [];
  const where = 'in GitLab under Settings / Webhooks';
  return left === 'unknown'
    ? [`${projectPath} may still have a webhook that calls Mooring. Check ${where}, and remove it there.`]
    : [`The webhook ${hookIdOf(webhook)} of ${projectPath} is still there. Remove it ${where}.`];
}
