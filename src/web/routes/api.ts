import type { Router } from '@koa/router';
import type { ApiScope } from '../../model/account.ts';
import type { RunRecord } from '../../model/event.ts';
import { Problem, asProblem } from '../../model/problem.ts';
import { describe } from '../../model/remedy.ts';
import type { Moved, Site, SiteStatus } from '../../model/site.ts';
import { displayPath } from '../../model/tree.ts';
import { apiDescription } from '../api-description.ts';
import type { Context, WebContext, State } from '../context.ts';
import { fields } from '../form.ts';
import { stateWords } from '../words.ts';

type Call = Context & { params: Record<string, string> };

/** `/api/v1`: for programs, by bearer token. Answers are JSON, errors too; nothing here knows a cookie. */
export function api(router: Router<State>, web: WebContext): void {
  const { deps } = web;
  const call =
    (scope: ApiScope, answer: (ctx: Call, by: string) => Promise<unknown>) =>
    async (ctx: Call): Promise<void> => {
      try {
        const by = admit(ctx, web, scope);
        ctx.body = await answer(ctx, by);
      } catch (error) {
        refuse(ctx, web, error);
      }
      ctx.set('Cache-Control', 'no-store');
    };

  router.get('/api/v1/openapi.json', (ctx) => {
    ctx.body = apiDescription(deps.about.publicUrl);
  });
  router.get(
    '/api/v1/sites',
    call('read', async () => ({ sites: deps.sites.all().map((site) => siteView(web, site)) })),
  );
  router.get(
    '/api/v1/sites/:id',
    call('read', async (ctx) => siteView(web, siteOf(ctx, web))),
  );
  router.get(
    '/api/v1/sites/:id/activity',
    call('read', async (ctx) => {
      const site = siteOf(ctx, web);
      const { limit, offset } = window(ctx);
      const { rows, total } = await deps.history.runs(site.id, { limit, offset });
      return { total, runs: rows.map(runView) };
    }),
  );
  router.post(
    '/api/v1/sites/:id/sync',
    call('sync', async (ctx, by) => {
      const site = siteOf(ctx, web);
      await deps.sites.syncNow(site.id, by);
      ctx.status = 202;
      return siteView(web, site);
    }),
  );
  for (const act of ['pause', 'resume'] as const) {
    router.post(
      `/api/v1/sites/:id/${act}`,
      call('sync', async (ctx, by) => {
        const site = siteOf(ctx, web);
        await deps.sites[act](site.id, by);
        return siteView(web, siteOf(ctx, web));
      }),
    );
  }
  router.all('/api/*rest', (ctx: Call) => refuse(ctx, web, new Problem('not-found', { what: 'address' })));
}

/** Who asks, as the audit log names them: the operator, or the owner of the token that is shown. */
function admit(ctx: Context, { deps }: WebContext, scope: ApiScope): string {
  if (ctx.state.operator) return ctx.state.operator.name;
  const shown = /^Bearer ([\w-]{20,200})$/.exec(ctx.get('Authorization'))?.[1];
  const token = shown === undefined ? undefined : deps.apiTokens.find(shown);
  const owner = token && deps.accounts.all().find(({ id }) => id === token.accountId);
  if (!token || !owner) throw new Problem('not-allowed', { why: 'token' });
  if (scope === 'sync' && token.scope !== 'sync') throw new Problem('not-allowed', { why: 'scope' });
  return `${owner.name} (${token.name})`;
}

function refuse(ctx: Context, { deps }: WebContext, error: unknown): void {
  const problem = asProblem(error);
  if (problem.code === 'unexpected') deps.log('error', 'An API call failed.', { path: ctx.path, error: String(error) });
  const facts = problem.toFacts();
  const { title, happened, todo, status } = describe(facts);
  const { why } = problem.facts;
  ctx.status = why === 'token' ? 401 : status;
  if (why === 'token') ctx.set('WWW-Authenticate', 'Bearer realm="mooring"');
  ctx.body = { error: { code: problem.code, title, happened, todo } };
}

function siteOf(ctx: Call, { deps }: WebContext): Site {
  const site = deps.sites.get(ctx.params['id'] ?? '');
  if (!site) throw new Problem('not-found', { what: 'site' });
  return site;
}

/** `limit` (1 to 100, else 25) and `offset` from the query. */
function window(ctx: Context): { limit: number; offset: number } {
  const { limit = '', offset = '' } = fields(ctx.query);
  const whole = (text: string): number | undefined => (/^\d{1,6}$/.test(text) ? Number(text) : undefined);
  return { limit: Math.min(100, Math.max(1, whole(limit) ?? 25)), offset: whole(offset) ?? 0 };
}

function siteView({ deps }: WebContext, site: Site) {
  const status = deps.sites.status(site.id);
  const { binding } = site;
  return {
    id: site.id,
    name: site.name,
    folder: site.folder,
    paused: site.paused,
    repository: binding ? { id: binding.projectId, path: binding.projectPath, branch: binding.branch } : null,
    state: status.state,
    stateText: stateWords[status.state],
    since: time(status.since),
    checkedAt: time(status.checkedAt),
    lastPull: movedView(status.lastPull),
    lastPush: movedView(status.lastPush),
    waiting: { toPull: status.waiting.toPull, toPush: status.waiting.toPush },
    nextTryAt: time(status.nextTryAt),
    conflicts: status.conflicts,
    notSynced: status.notSyncedCount,
    hold: status.hold ? { code: status.hold.code, since: time(status.hold.at) } : null,
    problem: problemView(status.problem),
  };
}

function problemView(problem: SiteStatus['problem']) {
  if (!problem) return null;
  const { title, happened, todo } = describe(problem);
  return { code: problem.code, title, happened, todo };
}

function movedView(moved: Moved | undefined) {
  return moved ? { at: time(moved.at), files: moved.files, commit: moved.commit, subject: moved.subject } : null;
}

function runView(run: RunRecord) {
  const { id, at, durationMs, triggers, result, pulled, pushed, before, after, conflicts } = run;
  return {
    ...{ id, at: time(at), durationMs, triggers, result, pulled, pushed },
    before: before ?? null,
    after: after ?? null,
    conflicts: conflicts.map(displayPath),
    problem: problemView(run.problem),
  };
}

/** RFC 3339 in UTC. */
const time = (ms: number | undefined): string | null => (ms === undefined ? null : new Date(ms).toISOString());
