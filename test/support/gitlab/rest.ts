/** REST v4: the routes a sync daemon uses, under one guard that turns thrown answers into GitLab's error bodies. */
import Router from '@koa/router';
import type { Context, Next } from 'koa';
import { randomUUID } from 'node:crypto';
import { findToken } from './access.ts';
import { isoTime } from './model.ts';
import { addHookRoutes } from './rest-hooks.ts';
import { addProjectRoutes } from './rest-projects.ts';
import { addRepositoryRoutes } from './rest-repository.ts';
import { currentUser } from './rest-entities.ts';
import { BrokenAnswer, RestError, send, signedIn } from './rest-call.ts';
import type { Practice } from './practice.ts';

export function restRouter(practice: Practice): Router {
  const router = new Router({ prefix: '/api/v4' });

  const metadata = (ctx: Context): void => {
    signedIn(practice, ctx, 'read-user');
    const { version } = practice.world;
    send(practice, ctx, 'metadata', {
      version,
      revision: 'prac71ce000',
      kas: { enabled: false, externalUrl: null, externalK8sProxyUrl: null, version: null },
      enterprise: false,
    });
  };
  router.get('/version', metadata);
  router.get('/metadata', metadata);
  router.get('/user', (ctx) => {
    send(practice, ctx, 'user/public', currentUser(practice.world, signedIn(practice, ctx, 'read-user')));
  });
  // Also for the tokens of projects and groups: their bots' tokens are personal ones. An OAuth token gets 400 there (?).
  router.get('/personal_access_tokens/self', (ctx) => {
    const user = signedIn(practice, ctx, 'read-user');
    const token = findToken(practice.world, /^Bearer (\S+)$/.exec(ctx.get('Authorization'))?.[1] ?? '');
    if (token?.kind !== 'personal') throw new RestError(400, { message: '400 Bad request' });
    const { scopes, createdAt, expiresAt, revoked } = token;
    send(
      practice,
      ctx,
      { shapeFrom: 'doc/api/personal_access_tokens.md' },
      {
        ...{
          id: 4,
          name: 'Mooring',
          revoked,
          created_at: isoTime(createdAt),
          description: null,
          scopes,
          user_id: user.id,
        },
        ...{
          last_used_at: null,
          active: true,
          expires_at: expiresAt === undefined ? null : isoTime(expiresAt).slice(0, 10),
        },
      },
    );
  });
  addProjectRoutes(router, practice);
  addRepositoryRoutes(router, practice);
  addHookRoutes(router, practice);
  return router;
}

/** Wraps everything below /api/v4, also paths without a route. */
export function restGuard() {
  return async (ctx: Context, next: Next): Promise<void> => {
    if (!ctx.path.startsWith('/api/v4')) return next();
    ctx.set({
      'X-Request-Id': randomUUID(),
      'X-Runtime': '0.01',
      'Cache-Control': 'max-age=0, private, must-revalidate',
    });
    try {
      await next();
    } catch (thrown) {
      const error = badBody(thrown) ? new RestError(400, { error: 'The request body is not valid' }) : thrown;
      if (error instanceof RestError) {
        ctx.status = error.status;
        ctx.set(error.headers);
        ctx.set('Content-Type', typeof error.body === 'string' ? 'text/plain' : 'application/json');
        ctx.body = typeof error.body === 'string' ? error.body : JSON.stringify(error.body);
        return;
      }
      if (!(error instanceof BrokenAnswer)) ctx.app.emit('error', error, ctx);
      ctx.status = 500;
      ctx.set('Content-Type', 'application/json');
      ctx.body = JSON.stringify({ message: '500 Internal Server Error' });
    }
  };
}

/** What the body parser throws at broken JSON. */
const badBody = (error: unknown): boolean =>
  error instanceof Error && 'status' in error && error.status === 400 && !(error instanceof RestError);

/** After the routes: a path below /api/v4 that none of them took must not end at a page for people. */
export function restEnd(ctx: Context, next: Next): Promise<void> | undefined {
  if (!ctx.path.startsWith('/api/v4') || ctx.body !== undefined || ctx.status !== 404) return next();
  throw new RestError(404, { error: '404 Not Found' });
}
