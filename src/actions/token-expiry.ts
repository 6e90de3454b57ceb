import { type Connection, type ConnectionId, tokenEnd } from '../model/instance.ts';
import type { Site } from '../model/site.ts';
import type { Clock } from '../model/world.ts';

export interface TokenExpiryDeps {
  readonly store: {
    readonly instance: { connections(): readonly Connection[] };
    readonly sites: { all(): readonly Site[] };
  };
  readonly clock: Pick<Clock, 'now'>;
  readonly log: (level: 'warn', message: string, fields: Record<string, unknown>) => void;
}

/**
 * Logs once when an access token in use comes within 30 days, 7 days and a day of its expiry, for admins who read the log
 * rather than the pages. After a restart it is logged again.
 */
export function createTokenExpiry({ store, clock, log }: TokenExpiryDeps): { check(): void } {
  const isUsed = (id: ConnectionId): boolean => store.sites.all().some(({ binding }) => binding?.connectionId === id);
  const said = new Map<string, string>();
  return {
    check() {
      for (const connection of store.instance.connections()) {
        const { id, username, accessToken } = connection;
        const end = accessToken && tokenEnd(accessToken, clock.now());
        const key = end && `${end.tone} ${accessToken.expiresAt}`;
        if (!end || said.get(id) === key || !isUsed(id)) continue;
        said.set(id, key ?? '');
        log('warn', 'An access token expires soon: enter a new one under Source Syncing.', {
          user: username,
          days: end.days,
        });
      }
    },
  };
}
