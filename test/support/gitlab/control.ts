/** What a test or the demo holds in its hands: users, groups, projects, applications and tokens as plain calls. */
import {
  afterReceive,
  createApplication,
  createNamespace,
  createPersonalToken,
  createProject,
  createUser,
  deleteProject,
  issueTokens,
  moveGroup,
  moveProject,
  renewSecret,
  serverPush,
  type NewApplication,
} from './actions.ts';
import { fullPath, Level, namespaceByPath, userByName, webUrl } from './model.ts';
import type { Hook, Namespace, ProjectRecord, PushRule, User, Visibility, World } from './model.ts';
import type { Practice } from './practice.ts';
import { branchHead, commits, readFiles, zeros, type Author, type Changes, type Commit } from './repository.ts';

type UserName = User | string;

export interface Project {
  readonly id: number;
  /** `group/name`, as it is now. */
  readonly path: string;
  readonly webUrl: string;
  readonly cloneUrl: string;
  /** The bare repository on disk; a rename does not move it. */
  readonly repoPath: string;
  readonly hooks: readonly Hook[];
  /** Large files by the SHA-256 of their content. */
  readonly lfs: Map<string, Buffer>;
  /** The commit id of a branch (the default one when not named); undefined when there is none. */
  head(branch?: string): Promise<string | undefined>;
  /** Commits, newest first. */
  log(branch?: string): Promise<Commit[]>;
  /** Every file of a branch with its bytes. */
  files(branch?: string): Promise<Map<string, Buffer>>;
  /**
   * One commit, made on the server past all branch rules; null deletes a path. Gives the new commit id; webhooks are
   * on their way (quiet() waits for them). `parent` other than the head rewrites the branch, as a force push does.
   */
  push(
    branch: string,
    changes: Changes,
    options?: { message?: string; author?: Author; user?: UserName; parent?: string },
  ): Promise<string>;
  createBranch(name: string, from?: string): Promise<void>;
  deleteBranch(name: string): Promise<void>;
  /** To `group/new-name`. The old path forwards until another project takes it. */
  rename(newPath: string): void;
  archive(archived?: boolean): void;
  delete(): Promise<void>;
  setVisibility(visibility: Visibility): void;
  protect(branch: string, rule?: { pushLevel?: number; allowForcePush?: boolean }): void;
  unprotect(branch: string): void;
  /** As an owner chooses it under Settings / Repository. */
  setDefault(branch: string): Promise<void>;
  setPushRule(rule: PushRule | undefined): void;
  setSize(bytes: number): void;
}

export interface Control {
  readonly users: {
    add(given: { username: string; name: string; email: string; password: string; admin?: boolean }): User;
    get(username: string): User;
  };
  readonly groups: {
    add(given: { path: string; name?: string; owner?: UserName; visibility?: Visibility }): Namespace;
    addMember(group: Namespace | string, user: UserName, level: number): void;
    /** A new full path; what lies below moves with it. */
    rename(group: Namespace | string, newPath: string): void;
  };
  readonly projects: {
    /** A missing group is made on the way. Without files the project is empty; without owner the first user owns it. */
    create(given: {
      path: string;
      owner?: UserName;
      name?: string;
      description?: string;
      visibility?: Visibility;
      files?: Record<string, string | Buffer>;
      defaultBranch?: string;
      /** Without a repository behind it: for long lists. */
      hollow?: boolean;
    }): Promise<Project>;
    get(pathOrId: string | number): Project;
    all(): Project[];
    /** Level 0 removes the member. */
    addMember(project: Project | string, user: UserName, level: number): void;
  };
  readonly applications: {
    add(given: Omit<NewApplication, 'owner'>): { applicationId: string; secret: string };
    remove(applicationId: string): void;
    /** As GitLab's Renew secret: the one before is refused from now on. */
    renewSecret(applicationId: string): string;
  };
  readonly tokens: {
    /** A personal access token; `expiresAt`: ms since 1970. */
    add(user: UserName, scopes: string[], expiresAt?: number): string;
    /** An OAuth pair without the browser. */
    oauth(
      user: UserName,
      applicationId: string,
      scopes: string[],
    ): { accessToken: string; refreshToken: string; lifetimeSeconds: number };
  };
  /** Calls for every push to any project, without project hooks. */
  addSystemHook(hook: { url: string; token: string }): void;
  /** Any access, refresh or personal token. */
  revokeToken(value: string): void;
  blockUser(user: UserName, blocked?: boolean): void;
}

export function createControl(practice: Practice): Control {
  const { world } = practice;

  const user = (given: UserName | undefined): User => {
    const found = given === undefined ? world.users[0] : typeof given === 'string' ? userByName(world, given) : given;
    if (!found) throw new Error(`no such user: ${String(given)}`);
    return found;
  };
  const record = (given: string | number | Project): ProjectRecord => {
    const key = typeof given === 'object' ? given.id : given;
    const found = world.projects.find((project) =>
      typeof key === 'number' ? project.id === key : fullPath(project) === key,
    );
    if (!found) throw new Error(`no such project: ${String(key)}`);
    return found;
  };
  const group = (given: Namespace | string): Namespace => {
    const found = typeof given === 'string' ? namespaceByPath(world, given) : given;
    if (!found) throw new Error(`no such group: ${String(given)}`);
    return found;
  };

  return {
    users: { add: (given) => createUser(world, given), get: user },
    groups: {
      add({ path, name, owner, visibility }) {
        const title = name ?? path.split('/').at(-1) ?? path;
        return createNamespace(world, {
          ...{ kind: 'group', path, name: title, owner: owner === undefined ? undefined : user(owner) },
          ...(visibility === undefined ? {} : { visibility }),
        });
      },
      addMember: (to, who, level) => setLevel(group(to).members, user(who), level),
      rename: (which, newPath) => moveGroup(practice, group(which), newPath),
    },
    projects: {
      async create(given) {
        const cut = given.path.lastIndexOf('/');
        const [namespacePath, path] = [given.path.slice(0, Math.max(cut, 0)), given.path.slice(cut + 1)];
        const owner = user(given.owner);
        const namespace =
          namespaceByPath(world, namespacePath || owner.username) ??
          createNamespace(world, { kind: 'group', name: namespacePath.split('/').at(-1) ?? '', path: namespacePath });
        const created = await createProject(practice, {
          ...{ namespace, path, name: given.name ?? path, creator: owner },
          description: given.description ?? null,
          visibility: given.visibility ?? 'private',
          defaultBranch: given.defaultBranch ?? 'main',
          files: given.files,
          hollow: given.hollow ?? false,
        });
        return projectHandle(practice, created, user);
      },
      get: (given) => projectHandle(practice, record(given), user),
      all: () => world.projects.map((project) => projectHandle(practice, project, user)),
      addMember: (project, who, level) => setLevel(record(project).members, user(who), level),
    },
    applications: {
      add(given) {
        const { application, secret } = createApplication(world, given);
        return { applicationId: application.applicationId, secret };
      },
      remove: (applicationId) => removeApplication(world, applicationId),
      renewSecret(applicationId) {
        const application = world.applications.find((candidate) => candidate.applicationId === applicationId);
        if (!application) throw new Error(`no such application: ${applicationId}`);
        return renewSecret(application);
      },
    },
    tokens: {
      add: (who, scopes, expiresAt) => createPersonalToken(world, user(who), scopes, expiresAt).value,
      oauth(who, applicationId, scopes) {
        const application = world.applications.find((candidate) => candidate.applicationId === applicationId);
        if (!application) throw new Error(`no such application: ${applicationId}`);
        const token = issueTokens(world, { application, user: user(who), scopes });
        const lifetimeSeconds = world.tokenLifetimeSeconds;
        return { accessToken: token.value, refreshToken: token.refreshToken ?? '', lifetimeSeconds };
      },
    },
    addSystemHook: (hook) => void world.systemHooks.push(hook),
    revokeToken(value) {
      const token = world.tokens.find((candidate) => candidate.value === value || candidate.refreshToken === value);
      if (!token) throw new Error('no such token');
      token.revoked = true;
    },
    blockUser(who, blocked = true) {
      user(who).blocked = blocked;
    },
  };
}

function setLevel(members: Map<number, number>, user: User, level: number): void {
  if (level === Level.none) members.delete(user.id);
  else members.set(user.id, level);
}

/** Takes all grants and tokens of the application with it; the tokens become unknown, not revoked. */
function removeApplication(world: World, applicationId: string): void {
  const keep = <T extends { application: { applicationId: string } | undefined }>(list: T[]): void => {
    const left = list.filter(({ application }) => application?.applicationId !== applicationId);
    list.splice(0, list.length, ...left);
  };
  keep(world.grants);
  keep(world.tokens);
  const at = world.applications.findIndex((application) => application.applicationId === applicationId);
  if (at >= 0) world.applications.splice(at, 1);
}

function projectHandle(
  practice: Practice,
  project: ProjectRecord,
  userOf: (given: UserName | undefined) => User,
): Project {
  const { world, git } = practice;
  const { repoPath } = project;
  const changeRef = async (name: string, after: string | undefined): Promise<void> => {
    const before = await branchHead(git, repoPath, name);
    const ref = `refs/heads/${name}`;
    await git.text(repoPath, after === undefined ? ['update-ref', '-d', ref] : ['update-ref', ref, after]);
    const refs = [{ before: before ?? zeros, after: after ?? zeros, ref }];
    await afterReceive(practice, { project, user: project.creator, refs, pushOptions: [] });
  };

  return {
    id: project.id,
    repoPath,
    hooks: project.hooks,
    lfs: project.lfs,
    get path() {
      return fullPath(project);
    },
    get webUrl() {
      return webUrl(world, project);
    },
    get cloneUrl() {
      return `${webUrl(world, project)}.git`;
    },
    head: (branch = project.defaultBranch) => branchHead(git, repoPath, branch),
    log: (branch = project.defaultBranch) => commits(git, repoPath, [`refs/heads/${branch}`]),
    files: (branch = project.defaultBranch) => readFiles(git, repoPath, `refs/heads/${branch}`),
    push(branch, changes, options = {}) {
      const { message = 'Change made on the server', user, author, parent } = options;
      return serverPush(practice, project, {
        ...{ branch, changes, message, user: user === undefined ? project.creator : userOf(user) },
        ...(author === undefined ? {} : { author }),
        ...(parent === undefined ? {} : { parent }),
      });
    },
    async createBranch(name, from = project.defaultBranch) {
      const start = (await branchHead(git, repoPath, from)) ?? from;
      await changeRef(name, start);
    },
    deleteBranch: (name) => changeRef(name, undefined),
    rename: (newPath) => moveProject(practice, project, newPath),
    archive(archived = true) {
      project.archived = archived;
    },
    delete: () => deleteProject(world, project),
    setVisibility(visibility) {
      project.visibility = visibility;
    },
    protect(branch, { pushLevel = Level.maintainer, allowForcePush = false } = {}) {
      this.unprotect(branch);
      project.protectedBranches.push({ pattern: branch, pushLevel, mergeLevel: Level.maintainer, allowForcePush });
    },
    unprotect(branch) {
      project.protectedBranches = project.protectedBranches.filter(({ pattern }) => pattern !== branch);
    },
    async setDefault(branch) {
      project.defaultBranch = branch;
      await git.text(repoPath, ['symbolic-ref', 'HEAD', `refs/heads/${branch}`]);
    },
    setPushRule(rule) {
      project.pushRule = rule;
    },
    setSize(bytes) {
      project.repositoryBytes = bytes;
    },
  };
}
