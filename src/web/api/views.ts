import type { z } from 'zod';
import type { Account, ApiToken } from '../../model/account.ts';
import type { AfterRecord } from '../../model/after.ts';
import type { AuditEntry, RunRecord } from '../../model/event.ts';
import type { DeclaredAt } from '../../model/declared.ts';
import type { ConnectionRow } from '../../actions/hand-over.ts';
import { Problem, type ProblemFacts } from '../../model/problem.ts';
import { describe } from '../../model/remedy.ts';
import type { Moved, Site } from '../../model/site.ts';
import { displayPath, pathBytes, type SitePath, sitePath } from '../../model/tree.ts';
import type { WebDeps } from '../deps.ts';
import type { Seen } from '../seen.ts';
import { stateWords } from '../words.ts';
import type * as shapes from './shapes.ts';

/** The model as the API shows it. Texts are as they are: whoever shows them escapes them. */

type Of<S extends z.ZodType> = z.output<S>;

/** RFC 3339 in UTC. */
export const time = (ms: number): string => new Date(ms).toISOString();
export const timeOrNull = (ms: number | undefined): string | null => (ms === undefined ? null : time(ms));

export function siteView({ sites, declared }: WebDeps, site: Site): Of<typeof shapes.site> {
  const status = sites.status(site.id);
  const { binding } = site;
  return {
    id: site.id,
    name: site.name,
    folder: site.folder,
    paused: site.paused,
    repository: binding ? { id: binding.projectId, path: binding.projectPath, branch: binding.branch } : null,
    connection: binding?.connectionId ?? null,
    state: status.state,
    stateText: stateWords[status.state],
    since: time(status.since),
    checkedAt: timeOrNull(status.checkedAt),
    lastPull: movedView(status.lastPull),
    lastPush: movedView(status.lastPush),
    waiting: { toPull: status.waiting.toPull, toPush: status.waiting.toPush },
    nextTryAt: timeOrNull(status.nextTryAt),
    conflicts: status.conflicts,
    notSynced: status.notSyncedCount,
    hold: status.hold ? { code: status.hold.code, since: time(status.hold.at) } : null,
    problem: problemView(status.problem),
    declared: declaredView(declared.site(site.id)),
  };
}

export const declaredView = (at: DeclaredAt | undefined) => (at ? { file: at.file, line: at.line } : null);

export function problemView(problem: ProblemFacts | undefined): Of<typeof shapes.problem> | null {
  if (!problem) return null;
  const { title, happened, untouched, todo } = describe(problem);
  return { code: problem.code, title, happened, untouched, todo };
}

function movedView(moved: Moved | undefined) {
  return moved ? { at: time(moved.at), files: moved.files, commit: moved.commit, subject: moved.subject } : null;
}

export function runView(run: RunRecord): Of<typeof shapes.runShort> {
  const { id, at, durationMs, triggers, result, pulled, pushed, before, after, conflicts } = run;
  return {
    ...{ id, at: time(at), durationMs, triggers: [...triggers], result, pulled, pushed },
    before: before ?? null,
    after: after ?? null,
    conflicts: conflicts.map(displayPath),
    problem: problemView(run.problem),
  };
}

export function runDetails(run: RunRecord, after: readonly AfterRecord[]): Of<typeof shapes.runWhole> {
  return {
    ...runView(run),
    subject: run.subject ?? null,
    by: run.by ?? null,
    hold: run.hold ?? null,
    files: run.files.map(({ mark, path, to }) => ({ mark, path: displayPath(path), to })),
    letGo: (run.letGo ?? []).map((path) => ({ id: pathKey(path), path: displayPath(path) })),
    output: run.output,
    after: after.map(({ run: _run, at, ...rest }) => ({ at: time(at), ...rest })),
  };
}

export function auditView({ id, at, by, act, site, detail }: AuditEntry): Of<typeof shapes.auditEntry> {
  return { id, at: time(at), by, act, site: site ?? null, detail };
}

export function connectionView({ connection, owner, sites }: ConnectionRow): Of<typeof shapes.connection> {
  const { id, username, name, email, accessToken, health } = connection;
  return {
    ...{ id, username, name, email, kind: accessToken ? 'access-token' : 'oauth', health },
    expiresAt: timeOrNull(accessToken?.expiresAt),
    owner: owner ?? null,
    sites: sites.map((one) => one.id),
  };
}

export function tokenView({ accounts }: WebDeps, { site }: Seen, token: ApiToken): Of<typeof shapes.token> {
  return {
    id: token.id,
    name: token.name,
    account: accounts.get(token.accountId)?.name ?? null,
    scopes: [...token.scopes],
    sites: token.sites ? token.sites.filter((id) => site(id)) : null,
    createdAt: time(token.createdAt),
    expiresAt: timeOrNull(token.endsAt),
    usedAt: timeOrNull(token.usedAt),
  };
}

export function accountView({ declared }: WebDeps, account: Account): Of<typeof shapes.account> {
  const { id, name, role, sites, createdAt } = account;
  return {
    ...{ id, name, role, sites: sites ? [...sites] : null, createdAt: time(createdAt) },
    declared: declaredView(declared.account(id)),
  };
}

/** Paths are bytes; in an address or a body they stand as text. */
export const pathKey = (path: SitePath): string => pathBytes(path).toString('base64url');

/** Throws `request-invalid`. */
export function pathOfKey(key: string, member: string): SitePath {
  if (!/^[\w-]{1,8000}$/.test(key)) throw new Problem('request-invalid', { [member]: 'This names no file.' });
  return sitePath(Buffer.from(key, 'base64url'));
}
