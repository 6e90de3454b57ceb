import { type AfterRecord, hookVariable } from '../model/after.ts';
import type { RunRecord } from '../model/event.ts';
import type { Site } from '../model/site.ts';
import { displayPath, escapeControls, escapeLines, pathBytes, type Tally } from '../model/tree.ts';
import { markView } from './plan-view.ts';
import { shortOid, commitUrl } from './site-frame.ts';
import { count, dayHeading, duration, number, when } from './times.ts';
import { problemView } from './sync-view.ts';
import { runHeadline, triggerWords } from './words.ts';

const looks: Record<RunRecord['result'], { readonly tone: string; readonly icon: string }> = {
  pulled: { tone: 'good', icon: 'pull' },
  pushed: { tone: 'good', icon: 'push' },
  merged: { tone: 'good', icon: 'refresh' },
  connected: { tone: 'good', icon: 'gitlab' },
  held: { tone: 'bad', icon: 'state-hold' },
  failed: { tone: 'warn', icon: 'state-retrying' },
  refused: { tone: 'bad', icon: 'error' },
  recovered: { tone: 'mute', icon: 'restore' },
  restored: { tone: 'mute', icon: 'restore' },
};

/** A site's activity, day by day, newest first. */
export function runDays(site: Site, runs: readonly RunRecord[], after: readonly AfterRecord[], now: number) {
  const days: { heading: string; runs: ReturnType<typeof runView>[] }[] = [];
  for (const run of runs) {
    const heading = dayHeading(run.at, now);
    if (days.at(-1)?.heading !== heading) days.push({ heading, runs: [] });
    days.at(-1)?.runs.push(
      runView(
        site,
        run,
        after.filter((one) => one.run === run.id),
        now,
      ),
    );
  }
  return days;
}

function runView(site: Site, run: RunRecord, after: readonly AfterRecord[], now: number) {
  const total = add(run.pulled, run.pushed);
  const files = run.files.slice(0, 200);
  return {
    id: run.id,
    ...looks[run.result],
    headline: escapeControls(runHeadline(run)),
    trigger: run.triggers.map((one) => triggerWords[one]).join(', '),
    range: rangeView(site, run),
    took: duration(run.durationMs),
    delta: total.added + total.changed + total.removed > 0 ? deltaView(total) : null,
    by: escapeControls(run.by ?? ''),
    subject: escapeControls(run.subject ?? ''),
    time: when(run.at, now),
    files: files.map(({ mark, path, to }) => ({
      ...markView[mark],
      path: displayPath(path),
      to: to === 'site' ? 'to the folder' : 'to GitLab',
    })),
    moreFiles: moreFiles(total, files.length),
    conflicts: run.conflicts.map(displayPath),
    letGo: (run.letGo ?? []).map((path) => ({ path: displayPath(path), p: pathBytes(path).toString('base64url') })),
    problem: run.problem ? problemView(run.problem) : null,
    held: run.hold !== undefined,
    // Written by the engine with controls visible; once more, because a page is no place for trust.
    output: escapeLines(run.output),
    after: after.map((one) => afterView(one, now)),
  };
}

const afterLooks: Record<AfterRecord['result'], string> = {
  done: 'finished',
  failed: 'failed',
  'timed-out': 'timed out',
  'not-started': 'was not started',
};

/** A program that was started after the run. */
function afterView({ hook, at, durationMs, result, text, output }: AfterRecord, now: number) {
  const took = result === 'not-started' ? '' : `, ${duration(durationMs)}`;
  return {
    head: `${hookVariable[hook]} ${afterLooks[result]}${took}`,
    isBad: result === 'failed' || result === 'timed-out',
    time: when(at, now),
    text: escapeControls(text),
    output: escapeLines(output),
  };
}

function rangeView(site: Site, { before, after }: RunRecord): { text: string; href: string } | null {
  if (after === undefined) return null;
  return {
    text: before === undefined ? shortOid(after) : `${shortOid(before)}..${shortOid(after)}`,
    href: commitUrl(site, after),
  };
}

function deltaView({ added, changed, removed }: Tally) {
  return {
    added: number(added),
    changed: number(changed),
    removed: number(removed),
    zero: { added: added === 0, changed: changed === 0, removed: removed === 0 },
  };
}

function moreFiles({ added, changed, removed }: Tally, shown: number): string {
  const rest = added + changed + removed - shown;
  return shown > 0 && rest > 0 ? `and ${count(rest, 'more file')}` : '';
}

function add(a: Tally, b: Tally): Tally {
  return { added: a.added + b.added, changed: a.changed + b.changed, removed: a.removed + b.removed };
}
