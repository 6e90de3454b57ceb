import type { Router } from '@koa/router';
import type { Project } from '../../model/instance.ts';
import { Problem } from '../../model/problem.ts';
import type { Site } from '../../model/site.ts';
import { escapeControls } from '../../model/tree.ts';
import type { Context, WebContext, State } from '../context.ts';
import { fields, type FieldErrors } from '../form.ts';
import { siteFrame, siteOf } from '../site-frame.ts';
import { chosenView } from './repository.ts';

/** Another branch of the same repository for a connected site. Ends in the same warning as connecting. */
export function switchBranch(router: Router<State>, web: WebContext): void {
  router.get('/sites/:id/branch', async (ctx) => {
    const site = siteOf(ctx, web);
    await showBranches(ctx, web, site, fields(ctx.query), {});
  });
}

/** Also shown again with what is wrong with the chosen one. */
export async function showBranches(
  ctx: Context,
  web: WebContext,
  site: Site,
  query: Readonly<Record<string, string>>,
  errors: FieldErrors,
): Promise<void> {
  const { deps, address } = web;
  const { binding } = site;
  if (!binding) return web.redirect(ctx, `/sites/${site.id}/settings/syncing`);
  const connection = deps.connections.get(binding.connectionId);
  if (!connection) throw new Problem('grant-lost', {});
  const search = (query['branches'] ?? '').slice(0, 200);
  const project: Project = await deps.repositories.project(connection, binding.projectId);
  const choice = await deps.repositories.branches(connection, project, search);
  const chosen = chosenView({ project, choice, present: binding.branch, search }, query);
  const model = {
    nav: 'sites',
    site: siteFrame(web, site, 'settings'),
    here: address.link(`/sites/${site.id}/branch`),
    q: '',
    chosen: { ...chosen, start: escapeControls(binding.branch) },
    confirm: address.link(`/sites/${site.id}/confirm`),
    errors,
  };
  web.render(ctx, 'pages/switch-branch.njk', model, Object.keys(errors).length > 0 ? 422 : 200);
}
