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
import { createDeclaredStore, type DeclaredData, declaredSchema, type DeclaredStore } from './declared.ts';
import { createHistory, type History } from './history.ts';
import { createInstanceStore, instanceSchema, type InstanceData, type InstanceStore } from './instance.ts';
import { createNotifyStore, type NotifyData, notifySchema, type NotifyStore } from './notify.ts';
import { encode } from './envelope.ts';
import type { Migrations } from './migrations.ts';
import { createDeliveryStore, type DeliveryStore } from './deliveries.ts';
import { createOutgoingStore, type OutgoingData, outgoingSchema, type OutgoingStore } from './outgoing.ts';
import { passwordCost, createPasswords, type PasswordCost } from './password.ts';
import { readKey, replaceKey } from './key-file.ts';
import { finishRotation } from './renew.ts';
import { createSessions, sessionsSchema, type Sessions, type SessionsData } from './sessions.ts';
import { createSiteFacts, siteFactsSchema, type SiteFactsStore } from './site-facts.ts';
import { createSitesStore, sitesSchema, type SitesData, type SitesStore } from './sites.ts';
import type { StoreNote } from './store-file.ts';
import { MARK, openStateDir, type StateDir } from './state-dir.ts';
import { endUpgrade, keepBeforeUpgrade, readWithoutWriting, refuseNewer } from './upgrade.ts';
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
  readonly declared: DeclaredStore;
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
  /**
   * Replaces the key and seals everything anew, while the store is in use. Where it fails or the process ends, both keys
   * are there, and the next call or start goes on. Throws `key-unwritable`.
   */
  rotateKey(): Promise<void>;
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
  /** The version of this program; the state says which wrote it last. */
  readonly program?: string;
  /** Tests hash faster. */
  readonly passwordCost?: PasswordCost;
}

/** The files that every installation has, and the value by which the key is recognised. */
interface StateData {
  createdAt: number;
  keyCheck: Sealed;
  stores: string[];
  writtenBy: string;
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
  readonly declared: Database<DeclaredData>;
}

const stateSchema: z.ZodType<StateData> = z.strictObject({
  createdAt: z.number(),
  keyCheck: sealedSchema,
  stores: z.array(z.string()),
  writtenBy: z.string(),
});

/** Who may come in: an older state would admit whom somebody removed, or ask for a first account once more. */
const ADMITTING: ReadonlySet<string> = new Set(['accounts', 'sessions', 'api-tokens']);

/**
 * The numbered steps of the store as a whole: the version of `state.json` is the store's. A step is added whenever the
 * form of any file changes, beside the file's own, so that an older program refuses the store at its first look.
 */
const storeMigrations: Migrations = [
  // 2: the state names the version that wrote it, and `declared.json` is there.
  { from: 1, step: (data) => ({ ...(data as object), writtenBy: '' }) },
];

export const storeVersion = 1 + storeMigrations.length;

const stateForm = {
  kind: 'state',
  version: storeVersion,
  schema: stateSchema,
  migrations: storeMigrations,
};

const STORES = ['accounts', 'sessions', 'api-tokens', 'instance', 'sites', 'notify', 'outgoing', 'declared'];

/** The form of each file, for the test that wants a new version whenever one changes. */
export const storeForms: Readonly<Record<string, z.ZodType>> = {
  ...{ state: stateSchema, accounts: accountsSchema, sessions: sessionsSchema, 'api-tokens': apiTokensSchema },
  ...{ instance: instanceSchema, sites: sitesSchema, notify: notifySchema, declared: declaredSchema },
  outgoing: outgoingSchema,
  site: siteFactsSchema,
};

/** Of the files whose own form has changed since the first version. */
const fileMigrations: Readonly<Record<string, Migrations>> = {
  accounts: accountsMigrations,
  'api-tokens': apiTokensMigrations,
};

const versionOf = (kind: string): number => 1 + (fileMigrations[kind]?.length ?? 0);

/** The newest form of each file that this program can read. */
const knownVersions: Readonly<Record<string, number>> = {
  ...Object.fromEntries(STORES.map((kind) => [kind, versionOf(kind)])),
  ...{ state: stateForm.version, site: 1 },
};

/**
 * Opens the state directory and all that is in it. Throws `state-in-use`, `store-missing`, `store-damaged`,
 * `store-newer`, `key-missing`, `key-wrong`; then nothing was changed.
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  const { path, keyPath = join(path, 'secret.key'), random } = options;
  const dir = await openStateDir({ path, keyPath, random });
  try {
    const vault = createVault(dir.keys, random, options.onSecret);
    const { dbs, notes } = await openDatabases(dir, vault, options);
    await dir.finish();
    await finishRotation(dbs, vault, { folder: path, keyPath });
    return await assemble(options, { ...dir, notes: [...dir.notes, ...notes] }, vault, dbs);
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
  const secret = (): Buffer => vault.derive('form tokens');
  const rotateKey = createRotation(dbs, vault, { folder: dir.path, keyPath: dir.keyPath, random });
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
    declared: createDeclaredStore({ db: dbs.declared, now }),
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
    rotateKey,
    async close() {
      await Promise.all(Object.values(dbs).map((db: Database<unknown>) => db.flushed()));
      await siteFacts.flushed();
      await history.flushed();
      dir.close();
    },
  };
}

/** One at a time. A call that comes while another is under way changes the key once more. */
function createRotation(
  dbs: Databases,
  vault: Vault,
  { random, ...place }: { readonly folder: string; readonly keyPath: string; readonly random: Random },
): () => Promise<void> {
  let last: Promise<unknown> = Promise.resolve();
  const rotate = async (): Promise<void> => {
    // An earlier one may have failed halfway, even between the new key file and the report that it is there.
    const present = await readKey(place.keyPath);
    if (present) vault.use(present);
    await finishRotation(dbs, vault, place);
    vault.use(await replaceKey(place.keyPath, random));
    await finishRotation(dbs, vault, place);
  };
  return () => {
    const turn = last.then(rotate, rotate);
    last = turn.catch(() => undefined);
    return turn;
  };
}

/**
 * `state.json` is written last: once it is there, the others were, and one that is missing is an error. An upgrade keeps
 * that order, so that one that was killed is recognised by the state's old version. Nothing is written before the key
 * is known to be the right one and no file to be newer than this program.
 */
async function openDatabases(
  dir: StateDir,
  vault: Vault,
  { now, program }: Pick<StoreOptions, 'now' | 'program'>,
): Promise<{ dbs: Databases; notes: StoreNote[] }> {
  await refuseNewer(dir.path, knownVersions);
  const before = dir.fresh ? undefined : await readWithoutWriting(stateForm, join(dir.path, MARK));
  if (before) checkKey(before.data, dir, vault);
  if (before && before.version < stateForm.version) await keepBeforeUpgrade(dir.path, before.version);
  const expected = new Set(before?.data.stores);
  const open = <T>(kind: string, schema: z.ZodType<T>, initial: T): Promise<Database<T>> =>
    openDatabase({
      generations: ADMITTING.has(kind) ? 'copy' : 'older',
      path: join(dir.path, `${kind}.json`),
      kind,
      version: versionOf(kind),
      schema,
      migrations: fileMigrations[kind] ?? [],
      initial,
      missing: expected.has(kind) ? 'must-exist' : 'create',
      now,
    });
  const others = {
    accounts: await open<AccountsData>('accounts', accountsSchema, { accounts: [] }),
    sessions: await open<SessionsData>('sessions', sessionsSchema, { sessions: {} }),
    apiTokens: await open<ApiTokensData>('api-tokens', apiTokensSchema, { tokens: [] }),
    instance: await open<InstanceData>('instance', instanceSchema, { connections: [] }),
    sites: await open<SitesData>('sites', sitesSchema, { sites: [] }),
    notify: await open<NotifyData>('notify', notifySchema, { incidents: [], channels: {} }),
    outgoing: await open<OutgoingData>('outgoing', outgoingSchema, { webhooks: [] }),
    declared: await open<DeclaredData>('declared', declaredSchema, { consents: {} }),
  };
  const keyCheck = vault.seal(new Secret(KEY_CHECK), KEY_CHECK);
  const state = await openDatabase<StateData>({
    ...{ ...stateForm, path: join(dir.path, MARK), now },
    initial: { createdAt: now(), keyCheck, stores: STORES, writtenBy: program ?? '' },
    missing: dir.fresh ? 'create' : 'must-exist',
  });
  checkKey(state.data, dir, vault);
  const writtenBy = program ?? state.data.writtenBy;
  const isOwn = state.data.writtenBy === writtenBy && STORES.every((kind) => state.data.stores.includes(kind));
  if (!isOwn) await state.update((draft) => void Object.assign(draft, { stores: STORES, writtenBy }));
  const note = await endUpgrade(dir.path, now());
  return { dbs: { state, ...others }, notes: note ? [note] : [] };
}

/** Throws `key-wrong`. */
function checkKey({ keyCheck }: StateData, dir: StateDir, vault: Vault): void {
  try {
    vault.open(keyCheck, KEY_CHECK);
  } catch (cause) {
    throw new Problem('key-wrong', { path: dir.keyPath, expected: keyCheck.keyId, found: vault.keyId }, { cause });
  }
}
