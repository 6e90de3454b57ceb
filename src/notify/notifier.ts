import type { Numbered } from '../model/event.ts';
import type { Connection } from '../model/instance.ts';
import {
  type Channel,
  type ChannelRecord,
  channels,
  type Delivery,
  type FailedTask,
  type Incident,
  type Ledger,
  type Message,
  type NoticeSite,
} from '../model/notice.ts';
import type { SiteId, SiteStatus } from '../model/site.ts';
import type { Clock } from '../model/world.ts';
import { nextIncidents, type Scene } from './incidents.ts';
import { type About, digest, isOwed, news, trial } from './words.ts';

export interface NotifierDeps {
  readonly publicUrl: string;
  readonly sites: () => readonly NoticeSite[];
  readonly site: (id: SiteId) => NoticeSite | undefined;
  readonly status: (id: SiteId) => SiteStatus;
  readonly connections: () => readonly Connection[];
  /** What failed beside syncing. */
  readonly tasks: () => readonly FailedTask[];
  readonly holdWords: Scene['holdWords'];
  /** How a channel sends; undefined while it is off or not set up. Asked each time. Never rejects. */
  readonly sender: (channel: Channel) => ((message: Message, signal: AbortSignal) => Promise<Delivery>) | undefined;
  readonly store: { readonly ledger: () => Ledger; readonly saveLedger: (ledger: Ledger) => Promise<void> };
  readonly follow: (listener: (event: Numbered) => void) => () => void;
  readonly clock: Clock;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;
  /** ms between two checks; a quarter of a minute unless given. */
  readonly everyMs?: number;
}

/**
 * Tells people what wants them. Nothing is queued: what is owed follows from the incidents and from who was told, so
 * it is bounded by the sites there are, and a restart changes nothing. A message that was sent in the moment of a
 * crash may come twice; none is lost.
 */
export interface Notifier {
  /** Looks at everything once and sends what is owed and due. Never throws. */
  check(): Promise<void>;
  /** Sends a test at once, whatever a channel's failures were. */
  test(channel: Channel, by: string): Promise<Delivery>;
  /** It is set up anew: what failed before says nothing any more. */
  changed(channel: Channel): Promise<void>;
  record(channel: Channel): ChannelRecord;
  start(): void;
  /** Resolves when no message is under way, or after three seconds. */
  stop(): Promise<void>;
}

/** Pauses after the first, second, … failure in a row; the last one from then on. The next check rounds them up. */
const pausesMs = [60_000, 180_000, 600_000, 1_800_000, 3_600_000] as const;
/** When the digest is due, in hours of the server's own zone. */
const digestHour = 8;
const stopMs = 3_000;

export function createNotifier(deps: NotifierDeps): Notifier {
  const { clock, store, log } = deps;
  const stopping = new AbortController();
  const { signal } = stopping;
  const failing = new Map<SiteId, number>();
  let checking: Promise<void> = Promise.resolve();

  // From the bus and not from the checks: a site that got through between two of them begins anew.
  const unfollow = deps.follow((event) => {
    if (event.kind !== 'status') return;
    const { state } = event.status;
    if (state === 'retrying') failing.set(event.site, failing.get(event.site) ?? event.at);
    else if (state !== 'syncing' && state !== 'unknown') failing.delete(event.site);
  });

  const about = (): About => ({ publicUrl: deps.publicUrl, site: deps.site, now: clock.now() });

  // Memory leads the disk: the channels send side by side, and a full disk must not make them tell everything again.
  let ledger = store.ledger();
  let saved = JSON.stringify(ledger);
  let unwritten = false;

  async function check(): Promise<void> {
    const on = channels.filter((channel) => deps.sender(channel) !== undefined);
    if (on.length === 0 && ledger.incidents.length === 0) return;
    const scene: Scene = {
      sites: deps.sites(),
      status: deps.status,
      failingSince: (id) => failing.get(id),
      connections: deps.connections(),
      holdWords: deps.holdWords,
      tasks: deps.tasks(),
      now: clock.now(),
    };
    for (const id of failing.keys()) if (!deps.site(id)) failing.delete(id);
    ledger = { ...ledger, incidents: on.length === 0 ? [] : nextIncidents(ledger.incidents, scene, on) };
    await save();
    await Promise.all(on.map(deliver));
  }

  /** First what is new, then the reminder: each only when the one before got through. */
  async function deliver(channel: Channel): Promise<void> {
    if (!isDue(recordOf(channel))) return;
    const owed = ledger.incidents.filter((each) => isOwed(each, channel));
    const message = news(owed, channel, about());
    if (message) {
      if (!(await send(channel, message))) return;
      tell(channel, owed);
      await save();
    }
    await remind(channel);
  }

  async function remind(channel: Channel): Promise<void> {
    const now = new Date(clock.now());
    const today = dayOf(now);
    const { digestDay } = recordOf(channel);
    // The first day of a channel has no digest: all that there is was told just now.
    if (digestDay !== undefined && (digestDay >= today || now.getHours() < digestHour)) return;
    const message = digestDay === undefined ? undefined : digest(ledger.incidents, about());
    if (message && !(await send(channel, message))) return;
    change(channel, (record) => ({ ...record, digestDay: today }));
    await save();
  }

  function isDue({ failure }: ChannelRecord): boolean {
    if (!failure) return true;
    const pause = pausesMs[Math.min(failure.times, pausesMs.length) - 1] ?? pausesMs[0];
    const waited = clock.now() - failure.at;
    return waited >= pause || waited < 0;
  }

  async function send(channel: Channel, message: Message): Promise<boolean> {
    const delivery = await deps.sender(channel)?.(message, signal);
    if (!delivery || signal.aborted) return false;
    note(channel, message, delivery);
    await save();
    return delivery.kind === 'good';
  }

  function note(channel: Channel, { subject }: Message, delivery: Delivery): void {
    const at = clock.now();
    if (delivery.kind === 'good')
      return change(channel, ({ digestDay }) => ({ ...known({ digestDay }), sent: { at, subject } }));
    const { happened, todo } = delivery;
    change(channel, (record) => {
      const { first = at, times = 0 } = record.failure ?? {};
      return { ...record, failure: { first, at, times: times + 1, happened, todo } };
    });
    log('warn', 'A notification could not be sent.', { channel, reason: happened });
  }

  /** Those told of an end are done with: what nobody waits for any more is forgotten. */
  function tell(channel: Channel, owed: readonly Incident[]): void {
    const keys = new Set(owed.map(({ key }) => key));
    const incidents = ledger.incidents
      .map((each) => (keys.has(each.key) ? toldTo(each, channel) : each))
      .filter(({ overAt, told }) => overAt === undefined || told.length > 0);
    ledger = { ...ledger, incidents };
  }

  const recordOf = (channel: Channel): ChannelRecord => ledger.channels[channel] ?? {};

  function change(channel: Channel, to: (record: ChannelRecord) => ChannelRecord): void {
    ledger = { ...ledger, channels: { ...ledger.channels, [channel]: to(recordOf(channel)) } };
  }

  async function save(): Promise<void> {
    const text = JSON.stringify(ledger);
    if (text === saved) return;
    try {
      await store.saveLedger(ledger);
      saved = text;
      unwritten = false;
    } catch (error) {
      // Tried again at each check, and said once.
      if (!unwritten)
        log('error', 'What was notified cannot be written: it may be told again after a restart.', { error });
      unwritten = true;
    }
  }

  /** One at a time, and no failure ends the next. */
  function checkNext(): Promise<void> {
    checking = checking
      .then(() => (signal.aborted ? undefined : check()))
      .catch((error: unknown) => log('error', 'The notifications could not be checked.', { error }));
    return checking;
  }

  async function go(): Promise<void> {
    for (;;) {
      await clock.sleep(deps.everyMs ?? 15_000, signal);
      await checkNext();
    }
  }

  return {
    check: checkNext,
    async test(channel, by) {
      const send = deps.sender(channel);
      if (!send) return { kind: 'bad', happened: 'This way is off.', todo: 'Turn it on and save it first.' };
      const message = trial(about(), by);
      const delivery = await send(message, signal);
      note(channel, message, delivery);
      await save();
      return delivery;
    },
    async changed(channel) {
      change(channel, ({ failure: _past, ...record }) => record);
      await save();
    },
    record: recordOf,
    // Ends only by the signal.
    start: () => void go().catch(() => undefined),
    async stop() {
      unfollow();
      stopping.abort();
      await Promise.race([checking, clock.sleep(stopMs)]);
    },
  };
}

function toldTo(incident: Incident, channel: Channel): Incident {
  const others = incident.told.filter((each) => each !== channel);
  return { ...incident, told: incident.overAt === undefined ? [...others, channel] : others };
}

function known({ digestDay }: { digestDay: string | undefined }): ChannelRecord {
  return digestDay === undefined ? {} : { digestDay };
}

function dayOf(date: Date): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}
