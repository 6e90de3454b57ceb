/** How GitLab writes its things as JSON. Members follow payloads/rest and GitLab's schemas. */
import { canPushTo, canReadCode, memberLevels, protection } from './access.ts';
import { avatarUrl, cloneUrls, fullPath, isoTime, Level, majorVersion, webUrl } from './model.ts';
import type { Hook, HookEvent, MergeRequest, Namespace, ProjectRecord } from './model.ts';
import type { ProtectedBranch, PushRule, User, World } from './model.ts';
import type { Commit } from './repository.ts';
import { alertStatus } from './webhooks.ts';

export function namespaceEntity(world: World, namespace: Namespace): object {
  return {
    id: namespace.id,
    name: namespace.name,
    path: namespace.path.split('/').at(-1),
    kind: namespace.kind,
    full_path: namespace.path,
    parent_id: world.namespaces.find(({ path }) => path === namespace.path.replace(/\/?[^/]*$/, ''))?.id ?? null,
    avatar_url: null,
    web_url: namespace.kind === 'group' ? `${world.url}/groups/${namespace.path}` : `${world.url}/${namespace.path}`,
  };
}

/** The short form: `simple=true`, and everything an anonymous caller gets. */
export function simpleProject(world: World, project: ProjectRecord, viewer: User | undefined): object {
  const { http, ssh } = cloneUrls(world, project);
  const url = webUrl(world, project);
  return {
    id: project.id,
    description: project.description,
    name: project.name,
    name_with_namespace: `${project.namespace.name} / ${project.name}`,
    path: project.path,
    path_with_namespace: fullPath(project),
    created_at: isoTime(project.createdAt),
    // Not null for an empty repository; absent for those who may not read code.
    ...(canReadCode(world, viewer, project) ? { default_branch: project.defaultBranch } : {}),
    tag_list: [],
    topics: [],
    ssh_url_to_repo: ssh,
    http_url_to_repo: http,
    web_url: url,
    readme_url: project.empty ? null : `${url}/-/blob/${project.defaultBranch}/README.md`,
    forks_count: 0,
    avatar_url: null,
    star_count: 0,
    last_activity_at: isoTime(project.lastActivityAt),
    namespace: namespaceEntity(world, project.namespace),
  };
}

export function fullProject(world: World, project: ProjectRecord, viewer: User): object {
  const self = `${world.url}/api/v4/projects/${project.id}`;
  const levels = memberLevels(world, viewer, project);
  const access = (at: number): object | null =>
    at === Level.none ? null : { access_level: at, notification_level: 3 };
  return {
    ...simpleProject(world, project, viewer),
    container_registry_image_prefix: `registry.example.test/${fullPath(project)}`,
    _links: {
      self,
      issues: `${self}/issues`,
      merge_requests: `${self}/merge_requests`,
      repo_branches: `${self}/repository/branches`,
      labels: `${self}/labels`,
      events: `${self}/events`,
      members: `${self}/members`,
      cluster_agents: `${self}/cluster_agents`,
    },
    marked_for_deletion_at: null,
    marked_for_deletion_on: null,
    packages_enabled: true,
    empty_repo: project.empty,
    archived: project.archived,
    visibility: project.visibility,
    ...(project.namespace.kind === 'user' ? { owner: userEntity(world, project.creator) } : {}),
    resolve_outdated_diff_discussions: false,
    repository_object_format: 'sha1',
    issues_enabled: true,
    merge_requests_enabled: true,
    wiki_enabled: true,
    jobs_enabled: true,
    snippets_enabled: true,
    container_registry_enabled: false,
    service_desk_enabled: false,
    service_desk_address: null,
    can_create_merge_request_in: !project.archived && levels.project + levels.group >= Level.developer,
    issues_access_level: 'enabled',
    repository_access_level: 'enabled',
    merge_requests_access_level: 'enabled',
    emails_disabled: false,
    shared_runners_enabled: true,
    lfs_enabled: true,
    creator_id: project.creator.id,
    import_url: null,
    import_type: null,
    import_status: 'none',
    import_error: null,
    open_issues_count: 0,
    description_html: project.description === null ? '' : `<p>${project.description}</p>`,
    updated_at: isoTime(project.lastActivityAt),
    ci_default_git_depth: 20,
    public_jobs: true,
    shared_with_groups: [],
    only_allow_merge_if_pipeline_succeeds: false,
    request_access_enabled: true,
    printing_merge_request_link_enabled: true,
    merge_method: 'merge',
    squash_option: 'default_off',
    suggestion_commit_message: null,
    autoclose_referenced_issues: true,
    permissions: { project_access: access(levels.project), group_access: access(levels.group) },
  };
}

/** doc/api/projects.md: for Reporters and up, on request. */
export function statisticsEntity({ repositoryBytes }: ProjectRecord): object {
  const none = { wiki_size: 0, lfs_objects_size: 0, job_artifacts_size: 0, packages_size: 0, snippets_size: 0 };
  return { commit_count: 1, storage_size: repositoryBytes, repository_size: repositoryBytes, ...none };
}

/** doc/api/protected_branches.md. */
export function protectedBranchEntity(rule: ProtectedBranch, id: number): object {
  const entry = (access_level: number, part: number): object => ({
    ...{ id: id * 10 + part, access_level, deploy_key_id: null, user_id: null, group_id: null },
    access_level_description:
      access_level === 0 ? 'No one' : access_level >= 40 ? 'Maintainers' : 'Developers + Maintainers',
  });
  return {
    ...{ id, name: rule.pattern, allow_force_push: rule.allowForcePush, code_owner_approval_required: false },
    push_access_levels: [entry(rule.pushLevel, 1)],
    merge_access_levels: [entry(rule.mergeLevel, 2)],
    unprotect_access_levels: [],
  };
}

/** doc/api/project_push_rules.md. */
export function pushRuleEntity(project: ProjectRecord, rule: PushRule): object {
  const off = {
    commit_message_regex: '',
    commit_message_negative_regex: '',
    branch_name_regex: '',
    file_name_regex: '',
  };
  return {
    ...{ id: 1, project_id: project.id, created_at: isoTime(project.createdAt), author_email_regex: '', ...off },
    ...{ deny_delete_tag: false, member_check: false, prevent_secrets: false, max_file_size: 0 },
    ...{ commit_committer_check: false, commit_committer_name_check: false },
    ...{ reject_unsigned_commits: false, reject_non_dco_commits: false },
    ...rule,
  };
}

export function commitEntity(world: World, project: ProjectRecord, commit: Commit): object {
  return {
    id: commit.id,
    short_id: commit.id.slice(0, 8),
    created_at: commit.committedAt,
    parent_ids: commit.parents,
    title: commit.message.split('\n', 1)[0] ?? '',
    message: commit.message,
    author_name: commit.authorName,
    author_email: commit.authorEmail,
    authored_date: commit.authoredAt,
    committer_name: commit.committerName,
    committer_email: commit.committerEmail,
    committed_date: commit.committedAt,
    trailers: {},
    extended_trailers: {},
    web_url: `${webUrl(world, project)}/-/commit/${commit.id}`,
  };
}

export interface BranchFacts {
  readonly name: string;
  readonly merged: boolean;
  readonly commit: Commit;
}

export function branchEntity(
  world: World,
  project: ProjectRecord,
  branch: BranchFacts,
  viewer: User | undefined,
): object {
  const rule = protection(project, branch.name);
  const developersMay = (least: number | undefined): boolean =>
    least !== undefined && least > 0 && least <= Level.developer;
  return {
    name: branch.name,
    commit: commitEntity(world, project, branch.commit),
    merged: branch.merged,
    protected: rule !== undefined,
    developers_can_push: developersMay(rule?.pushLevel),
    developers_can_merge: developersMay(rule?.mergeLevel),
    can_push: canPushTo(world, viewer, project, branch.name),
    default: branch.name === project.defaultBranch,
    web_url: `${webUrl(world, project)}/-/tree/${encodeURI(branch.name)}`,
  };
}

function userEntity(world: World, user: User): object {
  return {
    id: user.id,
    username: user.username,
    public_email: null,
    name: user.name,
    state: user.blocked ? 'blocked' : 'active',
    locked: false,
    avatar_url: avatarUrl(user),
    web_url: `${world.url}/${user.username}`,
  };
}

/** GET /user. */
export function currentUser(world: World, user: User): object {
  const since = isoTime(user.createdAt);
  return {
    ...userEntity(world, user),
    created_at: since,
    bio: '',
    location: '',
    skype: '',
    linkedin: '',
    twitter: '',
    discord: '',
    website_url: '',
    github: '',
    organization: '',
    job_title: '',
    pronouns: null,
    bot: false,
    work_information: null,
    local_time: null,
    last_sign_in_at: since,
    confirmed_at: since,
    last_activity_on: since.slice(0, 10),
    email: user.email,
    theme_id: 3,
    color_scheme_id: 1,
    projects_limit: 100000,
    current_sign_in_at: since,
    identities: [],
    can_create_group: true,
    can_create_project: true,
    two_factor_enabled: false,
    external: false,
    private_profile: false,
    commit_email: user.email,
    ...(user.admin ? { is_admin: true } : {}),
  };
}

/** The events a hook can be set for, with GitLab's defaults. */
export const hookEvents: Readonly<Record<string, boolean>> = {
  push_events: true,
  issues_events: false,
  confidential_issues_events: false,
  merge_requests_events: false,
  tag_push_events: false,
  note_events: false,
  confidential_note_events: false,
  job_events: false,
  pipeline_events: false,
  wiki_page_events: false,
  deployment_events: false,
  feature_flag_events: false,
  releases_events: false,
  milestone_events: false,
  emoji_events: false,
  resource_access_token_events: false,
};

/** Never the token and never the signing token: from 19.0 on only whether there is one. */
export function hookEntity(world: World, hook: Hook): object {
  return {
    id: hook.id,
    url: hook.url,
    name: hook.name,
    description: hook.description,
    created_at: isoTime(hook.createdAt),
    ...hook.events,
    alert_status: alertStatus(hook, world.now()),
    disabled_until: hook.disabledUntil === undefined ? null : isoTime(hook.disabledUntil),
    url_variables: [],
    push_events_branch_filter: hook.branchFilter,
    branch_filter_strategy: hook.branchFilterStrategy,
    custom_webhook_template: hook.customTemplate,
    custom_headers: hook.customHeaders.map(({ key }) => ({ key })),
    project_id: hook.projectId,
    enable_ssl_verification: hook.enableSslVerification,
    repository_update_events: false,
    ...(majorVersion(world) >= 19
      ? {
          token_present: hook.token !== '',
          signing_token_present: world.settings.signsWebhooks && hook.signingToken !== '',
        }
      : {}),
  };
}

export function hookEventEntity(event: HookEvent): object {
  return {
    id: event.id,
    url: event.url,
    trigger: event.trigger,
    request_headers: event.requestHeaders,
    request_data: event.requestData,
    response_headers: {},
    response_body: event.responseBody,
    execution_duration: event.executionMs / 1000,
    response_status: event.responseStatus,
  };
}

export function mergeRequestEntity(world: World, project: ProjectRecord, request: MergeRequest): object {
  return {
    id: request.id,
    iid: request.iid,
    project_id: project.id,
    title: request.title,
    description: request.description,
    state: 'opened',
    created_at: isoTime(request.createdAt),
    updated_at: isoTime(request.createdAt),
    target_branch: request.targetBranch,
    source_branch: request.sourceBranch,
    source_project_id: project.id,
    target_project_id: project.id,
    author: userEntity(world, request.author),
    draft: false,
    merge_status: 'can_be_merged',
    references: { short: `!${request.iid}`, relative: `!${request.iid}`, full: `${fullPath(project)}!${request.iid}` },
    web_url: `${webUrl(world, project)}/-/merge_requests/${request.iid}`,
  };
}
