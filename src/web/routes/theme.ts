import type { Router } from '@koa/router';
import { z } from 'zod';
import type { Context, WebContext, State } from '../context.ts';
import { parse } from '../form.ts';
import { Problem } from '../../model/problem.ts';

const form = z.object({ theme: z.enum(['system', 'light', 'dark']), to: z.string().optional() });

/** Light, dark, or the system's choice: kept in a cookie, because the server renders it into the page. */
export function theme(router: Router<State>, { address }: WebContext): void {
  router.post('/theme', (ctx) => {
    const parsed = parse(form, ctx.request.body);
    if (parsed.kind === 'bad') throw new Problem('form-invalid');
    const { theme } = parsed.values;
    ctx.cookies.set(name, theme === 'system' ? null : theme, { maxAge: yearMs, httpOnly: true, sameSite: 'lax' });
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
const yearMs = 365 * 86_400_000;
