import type { Obstacle } from '../model/plan.ts';
import { type SitePath, displayPath, escapeControls } from '../model/tree.ts';
import { count, number } from './times.ts';

/** An obstacle as two sentences: what GitLab says against it, and what somebody can do. */
export interface ObstacleWords {
  readonly what: string;
  readonly todo: string;
}

const authorPageInside = 'set another author for this site under Site Settings / Commits';
const authorPage = 'Set another author for this site under Site Settings / Commits';

/** Names and patterns are whatever people wrote: made printable here. */
export function obstacleWords(one: Obstacle): ObstacleWords {
  switch (one.kind) {
    case 'branch-protected':
      return {
        what: `New branches named like ${shown(one.pattern)} are protected, and ${one.needed === undefined ? 'nobody can push to them' : `only the role ${one.needed} or higher can push to them`}.`,
        todo: 'Choose another name, or ask a Maintainer to allow the user in GitLab under Settings / Repository / Protected branches.',
      };
    case 'branch-name':
      return {
        what: `The names of new branches must match ${shown(one.pattern)}.`,
        todo: `Choose a matching name, or change the push rule.`,
      };
    case 'author-pattern':
      return {
        what: `The e-mail address of every author must match ${shown(one.pattern)}, and ${escapeControls(one.email)} does not.`,
        todo: `${authorPage}, or change the push rule.`,
      };
    case 'author-member':
      return {
        what: `Every author must be a GitLab user, and this site’s commits would have the author ${escapeControls(one.email)}.`,
        todo: `Make sure that a GitLab user has this address. Otherwise, ${authorPageInside}.`,
      };
    case 'committer-email':
      return {
        what: `The committer must be the user who pushes, @${escapeControls(one.username)}, but commits would use ${escapeControls(one.email)}.`,
        todo: `Make sure that this is a confirmed address of that user. Otherwise, ${authorPageInside}.`,
      };
    case 'committer-name':
      return {
        what: `The committer’s name must be that of the user who pushes, ${escapeControls(one.wanted)}, but commits would use ${escapeControls(one.name)}.`,
        todo: `${authorPage}, or change the push rule.`,
      };
    case 'message-pattern':
      return {
        what: `Every commit message must match ${shown(one.pattern)}, and messages like ${shown(one.subject)} do not.`,
        todo: `Change the first line of the messages under Site Settings / Commits, or change the push rule.`,
      };
    case 'message-forbidden':
      return {
        what: `Commit messages must not match ${shown(one.pattern)}, and messages like ${shown(one.subject)} do.`,
        todo: `Change the first line of the messages under Site Settings / Commits, or change the push rule.`,
      };
    case 'unsigned':
      return {
        what: 'Every commit must be signed, and Mooring’s commits are not.',
        todo: `Ask a Maintainer to turn off this push rule, or choose another repository.`,
      };
    case 'no-sign-off':
      return {
        what: 'Every commit message must end with “Signed-off-by”, and Mooring’s messages do not.',
        todo: `Ask a Maintainer to turn off this push rule, or choose another repository.`,
      };
    case 'file-name':
      return {
        what: `New files must not have names that match ${shown(one.pattern)}: ${named(one.paths)}.`,
        todo: `Rename or ignore ${one.paths.length === 1 ? 'it' : 'them'} first, or change the push rule.`,
      };
    case 'file-size':
      return one.paths.length > 0
        ? {
            what: `Files must not be larger than ${mib(one.limit)}: ${named(one.paths)}.`,
            todo: `Move ${one.paths.length === 1 ? 'it' : 'them'} elsewhere first, or set the site’s limit to ${mib(one.limit)} under Site Settings / Files. Mooring then leaves larger files in the folder and does not push them.`,
          }
        : {
            what: `Files must not be larger than ${mib(one.limit)}, but this site allows larger ones.`,
            todo: `Set the site’s limit to ${mib(one.limit)} under Site Settings / Files. Mooring then leaves larger files in the folder and pushes everything else.`,
          };
    case 'repository-size':
      return {
        what: `The repository’s size, with its history and all branches, is ${gibibytes(one.bytes)}; the limit of this site is ${gibibytes(one.limit)}.`,
        todo: 'Raise the limit under Site Settings / Files.',
      };
  }
}

/** In quotation marks, so that it is plain where a pattern ends; long ones keep their beginning. */
function shown(text: string): string {
  const whole = escapeControls(text);
  return `“${whole.length > 120 ? `${whole.slice(0, 120)}…` : whole}”`;
}

/** As limits are set: `5 MiB`. */
function mib(value: number): string {
  return `${number(Math.round((value / 1_048_576) * 10) / 10)} MiB`;
}

function gibibytes(value: number): string {
  const size = value / 1024 ** 3;
  return `${size < 99.5 ? number(Math.round(size * 10) / 10) : number(Math.round(size))} GiB`;
}

function named(paths: readonly SitePath[]): string {
  const first = paths.slice(0, 3).map(displayPath).join(', ');
  return paths.length > 3 ? `${first} and ${count(paths.length - 3, 'more file')}` : first;
}
