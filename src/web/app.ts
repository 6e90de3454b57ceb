import { bodyParser } from '@koa/bodyparser';
import type { Socket } from 'node:net';
import Router from '@koa/router';
import Koa from 'koa';
import serve from 'koa-static';
import { createAddress, type Address } from './address.ts';
import { clientAddress } from './client-address.ts';
import type { App, Context, Next, WebContext, State } from './context.ts';
import { formTokens, sameOrigin } from './csrf.ts';
import type { WebDeps } from './deps.ts';
import { failure } from './failure.ts';
import { gate } from './gate.ts';
import { admitOperator } from './operator.ts';
import { createWebContext, publicFolder } from './render.ts';
import { securityHeaders } from './security.ts';
import { sessions } from './session.ts';
import { activity } from './routes/activity.ts';
import { admins } from './routes/admins.ts';
import { api } from './routes/api.ts';
import { apiTokens } from './routes/api-tokens.ts';
import { addSite } from './routes/add-site.ts';
import { confirm } from './routes/confirm.ts';
import { conflicts } from './routes/conflicts.ts';
import { connect } from './routes/connect.ts';
import { connectionRoutes } from './routes/connections.ts';
import { disconnect } from './routes/disconnect.ts';
import { events } from './routes/events.ts';
import { health } from './routes/health.ts';
import { hold } from './routes/hold.ts';
import { hooks } from './routes/hooks.ts';
import { instance } from './routes/instance.ts';
import { kept } from './routes/kept.ts';
import { notifications } from './routes/notifications.ts';
import { pauseAll } from './routes/pause-all.ts';
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

export interface Apps {
  /** For the network: pages, the API by token, health and GitLab's calls. */
  readonly network: Koa;
  /** For the daemon's own socket: the API, to the operator. */
  readonly socket: Koa;
}

/**
 * Both ways in. They share the API's routes, so that the command line and programs can do and see the same. `uidOf`: who
 * is on the other side of the daemon's own socket.
 */
export function createApps(deps: WebDeps, uidOf: (socket: Socket) => number | undefined): Apps {
  const address = createAddress(deps.about.publicUrl);
  const web = createWebContext(deps, address);
  const programs = open(web);
  return { network: networkApp(web, address, programs), socket: socketApp(web, programs, uidOf) };
}

/** The app for the network alone. Holds no state but notices; may be created many times. */
export function createApp(deps: WebDeps): Koa {
  return createApps(deps, () => undefined).network;
}

/** In the order a request meets it. */
function networkApp(web: WebContext, address: Address, programs: ReturnType<typeof open>): Koa {
  const { deps } = web;
  const app = newApp(deps);
  app.use(clientAddress(deps.about.trustedProxies ?? []));
  app.use(mount(address));
  app.use(failure(web));
  app.use(securityHeaders(deps, address));
  app.use(staticFiles());
  app.use(programs);
  app.use(sessions(deps, address));
  app.use(sameOrigin(address));
  app.use(gate(deps, address));
  app.use(bodyParser({ enableTypes: ['form'], formLimit: '256kb' }));
  app.use(formTokens(deps));
  app.use(pages(web));
  return app as unknown as Koa;
}

/** Nothing but the API and what only the operator may ask: no pages, no cookies, no sub-path. */
function socketApp(
  web: WebContext,
  programs: ReturnType<typeof open>,
  uidOf: (socket: Socket) => number | undefined,
): Koa {
  const app = newApp(web.deps);
  app.use(admitOperator(uidOf));
  app.use(programs);
  app.use(operatorRoutes(web));
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
function open(web: WebContext) {
  const router = new Router<State>();
  health(router, web);
  hooks(router, web);
  api(router, web);
  return router.routes();
}

/** For the command line alone: these routes do not exist on the network. */
function operatorRoutes(web: WebContext) {
  const router = new Router<State>();
  operator(router, web);
  return router.routes();
}

function pages(web: WebContext) {
  const router = new Router<State>();
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
    admins,
    apiTokens,
    notifications,
    systemRoutes,
    hold,
    wentBack,
    conflicts,
    kept,
    activity,
    events,
    site,
  ])
    add(router, web);
  return router.routes();
}
