import type { Router } from '@koa/router';
import { escapeControls } from '../../model/tree.ts';
import type { WebContext, State } from '../context.ts';
import { siteFrame, siteOf } from '../site-frame.ts';
import { count } from '../times.ts';
import { accountName } from '../session.ts';

/** Disconnecting a site, and removing it. Files stay in both cases. */
export function disconnect(router: Router<State>, web: WebContext): void {
  const { deps, address } = web;

  router.get('/sites/:id/disconnect', async (ctx) => {
    const site = siteOf(ctx, web);
    if (!site.binding) return web.redirect(ctx, `/sites/${site.id}/settings/syncing`);
    const facts = await deps.connecting.disconnectFacts(site.id);
    const project = escapeControls(site.binding.projectPath);
    web.render(ctx, 'pages/disconnect.njk', {
      nav: 'sites',
      site: siteFrame(web, site, 'settings'),
      question: `Disconnect ${escapeControls(site.name)} from ${project}?`,
      action: address.link(`/sites/${site.id}/disconnect`),
      cancel: address.link(`/sites/${site.id}/settings/syncing`),
      verb: 'Disconnect',
      final: true,
      hidden: [],
      files: count(facts.files, 'file'),
      kept: count(facts.keptVersions, 'kept version'),
      connection: facts.connection,
      webhook: facts.webhook,
    });
  });

  router.post('/sites/:id/disconnect', async (ctx) => {
    const site = siteOf(ctx, web);
    const { leftOver } = await deps.connecting.disconnect(site.id, accountName(ctx));
    const project = site.binding?.projectPath ?? 'its repository';
    web.redirect(ctx, `/sites/${site.id}/settings/syncing`, {
      tone: leftOver.length > 0 ? 'warn' : 'good',
      title:
        leftOver.length > 0 ? `Disconnected from ${project}, with something left over` : `Disconnected from ${project}`,
      lines: leftOver.length > 0 ? leftOver : ['All files stay where they are.'],
    });
  });

  router.get('/sites/:id/remove', (ctx) => {
    const site = siteOf(ctx, web);
    if (site.binding) return web.redirect(ctx, `/sites/${site.id}/disconnect`);
    web.render(ctx, 'pages/remove.njk', {
      nav: 'sites',
      site: siteFrame(web, site, 'settings'),
      question: `Remove the site ${escapeControls(site.name)}?`,
      action: address.link(`/sites/${site.id}/remove`),
      cancel: address.link(`/sites/${site.id}/settings/syncing`),
      verb: 'Remove site',
      final: true,
      hidden: [],
    });
  });

  router.post('/sites/:id/remove', async (ctx) => {
    const site = siteOf(ctx, web);
    await deps.sites.remove(site.id, accountName(ctx));
    web.redirect(ctx, '/', {
      tone: 'good',
      title: `${site.name} is removed`,
      lines: [`Its files stay in ${site.folder}.`],
    });
  });
}
