import type { Router } from '@koa/router';
import { z } from 'zod';
import { Problem } from '../../model/problem.ts';
import type { Binding, Hold, HoldChoice, SiteId } from '../../model/site.ts';
import { displayPath, escapeControls, escapeLines } from '../../model/tree.ts';
import { wentBackGroup, wentBackWords } from '../../model/went-back.ts';
import type { WebContext, State } from '../context.ts';
import { beside, filledLine, parse } from '../form.ts';
import { holdChoices, holdReason, holdTitle, holdWays, mayGoElsewhere } from '../hold-words.ts';
import { markView } from '../plan-view.ts';
import { type Seen, seen } from '../seen.ts';
import { siteFrame, siteOf } from '../site-frame.ts';
import { count, number } from '../times.ts';
import { problemView } from '../sync-view.ts';
import { accountName } from '../session.ts';

const elsewhere = z.object({ newBranch: filledLine('a branch', 300), mergeRequest: z.literal('yes').optional() });

const form = z.object({
  step: z.string().min(1).max(500),
  choice: z.enum(['put-back', 'go-on', 'adopt', 'try-again', 'leave-out'] satisfies HoldChoice[]),
});

/** Why a site stopped, and the choices as buttons. The answer names the question that was shown, so it counts for no other. */
export function hold(router: Router<State>, web: WebContext): void {
  const { deps } = web;

  router.get('/sites/:id/hold', (ctx) => {
    const site = siteOf(ctx, web);
    const status = deps.sites.status(site.id);
    const held = status.hold;
    const connection = site.binding && deps.connections.get(site.binding.connectionId);
    const entered = connection?.accessToken !== undefined;
    if (!held)
      return web.redirect(ctx, `/sites/${site.id}`, {
        tone: 'busy',
        title: 'This site is not on hold any more',
        lines: [],
      });
    web.render(ctx, 'pages/hold.njk', {
      nav: 'sites',
      site: siteFrame(web, site, 'activity'),
      title: holdTitle(held),
      reason: holdReason(held),
      code: held.code,
      step: held.step,
      choices: holdChoices(held),
      split: splitView(held),
      samples: held.samples.map(({ path, mark }) => ({ path: displayPath(path), ...markView[mark] })),
      more: moreOf(held),
      problem: status.problem ? problemView(status.problem) : null,
      said: escapeLines(held.text ?? ''),
      elsewhere: mayGoElsewhere(held) && site.binding ? elsewhereView(site.binding.branch, deps.now()) : null,
      errors: {},
      entered,
      other: site.binding ? otherBranch(web, site.id, site.binding) : null,
      together: togetherView(web, seen(ctx, web), site.id),
      ways: site.binding ? holdWays(held, entered ? 'access-token' : 'reconnect') : [],
    });
  });

  router.post('/sites/:id/push-elsewhere', async (ctx) => {
    const site = siteOf(ctx, web);
    const parsed = parse(elsewhere, ctx.request.body);
    const failed = (why: string): void =>
      web.redirect(ctx, `/sites/${site.id}/hold`, { tone: 'bad', title: 'Nothing was pushed', lines: [why] });
    if (parsed.kind === 'bad') return failed(Object.values(parsed.errors)[0] ?? '');
    const { newBranch, mergeRequest } = parsed.values;
    const wanted = { branch: newBranch, mergeRequest: mergeRequest === 'yes' };
    let said: string;
    try {
      said = await deps.connecting.pushElsewhere(site.id, wanted, accountName(ctx));
    } catch (error) {
      return failed(
        Object.values(beside(error, { 'branch-invalid': 'newBranch', 'push-refused': 'newBranch' }))[0] ?? '',
      );
    }
    web.redirect(ctx, `/sites/${site.id}`, {
      tone: 'good',
      title: `Pushed to ${newBranch}`,
      lines: [
        wanted.mergeRequest
          ? 'Mooring asked GitLab to open a merge request. When it is merged, the site continues automatically.'
          : 'The site stays on its branch. When the commit is merged into it, syncing continues automatically.',
        ...(said === '' ? [] : [`GitLab says: ${said.split('\n').join(' ')}`]),
      ],
    });
  });

  router.post('/sites/:id/hold', async (ctx) => {
    const site = siteOf(ctx, web);
    const parsed = parse(form, ctx.request.body);
    if (parsed.kind === 'bad') throw new Problem('form-invalid');
    const held = deps.sites.status(site.id).hold;
    if (!held || held.step !== parsed.values.step) {
      return web.redirect(ctx, `/sites/${site.id}${held ? '/hold' : ''}`, {
        tone: 'warn',
        title: 'Nothing was done: the question changed meanwhile',
        lines: [held ? 'Look at the new numbers and choose again.' : 'The site is not on hold any more.'],
      });
    }
    const words = holdChoices(held).find(({ choice }) => choice === parsed.values.choice);
    if (!words) throw new Problem('form-invalid');
    await deps.decisions.choose(site.id, parsed.values.step, parsed.values.choice, accountName(ctx));
    web.redirect(ctx, `/sites/${site.id}`, {
      tone: 'good',
      title: `Chosen: ${words.button}`,
      lines: ['Mooring is at it; the activity says what came of it.'],
    });
  });
}

/** The other branches that went back with this site's. */
function togetherView({ deps }: WebContext, { sites }: Seen, id: SiteId): { title: string } | null {
  const group = wentBackGroup(sites(), deps.sites.status);
  return group?.sites.includes(id) ? { title: wentBackWords(group).title } : null;
}

/** A name nobody has yet, most likely; the person may write another. */
function elsewhereView(branch: string, now: number) {
  return {
    from: escapeControls(branch),
    branch: `mooring/${new Date(now).toISOString().slice(0, 16).replace(/[-:]/g, '')}`,
  };
}

/** The repository's default branch, where the site is on another: the likeliest one to go on with. */
function otherBranch({ address }: WebContext, id: SiteId, { projectId, branch, defaultBranch }: Binding) {
  const other = defaultBranch === branch ? undefined : defaultBranch;
  const query = new URLSearchParams({ project: String(projectId), branch: other ?? '' });
  return {
    name: other === undefined ? '' : escapeControls(other),
    href: address.link(`/sites/${id}/confirm?${query}`),
  };
}

/** The share that would go, as a picture with its sentence. Only where there is a share to show. */
function splitView({ code, total, tally }: Hold): { total: number; gone: number; words: string } | null {
  // What is missing after a restore is written again.
  if (code === 'restored' || total === 0 || tally.removed === 0 || tally.removed > total) return null;
  const words = `${number(tally.removed)} of ${count(total, 'file')} would be removed, ${number(total - tally.removed)} stay`;
  return { total, gone: tally.removed, words };
}

function moreOf({ tally, samples }: Hold): string {
  const rest = tally.added + tally.changed + tally.removed - samples.length;
  return rest > 0 && samples.length > 0 ? `and ${count(rest, 'more path')}` : '';
}
