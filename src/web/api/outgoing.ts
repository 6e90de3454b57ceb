import { z } from 'zod';
import type { OutgoingView } from '../../actions/outgoing.ts';
import { type OutgoingDelivery, outgoingEvents } from '../../model/outgoing.ts';
import { type Endpoint, endpoint } from './endpoint.ts';
import { moment, momentOrNull } from './shapes.ts';
import { time } from './views.ts';

const webhook = z
  .strictObject({
    id: z.string(),
    address: z.string(),
    events: z.array(z.enum(outgoingEvents)),
    on: z.boolean(),
    createdAt: moment,
  })
  .meta({ id: 'OutgoingWebhook' });

const delivery = z
  .strictObject({
    id: z.string().describe('As in the header `webhook-id`; the same for every try.'),
    event: z.enum(outgoingEvents),
    site: z.string(),
    at: moment,
    state: z.enum(['waiting', 'delivered', 'failed']),
    nextAt: momentOrNull,
    tries: z.array(z.strictObject({ at: moment, good: z.boolean(), said: z.string() })),
    body: z.string().describe('What is sent, byte for byte.'),
  })
  .meta({ id: 'OutgoingDelivery' });

/** Programs elsewhere that are called after a sync, and what became of the calls. */
export const outgoingEndpoints: readonly Endpoint[] = [
  endpoint({
    method: 'get',
    path: '/webhooks',
    summary: 'List outgoing webhooks',
    status: 200,
    answer: z.strictObject({ webhooks: z.array(webhook) }),
    handle: ({ deps }) => ({ webhooks: deps.outgoing.all().map(webhookView) }),
  }),
  endpoint({
    method: 'post',
    path: '/webhooks',
    summary: 'Add an outgoing webhook',
    description: 'Calls are signed as Standard Webhooks has it. `secret` is shown only once.',
    body: z.strictObject({
      address: z.string().max(2_000),
      events: z.array(z.enum(outgoingEvents)).min(1).max(outgoingEvents.length),
    }),
    example: { address: 'https://build.example.org/hooks/mooring', events: ['pulled'] },
    status: 201,
    answer: z.strictObject({ webhook, secret: z.string() }),
    creates: true,
    handle: async ({ deps, body, by }) => {
      const made = await deps.outgoing.add(body, by);
      return { webhook: webhookView(made.webhook), secret: made.secret };
    },
  }),
  endpoint({
    method: 'patch',
    path: '/webhooks/:webhook',
    summary: 'Turn an outgoing webhook on or off',
    description: 'What happens while it is off is never sent.',
    body: z.strictObject({ on: z.boolean() }),
    example: { on: false },
    status: 200,
    answer: webhook,
    handle: async ({ deps, param, body, by }) => webhookView(await deps.outgoing.turn(param('webhook'), body.on, by)),
  }),
  endpoint({
    method: 'delete',
    path: '/webhooks/:webhook',
    summary: 'Remove an outgoing webhook and its deliveries',
    status: 204,
    handle: async ({ deps, param, by }) => deps.outgoing.remove(param('webhook'), by),
  }),
  endpoint({
    method: 'get',
    path: '/webhooks/:webhook/deliveries',
    summary: 'List the deliveries of a webhook, newest first',
    description: 'The last hundred, and all that wait.',
    status: 200,
    answer: z.strictObject({ deliveries: z.array(delivery) }),
    handle: ({ deps, param }) => ({ deliveries: deps.outgoing.deliveries(param('webhook')).map(deliveryView) }),
  }),
  endpoint({
    method: 'post',
    path: '/webhooks/:webhook/deliveries/:delivery/send',
    summary: 'Send a delivery again',
    description: 'At once, also if it was delivered. The answer says what came of it.',
    status: 200,
    answer: delivery,
    handle: async ({ deps, param }) => deliveryView(await deps.outgoing.sendAgain(param('webhook'), param('delivery'))),
  }),
];

function webhookView({ id, address, events, on, createdAt }: OutgoingView): z.output<typeof webhook> {
  return { id, address, events: [...events], on, createdAt: time(createdAt) };
}

function deliveryView({
  id,
  event,
  site,
  at,
  state,
  nextAt,
  tries,
  body,
}: OutgoingDelivery): z.output<typeof delivery> {
  return {
    ...{ id, event, site, at: time(at), state, nextAt: nextAt === undefined ? null : time(nextAt), body },
    tries: tries.map((one) => ({ ...one, at: time(one.at) })),
  };
}
