import { randomBytes } from 'node:crypto';
import type { Context, Next } from './context.ts';
import type { WebDeps } from './deps.ts';

/**
 * Gives each request an id that is answered as `X-Request-Id` and stands in every line that is logged meanwhile, so that
 * somebody who quotes one finds the other. One that comes along is not used: anybody could write it, and lines of
 * different requests would run together.
 */
export function requestId({ inRequest, log, now }: Pick<WebDeps, 'inRequest' | 'log' | 'now'>) {
  return (ctx: Context, next: Next): Promise<void> => {
    const id = randomBytes(8).toString('hex');
    ctx.set('X-Request-Id', id);
    return inRequest(id, async () => {
      const began = now();
      await next();
      // Without the query: that of GitLab's redirect holds a code.
      log('debug', 'Request', { method: ctx.method, path: ctx.path, status: ctx.status, durationMs: now() - began });
    });
  };
}
