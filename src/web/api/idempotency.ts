import { createHash } from 'node:crypto';
import { Problem } from '../../model/problem.ts';
import type { Context, Person } from '../context.ts';

/** Answers to requests with an `Idempotency-Key`, so that a caller who lost an answer may simply ask again. */
export interface Idempotency {
  /**
   * Does the work once for each key of one token; a request that comes again, or meanwhile, gets the same answer. A
   * refusal is not kept: nothing was created. Throws `key-reused`, `request-invalid`.
   */
  once(ctx: Context, person: Person, work: () => Promise<void>): Promise<void>;
}

interface Kept {
  readonly request: string;
  readonly at: number;
  readonly answer: Promise<{ readonly status: number; readonly body: unknown }>;
}

const keptMs = 86_400_000;
const mostKept = 1_000;

/**
 * In memory: an answer may hold the text of a new token, which is written nowhere. A restart forgets the keys; names are
 * unique all the same, so that a site or an account is not created twice.
 */
export function createIdempotency(now: () => number): Idempotency {
  const kept = new Map<string, Kept>();

  function dropOld(): void {
    for (const [key, { at }] of kept) {
      if (at > now() - keptMs && kept.size < mostKept) break;
      kept.delete(key);
    }
  }

  return {
    async once(ctx, person, work) {
      const key = ctx.get('Idempotency-Key');
      if (key === '') return work();
      if (!/^[\x21-\x7e]{1,200}$/.test(key))
        throw new Problem('request-invalid', { 'Idempotency-Key': 'Use 1 to 200 visible ASCII characters.' });
      dropOld();
      const name = `${person.token?.id} ${key}`;
      const request = digest(`${ctx.method} ${ctx.path} ${JSON.stringify(ctx.request.body ?? {})}`);
      const before = kept.get(name);
      if (before && before.request !== request) throw new Problem('key-reused');
      if (before) {
        const { status, body } = await before.answer;
        ctx.status = status;
        ctx.body = body;
        return;
      }
      const answer = work().then(() => ({ status: ctx.status, body: ctx.body as unknown }));
      kept.set(name, { request, at: now(), answer });
      await answer.catch((error: unknown) => {
        kept.delete(name);
        throw error;
      });
    },
  };
}

const digest = (text: string): string => createHash('sha256').update(text).digest('base64url');
