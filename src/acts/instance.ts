import type { Instance } from '../model/instance.ts';
import { type InstanceForm, readInstanceForm, type UrlReader } from './instance-form.ts';
import { type Check, type CheckDeps, checkInstance } from './instance-checks.ts';

export interface InstanceActsDeps extends CheckDeps {
  readonly urls: UrlReader;
  readonly store: {
    get(): Instance | undefined;
    /** Durable when it resolves. */
    configure(instance: Instance): Promise<void>;
  };
  /** Drops every connection's tokens; their health becomes `reconnect`. */
  readonly dropTokens: () => Promise<void>;
  /** For the story of what people did. */
  readonly report: (act: { by: string; act: 'configured-instance'; detail: string }) => void;
}

export interface InstanceActs {
  get(): Instance | undefined;
  /** Throws `instance-url-invalid` with facts `url`, `hint` (a sentence), `likely` (a URL). */
  derive(url: string): { url: string; authorizeUrl: string; tokenUrl: string; apiUrl: string };
  /** Throws `form-invalid`: facts are keyed by field, each a sentence. */
  configure(form: InstanceForm, by: string): Promise<Instance>;
  /** One line per thing that can be wrong. Never throws. */
  test(): Promise<readonly Check[]>;
  redirectUri: string;
}

/** The one GitLab this installation serves: its settings, and whether they work. */
export function createInstanceActs(deps: InstanceActsDeps): InstanceActs {
  return {
    get: deps.store.get,
    derive: deps.urls.instanceUrls,

    async configure(form, by) {
      const present = deps.store.get();
      const instance = readInstanceForm(form, { present, urls: deps.urls, configuredAt: deps.clock.now() });
      // Tokens first: a crash in between must not leave them beside an address they were not issued by.
      if (present && leadsElsewhere(present, instance)) await deps.dropTokens();
      await deps.store.configure(instance);
      deps.report({ by, act: 'configured-instance', detail: instance.url });
      return instance;
    },

    test: () => checkInstance(deps.store.get(), deps),
    redirectUri: deps.redirectUri,
  };
}

/** Whether tokens would now travel to another place, or belong to another application there. */
function leadsElsewhere(before: Instance, after: Instance): boolean {
  const places = ({ url, apiUrl, tokenUrl, applicationId }: Instance) =>
    [url, apiUrl, tokenUrl, applicationId].join('\n');
  return places(before) !== places(after);
}
