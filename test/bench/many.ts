import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { readdirSync } from 'node:fs';
import { socketPath } from '../../src/socket.ts';
import { openStore } from '../../src/store/store.ts';
import { systemRandom } from '../../src/world.ts';
import { type Harbour, inHarbour } from '../support/daemon.ts';
import type { Project } from '../support/gitlab/server.ts';
import { sign } from '../support/gitlab/webhooks.ts';
import { signedIn } from '../support/moored.ts';
import { overSocket } from '../support/over-socket.ts';
import { costOf, machine, quantile, writeBetween } from './measure.ts';

/**
 * What one daemon costs with many sites, beside itself without any:
 *
 *     npm run bench:sites -- [--sites 200] [--calls 5000] [--idle-minutes 1] [--write]
 *
 * Adds and connects the sites one after another, lets them rest, opens pages while four sites a second are edited, sends
 * GitLab's calls in one minute, and starts the daemon again. Event-loop delays are measured in the daemon itself.
 */
const { values: options } = parseArgs({
  options: {
    sites: { type: 'string', default: '200' },
    calls: { type: 'string', default: '5000' },
    'idle-minutes': { type: 'string', default: '1' },
    write: { type: 'boolean', default: false },
  },
});
const [count, calls, idleMinutes] = [options.sites, options.calls, options['idle-minutes']].map(Number) as [
  number,
  number,
  number,
];

interface Added {
  readonly id: string;
  readonly folder: string;
  readonly project: Project;
  readonly ms: number;
}

const rows: string[] = [];
const row = (what: string, value: string): void => {
  rows.push(`| ${what} | ${value} |`);
  process.stdout.write(`${what}: ${value}\n`);
};
const mib = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(0)} MiB`;
const ms = (values: readonly number[]): string =>
  `${quantile(values, 0.5).toFixed(0)} / ${quantile(values, 0.95).toFixed(0)} / ${Math.max(...values).toFixed(0)} ms`;

async function api(harbour: Harbour, method: string, path: string, body?: unknown): Promise<Record<string, unknown>> {
  const answer = await overSocket(socketPath(harbour.stateDir), method, `/api/v1${path}`, body);
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.body.slice(0, 400)}`);
  return answer.body === '' ? {} : (JSON.parse(answer.body) as Record<string, unknown>);
}

async function addSite(harbour: Harbour, at: number, connection: string): Promise<Added> {
  const folder = join(harbour.sites, `site-${at}`);
  await mkdir(folder);
  const files = Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`d${n % 4}/${n}.txt`, `${at} ${n}\n`]));
  const project = await harbour.gitlab.projects.create({ path: `harbour/site-${at}`, owner: 'ana', files });
  const began = performance.now();
  const { id } = (await api(harbour, 'POST', '/sites', { name: `Site ${at}`, folder })) as { id: string };
  const to = { repository: project.id, branch: 'main', connection };
  const { id: plan } = (await api(harbour, 'POST', `/sites/${id}/connect/plan`, to)) as { id: string };
  await api(harbour, 'POST', `/sites/${id}/connect`, { ...to, plan });
  return { id, folder, project, ms: performance.now() - began };
}

async function inSync(harbour: Harbour): Promise<number> {
  const { sites } = (await api(harbour, 'GET', '/sites?limit=1000')) as { sites: { state: string }[] };
  return sites.filter(({ state }) => state === 'in-sync').length;
}

async function untilInSync(harbour: Harbour, wanted: number): Promise<number> {
  const began = performance.now();
  while ((await inSync(harbour).catch(() => 0)) < wanted) await sleep(100);
  return performance.now() - began;
}

/** Delays of the daemon's event loop, told by the daemon itself at the end of each of these. */
async function delays(harbour: Harbour, act: () => Promise<void>): Promise<string> {
  process.kill(harbour.daemon?.pid ?? 0, 'SIGUSR2');
  await sleep(50);
  await act();
  process.kill(harbour.daemon?.pid ?? 0, 'SIGUSR2');
  await sleep(200);
  const told = [...harbour.output().matchAll(/event loop: (.*)/g)].at(-1)?.[1];
  return told ?? 'not told';
}

async function firstByte(url: string, cookie: string): Promise<number> {
  const began = performance.now();
  const answer = await fetch(url, { headers: { cookie } });
  const at = performance.now() - began;
  await answer.arrayBuffer();
  if (answer.status !== 200) throw new Error(`${url}: ${answer.status}`);
  return at;
}

async function pages(harbour: Harbour, sites: readonly Added[]): Promise<void> {
  const clicker = await signedIn(harbour);
  const cookie = clicker.cookies(harbour.url);
  const times: Record<string, number[]> = { '/': [], '/sites/…': [], '/activity': [] };
  let edits = 0;
  const end = performance.now() + 20_000;
  const editing = (async () => {
    while (performance.now() < end) {
      const site = sites[edits % sites.length]!;
      edits += 1;
      await writeFile(join(site.folder, 'd1', 'edited.txt'), `edit ${edits}\n`);
      await sleep(250);
    }
  })();
  const told = await delays(harbour, async () => {
    while (performance.now() < end) {
      times['/']!.push(await firstByte(`${harbour.url}/`, cookie));
      times['/sites/…']!.push(await firstByte(`${harbour.url}/sites/${sites[0]!.id}`, cookie));
      times['/activity']!.push(await firstByte(`${harbour.url}/activity`, cookie));
      await sleep(100);
    }
    await editing;
  });
  for (const [path, values] of Object.entries(times))
    row(`page ${path} at 4 edits a second: first byte, median / p95 / worst`, ms(values));
  row('event loop meanwhile', told);
}

/** GitLab's calls, signed as GitLab signs them, evenly over a minute. */
async function storm(harbour: Harbour, sites: readonly Added[]): Promise<void> {
  const copy = join(harbour.dir, 'state-copy');
  await cp(harbour.stateDir, copy, { recursive: true, filter: (path) => !/\/(lock|run|repositories)/.test(path) });
  const store = await openStore({
    ...{ path: copy, random: systemRandom, now: () => Date.now(), onFault: () => {}, onNotes: () => {} },
  });
  const secrets = new Map(sites.map(({ id }) => [id, store.sites.hookSecrets(id)]));
  await store.close();
  const times: number[] = [];
  const statuses = new Map<number, number>();
  const call = async ({ id, project }: Added): Promise<void> => {
    const secret = secrets.get(id);
    const body = JSON.stringify({ object_kind: 'push', ref: 'refs/heads/main', after: await project.head() });
    const [key, timestamp] = [randomUUID(), String(Math.floor(Date.now() / 1_000))];
    const headers: Record<string, string> = {
      ...{ 'Content-Type': 'application/json', 'X-Gitlab-Event': 'Push Hook' },
      ...{ 'webhook-id': key, 'webhook-timestamp': timestamp, 'X-Gitlab-Token': secret?.token.open() ?? '' },
    };
    if (secret?.signing) headers['webhook-signature'] = sign(secret.signing.open(), key, timestamp, body);
    const began = performance.now();
    const { status } = await fetch(`${harbour.url}/hooks/gitlab/${id}`, { method: 'POST', headers, body });
    times.push(performance.now() - began);
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
  };
  const told = await delays(harbour, async () => {
    const began = performance.now();
    const under: Promise<void>[] = [];
    for (let at = 0; at < calls; at += 1) {
      const due = began + (at * 60_000) / calls;
      if (performance.now() < due) await sleep(due - performance.now());
      under.push(call(sites[at % sites.length]!));
    }
    await Promise.all(under);
  });
  row(`${calls} calls of GitLab in a minute: answer, median / p95 / worst`, ms(times));
  row('  statuses', [...statuses].map(([status, n]) => `${n} × ${status}`).join(', '));
  row('  event loop meanwhile', told);
  row('  all in sync after, s', ((await untilInSync(harbour, sites.length)) / 1_000).toFixed(1));
}

function descriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

await inHarbour(
  async (harbour) => {
    const pid = (): number => harbour.daemon?.pid ?? 0;
    row('load when it began', loadavg()[0]!.toFixed(1));
    await sleep(3_000);
    row('memory without a site (PSS, all processes)', mib((await costOf(pid())).memory));
    const { connections } = (await api(harbour, 'GET', '/connections')) as { connections: { id: string }[] };
    const sites: Added[] = [];
    for (let at = 1; at <= count; at += 1) {
      sites.push(await addSite(harbour, at, connections[0]!.id));
      if (at === 120) row('memory with 120 sites', mib((await costOf(pid())).memory));
    }
    const took = sites.map((site) => site.ms);
    row('adding and connecting a site: the first 20, median / p95 / worst', ms(took.slice(0, 20)));
    row(`the last 20 of ${count}`, ms(took.slice(-20)));
    await untilInSync(harbour, count);
    await sleep(35_000);
    row(`memory with ${count} sites`, mib((await costOf(pid())).memory));
    row('descriptors', String(descriptors(pid())));
    const before = await costOf(pid());
    await sleep(idleMinutes * 60_000);
    const after = await costOf(pid());
    row('CPU at rest, ms a second', (((after.cpu - before.cpu) * 1_000) / (idleMinutes * 60)).toFixed(1));
    await pages(harbour, sites);
    await untilInSync(harbour, count);
    await storm(harbour, sites);
    await sleep(35_000);
    row('memory after all that', mib((await costOf(pid())).memory));
    row('descriptors', String(descriptors(pid())));
    await harbour.stop();
    const began = performance.now();
    await harbour.start();
    row('start: ready after, s', ((performance.now() - began) / 1_000).toFixed(1));
    await untilInSync(harbour, count);
    row('  all in sync after, s', ((performance.now() - began) / 1_000).toFixed(1));
    const text = `Measured on ${new Date().toISOString().slice(0, 10)}. ${machine()}\n\n| ${count} sites | |\n| --- | --- |\n${rows.join('\n')}\n`;
    process.stdout.write(`\n${text}`);
    if (options.write) await writeBetween('scale.md', 'bench:sites', text);
    await rm(harbour.dir, { recursive: true, force: true });
  },
  {
    isBuilt: true,
    env: { NODE_OPTIONS: `--import ${new URL('./event-loop.js', import.meta.url).href}`, MOORING_LOG_LEVEL: 'warn' },
  },
);
process.exit(0);
