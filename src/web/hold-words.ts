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
  /** Removes something on one side; the button's colour says so. */
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
    ? 'Edits wait here. Mooring still pulls what others push.'
    : 'Nothing is synced until someone decides.';
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
const meanwhile = 'Nothing is synced until someone decides. Edits in the folder are kept.';
const massReason = `This may be intentional, or a script may have gone wrong, so Mooring asks first. ${meanwhile}`;

/** How the folder differs from the backup. */
function restoredState({ total, tally: { added, changed, removed } }: Hold): string {
  if (total === 0) return 'The backup does not say which files the folder had.';
  const same = `Same as in the backup: ${number(total - changed - removed)} of ${count(total, 'file')}.`;
  return `${same} Different: ${number(changed)}. Missing here: ${number(removed)}. Only here: ${number(added)}.`;
}

const questions: Record<HoldCode, Question> = {
  'folder-lost-files': {
    title: (hold) => `The folder lost ${number(hold.tally.removed)} of ${count(hold.total, 'file')}`,
    reason: massReason,
    choices: {
      'put-back': (hold) => ({
        title: 'It was a mistake',
        body: `Puts ${lost(hold)} back into the folder. The repository does not change.`,
        button: `Put ${lost(hold)} back`,
      }),
      'go-on': (hold) => ({
        title: 'It was intentional',
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
        body: `Puts ${lost(hold)} back in the repository with a new commit. The folder does not change, and the commit that removed them stays in the history.`,
        button: `Put ${lost(hold)} back`,
      }),
      'go-on': (hold) => ({
        title: 'It was intentional',
        body: `Removes ${lost(hold)} from the folder. Mooring keeps a copy first, which you can restore with one click.`,
        button: `Remove ${lost(hold)}`,
        icon: 'trash',
        loses: true,
      }),
    },
  },
  'root-missing': {
    title: () => 'The site’s folder is missing',
    reason: `A disk may not be mounted, or the folder was moved. Mooring does not treat this as a deletion. ${meanwhile}`,
    choices: {
      'try-again': () => ({
        title: 'The folder is back',
        body: 'Checks again. If it is the same folder as before, syncing continues.',
        button: 'Check again',
      }),
      'put-back': () => ({
        title: 'Create it again',
        body: 'Creates the folder and fills it from the branch.',
        button: 'Fill the folder from GitLab',
      }),
    },
  },
  'root-changed': {
    title: () => 'The site’s folder was replaced',
    reason: `Its device or inode number changed, and so did its content. It may be a restored backup or the wrong disk. ${meanwhile}`,
    choices: {
      adopt: () => ({
        title: 'This is the right folder',
        body: 'Treats its content as an edit: Mooring commits the differences and merges them like any other change.',
        button: 'Use this folder',
      }),
      'try-again': () => ({ title: 'The original folder is back', body: 'Checks again.', button: 'Check again' }),
    },
  },
  restored: {
    title: () => 'Mooring was restored from a backup, and this is another folder',
    reason: (hold) => `${restoredState(hold)} Make sure that the old installation is stopped. ${meanwhile}`,
    choices: {
      adopt: () => ({
        title: 'This is the right folder',
        body: 'Compares it with the branch. What the branch never had counts as an edit and is committed. Missing files are written from the branch.',
        button: 'Use this folder',
      }),
      'try-again': () => ({ title: 'The original folder is back', body: 'Checks again.', button: 'Check again' }),
    },
  },
  'root-emptied': {
    title: () => 'The site’s folder is empty',
    reason: `It contained files before. A disk may not be mounted, or something deleted the files. ${meanwhile}`,
    choices: {
      'put-back': (hold) => ({
        title: 'It was a mistake',
        body: `Puts ${count(hold.total, 'file')} back into the folder. The repository does not change.`,
        button: 'Put the files back',
      }),
      'go-on': (hold) => ({
        title: 'It was intentional',
        body: `Removes ${count(hold.total, 'file')} from the branch with a new commit. They stay in the repository’s history.`,
        button: 'Remove all files',
        icon: 'trash',
        loses: true,
      }),
    },
  },
  'history-rewritten': {
    title: () => 'The branch’s history was rewritten',
    reason: `Someone force-pushed: the last synced commit is no longer part of the branch. ${meanwhile}`,
    choices: {
      'put-back': () => ({
        title: 'It was a mistake',
        body: 'Pushes this site’s files on top of the new history as one commit.',
        button: 'Push this site’s files',
      }),
      'go-on': () => ({
        title: 'It was intentional',
        body: 'Uses the branch as it is now. Mooring first keeps a copy of what the folder loses, which you can restore with one click.',
        button: 'Use the new history',
        icon: 'pull',
        loses: true,
      }),
    },
  },
  'went-back': {
    title: ({ back }) =>
      back ? `GitLab no longer has ${count(back.lost, 'commit')} of this branch` : 'The branch lost commits in GitLab',
    reason: wentBackReason,
    choices: {
      'put-back': ({ back }) => ({
        title: 'GitLab should have these commits',
        body:
          back && back.newer > 0
            ? `Merges the lost commits with the ${count(back.newer, 'newer commit')} and pushes both, then this folder’s own edits. Nothing is pushed by force.`
            : 'Pushes the lost commits to GitLab again, then this folder’s own edits. Nothing is pushed by force, and no file in the folder changes.',
        button: 'Push back what GitLab lost',
        icon: 'push',
      }),
      'go-on': ({ tally }) => ({
        title: 'GitLab is right',
        body: `Changes the folder to match the branch: ${changesWords(tally)}. Mooring first keeps a copy, which you can restore with one click. Edits that were not pushed yet stay and are merged.`,
        button: 'Follow GitLab',
        icon: 'pull',
        loses: true,
      }),
    },
  },
  'branch-missing': {
    title: () => 'The branch no longer exists in GitLab',
    reason: `It was deleted or renamed. Mooring does not create it again without asking. ${meanwhile}`,
    choices: {
      'put-back': () => ({
        title: 'It was a mistake',
        body: 'Creates the branch again from this site’s files.',
        button: 'Create the branch again',
        icon: 'branch',
      }),
      'try-again': () => ({
        title: 'The branch is back',
        body: 'Checks again. Mooring also checks automatically every few minutes.',
        button: 'Check again',
      }),
    },
  },
  'push-refused': {
    title: (hold) => refused[kindOf(hold)].title,
    reason: (hold) =>
      `${refused[kindOf(hold)].reason} The folder does not change, the commits wait here, and Mooring still pulls what others push. Mooring tries to push them again from time to time, and right after each edit.`,
    choices: {
      'try-again': (hold) => ({
        title: refused[kindOf(hold)].fixed,
        body: 'Pushes the waiting commits again.',
        button: 'Push again',
        icon: 'push',
      }),
      'leave-out': (hold) => ({
        title: hold.samples.length === 1 ? 'Push everything except this file' : 'Push everything except these files',
        body: `Recreates the waiting commits without ${listed(hold)} and pushes them. The files stay in the folder and are pushed when they change. The old commits are kept.`,
        button: 'Recreate the commits',
        icon: 'push',
      }),
    },
  },
  reconnect: {
    title: () => 'GitLab must be connected again',
    reason:
      'GitLab no longer accepts this site’s connection. The folder and the branch were not changed. New edits are committed locally and pushed afterwards.',
    choices: {
      'try-again': () => ({
        title: 'It works again',
        body: 'Tries the stored tokens again.',
        button: 'Try again',
      }),
    },
  },
  'project-missing': {
    title: () => 'The repository was not found in GitLab',
    reason: `It was deleted, or the connection’s user lost access. GitLab gives the same answer in both cases. Mooring does not treat this as a deletion of files. ${meanwhile}`,
    choices: {
      'try-again': () => ({
        title: 'The repository is back, or access was restored',
        body: 'Checks again. Mooring also checks automatically every few minutes.',
        button: 'Check again',
      }),
    },
  },
  'project-archived': {
    title: () => 'The repository is archived',
    reason: `GitLab does not accept pushes to it. ${meanwhile}`,
    choices: {
      'try-again': () => ({
        title: 'I’ve unarchived it',
        body: 'Pushes the waiting commits. In GitLab: Settings / General / Advanced / Unarchive project.',
        button: 'Push again',
        icon: 'push',
      }),
    },
  },
  'project-other': {
    title: () => 'The repository was replaced by another project',
    reason: `The project has the same ID but is a different project. Another GitLab may be at this address. Nothing was pushed to it. ${meanwhile}`,
    choices: {
      'try-again': () => ({ title: 'The right GitLab is back', body: 'Checks again.', button: 'Check again' }),
      adopt: () => ({
        title: 'This is the right project',
        body: 'Continues with it, for example after an import into a new GitLab. If its history differs, Mooring asks before it syncs anything.',
        button: 'Use this project',
        icon: 'gitlab',
      }),
    },
  },
  'no-access': {
    title: () => 'The connection’s user has no access to this repository',
    reason: `GitLab shows the repository but rejects what Mooring needs to do there. ${meanwhile}`,
    choices: {
      'try-again': () => ({
        title: 'Access was granted',
        body: 'Checks again. Mooring also checks automatically every few minutes.',
        button: 'Check again',
      }),
    },
  },
  'application-unknown': {
    title: () => 'GitLab does not know this application',
    reason: `The Application ID or the secret under Account Settings / Self Hosted GitLab is no longer valid. It was renewed or removed in GitLab. ${meanwhile}`,
    choices: { 'try-again': () => ({ title: 'I’ve fixed it', body: 'Tries to connect again.', button: 'Try again' }) },
  },
  stopped: {
    title: () => 'Action required',
    reason: `See the cause below and what to do about it. ${meanwhile}`,
    choices: { 'try-again': () => ({ title: 'I’ve fixed it', body: 'Tries again immediately.', button: 'Try again' }) },
  },
};

function wentBackReason({ back, choices }: Hold): string {
  const to = back?.to === undefined ? '' : ` The newest remaining commit is from ${fullTime(back.to)}.`;
  const pushed = back?.newer === 1 ? 'was pushed' : 'were pushed';
  const newer = back && back.newer > 0 ? ` Since then ${count(back.newer, 'other commit')} ${pushed}.` : '';
  const alone = choices.includes('put-back')
    ? ''
    : ' Both the lost and the newer commits changed files outside this site’s folder, so Mooring cannot merge them. Someone with a clone of the repository can.';
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

/** What GitLab rejects about a push, by its message: what is wrong, and the title of the choice once it is fixed. */
const refused: Readonly<Record<RefusalKind, { title: string; reason: string; fixed: string }>> = {
  role: {
    title: 'The connection’s user cannot push to this repository',
    reason:
      'The user’s role in GitLab is too low. Ask a Maintainer for the Developer role, or reconnect as someone who can push.',
    fixed: 'The role was granted',
  },
  protected: {
    title: 'The branch is protected, and the connection’s user cannot push to it',
    reason: 'A Maintainer can allow it in GitLab under Settings / Repository / Protected branches.',
    fixed: 'The user can push now',
  },
  content: {
    title: 'GitLab rejects a file in the waiting commits',
    reason: 'Remove or change the file; Mooring then recreates the commits without it. Or change the rule in GitLab.',
    fixed: 'The rule was changed',
  },
  author: {
    title: 'GitLab rejects the author of the waiting commits',
    reason: 'Change the author in the site’s settings, reconnect as another user, or change the rule in GitLab.',
    fixed: 'The author or the rule was changed',
  },
  message: {
    title: 'GitLab rejects the message of the waiting commits',
    reason: 'Change the commit message in the site’s settings, or change the rule in GitLab.',
    fixed: 'The message or the rule was changed',
  },
  rule: {
    title: 'GitLab rejects the push',
    reason:
      'A rule of the repository rejects the waiting commits. If it is about a file, remove or change the file; Mooring then recreates the commits without it.',
    fixed: 'The rule was changed',
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

/** Other ways out of the hold, the likeliest first: of the two ways to connect, the one that the site used. */
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

/** Words for a choice of a hold that has none of its own: correct everywhere, but less specific. */
const plain: Record<HoldChoice, (hold: Hold) => Omit<ChoiceWords, 'choice'>> = {
  'put-back': (hold) => ({
    title: 'It was a mistake',
    body: `Puts ${lost(hold)} back on the side that lost them.`,
    button: 'Put the files back',
    icon: 'restore',
    loses: false,
  }),
  'go-on': (hold) => ({
    title: 'It was intentional',
    body: `Continues. ${lost(hold)} are removed on the other side too. You can restore them.`,
    button: 'Continue',
    icon: 'check',
    loses: true,
  }),
  adopt: () => ({
    title: 'This is the right folder',
    body: 'Continues with the folder that is there now.',
    button: 'Use this folder',
    icon: 'folder',
    loses: false,
  }),
  'leave-out': () => ({
    title: 'Leave out what GitLab rejected',
    body: 'Recreates the waiting commits without the files listed below and pushes them. The files stay in the folder.',
    button: 'Recreate the commits',
    icon: 'push',
    loses: false,
  }),
  'try-again': () => ({
    title: 'Check again',
    body: 'Checks whether the cause is gone.',
    button: 'Try again',
    icon: 'refresh',
    loses: false,
  }),
};
