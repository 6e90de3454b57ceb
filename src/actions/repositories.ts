import { type Account, seesSite } from '../model/account.ts';
import type { Advanced, Branch, BranchChoice, BranchName, Connection, ConnectionId } from '../model/instance.ts';
import { type Instance, roleName } from '../model/instance.ts';
import type { Project, ProjectId } from '../model/instance.ts';
import { Problem, asProblem } from '../model/problem.ts';
import type { Secret } from '../model/secret.ts';
import type { Site } from '../model/site.ts';

export interface RepositoryActionsDeps {
  readonly store: {
    readonly instance: { get(): Instance | undefined };
    readonly sites: { all(): readonly Site[] };
    readonly accounts: { get(id: string): Account | undefined };
  };
  readonly client: {
    projects(
      token: Secret,
      query: { search: string; perPage: number } & ({ page: number } | { before: ProjectId | 'newest' }),
    ): Promise<{ projects: readonly Project[]; nextPage?: number; nextBefore?: ProjectId; total?: number }>;
    project(token: Secret, id: ProjectId): Promise<Project>;
    branches(token: Secret, id: ProjectId, search: string): Promise<BranchChoice>;
    /** Throws `branch-missing`. */
    branch(token: Secret, id: ProjectId, name: BranchName): Promise<Branch>;
  };
  readonly tokens: { withToken<T>(id: ConnectionId, use: (token: Secret) => Promise<T>): Promise<T> };
}

export interface RepositoryPage {
  readonly rows: readonly { project: Project; disabled?: string }[];
  readonly page: number;
  readonly nextPage?: number;
  /** Of a list too long to be counted: newest projects first, and the next page begins after this one. */
  readonly nextBefore?: ProjectId;
  readonly uncounted?: true;
  readonly total?: number;
}

export interface RepositoryActions {
  list(connection: Connection, query: { search: string; page: number; before?: ProjectId }): Promise<RepositoryPage>;
  project(connection: Connection, id: ProjectId): Promise<Project>;
  /** The default branch comes first, wherever it stands in GitLab's list. */
  branches(connection: Connection, project: Project, search: string): Promise<BranchChoice>;
  newProjectUrl(): string;
}

/**
 * What the picker shows. GitLab's own filter for access levels is not used: a row that cannot be chosen tells its
 * reason, one that is missing only puzzles. Every call throws what the client and the tokens throw.
 */
export function createRepositoryActions(deps: RepositoryActionsDeps): RepositoryActions {
  const instance = (): Instance => {
    const found = deps.store.instance.get();
    if (!found) throw new Problem('instance-missing');
    return found;
  };

  /** The site that is connected to the whole of this project, if any, in words for the owner of the connection. */
  const usedBy = (id: ProjectId, { owner }: Connection): string | undefined => {
    const site = deps.store.sites
      .all()
      .find(({ binding }) => binding?.projectId === id && binding.subfolder === undefined);
    return site && (isSeen(deps, owner, site) ? `the site ${site.name}` : 'another site');
  };

  /** GitLab may name a default branch that nobody ever made. */
  async function byName(connection: Connection, id: ProjectId, name: BranchName): Promise<Branch | undefined> {
    const ask = (token: Secret): Promise<Branch> => deps.client.branch(token, id, name);
    return deps.tokens.withToken(connection.id, ask).catch((error: unknown) => {
      if (asProblem(error).code === 'branch-missing') return undefined;
      throw error;
    });
  }

  return {
    async list(connection, { search, page: asked, before }) {
      const { advanced } = instance();
      const wanted = { search: search.trim().slice(0, 200), perPage: 20 };
      const page = Math.max(1, Math.trunc(asked) || 1);
      type Where = { page: number } | { before: ProjectId | 'newest' };
      const ask = (where: Where) =>
        deps.tokens.withToken(connection.id, (token) => deps.client.projects(token, { ...wanted, ...where }));
      const first = await ask(before === undefined ? { page } : { before });
      // GitLab counts up to 10,000 and pages by number up to 50,000; beyond, only its keyset goes to the end.
      const uncounted = before !== undefined || (first.total === undefined && first.nextPage !== undefined);
      const found = uncounted && before === undefined ? await ask({ before: 'newest' }) : first;
      const rows = found.projects.map((project) => {
        const disabled = whyNot(project, { least: leastLevel(advanced), usedBy: usedBy(project.id, connection) });
        return disabled === undefined ? { project } : { project, disabled };
      });
      const { nextPage, nextBefore, total } = found;
      return {
        rows,
        page,
        ...(nextPage === undefined ? {} : { nextPage }),
        ...(nextBefore === undefined ? {} : { nextBefore }),
        ...(uncounted ? { uncounted } : {}),
        ...(total === undefined ? {} : { total }),
      };
    },

    project: (connection, id) => deps.tokens.withToken(connection.id, (token) => deps.client.project(token, id)),

    async branches(connection, { id, defaultBranch }, search) {
      const wanted = search.trim();
      const [listed, first] = await Promise.all([
        deps.tokens.withToken(connection.id, (token) => deps.client.branches(token, id, wanted)),
        wanted === '' && defaultBranch !== undefined ? byName(connection, id, defaultBranch) : undefined,
      ]);
      const main = first ?? listed.branches.find((branch) => branch.default);
      if (!main) return listed;
      return { ...listed, branches: [main, ...listed.branches.filter(({ name }) => name !== main.name)] };
    },

    newProjectUrl: () => `${instance().url}/projects/new`,
  };
}

/**
 * Why a repository cannot be chosen, in a sentence; undefined when it can. Level 0 means that GitLab names no role
 * (rights through a shared group): such a row stays open, and the branch's own `can_push` decides later.
 */
function whyNot(
  project: Project,
  { least, usedBy }: { least: number; usedBy: string | undefined },
): string | undefined {
  const role = roleName(project.accessLevel);
  if (project.archived) return 'Archived: GitLab does not accept pushes.';
  if (project.sha256) return 'Uses SHA-256 object names, which Mooring does not support.';
  if (usedBy !== undefined) return `Already used by ${usedBy}.`;
  if (project.accessLevel > 0 && project.accessLevel < least) {
    const may = project.accessLevel < developer ? 'You cannot push: your role is' : 'Your role is';
    return `${may} ${role}, and ${roleName(least)} is required.`;
  }
  if (mayNotBegin(project)) {
    return `Empty, and you are ${role}: GitLab lets only a Maintainer make the first push.`;
  }
  return undefined;
}

/** Whether an account sees a site: where it does not, it learns only that there is one. */
export function isSeen(
  deps: { readonly store: Pick<RepositoryActionsDeps['store'], 'accounts'> },
  accountId: string,
  site: Pick<Site, 'id'>,
): boolean {
  const account = deps.store.accounts.get(accountId);
  return account !== undefined && seesSite(account, site.id);
}

/** GitLab lets only a Maintainer make the first push of all; where it names no role, the push itself tells. */
export function mayNotBegin({ empty, accessLevel }: Pick<Project, 'empty' | 'accessLevel'>): boolean {
  return empty && accessLevel > 0 && accessLevel < maintainer;
}

/** What a repository must give at least: below Developer nobody may push, whatever is stored. */
export function leastLevel({ minAccessLevel }: Pick<Advanced, 'minAccessLevel'>): number {
  return Math.max(minAccessLevel, developer);
}

const developer = 30;
const maintainer = 40;
