import type { Account } from '../model/account.ts';
import { type Branch, type BranchName, type Connection, type ConnectionId, roleName } from '../model/instance.ts';
import type { Instance, Project, ProjectId } from '../model/instance.ts';
import { Problem, asProblem } from '../model/problem.ts';
import type { Secret } from '../model/secret.ts';
import type { Binding, Site, SiteId } from '../model/site.ts';
import { type Subfolder, overlap, subfolder } from '../model/subfolder.ts';
import { isOther, otherProject } from './project-tracker.ts';
import { isSeen, leastLevel, mayNotBegin } from './repositories.ts';

export interface SiteProjectDeps {
  readonly store: {
    readonly sites: { all(): readonly Site[]; get(id: string): Site | undefined };
    readonly instance: { get(): Instance | undefined };
    readonly accounts: { get(id: string): Account | undefined };
  };
  readonly client: {
    project(token: Secret, id: ProjectId): Promise<Project>;
    /** Throws `branch-missing`. */
    branch(token: Secret, id: ProjectId, name: BranchName): Promise<Branch>;
  };
  readonly tokens: { withToken<T>(id: ConnectionId, use: (token: Secret) => Promise<T>): Promise<T> };
}

/** A branch of a project that a site is, or is to be, connected to. */
export interface WantedProject {
  readonly site: SiteId;
  readonly projectId: ProjectId;
  readonly branch: BranchName;
  /** The folder of the repository that becomes the site, as typed; a connected site keeps its own. */
  readonly subfolder?: string;
}

/** Throws `not-found`. */
export function siteOf({ store }: Pick<SiteProjectDeps, 'store'>, id: SiteId): Site {
  const site = store.sites.get(id);
  if (!site) throw new Problem('not-found', {});
  return site;
}

/** Throws `not-found`, `not-connected`. */
export function bindingOf(deps: Pick<SiteProjectDeps, 'store'>, id: SiteId): Binding {
  const { name, binding } = siteOf(deps, id);
  if (!binding) throw new Problem('not-connected', { site: name });
  return binding;
}

/** Throws `form-invalid` for what is not a path inside a repository. */
export function subfolderOf(deps: Pick<SiteProjectDeps, 'store'>, wanted: WantedProject): Subfolder {
  const { binding } = siteOf(deps, wanted.site);
  return binding ? (binding.subfolder ?? '') : subfolder(wanted.subfolder ?? '');
}

/**
 * The project as GitLab describes it now. Throws what keeps this connection from syncing the site with it:
 * `project-missing`, `project-other`, `project-in-use`, `project-archived`, `repository-sha256`, `push-not-allowed`, `repository-empty`.
 */
export async function usableProject(
  deps: SiteProjectDeps,
  wanted: WantedProject,
  connection: Connection,
): Promise<Project> {
  const { binding } = siteOf(deps, wanted.site);
  const user = `@${connection.username}`;
  const project = await deps.tokens
    .withToken(connection.id, (token) => deps.client.project(token, wanted.projectId))
    .catch((error: unknown) => {
      const problem = asProblem(error);
      if (problem.code !== 'project-missing') throw error;
      throw new Problem(problem.code, { ...problem.facts, user, ...(binding ? { project: binding.projectPath } : {}) });
    });
  if (binding && isOther(binding, project)) throw otherProject(binding.projectPath, project);
  const facts = { project: project.path, branch: wanted.branch, user };
  const other = otherSiteIn(deps, wanted, project.id);
  if (other)
    throw new Problem('project-in-use', {
      ...facts,
      ...(isSeen(deps, connection.owner, other) ? { site: other.name } : {}),
    });
  if (project.archived) throw new Problem('project-archived', facts);
  if (project.sha256) throw new Problem('repository-sha256', facts);
  // Level 0: GitLab names no role (rights through a shared group); then the branch decides.
  const level = project.accessLevel;
  const least = leastLevel(deps.store.instance.get()?.advanced ?? { minAccessLevel: 0 });
  if (level > 0 && level < least)
    throw new Problem('push-not-allowed', { ...facts, role: roleName(level), needed: roleName(least) });
  if (mayNotBegin(project)) throw new Problem('repository-empty', facts);
  // A protected branch is reported before anything is replaced, not after the first edit.
  if (!project.empty && !(await mayPush(deps, wanted, connection))) throw new Problem('push-not-allowed', facts);
  return project;
}

/** Two sites may share a project only if neither's folder lies inside the other's. */
function otherSiteIn(deps: SiteProjectDeps, wanted: WantedProject, projectId: ProjectId): Site | undefined {
  const own = subfolderOf(deps, wanted);
  return deps.store.sites
    .all()
    .filter(({ binding, id }) => id !== wanted.site && binding?.projectId === projectId)
    .find((site) => overlap(own, site.binding?.subfolder ?? ''));
}

/** True for a branch that does not exist yet: GitLab cannot say who may create it. */
async function mayPush(deps: SiteProjectDeps, wanted: WantedProject, connection: Connection): Promise<boolean> {
  const ask = (token: Secret): Promise<Branch> => deps.client.branch(token, wanted.projectId, wanted.branch);
  const branch = await deps.tokens.withToken(connection.id, ask).catch((error: unknown) => {
    if (asProblem(error).code === 'branch-missing') return undefined;
    throw error;
  });
  return branch?.canPush ?? true;
}
