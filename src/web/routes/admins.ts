import type { Router } from '@koa/router';
import { z } from 'zod';
import { type Account, shortestPassword } from '../../model/account.ts';
import { Problem } from '../../model/problem.ts';
import { escapeControls } from '../../model/tree.ts';
import type { Context, WebContext, State } from '../context.ts';
import { beside, fields, filledLine, parse, type FieldErrors } from '../form.ts';
import { accountName, signIn, signOut } from '../session.ts';
import { when } from '../times.ts';

const password = z
  .string({ error: 'Enter a password.' })
  .min(shortestPassword, `At least ${shortestPassword} characters.`)
  .max(1_000, 'At most 1,000 characters.');
const addForm = z.object({ name: filledLine('a name', 64), password });
const changeForm = z.object({
  present: z.string().min(1, 'Enter your current password.').max(1_000),
  newPassword: password,
});

/** Account Settings / Admins: who may sign in, and one's own password. */
export function admins(router: Router<State>, web: WebContext): void {
  const { deps } = web;

  router.get('/account/admins', (ctx) => show(ctx, web, {}));

  router.post('/account/admins', async (ctx) => {
    const entered = fields(ctx.request.body);
    const parsed = parse(addForm, entered);
    if (parsed.kind === 'bad') return show(ctx, web, { errors: parsed.errors, name: entered['name'] ?? '' });
    try {
      const made = await deps.accounts.add(parsed.values, accountName(ctx));
      web.redirect(ctx, '/account/admins', {
        tone: 'good',
        title: `${made.name} is an admin`,
        lines: ['They can sign in now.'],
      });
    } catch (error) {
      show(ctx, web, { errors: shortly(error), name: parsed.values.name });
    }
  });

  router.post('/account/password', async (ctx) => {
    const parsed = parse(changeForm, ctx.request.body);
    if (parsed.kind === 'bad') return show(ctx, web, { errors: parsed.errors });
    const me = self(ctx, web);
    const { present, newPassword } = parsed.values;
    try {
      await deps.accounts.changePassword(me.id, { present, password: newPassword }, ctx.ip);
    } catch (error) {
      return show(ctx, web, { errors: rename(shortly(error), 'password', 'newPassword') });
    }
    // All sessions have ended, this one too: the person who changed the password gets a new one.
    await signIn(ctx, web, me);
    web.redirect(ctx, '/account/admins', {
      tone: 'good',
      title: 'Your password is changed',
      lines: ['You are signed out everywhere else.'],
    });
  });

  router.post('/account/sign-out-everywhere', async (ctx) => {
    await deps.accounts.signOutEverywhere(self(ctx, web).id);
    await signOut(ctx, web);
    web.redirect(ctx, '/sign-in');
  });

  router.get('/account/admins/:aid/remove', (ctx) => {
    const account = accountOf(ctx, web);
    web.render(ctx, 'pages/remove-admin.njk', {
      nav: 'account',
      question: `Remove the admin ${escapeControls(account.name)}?`,
      action: web.address.link(`/account/admins/${account.id}/remove`),
      cancel: web.address.link('/account/admins'),
      verb: 'Remove admin',
      final: true,
      hidden: [],
    });
  });

  router.post('/account/admins/:aid/remove', async (ctx) => {
    const account = accountOf(ctx, web);
    try {
      await deps.accounts.remove(account.id, accountName(ctx));
    } catch (error) {
      return show(ctx, web, { errors: { form: Object.values(shortly(error))[0] ?? '' } });
    }
    if (account.id === ctx.state.session?.accountId) {
      await signOut(ctx, web);
      return web.redirect(ctx, '/sign-in');
    }
    web.redirect(ctx, '/account/admins', {
      tone: 'good',
      title: `${account.name} is no admin any more`,
      lines: ['Their connection to GitLab was revoked. Sites that used it wait until another admin selects Reconnect.'],
    });
  });
}

function show(
  ctx: Context,
  web: WebContext,
  { errors = {}, name = '' }: { errors?: FieldErrors; name?: string },
): void {
  const { deps, address } = web;
  const all = deps.accounts.all();
  const model = {
    nav: 'account',
    errors,
    name,
    admins: all.map((account) => ({
      name: escapeControls(account.name),
      since: when(account.createdAt, deps.now()),
      me: account.id === ctx.state.session?.accountId,
      remove: all.length > 1 ? address.link(`/account/admins/${encodeURIComponent(account.id)}/remove`) : '',
    })),
  };
  web.render(ctx, 'pages/admins.njk', model, Object.keys(errors).length > 0 ? 422 : 200);
}

function self(ctx: Context, { deps }: WebContext): Account {
  const account = deps.accounts.all().find(({ id }) => id === ctx.state.session?.accountId);
  if (!account) throw new Problem('not-found', { what: 'account' });
  return account;
}

function accountOf(ctx: Context & { params: Record<string, string> }, { deps }: WebContext): Account {
  const account = deps.accounts.all().find(({ id }) => id === ctx.params['aid']);
  if (!account) throw new Problem('not-found', { what: 'account' });
  return account;
}

/** Beside a field, the remedy "go back and fill it in again" would be odd: only what happened is shown. */
function shortly(error: unknown): FieldErrors {
  if (error instanceof Problem && error.code === 'form-invalid') {
    const { field, text } = error.facts;
    if (field !== undefined && text !== undefined) return { [field]: text };
  }
  return beside(error, { 'too-many-tries': 'form', 'form-invalid': 'form' });
}

function rename(errors: FieldErrors, from: string, to: string): FieldErrors {
  return Object.fromEntries(Object.entries(errors).map(([field, words]) => [field === from ? to : field, words]));
}
