import type { Router } from '@koa/router';
import { z } from 'zod';
import { shortestPassword } from '../../model/account.ts';
import { Problem } from '../../model/problem.ts';
import type { Context, WebContext, State } from '../context.ts';
import { beside, fields, filledLine, parse, type FieldErrors } from '../form.ts';
import { signIn } from '../session.ts';

const form = z
  .object({
    code: filledLine('the set-up code'),
    name: filledLine('a name', 100),
    password: z
      .string({ error: 'Enter a password.' })
      .min(shortestPassword, `At least ${shortestPassword} characters.`)
      .max(1_000, 'At most 1,000 characters.'),
  })
  .strip();

/** First start: the one-time code, a name, a password. Gone once an account exists. */
export function setup(router: Router<State>, web: WebContext): void {
  const { deps, address } = web;

  router.get('/setup', (ctx) => {
    if (deps.accounts.exist()) return web.redirect(ctx, '/');
    showForm(ctx, web, {}, {});
  });

  router.post('/setup', async (ctx) => {
    if (deps.accounts.exist()) throw new Problem('setup-done');
    const parsed = parse(form, ctx.request.body);
    if (parsed.kind === 'bad') return showForm(ctx, web, parsed.entered, parsed.errors, 422);
    try {
      await signIn(ctx, web, await deps.accounts.setUp(parsed.values));
    } catch (error) {
      const errors = beside(error, { 'not-allowed': 'code', 'form-invalid': 'form', 'too-many-tries': 'form' });
      return showForm(ctx, web, fields(ctx.request.body), errors, 422);
    }
    ctx.status = 303;
    ctx.redirect(address.link('/'));
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
    'pages/setup.njk',
    { code: entered['code'] ?? '', name: entered['name'] ?? '', errors, stateDir: web.deps.about.stateDir },
    status,
  );
}
