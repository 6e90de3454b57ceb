import type { Instance } from '../model/instance.ts';
import { Secret } from '../model/secret.ts';
import type { Random } from '../model/world.ts';
import { type InstanceForm, readInstanceForm, type UrlReader } from './instance-form.ts';
import { type Check, type CheckDeps, checkInstance } from './instance-checks.ts';

export interface InstanceActionsDeps extends CheckDeps {
  readonly urls: UrlReader;
  readonly store: {
    get(): Instance | undefined;
    /** Durable when it resolves. */
    configure(instance: Instance): Promise<void>;
    systemHookSecret(): Secret | undefined;
    setSystemHookSecret(secret: Secret | undefined): Promise<void>;
  };
  readonly random: Random;
  /** Erases tokens, of `grants`: those that people authorised, not those that they entered. Health: `reconnect`. */
  readonly dropTokens: (of: 'grants' | 'all') => Promise<void>;
  /** For the audit log. */
  readonly report: (act: { by: string; act: 'configured-instance'; detail: string }) => void;
}

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
  return {
    get: deps.store.get,
    derive: deps.urls.instanceUrls,

    async configure(form, by) {
      const present = deps.store.get();
      const instance = readInstanceForm(form, { present, urls: deps.urls, configuredAt: deps.clock.now() });
      // Tokens first: a crash in between must not leave them beside an address they were not issued by.
      const ends = present ? endsWith(present, instance) : 'none';
      if (ends !== 'none') await deps.dropTokens(ends);
      await deps.store.configure(instance);
      deps.report({ by, act: 'configured-instance', detail: instance.url });
      return instance;
    },

    test: () => checkInstance(deps.store.get(), deps),
    redirectUri: deps.redirectUri,

    systemHook: () => ({
      url: `${deps.store.get()?.advanced.reachableAt || deps.publicUrl}/hooks/gitlab`,
      isSet: deps.store.systemHookSecret() !== undefined,
    }),

    async makeSystemHook(by) {
      const secret = deps.random.bytes(32).toString('base64url');
      await deps.store.setSystemHookSecret(new Secret(secret));
      deps.report({ by, act: 'configured-instance', detail: 'a secret for the system hook' });
      return secret;
    },

    async dropSystemHook(by) {
      await deps.store.setSystemHookSecret(undefined);
      deps.report({ by, act: 'configured-instance', detail: 'no system hook any more' });
    },
  };
}

/**
 * Which tokens would now travel to another place, or belong to another application there. An access token is no
 * application's, and is never sent to the token endpoint.
 */
function endsWith(before: Instance, after: Instance): 'none' | 'grants' | 'all' {
  if (before.url !== after.url || before.apiUrl !== after.apiUrl) return 'all';
  return before.tokenUrl !== after.tokenUrl || before.applicationId !== after.applicationId ? 'grants' : 'none';
}
