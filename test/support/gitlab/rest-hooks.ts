/** Project webhooks: for Maintainers and up; secrets go in and never come out. */
import type Router from '@koa/router';
import type { Context } from 'koa';
import { randomUUID } from 'node:crypto';
import { webhookTarget } from './local-network.ts';
import { Level, isSince, majorVersion, type Hook, type ProjectRecord, type User } from './model.ts';
import type { Practice } from './practice.ts';
import { pushPayload } from './push-payload.ts';
import { commits, zeros } from './repository.ts';
import { choiceOf, flagOf, input, notFound, paginate, param, projectOf, refuse, requireLevel } from './rest-call.ts';
import { RestError, send, signedIn, textOf } from './rest-call.ts';
import { hookEntity, hookEventEntity, hookEvents } from './rest-entities.ts';
import { deliver } from './webhooks.ts';

const byHandPerMinute = 5;

export function addHookRoutes(router: Router, practice: Practice): void {
  const { world } = practice;
  const pressed = new Map<string, number[]>();

  const maintained = (ctx: Context, use: 'read' | 'write'): { user: User; project: ProjectRecord } => {
    const user = signedIn(practice, ctx, use);
    const project = projectOf(practice, ctx, user);
    requireLevel(practice, user, project, Level.maintainer);
    return { user, project };
  };
  const hookOf = (ctx: Context, project: ProjectRecord): Hook => {
    const hook = project.hooks.find(({ id }) => id === Number(param(ctx, 'hook')));
    if (!hook) throw new RestError(404, { message: '404 Not found' });
    return hook;
  };
  const rateLimit = (key: string): void => {
    const recent = (pressed.get(key) ?? []).filter((at) => at > world.now() - 60_000);
    if (recent.length >= byHandPerMinute) {
      throw new RestError(429, {
        message: { error: 'This endpoint has been requested too many times. Try again later.' },
      });
    }
    pressed.set(key, [...recent, world.now()]);
  };

  router.get('/projects/:id/hooks', (ctx) => {
    const { project } = maintained(ctx, 'read');
    const page = paginate(practice, ctx, project.hooks).map((hook) => hookEntity(world, hook));
    // GitLab publishes no schema for the list, so each member is held against that of one hook.
    send(practice, ctx, 'project_hooks', page);
  });

  router.get('/projects/:id/hooks/:hook', (ctx) => {
    const { project } = maintained(ctx, 'read');
    send(practice, ctx, 'project_hook', hookEntity(world, hookOf(ctx, project)));
  });

  router.post('/projects/:id/hooks', async (ctx) => {
    const { project } = maintained(ctx, 'write');
    const { mostHooks } = world.settings;
    const hook = await newHook(practice, project, input(ctx));
    if (project.hooks.length >= mostHooks) {
      throw new RestError(422, { message: { base: [`Maximum number of project hooks (${mostHooks}) exceeded`] } });
    }
    project.hooks.push(hook);
    send(practice, ctx, 'project_hook', hookEntity(world, hook), 201);
  });

  router.put('/projects/:id/hooks/:hook', async (ctx) => {
    const { project } = maintained(ctx, 'write');
    const hook = hookOf(ctx, project);
    const given = input(ctx);
    if (Object.keys(given).length === 0) throw refuse(400, 'No parameters provided');
    const draft = structuredClone({ ...hook, log: [] });
    // A secret follows its URL: moving the hook forgets the token unless it is sent again.
    const moved = textOf(given, 'url') !== undefined && textOf(given, 'url') !== hook.url;
    if (moved && given['token'] === undefined) draft.token = '';
    await change(practice, draft, given);
    Object.assign(hook, draft, { log: hook.log });
    send(practice, ctx, 'project_hook', hookEntity(world, hook));
  });

  router.delete('/projects/:id/hooks/:hook', (ctx) => {
    const { project } = maintained(ctx, 'write');
    project.hooks.splice(project.hooks.indexOf(hookOf(ctx, project)), 1);
    ctx.status = 204;
  });

  router.post('/projects/:id/hooks/:hook/test/:trigger', async (ctx) => {
    const { user, project } = maintained(ctx, 'write');
    if (!isSince(world, 16, 11)) throw new RestError(404, { error: '404 Not Found' });
    const hook = hookOf(ctx, project);
    const trigger = choiceOf({ trigger: param(ctx, 'trigger') }, 'trigger', Object.keys(hookEvents)) ?? 'push_events';
    rateLimit(`test ${project.id} ${user.id}`);
    const payload = await samplePayload(practice, project, user);
    const eventUuid = randomUUID();
    const signal = AbortSignal.timeout(15_000);
    const delivery = await deliver(practice, { hook, project, trigger, payload, eventUuid, signal, byHand: true });
    if (delivery.status === undefined) throw new RestError(422, { message: delivery.error ?? 'Internal error' });
    if (delivery.status >= 400) throw new RestError(422, { message: hook.log[0]?.responseBody ?? '' });
    send(practice, ctx, { shapeFrom: 'payloads/rest/hook_test_201.json' }, { message: '201 Created' }, 201);
  });

  router.get('/projects/:id/hooks/:hook/events', (ctx) => {
    const { project } = maintained(ctx, 'read');
    const events = paginate(practice, ctx, hookOf(ctx, project).log).slice(0, 20);
    send(practice, ctx, { shapeFrom: 'doc/api/project_webhooks.md' }, events.map(hookEventEntity));
  });

  router.post('/projects/:id/hooks/:hook/events/:event/resend', async (ctx) => {
    const { user, project } = maintained(ctx, 'write');
    const hook = hookOf(ctx, project);
    const event = hook.log.find(({ id }) => id === Number(param(ctx, 'event')));
    if (!event) throw notFound('Event');
    rateLimit(`resend ${project.id} ${user.id}`);
    const { status } = await deliver(practice, {
      ...{ hook, project, trigger: event.trigger, payload: event.requestData as object, eventUuid: randomUUID() },
      ...{ signal: AbortSignal.timeout(15_000), byHand: true, idempotencyKey: event.idempotencyKey },
    });
    send(
      practice,
      ctx,
      { shapeFrom: 'payloads/rest/hook_resend_201.json' },
      { response_status: status ?? 'internal error' },
      201,
    );
  });
}

/** A hook from what was sent, not yet saved. Throws a RestError when GitLab would refuse it. */
export async function newHook(
  practice: Practice,
  project: ProjectRecord,
  given: Record<string, unknown>,
): Promise<Hook> {
  const { world } = practice;
  const url = textOf(given, 'url');
  if (url === undefined) throw new RestError(400, { error: 'url is missing' });
  const hook: Hook = {
    ...{ id: world.nextId(), projectId: project.id, createdAt: world.now(), url, token: '', signingToken: '' },
    ...{ name: null, description: null, enableSslVerification: true },
    ...{ branchFilter: '', branchFilterStrategy: 'wildcard', customHeaders: [], customTemplate: null },
    ...{ events: { ...hookEvents }, recentFailures: 0, disabledUntil: undefined, disabledForGood: false, log: [] },
  };
  await change(practice, hook, given);
  return hook;
}

/** Applies what was sent to a hook, or throws without having changed a saved one. Unknown members are ignored. */
async function change(practice: Practice, hook: Hook, given: Record<string, unknown>): Promise<void> {
  const { world } = practice;
  hook.url = textOf(given, 'url') ?? hook.url;
  // One text for a bad URL and for a blocked network: that is all the API tells.
  if ((await webhookTarget(world, hook.url)).kind === 'blocked')
    throw new RestError(422, { error: 'Invalid url given' });
  hook.token = textOf(given, 'token') ?? hook.token;
  hook.name = textOf(given, 'name') ?? hook.name;
  hook.description = textOf(given, 'description') ?? hook.description;
  hook.enableSslVerification = flagOf(given, 'enable_ssl_verification') ?? hook.enableSslVerification;
  hook.customTemplate = textOf(given, 'custom_webhook_template') ?? hook.customTemplate;
  hook.branchFilterStrategy =
    choiceOf(given, 'branch_filter_strategy', ['wildcard', 'regex', 'all_branches']) ?? hook.branchFilterStrategy;
  hook.branchFilter = textOf(given, 'push_events_branch_filter') ?? hook.branchFilter;
  if (/[\s~^:?[\\]/.test(hook.branchFilter) && hook.branchFilterStrategy === 'wildcard') {
    throw new RestError(422, { error: 'Invalid branch filter given' });
  }
  for (const event of Object.keys(hookEvents)) hook.events[event] = flagOf(given, event) ?? hook.events[event] ?? false;
  if (Array.isArray(given['custom_headers'])) hook.customHeaders = given['custom_headers'].map(customHeader);

  const signingToken = textOf(given, 'signing_token');
  // Before 19.0, and without its flag, an unknown parameter: accepted and dropped.
  if (signingToken === undefined || majorVersion(world) < 19 || !world.settings.signsWebhooks) return;
  const key = /^whsec_([A-Za-z0-9+/]+=*)$/.exec(signingToken)?.[1];
  if (signingToken !== '' && Buffer.from(key ?? '', 'base64').length !== 32) {
    throw new RestError(422, {
      message: { signing_token: ['must start with whsec_ followed by 32 base64-encoded bytes'] },
    });
  }
  hook.signingToken = signingToken;
}

function customHeader(given: unknown): { key: string; value: string } {
  const { key, value } = (given ?? {}) as Record<string, unknown>;
  if (typeof key === 'string' && typeof value === 'string' && /^[A-Za-z][A-Za-z0-9_-]*$/.test(key))
    return { key, value };
  throw new RestError(422, { error: 'Custom headers validation failed' });
}

/** What a test sends: a push of the newest commits of the default branch. */
async function samplePayload(practice: Practice, project: ProjectRecord, user: User): Promise<object> {
  const ref = `refs/heads/${project.defaultBranch}`;
  const [newest] = project.empty ? [] : await commits(practice.git, project.repoPath, ['-n', '1', ref]);
  if (!newest) throw new RestError(422, { message: 'Ensure the project has at least one commit.' });
  const change = { before: newest.parents[0] ?? zeros, after: newest.id, ref };
  return pushPayload(practice.world, practice.git, { project, user, change, pushOptions: [] });
}
