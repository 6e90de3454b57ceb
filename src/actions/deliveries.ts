import type { BranchNews } from '../model/delivery-verifier.ts';
import type { Secret } from '../model/secret.ts';
import type { Site, SiteId } from '../model/site.ts';

export interface DeliveriesDeps {
  readonly store: {
    readonly sites: {
      all(): readonly Site[];
      hookSecrets(
        id: string,
      ): { readonly token: Secret; readonly signing?: Secret; readonly signed: boolean } | undefined;
    };
    readonly instance: { systemHookSecret(): Secret | undefined };
  };
  readonly runtimes: {
    find(id: string): { trigger(trigger: 'webhook', news: readonly BranchNews[]): void } | undefined;
  };
  readonly webhooks: {
    delivered(id: SiteId, delivery: { at: number; signed: boolean }): Promise<void>;
    deliveredBySystem(id: SiteId, at: number): Promise<void>;
  };
  /** Told of each call that sets off a run. */
  readonly onTrigger: (id: SiteId) => void;
  readonly projects: { doubt(id: SiteId): void };
  readonly checks: { soon(id: SiteId): void };
  readonly log: (level: 'error', message: string, fields: Record<string, unknown>) => void;
}

/** What a verified webhook call sets off. Calls are verified in `triggers/webhook.ts`. */
export function createDeliveries(deps: DeliveriesDeps) {
  const { store, runtimes, webhooks, projects, checks, log } = deps;
  const { sites, instance } = store;
  const sitesWhere = (matches: (binding: NonNullable<Site['binding']>) => boolean): SiteId[] =>
    sites.all().flatMap(({ id, binding }) => (binding && matches(binding) ? [id] : []));
  const notNoted = (error: unknown): void =>
    log('error', 'The time of a webhook delivery could not be saved.', { error });
  function onTrigger(id: SiteId, news: readonly BranchNews[]): void {
    deps.onTrigger(id);
    runtimes.find(id)?.trigger('webhook', news);
  }

  return {
    /** A site's own webhook. */
    webhook: {
      secretsOf(id: string) {
        const secrets = sites.hookSecrets(id);
        return secrets && { site: id as SiteId, secrets };
      },
      onTrigger,
      onDelivery: (id: SiteId, delivery: { at: number; signed: boolean }): void =>
        void webhooks.delivered(id, delivery).catch(notNoted),
    },
    /** The instance's system hook, which tells of every project. */
    systemHook: {
      secret: () => instance.systemHookSecret(),
      sitesOf: (projectId: number) => sitesWhere((binding) => binding.projectId === projectId),
      /** Sites whose project lies in the group at `path`; GitLab compares paths without regard to case. */
      sitesBelow(path: string) {
        const group = `${path}/`.toLowerCase();
        return sitesWhere(({ projectPath }) => projectPath.toLowerCase().startsWith(group));
      },
      onTrigger,
      onMoved(id: SiteId): void {
        projects.doubt(id);
        checks.soon(id);
      },
      onDelivery: (id: SiteId, at: number): void => void webhooks.deliveredBySystem(id, at).catch(notNoted),
    },
  };
}
