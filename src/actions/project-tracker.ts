import type { AuditEntry } from '../model/event.ts';
import type { ConnectionId, Instance, Project, ProjectId } from '../model/instance.ts';
import { Problem, asProblem } from '../model/problem.ts';
import type { Secret } from '../model/secret.ts';
import type { Binding, Site, SiteId } from '../model/site.ts';
import type { Clock } from '../model/world.ts';

export interface ProjectTrackerDeps {
  readonly store: {
    readonly sites: {
      get(id: string): Site | undefined;
      /** Durable when it resolves. No effect on a site that is not connected. */
      setProject(id: SiteId, at: Whereabouts): Promise<void>;
    };
    readonly instance: { get(): Instance | undefined };
  };
  readonly client: { project(token: Secret, id: ProjectId, signal?: AbortSignal): Promise<Project> };
  readonly tokens: {
    withToken<T>(id: ConnectionId, use: (token: Secret) => Promise<T>, signal?: AbortSignal): Promise<T>;
  };
  readonly report: (act: Omit<AuditEntry, 'id' | 'at'>) => void;
  readonly clock: Clock;
}

type Whereabouts = Partial<
  Pick<Binding, 'projectPath' | 'webUrl' | 'cloneUrl' | 'projectCreatedAt' | 'defaultBranch' | 'defaultThen'>
>;

/** Follows the repositories that sites are connected to: they are renamed, transferred, archived, deleted. */
export interface ProjectTracker {
  /**
   * Asks GitLab where the site's repository is now, by its number, and lets the binding follow. `maxAgeMs`: an answer
   * this old is good enough. Resolves with `moved` when the path is another one than before. Throws
   * `project-missing` (deleted, or access withdrawn), `project-not-yours`, `project-other` (the number means another
   * project: another GitLab answers), and whatever asking GitLab throws.
   */
  check(id: SiteId, maxAgeMs: number, signal?: AbortSignal): Promise<ProjectState>;
  /** As {@link ProjectTracker.check}, before a push: throws `project-archived` too. */
  checkForPush(id: SiteId, maxAgeMs: number, signal?: AbortSignal): Promise<ProjectState>;
  /**
   * A person says that the project found at the number is the right one; `created`: the one they were shown. Throws
   * `plan-outdated` when it is yet another.
   */
  adopt(id: SiteId, created: string): Promise<void>;
  /** What was known counts no more: the next check asks. */
  doubt(id: SiteId): void;
  /** The same questions about a repository that no binding leads to yet, or on another branch: nothing is remembered. */
  apart(place: Place): {
    /** Where it was found last. */
    path(): string;
    check(maxAgeMs: number, signal?: AbortSignal): Promise<ProjectState>;
    checkForPush(maxAgeMs: number, signal?: AbortSignal): Promise<ProjectState>;
  };
}

/** A project by its id, and the connection to ask with; `projectPath`: where it was found last. */
export type Place = Pick<Binding, 'connectionId' | 'projectId' | 'projectPath' | 'projectCreatedAt'>;

interface ProjectState {
  readonly archived: boolean;
  readonly moved: boolean;
}

/**
 * The path in a clone URL means whoever lives there now: after a rename it may be a newcomer, and pushing to a path
 * that nobody has creates a private project without a word. Only the number stays, so it is asked for before anything
 * is pushed, and while anything is fetched.
 */
export function createProjectTracker(deps: ProjectTrackerDeps): ProjectTracker {
  const { clock } = deps;
  const { sites, instance } = deps.store;
  const seen = new Map<SiteId, { projectId: ProjectId; archived: boolean; at: number }>();

  async function ask(place: Place, signal?: AbortSignal): Promise<Project> {
    const use = (token: Secret): Promise<Project> => deps.client.project(token, place.projectId, signal);
    const project = await deps.tokens.withToken(place.connectionId, use, signal).catch((error: unknown) => {
      throw inOurWords(asProblem(error), place.projectPath);
    });
    if (isOther(place, project)) throw otherProject(place.projectPath, project);
    return project;
  }

  async function stateOf(id: SiteId, binding: Binding, signal?: AbortSignal): Promise<ProjectState> {
    const { projectId, projectPath } = binding;
    const project = await ask(binding, signal).catch((error: unknown) => {
      seen.delete(id);
      throw error;
    });
    if (binding.projectCreatedAt === undefined && project.createdAt !== undefined)
      await sites.setProject(id, { projectCreatedAt: project.createdAt });
    await noteDefault(id, project);
    seen.set(id, { projectId, archived: project.archived, at: clock.monotonic() });
    await follow(id, projectPath, project.path);
    return { archived: project.archived, moved: project.path !== projectPath };
  }

  /** The site stays on its branch; somebody should know when the repository's default one becomes another. */
  async function noteDefault(id: SiteId, { empty, defaultBranch }: Project): Promise<void> {
    const known = sites.get(id)?.binding;
    // Of an empty repository GitLab names the branch that it would make.
    if (!known || empty || defaultBranch === undefined || known.defaultBranch === defaultBranch) return;
    await sites.setProject(id, { defaultBranch, defaultThen: known.defaultThen ?? defaultBranch });
  }

  /** The links follow the path, and the instance to another address. */
  async function follow(id: SiteId, from: string, to: string): Promise<void> {
    const base = instance.get()?.url ?? '';
    const webUrl = `${base}/${to}`;
    // Somebody else's question may have been answered first.
    const known = sites.get(id)?.binding;
    if (known?.projectPath === to && known.webUrl === webUrl) return;
    await sites.setProject(id, { projectPath: to, webUrl, cloneUrl: cloneUrl(base, to) });
    if (known?.projectPath !== to)
      deps.report({ by: 'GitLab', site: id, act: 'repository-moved', detail: `${from} → ${to}` });
  }

  async function check(id: SiteId, maxAgeMs: number, signal?: AbortSignal): Promise<ProjectState> {
    const binding = sites.get(id)?.binding;
    if (!binding) throw new Problem('not-connected', {});
    const known = seen.get(id);
    const young = known?.projectId === binding.projectId && clock.monotonic() - known.at <= maxAgeMs;
    return known && young ? { archived: known.archived, moved: false } : stateOf(id, binding, signal);
  }

  return {
    check,
    async checkForPush(id, maxAgeMs, signal) {
      const state = await check(id, maxAgeMs, signal);
      if (!state.archived) return state;
      seen.delete(id);
      throw new Problem('project-archived', { project: sites.get(id)?.binding?.projectPath ?? '' });
    },
    async adopt(id, created) {
      const binding = sites.get(id)?.binding;
      if (!binding) throw new Problem('not-connected', {});
      const project = await deps.tokens.withToken(binding.connectionId, (token) =>
        deps.client.project(token, binding.projectId),
      );
      if (project.createdAt === undefined || String(project.createdAt) !== created) {
        throw new Problem('plan-outdated', {});
      }
      await sites.setProject(id, { projectCreatedAt: project.createdAt });
      seen.delete(id);
    },
    doubt: (id) => void seen.delete(id),
    apart(place) {
      let path = place.projectPath;
      const check = async (signal?: AbortSignal): Promise<ProjectState> => {
        const { archived, path: now } = await ask({ ...place, projectPath: path }, signal);
        const moved = now !== path;
        path = now;
        return { archived, moved };
      };
      return {
        path: () => path,
        check: (_maxAgeMs, signal) => check(signal),
        async checkForPush(_maxAgeMs, signal) {
          const state = await check(signal);
          if (state.archived) throw new Problem('project-archived', { project: path });
          return state;
        },
      };
    },
  };
}

/**
 * Whether the number means another project than the one that was connected. Numbers begin at one in each GitLab, paths
 * repeat; when a project was made does not.
 */
export function isOther(place: Place, project: Project): boolean {
  const [before, now] = [place.projectCreatedAt, project.createdAt];
  return place.projectId === project.id && before !== undefined && now !== undefined && before !== now;
}

export function otherProject(was: string, { path, createdAt }: Project): Problem {
  return new Problem('project-other', { project: was, found: path, created: String(createdAt) });
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
  return pageAsOdd(problem);
}

/** Where GitLab was, a web page is an upgrade's or a gateway's: over by itself, and nobody need choose anything. */
export function pageAsOdd(problem: Problem): Problem {
  if (problem.code !== 'instance-not-gitlab') return problem;
  const reason = 'a web page came in place of an answer';
  return new Problem('gitlab-answer-odd', { ...problem.facts, reason }, { cause: problem });
}
