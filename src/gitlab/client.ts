import { type z } from 'zod';
import type { BranchChoice, Branch, BranchName, Project, ProjectId } from '../model/instance.ts';
import type { ProtectedBranch, PushRule } from '../model/instance.ts';
import { Problem } from '../model/problem.ts';
import type { Secret } from '../model/secret.ts';
import type { Http, HttpRequest } from '../net/http.ts';
import type { HttpAnswer } from '../net/transport.ts';
import { apiRefusal, errorText, type Missing, readJson } from './answer.ts';
import { type Hook, toBranch, toHook, toProject, toProtected, toPushRule } from './read.ts';
import { branchAnswer, branchList, hookAnswer, hookList, projectAnswer, projectList } from './schema.ts';
import { accessTokenAnswer, protectedBranchList, pushRuleAnswer, statisticsAnswer } from './schema.ts';
import { userAnswer, versionAnswer } from './schema.ts';

interface GitlabUser {
  readonly id: number;
  readonly username: string;
  readonly name: string;
  /** The one for commits where GitLab says it; may be empty. */
  readonly email: string;
}

/** What GitLab tells of an access token about itself. */
interface TokenFacts {
  readonly scopes: readonly string[];
  /** ms since 1970: the first moment it no longer works. Absent: it does not expire. */
  readonly expiresAt?: number;
}

/** GitLab did not take the hook (422). */
interface HookRefusal {
  /** In GitLab's words. */
  readonly refused: string;
  /** The hook of ours that it has all the same. */
  readonly hookId?: number;
}

/** What came of a test call; `unknown`: this version has no such call (before 16.11), or there is no such hook. */
type HookTrial =
  { readonly kind: 'arrived' } | { readonly kind: 'failed'; readonly text: string } | { readonly kind: 'unknown' };

interface ProjectPage {
  readonly projects: readonly Project[];
  readonly nextPage?: number;
  /** Of a page by keyset: the project after which the next one begins. */
  readonly nextBefore?: ProjectId;
  /** Absent where GitLab does not count (over 10,000 rows). */
  readonly total?: number;
}

/** Pages by number, newest activity first; or by keyset, the newest project first, which has no limit. */
type ProjectQuery = { readonly search: string; readonly perPage?: number } & (
  | { readonly page: number }
  /** The last project seen; `newest` for the first page. */
  | { readonly before: ProjectId | 'newest' }
);

/**
 * GitLab's REST API, as far as we use it. Every call throws the Problems of `Http.request`, and: `grant-lost` (401: the
 * token is no longer good), `scope-too-small`, `user-blocked`, `not-allowed` (403), `instance-not-gitlab` (a web page
 * where JSON belongs), `gitlab-answer-odd`; and for a 404 what each says.
 */
export interface GitlabClient {
  user(token: Secret, signal?: AbortSignal): Promise<GitlabUser>;
  /** Undefined where GitLab does not tell: an older version, or a token that may not ask. */
  tokenFacts(token: Secret, signal?: AbortSignal): Promise<TokenFacts | undefined>;
  version(token: Secret, signal?: AbortSignal): Promise<{ version: string; enterprise: boolean }>;
  /** What the token's user is a member of; `search` also looks into group names. */
  projects(token: Secret, query: ProjectQuery, signal?: AbortSignal): Promise<ProjectPage>;
  /** Throws `project-missing`: gone, or not visible to this user. */
  project(token: Secret, id: ProjectId, signal?: AbortSignal): Promise<Project>;
  /** By its whole path, `group/website`. Throws `project-missing`. */
  projectAt(token: Secret, path: string, signal?: AbortSignal): Promise<Project>;
  /** The first hundred by name. Throws `project-missing`. */
  branches(token: Secret, id: ProjectId, search: string, signal?: AbortSignal): Promise<BranchChoice>;
  /** Throws `branch-missing` or `project-missing`. */
  branch(token: Secret, id: ProjectId, name: BranchName, signal?: AbortSignal): Promise<Branch>;
  /** Throws `not-allowed` where the user's role is too low to be told. */
  protectedBranches(token: Secret, id: ProjectId, signal?: AbortSignal): Promise<readonly ProtectedBranch[]>;
  /** Undefined where there is none: the plan has no such rules (404), or nobody set one. Throws `not-allowed`. */
  pushRule(token: Secret, id: ProjectId, signal?: AbortSignal): Promise<PushRule | undefined>;
  /** Bytes of the repository with its history; undefined where GitLab does not tell. */
  repositoryBytes(token: Secret, id: ProjectId, signal?: AbortSignal): Promise<number | undefined>;
  /** All of them. */
  hooks(token: Secret, id: ProjectId, signal?: AbortSignal): Promise<readonly Hook[]>;
  /** Undefined when there is none with that id. */
  hook(token: Secret, id: ProjectId, hookId: number, signal?: AbortSignal): Promise<Hook | undefined>;
  /**
   * Makes the hook of this URL, or renews address and secrets of the one that has its tail; doubles are removed:
   * GitLab itself would pile them up.
   */
  setHook(token: Secret, id: ProjectId, hook: HookRequest, signal?: AbortSignal): Promise<Hook | HookRefusal>;
  /** Also succeeds when it is gone already. */
  deleteHook(token: Secret, id: ProjectId, hookId: number, signal?: AbortSignal): Promise<void>;
  /** Asks GitLab for a test delivery, and waits for what came of it. */
  testHook(token: Secret, id: ProjectId, hookId: number, signal?: AbortSignal): Promise<HookTrial>;
}

interface HookRequest {
  readonly url: string;
  readonly token: Secret;
  /** `whsec_` and 32 bytes in base64; GitLab before 19.0 drops it silently. */
  readonly signingToken?: Secret;
  /** The hook that was made before: of several of ours it is the one to keep. */
  readonly known?: number;
}

export function createGitlabClient({ http, apiUrl }: { http: Http; apiUrl: () => string }): GitlabClient {
  const call = async (request: Omit<HttpRequest, 'url'> & { path: string }): Promise<HttpAnswer> => {
    const { path, ...rest } = request;
    // JSON also on requests without a body: a read-only GitLab redirects other writes to a web page.
    const headers = { accept: 'application/json', 'content-type': 'application/json' };
    return http.request({ ...rest, headers, url: apiUrl() + path });
  };
  const get = async <T>(token: Secret, path: string, schema: z.ZodType<T>, missing: Missing, signal?: AbortSignal) => {
    const answer = await call({ method: 'GET', path, token, ...(signal && { signal }) });
    if (answer.status >= 400) throw apiRefusal(answer, missing);
    return { value: readJson(answer, schema), headers: answer.headers };
  };

  return {
    async user(token, signal) {
      const { value } = await get(token, '/user', userAnswer, 'not-found', signal);
      const email = value.commit_email || value.email || value.public_email || '';
      return { id: value.id, username: value.username, name: value.name || value.username, email };
    },

    async tokenFacts(token, signal) {
      const answer = await call({
        method: 'GET',
        path: '/personal_access_tokens/self',
        token,
        ...(signal && { signal }),
      });
      if (answer.status === 401) throw apiRefusal(answer, 'not-found');
      if (answer.status >= 400) return undefined;
      const { scopes, expires_at: day } = readJson(answer, accessTokenAnswer);
      // A day in GitLab's own zone, which is UTC: the token ends when that day begins.
      const expiresAt = day ? Date.parse(`${day.slice(0, 10)}T00:00:00Z`) : NaN;
      return { scopes, ...(Number.isNaN(expiresAt) ? {} : { expiresAt }) };
    },

    async version(token, signal) {
      // /metadata since 15.2; older ones know /version only.
      const found = await get(token, '/metadata', versionAnswer, 'not-found', signal).catch((error: unknown) => {
        if (error instanceof Problem && error.code === 'not-found') return undefined;
        throw error;
      });
      const { value } = found ?? (await get(token, '/version', versionAnswer, 'not-found', signal));
      return { version: value.version, enterprise: value.enterprise ?? /-ee/.test(value.version) };
    },

    async projects(token, wanted, signal) {
      const { search, perPage = 20 } = wanted;
      const query = new URLSearchParams({ membership: 'true', sort: 'desc', per_page: String(perPage) });
      if ('page' in wanted) {
        query.set('order_by', 'last_activity_at');
        query.set('page', String(wanted.page));
      } else {
        query.set('order_by', 'id');
        query.set('pagination', 'keyset');
        if (wanted.before !== 'newest') query.set('id_before', String(wanted.before));
      }
      if (search !== '') query.set('search', search);
      if (search !== '') query.set('search_namespaces', 'true');
      const { value, headers } = await get(token, `/projects?${query.toString()}`, projectList, 'not-found', signal);
      if ('before' in wanted) {
        const last = value.at(-1)?.id as ProjectId | undefined;
        return { projects: value.map(toProject), ...(last && nextLink(headers) ? { nextBefore: last } : {}) };
      }
      const [nextPage, total] = [nextPageOf(headers), countOf(headers['x-total'])];
      return {
        projects: value.map(toProject),
        ...(nextPage === undefined ? {} : { nextPage }),
        ...(total === undefined ? {} : { total }),
      };
    },

    async project(token, id, signal) {
      return toProject((await get(token, `/projects/${id}`, projectAnswer, 'project-missing', signal)).value);
    },

    async projectAt(token, path, signal) {
      const at = `/projects/${encodeURIComponent(path)}`;
      return toProject((await get(token, at, projectAnswer, 'project-missing', signal)).value);
    },

    async branches(token, id, search, signal) {
      const query = new URLSearchParams({ per_page: '100', ...(search === '' ? {} : { search }) });
      const path = `/projects/${id}/repository/branches?${query.toString()}`;
      const { value, headers } = await get(token, path, branchList, 'project-missing', signal);
      return { branches: value.map(toBranch), more: nextPageOf(headers) !== undefined };
    },

    async branch(token, id, name, signal) {
      const path = `/projects/${id}/repository/branches/${encodeURIComponent(name)}`;
      return toBranch((await get(token, path, branchAnswer, 'branch-missing', signal).catch(asProjectMissing)).value);
    },

    async protectedBranches(token, id, signal) {
      const path = `/projects/${id}/protected_branches?per_page=100`;
      return (await get(token, path, protectedBranchList, 'project-missing', signal)).value.map(toProtected);
    },

    async pushRule(token, id, signal) {
      const answer = await call({ method: 'GET', path: `/projects/${id}/push_rule`, token, ...(signal && { signal }) });
      if (answer.status === 404) return undefined;
      if (answer.status >= 400) throw apiRefusal(answer, 'project-missing');
      return toPushRule(readJson(answer, pushRuleAnswer));
    },

    async repositoryBytes(token, id, signal) {
      const path = `/projects/${id}?statistics=true`;
      const { value } = await get(token, path, statisticsAnswer, 'project-missing', signal);
      return value.statistics?.repository_size ?? undefined;
    },

    async hooks(token, id, signal) {
      const found: Hook[] = [];
      for (let page: number | undefined = 1; page !== undefined && page <= mostHookPages;) {
        const path = `/projects/${id}/hooks?per_page=100&page=${page}`;
        const { value, headers } = await get(token, path, hookList, 'project-missing', signal);
        found.push(...value.map(toHook));
        page = nextPageOf(headers);
      }
      return found;
    },

    async hook(token, id, hookId, signal) {
      const answer = await call({
        method: 'GET',
        path: `/projects/${id}/hooks/${hookId}`,
        token,
        ...(signal && { signal }),
      });
      if (answer.status === 404) return undefined;
      if (answer.status >= 400) throw apiRefusal(answer, 'project-missing');
      return toHook(readJson(answer, hookAnswer));
    },

    async setHook(token, id, wanted, signal) {
      const present = await this.hooks(token, id, signal);
      // Ours may have another host by now; one of the known number that was never ours stays as it is.
      const ours = present.filter(({ url }) => tailOf(url) === tailOf(wanted.url));
      const same = ours.find(({ id: hookId }) => hookId === wanted.known) ?? ours[0];
      const json = {
        url: wanted.url,
        token: wanted.token.open(),
        push_events: true,
        tag_push_events: false,
        enable_ssl_verification: true,
        name: 'Mooring',
        ...(wanted.signingToken && { signing_token: wanted.signingToken.open() }),
      };
      const path = `/projects/${id}/hooks${same ? `/${same.id}` : ''}`;
      const answer = await call({ method: same ? 'PUT' : 'POST', path, token, json, ...(signal && { signal }) });
      if (answer.status === 422) return { refused: wordsOf(answer), ...(same && { hookId: same.id }) };
      if (answer.status >= 400) throw apiRefusal(answer, 'project-missing');
      for (const { id: each } of ours) if (each !== same?.id) await this.deleteHook(token, id, each, signal);
      return toHook(readJson(answer, hookAnswer));
    },

    async deleteHook(token, id, hookId, signal) {
      const path = `/projects/${id}/hooks/${hookId}`;
      const answer = await call({ method: 'DELETE', path, token, ...(signal && { signal }) });
      if (answer.status >= 400 && answer.status !== 404) throw apiRefusal(answer, 'project-missing');
    },

    async testHook(token, id, hookId, signal) {
      const path = `/projects/${id}/hooks/${hookId}/test/push_events`;
      const answer = await call({ method: 'POST', path, token, ...(signal && { signal }) });
      if (answer.status === 401 || answer.status === 403) throw apiRefusal(answer, 'project-missing');
      if (answer.status === 404) return { kind: 'unknown' };
      return answer.status === 201 ? { kind: 'arrived' } : { kind: 'failed', text: wordsOf(answer) };
    },
  };
}

/** Ten thousand hooks: nobody has them, and a list without an end is none. */
const mostHookPages = 100;

/** GitLab's words, without the braces of `{"name":["what is wrong with it"]}`; what concerns the whole is called `base`. */
function wordsOf(answer: HttpAnswer): string {
  const { text } = errorText(answer);
  if (!text.startsWith('{')) return text;
  return text.replace(/"(\w+)":\[?/g, (_, name) => (name === 'base' ? '' : `${name} `)).replace(/[{}[\]"]/g, '');
}

/** `/hooks/gitlab/<site>`: what of a hook's address stays when this daemon moves. */
const tailOf = (url: string): string => url.split('/').slice(-3).join('/');

/** A branch's 404 says which of the two is missing; a member who lost access must not read "branch deleted". */
function asProjectMissing(error: unknown): never {
  if (error instanceof Problem && error.code === 'branch-missing' && /project/i.test(error.facts['text'] ?? '')) {
    throw new Problem('project-missing', error.facts, { cause: error });
  }
  throw error;
}

/**
 * The number of the next page. `Link` may name another host than the configured one (GitLab's own external URL), so
 * only its page number is taken; without it `x-next-page` counts.
 */
function nextPageOf(headers: HttpAnswer['headers']): number | undefined {
  const next = nextLink(headers);
  const fromLink = next === undefined ? undefined : countOf(/[?&]page=(\d+)/.exec(next)?.[1]);
  const page = fromLink ?? countOf(headers['x-next-page']);
  return page === undefined || page < 1 ? undefined : page;
}

function nextLink(headers: HttpAnswer['headers']): string | undefined {
  const links = [headers.link ?? ''].flat().join(', ');
  return /<([^>]*)>\s*;[^,]*rel="?next"?/.exec(links)?.[1];
}

function countOf(header: string | string[] | undefined): number | undefined {
  return typeof header === 'string' && /^\d{1,9}$/.test(header) ? Number(header) : undefined;
}
