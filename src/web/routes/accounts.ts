import type { Router } from '@koa/router';
import { z } from 'zod';
import { type Account, type Reach, type Role, shortestPassword } from '../../model/account.ts';
import { Problem } from '../../model/problem.ts';
import type { SiteId } from '../../model/site.ts';
import { escapeControls } from '../../model/tree.ts';
import type { Context, WebContext, State } from '../context.ts';
import { besideField, fields, filledLine, parse, type FieldErrors } from '../form.ts';
import { whoAsks } from '../seen.ts';
import { declaredWords } from '../site-frame.ts';
import { accountName, signOut } from '../session.ts';
import { count, when } from '../times.ts';
import { roleWords } from '../words.ts';

const role = z.enum(['admin', 'owner', 'viewer'], { error: 'Choose a role.' });
const reachForm = z.object({ role, which: z.enum(['all', 'some']).default('all') });
const addForm = reachForm.extend({
  name: filledLine('a name', 64),
  password: z
    .string({ error: 'Enter a password.' })
    .min(shortestPassword, `At least ${shortestPassword} characters.`)
    .max(1_000, 'At most 1,000 characters.'),
});

/** Account Settings / Accounts: who may sign in, with which role, and which sites they see. */
export function accounts(router: Router<State>, web: WebContext): void {
  const { deps } = web;

  router.get('/account/admins', (ctx) => showAll(ctx, web, {}, {}));

  router.post('/account/admins', async (ctx) => {
    const entered = fields(ctx.request.body);
    const parsed = parse(addForm, entered);
    if (parsed.kind === 'bad') return showAll(ctx, web, entered, parsed.errors);
    const { name, password } = parsed.values;
    try {
      const made = await deps.accounts.add({ name, password, ...reachOf(parsed.values, entered) }, accountName(ctx));
      web.redirect(ctx, '/account/admins', {
        tone: 'good',
        title: `The account ${escapeControls(made.name)} is added`,
        lines: ['They can sign in now.'],
      });
    } catch (error) {
      showAll(ctx, web, entered, besideField(error));
    }
  });

  router.get('/account/admins/:aid', (ctx) => showOne(ctx, web, accountOf(ctx, web), {}));

  router.post('/account/admins/:aid', async (ctx) => {
    const account = accountOf(ctx, web);
    const entered = fields(ctx.request.body);
    const parsed = parse(reachForm, entered);
    if (parsed.kind === 'bad') return showOne(ctx, web, account, parsed.errors, entered);
    try {
      await deps.accounts.setReach(account.id, reachOf(parsed.values, entered), accountName(ctx));
    } catch (error) {
      return showOne(ctx, web, account, besideField(error), entered);
    }
    // Whoever takes the role of an admin from themselves may not open this page any more.
    const isStillAdmin = account.id !== whoAsks(ctx).account.id || parsed.values.role === 'admin';
    web.redirect(ctx, isStillAdmin ? '/account/admins' : '/', {
      tone: 'good',
      title: `The account ${escapeControls(account.name)} is changed`,
      lines: ['It counts from now on, also where they are signed in.'],
    });
  });

  router.get('/account/admins/:aid/remove', (ctx) => {
    const account = accountOf(ctx, web);
    web.render(ctx, 'pages/remove-account.njk', {
      nav: 'account',
      question: `Remove the account ${escapeControls(account.name)}?`,
      action: web.address.link(`/account/admins/${account.id}/remove`),
      cancel: web.address.link('/account/admins'),
      verb: 'Remove account',
      final: true,
      hidden: [],
    });
  });

  router.post('/account/admins/:aid/remove', async (ctx) => {
    const account = accountOf(ctx, web);
    try {
      await deps.accounts.remove(account.id, accountName(ctx));
    } catch (error) {
      return showAll(ctx, web, {}, { form: Object.values(besideField(error))[0] ?? '' });
    }
    if (account.id === ctx.state.session?.accountId) {
      await signOut(ctx, web);
      return web.redirect(ctx, '/sign-in');
    }
    web.redirect(ctx, '/account/admins', {
      tone: 'good',
      title: `The account ${escapeControls(account.name)} is removed`,
      lines: [
        'Its connection to GitLab was revoked. Sites that used it do not sync until someone else selects Reconnect.',
      ],
    });
  });
}

type Entered = Readonly<Record<string, string>>;

/** Each site is a box of its own, named `site-` and its id. */
function reachOf({ role, which }: z.infer<typeof reachForm>, entered: Entered): Reach {
  if (role === 'admin' || (role === 'viewer' && which === 'all')) return { role };
  return { role, sites: checkedSites(entered) };
}

function checkedSites(entered: Entered): SiteId[] {
  return Object.keys(entered).flatMap((name) => (name.startsWith('site-') ? [name.slice(5) as SiteId] : []));
}

function showAll(ctx: Context, web: WebContext, entered: Entered, errors: FieldErrors): void {
  const { deps, address } = web;
  const all = deps.accounts.all();
  const now = deps.now();
  const isLastAdmin = all.filter(({ role }) => role === 'admin').length === 1;
  const model = {
    nav: 'account',
    errors,
    name: entered['name'] ?? '',
    ...reachView(web, { role: roleIn(entered, 'owner'), sites: checkedSites(entered) }, entered['which'] ?? 'all'),
    accounts: all.map((account) => ({
      name: escapeControls(account.name),
      role: roleWords[account.role],
      sees: seesWords(web, account),
      since: when(account.createdAt, now),
      declared: declaredWords(deps.declared.account(account.id)),
      me: account.id === ctx.state.session?.accountId,
      change: address.link(`/account/admins/${encodeURIComponent(account.id)}`),
      remove:
        (account.role === 'admin' && isLastAdmin) || deps.declared.account(account.id)
          ? ''
          : address.link(`/account/admins/${encodeURIComponent(account.id)}/remove`),
    })),
  };
  web.render(ctx, 'pages/accounts.njk', model, Object.keys(errors).length > 0 ? 422 : 200);
}

function showOne(ctx: Context, web: WebContext, account: Account, errors: FieldErrors, entered?: Entered): void {
  const reach: Reach = entered ? { role: roleIn(entered, account.role), sites: checkedSites(entered) } : account;
  const which = entered?.['which'] ?? (account.sites ? 'some' : 'all');
  const model = {
    nav: 'account',
    errors,
    name: escapeControls(account.name),
    me: account.id === ctx.state.session?.accountId,
    declared: declaredWords(web.deps.declared.account(account.id)),
    ...{ roleWord: roleWords[account.role], sees: seesWords(web, account) },
    action: web.address.link(`/account/admins/${encodeURIComponent(account.id)}`),
    ...reachView(web, reach, which),
  };
  web.render(ctx, 'pages/account.njk', model, Object.keys(errors).length > 0 ? 422 : 200);
}

const roleIn = (entered: Entered, otherwise: Role): Role => role.safeParse(entered['role']).data ?? otherwise;

/** Role and sites as they stand in the fields. */
function reachView({ deps }: WebContext, { role, sites = [] }: Reach, which: string) {
  const names = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });
  return {
    role,
    which,
    sites: [...deps.sites.all()]
      .sort((a, b) => names.compare(a.name, b.name))
      .map(({ id, name }) => ({ id, name: escapeControls(name), checked: sites.includes(id) })),
  };
}

/** `sees Museum, Parks and 3 more sites`. */
function seesWords({ deps }: WebContext, { sites }: Account): string {
  if (!sites) return 'all sites';
  const names = sites.flatMap((id) => deps.sites.get(id)?.name ?? []);
  if (names.length === 0) return 'no sites';
  const rest = names.length - 5;
  const shown = names.slice(0, 5).map(escapeControls).join(', ');
  return rest > 0 ? `${shown} and ${count(rest, 'more site')}` : shown;
}

function accountOf(ctx: Context & { params: Record<string, string> }, { deps }: WebContext): Account {
  const account = deps.accounts.get(ctx.params['aid'] ?? '');
  if (!account) throw new Problem('not-found', { what: 'account' });
  return account;
}
