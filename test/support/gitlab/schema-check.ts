/**
 * Holds every REST answer against GitLab's own response schemas (schemas/SOURCES.md says where each is from), so that
 * the practice GitLab cannot drift into a shape the real one never sends.
 */
import { Ajv, type ValidateFunction } from 'ajv';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), 'schemas', 'public_api', 'v4');

export interface Violation {
  readonly route: string;
  readonly schema: string;
  readonly errors: string[];
  readonly body: unknown;
}

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Members a schema demands although a healthy answer may lack them. */
const notDemanded: Record<string, readonly string[]> = {
  // Absent when the caller may not read code (lib/api/entities/basic_project_details.rb).
  'project.json': ['default_branch'],
  'projects.json': ['default_branch'],
};

/** The schemas as published, minus what makes healthy newer answers fail: closed objects and two misspelt types. */
function loosen(value: Json, file: string): Json {
  if (Array.isArray(value)) return value.map((item) => loosen(item, file));
  if (value === null || typeof value !== 'object') return value;
  const loose: { [key: string]: Json } = {};
  for (const [key, member] of Object.entries(value)) {
    if (key === 'additionalProperties' || key === 'optional') continue;
    if (key === 'type' && (member === 'date' || member === 'string ')) loose[key] = 'string';
    else if (key === 'required' && Array.isArray(member)) {
      loose[key] = member.filter((name) => typeof name !== 'string' || !notDemanded[file]?.includes(name));
    } else loose[key] = loosen(member, file);
  }
  return loose;
}

function load(): Ajv {
  const ajv = new Ajv({ allErrors: true, strict: false, allowUnionTypes: true });
  ajv.addFormat('date-time', (text: string) => /^\d{4}-\d\d-\d\dT/.test(text) && !Number.isNaN(Date.parse(text)));
  ajv.addFormat('uri', (text: string) => URL.canParse(text));
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const file = relative(root, path);
    const schema = loosen(JSON.parse(readFileSync(path, 'utf8')) as Json, file);
    // An id of this form lets the relative $refs resolve as they do between the files.
    ajv.addSchema(schema as object, `schema:/v4/${file}`);
  }
  return ajv;
}

let shared: Ajv | undefined;

function validator(schema: string): ValidateFunction {
  shared ??= load();
  const found = shared.getSchema(`schema:/v4/${schema}.json`);
  if (!found) throw new Error(`no schema named ${schema}`);
  return found as ValidateFunction;
}

/** What is wrong with `body` according to GitLab's schema; an empty list when nothing is. */
export function schemaErrors(schema: string, body: unknown): string[] {
  // Through JSON first: that is what the client will see.
  const check = validator(schema);
  if (check(JSON.parse(JSON.stringify(body)))) return [];
  return (check.errors ?? []).map((error) => `${error.instancePath || '/'} ${error.message ?? 'is wrong'}`);
}
