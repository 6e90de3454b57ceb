import type { Cli } from './cli.ts';
import { CliError, type ExitCode, exit } from './exit.ts';
import { type SiteView, findSite, sitePath } from './sites.ts';

export interface SyncOptions {
  /** Until everything that was there before is synced. */
  readonly wait: boolean;
  /** Seconds to wait at most. */
  readonly timeout: number;
}

/** With `wait`: 0 in sync, 1 something is in its way, 75 the time was over and the sync goes on. */
export async function sync(cli: Cli, name: string, { wait, timeout }: SyncOptions): Promise<ExitCode> {
  const site = await findSite(cli, name);
  const query = wait ? `?wait=true&timeout=${timeout}` : '';
  const after = await cli.client.send<SiteView>(`${sitePath(site)}/sync${query}`);
  if (cli.json) cli.out.json(after);
  else cli.out.line(said(after, wait));
  if (!wait || after.state === 'in-sync') return exit.ok;
  return after.hold !== null || after.problem !== null ? exit.failed : exit.tryAgain;
}

function said({ id, name, state, stateText, problem }: SiteView, wait: boolean): string {
  if (!wait) return `${name} is being synced. Follow it with “mooring status ${id}”.`;
  if (state === 'in-sync') return `${name} is in sync.`;
  if (problem) return `${name}: ${problem.title}. ${problem.happened} To do: ${problem.todo}`;
  return `${name}: ${stateText}. See “mooring status ${id}”.`;
}

export interface PauseOptions {
  readonly all: boolean;
  /** Break off a sync that is under way. */
  readonly now: boolean;
  /** RFC 3339; only with `all`. */
  readonly until: string | undefined;
}

export async function pause(cli: Cli, name: string | undefined, { all, now, until }: PauseOptions): Promise<void> {
  oneOrAll(name, all);
  if (until !== undefined && (!all || Number.isNaN(Date.parse(until))))
    throw new CliError(exit.usage, '--until takes a time such as 2027-01-10T22:00Z, together with --all.');
  if (name === undefined) {
    const at = until === undefined ? {} : { until: new Date(until).toISOString() };
    const after = await cli.client.send<object>('/api/v1/pause-all', at);
    if (cli.json) return cli.out.json(after);
    const end = until === undefined ? 'until “mooring resume --all”' : `until ${new Date(until).toISOString()}`;
    return cli.out.line(`All sites are paused ${end}.`);
  }
  const site = await findSite(cli, name);
  const after = await cli.client.send<SiteView>(`${sitePath(site)}/pause`, { now });
  if (cli.json) return cli.out.json(after);
  cli.out.line(`${site.name} is paused. Resume it with “mooring resume ${site.id}”.`);
}

export async function resume(cli: Cli, name: string | undefined, { all }: { all: boolean }): Promise<void> {
  oneOrAll(name, all);
  if (name === undefined) {
    await cli.client.send('/api/v1/pause-all', undefined, { method: 'DELETE' });
    if (cli.json) return cli.out.json({ pause: null });
    return cli.out.line('All sites are synced again, except those that were paused on their own.');
  }
  const site = await findSite(cli, name);
  const after = await cli.client.send<SiteView>(`${sitePath(site)}/resume`);
  if (cli.json) return cli.out.json(after);
  cli.out.line(`${site.name} is synced again.`);
}

function oneOrAll(name: string | undefined, all: boolean): void {
  if ((name === undefined) !== all) throw new CliError(exit.usage, 'Name a site, or give --all.');
}
