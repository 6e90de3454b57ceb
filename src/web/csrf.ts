import { timingSafeEqual } from 'node:crypto';
import { Problem } from '../model/problem.ts';
import type { Address } from './address.ts';
import type { Context, Next } from './context.ts';
import type { WebDeps } from './deps.ts';

/**
 * First wall: a request that changes something must come from one of our own pages. Browsers say so in
 * `Sec-Fetch-Site` (only on https and loopback) and in `Origin`; the cookie's SameSite is only the wall behind.
 */
export function sameOrigin(address: Address) {
  return async (ctx: Context, next: Next): Promise<void> => {
    if (!isSafe(ctx) && !comesFromUs(ctx, address)) throw new Problem('not-allowed', { why: 'origin' });
    await next();
  };
}

/** Second wall: the form carries the token of this session (or of this visitor). */
export function formTokens(deps: WebDeps) {
  return async (ctx: Context, next: Next): Promise<void> => {
    if (!isSafe(ctx) && !sameText(sentToken(ctx), expectedToken(ctx, deps))) throw new Problem('form-expired');
    await next();
  };
}

/** GET never changes state, so it needs no wall. */
function isSafe(ctx: Context): boolean {
  return ['GET', 'HEAD', 'OPTIONS'].includes(ctx.method);
}

function comesFromUs(ctx: Context, address: Address): boolean {
  const site = ctx.get('Sec-Fetch-Site');
  if (site !== '') return site === 'same-origin' || site === 'none';
  return ctx.get('Origin') === address.origin;
}

function expectedToken(ctx: Context, deps: WebDeps): string {
  if (ctx.state.session) return ctx.state.session.formToken;
  return ctx.state.visitor === undefined ? '' : deps.sessions.visitorToken(ctx.state.visitor);
}

function sentToken(ctx: Context): string {
  const body: unknown = ctx.request.body;
  const token = typeof body === 'object' && body !== null && 'token' in body ? body.token : undefined;
  return typeof token === 'string' ? token : '';
}

function sameText(sent: string, expected: string): boolean {
  const a = Buffer.from(sent);
  const b = Buffer.from(expected);
  return expected !== '' && a.length === b.length && timingSafeEqual(a, b);
}
