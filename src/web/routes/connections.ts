import type { Router } from '@koa/router';
import type { HandOverRow } from '../../actions/hand-over.ts';
import type { Connection, ConnectionId } from '../../model/instance.ts';
import { Problem } from '../../model/problem.ts';
import { describe } from '../../model/remedy.ts';
import type { SiteId } from '../../model/site.ts';
import { escapeControls } from '../../model/tree.ts';
import type { Context, Notice, State, WebContext } from '../context.ts';
import { fields } from '../form.ts';
import { accountName, browserOf } from '../session.ts';
import { count, when } from '../times.ts';
import { showWait, workKey } from '../wait.ts';

/** Account Settings / Connections: who syncs which sites, and handing all of somebody's sites over to oneself. */
export function connectionRoutes(router: Router<State>, web: WebContext): void {
  const { deps, address } = web;

  router.get('/account/connections', (ctx) => {
    const now = deps.now();
    web.render(ctx, 'pages/connections.njk', {
      nav: 'account',
      rows: deps.handOver.connections().map(({ connection, owner, sites }) => ({
        ...connectionView(connection),
        owner: owner === undefined ? '' : escapeControls(owner),
        mine: connection.owner === browserOf(ctx).accountId,
        since: when(connection.renewedAt, now),
        sites: count(sites.length, 'site'),
        names: sites
          .slice(0, 5)
          .map(({ id, name }) => ({ name: escapeControls(name), href: address.link(`/sites/${id}`) })),
        more: sites.length > 5 ? `and ${sites.length - 5} more` : '',
        handOver: sites.length > 0 ? address.link(`/account/connections/${connection.id}/hand-over`) : '',
      })),
    });
  });

  router.get('/account/connections/:id/hand-over', async (ctx) => {
    const from = connectionOf(ctx.params['id'], web);
    const targets = deps.handOver.targets(browserOf(ctx).accountId, from.id);
    const wanted = fields(ctx.query)['to'];
    const to = targets.find(({ id }) => id === wanted);
    if (!to) return showTargets(ctx, web, from, targets);
    const work = `check ${from.id} ${to.id}`;
    const key = workKey(ctx, work);
    web.pending.begin(key, 'ends', (asked) => deps.handOver.check(from.id, to.id, asked));
    const found = await web.pending.answer<readonly HandOverRow[]>(key);
    if (found.kind === 'done') return showRows(ctx, web, { from, to, rows: found.value });
    showWait(ctx, web, {
      title: 'Checking access to each repository',
      lines: ['Nothing has changed yet. The next page shows which sites can be handed over, and asks.'],
      crumbs: crumbs(web),
      work,
      progress: found.kind === 'running' ? found.progress : undefined,
      again: `/account/connections/${from.id}/hand-over?to=${to.id}`,
      leave: { path: '/account/connections', words: 'Cancel' },
    });
  });

  // Somebody without a connection of their own authorises Mooring in GitLab first, and comes back to the page.
  router.post('/account/connections/:id/connect', async (ctx) => {
    const from = connectionOf(ctx.params['id'], web);
    const url = await deps.connections.begin(browserOf(ctx), { handOver: from.id });
    ctx.status = 303;
    ctx.redirect(url);
  });

  router.post('/account/connections/:id/hand-over', async (ctx) => {
    const from = connectionOf(ctx.params['id'], web);
    const { to: wanted = '', sites = '' } = fields(ctx.request.body);
    const to = deps.handOver.targets(browserOf(ctx).accountId, from.id).find(({ id }) => id === wanted);
    if (!to) throw new Problem('form-invalid', { text: 'Choose a connection of your own.' });
    const chosen = sites.split(' ').filter(Boolean) as SiteId[];
    const by = accountName(ctx);
    const key = workKey(ctx, handOverWork(from));
    web.pending.begin(key, 'goes on', async (asked): Promise<Notice> => {
      const { moved, stayed } = await deps.handOver.carryOut(from.id, to.id, chosen, by, asked);
      return {
        tone: stayed.length === 0 ? 'good' : 'warn',
        title: `${count(moved, 'site')} handed over to @${to.username}`,
        lines: stayed.map((row) => `${row.site.name} stayed: ${row.problem ? describe(row.problem).title : ''}.`),
      };
    });
    await showCarriedOut(ctx, web, from);
  });

  router.get('/account/connections/:id/handing-over', async (ctx) => {
    await showCarriedOut(ctx, web, { id: ctx.params['id'] as ConnectionId, username: '' });
  });
}

async function showCarriedOut(ctx: Context, web: WebContext, from: Pick<Connection, 'id' | 'username'>): Promise<void> {
  const found = await web.pending.answer<Notice>(workKey(ctx, handOverWork(from)));
  const path = `/account/connections/${from.id}/handing-over`;
  if (found.kind !== 'running')
    return web.redirect(ctx, '/account/connections', found.kind === 'done' ? found.value : undefined);
  if (ctx.method === 'POST') return web.redirect(ctx, path);
  showWait(ctx, web, {
    title: 'Handing sites over',
    lines: ['You can leave this page. Mooring continues in the background.'],
    crumbs: crumbs(web),
    work: handOverWork(from),
    progress: found.progress,
    again: path,
    leave: { path: '/account/connections', words: 'Go to Connections' },
  });
}

function showTargets(ctx: Context, web: WebContext, from: Connection, targets: readonly Connection[]): void {
  web.render(ctx, 'pages/hand-over-to.njk', {
    nav: 'account',
    from: { ...connectionView(from), sites: count(sitesOf(web, from).length, 'site') },
    targets: targets.map(connectionView),
    here: web.address.link(`/account/connections/${from.id}`),
  });
}

function showRows(
  ctx: Context,
  web: WebContext,
  { from, to, rows }: { from: Connection; to: Connection; rows: readonly HandOverRow[] },
): void {
  const ready = rows.filter(({ problem }) => !problem);
  web.render(ctx, 'pages/hand-over.njk', {
    nav: 'account',
    from: connectionView(from),
    to: connectionView(to),
    ready: ready.map((row) => rowView(web, row)),
    refused: rows.filter(({ problem }) => problem).map((row) => rowView(web, row)),
    sites: ready.map(({ site }) => site.id).join(' '),
    readyWords: count(ready.length, 'site'),
    here: web.address.link(`/account/connections/${from.id}`),
  });
}

function rowView({ address }: WebContext, { site, binding, problem }: HandOverRow) {
  const words = problem && describe(problem);
  return {
    name: escapeControls(site.name),
    href: address.link(`/sites/${site.id}`),
    project: escapeControls(binding.projectPath),
    branch: escapeControls(binding.branch),
    why: words ? escapeControls(`${words.happened} ${words.todo}`) : '',
  };
}

function connectionView({ id, username, name, accessToken, health }: Connection) {
  return {
    id,
    name: escapeControls(name),
    username: escapeControls(username),
    kind: accessToken ? 'Access token' : 'Authorised in GitLab',
    good: health === 'good',
  };
}

const sitesOf = ({ deps }: WebContext, { id }: Connection) =>
  deps.handOver.connections().find(({ connection }) => connection.id === id)?.sites ?? [];

function connectionOf(id: string | undefined, { deps }: WebContext): Connection {
  const connection = deps.connections.get(id ?? '');
  if (!connection) throw new Problem('not-found', {});
  return connection;
}

const handOverWork = ({ id }: Pick<Connection, 'id'>): string => `hand over ${id}`;

const crumbs = ({ address }: WebContext) => [
  { name: 'Account Settings', href: address.link('/account/gitlab') },
  { name: 'Connections', href: address.link('/account/connections') },
];
