import { z } from 'zod';
import type { RunRecord } from '../../model/event.ts';
import { Problem } from '../../model/problem.ts';
import type { SiteId } from '../../model/site.ts';
import type { WebDeps } from '../deps.ts';
import { liveStream } from '../live.ts';
import { reachOf } from '../../model/account.ts';
import { pageQuery, partOfHistory } from './cursor.ts';
import { type Endpoint, endpoint } from './endpoint.ts';
import * as shapes from './shapes.ts';
import { auditView, problemView, runDetails, runView } from './views.ts';

const activityQuery = pageQuery.extend({
  offset: z.coerce.number().int().min(0).max(999_999).optional().describe('Instead of a cursor: rows to skip.'),
});

/** What happened: runs of a site, the audit log, what is wrong now, and live events. */
export const activityEndpoints: readonly Endpoint[] = [
  endpoint({
    method: 'get',
    path: '/sites/:id/activity',
    summary: 'List the runs of a site, newest first',
    query: activityQuery,
    status: 200,
    answer: z.strictObject({ total: z.int(), runs: z.array(shapes.runShort), next: z.string().nullable() }),
    handle: async ({ deps, site, query }) => {
      const { id } = site();
      const { rows, total, next } = await partOfHistory((page) => deps.history.runs(id, page), query);
      return { total, runs: rows.map(runView), next };
    },
  }),
  endpoint({
    method: 'get',
    path: '/sites/:id/activity/:run',
    summary: 'Read a run with its files and the output of git',
    status: 200,
    answer: shapes.runWhole,
    handle: async ({ deps, site, param }) => {
      const [{ id }, run] = [site(), param('run')];
      return runDetails(await runOf(deps, id, run), await deps.history.after(id, [run]));
    },
  }),
  endpoint({
    method: 'get',
    path: '/audit',
    summary: 'List what people did, newest first',
    query: pageQuery,
    status: 200,
    answer: z.strictObject({ total: z.int(), entries: z.array(shapes.auditEntry), next: z.string().nullable() }),
    handle: async ({ seen, query }) => {
      const { rows, total, next } = await partOfHistory(seen.acts, query);
      return { total, entries: rows.map(auditView), next };
    },
  }),
  endpoint({
    method: 'get',
    path: '/problems',
    summary: 'List what is wrong, and what needs attention soon',
    status: 200,
    answer: z.strictObject({
      sites: z.array(
        z.strictObject({
          site: z.string(),
          name: z.string(),
          state: z.string(),
          hold: z.string().nullable(),
          conflicts: z.int(),
          problem: shapes.problem.nullable(),
        }),
      ),
      attention: z.array(shapes.attention),
    }),
    handle: async ({ deps, seen }) => ({
      sites: seen.sites().flatMap(({ id, name }) => {
        const { state, hold, problem, conflicts } = deps.sites.status(id);
        if (!hold && !problem && conflicts === 0) return [];
        return [{ site: id, name, state, hold: hold?.code ?? null, conflicts, problem: problemView(problem) }];
      }),
      attention: (await seen.attention()).map(({ kind, tone, title, text, sites }) => ({
        ...{ kind, tone, title, text, sites: [...sites] },
      })),
    }),
  }),
  endpoint({
    method: 'get',
    path: '/events',
    summary: 'Follow live events',
    description:
      'Server-sent events: `status`, `run` and `act`, each with the `site` it is about; they say that something changed, and the other addresses say how. Send `Last-Event-ID` to resume; a thousand events are remembered.',
    status: 200,
    answer: 'events',
    handle: ({ ctx, deps, person }) => {
      const { operator } = ctx.state;
      const last = ctx.get('Last-Event-ID');
      ctx.type = 'text/event-stream';
      ctx.set('X-Accel-Buffering', 'no');
      ctx.status = 200;
      const tokenId = person.token?.id;
      const reader = () => {
        if (operator) return operator;
        const token = deps.apiTokens.all().find(({ id }) => id === tokenId);
        const account = token && deps.accounts.get(token.accountId);
        const isOver = token?.endsAt !== undefined && deps.now() >= token.endsAt;
        return account && !isOver ? reachOf(account, token) : undefined;
      };
      ctx.body = liveStream(deps, reader, /^\d{1,15}$/.test(last) ? Number(last) : undefined);
    },
  }),
];

const readAtOnce = 100;

/** Throws `not-found`. */
async function runOf({ history }: WebDeps, site: SiteId, id: string): Promise<RunRecord> {
  for (let offset = 0; ; offset += readAtOnce) {
    const { rows, total } = await history.runs(site, { limit: readAtOnce, offset });
    const found = rows.find((run) => run.id === id);
    if (found) return found;
    if (offset + readAtOnce >= total) throw new Problem('not-found', { what: 'run' });
  }
}
