import { createHash } from 'node:crypto';

/** A strong ETag of an answer: another one as soon as anything in it is another. */
export function entityTag(body: unknown): string {
  return `"${createHash('sha256').update(JSON.stringify(body)).digest('base64url').slice(0, 22)}"`;
}
