import { isAbsolute, resolve } from 'node:path';
import type { Cli } from './cli.ts';
import { confirmed } from './ask.ts';
import { CliError, type ExitCode, exit } from './exit.ts';
import { type Output, pairs, table } from './output.ts';
import { type SiteView, findSite, sitePath } from './sites.ts';

export async function addSite({ client, json, out }: Cli, name: string, folder: string): Promise<void> {
  const site = await client.send<SiteView>('/api/v1/sites', {
    name,
    folder: isAbsolute(folder) ? folder : resolve(folder),
  });
  if (json) return out.json(site);
  out.line(`${site.name} is added (${site.id}). Connect it with “mooring connect ${site.id}”.`);
}

export async function removeSite(cli: Cli, name: string, { yes }: { yes: boolean }): Promise<ExitCode> {
  const site = await findSite(cli, name);
  const question = `Remove ${site.name} from Mooring? Its files in ${site.folder} stay.`;
  if (!yes && !(await confirmed(question, 'Give --yes.'))) return notDone(cli);
  await cli.client.send(sitePath(site), undefined, { method: 'DELETE' });
  if (cli.json) cli.out.json({ id: site.id });
  else cli.out.line(`${site.name} is removed. Its files stay.`);
  return exit.ok;
}

interface ConnectionView {
  readonly id: string;
  readonly username: string;
  readonly kind: string;
  readonly health: string;
  readonly owner: string | null;
  readonly sites: readonly string[];
}

export async function listConnections({ client, json, out }: Cli): Promise<void> {
  const { connections } = await client.get<{ connections: readonly ConnectionView[] }>('/api/v1/connections');
  if (json) return out.json({ connections });
  const columns = [
    { title: 'ID', of: ({ id }: ConnectionView) => id },
    { title: 'GITLAB USER', of: ({ username }: ConnectionView) => `@${username}`, least: 10 },
    { title: 'KIND', of: ({ kind }: ConnectionView) => kind },
    { title: 'STATE', of: ({ health }: ConnectionView) => (health === 'good' ? 'works' : 'reconnect') },
    { title: 'ACCOUNT', of: ({ owner }: ConnectionView) => owner ?? 'removed', least: 8 },
    { title: 'SITES', of: ({ sites }: ConnectionView) => String(sites.length), right: true },
  ];
  for (const line of table(out, columns, connections)) out.line(line);
}

export interface ConnectOptions {
  readonly connection: string;
  readonly repository: string;
  readonly branch: string;
  /** The folder of the repository that becomes the site; absent: all of it. */
  readonly folder: string | undefined;
  /** The folder on this server fills an empty branch, in place of the other way round. */
  readonly fromFolder: boolean;
  /** Print the plan and change nothing. */
  readonly plan: boolean;
  /** The ID of a plan that was read before: for scripts. */
  readonly consent: string | undefined;
}

interface Plan {
  readonly id: string;
  readonly direction: string;
  readonly replaced: number;
  readonly added: number;
  readonly removed: number;
  readonly same: number;
  readonly untouched: number;
  readonly samples: readonly { readonly mark: string; readonly path: string }[];
  readonly secrets: readonly string[];
  readonly refused: readonly string[];
  readonly obstacles: readonly { readonly kind: string; readonly certain: boolean }[];
}

/** Shows what connecting would change, asks, and connects exactly as shown. */
export async function connect(cli: Cli, name: string, options: ConnectOptions): Promise<ExitCode> {
  const site = await findSite(cli, name);
  const connection = await findConnection(cli, options.connection);
  const request = {
    ...{ repository: await findRepository(cli, connection, options.repository), branch: options.branch },
    ...{ connection: connection.id, direction: options.fromFolder ? 'start-from-folder' : 'replace' },
    ...(options.folder === undefined ? {} : { subfolder: options.folder }),
  };
  if (options.consent === undefined) {
    const plan = await cli.client.send<Plan>(`${sitePath(site)}/connect/plan`, request);
    if (options.plan || cli.json) {
      if (cli.json) cli.out.json(plan);
      else showPlan(cli.out, site, options, plan);
      return exit.ok;
    }
    showPlan(cli.out, site, options, plan);
    const asked = await confirmed('Connect?', `Read the plan, then give --consent ${plan.id}`);
    if (!asked) return notDone(cli);
    return carryOut(cli, site, { ...request, plan: plan.id });
  }
  return carryOut(cli, site, { ...request, plan: options.consent });
}

async function carryOut(cli: Cli, site: SiteView, request: object): Promise<ExitCode> {
  const after = await cli.client.send<SiteView>(`${sitePath(site)}/connect`, request);
  if (cli.json) cli.out.json(after);
  else
    cli.out.line(
      `${after.name} is connected to ${after.repository?.path ?? ''}, branch ${after.repository?.branch ?? ''}.`,
    );
  return exit.ok;
}

function notDone({ out }: Cli): ExitCode {
  out.note('Nothing was changed.');
  return exit.failed;
}

async function findConnection({ client }: Cli, wanted: string): Promise<ConnectionView> {
  const { connections } = await client.get<{ connections: readonly ConnectionView[] }>('/api/v1/connections');
  const found = connections.filter(
    ({ id, username }) => id === wanted || `@${username}` === wanted || username === wanted,
  );
  const [one, ...more] = found;
  if (one && more.length === 0) return one;
  const todo =
    connections.length === 0
      ? 'Authorise Mooring once in a browser: open a site’s Source Syncing and select Connect.'
      : 'List them with “mooring connections”, and name one by its ID.';
  const happened = one ? `${found.length} connections belong to ${wanted}.` : `There is no connection ${wanted}.`;
  throw new CliError(exit.usage, happened, todo, 'not-found');
}

/** The ID of a repository that is named by its path, or by the ID itself. */
async function findRepository({ client }: Cli, connection: ConnectionView, wanted: string): Promise<number> {
  if (/^[1-9]\d{0,14}$/.test(wanted)) return Number(wanted);
  const search = encodeURIComponent(wanted.slice(wanted.lastIndexOf('/') + 1));
  const path = `/api/v1/connections/${encodeURIComponent(connection.id)}/repositories?search=${search}`;
  for (let page: number | null = 1; page !== null;) {
    const { repositories, nextPage }: Repositories = await client.get(`${path}&page=${page}`);
    const found = repositories.find((one) => one.path.toLowerCase() === wanted.toLowerCase());
    if (found) return found.id;
    page = nextPage;
  }
  throw new CliError(
    exit.usage,
    `@${connection.username} sees no repository ${wanted}.`,
    'Give its whole path, such as group/website, and check the role of this user there.',
    'not-found',
  );
}

interface Repositories {
  readonly repositories: readonly { readonly id: number; readonly path: string }[];
  readonly nextPage: number | null;
}

function showPlan(out: Output, site: SiteView, options: ConnectOptions, plan: Plan): void {
  const side = plan.direction === 'replace' ? `The folder ${site.folder}` : `The branch ${options.branch}`;
  out.line(`${side} would change:`);
  for (const line of pairs(out, [
    ['Replaced', String(plan.replaced)],
    ['Added', String(plan.added)],
    ['Removed', String(plan.removed)],
    ['The same', String(plan.same)],
    ['Not touched', String(plan.untouched)],
  ]))
    out.line(`  ${line}`);
  for (const { mark, path } of plan.samples.slice(0, 20)) out.line(`    ${mark} ${path}`);
  if (plan.replaced + plan.added + plan.removed > 20) out.line('    …');
  if (plan.direction === 'replace')
    out.line('Mooring first keeps a copy of files that it replaces or removes. You can restore them.');
  if (plan.secrets.length > 0) out.line(`Look like secrets, and stay as they are: ${plan.secrets.join(', ')}`);
  if (plan.refused.length > 0) out.line(`Would not be pushed: ${plan.refused.join(', ')}`);
  for (const { kind, certain } of plan.obstacles) out.line(`${certain ? 'In the way' : 'Perhaps in the way'}: ${kind}`);
  out.line(`Plan ${plan.id}`);
}

export async function disconnect(cli: Cli, name: string, { yes }: { yes: boolean }): Promise<ExitCode> {
  const site = await findSite(cli, name);
  const question = `Disconnect ${site.name} from ${site.repository?.path ?? 'GitLab'}? All files stay.`;
  if (!yes && !(await confirmed(question, 'Give --yes.'))) return notDone(cli);
  const { leftOver } = await cli.client.send<{ leftOver: readonly string[] }>(`${sitePath(site)}/disconnect`);
  if (cli.json) cli.out.json({ id: site.id, leftOver });
  else {
    cli.out.line(`${site.name} is disconnected. All files stay.`);
    for (const text of leftOver) cli.out.line(`Left at GitLab: ${text}`);
  }
  return exit.ok;
}
