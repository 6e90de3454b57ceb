import type { Router } from '@koa/router';
import type { Project } from '../../model/instance.ts';
import { Problem } from '../../model/problem.ts';
import type { Site } from '../../model/site.ts';
import { escapeControls } from '../../model/tree.ts';
import type { Context, Room, State } from '../context.ts';
import { fields, type FieldErrors } from '../form.ts';
import { siteFrame, siteOf } from '../site-frame.ts';
import { chosenView } from './repository.ts';

/** Another branch of the same repository for a connected site. Ends in the same warning as connecting. */
export function switchBranch(router: Router<State>, room: Room): void {
  router.get('/sites/:id/branch', async (ctx) => {
    const site = siteOf(ctx, room);
    await showBranches(ctx, room, site, fields(ctx.query), {});
  });
}

/** Also shown again with what is wrong with the chosen one. */
export async function showBranches(
  ctx: Context,
  room: Room,
  site: Site,
  query: Readonly<Record<string, string>>,
  errors: FieldErrors,
): Promise<void> {
  const { deps, address } = room;
  const { binding } = site;
  if (!binding) return room.leave(ctx, `/sites/${site.id}/settings/syncing`);
  const connection = deps.connections.get(binding.connectionId);
  if (!connection) throw new Problem('grant-lost', {});
  const search = (query['branches'] ?? '').slice(0, 200);
  const project: Project = await deps.repositories.project(connection, binding.projectId);
  const choice = await deps.repositories.branches(connection, project, search);
  const chosen = chosenView({ project, choice, present: binding.branch, search }, query);
  const model = {
    nav: 'sites',
    site: siteFrame(room, site, 'settings'),
    here: address.link(`/sites/${site.id}/branch`),
    q: '',
    chosen: { ...chosen, start: escapeControls(binding.branch) },
    confirm: address.link(`/sites/${site.id}/confirm`),
    errors,
  };
  room.show(ctx, 'pages/switch-branch.njk', model, Object.keys(errors).length > 0 ? 422 : 200);
}
