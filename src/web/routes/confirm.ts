import type { Router } from '@koa/router';
import { z } from 'zod';
import type { BranchName, Connection, ConnectionId } from '../../model/instance.ts';
import { Problem, type ProblemCode } from '../../model/problem.ts';
import type { Site } from '../../model/site.ts';
import type { Plan } from '../../model/plan.ts';
import { escapeControls } from '../../model/tree.ts';
import type { Context, Notice, WebContext, State } from '../context.ts';
import { showWait, workKey } from '../wait.ts';
import type { ConnectRequest } from '../../actions/connecting.ts';
import { beside, fields, line, parse } from '../form.ts';
import { planView } from '../plan-view.ts';
import { siteOf } from '../site-frame.ts';
import { projectId, showBranches, showPicker, usableConnection } from '../picker.ts';
import { accountName } from '../session.ts';

const question = z.object({
  project: z.string({ error: 'Choose a repository.' }).regex(/^[1-9]\d{0,15}$/, 'Choose a repository.'),
  branch: line('a branch', 300).default(''),
  newBranch: line('a branch', 300).default(''),
  direction: z.enum(['replace', 'start-from-folder']).default('replace'),
  subfolder: line('a subfolder', 500).default(''),
  connection: line('a connection', 100).default(''),
});
const answer = question.extend({ planId: z.string().min(1).max(200) });

/** What is wrong with the branch belongs beside its field, not on a page of its own. */
const places: Partial<Record<ProblemCode, string>> = {
  'branch-invalid': 'newBranch',
  'branch-missing': 'branch',
  'subfolder-invalid': 'subfolder',
  'push-not-allowed': 'branch',
  'project-in-use': 'branch',
};

/** The warning with real numbers, and the click that connects. As a page, or as the inside of a dialog. */
export function confirm(router: Router<State>, web: WebContext): void {
  const { deps } = web;

  router.get('/sites/:id/confirm', async (ctx) => {
    const site = siteOf(ctx, web);
    const request = requestOf(site, fields(ctx.query));
    if (site.binding && request?.projectId !== site.binding.projectId)
      return web.redirect(ctx, `/sites/${site.id}/settings/syncing`);
    if (request === undefined)
      return backToPicker(ctx, web, site, { branch: 'Choose a branch, or enter the name of a new one.' });
    try {
      await showPlan(ctx, web, site, request, 'first');
    } catch (error) {
      await backToPicker(ctx, web, site, beside(error, places));
    }
  });

  router.post('/sites/:id/confirm', async (ctx) => {
    const site = siteOf(ctx, web);
    const parsed = parse(answer, ctx.request.body);
    const request = requestOf(site, fields(ctx.request.body));
    if (parsed.kind === 'bad' || request === undefined) throw new Problem('form-invalid');
    const wanted = { ...request, planId: parsed.values.planId };
    const [by, accountId] = [accountName(ctx), account(ctx)];
    const connect = async (): Promise<Notice> => {
      await deps.connecting.confirm(wanted, by, accountId);
      return connectedNotice(site, request);
    };
    const key = workKey(ctx, connectWork(site));
    // Whoever clicked it may leave: the click was the consent, and it is carried out all the same.
    web.pending.begin(key, 'goes on', connect);
    try {
      const found = await web.pending.answer<Notice>(key);
      if (found.kind === 'done') return web.redirect(ctx, `/sites/${site.id}/settings/syncing`, found.value);
      web.redirect(ctx, `/sites/${site.id}/connecting?${queryOf(request)}`);
    } catch (error) {
      if (!(error instanceof Problem) || error.code !== 'plan-outdated') throw error;
      return showPlan(ctx, web, site, request, 'again');
    }
  });

  router.get('/sites/:id/connecting', async (ctx) => {
    const site = siteOf(ctx, web);
    const request = requestOf(site, fields(ctx.query));
    try {
      await showConnecting(ctx, web, site, request);
    } catch (error) {
      if (!(error instanceof Problem) || error.code !== 'plan-outdated' || !request) throw error;
      web.redirect(ctx, `/sites/${site.id}/confirm?${queryOf(request)}`, {
        tone: 'warn',
        title: 'Something changed since you looked',
        lines: ['These are the new numbers. Nothing has changed yet.'],
      });
    }
  });
}

/** The end of a connect that was begun, or the page that waits for it. */
async function showConnecting(
  ctx: Context,
  web: WebContext,
  site: Site,
  request: ConnectRequest | undefined,
): Promise<void> {
  const found = await web.pending.answer<Notice>(workKey(ctx, connectWork(site)));
  if (found.kind !== 'running')
    return web.redirect(ctx, `/sites/${site.id}/settings/syncing`, found.kind === 'done' ? found.value : undefined);
  const { progress } = web.deps.sites.status(site.id);
  showWait(ctx, web, {
    crumbs: crumbsOf(web, site),
    title: `Connecting ${escapeControls(site.name)}`,
    lines: ['You can leave this page. Mooring continues in the background, and Source Syncing shows when it is done.'],
    work: connectWork(site),
    progress: progress ?? found.progress,
    again: `/sites/${site.id}/connecting${request ? `?${queryOf(request)}` : ''}`,
    leave: { path: `/sites/${site.id}/settings/syncing`, words: 'Go to Source Syncing' },
  });
}

function connectedNotice(site: Site, { branch }: ConnectRequest): Notice {
  return {
    tone: 'good',
    title: site.binding ? `${site.name} is on ${branch} now` : `${site.name} is connected`,
    lines: ['From now on pushes appear in the folder, and edits in the folder are committed and pushed.'],
  };
}

/** The pages above what is waited for. */
function crumbsOf({ address }: WebContext, site: Site): Parameters<typeof showWait>[2]['crumbs'] {
  const home = address.link(`/sites/${site.id}`);
  return [
    { name: 'Sites', href: address.link('/') },
    { name: escapeControls(site.name), href: home },
    { name: 'Source Syncing', href: `${home}/settings/syncing` },
  ];
}

const connectWork = ({ id }: Site): string => `connect ${id}`;

function queryOf({ projectId, branch, direction, subfolder, connection }: ConnectRequest): string {
  return new URLSearchParams({
    ...{ project: String(projectId), branch, direction },
    ...{ subfolder: subfolder ?? '', connection: connection ?? '' },
  }).toString();
}

function requestOf(site: Site, entered: Readonly<Record<string, string>>): ConnectRequest | undefined {
  const parsed = parse(question, entered);
  const id = projectId(entered['project']);
  if (parsed.kind === 'bad' || id === undefined) return undefined;
  const branch = parsed.values.newBranch || parsed.values.branch;
  if (branch === '') return undefined;
  const { direction, subfolder, connection } = parsed.values;
  return {
    site: site.id,
    projectId: id,
    branch: branch as BranchName,
    direction,
    ...(subfolder === '' ? {} : { subfolder }),
    ...(connection === '' ? {} : { connection: connection as ConnectionId }),
  };
}

type Turn = 'first' | 'again';

async function showPlan(ctx: Context, web: WebContext, site: Site, request: ConnectRequest, turn: Turn): Promise<void> {
  const connection = site.binding
    ? web.deps.connections.get(site.binding.connectionId)
    : (declaredConnection(web, site) ?? usableConnection(ctx, web, site, request.connection));
  if (!connection) return site.binding && web.redirect(ctx, `/sites/${site.id}/settings/syncing`);
  const plan = await planOf(ctx, web, site, request);
  if (plan === 'running') return;
  const project = await web.deps.repositories.project(connection, request.projectId);
  const view = planView(web, site, request, plan, project);
  web.render(ctx, 'pages/confirm.njk', { nav: 'sites', turn, ...view }, turn === 'again' ? 409 : 200);
}

/** Which is used for the declared branch alone: the plan, which comes first, refuses any other. */
function declaredConnection({ deps }: WebContext, site: Site): Connection | undefined {
  const id = deps.declared.source(site.id)?.connectionId;
  const found = id && deps.connections.get(id);
  return found?.health === 'good' ? found : undefined;
}

/** The plan; or `running`, and the page that waits for it is shown. A dialog shows by itself that it waits. */
async function planOf(ctx: Context, web: WebContext, site: Site, request: ConnectRequest): Promise<Plan | 'running'> {
  const accountId = account(ctx);
  if (ctx.get('X-Part') === 'dialog')
    return web.deps.connecting.plan(request, accountId, { signal: whileAsked(ctx), progress: () => {} });
  const work = `plan ${site.id} ${queryOf(request)}`;
  const key = workKey(ctx, work);
  web.pending.begin(key, 'ends', (work) => web.deps.connecting.plan(request, accountId, work));
  const found = await web.pending.answer<Plan>(key);
  if (found.kind === 'done') return found.value;
  showWait(ctx, web, {
    crumbs: crumbsOf(web, site),
    title: 'Comparing the folder with the branch',
    lines: ['Nothing has changed yet. The next page shows what would change, and asks.'],
    work,
    progress: found.kind === 'running' ? found.progress : undefined,
    again: `/sites/${site.id}/confirm?${queryOf(request)}`,
    leave: { path: site.binding ? `/sites/${site.id}/branch` : `/sites/${site.id}/repository`, words: 'Cancel' },
  });
  return 'running';
}

async function backToPicker(
  ctx: Context,
  web: WebContext,
  site: Site,
  errors: Readonly<Record<string, string>>,
): Promise<void> {
  // There is nothing to pick where a file declares the branch.
  if (web.deps.declared.source(site.id)) throw new Problem('form-invalid', { text: Object.values(errors).join(' ') });
  if (site.binding) return showBranches(ctx, web, site, fields(ctx.query), errors);
  await showPicker(ctx, web, site, fields(ctx.query), errors);
}

/** Aborts when the browser went away, or its dialog was closed: a large branch need not be fetched for nobody. */
function whileAsked(ctx: Context): AbortSignal {
  const gone = new AbortController();
  ctx.res.once('close', () => {
    if (!ctx.res.writableFinished) gone.abort(new Problem('broken-off'));
  });
  return gone.signal;
}

function account(ctx: Context): string {
  return ctx.state.session?.accountId ?? '';
}
