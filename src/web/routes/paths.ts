import type { Router } from '@koa/router';
import { z } from 'zod';
import type { BranchName, ConnectionId, ProjectId } from '../../model/instance.ts';
import { Problem } from '../../model/problem.ts';
import { displayPath, escapeControls } from '../../model/tree.ts';
import type { WebContext, State } from '../context.ts';
import { fields, line, parse } from '../form.ts';
import { holdTitle } from '../hold-words.ts';
import { pageNumber, pages } from '../paging.ts';
import { markView } from '../plan-view.ts';
import { siteFrame, siteOf } from '../site-frame.ts';
import { bytes, count, number } from '../times.ts';

const perPage = 200;

const question = z.object({
  project: z.string().regex(/^[1-9]\d{0,15}$/),
  branch: line('a branch', 300),
  direction: z.enum(['replace', 'start-from-folder']).default('replace'),
  subfolder: line('a subfolder', 500).default(''),
  connection: line('a connection', 100).default(''),
});

/** Every path a question is about, page by page: of a first connect, and of a hold. */
export function paths(router: Router<State>, web: WebContext): void {
  const { deps, address } = web;

  router.get('/sites/:id/confirm/paths', async (ctx) => {
    const site = siteOf(ctx, web);
    const query = fields(ctx.query);
    const parsed = parse(question, query);
    if (parsed.kind === 'bad') throw new Problem('form-invalid');
    const { project, branch, direction, subfolder, connection } = parsed.values;
    const projectId = Number(project) as ProjectId;
    const wanted = {
      ...{ site: site.id, projectId, branch: branch as BranchName, direction, subfolder },
      ...(connection === '' ? {} : { connection: connection as ConnectionId }),
    };
    const plan = await deps.connecting.plan(wanted, ctx.state.session?.accountId ?? '');
    const words = new URLSearchParams({ project, branch, direction, subfolder, connection });
    const here = address.link(`/sites/${site.id}/confirm/paths`);
    const paging = pages(pageNumber(query['page']), perPage, plan.samples.length, (n) => `${here}?${words}&page=${n}`);
    const total = plan.replaced + plan.added + plan.removed;
    web.render(ctx, 'pages/paths.njk', {
      nav: 'sites',
      site: siteFrame(web, site, 'settings'),
      title: titleOf(count(total, 'change'), total, plan.samples.length),
      lede: `What connecting to ${escapeControls(branch)} would do to each path.`,
      back: {
        href: address.link(`/sites/${site.id}/confirm?${words}`),
        crumb: 'Confirm',
        word: 'Back to the question',
      },
      rows: plan.samples
        .slice(paging.from, paging.to)
        .map(({ mark, path, bytes: size }) => ({ ...markView[mark], path: displayPath(path), note: bytes(size) })),
      rest: restOf(total, plan.samples.length),
      pages: paging,
    });
  });

  router.get('/sites/:id/hold/paths', (ctx) => {
    const site = siteOf(ctx, web);
    const { hold } = deps.sites.status(site.id);
    if (!hold) return web.redirect(ctx, `/sites/${site.id}`);
    const here = address.link(`/sites/${site.id}/hold/paths`);
    const samples = deps.decisions.heldPaths(site.id);
    const paging = pages(pageNumber(fields(ctx.query)['page']), perPage, samples.length, (n) => `${here}?page=${n}`);
    const total = hold.tally.added + hold.tally.changed + hold.tally.removed;
    web.render(ctx, 'pages/paths.njk', {
      nav: 'sites',
      site: siteFrame(web, site, 'activity'),
      title: titleOf(count(total, 'path'), total, samples.length),
      lede: `${holdTitle(hold)}.`,
      back: { href: address.link(`/sites/${site.id}/hold`), crumb: 'On hold', word: 'Back to the choices' },
      rows: samples
        .slice(paging.from, paging.to)
        .map(({ mark, path }) => ({ ...markView[mark], path: displayPath(path), note: '' })),
      rest: restOf(total, samples.length),
      pages: paging,
    });
  });
}

/** Never "all" when it is not: the engine names only so many. */
function titleOf(words: string, total: number, named: number): string {
  return total > named ? words : `All ${words}`;
}

function restOf(total: number, named: number): string {
  return total > named ? `${number(total - named)} more are counted but not named here.` : '';
}
