import { errnoWords, isAboutRights } from './errno.ts';
import { shortened } from './tree.ts';
import type { ProblemCode, ProblemFacts, RetryWhen } from './problem.ts';

/**
 * The catalogue: for every code what happened, what was not touched, what to do, the HTTP status and when to try again.
 * Plain text, written by us. Facts are named per code in a comment; each may be missing, then the sentence gets
 * vaguer, never wrong. `text` is always GitLab's or git's own wording.
 */
export interface Remedy {
  readonly title: Sentence;
  readonly happened: Sentence;
  readonly untouched: Sentence;
  readonly todo: Sentence;
  readonly status: number;
  readonly retry: RetryWhen;
}

type Sentence = (facts: Readonly<Record<string, string>>) => string;

/** A problem in words. */
export interface Described {
  readonly title: string;
  readonly happened: string;
  readonly untouched: string;
  readonly todo: string;
  readonly status: number;
  readonly retry: RetryWhen;
}

/** Never throws, whatever the facts hold. */
export function describe({ code, facts: whole }: Pick<ProblemFacts, 'code' | 'facts'>): Described {
  const facts = Object.fromEntries(
    Object.entries(whole).map(([name, fact]) => [name, shownWhole.has(name) ? fact : shortened(fact)]),
  );
  // A code from a newer version may stand in the history.
  const remedy = Object.hasOwn(remedies, code) ? remedies[code] : remedies.unexpected;
  return {
    title: remedy.title(facts),
    happened: remedy.happened(facts),
    untouched: remedy.untouched(facts),
    todo: remedy.todo(facts),
    status: remedy.status,
    retry: remedy.retry,
  };
}

/** Sentences. Every other fact may be a name or a path of any length: cut in a sentence, whole in the technical cause. */
const shownWhole = new Set(['text', 'hint', 'reason', 'why', 'paths', 'redirectUri']);

type F = Readonly<Record<string, string>>;
const host = (f: F): string => f['host'] ?? hostOf(f['url']) ?? 'GitLab';
const project = (f: F): string => f['project'] ?? 'the repository';
const branch = (f: F): string => (f['branch'] === undefined ? 'the branch' : `the branch ${f['branch']}`);
const folder = (f: F): string => f['folder'] ?? f['path'] ?? 'the folder';
// At the head of a sentence. A name keeps its own first letter.
const projectFirst = (f: F): string => f['project'] ?? 'The repository';
const overlapWords = (relation: string | undefined): string =>
  ({ same: 'is', inside: 'is inside', around: 'contains' })[relation ?? ''] ?? 'is, contains or is inside';

const siteWithFolder = ({ site, other }: F): string =>
  site === undefined ? 'another site' : `the site ${site}${other === undefined ? '' : ` (${other})`}`;

const userOf = (f: F): string => f['user'] ?? 'the connection’s user';
const userFirst = (f: F): string => f['user'] ?? 'The connection’s user';
const folderFirst = (f: F): string => f['folder'] ?? f['path'] ?? 'The folder';
const branchFirst = (f: F): string => (f['branch'] === undefined ? 'The branch' : `The branch ${f['branch']}`);
/** Somebody else's words, where they are a sentence. Output of several lines stands below, as lines. */
const said = (f: F, who = 'GitLab'): string => (isSentence(f['text']) ? ` ${who} says: ${f['text']}` : '');
const isSentence = (text: string | undefined): text is string =>
  text !== undefined && /^[^\p{Cc}\p{Cf}]{1,300}$/u.test(text) && !/^(?:fatal|error|warning|remote|hint): /.test(text);
const noFile = (): string => 'No file and no repository was changed.';
const bothSides = (): string =>
  'The folder and the branch were not changed. New edits are committed locally and pushed later.';
const nothing = (): string => 'Nothing was changed.';
/** Where systemd hides the place a folder lies in, looking for the folder or its permissions would lead nowhere. */
const hiddenWords = (f: F): string | undefined =>
  f['hidden'] === undefined
    ? undefined
    : `${folderFirst(f)} cannot be seen: the sandbox of Mooring’s systemd unit hides ${f['hidden']} (ProtectHome).`;
const hiddenTodo = (f: F): string | undefined =>
  f['hidden'] === undefined
    ? undefined
    : 'Set ProtectHome=no in the unit and list the folder in ReadWritePaths. Then run systemctl daemon-reload and restart Mooring.';
const checkDisk =
  'Check the disk and its mount; the system log has more details. Mooring checks again automatically and continues when it can.';

const makeToken = 'Create a token under Account Settings / API tokens and send it as “Authorization: Bearer …”.';

/** Why somebody is not allowed to do something, by the fact `why`. */
const notAllowed: Readonly<Record<string, { readonly happened: string; readonly todo: string }>> = {
  origin: {
    happened: 'The request did not come from one of Mooring’s own pages at its configured address.',
    todo: 'Open Mooring at its public address and try again. If you did, MOORING_PUBLIC_URL does not match the address in your browser.',
  },
  'signed-out': { happened: 'You are not signed in, or your session has expired.', todo: 'Sign in and try again.' },
  token: { happened: 'The API token is missing, unknown, removed or expired.', todo: makeToken },
  scope: { happened: 'The API token lacks a scope.', todo: makeToken },
  role: {
    happened: 'The role of this account does not allow this.',
    todo: 'Ask an admin to do it, or to change the role of your account.',
  },
};

function whyNotAllowed(f: ProblemFacts['facts']): { readonly happened: string; readonly todo: string } {
  const otherwise = { happened: f['text'] ?? 'You don’t have permission to do this.', todo: 'Sign in and try again.' };
  return notAllowed[f['why'] ?? ''] ?? otherwise;
}

/** How the state was damaged, by the fact `reason`. */
function damage(f: ProblemFacts['facts']): { readonly happened: string; readonly todo: string } {
  const { path = 'a file of the store', reason } = f;
  if (reason === 'changed-outside')
    return {
      happened: `Someone changed ${path} while Mooring was running. Mooring does not overwrite this change.`,
      todo: 'Stop Mooring, decide which version of the file is right, and start Mooring again. The names of earlier versions end in .1, .2 and .3.',
    };
  if (reason === 'sealed-value-altered')
    return {
      happened: `A stored secret${f['record'] === undefined ? '' : ` (${f['record']})`} was altered and cannot be decrypted.`,
      todo: 'Enter the secret again, or restore the state directory and its key from a backup.',
    };
  return {
    happened: `${f['path'] ?? 'A file of the store'} cannot be read${isSentence(reason) ? `: ${reason}` : ''}. The earlier versions next to it cannot be used either.`,
    todo: 'Stop Mooring, restore the file from a backup of the state directory, and start Mooring again.',
  };
}

function scopeLacks({ needed }: ProblemFacts['facts']): string {
  return needed === 'sync' ? 'The API token is read-only.' : `The API token lacks the scope ${needed ?? 'for this'}.`;
}

export const remedies: Readonly<Record<ProblemCode, Remedy>> = {
  // ---- Instance and network. Facts: url, host, address, status, text, seconds.
  'instance-url-invalid': {
    title: () => 'This is not a GitLab URL',
    happened: (f) =>
      f['hint'] ?? `${f['url'] === undefined ? 'The address' : `“${f['url']}”`} cannot be used as the GitLab URL.`,
    untouched: nothing,
    todo: () =>
      'Enter the address at which you open GitLab, for example https://gitlab.example.org. Include the sub-path if it has one.',
    status: 422,
    retry: 'after-admin',
  },
  'instance-not-gitlab': {
    title: (f) => `${host(f)} is not a GitLab server`,
    happened: (f) => `A server answers at ${f['url'] ?? host(f)}, but it does not have GitLab’s API.${said(f, 'It')}`,
    untouched: noFile,
    todo: () =>
      'Check the GitLab URL. The usual cause is a missing sub-path, a wrong port or the sign-in page of a proxy.',
    status: 502,
    retry: 'after-admin',
  },
  'instance-missing': {
    title: () => 'Self Hosted GitLab is not configured yet',
    happened: () => 'Mooring does not know which GitLab to connect to.',
    untouched: noFile,
    todo: () => 'Enter its details under Account Settings / Self Hosted GitLab. You only do this once.',
    status: 409,
    retry: 'after-admin',
  },
  'gitlab-unreachable': {
    title: () => 'GitLab did not answer',
    happened: (f) =>
      `Mooring could not reach ${host(f)}${f['address'] === undefined ? '' : ` at ${f['address']}`}${isSentence(f['reason']) ? `: ${f['reason']}` : ''}.`,
    untouched: bothSides,
    todo: () =>
      'Mooring retries automatically. If the problem persists, check that GitLab is running, that its host name resolves on this server, and that no firewall or proxy blocks the connection.',
    status: 502,
    retry: 'soon',
  },
  'gitlab-slow': {
    title: () => 'GitLab took too long to answer',
    happened: (f) =>
      `${host(f)} accepted the request but did not finish it${f['seconds'] === undefined ? ' in time' : ` within ${f['seconds']} seconds`}.`,
    untouched: bothSides,
    todo: () => 'Mooring retries automatically. If it happens often, check the load on the GitLab server.',
    status: 504,
    retry: 'soon',
  },
  'gitlab-busy': {
    title: () => 'Rate limited by GitLab',
    happened: (f) => `${host(f)} limits the number of requests, and Mooring has reached that limit.`,
    untouched: bothSides,
    todo: () =>
      'No action needed. Mooring waits as long as GitLab asks it to, then retries. If it happens often, raise the rate limits in GitLab’s Admin area.',
    status: 503,
    retry: 'soon',
  },
  'gitlab-error': {
    title: (f) => (f['status'] === undefined ? 'GitLab returned an error' : `GitLab returned error ${f['status']}`),
    happened: (f) =>
      `${host(f)} returned ${f['status'] === undefined ? 'an internal error' : `status ${f['status']}`}.${said(f)}`,
    untouched: bothSides,
    todo: () => 'Mooring retries automatically. If the problem persists, check GitLab’s logs.',
    status: 502,
    retry: 'soon',
  },
  'gitlab-answer-odd': {
    title: () => 'Unexpected response from GitLab',
    happened: (f) => `The response from ${host(f)} does not match GitLab’s API.${said(f)}`,
    untouched: bothSides,
    todo: () =>
      'Check that no proxy changes the responses. Then select Test connection under Account Settings / Self Hosted GitLab to see whether Mooring supports your version of GitLab.',
    status: 502,
    retry: 'soon',
  },
  'gitlab-maintenance': {
    title: () => 'GitLab is in maintenance mode',
    happened: (f) => `${host(f)} does not accept changes at the moment.${said(f)}`,
    untouched: bothSides,
    todo: () => 'No action needed. Mooring commits edits locally and pushes them when maintenance ends.',
    status: 503,
    retry: 'soon',
  },
  'tls-untrusted': {
    title: () => 'GitLab’s certificate is not trusted',
    happened: (f) =>
      `${host(f)} presented a certificate${f['issuer'] === undefined ? '' : ` issued by “${f['issuer']}”`} that this server does not trust.`,
    untouched: () => 'No file and no repository was changed. No token or secret was sent.',
    todo: () =>
      'Paste the certificate of your certificate authority (PEM) under Account Settings / Self Hosted GitLab, Advanced. On the GitLab server it is often in /etc/gitlab/trusted-certs.',
    status: 502,
    retry: 'after-admin',
  },
  'tls-expired': {
    title: () => 'GitLab’s certificate has expired',
    happened: (f) => `The certificate of ${host(f)} was valid until ${f['until'] ?? 'some time ago'}.`,
    untouched: () => 'No file and no repository was changed. No token or secret was sent.',
    todo: () => 'Renew the certificate on the GitLab server. If it is still valid, check the clock of this server.',
    status: 502,
    retry: 'after-admin',
  },
  'tls-name': {
    title: () => 'GitLab’s certificate is for a different name',
    happened: (f) => `${host(f)} presented a certificate for ${f['names'] ?? 'a different name'}.`,
    untouched: () => 'No file and no repository was changed. No token or secret was sent.',
    todo: () => 'Use the name in the certificate as the GitLab URL, or issue a certificate for the name you use.',
    status: 502,
    retry: 'after-admin',
  },

  // Fact `sent`: `yes` where one was shown and not accepted.
  'tls-client-certificate': {
    title: (f) =>
      f['sent'] === 'yes' ? 'GitLab rejected the client certificate' : 'GitLab requires a client certificate',
    happened: (f) =>
      f['sent'] === 'yes'
        ? `${host(f)}, or the gateway in front of it, closed the connection when Mooring presented its certificate.`
        : `${host(f)}, or the gateway in front of it, only accepts clients that present a certificate. None is configured in Mooring.`,
    untouched: () => 'No file and no repository was changed. No token or secret was sent.',
    todo: (f) =>
      f['sent'] === 'yes'
        ? 'Check the certificate under Account Settings / Self Hosted GitLab / Advanced: it may have expired, or the GitLab server may not trust the authority that issued it.'
        : 'Ask the administrator of that server for a client certificate and its key, and enter both under Account Settings / Self Hosted GitLab / Advanced.',
    status: 502,
    retry: 'after-admin',
  },

  // ---- Authorisation. Facts: host, scope, user, text, redirectUri.
  'application-unknown': {
    title: () => 'GitLab does not know this application',
    happened: (f) => `${host(f)} does not accept the Application ID or the secret.${said(f)}`,
    untouched: noFile,
    todo: () => 'Copy both again from the application’s page in GitLab to Account Settings / Self Hosted GitLab.',
    status: 502,
    retry: 'after-admin',
  },
  'redirect-not-registered': {
    title: () => 'The Redirect URI is not registered in GitLab',
    happened: (f) => `${host(f)} does not redirect to ${f['redirectUri'] ?? 'Mooring'}.`,
    untouched: noFile,
    todo: (f) =>
      `Add ${f['redirectUri'] ?? 'the Redirect URI shown under Account Settings / Self Hosted GitLab'} to the application in GitLab. It must match exactly.`,
    status: 502,
    retry: 'after-admin',
  },
  'authorisation-denied': {
    title: () => 'Authorisation was denied',
    happened: (f) => `Access was denied on GitLab’s authorisation page.${said(f)}`,
    untouched: noFile,
    todo: () => 'Select Connect again and approve Mooring on the page that GitLab shows.',
    status: 403,
    retry: 'never',
  },
  'callback-forged': {
    title: () => 'This sign-in link has expired or was started in another browser',
    happened: () =>
      'This browser session did not start the sign-in that GitLab answered: the link was used before, is older than ten minutes, or came from somewhere else.',
    untouched: () => 'No connection was added or changed. No file and no repository was changed.',
    todo: () => 'Open the site’s settings and select Connect again.',
    status: 400,
    retry: 'never',
  },
  'grant-lost': {
    title: () => 'GitLab no longer accepts the connection',
    happened: (f) =>
      `The access${f['user'] === undefined ? '' : ` of ${f['user']}`} was revoked in GitLab, or it expired.${said(f)}`,
    untouched: bothSides,
    todo: () => 'Select Reconnect in the site’s settings, or enter a new access token there. Nothing else changes.',
    status: 401,
    retry: 'after-admin',
  },
  'scope-too-small': {
    title: () => 'The connection lacks a required scope',
    happened: (f) =>
      `GitLab rejected the request because it requires ${f['scope'] === undefined ? 'a scope that the application does not have' : `the scope ${f['scope']}`}.${said(f)}`,
    untouched: bothSides,
    todo: () =>
      'In the application in GitLab, select the scopes shown under Account Settings / Self Hosted GitLab, then select Reconnect in the site’s settings. If the site uses an access token, enter one with these scopes instead.',
    status: 403,
    retry: 'after-admin',
  },
  'user-blocked': {
    title: (f) => `${f['user'] ?? 'The GitLab user'} is blocked in GitLab`,
    happened: (f) => `GitLab rejects requests of ${f['user'] ?? 'the connected user'}.${said(f)}`,
    untouched: bothSides,
    todo: () => 'Ask a GitLab admin to unblock the user, or select Reconnect and sign in as another user.',
    status: 403,
    retry: 'after-admin',
  },

  // ---- Repository. Facts: project, branch, role, needed, limit, size, text.
  'project-missing': {
    title: (f) => `${projectFirst(f)} was not found in GitLab`,
    happened: (f) =>
      `GitLab does not show ${project(f)} to ${userOf(f)}. It was deleted, or ${userOf(f)} has no access.`,
    untouched: bothSides,
    todo: () => 'Give the user access again, reconnect as another user, or disconnect and choose another repository.',
    status: 404,
    retry: 'after-admin',
  },
  'project-archived': {
    title: (f) => `${projectFirst(f)} is archived`,
    happened: () => 'GitLab does not accept pushes to an archived repository.',
    untouched: bothSides,
    todo: () => 'Unarchive it in GitLab (Settings / General / Advanced), or choose another repository.',
    status: 409,
    retry: 'after-admin',
  },
  'project-not-yours': {
    title: (f) => `You cannot push to ${project(f)}`,
    happened: (f) => `Your role there is ${f['role'] ?? 'too low'}; ${f['needed'] ?? 'Developer'} is required.`,
    untouched: noFile,
    todo: (f) => `Ask a Maintainer of ${project(f)} for that role, then select Refresh.`,
    status: 403,
    retry: 'after-admin',
  },
  'project-other': {
    title: (f) => `${projectFirst(f)} was replaced by another project`,
    happened: (f) =>
      `The GitLab at this address has a project with the same ID${f['found'] === undefined ? '' : `, ${f['found']}`}, but it was created at a different time. The address may lead to a different GitLab, or GitLab was reinstalled.`,
    untouched: () => 'Nothing was pushed to it or pulled from it. New edits are committed locally and pushed later.',
    todo: () =>
      'Restore the previous GitLab. If this is the right project, open the site and select Use this project. Otherwise, disconnect the site and choose another repository.',
    status: 409,
    retry: 'after-admin',
  },
  'repository-empty': {
    title: (f) => `${projectFirst(f)} is empty`,
    happened: () => 'It has no commits yet, and GitLab lets only a Maintainer make the first push.',
    untouched: noFile,
    todo: () =>
      'Ask a Maintainer to push a first commit or to give you the Maintainer role. Then choose the repository again.',
    status: 409,
    retry: 'after-admin',
  },
  'branch-missing': {
    title: (f) => `${branchFirst(f)} does not exist`,
    happened: (f) => `GitLab no longer has ${branch(f)} in ${project(f)}. It was deleted or renamed.`,
    untouched: bothSides,
    todo: () => 'Create it again in GitLab, or use another branch.',
    status: 404,
    retry: 'after-admin',
  },
  'branch-invalid': {
    title: () => 'This is not a valid branch name',
    happened: (f) =>
      `Git does not allow ${f['branch'] === undefined ? 'this name' : `“${f['branch']}”`} as a branch name.`,
    untouched: noFile,
    todo: () => 'Use letters, digits, dashes and single slashes, for example site/main.',
    status: 422,
    retry: 'never',
  },
  'subfolder-invalid': {
    title: () => 'This is not a valid subfolder',
    happened: (f) =>
      f['file'] === undefined
        ? `${f['subfolder'] === undefined ? 'The name' : `“${f['subfolder']}”`} is not a valid folder path in a repository.`
        : `In the repository, ${f['file']} is a file or a link, not a folder.`,
    untouched: bothSides,
    todo: () =>
      'Enter the path of a folder in the repository, for example docs/site. The folder does not have to exist yet.',
    status: 422,
    retry: 'after-admin',
  },
  'push-not-allowed': {
    title: (f) =>
      f['needed'] === undefined
        ? `${f['user'] ?? 'This connection'} cannot push to ${branch(f)}`
        : `The role in ${project(f)} is too low`,
    happened: (f) =>
      f['needed'] !== undefined
        ? `${userFirst(f)} has ${f['role'] === undefined ? 'a lower role' : `the role ${f['role']}`} there, and ${f['needed']} is required.`
        : `${branchFirst(f)}${f['user'] === undefined ? '' : ` of ${project(f)}`} is protected, and ${userOf(f)} is not allowed to push to it.${said(f)}`,
    untouched: bothSides,
    todo: (f) =>
      f['needed'] === undefined
        ? 'Allow the user under Settings / Repository / Protected branches in GitLab, or choose another branch.'
        : `Give the user the role ${f['needed']} under Manage / Members in GitLab, or choose another repository. The minimum role is set under Account Settings / Self Hosted GitLab.`,
    status: 403,
    retry: 'after-admin',
  },
  'push-refused': {
    title: () => 'GitLab rejected the push',
    happened: (f) =>
      f['paths'] === undefined
        ? `${projectFirst(f)} did not accept the commits.${said(f)}`
        : `A rule of ${project(f)} rejects ${f['paths']}.${said(f)}`,
    untouched: (f) =>
      f['paths'] === undefined
        ? 'The folder and the branch were not changed. The commits are kept here, and Mooring still pulls what others push.'
        : 'The folder was not changed. Everything else is synced.',
    todo: () =>
      'Change or remove the content in the folder; Mooring then recreates the commits without it. Or change the rule in GitLab; Mooring tries the push again from time to time.',
    status: 409,
    retry: 'after-admin',
  },
  'fetch-refused': {
    title: () => 'Git rejected a commit on the branch',
    happened: (f) =>
      f['commit'] === undefined
        ? `The history of ${branch(f)} contains something that git’s safety checks reject.`
        : `The commit ${f['commit']} by ${f['author'] ?? 'an unknown author'}${f['date'] === undefined ? '' : ` on ${f['date']}`} adds ${f['path'] ?? 'a file'}, which git’s safety checks reject.`,
    untouched: () =>
      'The folder was not changed. Nothing is pulled. New edits are committed locally and pushed after that commit is removed.',
    todo: (f) =>
      `Remove ${f['commit'] === undefined ? 'the commit' : `the commit ${f['commit']}`} from the history of ${branch(f)} in GitLab, for example by resetting the branch to the commit before it. Deleting the file in a later commit is not enough. Mooring checks again automatically.`,
    status: 409,
    retry: 'after-admin',
  },
  'remote-moved': {
    title: () => 'The branch changed during the push',
    happened: (f) => `Someone else pushed to ${branch(f)} at the same time.`,
    untouched: bothSides,
    todo: () => 'No action needed. Mooring fetches, merges and pushes again automatically.',
    status: 409,
    retry: 'soon',
  },
  'repository-too-large': {
    title: (f) => `${projectFirst(f)} exceeds the size limit of this site`,
    happened: (f) => `Its size is ${f['size'] ?? 'too large'}, and the limit is ${f['limit'] ?? 'lower'}.`,
    untouched: noFile,
    todo: () => 'Raise the site’s limits, or choose a smaller repository.',
    status: 413,
    retry: 'after-admin',
  },
  'repository-sha256': {
    title: (f) => `${projectFirst(f)} uses SHA-256`,
    happened: () =>
      'This repository uses SHA-256 object names. Mooring supports only SHA-1 repositories, which are GitLab’s default.',
    untouched: noFile,
    todo: () => 'Choose another repository, or create one with the default object format.',
    status: 409,
    retry: 'after-admin',
  },
  'git-http-disabled': {
    title: () => 'GitLab does not allow git over HTTP',
    happened: (f) => `${host(f)} allows git only over SSH, and Mooring uses HTTP.${said(f)}`,
    untouched: bothSides,
    todo: () =>
      'Ask a GitLab admin to choose “Both SSH and HTTP(S)” under Admin / Settings / General / Visibility and access controls / Enabled Git access protocols.',
    status: 403,
    retry: 'after-admin',
  },
  // Fact `other`: the branch that is in the way.
  'branch-name-blocked': {
    title: (f) => `GitLab cannot create ${branch(f)}`,
    happened: (f) =>
      `GitLab has the branch ${f['other'] ?? 'of a similar name'}. Git stores branches like files in folders, so the name of one branch cannot be a folder in the name of another.`,
    untouched: bothSides,
    todo: (f) =>
      `Delete or rename the branch ${f['other'] ?? 'that is in the way'} in GitLab, or use another branch for this site.`,
    status: 409,
    retry: 'after-admin',
  },
  'branch-too-many-files': {
    title: () => 'The branch contains too many files',
    happened: (f) =>
      `${f['commit'] === undefined ? 'A commit' : `Commit ${f['commit']}`}${f['author'] === undefined ? '' : ` by ${f['author']}`}${f['date'] === undefined ? '' : ` on ${f['date']}`} brings ${branch(f)} in GitLab to more than ${f['limit'] ?? 'the allowed number of'} files, the limit of this site.`,
    untouched: bothSides,
    todo: () => 'Revert that commit in GitLab, or raise the site’s limit. Mooring then continues automatically.',
    status: 409,
    retry: 'after-admin',
  },
  'lfs-not-followed': {
    title: (f) => `The repository contains only an LFS pointer for ${f['path'] ?? 'this file'}`,
    happened: () =>
      'The content of the file is in LFS, which is turned off for this site. A file in its place would overwrite the pointer.',
    untouched: bothSides,
    todo: () => 'Turn on LFS in the site’s settings, make sure that .gitattributes tracks the file, and try again.',
    status: 409,
    retry: 'after-admin',
  },

  // ---- Folder. Facts: folder or path, root, site, owner, limit, hint, errno.
  'folder-invalid': {
    title: () => 'This is not a valid folder path',
    happened: (f) => f['hint'] ?? `${f['folder'] === undefined ? 'The path' : `“${f['folder']}”`} cannot be used.`,
    untouched: nothing,
    todo: () => 'Enter the absolute path of a folder below an allowed root.',
    status: 422,
    retry: 'never',
  },
  'folder-outside-roots': {
    title: () => 'This folder is outside the allowed roots',
    happened: (f) =>
      `${folderFirst(f)}${f['leadsTo'] === undefined ? '' : ` leads to “${f['leadsTo']}”, which`} is not below an allowed root folder${f['roots'] === undefined ? '' : ` (${f['roots']})`}.`,
    untouched: nothing,
    todo: () => 'Choose a folder below an allowed root. MOORING_SITES sets the roots.',
    status: 422,
    retry: 'after-admin',
  },
  'folder-overlaps': {
    title: () => 'This folder belongs to another site',
    happened: (f) => `${folderFirst(f)} ${overlapWords(f['relation'])} the folder of ${siteWithFolder(f)}.`,
    untouched: nothing,
    todo: () => 'Choose a different folder.',
    status: 422,
    retry: 'never',
  },
  'folder-missing': {
    title: () => 'The folder does not exist',
    happened: (f) => hiddenWords(f) ?? `${folderFirst(f)} does not exist. A disk may not be mounted.`,
    untouched: bothSides,
    todo: (f) =>
      hiddenTodo(f) ??
      'Create or mount the folder. Mooring checks again automatically and does not treat this as a deletion.',
    status: 409,
    retry: 'after-admin',
  },
  'folder-link': {
    title: () => 'The folder is a symbolic link',
    happened: (f) => `${folderFirst(f)} is a symbolic link. Its target could change while Mooring is working.`,
    untouched: bothSides,
    todo: () => 'Enter the path of the folder that the link points to.',
    status: 422,
    retry: 'after-admin',
  },
  'folder-not-folder': {
    title: () => 'This is not a folder',
    happened: (f) => `${folderFirst(f)} exists but is not a folder.`,
    untouched: bothSides,
    todo: () => 'Choose a folder, or remove the file that has taken its place.',
    status: 422,
    retry: 'after-admin',
  },
  'folder-unreadable': {
    title: (f) =>
      isAboutRights(f['errno']) ? 'Mooring has no permission to read the folder' : 'The folder could not be read',
    happened: (f) =>
      hiddenWords(f) ??
      (isAboutRights(f['errno'])
        ? `The operating system denied access to ${folder(f)}.`
        : `Reading in ${folder(f)} failed: ${errnoWords(f['errno'])}.`),
    untouched: bothSides,
    todo: (f) =>
      hiddenTodo(f) ??
      (isAboutRights(f['errno'])
        ? `Give ${f['user'] ?? 'the user that runs Mooring'} permission to read and enter it, for example through its group.`
        : checkDisk),
    status: 409,
    retry: 'after-admin',
  },
  'folder-unwritable': {
    title: (f) =>
      isAboutRights(f['errno'])
        ? 'Mooring has no permission to write to the folder'
        : 'The folder could not be written to',
    happened: (f) =>
      isAboutRights(f['errno'])
        ? `The operating system denied writing to ${folder(f)}.`
        : `Writing in ${folder(f)} failed: ${errnoWords(f['errno'])}.`,
    untouched: bothSides,
    todo: (f) =>
      isAboutRights(f['errno'])
        ? `Give ${f['user'] ?? 'the user that runs Mooring'} permission to write there, for example through its group.`
        : checkDisk,
    status: 409,
    retry: 'after-admin',
  },
  'folder-changed': {
    title: () => 'The site’s folder was replaced',
    happened: (f) => `${folderFirst(f)} is not the folder that was connected: its device or inode number changed.`,
    untouched: bothSides,
    todo: () => 'Open the site and choose to use this folder, or put the original one back.',
    status: 409,
    retry: 'after-admin',
  },
  'backup-damaged': {
    title: () => 'This backup is damaged',
    happened: (f) => `The archive cannot be used: ${f['reason'] ?? 'it is not a complete backup'}.`,
    untouched: () => 'Nothing was restored.',
    todo: () => 'Use another backup, or copy this one again from where it was written.',
    status: 422,
    retry: 'never',
  },
  'backup-foreign': {
    title: () => 'This backup needs another key',
    happened: (f) => `It was made with the key ${f['expected'] ?? ''}, and this is the key ${f['found'] ?? ''}.`,
    untouched: () => 'Nothing was restored.',
    todo: () => 'Name the key that belongs to the backup with --key.',
    status: 409,
    retry: 'never',
  },
  'backup-state-exists': {
    title: () => 'There is something in the way of the restore',
    happened: (f) => `${f['path'] ?? 'The state directory'} is already there, and a restore never replaces anything.`,
    untouched: () => 'Nothing was restored, and nothing was removed.',
    todo: () =>
      'If the state directory is still good, start Mooring with it and do not restore. Otherwise move it away, and restore into an empty one.',
    status: 409,
    retry: 'never',
  },
  'folder-restored': {
    title: () => 'Restored from a backup',
    happened: (f) =>
      `Mooring was restored from a backup, and ${f['folder'] ?? 'the folder'} is not the folder that the backup was made with.`,
    untouched: bothSides,
    todo: () => 'Open the site, compare, and choose to use this folder, or put the original one back.',
    status: 409,
    retry: 'after-admin',
  },
  'folder-emptied': {
    title: () => 'The folder is empty',
    happened: (f) => `${folderFirst(f)} contained files before and is empty now.`,
    untouched: () => 'Nothing was removed from the branch.',
    todo: () => 'Open the site and choose whether this was intended.',
    status: 409,
    retry: 'after-admin',
  },
  'file-unreadable': {
    title: () => 'A file could not be read',
    happened: (f) =>
      `Reading ${f['path'] ?? 'a file of the site'} failed${f['errno'] === undefined ? '' : `: ${errnoWords(f['errno'])}`}.`,
    untouched: nothing,
    todo: (f) =>
      isAboutRights(f['errno'])
        ? 'Give the user that runs Mooring permission to read it, for example through its group, and try again.'
        : 'Check the disk it is on; the system log has more details. Then try again.',
    status: 409,
    retry: 'after-admin',
  },
  'disk-full': {
    title: () => 'The disk is full',
    happened: (f) => {
      const place = f['path'] ?? f['folder'] ?? 'the place Mooring writes to';
      if (f['needs'] === undefined) return `There is no space left at ${place}.`;
      return `The new files need ${f['needs']} at ${place}, and ${f['free'] ?? 'less'} is free.`;
    },
    untouched: () => 'Mooring replaces files as a whole or not at all. No file is incomplete.',
    todo: () => 'Free up space. Mooring continues automatically.',
    status: 507,
    retry: 'soon',
  },
  'too-many-files': {
    title: () => 'The folder contains too many files',
    happened: (f) =>
      `${folderFirst(f)} contains ${f['files'] ?? 'more files than allowed'}, and the limit is ${f['limit'] ?? 'lower'}.`,
    untouched: bothSides,
    todo: () => 'Raise the site’s limit, or ignore files that don’t need to be synced.',
    status: 409,
    retry: 'after-admin',
  },

  // ---- Connect. Facts: site, project, branch.
  'plan-outdated': {
    title: () => 'Something changed in the meantime',
    happened: () => 'The folder or the branch changed after the page was shown.',
    untouched: noFile,
    todo: () => 'Review the new numbers and confirm again.',
    status: 409,
    retry: 'never',
  },
  'broken-off': {
    title: () => 'Stopped',
    happened: () => 'Someone stopped this while it was running.',
    untouched: () => 'Mooring replaces files as a whole or not at all. No file is incomplete.',
    todo: () => 'Start it again when you are ready. It continues where it stopped.',
    status: 409,
    retry: 'never',
  },
  stopping: {
    title: () => 'Mooring is stopping',
    happened: () => 'Mooring was shut down before this was finished.',
    untouched: () => 'Mooring replaces files as a whole or not at all. No file is incomplete.',
    todo: () => 'Try again when Mooring is running. A sync continues where it stopped.',
    status: 503,
    retry: 'soon',
  },
  'already-connected': {
    title: (f) => `${f['site'] ?? 'This site'} is already connected`,
    happened: (f) => `It is connected to ${project(f)}. Someone may have connected it in another window.`,
    untouched: noFile,
    todo: () => 'To use another repository, disconnect the site first.',
    status: 409,
    retry: 'never',
  },
  declared: {
    title: (f) => `${f['what'] ?? 'This'} is declared in a file`,
    happened: (f) =>
      `It is set in ${f['file'] ?? 'the declaration'}${f['line'] === undefined ? '' : `, line ${f['line']}`}, and cannot be changed here.`,
    untouched: nothing,
    todo: (f) =>
      `Change it there and run “mooring apply ${f['file'] ?? 'FILE'}”. To change it on the pages, remove it from the file first: removing it there changes nothing else.`,
    status: 409,
    retry: 'never',
  },
  'project-in-use': {
    title: () => 'Another site uses this branch',
    happened: (f) =>
      `${f['site'] === undefined ? 'Another site' : `The site ${f['site']}`} already syncs ${branch(f)} of ${project(f)}.`,
    untouched: noFile,
    todo: () => 'Choose another branch or another repository.',
    status: 409,
    retry: 'never',
  },
  'not-connected': {
    title: (f) => `${f['site'] ?? 'This site'} is not connected`,
    happened: () => 'It has no repository, so there is nothing to sync.',
    untouched: noFile,
    todo: () => 'Connect it under Site Settings / Source Syncing.',
    status: 409,
    retry: 'never',
  },

  // ---- Store and process. Facts: path, version, needed, address, port, text, errno.
  'store-missing': {
    title: () => 'Mooring’s state is missing',
    happened: (f) =>
      `${f['path'] ?? 'The state directory'} belongs to an existing installation, but its store is missing. Mooring does not start with an empty one, because that would hide the loss.`,
    untouched: () => 'No site’s folder and no repository was changed.',
    todo: () => 'Restore the state directory from a backup, or move its remaining files elsewhere to start over.',
    status: 500,
    retry: 'after-admin',
  },
  'store-damaged': {
    title: () => 'Mooring’s state is damaged',
    happened: (f) => damage(f).happened,
    untouched: () => 'No site’s folder and no repository was changed.',
    todo: (f) => damage(f).todo,
    status: 500,
    retry: 'after-admin',
  },
  'store-newer': {
    title: () => 'The state was written by a newer version of Mooring',
    happened: (f) =>
      `${f['path'] ?? 'A file in it'} has the format version ${f['version'] ?? 'of a newer program'}; this version of Mooring supports up to ${f['needed'] ?? 'a lower one'}.`,
    untouched: nothing,
    todo: (f) =>
      `Start ${f['by'] === undefined ? 'the newer version of Mooring' : `Mooring ${f['by']}`} again. To go back for good, stop Mooring and copy the files in before-upgrade-… in ${f['folder'] ?? 'the state directory'}, where the upgrade saved them, over the present ones. What was set since then is lost; files of sites are not.`,
    status: 500,
    retry: 'after-admin',
  },
  'key-missing': {
    title: () => 'The encryption key is missing',
    happened: (f) => `${f['path'] ?? 'The key file'} is missing, so stored tokens cannot be decrypted.`,
    untouched: nothing,
    todo: () => 'Restore the key file from a backup. Without it, you must configure and connect GitLab again.',
    status: 500,
    retry: 'after-admin',
  },
  'key-wrong': {
    title: () => 'The encryption key does not match the stored secrets',
    happened: () => 'The secrets were encrypted with a different key.',
    untouched: nothing,
    todo: () => 'Restore the right key file. Without it, you must configure and connect GitLab again.',
    status: 500,
    retry: 'after-admin',
  },
  'key-unwritable': {
    title: () => 'The encryption key cannot be replaced',
    happened: (f) =>
      `${f['path'] ?? 'The key file'} cannot be written${f['errno'] === undefined ? '' : `: ${errnoWords(f['errno'])}`}. A new key must be written beside it and in its place.`,
    untouched: nothing,
    todo: () =>
      'Keep the key in a folder that Mooring’s user can write, and set MOORING_KEY_FILE to it. Then replace the key again.',
    status: 409,
    retry: 'after-admin',
  },
  'state-in-use': {
    title: () => 'This state directory is in use',
    happened: (f) => `Another Mooring process has locked ${f['path'] ?? 'the state directory'}.`,
    untouched: nothing,
    todo: () => 'Stop the other process, or use a separate state directory.',
    status: 500,
    retry: 'after-admin',
  },
  'state-failed': {
    title: () => 'Mooring cannot use its state directory',
    happened: (f) =>
      `Reading or writing ${f['path'] ?? 'a file in it'} failed${f['errno'] === undefined ? '' : `: ${errnoWords(f['errno'])}`}.`,
    untouched: bothSides,
    todo: (f) =>
      f['errno'] !== undefined && isAboutRights(f['errno'])
        ? 'Make the user that runs Mooring the owner of the state directory again. Mooring then continues automatically.'
        : 'Check the disk it is on; the system log has more details. Mooring continues automatically when the directory can be used again.',
    status: 500,
    retry: 'soon',
  },
  'out-of-resources': {
    title: (f) => (f['errno'] === 'ENOMEM' ? 'The server is out of memory' : 'Too many files are open'),
    happened: (f) =>
      f['errno'] === 'ENOMEM'
        ? 'The operating system could not give Mooring more memory (ENOMEM).'
        : f['errno'] === 'ENFILE'
          ? 'The server has reached its limit of open files (ENFILE).'
          : `Mooring has reached its limit of open files (${f['errno'] ?? 'EMFILE'}).`,
    untouched: bothSides,
    todo: (f) =>
      f['errno'] === 'ENOMEM'
        ? 'Give the server, or Mooring’s service or container, more memory (MemoryMax= in a systemd unit). Mooring retries automatically.'
        : f['errno'] === 'ENFILE'
          ? 'Raise fs.file-max with sysctl, or find the program that keeps so many files open. Mooring retries automatically.'
          : 'Raise the limit of open files: LimitNOFILE= in the systemd unit, or ulimit -n. Mooring retries automatically.',
    status: 503,
    retry: 'soon',
  },
  'port-in-use': {
    title: () => 'The port is in use',
    happened: (f) =>
      `Another process is listening on ${f['address'] ?? ''}${f['port'] === undefined ? '' : ` port ${f['port']}`}.`.replace(
        'on .',
        'on that port.',
      ),
    untouched: nothing,
    todo: () => 'Stop it, or choose another port with MOORING_PORT.',
    status: 500,
    retry: 'after-admin',
  },
  'config-invalid': {
    title: () => 'The configuration is invalid',
    happened: (f) => f['text'] ?? 'A setting has a value that cannot be used.',
    untouched: nothing,
    todo: () => 'Correct these settings. config/example.env shows a valid example of each.',
    status: 500,
    retry: 'after-admin',
  },
  'git-too-old': {
    title: () => 'The installed git is too old',
    happened: (f) => `Its version is ${f['version'] ?? 'unknown'}; ${f['needed'] ?? 'a newer version'} is required.`,
    untouched: nothing,
    todo: () => 'Install a newer version of git on this server.',
    status: 500,
    retry: 'after-admin',
  },
  'git-failed': {
    title: () => 'Git failed',
    happened: (f) => `A git command failed${f['command'] === undefined ? '' : ` (${f['command']})`}.`,
    untouched: bothSides,
    todo: () =>
      'Mooring retries automatically. If the problem persists, see the output of git under the site’s Activity.',
    status: 500,
    retry: 'soon',
  },
  'git-killed': {
    title: () => 'The operating system killed git',
    happened: (f) =>
      `The operating system killed git${f['command'] === undefined ? '' : ` (${f['command']})`} while it was running. The usual cause is that the server ran out of memory, or that Mooring’s service or container reached its memory limit.`,
    untouched: bothSides,
    todo: () =>
      'Mooring retries automatically. If this happens again, give the server, or Mooring’s service or container, more memory (MemoryMax= in a systemd unit). The kernel log shows what was killed and why.',
    status: 503,
    retry: 'soon',
  },
  'git-damaged': {
    title: () => 'Mooring’s own copy of the repository is damaged',
    happened: (f) => `Git cannot read ${f['path'] ?? 'an object of the copy in the state directory'}.`,
    untouched: bothSides,
    todo: () =>
      'Check the disk, then restore the state directory from a backup. The site’s folder and the repository on GitLab are not affected.',
    status: 500,
    retry: 'after-admin',
  },

  // ---- Pages. Facts: what, why, seconds, size, field, text.
  'not-found': {
    title: (f) =>
      f['what'] === undefined
        ? 'Page not found'
        : `${f['what'].charAt(0).toUpperCase()}${f['what'].slice(1)} not found`,
    happened: (f) =>
      `There is nothing at this address${f['what'] === undefined ? '' : `. The ${f['what']} may have been removed`}.`,
    untouched: nothing,
    todo: () => 'Check the address, or find what you need from the list of sites.',
    status: 404,
    retry: 'never',
  },
  'not-allowed': {
    title: () => 'Access denied',
    happened: (f) => (f['why'] === 'scope' ? scopeLacks(f) : whyNotAllowed(f).happened),
    untouched: nothing,
    todo: (f) => whyNotAllowed(f).todo,
    status: 403,
    retry: 'never',
  },
  'form-expired': {
    title: () => 'This form has expired',
    happened: () => 'It was created for an earlier session, so Mooring cannot tell whether you sent it.',
    untouched: nothing,
    todo: () => 'Go back, reload the page and submit the form again.',
    status: 403,
    retry: 'never',
  },
  'form-invalid': {
    title: () => 'The form could not be read',
    happened: (f) =>
      f['text'] ??
      (f['size'] === 'large'
        ? 'The form is larger than Mooring accepts.'
        : 'A field is missing or has an unexpected format.'),
    untouched: nothing,
    todo: () => 'Go back, reload the page and fill in the form again.',
    status: 422,
    retry: 'never',
  },
  'request-invalid': {
    title: () => 'The request is invalid',
    happened: (f) =>
      f['text'] ??
      (f['size'] === 'large'
        ? 'The request is larger than Mooring accepts.'
        : 'A field is missing, unknown or has an unexpected format.'),
    untouched: nothing,
    todo: () =>
      'Correct the fields that are named, then send the request again. /api/v1/openapi.json describes each request.',
    status: 422,
    retry: 'never',
  },
  'changed-meanwhile': {
    title: () => 'The settings have changed since you read them',
    happened: () => 'The ETag in If-Match does not match the current one.',
    untouched: nothing,
    todo: () => 'Read the settings again, apply your change to them, and send the new ETag in If-Match.',
    status: 412,
    retry: 'never',
  },
  'precondition-missing': {
    title: () => 'If-Match is missing',
    happened: () => 'A request that changes settings must name the version that it is based on.',
    untouched: nothing,
    todo: () => 'Read the settings first and send their ETag in the If-Match header.',
    status: 428,
    retry: 'never',
  },
  'key-reused': {
    title: () => 'The Idempotency-Key was already used for a different request',
    happened: () => 'Within the last day, Mooring received a request with this key but a different address or body.',
    untouched: nothing,
    todo: () => 'Use a new key for each new request.',
    status: 422,
    retry: 'never',
  },
  'connection-in-use': {
    title: () => 'Sites use this connection',
    happened: (f) => `${f['sites'] ?? 'Sites'} still use it.`,
    untouched: nothing,
    todo: () => 'Hand these sites over to another connection, or disconnect them, and try again.',
    status: 409,
    retry: 'never',
  },
  'too-many-tries': {
    title: () => 'Too many attempts',
    happened: () => 'The name or password was wrong several times in a row.',
    untouched: nothing,
    todo: (f) =>
      f['seconds'] === undefined ? 'Wait a minute and try again.' : `Wait ${f['seconds']} seconds and try again.`,
    status: 429,
    retry: 'soon',
  },
  'setup-done': {
    title: () => 'Mooring is already set up',
    happened: () => 'The first account exists, so the set-up page is closed.',
    untouched: nothing,
    todo: () =>
      'Sign in. If you lost the password, set a new one with MOORING_ADMIN_PASSWORD_FILE and restart Mooring.',
    status: 409,
    retry: 'never',
  },
  'kept-missing': {
    title: () => 'This kept version no longer exists',
    happened: () => 'Kept versions are deleted after their retention period.',
    untouched: nothing,
    todo: () => 'See the list of kept versions, or the repository’s history in GitLab.',
    status: 404,
    retry: 'never',
  },
  unexpected: {
    title: () => 'Something went wrong inside Mooring',
    happened: () => 'An unexpected error stopped this request.',
    untouched: () => 'Syncing continues. Mooring replaces files only as a whole and keeps what it replaces.',
    todo: () => 'Try again. If it happens again, report the lines that Mooring logged at this time.',
    status: 500,
    retry: 'soon',
  },
};

function hostOf(url: string | undefined): string | undefined {
  return url !== undefined && URL.canParse(url) ? new URL(url).host : undefined;
}
