import type { Connection, ConnectionId } from '../model/instance.ts';
import type { Secret } from '../model/secret.ts';
import type { Binding, Site, SiteId } from '../model/site.ts';

export interface ConnectionEndDeps {
  readonly store: {
    readonly instance: {
      connections(): readonly Connection[];
      connection(id: string): Connection | undefined;
      tokens(id: ConnectionId): { readonly accessToken: Secret };
      setHealth(id: ConnectionId, health: Connection['health']): Promise<void>;
      disconnect(id: ConnectionId): Promise<void>;
    };
    readonly sites: { all(): readonly Site[]; get(id: string): Site | undefined };
  };
  readonly oauth: { revoke(token: Secret): Promise<void> };
  readonly tokens: { forget(id: ConnectionId): void };
  readonly runtimes: { worker(id: SiteId): { trigger(trigger: 'person'): void } };
  readonly log: (level: 'warn', message: string, fields: Record<string, unknown>) => void;
}

/** What becomes of a connection when its site no longer needs it. `dropped`: its tokens are not stored any more. */
export type ConnectionFate = 'revoked' | 'forgotten' | 'dropped' | 'shared';

/** How connections to GitLab end: with their last site, with the account that made them, or because they failed. */
export interface ConnectionEnd {
  /** What {@link ConnectionEnd.endFor} would do. */
  fateOf(id: SiteId, binding: Binding): ConnectionFate;
  /**
   * Ends the connection that a site used, unless another site still uses it. Gives sentences about what a person has to
   * end at GitLab. Never throws.
   */
  endFor(id: SiteId, binding: Binding): Promise<readonly string[]>;
  /** Ends a connection that no site uses. Never throws. */
  endUnused(id: ConnectionId): Promise<void>;
  /** Ends what a removed account had connected: its sites wait until another admin reconnects them. */
  endAllOf(accountId: string): Promise<void>;
  /** A token that a person entered was refused once, and they say that it works: the next sync uses it again. */
  useAgain(site: SiteId): Promise<void>;
}

export function createConnectionEnd({ store, oauth, tokens, runtimes, log }: ConnectionEndDeps): ConnectionEnd {
  const { instance, sites } = store;
  const hasTokens = (id: ConnectionId): boolean => instance.tokens(id).accessToken.open() !== '';
  const isUsed = (id: ConnectionId, except?: SiteId): boolean =>
    sites.all().some((site) => site.id !== except && site.binding?.connectionId === id);

  /**
   * Never revokes an access token that a person entered: it may serve other programs. Tokens that were dropped because
   * the instance's address changed are empty here, and must not be sent to the new address.
   */
  async function revoke({ id, accessToken: entered }: Connection): Promise<void> {
    if (!entered && hasTokens(id)) await oauth.revoke(instance.tokens(id).accessToken);
  }

  async function end(connection: Connection): Promise<void> {
    await revoke(connection);
    await instance.disconnect(connection.id);
    tokens.forget(connection.id);
  }

  return {
    fateOf(id, { connectionId }) {
      const connection = instance.connection(connectionId);
      if (!connection) return 'dropped';
      if (isUsed(connectionId, id)) return 'shared';
      if (!hasTokens(connectionId)) return 'dropped';
      return connection.accessToken ? 'forgotten' : 'revoked';
    },

    async endFor(id, { connectionId }) {
      const connection = instance.connection(connectionId);
      // Another GitLab was configured since, and connections to the earlier one were not kept.
      if (!connection) return [stillValidElsewhere];
      if (isUsed(connectionId, id)) return [];
      const isHere = hasTokens(connectionId);
      try {
        await end(connection);
      } catch {
        return [
          'Mooring could not revoke the connection at GitLab. Revoke it there under your profile / Applications.',
        ];
      }
      if (!isHere) return [stillValidElsewhere];
      return connection.accessToken
        ? ['The access token still works. Revoke it in GitLab if nothing else uses it.']
        : [];
    },

    async endUnused(id) {
      const connection = instance.connection(id);
      // The caller has a more important error to report than a failed revocation.
      if (connection && !isUsed(id)) await end(connection).catch(() => undefined);
    },

    async endAllOf(accountId) {
      for (const connection of instance.connections().filter(({ owner }) => owner === accountId)) {
        await instance.setHealth(connection.id, 'reconnect');
        // Not awaited: an unreachable GitLab must not keep an account from being removed.
        revoke(connection).catch((error: unknown) =>
          log('warn', 'A removed admin’s connection could not be revoked at GitLab.', { error }),
        );
        for (const { id, binding } of sites.all())
          if (binding?.connectionId === connection.id) runtimes.worker(id).trigger('person');
      }
    },

    async useAgain(site) {
      const connection = instance.connection(sites.get(site)?.binding?.connectionId ?? '');
      if (connection?.accessToken && hasTokens(connection.id)) await instance.setHealth(connection.id, 'good');
    },
  };
}

const stillValidElsewhere =
  'The connection may still be valid in the GitLab that issued it. Mooring no longer has its tokens. Revoke it there under your profile / Applications or Access tokens.';
