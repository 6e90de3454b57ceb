import type { Router } from '@koa/router';
import type { Site } from '../../model/site.ts';
import { escapeControls } from '../../model/tree.ts';
import type { Context, State, WebContext } from '../context.ts';
import { fields } from '../form.ts';
import { accountName } from '../session.ts';
import { declaredConfirm, siteFrame, siteOf } from '../site-frame.ts';
import { showConnected } from '../sync-view.ts';

/** Site Settings / Source Syncing: the provider's row before connecting, two cards afterwards. */
export function syncing(router: Router<State>, web: WebContext): void {
  const { deps } = web;

  router.get('/sites/:id/settings/syncing', (ctx) => {
    const site = siteOf(ctx, web);
    if (site.binding) return showConnected(ctx, web, site);
    showProvider(ctx, web, site);
  });

  router.post('/sites/:id/sync', async (ctx) => {
    const site = siteOf(ctx, web);
    await deps.sites.syncNow(site.id, accountName(ctx));
    back(ctx, web, site, 'Sync requested', ['It starts now, or right after the one that is running.']);
  });

  router.post('/sites/:id/pause', async (ctx) => {
    const site = siteOf(ctx, web);
    await deps.sites.pause(site.id, accountName(ctx));
    back(ctx, web, site, 'Paused', [
      'Nothing is pulled or pushed until someone resumes the site. Edits in the folder stay where they are.',
    ]);
  });

  router.post('/sites/:id/stop', async (ctx) => {
    const site = siteOf(ctx, web);
    await deps.sites.pause(site.id, accountName(ctx), 'now');
    back(ctx, web, site, 'Stopped and paused', [
      'Mooring replaces files as a whole or not at all, so no file is incomplete. Resume continues where it stopped.',
    ]);
  });

  router.post('/sites/:id/resume', async (ctx) => {
    const site = siteOf(ctx, web);
    await deps.sites.resume(site.id, accountName(ctx));
    back(ctx, web, site, 'Resumed', ['What changed meanwhile on both sides is synced now.']);
  });

  router.post('/sites/:id/stay', async (ctx) => {
    const site = siteOf(ctx, web);
    await deps.connecting.stay(site.id);
    const branch = site.binding?.branch ?? '';
    back(ctx, web, site, `${site.name} stays on ${branch}`, [
      'Which branch is the default one is not brought up again.',
    ]);
  });

  router.post('/sites/:id/webhook', async (ctx) => {
    const site = siteOf(ctx, web);
    await deps.connecting.retryWebhook(site.id);
    web.redirect(ctx, `/sites/${site.id}/settings/syncing`);
  });
}

/** To the page the button was pressed on. */
function back(ctx: Context, web: WebContext, site: Site, title: string, lines: readonly string[]): void {
  const to = web.address.known(fields(ctx.request.body)['to']) ?? `/sites/${site.id}`;
  web.redirect(ctx, to, { tone: 'good', title, lines });
}

function showProvider(ctx: Context, web: WebContext, site: Site): void {
  const { deps, address } = web;
  const instance = deps.instance.get();
  const mine = deps.connections.mine(ctx.state.session?.accountId ?? '');
  const ready = mine?.health === 'good';
  web.render(ctx, 'pages/syncing.njk', {
    nav: 'sites',
    live: address.link(`/sites/${site.id}/live?view=syncing`),
    site: siteFrame(web, site, 'settings'),
    state: !instance ? 'Not configured' : ready ? 'Choose a repository' : 'Authentication required',
    configured: instance !== undefined,
    host: instance && URL.canParse(instance.url) ? new URL(instance.url).host : '',
    source: sourceView(web, site),
    as: mine && ready ? { name: escapeControls(mine.name), username: escapeControls(mine.username) } : null,
  });
}

/** The branch that a file declares for the site: a person confirms it here. */
function sourceView({ deps, address }: WebContext, site: Site) {
  const source = deps.declared.source(site.id);
  const at = deps.declared.site(site.id);
  if (!source || !at) return null;
  const confirm = declaredConfirm(address, site, source);
  const wanted = `${escapeControls(source.repository)} on ${escapeControls(source.branch)}`;
  return {
    state: `Declared: ${wanted}`,
    confirm: confirm ?? '',
    help: confirm
      ? 'No file changes until you confirm. The next page shows what would change.'
      : `The connection ${escapeControls(source.connection)} is not there yet. Authorise Mooring in GitLab with Connect, then apply ${escapeControls(at.file)} again.`,
  };
}
