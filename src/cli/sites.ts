import type { Cli } from './cli.ts';
import { CliError, exit } from './exit.ts';

/** A site as the API shows it. Times are RFC 3339. */
export interface SiteView {
  readonly id: string;
  readonly name: string;
  readonly folder: string;
  readonly paused: boolean;
  readonly repository: { readonly id: number; readonly path: string; readonly branch: string } | null;
  readonly state: 'in-sync' | 'syncing' | 'waiting' | 'retrying' | 'hold' | 'paused' | 'off' | 'unknown';
  readonly stateText: string;
  readonly since: string;
  readonly checkedAt: string | null;
  readonly lastPull: Moved | null;
  readonly lastPush: Moved | null;
  readonly waiting: { readonly toPull: number; readonly toPush: number };
  readonly nextTryAt: string | null;
  readonly conflicts: number;
  readonly notSynced: number;
  readonly hold: { readonly code: string; readonly since: string } | null;
  readonly problem: {
    readonly code: string;
    readonly title: string;
    readonly happened: string;
    readonly todo: string;
  } | null;
}

interface Moved {
  readonly at: string;
  readonly files: number;
  readonly commit: string;
  readonly subject: string;
}

export async function allSites({ client }: Pick<Cli, 'client'>): Promise<readonly SiteView[]> {
  const { sites } = await client.get<{ sites: readonly SiteView[] }>('/api/v1/sites');
  return sites;
}

/** The site with this ID, or else the only one with this name, in any spelling of its letters. */
export async function findSite(cli: Pick<Cli, 'client'>, nameOrId: string): Promise<SiteView> {
  const sites = await allSites(cli);
  const wanted = nameOrId.normalize('NFC').toLowerCase();
  const byId = sites.find(({ id }) => id === nameOrId);
  const named = sites.filter(({ name }) => name.normalize('NFC').toLowerCase() === wanted);
  const found = byId ?? (named.length === 1 ? named[0] : undefined);
  if (found) return found;
  if (named.length > 1) {
    const ids = named.map(({ id, folder }) => `${id} (${folder})`).join(', ');
    throw new CliError(exit.usage, `${named.length} sites are called ${nameOrId}.`, `Name one by its ID: ${ids}.`);
  }
  const known = sites
    .map(({ name }) => name)
    .slice(0, 10)
    .join(', ');
  throw new CliError(
    exit.usage,
    `No site is called ${nameOrId}.`,
    known === '' ? 'There are no sites yet. Add one with “mooring site add”.' : `Sites: ${known}.`,
    'not-found',
  );
}

export const sitePath = ({ id }: Pick<SiteView, 'id'>): string => `/api/v1/sites/${encodeURIComponent(id)}`;
