import { z } from 'zod';
import type { Connection, ConnectionId, Instance } from '../model/instance.ts';
import { Problem } from '../model/problem.ts';
import { Secret } from '../model/secret.ts';
import type { Random } from '../model/world.ts';
import type { Database } from './database.ts';
import { connectionId } from './shapes.ts';
import { sealedSchema, type Sealed, type Vault } from './vault.ts';

/** What GitLab gave for one connection. The refresh token works once: see {@link InstanceStore.saveTokens}. */
interface Tokens {
  readonly accessToken: Secret;
  readonly refreshToken: Secret;
  /** ms since 1970. */
  readonly expiresAt: number;
  /** ms since 1970. */
  readonly issuedAt: number;
}

export interface InstanceStore {
  get(): Instance | undefined;
  /** Saves the instance. Another URL drops every connection: their tokens were never meant for the new one. */
  configure(instance: Instance): Promise<void>;
  connections(): readonly Connection[];
  connection(id: string): Connection | undefined;
  /** The newest working connection that the account authorised; never an access token, which serves its sites alone. */
  connectionOf(accountId: string): Connection | undefined;
  /**
   * A new connection, or the same person's at GitLab renewed under its old id, so that their sites go on. A grant and an
   * access token of one person are two connections. `replaced`: the pair that nobody here uses any more.
   */
  connect(
    made: Omit<Connection, 'id' | 'health' | 'renewedAt'>,
    tokens: Tokens,
  ): Promise<{ readonly connection: Connection; readonly replaced?: Tokens }>;
  /** Throws `grant-lost` for a connection that is gone, `store-damaged` for tokens that were altered. */
  tokens(id: ConnectionId): Tokens;
  /** On disk when it resolves: the old refresh token is dead from the moment GitLab answered. */
  saveTokens(id: ConnectionId, tokens: Tokens): Promise<void>;
  setHealth(id: ConnectionId, health: Connection['health']): Promise<void>;
  /** Erases the tokens of a connection, so that nothing of them is sent anywhere; its health becomes `reconnect`. */
  dropTokens(id: ConnectionId): Promise<void>;
  disconnect(id: ConnectionId): Promise<void>;
  /** What the instance's system hook shows when it calls; undefined while there is none. */
  systemHookSecret(): Secret | undefined;
  setSystemHookSecret(secret: Secret | undefined): Promise<void>;
  /** E-mail domains of people in whose names programs may commit. */
  commitDomains(): readonly string[];
  setCommitDomains(domains: readonly string[]): Promise<void>;
}

type Plain = Omit<Instance, 'secret' | 'advanced'> & {
  advanced: Omit<Instance['advanced'], 'headers' | 'proxy' | 'noProxy' | 'client'> & {
    noProxy?: readonly string[];
    clientCertificate?: string;
  };
};

interface StoredConnection {
  connection: Connection;
  tokens: { access: Sealed; refresh: Sealed; expiresAt: number; issuedAt: number };
}

export interface InstanceData {
  /** `hidden`: the client certificate's key, and headers and proxy, which often hold passwords. */
  instance?: { plain: Plain; secret: Sealed; hidden: Sealed };
  connections: StoredConnection[];
  systemHook?: Sealed;
  commitDomains?: readonly string[];
}

const hiddenSchema = z.strictObject({
  proxy: z.string(),
  headers: z.record(z.string(), z.string()),
  clientKey: z.string().exactOptional(),
});

export const instanceSchema: z.ZodType<InstanceData> = z.strictObject({
  instance: z
    .strictObject({
      plain: z.strictObject({
        url: z.string(),
        applicationId: z.string(),
        authorizeUrl: z.string(),
        tokenUrl: z.string(),
        apiUrl: z.string(),
        scopes: z.enum(['api', 'read_api write_repository']),
        advanced: z.strictObject({
          ...{ ca: z.string(), reachableAt: z.string(), minAccessLevel: z.number() },
          noProxy: z.array(z.string()).exactOptional(),
          clientCertificate: z.string().exactOptional(),
        }),
        configuredAt: z.number(),
      }),
      secret: sealedSchema,
      hidden: sealedSchema,
    })
    .exactOptional(),
  connections: z.array(
    z.strictObject({
      connection: z.strictObject({
        id: connectionId,
        owner: z.string(),
        gitlabUserId: z.int(),
        username: z.string(),
        name: z.string(),
        email: z.string(),
        scopes: z.string(),
        health: z.enum(['good', 'reconnect']),
        renewedAt: z.number(),
        accessToken: z.strictObject({ expiresAt: z.number().exactOptional() }).exactOptional(),
      }),
      tokens: z.strictObject({
        access: sealedSchema,
        refresh: sealedSchema,
        expiresAt: z.number(),
        issuedAt: z.number(),
      }),
    }),
  ),
  systemHook: sealedSchema.exactOptional(),
  commitDomains: z.array(z.string()).exactOptional(),
});

// The URL is part of each record's identity: a secret opens only for the instance that it was entered for, even when
// somebody edits the URL in the file.
const recordOf = {
  secret: (url: string) => `instance secret of ${url}`,
  hidden: (url: string) => `instance settings of ${url}`,
  access: (id: string, url: string) => `access token ${id} for ${url}`,
  refresh: (id: string, url: string) => `refresh token ${id} for ${url}`,
  systemHook: (url: string) => `system hook secret of ${url}`,
};

export function createInstanceStore(deps: { db: Database<InstanceData>; vault: Vault; random: Random }): InstanceStore {
  const { db, vault, random } = deps;
  const find = (id: string): StoredConnection | undefined =>
    db.data.connections.find((each) => each.connection.id === id);
  const url = (): string => db.data.instance?.plain.url ?? '';

  /** Opening for each reader would cost, and a Secret that stays the same can be told apart from a new one. */
  let opened: { from: InstanceData['instance']; instance: Instance } | undefined;

  function get(): Instance | undefined {
    const from = db.data.instance;
    if (!from) return undefined;
    if (opened?.from !== from) opened = { from, instance: openInstance(vault, from) };
    return opened.instance;
  }

  function sealTokens(id: string, tokens: Tokens): StoredConnection['tokens'] {
    return {
      access: vault.seal(tokens.accessToken, recordOf.access(id, url())),
      refresh: vault.seal(tokens.refreshToken, recordOf.refresh(id, url())),
      expiresAt: tokens.expiresAt,
      issuedAt: tokens.issuedAt,
    };
  }

  function openTokens({ connection: { id }, tokens }: StoredConnection): Tokens {
    return {
      accessToken: vault.open(tokens.access, recordOf.access(id, url())),
      refreshToken: vault.open(tokens.refresh, recordOf.refresh(id, url())),
      expiresAt: tokens.expiresAt,
      issuedAt: tokens.issuedAt,
    };
  }

  /** Undefined for tokens that were altered: connecting anew is the cure for them. */
  function readable(stored: StoredConnection): Tokens | undefined {
    try {
      return openTokens(stored);
    } catch {
      return undefined;
    }
  }

  async function change(id: ConnectionId, apply: (stored: StoredConnection) => void): Promise<void> {
    await db.update((draft) => {
      const stored = draft.connections.find((each) => each.connection.id === id);
      if (!stored) throw new Problem('grant-lost', { connection: id });
      apply(stored);
    });
  }

  return {
    get,
    async configure(instance) {
      await db.update((draft) => {
        if (draft.instance && draft.instance.plain.url !== instance.url) {
          draft.connections = [];
          delete draft.systemHook;
        }
        draft.instance = sealInstance(vault, instance);
      });
    },
    connections: () => db.data.connections.map((each) => each.connection),
    connection: (id) => find(id)?.connection,
    connectionOf: (accountId) =>
      db.data.connections
        .map((each) => each.connection)
        .filter((each) => each.owner === accountId && each.health === 'good' && !each.accessToken)
        .sort((a, b) => b.renewedAt - a.renewedAt)[0],
    async connect(made, tokens) {
      return db.update((draft) => {
        const same = (each: StoredConnection): boolean =>
          each.connection.owner === made.owner &&
          each.connection.gitlabUserId === made.gitlabUserId &&
          (each.connection.accessToken === undefined) === (made.accessToken === undefined);
        const before = draft.connections.find(same);
        const id = before?.connection.id ?? (random.bytes(8).toString('hex') as ConnectionId);
        const connection: Connection = { ...made, id, health: 'good', renewedAt: tokens.issuedAt };
        draft.connections = draft.connections.filter((each) => each !== before);
        draft.connections.push({ connection, tokens: sealTokens(id, tokens) });
        const replaced = before && readable(before);
        return replaced ? { connection, replaced } : { connection };
      });
    },
    tokens(id) {
      const stored = find(id);
      if (!stored) throw new Problem('grant-lost', { connection: id });
      return openTokens(stored);
    },
    saveTokens: (id, tokens) =>
      change(id, (stored) => {
        stored.tokens = sealTokens(id, tokens);
        stored.connection = { ...stored.connection, health: 'good', renewedAt: tokens.issuedAt };
      }),
    setHealth: (id, health) =>
      change(id, (stored) => {
        stored.connection = { ...stored.connection, health };
      }),
    dropTokens: (id) =>
      change(id, (stored) => {
        const none = new Secret('');
        stored.tokens = sealTokens(id, { accessToken: none, refreshToken: none, expiresAt: 0, issuedAt: 0 });
        stored.connection = { ...stored.connection, health: 'reconnect' };
      }),
    async disconnect(id) {
      await db.update((draft) => {
        draft.connections = draft.connections.filter((each) => each.connection.id !== id);
      });
    },
    systemHookSecret: () => db.data.systemHook && vault.open(db.data.systemHook, recordOf.systemHook(url())),
    async setSystemHookSecret(secret) {
      await db.update((draft) => {
        if (secret) draft.systemHook = vault.seal(secret, recordOf.systemHook(url()));
        else delete draft.systemHook;
      });
    },
    commitDomains: () => db.data.commitDomains ?? [],
    async setCommitDomains(domains) {
      await db.update((draft) => {
        draft.commitDomains = domains;
      });
    },
  };
}

/** Seals anew whatever an older key sealed. */
export async function renewInstance(db: Database<InstanceData>, vault: Vault): Promise<void> {
  await db.update((draft) => {
    const { instance } = draft;
    if (!instance) return;
    const { url } = instance.plain;
    instance.secret = vault.renew(instance.secret, recordOf.secret(url));
    instance.hidden = vault.renew(instance.hidden, recordOf.hidden(url));
    if (draft.systemHook) draft.systemHook = vault.renew(draft.systemHook, recordOf.systemHook(url));
    for (const { connection, tokens } of draft.connections) {
      tokens.access = vault.renew(tokens.access, recordOf.access(connection.id, url));
      tokens.refresh = vault.renew(tokens.refresh, recordOf.refresh(connection.id, url));
    }
  });
}

function sealInstance(vault: Vault, instance: Instance): NonNullable<InstanceData['instance']> {
  const { secret, advanced, ...rest } = instance;
  const { headers, proxy, client, ...open } = advanced;
  const clientKey = client && { clientKey: client.key.open() };
  const clientCertificate = client && { clientCertificate: client.certificate };
  const hidden = new Secret(JSON.stringify({ headers, proxy, ...clientKey }));
  return {
    plain: { ...rest, advanced: { ...open, ...clientCertificate } },
    secret: vault.seal(secret, recordOf.secret(instance.url)),
    hidden: vault.seal(hidden, recordOf.hidden(instance.url)),
  };
}

function openInstance(vault: Vault, { plain, secret, hidden }: NonNullable<InstanceData['instance']>): Instance {
  const { clientKey, ...settings } = hiddenSchema.parse(
    JSON.parse(vault.open(hidden, recordOf.hidden(plain.url)).open()),
  );
  const { clientCertificate: certificate, ...open } = plain.advanced;
  const client = certificate && clientKey ? { client: { certificate, key: new Secret(clientKey) } } : {};
  return {
    ...plain,
    secret: vault.open(secret, recordOf.secret(plain.url)),
    advanced: { noProxy: [], ...open, ...settings, ...client },
  };
}
