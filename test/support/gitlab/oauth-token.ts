/** POST /oauth/token, /oauth/revoke and GET /oauth/token/info, by Doorkeeper's rules. */
import type Router from '@koa/router';
import type { Context } from 'koa';
import { createHash } from 'node:crypto';
import { findToken, tokenState } from './access.ts';
import { issueTokens } from './actions.ts';
import { sha256, type Application, type Token, type World } from './model.ts';
import type { Practice } from './practice.ts';
import { redirectMatches } from './redirect-uri.ts';
import { input, textOf } from './rest-call.ts';

const descriptions = {
  invalid_client:
    'Client authentication failed due to unknown client, no client authentication included, or unsupported authentication method.',
  invalid_grant:
    'The provided authorization grant is invalid, expired, revoked, does not match the redirection URI used in the authorization request, or was issued to another client.',
  invalid_scope: 'The requested scope is invalid, unknown, or malformed.',
  unsupported_grant_type: 'The authorization grant type is not supported by the authorization server.',
} as const;

type OAuthError =
  { readonly error: keyof typeof descriptions } | { readonly error: 'invalid_request'; readonly missing: string };

export function addTokenRoutes(router: Router, { world }: Practice): void {
  router.post('/oauth/token', (ctx) => {
    const given = input(ctx);
    const grantType = textOf(given, 'grant_type');
    const result =
      grantType === undefined
        ? missing('grant_type')
        : grantType === 'authorization_code'
          ? exchangeCode(world, ctx, given)
          : grantType === 'refresh_token'
            ? refresh(world, ctx, given)
            : ({ error: 'unsupported_grant_type' } as const);
    ctx.set('Cache-Control', 'no-store, no-cache');
    if ('error' in result) sendError(ctx, result);
    else ctx.body = tokenBody(result, world);
  });

  router.post('/oauth/revoke', (ctx) => {
    const given = input(ctx);
    const value = textOf(given, 'token') ?? '';
    const token = world.tokens.find(
      ({ value: access, refreshToken }) => value !== '' && (access === value || refreshToken === value),
    );
    const client = clientOf(world, ctx, given);
    if (token?.application && token.application !== client.application) {
      ctx.status = 403;
      ctx.body = { error: 'unauthorized_client', error_description: 'You are not authorized to revoke this token' };
      return;
    }
    if (token) token.revoked = true;
    ctx.body = {};
  });

  router.get('/oauth/token/info', (ctx) => {
    const given = input(ctx);
    const bearer = /^Bearer\s+(\S+)$/i.exec(ctx.get('Authorization'))?.[1];
    const token = findToken(world, bearer ?? textOf(given, 'access_token') ?? textOf(given, 'bearer_token') ?? '');
    if (!token || tokenState(world, token) !== 'live') {
      const description = 'The access token is invalid';
      ctx.status = 401;
      ctx.set(
        'WWW-Authenticate',
        `Bearer realm="Doorkeeper", error="invalid_token", error_description="${description}"`,
      );
      ctx.body = { error: 'invalid_token', error_description: description, state: 'unauthorized' };
      return;
    }
    const left = token.expiresAt === undefined ? null : Math.ceil((token.expiresAt - world.now()) / 1000);
    ctx.body = {
      resource_owner_id: token.user.id,
      scope: token.scopes,
      expires_in: left,
      application: { uid: token.application?.applicationId ?? null },
      created_at: Math.floor(token.createdAt / 1000),
      scopes: token.scopes,
      expires_in_seconds: left,
    };
  });
}

/** Validated in Doorkeeper's order: parameters, client, grant, redirect, verifier. */
function exchangeCode(world: World, ctx: Context, given: Record<string, unknown>): Token | OAuthError {
  const grant = world.grants.find(({ code }) => code === textOf(given, 'code'));
  const verifier = textOf(given, 'code_verifier');
  const redirectUri = textOf(given, 'redirect_uri');
  if (grant?.challenge !== undefined && !verifier) return missing('code_verifier');
  if (!redirectUri) return missing('redirect_uri');
  const { application } = clientOf(world, ctx, given);
  if (!application) return { error: 'invalid_client' };
  if (!grant || grant.application !== application || grant.revoked || grant.expiresAt <= world.now())
    return { error: 'invalid_grant' };
  if (!redirectMatches(redirectUri, grant.redirectUri)) return { error: 'invalid_grant' };
  if (verifier && !verifies(verifier, grant.challenge, grant.challengeMethod)) return { error: 'invalid_grant' };
  grant.revoked = true;
  return issueTokens(world, { application, user: grant.user, scopes: grant.scopes });
}

function verifies(verifier: string, challenge: string | undefined, method: string | undefined): boolean {
  return challenge === (method === 'S256' ? createHash('sha256').update(verifier).digest('base64url') : verifier);
}

/** The old record dies here and now, its access token with it: GitLab has no `previous_refresh_token`. */
function refresh(world: World, ctx: Context, given: Record<string, unknown>): Token | OAuthError {
  const value = textOf(given, 'refresh_token');
  if (!value) return missing('refresh_token');
  const old = world.tokens.find(({ refreshToken }) => refreshToken === value);
  if (!old || old.revoked) return { error: 'invalid_grant' };
  const client = clientOf(world, ctx, given);
  if (client.tried && !client.application) return { error: 'invalid_client' };
  if (!client.application || old.application !== client.application) return { error: 'invalid_grant' };
  const asked = textOf(given, 'scope')?.split(' ').filter(Boolean) ?? [];
  if (asked.some((scope) => !old.scopes.includes(scope))) return { error: 'invalid_scope' };
  old.revoked = true;
  return issueTokens(world, {
    application: client.application,
    user: old.user,
    scopes: asked.length > 0 ? asked : old.scopes,
  });
}

/** Client credentials from Basic or from the body. A public client may leave the secret out. */
function clientOf(
  world: World,
  ctx: Context,
  given: Record<string, unknown>,
): { tried: boolean; application?: Application } {
  const basic = /^Basic\s+(\S+)$/i.exec(ctx.get('Authorization'))?.[1];
  let [id, secret] = [textOf(given, 'client_id'), textOf(given, 'client_secret')];
  if (basic) {
    const decoded = Buffer.from(basic, 'base64').toString();
    const colon = decoded.indexOf(':');
    [id, secret] = [decoded.slice(0, colon), decoded.slice(colon + 1)];
  }
  const application = world.applications.find(({ applicationId }) => applicationId === id);
  if (!application) return { tried: id !== undefined };
  const proven = secret ? sha256(secret) === application.secretHash : !application.confidential;
  return proven ? { tried: true, application } : { tried: true };
}

const missing = (name: string): OAuthError => ({ error: 'invalid_request', missing: name });

function sendError(ctx: Context, problem: OAuthError): void {
  const { error } = problem;
  const description =
    error === 'invalid_request' ? `Missing required parameter: ${problem.missing}.` : descriptions[error];
  ctx.status = error === 'invalid_client' ? 401 : 400;
  ctx.set('WWW-Authenticate', `Bearer realm="Doorkeeper", error="${error}", error_description="${description}"`);
  ctx.body = { error, error_description: description };
}

const tokenBody = (token: Token, world: World): object => ({
  access_token: token.value,
  token_type: 'Bearer',
  expires_in: world.tokenLifetimeSeconds,
  refresh_token: token.refreshToken,
  scope: token.scopes.join(' '),
  created_at: Math.floor(token.createdAt / 1000),
});
