import type { z } from 'zod';
import type { Branch, BranchName, Project, ProjectId } from '../model/instance.ts';
import type { Hook } from './client.ts';
import type { branchAnswer, hookAnswer, projectAnswer } from './schema.ts';

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

export function toHook(answer: z.infer<typeof hookAnswer>): Hook {
  const states = { temporarily_disabled: 'resting', disabled: 'disabled' } as const;
  const status = answer.alert_status;
  const state = status === 'temporarily_disabled' || status === 'disabled' ? states[status] : 'active';
  return { id: answer.id, url: answer.url, state, signed: answer.signing_token_present ?? false };
}
