import { writeFile } from 'node:fs/promises';
import type { SyncStatsActions } from './actions/sync-stats.ts';
import type { ProjectTracker } from './actions/project-tracker.ts';
import type { Webhooks } from './actions/webhooks.ts';
import type { Config } from './config.ts';
import type { Events } from './events.ts';
import type { GitlabClient } from './gitlab/client.ts';
import type { Oauth } from './gitlab/oauth.ts';
import type { TokenKeeper } from './gitlab/tokens.ts';
import type { Log } from './log.ts';
import type { AuditEntry } from './model/event.ts';
import type { Clock, Random } from './model/world.ts';
import type { SiteRuntimes } from './site/runtime.ts';
import type { Http } from './net/http.ts';
import type { Notices } from './notify-wiring.ts';
import { trustedAuthorities } from './net/trust.ts';
import type { Store } from './store/store.ts';
import type { PeriodicChecks } from './triggers/periodic-checks.ts';

/** All the parts, as they are handed around below. */
export interface Parts {
  readonly config: Config;
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Random;
  readonly store: Store;
  readonly events: Events;
  readonly http: Http;
  readonly client: GitlabClient;
  readonly oauth: Oauth;
  readonly tokens: TokenKeeper;
  readonly runtimes: SiteRuntimes;
  readonly life: ProjectTracker;
  readonly webhooks: Webhooks;
  readonly rounds: PeriodicChecks;
  readonly syncStats: SyncStatsActions;
  readonly notices: Notices;
  readonly redirectUri: string;
  readonly caFile: string;
  readonly report: (act: Omit<AuditEntry, 'id' | 'at'>) => void;
}

/** Builds everything, connects it and starts it. Throws a Problem when it cannot; then nothing is left running. */

/** Git reads certificates from files only; the certificates are public, their place in the state directory is not. */
export async function saveCa(path: string, store: Store): Promise<void> {
  const trusted = trustedAuthorities(store.instance.get()?.advanced.ca ?? '');
  await writeFile(path, `${trusted.join('\n')}\n`, { mode: 0o600 });
}
