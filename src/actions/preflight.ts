import { RE2JS } from 're2js';
import { type BranchName, type Connection, type ConnectionId, roleName } from '../model/instance.ts';
import type { Project, ProjectId, ProtectedBranch, PushRule } from '../model/instance.ts';
import type { Obstacle, Plan } from '../model/plan.ts';
import type { Secret } from '../model/secret.ts';
import type { Site } from '../model/site.ts';
import { type Change, type SitePath, displayPath } from '../model/tree.ts';
import { exampleChanges } from './settings.ts';

export interface PreflightDeps {
  readonly client: {
    protectedBranches(token: Secret, id: ProjectId): Promise<readonly ProtectedBranch[]>;
    pushRule(token: Secret, id: ProjectId): Promise<PushRule | undefined>;
    repositoryBytes(token: Secret, id: ProjectId): Promise<number | undefined>;
  };
  readonly tokens: { withToken<T>(id: ConnectionId, use: (token: Secret) => Promise<T>): Promise<T> };
  /** Whom commits of this connection name, unless the site says otherwise. */
  readonly author: (id: ConnectionId) => { readonly name: string; readonly email: string };
  /** The message that a commit of these changes would carry. */
  readonly commitMessage: (changes: readonly Change[], site: Site) => string;
}

/** Who would push, from which site, to which branch of which repository. */
export interface PushContext {
  readonly site: Site;
  readonly connection: Connection;
  readonly project: Project;
  readonly branch: BranchName;
}

/** What GitLab told; what it did not tell is no obstacle. */
interface GitlabFacts {
  readonly protectedBranches: readonly ProtectedBranch[];
  readonly pushRule: PushRule | undefined;
  readonly repositoryBytes: number | undefined;
}

/**
 * Asks GitLab, before anything is agreed on, what it would turn down later: the first edit is too late to learn that no
 * commit of this site will ever be taken. Begins to ask at once, beside the counting, and judges the plan that came of
 * it. Never throws: an answer that is refused, unknown to this version or late stops nobody.
 */
export function createPreflight(deps: PreflightDeps) {
  return (push: PushContext): { judge(plan: Plan): Promise<readonly Obstacle[]> } => {
    const told = ask(deps, push);
    return {
      judge: async (plan) => [
        ...ofBranch(push, plan, await told),
        ...ofCommits(deps, push, await told),
        ...ofFiles(push, plan, await told),
        ...ofSize(push, await told),
      ],
    };
  };
}

async function ask({ client, tokens }: PreflightDeps, { connection, project }: PushContext): Promise<GitlabFacts> {
  const answer = <T>(question: (token: Secret) => Promise<T>): Promise<T | undefined> =>
    tokens.withToken(connection.id, question).catch(() => undefined);
  const [protectedBranches, pushRule, repositoryBytes] = await Promise.all([
    answer((token) => client.protectedBranches(token, project.id)),
    answer((token) => client.pushRule(token, project.id)),
    answer((token) => client.repositoryBytes(token, project.id)),
  ]);
  return { protectedBranches: protectedBranches ?? [], pushRule, repositoryBytes };
}

/** Of a branch that exists GitLab itself says who may push. */
function ofBranch({ connection, project, branch }: PushContext, { tip }: Plan, told: GitlabFacts): Obstacle[] {
  if (tip !== undefined) return [];
  const found: Obstacle[] = [];
  const rules = told.protectedBranches.filter(({ pattern }) => covers(pattern, branch));
  const pushers = rules.flatMap((rule) => rule.pushers);
  const [first] = rules;
  if (first && !mayBePusher(pushers, project.accessLevel, connection.gitlabUserId)) {
    const levels = pushers.flatMap((one) => ('level' in one && one.level > 0 ? [one.level] : []));
    const needed = levels.length === 0 ? {} : { needed: roleName(Math.min(...levels)) };
    found.push({ kind: 'branch-protected', certain: true, pattern: first.pattern, ...needed });
  }
  // GitLab lets the default branch have any name.
  const named = branch === project.defaultBranch ? undefined : told.pushRule?.branchName;
  if (named !== undefined && matches(named, branch) === false)
    found.push({ kind: 'branch-name', certain: true, pattern: named });
  return found;
}

/** GitLab's wildcard: `*` stands for anything, slashes too. */
function covers(pattern: string, branch: string): boolean {
  const [start = '', ...rest] = pattern.split('*');
  if (!branch.startsWith(start)) return false;
  const end = rest.pop();
  if (end === undefined) return branch === start;
  let at = start.length;
  for (const part of rest) {
    const next = branch.indexOf(part, at);
    if (next < 0) return false;
    at = next + part.length;
  }
  return branch.length - end.length >= at && branch.endsWith(end);
}

/** Also true where nobody can tell: who belongs to a group, or rights of which GitLab names no level. */
function mayBePusher(pushers: ProtectedBranch['pushers'], level: number, userId: number): boolean {
  return pushers.some((one) => {
    if ('userId' in one) return one.userId === userId;
    return 'level' in one ? one.level > 0 && (level === 0 || level >= one.level) : true;
  });
}

/** What every commit of the site would run into: who made it, and what it says. */
function ofCommits(
  deps: PreflightDeps,
  { site, connection }: PushContext,
  { pushRule: rule }: GitlabFacts,
): Obstacle[] {
  if (!rule) return [];
  const { name, email } = site.settings.author ?? deps.author(connection.id);
  const message = deps.commitMessage(exampleChanges, site);
  const subject = message.split('\n', 1)[0] ?? '';
  const found: Obstacle[] = [];
  const { authorEmail, message: wanted, messageNot } = rule;
  if (authorEmail !== undefined && matches(authorEmail, email) === false)
    found.push({ kind: 'author-pattern', certain: true, email, pattern: authorEmail });
  // Any other address may be another user's, or a second one of this user: only GitLab knows.
  const isUsers = email.toLowerCase() === connection.email.toLowerCase();
  if (rule.membersOnly && !isUsers) found.push({ kind: 'author-member', certain: false, email });
  if (rule.committerIsUser && !isUsers)
    found.push({ kind: 'committer-email', certain: false, email, username: connection.username });
  if (rule.committerHasUsersName && name !== connection.name)
    found.push({ kind: 'committer-name', certain: true, name, wanted: connection.name });
  if (wanted !== undefined && matches(wanted, message, 'lines') === false)
    found.push({ kind: 'message-pattern', certain: true, subject, pattern: wanted });
  if (messageNot !== undefined && matches(messageNot, message, 'lines') === true)
    found.push({ kind: 'message-forbidden', certain: true, subject, pattern: messageNot });
  if (rule.signedOnly) found.push({ kind: 'unsigned', certain: true });
  if (rule.signedOffOnly && !/^Signed-off-by: .+ <.+>/im.test(message))
    found.push({ kind: 'no-sign-off', certain: true });
  return found;
}

/** The files of the first push are known; of later ones only that the site's limit is above GitLab's. */
function ofFiles({ site }: PushContext, { direction, samples }: Plan, { pushRule: rule }: GitlabFacts): Obstacle[] {
  if (!rule) return [];
  const { fileNameNot, maxFileBytes: limit } = rule;
  const going = direction === 'start-from-folder' ? samples.filter(({ mark }) => mark !== '-') : [];
  const found: Obstacle[] = [];
  const caught = fileNameNot === undefined ? [] : matching(fileNameNot, addedOf(going));
  if (fileNameNot !== undefined && caught.length > 0)
    found.push({ kind: 'file-name', certain: true, pattern: fileNameNot, paths: caught });
  // With LFS, a large file is a pointer there.
  const paths = limit === undefined || site.settings.lfs ? [] : going.filter(({ bytes }) => bytes > limit);
  if (limit !== undefined && (paths.length > 0 || limit < site.settings.limits.fileBytes))
    found.push({ kind: 'file-size', certain: paths.length > 0, limit, paths: paths.map(({ path }) => path) });
  return found;
}

/** GitLab judges the names of new files only. */
function addedOf(going: Plan['samples']): readonly SitePath[] {
  return going.filter(({ mark }) => mark === '+').map(({ path }) => path);
}

/** GitLab counts the history and every branch: more than this site needs to fetch. */
function ofSize({ site }: PushContext, { repositoryBytes: bytes }: GitlabFacts): Obstacle[] {
  const limit = site.settings.limits.siteBytes;
  return bytes !== undefined && bytes > limit ? [{ kind: 'repository-size', certain: false, bytes, limit }] : [];
}

/** Whether a text matches; undefined where GitLab would not take the pattern either. */
function matches(pattern: string, text: string, how: 'text' | 'lines' = 'text'): boolean | undefined {
  return compiled(pattern, how)?.matcher(text).find();
}

function matching(pattern: string, paths: readonly SitePath[]): readonly SitePath[] {
  const rule = compiled(pattern, 'text');
  return rule ? paths.filter((path) => rule.matcher(displayPath(path)).find()) : [];
}

/** GitLab matches with RE2, whose patterns are never slow; `lines`: `^` and `$` mean each line, as in its UntrustedRegexp. */
function compiled(pattern: string, how: 'text' | 'lines'): RE2JS | undefined {
  try {
    return RE2JS.compile(pattern, how === 'lines' ? RE2JS.MULTILINE : 0);
  } catch {
    return undefined;
  }
}
