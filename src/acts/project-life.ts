import type { ActRecord } from '../model/event.ts';
import type { ConnectionId, Instance, Project, ProjectId } from '../model/instance.ts';
import { Problem, asProblem } from '../model/problem.ts';
import type { Secret } from '../model/secret.ts';
import type { Binding, Site, SiteId } from '../model/site.ts';
import type { Clock } from '../model/world.ts';

export interface ProjectLifeDeps {
  readonly sites: {
    get(id: string): Site | undefined;
    /** Durable when it resolves. No effect on a site that is not connected. */
    setProject(id: SiteId, at: Pick<Binding, 'projectPath' | 'webUrl' | 'cloneUrl'>): Promise<void>;
  };
  readonly instance: () => Instance | undefined;
  readonly project: (token: Secret, id: ProjectId, signal?: AbortSignal) => Promise<Project>;
  readonly withToken: <T>(id: ConnectionId, use: (token: Secret) => Promise<T>, signal?: AbortSignal) => Promise<T>;
  readonly report: (act: Omit<ActRecord, 'id' | 'at'>) => void;
  readonly clock: Clock;
}

/** The life of the repositories that sites are moored to: they are renamed, transferred, archived, deleted. */
export interface ProjectLife {
  /**
   * Asks GitLab where the site's repository is now, by its number, and lets the binding follow. `maxAgeMs`: an answer
   * this old is good enough. Resolves with `moved` when the path is another one than before. Throws
   * `project-missing` (deleted, or access withdrawn), `project-not-yours`, and whatever asking GitLab throws.
   */
  check(id: SiteId, maxAgeMs: number, signal?: AbortSignal): Promise<Sighting>;
  /** As {@link ProjectLife.check}, before a push: throws `project-archived` too. */
  checkForPush(id: SiteId, maxAgeMs: number, signal?: AbortSignal): Promise<Sighting>;
  /** What was known counts no more: the next check asks. */
  doubt(id: SiteId): void;
}

export interface Sighting {
  readonly archived: boolean;
  readonly moved: boolean;
}

/**
 * The path in a clone URL means whoever lives there now: after a rename it may be a newcomer, and pushing to a path
 * that nobody has creates a private project without a word. Only the number stays, so it is asked for before anything
 * is pushed, and while anything is fetched.
 */
export function createProjectLife(deps: ProjectLifeDeps): ProjectLife {
  const { sites, clock } = deps;
  const seen = new Map<SiteId, { projectId: ProjectId; archived: boolean; at: number }>();

  async function look(id: SiteId, binding: Binding, signal?: AbortSignal): Promise<Sighting> {
    const { connectionId, projectId, projectPath } = binding;
    const ask = (token: Secret): Promise<Project> => deps.project(token, projectId, signal);
    const project = await deps.withToken(connectionId, ask, signal).catch((error: unknown) => {
      seen.delete(id);
      throw inOurWords(asProblem(error), projectPath);
    });
    seen.set(id, { projectId, archived: project.archived, at: clock.monotonic() });
    if (project.path === projectPath) return { archived: project.archived, moved: false };
    await follow(id, projectPath, project.path);
    return { archived: project.archived, moved: true };
  }

  async function follow(id: SiteId, from: string, to: string): Promise<void> {
    // Somebody else's question may have been answered first.
    if (sites.get(id)?.binding?.projectPath === to) return;
    const base = deps.instance()?.url ?? '';
    await sites.setProject(id, { projectPath: to, webUrl: `${base}/${to}`, cloneUrl: cloneUrl(base, to) });
    deps.report({ by: 'GitLab', site: id, act: 'repository-moved', detail: `${from} → ${to}` });
  }

  async function check(id: SiteId, maxAgeMs: number, signal?: AbortSignal): Promise<Sighting> {
    const binding = sites.get(id)?.binding;
    if (!binding) throw new Problem('not-connected', {});
    const known = seen.get(id);
    const young = known?.projectId === binding.projectId && clock.monotonic() - known.at <= maxAgeMs;
    return known && young ? { archived: known.archived, moved: false } : look(id, binding, signal);
  }

  return {
    check,
    async checkForPush(id, maxAgeMs, signal) {
      const sighting = await check(id, maxAgeMs, signal);
      if (!sighting.archived) return sighting;
      seen.delete(id);
      throw new Problem('project-archived', { project: sites.get(id)?.binding?.projectPath ?? '' });
    },
    doubt: (id) => void seen.delete(id),
  };
}

/**
 * Built from the instance's own address, not taken from GitLab's answer: an admin can set another clone address there,
 * and the token must go to the instance alone.
 */
export function cloneUrl(instanceUrl: string, projectPath: string): string {
  return `${instanceUrl}/${projectPath}.git`;
}

/** Visible but closed to this user is a question of rights, not of the page. */
function inOurWords(problem: Problem, project: string): Problem {
  if (problem.code === 'not-allowed') return new Problem('project-not-yours', { ...problem.facts, project });
  if (problem.code === 'project-missing') return new Problem('project-missing', { ...problem.facts, project });
  return problem;
}
