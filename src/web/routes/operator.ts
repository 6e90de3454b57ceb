import { PassThrough } from 'node:stream';
import type { Router } from '@koa/router';
import { z } from 'zod';
import { apiScopes, type Account } from '../../model/account.ts';
import type { DeclaredWait } from '../../model/declared.ts';
import { Problem } from '../../model/problem.ts';
import type { SiteId } from '../../model/site.ts';
import type { WebContext, State } from '../context.ts';
import { accountName } from '../session.ts';

const newPassword = z.strictObject({ password: z.string().max(1_000) });

const applyRequest = z.strictObject({ file: z.string().max(4_000).regex(/^\//), dryRun: z.boolean() });

const newToken = z.strictObject({
  account: z.string().max(64),
  name: z.string().trim().min(1).max(64),
  scopes: z.array(z.enum(apiScopes)).min(1).max(apiScopes.length),
  sites: z.array(z.string().max(64)).min(1).max(1_000).optional(),
  expiresAt: z.iso.datetime().optional(),
});

/** A header has only so much room; the log and System name all. */
const mostNamed = 20;

/**
 * `/operator/v1`: what the command line asks that no program on the network may. Mounted behind the daemon's own socket
 * alone, after the operator was admitted.
 */
export function operator(router: Router<State>, { deps }: WebContext): void {
  router.use((ctx, next) => {
    ctx.set('Cache-Control', 'no-store');
    // These routes are in no table of access: whoever came in this way is the operator.
    if (ctx.state.operator) ctx.state.person = ctx.state.operator;
    return next();
  });

  router.get('/operator/v1/check', async (ctx) => {
    ctx.body = { checks: await deps.setUp.check() };
  });

  router.get('/operator/v1/settings', (ctx) => {
    ctx.body = { settings: deps.setUp.settings() };
  });

  router.post('/operator/v1/apply', async (ctx) => {
    const { file, dryRun } = checked(applyRequest, ctx.request.body);
    const result = await deps.declared.apply(file, { dryRun, by: accountName(ctx) });
    ctx.body = result.kind === 'faults' ? result : { ...result, waiting: result.waiting.map(withUrl) };
  });

  router.get('/operator/v1/export', (ctx) => {
    ctx.body = { text: deps.declared.exported() };
  });

  router.post('/operator/v1/rotate-key', async (ctx) => {
    ctx.body = await deps.key.rotate(accountName(ctx));
  });

  router.post('/operator/v1/accounts/:name/password', async (ctx) => {
    const { password } = checked(newPassword, ctx.request.body);
    await deps.accounts.resetPassword(accountNamed(ctx.params['name'] ?? '').id, password, accountName(ctx));
    ctx.status = 204;
  });

  router.post('/operator/v1/tokens', async (ctx) => {
    const { account, sites, expiresAt, scopes, name } = checked(newToken, ctx.request.body);
    if (sites?.some((id) => !deps.sites.get(id)))
      throw new Problem('request-invalid', { text: 'One of these sites does not exist.' });
    const facts = {
      ...{ name, scopes, accountId: accountNamed(account).id },
      ...(sites ? { sites: sites as SiteId[] } : {}),
      ...(expiresAt === undefined ? {} : { endsAt: Date.parse(expiresAt) }),
    };
    const { token, text } = await deps.apiTokens.add(facts, accountName(ctx));
    ctx.status = 201;
    ctx.body = { id: token.id, text };
  });

  router.get('/operator/v1/backup', async (ctx) => {
    const gone = new AbortController();
    ctx.res.once('close', () => gone.abort());
    const prepared = await deps.backups.prepare(ctx.query['repositories'] !== 'no', gone.signal);
    ctx.type = 'application/gzip';
    ctx.set('X-Left-Out', encodeURIComponent(JSON.stringify(prepared.leftOut.slice(0, mostNamed))));
    const body = new PassThrough();
    ctx.body = body;
    prepared.write(body).catch((error: unknown) => {
      if (!gone.signal.aborted) deps.log('error', 'A backup broke off.', { error });
      // Whoever reads must not take half an archive for one.
      ctx.res.destroy();
    });
  });

  router.get('/operator/v1/backup-key', async (ctx) => {
    ctx.body = { key: await deps.backups.key() };
  });

  /** Whoever reads it in a terminal opens it in a browser. */
  function withUrl(wait: DeclaredWait): DeclaredWait {
    return wait.page === undefined ? wait : { ...wait, page: `${deps.about.publicUrl}${wait.page}` };
  }

  function accountNamed(name: string): Account {
    const wanted = name.normalize('NFKC').trim().toLowerCase();
    const found = deps.accounts.all().find((one) => one.name.normalize('NFKC').trim().toLowerCase() === wanted);
    if (found) return found;
    const known = deps.accounts.all().map((one) => one.name);
    throw new Problem('request-invalid', {
      text: `There is no account ${name}. Accounts: ${known.join(', ') || 'none'}.`,
    });
  }
}

/** Throws `request-invalid`. */
function checked<T extends z.ZodType>(shape: T, body: unknown): z.output<T> {
  const { success, data, error } = shape.safeParse(body);
  if (success) return data;
  throw new Problem('request-invalid', {
    text: error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join(' '),
  });
}
