import type { Router } from '@koa/router';
import { escapeControls } from '../../model/tree.ts';
import type { Room, State } from '../context.ts';
import { siteFrame, siteOf } from '../site-frame.ts';
import { count } from '../times.ts';
import { who } from './syncing.ts';

/** The two ways out: end the syncing of a site, and forget the site. Files stay in both. */
export function disconnect(router: Router<State>, room: Room): void {
  const { deps, address } = room;

  router.get('/sites/:id/disconnect', async (ctx) => {
    const site = siteOf(ctx, room);
    if (!site.binding) return room.leave(ctx, `/sites/${site.id}/settings/syncing`);
    const facts = await deps.connecting.disconnectFacts(site.id);
    const project = escapeControls(site.binding.projectPath);
    room.show(ctx, 'pages/disconnect.njk', {
      nav: 'sites',
      site: siteFrame(room, site, 'settings'),
      question: `Disconnect ${escapeControls(site.name)} from ${project}?`,
      action: address.link(`/sites/${site.id}/disconnect`),
      cancel: address.link(`/sites/${site.id}/settings/syncing`),
      verb: 'Disconnect',
      final: true,
      hidden: [],
      files: count(facts.files, 'file'),
      kept: count(facts.keptVersions, 'kept version'),
      grant: facts.grant,
      webhook: facts.webhook,
    });
  });

  router.post('/sites/:id/disconnect', async (ctx) => {
    const site = siteOf(ctx, room);
    const { leftOver } = await deps.connecting.disconnect(site.id, who(ctx));
    const project = site.binding?.projectPath ?? 'its repository';
    room.leave(ctx, `/sites/${site.id}/settings/syncing`, {
      tone: leftOver.length > 0 ? 'warn' : 'good',
      title:
        leftOver.length > 0 ? `Disconnected from ${project}, with something left over` : `Disconnected from ${project}`,
      lines: leftOver.length > 0 ? leftOver : ['All files stay where they are.'],
    });
  });

  router.get('/sites/:id/remove', (ctx) => {
    const site = siteOf(ctx, room);
    if (site.binding) return room.leave(ctx, `/sites/${site.id}/disconnect`);
    room.show(ctx, 'pages/remove.njk', {
      nav: 'sites',
      site: siteFrame(room, site, 'settings'),
      question: `Remove the site ${escapeControls(site.name)}?`,
      action: address.link(`/sites/${site.id}/remove`),
      cancel: address.link(`/sites/${site.id}/settings/syncing`),
      verb: 'Remove site',
      final: true,
      hidden: [],
    });
  });

  router.post('/sites/:id/remove', async (ctx) => {
    const site = siteOf(ctx, room);
    await deps.sites.remove(site.id, who(ctx));
    room.leave(ctx, '/', {
      tone: 'good',
      title: `${site.name} is removed`,
      lines: [`Its files stay in ${site.folder}.`],
    });
  });
}
