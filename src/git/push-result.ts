import { Problem } from '../model/problem.ts';
import type { PushResult } from '../sync/ports.ts';
import { cleanOutput, pushFailure, remoteLines } from './failure.ts';

/** What a push ended with: git's porcelain, or what the wire puts in the same form. */
export interface PushOutput {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Porcelain: `<flag>\t<from>:<to>\t<summary>`; flag `!` is a refusal, space, `*`, `+`, `=` a success. */
export function readPush(
  { code, stdout, stderr }: PushOutput,
  ref: string,
  facts: { project: string; branch: string },
): PushResult | { problem: Problem } {
  // Git cannot keep the branch `site` beside `site/v2`; nothing that is pushed changes that.
  const other = /'refs\/heads\/([^']+)' exists; cannot create/.exec(`${stdout}\n${stderr}`)?.[1];
  if (other !== undefined) return { problem: new Problem('branch-name-blocked', { ...facts, other }) };
  const row = stdout.split('\n').find((line) => line.includes(`:${ref}\t`));
  const output = cleanOutput(`${stderr}\n${stdout}`.trim());
  if (row && !row.startsWith('!')) {
    const text = remoteLines(stderr);
    return { kind: 'done', output, ...(text === '' ? {} : { text }) };
  }
  if (!row) {
    if (code === 0) return { kind: 'done', output };
    const problem = pushFailure(stderr, facts);
    // Turned down at the door (no push right at all, too large for a proxy) is a refusal like any other: pulling goes on.
    if (!['push-not-allowed', 'push-refused'].includes(problem.code)) return { problem };
    return { kind: 'refused', text: problem.facts['text'] || 'GitLab answered 403.', output };
  }
  // `stale info` is our lease, the others are GitLab's own compare-and-set: someone else was faster.
  if (/stale info|fetch first|non-fast-forward|failed to update ref|cannot lock ref|incorrect old value/.test(row)) {
    return { kind: 'moved', output };
  }
  const said = remoteLines(stderr) || cleanOutput(row.split('\t')[2] ?? '');
  return { kind: 'refused', text: said, output };
}
