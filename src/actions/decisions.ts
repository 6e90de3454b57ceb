import type { AuditEntry, RunRecord } from '../model/event.ts';
import type { Conflict, KeptVersion } from '../model/plan.ts';
import { Problem, asProblem } from '../model/problem.ts';
import type { Hold, HoldChoice, SiteId, SiteStatus } from '../model/site.ts';
import { type Oid, type SitePath, displayPath } from '../model/tree.ts';
import type { Clock } from '../model/world.ts';

export interface DecisionsDeps {
  readonly runtimes: {
    worker(id: SiteId): WorkerForDecisions;
    conflicts(id: SiteId): readonly Conflict[];
    saveConflicts(id: SiteId, conflicts: readonly Conflict[]): Promise<void>;
    /** What a content stands for, where it is a pointer to a large file of this site; otherwise itself. */
    followed(id: SiteId, content: Buffer): Promise<Buffer>;
  };
  readonly store: {
    readonly history: {
      runs(id: SiteId, page: { limit: number; offset: number }): Promise<{ readonly rows: readonly RunRecord[] }>;
    };
  };
  readonly projects: {
    /** The project at the site's number is the right one: the one created then. */
    adopt(id: SiteId, created: string): Promise<void>;
  };
  readonly connectionEnd: { useAgain(id: SiteId): Promise<void> };
  readonly clock: Pick<Clock, 'now'>;
  readonly report: (entry: Omit<AuditEntry, 'id' | 'at'>) => void;
}

export interface ConflictVersions {
  readonly conflict: Conflict;
  readonly repository?: Buffer;
  readonly site?: Buffer;
  readonly base?: Buffer;
}

interface WorkerForDecisions {
  status(): Pick<SiteStatus, 'hold'>;
  heldPaths(): Hold['samples'];
  choose(step: string, choice: HoldChoice): Promise<void>;
  resolve(conflict: Conflict, choice: 'repository' | 'site'): Promise<void>;
  restore(keptId: string, path: SitePath | undefined): Promise<void>;
  removeLetGo(path: SitePath): Promise<void>;
  kept(): Promise<readonly KeptVersion[]>;
  keptFiles(id: string): Promise<readonly { path: SitePath; oid: Oid; size: number }[]>;
  content(oid: Oid, limit: number): Promise<Buffer>;
  conflictsChanged(): void;
}

/** At most this much of a version is shown or compared, in bytes. */
const shownBytes = 5 * 1024 * 1024;
const fileBytes = 512 * 1024 * 1024;

/** What people choose: answers to holds, the version of a conflict, a kept version to restore. */
export type Decisions = ReturnType<typeof createDecisions>;

export function createDecisions(deps: DecisionsDeps) {
  const { runtimes, store, report } = deps;
  const conflictOf = (id: SiteId, conflictId: string): Conflict => {
    const found = runtimes.conflicts(id).find((conflict) => conflict.id === conflictId);
    if (!found) throw new Problem('not-found', {});
    return found;
  };
  const bytes = (id: SiteId, oid: Oid | undefined): Promise<Buffer | undefined> =>
    oid ? runtimes.worker(id).content(oid, shownBytes) : Promise.resolve(undefined);

  return {
    async choose(id: SiteId, step: string, choice: HoldChoice, by: string): Promise<void> {
      const { hold } = runtimes.worker(id).status();
      if (hold?.code === 'project-other' && hold.step === step && choice === 'adopt')
        await deps.projects.adopt(id, hold.created ?? '');
      if (hold?.code === 'reconnect' && hold.step === step && choice === 'try-again')
        await deps.connectionEnd.useAgain(id);
      await runtimes.worker(id).choose(step, choice);
      report({ by, site: id, act: 'chose', detail: choice });
    },

    /** The same answer for several sites. Gives those whose question changed or ended by now: they are not answered. */
    async chooseForEach(
      answers: readonly { readonly site: SiteId; readonly step: string }[],
      choice: HoldChoice,
      by: string,
    ): Promise<readonly SiteId[]> {
      const changed: SiteId[] = [];
      for (const { site, step } of answers) {
        try {
          await this.choose(site, step, choice, by);
        } catch (error) {
          if (!['plan-outdated', 'not-found'].includes(asProblem(error).code)) throw error;
          changed.push(site);
        }
      }
      return changed;
    },

    /** Every path of the open question; right after a restart those that were written down. */
    heldPaths(id: SiteId): Hold['samples'] {
      const worker = runtimes.worker(id);
      const named = worker.status().hold?.samples ?? [];
      const all = worker.heldPaths();
      return all.length > named.length ? all : named;
    },

    conflicts: (id: SiteId): readonly Conflict[] => runtimes.conflicts(id),

    /** The two or three versions of a conflict, at most 5 MiB each. */
    async versions(id: SiteId, conflictId: string): Promise<ConflictVersions> {
      const conflict = conflictOf(id, conflictId);
      const [repository, site, base] = await Promise.all([
        bytes(id, conflict.repository),
        bytes(id, conflict.site),
        bytes(id, conflict.base),
      ]);
      return {
        conflict,
        ...(repository ? { repository } : {}),
        ...(site ? { site } : {}),
        ...(base ? { base } : {}),
      };
    },

    async resolve(id: SiteId, conflictId: string, choice: 'repository' | 'site', by: string): Promise<void> {
      const conflict = conflictOf(id, conflictId);
      if (choice !== conflict.live) await runtimes.worker(id).resolve(conflict, choice);
      const resolved = { at: deps.clock.now(), by, choice };
      const rest = runtimes.conflicts(id).map((each) => (each.id === conflictId ? { ...each, resolved } : each));
      await runtimes.saveConflicts(id, rest);
      runtimes.worker(id).conflictsChanged();
      report({ by, site: id, act: 'resolved', detail: displayPath(conflict.path) });
    },

    /** Removes a file that the repository no longer tracks, and that a run of the site named. Throws `not-found` and
     * `plan-outdated`. */
    async removeLetGo(id: SiteId, path: SitePath, by: string): Promise<void> {
      const { rows } = await store.history.runs(id, { limit: 500, offset: 0 });
      if (!rows.some(({ letGo }) => letGo?.includes(path))) throw new Problem('not-found', { what: 'file' });
      await runtimes.worker(id).removeLetGo(path);
      report({ by, site: id, act: 'chose', detail: `remove ${displayPath(path)}` });
    },

    kept: (id: SiteId): Promise<readonly KeptVersion[]> => runtimes.worker(id).kept(),

    async keptFiles(id: SiteId, keptId: string) {
      const files = await runtimes.worker(id).keptFiles(keptId);
      return files.map(({ path, size }) => ({ path, bytes: size }));
    },

    async keptFile(id: SiteId, keptId: string, path: SitePath): Promise<Buffer> {
      const file = (await runtimes.worker(id).keptFiles(keptId)).find((kept) => kept.path === path);
      if (!file) throw new Problem('kept-missing', { path: displayPath(path) });
      return runtimes.followed(id, await runtimes.worker(id).content(file.oid, fileBytes));
    },

    async restore(id: SiteId, keptId: string, path: SitePath | undefined, by: string): Promise<void> {
      await runtimes.worker(id).restore(keptId, path);
      report({
        by,
        site: id,
        act: 'restored',
        detail: path === undefined ? folderAsOf(keptId) : displayPath(path),
      });
    },
  };
}

/** `the whole folder as of 2026-11-19 14:07 UTC`: a kept version's id begins with its time. */
function folderAsOf(keptId: string): string {
  const [, year, month, day, hour, minute] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)/.exec(keptId) ?? [];
  return year === undefined
    ? 'the whole folder'
    : `the whole folder as of ${year}-${month}-${day} ${hour}:${minute} UTC`;
}
