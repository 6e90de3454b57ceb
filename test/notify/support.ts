import type { Numbered } from '../../src/model/event.ts';
import type { Connection, ConnectionId } from '../../src/model/instance.ts';
import type { Channel, Delivery, FailedTask, Ledger, Message } from '../../src/model/notice.ts';
import {
  defaultSettings,
  firstStatus,
  type Hold,
  type Site,
  type SiteId,
  type SiteStatus,
} from '../../src/model/site.ts';
import { createNotifier, type Notifier } from '../../src/notify/notifier.ts';
import { holdReason, holdTitle } from '../../src/web/hold-words.ts';
import { binding } from '../web/support.ts';

export const minute = 60_000;
export const day = 86_400_000;
/** Noon, whatever zone the test runs in. */
export const noon = new Date(2026, 10, 19, 12).getTime();

/** Sites, their states and both channels, all in the hands of the test; only the notifier is real. */
export interface Harbourmaster {
  notifier: Notifier;
  sites: Site[];
  connections: Connection[];
  tasks: FailedTask[];
  ledger: Ledger;
  on: Channel[];
  sent: { channel: Channel; message: Message }[];
  /** What becomes of the next messages. */
  delivery: (channel: Channel) => Delivery;
  logged: string[];
  now: number;
  add(name: string, over?: Partial<Site>): SiteId;
  /** A site's state changes, and the bus says so. */
  is(id: SiteId, state: SiteStatus['state'], over?: Partial<SiteStatus>): void;
  /** Time passes, then everything is looked at. */
  look(ms?: number): Promise<readonly string[]>;
  /** The process ends and another begins with what was stored. */
  restart(): void;
}

export const good: Delivery = { kind: 'good', said: 'ok' };
export const bad: Delivery = { kind: 'bad', happened: 'It did not answer.', todo: 'Check it.' };

export function harbourmaster(on: Channel[] = ['mail']): Harbourmaster {
  const statuses = new Map<SiteId, SiteStatus>();
  let listener: (event: Numbered) => void = () => undefined;
  const world: Harbourmaster = {
    notifier: undefined as unknown as Notifier,
    sites: [],
    connections: [connection()],
    tasks: [],
    ledger: { incidents: [], channels: {} },
    on,
    sent: [],
    delivery: () => good,
    logged: [],
    now: noon,
    add(name, over = {}) {
      const id = `s${world.sites.length + 1}` as SiteId;
      world.sites.push({
        id,
        name,
        folder: `/srv/${id}`,
        createdAt: 0,
        paused: false,
        settings: defaultSettings,
        binding: binding(`town/${id}`, 'main'),
        ...over,
      });
      world.is(id, 'in-sync');
      return id;
    },
    is(id, state, over = {}) {
      const status = { ...firstStatus(world.now, 'unknown'), state, ...over };
      statuses.set(id, status);
      listener({ kind: 'status', site: id, status, id: 1, at: world.now });
    },
    async look(ms = 15_000) {
      world.now += ms;
      const before = world.sent.length;
      await world.notifier.check();
      return world.sent.slice(before).map(({ message }) => message.subject);
    },
    restart() {
      for (const { id } of world.sites) statuses.set(id, firstStatus(world.now, 'unknown'));
      world.ledger = JSON.parse(JSON.stringify(world.ledger)) as Ledger;
      world.notifier = make();
    },
  };
  const make = (): Notifier =>
    createNotifier({
      publicUrl: 'https://mooring.example/m',
      sites: () => world.sites,
      site: (id) => world.sites.find((one) => one.id === id),
      status: (id) => statuses.get(id) as SiteStatus,
      connections: () => world.connections,
      tasks: () => world.tasks,
      holdWords: (hold) => ({ title: holdTitle(hold), reason: holdReason(hold), todo: 'Open the site and choose.' }),
      sender: (channel) =>
        world.on.includes(channel)
          ? async (message) => {
              const delivery = world.delivery(channel);
              if (delivery.kind === 'good') world.sent.push({ channel, message });
              return delivery;
            }
          : undefined,
      store: { ledger: () => world.ledger, saveLedger: async (ledger) => void (world.ledger = ledger) },
      follow: (to) => {
        listener = to;
        return () => undefined;
      },
      clock: {
        now: () => world.now,
        monotonic: () => world.now,
        sleep: () => Promise.reject(new Error('nothing here waits')),
      },
      log: (_level, message) => void world.logged.push(message),
    });
  world.notifier = make();
  return world;
}

export function hold(code: Hold['code'], over: Partial<Hold> = {}): Partial<SiteStatus> {
  const tally = { added: 0, changed: 0, removed: 30 };
  return { hold: { code, at: noon, step: 'x', total: 40, tally, samples: [], choices: ['put-back'], ...over } };
}

export function connection(over: Partial<Connection> = {}): Connection {
  return {
    id: 'c1' as ConnectionId,
    owner: 'a1',
    gitlabUserId: 7,
    username: 'bot',
    name: 'Bot',
    email: 'bot@example.org',
    scopes: 'api',
    health: 'good',
    renewedAt: 0,
    ...over,
  };
}
