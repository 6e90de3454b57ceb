import { z } from 'zod';
import { Problem } from '../../model/problem.ts';
import type { Conflict, KeptVersion } from '../../model/plan.ts';
import type { Hold } from '../../model/site.ts';
import { displayPath } from '../../model/tree.ts';
import { holdChoices, holdReason, holdTitle } from '../hold-words.ts';
import { sendFile } from '../send-file.ts';
import { pageQuery, partOf } from './cursor.ts';
import { type Call, type Endpoint, endpoint } from './endpoint.ts';
import * as shapes from './shapes.ts';
import { pathKey, pathOfKey, siteView, time } from './views.ts';

/** What people decide: holds, conflicts, and which kept version comes back. */
export const decisionEndpoints: readonly Endpoint[] = [
  endpoint({
    method: 'get',
    path: '/sites/:id/hold',
    summary: 'Read why a site is on hold, and the choices',
    status: 200,
    answer: z.strictObject({ hold: shapes.hold.nullable() }),
    handle: ({ deps, site }) => {
      const { hold } = deps.sites.status(site().id);
      return { hold: hold ? holdView(hold) : null };
    },
  }),
  endpoint({
    method: 'post',
    path: '/sites/:id/hold',
    summary: 'Answer a hold',
    description: 'An answer counts only for the question it names by `step`.',
    body: shapes.holdAnswer,
    example: { step: 'the step of the hold', choice: 'put-back' },
    status: 202,
    answer: shapes.site,
    refusals: { 409: 'The site is on hold no more, or the question is another.' },
    handle: async ({ deps, site, body, by }) => {
      const { id } = site();
      const { hold } = deps.sites.status(id);
      if (hold?.step !== body.step) throw new Problem('plan-outdated', {});
      if (!hold.choices.includes(body.choice))
        throw new Problem('request-invalid', { choice: `The choices are ${hold.choices.join(', ')}.` });
      await deps.decisions.choose(id, body.step, body.choice, by);
      return siteView(deps, site());
    },
  }),
  endpoint({
    method: 'post',
    path: '/sites/:id/hold/push-elsewhere',
    summary: 'Push what GitLab refused to a new branch',
    body: z.strictObject({ branch: z.string().min(1).max(300), mergeRequest: z.boolean().default(true) }),
    example: { branch: 'review/from-the-site' },
    status: 200,
    answer: z.strictObject({ said: z.string().describe('What GitLab said about the push.') }),
    refusals: { 409: 'Nothing waits that GitLab refused, or the site is not connected.' },
    handle: async ({ deps, site, body, by }) => ({
      said: await deps.connecting.pushElsewhere(site().id, body, by),
    }),
  }),
  endpoint({
    method: 'get',
    path: '/sites/:id/conflicts',
    summary: 'List conflicts',
    query: pageQuery,
    status: 200,
    answer: z.strictObject({ conflicts: z.array(shapes.conflict), next: z.string().nullable() }),
    handle: ({ deps, site, query }) => {
      const { rows, next } = partOf(deps.decisions.conflicts(site().id), ({ id }) => id, query);
      return { conflicts: rows.map(conflictView), next };
    },
  }),
  endpoint({
    method: 'get',
    path: '/sites/:id/conflicts/:conflict/:side',
    summary: 'Download one version of a conflict',
    description: '`side`: `repository` or `site`. At most 5 MiB.',
    status: 200,
    answer: 'bytes',
    handle: async (call) => {
      const conflict = conflictOf(call);
      const side = call.param('side');
      if (side !== 'repository' && side !== 'site') throw new Problem('not-found', { what: 'version' });
      const content = (await call.deps.decisions.versions(call.site().id, conflict.id))[side];
      if (!content) throw new Problem('not-found', { what: 'version' });
      sendFile(call.ctx, conflict.path, content, `${side}-`);
    },
  }),
  endpoint({
    method: 'post',
    path: '/sites/:id/conflicts/:conflict',
    summary: 'Resolve a conflict',
    description: 'The version that is not chosen is kept.',
    body: z.strictObject({ use: z.enum(['repository', 'site']) }),
    example: { use: 'site' },
    status: 200,
    answer: shapes.conflict,
    handle: async (call) => {
      const { id } = conflictOf(call);
      await call.deps.decisions.resolve(call.site().id, id, call.body.use, call.by);
      return conflictView(conflictOf(call));
    },
  }),
  endpoint({
    method: 'get',
    path: '/sites/:id/kept',
    summary: 'List kept versions, newest first',
    query: pageQuery,
    status: 200,
    answer: z.strictObject({ versions: z.array(shapes.keptVersion), next: z.string().nullable() }),
    handle: async ({ deps, site, query }) => {
      const all = [...(await deps.decisions.kept(site().id))].sort((a, b) => b.at - a.at);
      const { rows, next } = partOf(all, ({ id }) => id, query);
      return { versions: rows.map((version) => keptView(version, site().settings.keepDays)), next };
    },
  }),
  endpoint({
    method: 'get',
    path: '/sites/:id/kept/:version',
    summary: 'List the files of a kept version',
    query: pageQuery,
    status: 200,
    answer: z.strictObject({ files: z.array(shapes.keptFile), next: z.string().nullable() }),
    handle: async (call) => {
      const files = await call.deps.decisions.keptFiles(call.site().id, (await versionOf(call)).id);
      const { rows, next } = partOf(files, ({ path }) => path, call.query);
      return { files: rows.map(({ path, bytes }) => ({ id: pathKey(path), path: displayPath(path), bytes })), next };
    },
  }),
  endpoint({
    method: 'get',
    path: '/sites/:id/kept/:version/files/:file',
    summary: 'Download a file of a kept version',
    status: 200,
    answer: 'bytes',
    handle: async (call) => {
      const path = pathOfKey(call.param('file'), 'file');
      const version = await versionOf(call);
      sendFile(call.ctx, path, await call.deps.decisions.keptFile(call.site().id, version.id, path));
    },
  }),
  endpoint({
    method: 'post',
    path: '/sites/:id/kept/:version/restore',
    summary: 'Restore a kept version, or one file of it',
    description: 'A restore is an edit like any other: committed, pushed, and itself to be undone.',
    body: z.strictObject({ file: z.string().max(8_000).optional().describe('The `id` of a file; absent: all.') }),
    example: { file: 'aW5kZXguaHRtbA' },
    status: 202,
    answer: shapes.site,
    handle: async (call) => {
      const path = call.body.file === undefined ? undefined : pathOfKey(call.body.file, 'file');
      await call.deps.decisions.restore(call.site().id, (await versionOf(call)).id, path, call.by);
      return siteView(call.deps, call.site());
    },
  }),
];

function holdView(hold: Hold): z.output<typeof shapes.hold> {
  return {
    ...{ code: hold.code, since: time(hold.at), step: hold.step, title: holdTitle(hold), reason: holdReason(hold) },
    choices: holdChoices(hold).map(({ choice, title, body }) => ({ choice, title, body })),
    ...{ total: hold.total, tally: hold.tally },
    samples: hold.samples.map(({ mark, path }) => ({ mark, path: displayPath(path) })),
  };
}

function conflictView(conflict: Conflict): z.output<typeof shapes.conflict> {
  const { id, at, path, kind, live, repository, site, resolved } = conflict;
  return {
    ...{ id, at: time(at), path: displayPath(path), kind, live },
    hasRepository: repository !== undefined,
    hasSite: site !== undefined,
    resolved: resolved ? { at: time(resolved.at), by: resolved.by, use: resolved.choice } : null,
  };
}

function conflictOf(call: Call): Conflict {
  const id = call.param('conflict');
  const found = call.deps.decisions.conflicts(call.site().id).find((conflict) => conflict.id === id);
  if (!found) throw new Problem('not-found', { what: 'conflict' });
  return found;
}

const dayMs = 86_400_000;

function keptView({ id, at, cause, files, bytes }: KeptVersion, keepDays: number): z.output<typeof shapes.keptVersion> {
  return { id, at: time(at), until: time(at + keepDays * dayMs), cause, files, bytes };
}

async function versionOf(call: Call): Promise<KeptVersion> {
  const found = (await call.deps.decisions.kept(call.site().id)).find(({ id }) => id === call.param('version'));
  if (!found) throw new Problem('not-found', { what: 'kept version' });
  return found;
}
