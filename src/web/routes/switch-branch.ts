import type { Router } from '@koa/router';
import type { State, WebContext } from '../context.ts';
import { fields } from '../form.ts';
import { showBranches } from '../picker.ts';
import { siteOf } from '../site-frame.ts';

/** Another branch of the same repository for a connected site. Ends with the same confirmation as connecting. */
export function switchBranch(router: Router<State>, web: WebContext): void {
  router.get('/sites/:id/branch', async (ctx) => {
    const site = siteOf(ctx, web);
    await showBranches(ctx, web, site, fields(ctx.query), {});
  });
}
