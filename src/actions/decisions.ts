import type { AuditEntry, RunRecord } from '../model/event.ts';
import type { Conflict, KeptVersion } from '../model/plan.ts';
import { Problem, asProblem } from '../model/problem.ts';
import type { Hold, HoldChoice, SiteId, SiteStatus } from '../model/site.ts';
import { type Oid, type SitePath, displayPath } from '../model/tree.ts';

export interface DecisionsDeps {
  readonly worker: (id: SiteId) => {
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
  };
  /** A site's newest runs. */
  readonly runs: (id: SiteId) => Promise<readonly RunRecord[]>;
  readonly conflicts: (id: SiteId) => readonly Conflict[];
  readonly saveConflicts: (id: SiteId, conflicts: readonly Conflict[]) => Promise<void>;
  /** What a content stands for, where it is a pointer to a large file of this site; otherwise itself. */
  readonly followed: (id: SiteId, content: Buffer) => Promise<Buffer>;
  /** The project at the site's number is the right one: the one that was made then. */
  readonly adoptProject: (id: SiteId, created: string) => Promise<void>;
  /** The token that the site's person entered counts as lost; GitLab is to be asked with it once more. */
  readonly askAgain: (id: SiteId) => Promise<void>;
  readonly now: () => number;
  readonly report: (act: Omit<AuditEntry, 'id' | 'at'>) => void;
}

/** At most this much of a version is shown or compared, in bytes. */
const shownBytes = 5 * 1024 * 1024;
const fileBytes = 512 * 1024 * 1024;

/** What people choose: answers to holds, the other version of a conflict, a kept version back. */
export function createDecisions(deps: DecisionsDeps) {
  const conflictOf = (id: SiteId, conflictId: string): Conflict => {
    const found = deps.conflicts(id).find((conflict) => conflict.id === conflictId);
    if (!found) throw new Problem('not-found', {});
    return found;
  };
  const bytes = (id: SiteId, oid: Oid | undefined): Promise<Buffer | undefined> =>
    oid ? deps.worker(id).content(oid, shownBytes) : Promise.resolve(undefined);

  return {
    async choose(id: SiteId, step: string, choice: HoldChoice, by: string): Promise<void> {
      const { hold } = deps.worker(id).status();
      if (hold?.code === 'project-other' && hold.step === step && choice === 'adopt') {
        await deps.adoptProject(id, step.slice(step.indexOf(':') + 1));
      }
      if (hold?.code === 'reconnect' && hold.step === step && choice === 'try-again') await deps.askAgain(id);
      await deps.worker(id).choose(step, choice);
      deps.report({ by, site: id, act: 'chose', detail: choice });
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
      const worker = deps.worker(id);
      const named = worker.status().hold?.samples ?? [];
      const all = worker.heldPaths();
      return all.length > named.length ? all : named;
    },

    conflicts: (id: SiteId): readonly Conflict[] => deps.conflicts(id),

    async versions(id: SiteId, conflictId: string) {
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
      if (choice !== conflict.live) await deps.worker(id).resolve(conflict, choice);
      const resolved = { at: deps.now(), by, choice };
      const rest = deps.conflicts(id).map((each) => (each.id === conflictId ? { ...each, resolved } : each));
      await deps.saveConflicts(id, rest);
      deps.worker(id).conflictsChanged();
      deps.report({ by, site: id, act: 'resolved', detail: displayPath(conflict.path) });
    },

    /** Only what a run of the site told: an address alone removes nothing. */
    async removeLetGo(id: SiteId, path: SitePath, by: string): Promise<void> {
      if (!(await deps.runs(id)).some(({ letGo }) => letGo?.includes(path)))
        throw new Problem('not-found', { what: 'file' });
      await deps.worker(id).removeLetGo(path);
      deps.report({ by, site: id, act: 'chose', detail: `remove ${displayPath(path)}` });
    },

    kept: (id: SiteId): Promise<readonly KeptVersion[]> => deps.worker(id).kept(),

    async keptFiles(id: SiteId, keptId: string) {
      const files = await deps.worker(id).keptFiles(keptId);
      return files.map(({ path, size }) => ({ path, bytes: size }));
    },

    async keptFile(id: SiteId, keptId: string, path: SitePath): Promise<Buffer> {
      const file = (await deps.worker(id).keptFiles(keptId)).find((kept) => kept.path === path);
      if (!file) throw new Problem('kept-missing', { path: displayPath(path) });
      return deps.followed(id, await deps.worker(id).content(file.oid, fileBytes));
    },

    async restore(id: SiteId, keptId: string, path: SitePath | undefined, by: string): Promise<void> {
      await deps.worker(id).restore(keptId, path);
      deps.report({
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
