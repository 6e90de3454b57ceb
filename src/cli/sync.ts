import type { Cli } from './cli.ts';
import { type SiteView, findSite, sitePath } from './sites.ts';

export async function sync(cli: Cli, name: string): Promise<void> {
  const site = await findSite(cli, name);
  const after = await cli.client.send<SiteView>(`${sitePath(site)}/sync`);
  if (cli.json) return cli.out.json(after);
  cli.out.line(`${site.name} is being synced. Follow it with “mooring status ${site.id}”.`);
}

export async function pause(cli: Cli, name: string): Promise<void> {
  const site = await findSite(cli, name);
  const after = await cli.client.send<SiteView>(`${sitePath(site)}/pause`);
  if (cli.json) return cli.out.json(after);
  cli.out.line(`${site.name} is paused. Resume it with “mooring resume ${site.id}”.`);
}

export async function resume(cli: Cli, name: string): Promise<void> {
  const site = await findSite(cli, name);
  const after = await cli.client.send<SiteView>(`${sitePath(site)}/resume`);
  if (cli.json) return cli.out.json(after);
  cli.out.line(`${site.name} is synced again.`);
}
