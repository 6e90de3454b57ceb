import type { Router } from '@koa/router';
import type { RunRecord } from '../../model/event.ts';
import { describe } from '../../model/remedy.ts';
import type { Moved, Site, SiteStatus } from '../../model/site.ts';
import { displayPath } from '../../model/tree.ts';
import { apiDescription } from '../api-description.ts';
import type { Context, WebContext, State } from '../context.ts';
import { fields } from '../form.ts';
import { seen } from '../seen.ts';
import { accountName } from '../session.ts';
import { siteOf } from '../site-frame.ts';
import { stateWords } from '../words.ts';

type Call = Context & { params: Record<string, string> };

/** `/api/v1`: for programs, by bearer token. Answers are JSON, errors too; nothing here knows a cookie. */
export function api(router: Router<State>, web: WebContext): void {
  const { deps } = web;
  const call =
    (answer: (ctx: Call, by: string) => Promise<unknown>) =>
    async (ctx: Call): Promise<void> => {
      ctx.body = await answer(ctx, accountName(ctx));
      ctx.set('Cache-Control', 'no-store');
    };

  router.get('/api/v1/openapi.json', (ctx) => {
    ctx.body = apiDescription(deps.about.publicUrl);
  });
  router.get(
    '/api/v1/sites',
    call(async (ctx) => ({
      sites: seen(ctx, web)
        .sites()
        .map((site) => siteView(web, site)),
    })),
  );
  router.get(
    '/api/v1/sites/:id',
    call(async (ctx) => siteView(web, siteOf(ctx, web))),
  );
  router.get(
    '/api/v1/sites/:id/activity',
    call(async (ctx) => {
      const site = siteOf(ctx, web);
      const { limit, offset } = window(ctx);
      const { rows, total } = await deps.history.runs(site.id, { limit, offset });
      return { total, runs: rows.map(runView) };
    }),
  );
  router.post(
    '/api/v1/sites/:id/sync',
    call(async (ctx, by) => {
      const site = siteOf(ctx, web);
      await deps.sites.syncNow(site.id, by);
      ctx.status = 202;
      return siteView(web, site);
    }),
  );
  for (const act of ['pause', 'resume'] as const) {
    router.post(
      `/api/v1/sites/:id/${act}`,
      call(async (ctx, by) => {
        const site = siteOf(ctx, web);
        await deps.sites[act](site.id, by);
        return siteView(web, siteOf(ctx, web));
      }),
    );
  }
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
