import { errnoWords, isAboutRights } from './errno.ts';
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
export function describe({ code, facts }: Pick<ProblemFacts, 'code' | 'facts'>): Described {
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

type F = Readonly<Record<string, string>>;
const host = (f: F): string => f['host'] ?? hostOf(f['url']) ?? 'GitLab';
const project = (f: F): string => f['project'] ?? 'the repository';
const branch = (f: F): string => (f['branch'] === undefined ? 'the branch' : `the branch ${f['branch']}`);
const folder = (f: F): string => f['folder'] ?? f['path'] ?? 'the folder';
// At the head of a sentence. A name keeps its own first letter.
const projectFirst = (f: F): string => f['project'] ?? 'The repository';
const folderFirst = (f: F): string => f['folder'] ?? f['path'] ?? 'The folder';
const branchFirst = (f: F): string => (f['branch'] === undefined ? 'The branch' : `The branch ${f['branch']}`);
/** Somebody else's words, where they are a sentence. Output of several lines stands below, as lines. */
const said = (f: F, who = 'GitLab'): string => (isSentence(f['text']) ? ` ${who} says: ${f['text']}` : '');
const isSentence = (text: string | undefined): text is string =>
  text !== undefined && /^[^\p{Cc}\p{Cf}]{1,300}$/u.test(text) && !/^(?:fatal|error|warning|remote|hint): /.test(text);
const noFile = (): string => 'No file and no repository.';
const bothSides = (): string => 'The folder and the branch are as they were. Edits are committed here and wait.';
const nothing = (): string => 'Nothing was changed.';
const checkDisk =
  'Check the disk and how it is mounted: the system’s log says more. Mooring looks again by itself and goes on when it can.';

export const remedies: Readonly<Record<ProblemCode, Remedy>> = {
  // ---- Instance and network. Facts: url, host, address, status, text, seconds.
  'instance-url-invalid': {
    title: () => 'This is not an address of a GitLab',
    happened: (f) =>
      f['hint'] ?? `${f['url'] === undefined ? 'The address' : `“${f['url']}”`} cannot be used as GitLab URL.`,
    untouched: nothing,
    todo: () =>
      'Enter the address you open GitLab with, for example https://gitlab.example.org, with its sub-path if it has one.',
    status: 422,
    retry: 'after-admin',
  },
  'instance-not-gitlab': {
    title: (f) => `${host(f)} does not answer as GitLab`,
    happened: (f) => `Something answers at ${f['url'] ?? host(f)}, but its API is not GitLab’s.${said(f, 'It')}`,
    untouched: noFile,
    todo: () =>
      'Check the GitLab URL: a missing sub-path, another port or a sign-in page of a proxy is the usual cause.',
    status: 502,
    retry: 'after-admin',
  },
  'instance-missing': {
    title: () => 'Self Hosted GitLab is not configured yet',
    happened: () => 'Mooring does not know which GitLab to connect to.',
    untouched: noFile,
    todo: () =>
      'Enter its details under Account Settings / Self Hosted GitLab. It is done once for the whole installation.',
    status: 409,
    retry: 'after-admin',
  },
  'gitlab-unreachable': {
    title: () => 'GitLab did not answer',
    happened: (f) =>
      `Mooring could not reach ${host(f)}${f['address'] === undefined ? '' : ` at ${f['address']}`}${isSentence(f['reason']) ? `: ${f['reason']}` : ''}.`,
    untouched: bothSides,
    todo: () =>
      'Mooring tries again by itself. If it lasts: check that GitLab runs, that its name resolves on this server, and that no firewall or proxy stands between.',
    status: 502,
    retry: 'soon',
  },
  'gitlab-slow': {
    title: () => 'GitLab took too long to answer',
    happened: (f) =>
      `${host(f)} took the request but did not finish it${f['seconds'] === undefined ? ' in time' : ` within ${f['seconds']} seconds`}.`,
    untouched: bothSides,
    todo: () => 'Mooring tries again by itself. If it happens often, look at the load of the GitLab server.',
    status: 504,
    retry: 'soon',
  },
  'gitlab-busy': {
    title: () => 'GitLab asks to be left alone for a while',
    happened: (f) => `${host(f)} limits how many requests it takes, and Mooring reached that limit.`,
    untouched: bothSides,
    todo: () =>
      'Nothing: Mooring waits as long as GitLab asks. If it happens often, raise the rate limits in GitLab’s admin area.',
    status: 503,
    retry: 'soon',
  },
  'gitlab-error': {
    title: (f) => (f['status'] === undefined ? 'GitLab failed' : `GitLab answered ${f['status']}`),
    happened: (f) => `${host(f)} answered ${f['status'] ?? 'with an error of its own'}.${said(f)}`,
    untouched: bothSides,
    todo: () => 'Mooring tries again by itself. If it lasts, GitLab’s own logs say why.',
    status: 502,
    retry: 'soon',
  },
  'gitlab-answer-odd': {
    title: () => 'GitLab gave an answer that Mooring does not understand',
    happened: (f) => `${host(f)} answered, but not in the form its API promises.${said(f)}`,
    untouched: bothSides,
    todo: () => 'Check that no proxy changes the answers, and that GitLab’s version is one that Mooring supports.',
    status: 502,
    retry: 'soon',
  },
  'gitlab-maintenance': {
    title: () => 'GitLab is in maintenance',
    happened: (f) => `${host(f)} takes no changes at the moment.${said(f)}`,
    untouched: bothSides,
    todo: () => 'Nothing: edits are committed here and pushed afterwards.',
    status: 503,
    retry: 'soon',
  },
  'tls-untrusted': {
    title: () => 'GitLab’s certificate is not trusted',
    happened: (f) =>
      `${host(f)} showed a certificate${f['issuer'] === undefined ? '' : ` issued by “${f['issuer']}”`} that this server does not know.`,
    untouched: () => 'No file, no repository. No token and no secret was sent.',
    todo: () =>
      'Paste the certificate of your authority (PEM) under Account Settings / Self Hosted GitLab, Advanced. On the GitLab server it often lies in /etc/gitlab/trusted-certs.',
    status: 502,
    retry: 'after-admin',
  },
  'tls-expired': {
    title: () => 'GitLab’s certificate has expired',
    happened: (f) => `The certificate of ${host(f)} was valid until ${f['until'] ?? 'some time ago'}.`,
    untouched: () => 'No file, no repository. No token and no secret was sent.',
    todo: () => 'Renew the certificate on the GitLab server. If it is valid, check this server’s clock.',
    status: 502,
    retry: 'after-admin',
  },
  'tls-name': {
    title: () => 'GitLab’s certificate is for another name',
    happened: (f) =>
      `${host(f)} showed a certificate${f['names'] === undefined ? ' for another name' : ` for ${f['names']}`}.`,
    untouched: () => 'No file, no repository. No token and no secret was sent.',
    todo: () => 'Use the name in the certificate as GitLab URL, or have a certificate made for the name you use.',
    status: 502,
    retry: 'after-admin',
  },

  // ---- Authorisation. Facts: host, scope, user, text, redirectUri.
  'application-unknown': {
    title: () => 'GitLab does not know this application',
    happened: (f) => `${host(f)} does not accept the Application ID or the secret.${said(f)}`,
    untouched: noFile,
    todo: () => 'Copy both once more from the application’s page in GitLab into Account Settings / Self Hosted GitLab.',
    status: 502,
    retry: 'after-admin',
  },
  'redirect-not-registered': {
    title: () => 'The Redirect URI is not registered in GitLab',
    happened: (f) => `${host(f)} refuses to send people back to ${f['redirectUri'] ?? 'Mooring'}.`,
    untouched: noFile,
    todo: (f) =>
      `Add ${f['redirectUri'] ?? 'the Redirect URI shown under Account Settings / Self Hosted GitLab'} to the application in GitLab, letter for letter.`,
    status: 502,
    retry: 'after-admin',
  },
  'authorisation-denied': {
    title: () => 'GitLab did not give the authorisation',
    happened: (f) => `The question in GitLab was answered with no, or GitLab refused it.${said(f)}`,
    untouched: noFile,
    todo: () => 'Press Connect again and choose Authorise in GitLab.',
    status: 403,
    retry: 'never',
  },
  'callback-forged': {
    title: () => 'This answer from GitLab does not belong to you',
    happened: () =>
      'The address carries no question that this browser session asked: it was used before, is older than ten minutes, or came from elsewhere.',
    untouched: () => 'No connection was made or changed. No file, no repository.',
    todo: () => 'Open the site’s settings and press Connect again.',
    status: 400,
    retry: 'never',
  },
  'grant-lost': {
    title: () => 'GitLab no longer accepts the authorisation',
    happened: (f) =>
      `The authorisation${f['user'] === undefined ? '' : ` of ${f['user']}`} was revoked in GitLab, or it ended.${said(f)}`,
    untouched: bothSides,
    todo: () =>
      'Press Reconnect in the site’s settings, or enter a new access token there. Everything else stays as it is.',
    status: 401,
    retry: 'after-admin',
  },
  'scope-too-small': {
    title: () => 'The authorisation is too small',
    happened: (f) =>
      `GitLab refuses the request: it needs the scope ${f['scope'] ?? 'that the application was not given'}.${said(f)}`,
    untouched: bothSides,
    todo: () =>
      'Tick the scopes shown under Account Settings / Self Hosted GitLab in the application in GitLab, then press Reconnect.',
    status: 403,
    retry: 'after-admin',
  },
  'user-blocked': {
    title: (f) => `${f['user'] ?? 'The GitLab user'} is blocked in GitLab`,
    happened: (f) => `GitLab refuses requests of ${f['user'] ?? 'the connected user'}.${said(f)}`,
    untouched: bothSides,
    todo: () => 'Have the user unblocked in GitLab, or press Reconnect as another user.',
    status: 403,
    retry: 'after-admin',
  },

  // ---- Repository. Facts: project, branch, role, needed, limit, size, text.
  'project-missing': {
    title: (f) => `${projectFirst(f)} is not to be found in GitLab`,
    happened: (f) => `GitLab does not show ${project(f)} to this connection: it was deleted, or its user lost access.`,
    untouched: bothSides,
    todo: () =>
      'Give the user access again, press Reconnect as another user, or disconnect and choose another repository.',
    status: 404,
    retry: 'after-admin',
  },
  'project-archived': {
    title: (f) => `${projectFirst(f)} is archived`,
    happened: () => 'GitLab takes no pushes to an archived repository.',
    untouched: bothSides,
    todo: () => 'Unarchive it in GitLab (Settings / General / Advanced), or choose another repository.',
    status: 409,
    retry: 'after-admin',
  },
  'project-not-yours': {
    title: (f) => `You may not push to ${project(f)}`,
    happened: (f) => `Your role there is ${f['role'] ?? 'too low'}; ${f['needed'] ?? 'Developer'} is needed.`,
    untouched: noFile,
    todo: (f) => `Ask a Maintainer of ${project(f)} for the role, then press Refresh.`,
    status: 403,
    retry: 'after-admin',
  },
  'project-other': {
    title: (f) => `Another project stands where ${project(f)} was`,
    happened: (f) =>
      `GitLab answers at the same address and knows a project of the same number${f['found'] === undefined ? '' : `, ${f['found']}`}, but it was made at another time: this is another GitLab, or one restored from nothing.`,
    untouched: () => 'Nothing was pushed to it and nothing taken from it. Edits are committed here and wait.',
    todo: () =>
      'Bring back the GitLab that was there, say that this is the right project, or disconnect and choose one.',
    status: 409,
    retry: 'after-admin',
  },
  'repository-empty': {
    title: (f) => `${projectFirst(f)} is empty`,
    happened: () => 'It has no commit yet, so there is nothing to pull.',
    untouched: noFile,
    todo: () => 'Start from this folder’s files: the first push creates the branch. It takes a Maintainer.',
    status: 409,
    retry: 'after-admin',
  },
  'branch-missing': {
    title: (f) => `${branchFirst(f)} does not exist`,
    happened: (f) => `GitLab does not have ${branch(f)} in ${project(f)} any more: it was deleted or renamed.`,
    untouched: bothSides,
    todo: () => 'Create it again in GitLab, or use another branch.',
    status: 404,
    retry: 'after-admin',
  },
  'branch-invalid': {
    title: () => 'This is no name for a branch',
    happened: (f) => `Git does not allow ${f['branch'] === undefined ? 'this name' : `“${f['branch']}”`} as a branch.`,
    untouched: noFile,
    todo: () => 'Use letters, digits, dashes and single slashes, for example site/main.',
    status: 422,
    retry: 'never',
  },
  'subfolder-invalid': {
    title: () => 'This cannot be the subfolder of a repository',
    happened: (f) =>
      f['file'] === undefined
        ? `${f['subfolder'] === undefined ? 'The name' : `“${f['subfolder']}”`} is no path of a folder in a repository.`
        : `In the repository, ${f['file']} is a file or a link and not a folder.`,
    untouched: bothSides,
    todo: () =>
      'Use names with single slashes between them, for example docs/site, and a place that is free or a folder.',
    status: 422,
    retry: 'after-admin',
  },
  'push-not-allowed': {
    title: (f) =>
      f['needed'] === undefined
        ? `GitLab does not let this connection push to ${branch(f)}`
        : `The role in ${project(f)} is too low`,
    happened: (f) =>
      f['needed'] !== undefined
        ? `The connection’s user is ${f['role'] ?? 'of a lower role'} there, and ${f['needed']} is needed.`
        : `${branchFirst(f)} is protected, and the connection’s user is not among those who may push.${said(f)}`,
    untouched: bothSides,
    todo: (f) =>
      f['needed'] === undefined
        ? 'Allow the user under Settings / Repository / Protected branches in GitLab, or choose another branch.'
        : `Give the user the role ${f['needed']} under Manage / Members in GitLab, or choose another repository. The least role is set under Account Settings / Self Hosted GitLab.`,
    status: 403,
    retry: 'after-admin',
  },
  'push-refused': {
    title: () => 'GitLab refused the push',
    happened: (f) =>
      f['paths'] === undefined
        ? `${projectFirst(f)} did not take the commits.${said(f)}`
        : `A rule of ${project(f)} refuses ${f['paths']}.${said(f)}`,
    untouched: (f) =>
      f['paths'] === undefined
        ? 'The folder and the branch are as they were. The commits wait here, and what others push keeps arriving.'
        : 'The folder is as it was. Everything else is synced.',
    todo: () =>
      'Change or remove in the folder what the rule objects to: Mooring then makes the commits anew without it. Or change the rule in GitLab: Mooring pushes again by itself from time to time.',
    status: 409,
    retry: 'after-admin',
  },
  'fetch-refused': {
    title: () => 'What GitLab sent was not accepted',
    happened: (f) =>
      f['commit'] === undefined
        ? `The history of ${branch(f)} holds something git considers harmful.`
        : `The commit ${f['commit']} by ${f['author'] ?? 'somebody'}${f['date'] === undefined ? '' : ` of ${f['date']}`} brings ${f['path'] ?? 'something'}, which git considers harmful.`,
    untouched: () =>
      'The folder is as it was. Nothing is pulled, and edits are committed here and pushed when that commit is gone.',
    todo: (f) =>
      `Remove ${f['commit'] === undefined ? 'the commit' : `the commit ${f['commit']}`} from the history of ${branch(f)} in GitLab: a later commit that takes the file away is not enough. Mooring looks again by itself.`,
    status: 409,
    retry: 'after-admin',
  },
  'remote-moved': {
    title: () => 'The branch moved while Mooring pushed',
    happened: (f) => `Somebody pushed to ${branch(f)} at the same moment.`,
    untouched: bothSides,
    todo: () => 'Nothing: Mooring fetches, merges and pushes again by itself.',
    status: 409,
    retry: 'soon',
  },
  'repository-too-large': {
    title: (f) => `${projectFirst(f)} is larger than this site may be`,
    happened: (f) => `It holds ${f['size'] ?? 'more than allowed'}; the limit is ${f['limit'] ?? 'lower'}.`,
    untouched: noFile,
    todo: () => 'Raise the limits of the site, or choose a smaller repository.',
    status: 413,
    retry: 'after-admin',
  },
  'lfs-not-followed': {
    title: (f) => `The repository has only a pointer to ${f['path'] ?? 'this file'}`,
    happened: () =>
      'Its content is in LFS, which this site does not follow there: a file in its place would be committed over the pointer.',
    untouched: bothSides,
    todo: () => 'Turn on LFS under Settings of the site, with a line for the file in .gitattributes, and try again.',
    status: 409,
    retry: 'after-admin',
  },

  // ---- Folder. Facts: folder or path, root, site, owner, limit, hint, errno.
  'folder-invalid': {
    title: () => 'This is no path of a folder',
    happened: (f) => f['hint'] ?? `${f['folder'] === undefined ? 'The path' : `“${f['folder']}”`} cannot be used.`,
    untouched: nothing,
    todo: () => 'Enter the whole path of a folder below an allowed root, beginning with a slash.',
    status: 422,
    retry: 'never',
  },
  'folder-outside-roots': {
    title: () => 'This folder lies outside the allowed roots',
    happened: (f) =>
      `${folderFirst(f)} does not lie under ${f['roots'] ?? 'a folder that this installation allows'}, or lies in Mooring’s own state.`,
    untouched: nothing,
    todo: () => 'Choose a folder under an allowed root. The roots are set with MOORING_SITES.',
    status: 422,
    retry: 'after-admin',
  },
  'folder-overlaps': {
    title: () => 'This folder belongs to another site',
    happened: (f) => `${folderFirst(f)} is, contains or lies inside the folder of ${f['site'] ?? 'another site'}.`,
    untouched: nothing,
    todo: () => 'Choose a folder beside it.',
    status: 422,
    retry: 'never',
  },
  'folder-missing': {
    title: () => 'The folder does not exist',
    happened: (f) => `There is nothing at ${folder(f)}. A disk may not be mounted.`,
    untouched: bothSides,
    todo: () => 'Create or mount the folder. Mooring looks again by itself and takes this for no deletion.',
    status: 409,
    retry: 'after-admin',
  },
  'folder-link': {
    title: () => 'The folder is a link',
    happened: (f) => `${folderFirst(f)} is a symbolic link. What it points to could change under Mooring’s hands.`,
    untouched: bothSides,
    todo: () => 'Use the folder it points to.',
    status: 422,
    retry: 'after-admin',
  },
  'folder-not-folder': {
    title: () => 'This is no folder',
    happened: (f) => `At ${folder(f)} there is something else than a folder.`,
    untouched: bothSides,
    todo: () => 'Choose a folder.',
    status: 422,
    retry: 'after-admin',
  },
  'folder-unreadable': {
    title: (f) => (isAboutRights(f['errno']) ? 'Mooring may not read the folder' : 'The folder could not be read'),
    happened: (f) =>
      isAboutRights(f['errno'])
        ? `The system refuses to list ${folder(f)}.`
        : `Reading in ${folder(f)} failed: ${errnoWords(f['errno'])}.`,
    untouched: bothSides,
    todo: (f) =>
      isAboutRights(f['errno'])
        ? `Give ${f['user'] ?? 'the user that runs Mooring'} the right to read and enter it, for example through its group.`
        : checkDisk,
    status: 409,
    retry: 'after-admin',
  },
  'folder-unwritable': {
    title: (f) =>
      isAboutRights(f['errno']) ? 'Mooring may not write into the folder' : 'The folder could not be written to',
    happened: (f) =>
      isAboutRights(f['errno'])
        ? `The system refuses to write into ${folder(f)}.`
        : `Writing in ${folder(f)} failed: ${errnoWords(f['errno'])}.`,
    untouched: bothSides,
    todo: (f) =>
      isAboutRights(f['errno'])
        ? `Give ${f['user'] ?? 'the user that runs Mooring'} the right to write there, for example through its group.`
        : checkDisk,
    status: 409,
    retry: 'after-admin',
  },
  'folder-changed': {
    title: () => 'Another folder stands in the place of the site’s folder',
    happened: (f) => `${folderFirst(f)} is not the folder that was connected: its identity on disk changed.`,
    untouched: bothSides,
    todo: () => 'Open the site and choose: use this folder, or put the right one back.',
    status: 409,
    retry: 'after-admin',
  },
  'folder-emptied': {
    title: () => 'The folder is empty',
    happened: (f) => `${folderFirst(f)} held files before and holds none now.`,
    untouched: () => 'Nothing was removed from the branch.',
    todo: () => 'Open the site and choose whether this was meant.',
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
        ? 'Give the user that runs Mooring the right to read it, for example through its group, and try again.'
        : 'Check the disk it lies on: the system’s log says more. Then try again.',
    status: 409,
    retry: 'after-admin',
  },
  'disk-full': {
    title: () => 'The disk is full',
    happened: (f) => {
      const place = f['path'] ?? f['folder'] ?? 'the place Mooring writes to';
      if (f['needs'] === undefined) return `There is no room left at ${place}.`;
      return `What came needs ${f['needs']} at ${place}, and ${f['free'] ?? 'less'} is free.`;
    },
    untouched: () => 'Files are replaced whole or not at all: no file was left half-written.',
    todo: () => 'Make room. Mooring goes on by itself.',
    status: 507,
    retry: 'soon',
  },
  'too-many-files': {
    title: () => 'The folder holds more files than allowed',
    happened: (f) =>
      `${folderFirst(f)} holds ${f['files'] ?? 'more files than allowed'}; the limit is ${f['limit'] ?? 'lower'}.`,
    untouched: bothSides,
    todo: () => 'Raise the limit of the site, or ignore what need not be synced.',
    status: 409,
    retry: 'after-admin',
  },

  // ---- Connect. Facts: site, project, branch.
  'plan-outdated': {
    title: () => 'Something changed since the numbers were counted',
    happened: () => 'The folder or the branch changed between the question and your answer.',
    untouched: noFile,
    todo: () => 'Look at the new numbers and confirm them.',
    status: 409,
    retry: 'never',
  },
  'broken-off': {
    title: () => 'Broken off',
    happened: () => 'Somebody stopped this while it was under way.',
    untouched: () => 'Files are replaced whole or not at all: no file was left half-written.',
    todo: () => 'Start it again when you like. It goes on from where it was.',
    status: 409,
    retry: 'never',
  },
  'already-connected': {
    title: (f) => `${f['site'] ?? 'This site'} is connected already`,
    happened: (f) => `It is tied to ${project(f)}. Somebody may have connected it in another window.`,
    untouched: noFile,
    todo: () => 'Disconnect it first if you want another repository.',
    status: 409,
    retry: 'never',
  },
  'project-in-use': {
    title: () => 'Another site uses this branch',
    happened: (f) =>
      `${branchFirst(f)} of ${project(f)} belongs to ${f['site'] === undefined ? 'another site' : `the site ${f['site']}`}.`,
    untouched: noFile,
    todo: () => 'Choose another branch or another repository.',
    status: 409,
    retry: 'never',
  },
  'not-connected': {
    title: (f) => `${f['site'] ?? 'This site'} is not connected`,
    happened: () => 'It is tied to no repository, so there is nothing to sync.',
    untouched: noFile,
    todo: () => 'Connect it under Site Settings / Source Syncing.',
    status: 409,
    retry: 'never',
  },

  // ---- Store and process. Facts: path, version, needed, address, port, text, errno.
  'store-missing': {
    title: () => 'The state of Mooring is gone',
    happened: (f) =>
      `${f['path'] ?? 'The state directory'} has traces of an installation but no store. Starting afresh would hide the loss.`,
    untouched: () => 'No site’s folder and no repository.',
    todo: () => 'Restore the state directory from a backup, or move what is left of it away to start anew.',
    status: 500,
    retry: 'after-admin',
  },
  'store-damaged': {
    title: () => 'The state of Mooring is damaged',
    happened: (f) => `${f['path'] ?? 'A file of the store'} cannot be read.${said(f, 'The reader')}`,
    untouched: () => 'No site’s folder and no repository.',
    todo: () => 'Restore the file from its .bak beside it or from a backup.',
    status: 500,
    retry: 'after-admin',
  },
  'store-newer': {
    title: () => 'The state was written by a newer Mooring',
    happened: (f) =>
      `It has version ${f['version'] ?? 'a higher number'}; this program knows up to ${f['needed'] ?? 'a lower one'}.`,
    untouched: nothing,
    todo: () => 'Start the newer version again, or restore the copy that the upgrade kept.',
    status: 500,
    retry: 'after-admin',
  },
  'key-missing': {
    title: () => 'The instance key is missing',
    happened: (f) => `${f['path'] ?? 'The key file'} is not there, so stored tokens cannot be opened.`,
    untouched: nothing,
    todo: () => 'Put the key file back from a backup. Without it GitLab has to be configured and connected anew.',
    status: 500,
    retry: 'after-admin',
  },
  'key-wrong': {
    title: () => 'The instance key does not fit the stored secrets',
    happened: () => 'The key file is another one than the secrets were sealed with.',
    untouched: nothing,
    todo: () => 'Put the right key file back. Without it GitLab has to be configured and connected anew.',
    status: 500,
    retry: 'after-admin',
  },
  'state-in-use': {
    title: () => 'Another Mooring uses this state directory',
    happened: (f) => `${f['path'] ?? 'The state directory'} is locked by a running process.`,
    untouched: nothing,
    todo: () => 'Stop the other one, or give this one a state directory of its own.',
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
        ? 'Give the state directory back to the user that runs Mooring. Mooring goes on by itself.'
        : 'Check the disk it lies on: the system’s log says more. Mooring goes on by itself when it can be used again.',
    status: 500,
    retry: 'soon',
  },
  'out-of-resources': {
    title: (f) => (f['errno'] === 'ENOMEM' ? 'The server is out of memory' : 'Too many files are open'),
    happened: (f) =>
      f['errno'] === 'ENOMEM'
        ? 'The system gave Mooring no more memory (ENOMEM).'
        : f['errno'] === 'ENFILE'
          ? 'The whole system has as many files open as it can (ENFILE).'
          : `Mooring has as many files open as it may (${f['errno'] ?? 'EMFILE'}).`,
    untouched: bothSides,
    todo: (f) =>
      f['errno'] === 'ENOMEM'
        ? 'Give the server, or Mooring’s service or container, more memory (MemoryMax= in a systemd unit). Mooring tries again by itself.'
        : f['errno'] === 'ENFILE'
          ? 'Raise fs.file-max with sysctl, or find the program that opens so many. Mooring tries again by itself.'
          : 'Raise the limit of open files: LimitNOFILE= in the systemd unit, or ulimit -n. Mooring tries again by itself.',
    status: 503,
    retry: 'soon',
  },
  'port-in-use': {
    title: () => 'The port is taken',
    happened: (f) =>
      `Something else listens on ${f['address'] ?? ''}${f['port'] === undefined ? '' : ` port ${f['port']}`}.`.replace(
        'on .',
        'on that port.',
      ),
    untouched: nothing,
    todo: () => 'Stop it, or choose another port with MOORING_PORT.',
    status: 500,
    retry: 'after-admin',
  },
  'config-invalid': {
    title: () => 'The configuration has faults',
    happened: (f) => f['text'] ?? 'A setting has a value that cannot be used.',
    untouched: nothing,
    todo: () => 'Correct the settings named. config/example.env has a valid example for each.',
    status: 500,
    retry: 'after-admin',
  },
  'git-too-old': {
    title: () => 'The installed git is too old',
    happened: (f) => `It is version ${f['version'] ?? 'unknown'}; ${f['needed'] ?? 'a newer one'} is needed.`,
    untouched: nothing,
    todo: () => 'Install a newer git on this server.',
    status: 500,
    retry: 'after-admin',
  },
  'git-failed': {
    title: () => 'Git failed',
    happened: (f) => `A git command ended with an error${f['command'] === undefined ? '' : ` (${f['command']})`}.`,
    untouched: bothSides,
    todo: () => 'Mooring tries again by itself. If it lasts, the technical cause and the output of git say why.',
    status: 500,
    retry: 'soon',
  },
  'git-damaged': {
    title: () => 'Mooring’s own copy of the repository is damaged',
    happened: (f) => `Git cannot read ${f['path'] ?? 'an object of the copy in the state directory'}.`,
    untouched: bothSides,
    todo: () =>
      'Check the disk, then restore the state directory from a backup. The site’s folder and GitLab are complete without it.',
    status: 500,
    retry: 'after-admin',
  },

  // ---- Pages. Facts: what, why, seconds, size, field, text.
  'not-found': {
    title: (f) => (f['what'] === undefined ? 'There is no such page' : `There is no such ${f['what']}`),
    happened: (f) =>
      `This address leads to nothing${f['what'] === undefined ? '' : `: the ${f['what']} may have been removed`}.`,
    untouched: nothing,
    todo: () => 'Go back to the list of sites.',
    status: 404,
    retry: 'never',
  },
  'not-allowed': {
    title: () => 'This was not allowed',
    happened: (f) =>
      f['why'] === 'origin'
        ? 'The request did not come from one of Mooring’s own pages at its configured address.'
        : f['why'] === 'signed-out'
          ? 'Nobody is signed in here, or the session has ended.'
          : f['why'] === 'token'
            ? 'The API token is missing, unknown, removed or has ended.'
            : f['why'] === 'scope'
              ? 'The API token may only read.'
              : (f['text'] ?? 'You may not do this.'),
    untouched: nothing,
    todo: (f) =>
      f['why'] === 'origin'
        ? 'Open Mooring under its public address and try again. If that is what you did, MOORING_PUBLIC_URL does not match the address in your browser.'
        : f['why'] === 'token' || f['why'] === 'scope'
          ? 'Make a token under Account Settings / API tokens and send it as “Authorization: Bearer …”.'
          : 'Sign in and try again.',
    status: 403,
    retry: 'never',
  },
  'form-expired': {
    title: () => 'This form has expired',
    happened: () => 'It was made for an earlier session, so it may not have been you who sent it.',
    untouched: nothing,
    todo: () => 'Go back, load the page anew and send the form again.',
    status: 403,
    retry: 'never',
  },
  'form-invalid': {
    title: () => 'The form could not be read',
    happened: (f) =>
      f['text'] ??
      (f['size'] === 'large'
        ? 'It is larger than Mooring accepts.'
        : 'Something is missing in it or has a form that Mooring does not know.'),
    untouched: nothing,
    todo: () => 'Go back, load the page anew and fill it in again.',
    status: 422,
    retry: 'never',
  },
  'too-many-tries': {
    title: () => 'Too many tries',
    happened: () => 'Name or password were wrong several times in a row.',
    untouched: nothing,
    todo: (f) =>
      f['seconds'] === undefined ? 'Wait a minute and try again.' : `Wait ${f['seconds']} seconds and try again.`,
    status: 429,
    retry: 'soon',
  },
  'setup-done': {
    title: () => 'Mooring is set up already',
    happened: () => 'The first account exists, so the set-up page is closed for good.',
    untouched: nothing,
    todo: () => 'Sign in. If the password is lost, run mooring admin reset-password on the server.',
    status: 409,
    retry: 'never',
  },
  'kept-missing': {
    title: () => 'This kept version is no longer there',
    happened: () => 'Kept versions are given up after their time.',
    untouched: nothing,
    todo: () => 'Look at the list of what is still kept, or at the repository’s history in GitLab.',
    status: 404,
    retry: 'never',
  },
  unexpected: {
    title: () => 'Something went wrong inside Mooring',
    happened: () => 'A fault that nobody foresaw stopped this request.',
    untouched: () => 'Syncing goes on; files are only ever replaced whole, and what is replaced is kept first.',
    todo: () => 'Try again. If it happens again, look at Mooring’s log at this time and report what it says.',
    status: 500,
    retry: 'soon',
  },
};

function hostOf(url: string | undefined): string | undefined {
  return url !== undefined && URL.canParse(url) ? new URL(url).host : undefined;
}
