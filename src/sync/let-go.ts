import { isGitignore } from '../model/path-safety.ts';
import { Problem } from '../model/problem.ts';
import { type Change, type Oid, type SitePath, sameContent } from '../model/tree.ts';
import { gitignoresOf } from './gitignores.ts';
import { editMessage, trailer, wording } from './message.ts';
import { type RunDeps, contentsOf } from './notes.ts';
import type { Directory, Repository } from './ports.ts';

/**
 * Files that a step removes from the tree and that its new `.gitignore` files ignore, while those of the old tree did not:
 * somebody stopped tracking them, as `git rm --cached` does, and did not mean the copy that is in use here. They are let
 * go: they stay in the folder, untracked. A path that was ignored before is removed like any other, or nobody could take
 * a malicious file away. Decided by the two trees alone, so that after a crash the answer is the same.
 */
export async function lettingGo(
  { repository, directory }: { repository: Repository; directory: Directory },
  changes: readonly Change[],
  from: Oid | undefined,
  to: Oid,
): Promise<ReadonlySet<SitePath>> {
  const removed = changes.filter(({ before, after }) => !after && before && before.mode !== '160000');
  const hasNewRules = changes.some(({ path, after }) => after && isGitignore(path));
  if (!from || removed.length === 0 || !hasNewRules) return new Set();
  const paths = removed.map(({ path }) => path);
  const ignoredIn = async (commit: Oid): Promise<ReadonlySet<SitePath>> => {
    const files = await repository.files(commit, Number.POSITIVE_INFINITY);
    return directory.ignoredBy(await gitignoresOf(repository, files), paths);
  };
  const [before, now] = [await ignoredIn(from), await ignoredIn(to)];
  return new Set(paths.filter((path) => now.has(path) && !before.has(path)));
}

/** The folder as the ledger has it, with the permissions of what is let go: the content stays at hand on our side too. */
export async function keepLetGo(
  { repository, directory, now }: { repository: Repository; directory: Directory; now: () => number },
  disk: Oid,
  letGo: ReadonlySet<SitePath>,
): Promise<void> {
  if (letGo.size === 0) return;
  const files = await repository.files(disk, Number.POSITIVE_INFINITY);
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  const modes = directory.modes([...letGo]);
  await repository.keep({ cause: 'let-go', at: now(), commit: disk, files: files.length, bytes, modes });
}

/**
 * Takes one path out of the tree and leaves its file where it is, as `git rm --cached` does. Whether it stays out is for
 * the rules to say. False: it is not in the tree. Throws `plan-outdated` where it waits for a person.
 */
export async function untrack(
  { repository, directory, site, now }: Pick<RunDeps, 'repository' | 'directory' | 'site' | 'now'>,
  path: SitePath,
): Promise<boolean> {
  const { disk } = await repository.ledger();
  if (!disk) return false;
  if ((await repository.held()).some((held) => held.path === path)) throw new Problem('plan-outdated', {});
  await directory.resetBaseline(disk, () => repository.files(disk, Number.POSITIVE_INFINITY));
  const taken = await repository.commitFiles(disk, [{ path }], (changes) => editMessage(changes, wording(site, now())));
  if (taken.commit === disk) return false;
  await repository.updateRefs({ disk: taken.commit }, { disk });
  await directory.recordFiles(taken);
  return true;
}

/**
 * Removes a file that was let go from the folder too; its content as it is now is kept first. Throws `not-found` where it
 * is gone, and `plan-outdated` where it is tracked again or changed in that instant.
 */
export async function removeLetGo(
  { repository, directory, now }: { repository: Repository; directory: Directory; now: () => number },
  path: SitePath,
): Promise<void> {
  const { disk } = await repository.ledger();
  if (!disk) throw new Problem('not-connected', {});
  const files = await repository.files(disk, Number.POSITIVE_INFINITY);
  if (files.some((file) => file.path === path)) throw new Problem('plan-outdated', {});
  const before = await directory.entryAt(path);
  if (!before) throw new Problem('not-found', { what: 'file' });
  const taken = await repository.commitFiles(
    disk,
    [directory.pendingFile(path)],
    () => `File that was let go\n\n${trailer}\n`,
  );
  if (!sameContent(taken.entries.get(path), before)) throw new Problem('plan-outdated', {});
  const modes = directory.modes([path]);
  await repository.keep({ cause: 'let-go', at: now(), commit: taken.commit, files: files.length + 1, bytes: 0, modes });
  const { applied } = await directory.apply({ changes: [{ path, before }], ...contentsOf(repository) });
  await directory.saveBaseline(disk);
  if (!applied.includes(path)) throw new Problem('plan-outdated', {});
}
