import { z } from 'zod';
import { Problem, asProblem, type ProblemCode } from '../model/problem.ts';
import { describe } from '../model/remedy.ts';

/** Messages beside the fields, by field name; `form` is for what belongs to none. */
export type FieldErrors = Readonly<Record<string, string>>;

export type Parsed<T> =
  | { readonly kind: 'good'; readonly values: T }
  | { readonly kind: 'bad'; readonly errors: FieldErrors; readonly entered: Readonly<Record<string, string>> };

/** A form's or a query's fields, checked. Repeated and nested keys are dropped: none of our forms has any. */
export function parse<T>(schema: z.ZodType<T>, body: unknown): Parsed<T> {
  const entered = fields(body);
  const result = schema.safeParse(entered);
  if (result.success) return { kind: 'good', values: result.data };
  const errors: Record<string, string> = {};
  for (const issue of result.error.issues) errors[String(issue.path[0] ?? 'form')] ??= issue.message;
  return { kind: 'bad', errors, entered };
}

/** Only own keys with one text as value. */
export function fields(body: unknown): Record<string, string> {
  const found: Record<string, string> = Object.create(null) as Record<string, string>;
  if (typeof body !== 'object' || body === null) return found;
  for (const [name, value] of Object.entries(body)) if (typeof value === 'string') found[name] = value;
  return found;
}

/** A line of text: trimmed, without control characters. */
export function line(label: string, max = 200) {
  return z
    .string({ error: `Enter ${label}.` })
    .trim()
    .max(max, `At most ${max} characters.`)
    .refine((text) => !/\p{Cc}/u.test(text), 'Control characters are not allowed here.');
}

/** The same, and not empty. */
export function filledLine(label: string, max = 200) {
  return line(label, max).refine((text) => text !== '', `Enter ${label}.`);
}

/** Text of several lines. */
export function block(max: number) {
  return z.string().max(max, `At most ${max} characters.`).default('');
}

/**
 * A Problem that belongs beside a field: what happened and what to do, in two sentences. Anything else goes on to the
 * problem page. A `field` fact names the field, otherwise `places` does.
 */
export function beside(error: unknown, places: Partial<Record<ProblemCode, string>>): FieldErrors {
  const problem = asProblem(error);
  // Several faults at once: each fact is a field's name with its sentence.
  if (problem.code === 'form-invalid' && problem.facts['field'] === undefined) return problem.facts;
  const field = problem.facts['field'] ?? places[problem.code];
  if (field === undefined) throw error;
  const { happened, todo } = describe(problem.toFacts());
  return { [field]: `${happened} ${todo}` };
}

/** Beside a field, the remedy "go back and fill it in again" would be odd: only what happened is shown. */
export function besideField(error: unknown): FieldErrors {
  if (error instanceof Problem && error.code === 'form-invalid') {
    const { field, text } = error.facts;
    if (field !== undefined && text !== undefined) return { [field]: text };
  }
  return beside(error, { 'too-many-tries': 'form', 'form-invalid': 'form' });
}
