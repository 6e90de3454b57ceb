import type { Router } from '@koa/router';
import type { AuditEntry } from '../../model/event.ts';
import { escapeControls } from '../../model/tree.ts';
import type { WebContext, State } from '../context.ts';
import { fields } from '../form.ts';
import { pageNumber, pages } from '../paging.ts';
import { type Seen, seen } from '../seen.ts';
import { dayHeading, when } from '../times.ts';
import { actIcons, actWords } from '../words.ts';

const perPage = 50;

/** What people decided, apart from the log of syncs. */
export function activity(router: Router<State>, web: WebContext): void {
  router.get('/activity', async (ctx) => {
    const asked = pageNumber(fields(ctx.query)['page']);
    const { address } = web;
    const visible = seen(ctx, web);
    const { rows, total } = await visible.acts({ limit: perPage, offset: (asked - 1) * perPage });
    const here = address.link('/activity');
    web.render(ctx, 'pages/activity.njk', {
      nav: 'activity',
      days: actDays(web, visible, rows),
      pages: pages(asked, perPage, total, (n) => (n === 1 ? here : `${here}?page=${n}`)),
    });
  });
}

function actDays(web: WebContext, visible: Seen, acts: readonly AuditEntry[]) {
  const now = web.deps.now();
  const days: { heading: string; acts: ReturnType<typeof actView>[] }[] = [];
  for (const act of acts) {
    const heading = dayHeading(act.at, now);
    if (days.at(-1)?.heading !== heading) days.push({ heading, acts: [] });
    days.at(-1)?.acts.push(actView(web, visible, act));
  }
  return days;
}

function actView({ deps, address }: WebContext, visible: Seen, record: AuditEntry) {
  const site = record.site === undefined ? undefined : visible.site(record.site);
  return {
    ...actWords(record),
    icon: actIcons[record.act],
    by: escapeControls(record.by),
    site: site ? { name: escapeControls(site.name), href: address.link(`/sites/${site.id}`) } : null,
    time: when(record.at, deps.now()),
  };
}
