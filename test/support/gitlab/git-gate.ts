/** Who may pull and push over HTTPS, with GitLab's status codes and texts. */
import type { Context } from 'koa';
import { canReadCode, canSee, findToken, level, scopeAllows, tokenState } from './access.ts';
import {
  Level,
  namespaceByPath,
  projectByPath,
  projectMovedFrom,
  userByName,
  type Namespace,
  type ProjectRecord,
  type User,
} from './model.ts';
import { createProject } from './actions.ts';
import type { Practice } from './practice.ts';

export type Service = 'git-upload-pack' | 'git-receive-pack';

/** A refusal before git is asked: plain text, as GitLab sends it. */
export class GitRefusal extends Error {
  readonly status: number;
  constructor(status: number, body: string) {
    super(body);
    this.status = status;
  }
}

const denied = ({ world }: Practice): GitRefusal =>
  new GitRefusal(
    401,
    "HTTP Basic: Access denied. If a password was provided for Git authentication, the password was incorrect or you're required to use a token instead of a password. If a token was provided, it was either incorrect, expired, or improperly scoped. See " +
      `${world.url}/help/topics/git/troubleshooting_git.md#error-on-git-fetch-http-basic-access-denied`,
  );

/** Who pushes or pulls; undefined for an anonymous pull of a public project. */
export function authenticate(
  practice: Practice,
  ctx: Context,
  path: string,
  service: Service,
): { user: User; scopes: readonly string[] } | undefined {
  const { world } = practice;
  const basic = /^Basic\s+(\S+)$/i.exec(ctx.get('Authorization'))?.[1];
  if (basic === undefined) {
    const project = projectByPath(world, path) ?? projectMovedFrom(world, path);
    if (project?.visibility === 'public' && service === 'git-upload-pack') return undefined;
    // The same answer for private and for missing projects: nothing leaks.
    throw denied(practice);
  }
  const decoded = Buffer.from(basic, 'base64').toString();
  const colon = decoded.indexOf(':');
  const [name, password] = [decoded.slice(0, colon), decoded.slice(colon + 1)];
  const token = password === '' ? undefined : findToken(world, password);
  // A personal token takes any name but an empty one; 17/18 ignore the name beside an OAuth token.
  if (token && tokenState(world, token) === 'live' && (token.kind === 'oauth' || name !== '')) {
    return { user: active(token.user), scopes: token.scopes };
  }
  const user = userByName(world, name);
  if (user && password !== '' && user.password === password) return { user: active(user), scopes: ['api'] };
  throw denied(practice);
}

function active(user: User): User {
  if (user.blocked) throw new GitRefusal(403, 'Your account has been blocked.');
  return user;
}

const mayCreateIn = ({ world }: Practice, user: User, namespace: Namespace): boolean => {
  for (let path = namespace.path; path; path = path.slice(0, Math.max(0, path.lastIndexOf('/')))) {
    if ((namespaceByPath(world, path)?.members.get(user.id) ?? Level.none) >= Level.developer) return true;
  }
  return user.admin;
};

/**
 * A push to a path that nobody has makes a private project there, already when it asks for the refs
 * (lib/gitlab/git_access_project.rb); a path that a project was moved from still leads to that one.
 */
export async function createByPush(practice: Practice, user: User, path: string): Promise<void> {
  const { world } = practice;
  if (projectByPath(world, path) ?? projectMovedFrom(world, path)) return;
  const cut = path.lastIndexOf('/');
  const namespace = namespaceByPath(world, path.slice(0, Math.max(cut, 0)));
  const name = path.slice(cut + 1);
  if (!namespace || !mayCreateIn(practice, user, namespace)) return;
  await createProject(practice, {
    ...{ namespace, path: name, name, creator: user, description: null, visibility: 'private' as const },
    ...{ defaultBranch: 'main', files: undefined },
  });
}

/** In the order of lib/gitlab/git_access.rb: scope, project, right. A moved project is served in place. */
export function authorize(
  { world }: Practice,
  { user, scopes }: { user: User | undefined; scopes: readonly string[] },
  path: string,
  service: Service,
): ProjectRecord {
  const pushing = service === 'git-receive-pack';
  if (user && !scopeAllows(scopes, pushing ? 'push' : 'pull')) {
    throw new GitRefusal(403, `You are not allowed to ${pushing ? 'upload' : 'download'} code.`);
  }
  const project = projectByPath(world, path) ?? projectMovedFrom(world, path);
  if (!project || !canSee(world, user, project)) {
    const cut = path.lastIndexOf('/');
    if (!project && !namespaceByPath(world, path.slice(0, Math.max(cut, 0)))) {
      throw new GitRefusal(404, 'The namespace you were looking for could not be found.');
    }
    throw new GitRefusal(
      404,
      "The project you were looking for could not be found or you don't have permission to view it.",
    );
  }
  if (!canReadCode(world, user, project)) {
    throw new GitRefusal(
      403,
      `You are not allowed to ${pushing ? 'push code to' : 'download code from'} this project.`,
    );
  }
  if (pushing && project.archived) throw new GitRefusal(403, "You can't push code to an archived project.");
  if (pushing && level(world, user, project) < Level.developer) {
    throw new GitRefusal(403, 'You are not allowed to push code to this project.');
  }
  return project;
}
