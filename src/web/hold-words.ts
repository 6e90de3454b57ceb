import type { Hold, HoldChoice, HoldCode } from '../model/site.ts';
import { count, number } from './times.ts';

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
  return questions[hold.code].reason;
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
  readonly reason: string;
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
    title: () => 'GitLab refuses the push',
    reason:
      'GitLab turns this commit down. The folder is as it was, the commit waits here, and what others push keeps arriving.',
    choices: {
      'try-again': () => ({
        title: 'The rule is changed',
        body: 'Pushes the waiting commit once more.',
        button: 'Push again',
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
    choices: {
      'try-again': () => ({ title: 'It is put right', body: 'Asks GitLab once more.', button: 'Try again' }),
    },
  },
  stopped: {
    title: () => 'Something must be put right first',
    reason: `The cause stands below, with what to do. ${meanwhile}`,
    choices: {
      'try-again': () => ({ title: 'It is put right', body: 'Tries again at once.', button: 'Try again' }),
    },
  },
};

/** A way out of a hold that leads elsewhere. */
export type Way = Connect | 'instance' | 'disconnect' | 'switch-branch';

/** The two ways to connect with GitLab. */
type Connect = 'reconnect' | 'access-token';

/** Ways out beside the choices, the likeliest first: of the two ways to connect the one the site came by. */
export function holdWays({ code }: Hold, present: Connect): readonly Way[] {
  const connects: readonly Way[] =
    present === 'reconnect' ? ['reconnect', 'access-token'] : ['access-token', 'reconnect'];
  return (ways[code] ?? []).flatMap((way) => (way === 'reconnect' ? connects : [way]));
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
  'try-again': () => ({
    title: 'Look again',
    body: 'Checks whether the cause is gone.',
    button: 'Try again',
    icon: 'refresh',
    loses: false,
  }),
};
