import { z } from 'zod';
import { displayPath } from '../../model/tree.ts';
import { type Endpoint, endpoint, whileWaiting } from './endpoint.ts';
import * as shapes from './shapes.ts';
import { siteView } from './views.ts';

const domains = z.strictObject({ domains: z.array(z.string().max(253)).max(100) });

/** Commits in the names of people who edit a site through a program, such as a CMS. */
export const commitAsEndpoints: readonly Endpoint[] = [
  endpoint({
    method: 'post',
    path: '/sites/:id/commit-as',
    summary: 'Sync, and commit named paths in the name of a person',
    description:
      'What changed at these paths becomes a commit of its own with this author; Mooring is the committer. Edits of other paths stay in Mooring’s own commit. Call it right after saving: what an ordinary sync has committed already is committed no second time and named in `left`. 202: the time was over first.',
    body: z.strictObject({
      paths: z.array(z.string().min(1).max(4_000)).min(1).max(1_000),
      author: z.strictObject({ name: z.string().max(200), email: z.string().max(200) }),
      message: z.string().max(10_000),
      timeout: z.int().min(1).max(600).default(60).describe('Seconds to wait at most.'),
    }),
    example: {
      paths: ['news/index.html'],
      author: { name: 'Jane Doe', email: 'jane@example.org' },
      message: 'Publish the news of May',
    },
    status: 200,
    otherStatus: 202,
    answer: z.strictObject({
      commits: z.array(z.strictObject({ commit: z.string(), paths: z.array(z.string()) })),
      left: z
        .array(z.string())
        .describe('Paths that had not changed, were committed before, or whose author GitLab rejected.'),
      site: shapes.site,
    }),
    refusals: { 409: 'The site is not connected.' },
    handle: async (call) => {
      const { ctx, deps, site, by, body } = call;
      const waiting = whileWaiting(call, body.timeout);
      const { commits, left } = await deps.commitAs.commit(site().id, body, by, waiting);
      ctx.status = waiting.aborted ? 202 : 200;
      return {
        commits: commits.map(({ commit, paths }) => ({ commit, paths: paths.map(displayPath) })),
        left: [...left],
        site: siteView(deps, site()),
      };
    },
  }),
  endpoint({
    method: 'get',
    path: '/commit-as/domains',
    summary: 'Read the e-mail domains of people in whose names programs may commit',
    status: 200,
    answer: domains,
    handle: ({ deps }) => ({ domains: [...deps.commitAs.domains()] }),
  }),
  endpoint({
    method: 'put',
    path: '/commit-as/domains',
    summary: 'Set the e-mail domains of people in whose names programs may commit',
    body: domains,
    example: { domains: ['example.org'] },
    status: 200,
    answer: domains,
    handle: async ({ deps, body, by }) => {
      await deps.commitAs.setDomains(body.domains, by);
      return { domains: [...deps.commitAs.domains()] };
    },
  }),
];
