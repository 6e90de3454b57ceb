import { z } from 'zod';
import type { ConnectRequest } from '../../actions/connecting.ts';
import type { BranchName, Connection, ConnectionId, ProjectId } from '../../model/instance.ts';
import type { Plan } from '../../model/plan.ts';
import { Problem } from '../../model/problem.ts';
import type { Site } from '../../model/site.ts';
import { displayPath } from '../../model/tree.ts';
import { type Call, type Endpoint, endpoint, ownerFor } from './endpoint.ts';
import * as shapes from './shapes.ts';
import { siteView } from './views.ts';

const refusals = {
  409: 'The site is connected already, another site uses the branch, a file declares another one, or something changed since the plan was made.',
};
const example = { repository: 12, branch: 'main' };

/** Connecting a site to a branch: first a plan that changes nothing, then consent to exactly that plan. */
export const connectingEndpoints: readonly Endpoint[] = [
  endpoint({
    method: 'post',
    path: '/sites/:id/connect/plan',
    summary: 'Count what connecting would change',
    description:
      'Changes nothing. Needs a connection of yours to GitLab: authorise Mooring once in a browser, or enter an access token on a site’s page. For a connected site it plans a switch to another branch of its repository.',
    body: shapes.connectRequest,
    example,
    status: 200,
    answer: shapes.plan,
    refusals,
    handle: async (call) => {
      const { ctx, deps, site, body } = call;
      const owner = ownerFor(call, body.connection);
      const gone = new AbortController();
      ctx.res.once('close', () => gone.abort(new Problem('broken-off')));
      const connection = connectionFor(deps, site(), body.connection, owner);
      const asked = { signal: gone.signal, progress: () => {} };
      const plan = await deps.connecting.plan(requestOf(site(), body), owner, asked);
      return planView(plan, body.repository, connection);
    },
  }),
  endpoint({
    method: 'post',
    path: '/sites/:id/connect',
    summary: 'Connect a site, or switch its branch',
    description: 'With the `id` of a plan: where either side has changed since, nothing happens and the answer is 409.',
    body: shapes.connectRequest.extend({ plan: z.string().min(1).max(200) }),
    example: { ...example, plan: 'the id of the plan' },
    status: 200,
    answer: shapes.site,
    refusals,
    handle: async (call) => {
      const { deps, site, body, by } = call;
      const owner = ownerFor(call, body.connection);
      connectionFor(deps, site(), body.connection, owner);
      await deps.connecting.confirm({ ...requestOf(site(), body), planId: body.plan }, by, owner);
      return siteView(deps, site());
    },
  }),
  endpoint({
    method: 'post',
    path: '/sites/:id/disconnect',
    summary: 'Disconnect a site',
    description: 'All files stay. `leftOver` names what could not be undone at GitLab.',
    status: 200,
    answer: z.strictObject({ leftOver: z.array(z.string()) }),
    refusals: { 409: 'The site is not connected, or a file declares its connection.' },
    handle: async ({ deps, site, by }) => ({
      leftOver: [...(await deps.connecting.disconnect(site().id, by)).leftOver],
    }),
  }),
  endpoint({
    method: 'post',
    path: '/sites/:id/hand-over',
    summary: 'Let a connected site use a connection of yours',
    body: z.strictObject({ connection: z.string().max(100) }),
    example: { connection: 'c1' },
    status: 200,
    answer: shapes.site,
    refusals: { 409: 'The site is not connected, or a file declares its connection.' },
    handle: async (call) => {
      const { deps, site, body, by } = call;
      const connection = deps.connections.mine(ownerFor(call, body.connection), body.connection);
      if (!connection) throw noConnection('connection');
      await deps.connecting.handOver(site().id, connection, by);
      return siteView(deps, site());
    },
  }),
];

function requestOf(site: Site, body: z.output<typeof shapes.connectRequest>): ConnectRequest {
  return {
    site: site.id,
    projectId: body.repository as ProjectId,
    branch: body.branch as BranchName,
    direction: body.direction,
    ...(body.subfolder === undefined ? {} : { subfolder: body.subfolder }),
    ...(body.connection === undefined ? {} : { connection: body.connection as ConnectionId }),
  };
}

/** Whose access it would be: a connected site keeps its own. Throws `request-invalid` where there is none. */
function connectionFor(
  { connections, declared }: Call['deps'],
  { id, binding }: Site,
  wanted: string | undefined,
  accountId: string,
): Connection {
  // A declared site uses its declared connection, for its declared branch: everything else is refused before.
  const own = binding?.connectionId ?? declared.source(id)?.connectionId;
  const found = own ? connections.get(own) : connections.mine(accountId, wanted);
  if (!found) throw noConnection('connection');
  return found;
}

function noConnection(member: string): Problem {
  return new Problem('request-invalid', {
    text: 'You have no such connection to GitLab. Authorise Mooring once in a browser: open a site’s Source Syncing and select Connect.',
    [member]: 'There is no such connection of yours. /api/v1/connections lists them.',
  });
}

function planView(plan: Plan, repository: number, { id, username }: Connection): z.output<typeof shapes.plan> {
  const { direction, branch, tip, replaced, added, removed, same, ignored } = plan;
  return {
    id: plan.id,
    connection: { id, username },
    ...{ repository, branch, direction, tip: tip ?? null, replaced, added, removed, same, ignored },
    samples: plan.samples.map(({ mark, path, bytes }) => ({ mark, path: displayPath(path), bytes })),
    secrets: plan.secrets.map(displayPath),
    untouched: plan.untouchedCount,
    refused: plan.refused.map(({ path }) => displayPath(path)),
    obstacles: (plan.obstacles ?? []).map(({ kind, certain }) => ({ kind, certain })),
  };
}
