import { createHash, randomBytes } from 'node:crypto';
import type { Account } from '../model/account.ts';
import { Problem } from '../model/problem.ts';
import type { Address } from './address.ts';
import type { Context, Next, WebContext } from './context.ts';
import type { WebDeps } from './deps.ts';

/** Opaque id in a cookie <-> session on the server. Also gives visitors the random value their form token hangs on. */
export function sessions(deps: WebDeps, address: Address) {
  return async (ctx: Context, next: Next): Promise<void> => {
    const id = readCookie(ctx, cookieName(address, 'mooring'));
    const session = id === undefined ? undefined : deps.sessions.find(id);
    if (id !== undefined && session) {
      ctx.state.session = session;
      ctx.state.sessionId = id;
    }
    const visitor = readCookie(ctx, cookieName(address, 'mooring-visitor'));
    if (visitor !== undefined) ctx.state.visitor = visitor;
    await next();
  };
}

/** A fresh id at every sign-in, so that a cookie planted before is worth nothing afterwards. */
export async function signIn(ctx: Context, { deps, address }: WebContext, account: Account): Promise<void> {
  if (ctx.state.sessionId !== undefined) await deps.sessions.end(ctx.state.sessionId);
  const { id, session } = await deps.sessions.create(account);
  ctx.state.session = session;
  ctx.state.sessionId = id;
  writeCookie(ctx, address, 'mooring', id);
  writeCookie(ctx, address, 'mooring-visitor', null);
}

export async function signOut(ctx: Context, { deps, address }: WebContext): Promise<void> {
  if (ctx.state.sessionId !== undefined) await deps.sessions.end(ctx.state.sessionId);
  delete ctx.state.session;
  delete ctx.state.sessionId;
  writeCookie(ctx, address, 'mooring', null);
}

/** The token that forms of this request carry. Sets the visitor cookie when somebody without a session needs one. */
export function formToken(ctx: Context, deps: WebDeps, address: Address): string {
  if (ctx.state.session) return ctx.state.session.formToken;
  if (ctx.state.visitor === undefined) {
    ctx.state.visitor = randomBytes(24).toString('base64url');
    writeCookie(ctx, address, 'mooring-visitor', ctx.state.visitor);
  }
  return deps.sessions.visitorToken(ctx.state.visitor);
}

/** What other modules may know of a session: it cannot be turned back into the cookie. */
export function sessionKey(id: string): string {
  return createHash('sha256').update(`key ${id}`).digest('hex');
}

/** Null deletes the cookie. */
function writeCookie(ctx: Context, address: Address, name: string, value: string | null): void {
  ctx.cookies.set(cookieName(address, name), value, { httpOnly: true, sameSite: 'lax', overwrite: true });
}

/** `__Host-` makes the browser refuse a cookie that another host, or plain http, tries to plant. */
function cookieName(address: Address, name: string): string {
  return address.secure ? `__Host-${name}` : name;
}

function readCookie(ctx: Context, name: string): string | undefined {
  const value = ctx.cookies.get(name);
  return value !== undefined && /^[\w-]{16,200}$/.test(value) ? value : undefined;
}

/** Who acts, for the audit log. */
export function accountName(ctx: Context): string {
  return ctx.state.person?.by ?? '';
}

/** Who is signed in, for flows that belong to one browser. Throws `not-allowed`. */
export function browserOf(ctx: Context): { accountId: string; sessionKey: string } {
  const { session, sessionId } = ctx.state;
  if (!session || sessionId === undefined) throw new Problem('not-allowed', { why: 'signed-out' });
  return { accountId: session.accountId, sessionKey: sessionKey(sessionId) };
}
