import type { Layer, Router } from '@koa/router';
import { type ApiScope, type Reach, allowsScope, reachOf, seesSite } from '../model/account.ts';
import { Problem } from '../model/problem.ts';
import type { Address } from './address.ts';
import type { Context, Next, Person, State } from './context.ts';
import type { WebDeps } from './deps.ts';

/**
 * Who may use a route. `everybody`: no account is asked for. `visitor`: the same, for pages that lead to an account.
 * `viewer`: every account. `owner`: admins, and site owners. `admin`: admins only. A route that names a site
 * (`/sites/:id`) does not exist for accounts that do not see the site.
 */
export type Who = 'everybody' | 'visitor' | 'viewer' | 'owner' | 'admin';

/** `scope`: the route is for programs, and this is what their token must allow. */
export interface Rule {
  readonly who: Who;
  readonly scope?: ApiScope;
}

/** Every page and its forms. `test/web/access.test.ts` compares this table with the routers. */
const pages: Readonly<Record<string, Who>> = {
  'GET /setup': 'visitor',
  'POST /setup': 'visitor',
  'GET /sign-in': 'visitor',
  'POST /sign-in': 'visitor',
  'POST /theme': 'everybody',
  'POST /sign-out': 'viewer',

  'GET /': 'viewer',
  'GET /live': 'viewer',
  'GET /events': 'viewer',
  'GET /activity': 'viewer',
  'GET /attention': 'viewer',
  'GET /system': 'viewer',
  'GET /guide': 'viewer',
  'GET /docs': 'viewer',
  'GET /docs/:page': 'viewer',
  'GET /waiting': 'viewer',
  'GET /attention/went-back': 'owner',
  'POST /attention/went-back': 'owner',
  'GET /pause-all': 'admin',
  'POST /pause-all': 'admin',
  'POST /pause-all/resume': 'admin',
  'POST /pause-all/window': 'admin',

  'GET /account': 'viewer',
  'GET /account/password': 'viewer',
  'POST /account/password': 'viewer',
  'POST /account/sign-out-everywhere': 'viewer',
  'GET /account/tokens': 'owner',
  'POST /account/tokens': 'owner',
  'POST /account/tokens/domains': 'admin',
  'GET /account/tokens/:tid/remove': 'owner',
  'POST /account/tokens/:tid/remove': 'owner',
  'GET /account/gitlab': 'admin',
  'POST /account/gitlab': 'admin',
  'POST /account/gitlab/test': 'admin',
  'POST /account/gitlab/system-hook': 'admin',
  'GET /account/connections': 'admin',
  'GET /account/connections/:id/hand-over': 'admin',
  'POST /account/connections/:id/connect': 'admin',
  'POST /account/connections/:id/hand-over': 'admin',
  'GET /account/connections/:id/handing-over': 'admin',
  'GET /account/admins': 'admin',
  'POST /account/admins': 'admin',
  'GET /account/admins/:aid': 'admin',
  'POST /account/admins/:aid': 'admin',
  'GET /account/admins/:aid/remove': 'admin',
  'POST /account/admins/:aid/remove': 'admin',
  'GET /account/notifications': 'admin',
  'POST /account/notifications': 'admin',
  'POST /account/notifications/test': 'admin',
  'GET /account/webhooks': 'admin',
  'POST /account/webhooks': 'admin',
  'GET /account/webhooks/:wid': 'admin',
  'POST /account/webhooks/:wid/switch': 'admin',
  'POST /account/webhooks/:wid/send': 'admin',
  'GET /account/webhooks/:wid/remove': 'admin',
  'POST /account/webhooks/:wid/remove': 'admin',

  'GET /sites/add': 'admin',
  'POST /sites/add': 'admin',
  'GET /sites/:id/remove': 'admin',
  'POST /sites/:id/remove': 'admin',

  'GET /sites/:id': 'viewer',
  'GET /sites/:id/live': 'viewer',
  'GET /sites/:id/settings/syncing': 'viewer',
  'GET /sites/:id/hold': 'viewer',
  'GET /sites/:id/hold/paths': 'viewer',
  'GET /sites/:id/conflicts': 'viewer',
  'GET /sites/:id/conflicts/:cid': 'viewer',
  'GET /sites/:id/conflicts/:cid/file/:side': 'viewer',
  'GET /sites/:id/kept': 'viewer',
  'GET /sites/:id/kept/:kid': 'viewer',
  'GET /sites/:id/kept/:kid/file': 'viewer',

  'POST /sites/:id/sync': 'owner',
  'POST /sites/:id/pause': 'owner',
  'POST /sites/:id/stop': 'owner',
  'POST /sites/:id/resume': 'owner',
  'POST /sites/:id/stay': 'owner',
  'POST /sites/:id/webhook': 'owner',
  'POST /sites/:id/connect': 'owner',
  'POST /sites/:id/reconnect': 'owner',
  'POST /sites/:id/hand-over': 'owner',
  'GET /sites/:id/access-token': 'owner',
  'POST /sites/:id/access-token': 'owner',
  'GET /oauth/callback': 'owner',
  'GET /sites/:id/repository': 'owner',
  'GET /sites/:id/branch': 'owner',
  'GET /sites/:id/confirm': 'owner',
  'POST /sites/:id/confirm': 'owner',
  'GET /sites/:id/confirm/paths': 'owner',
  'GET /sites/:id/connecting': 'owner',
  'GET /sites/:id/disconnect': 'owner',
  'POST /sites/:id/disconnect': 'owner',
  'POST /sites/:id/hold': 'owner',
  'POST /sites/:id/push-elsewhere': 'owner',
  'POST /sites/:id/conflicts/:cid': 'owner',
  'GET /sites/:id/kept/:kid/restore': 'owner',
  'POST /sites/:id/kept/:kid/restore': 'owner',
  'POST /sites/:id/let-go/remove': 'owner',
  'GET /sites/:id/settings': 'owner',
  'GET /sites/:id/settings/commits/preview': 'owner',
  'POST /sites/:id/settings/ignored/decide': 'owner',
  'POST /sites/:id/settings/allow': 'owner',
  'POST /sites/:id/settings/ignore': 'owner',
  ...settingsPages(['schedule', 'commits', 'safety', 'ignored', 'files', 'permissions', 'name']),
};

/** For programs: health, GitLab's calls, and the API. */
const programs: Readonly<Record<string, Who | readonly [Who, ApiScope]>> = {
  'GET /healthz': 'everybody',
  'GET /readyz': 'everybody',
  'POST /hooks/gitlab': 'everybody',
  'POST /hooks/gitlab/:site': 'everybody',
  'GET /metrics': ['viewer', 'read'],
  'GET /api/v1/openapi.json': 'everybody',
  'GET /api/v1/sites': ['viewer', 'read'],
  'POST /api/v1/sites': ['admin', 'admin'],
  'GET /api/v1/folders': ['admin', 'admin'],
  'GET /api/v1/sites/:id': ['viewer', 'read'],
  'DELETE /api/v1/sites/:id': ['admin', 'admin'],
  'POST /api/v1/sites/:id/sync': ['owner', 'sync'],
  'POST /api/v1/sites/:id/pause': ['owner', 'sync'],
  'POST /api/v1/sites/:id/resume': ['owner', 'sync'],
  'GET /api/v1/sites/:id/settings': ['owner', 'read'],
  'PATCH /api/v1/sites/:id/settings': ['owner', 'admin'],
  'POST /api/v1/sites/:id/connect/plan': ['owner', 'admin'],
  'POST /api/v1/sites/:id/connect': ['owner', 'admin'],
  'POST /api/v1/sites/:id/disconnect': ['owner', 'admin'],
  'POST /api/v1/sites/:id/hand-over': ['owner', 'admin'],
  'GET /api/v1/sites/:id/activity': ['viewer', 'read'],
  'GET /api/v1/sites/:id/activity/:run': ['viewer', 'read'],
  'GET /api/v1/sites/:id/hold': ['viewer', 'read'],
  'POST /api/v1/sites/:id/hold': ['owner', 'admin'],
  'POST /api/v1/sites/:id/hold/push-elsewhere': ['owner', 'admin'],
  'GET /api/v1/sites/:id/conflicts': ['viewer', 'read'],
  'GET /api/v1/sites/:id/conflicts/:conflict/:side': ['viewer', 'read'],
  'POST /api/v1/sites/:id/conflicts/:conflict': ['owner', 'admin'],
  'GET /api/v1/sites/:id/kept': ['viewer', 'read'],
  'GET /api/v1/sites/:id/kept/:version': ['viewer', 'read'],
  'GET /api/v1/sites/:id/kept/:version/files/:file': ['viewer', 'read'],
  'POST /api/v1/sites/:id/kept/:version/restore': ['owner', 'admin'],
  'POST /api/v1/sites/:id/commit-as': ['owner', 'commit-as'],
  'GET /api/v1/commit-as/domains': ['admin', 'read'],
  'PUT /api/v1/commit-as/domains': ['admin', 'admin'],
  'POST /api/v1/sites/:id/webhook': ['owner', 'admin'],
  'POST /api/v1/sites/:id/stay': ['owner', 'admin'],
  'GET /api/v1/sites/:id/no-longer-ignored': ['viewer', 'read'],
  'POST /api/v1/sites/:id/no-longer-ignored': ['owner', 'admin'],
  'POST /api/v1/sites/:id/let-go/remove': ['owner', 'admin'],
  'GET /api/v1/system': ['viewer', 'read'],
  'GET /api/v1/audit': ['viewer', 'read'],
  'GET /api/v1/problems': ['viewer', 'read'],
  'GET /api/v1/events': ['viewer', 'read'],
  'GET /api/v1/connections': ['owner', 'read'],
  'DELETE /api/v1/connections/:id': ['admin', 'admin'],
  'GET /api/v1/connections/:id/repositories': ['owner', 'read'],
  'GET /api/v1/connections/:id/repositories/:repository/branches': ['owner', 'read'],
  'GET /api/v1/connections/:id/hand-over': ['admin', 'admin'],
  'POST /api/v1/connections/:id/hand-over': ['admin', 'admin'],
  'GET /api/v1/instance': ['admin', 'read'],
  'PATCH /api/v1/instance': ['admin', 'admin'],
  'POST /api/v1/instance/test': ['admin', 'admin'],
  'GET /api/v1/pause-all': ['admin', 'read'],
  'POST /api/v1/pause-all': ['admin', 'admin'],
  'DELETE /api/v1/pause-all': ['admin', 'admin'],
  'PUT /api/v1/pause-all/window': ['admin', 'admin'],
  'DELETE /api/v1/pause-all/window': ['admin', 'admin'],
  'GET /api/v1/accounts': ['admin', 'read'],
  'POST /api/v1/accounts': ['admin', 'admin'],
  'PATCH /api/v1/accounts/:account': ['admin', 'admin'],
  'DELETE /api/v1/accounts/:account': ['admin', 'admin'],
  'GET /api/v1/tokens': ['owner', 'admin'],
  'POST /api/v1/tokens': ['owner', 'admin'],
  'DELETE /api/v1/tokens/:token': ['owner', 'admin'],
  'GET /api/v1/webhooks': ['admin', 'read'],
  'POST /api/v1/webhooks': ['admin', 'admin'],
  'PATCH /api/v1/webhooks/:webhook': ['admin', 'admin'],
  'DELETE /api/v1/webhooks/:webhook': ['admin', 'admin'],
  'GET /api/v1/webhooks/:webhook/deliveries': ['admin', 'read'],
  'POST /api/v1/webhooks/:webhook/deliveries/:delivery/send': ['admin', 'admin'],
};

function settingsPages(names: readonly string[]): Record<string, Who> {
  const paths = names.flatMap((name) => ['GET', 'POST'].map((method) => `${method} /sites/:id/settings/${name}`));
  return Object.fromEntries(paths.map((path) => [path, 'owner']));
}

/** The rows by method and path, as in `GET /sites/:id`. */
export const accessTable: ReadonlyMap<string, Rule> = new Map(
  Object.entries({ ...pages, ...programs }).map(([route, row]): [string, Rule] => [
    route,
    typeof row === 'string' ? { who: row } : { who: row[0], scope: row[1] },
  ]),
);

interface Route {
  readonly rule: Rule;
  /** The site that the path names. */
  readonly site?: string;
}

/** The route that the router would take, with its row. A route without a row is a mistake of ours, and stays shut. */
function routeOf(router: Router<State>, method: string, path: string): Route | undefined {
  const { pathAndMethod, route } = router.match(path, method);
  const layer = route ? (pathAndMethod[0] as Layer<State>) : undefined;
  if (!layer) return undefined;
  const rule = accessTable.get(`${method === 'HEAD' ? 'GET' : method} ${String(layer.path)}`);
  if (!rule) throw new Error(`${method} ${String(layer.path)} has no row in the table of access`);
  const site = /^(?:\/api\/v1)?\/sites\/:id(?=\/|$)/.test(String(layer.path))
    ? layer.params(path, layer.captures(path))['id']
    : undefined;
  return { rule, ...(site === undefined ? {} : { site }) };
}

function hasRole(who: Who, { role }: Reach): boolean {
  return who === 'admin' ? role === 'admin' : who === 'owner' ? role !== 'viewer' : true;
}

/** Whether somebody may use a page: for links and buttons, which nobody is shown that leads to a refusal. */
export function mayUse(
  { sites }: Pick<WebDeps, 'sites'>,
  router: Router<State>,
  person: Person | undefined,
  { method, path }: { readonly method: string; readonly path: string },
): boolean {
  const route = routeOf(router, method, path);
  if (!route || !person) return false;
  const site = route.site === undefined ? undefined : sites.get(route.site);
  if (route.site !== undefined && (!site || !seesSite(person, site.id))) return false;
  return hasRole(route.rule.who, person);
}

/**
 * The one place that decides who may use what: pages by session, the API by token, live events by either. Stands before
 * the router it is given. The operator, who came in over the daemon's own socket, needs neither.
 */
export function access(deps: WebDeps, address: Address, router: Router<State>, kind: 'programs' | 'pages') {
  return async (ctx: Context, next: Next): Promise<void> => {
    const route = routeOf(router, ctx.method, ctx.path);
    if (route && (route.rule.who === 'everybody' || route.rule.who === 'visitor')) return next();
    if (!route && ctx.path.startsWith('/api/')) throw new Problem('not-found', { what: 'address' });
    if (!route && kind === 'programs') return next();
    const { operator } = ctx.state;
    const person = operator ?? (route?.rule.scope ? holderOf(ctx, deps) : signedIn(ctx, deps));
    if (!person) return toSignIn(ctx, deps, address);
    ctx.state.person = person;
    if (route) refuseUnless(route, person, deps, operator !== undefined);
    return next();
  };
}

/** A site that somebody does not see is looked at first: what else is refused must not tell that it exists. */
function refuseUnless({ rule, site: id }: Route, person: Person, { sites }: WebDeps, isOperator: boolean): void {
  if (id !== undefined) {
    const site = sites.get(id);
    if (!site || !seesSite(person, site.id)) throw new Problem('not-found', { what: 'site' });
  }
  if (rule.scope && !isOperator && !allowsScope(person.token?.scopes ?? [], rule.scope))
    throw new Problem('not-allowed', { why: 'scope', needed: rule.scope });
  if (!hasRole(rule.who, person)) throw new Problem('not-allowed', { why: 'role' });
}

/** Read anew at every request: a role or a site that was taken away is gone with the next one. */
function signedIn(ctx: Context, { accounts }: WebDeps): Person | undefined {
  const account = ctx.state.session && accounts.get(ctx.state.session.accountId);
  if (!account) return undefined;
  const { role, sites } = account;
  return { account, by: account.name, role, ...(sites ? { sites } : {}) };
}

/** Who holds the bearer token: its account, as far as account and token both reach. Throws `not-allowed`. */
function holderOf(ctx: Context, { accounts, apiTokens }: WebDeps): Person {
  const shown = /^Bearer ([\w-]{20,200})$/.exec(ctx.get('Authorization'))?.[1];
  const token = shown === undefined ? undefined : apiTokens.find(shown);
  const account = token && accounts.get(token.accountId);
  if (!token || !account) throw new Problem('not-allowed', { why: 'token' });
  const { role, sites } = reachOf(account, token);
  return { account, by: `${account.name} (${token.name})`, token, role, ...(sites ? { sites } : {}) };
}

/** Before the first account exists, everything leads to the set-up. */
function toSignIn(ctx: Context, deps: WebDeps, address: Address): void {
  // Script asks in the background: a redirect would hand it the sign-in page as if it were an answer.
  if (ctx.path === '/events' || ctx.path.endsWith('/live')) throw new Problem('not-allowed', { why: 'signed-out' });
  ctx.status = 303;
  ctx.redirect(address.link(deps.accounts.exist() ? signInPath(ctx, address) : '/setup'));
}

function signInPath(ctx: Context, address: Address): string {
  const back = ctx.method === 'GET' ? address.known(ctx.url) : undefined;
  return back === undefined || back === '/' ? '/sign-in' : `/sign-in?to=${encodeURIComponent(back)}`;
}
