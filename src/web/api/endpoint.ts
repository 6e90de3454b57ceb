import type { Router } from '@koa/router';
import type { z } from 'zod';
import { Problem } from '../../model/problem.ts';
import type { ConnectionId } from '../../model/instance.ts';
import type { Site } from '../../model/site.ts';
import type { Context, Person, State, WebContext } from '../context.ts';
import type { WebDeps } from '../deps.ts';
import { type Seen, seen, whoAsks } from '../seen.ts';
import { entityTag } from './entity-tag.ts';
import type { Idempotency } from './idempotency.ts';

export type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';

/** One request to an endpoint, its query and body already checked. */
export interface Call<Q = unknown, B = unknown> {
  readonly ctx: Context;
  readonly web: WebContext;
  readonly deps: WebDeps;
  readonly seen: Seen;
  readonly person: Person;
  /** As the audit log names whoever asks. */
  readonly by: string;
  readonly query: Q;
  readonly body: B;
  /** The site that the path names. */
  site(): Site;
  param(name: string): string;
}

/**
 * One method of one address below `/api/v1`. The route validates with the same shapes that the OpenAPI document is made
 * of. Who may use it stands in the table of access.
 */
export interface Endpoint {
  readonly method: Method;
  /** As the router has it: `/sites/:id`. */
  readonly path: string;
  readonly summary: string;
  readonly description?: string;
  readonly query?: z.ZodType;
  readonly body?: z.ZodType;
  /** A body that works, for the document. */
  readonly example?: unknown;
  /** Status of a good answer; 204 has no shape, `bytes` and `events` are no JSON. */
  readonly status: number;
  readonly answer?: z.ZodType | 'bytes' | 'events';
  /** Another good answer of the same shape. */
  readonly otherStatus?: number;
  /** What else may be answered, beside what every endpoint of its kind may: status and why. */
  readonly refusals?: Readonly<Record<number, string>>;
  /** Answers carry an `ETag`; changing needs it in `If-Match`. */
  readonly tagged?: true;
  /** Takes an `Idempotency-Key`. */
  readonly creates?: true;
  readonly handle: (call: Call<never, never>) => unknown;
}

/** Infers what the handler gets and must give from the shapes. */
export function endpoint<Q extends z.ZodType, B extends z.ZodType, A extends z.ZodType>(
  made: Omit<Endpoint, 'query' | 'body' | 'answer' | 'handle'> & {
    readonly query?: Q;
    readonly body?: B;
    readonly answer?: A | 'bytes' | 'events';
    readonly handle: (call: Call<z.output<Q>, z.output<B>>) => Promise<z.output<A>> | z.output<A>;
  },
): Endpoint {
  return made;
}

/**
 * Whose connections to GitLab a call may use: nobody acts with the access of somebody else. The operator, who has no
 * account, acts with any connection that they name.
 */
export function ownerFor({ ctx, deps, person }: Pick<Call, 'ctx' | 'deps' | 'person'>, connection?: string): string {
  const named =
    ctx.state.operator && connection !== undefined ? deps.connections.get(connection as ConnectionId) : undefined;
  return named?.owner ?? person.account.id;
}

export const apiBase = '/api/v1';

/** Aborts after some seconds, when the caller has gone, and when the daemon stops. */
export function whileWaiting({ ctx, deps }: Pick<Call, 'ctx' | 'deps'>, seconds: number): AbortSignal {
  const gone = new AbortController();
  ctx.res.once('close', () => gone.abort());
  const stopping = deps.stopping ? [deps.stopping] : [];
  return AbortSignal.any([gone.signal, AbortSignal.timeout(seconds * 1_000), ...stopping]);
}

/** Adds the endpoints to the router. Answers are JSON; errors are thrown as Problems and answered in one place. */
export function mount(
  router: Router<State>,
  web: WebContext,
  endpoints: readonly Endpoint[],
  idempotency: Idempotency,
): void {
  const inTurn = createTurns();
  for (const one of endpoints) {
    router[one.method](`${apiBase}${one.path}`, async (ctx: Context & { params: Record<string, string> }) => {
      ctx.set('Cache-Control', 'no-store');
      const call = callOf(ctx, web, one) as Call<never, never>;
      const work = async (): Promise<void> => {
        if (one.tagged && one.method !== 'get') await checkTag(ctx, one, call, endpoints);
        const body = await one.handle(call);
        if (one.answer === 'bytes' || one.answer === 'events') return;
        if (ctx.status === 404) ctx.status = one.status;
        ctx.body = one.status === 204 ? null : body;
        if (one.tagged) ctx.set('ETag', entityTag(body));
      };
      if (one.creates) await idempotency.once(ctx, call.person, work);
      else if (one.tagged && one.method !== 'get') await inTurn(ctx.path, work);
      else await work();
    });
  }
}

/** One change of an address at a time: what was compared must still be so when it is changed. */
function createTurns(): (key: string, work: () => Promise<void>) => Promise<void> {
  const last = new Map<string, Promise<void>>();
  return (key, work) => {
    const mine = (last.get(key) ?? Promise.resolve()).then(work);
    const done = mine
      .catch(() => {})
      .then(() => {
        if (last.get(key) === done) last.delete(key);
      });
    last.set(key, done);
    return mine;
  };
}

function callOf(ctx: Context & { params: Record<string, string> }, web: WebContext, one: Endpoint): Call {
  const visible = seen(ctx, web);
  const { query, body } = { query: checked(one.query, ctx.query), body: checked(one.body, ctx.request.body ?? {}) };
  return {
    ...{ ctx, web, deps: web.deps, seen: visible, person: whoAsks(ctx), by: whoAsks(ctx).by, query, body },
    site() {
      const site = visible.site(ctx.params['id'] ?? '');
      if (!site) throw new Problem('not-found', { what: 'site' });
      return site;
    },
    param: (name) => ctx.params[name] ?? '',
  };
}

/** Throws `request-invalid`, whose facts are sentences by member. */
function checked(shape: z.ZodType | undefined, value: unknown): unknown {
  if (!shape) return undefined;
  const result = shape.safeParse(value);
  if (result.success) return result.data;
  const faults: Record<string, string> = {};
  for (const issue of result.error.issues) {
    if (issue.code === 'unrecognized_keys')
      for (const key of issue.keys) faults[[...issue.path, key].join('.')] = 'There is no such field.';
    else faults[issue.path.join('.') || 'body'] ??= issue.message;
  }
  throw new Problem('request-invalid', faults);
}

/** Compares `If-Match` with what reading the same address gives now. Throws `precondition-missing`, `changed-meanwhile`. */
async function checkTag(
  ctx: Context,
  { path }: Endpoint,
  call: Call<never, never>,
  endpoints: readonly Endpoint[],
): Promise<void> {
  const given = ctx.get('If-Match');
  if (given === '') throw new Problem('precondition-missing');
  const reads = endpoints.find((one) => one.method === 'get' && one.path === path);
  const tags = given.split(',').map((tag) => tag.trim());
  if (!tags.includes('*') && !tags.includes(entityTag(await reads?.handle(call))))
    throw new Problem('changed-meanwhile');
}
