/** Who is calling, and what they may do. One place, so REST, git and the pages cannot disagree. */
import {
  Level,
  namespaceByPath,
  type ProjectRecord,
  type ProtectedBranch,
  type Token,
  type User,
  type World,
} from './model.ts';

export type TokenState = 'live' | 'expired' | 'revoked';

/** A token by its access value. Unknown values, and refresh tokens, give undefined. */
export const findToken = (world: World, value: string): Token | undefined =>
  world.tokens.find((token) => token.value === value);

export function tokenState(world: World, token: Token): TokenState {
  if (token.revoked) return 'revoked';
  return token.expiresAt !== undefined && token.expiresAt <= world.now() ? 'expired' : 'live';
}

/** A user's own role in a project: the largest of project, group and parent-group membership. */
export function memberLevel(world: World, user: User | undefined, project: ProjectRecord): number {
  if (!user) return Level.none;
  const { project: direct, group } = memberLevels(world, user, project);
  return Math.max(direct, group);
}

export function memberLevels(world: World, user: User, project: ProjectRecord): { project: number; group: number } {
  const direct = project.members.get(user.id) ?? Level.none;
  let group: number = Level.none;
  for (let path = project.namespace.path; path; path = path.slice(0, Math.max(0, path.lastIndexOf('/')))) {
    group = Math.max(group, namespaceByPath(world, path)?.members.get(user.id) ?? Level.none);
  }
  // A personal namespace has no group access: its owner is a project member in GitLab's answers.
  return project.namespace.kind === 'user'
    ? { project: Math.max(direct, group), group: Level.none }
    : { project: direct, group };
}

/** What a user may do, which for admins is more than their membership says. */
export const level = (world: World, user: User | undefined, project: ProjectRecord): number =>
  user?.admin ? Level.owner : memberLevel(world, user, project);

export function canSee(world: World, user: User | undefined, project: ProjectRecord): boolean {
  if (project.visibility === 'public') return true;
  if (project.visibility === 'internal' && user) return true;
  return level(world, user, project) >= Level.guest;
}

/** On a private project reading code takes a Reporter. */
export function canReadCode(world: World, user: User | undefined, project: ProjectRecord): boolean {
  return (
    canSee(world, user, project) && (project.visibility !== 'private' || level(world, user, project) >= Level.reporter)
  );
}

/** GitLab's branch wildcards: `*` stands for anything, slashes included. */
export function wildcard(pattern: string, name: string): boolean {
  const parts = pattern.split('*').map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`).test(name);
}

export const protection = (project: ProjectRecord, branch: string): ProtectedBranch | undefined =>
  project.protectedBranches.find((rule) => wildcard(rule.pattern, branch));

export const rulePermits = (rule: ProtectedBranch, at: number): boolean => rule.pushLevel > 0 && at >= rule.pushLevel;

/** May this user push to this branch? The same answer as `can_push` in the branch object. */
export function canPushTo(world: World, user: User | undefined, project: ProjectRecord, branch: string): boolean {
  const at = level(world, user, project);
  if (project.archived || at < Level.developer) return false;
  const rule = protection(project, branch);
  return !rule || rulePermits(rule, at);
}

/** GitLab's order of power: `api` does all, the others a part. */
export function scopeAllows(scopes: readonly string[], use: 'read' | 'write' | 'read-user' | 'pull' | 'push'): boolean {
  const enough = {
    read: ['api', 'read_api'],
    write: ['api'],
    'read-user': ['api', 'read_api', 'read_user'],
    pull: ['api', 'read_api', 'read_repository', 'write_repository'],
    push: ['api', 'write_repository'],
  }[use];
  return enough.some((scope) => scopes.includes(scope));
}
