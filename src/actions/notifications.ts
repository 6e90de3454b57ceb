import type { AuditEntry } from '../model/event.ts';
import type {
  Channel,
  ChannelRecord,
  Delivery,
  MailSettings,
  NoticeWebhook,
  NoticeWebhookForm,
  NotificationsView,
} from '../model/notice.ts';
import { hookAddress } from './hook-address.ts';
import { Problem } from '../model/problem.ts';
import { Secret } from '../model/secret.ts';

export interface NotificationDeps {
  readonly config: { readonly mail?: MailSettings | undefined };
  readonly store: {
    readonly notify: {
      webhook(): NoticeWebhook | undefined;
      setWebhook(webhook: NoticeWebhook): Promise<void>;
    };
  };
  readonly notices: {
    readonly notifier: {
      record(channel: Channel): ChannelRecord;
      changed(channel: Channel): Promise<void>;
      test(channel: Channel, by: string): Promise<Delivery>;
    };
  };
  /** Throws a Problem with the fact `reason` for what cannot be called. */
  readonly parseHookUrl: (text: string) => URL;
  readonly report: (act: Omit<AuditEntry, 'id' | 'at'>) => void;
}

export interface NotificationActions {
  view(): NotificationsView;
  /** Throws `form-invalid` whose facts are sentences by field. */
  saveWebhook(form: NoticeWebhookForm, by: string): Promise<void>;
  /** Sends a test at once and says what came back. Never throws. */
  test(channel: Channel, by: string): Promise<Delivery>;
}

/** Names that HTTP gives a meaning of its own, or that another layer sets. */
const reservedHeaders = /^(host|connection|content-.*|transfer-encoding|te|upgrade|expect|trailer|cookie|user-agent)$/i;

export function createNotificationActions({
  config: { mail },
  store: { notify: store },
  notices: { notifier },
  parseHookUrl,
  report,
}: NotificationDeps): NotificationActions {
  return {
    view() {
      const { webhook, damaged } = stored(store);
      return {
        ...(mail
          ? {
              mail: {
                from: mail.from,
                to: mail.to,
                server: `${mail.host} port ${mail.port}`,
                tls: mail.tls,
                record: notifier.record('mail'),
              },
            }
          : {}),
        ...(webhook ? { webhook: { ...shownOf(webhook), record: notifier.record('webhook') } } : {}),
        damaged,
      };
    },
    async saveWebhook(form, by) {
      const before = stored(store).webhook;
      const address = hookAddress(form.address, parseHookUrl, 'Enter the address of the webhook.');
      const header = headerOf(form, address, before);
      await store.setWebhook({
        on: form.on,
        form: form.form,
        address: new Secret(address.href),
        ...(header ? { header } : {}),
      });
      await notifier.changed('webhook');
      report({ by, act: 'changed-settings', detail: 'notifications' });
    },
    test: (channel, by) => notifier.test(channel, by),
  };
}

/** A damaged store must not close the page on which somebody can repair it. */
function stored({ webhook }: NotificationDeps['store']['notify']): { webhook?: NoticeWebhook; damaged: boolean } {
  try {
    const found = webhook();
    return { ...(found ? { webhook: found } : {}), damaged: false };
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return { damaged: true };
  }
}

function shownOf({ on, form, address, header }: NoticeWebhook) {
  const url = new URL(address.open());
  return { on, form, address: url.href, host: url.host, header: header?.name ?? '' };
}

function headerOf(
  { header: name, value }: NoticeWebhookForm,
  address: URL,
  before: NoticeWebhook | undefined,
): NoticeWebhook['header'] {
  if (name === '') {
    if (value !== '')
      throw new Problem('form-invalid', { header: 'Enter the name of the header, or empty its value.' });
    return undefined;
  }
  if (!/^[a-z0-9-]{1,64}$/i.test(name)) {
    throw new Problem('form-invalid', { header: 'A name has letters, digits and hyphens.' });
  }
  if (reservedHeaders.test(name)) throw new Problem('form-invalid', { header: 'This header cannot be set here.' });
  if (value !== '') return { name, value: new Secret(value) };
  if (!before?.header) throw new Problem('form-invalid', { value: 'Enter the value of the header.' });
  // It was meant for that receiver, and another one may be somebody else.
  if (new URL(before.address.open()).origin !== address.origin) {
    throw new Problem('form-invalid', {
      value: 'Another receiver needs the value again: the stored one was meant for the old address.',
    });
  }
  return { name, value: before.header.value };
}
