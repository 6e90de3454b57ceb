import { createHash } from 'node:crypto';
import { z } from 'zod';
import { Problem } from '../model/problem.ts';
import { migrate, type Migrations } from './migrations.ts';

/** What a store file says about itself, so that a damaged, foreign or newer one is never taken for data. */
export interface Form<T> {
  /** One word, `sites`; the file says `mooring-sites`. */
  readonly kind: string;
  /** Version of the data; raised with every change of its shape, together with a step in `migrations`. */
  readonly version: number;
  readonly schema: z.ZodType<T>;
  readonly migrations: Migrations;
}

/** What a file's text is. `bad` says why it cannot be used, in a few words. */
export type Reading<T> =
  | { readonly kind: 'good'; readonly data: T; readonly writtenVersion: number }
  | { readonly kind: 'bad'; readonly why: string };

const envelope = z.strictObject({
  format: z.string(),
  version: z.int().positive(),
  /** May be missing: a person who edits the file by hand while Mooring is stopped takes it out. A torn write cannot. */
  checksum: z.string().optional(),
  data: z.unknown(),
});

/** The text of a store file. Throws when the data would be refused when read back. */
export function encode<T>(form: Form<T>, data: T): { text: string; data: T } {
  const json = JSON.stringify(data);
  // Read back at once: what is held in memory is exactly what the disk holds, and shares nothing with the caller.
  const readBack = form.schema.parse(JSON.parse(json));
  const head = { format: `mooring-${form.kind}`, version: form.version, checksum: checksum(json) };
  return { text: `${JSON.stringify(head).slice(0, -1)},"data":${json}}\n`, data: readBack };
}

/** The version of the form in which a file of this kind is written; undefined where it is no such file. */
export function versionIn(kind: string, text: string): number | undefined {
  try {
    const outer = envelope.safeParse(JSON.parse(text));
    return outer.success && outer.data.format === `mooring-${kind}` ? outer.data.version : undefined;
  } catch {
    return undefined;
  }
}

/** Judges a file's text. Throws only `store-newer`: that file is good, and this program is too old for it. */
export function decode<T>(form: Form<T>, text: string, file: string): Reading<T> {
  if (text.length === 0) return bad('the file is empty');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return bad(text.includes('\0') ? 'it holds NUL bytes' : 'it is cut off or no JSON');
  }
  const outer = envelope.safeParse(value);
  if (!outer.success || outer.data.format !== `mooring-${form.kind}`) return bad(`it is no Mooring ${form.kind} file`);
  const { version, data, checksum: stated } = outer.data;
  if (stated !== undefined && stated !== checksum(JSON.stringify(data) ?? ''))
    return bad('its checksum does not match');
  if (version > form.version) {
    throw new Problem('store-newer', { path: file, version: String(version), needed: String(form.version) });
  }
  const inner = form.schema.safeParse(migrate(data, version, form));
  if (inner.success) return { kind: 'good', data: inner.data, writtenVersion: version };
  const issue = inner.error.issues[0];
  return bad(`its data has the wrong shape at ${issue?.path.join('.') || 'the top'}`);
}

function bad(why: string): { kind: 'bad'; why: string } {
  return { kind: 'bad', why };
}

function checksum(json: string): string {
  return createHash('sha256').update(json).digest('hex');
}
