import { when } from '../web/times.ts';
import type { Cli } from './cli.ts';
import { newPassword } from './ask.ts';
import { CliError, exit } from './exit.ts';
import { pairs, table } from './output.ts';
import { findSite } from './sites.ts';

interface AccountView {
  readonly id: string;
  readonly name: string;
  readonly role: string;
  readonly sites: readonly string[] | null;
  readonly createdAt: string;
}

const ago = (time: string | null, otherwise: string): string =>
  time === null ? otherwise : when(Date.parse(time), Date.now()).relative;

export async function listAdmins({ client, json, out }: Cli): Promise<void> {
  const { accounts } = await client.get<{ accounts: readonly AccountView[] }>('/api/v1/accounts');
  if (json) return out.json({ accounts });
  const columns = [
    { title: 'NAME', of: ({ name }: AccountView) => name, least: 12 },
    { title: 'ROLE', of: ({ role }: AccountView) => role },
    { title: 'SITES', of: ({ sites }: AccountView) => (sites === null ? 'all' : String(sites.length)), right: true },
    { title: 'CREATED', of: ({ createdAt }: AccountView) => ago(createdAt, '') },
  ];
  for (const line of table(out, columns, accounts)) out.line(line);
}

export async function addAdmin({ client, json, out }: Cli, name: string): Promise<void> {
  const password = await newPassword(name);
  const account = await client.send<AccountView>('/api/v1/accounts', { name, password, role: 'admin' });
  if (json) return out.json(account);
  out.line(`${account.name} may sign in, as an admin.`);
}

/** Over the socket, or straight in the state directory while the daemon is stopped: nobody may be able to sign in. */
export async function resetPassword(cli: Cli, name: string): Promise<void> {
  const password = await newPassword(name);
  const path = `/operator/v1/accounts/${encodeURIComponent(name)}/password`;
  try {
    await cli.client.send(path, { password });
  } catch (error) {
    if (!(error instanceof CliError) || error.exitCode !== exit.unavailable) throw error;
    const { resetInStore } = await import('./stopped.ts');
    await resetInStore(cli, name, password);
  }
  if (cli.json) return cli.out.json({ account: name });
  cli.out.line(`The password of ${name} is new, and every session of theirs has ended.`);
}

interface TokenView {
  readonly id: string;
  readonly name: string;
  readonly account: string | null;
  readonly scopes: readonly string[];
  readonly sites: readonly string[] | null;
  readonly expiresAt: string | null;
  readonly usedAt: string | null;
}

export async function listTokens(cli: Cli): Promise<void> {
  const { json, out } = cli;
  const tokens = await allTokens(cli);
  if (json) return out.json({ tokens });
  const columns = [
    { title: 'ID', of: ({ id }: TokenView) => id },
    { title: 'NAME', of: ({ name }: TokenView) => name, least: 8 },
    { title: 'ACCOUNT', of: ({ account }: TokenView) => account ?? 'removed', least: 7 },
    { title: 'SCOPE', of: ({ scopes }: TokenView) => scopes.join(', ') },
    { title: 'SITES', of: ({ sites }: TokenView) => (sites === null ? 'all' : String(sites.length)), right: true },
    { title: 'EXPIRES', of: ({ expiresAt }: TokenView) => ago(expiresAt, 'never') },
    { title: 'USED', of: ({ usedAt }: TokenView) => ago(usedAt, 'never') },
  ];
  for (const line of table(out, columns, tokens)) out.line(line);
}

async function allTokens({ client }: Cli): Promise<readonly TokenView[]> {
  return (await client.get<{ tokens: readonly TokenView[] }>('/api/v1/tokens')).tokens;
}

export interface NewToken {
  readonly account: string;
  readonly name: string;
  readonly scopes: readonly string[];
  readonly sites: readonly string[];
  readonly days: number | undefined;
}

const dayMs = 86_400_000;

/** The token is the only line on standard output: `mooring token create … > file`. */
export async function createToken(cli: Cli, { sites, days, ...asked }: NewToken): Promise<void> {
  const ids: string[] = [];
  for (const site of sites) ids.push((await findSite(cli, site)).id);
  const made = await cli.client.send<{ id: string; text: string }>('/operator/v1/tokens', {
    ...asked,
    ...(ids.length > 0 ? { sites: ids } : {}),
    ...(days === undefined ? {} : { expiresAt: new Date(Date.now() + days * dayMs).toISOString() }),
  });
  if (cli.json) return cli.out.json(made);
  if (cli.out.terminal) cli.out.note(`The token ${asked.name}, which is not shown again:`);
  cli.out.line(made.text);
}

export async function revokeToken(cli: Cli, wanted: string): Promise<void> {
  const tokens = await allTokens(cli);
  const found = tokens.filter(({ id, name }) => id === wanted || name === wanted);
  const [token, ...more] = found;
  if (!token)
    throw new CliError(exit.usage, `There is no token ${wanted}.`, 'List them with “mooring token list”.', 'not-found');
  if (more.length > 0)
    throw new CliError(exit.usage, `${found.length} tokens are called ${wanted}.`, 'Name one by its ID.');
  await cli.client.send(`/api/v1/tokens/${encodeURIComponent(token.id)}`, undefined, { method: 'DELETE' });
  if (cli.json) return cli.out.json({ id: token.id });
  for (const line of pairs(cli.out, [['Revoked', `${token.name} (${token.id})`]])) cli.out.line(line);
}
