import { timingSafeEqual } from 'node:crypto';
import type { Connection } from '../model/instance.ts';
import { asProblem } from '../model/problem.ts';
import type { Secret } from '../model/secret.ts';
import { type ComparedConnection, type Comparison, fault, problemWords, readSecret, step } from './comparison.ts';
import { nameKey } from './read.ts';
import type { DeclaredConnection } from './shape.ts';

/** Connections by a token in a file, and those that people authorise in a browser. */
export async function compareConnections(c: Comparison, file: string): Promise<void> {
  const { connections } = c.read.declaration;
  if (connections.length > 0 && !c.instance && !c.read.declaration.instance)
    return fault(c, ['connections'], 'No GitLab is configured yet. Declare the instance too.');
  for (const [index, wanted] of connections.entries()) {
    const owner = ownerOf(c, index, wanted);
    if (owner === undefined) continue;
    if (wanted.tokenFile === undefined) byPerson(c, index, wanted, owner);
    else await byToken(c, index, { ...wanted, tokenFile: wanted.tokenFile }, { owner, file });
  }
}

/** The account's name as compared; without one, the first admin, present or declared. */
function ownerOf(c: Comparison, index: number, { account }: DeclaredConnection): string | undefined {
  const [present, declared] = [c.world.store.accounts.all(), c.read.declaration.accounts];
  const all = [...present, ...declared];
  const named = account === undefined ? all.find(({ role }) => role === 'admin')?.name : account;
  if (named !== undefined && all.some(({ name }) => nameKey(name) === nameKey(named))) return nameKey(named);
  const text =
    named === undefined
      ? 'There is no admin to whom it could belong. Declare one under accounts, or set MOORING_ADMIN_PASSWORD_FILE.'
      : `There is no account ${named}, in this file or in Mooring.`;
  fault(c, ['connections', index, account === undefined ? 'name' : 'account'], text);
  return undefined;
}

function byPerson(c: Comparison, index: number, { name, user = '' }: DeclaredConnection, owner: string): void {
  c.connections.set(name, { index, owner, id: ofUser(c, owner, user, 'browser')?.id });
}

async function byToken(
  c: Comparison,
  index: number,
  wanted: DeclaredConnection & { readonly tokenFile: string },
  { owner, file }: { readonly owner: string; readonly file: string },
): Promise<void> {
  const path = ['connections', index, 'tokenFile'];
  const marked = markedAs(c, wanted.name) ?? ofUser(c, owner, wanted.user, 'token');
  const token = await readSecret(c, path, wanted.tokenFile, marked !== undefined, file);
  if (!token) return void (marked && c.connections.set(wanted.name, { index, owner, id: marked.id }));
  const stored = ofOwner(c, owner).find((one) => one.accessToken && isToken(c, one, token));
  if (stored) {
    c.connections.set(wanted.name, { index, owner, id: stored.id });
    if (stored.health !== 'good')
      c.notes.push(
        `GitLab no longer accepts the token of the connection ${wanted.name} (line ${c.read.placeOf(path).line}).`,
      );
    return;
  }
  const username = await userOf(c, path, token);
  if (username === undefined) return;
  if (wanted.user !== undefined && wanted.user.toLowerCase() !== username.toLowerCase())
    return fault(c, ['connections', index, 'user'], `The token in ${wanted.tokenFile} is @${username}’s.`);
  const compared: ComparedConnection = { index, owner, id: undefined, token };
  c.connections.set(wanted.name, compared);
  const verb = marked ? 'Use another token for' : 'Add';
  step(c, ['connections', index], `${verb} the connection ${wanted.name}, as @${username}.`, async () => {
    const form = { accessToken: token.open(), expires: wanted.expires ?? '' };
    compared.id = (await c.world.actions.connections.useToken(c.accountIds.get(owner) ?? '', form)).id;
  });
}

/** Whose token it is, as GitLab says it. */
async function userOf(c: Comparison, path: readonly (string | number)[], token: Secret): Promise<string | undefined> {
  if (!c.instance) return undefined;
  const gitlab = c.world.gitlabOf(c.instance);
  try {
    const facts = await gitlab.tokenFacts(token);
    const missing = facts && missingScope(facts.scopes);
    if (missing !== undefined) return void fault(c, path, missing);
    return (await gitlab.user(token)).username;
  } catch (error) {
    const isRefused = asProblem(error).code === 'grant-lost';
    const text = 'GitLab does not accept the token in this file: it is revoked, expired or of another GitLab.';
    return void fault(c, path, isRefused ? text : problemWords(error));
  } finally {
    gitlab.close();
  }
}

function missingScope(scopes: readonly string[]): string | undefined {
  if (scopes.includes('api') || (scopes.includes('read_api') && scopes.includes('write_repository'))) return undefined;
  return `The token has the scopes ${scopes.join(', ') || 'none'}. It needs api, or read_api and write_repository.`;
}

function ofOwner(c: Comparison, owner: string): readonly Connection[] {
  const id = c.accountIds.get(owner);
  return c.dropsTokens ? [] : c.world.store.instance.connections().filter((one) => one.owner === id);
}

/** The account's connection as this GitLab user, by a token or authorised in a browser; there is one of each at most. */
function ofUser(
  c: Comparison,
  owner: string,
  user: string | undefined,
  by: 'token' | 'browser',
): Connection | undefined {
  return ofOwner(c, owner).find(
    ({ username, accessToken }) =>
      username.toLowerCase() === user?.toLowerCase() && (accessToken !== undefined) === (by === 'token'),
  );
}

/** The connection that had this name when the file was applied last. */
function markedAs({ world, dropsTokens }: Comparison, name: string): Connection | undefined {
  const marked = Object.entries(world.store.declared.marks()?.connections ?? {}).find(([, mark]) => mark.name === name);
  const found = marked && world.store.instance.connection(marked[0]);
  return dropsTokens ? undefined : found;
}

function isToken({ world }: Comparison, { id }: Connection, token: Secret): boolean {
  const [a, b] = [world.store.instance.tokens(id).accessToken.open(), token.open().trim()].map((text) =>
    Buffer.from(text),
  );
  return a !== undefined && b !== undefined && a.length === b.length && timingSafeEqual(a, b);
}
