import type { Router } from '@koa/router';
import type { WebContext, State } from '../context.ts';
import { liveStream } from '../live.ts';
import { whoAsks } from '../seen.ts';

/** Server-sent events to an open page. Resumes after the last id that the browser saw. */
export function events(router: Router<State>, { deps }: WebContext): void {
  router.get('/events', (ctx) => {
    const { sessionId = '' } = ctx.state;
    const accountId = whoAsks(ctx).account.id;
    const reader = () => (deps.sessions.find(sessionId) ? deps.accounts.get(accountId) : undefined);
    const last = ctx.get('Last-Event-ID');
    ctx.type = 'text/event-stream';
    ctx.set('Cache-Control', 'no-store');
    ctx.set('X-Accel-Buffering', 'no');
    ctx.body = liveStream(deps, reader, /^\d{1,15}$/.test(last) ? Number(last) : undefined);
  });
}
