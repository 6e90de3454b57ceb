import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { type DeclaredMarks, noConsents, type UsedConsents } from '../model/declared.ts';
import type { SiteId } from '../model/site.ts';
import type { Database } from './database.ts';
import { branchName, connectionId, projectId, sitePath, whole } from './shapes.ts';

/** What a file declares, as it was applied last, and which consents in it were used. */
export interface DeclaredStore {
  /** Undefined: nothing was ever applied. */
  marks(): DeclaredMarks | undefined;
  /** Writes nothing where nothing differs. */
  setMarks(marks: DeclaredMarks): Promise<void>;
  consents(id: SiteId): UsedConsents;
  /** On disk when it resolves: from then on this consent counts no more. */
  useConsent(id: SiteId, consent: string): Promise<void>;
}

export interface DeclaredData {
  marks?: DeclaredMarks;
  consents: Record<string, UsedConsents>;
}

const place = { line: z.int().positive(), column: z.int().positive() };

const marks = whole<DeclaredMarks>()(
  z.strictObject({
    file: z.string(),
    instance: z.strictObject(place).exactOptional(),
    notifications: z.strictObject(place).exactOptional(),
    accounts: z.record(z.string(), z.strictObject(place)),
    connections: z.record(z.string(), z.strictObject({ ...place, name: z.string() })),
    sites: z.record(
      z.string(),
      z.strictObject({
        ...place,
        source: z
          .strictObject({
            connection: z.string(),
            connectionId: connectionId.exactOptional(),
            repository: z.string(),
            projectId: projectId.exactOptional(),
            branch: branchName,
            subfolder: z.union([sitePath, z.literal('')]),
            direction: z.enum(['replace', 'start-from-folder']),
          })
          .exactOptional(),
      }),
    ),
  }),
);

export const declaredSchema: z.ZodType<DeclaredData> = z.strictObject({
  marks: marks.exactOptional(),
  consents: z.record(
    z.string(),
    z.strictObject({
      uses: z.int().nonnegative(),
      used: z.array(z.strictObject({ id: z.string(), at: z.number() })),
    }),
  ),
});

/** Enough to name the one that somebody left in the file; `uses` alone keeps all older ones from counting. */
const mostRemembered = 20;

export function createDeclaredStore({ db, now }: { db: Database<DeclaredData>; now: () => number }): DeclaredStore {
  return {
    marks: () => db.data.marks,
    async setMarks(marks) {
      if (isDeepStrictEqual(db.data.marks, marks)) return;
      await db.update((draft) => void (draft.marks = marks));
    },
    consents: (id) => db.data.consents[id] ?? noConsents,
    async useConsent(id, consent) {
      await db.update((draft) => {
        const { uses, used } = draft.consents[id] ?? noConsents;
        const latest = [...used, { id: consent, at: now() }].slice(-mostRemembered);
        draft.consents[id] = { uses: uses + 1, used: latest };
      });
    },
  };
}
