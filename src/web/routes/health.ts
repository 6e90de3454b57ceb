import type { Router } from '@koa/router';
import type { WebContext, State } from '../context.ts';

/** For monitoring: the process lives; the store can be written and the scheduler runs. Never cached. */
export function health(router: Router<State>, { deps }: WebContext): void {
  router.get('/healthz', (ctx) => {
    ctx.set('Cache-Control', 'no-store');
    ctx.type = 'text/plain';
    ctx.body = 'ok\n';
  });
  router.get('/readyz', async (ctx) => {
    const faults = deps.stopping?.aborted ? ['Mooring is stopping'] : await deps.health.faults();
    ctx.set('Cache-Control', 'no-store');
    ctx.status = faults.length === 0 ? 200 : 503;
    ctx.type = 'text/plain';
    ctx.body = faults.length === 0 ? 'ready\n' : `not ready: ${faults.join('; ')}\n`;
  });
}
