import { z } from 'zod';
import { Problem } from '../../model/problem.ts';
import { pageQuery, partOf } from './cursor.ts';
import { type Endpoint, endpoint, whileWaiting } from './endpoint.ts';
import * as shapes from './shapes.ts';
import { siteView } from './views.ts';

const waitQuery = z.strictObject({
  wait: z.enum(['true', 'false']).default('false').describe('Answer when everything from before the call is synced.'),
  timeout: z.coerce.number().int().min(1).max(600).default(60).describe('Seconds to wait at most.'),
});

/** Sites: the list, adding and deleting, and when they sync. */
export const siteEndpoints: readonly Endpoint[] = [
  endpoint({
    method: 'get',
    path: '/sites',
    summary: 'List sites with their state',
    query: pageQuery.extend({ limit: z.coerce.number().int().min(1).max(1_000).default(1_000) }),
    status: 200,
    answer: z.strictObject({ sites: z.array(shapes.site), next: z.string().nullable() }),
    handle: ({ deps, seen, query }) => {
      const { rows, next } = partOf(seen.sites(), ({ id }) => id, query);
      return { sites: rows.map((site) => siteView(deps, site)), next };
    },
  }),
  endpoint({
    method: 'post',
    path: '/sites',
    summary: 'Add a site',
    description: 'Names a folder below one of the roots. Reads and changes nothing in it.',
    body: z.strictObject({ name: z.string().max(200), folder: z.string().max(4_000) }),
    example: { name: 'Museum website', folder: '/srv/sites/museum' },
    status: 201,
    answer: shapes.site,
    creates: true,
    handle: async ({ deps, body, by }) => siteView(deps, await deps.sites.add(body, by)),
  }),
  endpoint({
    method: 'get',
    path: '/folders',
    summary: 'List the folders that can become sites',
    status: 200,
    answer: z.strictObject({
      roots: z.array(z.string()),
      folders: z.array(z.strictObject({ path: z.string(), files: z.int(), disabled: z.string().nullable() })),
    }),
    handle: async ({ deps }) => ({
      roots: [...deps.about.roots],
      folders: (await deps.sites.folders()).map(({ path, files, disabled }) => ({
        path,
        files,
        disabled: disabled ?? null,
      })),
    }),
  }),
  endpoint({
    method: 'get',
    path: '/sites/:id',
    summary: 'Read a site',
    status: 200,
    answer: shapes.site,
    handle: ({ deps, site }) => siteView(deps, site()),
  }),
  endpoint({
    method: 'delete',
    path: '/sites/:id',
    summary: 'Remove a site from Mooring',
    description: 'Its files stay. Disconnect it first.',
    status: 204,
    refusals: { 409: 'The site is connected, or a file declares it.' },
    handle: async ({ deps, site, by }) => deps.sites.remove(site().id, by),
  }),
  endpoint({
    method: 'post',
    path: '/sites/:id/sync',
    summary: 'Sync now',
    description:
      'With `wait=true` the answer comes when a run has ended that saw everything from before the call: 200. After `timeout` seconds, or without `wait`: 202, and the sync goes on.',
    query: waitQuery,
    status: 202,
    otherStatus: 200,
    answer: shapes.site,
    refusals: { 409: 'The site is not connected.' },
    handle: async (call) => {
      const { ctx, deps, site, by, query } = call;
      const { id, binding, name } = site();
      if (!binding) throw new Problem('not-connected', { site: name });
      if (query.wait === 'true') {
        ctx.status = (await deps.sites.syncAndWait(id, by, whileWaiting(call, query.timeout))) ? 200 : 202;
      } else await deps.sites.syncNow(id, by);
      return siteView(deps, site());
    },
  }),
  endpoint({
    method: 'post',
    path: '/sites/:id/pause',
    summary: 'Pause a site',
    body: z.strictObject({ now: z.boolean().default(false).describe('Stop a sync that is under way.') }),
    example: { now: false },
    status: 200,
    answer: shapes.site,
    handle: async ({ deps, site, by, body }) => {
      await (body.now ? deps.sites.pause(site().id, by, 'now') : deps.sites.pause(site().id, by));
      return siteView(deps, site());
    },
  }),
  endpoint({
    method: 'post',
    path: '/sites/:id/resume',
    summary: 'Resume a site',
    status: 200,
    answer: shapes.site,
    handle: async ({ deps, site, by }) => {
      await deps.sites.resume(site().id, by);
      return siteView(deps, site());
    },
  }),
];
