/** GET and POST /oauth/authorize: GitLab's own take on Doorkeeper's consent page. */
import type Router from '@koa/router';
import type { Context } from 'koa';
import { tokenState } from './access.ts';
import { html } from './html.ts';
import { hex, type Application, type User, type World } from './model.ts';
import { basePath, csrfField, formIsOurs, requireUser, sendPage } from './page-frame.ts';
import type { Practice } from './practice.ts';
import { redirectMatches } from './redirect-uri.ts';
import { input, textOf } from './rest-call.ts';

/** Every scope an application may be given here. */
export const knownScopes = [
  'api',
  'read_api',
  'read_user',
  'read_repository',
  'write_repository',
  'openid',
  'profile',
  'email',
];

const codeLifetimeMs = 600_000;

const meanings: Record<string, string> = {
  api: 'Read and write everything you can, through the API and git',
  read_api: 'Read everything you can, through the API and git',
  read_user: 'Read your profile',
  read_repository: 'Read your repositories',
  write_repository: 'Read and write your repositories through git',
};

interface Request {
  readonly application: Application;
  readonly redirectUri: string;
  readonly scopes: string[];
  readonly state: string | undefined;
  readonly challenge: string | undefined;
  readonly challengeMethod: string | undefined;
}

export function addAuthorizeRoutes(router: Router, { world }: Practice): void {
  router.get('/oauth/authorize', (ctx) => {
    const signedIn = requireUser(world, ctx);
    if (!signedIn) return;
    const request = readRequest(world, input(ctx));
    if (typeof request === 'string') return errorPage(world, ctx, request);
    if (request.application.trusted || hasLiveToken(world, signedIn.user, request)) {
      return forwardingPage(world, ctx, grantCode(world, signedIn.user, request));
    }
    const given = input(ctx);
    const kept = [
      'client_id',
      'redirect_uri',
      'response_type',
      'scope',
      'state',
      'code_challenge',
      'code_challenge_method',
    ];
    const hidden = kept.flatMap((name) => {
      const value = textOf(given, name);
      return value === undefined ? [] : [html`<input type="hidden" name="${name}" value="${value}" />`];
    });
    const { name } = request.application;
    const action = `${basePath(world)}/oauth/authorize`;
    const scopes = request.scopes.map((scope) => html`<li><code>${scope}</code> ${meanings[scope]}</li>`);
    sendPage(
      world,
      ctx,
      `Authorize ${name} to use your account?`,
      html`<section>
        <p>
          An application called <strong>${name}</strong> is requesting access to your account
          (${signedIn.user.username}).
        </p>
        <ul>
          ${scopes}
        </ul>
        <p class="hint">Afterwards you go to ${new URL(request.redirectUri).origin}.</p>
        <div class="row">
          <form method="post" action="${action}">
            ${csrfField(signedIn.session)}${hidden}<button>Authorize ${name}</button>
          </form>
          <form method="post" action="${action}">
            ${csrfField(signedIn.session)}<input type="hidden" name="_method" value="delete" />${hidden}
            <button class="second">Deny</button>
          </form>
        </div>
      </section>`,
    );
  });

  router.post('/oauth/authorize', (ctx) => {
    const signedIn = requireUser(world, ctx);
    if (!signedIn || !formIsOurs(world, ctx, signedIn.session)) return;
    const request = readRequest(world, input(ctx));
    if (typeof request === 'string') return errorPage(world, ctx, request);
    const denied = textOf(input(ctx), '_method') === 'delete';
    ctx.status = 302;
    ctx.set('Location', denied ? denial(request) : grantCode(world, signedIn.user, request));
  });
}

/** In Doorkeeper's order; a text is the reason for the error page. The browser is never sent on with an error. */
function readRequest(world: World, given: Record<string, unknown>): Request | string {
  const clientId = textOf(given, 'client_id');
  if (!clientId) return 'Missing required parameter: client_id.';
  const application = world.applications.find(({ applicationId }) => applicationId === clientId);
  if (!application) {
    return 'Client authentication failed due to unknown client, no client authentication included, or unsupported authentication method.';
  }
  const redirectUri = textOf(given, 'redirect_uri');
  if (!redirectUri || !application.redirectUris.some((registered) => redirectMatches(redirectUri, registered))) {
    return "The requested redirect uri is malformed or doesn't match client redirect URI.";
  }
  const responseType = textOf(given, 'response_type');
  if (!responseType) return 'Missing required parameter: response_type.';
  if (responseType !== 'code') return 'The authorization server does not support this response type.';

  const asked = textOf(given, 'scope')?.split(/\s+/).filter(Boolean) ?? [];
  // Without a scope: GitLab's default, as far as the application has it.
  const scopes = asked.length > 0 ? asked : ['api'].filter((scope) => application.scopes.includes(scope));
  if (scopes.length === 0 || scopes.some((scope) => !application.scopes.includes(scope))) {
    return 'The requested scope is invalid, unknown, or malformed.';
  }
  const challenge = textOf(given, 'code_challenge') || undefined;
  const challengeMethod = textOf(given, 'code_challenge_method') || undefined;
  if (challenge !== undefined && challengeMethod !== 'S256' && challengeMethod !== 'plain') {
    return 'The code_challenge_method must be one of plain, S256.';
  }
  return { application, redirectUri, scopes, state: textOf(given, 'state') || undefined, challenge, challengeMethod };
}

function hasLiveToken(world: World, user: User, { application, scopes }: Request): boolean {
  const wanted = scopes.toSorted().join(' ');
  return (
    application.confidential &&
    world.tokens.some(
      (token) =>
        token.user === user &&
        token.application === application &&
        tokenState(world, token) === 'live' &&
        token.scopes.toSorted().join(' ') === wanted,
    )
  );
}

/** The callback address with a fresh code. */
function grantCode(world: World, user: User, request: Request): string {
  const { application, redirectUri, scopes, challenge, challengeMethod, state } = request;
  const code = hex(32);
  const expiresAt = world.now() + codeLifetimeMs;
  world.grants.push({
    code,
    application,
    user,
    redirectUri,
    scopes,
    challenge,
    challengeMethod,
    expiresAt,
    revoked: false,
  });
  return withQuery(redirectUri, { code, state });
}

const denial = ({ redirectUri, state }: Request): string =>
  withQuery(redirectUri, {
    error: 'access_denied',
    error_description: 'The resource owner or authorization server denied the request.',
    state,
  });

function withQuery(address: string, members: Record<string, string | undefined>): string {
  const url = new URL(address);
  for (const [name, value] of Object.entries(members)) if (value !== undefined) url.searchParams.set(name, value);
  return url.href;
}

/** Status 200, like GitLab's: its render call sets none. */
function errorPage(world: World, ctx: Context, reason: string): void {
  ctx.status = 200;
  sendPage(world, ctx, 'An error has occurred', html`<p class="problem" role="alert">${reason}</p>`);
}

/** No consent needed: a page that sends the browser on, because GitLab answers 200 here and not a 302. */
function forwardingPage(world: World, ctx: Context, to: string): void {
  const refresh = html`<meta http-equiv="refresh" content="0; url=${to}" />`;
  sendPage(
    world,
    ctx,
    'Redirecting',
    html`<p><a href="${to}">Click here to redirect to the application.</a></p>`,
    refresh,
  );
}
