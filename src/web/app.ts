import { bodyParser } from '@koa/bodyparser';
import type { Socket } from 'node:net';
import Router from '@koa/router';
import Koa from 'koa';
import serve from 'koa-static';
import { access, mayUse } from './access.ts';
import { createAddress, type Address } from './address.ts';
import { clientAddress } from './client-address.ts';
import type { App, Context, Next, WebContext, State } from './context.ts';
import { formTokens, sameOrigin } from './csrf.ts';
import type { WebDeps } from './deps.ts';
import { failure } from './failure.ts';
import { admitOperator } from './operator.ts';
import { createWebContext, publicFolder } from './render.ts';
import { requestId } from './request-id.ts';
import { securityHeaders } from './security.ts';
import { sessions } from './session.ts';
import { activity } from './routes/activity.ts';
import { accounts } from './routes/accounts.ts';
import { api, jsonBody } from './api/api.ts';
import { apiTokens } from './routes/api-tokens.ts';
import { addSite } from './routes/add-site.ts';
import { confirm } from './routes/confirm.ts';
import { conflicts } from './routes/conflicts.ts';
import { connect } from './routes/connect.ts';
import { connectionRoutes } from './routes/connections.ts';
import { docs } from './routes/docs.ts';
import { disconnect } from './routes/disconnect.ts';
import { events } from './routes/events.ts';
import { health } from './routes/health.ts';
import { hold } from './routes/hold.ts';
import { hooks } from './routes/hooks.ts';
import { instance } from './routes/instance.ts';
import { kept } from './routes/kept.ts';
import { metrics } from './routes/metrics.ts';
import { outgoingWebhooks } from './routes/outgoing-webhooks.ts';
import { notifications } from './routes/notifications.ts';
import { pauseAll } from './routes/pause-all.ts';
import { ownAccount } from './routes/own-account.ts';
import { operator } from './routes/operator.ts';
import { paths } from './routes/paths.ts';
import { repository } from './routes/repository.ts';
import { settings } from './routes/settings.ts';
import { setup } from './routes/setup.ts';
import { signInRoutes } from './routes/sign-in.ts';
import { site } from './routes/site.ts';
import { sites } from './routes/sites.ts';
import { switchBranch } from './routes/switch-branch.ts';
import { systemRoutes } from './routes/system.ts';
import { syncing } from './routes/syncing.ts';
import { theme } from './routes/theme.ts';
import { waiting } from './routes/waiting.ts';
import { wentBack } from './routes/went-back.ts';

/** The pages, in the order a request meets them. Holds no state but notices; may be created many times. */
export function createApp(deps: WebDeps): Koa {
  return createWeb(deps).app;
}

/** Every way in: they share the API's routes, so that the command line and programs can do and see the same. */
export interface Web {
  /** For the network: pages, the API by token, health and GitLab's calls. */
  readonly app: Koa;
  /** For the daemon's own socket: the API, to the operator. */
  readonly socketApp: Koa;
  /** What the network reaches, for the test that compares it with the table of access. */
  readonly routers: readonly Router<State>[];
}

/** `uidOf`: who is on the other side of the daemon's own socket. */
export function createWeb(deps: WebDeps, uidOf: (socket: Socket) => number | undefined = () => undefined): Web {
  const address = createAddress(deps.about.publicUrl);
  const pages = new Router<State>();
  const programs = new Router<State>();
  const web = createWebContext(deps, address, ({ state }, asked) => mayUse(deps, pages, state.person, asked));
  addPages(pages, web);
  addPrograms(programs, web);
  const app = newApp(deps);
  app.use(requestId(deps));
  app.use(clientAddress(deps.about.trustedProxies ?? []));
  app.use(mount(address));
  app.use(failure(web));
  app.use(securityHeaders(deps, address));
  app.use(staticFiles());
  app.use(access(deps, address, programs, 'programs'));
  app.use(jsonBody());
  app.use(programs.routes());
  app.use(sessions(deps, address));
  app.use(sameOrigin(address));
  app.use(access(deps, address, pages, 'pages'));
  app.use(bodyParser({ enableTypes: ['form'], formLimit: '256kb' }));
  app.use(formTokens(deps));
  app.use(pages.routes());
  const socketApp = createSocketApp(web, programs, uidOf);
  return { app: app as unknown as Koa, socketApp, routers: [pages, programs] };
}

/** The API, and what only the operator may ask: no pages, no cookies, no sub-path. */
function createSocketApp(web: WebContext, programs: Router<State>, uidOf: (socket: Socket) => number | undefined): Koa {
  const { deps, address } = web;
  const own = new Router<State>();
  operator(own, web);
  const app = newApp(deps);
  app.use(requestId(deps));
  app.use(admitOperator(uidOf));
  app.use(failure(web));
  app.use(access(deps, address, programs, 'programs'));
  app.use(jsonBody());
  app.use(programs.routes());
  app.use(own.routes());
  return app as unknown as Koa;
}

function newApp(deps: WebDeps): App {
  const app: App = new Koa<State>();
  // A reader who went away in the middle of a stream is no error of ours.
  app.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'ERR_STREAM_PREMATURE_CLOSE' || error.code === 'ECONNRESET') return;
    deps.log('warn', 'An answer broke off.', { error: error.message });
  });
  return app;
}

/**
 * Removes the sub-path, so that everything behind sees the same paths wherever Mooring is mounted. Cookies are `Secure`
 * when browsers use https, which the public URL says: the connection to the reverse proxy may be plain http, and koa's
 * `app.proxy` would trust a header that anybody can send.
 */
function mount(address: Address) {
  return async (ctx: Context, next: Next): Promise<void> => {
    ctx.path = address.inside(ctx.path);
    ctx.cookies.secure = address.secure;
    await next();
  };
}

/** `public/` only: names in it carry a digest in their address, so browsers may keep them. */
function staticFiles() {
  return serve(publicFolder, { maxage: 31_536_000_000, immutable: true, index: false });
}

/** For programs: no session, no form token, no page around the answer. */
function addPrograms(router: Router<State>, web: WebContext): void {
  health(router, web);
  hooks(router, web);
  metrics(router, web);
  api(router, web);
}

function addPages(router: Router<State>, web: WebContext): void {
  const screens = [setup, signInRoutes, theme, sites, addSite, syncing, connect, repository, confirm, disconnect];
  for (const add of [
    ...screens,
    paths,
    switchBranch,
    settings,
    instance,
    pauseAll,
    waiting,
    connectionRoutes,
    accounts,
    ownAccount,
    apiTokens,
    notifications,
    outgoingWebhooks,
    systemRoutes,
    docs,
    hold,
    wentBack,
    conflicts,
    kept,
    activity,
    events,
    site,
  ])
    add(router, web);
}
