import { createHash } from 'node:crypto';
import { z } from 'zod';
import { type ApiToken, apiScopes } from '../model/account.ts';
import { Problem } from '../model/problem.ts';
import type { Random } from '../model/world.ts';
import type { Database } from './database.ts';
import type { Migrations } from './migrations.ts';
import { siteId } from './shapes.ts';

export interface ApiTokens {
  /** Newest first, those that ended too. */
  all(): readonly ApiToken[];
  /** A new token. `text` is nowhere afterwards: only its hash is stored. */
  add(facts: Omit<ApiToken, 'id' | 'createdAt' | 'usedAt'>): Promise<{ token: ApiToken; text: string }>;
  /** The token that a program showed, unless it was removed or has ended. Notes that it was used. */
  find(text: string): ApiToken | undefined;
  /** Throws `not-found`. */
  remove(id: string): Promise<ApiToken>;
  /** For an account that goes. */
  removeAll(accountId: string): Promise<void>;
}

interface Stored extends ApiToken {
  hash: string;
  usedAt?: number;
}

export interface ApiTokensData {
  tokens: Stored[];
}

export const apiTokensSchema: z.ZodType<ApiTokensData> = z.strictObject({
  tokens: z.array(
    z.strictObject({
      id: z.string(),
      name: z.string(),
      accountId: z.string(),
      scopes: z.array(z.enum(apiScopes)),
      sites: z.array(siteId).exactOptional(),
      hash: z.string(),
      createdAt: z.number(),
      endsAt: z.number().exactOptional(),
      usedAt: z.number().exactOptional(),
    }),
  ),
});

/** Before there were several scopes, a token had one. */
export const apiTokensMigrations: Migrations = [
  {
    from: 1,
    step: (data) => {
      const { tokens } = data as { tokens: { scope: string }[] };
      return { tokens: tokens.map(({ scope, ...rest }) => ({ ...rest, scopes: [scope] })) };
    },
  },
];

export interface ApiTokensDeps {
  readonly db: Database<ApiTokensData>;
  readonly random: Random;
  readonly now: () => number;
  /** Told when it could not be written that a token was used. */
  readonly onFault: (error: unknown) => void;
}

/** What a token begins with, so that a scanner for secrets knows it. */
const mark = 'mooring_';
/** Being used is written at most this often. */
const usedEveryMs = 10 * 60_000;

export function createApiTokens({ db, random, now, onFault }: ApiTokensDeps): ApiTokens {
  const records = (): readonly Stored[] => db.data.tokens;
  return {
    all: () => records().map(toToken).reverse(),

    async add(facts) {
      const text = `${mark}${random.bytes(32).toString('base64url')}`;
      const record = { id: random.bytes(8).toString('hex'), ...facts, hash: hashOf(text), createdAt: now() };
      await db.update((draft) => void draft.tokens.push(record));
      return { token: toToken(record), text };
    },

    find(text) {
      // The hash of 256 random bits: comparing it tells nothing about another.
      const hash = hashOf(text);
      const found = records().find((record) => record.hash === hash);
      const at = now();
      if (!found || (found.endsAt !== undefined && at >= found.endsAt)) return undefined;
      if (at - (found.usedAt ?? 0) >= usedEveryMs) {
        db.update((draft) => {
          const record = draft.tokens.find(({ id }) => id === found.id);
          if (record) record.usedAt = at;
        }).catch(onFault);
      }
      return toToken(found);
    },

    async remove(id) {
      const found = records().find((record) => record.id === id);
      if (!found) throw new Problem('not-found', { what: 'token' });
      await db.update((draft) => {
        draft.tokens = draft.tokens.filter((record) => record.id !== id);
      });
      return toToken(found);
    },

    async removeAll(accountId) {
      await db.update((draft) => {
        draft.tokens = draft.tokens.filter((record) => record.accountId !== accountId);
      });
    },
  };
}

function toToken({ hash: _hash, ...token }: Stored): ApiToken {
  return token;
}

const hashOf = (text: string): string => createHash('sha256').update(text).digest('base64url');
