import type { z } from 'zod';
import type { Branch, BranchName, Project, ProjectId, ProtectedBranch, PushRule } from '../model/instance.ts';
import type { branchAnswer, hookAnswer, projectAnswer, protectedBranchAnswer, pushRuleAnswer } from './schema.ts';

export interface Hook {
  readonly id: number;
  readonly url: string;
  /** `disabled` for good, `resting` until GitLab tries again by itself. */
  readonly state: 'active' | 'resting' | 'disabled';
  /** Whether deliveries carry a signature (GitLab 19.0 and later). */
  readonly signed: boolean;
}

/** GitLab's project in our words. The larger of the two access levels counts; 0 when GitLab names none. */
export function toProject(answer: z.infer<typeof projectAnswer>): Project {
  const levels = [answer.permissions?.project_access?.access_level, answer.permissions?.group_access?.access_level];
  const [lastActivityAt, createdAt] = [timeOf(answer.last_activity_at), timeOf(answer.created_at)];
  return {
    id: answer.id as ProjectId,
    path: answer.path_with_namespace,
    name: answer.name,
    webUrl: answer.web_url,
    cloneUrl: answer.http_url_to_repo,
    // An unknown word is treated as the most closed one.
    visibility: answer.visibility === 'public' || answer.visibility === 'internal' ? answer.visibility : 'private',
    archived: answer.archived ?? false,
    empty: answer.empty_repo ?? false,
    ...(answer.default_branch ? { defaultBranch: answer.default_branch as BranchName } : {}),
    ...(lastActivityAt === undefined ? {} : { lastActivityAt }),
    ...(createdAt === undefined ? {} : { createdAt }),
    accessLevel: Math.max(0, ...levels.map((level) => level ?? 0)),
    lfs: answer.lfs_enabled ?? false,
    ...(answer.repository_object_format === 'sha256' ? { sha256: true } : {}),
  };
}

/** ms since 1970: an instance may change the zone it writes dates in. */
function timeOf(text: string | null | undefined): number | undefined {
  const ms = Date.parse(text ?? '');
  return Number.isNaN(ms) ? undefined : ms;
}

/** GitLab's branch in our words. Where GitLab does not say that the caller may push, he may not. */
export function toBranch(answer: z.infer<typeof branchAnswer>): Branch {
  return {
    name: answer.name as BranchName,
    head: answer.commit.id,
    default: answer.default ?? false,
    protected: answer.protected ?? false,
    canPush: answer.can_push ?? false,
  };
}

export function toProtected({ name, push_access_levels }: z.infer<typeof protectedBranchAnswer>): ProtectedBranch {
  const pushers = (push_access_levels ?? []).map((entry): ProtectedBranch['pushers'][number] => {
    if (typeof entry.user_id === 'number') return { userId: entry.user_id };
    if (typeof entry.group_id === 'number') return { kind: 'group' };
    // A key of its own is nobody's right; who has a role that the instance made is not told.
    if (typeof entry.deploy_key_id === 'number') return { level: 0 };
    if (typeof entry.member_role_id === 'number') return { kind: 'other' };
    return { level: entry.access_level ?? 0 };
  });
  return { pattern: name, pushers };
}

export function toPushRule(answer: z.infer<typeof pushRuleAnswer>): PushRule | undefined {
  if (!answer) return undefined;
  const { author_email_regex: authorEmail, commit_message_regex: message, branch_name_regex: branchName } = answer;
  const { commit_message_negative_regex: messageNot, file_name_regex: fileNameNot, max_file_size: mib } = answer;
  return {
    ...(authorEmail ? { authorEmail } : {}),
    ...(message ? { message } : {}),
    ...(messageNot ? { messageNot } : {}),
    ...(branchName ? { branchName } : {}),
    ...(fileNameNot ? { fileNameNot } : {}),
    ...(mib ? { maxFileBytes: mib * 1024 * 1024 } : {}),
    membersOnly: answer.member_check ?? false,
    committerIsUser: answer.commit_committer_check ?? false,
    committerHasUsersName: answer.commit_committer_name_check ?? false,
    signedOnly: answer.reject_unsigned_commits ?? false,
    signedOffOnly: answer.reject_non_dco_commits ?? false,
  };
}

export function toHook(answer: z.infer<typeof hookAnswer>): Hook {
  const states = { temporarily_disabled: 'resting', disabled: 'disabled' } as const;
  const status = answer.alert_status;
  const state = status === 'temporarily_disabled' || status === 'disabled' ? states[status] : 'active';
  return { id: answer.id, url: answer.url, state, signed: answer.signing_token_present ?? false };
}
