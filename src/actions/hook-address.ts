import { Problem, asProblem } from '../model/problem.ts';

/**
 * The address of a webhook that somebody entered. Throws `form-invalid` with what is wrong; `whenEmpty` says what to
 * enter. `parse` throws a Problem with the fact `reason`.
 */
export function hookAddress(text: string, parse: (text: string) => URL, whenEmpty: string): URL {
  if (text.trim() === '') throw new Problem('form-invalid', { address: whenEmpty });
  try {
    return parse(text);
  } catch (error) {
    const { facts } = asProblem(error);
    if (facts['reason'] === undefined) throw error;
    throw new Problem('form-invalid', { address: facts['reason'] });
  }
}
