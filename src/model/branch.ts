import type { BranchName } from './instance.ts';
import { Problem } from './problem.ts';

/**
 * A branch name as git and GitLab take it, by the rules of git-check-ref-format. It becomes part of a ref's name and of
 * a command line: whatever does not pass here goes no further. Throws `branch-invalid`.
 */
export function branchName(text: string): BranchName {
  if (!isBranchName(text)) throw new Problem('branch-invalid', { branch: text.slice(0, 200) });
  return text.trim() as BranchName;
}

/** The same, as a question: a branch that was pushed past GitLab's own rules is listed, but cannot be chosen. */
export function isBranchName(text: string): boolean {
  const name = text.trim();
  const isBad =
    name === '' ||
    name.length > 200 ||
    name.startsWith('-') ||
    name.startsWith('/') ||
    name.endsWith('/') ||
    name.endsWith('.') ||
    name === '@' ||
    /\.\.|\/\/|@\{|[\0-\x20\x7f~^:?*[\\]/.test(name) ||
    name.split('/').some((part) => part.startsWith('.') || part.endsWith('.lock')) ||
    // GitLab refuses a name that looks like a commit.
    /^[0-9a-f]{40}$/i.test(name);
  return !isBad;
}
