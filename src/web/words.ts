import type { Role } from '../model/account.ts';
import type { AuditEntry, RunRecord, Trigger } from '../model/event.ts';
import type { KeptCause } from '../model/plan.ts';
import type { ProblemFacts } from '../model/problem.ts';
import { errnoWords, isAboutRights } from '../model/errno.ts';
import { describe } from '../model/remedy.ts';
import type { HoldCode, NotSyncedReason, SiteState, SiteStatus, WorkProgress } from '../model/site.ts';
import { displayPath, escapeControls, escapeLines, type Tally } from '../model/tree.ts';
import { holdTitle } from './hold-words.ts';
import { bytes, count, mebibytes, number, when } from './times.ts';

/** The one word of a state, as on every screen. */
export const stateWords: Record<SiteState, string> = {
  'in-sync': 'In sync',
  syncing: 'Syncing',
  waiting: 'Changes waiting',
  retrying: 'Retrying',
  hold: 'On hold',
  paused: 'Paused',
  off: 'Not connected',
  unknown: 'Unknown',
};

/** Why a path is not synced, as the half sentence after the path. */
export function notSyncedWords(reason: NotSyncedReason): string {
  switch (reason.kind) {
    case 'link':
      return 'A symbolic link. Links are not synced unless the site’s settings say so';
    case 'link-outside':
      return 'A symbolic link that could lead out of the site. Only links with a relative target inside the site are synced';
    case 'submodule':
      return 'A submodule. Mooring does not fetch submodules';
    case 'special':
      return 'A device, socket or pipe, not a file';
    case 'nested-repository':
      return 'A git repository of its own, which Mooring does not change';
    case 'unreadable':
      return isAboutRights(reason.errno)
        ? `Mooring has no permission to read it${inBrackets(reason.errno)}`
        : `Could not be read: ${errnoWords(reason.errno)}`;
    case 'unwritable':
      return isAboutRights(reason.errno)
        ? `Mooring has no permission to write it${inBrackets(reason.errno)}`
        : `Could not be written: ${errnoWords(reason.errno)}`;
    case 'owner':
      return reason.gid === undefined
        ? `Belongs to user ${reason.uid ?? ''}, who would lose access if Mooring replaced it`
        : `Belongs to group ${reason.gid}, whose members would lose access if Mooring replaced it`;
    case 'unremovable':
      return isAboutRights(reason.errno)
        ? `Removed on GitLab, but Mooring has no permission to remove it here${inBrackets(reason.errno)}`
        : `Removed on GitLab, but could not be removed here: ${errnoWords(reason.errno)}`;
    case 'too-large':
      return `${mebibytes(reason.bytes)}, the limit is ${mebibytes(reason.limit)}`;
    case 'too-many':
      return 'Exceeds the file limit of this site';
    case 'secret':
      return 'Looks like a secret. Not pushed unless you allow it';
    case 'control-file':
      return 'A web server control file. Mooring does not copy these from the repository unless you allow it';
    case 'bad-name':
      return 'The name is not valid on both sides';
    case 'collides':
      return `Differs from ${displayPath(reason.with)} only in upper and lower case`;
    case 'lfs-pointer':
      return 'The repository contains only an LFS pointer, and LFS is turned off for this site';
    case 'lfs-missing':
      return `An LFS file that GitLab does not provide; only its pointer exists${reason.text ? `. GitLab says: ${reason.text}` : ''}`;
    case 'lfs-damaged':
      return 'An LFS file whose content does not match its pointer';
    case 'ignored-in-the-way':
      return 'An ignored file already exists at the path of the repository’s file';
    case 'never-quiet':
      return 'Changes constantly, as logs do. Committed at most every two minutes. If you don’t need its versions, ignore it';
    case 'mixed-line-endings':
      return 'Synced as it is. Some of its lines end in CRLF and some in LF, and .gitattributes asks for one kind, so git shows it as changed in every clone. Save it with one kind of line ending';
    case 'open-database':
      return 'A database that a program has open. Neither committed nor replaced until it is closed';
    case 'was-ignored':
      return 'Was ignored before an upgrade changed the rules. Not committed until you decide';
    case 'conflict':
      return 'Both sides changed it. Choose a version under Conflicts';
    case 'no-capture':
      return 'On this disk, replacing or removing it could lose an edit saved at the same instant. You can allow it under Site Settings / Conflicts and safety';
    case 'refused':
      return 'GitLab rejects this content. Pushed once the file or GitLab’s rule changes';
  }
}

const inBrackets = (errno: string | undefined): string => (errno === undefined ? '' : ` (${errno})`);

/** One sentence under the state: cause, number, next try. Empty when the word says it all. */
export function statusSentence(status: SiteStatus, now: number): string {
  switch (status.state) {
    case 'hold':
      if (status.hold && !(status.problem && namedByCause.has(status.hold.code))) return `${holdTitle(status.hold)}.`;
      return status.problem ? `${escapeControls(describe(status.problem).title)}.` : '';
    case 'retrying': {
      const cause = status.problem ? `${escapeControls(describe(status.problem).title)}.` : '';
      const next = status.nextTryAt === undefined ? '' : ` Next try ${when(status.nextTryAt, now).text}.`;
      return `${cause}${next}`.trim();
    }
    case 'syncing':
      return status.progress ? `${progressWords(status.progress)}.` : '';
    case 'waiting':
      return waitingWords(status.waiting);
    case 'unknown':
      return status.checkedAt === undefined
        ? 'Not checked yet.'
        : `Last successful check ${when(status.checkedAt, now).text}.`;
    case 'in-sync':
    case 'paused':
    case 'off':
      return '';
  }
}

/** Holds whose cause says more than their question: it names the repository. */
const namedByCause = new Set<HoldCode>([
  'stopped',
  'project-missing',
  'project-archived',
  'project-other',
  'no-access',
]);

const workWords: Readonly<Record<WorkProgress['act'], readonly [verb: string, things: string]>> = {
  fetching: ['Fetching', 'objects'],
  pulling: ['Pulling', 'files'],
  pushing: ['Pushing', 'objects'],
  reading: ['Reading the folder', 'files'],
  checking: ['Checking', 'sites'],
  'handing-over': ['Handing over', 'sites'],
};

export function progressWords(progress: WorkProgress): string {
  const { act, done, total, bytes: moved, bytesPerSecond: speed } = progress;
  const [verb, things] = workWords[act];
  const parts = [verb];
  if (total > 0) parts.push(`${number(done)} of ${number(total)} ${things}`);
  if (moved) parts.push(speed ? `${bytes(moved)} at ${bytes(speed)} a second` : bytes(moved));
  return parts.join(', ');
}

/** What the machine said about a problem, in its own lines, as far as `happened` does not say it. */
export function rawOf({ cause, facts }: ProblemFacts, happened: string): string {
  const { text = '' } = facts;
  const parts = [cause, cause.includes(text) || happened.includes(text) ? '' : text];
  return escapeLines(parts.filter((part) => part !== '').join('\n'));
}

/** The first words of a line of activity. */
export function runHeadline(run: RunRecord): string {
  const pulled = total(run.pulled);
  const pushed = total(run.pushed);
  switch (run.result) {
    case 'pulled':
      return `Pulled ${count(pulled, 'file')}`;
    case 'pushed':
      return `Pushed ${count(pushed, 'file')}`;
    case 'merged':
      return `Merged both sides: ${count(pulled, 'file')} pulled, ${count(pushed, 'file')} pushed`;
    case 'connected':
      return pushed > pulled
        ? `Connected, ${count(pushed, 'file')} pushed`
        : `Connected, ${count(pulled, 'file')} pulled`;
    case 'held':
      return run.hold ? `On hold: ${holdNames[run.hold]}` : 'On hold';
    case 'failed':
      return run.problem ? describe(run.problem).title : 'Failed';
    case 'refused':
      return run.problem ? describe(run.problem).title : 'Rejected by GitLab';
    case 'recovered':
      return 'Finished an interrupted sync';
    case 'restored':
      return `Restored ${count(pulled + pushed, 'file')}`;
  }
}

const holdNames: Record<NonNullable<RunRecord['hold']>, string> = {
  'folder-lost-files': 'the folder lost many files',
  'branch-lost-files': 'the branch lost many files',
  'root-missing': 'the folder is missing',
  'root-changed': 'the folder was replaced',
  restored: 'restored from a backup',
  'root-emptied': 'the folder is empty',
  'history-rewritten': 'the branch’s history was rewritten',
  'went-back': 'the branch lost commits in GitLab',
  'branch-missing': 'the branch no longer exists',
  'push-refused': 'GitLab rejects the push',
  reconnect: 'GitLab must be connected again',
  'project-missing': 'the repository was not found',
  'project-archived': 'the repository is archived',
  'project-other': 'the repository was replaced by another project',
  'no-access': 'the user has no access to the repository',
  'application-unknown': 'GitLab does not know this application',
  stopped: 'action required',
};

export const triggerWords: Record<Trigger, string> = {
  watch: 'an edit in the folder',
  poll: 'poll',
  webhook: 'webhook',
  rescan: 'full rescan',
  start: 'Mooring started',
  person: 'requested by a user',
  retry: 'retry',
};

/** What a person did, before and after the site's name. */
export function actWords({ act, detail }: AuditEntry): { readonly before: string; readonly after: string } {
  const what = escapeControls(detail);
  switch (act) {
    case 'set-up':
      return { before: 'Set up Mooring', after: '' };
    case 'configured-instance':
      return { before: 'Configured Self Hosted GitLab', after: what };
    case 'connected-gitlab':
      return { before: 'Authorised Mooring in GitLab', after: what };
    case 'added-site':
      return { before: 'Added the site', after: what };
    case 'removed-site':
      return { before: 'Removed the site', after: what };
    case 'connected':
      return { before: 'Connected', after: what };
    case 'disconnected':
      return { before: 'Disconnected', after: what };
    case 'paused':
      return { before: 'Paused', after: what };
    case 'resumed':
      return { before: 'Resumed', after: what };
    case 'paused-all':
      return { before: 'Paused all sites', after: what };
    case 'resumed-all':
      return { before: 'Resumed all sites', after: '' };
    case 'planned-maintenance':
      return { before: 'Planned a maintenance window', after: what };
    case 'asked-for-sync':
      return { before: 'Requested a sync of', after: what };
    case 'restored':
      return { before: 'Restored in', after: what };
    case 'resolved':
      return { before: 'Resolved a conflict of', after: what };
    case 'chose':
      return { before: 'Answered the hold of', after: what };
    case 'allowed':
      return { before: 'Allowed in', after: what };
    case 'repository-moved':
      return { before: 'Updated the moved repository of', after: what };
    case 'switched-branch':
      return { before: 'Switched the branch of', after: what };
    case 'pushed-elsewhere':
      return { before: 'Pushed rejected commits to another branch for', after: what };
    case 'handed-over':
      return { before: 'Reconnected', after: what };
    case 'webhook':
      return { before: 'Set up the webhook of', after: what };
    case 'changed-settings':
      return { before: 'Changed settings of', after: what };
    case 'renamed-site':
      return { before: 'Renamed', after: what };
    case 'added-admin':
      return { before: 'Added an admin', after: what };
    case 'removed-admin':
      return { before: 'Removed an admin', after: what };
    case 'removed-connection':
      return { before: 'Removed the connection', after: what };
    case 'committed-as':
      return { before: 'Requested a commit in', after: `as ${what}` };
    case 'changed-commit-domains':
      return { before: 'Changed the allowed domains for commit authors', after: what };
    case 'added-account':
      return { before: 'Added the account', after: what };
    case 'changed-account':
      return { before: 'Changed the account', after: what };
    case 'removed-account':
      return { before: 'Removed the account', after: what };
    case 'changed-password':
      return { before: 'Changed a password', after: what };
    case 'signed-out-everywhere':
      return { before: 'Signed out everywhere', after: what };
    case 'made-api-token':
      return { before: 'Created the API token', after: what };
    case 'removed-api-token':
      return { before: 'Removed the API token', after: what };
    case 'rotated-key':
      return { before: 'Replaced the encryption key', after: what };
    case 'applied':
      return { before: 'Applied the configuration in', after: what };
  }
}

export const roleWords: Record<Role, string> = { admin: 'Admin', owner: 'Site owner', viewer: 'Viewer' };

export const actIcons: Record<AuditEntry['act'], string> = {
  'set-up': 'user',
  'configured-instance': 'settings',
  'connected-gitlab': 'key',
  'added-site': 'plus',
  'removed-site': 'trash',
  connected: 'gitlab',
  disconnected: 'close',
  paused: 'pause',
  resumed: 'play',
  'paused-all': 'pause',
  'resumed-all': 'play',
  'planned-maintenance': 'settings',
  'asked-for-sync': 'refresh',
  restored: 'restore',
  resolved: 'conflict',
  chose: 'check',
  allowed: 'lock',
  'repository-moved': 'branch',
  'switched-branch': 'branch',
  'pushed-elsewhere': 'push',
  'handed-over': 'key',
  webhook: 'gitlab',
  'changed-settings': 'settings',
  'renamed-site': 'settings',
  'added-admin': 'user',
  'removed-admin': 'user',
  'removed-connection': 'key',
  'committed-as': 'user',
  'changed-commit-domains': 'settings',
  'added-account': 'user',
  'changed-account': 'user',
  'removed-account': 'user',
  'changed-password': 'key',
  'signed-out-everywhere': 'user',
  'made-api-token': 'key',
  'removed-api-token': 'key',
  'rotated-key': 'key',
  applied: 'settings',
};

export const keptWords: Record<KeptCause, string> = {
  connect: 'Before connecting',
  conflict: 'The version not used in a conflict',
  'late-write': 'An edit made while Mooring replaced the file',
  'history-rewritten': 'Before the branch’s rewritten history was used',
  'went-back': 'Before following a branch that lost commits',
  restore: 'Before a restore',
  removed: 'Files that a sync removed',
  refused: 'Commits that GitLab rejected, before they were recreated',
  'let-go': 'Before the repository stopped tracking files',
};

function waitingWords({ toPull, toPush }: SiteStatus['waiting']): string {
  const parts = [];
  if (toPush > 0) parts.push(`${count(toPush, 'file')} to push`);
  if (toPull > 0) parts.push(`${count(toPull, 'file')} to pull`);
  return parts.length === 0 ? '' : `${parts.join(', ')}.`;
}

function total({ added, changed, removed }: Tally): number {
  return added + changed + removed;
}
