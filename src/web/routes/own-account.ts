import type { Router } from '@koa/router';
import { z } from 'zod';
import { shortestPassword } from '../../model/account.ts';
import { escapeControls } from '../../model/tree.ts';
import type { Context, WebContext, State } from '../context.ts';
import { besideField, parse, type FieldErrors } from '../form.ts';
import { whoAsks } from '../seen.ts';
import { signIn, signOut } from '../session.ts';
import { roleWords } from '../words.ts';

const form = z.object({
  present: z.string().min(1, 'Enter your current password.').max(1_000),
  newPassword: z
    .string({ error: 'Enter a password.' })
    .min(shortestPassword, `At least ${shortestPassword} characters.`)
    .max(1_000, 'At most 1,000 characters.'),
});

/** Account Settings / Your account: one's own password and sessions, for everybody who may sign in. */
export function ownAccount(router: Router<State>, web: WebContext): void {
  const { deps } = web;

  router.get('/account/password', (ctx) => show(ctx, web, {}));

  router.post('/account/password', async (ctx) => {
    const parsed = parse(form, ctx.request.body);
    if (parsed.kind === 'bad') return show(ctx, web, parsed.errors);
    const { account } = whoAsks(ctx);
    const { present, newPassword } = parsed.values;
    try {
      await deps.accounts.changePassword(account.id, { present, password: newPassword }, ctx.ip);
    } catch (error) {
      const { password, ...errors } = besideField(error);
      return show(ctx, web, { ...errors, ...(password === undefined ? {} : { newPassword: password }) });
    }
    // All sessions have ended, this one too: the person who changed the password gets a new one.
    await signIn(ctx, web, account);
    web.redirect(ctx, '/account/password', {
      tone: 'good',
      title: 'Your password is changed',
      lines: ['You are signed out everywhere else.'],
    });
  });

  router.post('/account/sign-out-everywhere', async (ctx) => {
    await deps.accounts.signOutEverywhere(whoAsks(ctx).account.id);
    await signOut(ctx, web);
    web.redirect(ctx, '/sign-in');
  });
}

function show(ctx: Context, web: WebContext, errors: FieldErrors): void {
  const { account } = whoAsks(ctx);
  const model = { nav: 'account', errors, name: escapeControls(account.name), role: roleWords[account.role] };
  web.render(ctx, 'pages/own-account.njk', model, Object.keys(errors).length > 0 ? 422 : 200);
}
