import type { DeclaredAt, DeclaredSource } from '../model/declared.ts';
import { Problem } from '../model/problem.ts';
import type { Subfolder } from '../model/subfolder.ts';
import { type Binding, type Site, type SiteStatus, newDefault } from '../model/site.ts';
import { displayPath, escapeControls, pathBytes } from '../model/tree.ts';
import { type Address, webUrl } from './address.ts';
import type { Context, WebContext } from './context.ts';
import { holdMeanwhile } from './hold-words.ts';
import { seen } from './seen.ts';
import { number, when } from './times.ts';
import { stateWords, statusSentence } from './words.ts';

/** The tab a page of a site stands under. */
export type Tab = 'activity' | 'conflicts' | 'kept' | 'settings';

/** The page of Site Settings. */
export type Side = (typeof sides)[number][0];

const sides = [
  ['syncing', 'Source Syncing'],
  ['schedule', 'Schedule'],
  ['commits', 'Commits'],
  ['safety', 'Conflicts and safety'],
  ['ignored', 'Ignored paths'],
  ['files', 'Files'],
  ['permissions', 'Owner and permissions'],
  ['name', 'Name and folder'],
] as const;

/** The site that the address names; from here on a problem page leads back to it. */
export function siteOf(ctx: Context & { params: Record<string, string> }, web: WebContext): Site {
  const site = seen(ctx, web).site(ctx.params['id'] ?? '');
  if (!site) throw new Problem('not-found', { what: 'site' });
  ctx.state.site = site;
  return site;
}

/** What the head of every page of a site shows: name, state with its time, folder, rope, branch, tabs. */
export function siteFrame({ deps, address }: WebContext, site: Site, tab: Tab, side: Side = 'syncing') {
  const now = deps.now();
  const status = deps.sites.status(site.id);
  const home = address.link(`/sites/${site.id}`);
  return {
    name: escapeControls(site.name),
    folder: escapeControls(site.folder),
    home,
    settings: `${home}/settings/syncing`,
    status: statusView(status, now),
    binding: bindingView(site),
    declared: declaredWords(deps.declared.site(site.id)),
    drift: driftView(address, site, deps.declared.source(site.id)),
    newDefault: status.hold === undefined && site.binding ? newDefaultView(site.binding, home) : null,
    paused: site.paused,
    busy: status.state === 'syncing',
    held: status.hold !== undefined,
    meanwhile: status.hold ? holdMeanwhile(status.hold) : '',
    tabs: tabs(site, status, home, tab),
    side: sides.map(([page, word]) => ({ word, href: `${home}/settings/${page}`, current: page === side })),
  };
}

/** `/etc/mooring/mooring.yaml, line 12`; empty for what no file declares. */
export function declaredWords(at: DeclaredAt | undefined): string {
  return at ? `${escapeControls(at.file)}, line ${at.line}` : '';
}

/** The page that connects a site to its declared branch, or switches it; undefined until GitLab could be asked. */
export function declaredConfirm({ link }: Address, site: Site, source: DeclaredSource): string | undefined {
  const { projectId, connectionId, branch, direction, subfolder } = source;
  if (projectId === undefined || connectionId === undefined) return undefined;
  const inner = subfolder === '' ? '' : displayPath(subfolder);
  const query = { project: String(projectId), branch, direction, subfolder: inner, connection: connectionId };
  return link(`/sites/${site.id}/confirm?${new URLSearchParams(query).toString()}`);
}

/** A connected site that follows something else than its file declares. */
function driftView(address: Address, site: Site, source: DeclaredSource | undefined) {
  const { binding } = site;
  if (!binding || !source) return null;
  const isSame = binding.projectPath.toLowerCase() === source.repository.toLowerCase();
  const isElsewhere = !isSame || (binding.subfolder ?? '') !== source.subfolder;
  if (!isElsewhere && binding.branch === source.branch) return null;
  const wanted = `${escapeControls(source.repository)} on ${escapeControls(source.branch)}`;
  return {
    words: `The file declares ${wanted}. ${isElsewhere ? 'Disconnect this site to connect it there.' : 'The site stays on its branch until you confirm.'}`,
    confirm: isElsewhere ? '' : (declaredConfirm(address, site, source) ?? ''),
    disconnects: isElsewhere,
  };
}

export function statusView(status: SiteStatus, now: number) {
  const good = status.state === 'in-sync' && status.checkedAt !== undefined;
  return {
    state: status.state,
    word: stateWords[status.state],
    verb: good ? 'checked' : 'since',
    time: when(good ? (status.checkedAt ?? status.since) : status.since, now),
    sentence: statusSentence(status, now),
  };
}

/** Repository and branch with their pages in GitLab. */
export function bindingView({ binding }: Site) {
  if (!binding) return null;
  const project = webUrl(binding.webUrl);
  return {
    project: escapeControls(binding.projectPath),
    subfolder: subfolderView(binding),
    branch: escapeControls(binding.branch),
    projectUrl: project ?? '',
    branchUrl: project === undefined ? '' : `${project}/-/tree/${encodeBranch(binding.branch)}${innerUrl(binding)}`,
  };
}

/** Another branch is the repository's default one now. */
function newDefaultView(binding: Binding, home: string): { name: string; href: string } | null {
  const name = newDefault(binding);
  if (name === undefined) return null;
  const query = new URLSearchParams({ project: String(binding.projectId), branch: name });
  return { name: escapeControls(name), href: `${home}/confirm?${query}` };
}

/** The folder of the repository that is the site; empty for the whole of it. */
export function subfolderView({ subfolder = '' }: { readonly subfolder?: Subfolder }): string {
  return subfolder === '' ? '' : displayPath(subfolder);
}

function innerUrl({ subfolder }: Binding): string {
  return subfolder === undefined ? '' : `/${encodeBranch(pathBytes(subfolder).toString('utf8'))}`;
}

export function commitUrl({ binding }: Site, oid: string): string {
  const project = binding && webUrl(binding.webUrl);
  return project !== undefined && /^[0-9a-f]{40,64}$/.test(oid) ? `${project}/-/commit/${oid}` : '';
}

/** Eight characters, as GitLab shows them. */
export function shortOid(oid: string): string {
  return oid.slice(0, 8);
}

/** GitLab's addresses keep the slashes of a branch. */
function encodeBranch(branch: string): string {
  return branch.split('/').map(encodeURIComponent).join('/');
}

interface TabView {
  readonly word: string;
  readonly href: string;
  readonly current: boolean;
  readonly count: string;
}

function tabs(site: Site, status: SiteStatus, home: string, tab: Tab): readonly TabView[] {
  const conflicts = status.conflicts > 0 ? number(status.conflicts) : '';
  const all: TabView[] = [
    { word: 'Activity', href: home, current: tab === 'activity', count: '' },
    { word: 'Conflicts', href: `${home}/conflicts`, current: tab === 'conflicts', count: conflicts },
    { word: 'Kept versions', href: `${home}/kept`, current: tab === 'kept', count: '' },
    { word: 'Site Settings', href: `${home}/settings/syncing`, current: tab === 'settings', count: '' },
  ];
  return site.binding ? all : all.filter(({ word }) => word !== 'Conflicts');
}
