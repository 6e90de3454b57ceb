import type { Router } from '@koa/router';
import { Problem } from '../../model/problem.ts';
import type { Site } from '../../model/site.ts';
import type { Context, Room, State } from '../context.ts';
import { fields } from '../form.ts';
import { sessionKey } from '../session.ts';
import { siteOf } from '../site-frame.ts';

/** Off to GitLab and back. */
export function connect(router: Router<State>, room: Room): void {
  const { deps } = room;

  router.post('/sites/:id/connect', async (ctx) => {
    const site = siteOf(ctx, room);
    if (!deps.instance.get()) return room.leave(ctx, '/account/gitlab');
    // A valid connection of yours is used without asking again.
    const mine = deps.connections.mine(person(ctx).accountId);
    if (mine?.health === 'good') return room.leave(ctx, `/sites/${site.id}/repository`);
    await toGitLab(ctx, room, site);
  });

  router.post('/sites/:id/reconnect', async (ctx) => {
    const site = siteOf(ctx, room);
    if (!deps.instance.get()) return room.leave(ctx, '/account/gitlab');
    await toGitLab(ctx, room, site);
  });

  router.get('/oauth/callback', async (ctx) => {
    const { state, code, error, error_description: errorDescription } = fields(ctx.query);
    const { site } = await deps.connections.finish(person(ctx), {
      ...(state === undefined ? {} : { state }),
      ...(code === undefined ? {} : { code }),
      ...(error === undefined ? {} : { error }),
      ...(errorDescription === undefined ? {} : { errorDescription }),
    });
    // Away at once: code and state must not stay in the address bar or the history.
    const bound = deps.sites.get(site)?.binding !== undefined;
    if (!bound) return room.leave(ctx, `/sites/${site}/repository`);
    room.leave(ctx, `/sites/${site}/settings/syncing`, { tone: 'good', title: 'Connected to GitLab again', lines: [] });
  });
}

async function toGitLab(ctx: Context, { deps }: Room, site: Site): Promise<void> {
  const url = await deps.connections.begin(person(ctx), site.id);
  ctx.status = 303;
  ctx.redirect(url);
}

function person(ctx: Context): { accountId: string; sessionKey: string } {
  const { session, sessionId } = ctx.state;
  if (!session || sessionId === undefined) throw new Problem('not-allowed', { why: 'signed-out' });
  return { accountId: session.accountId, sessionKey: sessionKey(sessionId) };
}
