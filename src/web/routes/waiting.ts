import type { Router } from '@koa/router';
import type { State, WebContext } from '../context.ts';
import { fields } from '../form.ts';
import { progressView, workKey } from '../wait.ts';

/** For the script of a page that waits: how far the work is, without taking its answer. */
export function waiting(router: Router<State>, web: WebContext): void {
  router.get('/waiting', (ctx) => {
    const { work = '' } = fields(ctx.query);
    const { isRunning, progress } = web.pending.stateOf(workKey(ctx, work));
    ctx.set('Cache-Control', 'no-store');
    ctx.body = { isRunning, progress: progressView(progress) };
  });
}
