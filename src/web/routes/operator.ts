import type { Router } from '@koa/router';
import type { WebContext, State } from '../context.ts';

/**
 * `/operator/v1`: what the command line asks that no program on the network may. Mounted behind the daemon's own socket
 * alone, after the operator was admitted.
 */
export function operator(router: Router<State>, { deps }: WebContext): void {
  router.use((ctx, next) => {
    ctx.set('Cache-Control', 'no-store');
    return next();
  });
  router.get('/operator/v1/check', async (ctx) => {
    ctx.body = { checks: await deps.setUp.check() };
  });
}
