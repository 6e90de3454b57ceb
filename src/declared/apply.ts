import { basename } from 'node:path';
import { branchName } from '../model/branch.ts';
import type { ApplyResult, DeclaredMarks, DeclaredPlace, DeclaredSource } from '../model/declared.ts';
import type { AuditEntry } from '../model/event.ts';
import type { LabelSelector } from '../model/label-selector.ts';
import { asProblem } from '../model/problem.ts';
import { describe } from '../model/remedy.ts';
import { subfolder } from '../model/subfolder.ts';
import { compareAccounts } from './compare-accounts.ts';
import { compareConnections } from './compare-connections.ts';
import { compareInstance, compareNotifications } from './compare-instance.ts';
import { compareSites, compareSources } from './compare-sites.ts';
import { type Comparison, type DeclaredWorld, type Step, someAtATime } from './comparison.ts';
import { inOrder, nameKey, type ReadDeclaration, readDeclaration } from './read.ts';

export interface ApplyDeps extends DeclaredWorld {
  readonly report: (entry: Omit<AuditEntry, 'id' | 'at'>) => void;
  /** The file that the daemon applies by itself; another one would be undone at the next start. */
  readonly ownFile: string | undefined;
  /** Which of the declared sites are this daemon's; absent: all. */
  readonly selector: LabelSelector | undefined;
}

/** `file` is absolute. */
export type Apply = (file: string, options: { readonly dryRun: boolean; readonly by: string }) => Promise<ApplyResult>;

/**
 * Applies a declaration: everything in it is read and compared with the installation, the disk and GitLab first, and one
 * fault anywhere means that nothing is changed. Then the changes are made in an order in which each relies only on
 * earlier ones. There is no way back for some of them, so one that fails ends it; what was done stays, and applying the
 * file again finds it done and goes on. Where nothing differs, nothing is written. One at a time. Throws what may be
 * over in a moment, such as `gitlab-unreachable`, before anything was changed.
 */
export function createApply(deps: ApplyDeps): Apply {
  let last: Promise<unknown> = Promise.resolve();
  return (file, options) => {
    const turn = last.then(() => applyFile(deps, file, options));
    last = turn.catch(() => undefined);
    return turn;
  };
}

async function applyFile(
  deps: ApplyDeps,
  file: string,
  { dryRun, by }: { readonly dryRun: boolean; readonly by: string },
): Promise<ApplyResult> {
  const whole = (text: string): ApplyResult => ({
    ...{ file, kind: 'faults' },
    faults: [{ line: 1, column: 1, path: '', text }],
  });
  if (!dryRun && deps.ownFile !== undefined && deps.ownFile !== file)
    return whole(`This daemon applies ${deps.ownFile} at every start (MOORING_DECLARED). Apply that file.`);
  let text: string;
  try {
    text = await deps.readText(file);
  } catch (error) {
    return whole(`The daemon cannot read ${file} (${error instanceof Error ? error.message : String(error)}).`);
  }
  const found = readDeclaration(text, deps.selector);
  if (found.kind === 'bad') return { file, kind: 'faults', faults: found.faults };
  const c = await compare(deps, found.read, file, dryRun);
  if (c.faults.length > 0) return { file, kind: 'faults', faults: inOrder(c.faults) };
  const notes = [...c.notes, ...noLongerDeclared(deps, c)];
  if (dryRun) return { file, kind: 'planned', changes: changesOf([...c.steps, ...c.connects]), ...ends(c, notes) };
  return carryOut(deps, c, { file, by: `${by}, ${basename(file)}`, notes });
}

async function compare(
  world: DeclaredWorld,
  read: ReadDeclaration,
  file: string,
  isDryRun: boolean,
): Promise<Comparison> {
  const c: Comparison = {
    ...{ world, read, isDryRun, faults: [], notes: [], steps: [], connects: [], waits: [] },
    ...{ instance: undefined, dropsTokens: false },
    ...{ accountIds: new Map(), connections: new Map(), siteIds: new Map(), projects: new Map() },
  };
  await compareInstance(c, file);
  await compareSites(c);
  await compareAccounts(c, file);
  await compareConnections(c, file);
  await compareSources(c);
  await compareNotifications(c, file);
  return c;
}

const changesOf = (steps: readonly Step[]) => steps.map(({ change }) => change);

function ends({ waits }: Comparison, notes: readonly string[]) {
  return { waiting: waits.map((wait) => wait()).sort((a, b) => a.line - b.line), notes };
}

async function carryOut(
  deps: ApplyDeps,
  c: Comparison,
  { file, by, notes }: { readonly file: string; readonly by: string; readonly notes: readonly string[] },
): Promise<ApplyResult> {
  const done: Step[] = [];
  const failures: string[] = [];
  const run = async (one: Step): Promise<void> => {
    try {
      await one.run(by);
      done.push(one);
    } catch (error) {
      const { title, happened, todo } = describe(asProblem(error).toFacts());
      failures.push(`Line ${one.change.line}: ${title}. ${happened} ${todo}`);
    }
  };
  for (const one of c.steps) if (failures.length === 0) await run(one);
  if (failures.length === 0) await someAtATime(c.connects, run);
  const all = [...c.steps, ...c.connects];
  const changes = changesOf(all.filter((one) => done.includes(one)));
  if (changes.length > 0) deps.report({ by, act: 'applied', detail: file });
  if (failures.length === 0 || c.steps.every((one) => done.includes(one)))
    await deps.store.declared.setMarks(marksOf(c, file));
  if (failures.length === 0) return { file, kind: 'applied', changes, ...ends(c, notes) };
  const left = changesOf(all.filter((one) => !done.includes(one)));
  return { file, kind: 'stopped', changes, left, why: failures.join('\n'), ...ends(c, notes) };
}

/** Where each declared thing stands: from now on it is changed there and nowhere else. */
function marksOf(c: Comparison, file: string): DeclaredMarks {
  const { declaration, placeOf } = c.read;
  const { accounts, connections, sites, instance, notifications } = declaration;
  const at = (...path: (string | number)[]): DeclaredPlace => placeOf(path);
  const known = <K, V>(entries: readonly (readonly [K | undefined, V])[]) =>
    Object.fromEntries(entries.filter(([key]) => key !== undefined)) as Record<string, V>;
  return {
    file,
    ...(instance ? { instance: at('instance') } : {}),
    ...(notifications ? { notifications: at('notifications') } : {}),
    accounts: known(accounts.map(({ name }, index) => [c.accountIds.get(nameKey(name)), at('accounts', index)])),
    connections: known(
      connections.map(({ name }, index) => [c.connections.get(name)?.id, { ...at('connections', index), name }]),
    ),
    sites: known(
      sites.map((_, index) => {
        const source = sourceOf(c, index);
        return [c.siteIds.get(index), { ...at('sites', index), ...(source ? { source } : {}) }];
      }),
    ),
  };
}

function sourceOf(c: Comparison, index: number): DeclaredSource | undefined {
  const source = c.read.declaration.sites[index]?.source;
  if (!source) return undefined;
  const { connection, repository, branch, direction } = source;
  const id = c.connections.get(connection)?.id;
  const project = c.projects.get(index);
  const bound = c.world.store.sites.get(c.siteIds.get(index) ?? '')?.binding;
  // A connected site is not asked about again; what it is connected to may be the declared repository.
  const isBound = bound?.projectPath.toLowerCase() === repository.toLowerCase();
  const projectId = project?.id ?? (isBound ? bound?.projectId : undefined);
  return {
    ...{ connection, repository, direction, branch: branchName(branch), subfolder: subfolder(source.subfolder ?? '') },
    ...(id === undefined ? {} : { connectionId: id }),
    ...(projectId === undefined ? {} : { projectId }),
  };
}

/** What an earlier version of the file declared: it stays as it is, and can be changed on the pages again. */
function noLongerDeclared({ store }: DeclaredWorld, c: Comparison): string[] {
  const marks = store.declared.marks();
  if (!marks) return [];
  const { declaration } = c.read;
  const gone: string[] = [];
  const siteIds = new Set<string>(c.siteIds.values());
  for (const id of Object.keys(marks.sites)) {
    const site = siteIds.has(id) ? undefined : store.sites.get(id);
    const isElsewhere = declaration.sites.some(({ folder }, index) => folder === site?.folder && !c.read.isHere(index));
    if (site && !isElsewhere) gone.push(`the site ${site.name}`);
  }
  const names = new Set(declaration.accounts.map(({ name }) => nameKey(name)));
  for (const { id, name } of store.accounts.all())
    if (id in marks.accounts && !names.has(nameKey(name))) gone.push(`the account ${name}`);
  const called = new Set(declaration.connections.map(({ name }) => name));
  for (const [id, { name }] of Object.entries(marks.connections))
    if (!called.has(name) && store.instance.connection(id)) gone.push(`the connection ${name}`);
  if (marks.instance && !declaration.instance) gone.push('the GitLab instance');
  if (marks.notifications && !declaration.notifications) gone.push('notifications');
  return gone.map((what) => `No longer declared: ${what}. It stays as it is, and can be changed on the pages.`);
}
