import { type z } from 'zod';
import { Problem, type ProblemCode } from '../model/problem.ts';
import { escapeControls } from '../model/tree.ts';
import type { HttpAnswer } from '../net/transport.ts';
import { errorAnswer } from './schema.ts';

/** What a 404 means depends on what was asked. */
export type Missing = Extract<ProblemCode, 'project-missing' | 'branch-missing' | 'not-found'>;

/** The body as JSON of this shape, or a Problem: `instance-not-gitlab` for a web page, `gitlab-answer-odd` for the rest. */
export function readJson<T>(answer: HttpAnswer, schema: z.ZodType<T>): T {
  const parsed = parseBody(answer);
  const read = schema.safeParse(parsed);
  if (read.success) return read.data;
  const where = read.error.issues[0]?.path.join('.') ?? '';
  throw new Problem('gitlab-answer-odd', {
    status: String(answer.status),
    reason: `the answer lacks ${where || 'what it should hold'}`,
  });
}

/**
 * The Problem in an API answer of 400 or more: 401 `grant-lost`, 403 `scope-too-small`, `user-blocked` or `not-allowed`,
 * 404 as the caller says, else `gitlab-answer-odd`. Fact `text`: GitLab's text, one line, made printable.
 */
export function apiRefusal(answer: HttpAnswer, missing: Missing): Problem {
  const { status } = answer;
  const said = errorText(answer);
  const facts = { status: String(status), text: said.text };
  if (status === 401) return new Problem('grant-lost', facts);
  if (status === 403 && said.code === 'insufficient_scope')
    return new Problem('scope-too-small', { ...facts, ...said.scope });
  if (status === 403 && /blocked|deactivated|\bterms\b|password.{0,20}expired|confirm/i.test(said.text)) {
    return new Problem('user-blocked', facts);
  }
  if (status === 403) return new Problem('not-allowed', facts);
  if (status === 404 && isHtml(answer)) return new Problem('instance-not-gitlab', facts);
  if (status === 404 || status === 410) return new Problem(missing, facts);
  return new Problem('gitlab-answer-odd', { ...facts, reason: `GitLab answered ${status}` });
}

/** GitLab's error in its several forms: `code` is the OAuth-style word, `text` what to show; both may be empty. */
export function errorText(answer: HttpAnswer): { code: string; text: string; scope: { scope?: string } } {
  const body = errorAnswer.safeParse(tryJson(answer)).data;
  if (!body) return { code: '', text: '', scope: {} };
  const code = typeof body.error === 'string' ? body.error : '';
  const shown = body.error_description ?? body.message ?? body.error ?? '';
  const text = typeof shown === 'string' ? shown : JSON.stringify(shown);
  const scope = typeof body.scope === 'string' ? { scope: escapeControls(body.scope).slice(0, 100) } : {};
  return { code, text: escapeControls(text).slice(0, 300), scope };
}

export function isHtml({ headers, body }: HttpAnswer): boolean {
  return (
    /text\/html/i.test(headers['content-type'] ?? '') || /^\s*<(!doctype|html)/i.test(body.toString('latin1', 0, 200))
  );
}

function parseBody(answer: HttpAnswer): unknown {
  const json = tryJson(answer);
  if (json !== undefined) return json;
  if (isHtml(answer)) throw new Problem('instance-not-gitlab', { status: String(answer.status) });
  throw new Problem('gitlab-answer-odd', { status: String(answer.status), reason: 'the answer is not JSON' });
}

function tryJson({ body }: HttpAnswer): unknown {
  try {
    return JSON.parse(body.toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
}
