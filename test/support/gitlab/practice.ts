/** What the parts of the practice GitLab share: its state, its git, and its books on what happened. */
import type { IncomingMessage } from 'node:http';
import type { FaultRule } from './faults.ts';
import type { Git } from './git.ts';
import type { ProjectRecord, User, World } from './model.ts';
import type { RefChange } from './repository.ts';
import type { Violation } from './schema-check.ts';

export interface WebhookDelivery {
  readonly at: number;
  readonly hookId: number;
  readonly projectId: number;
  readonly url: string;
  readonly event: string;
  readonly headers: Record<string, string>;
  readonly body: string;
  /** The HTTP status; undefined when nothing was answered. */
  readonly status: number | undefined;
  /** Why nothing was answered: blocked, disabled, time-out, refused connection. */
  readonly error: string | undefined;
}

export interface Practice {
  readonly world: World;
  readonly git: Git;
  /** Scratch space, gone after stop(). */
  readonly home: string;
  readonly violations: Violation[];
  readonly deliveries: WebhookDelivery[];
  /** The fault rule that applies to a request, if any. */
  ruleFor(request: IncomingMessage): FaultRule | undefined;
  /** Work that outlives its request. stop() ends it; quiet() waits for it. */
  background(work: (signal: AbortSignal) => Promise<void>): void;
  /** What GitLab does after refs changed, whoever changed them: bookkeeping, protection, webhooks. */
  afterReceive(received: Received): Promise<void>;
}

export interface Received {
  readonly project: ProjectRecord;
  readonly user: User;
  readonly refs: readonly RefChange[];
  readonly pushOptions: readonly string[];
}
