import { setTimeout as sleep } from 'node:timers/promises';
import { when } from '../web/times.ts';
import type { Cli } from './cli.ts';
import { type Column, type Output, pairs, table } from './output.ts';
import { type SiteView, allSites, findSite } from './sites.ts';

/** How one site is, or all of them. */
export async function status(cli: Cli, name: string | undefined, { watch }: { watch: boolean }): Promise<void> {
  const fetchSites = async (): Promise<readonly SiteView[]> =>
    name === undefined ? allSites(cli) : [await findSite(cli, name)];
  if (watch) return follow(cli, name, fetchSites);
  show(cli, name, await fetchSites());
}

function show({ json, out }: Cli, name: string | undefined, sites: readonly SiteView[]): void {
  if (json) return out.json(name === undefined ? { sites } : sites[0]);
  for (const line of lines(out, name, sites)) out.line(line);
}

function lines(out: Output, name: string | undefined, sites: readonly SiteView[]): string[] {
  if (name !== undefined) return sites.flatMap((site) => details(out, site));
  if (sites.length === 0) return ['There are no sites yet. Add one with “mooring site add”.'];
  const concerns = sites.flatMap((site) => concern(site).map((text): [string, string] => [site.name, text]));
  return [...table(out, overview, sites), ...(concerns.length === 0 ? [] : ['', ...pairs(out, concerns)])];
}

const now = (): number => Date.now();
const ago = (time: string | null): string => (time === null ? '–' : when(Date.parse(time), now()).relative);

const overview: readonly Column<SiteView>[] = [
  { title: 'SITE', of: ({ name }) => name, least: 12 },
  { title: 'STATE', of: ({ stateText }) => stateText, style: ({ state }) => stateStyles[state] },
  { title: 'CHECKED', of: ({ checkedAt }) => ago(checkedAt) },
  { title: 'WAITING', of: waitingWords },
  { title: 'REPOSITORY', of: repositoryWords, least: 16 },
];

const stateStyles = {
  'in-sync': 'green',
  syncing: 'blue',
  waiting: 'blue',
  retrying: 'yellow',
  hold: 'red',
  paused: 'yellow',
  off: 'dim',
  unknown: 'dim',
} as const;

function waitingWords({ waiting: { toPull, toPush } }: SiteView): string {
  return [toPush > 0 ? `${toPush} up` : '', toPull > 0 ? `${toPull} down` : ''].filter(Boolean).join(', ') || '–';
}

function repositoryWords({ repository }: SiteView): string {
  return repository === null ? '–' : `${repository.path}:${repository.branch}`;
}

/** What somebody should look at. */
function concern({ problem, hold, state, conflicts }: SiteView): string[] {
  return [
    ...(problem === null ? [] : [`${problem.title}. ${problem.happened} To do: ${problem.todo}`]),
    ...(hold !== null && problem === null ? ['Waits for a decision. See its page in Mooring.'] : []),
    ...(conflicts > 0
      ? [`${conflicts === 1 ? '1 conflict' : `${conflicts} conflicts`}: see “mooring conflicts”.`]
      : []),
    ...(state === 'off' ? ['Not connected: see “mooring connect”.'] : []),
  ];
}

function details(out: Output, site: SiteView): string[] {
  const { lastPull, lastPush, nextTryAt, notSynced } = site;
  const moved = (one: SiteView['lastPull']): string =>
    one === null ? 'none' : `${ago(one.at)}, ${one.files} ${one.files === 1 ? 'file' : 'files'}: ${one.subject}`;
  return [
    ...pairs(out, [
      ['Site', `${site.name} (${site.id})`],
      ['Folder', site.folder],
      ['Repository', repositoryWords(site)],
      ['State', `${site.stateText}, since ${ago(site.since)}`.replace('since now', 'just now').replace(/ ago$/, '')],
      ['Checked', ago(site.checkedAt)],
      ['Last pull', moved(lastPull)],
      ['Last push', moved(lastPush)],
      ['Waiting', waitingWords(site)],
      ...(nextTryAt === null ? [] : [['Next try', ago(nextTryAt)] as const]),
      ['Conflicts', String(site.conflicts)],
      ['Not synced', String(notSynced)],
    ]),
    ...concern(site).flatMap((text) => ['', ...pairs(out, [['Attention', text]])]),
  ];
}

/** ms between two requests while the daemon tells nothing: "5 s ago" grows older by itself. */
const lookEveryMs = 2_000;

/** On a terminal the whole, drawn anew; elsewhere a line, or a JSON object, for each site whose state changed. */
async function follow(
  cli: Cli,
  name: string | undefined,
  fetchSites: () => Promise<readonly SiteView[]>,
): Promise<void> {
  const { out, json } = cli;
  const seen = new Map<string, string>();
  const stopped = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopped.abort());
  while (!stopped.signal.aborted) {
    const sites = await fetchSites();
    if (out.terminal && !json) draw(lines(out, name, sites));
    for (const site of sites) {
      const facts = JSON.stringify([site.state, site.since, site.waiting, site.conflicts]);
      if (seen.get(site.id) === facts) continue;
      seen.set(site.id, facts);
      if (json) process.stdout.write(`${JSON.stringify(site)}\n`);
      else if (!out.terminal) out.line(`${new Date().toISOString()} ${site.name}: ${site.stateText}`);
    }
    await sleep(lookEveryMs, undefined, { signal: stopped.signal }).catch(() => {});
  }
}

/** From the top left; what is left of the last picture is cleared line by line and below, so that nothing flickers. */
function draw(text: readonly string[]): void {
  process.stdout.write(`\u001b[H${text.map((line) => `${line}\u001b[K\n`).join('')}\u001b[J`);
}
