import { type RefusalKind, readRefusal } from '../model/refusal.ts';
import type { Hold, HoldChoice, HoldCode } from '../model/site.ts';
import { displayPath } from '../model/tree.ts';
import { count, fullTime, number } from './times.ts';

/** A choice as a card: what it means, what stays, and the button's words. */
export interface ChoiceWords {
  readonly choice: HoldChoice;
  readonly title: string;
  readonly body: string;
  readonly button: string;
  readonly icon: string;
  /** Takes something away on one side; the button says so by its colour. */
  readonly loses: boolean;
}

/** The question, in one sentence without full stop. */
export function holdTitle(hold: Hold): string {
  return questions[hold.code].title(hold);
}

/** Why Mooring asks, and what happens meanwhile. */
export function holdReason(hold: Hold): string {
  const { reason } = questions[hold.code];
  return typeof reason === 'string' ? reason : reason(hold);
}

/** What goes on meanwhile, in one short sentence: the same on every page. */
export function holdMeanwhile({ code }: Hold): string {
  return code === 'push-refused'
    ? 'Edits wait here; what others push keeps arriving.'
    : 'Nothing moves until someone chooses.';
}

/** The choices the engine offers, in its order. */
export function holdChoices(hold: Hold): readonly ChoiceWords[] {
  return hold.choices.map((choice) => ({
    choice,
    ...plain[choice](hold),
    ...questions[hold.code].choices[choice]?.(hold),
  }));
}

interface Question {
  readonly title: (hold: Hold) => string;
  readonly reason: string | ((hold: Hold) => string);
  readonly choices: Partial<Record<HoldChoice, (hold: Hold) => Partial<ChoiceWords>>>;
}

const lost = (hold: Hold): string => count(hold.tally.removed, 'file');
const meanwhile = 'Nothing moves in either direction until someone chooses; edits in the folder are kept.';
const massReason = `Someone may have meant this, or a script may have gone wrong, so Mooring asks. ${meanwhile}`;

const questions: Record<HoldCode, Question> = {
  'folder-lost-files': {
    title: (hold) => `The folder lost ${number(hold.tally.removed)} of ${count(hold.total, 'file')}`,
    reason: massReason,
    choices: {
      'put-back': (hold) => ({
        title: 'It was a mistake',
        body: `Puts ${lost(hold)} back into the folder. The repository stays as it is.`,
        button: `Put ${lost(hold)} back`,
      }),
      'go-on': (hold) => ({
        title: 'It was meant',
        body: `Removes ${lost(hold)} from the branch with a new commit. They stay in the repository’s history.`,
        button: `Remove ${lost(hold)}`,
        icon: 'trash',
        loses: true,
      }),
    },
  },
  'branch-lost-files': {
    title: (hold) => `GitLab would remove ${number(hold.tally.removed)} of this site’s ${count(hold.total, 'file')}`,
    reason: massReason,
    choices: {
      'put-back': (hold) => ({
        title: 'It was a mistake',
        body: `Puts ${lost(hold)} back in the repository with a new commit. The folder stays as it is, and the commit that removed them stays in the history.`,
        button: `Put ${lost(hold)} back`,
      }),
      'go-on': (hold) => ({
        title: 'It was meant',
        body: `Removes ${lost(hold)} from the folder. They are kept first and can be restored with one click.`,
        button: `Remove ${lost(hold)}`,
        icon: 'trash',
        loses: true,
      }),
    },
  },
  'root-missing': {
    title: () => 'The site’s folder is missing',
    reason: `A disk may not be mounted, or the folder was moved. Mooring takes this for no deletion. ${meanwhile}`,
    choices: {
      'try-again': () => ({
        title: 'It is back',
        body: 'Looks again. When the folder is the one it was, syncing goes on.',
        button: 'Look again',
      }),
      'put-back': () => ({
        title: 'Make it anew',
        body: 'Creates the folder and fills it from the branch.',
        button: 'Fill the folder from GitLab',
      }),
    },
  },
  'root-changed': {
    title: () => 'Another folder stands where the site’s folder was',
    reason: `Its identity on disk changed, and its content is not what it was: it may be a restored backup or the wrong disk. ${meanwhile}`,
    choices: {
      adopt: () => ({
        title: 'This is the right folder',
        body: 'Takes its content as an edit: what differs is committed and merged like any other change.',
        button: 'Use this folder',
      }),
      'try-again': () => ({ title: 'The right one is back', body: 'Looks again.', button: 'Look again' }),
    },
  },
  'root-emptied': {
    title: () => 'The site’s folder is empty',
    reason: `It held files before. A disk may not be mounted, or something emptied it. ${meanwhile}`,
    choices: {
      'put-back': (hold) => ({
        title: 'It was a mistake',
        body: `Puts ${count(hold.total, 'file')} back into the folder. The repository stays as it is.`,
        button: 'Put the files back',
      }),
      'go-on': (hold) => ({
        title: 'It was meant',
        body: `Removes ${count(hold.total, 'file')} from the branch with a new commit. They stay in the repository’s history.`,
        button: 'Remove all files',
        icon: 'trash',
        loses: true,
      }),
    },
  },
  'history-rewritten': {
    title: () => 'The branch’s history was rewritten',
    reason: `Someone pushed with force: the commit this site was on is no longer part of the branch. ${meanwhile}`,
    choices: {
      'put-back': () => ({
        title: 'It was a mistake',
        body: 'Pushes what this site has on top of the new history, as one commit.',
        button: 'Push this site’s files',
      }),
      'go-on': () => ({
        title: 'It was meant',
        body: 'Takes the branch as it is now. What the folder loses is kept first and can be restored with one click.',
        button: 'Take the new history',
        icon: 'pull',
        loses: true,
      }),
    },
  },
  'went-back': {
    title: ({ back }) =>
      back ? `GitLab no longer has ${count(back.lost, 'commit')} of this branch` : 'The branch went back in GitLab',
    reason: wentBackReason,
    choices: {
      'put-back': ({ back }) => ({
        title: 'GitLab should have them',
        body:
          back && back.newer > 0
            ? `Merges the lost commits with the ${count(back.newer, 'newer commit')} and pushes both, then this folder’s own edits. Nothing is pushed by force.`
            : 'Pushes the lost commits to GitLab again, then this folder’s own edits. Nothing is pushed by force, and no file in the folder changes.',
        button: 'Push back what GitLab lost',
        icon: 'push',
      }),
      'go-on': ({ tally }) => ({
        title: 'GitLab is right',
        body: `Brings the folder to the state of the branch: ${changesWords(tally)}. The state before is kept and can be restored with one click. Edits that were not pushed yet stay and are merged.`,
        button: 'Follow GitLab',
        icon: 'pull',
        loses: true,
      }),
    },
  },
  'branch-missing': {
    title: () => 'The branch is gone from GitLab',
    reason: `It was deleted or renamed. Mooring does not create it again unasked. ${meanwhile}`,
    choices: {
      'put-back': () => ({
        title: 'It was a mistake',
        body: 'Creates the branch again from what this site has.',
        button: 'Create the branch again',
        icon: 'branch',
      }),
      'try-again': () => ({
        title: 'It is back',
        body: 'Looks again. Mooring also looks by itself every few minutes.',
        button: 'Look again',
      }),
    },
  },
  'push-refused': {
    title: (hold) => refused[kindOf(hold)].title,
    reason: (hold) =>
      `${refused[kindOf(hold)].reason} The folder stays as it is, the commits wait here, and what others push keeps arriving. Mooring pushes them again by itself from time to time, and at once after an edit.`,
    choices: {
      'try-again': (hold) => ({
        title: refused[kindOf(hold)].mended,
        body: 'Pushes the waiting commits once more.',
        button: 'Push again',
        icon: 'push',
      }),
      'leave-out': (hold) => ({
        title: hold.samples.length === 1 ? 'Push everything but this file' : 'Push everything but these files',
        body: `Makes the waiting commits anew without ${listed(hold)} and pushes them. What is left out stays in the folder and goes along when it changes; the old commits are kept.`,
        button: 'Make the commits anew',
        icon: 'push',
      }),
    },
  },
  reconnect: {
    title: () => 'GitLab must be connected again',
    reason:
      'GitLab no longer accepts this site’s authorisation. The folder and the branch are as they were; edits are committed here and pushed afterwards.',
    choices: {
      'try-again': () => ({
        title: 'It works again',
        body: 'Asks GitLab once more with the authorisation that is stored.',
        button: 'Try again',
      }),
    },
  },
  'project-missing': {
    title: () => 'The repository is not to be found in GitLab',
    reason: `It was deleted, or the connection’s user lost access: GitLab says the same of both. Mooring takes this for no deletion of files. ${meanwhile}`,
    choices: {
      'try-again': () => ({
        title: 'It is back, or access was given again',
        body: 'Looks again. Mooring also looks by itself every few minutes.',
        button: 'Look again',
      }),
    },
  },
  'project-archived': {
    title: () => 'The repository is archived',
    reason: `GitLab takes no pushes to it. ${meanwhile}`,
    choices: {
      'try-again': () => ({
        title: 'It is unarchived',
        body: 'Pushes what waits. In GitLab: Settings / General / Advanced / Unarchive project.',
        button: 'Push again',
        icon: 'push',
      }),
    },
  },
  'project-other': {
    title: () => 'Another project stands where this site’s was',
    reason: `The number is the same, the project is not: another GitLab may answer at this address. Nothing was pushed to it. ${meanwhile}`,
    choices: {
      'try-again': () => ({ title: 'The right GitLab is back', body: 'Looks again.', button: 'Look again' }),
      adopt: () => ({
        title: 'This is the right project',
        body: 'Goes on with it, for instance after an import into a new GitLab. If its history is another one, Mooring asks before anything moves.',
        button: 'Use this project',
        icon: 'gitlab',
      }),
    },
  },
  'no-access': {
    title: () => 'The connection’s user may not use this repository',
    reason: `GitLab shows the repository and refuses what Mooring needs there. ${meanwhile}`,
    choices: {
      'try-again': () => ({
        title: 'The right was given',
        body: 'Looks again. Mooring also looks by itself every few minutes.',
        button: 'Look again',
      }),
    },
  },
  'application-unknown': {
    title: () => 'GitLab does not know this application',
    reason: `The Application ID or the secret under Account Settings / Self Hosted GitLab is no longer right: it was renewed or removed in GitLab. ${meanwhile}`,
    choices: { 'try-again': () => ({ title: 'I’ve fixed it', body: 'Asks GitLab once more.', button: 'Try again' }) },
  },
  stopped: {
    title: () => 'Something must be put right first',
    reason: `The cause stands below, with what to do. ${meanwhile}`,
    choices: { 'try-again': () => ({ title: 'I’ve fixed it', body: 'Tries again at once.', button: 'Try again' }) },
  },
};

function wentBackReason({ back, choices }: Hold): string {
  const to = back?.to === undefined ? '' : ` The newest commit that is left is of ${fullTime(back.to)}.`;
  const pushed = back?.newer === 1 ? 'was pushed' : 'were pushed';
  const newer = back && back.newer > 0 ? ` Since then ${count(back.newer, 'other commit')} ${pushed}.` : '';
  const alone = choices.includes('put-back')
    ? ''
    : ' Lost and newer commits both changed files outside this site’s folder, so Mooring cannot merge them: someone with a copy of the repository can.';
  return `This site was in sync with them.${to}${newer} GitLab may have been restored from an older backup, or someone reset the branch.${alone} ${meanwhile}`;
}

/** `3 files removed, 1 file changed`. */
export function changesWords({ added, changed, removed }: Hold['tally']): string {
  const parts: readonly (readonly [number, string])[] = [
    [removed, 'removed'],
    [changed, 'changed'],
    [added, 'added'],
  ];
  const words = parts.filter(([amount]) => amount > 0).map(([amount, word]) => `${count(amount, 'file')} ${word}`);
  return words.length === 0 ? 'no file of this site changes' : words.join(', ');
}

/** What a refused push is about, by the words of GitLab: what is wrong, and when it is mended. */
const refused: Readonly<Record<RefusalKind, { title: string; reason: string; mended: string }>> = {
  role: {
    title: 'The connection’s user may not push to this repository',
    reason:
      'The user’s role in GitLab is too low. Ask a Maintainer for the role Developer, or reconnect as someone who may push.',
    mended: 'The role was given',
  },
  protected: {
    title: 'The branch is protected, and the connection’s user may not push to it',
    reason: 'A Maintainer can allow it in GitLab under Settings / Repository / Protected branches.',
    mended: 'The user may push now',
  },
  content: {
    title: 'GitLab refuses a file in the waiting commits',
    reason: 'Remove or change the file, or change the rule in GitLab: Mooring then makes the commits anew without it.',
    mended: 'The rule is changed',
  },
  author: {
    title: 'GitLab refuses the author of the waiting commits',
    reason: 'Change the author under Settings of the site, reconnect as another user, or change the rule in GitLab.',
    mended: 'Author or rule is changed',
  },
  message: {
    title: 'GitLab refuses the message of the waiting commits',
    reason: 'Change the commit message under Settings of the site, or change the rule in GitLab.',
    mended: 'Message or rule is changed',
  },
  rule: {
    title: 'GitLab refuses the push',
    reason:
      'A rule of the repository turns the waiting commits down. If it is about a file, remove or change the file: Mooring then makes the commits anew without it.',
    mended: 'The rule is changed',
  },
};

const kindOf = ({ text = '' }: Hold): RefusalKind => readRefusal(text).kind;

/** The first few of the paths by name. */
function listed({ samples }: Hold): string {
  const names = samples.slice(0, 3).map(({ path }) => displayPath(path));
  const rest = samples.length - names.length;
  return rest > 0 ? `${names.join(', ')} and ${count(rest, 'more file')}` : names.join(' and ');
}

/** Whether another branch could take what this one refuses: a role or a content is refused there too. */
export const mayGoElsewhere = (hold: Hold): boolean =>
  hold.code === 'push-refused' && ['protected', 'rule'].includes(kindOf(hold));

/** A way out of a hold that leads elsewhere. */
export type Way = Connect | 'instance' | 'disconnect' | 'switch-branch';

/** The two ways to connect with GitLab. */
type Connect = 'reconnect' | 'access-token';

/** Ways out beside the choices, the likeliest first: of the two ways to connect the one the site came by. */
export function holdWays(hold: Hold, present: Connect): readonly Way[] {
  const { code } = hold;
  const connects: readonly Way[] =
    present === 'reconnect' ? ['reconnect', 'access-token'] : ['access-token', 'reconnect'];
  const asOther = code === 'push-refused' && ['role', 'protected', 'author'].includes(kindOf(hold));
  const found = asOther ? (['reconnect'] as const) : (ways[code] ?? []);
  return found.flatMap((way) => (way === 'reconnect' ? connects : [way]));
}

const ways: Partial<Record<HoldCode, readonly Exclude<Way, 'access-token'>[]>> = {
  reconnect: ['reconnect'],
  'branch-missing': ['switch-branch'],
  'project-missing': ['reconnect', 'disconnect'],
  'no-access': ['reconnect', 'disconnect'],
  'project-archived': ['disconnect'],
  'project-other': ['disconnect', 'instance'],
  'application-unknown': ['instance', 'reconnect'],
};

/** Words for a choice in a place nobody foresaw: true everywhere, if less exact. */
const plain: Record<HoldChoice, (hold: Hold) => Omit<ChoiceWords, 'choice'>> = {
  'put-back': (hold) => ({
    title: 'It was a mistake',
    body: `Puts ${lost(hold)} back on the side that lost them.`,
    button: 'Put the files back',
    icon: 'restore',
    loses: false,
  }),
  'go-on': (hold) => ({
    title: 'It was meant',
    body: `Goes on; ${lost(hold)} are removed on the other side too. They can be restored.`,
    button: 'Go on',
    icon: 'check',
    loses: true,
  }),
  adopt: () => ({
    title: 'This is the right folder',
    body: 'Goes on with the folder that is there now.',
    button: 'Use this folder',
    icon: 'folder',
    loses: false,
  }),
  'leave-out': () => ({
    title: 'Leave out what was refused',
    body: 'Makes the waiting commits anew without the files listed below and pushes them. The files stay in the folder.',
    button: 'Make the commits anew',
    icon: 'push',
    loses: false,
  }),
  'try-again': () => ({
    title: 'Look again',
    body: 'Checks whether the cause is gone.',
    button: 'Try again',
    icon: 'refresh',
    loses: false,
  }),
};
