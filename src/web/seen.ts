import { type Reach, seesAll, seesSite } from '../model/account.ts';
import type { AuditEntry, Numbered } from '../model/event.ts';
import { Problem } from '../model/problem.ts';
import type { Site } from '../model/site.ts';
import type { Attention } from '../model/system.ts';
import type { Context, WebContext } from './context.ts';
import type { WebDeps } from './deps.ts';

/** What one person sees of everything that is about more than one site. Lists and counts are made from this alone. */
export interface Seen {
  /** No site is hidden. */
  readonly all: boolean;
  sites(): readonly Site[];
  /** Undefined for a site that the person does not see, as for one that does not exist. */
  site(id: string): Site | undefined;
  /** The audit log, newest first; for somebody who does not see all sites only what was done to theirs. */
  acts(page: { limit: number; offset: number }): Promise<{ rows: readonly AuditEntry[]; total: number }>;
  stats(): ReturnType<WebDeps['syncStats']['all']>;
  attention(): Promise<readonly Attention[]>;
  /** Whether the person is told of this event. */
  isTold(event: Numbered): boolean;
}

/** What whoever sent the request sees. Throws `not-allowed` where nobody is signed in. */
export function seen(ctx: Context, { deps }: WebContext): Seen {
  return seenBy(deps, whoAsks(ctx));
}

/** Who sent the request, by session or by token. Throws `not-allowed`. */
export function whoAsks({ state }: Context): NonNullable<Context['state']['person']> {
  if (!state.person) throw new Problem('not-allowed', { why: 'signed-out' });
  return state.person;
}

export function seenBy(deps: WebDeps, reach: Reach): Seen {
  const sites = (): readonly Site[] => deps.sites.all().filter(({ id }) => seesSite(reach, id));
  const all = seesAll(reach);
  return {
    all,
    sites,
    site(id) {
      const site = deps.sites.get(id);
      return site && seesSite(reach, site.id) ? site : undefined;
    },
    acts: (page) => deps.history.acts({ ...page, ...(reach.sites ? { sites: reach.sites } : {}) }),
    stats: () => deps.syncStats.all(reach.sites),
    attention: () => deps.system.attention(all ? undefined : sites()),
    isTold(event) {
      const site = event.kind === 'act' ? event.act.site : event.site;
      return all || (site !== undefined && seesSite(reach, site));
    },
  };
}
