import type { Router } from '@koa/router';
import type { Room, State } from '../context.ts';

/** For monitoring: the process lives; the store is open and the scheduler alive. Never cached. */
export function health(router: Router<State>, { deps }: Room): void {
  router.get('/healthz', (ctx) => {
    ctx.set('Cache-Control', 'no-store');
    ctx.type = 'text/plain';
    ctx.body = 'ok\n';
  });
  router.get('/readyz', (ctx) => {
    const ready = deps.health.ready();
    ctx.set('Cache-Control', 'no-store');
    ctx.status = ready ? 200 : 503;
    ctx.type = 'text/plain';
    ctx.body = ready ? 'ready\n' : 'not ready\n';
  });
}
