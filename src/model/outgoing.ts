import type { Secret } from './secret.ts';
import type { SiteId } from './site.ts';

/** What a program elsewhere is told of. */
export const outgoingEvents = ['pulled', 'pushed', 'conflict', 'hold'] as const;

export type OutgoingEvent = (typeof outgoingEvents)[number];

/** Where calls go, and what signs them. */
export interface OutgoingWebhook {
  readonly id: string;
  readonly address: Secret;
  /** `whsec_` and base64, as Standard Webhooks has it. */
  readonly secret: Secret;
  readonly events: readonly OutgoingEvent[];
  readonly on: boolean;
  /** ms since 1970. */
  readonly createdAt: number;
}

/** One call, from when it is owed until nobody tries any more. */
export interface OutgoingDelivery {
  /** The same for every try, so that a receiver knows a call that it has had. */
  readonly id: string;
  readonly webhook: string;
  readonly event: OutgoingEvent;
  readonly site: SiteId;
  /** ms since 1970. */
  readonly at: number;
  /** What is sent, byte for byte. */
  readonly body: string;
  readonly state: 'waiting' | 'delivered' | 'failed';
  /** The newest last; `at` in ms since 1970. */
  readonly tries: readonly { readonly at: number; readonly good: boolean; readonly said: string }[];
  /** When it is tried next, in ms since 1970. */
  readonly nextAt?: number;
}
