import type { Router } from '@koa/router';
import { z } from 'zod';
import type { ApiScope, ApiToken } from '../../model/account.ts';
import { Problem } from '../../model/problem.ts';
import { escapeControls } from '../../model/tree.ts';
import type { Context, WebContext, State } from '../context.ts';
import { type FieldErrors, beside, fields, filledLine, parse } from '../form.ts';
import { when } from '../times.ts';
import { seen, whoAsks } from '../seen.ts';
import { accountName } from '../session.ts';

const form = z.object({
  name: filledLine('a name', 64),
  scope: z.enum(['read', 'sync', 'admin'], { error: 'Choose what the token may do.' }),
  commitAs: z.literal('yes').optional(),
  which: z.enum(['all', 'some']).default('all'),
  days: z.enum(['30', '90', '365', 'none'], { error: 'Choose when the token ends.' }),
});

const dayMs = 86_400_000;

/** Account Settings / API tokens: what programs may ask of Mooring. An admin sees all tokens, an owner their own. */
export function apiTokens(router: Router<State>, web: WebContext): void {
  const { deps, address } = web;

  router.get('/account/tokens', (ctx) => show(ctx, web, {}));

  router.post('/account/tokens', async (ctx) => {
    const entered = fields(ctx.request.body);
    const parsed = parse(form, entered);
    if (parsed.kind === 'bad') return show(ctx, web, { errors: parsed.errors, values: entered });
    const { name, scope, commitAs, which, days } = parsed.values;
    const sites = seen(ctx, web)
      .sites()
      .flatMap(({ id }) => (entered[`site-${id}`] === 'yes' ? [id] : []));
    if (which === 'some' && sites.length === 0)
      return show(ctx, web, { errors: { sites: 'Select at least one site.' }, values: entered });
    const facts = {
      ...{ name, scopes: commitAs ? [scope, 'commit-as' as const] : [scope], accountId: whoAsks(ctx).account.id },
      ...(which === 'some' ? { sites } : {}),
      ...(days === 'none' ? {} : { endsAt: deps.now() + Number(days) * dayMs }),
    };
    const { token, text } = await deps.apiTokens.add(facts, accountName(ctx));
    // No redirect: the token is not stored, and this response is the only one that contains it.
    show(ctx, web, { made: { name: escapeControls(token.name), text } });
  });

  // In whose names tokens with the scope may commit.
  router.post('/account/tokens/domains', async (ctx) => {
    const { domains = '' } = fields(ctx.request.body);
    try {
      await deps.commitAs.setDomains(domains.split(/[\s,]+/).slice(0, 1_000), accountName(ctx));
    } catch (error) {
      return show(ctx, web, { errors: beside(error, {}), domains });
    }
    web.redirect(ctx, '/account/tokens', {
      tone: 'good',
      title: 'The e-mail domains are saved',
      lines: ['They count for the next commit that a program asks for.'],
    });
  });

  router.get('/account/tokens/:tid/remove', (ctx) => {
    const token = tokenOf(ctx, web);
    web.render(ctx, 'pages/remove-token.njk', {
      nav: 'account',
      question: `Remove the API token ${escapeControls(token.name)}?`,
      action: address.link(`/account/tokens/${token.id}/remove`),
      cancel: address.link('/account/tokens'),
      verb: 'Remove token',
      final: true,
      hidden: [],
    });
  });

  router.post('/account/tokens/:tid/remove', async (ctx) => {
    const token = tokenOf(ctx, web);
    await deps.apiTokens.remove(token.id, accountName(ctx));
    web.redirect(ctx, '/account/tokens', {
      tone: 'good',
      title: `The token ${escapeControls(token.name)} is removed`,
      lines: ['Programs that use it are refused from now on.'],
    });
  });
}

interface Shown {
  readonly errors?: FieldErrors;
  readonly values?: Readonly<Record<string, string>>;
  readonly domains?: string;
  readonly made?: { readonly name: string; readonly text: string };
}

function show(ctx: Context, web: WebContext, { errors = {}, values = {}, domains, made }: Shown): void {
  const { deps, address } = web;
  const { sites, site } = seen(ctx, web);
  const now = deps.now();
  const owners = new Map(deps.accounts.all().map(({ id, name }) => [id, escapeControls(name)]));
  const model = {
    nav: 'account',
    errors,
    made: made ?? null,
    v: {
      name: values['name'] ?? '',
      scope: values['scope'] ?? 'read',
      commitAs: values['commitAs'] === 'yes',
      which: values['which'] ?? 'all',
      days: values['days'] ?? '90',
    },
    domains: domains ?? deps.commitAs.domains().join('\n'),
    sites: [...sites()]
      .sort((a, b) => a.name.localeCompare(b.name))
      .map(({ id, name }) => ({ id, name: escapeControls(name), checked: `site-${id}` in values })),
    example: `curl -H "Authorization: Bearer $TOKEN" ${deps.about.publicUrl}/api/v1/sites`,
    described: address.link('/api/v1/openapi.json'),
    tokens: tokensSeen(ctx, web).map((token) => ({
      name: escapeControls(token.name),
      scope: token.scopes.map((scope) => scopeWords[scope]).join(', '),
      sites: token.sites ? token.sites.flatMap((id) => escapeControls(site(id)?.name ?? '')).join(', ') : '',
      owner: owners.get(token.accountId) ?? 'an account that was removed',
      made: when(token.createdAt, now),
      used: token.usedAt === undefined ? null : when(token.usedAt, now),
      ends: token.endsAt === undefined ? null : when(token.endsAt, now),
      over: token.endsAt !== undefined && token.endsAt <= now,
      remove: address.link(`/account/tokens/${encodeURIComponent(token.id)}/remove`),
    })),
  };
  web.render(ctx, 'pages/api-tokens.njk', model, Object.keys(errors).length > 0 ? 422 : 200);
}

const scopeWords: Record<ApiScope, string> = {
  read: 'may read',
  sync: 'may read and sync',
  admin: 'may do everything its account may',
  'commit-as': 'may commit as others',
};

/** A site owner sees only their own. */
function tokensSeen(ctx: Context, { deps }: WebContext): readonly ApiToken[] {
  const { role, account } = whoAsks(ctx);
  return deps.apiTokens.all().filter(({ accountId }) => role === 'admin' || accountId === account.id);
}

function tokenOf(ctx: Context & { params: Record<string, string> }, web: WebContext): ApiToken {
  const token = tokensSeen(ctx, web).find(({ id }) => id === ctx.params['tid']);
  if (!token) throw new Problem('not-found', { what: 'token' });
  return token;
}
