/** The OpenAPI document of `/api/v1`, as the daemon serves it. */
export function apiDescription(publicUrl: string) {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Mooring',
      version: '1',
      description: 'Sites, their state and activity. Times are RFC 3339 in UTC, or null.',
    },
    servers: [{ url: `${publicUrl}/api/v1` }],
    security: [{ token: [] }],
    components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } }, schemas },
    paths: {
      '/sites': { get: operation('Every site with its state', { sites: list('Site') }) },
      '/sites/{id}': { parameters: [siteId], get: operation('One site', ref('Site')) },
      '/sites/{id}/activity': {
        parameters: [siteId, number('limit', 1, 100), number('offset', 0, 999_999)],
        get: operation('Runs, newest first', { total: { type: 'integer' }, runs: list('Run') }),
      },
      '/sites/{id}/sync': { parameters: [siteId], post: operation('Ask for a sync', ref('Site'), '202', 'sync') },
      '/sites/{id}/pause': { parameters: [siteId], post: operation('Pause', ref('Site'), '200', 'sync') },
      '/sites/{id}/resume': { parameters: [siteId], post: operation('Resume', ref('Site'), '200', 'sync') },
    },
  };
}

type Schema = Readonly<Record<string, unknown>>;

const text = { type: 'string' };
const whole = { type: 'integer' };
const moment = { type: ['string', 'null'], format: 'date-time' };
const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });
const list = (name: string): Schema => ({ type: 'array', items: ref(name) });
const orNull = (schema: Schema): Schema => ({ oneOf: [schema, { type: 'null' }] });

/** An object with all of these members and no others. */
const object = (properties: Readonly<Record<string, Schema>>): Schema => ({
  type: 'object',
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
});

const tally = object({ added: whole, changed: whole, removed: whole });
const moved = orNull(object({ at: moment, files: whole, commit: text, subject: text }));
const problem = object({ code: text, title: text, happened: text, todo: text });
const refusal = object({ code: text, title: text, happened: text, untouched: text, todo: text });

const schemas = {
  Error: object({ error: refusal }),
  Site: object({
    id: text,
    name: text,
    folder: text,
    paused: { type: 'boolean' },
    repository: orNull(object({ id: whole, path: text, branch: text })),
    state: { enum: ['in-sync', 'syncing', 'waiting', 'retrying', 'hold', 'paused', 'off', 'unknown'] },
    stateText: text,
    since: moment,
    checkedAt: moment,
    lastPull: moved,
    lastPush: moved,
    waiting: object({ toPull: whole, toPush: whole }),
    nextTryAt: moment,
    conflicts: whole,
    notSynced: whole,
    hold: orNull(object({ code: text, since: moment })),
    problem: orNull(problem),
  }),
  Run: object({
    id: text,
    at: moment,
    durationMs: { type: 'number' },
    triggers: { type: 'array', items: text },
    result: text,
    pulled: tally,
    pushed: tally,
    before: { type: ['string', 'null'] },
    after: { type: ['string', 'null'] },
    conflicts: { type: 'array', items: text },
    problem: orNull(problem),
  }),
};

const siteId = { name: 'id', in: 'path', required: true, schema: text };
const number = (name: string, minimum: number, maximum: number) => ({
  name,
  in: 'query',
  required: false,
  schema: { ...whole, minimum, maximum },
});

function operation(summary: string, answer: Schema, status = '200', scope = 'read') {
  const schema = '$ref' in answer ? answer : object(answer as Readonly<Record<string, Schema>>);
  const refused = {
    description: 'What happened and what to do',
    content: { 'application/json': { schema: ref('Error') } },
  };
  return {
    summary,
    description: `Needs a token that may ${scope}.`,
    responses: { [status]: { description: summary, content: { 'application/json': { schema } } }, default: refused },
  };
}
