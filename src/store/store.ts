import { join } from 'node:path';
import { z } from 'zod';
import { Problem } from '../model/problem.ts';
import { Secret } from '../model/secret.ts';
import type { Random } from '../model/world.ts';
import { accountsMigrations, accountsSchema, createAccounts, type Accounts, type AccountsData } from './accounts.ts';
import {
  type ApiTokens,
  type ApiTokensData,
  apiTokensMigrations,
  apiTokensSchema,
  createApiTokens,
} from './api-tokens.ts';
import { openDatabase, type Database } from './database.ts';
import { createHistory, type History } from './history.ts';
import { createInstanceStore, instanceSchema, type InstanceData, type InstanceStore } from './instance.ts';
import { createNotifyStore, type NotifyData, notifySchema, type NotifyStore } from './notify.ts';
import { encode } from './envelope.ts';
import type { Migrations } from './migrations.ts';
import { createDeliveryStore, type DeliveryStore } from './deliveries.ts';
import { createOutgoingStore, type OutgoingData, outgoingSchema, type OutgoingStore } from './outgoing.ts';
import { passwordCost, createPasswords, type PasswordCost } from './password.ts';
import { finishRotation } from './renew.ts';
import { createSessions, sessionsSchema, type Sessions, type SessionsData } from './sessions.ts';
import { createSiteFacts, type SiteFactsStore } from './site-facts.ts';
import { createSitesStore, sitesSchema, type SitesData, type SitesStore } from './sites.ts';
import type { StoreNote } from './store-file.ts';
import { MARK, openStateDir, type StateDir } from './state-dir.ts';
import { createVault, KEY_CHECK, sealedSchema, type Sealed, type Vault } from './vault.ts';

/** Everything that outlives the process, but what git holds. */
export interface Store {
  readonly accounts: Accounts;
  readonly sessions: Sessions;
  readonly apiTokens: ApiTokens;
  readonly instance: InstanceStore;
  readonly sites: SitesStore;
  readonly siteFacts: SiteFactsStore;
  readonly notify: NotifyStore;
  readonly outgoing: OutgoingStore;
  readonly deliveries: DeliveryStore;
  readonly history: History;
  readonly keyPath: string;
  /** Names the present key. */
  readonly keyId: string;
  /** A key for one purpose; see {@link Vault.derive}. */
  derive(purpose: string): Buffer;
  /** What was repaired while opening: log it and show it. */
  readonly notes: readonly StoreNote[];
  /** What keeps the store from being written, after one more try where the last write failed; undefined: nothing. */
  fault(): Promise<unknown>;
  /** Waits for writes under way, then frees the state directory. May be called twice. */
  close(): Promise<void>;
}

export interface StoreOptions {
  readonly path: string;
  /** Where the key is, if not in the state directory. */
  readonly keyPath?: string;
  readonly random: Random;
  readonly now: () => number;
  /** Told of faults that stop nobody: a session that could not be written. */
  readonly onFault: (error: unknown) => void;
  /** Told of notes that come later, when a site's own file is opened. */
  readonly onNotes: (notes: readonly StoreNote[]) => void;
  /** Told of every secret that is stored or read, before it is used: see {@link createVault}. */
  readonly onSecret?: (secret: Secret) => void;
  /** Tests hash faster. */
  readonly passwordCost?: PasswordCost;
}

/** The files that every installation has, and the value by which the key is recognised. */
interface StateData {
  createdAt: number;
  keyCheck: Sealed;
  stores: string[];
}

interface Databases {
  readonly state: Database<StateData>;
  readonly accounts: Database<AccountsData>;
  readonly sessions: Database<SessionsData>;
  readonly apiTokens: Database<ApiTokensData>;
  readonly instance: Database<InstanceData>;
  readonly sites: Database<SitesData>;
  readonly notify: Database<NotifyData>;
  readonly outgoing: Database<OutgoingData>;
}

const stateSchema: z.ZodType<StateData> = z.strictObject({
  createdAt: z.number(),
  keyCheck: sealedSchema,
  stores: z.array(z.string()),
});

/** Who may come in: an older state would admit whom somebody removed, or ask for a first account once more. */
const ADMITTING: ReadonlySet<string> = new Set(['accounts', 'sessions', 'api-tokens']);

const STORES = ['accounts', 'sessions', 'api-tokens', 'instance', 'sites', 'notify', 'outgoing'];

/**
 * Opens the state directory and all that is in it. Throws `state-in-use`, `store-missing`, `store-damaged`,
 * `store-newer`, `key-missing`, `key-wrong`; then nothing was changed.
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  const { path, keyPath = join(path, 'secret.key'), random, now } = options;
  const dir = await openStateDir({ path, keyPath, random });
  try {
    const vault = createVault(dir.keys, random, options.onSecret);
    const dbs = await openDatabases(dir, vault, now);
    await dir.finish();
    await finishRotation(dbs, vault, keyPath);
    return await assemble(options, dir, vault, dbs);
  } catch (error) {
    dir.close();
    throw error;
  }
}

/** The file of a store in which nobody is signed in, to stand in for the present one in a backup. */
export function noSessions(): string {
  const form = { kind: 'sessions', version: 1, schema: sessionsSchema, migrations: [] };
  return encode(form, { sessions: {} }).text;
}

async function assemble(options: StoreOptions, dir: StateDir, vault: Vault, dbs: Databases): Promise<Store> {
  const { random, now, onFault, onNotes } = options;
  const passwords = createPasswords(options.passwordCost ?? passwordCost);
  const secret = vault.derive('form tokens');
  const accounts = createAccounts({ db: dbs.accounts, random, now, passwords, dropSetupCode: dir.dropSetupCode });
  const siteFacts = createSiteFacts({ folder: join(dir.path, 'sites'), now, onNotes });
  const history = createHistory({ folder: join(dir.path, 'history') });
  if (accounts.setupCode !== undefined) await dir.writeSetupCode(accounts.setupCode);
  return {
    accounts,
    sessions: createSessions({ db: dbs.sessions, random, now, secret, onFault }),
    apiTokens: createApiTokens({ db: dbs.apiTokens, random, now, onFault }),
    instance: createInstanceStore({ db: dbs.instance, vault, random }),
    sites: createSitesStore({ db: dbs.sites, vault, random, now }),
    siteFacts,
    notify: createNotifyStore({ db: dbs.notify, vault }),
    outgoing: createOutgoingStore({ db: dbs.outgoing, vault }),
    deliveries: createDeliveryStore(join(dir.path, 'deliveries')),
    history,
    keyPath: dir.keyPath,
    keyId: vault.keyId,
    derive: vault.derive,
    notes: [...dir.notes, ...Object.values(dbs).flatMap((db: Database<unknown>) => db.notes)],
    async fault() {
      for (const db of Object.values(dbs) as Database<unknown>[]) {
        const fault = await db.fault();
        if (fault !== undefined) return fault;
      }
      return undefined;
    },
    async close() {
      await Promise.all(Object.values(dbs).map((db: Database<unknown>) => db.flushed()));
      await siteFacts.flushed();
      await history.flushed();
      dir.close();
    },
  };
}

/** `state.json` is written last: once it is there, the others were, and one that is missing is an error. */
async function openDatabases(dir: StateDir, vault: Vault, now: () => number): Promise<Databases> {
  const state = dir.fresh ? undefined : await openState(dir, vault, now);
  const expected = new Set(state?.data.stores);
  const open = <T>(kind: string, schema: z.ZodType<T>, initial: T, migrations: Migrations = []): Promise<Database<T>> =>
    openDatabase({
      generations: ADMITTING.has(kind) ? 'copy' : 'older',
      path: join(dir.path, `${kind}.json`),
      kind,
      version: 1 + migrations.length,
      schema,
      migrations,
      initial,
      missing: expected.has(kind) ? 'must-exist' : 'create',
      now,
    });
  const others = {
    accounts: await open<AccountsData>('accounts', accountsSchema, { accounts: [] }, accountsMigrations),
    sessions: await open<SessionsData>('sessions', sessionsSchema, { sessions: {} }),
    apiTokens: await open<ApiTokensData>('api-tokens', apiTokensSchema, { tokens: [] }, apiTokensMigrations),
    instance: await open<InstanceData>('instance', instanceSchema, { connections: [] }),
    sites: await open<SitesData>('sites', sitesSchema, { sites: [] }),
    notify: await open<NotifyData>('notify', notifySchema, { incidents: [], channels: {} }),
    outgoing: await open<OutgoingData>('outgoing', outgoingSchema, { webhooks: [] }),
  };
  return { state: state ?? (await openState(dir, vault, now)), ...others };
}

async function openState(dir: StateDir, vault: Vault, now: () => number): Promise<Database<StateData>> {
  const state = await openDatabase<StateData>({
    path: join(dir.path, MARK),
    kind: 'state',
    version: 1,
    schema: stateSchema,
    migrations: [],
    initial: { createdAt: now(), keyCheck: vault.seal(new Secret(KEY_CHECK), KEY_CHECK), stores: STORES },
    missing: dir.fresh ? 'create' : 'must-exist',
    now,
  });
  try {
    vault.open(state.data.keyCheck, KEY_CHECK);
  } catch (cause) {
    const expected = state.data.keyCheck.keyId;
    throw new Problem('key-wrong', { path: dir.keyPath, expected, found: vault.keyId }, { cause });
  }
  return state;
}
