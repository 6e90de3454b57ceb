import { type Connection, tokenEnd } from '../model/instance.ts';

export interface TokenExpiryDeps {
  readonly connections: () => readonly Connection[];
  readonly isUsed: (connection: Connection) => boolean;
  readonly now: () => number;
  readonly log: (level: 'warn', message: string, fields: Record<string, unknown>) => void;
}

/**
 * Says once each time a token in use comes within 30 days, 7 days and a day of its end: for those who read the log and
 * no pages. After a restart it is said again.
 */
export function createTokenExpiry(deps: TokenExpiryDeps): { look(): void } {
  const said = new Map<string, string>();
  return {
    look() {
      for (const connection of deps.connections()) {
        const { id, username, accessToken } = connection;
        const end = accessToken && tokenEnd(accessToken, deps.now());
        const key = end && `${end.tone} ${accessToken.expiresAt}`;
        if (!end || said.get(id) === key || !deps.isUsed(connection)) continue;
        said.set(id, key ?? '');
        deps.log('warn', 'An access token is near its end: enter a new one under Source Syncing.', {
          user: username,
          days: end.days,
        });
      }
    },
  };
}
