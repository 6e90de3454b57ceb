import { z } from 'zod';

/**
 * What we read of GitLab's answers, and nothing more: extra members are dropped, so that a GitLab upgrade is harmless,
 * and members that some versions or roles leave out are optional. Dates stay text until somebody needs them.
 */
export const tokenAnswer = z.object({
  access_token: z.string().min(1),
  token_type: z.string().optional(),
  /** s. */
  expires_in: z.number().positive().nullish(),
  refresh_token: z.string().min(1).nullish(),
  scope: z.string().nullish(),
});

export const userAnswer = z.object({
  id: z.number().int(),
  username: z.string(),
  name: z.string().nullish(),
  email: z.string().nullish(),
  public_email: z.string().nullish(),
  commit_email: z.string().nullish(),
});

/** `expires_at` is a date without time; project and group access tokens answer the same. */
export const accessTokenAnswer = z.object({ scopes: z.array(z.string()), expires_at: z.string().nullish() });

export const versionAnswer = z.object({ version: z.string(), enterprise: z.boolean().nullish() });

const access = z.object({ access_level: z.number().nullish() }).nullish();

export const projectAnswer = z.object({
  id: z.number().int(),
  name: z.string(),
  path_with_namespace: z.string(),
  web_url: z.string(),
  http_url_to_repo: z.string(),
  visibility: z.string().nullish(),
  archived: z.boolean().nullish(),
  empty_repo: z.boolean().nullish(),
  default_branch: z.string().nullish(),
  created_at: z.string().nullish(),
  last_activity_at: z.string().nullish(),
  lfs_enabled: z.boolean().nullish(),
  repository_object_format: z.string().nullish(),
  permissions: z.object({ project_access: access, group_access: access }).nullish(),
});

export const branchAnswer = z.object({
  name: z.string(),
  default: z.boolean().nullish(),
  protected: z.boolean().nullish(),
  can_push: z.boolean().nullish(),
  commit: z.object({ id: z.string() }),
});

/** An entry that names a user, a group, a key or a role of the instance's own counts for that one alone. */
export const protectedBranchAnswer = z.object({
  name: z.string(),
  push_access_levels: z
    .array(
      z.object({
        access_level: z.number().nullish(),
        user_id: z.number().nullish(),
        group_id: z.number().nullish(),
        deploy_key_id: z.number().nullish(),
        member_role_id: z.number().nullish(),
      }),
    )
    .nullish(),
});

/** Null where a project has none; older versions lack the later rules. */
export const pushRuleAnswer = z
  .object({
    author_email_regex: z.string().nullish(),
    commit_message_regex: z.string().nullish(),
    commit_message_negative_regex: z.string().nullish(),
    branch_name_regex: z.string().nullish(),
    file_name_regex: z.string().nullish(),
    /** MiB; 0: no limit. */
    max_file_size: z.number().nullish(),
    member_check: z.boolean().nullish(),
    commit_committer_check: z.boolean().nullish(),
    commit_committer_name_check: z.boolean().nullish(),
    reject_unsigned_commits: z.boolean().nullish(),
    reject_non_dco_commits: z.boolean().nullish(),
  })
  .nullable();

/** Bytes; absent below Reporter. */
export const statisticsAnswer = z.object({ statistics: z.object({ repository_size: z.number().nullish() }).nullish() });

export const hookAnswer = z.object({
  id: z.number().int(),
  url: z.string(),
  alert_status: z.string().nullish(),
  disabled_until: z.string().nullish(),
  /** Only 19.0 and later know signatures; absence means that the token alone protects the hook. */
  signing_token_present: z.boolean().nullish(),
});

/** `message` and `error` may each be a text or an object, depending on which layer of GitLab refused. */
export const errorAnswer = z.object({
  message: z.unknown().optional(),
  error: z.unknown().optional(),
  error_description: z.unknown().optional(),
  /** The scopes that would do, beside `insufficient_scope`. */
  scope: z.unknown().optional(),
});

export const projectList = z.array(projectAnswer);
export const branchList = z.array(branchAnswer);
export const protectedBranchList = z.array(protectedBranchAnswer);
export const hookList = z.array(hookAnswer);
