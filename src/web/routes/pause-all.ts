import type { Router } from '@koa/router';
import { z } from 'zod';
import { turnOf } from '../../model/maintenance.ts';
import type { Context, State, WebContext } from '../context.ts';
import { type FieldErrors, beside, fields, parse } from '../form.ts';
import { seen } from '../seen.ts';
import { accountName } from '../session.ts';
import { count, when } from '../times.ts';

/** Times as a browser's field for date and time gives them; on our pages all times are GMT. */
const time = z
  .string()
  .regex(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}$/, 'Enter date and time, such as 2026-12-24T18:00.')
  .refine((text) => isoMinutes(Date.parse(`${text}:00Z`)) === text, 'This date does not exist.')
  .transform((text) => Date.parse(`${text}:00Z`));

/** The form of such a field; empty where there is no such time. */
function isoMinutes(at: number): string {
  return Number.isNaN(at) ? '' : new Date(at).toISOString().slice(0, 16);
}

const pauseForm = z.object({ how: z.enum(['open', 'until']), until: z.string().default('') });
const windowForm = z.object({ from: time, to: time, every: z.enum(['once', 'day', 'week']) });

/** Pausing all sites together, now or in a planned maintenance window. */
export function pauseAll(router: Router<State>, web: WebContext): void {
  const { deps } = web;

  router.get('/pause-all', (ctx) => show(ctx, web, {}, {}));

  router.post('/pause-all', async (ctx) => {
    const entered = fields(ctx.request.body);
    const parsed = parse(pauseForm, entered);
    if (parsed.kind === 'bad') return show(ctx, web, entered, parsed.errors);
    const until = parsed.values.how === 'until' ? time.safeParse(parsed.values.until) : undefined;
    if (until && !until.success) return show(ctx, web, entered, { until: until.error.issues[0]?.message ?? '' });
    try {
      await deps.pauseAll.pause(accountName(ctx), until?.data);
    } catch (error) {
      return show(ctx, web, entered, beside(error, {}));
    }
    web.redirect(ctx, '/', { tone: 'good', title: 'All sites are paused', lines: ['Syncs under way finish first.'] });
  });

  router.post('/pause-all/resume', async (ctx) => {
    await deps.pauseAll.resume(accountName(ctx));
    web.redirect(ctx, '/', {
      tone: 'good',
      title: 'All sites resumed',
      lines: ['Edits that were made meanwhile are pushed now. Sites that were paused on their own stay paused.'],
    });
  });

  router.post('/pause-all/window', async (ctx) => {
    const entered = fields(ctx.request.body);
    if (entered['act'] === 'remove') {
      await deps.pauseAll.plan(undefined, accountName(ctx));
      return web.redirect(ctx, '/pause-all', { tone: 'good', title: 'No maintenance window is planned', lines: [] });
    }
    const parsed = parse(windowForm, entered);
    if (parsed.kind === 'bad') return show(ctx, web, entered, parsed.errors);
    const { from, to: until, every } = parsed.values;
    try {
      await deps.pauseAll.plan({ from, until, ...(every === 'once' ? {} : { every }) }, accountName(ctx));
    } catch (error) {
      const { until: to, ...rest } = beside(error, {});
      return show(ctx, web, entered, { ...rest, ...(to ? { to } : {}) });
    }
    web.redirect(ctx, '/pause-all', { tone: 'good', title: 'The maintenance window is planned', lines: [] });
  });
}

function show(ctx: Context, web: WebContext, entered: Readonly<Record<string, string>>, errors: FieldErrors): void {
  const { deps } = web;
  const now = deps.now();
  const pause = deps.pauseAll.now();
  const planned = deps.pauseAll.planned();
  const running = seen(ctx, web)
    .sites()
    .filter(({ binding, paused }) => binding && !paused).length;
  const next = planned?.window ?? { from: nextHour(now), until: nextHour(now) + 2 * 3_600_000 };
  web.render(
    ctx,
    'pages/pause-all.njk',
    {
      nav: 'sites',
      pause: pause
        ? { ...pause, since: when(pause.since, now), until: pause.until ? when(pause.until, now) : null }
        : null,
      running: count(running, 'site'),
      planned: planned
        ? {
            from: when(planned.turn.from, now),
            until: when(planned.turn.until, now),
            every: planned.window.every ?? '',
            isSkipped: planned.window.skipped === planned.turn.from,
            after: planned.window.every ? when(turnOf(planned.window, planned.turn.until)?.from ?? now, now) : null,
          }
        : null,
      values: {
        how: entered['how'] ?? 'open',
        until: entered['until'] ?? isoMinutes(nextHour(now)),
        from: entered['from'] ?? isoMinutes(next.from),
        to: entered['to'] ?? isoMinutes(next.until),
        every: entered['every'] ?? planned?.window.every ?? 'once',
      },
      errors,
    },
    Object.keys(errors).length > 0 ? 422 : 200,
  );
}

const nextHour = (now: number): number => Math.ceil(now / 3_600_000) * 3_600_000;
