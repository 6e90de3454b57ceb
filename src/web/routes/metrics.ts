import type { Router } from '@koa/router';
import type { WebContext, State } from '../context.ts';
import { seen } from '../seen.ts';

/** For Prometheus, with an API token: how sites and installation are, as far as the token's account sees them. */
export function metrics(router: Router<State>, web: WebContext): void {
  router.get('/metrics', async (ctx) => {
    const { all, sites } = seen(ctx, web);
    ctx.set('Cache-Control', 'no-store');
    ctx.type = metricsType;
    ctx.body = await web.deps.metrics.render(all ? undefined : sites());
  });
}

/** Version and encoding as the text format's specification has them. */
export const metricsType = 'text/plain; version=0.0.4; charset=utf-8';
