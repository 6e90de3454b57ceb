import { z } from 'zod';
import { Problem } from '../../model/problem.ts';

/** Which part of a list is asked for. */
export const pageQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(100).default(25).describe('How many at most.'),
  cursor: z.string().max(500).optional().describe('The `next` of the page before. Opaque.'),
});

type PageQuery = z.output<typeof pageQuery>;

interface Part<T> {
  readonly rows: readonly T[];
  /** For the page after this one; null: there is none. */
  readonly next: string | null;
}

/** The last row that somebody has, and where it stood: rows that came since have only pushed it further back. */
interface Place {
  readonly id: string;
  readonly at: number;
}

const placeShape = z.strictObject({ id: z.string(), at: z.number().int().min(0) });

export function encodeCursor(place: Place): string {
  return Buffer.from(JSON.stringify(place)).toString('base64url');
}

function decodeCursor(cursor: string): Place {
  try {
    return placeShape.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString()));
  } catch {
    throw new Problem('request-invalid', { cursor: 'This is no cursor of this list.' });
  }
}

/** A part of a list that is held whole. A row that is gone since is skipped by its place. */
export function partOf<T>(all: readonly T[], idOf: (row: T) => string, { limit, cursor }: PageQuery): Part<T> {
  const place = cursor === undefined ? undefined : decodeCursor(cursor);
  const found = place ? all.findIndex((row) => idOf(row) === place.id) : -1;
  const from = place === undefined ? 0 : (found === -1 ? place.at : found) + (found === -1 ? 0 : 1);
  const rows = all.slice(from, from + limit);
  const last = rows.at(-1);
  const at = from + rows.length - 1;
  return { rows, next: last && at < all.length - 1 ? encodeCursor({ id: idOf(last), at }) : null };
}

const readAtOnce = 100;
const mostRead = 10_000;

/**
 * A part of a list that grows at its head and is read from a file. Rows that came since the page before are not given
 * twice: the row of the cursor is looked for from where it stood. `offset` counts where there is no cursor. Throws `request-invalid` where it is kept no more.
 */
export async function partOfHistory<T extends { readonly id: string }>(
  read: (page: { limit: number; offset: number }) => Promise<{ rows: readonly T[]; total: number }>,
  { limit, cursor, offset = 0 }: PageQuery & { readonly offset?: number | undefined },
): Promise<Part<T> & { readonly total: number }> {
  const from = cursor === undefined ? offset : (await placeOf(read, decodeCursor(cursor))) + 1;
  const { rows, total } = await read({ limit, offset: from });
  const last = rows.at(-1);
  const at = from + rows.length - 1;
  return { rows, total, next: last && at < total - 1 ? encodeCursor({ id: last.id, at }) : null };
}

async function placeOf<T extends { readonly id: string }>(
  read: (page: { limit: number; offset: number }) => Promise<{ rows: readonly T[] }>,
  { id, at }: Place,
): Promise<number> {
  for (let offset = at; offset < at + mostRead; offset += readAtOnce) {
    const { rows } = await read({ limit: readAtOnce, offset });
    const found = rows.findIndex((row) => row.id === id);
    if (found >= 0) return offset + found;
    if (rows.length < readAtOnce) break;
  }
  throw new Problem('request-invalid', { cursor: 'What this cursor points at is kept no more. Begin anew.' });
}
