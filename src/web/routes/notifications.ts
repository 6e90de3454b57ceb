import type { Router } from '@koa/router';
import { z } from 'zod';
import type { Channel, ChannelRecord, MailSettings, NotificationsView } from '../../model/notice.ts';
import { escapeControls } from '../../model/tree.ts';
import type { Context, WebContext, State } from '../context.ts';
import { beside, type FieldErrors, fields, line, parse } from '../form.ts';
import { declaredWords } from '../site-frame.ts';
import { count, when } from '../times.ts';
import { accountName } from '../session.ts';

const form = z.object({
  address: line('the address', 2_000).default(''),
  style: z.enum(['json', 'slack', 'mattermost'], { error: 'Choose a form.' }),
  header: line('the header', 64).default(''),
  // Not trimmed, as other secrets: a space that came along with a paste is pointed out.
  value: z
    .string()
    .max(1_000, 'At most 1000 characters.')
    .refine(
      (text) => /^[\x21-\x7e]*( ?[\x21-\x7e]+)*$/.test(text),
      'It has a sign that a header cannot carry, or a space at an end.',
    )
    .default(''),
  on: z.enum(['yes']).optional(),
});

/** Account Settings / Notifications: who is notified while no page is open, and whether that works. */
export function notifications(router: Router<State>, web: WebContext): void {
  const { deps } = web;

  router.get('/account/notifications', (ctx) => show(ctx, web, {}));

  router.post('/account/notifications', async (ctx) => {
    const entered = fields(ctx.request.body);
    const parsed = parse(form, entered);
    if (parsed.kind === 'bad') return show(ctx, web, { errors: parsed.errors, entered });
    const { on, style, ...values } = parsed.values;
    try {
      await deps.notifications.saveWebhook({ ...values, form: style, on: on === 'yes' }, accountName(ctx));
    } catch (error) {
      return show(ctx, web, { errors: beside(error, {}), entered });
    }
    web.redirect(ctx, '/account/notifications', {
      tone: 'good',
      title: 'The webhook is saved',
      lines: [on === 'yes' ? 'Press Send a test to see whether it arrives.' : 'It is off: nothing is posted.'],
    });
  });

  router.post('/account/notifications/test', async (ctx) => {
    const channel: Channel = fields(ctx.request.body)['channel'] === 'webhook' ? 'webhook' : 'mail';
    const delivery = await deps.notifications.test(channel, accountName(ctx));
    const what = channel === 'mail' ? 'by e-mail' : 'to the webhook';
    web.redirect(
      ctx,
      '/account/notifications',
      delivery.kind === 'good'
        ? {
            tone: 'good',
            title: `A test went out ${what}`,
            lines: [`${sentWords(deps.notifications.view(), channel)} ${escapeControls(delivery.said)}`],
          }
        : {
            tone: 'bad',
            title: `The test could not be sent ${what}`,
            lines: [escapeControls(delivery.happened), escapeControls(delivery.todo)],
          },
    );
  });
}

/** Where the test was sent, before the answer. */
function sentWords({ mail, webhook }: NotificationsView, channel: Channel): string {
  if (channel === 'webhook') return `It was posted to ${escapeControls(webhook?.host ?? '')}.`;
  return `It goes to ${escapeControls(mail?.to.join(', ') ?? '')}. The server says:`;
}

interface Shown {
  readonly errors?: FieldErrors;
  readonly entered?: Readonly<Record<string, string>>;
}

function show(ctx: Context, { render: page, deps }: WebContext, { errors = {}, entered }: Shown): void {
  const now = deps.now();
  const { mail, webhook, damaged } = deps.notifications.view();
  const value = (name: string, stored: string): string => (entered ? (entered[name] ?? '') : stored);
  const model = {
    nav: 'account',
    declared: declaredWords(deps.declared.notifications()),
    errors,
    mail: mail
      ? {
          to: mail.to.map(escapeControls),
          from: escapeControls(mail.from),
          server: `${escapeControls(mail.server)}, ${tlsWords[mail.tls]}`,
          ...recordView(mail.record, now),
        }
      : null,
    webhook: webhook
      ? { on: webhook.on, host: escapeControls(webhook.host), ...recordView(webhook.record, now) }
      : null,
    damaged,
    hasValue: webhook !== undefined && webhook.header !== '',
    v: {
      address: value('address', webhook?.address ?? ''),
      style: value('style', webhook?.form ?? 'json'),
      header: value('header', webhook?.header ?? ''),
      on: entered ? entered['on'] === 'yes' : (webhook?.on ?? true),
    },
  };
  page(ctx, 'pages/notifications.njk', model, Object.keys(errors).length > 0 ? 422 : 200);
}

const tlsWords: Record<MailSettings['tls'], string> = {
  'from-the-start': 'encrypted from the start',
  starttls: 'encrypted by STARTTLS',
  none: 'not encrypted',
};

function recordView({ sent, failure }: ChannelRecord, now: number) {
  return {
    sent: sent ? { time: when(sent.at, now), subject: escapeControls(sent.subject) } : null,
    failure: failure
      ? {
          first: when(failure.first, now),
          last: when(failure.at, now),
          tries: count(failure.times, 'try', 'tries'),
          happened: escapeControls(failure.happened),
          todo: escapeControls(failure.todo),
        }
      : null,
  };
}
