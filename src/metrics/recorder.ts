import { Counter, Histogram, type Registry } from 'prom-client';
import type { Numbered, RunRecord, Trigger } from '../model/event.ts';
import type { SiteId } from '../model/site.ts';
import type { SitePath } from '../model/tree.ts';

/** What happens, as it happens: counters and histograms over all sites. */
export interface Recorder {
  /** A file event named a path of a site. */
  edited(site: SiteId, path: SitePath): void;
  /** GitLab called about a site. */
  delivered(site: SiteId): void;
  /** GitLab answered with a status, or the request failed with the code of a problem. */
  answered(result: number | string, durationMs: number): void;
  /** The event loop was this much late, in ms. */
  lagged(ms: number): void;
  happened(event: Numbered): void;
}

/** `monotonic`: ms, never jumps. */
export function createRecorder(register: Registry, monotonic: () => number): Recorder {
  const metrics = createMetrics(register);
  const edits = new Map<SiteId, Waiting<SitePath>>();
  const deliveries = new Waiting<SiteId>(monotonic);

  function editsOf(site: SiteId): Waiting<SitePath> {
    const known = edits.get(site);
    if (known) return known;
    const fresh = new Waiting<SitePath>(monotonic);
    edits.set(site, fresh);
    return fresh;
  }

  function ran(site: SiteId, run: RunRecord): void {
    const trigger = causeOf(run.triggers);
    metrics.runs.inc({ result: run.result, trigger });
    metrics.runDuration.observe({ result: run.result }, run.durationMs / 1_000);
    for (const { path, to } of run.files) {
      const seconds = editsOf(site).take(path);
      if (to === 'gitlab' && seconds !== undefined) metrics.editToPush.observe(seconds);
    }
    const hasPulled = run.pulled.added + run.pulled.changed + run.pulled.removed > 0;
    if (!hasPulled || !run.triggers.includes('webhook')) return;
    const seconds = deliveries.take(site);
    if (seconds !== undefined) metrics.webhookToFile.observe(seconds);
  }

  return {
    edited: (site, path) => editsOf(site).add(path),
    delivered: (site) => deliveries.add(site),
    answered: (result, durationMs) => metrics.requests.observe({ status: statusClass(result) }, durationMs / 1_000),
    lagged: (ms) => metrics.lag.observe(ms / 1_000),
    happened(event) {
      if (event.kind === 'run') return ran(event.site, event.run);
      if (event.kind !== 'status' || event.status.state !== 'in-sync') return;
      edits.get(event.site)?.inSync();
      deliveries.inSync(event.site);
    },
  };
}

function createMetrics(register: Registry) {
  const registers = [register];
  return {
    runs: new Counter({
      ...{ name: 'mooring_runs_total', registers, labelNames: ['result', 'trigger'] as const },
      help: 'Runs that did something or failed, by result and by what set them off.',
    }),
    runDuration: new Histogram({
      ...{ name: 'mooring_run_duration_seconds', registers, labelNames: ['result'] as const },
      help: 'How long runs took that did something or failed.',
      buckets: [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800],
    }),
    editToPush: new Histogram({
      ...{ name: 'mooring_edit_to_push_seconds', registers },
      help: 'From the first file event of an edit until GitLab accepted the push that has it.',
      buckets: [1, 2, 3, 5, 10, 30, 60, 120, 300, 900, 3_600],
    }),
    webhookToFile: new Histogram({
      ...{ name: 'mooring_webhook_to_file_seconds', registers },
      help: 'From the webhook call until the files of its push were in the folder.',
      buckets: [0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900],
    }),
    requests: new Histogram({
      ...{ name: 'mooring_gitlab_request_duration_seconds', registers, labelNames: ['status'] as const },
      help: 'Requests to GitLab, by class of status; error: no answer came.',
      buckets: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120],
    }),
    lag: new Histogram({
      ...{ name: 'mooring_event_loop_lag_seconds', registers },
      help: 'How late the event loop was, measured every second.',
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    }),
  };
}

/** A run with several triggers counts once: for the one that people ask about first. */
function causeOf(triggers: readonly Trigger[]): Trigger {
  const order: readonly Trigger[] = ['person', 'webhook', 'watch', 'poll', 'rescan', 'retry', 'start'];
  return order.find((trigger) => triggers.includes(trigger)) ?? 'start';
}

/** The codes of problems that stand for an answer; any other means that none came. */
const classes: Readonly<Record<string, string>> = {
  'gitlab-busy': '4xx',
  'gitlab-error': '5xx',
  'gitlab-maintenance': '5xx',
  'gitlab-answer-odd': '3xx',
};

function statusClass(result: number | string): string {
  if (typeof result === 'number') return `${Math.floor(result / 100)}xx`;
  return classes[result] ?? 'error';
}

/** Most that is remembered of one site: what is beyond is not measured. */
const mostWaiting = 10_000;

/** Since when each thing waits for the run that deals with it. */
class Waiting<Key> {
  readonly #monotonic: () => number;
  readonly #since = new Map<Key, { at: number; isOver: boolean }>();

  constructor(monotonic: () => number) {
    this.#monotonic = monotonic;
  }

  /** The first time counts, until the site was in sync without it: then nothing had to be done about it. */
  add(key: Key): void {
    const known = this.#since.get(key);
    if (known && !known.isOver) return;
    this.#since.delete(key);
    const [oldest] = this.#since.size < mostWaiting ? [] : this.#since.keys();
    if (oldest !== undefined) this.#since.delete(oldest);
    this.#since.set(key, { at: this.#monotonic(), isOver: false });
  }

  /** In seconds; undefined: it was not waiting. */
  take(key: Key): number | undefined {
    const known = this.#since.get(key);
    this.#since.delete(key);
    return known && (this.#monotonic() - known.at) / 1_000;
  }

  /**
   * The site is in sync. What arrived during its last run may still wait, so it is kept, but its next time counts anew.
   * `key`: only this one.
   */
  inSync(key?: Key): void {
    const known = key === undefined ? [...this.#since.values()] : [this.#since.get(key)];
    for (const each of known) if (each) each.isOver = true;
  }
}
