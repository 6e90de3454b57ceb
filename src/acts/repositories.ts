import { type Branch, type Connection, type ConnectionId, type Instance, roleName } from '../model/instance.ts';
import type { Project, ProjectId } from '../model/instance.ts';
import { Problem } from '../model/problem.ts';
import type { Secret } from '../model/secret.ts';

export interface RepositoryActsDeps {
  readonly instance: () => Instance | undefined;
  readonly client: {
    projects(
      token: Secret,
      query: { search: string; page: number; perPage?: number },
    ): Promise<{ projects: readonly Project[]; nextPage?: number; total?: number }>;
    project(token: Secret, id: ProjectId): Promise<Project>;
    branches(token: Secret, id: ProjectId, search: string): Promise<readonly Branch[]>;
  };
  readonly withToken: <T>(id: ConnectionId, use: (token: Secret) => Promise<T>) => Promise<T>;
  /** Name of the site that is connected to this project, if any. */
  readonly usedBy: (id: ProjectId) => string | undefined;
}

export interface RepositoryActs {
  list(
    connection: Connection,
    query: { search: string; page: number },
  ): Promise<{
    readonly rows: readonly { project: Project; disabled?: string }[];
    readonly page: number;
    readonly nextPage?: number;
    readonly total?: number;
  }>;
  project(connection: Connection, id: ProjectId): Promise<Project>;
  branches(connection: Connection, id: ProjectId, search: string): Promise<readonly Branch[]>;
  newProjectUrl(): string;
}

/**
 * What the picker shows. GitLab's own filter for access levels is not used: a row that cannot be chosen tells its
 * reason, one that is missing only puzzles. Every call throws what the client and the tokens throw.
 */
export function createRepositoryActs(deps: RepositoryActsDeps): RepositoryActs {
  const instance = (): Instance => {
    const found = deps.instance();
    if (!found) throw new Problem('instance-missing');
    return found;
  };

  return {
    async list(connection, { search, page }) {
      const { advanced } = instance();
      const wanted = { search: search.trim().slice(0, 200), page: Math.max(1, Math.trunc(page) || 1), perPage: 20 };
      const found = await deps.withToken(connection.id, (token) => deps.client.projects(token, wanted));
      const rows = found.projects.map((project) => {
        const disabled = whyNot(project, { least: advanced.minAccessLevel, usedBy: deps.usedBy(project.id) });
        return disabled === undefined ? { project } : { project, disabled };
      });
      const { nextPage, total } = found;
      return {
        rows,
        page: wanted.page,
        ...(nextPage === undefined ? {} : { nextPage }),
        ...(total === undefined ? {} : { total }),
      };
    },

    project: (connection, id) => deps.withToken(connection.id, (token) => deps.client.project(token, id)),

    async branches(connection, id, search) {
      return deps.withToken(connection.id, (token) => deps.client.branches(token, id, search.trim()));
    },

    newProjectUrl: () => `${instance().url}/projects/new`,
  };
}

/**
 * Why a repository cannot be chosen, in a sentence; undefined when it can. Level 0 means that GitLab names no role
 * (rights through a shared group): such a row stays open, and the branch's own `can_push` decides later.
 */
export function whyNot(
  project: Project,
  { least, usedBy }: { least: number; usedBy: string | undefined },
): string | undefined {
  const role = roleName(project.accessLevel);
  if (project.archived) return 'Archived: GitLab accepts no pushes.';
  if (usedBy !== undefined) return `Already used by the site ${usedBy}.`;
  const needed = Math.max(least, developer);
  if (project.accessLevel > 0 && project.accessLevel < needed) {
    const may = project.accessLevel < developer ? 'You may not push: your role is' : 'Your role is';
    return `${may} ${role}, ${roleName(needed)} is needed.`;
  }
  if (project.empty && project.accessLevel > 0 && project.accessLevel < maintainer) {
    return `Empty, and you are ${role}: GitLab lets only a Maintainer make the first push.`;
  }
  return undefined;
}

const developer = 30;
const maintainer = 40;
