import { z } from 'zod';
import type { ChannelRecord, Incident, Ledger, NoticeWebhook, WebhookForm } from '../model/notice.ts';
import type { Secret } from '../model/secret.ts';
import type { Database } from './database.ts';
import { siteId, whole } from './shapes.ts';
import { sealedSchema, type Sealed, type Vault } from './vault.ts';

/** Where people are told of what they do not see on a page, and what they were told. */
export interface NotifyStore {
  /** Throws `store-damaged` when it was altered. */
  webhook(): NoticeWebhook | undefined;
  setWebhook(webhook: NoticeWebhook): Promise<void>;
  ledger(): Ledger;
  saveLedger(ledger: Ledger): Promise<void>;
}

export interface NotifyData {
  webhook?: {
    on: boolean;
    form: WebhookForm;
    address: Sealed;
    header?: { name: string; value: Sealed };
  };
  incidents: Incident[];
  channels: { mail?: ChannelRecord; webhook?: ChannelRecord };
}

const incident = whole<Incident>()(
  z.strictObject({
    key: z.string(),
    kind: z.enum(['hold', 'retrying', 'reconnect', 'token', 'task']),
    at: z.number(),
    sites: z.array(siteId),
    words: z.strictObject({ title: z.string(), happened: z.string(), untouched: z.string(), todo: z.string() }),
    told: z.array(z.enum(['mail', 'webhook'])),
    overAt: z.number().exactOptional(),
  }),
);

const record = whole<ChannelRecord>()(
  z.strictObject({
    sent: z.strictObject({ at: z.number(), subject: z.string() }).exactOptional(),
    failure: z
      .strictObject({
        first: z.number(),
        at: z.number(),
        times: z.number(),
        happened: z.string(),
        todo: z.string(),
      })
      .exactOptional(),
    digestDay: z.string().exactOptional(),
  }),
);

export const notifySchema: z.ZodType<NotifyData> = z.strictObject({
  webhook: z
    .strictObject({
      on: z.boolean(),
      form: z.enum(['json', 'slack', 'mattermost']),
      address: sealedSchema,
      header: z.strictObject({ name: z.string(), value: sealedSchema }).exactOptional(),
    })
    .exactOptional(),
  incidents: z.array(incident),
  channels: z.strictObject({ mail: record.exactOptional(), webhook: record.exactOptional() }),
});

// The origin is part of the record's identity: a value opens only for the receiver that it was entered for.
const recordOf = {
  address: 'notification address',
  header: (origin: string) => `notification header for ${origin}`,
};

export function createNotifyStore({ db, vault }: { db: Database<NotifyData>; vault: Vault }): NotifyStore {
  /** Opening for each look would cost, and looks are many. */
  let opened: { from: NotifyData['webhook']; webhook: NoticeWebhook } | undefined;
  return {
    webhook() {
      const from = db.data.webhook;
      if (!from) return undefined;
      if (opened?.from !== from) opened = { from, webhook: openWebhook(vault, from) };
      return opened.webhook;
    },
    async setWebhook({ on, form, address, header }) {
      await db.update((draft) => {
        // Sealed inside: a change of keys renews what was queued before it, and must not miss this.
        const value = header && vault.seal(header.value, recordOf.header(originOf(address)));
        draft.webhook = {
          ...{ on, form, address: vault.seal(address, recordOf.address) },
          ...(header && value ? { header: { name: header.name, value } } : {}),
        };
      });
    },
    ledger: () => ({ incidents: db.data.incidents, channels: db.data.channels }),
    async saveLedger({ incidents, channels }) {
      await db.update((draft) => {
        draft.incidents = [...incidents];
        draft.channels = { ...channels };
      });
    },
  };
}

/** Seals anew whatever an older key sealed. */
export async function renewNotify(db: Database<NotifyData>, vault: Vault): Promise<void> {
  await db.update(({ webhook }) => {
    if (!webhook) return;
    webhook.address = vault.renew(webhook.address, recordOf.address);
    const { header, address } = webhook;
    if (header)
      header.value = vault.renew(header.value, recordOf.header(originOf(vault.open(address, recordOf.address))));
  });
}

function openWebhook(vault: Vault, { on, form, address, header }: NonNullable<NotifyData['webhook']>): NoticeWebhook {
  const opened = vault.open(address, recordOf.address);
  const value = header && vault.open(header.value, recordOf.header(originOf(opened)));
  return { on, form, address: opened, ...(header && value ? { header: { name: header.name, value } } : {}) };
}

const originOf = (address: Secret): string => new URL(address.open()).origin;
