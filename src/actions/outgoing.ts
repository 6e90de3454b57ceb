import type { AuditEntry } from '../model/event.ts';
import type { OutgoingDelivery, OutgoingEvent, OutgoingWebhook } from '../model/outgoing.ts';
import { hookAddress } from './hook-address.ts';
import { Problem } from '../model/problem.ts';
import { Secret } from '../model/secret.ts';
import type { Clock, Random } from '../model/world.ts';

export interface OutgoingDeps {
  readonly store: {
    readonly outgoing: {
      all(): readonly OutgoingWebhook[];
      save(webhook: OutgoingWebhook): Promise<void>;
      remove(id: string): Promise<void>;
    };
  };
  readonly calls: {
    deliveries(webhook: string): readonly OutgoingDelivery[];
    sendAgain(webhook: string, id: string): Promise<OutgoingDelivery>;
    forget(webhook: string): Promise<void>;
  };
  /** Throws a Problem with the fact `reason` for what cannot be called. */
  readonly parseHookUrl: (text: string) => URL;
  readonly random: Random;
  readonly clock: Pick<Clock, 'now'>;
  readonly report: (act: Omit<AuditEntry, 'id' | 'at'>) => void;
}

/** What pages and programs see of a webhook: never its secret again. */
export interface OutgoingView {
  readonly id: string;
  readonly address: string;
  readonly host: string;
  readonly events: readonly OutgoingEvent[];
  readonly on: boolean;
  readonly createdAt: number;
}

export interface OutgoingActions {
  all(): readonly OutgoingView[];
  /** Throws `not-found`. */
  get(id: string): OutgoingView;
  /** `secret`: shown once. Throws `form-invalid` with the fact `address`. */
  add(
    form: { readonly address: string; readonly events: readonly OutgoingEvent[] },
    by: string,
  ): Promise<{ readonly webhook: OutgoingView; readonly secret: string }>;
  /** Throws `not-found`. */
  turn(id: string, on: boolean, by: string): Promise<OutgoingView>;
  remove(id: string, by: string): Promise<void>;
  deliveries(id: string): readonly OutgoingDelivery[];
  sendAgain(id: string, delivery: string): Promise<OutgoingDelivery>;
}

const most = 20;
const secretBytes = 32;

/** Who is called after a sync. For admins: whoever sets an address makes this server send there. */
export function createOutgoingActions({
  store: { outgoing: store },
  calls,
  parseHookUrl,
  random,
  clock,
  report,
}: OutgoingDeps): OutgoingActions {
  const find = (id: string): OutgoingWebhook => {
    const found = store.all().find((one) => one.id === id);
    if (!found) throw new Problem('not-found', { what: 'webhook' });
    return found;
  };
  const told = (by: string, host: string): void =>
    report({ by, act: 'changed-settings', detail: `outgoing webhook to ${host}` });
  return {
    all: () => store.all().map(viewOf),
    get: (id) => viewOf(find(id)),
    async add({ address, events }, by) {
      if (store.all().length >= most)
        throw new Problem('form-invalid', { address: `There are ${most} webhooks. Remove one first.` });
      const url = hookAddress(address, parseHookUrl, 'Enter the address to call.');
      const secret = `whsec_${random.bytes(secretBytes).toString('base64')}`;
      const webhook: OutgoingWebhook = {
        ...{ id: random.bytes(8).toString('hex'), events, on: true, createdAt: clock.now() },
        ...{ address: new Secret(url.href), secret: new Secret(secret) },
      };
      await store.save(webhook);
      told(by, url.host);
      return { webhook: viewOf(webhook), secret };
    },
    async turn(id, on, by) {
      const webhook = { ...find(id), on };
      await store.save(webhook);
      told(by, viewOf(webhook).host);
      return viewOf(webhook);
    },
    async remove(id, by) {
      const { host } = viewOf(find(id));
      await store.remove(id);
      await calls.forget(id);
      told(by, host);
    },
    deliveries: (id) => calls.deliveries(find(id).id),
    sendAgain: (id, delivery) => calls.sendAgain(find(id).id, delivery),
  };
}

function viewOf({ id, address, events, on, createdAt }: OutgoingWebhook): OutgoingView {
  const url = new URL(address.open());
  return { id, address: url.href, host: url.host, events, on, createdAt };
}
