import type Router from '@koa/router';
import { Problem } from '../../model/problem.ts';
import { escapeControls } from '../../model/tree.ts';
import type { State, WebContext } from '../context.ts';
import { type Manual, mostFound, readManual } from '../manual.ts';

/** Of what somebody searches for. */
const longest = 200;

/** The documentation, from the same files that the repository has under `docs/`. */
export function docs(router: Router<State>, web: WebContext): void {
  let read: Manual | undefined;
  const manual = (): Manual => (read ??= readManual(web.address));

  router.get('/docs', (ctx) => {
    const asked = typeof ctx.query['q'] === 'string' ? ctx.query['q'].slice(0, longest).trim() : '';
    const found = manual().search(asked);
    web.render(ctx, 'pages/docs.njk', {
      q: escapeControls(asked),
      groups: manual().groups,
      found,
      amount: found.length === mostFound ? `The first ${mostFound} results` : `${found.length} results`,
    });
  });

  router.get('/docs/:page', (ctx) => {
    const page = manual().page(ctx.params['page'] ?? '');
    if (!page) throw new Problem('not-found');
    web.render(ctx, 'pages/doc.njk', {
      q: '',
      page,
      headings: page.sections.filter(({ level }) => level === 2),
    });
  });
}
