import { createHash } from 'node:crypto';
import type { Problem } from '../model/problem.ts';
import type { Hold, HoldChoice, HoldCode } from '../model/site.ts';
import type { Refusal } from '../model/refusal.ts';
import { type Change, type Oid, type SitePath, markOf, tally } from '../model/tree.ts';
import type { Outcome, RunDeps } from './notes.ts';
import type { Divergence } from './reconcile.ts';

const none = { added: 0, changed: 0, removed: 0 };

/** A step that waits for a person's word. */
export function heldStep(
  deps: RunDeps,
  code: HoldCode,
  step: string,
  changes: readonly Change[],
  total: number,
  choices: Hold['choices'],
): Hold {
  const samples = changes.map((change) => ({ path: change.path, mark: markOf(change) }));
  return { code, at: deps.now(), step, total, tally: tally(changes), samples, choices };
}

/** Whether a person answered exactly this question. */
export const isAnswered = ({ answer }: Pick<RunDeps, 'answer'>, step: string): boolean => answer?.hold.step === step;

/** Names exactly what a person is asked about: another tip or another snapshot is another question. */
export function stepId({ local, remote }: Divergence): string {
  return `${local}:${remote}`;
}

/** Names a lost tip and what stands in its place. Edits in the folder are no part of that question. */
export const backStep = ({ known, theirs }: { readonly known: Oid; readonly theirs: Oid }): string =>
  `${known}:${theirs}`;

/** Names exactly which refused push is meant, so that a yes to leaving something out fits no other. */
export const refusedStep = ({ commit }: Refusal): string => `refused:${commit}`;
/** Names exactly these paths. */
export function pathsId(paths: readonly SitePath[]): string {
  return createHash('sha256')
    .update([...paths].sort().join('\0'))
    .digest('hex')
    .slice(0, 32);
}

/** Pulling goes on; pushing waits until something is different. */
export function refusedHold(outcome: Outcome, at: number): Hold {
  const leaves = outcome.refused?.leaves ?? [];
  return {
    code: 'push-refused',
    at,
    step: outcome.refused ? refusedStep(outcome.refused) : '',
    total: 0,
    tally: none,
    samples: leaves,
    choices: leaves.length > 0 ? ['try-again', 'leave-out'] : ['try-again'],
    ...(outcome.refused?.text ? { text: outcome.refused.text } : {}),
  };
}

/** Of a site that was restored from a backup: how its folder differs from the backup, where that is known. */
function restoredCounts({ code, facts }: Problem): Pick<Hold, 'total' | 'tally'> {
  if (code !== 'folder-restored' || facts['same'] === undefined) return { total: 0, tally: none };
  const [same, added, changed, removed] = ['same', 'added', 'changed', 'missing'].map((name) => Number(facts[name]));
  const tally = { added: added ?? 0, changed: changed ?? 0, removed: removed ?? 0 };
  return { total: (same ?? 0) + tally.changed + tally.removed, tally };
}

/** A problem that only a person can end, as a question to them. */
export function problemHold(problem: Problem, at: number): Hold {
  const { folder, created, text, reason } = problem.facts;
  const codes: Partial<Record<Problem['code'], { code: HoldCode; choices: HoldChoice[] }>> = {
    'folder-missing': { code: 'root-missing', choices: ['try-again'] },
    'folder-link': { code: 'root-missing', choices: ['try-again'] },
    'folder-not-folder': { code: 'root-missing', choices: ['try-again'] },
    'folder-emptied': { code: 'root-emptied', choices: ['try-again', 'put-back', 'go-on'] },
    'folder-changed': { code: 'root-changed', choices: ['adopt', 'try-again'] },
    'folder-restored': { code: 'restored', choices: ['adopt', 'try-again'] },
    // GitLab can be asked again about a token that a person entered; a grant that ended stays ended.
    'grant-lost': { code: 'reconnect', choices: reason === 'entered' ? ['try-again'] : [] },
    'user-blocked': { code: 'reconnect', choices: ['try-again'] },
    'project-missing': { code: 'project-missing', choices: ['try-again'] },
    'project-archived': { code: 'project-archived', choices: ['try-again'] },
    'project-other': { code: 'project-other', choices: ['try-again', 'adopt'] },
    'project-not-yours': { code: 'no-access', choices: ['try-again'] },
    'push-not-allowed': { code: 'no-access', choices: ['try-again'] },
    'scope-too-small': { code: 'no-access', choices: ['try-again'] },
    'application-unknown': { code: 'application-unknown', choices: ['try-again'] },
  };
  const known = codes[problem.code] ?? { code: 'stopped', choices: ['try-again'] };
  const step = `${problem.code}:${folder ?? created ?? ''}`;
  return {
    ...known,
    at,
    step,
    ...restoredCounts(problem),
    samples: [],
    ...(created === undefined ? {} : { created }),
    ...(text && !problem.code.startsWith('git-') && problem.code !== 'fetch-refused' ? { text } : {}),
  };
}
