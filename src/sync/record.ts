import type { RunRecord } from '../model/event.ts';
import type { Plan } from '../model/plan.ts';
import type { Hold, SiteStatus } from '../model/site.ts';
import { markOf } from '../model/tree.ts';
import type { Outcome } from './notes.ts';

/** How a run becomes a line of the site's activity. Pure. */

const filesInRecord = 200;

/** What a first connect moved. */
export function movedBy(plan: Plan): Pick<RunRecord, 'pulled' | 'pushed' | 'files'> {
  const moved = { added: plan.added, changed: plan.replaced, removed: plan.removed };
  const none = { added: 0, changed: 0, removed: 0 };
  const to = plan.direction === 'replace' ? 'site' : 'gitlab';
  return {
    ...(to === 'site' ? { pulled: moved, pushed: none } : { pulled: none, pushed: moved }),
    files: plan.samples.slice(0, filesInRecord).map(({ mark, path }) => ({ mark, path, to })),
  };
}

export function resultOf({ pulled, pushed, returned, lateWrites }: Outcome): RunRecord['result'] {
  if (pulled.length > 0 && pushed.length > 0) return 'merged';
  if (pushed.length > 0) return 'pushed';
  if (pulled.length > 0) return 'pulled';
  return returned.length > 0 || lateWrites.length > 0 ? 'recovered' : 'pulled';
}

export function worthTelling(outcome: Outcome, was: SiteStatus, hold: Hold | undefined): boolean {
  const { pulled, pushed, returned, lateWrites, letGo } = outcome;
  const moved = pulled.length + pushed.length + returned.length + lateWrites.length + letGo.length;
  if (moved > 0 || was.problem !== undefined || outcome.leftBehind !== undefined) return true;
  if (hold === undefined) return false;
  // An answer that GitLab refused leaves the question as it was, with GitLab's words.
  if (was.hold?.step === hold.step)
    return hold.code === 'went-back' && hold.text !== undefined && was.hold.text !== hold.text;
  // Each edit is offered and refused again: for the same reason it is the same story.
  return hold.code !== 'push-refused' || was.hold?.code !== hold.code || was.hold.text !== hold.text;
}

export function filesOf({ pulled, pushed }: Outcome): RunRecord['files'] {
  const rows = [
    ...pushed.map((change) => ({ change, to: 'gitlab' as const })),
    ...pulled.map((change) => ({ change, to: 'site' as const })),
  ];
  return rows.slice(0, filesInRecord).map(({ change, to }) => ({ mark: markOf(change), path: change.path, to }));
}
