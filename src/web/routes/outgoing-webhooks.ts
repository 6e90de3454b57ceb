import type { Router } from '@koa/router';
import { z } from 'zod';
import { type OutgoingDelivery, type OutgoingEvent, outgoingEvents } from '../../model/outgoing.ts';
import { Problem } from '../../model/problem.ts';
import { escapeControls } from '../../model/tree.ts';
import type { Context, State, WebContext } from '../context.ts';
import { type FieldErrors, beside, fields, line, parse } from '../form.ts';
import { accountName } from '../session.ts';
import { count, when } from '../times.ts';

const form = z.object({ address: line('the address', 2_000).default('') });

type Named = Context & { params: Record<string, string> };

/** Account Settings / Webhooks: programs elsewhere that are called after a sync, and what became of the calls. */
export function outgoingWebhooks(router: Router<State>, web: WebContext): void {
  const { deps, address } = web;
  const pageOf = (id: string): string => `/account/webhooks/${id}`;

  router.get('/account/webhooks', (ctx) => show(ctx, web, {}));

  router.post('/account/webhooks', async (ctx) => {
    const entered = fields(ctx.request.body);
    const parsed = parse(form, entered);
    if (parsed.kind === 'bad') return show(ctx, web, { errors: parsed.errors, entered });
    const events = outgoingEvents.filter((event) => entered[`event-${event}`] === 'yes');
    if (events.length === 0) return show(ctx, web, { errors: { events: 'Select at least one event.' }, entered });
    try {
      const { webhook, secret } = await deps.outgoing.add({ address: parsed.values.address, events }, accountName(ctx));
      // No redirect: this response is the only one that contains the secret.
      show(ctx, web, { made: { host: escapeControls(webhook.host), secret } });
    } catch (error) {
      show(ctx, web, { errors: beside(error, {}), entered });
    }
  });

  router.get('/account/webhooks/:wid', (ctx) => showOne(ctx, web));

  router.post('/account/webhooks/:wid/switch', async (ctx: Named) => {
    const id = ctx.params['wid'] ?? '';
    const { on, host } = await deps.outgoing.turn(id, fields(ctx.request.body)['on'] === 'yes', accountName(ctx));
    web.redirect(ctx, pageOf(id), {
      tone: 'good',
      title: `The webhook to ${escapeControls(host)} is ${on ? 'on' : 'off'}`,
      lines: [on ? 'It is called after the next sync.' : 'What happens while it is off is never sent.'],
    });
  });

  router.post('/account/webhooks/:wid/send', async (ctx: Named) => {
    const id = ctx.params['wid'] ?? '';
    const { state, tries } = await deps.outgoing.sendAgain(id, fields(ctx.request.body)['delivery'] ?? '');
    const isGood = state === 'delivered';
    web.redirect(ctx, pageOf(id), {
      tone: isGood ? 'good' : 'bad',
      title: isGood ? 'It was delivered' : 'It was not delivered',
      lines: [escapeControls(tries.at(-1)?.said ?? '')],
    });
  });

  router.get('/account/webhooks/:wid/remove', (ctx: Named) => {
    const { id, host } = deps.outgoing.get(ctx.params['wid'] ?? '');
    web.render(ctx, 'pages/remove-webhook.njk', {
      nav: 'account',
      question: `Remove the webhook to ${escapeControls(host)}?`,
      action: address.link(`${pageOf(id)}/remove`),
      cancel: address.link('/account/webhooks'),
      verb: 'Remove webhook',
      final: true,
      hidden: [],
    });
  });

  router.post('/account/webhooks/:wid/remove', async (ctx: Named) => {
    const { id, host } = deps.outgoing.get(ctx.params['wid'] ?? '');
    await deps.outgoing.remove(id, accountName(ctx));
    web.redirect(ctx, '/account/webhooks', {
      tone: 'good',
      title: `The webhook to ${escapeControls(host)} is removed`,
      lines: ['It is not called any more.'],
    });
  });
}

interface Shown {
  readonly errors?: FieldErrors;
  readonly entered?: Readonly<Record<string, string>>;
  readonly made?: { readonly host: string; readonly secret: string };
}

const eventWords: Record<OutgoingEvent, readonly [name: string, help: string]> = {
  pulled: ['Pulled', 'Files from GitLab have arrived in the folder.'],
  pushed: ['Pushed', 'Edits from the folder are on GitLab.'],
  conflict: ['Conflict', 'Both sides changed the same file.'],
  hold: ['On hold', 'A site waits for someone to decide.'],
};

function show(ctx: Context, web: WebContext, { errors = {}, entered, made }: Shown): void {
  const { deps, address } = web;
  const { webhooks, damaged } = stored(web);
  const model = {
    nav: 'account',
    errors,
    made: made ?? null,
    damaged,
    webhooks: webhooks.map(({ id, host, events, on, createdAt }) => ({
      ...{ host: escapeControls(host), on },
      home: address.link(`/account/webhooks/${id}`),
      remove: address.link(`/account/webhooks/${id}/remove`),
      events: events.map((event) => eventWords[event][0].toLowerCase()).join(', '),
      made: when(createdAt, deps.now()),
      ...tallyOf(deps.outgoing.deliveries(id)),
    })),
    events: outgoingEvents.map((event) => ({
      ...{ name: `event-${event}`, label: eventWords[event][0], help: eventWords[event][1] },
      checked: entered ? entered[`event-${event}`] === 'yes' : event === 'pulled',
    })),
    v: { address: entered?.['address'] ?? '' },
  };
  web.render(ctx, 'pages/outgoing-webhooks.njk', model, Object.keys(errors).length > 0 ? 422 : 200);
}

/** A damaged store must not close the page on which somebody can repair it. */
function stored({ deps }: WebContext): { webhooks: ReturnType<typeof deps.outgoing.all>; damaged: boolean } {
  try {
    return { webhooks: deps.outgoing.all(), damaged: false };
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return { webhooks: [], damaged: true };
  }
}

function tallyOf(deliveries: readonly OutgoingDelivery[]) {
  const waiting = deliveries.filter(({ state, tries }) => state === 'waiting' && tries.length > 0).length;
  const failed = deliveries.filter(({ state }) => state === 'failed').length;
  return {
    waiting: waiting > 0 ? `${count(waiting, 'delivery', 'deliveries')} retrying` : '',
    failed: failed > 0 ? `${count(failed, 'delivery', 'deliveries')} failed` : '',
  };
}

const stateLooks: Record<OutgoingDelivery['state'], readonly [word: string, tone: string]> = {
  waiting: ['Retrying', 'warn'],
  delivered: ['Delivered', 'good'],
  failed: ['Failed', 'bad'],
};
const mostShown = 100;

function showOne(ctx: Named, web: WebContext): void {
  const { deps, address } = web;
  const { id, host, address: url, events, on } = deps.outgoing.get(ctx.params['wid'] ?? '');
  const now = deps.now();
  const deliveries = deps.outgoing.deliveries(id).slice(0, mostShown);
  web.render(ctx, 'pages/outgoing-webhook.njk', {
    nav: 'account',
    host: escapeControls(host),
    url: escapeControls(url),
    on,
    events: events.map((event) => eventWords[event][0]).join(', '),
    home: address.link(`/account/webhooks/${id}`),
    deliveries: deliveries.map((one) => {
      const [word, tone] = stateLooks[one.state];
      const last = one.tries.at(-1);
      return {
        ...{ id: one.id, word: one.tries.length === 0 ? 'Waiting' : word, tone },
        event: eventWords[one.event][0],
        site: escapeControls(deps.sites.get(one.site)?.name ?? one.site),
        at: when(one.at, now),
        said: escapeControls(last?.said ?? ''),
        tries: count(one.tries.length, 'try', 'tries'),
        each: one.tries.map(({ at, said }) => ({ at: when(at, now), said: escapeControls(said) })),
        next: one.nextAt === undefined ? null : when(one.nextAt, now),
        body: escapeControls(one.body),
      };
    }),
  });
}
