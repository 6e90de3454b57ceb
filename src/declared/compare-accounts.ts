import { shortestPassword, type Account, type Reach } from '../model/account.ts';
import type { SiteId } from '../model/site.ts';
import { type Comparison, fault, readSecret, step } from './comparison.ts';
import { nameKey } from './read.ts';
import type { DeclaredAccount } from './shape.ts';

/** Adds the accounts that are missing, and gives the others the role and the sites that are declared. */
export async function compareAccounts(c: Comparison, file: string): Promise<void> {
  const { accounts } = c.read.declaration;
  const present = new Map(c.world.store.accounts.all().map((one) => [nameKey(one.name), one]));
  for (const [key, { id }] of present) c.accountIds.set(key, id);
  for (const [index, wanted] of accounts.entries()) {
    const found = present.get(nameKey(wanted.name));
    const sites = namesOfSites(c, index, wanted).filter((name) => isHere(c, name));
    // Somebody whose sites are all on other shards has nothing to do here.
    if (wanted.sites && sites.length === 0) continue;
    const here = wanted.sites ? { ...wanted, sites: [...sites] } : wanted;
    if (!found) await addAccount(c, index, here, file);
    else if (!isSame(c, found, wanted.role, sites)) changeAccount(c, index, here, found);
  }
  if (!hasAdmin(c, present))
    fault(c, ['accounts'], 'No account would be an admin any more. Declare one, or leave the last one as it is.');
}

async function addAccount(c: Comparison, index: number, wanted: DeclaredAccount, file: string): Promise<void> {
  const path = ['accounts', index] as const;
  if (wanted.passwordFile === undefined)
    return fault(
      c,
      [...path, 'passwordFile'],
      `There is no account ${wanted.name} yet. A new one needs its first password.`,
    );
  const at = [...path, 'passwordFile'];
  const password = await readSecret(c, at, wanted.passwordFile, false, file);
  if (!password) return;
  if ([...password.open()].length < shortestPassword)
    return fault(c, at, `The password in it needs at least ${shortestPassword} characters.`);
  step(c, path, `Add the account ${wanted.name}, ${words(wanted)}.`, async (by) => {
    const form = { name: wanted.name, password: password.open(), ...reachOf(c, wanted) };
    const { id } = await c.world.actions.accounts.add(form, by);
    c.accountIds.set(nameKey(wanted.name), id);
  });
}

function changeAccount(c: Comparison, index: number, wanted: DeclaredAccount, found: Account): void {
  const text = `Change the account ${found.name} from ${words(shown(c, found))} to ${words(wanted)}.`;
  step(c, ['accounts', index], text, async (by) => {
    await c.world.actions.accounts.setReach(found.id, reachOf(c, wanted), by);
  });
}

const roles = { admin: 'admin', owner: 'site owner', viewer: 'viewer' } as const;

function words({
  role,
  sites,
}: {
  readonly role: Reach['role'];
  readonly sites?: readonly string[] | undefined;
}): string {
  return `${roles[role]}${sites ? ` of ${sites.join(', ')}` : ''}`;
}

function shown({ world }: Comparison, { role, sites }: Account): Parameters<typeof words>[0] {
  return { role, sites: sites?.map((id) => world.store.sites.get(id)?.name ?? id) };
}

/** Each must be a site of the file, or one that is there. */
function namesOfSites(c: Comparison, index: number, { sites = [] }: DeclaredAccount): readonly string[] {
  for (const [at, name] of sites.entries())
    if (!isKnown(c, name))
      fault(c, ['accounts', index, 'sites', at], `There is no site ${name}, in this file or in Mooring.`);
  return sites;
}

function isKnown({ read, world }: Comparison, name: string): boolean {
  return [...read.declaration.sites, ...world.store.sites.all()].some((site) => site.name === name);
}

/** A site of the file that another shard has is not. */
function isHere({ read }: Comparison, name: string): boolean {
  const index = read.declaration.sites.findIndex((site) => site.name === name);
  return index < 0 || read.isHere(index);
}

/** Undefined for a site that is yet to be added. A site of the file comes first: it may be about to get that name. */
function siteIdOf({ read, siteIds, world }: Comparison, name: string): SiteId | undefined {
  const index = read.declaration.sites.findIndex((site) => site.name === name);
  return index >= 0 ? siteIds.get(index) : world.store.sites.all().find((site) => site.name === name)?.id;
}

function isSame(c: Comparison, { role, sites }: Account, wanted: Reach['role'], names: readonly string[]): boolean {
  const ids = names.map((name) => siteIdOf(c, name) ?? 'new');
  return role === wanted && [...(sites ?? [])].sort().join() === [...ids].sort().join();
}

function reachOf(c: Comparison, { role, sites }: DeclaredAccount): Reach {
  const ids = sites?.map((name) => siteIdOf(c, name)).filter((id) => id !== undefined);
  return { role, ...(ids ? { sites: ids } : {}) };
}

function hasAdmin({ read }: Comparison, present: ReadonlyMap<string, Account>): boolean {
  const declared = new Map(read.declaration.accounts.map(({ name, role }) => [nameKey(name), role]));
  const roles = [...present.values()].map(({ name, role }) => declared.get(nameKey(name)) ?? role);
  // Before the first account, the set-up page makes the admin.
  return [...roles, ...declared.values()].includes('admin') || present.size + declared.size === 0;
}
