import type { Project } from '../model/instance.ts';
import type { Obstacle, Plan, PlanSample } from '../model/plan.ts';
import type { NotSynced, Site } from '../model/site.ts';
import { subfolder } from '../model/subfolder.ts';
import { displayPath, escapeControls, pathBytes } from '../model/tree.ts';
import type { WebContext } from './context.ts';
import { subfolderView } from './site-frame.ts';
import type { ConnectRequest } from '../actions/connecting.ts';
import { obstacleWords } from './obstacle-words.ts';
import { bytes, count, number, when } from './times.ts';
import { notSyncedWords } from './words.ts';

/** The warning before a first connect: what goes, what stays, how to undo, in numbers from the dry run. */
export function planView(
  { deps, address }: WebContext,
  site: Site,
  request: ConnectRequest,
  plan: Plan,
  project: Project,
) {
  const home = address.link(`/sites/${site.id}`);
  const name = escapeControls(site.name);
  const kept = plan.replaced + plan.removed;
  const other = plan.direction === 'replace' ? 'start-from-folder' : 'replace';
  return {
    site: { name, folder: escapeControls(site.folder), home },
    kind: kindOf(plan),
    question: questionOf(plan, name),
    action: `${home}/confirm`,
    cancel: site.binding ? `${home}/branch` : `${home}/repository${connectionQuery(request)}`,
    verb: site.binding ? 'Switch branch' : 'Connect Self Hosted GitLab',
    final: false,
    hidden: [
      { name: 'planId', value: plan.id },
      { name: 'project', value: String(request.projectId) },
      { name: 'branch', value: request.branch },
      { name: 'direction', value: plan.direction },
      { name: 'subfolder', value: request.subfolder ?? '' },
      { name: 'connection', value: request.connection ?? '' },
      { name: 'to', value: confirmPath(site, request, plan.direction) },
    ],
    project: escapeControls(project.path),
    subfolder: site.binding
      ? subfolderView(site.binding)
      : subfolderView({ subfolder: subfolder(request.subfolder ?? '') }),
    branch: escapeControls(plan.branch),
    newBranch: plan.tip === undefined,
    from: site.binding ? escapeControls(site.binding.branch) : '',
    direction: plan.direction,
    tally: {
      replaced: number(plan.replaced),
      added: number(plan.added),
      removed: number(plan.removed),
      same: number(plan.same),
    },
    samples: plan.samples.slice(0, 20).map(sampleView),
    moreSamples: moreOf(plan.replaced + plan.added + plan.removed - Math.min(plan.samples.length, 20), 'change'),
    allPaths: address.link(confirmPath(site, request, plan.direction).replace('/confirm?', '/confirm/paths?')),
    kept: kept === 0 ? '' : count(kept, 'file'),
    keptVerb: kept === 1 ? 'it' : 'them',
    keepDays: count(site.settings.keepDays, 'day'),
    secretsTitle: `${count(plan.secrets.length, 'file')} ${plan.secrets.length === 1 ? 'looks like a secret and stays' : 'look like secrets and stay'} as ${plan.secrets.length === 1 ? 'it is' : 'they are'}`,
    secrets: plan.secrets
      .slice(0, 20)
      .map((path) => ({ path: displayPath(path), p: pathBytes(path).toString('base64url') })),
    moreSecrets: moreOf(plan.secrets.length - 20, 'file'),
    untouched: plan.untouched.slice(0, 50).map(refusalView),
    untouchedTitle: `${count(plan.untouchedCount, 'path')} ${plan.untouchedCount === 1 ? 'is' : 'are'} left exactly as ${plan.untouchedCount === 1 ? 'it is' : 'they are'}`,
    moreUntouched: moreOf(plan.untouchedCount - Math.min(plan.untouched.length, 50), 'path'),
    refused: plan.refused.slice(0, 50).map(refusalView),
    refusedTitle: `${count(plan.refused.length, 'file')} of the repository ${plan.refused.length === 1 ? 'is' : 'are'} not written into the folder`,
    will: obstaclesOf(plan, true),
    may: obstaclesOf(plan, false),
    pushRules: (plan.obstacles ?? []).some(({ kind, certain }) => certain && kind !== 'branch-protected'),
    pointers: pointersOf(site, plan),
    ignored: plan.ignored === 0 ? '' : count(plan.ignored, 'ignored file'),
    unpushed: plan.unpushed ? plan.unpushed.samples.slice(0, 20).map(displayPath) : [],
    unpushedTitle: plan.unpushed ? count(plan.unpushed.total, 'edit') : '',
    moreUnpushed: plan.unpushed ? moreOf(plan.unpushed.total - 20, 'path') : '',
    counted: when(plan.countedAt, deps.now()),
    otherWay: address.link(confirmPath(site, request, other)),
  };
}

function connectionQuery({ connection }: ConnectRequest): string {
  return connection === undefined ? '' : `?${new URLSearchParams({ connection })}`;
}

/** The warning's own address. */
function confirmPath(
  { id }: Site,
  { projectId, branch, subfolder = '', connection }: ConnectRequest,
  direction: Plan['direction'],
): string {
  const query = {
    ...{ project: String(projectId), branch, direction },
    ...(subfolder === '' ? {} : { subfolder }),
    ...(connection === undefined ? {} : { connection }),
  };
  return `/sites/${id}/confirm?${new URLSearchParams(query)}`;
}

/** What GitLab refuses for certain, or may. */
function obstaclesOf({ obstacles = [] }: Plan, certain: boolean): readonly ReturnType<typeof obstacleWords>[] {
  return obstacles.filter((one: Obstacle) => one.certain === certain).map(obstacleWords);
}

/** Large files that the site would not get: said beside the numbers, not below them. */
function pointersOf({ settings }: Site, { refused }: Plan): string {
  const amount = settings.lfs ? 0 : refused.filter(({ reason }) => reason.kind === 'lfs-pointer').length;
  return amount === 0 ? '' : `${count(amount, 'file')} of the repository ${amount === 1 ? 'is' : 'are'} in LFS`;
}

/** `fill`: the folder is empty, nothing can be lost. */
function kindOf(plan: Plan): 'replace' | 'fill' | 'push' {
  if (plan.direction === 'start-from-folder') return 'push';
  const present = plan.replaced + plan.removed + plan.same + plan.untouchedCount + plan.secrets.length + plan.ignored;
  return present === 0 ? 'fill' : 'replace';
}

function questionOf(plan: Plan, name: string): string {
  return {
    replace: `Replace the files of ${name}?`,
    fill: `Fill the folder of ${name}?`,
    push: `Push the files of ${name}?`,
  }[kindOf(plan)];
}

function sampleView({ mark, path, bytes: size }: PlanSample) {
  return { ...markView[mark], path: displayPath(path), size: bytes(size) };
}

/** A mark with its colour and, for those who do not see it, its word. */
export const markView = {
  '+': { mark: '+', tone: 'good', word: 'added' },
  '~': { mark: '~', tone: 'busy', word: 'changed' },
  '-': { mark: '−', tone: 'bad', word: 'removed' },
} as const;

/** A path that is not synced, and why. */
export function refusalView({ path, reason }: NotSynced) {
  const allowable = reason.kind === 'secret' || reason.kind === 'control-file';
  const ignorable = reason.kind === 'never-quiet' || reason.kind === 'open-database';
  return {
    path: displayPath(path),
    why: escapeControls(notSyncedWords(reason)),
    /** For the button that allows it; empty where nothing can be allowed. */
    p: allowable ? pathBytes(path).toString('base64url') : '',
    /** For the button that ignores it; empty where that is of no use. */
    ignore: ignorable ? pathBytes(path).toString('base64url') : '',
  };
}

function moreOf(amount: number, what: string): string {
  return amount > 0 ? `and ${count(amount, `more ${what}`)}` : '';
}
