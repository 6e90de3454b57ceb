import { basename } from 'node:path';
import PQueue from 'p-queue';
import {
  type AfterFailure,
  type AfterHook,
  type AfterRecord,
  type AfterSettings,
  hookVariable,
} from '../model/after.ts';
import type { Numbered, RunRecord } from '../model/event.ts';
import type { Site, SiteId, SiteStatus } from '../model/site.ts';
import { type Oid, type SitePath, escapeLines, pathBytes } from '../model/tree.ts';
import type { Clock } from '../model/world.ts';
import { type Ended, runProgram } from './command.ts';
import { programFault } from './program.ts';

export interface AfterHooksDeps {
  readonly settings: AfterSettings;
  readonly roots: readonly string[];
  readonly uid: number;
  readonly site: (id: SiteId) => Site | undefined;
  readonly status: (id: SiteId) => Pick<SiteStatus, 'watched' | 'changedElsewhere'> | undefined;
  /** From now on, edits at these paths become commits with this message; gives the way to end that. */
  readonly attribute: (
    id: SiteId,
    edits: {
      readonly paths: ReadonlySet<SitePath>;
      readonly message: string;
      committed(paths: readonly SitePath[]): void;
    },
  ) => () => void;
  readonly record: (id: SiteId, record: AfterRecord) => Promise<void>;
  readonly mask: (text: string) => string;
  readonly clock: Clock;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;
}

/** Starts the operator's programs after syncs. Never throws, and no sync waits for it. */
export interface AfterHooks {
  happened(event: Numbered): void;
  /** A file event named a path of a site. */
  edited(id: SiteId, path: SitePath): void;
  failures(): readonly AfterFailure[];
  /** Ends what runs. */
  stop(): Promise<void>;
}

/** What a start is about: one run, or several that came while the program could not be started. */
interface Pending {
  readonly run: RunRecord;
  readonly before?: Oid;
  readonly files: ReadonlyMap<SitePath, '+' | '~' | '-'>;
  readonly total: number;
  readonly tries: number;
}

interface SiteState {
  readonly pending: Map<AfterHook, Pending>;
  readonly failures: Map<AfterHook, { times: number; text: string }>;
  isRunning: boolean;
  /** Edited since the last start; undefined: those are nobody's any more. */
  touched?: Set<SitePath> | undefined;
  /** Whether the program of the last start edited the site. */
  hasEdited: () => boolean;
  /** What was edited during the last two starts of the program that follows a push, the later first. */
  ofPush: readonly [ReadonlySet<SitePath>, ReadonlySet<SitePath>];
  /** Committed for that program, and not seen in a push yet. */
  readonly own: Set<SitePath>;
  /** Starts in a row after each of which the program had edited the site. */
  row: number;
  endedAt: number;
  heldUntil: number;
  /** Of a site whose file system tells of no edits: the paths of the last push. */
  lastPush: string;
  cancelWait?: AbortController | undefined;
}

const hooks: readonly AfterHook[] = ['after-pull', 'after-push'];
const concurrency = 4;
const retriesMs = [10_000, 30_000, 120_000, 600_000, 3_600_000] as const;
/** Events of the last edits may come a little later than the end of the program. */
const lateMs = 500;
/** Edits that have not been committed by then are nobody's any more. */
const attributedMs = 120_000;
const mostRows = 10;
const rowMs = 120_000;
const heldMs = 600_000;
const mostFiles = 200;

export function createAfterHooks(deps: AfterHooksDeps): AfterHooks {
  const { settings, clock } = deps;
  const queue = new PQueue({ concurrency });
  const stopping = new AbortController();
  const states = new Map<SiteId, SiteState>();

  function stateOf(id: SiteId): SiteState {
    const known = states.get(id);
    if (known) return known;
    const made: SiteState = {
      ...{ pending: new Map(), failures: new Map(), own: new Set(), ofPush: [new Set(), new Set()] },
      ...{ isRunning: false, hasEdited: () => false },
      ...{ row: 0, endedAt: Number.NEGATIVE_INFINITY, heldUntil: 0, lastPush: '' },
    };
    states.set(id, made);
    return made;
  }

  function happened(event: Numbered): void {
    if (event.kind !== 'run' || stopping.signal.aborted) return;
    for (const hook of hooks) {
      const moved = hook === 'after-pull' ? event.run.pulled : event.run.pushed;
      if (settings.programs[hook] !== undefined && moved.added + moved.changed + moved.removed > 0)
        add(event.site, hook, event.run);
    }
  }

  function add(id: SiteId, hook: AfterHook, run: RunRecord): void {
    const state = stateOf(id);
    const to = hook === 'after-pull' ? 'site' : 'gitlab';
    const moved = hook === 'after-pull' ? run.pulled : run.pushed;
    const files = new Map(run.files.filter((file) => file.to === to).map(({ path, mark }) => [path, mark]));
    const total = moved.added + moved.changed + moved.removed;
    if (hook === 'after-push' && isOwn(id, state, files, total)) {
      const text = 'The push contains only edits that the program had made, so it was not started again.';
      return void note(id, { ...unstarted(run, hook), text });
    }
    const { pending: waiting } = state;
    const earlier = waiting.get(hook);
    const before = earlier?.before ?? run.before;
    const all = new Map([...(earlier?.files ?? []), ...files]);
    waiting.set(hook, {
      ...{ run, files: all, tries: earlier?.tries ?? 0 },
      total: Math.max(all.size, (earlier?.total ?? 0) + (total - files.size)),
      ...(before ? { before } : {}),
    });
    // A new sync is a reason to try again at once.
    state.cancelWait?.abort();
    next(id);
  }

  /**
   * Whether a push brought nothing but what its own program writes each time: edited during both of its last two starts,
   * for somebody else may edit a file while it runs.
   */
  function isOwn(id: SiteId, state: SiteState, files: ReadonlyMap<SitePath, unknown>, total: number): boolean {
    const paths = [...files.keys()];
    const isComplete = paths.length === total;
    if (!tellsEdits(id)) {
      // Nothing tells whose edits these are. The same files soon after the program, again and again, are its own.
      const key = [...paths].sort().join('\0');
      const isSame = isComplete && key === state.lastPush && isSoon(state);
      state.lastPush = key;
      state.row = isSame ? state.row + 1 : 0;
      return false;
    }
    const [last, before] = state.ofPush;
    const isOwnPush = isComplete && paths.every((path) => state.own.has(path) && last.has(path) && before.has(path));
    for (const path of paths) state.own.delete(path);
    return isOwnPush;
  }

  const isSoon = ({ endedAt }: SiteState): boolean => clock.monotonic() - endedAt < rowMs;

  /** Whether each edit of the site is told of, so that those of a program can be told from others. */
  function tellsEdits(id: SiteId): boolean {
    const { watched = true, changedElsewhere = [] } = deps.status(id) ?? {};
    return watched && changedElsewhere.length === 0;
  }

  function next(id: SiteId): void {
    const state = stateOf(id);
    if (state.isRunning || state.cancelWait || stopping.signal.aborted) return;
    const hook = hooks.find((each) => state.pending.has(each));
    if (hook === undefined) return;
    if (tellsEdits(id)) state.row = state.hasEdited() && isSoon(state) ? state.row : 0;
    if (state.row >= mostRows && clock.monotonic() >= state.heldUntil) return hold(id, state, hook);
    const waitMs = state.heldUntil - clock.monotonic();
    if (waitMs > 0) return wait(id, state, waitMs);
    state.isRunning = true;
    void queue
      .add(() => start(id, state, hook))
      .catch((error: unknown) => deps.log('error', 'A program after a sync could not be started.', { site: id, error }))
      .finally(() => {
        state.isRunning = false;
        next(id);
      });
  }

  function hold(id: SiteId, state: SiteState, hook: AfterHook): void {
    state.row = 0;
    state.heldUntil = clock.monotonic() + heldMs;
    const text = `It edited the site after each of ${mostRows} starts in a row. It is started again in ten minutes.`;
    failed(id, state, hook, text);
    const pending = state.pending.get(hook);
    if (pending) void note(id, { ...unstarted(pending.run, hook), text });
    wait(id, state, heldMs);
  }

  function wait(id: SiteId, state: SiteState, ms: number): void {
    const cancel = new AbortController();
    state.cancelWait = cancel;
    const over = (): void => {
      if (state.cancelWait === cancel) state.cancelWait = undefined;
      next(id);
    };
    clock.sleep(ms, AbortSignal.any([cancel.signal, stopping.signal])).then(over, () => {
      if (!stopping.signal.aborted) over();
    });
  }

  async function start(id: SiteId, state: SiteState, hook: AfterHook): Promise<void> {
    const [site, pending, program = ''] = [deps.site(id), state.pending.get(hook), settings.programs[hook]];
    if (!site || !pending || stopping.signal.aborted) return void states.delete(id);
    state.pending.delete(hook);
    const fault = programFault(program, deps);
    const at = clock.now();
    if (fault !== undefined) {
      await note(id, { ...unstarted(pending.run, hook), text: fault });
      return again(id, state, hook, pending, fault);
    }
    const release = attribute(id, state, hook, program, pending.run);
    const began = clock.monotonic();
    const ended = await runProgram(program, inputOf(site, hook, pending), {
      ...{ limitMs: settings.limitMs, clock, signal: stopping.signal },
    }).catch((error: unknown) => error as Error);
    const durationMs = clock.monotonic() - began;
    state.endedAt = clock.monotonic();
    release();
    if (stopping.signal.aborted) return;
    const { result, text } = judge(ended, settings.limitMs);
    const output = escapeLines(deps.mask(ended instanceof Error ? '' : ended.output));
    await note(id, { run: pending.run.id, hook, at, durationMs, result, text, output });
    if (result !== 'done') return again(id, state, hook, pending, text);
    state.failures.delete(hook);
  }

  /** Edits while it runs, and a little later, are its own: nothing tells them from those of others at the same time. */
  function attribute(id: SiteId, state: SiteState, hook: AfterHook, program: string, run: RunRecord): () => void {
    const about = run.after ? ` after ${run.after.slice(0, 8)}` : '';
    const message = `Edits of ${basename(program)}\n\nMade by the program in ${hookVariable[hook]}${about}.`;
    const touched = new Set<SitePath>();
    const isPush = hook === 'after-push';
    const committed = (paths: readonly SitePath[]): void =>
      paths.forEach((path) => void (isPush && state.own.add(path)));
    if (isPush) state.ofPush = [touched, state.ofPush[0]];
    const end = deps.attribute(id, { paths: touched, message, committed });
    state.touched = touched;
    if (tellsEdits(id)) state.row += 1;
    state.hasEdited = () => touched.size > 0;
    const later = async (): Promise<void> => {
      await clock.sleep(lateMs, stopping.signal);
      if (state.touched === touched) state.touched = undefined;
      await clock.sleep(attributedMs, stopping.signal);
    };
    return () => void later().then(end, end);
  }

  function again(id: SiteId, state: SiteState, hook: AfterHook, pending: Pending, text: string): void {
    failed(id, state, hook, text);
    const newer = state.pending.get(hook);
    const tries = pending.tries + 1;
    const files = new Map([...pending.files, ...(newer?.files ?? [])]);
    state.pending.set(hook, {
      ...{
        run: newer?.run ?? pending.run,
        files,
        tries,
        total: Math.max(files.size, pending.total, newer?.total ?? 0),
      },
      ...(pending.before ? { before: pending.before } : {}),
    });
    const most = retriesMs.length - 1;
    wait(id, state, retriesMs[Math.min(tries - 1, most)] ?? 0);
  }

  function failed(id: SiteId, state: SiteState, hook: AfterHook, text: string): void {
    state.failures.set(hook, { times: (state.failures.get(hook)?.times ?? 0) + 1, text });
    deps.log('warn', 'A program after a sync failed.', { site: id, setting: hookVariable[hook], reason: text });
  }

  function unstarted(run: RunRecord, hook: AfterHook): Omit<AfterRecord, 'text'> {
    return { run: run.id, hook, at: clock.now(), durationMs: 0, result: 'not-started', output: '' };
  }

  async function note(id: SiteId, record: AfterRecord): Promise<void> {
    await deps
      .record(id, record)
      .catch((error: unknown) => deps.log('error', 'The history could not be written.', { site: id, error }));
  }

  return {
    happened,
    edited(id, path) {
      states.get(id)?.touched?.add(path);
    },
    failures: () =>
      [...states].flatMap(([site, state]) =>
        [...state.failures].map(([hook, { times, text }]) => ({ site, hook, times, text })),
      ),
    async stop() {
      stopping.abort();
      await queue.onIdle();
    },
  };
}

function judge(ended: Ended | Error, limitMs: number): Pick<AfterRecord, 'result' | 'text'> {
  if (ended instanceof Error) return { result: 'failed', text: `It could not be started: ${ended.message}.` };
  if (ended.wasTooLong)
    return { result: 'timed-out', text: `It ran for more than ${limitMs / 1_000} s and was ended.` };
  if (ended.code === 0) return { result: 'done', text: '' };
  if (ended.code === undefined) return { result: 'failed', text: `It was ended by ${ended.signal ?? 'a signal'}.` };
  return { result: 'failed', text: `It ended with exit code ${ended.code}.` };
}

const changes = { '+': 'added', '~': 'changed', '-': 'removed' } as const;

/** What a program reads. Members are only ever added. */
function inputOf({ id, name, folder, binding }: Site, hook: AfterHook, { run, before, files, total }: Pending): string {
  const shown = [...files].slice(0, mostFiles);
  const value = {
    version: 1,
    event: hook === 'after-pull' ? 'pulled' : 'pushed',
    site: { id, name, folder },
    repository: binding?.projectPath ?? '',
    branch: binding?.branch ?? '',
    before: before ?? null,
    commit: run.after ?? null,
    by: run.by ?? null,
    run: run.id,
    changes: shown.map(([path, mark]) => ({ ...pathOf(path), change: changes[mark] })),
    // Then everything may have changed.
    complete: shown.length === total,
  };
  return `${JSON.stringify(value)}\n`;
}

/** As text, and as bytes where it is no UTF-8. */
function pathOf(path: SitePath): { path: string; base64?: string } {
  const bytes = pathBytes(path);
  const text = bytes.toString();
  return Buffer.from(text).equals(bytes) ? { path: text } : { path: text, base64: bytes.toString('base64') };
}
