import { type AccessTokenFacts, type Connection, tokenEnd, tokenEndWords } from '../model/instance.ts';
import { type DiskFacts, diskWords } from '../model/disk.ts';
import { describe } from '../model/remedy.ts';
import type { Moved, Site, SiteStatus, Webhook } from '../model/site.ts';
import { escapeControls } from '../model/tree.ts';
import { cronWords } from './cron-words.ts';
import { webUrl } from './address.ts';
import type { Context, WebContext } from './context.ts';
import { bindingView, commitUrl, shortOid, siteFrame } from './site-frame.ts';
import { count, number, when } from './times.ts';
import { progressWords, rawOf } from './words.ts';

/** Also the live part of the page. */
export function showConnected(ctx: Context, web: WebContext, site: Site): void {
  const { deps, address } = web;
  const status = deps.sites.status(site.id);
  const connection = site.binding && deps.connections.get(site.binding.connectionId);
  web.render(ctx, 'pages/connected.njk', {
    nav: 'sites',
    live: address.link(`/sites/${site.id}/live?view=syncing`),
    site: siteFrame(web, site, 'settings'),
    sync: syncView(web, site, status),
    repository: bindingView(site),
    connection: connection ? connectionView(ctx, web, connection) : null,
    webhook: site.binding ? webhookView(web, site.binding.webhook) : null,
  });
}

/** The facts of the Sync card. Last known facts stay while a run goes on. */
export function syncView({ deps }: WebContext, site: Site, status: SiteStatus) {
  const now = deps.now();
  const at = (ms: number | undefined) => (ms === undefined ? null : when(ms, now));
  const attempt = status.lastAttempt;
  return {
    stale: status.state === 'syncing',
    asOf: at(status.checkedAt),
    pull: status.lastPull ? movedView(site, status.lastPull, now) : null,
    push: status.lastPush ? movedView(site, status.lastPush, now) : null,
    attempt: attempt
      ? {
          time: when(attempt.at, now),
          result: Object.hasOwn(attempts, attempt.result) ? attempts[attempt.result] : escapeControls(attempt.result),
        }
      : null,
    waiting: `${number(status.waiting.toPull)} to pull, ${number(status.waiting.toPush)} to push`,
    oldest: at(status.waiting.oldestUnpushedAt),
    next: at(status.nextTryAt),
    watched: status.watched,
    watching: watchingWords(site, status),
    disks: (status.disks ?? []).map(diskView),
    problem: status.problem ? problemView(status.problem) : null,
    progress: status.progress ? { words: progressWords(status.progress), ...status.progress } : null,
  };
}

/** Results of a run that are no words for people yet. */
const attempts: Readonly<Record<string, string>> = {
  nothing: 'nothing to do',
  refused: 'GitLab rejected the push',
  held: 'it waits for a choice',
};

/** How edits are found where the kernel does not tell all of them; `''` where it does. */
export function watchingWords({ settings }: Pick<Site, 'settings'>, status: SiteStatus): string {
  const { watched, changedElsewhere = [], scannedEveryMs } = status;
  const seconds = scannedEveryMs === undefined ? undefined : Math.round(scannedEveryMs / 1_000);
  const often = seconds === undefined ? '' : `, and every ${seconds} seconds while that is cheap`;
  const scans = `full scans: ${lowerFirst(cronWords(settings.rescan))}${often}`;
  if (!watched) return `Not watched. Mooring finds edits by ${scans}.`;
  if (changedElsewhere.length === 0) return '';
  const types = changedElsewhere.map(escapeControls).join(', ');
  return `Edits made on this system are found at once. Those of other systems on ${types} are found by ${scans}.`;
}

const lowerFirst = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1);

/** One of the site's mounts: its own folder has no name where it is the only one. */
function diskView(disk: DiskFacts, _at: number, all: readonly DiskFacts[]) {
  return {
    at: all.length === 1 ? '' : disk.at === '' ? 'The site’s folder' : escapeControls(disk.at),
    type: escapeControls(disk.type),
    words: diskWords(disk).join(' '),
    staging: disk.staging,
  };
}

/** A problem that is shown inside a page, not instead of it. */
export function problemView(problem: NonNullable<SiteStatus['problem']>) {
  const words = describe(problem);
  return {
    code: problem.code,
    title: escapeControls(words.title),
    happened: escapeControls(words.happened),
    untouched: escapeControls(words.untouched),
    todo: escapeControls(words.todo),
    cause: rawOf(problem, words.happened),
  };
}

function movedView(site: Site, moved: Moved, now: number) {
  return {
    time: when(moved.at, now),
    files: count(moved.files, 'file'),
    sha: shortOid(moved.commit),
    href: commitUrl(site, moved.commit),
    subject: escapeControls(moved.subject),
    by: moved.by === undefined ? '' : escapeControls(moved.by),
  };
}

/** The connection that the site uses: which Mooring account made it, as which GitLab user. */
function connectionView(ctx: Context, { deps }: WebContext, connection: Connection) {
  const owner = deps.accounts.all().find(({ id }) => id === connection.owner);
  return {
    owner: owner ? escapeControls(owner.name) : '',
    mine: connection.owner === ctx.state.session?.accountId,
    name: escapeControls(connection.name),
    username: escapeControls(connection.username),
    email: escapeControls(connection.email),
    good: connection.health === 'good',
    renewed: when(connection.renewedAt, deps.now()),
    token: connection.accessToken ? tokenView(connection.accessToken, deps.now()) : null,
  };
}

function tokenView(token: AccessTokenFacts, now: number) {
  if (token.expiresAt === undefined) return { ends: null, warning: '', tone: '' };
  const end = tokenEnd(token, now);
  return {
    ends: when(token.expiresAt, now),
    warning: end
      ? `This token ${tokenEndWords(end.days)}. Edits are then committed here and pushed with a new one.`
      : '',
    tone: end?.tone ?? '',
  };
}

function webhookView({ deps }: WebContext, webhook: Webhook) {
  const instance = deps.instance.get();
  const admin = instance && webUrl(instance.url) ? `${instance.url}/admin/application_settings/network` : '';
  return {
    kind: webhook.kind,
    resting: webhook.kind === 'disabled' && webhook.resting,
    missed: webhook.kind === 'waiting' && webhook.missedAt !== undefined ? when(webhook.missedAt, deps.now()) : null,
    origin: instance && URL.canParse(instance.url) ? new URL(instance.url).origin : '',
    last: webhook.kind === 'working' || webhook.kind === 'system' ? when(webhook.lastDeliveryAt, deps.now()) : null,
    said: webhook.kind === 'waiting' ? escapeControls(webhook.said ?? '') : '',
    reason: webhook.kind === 'none' ? escapeControls(webhook.reason) : '',
    address: webhook.kind === 'blocked' ? escapeControls(webhook.address) : '',
    admin,
  };
}
