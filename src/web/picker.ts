import { isBranchName } from '../model/branch.ts';
import type { Branch, BranchChoice, Connection, Project, ProjectId } from '../model/instance.ts';
import { Problem, asProblem } from '../model/problem.ts';
import { describe } from '../model/remedy.ts';
import type { Site } from '../model/site.ts';
import { escapeControls } from '../model/tree.ts';
import { webUrl } from './address.ts';
import type { Context, WebContext } from './context.ts';
import type { RepositoryPage } from '../actions/repositories.ts';
import type { FieldErrors } from './form.ts';
import { pageNumber } from './paging.ts';
import { siteFrame } from './site-frame.ts';
import { number, when } from './times.ts';

/**
 * This account's own connection, or the access token it entered for this site (`chosen`); undefined after the browser was
 * sent to authorise one.
 */
export function usableConnection(
  ctx: Context,
  web: WebContext,
  site: Site,
  chosen: string | undefined,
): Connection | undefined {
  const mine = web.deps.connections.mine(ctx.state.session?.accountId ?? '', chosen);
  if (mine?.health === 'good') return mine;
  web.redirect(ctx, `/sites/${site.id}/settings/syncing`);
  return undefined;
}

/** Also shown again with what is wrong when a branch cannot be used. */
export async function showPicker(
  ctx: Context,
  web: WebContext,
  site: Site,
  query: Readonly<Record<string, string>>,
  errors: FieldErrors,
): Promise<void> {
  const { deps, address } = web;
  if (site.binding || deps.declared.source(site.id)) return web.redirect(ctx, `/sites/${site.id}/settings/syncing`);
  const chosenToken = query['connection'] || undefined;
  const connection = usableConnection(ctx, web, site, chosenToken);
  if (!connection) return;
  const search = (query['q'] ?? '').slice(0, 200);
  const page = pageNumber(query['page']);
  const before = projectId(query['before']);
  const list = await deps.repositories.list(connection, { search, page, ...(before === undefined ? {} : { before }) });
  const chosen = await chosenProject(web, connection, query['project'], query['branches'] ?? '');
  const here = address.link(`/sites/${site.id}/repository`);
  const link = linkTo(here, chosenToken);
  const now = deps.now();
  const model = {
    nav: 'sites',
    site: {
      name: escapeControls(site.name),
      folder: escapeControls(site.folder),
      home: address.link(`/sites/${site.id}`),
    },
    as: { name: escapeControls(connection.name), username: escapeControls(connection.username) },
    connection: chosenToken ?? '',
    here,
    q: search,
    page,
    before: before === undefined ? '' : String(before),
    refresh: link(search, page, before),
    uncounted: list.uncounted === true,
    all: link('', 1),
    newProject: webUrl(deps.repositories.newProjectUrl()) ?? '',
    rows: list.rows.map((row) => rowView(row.project, row.disabled, now, chosen?.project.id)),
    pages: pagesView(list, link, search),
    chosen: chosen ? chosenView(chosen, query) : null,
    confirm: address.link(`/sites/${site.id}/confirm`),
    errors,
  };
  web.render(ctx, 'pages/repository.njk', model, Object.keys(errors).length > 0 ? 422 : 200);
}

/** A number from a query, or undefined. */
export function projectId(text: string | undefined): ProjectId | undefined {
  return text !== undefined && /^[1-9]\d{0,15}$/.test(text) ? (Number(text) as ProjectId) : undefined;
}

interface Chosen {
  readonly project: Project;
  readonly choice: BranchChoice;
  /** The branch the site is on already. */
  readonly present?: string;
  readonly search: string;
  /** GitLab's refusal: shown in place of the branches, so that another repository can be chosen. */
  readonly problem?: string;
}

async function chosenProject(
  { deps }: WebContext,
  connection: Connection,
  id: string | undefined,
  search: string,
): Promise<Chosen | undefined> {
  const wanted = projectId(id);
  if (wanted === undefined) return undefined;
  const project = await deps.repositories.project(connection, wanted);
  const none = { branches: [], more: false };
  if (project.empty) return { project, choice: none, search };
  try {
    return { project, choice: await deps.repositories.branches(connection, project, search.slice(0, 200)), search };
  } catch (error) {
    const { happened, todo } = describe(asProblem(error).toFacts());
    return { project, choice: none, search, problem: `${happened} ${todo}` };
  }
}

function noteOf({ name, canPush, default: isDefault }: Branch): string {
  if (!isBranchName(name)) return ' (unsupported name)';
  if (!canPush) return ' (protected: you cannot push)';
  return isDefault ? ' (default)' : '';
}

/** What stands in the field at first: the default branch, the only one there is, or none. Nobody means just any. */
function preselected(usable: readonly Branch[], asked: string | undefined): string {
  const only = usable.length === 1 ? usable[0] : undefined;
  return asked ?? usable.find((branch) => branch.default)?.name ?? only?.name ?? '';
}

/** A project's branches as a choice. */
function chosenView({ project, choice, present, search, problem }: Chosen, query: Readonly<Record<string, string>>) {
  const branches = choice.branches.filter(({ name }) => name !== present);
  const usable = branches.filter(({ canPush, name }) => canPush && isBranchName(name));
  const wanted = preselected(usable, query['branch']);
  const shut = branches.find((branch) => branch.default && !branch.canPush);
  return {
    id: project.id,
    path: escapeControls(project.path),
    empty: project.empty,
    lfs: project.lfs,
    /** The default branch, where GitLab takes no pushes to it from this user. */
    shut: shut === undefined ? '' : escapeControls(shut.name),
    unset: !usable.some(({ name }) => name === wanted),
    more: choice.more,
    start: escapeControls(project.defaultBranch ?? 'main'),
    branches: branches.map((branch) => ({
      name: branch.name,
      shown: escapeControls(branch.name),
      note: noteOf(branch),
      disabled: !usable.includes(branch),
      selected: branch.name === wanted,
    })),
    subfolder: query['subfolder'] ?? '',
    newBranch: query['newBranch'] ?? (project.empty ? (project.defaultBranch ?? 'main') : ''),
    search,
    // Below twenty nobody needs to search.
    searchable: search !== '' || branches.length >= 20,
    problem: problem === undefined ? '' : escapeControls(problem),
  };
}

function rowView(project: Project, disabled: string | undefined, now: number, chosen: ProjectId | undefined) {
  const slash = project.path.lastIndexOf('/');
  const visibility = { private: 'Private', internal: 'Internal', public: 'Public' }[project.visibility];
  const about = project.empty ? `${visibility}, empty: the first push creates the branch` : visibility;
  return {
    id: project.id,
    group: escapeControls(project.path.slice(0, slash + 1)),
    name: escapeControls(project.path.slice(slash + 1)),
    about: escapeControls(disabled ?? about),
    disabled: disabled !== undefined,
    checked: project.id === chosen && disabled === undefined,
    active: project.lastActivityAt === undefined ? null : when(project.lastActivityAt, now),
  };
}

function pagesView(list: RepositoryPage, link: Link, q: string) {
  if (list.uncounted) {
    const older = list.nextBefore === undefined ? '' : link(q, 1, list.nextBefore);
    return { words: `${number(list.rows.length)} repositories`, newer: '', older, total: '' };
  }
  const total = list.total === undefined ? '' : ` of ${number(list.total)}`;
  return {
    words:
      list.page > 1 || list.nextPage !== undefined
        ? `Page ${number(list.page)}, ${number(list.rows.length)}${total} repositories`
        : '',
    newer: list.page > 1 ? link(q, list.page - 1) : '',
    older: list.nextPage === undefined ? '' : link(q, list.nextPage),
    total: list.total === undefined ? '' : number(list.total),
  };
}

type Link = (q: string, page: number, before?: ProjectId) => string;

/** Every link of the picker keeps to the connection that it was opened with. */
function linkTo(here: string, connection: string | undefined): Link {
  return (q, page, before) => {
    const words = new URLSearchParams();
    if (connection !== undefined) words.set('connection', connection);
    if (q !== '') words.set('q', q);
    if (before !== undefined) words.set('before', String(before));
    if (page > 1) words.set('page', String(page));
    return words.size === 0 ? here : `${here}?${words}`;
  };
}

/** Also shown again with what is wrong with the chosen one. */
export async function showBranches(
  ctx: Context,
  web: WebContext,
  site: Site,
  query: Readonly<Record<string, string>>,
  errors: FieldErrors,
): Promise<void> {
  const { deps, address } = web;
  const { binding } = site;
  if (!binding) return web.redirect(ctx, `/sites/${site.id}/settings/syncing`);
  const connection = deps.connections.get(binding.connectionId);
  if (!connection) throw new Problem('grant-lost', {});
  const search = (query['branches'] ?? '').slice(0, 200);
  const project: Project = await deps.repositories.project(connection, binding.projectId);
  const choice = await deps.repositories.branches(connection, project, search);
  const chosen = chosenView({ project, choice, present: binding.branch, search }, query);
  const model = {
    nav: 'sites',
    site: siteFrame(web, site, 'settings'),
    here: address.link(`/sites/${site.id}/branch`),
    q: '',
    chosen: { ...chosen, start: escapeControls(binding.branch) },
    confirm: address.link(`/sites/${site.id}/confirm`),
    errors,
  };
  web.render(ctx, 'pages/switch-branch.njk', model, Object.keys(errors).length > 0 ? 422 : 200);
}
