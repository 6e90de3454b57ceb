import type { Router } from '@koa/router';
import { z } from 'zod';
import type { Context, WebContext, State } from '../context.ts';
import { beside, fields, filledLine, parse, type FieldErrors } from '../form.ts';
import { signIn, signOut } from '../session.ts';

const form = z.object({
  name: filledLine('your name', 100),
  password: z
    .string({ error: 'Enter your password.' })
    .min(1, 'Enter your password.')
    .max(1_000, 'At most 1,000 characters.'),
  to: z.string().optional(),
});

/** Signing in and out. A wrong name and a wrong password get the same answer after the same time. */
export function signInRoutes(router: Router<State>, web: WebContext): void {
  const { deps, address } = web;

  router.get('/sign-in', (ctx) => {
    if (!deps.accounts.exist()) return web.redirect(ctx, '/setup');
    if (ctx.state.session) return web.redirect(ctx, '/');
    showForm(ctx, web, fields(ctx.query), {});
  });

  router.post('/sign-in', async (ctx) => {
    const parsed = parse(form, ctx.request.body);
    if (parsed.kind === 'bad') return showForm(ctx, web, parsed.entered, parsed.errors, 422);
    try {
      const account = await deps.accounts.check(parsed.values.name, parsed.values.password, ctx.ip);
      if (!account) return showForm(ctx, web, fields(ctx.request.body), { form: 'Name or password is wrong.' }, 401);
      await signIn(ctx, web, account);
    } catch (error) {
      return showForm(ctx, web, fields(ctx.request.body), beside(error, { 'too-many-tries': 'form' }), 429);
    }
    ctx.status = 303;
    ctx.redirect(address.link(address.known(parsed.values.to) ?? '/'));
  });

  router.post('/sign-out', async (ctx) => {
    await signOut(ctx, web);
    ctx.status = 303;
    ctx.redirect(address.link('/sign-in'));
  });
}

function showForm(
  ctx: Context,
  web: WebContext,
  entered: Readonly<Record<string, string>>,
  errors: FieldErrors,
  status = 200,
): void {
  web.render(
    ctx,
    'pages/sign-in.njk',
    { name: entered['name'] ?? '', to: web.address.known(entered['to']) ?? '', errors },
    status,
  );
}
