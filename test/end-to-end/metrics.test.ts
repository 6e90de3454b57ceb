import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readConfig } from '../../src/config.ts';
import { socketPath } from '../../src/socket.ts';
import { type Harbour, freePort, harbour } from '../support/daemon.ts';
import { addSite, makeFolder, mooredSite } from '../support/moored.ts';
import { overSocket } from '../support/over-socket.ts';
import { until } from '../support/until.ts';

const test = suite('metrics');
const config = join(import.meta.dirname, '..', '..', 'config');
const hasPrometheus = ['prometheus', 'promtool'].every(
  (name) => !spawnSync(name, ['--version'], { stdio: 'ignore' }).error,
);
const skipped = (): boolean => {
  if (!hasPrometheus) console.log('not run here: there is no prometheus and promtool');
  return !hasPrometheus;
};

function promtool(args: readonly string[], input?: string): string {
  const { status, stdout, stderr } = spawnSync('promtool', args, { input, encoding: 'utf8', timeout: 120_000 });
  assert.is(status, 0, `promtool ${args.join(' ')}: ${stdout}${stderr}`);
  return stdout;
}

/** `name{labels}` to value. */
function samples(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

const metricsOf = async ({ stateDir }: Harbour): Promise<string> =>
  (await overSocket(socketPath(stateDir), 'GET', '/metrics')).body;

test('the rules are valid, and each fires when it should and only then', () => {
  if (skipped()) return;
  assert.match(promtool(['check', 'rules', join(config, 'alerts.yml')]), /SUCCESS: \d+ rules found/);
  assert.match(promtool(['test', 'rules', join(config, 'alerts-test.yml')]), 'SUCCESS');
});

test('every alert has a test', async () => {
  const names = (text: string, pattern: RegExp): string[] =>
    [...new Set([...text.matchAll(pattern)].map(([, name = '']) => name))].sort();
  const rules = names(await readFile(join(config, 'alerts.yml'), 'utf8'), /alert: (\w+)/g);
  assert.equal(names(await readFile(join(config, 'alerts-test.yml'), 'utf8'), /alertname: (\w+)/g), rules);
});

test('a real daemon tells what happened, in Prometheus’ own words', async () => {
  const port = await freePort();
  const made = await harbour({ env: { MOORING_METRICS_LISTEN: `127.0.0.1:${port}`, MOORING_METRICS_SITES: '1' } });
  const alone = `http://127.0.0.1:${port}/metrics`;
  try {
    const site = await mooredSite(made, { files: { 'a.txt': 'a\n' } });
    await site.settled();
    for (const name of ['Museum', 'Parks'])
      await addSite(made, site.clicker, name, await makeFolder(made.sites, name, {}));
    const count = async (name: string): Promise<number> => samples(await metricsOf(made)).get(name) ?? 0;
    await site.write('b.txt', 'b\n');
    await until('the edit was timed', async () => (await count('mooring_edit_to_push_seconds_count')) > 0);
    await site.settled();
    await site.project.push('main', { 'c.txt': 'c\n' });
    await until('the webhook was timed', async () => (await count('mooring_webhook_to_file_seconds_count')) > 0);
    await site.settled();

    const text = await (await fetch(alone)).text();
    const found = samples(text);
    const harbourLabels = `site="${site.id}",name="Harbour"`;
    assert.is(found.get(`mooring_site_state{${harbourLabels},state="in-sync"}`), 1);
    assert.is(
      found.get('mooring_site_state{site="other",name="other",state="off"}'),
      2,
      'beyond the bound they are summed',
    );
    assert.not.match(text, 'Museum');
    assert.ok((found.get('mooring_runs_total{result="pushed",trigger="watch"}') ?? 0) >= 1);
    assert.ok((found.get('mooring_gitlab_request_duration_seconds_count{status="2xx"}') ?? 0) > 5);
    assert.ok((found.get('mooring_edit_to_push_seconds_sum') ?? 0) > 0.5, 'the quiet time is part of it');
    if (hasPrometheus) promtool(['check', 'metrics'], text);
    else console.log('not run here: promtool check metrics');

    // Over the network only with a token; the listener of its own only by its own names.
    assert.is((await fetch(`${made.url}/metrics`)).status, 401);
    const other = spawnSync('curl', ['-s', '-o', '/dev/null', '-w', '%{http_code}', '-H', 'Host: evil.test', alone]);
    assert.is(other.stdout.toString(), '404');
    assert.is((await fetch(`http://127.0.0.1:${port}/api/v1/sites`)).status, 404);
    if (!skipped()) await withPrometheus(made, port, askEverything);
  } finally {
    await made.close();
  }
});

type Ask = (query: string) => Promise<readonly unknown[]>;

/** Every query of the dashboard and of the alerts, on what Prometheus scraped. */
async function askEverything(ask: Ask): Promise<void> {
  const dashboard = JSON.parse(await readFile(join(config, 'grafana-dashboard.json'), 'utf8')) as {
    panels: { title: string; targets: { expr: string }[] }[];
  };
  // Nothing of theirs happens in this test.
  const mayBeEmpty = new Set(['Days until a token expires']);
  for (const { title, targets } of dashboard.panels) {
    for (const { expr } of targets) {
      const rows = await ask(expr.replaceAll('$__rate_interval', '1h').replaceAll('$site', '.*'));
      assert.ok(rows.length > 0 || mayBeEmpty.has(title), `${title}: ${expr} gives nothing`);
    }
  }
  const rules = await readFile(join(config, 'alerts.yml'), 'utf8');
  const queries = [...rules.matchAll(/expr: (?:\|\n((?: {10,}.*\n)+)|(.*))/g)].map(
    ([, block, line]) => block ?? line ?? '',
  );
  assert.ok(queries.length >= 14);
  for (const query of queries) await ask(query);
}

/** A Prometheus of its own that scrapes the daemon; `use` asks it. */
async function withPrometheus({ dir }: Harbour, port: number, use: (ask: Ask) => Promise<void>): Promise<void> {
  const own = await freePort();
  const file = join(dir, 'prometheus.yml');
  await mkdir(join(dir, 'tsdb'));
  const rules = join(config, 'alerts.yml');
  await writeFile(
    file,
    `global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: ['${rules}']
scrape_configs: [{ job_name: mooring, static_configs: [{ targets: ['127.0.0.1:${port}'] }] }]\n`,
  );
  const args = [
    `--config.file=${file}`,
    `--storage.tsdb.path=${join(dir, 'tsdb')}`,
    `--web.listen-address=127.0.0.1:${own}`,
  ];
  const child: ChildProcess = spawn('prometheus', args, { stdio: 'ignore' });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const ask: Ask = async (query) => {
    const answer = await fetch(`http://127.0.0.1:${own}/api/v1/query`, {
      method: 'POST',
      body: new URLSearchParams({ query }),
    });
    const { status, error, data } = (await answer.json()) as {
      status: string;
      error?: string;
      data: { result: unknown[] };
    };
    assert.is(status, 'success', `${query}: ${error ?? ''}`);
    return data.result;
  };
  try {
    // Rates need two scrapes.
    await until(
      'Prometheus has scraped twice',
      async () => (await ask('count_over_time(mooring_build_info[1h]) > 3')).length > 0,
    );
    await use(ask);
  } finally {
    child.kill('SIGTERM');
    await ended;
  }
}

test('the listener is for this machine alone', () => {
  const read = (value: string) =>
    readConfig({ PATH: process.env['PATH'], MOORING_METRICS_LISTEN: value }, { terminal: false, uid: 1 });
  assert.equal(read('127.0.0.1:7421').metrics.listen, { host: '127.0.0.1', port: 7421 });
  assert.equal(read('[::1]:7421').metrics.listen, { host: '::1', port: 7421 });
  for (const wrong of ['0.0.0.0:7421', '10.0.0.1:7421', 'localhost', '7421', '127.0.0.1:99999', '[::]:7421'])
    assert.throws(
      () => read(wrong),
      (error: { facts: { text: string } }) => error.facts.text.startsWith('MOORING_METRICS_LISTEN'),
    );
});

test.run();
