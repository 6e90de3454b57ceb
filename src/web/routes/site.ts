import type { Router } from '@koa/router';
import { daysChart, hoursChart, tookChart } from '../chart.ts';
import { Problem } from '../../model/problem.ts';
import { displayPath, sitePath } from '../../model/tree.ts';
import type { Context, WebContext, State } from '../context.ts';
import type { WebDeps } from '../deps.ts';
import { fields } from '../form.ts';
import { pageNumber, pages } from '../paging.ts';
import { refusalView } from '../plan-view.ts';
import { runDays } from '../run-view.ts';
import { siteFrame, siteOf } from '../site-frame.ts';
import { count, number } from '../times.ts';
import { progressWords } from '../words.ts';
import { showConnected, syncView } from '../sync-view.ts';
import { accountName } from '../session.ts';

const perPage = 25;
const shownPaths = 20;

/** What an upgrade stopped ignoring, and a person has to decide about; null: nothing. */
function wasIgnoredView({ step, left }: ReturnType<WebDeps['settings']['wasIgnored']>) {
  if (left.length === 0) return null;
  const paths = left.map(({ path, reason }) => displayPath(path) + ('folder' in reason && reason.folder ? '/' : ''));
  return {
    step,
    count: number(left.length),
    paths: paths.slice(0, shownPaths),
    more: paths.length > shownPaths ? `and ${count(paths.length - shownPaths, 'more path')}` : '',
  };
}

/** One site: its activity, newest first, and the facts beside it. */
export function site(router: Router<State>, web: WebContext): void {
  router.get('/sites/:id', (ctx) => showActivity(ctx, web));
  // From a run that says what was let go: one file goes from the folder too.
  router.post('/sites/:id/let-go/remove', async (ctx) => {
    const found = siteOf(ctx, web);
    const p = fields(ctx.request.body)['p'] ?? '';
    if (!/^[\w-]{1,8000}$/.test(p)) throw new Problem('form-invalid');
    const path = sitePath(Buffer.from(p, 'base64url'));
    await web.deps.decisions.removeLetGo(found.id, path, accountName(ctx));
    web.redirect(ctx, `/sites/${found.id}`, {
      tone: 'good',
      title: `${displayPath(path)} is removed`,
      lines: ['Mooring kept a copy. See Kept versions.'],
    });
  });

  // The parts of a page that change while somebody looks at it. Script asks for them after an event.
  router.get('/sites/:id/live', (ctx) => {
    ctx.request.headers['x-part'] = 'live';
    const found = siteOf(ctx, web);
    if (fields(ctx.query)['view'] !== 'syncing') return showActivity(ctx, web);
    if (found.binding) return showConnected(ctx, web, found);
    ctx.status = 204;
  });
}

async function showActivity(ctx: Context & { params: Record<string, string> }, web: WebContext): Promise<void> {
  const { deps, address } = web;
  const found = siteOf(ctx, web);
  const status = deps.sites.status(found.id);
  const now = deps.now();
  const asked = pageNumber(fields(ctx.query)['page']);
  const { rows, total } = await deps.history.runs(found.id, { limit: perPage, offset: (asked - 1) * perPage });
  const after = await deps.history.after(
    found.id,
    rows.map(({ id }) => id),
  );
  const stats = found.binding ? await deps.syncStats.of(found.id) : undefined;
  const home = address.link(`/sites/${found.id}`);
  const connection = found.binding && deps.connections.get(found.binding.connectionId);
  const paging = pages(asked, perPage, total, (n) => (n === 1 ? home : `${home}?page=${n}`));
  web.render(ctx, 'pages/site.njk', {
    nav: 'sites',
    live: address.link(`/sites/${found.id}/live${asked > 1 ? `?page=${asked}` : ''}`),
    site: siteFrame(web, found, 'activity'),
    sync: syncView(web, found, status),
    newToken: status.hold?.code === 'reconnect' && connection?.accessToken !== undefined,
    running: status.progress && asked === 1 ? { words: progressWords(status.progress), ...status.progress } : null,
    days: runDays(found, rows, after, now),
    charts: stats ? [hoursChart(stats.hours), daysChart(stats.days)] : [],
    took: stats ? tookChart(stats.took, now) : null,
    pages: paging,
    conflicts: status.conflicts > 0 ? count(status.conflicts, 'conflict') : '',
    policy: found.settings.policy,
    wasIgnored: wasIgnoredView(deps.settings.wasIgnored(found.id)),
    notSynced: status.notSynced.slice(0, 100).map(refusalView),
    notSyncedCount: status.notSyncedCount > 0 ? number(status.notSyncedCount) : '',
    moreNotSynced:
      status.notSyncedCount > status.notSynced.length
        ? `and ${count(status.notSyncedCount - status.notSynced.length, 'more path')}`
        : '',
  });
}
