import type { Router } from '@koa/router';
import { z } from 'zod';
import type { BranchName, ConnectionId } from '../../model/instance.ts';
import { Problem, type ProblemCode } from '../../model/problem.ts';
import type { Site } from '../../model/site.ts';
import type { Context, WebContext, State } from '../context.ts';
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
    try {
      await deps.connecting.confirm({ ...request, planId: parsed.values.planId }, accountName(ctx), account(ctx));
    } catch (error) {
      if (!(error instanceof Problem) || error.code !== 'plan-outdated') throw error;
      return showPlan(ctx, web, site, request, 'again');
    }
    web.redirect(ctx, `/sites/${site.id}/settings/syncing`, {
      tone: 'good',
      title: site.binding ? `${site.name} is on ${request.branch} now` : `${site.name} is connected`,
      lines: ['From now on pushes appear in the folder, and edits in the folder are committed and pushed.'],
    });
  });
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
    : usableConnection(ctx, web, site, request.connection);
  if (!connection) return site.binding && web.redirect(ctx, `/sites/${site.id}/settings/syncing`);
  const plan = await web.deps.connecting.plan(request, account(ctx), whileAsked(ctx));
  const project = await web.deps.repositories.project(connection, request.projectId);
  const view = planView(web, site, request, plan, project);
  web.render(ctx, 'pages/confirm.njk', { nav: 'sites', turn, ...view }, turn === 'again' ? 409 : 200);
}

async function backToPicker(
  ctx: Context,
  web: WebContext,
  site: Site,
  errors: Readonly<Record<string, string>>,
): Promise<void> {
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
