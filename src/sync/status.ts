import type { ProblemFacts } from '../model/problem.ts';
import { type Hold, type Moved, type NotSynced, type Progress, type SiteStatus, firstStatus } from '../model/site.ts';

/** What changes a site's status. */
export type StatusFact =
  | { readonly kind: 'started' }
  | { readonly kind: 'progress'; readonly progress: Progress }
  | {
      readonly kind: 'ended';
      readonly result: string;
      readonly unpushed: Unpushed;
      /** Edits that still move. */
      readonly unsettled: number;
      readonly hold?: Hold;
      /** When what GitLab refused is offered again. */
      readonly nextTryAt?: number;
      readonly pull?: Moved;
      readonly push?: Moved;
      readonly notSynced: readonly NotSynced[];
      readonly conflicts: number;
    }
  | {
      readonly kind: 'failed';
      readonly unpushed: Unpushed;
      readonly problem: ProblemFacts;
      readonly hold?: Hold;
      readonly nextTryAt: number;
      readonly asks: boolean;
    }
  | { readonly kind: 'paused' }
  | { readonly kind: 'connected'; readonly pull?: Moved; readonly push?: Moved }
  | { readonly kind: 'disconnected' }
  | { readonly kind: 'conflicts'; readonly conflicts: number }
  | { readonly kind: 'watched'; readonly watched: boolean; readonly changedElsewhere?: readonly string[] }
  | { readonly kind: 'scanned'; readonly everyMs: number | undefined }
  | { readonly kind: 'stale' };

/** Edits of the folder that GitLab does not have: how many paths, and since when. */
export interface Unpushed {
  readonly paths: number;
  /** ms since 1970; absent: nothing is unpushed. */
  readonly since?: number;
}

const shownPaths = 100;

/** The next status. Pure. While a run goes on the last known facts stay. */
export function nextStatus(status: SiteStatus, fact: StatusFact, at: number): SiteStatus {
  switch (fact.kind) {
    case 'started':
      return enter(status, 'syncing', at);
    case 'progress':
      return { ...enter(status, 'syncing', at), progress: fact.progress };
    case 'ended':
      return ended(status, fact, at);
    case 'failed': {
      const next = enter(without(status, 'progress', 'hold'), fact.asks ? 'hold' : 'retrying', at);
      return {
        ...next,
        waiting: { toPull: status.waiting.toPull, ...toPush(fact.unpushed) },
        problem: fact.problem,
        nextTryAt: fact.nextTryAt,
        lastAttempt: { at, result: fact.problem.code },
        ...(fact.hold ? { hold: fact.hold } : {}),
      };
    }
    case 'paused':
      return enter(without(status, 'progress', 'nextTryAt'), 'paused', at);
    case 'connected':
      return {
        ...enter(without(status, 'problem', 'hold', 'progress'), 'unknown', at),
        ...(fact.pull ? { lastPull: fact.pull } : {}),
        ...(fact.push ? { lastPush: fact.push } : {}),
      };
    case 'disconnected':
      return firstStatus(at, 'off', status.disks);
    case 'conflicts':
      return { ...status, conflicts: fact.conflicts };
    case 'watched':
      return {
        ...without(status, 'changedElsewhere'),
        watched: fact.watched,
        ...(fact.changedElsewhere?.length ? { changedElsewhere: fact.changedElsewhere } : {}),
      };
    case 'scanned':
      return {
        ...without(status, 'scannedEveryMs'),
        ...(fact.everyMs === undefined ? {} : { scannedEveryMs: fact.everyMs }),
      };
    case 'stale':
      return enter(status, 'unknown', at);
    default:
      return fact satisfies never;
  }
}

function ended(status: SiteStatus, fact: StatusFact & { kind: 'ended' }, at: number): SiteStatus {
  const state = fact.hold ? 'hold' : fact.unsettled > 0 ? 'waiting' : 'in-sync';
  const next = enter(without(status, 'progress', 'problem', 'hold', 'nextTryAt'), state, at);
  return {
    ...next,
    checkedAt: at,
    lastAttempt: { at, result: fact.result },
    waiting: {
      toPull: fact.hold?.code === 'branch-lost-files' ? fact.hold.tally.removed : 0,
      ...toPush(fact.unpushed),
    },
    notSynced: fact.notSynced.slice(0, shownPaths),
    notSyncedCount: fact.notSynced.length,
    conflicts: fact.conflicts,
    ...(fact.hold ? { hold: fact.hold } : {}),
    ...(fact.nextTryAt === undefined ? {} : { nextTryAt: fact.nextTryAt }),
    ...(fact.pull ? { lastPull: fact.pull } : {}),
    ...(fact.push ? { lastPush: fact.push } : {}),
  };
}

function toPush({ paths, since }: Unpushed): Omit<SiteStatus['waiting'], 'toPull'> {
  return { toPush: paths, ...(since === undefined ? {} : { oldestUnpushedAt: since }) };
}

/** A state keeps its age while it lasts. */
function enter(status: SiteStatus, state: SiteStatus['state'], at: number): SiteStatus {
  return status.state === state ? status : { ...status, state, since: at };
}

function without<K extends 'progress' | 'problem' | 'hold' | 'nextTryAt' | 'changedElsewhere' | 'scannedEveryMs'>(
  status: SiteStatus,
  ...keys: K[]
): Omit<SiteStatus, K> & SiteStatus {
  const rest = { ...status };
  for (const key of keys) delete (rest as Partial<Record<K, unknown>>)[key];
  return rest;
}
