import type { Router } from '@koa/router';
import type { AuditEntry } from '../../model/event.ts';
import { escapeControls } from '../../model/tree.ts';
import type { WebContext, State } from '../context.ts';
import { fields } from '../form.ts';
import { pageNumber, pages } from '../paging.ts';
import { dayHeading, when } from '../times.ts';
import { actIcons, actWords } from '../words.ts';

const perPage = 50;

/** What people decided, apart from the log of syncs. */
export function activity(router: Router<State>, web: WebContext): void {
  router.get('/activity', async (ctx) => {
    const { deps, address } = web;
    const asked = pageNumber(fields(ctx.query)['page']);
    const { rows, total } = await deps.history.acts({ limit: perPage, offset: (asked - 1) * perPage });
    const here = address.link('/activity');
    web.render(ctx, 'pages/activity.njk', {
      nav: 'activity',
      days: actDays(web, rows),
      pages: pages(asked, perPage, total, (n) => (n === 1 ? here : `${here}?page=${n}`)),
    });
  });
}

function actDays(web: WebContext, acts: readonly AuditEntry[]) {
  const now = web.deps.now();
  const days: { heading: string; acts: ReturnType<typeof actView>[] }[] = [];
  for (const act of acts) {
    const heading = dayHeading(act.at, now);
    if (days.at(-1)?.heading !== heading) days.push({ heading, acts: [] });
    days.at(-1)?.acts.push(actView(web, act));
  }
  return days;
}

function actView({ deps, address }: WebContext, record: AuditEntry) {
  const site = record.site === undefined ? undefined : deps.sites.get(record.site);
  return {
    ...actWords(record),
    icon: actIcons[record.act],
    by: escapeControls(record.by),
    site: site ? { name: escapeControls(site.name), href: address.link(`/sites/${site.id}`) } : null,
    time: when(record.at, deps.now()),
  };
}
