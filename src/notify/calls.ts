import { createHmac } from 'node:crypto';
import PQueue from 'p-queue';
import type { Numbered, RunRecord } from '../model/event.ts';
import type { OutgoingDelivery, OutgoingEvent, OutgoingWebhook } from '../model/outgoing.ts';
import { Problem, asProblem } from '../model/problem.ts';
import type { Site, SiteId } from '../model/site.ts';
import { displayPath } from '../model/tree.ts';
import type { Clock, Random } from '../model/world.ts';
import { answered, unreached } from './hook.ts';

export interface CallsDeps {
  readonly publicUrl: string;
  readonly webhooks: () => readonly OutgoingWebhook[];
  readonly site: (id: SiteId) => Site | undefined;
  readonly store: {
    load(): Promise<readonly OutgoingDelivery[]>;
    save(delivery: OutgoingDelivery): Promise<void>;
    remove(delivery: OutgoingDelivery): Promise<void>;
    removeAll(webhook: string): Promise<void>;
  };
  /** Throws a Problem when there is no answer. */
  readonly post: (request: {
    readonly url: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: Buffer;
    readonly signal?: AbortSignal;
  }) => Promise<{ readonly status: number; readonly body: Buffer }>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;
}

/** Calls programs elsewhere after a sync, signed as Standard Webhooks has it, until they say that they have it. */
export interface Calls {
  happened(event: Numbered): void;
  /** The newest first, tried or not. */
  deliveries(webhook: string): readonly OutgoingDelivery[];
  /** Tries at once, also what was delivered or given up. Resolves after the try. Throws `not-found`. */
  sendAgain(webhook: string, id: string): Promise<OutgoingDelivery>;
  /** A webhook was removed. */
  forget(webhook: string): Promise<void>;
  start(): Promise<void>;
  /** Ends what is under way; what is owed stays so. */
  stop(): Promise<void>;
}

const secondMs = 1_000;
const minuteMs = 60 * secondMs;
const hourMs = 60 * minuteMs;
/** Before each try but the first, as Standard Webhooks proposes: after a little more than a day nobody tries any more. */
const pausesMs = [5 * secondMs, 5 * minuteMs, 30 * minuteMs, 2 * hourMs, 5 * hourMs, 10 * hourMs, 10 * hourMs] as const;
const concurrency = 4;
/** Of each webhook, besides those that wait. */
const mostKept = 100;
/** More are not owed to one webhook: the oldest are given up. */
const mostWaiting = 1_000;
const mostPaths = 50;

export function createCalls(deps: CallsDeps): Calls {
  const { clock, random, store, log } = deps;
  const queue = new PQueue({ concurrency });
  const stopping = new AbortController();
  const known = new Map<string, OutgoingDelivery>();
  const underWay = new Set<string>();
  const onHold = new Map<SiteId, string>();
  /** Saving one delivery after another, so that an older state never overwrites a newer. */
  const saving = new PQueue({ concurrency: 1 });

  function happened(event: Numbered): void {
    if (event.kind !== 'run' || stopping.signal.aborted) return;
    const site = deps.site(event.site);
    if (!site) return;
    for (const each of eventsOf(event.site, event.run)) owe(site, event.run, each);
  }

  function eventsOf(id: SiteId, run: RunRecord): readonly OutgoingEvent[] {
    const moved = ({ added, changed, removed }: RunRecord['pulled']): boolean => added + changed + removed > 0;
    const before = onHold.get(id);
    // Runs that fail meanwhile do not answer the question.
    if (run.hold) onHold.set(id, run.hold);
    else if (!run.problem) onHold.delete(id);
    return [
      ...(moved(run.pulled) ? (['pulled'] as const) : []),
      ...(moved(run.pushed) ? (['pushed'] as const) : []),
      ...(run.conflicts.length > 0 ? (['conflict'] as const) : []),
      ...(run.hold && run.hold !== before ? (['hold'] as const) : []),
    ];
  }

  function owe(site: Site, run: RunRecord, event: OutgoingEvent): void {
    let body: string | undefined;
    for (const webhook of enabled()) {
      if (!webhook.events.includes(event)) continue;
      body ??= JSON.stringify(payload(site, run, event, { publicUrl: deps.publicUrl, now: clock.now() }));
      const at = clock.now();
      const id = `msg_${at.toString(36)}${random.bytes(8).toString('hex')}`;
      const owed = { id, webhook: webhook.id, event, site: site.id, at, body, tries: [], nextAt: at };
      void keep({ ...owed, state: 'waiting' });
      plan(id, 0);
    }
    prune();
  }

  /** What cannot be opened is called by nobody; the page says so. */
  function enabled(): readonly OutgoingWebhook[] {
    try {
      return deps.webhooks().filter(({ on }) => on);
    } catch (error) {
      log('error', 'The outgoing webhooks cannot be opened.', { error });
      return [];
    }
  }

  function keep(delivery: OutgoingDelivery): Promise<void> {
    known.set(delivery.id, delivery);
    return saving
      .add(() => (known.get(delivery.id) === delivery ? store.save(delivery) : undefined))
      .catch((error: unknown) => log('error', 'A call could not be written down.', { error }));
  }

  function plan(id: string, ms: number): void {
    clock.sleep(ms, stopping.signal).then(
      () => void queue.add(() => attempt(id)),
      () => undefined,
    );
  }

  async function attempt(id: string): Promise<void> {
    const delivery = known.get(id);
    if (!delivery || delivery.state !== 'waiting' || underWay.has(id) || stopping.signal.aborted) return;
    // Another plan for the same call came first.
    if ((delivery.nextAt ?? 0) > clock.now()) return;
    underWay.add(id);
    await tryOnce(delivery).finally(() => underWay.delete(id));
  }

  async function tryOnce(delivery: OutgoingDelivery): Promise<void> {
    const webhook = enabled().find((one) => one.id === delivery.webhook);
    if (!webhook) return void (await keep(ended(delivery, 'failed', 'The webhook is off or was removed.')));
    const { good, said, isFinal } = await send(webhook, delivery);
    if (stopping.signal.aborted) return;
    const tries = [...delivery.tries, { at: clock.now(), good, said }];
    const pause = pausesMs[delivery.tries.length];
    if (good || isFinal || pause === undefined) {
      const { nextAt: _, ...rest } = delivery;
      await keep({ ...rest, tries, state: good ? 'delivered' : 'failed' });
      if (!good) log('warn', 'A call was given up.', { site: delivery.site, webhook: delivery.webhook, said });
      return;
    }
    const ms = Math.round(pause * (1 + random.fraction() / 5));
    await keep({ ...delivery, tries, nextAt: clock.now() + ms });
    plan(delivery.id, ms);
  }

  const ended = ({ nextAt: _, ...rest }: OutgoingDelivery, state: 'failed', said: string): OutgoingDelivery => ({
    ...{ ...rest, state },
    tries: [...rest.tries, { at: clock.now(), good: false, said }],
  });

  async function send(
    { address, secret }: OutgoingWebhook,
    { id, body }: OutgoingDelivery,
  ): Promise<{ good: boolean; said: string; isFinal: boolean }> {
    const url = address.open();
    const timestamp = String(Math.floor(clock.now() / 1_000));
    const headers = {
      'content-type': 'application/json',
      'webhook-id': id,
      'webhook-timestamp': timestamp,
      'webhook-signature': signature(secret.open(), { id, timestamp, body }),
    };
    try {
      const answer = await deps.post({ url, headers, body: Buffer.from(body), signal: stopping.signal });
      const delivery = answered(url, answer);
      // Gone: the receiver wants no more of them.
      const isFinal = answer.status === 410;
      return delivery.kind === 'good'
        ? { good: true, said: delivery.said, isFinal }
        : { good: false, said: delivery.happened, isFinal };
    } catch (error) {
      const delivery = unreached(asProblem(error), new URL(url).host);
      return { good: false, said: delivery.kind === 'bad' ? delivery.happened : '', isFinal: false };
    }
  }

  /** The log is bounded, and so is what waits. */
  function prune(): void {
    const drop = (delivery: OutgoingDelivery): void => {
      known.delete(delivery.id);
      void saving.add(() => store.remove(delivery)).catch(() => undefined);
    };
    for (const webhook of new Set([...known.values()].map((one) => one.webhook))) {
      const all = newestFirst(webhook);
      all
        .filter(({ state }) => state === 'waiting')
        .slice(mostWaiting)
        .forEach(drop);
      all
        .filter(({ state }) => state !== 'waiting')
        .slice(mostKept)
        .forEach(drop);
    }
  }

  const newestFirst = (webhook: string): OutgoingDelivery[] =>
    [...known.values()].filter((one) => one.webhook === webhook).sort((a, b) => b.at - a.at || (a.id < b.id ? 1 : -1));

  return {
    happened,
    deliveries: newestFirst,
    async sendAgain(webhook, id) {
      const delivery = known.get(id);
      if (delivery?.webhook !== webhook) throw new Problem('not-found', { what: 'delivery' });
      await keep({ ...delivery, state: 'waiting', nextAt: clock.now() });
      await queue.add(() => attempt(id));
      return known.get(id) ?? delivery;
    },
    async forget(webhook) {
      for (const one of newestFirst(webhook)) known.delete(one.id);
      await saving.add(() => store.removeAll(webhook));
    },
    async start() {
      for (const delivery of await store.load()) {
        known.set(delivery.id, delivery);
        if (delivery.state === 'waiting') plan(delivery.id, Math.max(0, (delivery.nextAt ?? 0) - clock.now()));
      }
      prune();
    },
    async stop() {
      stopping.abort();
      await queue.onIdle();
      await saving.onIdle();
    },
  };
}

/** `v1,` and base64, over ID, time and body: https://www.standardwebhooks.com */
function signature(
  secret: string,
  { id, timestamp, body }: { readonly id: string; readonly timestamp: string; readonly body: string },
): string {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  return `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')}`;
}

const marks = { '+': 'added', '~': 'changed', '-': 'removed' } as const;

/** What is sent. Members are only ever added. */
function payload(
  { id, name, binding }: Site,
  run: RunRecord,
  event: OutgoingEvent,
  { publicUrl, now }: { readonly publicUrl: string; readonly now: number },
): unknown {
  const to = event === 'pulled' ? 'site' : 'gitlab';
  const moved = event === 'pulled' ? run.pulled : run.pushed;
  const files = run.files.filter((file) => file.to === to).slice(0, mostPaths);
  const isMove = event === 'pulled' || event === 'pushed';
  return {
    type: event,
    timestamp: new Date(now).toISOString(),
    data: {
      site: { id, name },
      repository: binding?.projectPath ?? null,
      branch: binding?.branch ?? null,
      before: run.before ?? null,
      commit: run.after ?? null,
      by: run.by ?? null,
      run: run.id,
      link: `${publicUrl}/sites/${encodeURIComponent(id)}`,
      ...(isMove
        ? {
            changes: files.map(({ path, mark }) => ({ path: displayPath(path), change: marks[mark] })),
            complete: files.length === moved.added + moved.changed + moved.removed,
          }
        : {}),
      ...(event === 'conflict' ? { paths: run.conflicts.slice(0, mostPaths).map(displayPath) } : {}),
      ...(event === 'hold' ? { hold: run.hold } : {}),
    },
  };
}
