import type { Router } from '@koa/router';
import { z } from 'zod';
import type { Context, WebContext, State } from '../context.ts';
import { parse } from '../form.ts';
import { Problem } from '../../model/problem.ts';

const form = z.object({ theme: z.enum(['system', 'light', 'dark']), to: z.string().optional() });

/** Light, dark, or as the system has it: kept in a cookie, because the server prints it into the page. */
export function theme(router: Router<State>, { address }: WebContext): void {
  router.post('/theme', (ctx) => {
    const parsed = parse(form, ctx.request.body);
    if (parsed.kind === 'bad') throw new Problem('form-invalid');
    const lasts = parsed.values.theme === 'system' ? 0 : 31_536_000;
    const secure = address.secure ? '; Secure' : '';
    ctx.append(
      'Set-Cookie',
      `${name}=${parsed.values.theme}; Path=/; Max-Age=${lasts}; HttpOnly; SameSite=Lax${secure}`,
    );
    ctx.status = 303;
    ctx.redirect(address.link(address.known(parsed.values.to) ?? '/'));
  });
}

/** `light`, `dark`, or empty: the system decides. */
export function readTheme(ctx: Context): string {
  const value = ctx.cookies.get(name);
  return value === 'light' || value === 'dark' ? value : '';
}

const name = 'mooring-theme';
