import { z } from 'zod';
import { type Account, type ApiToken, type Reach, shortestPassword } from '../../model/account.ts';
import { Problem } from '../../model/problem.ts';
import type { SiteId } from '../../model/site.ts';
import { type Call, type Endpoint, endpoint } from './endpoint.ts';
import * as shapes from './shapes.ts';
import { accountView, tokenView } from './views.ts';

/** Accounts, and the tokens that act for them. */
export const accountEndpoints: readonly Endpoint[] = [
  endpoint({
    method: 'get',
    path: '/accounts',
    summary: 'List accounts',
    status: 200,
    answer: z.strictObject({ accounts: z.array(shapes.account) }),
    handle: ({ deps }) => ({ accounts: deps.accounts.all().map((one) => accountView(deps, one)) }),
  }),
  endpoint({
    method: 'post',
    path: '/accounts',
    summary: 'Add an account',
    body: shapes.accountRequest,
    example: { name: 'Jonas', password: 'a long first password', role: 'owner', sites: ['5f1d0c9e2a'] },
    status: 201,
    answer: shapes.account,
    creates: true,
    handle: async ({ deps, body: { name, password, ...reach }, by }) => {
      // The same rule as everywhere, said beside the member.
      if ([...password].length < shortestPassword)
        throw new Problem('request-invalid', { password: `At least ${shortestPassword} characters.` });
      return accountView(deps, await deps.accounts.add({ name, password, ...reachOf(reach) }, by));
    },
  }),
  endpoint({
    method: 'patch',
    path: '/accounts/:account',
    summary: 'Change the role and the sites of an account',
    description: 'Takes effect with the very next request of that account. The last admin stays one.',
    body: shapes.reachRequest,
    example: { role: 'viewer' },
    status: 200,
    answer: shapes.account,
    refusals: { 409: 'A file declares it.' },
    handle: async (call) =>
      accountView(call.deps, await call.deps.accounts.setReach(accountOf(call).id, reachOf(call.body), call.by)),
  }),
  endpoint({
    method: 'delete',
    path: '/accounts/:account',
    summary: 'Remove an account',
    description: 'Ends its sessions, its tokens and its connections to GitLab. The last admin stays.',
    status: 204,
    refusals: { 409: 'A file declares it.' },
    handle: async (call) => call.deps.accounts.remove(accountOf(call).id, call.by),
  }),
  endpoint({
    method: 'get',
    path: '/tokens',
    summary: 'List API tokens',
    description: 'An admin’s token sees all, any other those of its account.',
    status: 200,
    answer: z.strictObject({ tokens: z.array(shapes.token) }),
    handle: (call) => ({ tokens: tokensSeen(call).map((token) => tokenView(call.deps, call.seen, token)) }),
  }),
  endpoint({
    method: 'post',
    path: '/tokens',
    summary: 'Create an API token',
    description:
      'For your own account, and never of more sites than the token that asks, nor with `commit-as` where that has not. `text` is shown only once.',
    body: shapes.tokenRequest,
    example: { name: 'monitoring', scopes: ['read'] },
    status: 201,
    answer: z.strictObject({ token: shapes.token, text: z.string().describe('The token itself.') }),
    creates: true,
    handle: async (call) => {
      const { deps, person, seen, by } = call;
      const { name, scopes, sites, expiresAt } = call.body;
      // The operator has no account that a token could belong to.
      if (call.ctx.state.operator) throw new Problem('request-invalid', { text: 'A token belongs to an account.' });
      const endsAt = expiresAt === undefined ? undefined : Date.parse(expiresAt);
      if (endsAt !== undefined && endsAt <= deps.now())
        throw new Problem('request-invalid', { expiresAt: 'Give a time in the future.' });
      if (sites?.some((id) => !seen.site(id)))
        throw new Problem('request-invalid', { sites: 'One of these sites does not exist.' });
      // Whoever may do everything else must not give themselves the right to sign for others.
      if (scopes.includes('commit-as') && !person.token?.scopes.includes('commit-as'))
        throw new Problem('request-invalid', { scopes: 'Only a token with commit-as, or a person, gives commit-as.' });
      const reach = (sites as SiteId[] | undefined) ?? person.token?.sites;
      const facts = {
        ...{ name, scopes, accountId: person.account.id },
        ...(reach ? { sites: reach } : {}),
        ...(endsAt === undefined ? {} : { endsAt }),
      };
      const { token, text } = await deps.apiTokens.add(facts, by);
      return { token: tokenView(deps, seen, token), text };
    },
  }),
  endpoint({
    method: 'delete',
    path: '/tokens/:token',
    summary: 'Revoke an API token',
    status: 204,
    handle: async (call) => {
      const token = tokensSeen(call).find(({ id }) => id === call.param('token'));
      if (!token) throw new Problem('not-found', { what: 'token' });
      await call.deps.apiTokens.remove(token.id, call.by);
    },
  }),
];

function reachOf({ role, sites }: z.output<typeof shapes.reachRequest>): Reach {
  return { role, ...(sites ? { sites: sites as SiteId[] } : {}) };
}

function accountOf({ deps, param }: Call): Account {
  const account = deps.accounts.get(param('account'));
  if (!account) throw new Problem('not-found', { what: 'account' });
  return account;
}

/** Of its own account's, a token of some sites sees only those that reach no further than itself. */
function tokensSeen({ deps, person, seen }: Call): readonly ApiToken[] {
  return deps.apiTokens.all().filter(({ accountId, sites }) => {
    if (person.role === 'admin') return true;
    if (accountId !== person.account.id) return false;
    return person.token?.sites === undefined || sites?.every((id) => seen.site(id)) === true;
  });
}
