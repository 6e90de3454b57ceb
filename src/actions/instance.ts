import type { Connection, ConnectionId, Instance } from '../model/instance.ts';
import { Secret } from '../model/secret.ts';
import type { SiteId, SiteStatus } from '../model/site.ts';
import type { Random } from '../model/world.ts';
import { type InstanceForm, readInstanceForm, type UrlReader } from './instance-form.ts';
import { type Check, type CheckDeps, checkInstance } from './instance-checks.ts';

export interface InstanceActionsDeps extends CheckDeps {
  readonly urls: UrlReader;
  readonly store: CheckDeps['store'] & {
    readonly instance: {
      get(): Instance | undefined;
      /** Durable when it resolves. */
      configure(instance: Instance): Promise<void>;
      systemHookSecret(): Secret | undefined;
      setSystemHookSecret(secret: Secret | undefined): Promise<void>;
      connection(id: ConnectionId): Connection | undefined;
      /** Erases a connection's tokens; its sites wait until it is renewed. */
      dropTokens(id: ConnectionId): Promise<void>;
    };
  };
  /** The instance's certificates and key, where git reads them. */
  readonly tlsFiles: { save(): Promise<void> };
  readonly runtimes: {
    find(id: SiteId): { status(): SiteStatus; trigger(trigger: 'retry'): void } | undefined;
  };
  readonly checks: { soon(id: SiteId): void };
  readonly random: Random;
  /** For the audit log. */
  readonly report: (entry: { by: string; act: 'configured-instance'; detail: string }) => void;
}

export type { Check } from './instance-checks.ts';
export type { InstanceForm } from './instance-form.ts';

export interface InstanceActions {
  get(): Instance | undefined;
  /** Throws `instance-url-invalid` with facts `url`, `hint` (a sentence), `likely` (a URL). */
  derive(url: string): { url: string; authorizeUrl: string; tokenUrl: string; apiUrl: string };
  /** Throws `form-invalid`: facts are keyed by field, each a sentence. */
  configure(form: InstanceForm, by: string): Promise<Instance>;
  /** One line per thing that can be wrong. Never throws. */
  test(): Promise<readonly Check[]>;
  redirectUri: string;
  /** One hook for all sites, which only a GitLab admin can make. `url`: where it must call. */
  systemHook(): { url: string; isSet: boolean };
  /** A new secret for it, shown once: the one before works no more. */
  makeSystemHook(by: string): Promise<string>;
  dropSystemHook(by: string): Promise<void>;
}

/** The one GitLab this installation serves: its settings, and whether they work. */
export function createInstanceActions(deps: InstanceActionsDeps): InstanceActions {
  const { report } = deps;
  const store = deps.store.instance;
  return {
    get: () => store.get(),
    derive: deps.urls.instanceUrls,

    async configure(form, by) {
      const present = store.get();
      const instance = readInstanceForm(form, { present, urls: deps.urls, configuredAt: deps.clock.now() });
      // Tokens first: a crash in between must not leave them beside an address they were not issued by.
      if (present) await dropTokens(store, endsWith(present, instance));
      await store.configure(instance);
      await deps.tlsFiles.save();
      wakeSites(deps);
      report({ by, act: 'configured-instance', detail: instance.url });
      return instance;
    },

    test: () => checkInstance(store.get(), deps),
    redirectUri: deps.redirectUri,

    systemHook: () => ({
      url: `${store.get()?.advanced.reachableAt || deps.config.publicUrl}/hooks/gitlab`,
      isSet: store.systemHookSecret() !== undefined,
    }),

    async makeSystemHook(by) {
      const secret = deps.random.bytes(32).toString('base64url');
      await store.setSystemHookSecret(new Secret(secret));
      report({ by, act: 'configured-instance', detail: 'a secret for the system hook' });
      return secret;
    },

    async dropSystemHook(by) {
      await store.setSystemHookSecret(undefined);
      report({ by, act: 'configured-instance', detail: 'no system hook any more' });
    },
  };
}

async function dropTokens(
  store: InstanceActionsDeps['store']['instance'],
  which: ReturnType<typeof endsWith>,
): Promise<void> {
  if (which === 'none') return;
  for (const { id, accessToken } of store.connections())
    if (which === 'all' || !accessToken) await store.dropTokens(id);
}

/** Sites that waited for other settings try again at once, and those that lost their connection say so. */
function wakeSites({ store, runtimes, checks }: InstanceActionsDeps): void {
  for (const { id, binding, paused } of store.sites.all()) {
    const worker = runtimes.find(id);
    const connection = binding && store.instance.connection(binding.connectionId);
    if (worker?.status().problem || connection?.health !== 'good') worker?.trigger('retry');
    // Webhooks follow a new address of Mooring at once, not within the hour.
    if (binding && !paused) checks.soon(id);
  }
}

/**
 * Which tokens would now be sent to another address, or belong to another application there. `oauth`: those that people
 * authorised; an access token belongs to no application and is never sent to the token endpoint.
 */
function endsWith(before: Instance, after: Instance): 'none' | 'oauth' | 'all' {
  if (before.url !== after.url || before.apiUrl !== after.apiUrl) return 'all';
  return before.tokenUrl !== after.tokenUrl || before.applicationId !== after.applicationId ? 'oauth' : 'none';
}
