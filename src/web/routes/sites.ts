import type { Router } from '@koa/router';
import type { Site, SiteState, SiteStatus } from '../../model/site.ts';
import { escapeControls } from '../../model/tree.ts';
import { wentBackGroup, wentBackWords } from '../../model/went-back.ts';
import { daysChart, hoursChart, tookChart } from '../chart.ts';
import type { Context, WebContext, State } from '../context.ts';
import { fields } from '../form.ts';
import { pageNumber, pages } from '../paging.ts';
import { type Seen, seen } from '../seen.ts';
import { bindingView, statusView } from '../site-frame.ts';
import { count, number, when } from '../times.ts';
import { stateWords } from '../words.ts';

/** Fifty rows keep the page under 60 KB with a thousand sites. */
const perPage = 50;

/** Sites that need attention come first. */
const order: readonly SiteState[] = ['hold', 'retrying', 'unknown', 'syncing', 'waiting', 'off', 'paused', 'in-sync'];

/** The dashboard: every site with its state and how long ago it was checked. */
export function sites(router: Router<State>, web: WebContext): void {
  router.get('/', (ctx) => dashboard(ctx, web, fields(ctx.query)));
  router.get('/live', (ctx) => dashboard(ctx, web, fields(ctx.query)));
}

interface Row {
  readonly site: Site;
  readonly status: SiteStatus;
}

function dashboard(ctx: Context, web: WebContext, query: Readonly<Record<string, string>>): void {
  const { deps, address } = web;
  const now = deps.now();
  const visible = seen(ctx, web);
  const all = visible.sites().map((site): Row => ({ site, status: deps.sites.status(site.id) }));
  const q = (query['q'] ?? '').slice(0, 200);
  const state = order.find((one) => one === query['state']);
  const found = all.filter((row) => matches(row.site, q) && (state === undefined || row.status.state === state));
  const sort = sorts.find((one) => one === query['sort']) ?? 'state';
  found.sort(comparing[sort]);
  const stats = visible.stats();
  const page = pages(pageNumber(query['page']), perPage, found.length, (n) =>
    link(address.link('/'), { q, state, sort, page: n }),
  );
  web.render(ctx, 'pages/sites.njk', {
    shell: ctx.path === '/live' ? 'shells/live.njk' : 'shells/page.njk',
    nav: 'sites',
    live: link(address.link('/live'), { q, state, sort, page: page.page }),
    configured: deps.instance.get() !== undefined,
    total: all.length,
    lede: lede(all, now),
    pauseAll: pauseView(web, now),
    together: togetherView(web, visible),
    q: escapeControls(q),
    state: state ?? '',
    sort,
    sortWords: sortWords[sort],
    columns: columns(address.link('/'), { q, state }, sort),
    charts: [hoursChart(stats.hours), daysChart(stats.days)],
    took: tookChart(stats.took, now),
    allSites: visible.all ? 'Syncs of all sites' : 'Syncs of your sites',
    statsComplete: stats.complete,
    chips: chips(all, address.link('/'), q, state, sort),
    rows: found.slice(page.from, page.to).map((row) => rowView(row, web, now)),
    pages: page,
    // Filtering in the browser is only honest when the browser has every row.
    whole: found.length <= perPage && q === '',
  });
}

function pauseView({ deps }: WebContext, now: number) {
  const pause = deps.pauseAll.now();
  if (!pause) return null;
  return { by: pause.by ?? '', since: when(pause.since, now), until: pause.until ? when(pause.until, now) : null };
}

/** Branches that went back together: the dashboard is where a restored GitLab is noticed. */
function togetherView(
  { deps, address }: WebContext,
  { sites }: Seen,
): { title: string; untouched: string; href: string } | null {
  const group = wentBackGroup(sites(), deps.sites.status);
  return group ? { ...wentBackWords(group), href: address.link('/attention/went-back') } : null;
}

const sorts = ['state', 'name', 'repository', 'success'] as const;
type Sort = (typeof sorts)[number];

const byName = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });
const rank = new Map(order.map((state, i) => [state, i]));
const names = (a: Row, b: Row): number => byName.compare(a.site.name, b.site.name);

const comparing: Record<Sort, (a: Row, b: Row) => number> = {
  state: (a, b) => (rank.get(a.status.state) ?? 0) - (rank.get(b.status.state) ?? 0) || names(a, b),
  name: names,
  repository: (a, b) =>
    byName.compare(a.site.binding?.projectPath ?? '\uffff', b.site.binding?.projectPath ?? '\uffff') || names(a, b),
  // The one whose last successful check is oldest comes first.
  success: (a, b) => (a.status.checkedAt ?? 0) - (b.status.checkedAt ?? 0) || names(a, b),
};

const sortWords: Record<Sort, string> = {
  state: 'those that need someone first',
  name: 'by name',
  repository: 'by repository',
  success: 'the longest without success first',
};

function columns(home: string, query: { q: string; state: SiteState | undefined }, current: Sort) {
  const all: [Sort, string][] = [
    ['name', 'Site'],
    ['state', 'State'],
    ['repository', 'Repository'],
    ['success', 'Last success'],
  ];
  return all.map(([sort, word]) => ({
    word,
    num: sort === 'success',
    sorted: sort === current ? 'ascending' : '',
    href: sort === current ? '' : link(home, { ...query, sort }),
  }));
}

function matches(site: Site, q: string): boolean {
  const text = searchText(site);
  return q
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

function searchText({ name, folder, binding }: Site): string {
  return `${name} ${folder} ${binding?.projectPath ?? ''} ${binding?.branch ?? ''}`.toLowerCase();
}

function rowView({ site, status }: Row, { deps, address }: WebContext, now: number) {
  const home = address.link(`/sites/${site.id}`);
  return {
    id: site.id,
    name: escapeControls(site.name),
    folder: escapeControls(site.folder),
    text: escapeControls(searchText(site)),
    href: site.binding ? home : `${home}/settings/syncing`,
    status: statusView(status, now),
    act: action(site, status, home),
    binding: bindingView(site),
    success: status.checkedAt === undefined ? null : when(status.checkedAt, deps.now()),
  };
}

/** The link to the choice, for states that wait for a person. `acts`: what that person must be allowed to do. */
function action(
  { binding }: Site,
  status: SiteStatus,
  home: string,
): { href: string; word: string; acts: string } | null {
  const acts = `${home}/sync`;
  if (status.hold) return { href: `${home}/hold`, word: 'See why and decide', acts };
  if (status.conflicts > 0)
    return { href: `${home}/conflicts`, word: `${count(status.conflicts, 'conflict')}: compare and choose`, acts };
  return binding ? null : { href: `${home}/settings/syncing`, word: 'Connect a repository', acts };
}

function lede(all: readonly Row[], now: number): { text: string; checked: ReturnType<typeof when> } {
  const held = all.filter(({ status }) => status.state === 'hold').length;
  const retrying = all.filter(({ status }) => status.state === 'retrying').length;
  const text =
    held > 0
      ? `${number(held)} of ${number(all.length)} ${held === 1 ? 'is on hold and needs a decision' : 'are on hold and need a decision'}.`
      : retrying > 0
        ? `${number(retrying)} of ${number(all.length)} ${retrying === 1 ? 'is' : 'are'} retrying; no decisions are needed.`
        : `${count(all.length, 'site')}; no decisions are needed.`;
  return { text, checked: when(now, now) };
}

function chips(all: readonly Row[], home: string, q: string, current: SiteState | undefined, sort: Sort) {
  const present = order.map((state) => ({
    state,
    word: stateWords[state],
    amount: all.filter(({ status }) => status.state === state).length,
    href: link(home, { q, state, sort }),
    current: state === current,
  }));
  const every = {
    state: '',
    word: 'All',
    amount: all.length,
    href: link(home, { q, sort }),
    current: current === undefined,
  };
  return [every, ...present.filter(({ amount }) => amount > 0)].map((chip) => ({
    ...chip,
    amount: number(chip.amount),
  }));
}

function link(path: string, query: { q?: string; state?: string | undefined; sort?: Sort; page?: number }): string {
  const words = new URLSearchParams();
  if (query.q) words.set('q', query.q);
  if (query.state) words.set('state', query.state);
  if (query.sort !== undefined && query.sort !== 'state') words.set('sort', query.sort);
  if (query.page !== undefined && query.page > 1) words.set('page', String(query.page));
  return words.size === 0 ? path : `${path}?${words}`;
}
