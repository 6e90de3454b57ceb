import type { Router } from '@koa/router';
import type { SiteState } from '../../model/site.ts';
import type { Attention, SystemCheck, SystemReport } from '../../model/system.ts';
import { escapeControls } from '../../model/tree.ts';
import { daysChart, hoursChart, tookChart } from '../chart.ts';
import type { WebContext, State } from '../context.ts';
import { type Seen, seen } from '../seen.ts';
import { duration, mebibytes, number, when } from '../times.ts';
import { stateWords } from '../words.ts';

/** The state of this installation, and what needs attention before it becomes a problem. */
export function systemRoutes(router: Router<State>, web: WebContext): void {
  const { deps, address } = web;

  router.get('/system', async (ctx) => {
    const now = deps.now();
    const visible = seen(ctx, web);
    const stats = visible.stats();
    const report = visible.all ? await deps.system.report() : undefined;
    web.render(ctx, 'pages/system.njk', {
      nav: 'system',
      machine: report ? machineView(report, now) : null,
      checked: when(now, now),
      checks: (report?.checks ?? deps.system.reportOf(visible.sites())).map(checkView),
      states: states(web, visible),
      charts: [hoursChart(stats.hours), daysChart(stats.days)],
      took: tookChart(stats.took, now),
      complete: stats.complete,
      allSites: visible.all ? 'Syncs of all sites' : 'Syncs of your sites',
      attention: (await visible.attention()).length,
    });
  });

  router.get('/attention', async (ctx) => {
    const visible = seen(ctx, web);
    const found = await visible.attention();
    web.render(ctx, 'pages/attention.njk', {
      nav: 'attention',
      entries: found.map((one) => attentionView(web, visible, one)),
    });
  });

  router.get('/guide', (ctx) => {
    web.render(ctx, 'pages/guide.njk', {
      nav: '',
      redirectUri: deps.instance.redirectUri,
      stateDir: escapeControls(deps.about.stateDir),
      roots: deps.about.roots.map(escapeControls),
      home: address.link('/'),
    });
  });
}

/** The daemon and its machine: not for somebody who sees only some sites, for its numbers count the others. */
function machineView(report: SystemReport, now: number) {
  return {
    host: escapeControls(report.host),
    started: when(report.startedAt, now),
    memory: mebibytes(report.memoryBytes),
    lag: `${report.lagMs.usual.toFixed(1)} ms, ${Math.round(report.lagMs.worst)} ms at worst`,
    running: `${number(report.queue.running)} running, ${number(report.queue.waiting)} waiting`,
    up: duration(now - report.startedAt),
  };
}

const looks: Record<SystemCheck['result'], { readonly tone: string; readonly icon: string; readonly word: string }> = {
  good: { tone: 'good', icon: 'state-in-sync', word: 'good' },
  warn: { tone: 'warn', icon: 'state-retrying', word: 'needs attention' },
  bad: { tone: 'bad', icon: 'error', word: 'bad' },
  unknown: { tone: 'mute', icon: 'state-unknown', word: 'unknown' },
};

function checkView({ name, result, finding, fix }: SystemCheck) {
  return {
    name,
    ...looks[result],
    finding: escapeControls(finding),
    fix: fix === undefined ? '' : escapeControls(fix),
  };
}

function states({ deps, address }: WebContext, visible: Seen) {
  const amounts = new Map<SiteState, number>();
  for (const { id } of visible.sites()) {
    const { state } = deps.sites.status(id);
    amounts.set(state, (amounts.get(state) ?? 0) + 1);
  }
  const order = Object.keys(stateWords) as SiteState[];
  return order
    .filter((state) => amounts.has(state))
    .map((state) => ({
      state,
      word: stateWords[state],
      amount: number(amounts.get(state) ?? 0),
      href: address.link(`/?state=${state}`),
    }));
}

/** Sites named in one entry; the rest is counted. */
const mostNamed = 20;

const pages = { syncing: 'syncing', ignored: 'ignored', files: 'files' } as const;

function attentionView({ address }: WebContext, visible: Seen, { tone, title, text, help, wants, sites }: Attention) {
  const page = help === 'syncing' || help === 'ignored' || help === 'files' ? pages[help] : undefined;
  const named = sites.slice(0, mostNamed).map((id) => ({
    name: escapeControls(visible.site(id)?.name ?? id),
    home: address.link(`/sites/${id}`),
    href: address.link(page === undefined ? `/sites/${id}` : `/sites/${id}/settings/${page}`),
  }));
  return {
    tone,
    icon: { bad: 'error', warn: 'state-retrying', mute: 'info' }[tone],
    title: escapeControls(title),
    text: escapeControls(text),
    system: help === 'system',
    notifications: help === 'notifications',
    wentBack: help === 'went-back' ? address.link('/attention/went-back') : '',
    newToken: wants === 'access-token' && sites[0] !== undefined ? address.link(`/sites/${sites[0]}/access-token`) : '',
    sites: named,
    more: sites.length > mostNamed ? `and ${number(sites.length - mostNamed)} more` : '',
  };
}
