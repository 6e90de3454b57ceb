import type { Router } from '@koa/router';
import type { State, WebContext } from '../context.ts';
import { fields } from '../form.ts';
import { showPicker } from '../picker.ts';
import { siteOf } from '../site-frame.ts';

/**
 * The picker. Everything is a GET form: search, then choose a project, then its branch; the answer to the last is the
 * confirmation, which counts and changes nothing.
 */
export function repository(router: Router<State>, web: WebContext): void {
  router.get('/sites/:id/repository', async (ctx) => {
    const site = siteOf(ctx, web);
    await showPicker(ctx, web, site, fields(ctx.query), {});
  });
}
