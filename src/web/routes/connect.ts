import type { Router } from '@koa/router';
import { Problem } from '../../model/problem.ts';
import type { Site } from '../../model/site.ts';
import type { Context, WebContext, State } from '../context.ts';
import { webUrl } from '../address.ts';
import { beside, fields, type FieldErrors } from '../form.ts';
import { seen } from '../seen.ts';
import { accountName, browserOf } from '../session.ts';
import { siteFrame, siteOf } from '../site-frame.ts';

/** Sends the browser to GitLab to authorise, and handles its return. */
export function connect(router: Router<State>, web: WebContext): void {
  const { deps } = web;

  router.post('/sites/:id/connect', async (ctx) => {
    const site = siteOf(ctx, web);
    if (!deps.instance.get()) return web.redirect(ctx, '/account/gitlab');
    // A valid connection of yours is used without asking again.
    const mine = deps.connections.mine(browserOf(ctx).accountId);
    if (mine?.health === 'good') return web.redirect(ctx, `/sites/${site.id}/repository`);
    await toGitLab(ctx, web, site);
  });

  router.post('/sites/:id/reconnect', async (ctx) => {
    const site = siteOf(ctx, web);
    if (!deps.instance.get()) return web.redirect(ctx, '/account/gitlab');
    await toGitLab(ctx, web, site);
  });

  // Another admin takes over the site with a connection of their own; without one, they authorise at GitLab first.
  router.post('/sites/:id/hand-over', async (ctx) => {
    const site = siteOf(ctx, web);
    if (!deps.instance.get()) return web.redirect(ctx, '/account/gitlab');
    const mine = deps.connections.mine(browserOf(ctx).accountId);
    if (mine?.health !== 'good') return toGitLab(ctx, web, site);
    await deps.connecting.handOver(site.id, mine, accountName(ctx));
    web.redirect(ctx, `/sites/${site.id}/settings/syncing`, {
      tone: 'good',
      title: 'This site now uses your connection',
      lines: ['Everything else stays: repository, branch, webhook, kept versions, and edits that wait.'],
    });
  });

  router.post('/sites/:id/access-token', async (ctx) => {
    const site = siteOf(ctx, web);
    if (!deps.instance.get()) return web.redirect(ctx, '/account/gitlab');
    const { accessToken = '', expires = '' } = fields(ctx.request.body);
    try {
      const connection = await deps.connections.useToken(browserOf(ctx).accountId, { accessToken, expires });
      if (!site.binding) return web.redirect(ctx, `/sites/${site.id}/repository?connection=${connection.id}`);
      await deps.connecting.handOver(site.id, connection, accountName(ctx), 'for-this');
    } catch (error) {
      return showAccessToken(ctx, web, site, { expires, errors: beside(error, {}) });
    }
    web.redirect(ctx, `/sites/${site.id}/settings/syncing`, {
      tone: 'good',
      title: 'The access token is in use',
      lines: ['It is stored encrypted. This page shows when it expires.'],
    });
  });

  router.get('/sites/:id/access-token', (ctx) =>
    showAccessToken(ctx, web, siteOf(ctx, web), { expires: '', errors: {} }),
  );

  router.get('/oauth/callback', async (ctx) => {
    const { state, code, error, error_description: errorDescription, iss } = fields(ctx.query);
    const { wanted, connection } = await deps.connections.finish(browserOf(ctx), {
      ...(state === undefined ? {} : { state }),
      ...(code === undefined ? {} : { code }),
      ...(error === undefined ? {} : { error }),
      ...(errorDescription === undefined ? {} : { errorDescription }),
      ...(iss === undefined ? {} : { iss }),
    });
    // Away at once: code and state must not stay in the address bar or the history.
    if ('handOver' in wanted)
      return web.redirect(ctx, `/account/connections/${wanted.handOver}/hand-over?to=${connection.id}`);
    const { site } = wanted;
    const present = seen(ctx, web).site(site);
    // It was taken from this account, or removed, while the browser was at GitLab.
    if (!present) throw new Problem('not-found', { what: 'site' });
    if (!present.binding) return web.redirect(ctx, `/sites/${site}/repository`);
    ctx.state.site = present;
    // They may have signed in to GitLab as somebody else: the site then uses that connection, if it has access.
    await deps.connecting.handOver(site, connection, accountName(ctx), 'for-this');
    web.redirect(ctx, `/sites/${site}/settings/syncing`, {
      tone: 'good',
      title: 'Connected to GitLab again',
      lines: [],
    });
  });
}

/** The token itself never comes back to the page. */
function showAccessToken(
  ctx: Context,
  web: WebContext,
  site: Site,
  { expires, errors }: { expires: string; errors: FieldErrors },
): void {
  const instance = web.deps.instance.get();
  const tokens = instance && webUrl(instance.url) ? `${instance.url}/-/user_settings/personal_access_tokens` : '';
  const model = { nav: 'sites', site: siteFrame(web, site, 'settings'), tokens, expires, errors };
  web.render(ctx, 'pages/access-token.njk', model, Object.keys(errors).length > 0 ? 422 : 200);
}

async function toGitLab(ctx: Context, { deps }: WebContext, site: Site): Promise<void> {
  const url = await deps.connections.begin(browserOf(ctx), { site: site.id });
  ctx.status = 303;
  ctx.redirect(url);
}
