import { z } from 'zod';
import type { ConnectionRow } from '../../actions/hand-over.ts';
import type { Connection, ProjectId } from '../../model/instance.ts';
import { Problem } from '../../model/problem.ts';
import { describe } from '../../model/remedy.ts';
import type { SiteId } from '../../model/site.ts';
import { type Call, type Endpoint, endpoint, ownerFor } from './endpoint.ts';
import * as shapes from './shapes.ts';
import { connectionView, problemView } from './views.ts';

/** Connections to GitLab, what can be chosen through them, and handing sites over from one to another. */
export const connectionEndpoints: readonly Endpoint[] = [
  endpoint({
    method: 'get',
    path: '/connections',
    summary: 'List connections to GitLab',
    description: 'An admin’s token sees all, any other those of its account. They are made in a browser.',
    status: 200,
    answer: z.strictObject({ connections: z.array(shapes.connection) }),
    handle: (call) => ({ connections: rowsSeen(call).map(connectionView) }),
  }),
  endpoint({
    method: 'delete',
    path: '/connections/:id',
    summary: 'Remove a connection that no site uses',
    status: 204,
    refusals: { 409: 'Sites still use it, or a file declares it.' },
    handle: async (call) => call.deps.handOver.remove(connectionOf(call).id, call.by),
  }),
  endpoint({
    method: 'get',
    path: '/connections/:id/repositories',
    summary: 'Search the repositories that a connection of yours can see',
    query: z.strictObject({
      search: z.string().max(200).default(''),
      page: z.coerce.number().int().min(1).max(5_000).default(1),
    }),
    status: 200,
    answer: z.strictObject({ repositories: z.array(shapes.repository), nextPage: z.int().nullable() }),
    handle: async (call) => {
      const found = await call.deps.repositories.list(ownConnection(call), call.query);
      return {
        repositories: found.rows.map(({ project, disabled }) => ({
          ...{ id: project.id, path: project.path, webUrl: project.webUrl, empty: project.empty },
          defaultBranch: project.defaultBranch ?? null,
          disabled: disabled ?? null,
        })),
        nextPage: found.nextPage ?? null,
      };
    },
  }),
  endpoint({
    method: 'get',
    path: '/connections/:id/repositories/:repository/branches',
    summary: 'Search the branches of a repository',
    query: z.strictObject({ search: z.string().max(200).default('') }),
    status: 200,
    answer: z.strictObject({ branches: z.array(shapes.branch), more: z.boolean() }),
    handle: async (call) => {
      const connection = ownConnection(call);
      const id = call.param('repository');
      if (!/^[1-9]\d{0,15}$/.test(id)) throw new Problem('not-found', { what: 'repository' });
      const project = await call.deps.repositories.project(connection, Number(id) as ProjectId);
      const { branches, more } = await call.deps.repositories.branches(connection, project, call.query.search);
      return { branches: branches.map((one) => ({ ...one })), more };
    },
  }),
  endpoint({
    method: 'get',
    path: '/connections/:id/hand-over',
    summary: 'Check which sites of a connection another one could serve',
    description: 'Asks GitLab about each site and changes nothing. `to`: a connection of your own.',
    query: z.strictObject({ to: z.string().max(100) }),
    status: 200,
    answer: z.strictObject({ sites: z.array(shapes.handOverRow) }),
    handle: async (call) => {
      const { from, to } = handOverOf(call, call.query.to);
      const gone = new AbortController();
      call.ctx.res.once('close', () => gone.abort(new Problem('broken-off')));
      const rows = await call.deps.handOver.check(from.id, to.id, { signal: gone.signal, progress: () => {} });
      return {
        sites: rows.map(({ site, binding, problem }) => ({
          ...{ site: site.id, repository: binding.projectPath, branch: binding.branch },
          problem: problemView(problem),
        })),
      };
    },
  }),
  endpoint({
    method: 'post',
    path: '/connections/:id/hand-over',
    summary: 'Hand sites of a connection over to one of your own',
    body: z.strictObject({ to: z.string().max(100), sites: z.array(z.string().max(64)).min(1).max(5_000) }),
    example: { to: 'c2', sites: ['5f1d0c9e2a'] },
    status: 200,
    refusals: { 409: 'A file declares the connection of one of them.' },
    answer: z.strictObject({
      moved: z.int(),
      stayed: z.array(z.strictObject({ site: z.string(), why: z.string() })),
    }),
    handle: async (call) => {
      const { from, to } = handOverOf(call, call.body.to);
      const sites = call.body.sites as SiteId[];
      const asked = { progress: () => {} };
      const { moved, stayed } = await call.deps.handOver.carryOut(from.id, to.id, sites, call.by, asked);
      return {
        moved,
        stayed: stayed.map(({ site, problem }) => ({ site: site.id, why: problem ? describe(problem).title : '' })),
      };
    },
  }),
];

/** An admin who sees all sites sees all connections; anybody else their own, with the sites that they see. */
function rowsSeen({ deps, person, seen }: Call): readonly ConnectionRow[] {
  const rows = deps.handOver.connections();
  if (person.role === 'admin') return rows;
  return rows
    .filter(({ connection }) => connection.owner === person.account.id)
    .map((row) => ({ ...row, sites: row.sites.filter(({ id }) => seen.site(id)) }));
}

function connectionOf(call: Call): Connection {
  const row = rowsSeen(call).find(({ connection }) => connection.id === call.param('id'));
  if (!row) throw new Problem('not-found', { what: 'connection' });
  return row.connection;
}

/** Nobody acts at GitLab with the access of somebody else. */
function ownConnection(call: Call): Connection {
  const connection = call.deps.connections.mine(ownerFor(call, call.param('id')), call.param('id'));
  if (!connection) throw new Problem('not-found', { what: 'connection' });
  return connection;
}

function handOverOf(call: Call, to: string): { from: Connection; to: Connection } {
  const from = connectionOf(call);
  const target = call.deps.handOver.targets(ownerFor(call, to), from.id).find(({ id }) => id === to);
  if (!target) throw new Problem('request-invalid', { to: 'Choose another connection of your own that works.' });
  return { from, to: target };
}
