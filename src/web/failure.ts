import { asProblem, Problem, type ProblemCode } from '../model/problem.ts';
import { describe } from '../model/remedy.ts';
import type { Context, Next, WebContext } from './context.ts';

/**
 * Any error becomes the problem page. Stands first: koa's own handler would drop the security headers and answer in
 * plain text. An error that is not a Problem is a bug of ours: the page says so, and the log has the stack.
 */
export function failure(web: WebContext) {
  return async (ctx: Context, next: Next): Promise<void> => {
    try {
      await next();
      if (ctx.status === 404 && ctx.body === undefined) throw new Problem('not-found');
    } catch (error) {
      const problem = translate(error);
      if (problem.code === 'unexpected') {
        web.deps.log('error', 'A page failed.', { path: ctx.path, method: ctx.method, error: stackOf(error) });
      }
      if (isForPrograms(ctx)) refuse(web, ctx, problem);
      else answer(web, ctx, problem);
    }
  };
}

const isForPrograms = ({ path, state }: Context): boolean =>
  path.startsWith('/api/') || path === '/metrics' || state.operator !== undefined;

const isInvalid = ({ code }: Problem): boolean => code === 'request-invalid';

/** Each fact is a member with its sentence, or two facts name one. */
function fieldsOf(facts: Problem['facts']): Record<string, string> | undefined {
  const { field, text, hint: _hint, size: _size, ...rest } = facts;
  const fields: Record<string, string> = rest;
  if (field !== undefined && text !== undefined) fields[field] = text;
  return Object.keys(fields).length === 0 ? undefined : fields;
}

/** What a program is told instead of a page. */
function refuse({ address }: WebContext, ctx: Context, given: Problem): void {
  const problem = given.code === 'form-invalid' ? new Problem('request-invalid', given.facts, { cause: given }) : given;
  const facts = problem.toFacts();
  const { title, happened, untouched, todo, status } = describe(facts);
  const fields = isInvalid(problem) ? fieldsOf(problem.facts) : undefined;
  const isUnknown = problem.facts['why'] === 'token';
  ctx.status = isUnknown ? 401 : status;
  ctx.set('Cache-Control', 'no-store');
  if (isUnknown) ctx.set('WWW-Authenticate', 'Bearer realm="mooring"');
  if (facts.retryAfterMs !== undefined) ctx.set('Retry-After', String(Math.ceil(facts.retryAfterMs / 1_000)));
  const help = `${address.origin}${address.link('/docs/troubleshoot')}#${problem.code}`;
  ctx.body = { error: { code: problem.code, title, happened, untouched, todo, ...(fields ? { fields } : {}), help } };
}

function answer(web: WebContext, ctx: Context, problem: Problem): void {
  try {
    web.showProblem(ctx, problem);
  } catch (error) {
    web.deps.log('error', 'The problem page itself failed.', { path: ctx.path, error: stackOf(error) });
    ctx.status = 500;
    ctx.type = 'text/plain';
    ctx.body = describe(problem.toFacts()).title;
  }
}

/** Koa's and the body parser's own errors carry a status; they are about the request, not about us. */
function translate(error: unknown): Problem {
  if (error instanceof Problem) return error;
  const status = error instanceof Error && 'status' in error && typeof error.status === 'number' ? error.status : 500;
  if (status === 404) return new Problem('not-found', {}, { cause: error });
  if (status >= 400 && status < 500)
    return new Problem('form-invalid', { size: status === 413 ? 'large' : '' }, { cause: error });
  return asProblem(error);
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** Where the page leads to, as the one thing to do next. */
export function wayOut(code: ProblemCode): 'instance' | 'folders' | 'site' | 'sites' {
  if (instanceCodes.has(code)) return 'instance';
  if (code.startsWith('folder-') || code === 'too-many-files') return 'folders';
  return code === 'not-found' || code === 'setup-done' ? 'sites' : 'site';
}

const instanceCodes = new Set<ProblemCode>([
  'instance-url-invalid',
  'instance-not-gitlab',
  'instance-missing',
  'gitlab-unreachable',
  'tls-untrusted',
  'tls-expired',
  'tls-name',
  'tls-client-certificate',
  'application-unknown',
  'redirect-not-registered',
  'scope-too-small',
]);
