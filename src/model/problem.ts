/**
 * A Problem is anything that can go wrong and that somebody can do something about: a code, facts and a cause.
 * History stores code and facts; the sentences live in the catalogue (`remedy.ts`), so they can improve later.
 */
export type ProblemCode =
  // instance and network
  | 'instance-url-invalid'
  | 'instance-not-gitlab'
  | 'instance-missing'
  | 'gitlab-unreachable'
  | 'gitlab-slow'
  | 'gitlab-busy'
  | 'gitlab-error'
  | 'gitlab-answer-odd'
  | 'gitlab-maintenance'
  | 'tls-untrusted'
  | 'tls-expired'
  | 'tls-name'
  | 'tls-client-certificate'
  // authorisation
  | 'application-unknown'
  | 'redirect-not-registered'
  | 'authorisation-denied'
  | 'callback-forged'
  | 'grant-lost'
  | 'scope-too-small'
  | 'user-blocked'
  // repository
  | 'project-missing'
  | 'project-archived'
  | 'project-not-yours'
  | 'project-other'
  | 'repository-empty'
  | 'branch-missing'
  | 'branch-invalid'
  | 'subfolder-invalid'
  | 'push-not-allowed'
  | 'push-refused'
  | 'fetch-refused'
  | 'remote-moved'
  | 'repository-too-large'
  | 'branch-too-many-files'
  | 'branch-name-blocked'
  | 'repository-sha256'
  | 'git-http-disabled'
  | 'lfs-not-followed'
  // backups
  | 'backup-damaged'
  | 'backup-foreign'
  | 'backup-state-exists'
  // folder
  | 'folder-invalid'
  | 'folder-outside-roots'
  | 'folder-overlaps'
  | 'folder-missing'
  | 'folder-link'
  | 'folder-not-folder'
  | 'folder-unreadable'
  | 'folder-unwritable'
  | 'folder-changed'
  | 'folder-restored'
  | 'folder-emptied'
  | 'file-unreadable'
  | 'disk-full'
  | 'too-many-files'
  // connect
  | 'plan-outdated'
  | 'broken-off'
  | 'already-connected'
  | 'declared'
  | 'project-in-use'
  | 'not-connected'
  // store and process
  | 'store-missing'
  | 'store-damaged'
  | 'store-newer'
  | 'key-missing'
  | 'key-wrong'
  | 'key-unwritable'
  | 'state-in-use'
  | 'stopping'
  | 'state-failed'
  | 'out-of-resources'
  | 'git-killed'
  | 'port-in-use'
  | 'config-invalid'
  | 'git-too-old'
  | 'git-failed'
  | 'git-damaged'
  // pages
  | 'not-found'
  | 'not-allowed'
  | 'form-expired'
  | 'form-invalid'
  | 'too-many-tries'
  | 'setup-done'
  | 'kept-missing'
  // the API
  | 'request-invalid'
  | 'changed-meanwhile'
  | 'precondition-missing'
  | 'key-reused'
  | 'connection-in-use'
  | 'unexpected';

/** When the engine may try again by itself. */
export type RetryWhen = 'soon' | 'after-admin' | 'never';

/** What of a problem is stored and shown. Facts are short texts, already free of secrets. */
export interface ProblemFacts {
  readonly code: ProblemCode;
  readonly facts: Readonly<Record<string, string>>;
  /** The technical cause in one line, folded away on the page. */
  readonly cause: string;
  /** ms until GitLab may be asked again, as it said. */
  readonly retryAfterMs?: number;
}

export class Problem extends Error {
  override readonly name = 'Problem';
  readonly code: ProblemCode;
  readonly facts: Readonly<Record<string, string>>;
  readonly retryAfterMs: number | undefined;

  constructor(
    code: ProblemCode,
    facts: Readonly<Record<string, string>> = {},
    options: { cause?: unknown; retryAfterMs?: number } = {},
  ) {
    // Texts only, whatever the caller's object also holds: facts are stored and shown, and something handed over whole
    // may carry a credential.
    const texts = Object.fromEntries(Object.entries(facts).filter(([, value]) => typeof value === 'string'));
    const said = Object.keys(texts).length === 0 ? code : `${code} (${Object.keys(texts).join(', ')})`;
    super(said, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.facts = texts;
    this.retryAfterMs = options.retryAfterMs;
  }

  toFacts(): ProblemFacts {
    const cause = this.cause === undefined ? '' : describeCause(this.cause);
    return {
      code: this.code,
      facts: this.facts,
      cause,
      ...(this.retryAfterMs === undefined ? {} : { retryAfterMs: this.retryAfterMs }),
    };
  }
}

/** Any thrown thing as a Problem; what is none of ours becomes `unexpected`. */
export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  return machineProblem(error) ?? new Problem('unexpected', {}, { cause: error });
}

/** An error of the system that concerns a whole disk or the whole process, wherever it was met; undefined for any other. */
export function machineProblem(error: unknown, facts: Problem['facts'] = {}): Problem | undefined {
  const errno = error instanceof Error && 'code' in error ? error.code : undefined;
  switch (errno) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new Problem('disk-full', facts, { cause: error });
    case 'EMFILE':
    case 'ENFILE':
    case 'ENOMEM':
      return new Problem('out-of-resources', { errno }, { cause: error });
    default:
      return undefined;
  }
}

function describeCause(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause).slice(0, 500);
  const code = 'code' in cause && typeof cause.code === 'string' ? `${cause.code} ` : '';
  return `${code}${cause.message}`.slice(0, 500);
}
