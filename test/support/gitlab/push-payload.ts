/** The body of Push Hook and Tag Push Hook. */
import { protection } from './access.ts';
import type { Git } from './git.ts';
import { avatarUrl, cloneUrls, fullPath, webUrl, type ProjectRecord, type User, type World } from './model.ts';
import { changedPaths, commits, resolve, type RefChange } from './repository.ts';

const isZero = (id: string): boolean => /^0+$/.test(id);

const visibilityLevel = { private: 0, internal: 10, public: 20 } as const;

/** GitLab shows the newest 20 commits, oldest first, and the true number beside them. */
const commitLimit = 20;

export interface PushEvent {
  readonly project: ProjectRecord;
  readonly user: User;
  readonly change: RefChange;
  readonly pushOptions: readonly string[];
}

export async function pushPayload(
  world: World,
  git: Git,
  { project, user, change, pushOptions }: PushEvent,
): Promise<object> {
  const isTag = change.ref.startsWith('refs/tags/');
  const kind = isTag ? 'tag_push' : 'push';
  const range = isTag || isZero(change.after) ? undefined : newCommits(project, change);
  const shown = range ? await commits(git, project.repoPath, ['-n', String(commitLimit), ...range]) : [];
  const total = range ? Number(await git.text(project.repoPath, ['rev-list', '--count', ...range])) : 0;
  const url = webUrl(world, project);
  return {
    object_kind: kind,
    event_name: kind,
    before: change.before,
    after: change.after,
    ref: change.ref,
    ref_protected: !isTag && protection(project, change.ref.slice('refs/heads/'.length)) !== undefined,
    // For an annotated tag this is the commit, while `after` is the tag object.
    checkout_sha: isZero(change.after) ? null : ((await resolve(git, project.repoPath, change.after)) ?? null),
    message: null,
    user_id: user.id,
    user_name: user.name,
    user_username: user.username,
    user_email: null,
    user_avatar: avatarUrl(user),
    project_id: project.id,
    project: projectPart(world, project),
    commits: await Promise.all(
      shown.toReversed().map(async (commit) => ({
        id: commit.id,
        message: commit.message,
        title: commit.message.split('\n', 1)[0] ?? '',
        timestamp: commit.committedAt,
        url: `${url}/-/commit/${commit.id}`,
        // As for anybody without a public address.
        author: { name: commit.authorName, email: '[REDACTED]' },
        ...(await changedPaths(git, project.repoPath, commit.id)),
      })),
    ),
    total_commits_count: total,
    push_options: parsePushOptions(pushOptions),
    repository: {
      name: project.name,
      url: cloneUrls(world, project).ssh,
      description: project.description,
      homepage: url,
      git_http_url: cloneUrls(world, project).http,
      git_ssh_url: cloneUrls(world, project).ssh,
      visibility_level: visibilityLevel[project.visibility],
    },
  };
}

function newCommits(project: ProjectRecord, { before, after, ref }: RefChange): string[] {
  if (!isZero(before)) return [`${before}..${after}`];
  const isDefault = ref === `refs/heads/${project.defaultBranch}`;
  return isDefault ? [after] : [after, '--not', `refs/heads/${project.defaultBranch}`];
}

function projectPart(world: World, project: ProjectRecord): object {
  const { http, ssh } = cloneUrls(world, project);
  const url = webUrl(world, project);
  return {
    id: project.id,
    name: project.name,
    description: project.description,
    web_url: url,
    avatar_url: null,
    git_ssh_url: ssh,
    git_http_url: http,
    namespace: project.namespace.name,
    visibility_level: visibilityLevel[project.visibility],
    path_with_namespace: fullPath(project),
    default_branch: project.defaultBranch,
    ci_config_path: null,
    homepage: url,
    url: ssh,
    ssh_url: ssh,
    http_url: http,
  };
}

/** `ci.skip` becomes {ci:{skip:true}}; options GitLab does not know are dropped. */
function parsePushOptions(options: readonly string[]): object {
  const known = new Set(['ci', 'integrations', 'merge_request', 'mr', 'secret_push_protection']);
  const parsed: Record<string, Record<string, string | true>> = {};
  for (const option of options) {
    const [name = '', ...value] = option.split('=');
    const [area = '', key = ''] = name.split('.');
    if (!known.has(area) || key === '') continue;
    const group = (parsed[area === 'mr' ? 'merge_request' : area] ??= {});
    group[key] = value.length === 0 ? true : value.join('=');
  }
  return parsed;
}
