/** What every REST route needs: who calls, what they sent, pages, errors, and the check of each answer. */
import type { Context } from 'koa';
import { canSee, findToken, level, scopeAllows, tokenState } from './access.ts';
import { projectById, projectByPath, projectMovedFrom, type ProjectRecord, type User } from './model.ts';
import type { Practice } from './practice.ts';
import { schemaErrors } from './schema-check.ts';

/** An answer that ends the request: thrown anywhere below a route. */
export class RestError extends Error {
  readonly status: number;
  readonly body: object | string;
  readonly headers: Record<string, string>;

  constructor(status: number, body: object | string, headers: Record<string, string> = {}) {
    super(`REST ${status}`);
    this.status = status;
    this.body = body;
    this.headers = headers;
  }
}

const texts: Record<number, string> = { 400: '400 Bad request', 401: '401 Unauthorized', 403: '403 Forbidden' };

export const refuse = (status: 400 | 401 | 403, reason?: string): RestError =>
  new RestError(status, { message: `${texts[status]}${reason === undefined ? '' : ` - ${reason}`}` });

export const notFound = (what: string): RestError => new RestError(404, { message: `404 ${what} Not Found` });

interface Caller {
  readonly user: User | undefined;
  readonly scopes: readonly string[];
}

function presentedToken(ctx: Context): string | undefined {
  const bearer = /^Bearer\s+(\S+)$/i.exec(ctx.get('Authorization'))?.[1];
  const { private_token: privateToken, access_token: accessToken } = ctx.query;
  const fromQuery = [privateToken, accessToken].find((value) => typeof value === 'string');
  return ctx.get('Private-Token') || bearer || fromQuery || undefined;
}

/** The guard that reads a request's token, as GitLab's API does. No token at all gives a caller without a user. */
function caller(practice: Practice, ctx: Context): Caller {
  const { world } = practice;
  const value = presentedToken(ctx);
  if (value === undefined) return { user: undefined, scopes: [] };
  const token = findToken(world, value);
  if (!token) throw refuse(401);
  const state = tokenState(world, token);
  if (state !== 'live') {
    const description =
      state === 'expired'
        ? 'Token is expired. You can either do re-authorization or token refresh.'
        : 'Token was revoked. You have to re-authorize from the user.';
    throw new RestError(
      401,
      { error: 'invalid_token', error_description: description },
      {
        'WWW-Authenticate': `Bearer realm="Protected by OAuth 2.0", error="invalid_token", error_description="${description}"`,
      },
    );
  }
  if (token.user.blocked) throw refuse(403, 'Your account has been blocked.');
  return { user: token.user, scopes: token.scopes };
}

/** Any route that works without signing in asks this; the others ask signedIn. */
export function visitor(
  practice: Practice,
  ctx: Context,
  use: 'read' | 'write' | 'read-user' = 'read',
): User | undefined {
  const { user, scopes } = caller(practice, ctx);
  if (!user || scopeAllows(scopes, use)) return user;
  const enough = { read: 'api read_api', write: 'api', 'read-user': 'api read_api read_user' }[use];
  throw new RestError(403, {
    error: 'insufficient_scope',
    error_description: 'The request requires higher privileges than provided by the access token.',
    scope: enough,
  });
}

export function signedIn(practice: Practice, ctx: Context, use: 'read' | 'write' | 'read-user'): User {
  const user = visitor(practice, ctx, use);
  if (!user) throw refuse(401);
  return user;
}

/** The project a route names, by number or encoded path, as far as the caller may see it. */
export function projectOf(practice: Practice, ctx: Context, user: User | undefined): ProjectRecord {
  const { world } = practice;
  const id = param(ctx, 'id');
  const direct = /^\d+$/.test(id) ? projectById(world, Number(id)) : projectByPath(world, id);
  if (direct && canSee(world, user, direct)) return direct;
  const moved = direct ? undefined : projectMovedFrom(world, id);
  if (!moved || !canSee(world, user, moved)) throw notFound('Project');
  if (ctx.method !== 'GET' && ctx.method !== 'HEAD') {
    throw new RestError(405, { message: 'Non GET methods are not allowed for moved projects' });
  }
  const location = world.url + ctx.url.replace(/^(\/api\/v4\/projects\/)[^/?]+/, `$1${moved.id}`);
  throw new RestError(301, `This resource has been moved permanently to ${location}`, { Location: location });
}

export function requireLevel(practice: Practice, user: User, project: ProjectRecord, least: number): void {
  if (level(practice.world, user, project) < least) throw refuse(403);
}

export function param(ctx: Context, name: string): string {
  const value: unknown = (ctx['params'] as Record<string, unknown>)[name];
  if (typeof value !== 'string') throw new Error(`route has no parameter ${name}`);
  return value;
}

/** Query and body in one, as Grape sees them. */
export function input(ctx: Context): Record<string, unknown> {
  const body: unknown = ctx.request.body;
  return { ...ctx.query, ...(typeof body === 'object' && body !== null ? body : {}) };
}

export function textOf(given: Record<string, unknown>, name: string): string | undefined {
  const value = given[name];
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : undefined;
}

/** What Grape takes for a boolean (dry-types' Params::Bool): Python clients send `True`. */
export function flagOf(given: Record<string, unknown>, name: string): boolean | undefined {
  const value = given[name];
  if (value === undefined || value === null || value === '') return undefined;
  const word = String(value).toLowerCase();
  if (['true', 't', '1', 'yes', 'y', 'on'].includes(word)) return true;
  if (['false', 'f', '0', 'no', 'n', 'off'].includes(word)) return false;
  throw invalid(name, 'is invalid');
}

export function numberOf(given: Record<string, unknown>, name: string): number | undefined {
  const value = given[name];
  if (value === undefined || value === '') return undefined;
  const number = Number(value);
  if (!Number.isInteger(number)) throw invalid(name, 'is invalid');
  return number;
}

export function choiceOf<T extends string>(
  given: Record<string, unknown>,
  name: string,
  choices: readonly T[],
): T | undefined {
  const value = given[name];
  if (value === undefined || value === '') return undefined;
  const found = choices.find((choice) => choice === value);
  if (found === undefined) throw invalid(name, 'does not have a valid value');
  return found;
}

export const invalid = (name: string, why: string): RestError => new RestError(400, { error: `${name} ${why}` });

/**
 * Sends an answer that GitLab has a schema for. One that breaks it is written down in `violations` and becomes a 500:
 * a test that leans on a wrong shape must not pass.
 */
export function send(practice: Practice, ctx: Context, schema: string | NoSchema, body: unknown, status = 200): void {
  const mangle = practice.ruleFor(ctx.req)?.mangle;
  const answer = mangle ? mangle(structuredClone(body)) : body;
  if (typeof schema === 'string') {
    const errors = schemaErrors(schema, answer);
    if (errors.length > 0) {
      practice.violations.push({ route: `${ctx.method} ${ctx.path}`, schema, errors, body: answer });
      throw new BrokenAnswer(`the answer to ${ctx.method} ${ctx.path} breaks ${schema}: ${errors.join('; ')}`);
    }
  }
  ctx.status = status;
  // Not ctx.type, which adds a charset: Grape sends none, and python-gitlab compares the header as it is.
  ctx.set('Content-Type', 'application/json');
  ctx.body = JSON.stringify(answer);
}

/** An answer of ours that GitLab would not give. Already written down when it is thrown. */
export class BrokenAnswer extends Error {}

/** For the few answers GitLab publishes no schema of; says where the shape is from instead. */
export interface NoSchema {
  readonly shapeFrom: string;
}

/** One page of `items` by offset, with GitLab's paging headers. */
export function paginate<T>(practice: Practice, ctx: Context, items: readonly T[]): T[] {
  const given = input(ctx);
  const { page, perPage } = pageOf(given);
  const pages = Math.max(1, Math.ceil(items.length / perPage));
  const isCounted = items.length <= practice.world.settings.mostCounted;
  const link = (to: number, rel: string): string =>
    `<${linkUrl(practice, ctx, { page: to, per_page: perPage })}>; rel="${rel}"`;
  const links = [
    ...(page > 1 ? [link(page - 1, 'prev')] : []),
    ...(page < pages ? [link(page + 1, 'next')] : []),
    link(1, 'first'),
    ...(isCounted ? [link(pages, 'last')] : []),
  ];
  ctx.set({
    Link: links.join(', '),
    'X-Next-Page': page < pages ? String(page + 1) : '',
    'X-Page': String(page),
    'X-Per-Page': String(perPage),
    'X-Prev-Page': page > 1 ? String(page - 1) : '',
    ...(isCounted ? { 'X-Total': String(items.length), 'X-Total-Pages': String(pages) } : {}),
  });
  return items.slice((page - 1) * perPage, page * perPage);
}

/** One page of projects by keyset: ordered by id only, and nothing but a `next` link. */
export function keyset<T extends { id: number }>(practice: Practice, ctx: Context, items: readonly T[]): T[] {
  const given = input(ctx);
  const orderBy = textOf(given, 'order_by');
  if (orderBy !== undefined && orderBy !== 'id') {
    throw new RestError(405, { error: 'Keyset pagination is not yet available for this type of request' });
  }
  const { perPage } = pageOf(given);
  const ascending = textOf(given, 'sort') === 'asc';
  const sorted = items.toSorted((a, b) => (ascending ? a.id - b.id : b.id - a.id));
  const shown = sorted.slice(0, perPage);
  const last = shown.at(-1);
  if (last && sorted.length > shown.length) {
    const next = linkUrl(practice, ctx, { per_page: perPage, [ascending ? 'id_after' : 'id_before']: last.id });
    ctx.set('Link', `<${next}>; rel="next"`);
  }
  return shown;
}

function pageOf(given: Record<string, unknown>): { page: number; perPage: number } {
  const page = numberOf(given, 'page') ?? 1;
  const perPage = numberOf(given, 'per_page') ?? 20;
  if (perPage < 1) throw invalid('per_page', 'does not have a valid value');
  return { page: Math.max(1, page), perPage: Math.min(100, perPage) };
}

function linkUrl({ world }: Practice, ctx: Context, changes: Record<string, string | number>): string {
  const query = new URLSearchParams(ctx.querystring);
  // A Link never repeats the token that a query string may carry.
  for (const secret of ['private_token', 'access_token']) query.delete(secret);
  for (const [name, value] of Object.entries(changes)) query.set(name, String(value));
  return `${world.url}${ctx.path}?${query.toString()}`;
}
