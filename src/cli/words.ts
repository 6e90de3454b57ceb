import { type Problem, type ProblemCode, asProblem } from '../model/problem.ts';
import { describe } from '../model/remedy.ts';
import { CliError, type ExitCode, exit } from './exit.ts';

/** What ended a command, as lines for a person and with its exit code. */
export interface Ended {
  readonly exitCode: ExitCode;
  readonly code: string;
  readonly lines: readonly string[];
}

export function inWords(error: unknown): Ended {
  if (error instanceof CliError) {
    const lines = [error.message, ...(error.todo === '' ? [] : [`To do: ${error.todo}`])];
    return { exitCode: error.exitCode, code: error.code, lines };
  }
  const problem = asProblem(error);
  return { exitCode: exitOf(problem), code: problem.code, lines: problemLines(problem) };
}

function problemLines(problem: Problem): string[] {
  const { title, happened, untouched, todo } = describe(problem.toFacts());
  const { cause } = problem.toFacts();
  return [
    title,
    happened,
    `Not touched: ${untouched}`,
    `To do: ${todo}`,
    cause ? `(${problem.code}: ${cause})` : `(${problem.code})`,
  ];
}

const exits: Partial<Record<ProblemCode, ExitCode>> = {
  'config-invalid': exit.config,
  'state-in-use': exit.tryAgain,
  'too-many-tries': exit.tryAgain,
  'not-allowed': exit.notAllowed,
  'form-invalid': exit.usage,
  'not-found': exit.usage,
  unexpected: exit.internal,
};

function exitOf({ code }: Problem): ExitCode {
  return exits[code] ?? exit.failed;
}
