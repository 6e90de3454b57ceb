import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { Problem, machineProblem } from '../model/problem.ts';
import { errnoOf, isAbsent } from './errno.ts';

/** Reads or writes a file of the state directory. Throws `disk-full`, `out-of-resources` and `state-failed`. */
export function inState<T>(file: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw stateProblem(error, file);
  }
}

/** An error that was met at a file of the state directory, as a problem; any other error as it is. */
export function stateProblem(error: unknown, file: string): unknown {
  const errno = errnoOf(error);
  if (errno === undefined) return error;
  const problem = machineProblem(error, { folder: dirname(file) });
  return problem ?? new Problem('state-failed', { path: file, errno }, { cause: error });
}

/** A file's text; empty where there is none. Throws what the system throws: one that cannot be read is not one that is missing. */
export function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (isAbsent(error)) return '';
    throw error;
  }
}
