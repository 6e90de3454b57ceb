/** What can happen in the practice GitLab, whoever starts it: REST, a page, a git push or a test. */
import { rename as moveDirectory, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { protection } from './access.ts';
import { fullPath, hex, Level, namespaceByPath, sha256 } from './model.ts';
import type { Application, Namespace, ProjectRecord, Token, User, Visibility, World } from './model.ts';
import type { Practice, Received } from './practice.ts';
import {
  BranchMoved,
  branchHead,
  branchNames,
  createRepository,
  writeCommit,
  zeros,
  type Author,
  type Changes,
} from './repository.ts';
import { firePushHooks, fireSystemHooks } from './webhooks.ts';

export function createUser(
  world: World,
  given: { username: string; name: string; email: string; password: string; admin?: boolean },
): User {
  const user: User = { id: world.nextId(), createdAt: world.now(), blocked: false, admin: false, ...given };
  world.users.push(user);
  // Everybody has a namespace of their own, named after the user.
  createNamespace(world, { kind: 'user', name: user.name, path: user.username, owner: user });
  return user;
}

export function createNamespace(
  world: World,
  given: { kind: 'group' | 'user'; name: string; path: string; owner?: User | undefined; visibility?: Visibility },
): Namespace {
  const { kind, name, path, owner, visibility = 'private' } = given;
  const members = new Map(owner ? [[owner.id, Level.owner as number]] : []);
  const namespace: Namespace = { id: world.nextId(), kind, name, path, visibility, members };
  world.namespaces.push(namespace);
  return namespace;
}

export interface NewProject {
  readonly namespace: Namespace;
  readonly path: string;
  readonly name: string;
  readonly creator: User;
  readonly description: string | null;
  readonly visibility: Visibility;
  readonly defaultBranch: string;
  /** Without files the repository stays empty. */
  readonly files: Changes | undefined;
  readonly hollow?: boolean;
}

export async function createProject(practice: Practice, given: NewProject): Promise<ProjectRecord> {
  const { world, git, home } = practice;
  const { files, hollow, ...facts } = given;
  const id = world.nextId();
  const now = world.now();
  const project: ProjectRecord = {
    ...facts,
    ...{ id, createdAt: now, lastActivityAt: now, archived: false, empty: true },
    repoPath: join(home, 'repositories', `${id}.git`),
    // In a group, rights come from the group; GitLab makes the creator a member only of personal projects.
    members: new Map(given.namespace.members.has(given.creator.id) ? [] : [[given.creator.id, Level.owner]]),
    ...{ hooks: [], mergeRequests: [], lfs: new Map(), protectedBranches: [] },
    ...{ pushRule: undefined, repositoryBytes: 1_048_576 },
  };
  if (!hollow) await createRepository(git, project.repoPath, project.defaultBranch);
  world.projects.push(project);
  // A new project takes a path over: whoever lived there before is no longer forwarded to.
  world.redirects.delete(fullPath(project).toLowerCase());
  if (files) {
    await serverPush(practice, project, {
      branch: project.defaultBranch,
      changes: files,
      message: 'Initial commit',
      user: given.creator,
    });
  }
  return project;
}

export interface ServerPush {
  readonly branch: string;
  readonly changes: Changes;
  readonly message: string;
  readonly user: User;
  readonly author?: Author;
  /** The parent; the branch's head (or, for a new branch, nothing) when absent. Another one rewrites the branch. */
  readonly parent?: string;
}

/** One commit made on the server; branch rules do not hold it up, webhooks fire as for any push. */
export async function serverPush(practice: Practice, project: ProjectRecord, push: ServerPush): Promise<string> {
  const { git, world } = practice;
  const { branch, changes, message, user } = push;
  for (let turn = 1; ; turn += 1) {
    const before = await branchHead(git, project.repoPath, branch);
    try {
      const after = await writeCommit(git, project.repoPath, {
        ...{ branch, changes, message, author: push.author ?? user },
        parent: push.parent ?? before,
        seconds: Math.floor(world.now() / 1000),
        force: push.parent !== undefined && push.parent !== before,
      });
      const refs = [{ before: before ?? zeros, after, ref: `refs/heads/${branch}` }];
      await practice.afterReceive({ project, user, refs, pushOptions: [] });
      return after;
    } catch (error) {
      // A push by git came in between: go on top of it, as GitLab's own editor would ask its user to.
      if (!(error instanceof BranchMoved) || turn === 5) throw error;
    }
  }
}

/** GitLab's post-receive, in order: the project wakes up, its default branch gets protected, webhooks leave. */
export async function afterReceive(practice: Practice, received: Received): Promise<void> {
  const { project, refs } = received;
  const { git, world } = practice;
  if (refs.length === 0) return;
  project.lastActivityAt = world.now();
  if (project.empty) {
    const names = await branchNames(git, project.repoPath);
    const [first] = names;
    if (first !== undefined) {
      project.empty = false;
      // The first branch ever pushed becomes the default one, if the configured name is not among them.
      if (!names.includes(project.defaultBranch)) {
        project.defaultBranch = first;
        await git.text(project.repoPath, ['symbolic-ref', 'HEAD', `refs/heads/${first}`]);
      }
      if (!protection(project, project.defaultBranch)) {
        const level = { pushLevel: Level.maintainer, mergeLevel: Level.maintainer, allowForcePush: false };
        project.protectedBranches.push({ pattern: project.defaultBranch, ...level });
      }
    }
  }
  practice.background((signal) => firePushHooks(practice, received, signal));
}

/** A new path, in the same or another namespace; the old one forwards from now on. */
export function moveProject(practice: Practice, project: ProjectRecord, newPath: string): void {
  const { world } = practice;
  const [old, before] = [fullPath(project), project.namespace];
  const cut = newPath.lastIndexOf('/');
  const namespacePath = cut < 0 ? project.namespace.path : newPath.slice(0, cut);
  const namespace =
    namespaceByPath(world, namespacePath) ??
    createNamespace(world, {
      kind: 'group',
      name: namespacePath.split('/').at(-1) ?? namespacePath,
      path: namespacePath,
    });
  world.redirects.set(fullPath(project).toLowerCase(), project.id);
  project.namespace = namespace;
  project.path = newPath.slice(cut + 1);
  project.name = project.path;
  world.redirects.delete(fullPath(project).toLowerCase());
  const payload = {
    event_name: project.namespace === before ? 'project_rename' : 'project_transfer',
    ...{ name: project.name, path: project.path, path_with_namespace: fullPath(project), project_id: project.id },
    ...{ project_visibility: project.visibility, old_path_with_namespace: old },
  };
  practice.background((signal) => fireSystemHooks(practice, payload, signal));
}

/** A new full path of a group and of all that lies below it. One system hook call tells it; no project has its own. */
export function moveGroup(practice: Practice, group: Namespace, newPath: string): void {
  const { world } = practice;
  const old = group.path;
  const moved = world.namespaces.filter(({ path }) => path === old || path.startsWith(`${old}/`));
  for (const project of world.projects)
    if (moved.includes(project.namespace)) world.redirects.set(fullPath(project).toLowerCase(), project.id);
  for (const namespace of moved) namespace.path = newPath + namespace.path.slice(old.length);
  const last = (path: string): string => path.slice(path.lastIndexOf('/') + 1);
  const payload = {
    ...{ event_name: 'group_rename', name: group.name, group_id: group.id },
    ...{ path: last(newPath), full_path: newPath, old_path: last(old), old_full_path: old },
  };
  practice.background((signal) => fireSystemHooks(practice, payload, signal));
}

export async function deleteProject(world: World, project: ProjectRecord): Promise<void> {
  world.projects.splice(world.projects.indexOf(project), 1);
  for (const [path, id] of world.redirects) if (id === project.id) world.redirects.delete(path);
  // Aside first, so that a request under way cannot find half a repository.
  await moveDirectory(project.repoPath, `${project.repoPath}.deleted`);
  await rm(`${project.repoPath}.deleted`, { recursive: true, force: true });
}

export interface NewApplication {
  readonly name: string;
  readonly redirectUris: string[];
  readonly scopes: string[];
  readonly confidential?: boolean;
  readonly trusted?: boolean;
  readonly owner?: User;
}

/** The secret is given here and nowhere else. */
export function createApplication(world: World, given: NewApplication): { application: Application; secret: string } {
  const secret = `gloas-${hex(32)}`;
  const application: Application = {
    id: world.nextId(),
    name: given.name,
    applicationId: hex(32),
    secretHash: sha256(secret),
    redirectUris: [...given.redirectUris],
    scopes: [...given.scopes],
    confidential: given.confidential ?? true,
    trusted: given.trusted ?? false,
    owner: given.owner,
  };
  world.applications.push(application);
  return { application, secret };
}

/** The secret before works no more; grants and tokens stay. */
export function renewSecret(application: Application): string {
  const secret = `gloas-${hex(32)}`;
  application.secretHash = sha256(secret);
  return secret;
}

/** An OAuth pair: one record, so that its halves die together. */
export function issueTokens(world: World, given: { application: Application; user: User; scopes: string[] }): Token {
  const createdAt = world.now();
  const token: Token = {
    ...{ kind: 'oauth', value: hex(32), refreshToken: hex(32), createdAt, revoked: false },
    ...given,
    expiresAt: createdAt + world.tokenLifetimeSeconds * 1000,
  };
  world.tokens.push(token);
  return token;
}

export function createPersonalToken(world: World, user: User, scopes: string[], expiresAt?: number): Token {
  const token: Token = {
    ...{ kind: 'personal', value: `glpat-${hex(10)}`, refreshToken: undefined, application: undefined },
    ...{ user, scopes, createdAt: world.now(), expiresAt, revoked: false },
  };
  world.tokens.push(token);
  return token;
}
