import { z } from 'zod';
import { Problem } from '../../model/problem.ts';
import type { Site } from '../../model/site.ts';
import { type Endpoint, endpoint } from './endpoint.ts';
import * as shapes from './shapes.ts';
import { pathKey, pathOfKey, siteView, time } from './views.ts';
import { displayPath } from '../../model/tree.ts';

const namedPath = z.strictObject({ id: z.string(), path: z.string() });
const notConnected = { 409: 'The site is not connected.' };

/** What a site asks for now and then: its webhook, its branch, files that rules no longer cover; and the system itself. */
export const upkeepEndpoints: readonly Endpoint[] = [
  endpoint({
    method: 'post',
    path: '/sites/:id/webhook',
    summary: 'Try to set up the webhook again',
    status: 200,
    answer: shapes.site,
    refusals: notConnected,
    handle: async ({ deps, site }) => {
      await deps.connecting.retryWebhook(connected(site()).id);
      return siteView(deps, site());
    },
  }),
  endpoint({
    method: 'post',
    path: '/sites/:id/stay',
    summary: 'Stay on the branch, although the repository’s default branch is another now',
    status: 200,
    answer: shapes.site,
    refusals: notConnected,
    handle: async ({ deps, site }) => {
      await deps.connecting.stay(connected(site()).id);
      return siteView(deps, site());
    },
  }),
  endpoint({
    method: 'get',
    path: '/sites/:id/no-longer-ignored',
    summary: 'List files that an upgrade stopped ignoring',
    status: 200,
    answer: z.strictObject({
      step: z.string().describe('Names exactly these files; send it with the decision.'),
      files: z.array(namedPath),
    }),
    handle: ({ deps, site }) => {
      const { step, left } = deps.settings.wasIgnored(site().id);
      return { step, files: left.map(({ path }) => ({ id: pathKey(path), path: displayPath(path) })) };
    },
  }),
  endpoint({
    method: 'post',
    path: '/sites/:id/no-longer-ignored',
    summary: 'Decide about files that an upgrade stopped ignoring',
    body: z.strictObject({ step: z.string().min(1).max(500), choice: z.enum(['commit', 'ignore']) }),
    example: { step: 'the step of the list', choice: 'ignore' },
    status: 202,
    answer: shapes.site,
    refusals: { 409: 'These are other files by now.' },
    handle: async ({ deps, site, body, by }) => {
      await deps.settings.decideRules(site().id, body.step, body.choice, by);
      return siteView(deps, site());
    },
  }),
  endpoint({
    method: 'post',
    path: '/sites/:id/let-go/remove',
    summary: 'Remove a file that the repository stopped tracking from the folder, too',
    description: 'Its `id` stands in `letGo` of the run. It is kept first.',
    body: z.strictObject({ file: z.string().max(8_000) }),
    example: { file: 'Y2FjaGUudHh0' },
    status: 200,
    answer: shapes.site,
    refusals: { 409: 'The file has changed, or is tracked again.' },
    handle: async ({ deps, site, body, by }) => {
      await deps.decisions.removeLetGo(site().id, pathOfKey(body.file, 'file'), by);
      return siteView(deps, site());
    },
  }),
  endpoint({
    method: 'get',
    path: '/system',
    summary: 'Read the state of this installation',
    description: 'A token that does not see all sites gets only what concerns its own.',
    status: 200,
    answer: z.strictObject({
      version: z.string(),
      machine: z
        .strictObject({
          host: z.string(),
          startedAt: shapes.moment,
          memoryBytes: z.number(),
          queue: z.strictObject({ running: z.int(), waiting: z.int() }),
        })
        .nullable(),
      checks: z.array(
        z.strictObject({
          name: z.string(),
          result: z.enum(['good', 'warn', 'bad', 'unknown']),
          finding: z.string(),
          fix: z.string().nullable(),
        }),
      ),
    }),
    handle: async ({ deps, seen }) => {
      const report = seen.all ? await deps.system.report() : undefined;
      return {
        version: deps.about.version,
        machine: report
          ? {
              ...{ host: report.host, startedAt: time(report.startedAt), memoryBytes: report.memoryBytes },
              queue: { ...report.queue },
            }
          : null,
        checks: (report?.checks ?? deps.system.reportOf(seen.sites())).map(({ name, result, finding, fix }) => ({
          ...{ name, result, finding, fix: fix ?? null },
        })),
      };
    },
  }),
];

function connected(site: Site): Site {
  if (!site.binding) throw new Problem('not-connected', { site: site.name });
  return site;
}
