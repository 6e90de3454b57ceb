import type { Address } from './address.ts';
import { Problem } from '../model/problem.ts';
import type { Context, Next } from './context.ts';
import type { WebDeps } from './deps.ts';

/** Open to everybody; static files, health and webhooks are answered before they come here. */
const open = new Set(['/setup', '/sign-in', '/theme']);

/** Everything needs a session; before the first account exists everything leads to the set-up. */
export function gate(deps: WebDeps, address: Address) {
  return async (ctx: Context, next: Next): Promise<void> => {
    if (open.has(ctx.path) || ctx.state.session) return next();
    // Script asks in the background: a redirect would hand it the sign-in page as if it were an answer.
    if (ctx.path === '/events' || ctx.path.endsWith('/live')) throw new Problem('not-allowed', { why: 'signed-out' });
    ctx.status = 303;
    ctx.redirect(address.link(deps.accounts.exist() ? signInPath(ctx, address) : '/setup'));
  };
}

function signInPath(ctx: Context, address: Address): string {
  const back = ctx.method === 'GET' ? address.known(ctx.url) : undefined;
  return back === undefined || back === '/' ? '/sign-in' : `/sign-in?to=${encodeURIComponent(back)}`;
}
