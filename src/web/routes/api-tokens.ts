import type { Router } from '@koa/router';
import { z } from 'zod';
import type { ApiToken } from '../../model/account.ts';
import { Problem } from '../../model/problem.ts';
import { escapeControls } from '../../model/tree.ts';
import type { Context, WebContext, State } from '../context.ts';
import { type FieldErrors, fields, filledLine, parse } from '../form.ts';
import { when } from '../times.ts';
import { accountName } from '../session.ts';

const form = z.object({
  name: filledLine('a name', 64),
  scope: z.enum(['read', 'sync'], { error: 'Choose what the token may do.' }),
  days: z.enum(['30', '90', '365', 'none'], { error: 'Choose when the token ends.' }),
});

const dayMs = 86_400_000;

/** Account Settings / API tokens: what programs may ask of Mooring, and which of them. */
export function apiTokens(router: Router<State>, web: WebContext): void {
  const { deps, address } = web;

  router.get('/account/tokens', (ctx) => show(ctx, web, {}));

  router.post('/account/tokens', async (ctx) => {
    const parsed = parse(form, ctx.request.body);
    if (parsed.kind === 'bad') return show(ctx, web, { errors: parsed.errors, values: fields(ctx.request.body) });
    const { name, scope, days } = parsed.values;
    const accountId = ctx.state.session?.accountId ?? '';
    const endsAt = days === 'none' ? {} : { endsAt: deps.now() + Number(days) * dayMs };
    const { token, text } = await deps.apiTokens.add({ name, scope, accountId, ...endsAt }, accountName(ctx));
    // No redirect: the token is not stored, and this response is the only one that contains it.
    show(ctx, web, { made: { name: escapeControls(token.name), text } });
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
  readonly made?: { readonly name: string; readonly text: string };
}

function show(
  ctx: Context,
  { render: page, deps, address }: WebContext,
  { errors = {}, values = {}, made }: Shown,
): void {
  const now = deps.now();
  const owners = new Map(deps.accounts.all().map(({ id, name }) => [id, escapeControls(name)]));
  const model = {
    nav: 'account',
    errors,
    made: made ?? null,
    v: { name: values['name'] ?? '', scope: values['scope'] ?? 'read', days: values['days'] ?? '90' },
    example: `curl -H "Authorization: Bearer $TOKEN" ${deps.about.publicUrl}/api/v1/sites`,
    described: address.link('/api/v1/openapi.json'),
    tokens: deps.apiTokens.all().map((token) => ({
      name: escapeControls(token.name),
      scope: token.scope === 'read' ? 'may read' : 'may read and sync',
      owner: owners.get(token.accountId) ?? 'an admin who was removed',
      made: when(token.createdAt, now),
      used: token.usedAt === undefined ? null : when(token.usedAt, now),
      ends: token.endsAt === undefined ? null : when(token.endsAt, now),
      over: token.endsAt !== undefined && token.endsAt <= now,
      remove: address.link(`/account/tokens/${encodeURIComponent(token.id)}/remove`),
    })),
  };
  page(ctx, 'pages/api-tokens.njk', model, Object.keys(errors).length > 0 ? 422 : 200);
}

function tokenOf(ctx: Context & { params: Record<string, string> }, { deps }: WebContext): ApiToken {
  const token = deps.apiTokens.all().find(({ id }) => id === ctx.params['tid']);
  if (!token) throw new Problem('not-found', { what: 'token' });
  return token;
}
