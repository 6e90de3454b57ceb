import { createHash } from 'node:crypto';
import type { Router } from '@koa/router';
import { z } from 'zod';
import { Problem } from '../../model/problem.ts';
import type { Hold, HoldChoice, Site, SiteId } from '../../model/site.ts';
import { escapeControls } from '../../model/tree.ts';
import { wentBackGroup, wentBackHold, wentBackWords } from '../../model/went-back.ts';
import type { WebContext, State } from '../context.ts';
import { parse } from '../form.ts';
import { changesWords } from '../hold-words.ts';
import { type Seen, seen } from '../seen.ts';
import { bindingView } from '../site-frame.ts';
import { count, number, when } from '../times.ts';
import { accountName } from '../session.ts';

const path = '/attention/went-back';

/** Sites listed on the page; the rest is counted, and answered all the same. */
const mostNamed = 200;

const form = z.object({
  choice: z.enum(['put-back', 'go-on'] satisfies HoldChoice[]),
  /** Which question of which site was shown: pairs of a site's id and a digest. */
  shown: z
    .string()
    .max(200_000)
    .regex(/^[a-z0-9-]+:[0-9a-f]{16}(?: [a-z0-9-]+:[0-9a-f]{16})*$/),
});

const buttons = { 'put-back': 'Push back what GitLab lost', 'go-on': 'Follow GitLab' } as const;

/** Branches that went back together: one page and one answer for all of them. */
export function wentBack(router: Router<State>, web: WebContext): void {
  const { deps, address } = web;

  router.get(path, (ctx) => {
    const visible = seen(ctx, web);
    const group = wentBackGroup(visible.sites(), deps.sites.status);
    const rows = (group?.sites ?? []).flatMap((id) => heldSite(web, visible, id) ?? []);
    if (!group)
      return web.redirect(ctx, '/', { tone: 'busy', title: 'No branches have lost commits any more', lines: [] });
    web.render(ctx, 'pages/went-back.njk', {
      nav: 'attention',
      ...wentBackWords(group),
      branches: count(group.branches, 'branch', 'branches'),
      since: when(group.since, deps.now()),
      here: address.link(path),
      shown: rows.map(({ site, hold }) => `${site.id}:${digest(hold)}`).join(' '),
      buttons,
      alone: rows.some(({ hold }) => !hold.choices.includes('put-back')),
      sites: number(rows.length),
      rows: rows.slice(0, mostNamed).map((row) => rowView(web, row)),
      more: rows.length > mostNamed ? count(rows.length - mostNamed, 'more site') : '',
      onHold: address.link('/?state=hold'),
    });
  });

  router.post(path, async (ctx) => {
    const parsed = parse(form, ctx.request.body);
    if (parsed.kind === 'bad') throw new Problem('form-invalid');
    const { choice } = parsed.values;
    const shown = parsed.values.shown.split(' ').map((pair) => pair.split(':') as [SiteId, string]);
    const visible = seen(ctx, web);
    const open = shown.flatMap(([id, was]) => {
      const row = heldSite(web, visible, id);
      const isSame = row !== undefined && digest(row.hold) === was && row.hold.choices.includes(choice);
      return isSame ? [{ site: id, step: row.hold.step }] : [];
    });
    const changed = await deps.decisions.chooseForEach(open, choice, accountName(ctx));
    const answered = open.filter(({ site }) => !changed.includes(site)).length;
    const left = shown.length - answered;
    web.redirect(ctx, '/', {
      tone: answered === 0 ? 'warn' : 'good',
      title: answered === 0 ? 'Nothing was done' : `Chosen for ${count(answered, 'site')}: ${buttons[choice]}`,
      lines: [
        ...(answered > 0 ? ['Mooring is at it; each site’s activity says what came of it.'] : []),
        ...(left > 0
          ? [
              `${count(left, 'site')} not answered: the question ended or changed meanwhile. Look at what is still on hold.`,
            ]
          : []),
      ],
    });
  });
}

interface Row {
  readonly site: Site;
  readonly hold: Hold;
}

function heldSite({ deps }: WebContext, visible: Seen, id: SiteId): Row | undefined {
  const site = visible.site(id);
  const hold = site && wentBackHold(site, deps.sites.status);
  return site && hold ? { site, hold } : undefined;
}

/** A thousand of these fit into a form; the step itself is twice as long. */
function digest({ step, choices }: Hold): string {
  return createHash('sha256')
    .update(`${step} ${choices.join(' ')}`)
    .digest('hex')
    .slice(0, 16);
}

function rowView({ deps, address }: WebContext, { site, hold }: Row) {
  const { back, tally } = hold;
  const { toPush } = deps.sites.status(site.id).waiting;
  return {
    name: escapeControls(site.name),
    href: address.link(`/sites/${site.id}/hold`),
    binding: bindingView(site),
    lost: back ? count(back.lost, 'commit') : '',
    newer: back && back.newer > 0 ? count(back.newer, 'commit') : '',
    to: back?.to === undefined ? null : when(back.to, deps.now()),
    files: changesWords(tally),
    alone: !hold.choices.includes('put-back'),
    waiting: toPush > 0 ? number(toPush) : '',
  };
}
