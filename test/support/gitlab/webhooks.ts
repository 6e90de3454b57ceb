/** Sends webhooks as GitLab does: once, from the background, past the network guard, signed from 19.0 on. */
import { createHmac, randomUUID } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import { wildcard } from './access.ts';
import { webhookTarget } from './local-network.ts';
import { fullPath, isSince, majorVersion } from './model.ts';
import type { Hook, HookEvent, ProjectRecord, World } from './model.ts';
import type { Practice, Received, WebhookDelivery } from './practice.ts';
import { pushPayload } from './push-payload.ts';
import type { RefChange } from './repository.ts';

const timeoutMs = 10_000;
const refsPerGroup = 3;
const responseLimit = 8 * 1024;

/** The webhooks one push sets off. Resolves when all have been tried. */
export async function firePushHooks(practice: Practice, received: Received, signal: AbortSignal): Promise<void> {
  const { project, user, pushOptions } = received;
  const eventUuid = randomUUID();
  for (const change of withinLimit(received.refs)) {
    const trigger = change.ref.startsWith('refs/tags/') ? 'tag_push_events' : 'push_events';
    const hooks = project.hooks.filter(
      (hook) => hook.events[trigger] && (trigger !== 'push_events' || passes(hook, change)),
    );
    if (hooks.length === 0) continue;
    const payload = await pushPayload(practice.world, practice.git, { project, user, change, pushOptions });
    for (const hook of hooks) await deliver(practice, { hook, project, trigger, payload, eventUuid, signal });
  }
  if (received.refs.length > 0) await firePushSystemHooks(practice, received, eventUuid, signal);
}

/** One `repository_update` for the whole push: no `object_kind`, no commits, whatever the number of refs. */
async function firePushSystemHooks(
  practice: Practice,
  { project, user, refs }: Received,
  eventUuid: string,
  signal: AbortSignal,
): Promise<void> {
  const payload = {
    event_name: 'repository_update',
    user_id: user.id,
    user_name: user.name,
    project_id: project.id,
    project: { name: project.name, path_with_namespace: fullPath(project) },
    changes: refs.map(({ before, after, ref }) => ({ before, after, ref })),
    refs: refs.map(({ ref }) => ref),
  };
  await fireSystemHooks(practice, payload, signal, eventUuid);
}

/** What concerns the whole instance, to whoever an admin made a system hook for. */
export async function fireSystemHooks(
  { world, deliveries }: Practice,
  payload: { readonly event_name: string; readonly project_id?: number },
  signal: AbortSignal,
  eventUuid: string = randomUUID(),
): Promise<void> {
  const body = JSON.stringify(payload);
  for (const { url, token } of world.systemHooks) {
    const headers = {
      ...{ 'Content-Type': 'application/json', 'User-Agent': `GitLab/${world.version}` },
      ...{ 'X-Gitlab-Event': 'System Hook', 'X-Gitlab-Event-UUID': eventUuid, 'X-Gitlab-Token': token },
    };
    // Their own setting allows local targets by default.
    const timeout = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    const status = await fetch(url, { method: 'POST', headers, body, signal: timeout }).then(
      (answer) => answer.status,
      () => undefined,
    );
    deliveries.push({
      ...{ at: world.now(), hookId: 0, projectId: payload.project_id ?? 0, url, event: 'System Hook' },
      ...{ headers, body, status },
      error: status === undefined ? 'no answer' : undefined,
    });
  }
}

/** A group of more than three created, updated or removed branches (or tags) fires nothing at all. */
function withinLimit(refs: readonly RefChange[]): RefChange[] {
  const known = refs.filter(({ ref }) => /^refs\/(heads|tags)\//.test(ref));
  const group = ({ ref, before, after }: RefChange): string =>
    `${ref.split('/')[1]} ${/^0+$/.test(before) ? 'created' : /^0+$/.test(after) ? 'removed' : 'updated'}`;
  const sizes = Map.groupBy(known, group);
  return known.filter((change) => (sizes.get(group(change))?.length ?? 0) <= refsPerGroup);
}

function passes(hook: Hook, { ref }: RefChange): boolean {
  if (hook.branchFilter === '' || hook.branchFilterStrategy === 'all_branches') return true;
  const branch = ref.slice('refs/heads/'.length);
  return hook.branchFilterStrategy === 'regex'
    ? new RegExp(hook.branchFilter).test(branch)
    : wildcard(hook.branchFilter, branch);
}

export const alertStatus = (hook: Hook, now: number): 'executable' | 'temporarily_disabled' | 'disabled' => {
  if (hook.disabledForGood) return 'disabled';
  return hook.disabledUntil !== undefined && hook.disabledUntil > now ? 'temporarily_disabled' : 'executable';
};

export interface Shipment {
  readonly hook: Hook;
  readonly project: ProjectRecord;
  readonly trigger: string;
  readonly payload: object;
  readonly eventUuid: string;
  readonly signal: AbortSignal;
  /** A person pressed "test" or "resend": goes out although the hook is disabled. */
  readonly byHand?: boolean;
  readonly idempotencyKey?: string;
}

/** One delivery, never repeated. The record says what came of it. */
export async function deliver(practice: Practice, shipment: Shipment): Promise<WebhookDelivery> {
  const { world } = practice;
  const { hook, project, trigger, signal } = shipment;
  const event = trigger === 'tag_push_events' ? 'Tag Push Hook' : 'Push Hook';
  const body = JSON.stringify(shipment.payload);
  const idempotencyKey = shipment.idempotencyKey ?? randomUUID();
  const headers = requestHeaders(practice, shipment, { event, body, idempotencyKey });
  const startedAt = world.now();
  const record = (status: number | undefined, error: string | undefined, responseBody = ''): WebhookDelivery => {
    const delivery = {
      at: startedAt,
      hookId: hook.id,
      projectId: project.id,
      url: hook.url,
      event,
      headers,
      body,
      status,
      error,
    };
    practice.deliveries.push(delivery);
    const entry: HookEvent = {
      id: world.nextId(),
      trigger,
      url: hook.url,
      requestHeaders: { ...headers, ...(hook.token === '' ? {} : { 'X-Gitlab-Token': '[REDACTED]' }) },
      requestData: shipment.payload,
      responseStatus: status === undefined ? 'internal error' : String(status),
      responseBody: error ?? responseBody,
      executionMs: world.now() - startedAt,
      idempotencyKey,
      createdAt: startedAt,
    };
    hook.log.unshift(entry);
    return delivery;
  };

  // While disabled, events are lost, not queued.
  if (!shipment.byHand && alertStatus(hook, startedAt) !== 'executable') return record(undefined, 'hook is disabled');
  const target = await webhookTarget(world, hook.url);
  if (target.kind === 'blocked') {
    countFailure(world, hook, undefined);
    return record(undefined, target.why);
  }
  try {
    const { status, text } = await post(target.url, target.address, { headers, body, hook, signal });
    if (status >= 200 && status < 400) {
      Object.assign(hook, { recentFailures: 0, disabledUntil: undefined, disabledForGood: false });
    } else countFailure(world, hook, status);
    return record(status, undefined, text);
  } catch (error) {
    countFailure(world, hook, undefined);
    return record(undefined, error instanceof Error ? error.message : String(error));
  }
}

/**
 * The 4th failure in a row pauses for a minute, doubling up to a day; the 40th ends it. Before 17.11 an answer of 4xx
 * ends it at once.
 */
function countFailure(world: World, hook: Hook, status: number | undefined): void {
  hook.recentFailures += 1;
  if (hook.recentFailures < 4) return;
  const isHarsh = !isSince(world, 17, 11) && status !== undefined && status >= 400 && status < 500;
  if (hook.recentFailures >= 40 || isHarsh) hook.disabledForGood = true;
  else {
    hook.disabledUntil = world.now() + Math.min(60_000 * 2 ** (hook.recentFailures - 4), 86_400_000);
  }
}

function requestHeaders(
  { world }: Practice,
  { hook, eventUuid }: Shipment,
  { event, body, idempotencyKey }: { event: string; body: string; idempotencyKey: string },
): Record<string, string> {
  const custom = Object.fromEntries(hook.customHeaders.map(({ key, value }) => [key, value]));
  const headers: Record<string, string> = {
    ...custom,
    'Content-Type': 'application/json',
    'User-Agent': `GitLab/${world.version}`,
    'Idempotency-Key': idempotencyKey,
    'X-Gitlab-Event': event,
    'X-Gitlab-Webhook-UUID': randomUUID(),
    'X-Gitlab-Instance': new URL(world.url).origin,
    'X-Gitlab-Event-UUID': eventUuid,
  };
  if (hook.token !== '') headers['X-Gitlab-Token'] = hook.token.replace(/[\r\n]/g, '');
  if (majorVersion(world) >= 19 && world.settings.signsWebhooks && hook.signingToken !== '') {
    const timestamp = String(Math.floor(world.now() / 1000));
    headers['webhook-id'] = idempotencyKey;
    headers['webhook-timestamp'] = timestamp;
    headers['webhook-signature'] = sign(hook.signingToken, idempotencyKey, timestamp, body);
  }
  return headers;
}

/** Standard Webhooks: the key is the decoded part after `whsec_`. */
export function sign(signingToken: string, id: string, timestamp: string, body: string | Buffer): string {
  const key = Buffer.from(signingToken.replace(/^whsec_/, ''), 'base64');
  return `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64')}`;
}

async function post(
  url: URL,
  address: string,
  { headers, body, hook, signal }: { headers: Record<string, string>; body: string; hook: Hook; signal: AbortSignal },
): Promise<{ status: number; text: string }> {
  const { request } = url.protocol === 'https:' ? https : http;
  return new Promise((resolve, reject) => {
    const call = request(
      url,
      {
        method: 'POST',
        agent: false,
        headers: { ...headers, 'Content-Length': Buffer.byteLength(body) },
        ...(url.username === ''
          ? {}
          : { auth: `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}` }),
        rejectUnauthorized: hook.enableSslVerification,
        signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
        // The address that passed the guard, so that a name cannot change its mind in between.
        lookup: (_host, options, done) => {
          const family = address.includes(':') ? 6 : 4;
          if (options.all) done(null, [{ address, family }]);
          else done(null, address, family);
        },
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (part: string) => {
          text = (text + part).slice(0, responseLimit);
        });
        response.once('end', () => resolve({ status: response.statusCode ?? 0, text }));
        response.once('error', reject);
      },
    );
    call.once('error', reject);
    call.end(body);
  });
}
