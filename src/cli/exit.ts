/** Exit codes, as sysexits(3) names them; `failed` is for an answer that is a no: a failed check or sync. */
export const exit = {
  ok: 0,
  failed: 1,
  usage: 64,
  unavailable: 69,
  internal: 70,
  tryAgain: 75,
  notAllowed: 77,
  config: 78,
} as const;

export type ExitCode = (typeof exit)[keyof typeof exit];

/** What ends a command, in words: what happened, and what to do. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitCode: ExitCode;
  readonly todo: string;
  /** The problem's code, where there is one; for programs. */
  readonly code: string;

  constructor(exitCode: ExitCode, happened: string, todo = '', code = '') {
    super(happened);
    this.exitCode = exitCode;
    this.todo = todo;
    this.code = code;
  }
}

/** Refusals after which the same command may succeed: something changed meanwhile. */
const transient = new Set(['plan-outdated', 'changed-meanwhile', 'broken-off', 'too-many-tries']);

/** The exit code for an answer of the API, by its status and the code of its problem. */
export function exitOfStatus(status: number, code = ''): ExitCode {
  if (status === 401 || status === 403) return exit.notAllowed;
  if (transient.has(code) || [429, 502, 503, 504].includes(status)) return exit.tryAgain;
  if (status === 409) return exit.failed;
  return status >= 400 && status < 500 ? exit.usage : exit.internal;
}
