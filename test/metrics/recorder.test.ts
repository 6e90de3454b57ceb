import { Registry } from 'prom-client';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { siteGauges } from '../../src/metrics/gauges.ts';
import { createRecorder } from '../../src/metrics/recorder.ts';
import type { Numbered, RunRecord, Trigger } from '../../src/model/event.ts';
import { type SiteId, type SiteState, firstStatus } from '../../src/model/site.ts';
import type { SitePath } from '../../src/model/tree.ts';

const test = suite('metrics of what happens');
const site = 'harbour' as SiteId;
const path = (text: string): SitePath => text as SitePath;

function open() {
  const register = new Registry();
  let now = 0;
  const recorder = createRecorder(register, () => now);
  const run = (triggers: readonly Trigger[], files: RunRecord['files'], pulled = 0): void => {
    const tally = { added: 0, changed: 0, removed: 0 };
    const record: RunRecord = {
      ...{ id: 'r', at: 0, durationMs: 200, triggers, result: 'pushed', files, conflicts: [], output: '' },
      ...{ pulled: { ...tally, changed: pulled }, pushed: tally },
    };
    recorder.happened({ kind: 'run', site, run: record, id: 1, at: 0 });
  };
  const state = (which: SiteState): void => {
    const status = { ...firstStatus(0, 'unknown'), state: which };
    recorder.happened({ kind: 'status', site, status, id: 1, at: 0 } satisfies Numbered);
  };
  const valueOf = async (name: string, labels: Record<string, string> = {}): Promise<number | undefined> => {
    const found = (await register.getMetricsAsJSON()).find((metric) => name.startsWith(metric.name));
    const values = (found?.values ?? []) as { metricName?: string; labels: Record<string, string>; value: number }[];
    return values.find(
      (one) =>
        (one.metricName ?? found?.name) === name &&
        Object.entries(labels).every(([key, value]) => one.labels[key] === value),
    )?.value;
  };
  return { recorder, run, state, valueOf, pass: (ms: number) => (now += ms) };
}

test('an edit is timed from its first file event to the run that pushed it', async () => {
  const { recorder, run, valueOf, pass } = open();
  recorder.edited(site, path('a'));
  pass(1_500);
  recorder.edited(site, path('a'));
  pass(500);
  run(['watch'], [{ mark: '~', path: path('a'), to: 'gitlab' }]);
  assert.is(await valueOf('mooring_edit_to_push_seconds_sum'), 2);
  run(['watch'], [{ mark: '~', path: path('a'), to: 'gitlab' }]);
  assert.is(await valueOf('mooring_edit_to_push_seconds_count'), 1, 'without an event there is nothing to time');
});

test('what a pull writes into the folder is no edit', async () => {
  const { recorder, run, valueOf, pass } = open();
  recorder.edited(site, path('a'));
  pass(60_000);
  run(['webhook'], [{ mark: '~', path: path('a'), to: 'site' }], 1);
  run(['watch'], [{ mark: '~', path: path('a'), to: 'gitlab' }]);
  assert.is(await valueOf('mooring_edit_to_push_seconds_count'), 0);
});

test('an event that changed nothing does not lengthen the next edit', async () => {
  const { recorder, run, state, valueOf, pass } = open();
  recorder.edited(site, path('a'));
  state('in-sync');
  pass(3_600_000);
  recorder.edited(site, path('a'));
  pass(2_000);
  state('in-sync');
  run(['watch'], [{ mark: '~', path: path('a'), to: 'gitlab' }]);
  assert.is(await valueOf('mooring_edit_to_push_seconds_sum'), 2, 'the state is told before the run');
});

test('a webhook is timed to the run that brought its files', async () => {
  const { recorder, run, state, valueOf, pass } = open();
  // The call about a push of our own: nothing comes of it.
  recorder.delivered(site);
  state('in-sync');
  pass(60_000);
  recorder.delivered(site);
  pass(800);
  run(['webhook', 'poll'], [], 3);
  assert.is(await valueOf('mooring_webhook_to_file_seconds_sum'), 0.8);
  run(['poll'], [], 3);
  assert.is(await valueOf('mooring_webhook_to_file_seconds_count'), 1);
  assert.is(await valueOf('mooring_runs_total', { trigger: 'webhook' }), 1, 'a run with two triggers counts once');
});

test('answers of GitLab count by class, and what brought none as an error', async () => {
  const { recorder, valueOf } = open();
  for (const result of [200, 204, 404, 'gitlab-busy', 'gitlab-error', 'gitlab-unreachable', 'tls-untrusted'])
    recorder.answered(result, 100);
  const count = (status: string) => valueOf('mooring_gitlab_request_duration_seconds_count', { status });
  assert.equal(await Promise.all(['2xx', '4xx', '5xx', 'error'].map(count)), [2, 2, 1, 2]);
});

test('a site of any name is one label, and those beyond the bound are summed up, the worst time first', async () => {
  const row = (id: string, state: SiteState, checkedAt: number, oldestUnpushedAt?: number) => ({
    site: { id: id as SiteId, name: `${id} "quoted"\n` },
    status: {
      ...firstStatus(0, 'unknown'),
      ...{ state, checkedAt, conflicts: 2 },
      waiting: { toPull: 1, toPush: 3, ...(oldestUnpushedAt === undefined ? {} : { oldestUnpushedAt }) },
    },
  });
  const rows = [row('a', 'in-sync', 9_000), row('b', 'waiting', 8_000, 5_000), row('c', 'waiting', 7_000, 2_000)];
  const text = await siteGauges(rows, { most: 1, now: 10_000 }).metrics();
  for (const line of [
    'mooring_site_state{site="a",name="a \\"quoted\\"\\n",state="in-sync"} 1',
    'mooring_site_state{site="other",name="other",state="waiting"} 2',
    'mooring_site_pending_paths{site="other",name="other",direction="push"} 6',
    'mooring_site_conflicts{site="other",name="other"} 4',
    'mooring_site_last_success_timestamp_seconds{site="other",name="other"} 7',
    'mooring_site_oldest_unpushed_edit_age_seconds{site="other",name="other"} 8',
  ])
    assert.ok(text.split('\n').includes(line), `${line} in\n${text}`);
});

test.run();
