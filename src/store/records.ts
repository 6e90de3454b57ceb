import { z } from 'zod';
import type { AfterRecord } from '../model/after.ts';
import type { AuditEntry, RunRecord } from '../model/event.ts';
import { fileMoved, holdCode, oid, problemFacts, siteId, sitePath, tally, whole } from './shapes.ts';

/** One line of a site's history file. */
export const runRecord = whole<RunRecord>()(
  z.strictObject({
    id: z.string(),
    at: z.number(),
    durationMs: z.number(),
    triggers: z.array(z.enum(['watch', 'poll', 'webhook', 'rescan', 'start', 'person', 'retry'])),
    result: z.enum(['pulled', 'pushed', 'merged', 'connected', 'held', 'failed', 'refused', 'recovered', 'restored']),
    before: oid.exactOptional(),
    after: oid.exactOptional(),
    pulled: tally,
    pushed: tally,
    files: z.array(fileMoved),
    conflicts: z.array(sitePath),
    letGo: z.array(sitePath).exactOptional(),
    subject: z.string().exactOptional(),
    by: z.string().exactOptional(),
    hold: holdCode.exactOptional(),
    problem: problemFacts.exactOptional(),
    output: z.string(),
  }),
);

/** One line of a site's file of programs that were started after its runs. */
export const afterRecord = whole<AfterRecord>()(
  z.strictObject({
    run: z.string(),
    hook: z.enum(['after-pull', 'after-push']),
    at: z.number(),
    durationMs: z.number(),
    result: z.enum(['done', 'failed', 'timed-out', 'not-started']),
    text: z.string(),
    output: z.string(),
  }),
);

/** One line of `acts.jsonl`. */
export const actRecord = whole<AuditEntry>()(
  z.strictObject({
    id: z.string(),
    at: z.number(),
    by: z.string(),
    site: siteId.exactOptional(),
    act: z.enum([
      'set-up',
      'configured-instance',
      'connected-gitlab',
      'added-site',
      'removed-site',
      'connected',
      'disconnected',
      'paused',
      'resumed',
      'paused-all',
      'resumed-all',
      'planned-maintenance',
      'asked-for-sync',
      'restored',
      'resolved',
      'chose',
      'allowed',
      'repository-moved',
      'switched-branch',
      'pushed-elsewhere',
      'handed-over',
      'webhook',
      'changed-settings',
      'renamed-site',
      'added-admin',
      'removed-admin',
      'changed-password',
      'signed-out-everywhere',
      'removed-connection',
      'committed-as',
      'changed-commit-domains',
      'added-account',
      'changed-account',
      'removed-account',
      'made-api-token',
      'removed-api-token',
      'rotated-key',
      'applied',
    ]),
    detail: z.string(),
  }),
);
