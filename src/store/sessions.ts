import { createHash, createHmac } from 'node:crypto';
import { z } from 'zod';
import type { Account, Session } from '../model/account.ts';
import type { Random } from '../model/world.ts';
import type { Database } from './database.ts';

export interface Sessions {
  /** A new session; the returned id goes into the cookie and is stored only as its hash. */
  create(account: Pick<Account, 'id' | 'name'>): Promise<{ id: string; session: Session }>;
  /** The session, unless it ended, lay idle for seven days or is thirty days old. */
  find(id: string): Session | undefined;
  /** Ended at once; resolves when the disk knows it too. */
  end(id: string): Promise<void>;
  /** For a password change or an account that goes. */
  endAll(accountId: string): Promise<void>;
  /** Form token for a visitor without a session, bound to a random cookie value. */
  visitorToken(cookie: string): string;
}

interface Stored {
  accountId: string;
  accountName: string;
  createdAt: number;
  seenAt: number;
}

export interface SessionsData {
  /** By the SHA-256 of the id, base64url. */
  sessions: Record<string, Stored>;
}

export const sessionsSchema: z.ZodType<SessionsData> = z.strictObject({
  sessions: z.record(
    z.string(),
    z.strictObject({ accountId: z.string(), accountName: z.string(), createdAt: z.number(), seenAt: z.number() }),
  ),
});

export interface SessionsDeps {
  readonly db: Database<SessionsData>;
  readonly random: Random;
  readonly now: () => number;
  /** 32 bytes that outlive a restart and change with the key; form tokens come from them. */
  readonly secret: () => Buffer;
  /** Told when a session could not be written; it still works until the next restart. */
  readonly onFault: (error: unknown) => void;
}

const DAY_MS = 86_400_000;
const IDLE_MS = 7 * DAY_MS;
const ABSOLUTE_MS = 30 * DAY_MS;
/** Being seen is written at most this often: a page view must not cost a write. */
const SEEN_EVERY_MS = 10 * 60_000;
const PER_ACCOUNT = 50;

export function createSessions({ db, random, now, secret, onFault }: SessionsDeps): Sessions {
  // Memory leads here, unlike everywhere else: with a full disk the admin must still be able to sign in and see why.
  let live = new Map(Object.entries(db.data.sessions).filter(([, stored]) => isAlive(stored, now())));

  async function save(): Promise<void> {
    await db.update((draft) => {
      draft.sessions = Object.fromEntries(live);
    });
  }

  function keep(wanted: (stored: Stored) => boolean): void {
    live = new Map([...live].filter(([, stored]) => wanted(stored)));
  }

  const token = (purpose: string, value: string): string =>
    createHmac('sha256', secret()).update(`${purpose}\0${value}`).digest('base64url');

  const toSession = (id: string, { accountId, accountName, createdAt }: Stored): Session => ({
    accountId,
    accountName,
    // Made from the id, so that it need not be stored.
    formToken: token('form', id),
    createdAt,
  });

  return {
    async create(account) {
      const id = random.bytes(32).toString('base64url');
      const at = now();
      keep((each) => isAlive(each, at));
      live.set(hashOf(id), { accountId: account.id, accountName: account.name, createdAt: at, seenAt: at });
      dropOldest(live, account.id);
      await save().catch(onFault);
      return {
        id,
        session: toSession(id, { accountId: account.id, accountName: account.name, createdAt: at, seenAt: at }),
      };
    },
    find(id) {
      const hash = hashOf(id);
      const stored = live.get(hash);
      const at = now();
      if (!stored || !isAlive(stored, at)) return undefined;
      if (at - stored.seenAt >= SEEN_EVERY_MS) {
        live.set(hash, { ...stored, seenAt: at });
        // Not awaited: whether the visit is on disk matters only in a week.
        void save().catch(onFault);
      }
      return toSession(id, stored);
    },
    async end(id) {
      if (live.delete(hashOf(id))) await save();
    },
    async endAll(accountId) {
      keep((each) => each.accountId !== accountId);
      await save();
    },
    visitorToken: (cookie) => token('visitor', cookie),
  };
}

function isAlive({ createdAt, seenAt }: Stored, at: number): boolean {
  return at - seenAt < IDLE_MS && at - createdAt < ABSOLUTE_MS;
}

function dropOldest(live: Map<string, Stored>, accountId: string): void {
  const own = [...live].filter(([, stored]) => stored.accountId === accountId);
  own.sort(([, a], [, b]) => b.seenAt - a.seenAt);
  for (const [hash] of own.slice(PER_ACCOUNT)) live.delete(hash);
}

function hashOf(id: string): string {
  return createHash('sha256').update(id).digest('base64url');
}
