import { createTask, type ScheduledTask, validate } from 'node-cron';
import type { Site, SiteId } from '../model/site.ts';
import type { Clock, Random } from '../model/world.ts';
import { quietLogger } from './schedule.ts';

export interface PollDeps {
  readonly onTrigger: (site: SiteId, trigger: 'poll' | 'rescan') => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: (level: 'info' | 'warn' | 'error', message: string) => void;
  /** ms over which sites with the same schedule are spread. */
  readonly jitterMs?: number;
}

export interface Poll {
  /** Schedules a site, or changes its schedules. A paused or unconnected site is taken off. */
  update(site: PolledSite): void;
  remove(id: SiteId): void;
  /** When the branch is checked next, in ms since 1970; undefined for a site without schedules. */
  next(id: SiteId): number | undefined;
  /** Three checks' time, in ms: without a good one for so long, nobody knows how a site stands. */
  patience(id: SiteId): number | undefined;
  /** False when the scheduler itself has not run for minutes: then nothing is checked by the clock any more. */
  isAlive(): boolean;
  /** Ends every schedule; triggers that were being delayed never come. */
  stop(): Promise<void>;
}

type PolledSite = Pick<Site, 'id' | 'paused' | 'binding'> & {
  readonly settings: Pick<Site['settings'], 'poll' | 'rescan'>;
};

/**
 * Triggers each site by its two schedules: check the branch, compare the whole folder. Jitter keeps a thousand sites with
 * the same minute from asking GitLab in the same second. A site whose webhook works is checked every ten minutes at
 * most. A schedule that cannot be read is logged and left out.
 */
export function createPoll(deps: PollDeps): Poll {
  const schedules = new Map<SiteId, SiteSchedule>();
  const { jitterMs = 15_000 } = deps;
  let tickedAt: number | undefined = deps.clock.monotonic();
  const heart = createTask('* * * * *', () => void (tickedAt &&= deps.clock.monotonic()), {
    ...{ name: 'scheduler', logger: quietLogger(deps.log), unref: true },
  });
  void heart.start();

  function schedule(siteSchedule: SiteSchedule, id: SiteId, trigger: 'poll' | 'rescan', expression: string): void {
    const fault = checkCron(expression);
    if (fault !== undefined) return deps.log('error', `The ${trigger} schedule of site ${id} is not used: ${fault}`);
    const fire = async () => {
      if (trigger === 'poll' && restsUntil(siteSchedule) > deps.clock.now()) return;
      if (trigger === 'poll') siteSchedule.polledAt = deps.clock.now();
      await deps.clock.sleep(deps.random.fraction() * jitterMs, siteSchedule.stopped.signal);
      deps.onTrigger(id, trigger);
    };
    const run = () =>
      fire().catch((error: unknown) => void (siteSchedule.stopped.signal.aborted || deps.log('error', String(error))));
    const options = { noOverlap: true, name: `${trigger} ${id}`, logger: quietLogger(deps.log), unref: true };
    const task = createTask(expression, run, options);
    siteSchedule.tasks.push(task);
    void task.start();
  }

  /** The next four checks of the branch, in ms since 1970: worked out once for each check, for pages ask often. */
  function nextRuns(of: SiteSchedule): readonly number[] {
    const [known] = of.nextRuns;
    if (known === undefined || known <= deps.clock.now())
      of.nextRuns = of.tasks[0]?.getNextRuns(4).map((date) => date.getTime()) ?? [];
    return of.nextRuns;
  }

  async function remove(id: SiteId): Promise<void> {
    const siteSchedule = schedules.get(id);
    schedules.delete(id);
    siteSchedule?.stopped.abort();
    for (const task of siteSchedule?.tasks ?? []) await task.destroy();
  }

  return {
    update(site) {
      const key = JSON.stringify(site.settings);
      const isOff = site.paused || !site.binding;
      const isProven = ['working', 'system'].includes(site.binding?.webhook.kind ?? '');
      const present = schedules.get(site.id);
      if (present) present.isProven = isProven;
      if (!isOff && present?.key === key) return;
      void remove(site.id);
      if (isOff) return;
      const begin = { tasks: [], stopped: new AbortController(), polledAt: 0, nextRuns: [] };
      const siteSchedule: SiteSchedule = { key, isProven, ...begin };
      schedules.set(site.id, siteSchedule);
      schedule(siteSchedule, site.id, 'poll', site.settings.poll);
      schedule(siteSchedule, site.id, 'rescan', site.settings.rescan);
    },
    remove: (id) => void remove(id),
    next(id) {
      const siteSchedule = schedules.get(id);
      const [next] = siteSchedule ? nextRuns(siteSchedule) : [];
      return siteSchedule && next !== undefined ? Math.max(next, restsUntil(siteSchedule)) : next;
    },
    patience(id) {
      const siteSchedule = schedules.get(id);
      const [first, , , fourth] = siteSchedule ? nextRuns(siteSchedule) : [];
      if (!siteSchedule || first === undefined || fourth === undefined) return undefined;
      return Math.max(fourth - first, siteSchedule.isProven ? 3 * restMs : 0) + jitterMs;
    },
    isAlive: () => tickedAt !== undefined && deps.clock.monotonic() - tickedAt < tickLateMs,
    async stop() {
      tickedAt = undefined;
      await Promise.all([heart.destroy(), ...[...schedules.keys()].map(remove)]);
    },
  };
}

interface SiteSchedule {
  /** What it was made from. */
  readonly key: string;
  readonly tasks: ScheduledTask[];
  /** GitLab's calls arrive: checking is only the safety net. */
  isProven: boolean;
  /** ms since 1970: when the branch was last checked by the clock. */
  polledAt: number;
  /** ms since 1970; empty until somebody asks. */
  nextRuns: readonly number[];
  readonly stopped: AbortController;
}

/** While the webhook proves itself, one check in ten minutes is enough; without proof this is over at once. */
function restsUntil({ isProven, polledAt }: SiteSchedule): number {
  // A little less, so that the tenth minute's own check is not skipped for a second.
  return isProven ? polledAt + restMs - 30_000 : 0;
}

const restMs = 10 * 60_000;
/** The scheduler beats each minute; two missed beats are a machine under load, three are not. */
const tickLateMs = 3.5 * 60_000;

/**
 * What is wrong with a schedule, as a sentence for its field; undefined when it can be used. Seconds are refused (a form
 * asks for minutes), and so are ranges that run backwards: node-cron would wrap them round, which nobody expects.
 */
export function checkCron(expression: string): string | undefined {
  const fields = expression.trim().split(/\s+/);
  if (fields.length !== 5) return 'Write five fields: minute, hour, day of month, month, weekday; such as */5 * * * *.';
  const reversed = fields.flatMap((field) => field.split(',')).find(isReversed);
  if (reversed !== undefined) return `The range ${reversed} runs backwards. Write it as two, separated by a comma.`;
  if (validate(fields.join(' '))) return undefined;
  return 'This is no schedule, or one that never comes. An example: */5 * * * * is every five minutes.';
}

function isReversed(part: string): boolean {
  const [, from = '', to = ''] = /^([a-z0-9]+)-([a-z0-9]+)(?:\/\d+)?$/i.exec(part) ?? [];
  if (from === '') return false;
  return ordinal(from) > ordinal(to, 'end');
}

const names = [
  ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'],
  ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'],
];

/** Sunday ends a week as well as it begins one: `fri-sun` runs forwards. */
function ordinal(text: string, place: 'start' | 'end' = 'start'): number {
  if (/^\d+$/.test(text)) return Number(text);
  const word = text.slice(0, 3).toLowerCase();
  if (word === 'sun' && place === 'end') return 7;
  return names.map((list) => list.indexOf(word)).find((index) => index >= 0) ?? Number.NaN;
}
