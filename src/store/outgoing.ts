import { z } from 'zod';
import { type OutgoingWebhook, outgoingEvents } from '../model/outgoing.ts';
import type { Database } from './database.ts';
import { type Sealed, type Vault, sealedSchema } from './vault.ts';

/** Programs elsewhere that are called after a sync. */
export interface OutgoingStore {
  /** Throws `store-damaged` when one was altered. */
  all(): readonly OutgoingWebhook[];
  save(webhook: OutgoingWebhook): Promise<void>;
  remove(id: string): Promise<void>;
}

export interface OutgoingData {
  webhooks: (Omit<OutgoingWebhook, 'address' | 'secret' | 'events'> & {
    address: Sealed;
    secret: Sealed;
    events: OutgoingWebhook['events'][number][];
  })[];
}

export const outgoingSchema: z.ZodType<OutgoingData> = z.strictObject({
  webhooks: z.array(
    z.strictObject({
      id: z.string().regex(/^[0-9a-f]{16}$/),
      address: sealedSchema,
      secret: sealedSchema,
      events: z.array(z.enum(outgoingEvents)),
      on: z.boolean(),
      createdAt: z.number(),
    }),
  ),
});

const recordOf = {
  address: (id: string) => `outgoing webhook ${id} address`,
  secret: (id: string) => `outgoing webhook ${id} secret`,
};

export function createOutgoingStore({ db, vault }: { db: Database<OutgoingData>; vault: Vault }): OutgoingStore {
  return {
    all: () =>
      db.data.webhooks.map((one) => ({
        ...one,
        address: vault.open(one.address, recordOf.address(one.id)),
        secret: vault.open(one.secret, recordOf.secret(one.id)),
      })),
    async save({ id, address, secret, events, ...rest }) {
      const sealed = {
        ...{ id, ...rest, events: [...events] },
        address: vault.seal(address, recordOf.address(id)),
        secret: vault.seal(secret, recordOf.secret(id)),
      };
      await db.update((draft) => {
        const at = draft.webhooks.findIndex((one) => one.id === id);
        if (at < 0) draft.webhooks.push(sealed);
        else draft.webhooks[at] = sealed;
      });
    },
    async remove(id) {
      await db.update((draft) => void (draft.webhooks = draft.webhooks.filter((one) => one.id !== id)));
    },
  };
}

/** Seals anew whatever an older key sealed. */
export async function renewOutgoing(db: Database<OutgoingData>, vault: Vault): Promise<void> {
  await db.update(({ webhooks }) => {
    for (const one of webhooks) {
      one.address = vault.renew(one.address, recordOf.address(one.id));
      one.secret = vault.renew(one.secret, recordOf.secret(one.id));
    }
  });
}
