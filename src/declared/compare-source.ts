import { createHash } from 'node:crypto';
import type { ConnectRequest } from '../actions/connecting.ts';
import { branchName } from '../model/branch.ts';
import type { DeclaredWait } from '../model/declared.ts';
import type { Project } from '../model/instance.ts';
import type { Plan } from '../model/plan.ts';
import { asProblem } from '../model/problem.ts';
import type { Binding, Site, SiteId } from '../model/site.ts';
import { type Subfolder, subfolder } from '../model/subfolder.ts';
import { displayPath } from '../model/tree.ts';
import { type ComparedConnection, type Comparison, type Step, fault, problemWords, step } from './comparison.ts';
import { pathText } from './read.ts';
import type { DeclaredSite } from './shape.ts';

type Source = NonNullable<DeclaredSite['source']>;

/** Of a site, once what it names is known to be usable. */
interface Wanted extends Source {
  readonly index: number;
  readonly name: string;
  readonly inner: Subfolder;
}

/**
 * Whether a site follows the declared branch. What would replace files is never done by itself: it waits for a person, or
 * for the consent to exactly what a plan showed.
 */
export async function compareSource(c: Comparison, index: number): Promise<void> {
  const { source, name } = c.read.declaration.sites[index] as DeclaredSite;
  if (!source) return;
  const path = ['sites', index, 'source'] as const;
  const inner = checked(c, [...path, 'subfolder'], () => subfolder(source.subfolder ?? ''));
  const branch = checked(c, [...path, 'branch'], () => branchName(source.branch));
  const connection = c.connections.get(source.connection);
  if (inner === undefined || branch === undefined) return;
  // A connection that is missing here has a fault of its own.
  if (!connection) return;
  const wanted = { ...source, index, name, inner };
  const site = siteOf(c, index);
  if (site?.binding && follows(site.binding, wanted)) return useConnection(c, wanted, site, connection);
  if (site?.binding && !isSwitch(site.binding, wanted))
    return wait(c, wanted, otherRepository(site.binding, wanted), 'site');
  const project = await projectOf(c, wanted, connection);
  if (project === 'fault') return;
  if (project === 'unknown') return wait(c, wanted, needsPerson(c, wanted, connection), 'site');
  c.projects.set(index, project);
  if (source.consent !== undefined) return byConsent(c, wanted, project, connection);
  await byPerson(c, wanted, project);
}

function checked<T>(c: Comparison, path: readonly (string | number)[], read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    return void fault(c, path, problemWords(error));
  }
}

function siteOf({ world, siteIds }: Comparison, index: number): Site | undefined {
  const id = siteIds.get(index);
  return id === undefined ? undefined : world.store.sites.get(id);
}

const sameRepository = (binding: Binding, { repository }: Source): boolean =>
  binding.projectPath.toLowerCase() === repository.toLowerCase();

function follows(binding: Binding, wanted: Wanted): boolean {
  return isSwitch(binding, wanted) && binding.branch === wanted.branch;
}

/** Only the branch can change while a site is connected. */
function isSwitch(binding: Binding, wanted: Wanted): boolean {
  return sameRepository(binding, wanted) && (binding.subfolder ?? '') === wanted.inner;
}

function otherRepository(binding: Binding, { repository, subfolder: inner }: Wanted): string {
  const where = (path: string, folder: string): string => (folder === '' ? path : `${folder} of ${path}`);
  const now = where(binding.projectPath, binding.subfolder ? displayPath(binding.subfolder) : '');
  return `It is connected to ${now}, and declared to follow ${where(repository, inner === undefined ? '' : inner)}. Disconnect it on its page, then confirm the new connection. If the repository moved, change the file.`;
}

/** Another connection takes over, without a file being touched. */
async function useConnection(c: Comparison, wanted: Wanted, site: Site, connection: ComparedConnection): Promise<void> {
  if (connection.id !== undefined && site.binding?.connectionId === connection.id) return;
  if (connection.id === undefined && !connection.token)
    return wait(c, wanted, needsPerson(c, wanted, connection), 'site');
  if ((await projectOf(c, wanted, connection)) === 'fault') return;
  const path = ['sites', wanted.index, 'source', 'connection'];
  step(c, path, `Let ${site.name} use the connection ${wanted.connection}.`, async (by) => {
    const found = connection.id && c.world.store.instance.connection(connection.id);
    if (found) await c.world.actions.connecting.handOver(site.id, found, by);
  });
}

/** `unknown`: nobody is there yet whose access could be used. */
async function projectOf(
  c: Comparison,
  wanted: Wanted,
  connection: ComparedConnection,
): Promise<Project | 'unknown' | 'fault'> {
  if (!c.instance || (connection.id === undefined && !connection.token)) return 'unknown';
  const gitlab = c.world.gitlabOf(c.instance);
  try {
    if (connection.token) return await gitlab.projectAt(connection.token, wanted.repository);
    if (connection.id === undefined) return 'unknown';
    return await c.world.tokens.withToken(connection.id, (token) => gitlab.projectAt(token, wanted.repository));
  } catch (error) {
    if (asProblem(error).code === 'grant-lost' && !connection.token) return 'unknown';
    const isMissing = asProblem(error).code === 'project-missing';
    const text = `The connection ${wanted.connection} sees no repository ${wanted.repository}. Check the path, and the role of its user there.`;
    fault(c, ['sites', wanted.index, 'source', 'repository'], isMissing ? text : problemWords(error));
    return 'fault';
  } finally {
    gitlab.close();
  }
}

function needsPerson({ read, world, accountIds }: Comparison, wanted: Wanted, connection: ComparedConnection): string {
  const { user } = read.declaration.connections[connection.index] ?? {};
  const owner = world.store.accounts.all().find(({ id }) => id === accountIds.get(connection.owner))?.name;
  if (user === undefined) return `GitLab no longer accepts the token of the connection ${wanted.connection}.`;
  return `Nobody has authorised Mooring as @${user} yet. Sign in to Mooring as ${owner ?? connection.owner}, open the site’s page and select Connect.`;
}

type PageOf = 'site' | 'confirm';

function wait(c: Comparison, wanted: Wanted, text: string, pageOf: PageOf, plan?: DeclaredWait['plan']): void {
  const { index, name } = wanted;
  c.waits.push(() => {
    const site = c.siteIds.get(index);
    const page =
      site === undefined ? undefined : pageOfSite(site, pageOf === 'confirm' ? requestOf(c, wanted) : undefined);
    return {
      ...{ name, text, line: c.read.placeOf(['sites', index, 'source']).line },
      ...(site === undefined ? {} : { site }),
      ...(page === undefined ? {} : { page }),
      ...(plan ? { plan } : {}),
    };
  });
}

/** The page of a site where a person can do what is declared. */
export function pageOfSite(site: SiteId, request?: Omit<ConnectRequest, 'site'>): string {
  if (!request) return `/sites/${site}/settings/syncing`;
  const { projectId, branch, direction, subfolder: inner = '', connection = '' } = request;
  const query = { project: String(projectId), branch, direction, subfolder: inner, connection };
  return `/sites/${site}/confirm?${new URLSearchParams(query).toString()}`;
}

function requestOf(c: Comparison, wanted: Wanted): ConnectRequest | undefined {
  const { siteIds, projects, connections } = c;
  const [site, project] = [siteIds.get(wanted.index), projects.get(wanted.index)];
  const connection = connections.get(wanted.connection)?.id;
  if (site === undefined || !project || connection === undefined) return undefined;
  const branch = branchName(wanted.branch);
  const inner = wanted.inner === '' ? {} : { subfolder: wanted.subfolder ?? '' };
  return { site, projectId: project.id, branch, direction: wanted.direction, connection, ...inner };
}

/** The plan as both sides are now; undefined where the site or its access is not there yet. */
async function planNow(c: Comparison, wanted: Wanted): Promise<Plan | undefined> {
  const request = c.dropsTokens ? undefined : requestOf(c, wanted);
  const owner = request?.connection && c.world.store.instance.connection(request.connection)?.owner;
  if (!request || owner === undefined) return undefined;
  const signal = new AbortController().signal;
  return c.world.actions.connecting.plan(request, owner, { signal, progress: () => {} });
}

async function byPerson(c: Comparison, wanted: Wanted, project: Project): Promise<void> {
  const isSwitched = siteOf(c, wanted.index)?.binding !== undefined;
  const what = isSwitched ? `Switching to ${wanted.branch}` : `Connecting to ${project.path} on ${wanted.branch}`;
  const text = `${what} waits for a person to confirm it on the site’s page, or for the consent to a plan in the file.`;
  if (!c.isDryRun) return wait(c, wanted, text, 'confirm');
  try {
    const plan = await planNow(c, wanted);
    if (!plan)
      return wait(
        c,
        wanted,
        `${text} The plan can be shown once this file is applied: the site or its connection is new.`,
        'confirm',
      );
    wait(c, wanted, text, 'confirm', planView(plan, consentOf(c, wanted, plan, project)));
  } catch (error) {
    fault(c, ['sites', wanted.index, 'source'], problemWords(error));
  }
}

function planView(plan: Plan, consent: string): NonNullable<DeclaredWait['plan']> {
  const { direction, replaced, added, removed, same, samples } = plan;
  const shown = samples.slice(0, 20).map(({ mark, path }) => ({ mark, path: displayPath(path) }));
  return { consent, direction, replaced, added, removed, same, samples: shown };
}

/**
 * Names one plan of one site for one use: both sides exactly as the plan saw them, the branch, and how many consents this
 * site has used before. A plan of the same two sides after that has another name.
 */
function consentOf({ world, siteIds }: Comparison, wanted: Wanted, plan: Plan, project: Project): string {
  const site = siteIds.get(wanted.index) as SiteId;
  const { uses } = world.store.declared.consents(site);
  const what = [plan.id, site, project.id, wanted.branch, wanted.inner, wanted.direction, uses];
  return createHash('sha256').update(JSON.stringify(what)).digest('hex').slice(0, 32);
}

async function byConsent(
  c: Comparison,
  wanted: Wanted,
  project: Project,
  connection: ComparedConnection,
): Promise<void> {
  const path = ['sites', wanted.index, 'source', 'consent'];
  const consent = wanted.consent ?? '';
  const site = c.siteIds.get(wanted.index);
  const used = site && c.world.store.declared.consents(site).used.find(({ id }) => id === consent);
  if (used) {
    const at = new Date(used.at).toISOString();
    return fault(c, path, `This consent was used at ${at}, and counts once. ${askAgain}`);
  }
  const plan = await planNow(c, wanted).catch((error: unknown) => void fault(c, path, problemWords(error)));
  if (c.faults.some((one) => one.path === pathText(path))) return;
  if (!plan || site === undefined)
    return fault(
      c,
      path,
      'Nobody can have seen the plan of this site yet: it, or its connection, is new. Leave consent out, apply the file, and run “mooring apply --dry-run”.',
    );
  if (consentOf(c, wanted, plan, project) !== consent)
    return fault(
      c,
      path,
      `This is not the consent to what would happen now: the folder, the branch or this file has changed since. ${askAgain}`,
    );
  const text = `Connect ${wanted.name} to ${project.path} on ${wanted.branch}: ${plan.replaced} files replaced, ${plan.added} added, ${plan.removed} removed, as consented.`;
  const made: Step = {
    change: { path: pathText(path), line: c.read.placeOf(path).line, text },
    async run(by) {
      const request = requestOf(c, wanted);
      const owner = connection.id && c.world.store.instance.connection(connection.id)?.owner;
      if (!request || owner === undefined) throw new Error('the connection is gone');
      // Used before it is carried out: a kill in between costs a new plan, never a second replacement.
      await c.world.store.declared.useConsent(site, consent);
      await c.world.actions.connecting.confirm({ ...request, planId: plan.id }, by, owner);
    },
  };
  c.connects.push(made);
}

const askAgain =
  'Run “mooring apply --dry-run” to see the present plan, or leave consent out and confirm on the site’s page.';
