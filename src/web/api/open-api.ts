import { z } from 'zod';
import { Problem } from '../../model/problem.ts';
import { describe } from '../../model/remedy.ts';
import { accessTable } from '../access.ts';
import { type Endpoint, apiBase } from './endpoint.ts';
import { errorAnswer } from './shapes.ts';

type Json = Record<string, unknown>;

/** The OpenAPI 3.1 document, made of the shapes that the endpoints validate with. */
export function openApi(endpoints: readonly Endpoint[], publicUrl: string): Json {
  const schemas: Json = {};
  const schemaOf = (shape: z.ZodType, io: 'input' | 'output'): Json => jsonSchema(shape, io, schemas);
  const paths: Record<string, Json> = {};
  for (const one of endpoints) {
    const path = one.path.replace(/:(\w+)/g, '{$1}');
    paths[path] ??= {};
    paths[path][one.method] = operation(one, schemaOf);
  }
  schemaOf(errorAnswer, 'output');
  return {
    openapi: '3.1.0',
    info: {
      title: 'Mooring',
      version: '1',
      description:
        'What the pages can do, for programs. Times are RFC 3339 in UTC, or null. For a token that does not see a site, the site does not exist.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: `${publicUrl}${apiBase}` }],
    security: [{ token: [] }],
    tags: tags.map(([name, description]) => ({ name, description })),
    paths,
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: 'Created under Account Settings / API tokens.' },
      },
      schemas,
    },
  };
}

const tags = [
  ['Sites', 'Sites, their settings, and when they sync.'],
  ['Connecting', 'Connecting a site to a branch, by a plan and consent to it.'],
  ['Activity', 'Runs, the audit log, problems and live events.'],
  ['Decisions', 'Holds, conflicts and kept versions.'],
  ['GitLab', 'The instance, connections and repositories.'],
  ['Accounts', 'Accounts and API tokens.'],
] as const;

function tagOf(path: string): (typeof tags)[number][0] {
  if (/connect|hand-over$/.test(path) && path.startsWith('/sites')) return 'Connecting';
  if (/^\/(audit|problems|events|system)|\/activity/.test(path)) return 'Activity';
  if (/\/(hold|conflicts|kept)/.test(path)) return 'Decisions';
  if (path.endsWith('/commit-as')) return 'Sites';
  if (/^\/(instance|connections)/.test(path)) return 'GitLab';
  return /^\/(accounts|tokens)/.test(path) ? 'Accounts' : 'Sites';
}

function operation(one: Endpoint, schemaOf: (shape: z.ZodType, io: 'input' | 'output') => Json): Json {
  const names = [...one.path.matchAll(/:(\w+)/g)].map(([, name = '']) => name);
  const body = one.body
    ? {
        requestBody: {
          required: true,
          content: { 'application/json': { schema: schemaOf(one.body, 'input'), example: one.example ?? {} } },
        },
      }
    : {};
  return {
    operationId: operationId(one),
    tags: [tagOf(one.path)],
    summary: one.summary,
    description: [one.description, needs(one)].filter(Boolean).join(' '),
    parameters: [...names.map(pathParameter), ...queryParameters(one, schemaOf), ...headerParameters(one)],
    ...body,
    responses: responses(one, schemaOf),
  };
}

/** `GET /sites/:id/kept` is `getSitesIdKept`. */
function operationId({ method, path }: Endpoint): string {
  const words = path.split(/[/:-]+/).filter(Boolean);
  return method + words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('');
}

function needs({ method, path }: Endpoint): string {
  const rule = accessTable.get(`${method.toUpperCase()} ${apiBase}${path}`);
  const roles = { admin: 'an admin', owner: 'an admin or a site owner', viewer: 'every account' };
  const who = rule && rule.who in roles ? roles[rule.who as keyof typeof roles] : 'everybody';
  return `Scope \`${rule?.scope ?? 'none'}\`, for ${who}.`;
}

const pathParameter = (name: string): Json => ({ name, in: 'path', required: true, schema: { type: 'string' } });

function queryParameters({ query }: Endpoint, schemaOf: (shape: z.ZodType, io: 'input') => Json): Json[] {
  if (!query) return [];
  const { properties = {}, required = [] } = schemaOf(query, 'input') as {
    properties?: Record<string, Json>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, { description, ...schema }]) => ({
    ...{ name, in: 'query', required: required.includes(name), schema: numeric(query, name, schema) },
    ...(description === undefined ? {} : { description }),
  }));
}

/** A query is text: what is read as a number is described as one. */
function numeric(query: z.ZodType, name: string, schema: Json): Json {
  if (schema['type'] !== undefined || schema['enum'] !== undefined || schema['anyOf'] !== undefined) return schema;
  const output = z.toJSONSchema(query, { io: 'output' }) as { properties?: Record<string, Json> };
  const { description: _description, ...rest } = output.properties?.[name] ?? {};
  return rest;
}

function headerParameters({ tagged, creates, method, answer }: Endpoint): Json[] {
  const found: Json[] = [];
  const header = (name: string, required: boolean, description: string): Json => ({
    ...{ name, in: 'header', required, description, schema: { type: 'string' } },
  });
  if (tagged && method !== 'get') found.push(header('If-Match', true, 'The ETag of what was read.'));
  if (creates) found.push(header('Idempotency-Key', false, 'The same key and body within a day get the same answer.'));
  if (answer === 'events') found.push(header('Last-Event-ID', false, 'The id of the last event that was received.'));
  return found;
}

function responses(one: Endpoint, schemaOf: (shape: z.ZodType, io: 'output') => Json): Json {
  const refusal = (status: string, description: string): Json => ({
    description,
    content: { 'application/json': { schema: schemaOf(errorAnswer, 'output'), example: exampleOf(status) } },
  });
  const good = goodAnswer(one, schemaOf);
  const found: Json = { [one.status]: good };
  if (one.otherStatus !== undefined) found[one.otherStatus] = good;
  for (const [status, why] of Object.entries(refusalsOf(one))) found[status] = refusal(status, why);
  return { ...found, default: refusal('500', 'What happened, what was not touched, what to do.') };
}

/** A problem that is answered with each status, in the words of the catalogue. */
const problems: Readonly<Record<string, Problem>> = {
  401: new Problem('not-allowed', { why: 'token' }),
  403: new Problem('not-allowed', { why: 'scope', needed: 'admin' }),
  404: new Problem('not-found', { what: 'site' }),
  409: new Problem('plan-outdated'),
  412: new Problem('changed-meanwhile'),
  422: new Problem('request-invalid'),
  428: new Problem('precondition-missing'),
  500: new Problem('unexpected'),
};

function exampleOf(status: string): Json {
  const problem = problems[status] ?? new Problem('unexpected');
  const { title, happened, untouched, todo } = describe(problem.toFacts());
  const fields = status === '422' ? { fields: { nam: 'There is no such field.' } } : {};
  const help = `https://mooring.example/docs/troubleshoot#${problem.code}`;
  return { error: { code: problem.code, title, happened, untouched, todo, ...fields, help } };
}

/** Every status that an endpoint may be expected to refuse with, and why. */
export function refusalsOf(one: Endpoint): Readonly<Record<number, string>> {
  const rule = accessTable.get(`${one.method.toUpperCase()} ${apiBase}${one.path}`);
  const isOpenToAll = rule?.who === 'viewer' && rule.scope === 'read';
  return {
    401: 'The token is missing, unknown, removed or expired.',
    ...(isOpenToAll ? {} : { 403: 'The scope of the token or the role of its account does not allow it.' }),
    ...(one.path.includes('/:') ? { 404: 'There is no such thing, or the token does not see it.' } : {}),
    ...(one.query || one.body ? { 422: 'A field is missing, unknown or has an unexpected format.' } : {}),
    ...(one.tagged && one.method !== 'get'
      ? { 412: 'It has changed since it was read.', 428: '`If-Match` is missing.' }
      : {}),
    ...one.refusals,
  };
}

function goodAnswer({ summary, answer, tagged }: Endpoint, schemaOf: (shape: z.ZodType, io: 'output') => Json): Json {
  const headers = tagged ? { headers: { ETag: { schema: { type: 'string' } } } } : {};
  if (answer === undefined) return { description: summary };
  if (answer === 'bytes')
    return { description: summary, content: { 'application/octet-stream': { schema: { type: 'string' } } } };
  if (answer === 'events')
    return { description: summary, content: { 'text/event-stream': { schema: { type: 'string' } } } };
  return { description: summary, ...headers, content: { 'application/json': { schema: schemaOf(answer, 'output') } } };
}

/** Shapes with an id of their own go to `schemas`, and are referred to. */
function jsonSchema(shape: z.ZodType, io: 'input' | 'output', schemas: Json): Json {
  const made = z.toJSONSchema(shape, { io, target: 'draft-2020-12', unrepresentable: 'any' }) as Json;
  const {
    $schema: _dialect,
    $defs = {},
    ...own
  } = JSON.parse(JSON.stringify(made).replaceAll('"#/$defs/', '"#/components/schemas/')) as Json & { $defs?: Json };
  for (const [name, schema] of Object.entries($defs)) schemas[name] ??= withoutId(schema as Json);
  const { id } = own as { id?: string };
  if (id === undefined) return own;
  schemas[id] ??= withoutId(own);
  return { $ref: `#/components/schemas/${id}` };
}

function withoutId({ id: _id, ...schema }: Json): Json {
  return schema;
}
