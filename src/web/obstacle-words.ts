import type { Obstacle } from '../model/plan.ts';
import { type SitePath, displayPath, escapeControls } from '../model/tree.ts';
import { count, number } from './times.ts';

/** An obstacle as two sentences: what GitLab says against it, and what somebody can do. */
export interface ObstacleWords {
  readonly what: string;
  readonly todo: string;
}

const authorPage = 'Set another author for this site under Site Settings / Commits';

/** Names and patterns are whatever people wrote: made printable here. */
export function obstacleWords(one: Obstacle): ObstacleWords {
  switch (one.kind) {
    case 'branch-protected':
      return {
        what: `New branches named like ${shown(one.pattern)} are protected, and ${one.needed === undefined ? 'nobody may push to them' : `it takes the role ${one.needed} to push to them`}.`,
        todo: 'Choose another name, or have the user allowed in GitLab under Settings / Repository / Protected branches.',
      };
    case 'branch-name':
      return {
        what: `The names of new branches have to match ${shown(one.pattern)}.`,
        todo: `Choose a name that does, or change the push rule.`,
      };
    case 'author-pattern':
      return {
        what: `The e-mail address of every author has to match ${shown(one.pattern)}, and ${escapeControls(one.email)} does not.`,
        todo: `${authorPage}, or change the push rule.`,
      };
    case 'author-member':
      return {
        what: `Every author has to be a GitLab user, and commits would carry ${escapeControls(one.email)}.`,
        todo: `Make sure that a GitLab user has this address. ${authorPage} if none does.`,
      };
    case 'committer-email':
      return {
        what: `The committer has to be the user who pushes, @${escapeControls(one.username)}, and commits would carry ${escapeControls(one.email)}.`,
        todo: `Make sure that this is a confirmed address of that user. ${authorPage} if it is not.`,
      };
    case 'committer-name':
      return {
        what: `The committer’s name has to be that of the user who pushes, ${escapeControls(one.wanted)}, and commits would carry ${escapeControls(one.name)}.`,
        todo: `${authorPage}, or change the push rule.`,
      };
    case 'message-pattern':
      return {
        what: `Every commit message has to match ${shown(one.pattern)}, and one like ${shown(one.subject)} does not.`,
        todo: `Change the first line of the messages under Site Settings / Commits, or the push rule.`,
      };
    case 'message-forbidden':
      return {
        what: `No commit message may match ${shown(one.pattern)}, and one like ${shown(one.subject)} does.`,
        todo: `Change the first line of the messages under Site Settings / Commits, or the push rule.`,
      };
    case 'unsigned':
      return {
        what: 'Every commit has to be signed, and Mooring’s are not.',
        todo: `Have the push rule turned off, or choose another repository.`,
      };
    case 'no-sign-off':
      return {
        what: 'Every commit message has to end with “Signed-off-by”, and Mooring’s do not.',
        todo: `Have the push rule turned off, or choose another repository.`,
      };
    case 'file-name':
      return {
        what: `No new file may be named like ${shown(one.pattern)}: ${named(one.paths)}.`,
        todo: `Rename or ignore ${one.paths.length === 1 ? 'it' : 'them'} first, or change the push rule.`,
      };
    case 'file-size':
      return one.paths.length > 0
        ? {
            what: `No file may be larger than ${mib(one.limit)}: ${named(one.paths)}.`,
            todo: `Move ${one.paths.length === 1 ? 'it' : 'them'} away first, or set the site’s own limit to ${mib(one.limit)} under Site Settings / Files: then what is larger stays here.`,
          }
        : {
            what: `No file may be larger than ${mib(one.limit)}, and this site allows larger ones.`,
            todo: `Set the site’s own limit to ${mib(one.limit)} under Site Settings / Files: then what is larger stays here and holds nothing up.`,
          };
    case 'repository-size':
      return {
        what: `The repository holds ${gibibytes(one.bytes)} with its history and all branches; this site may have ${gibibytes(one.limit)}.`,
        todo: 'Raise the limit under Site Settings / Files if it has to grow.',
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
