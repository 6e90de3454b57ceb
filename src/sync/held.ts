import { Problem, asProblem } from '../model/problem.ts';
import { type Entry, type Oid, type SitePath, sameContent } from '../model/tree.ts';
import { takeVersion } from './choice.ts';
import type { Lost } from './conflict.ts';
import { editMessage, trailer } from './message.ts';
import { contentsOf } from './notes.ts';
import { checkNotOverPointer } from './pointers.ts';
import type { Directory, Ledger, Repository } from './ports.ts';

/**
 * A path that both sides changed and that the site's policy does not settle: each side keeps its own version until a
 * person chooses. The ledger has the branch's version there, so the folder's is neither pushed nor replaced, and the
 * folder does not look at the path. Everything else goes on.
 */

/** Notes what a merge leaves open; before the merge is offered, so that no crash settles it unasked. */
export async function holdPaths(
  { repository, directory }: { repository: Repository; directory: Directory },
  lost: readonly Lost[],
  merge: Oid,
): Promise<void> {
  const open = lost.filter(({ live }) => live === 'both');
  if (open.length === 0) return;
  const versions = open.map(({ path, base, site, repository: theirs }) => ({
    path,
    ...(base ? { base } : {}),
    ...(site ? { ours: site } : {}),
    ...(theirs ? { theirs } : {}),
  }));
  await repository.hold(versions, merge);
  directory.hold((await repository.held()).map(({ path }) => path));
}

/**
 * Tells the directory what is held. A path whose merge came to nothing is an ordinary one again; so is one that GitLab
 * refused, as soon as something else stands there, or when it `isDue` to be offered again.
 */
export async function recallHeld(
  repository: Repository,
  directory: Directory,
  { isDue = false }: { readonly isDue?: boolean } = {},
): Promise<void> {
  await releaseRefused(repository, directory, isDue);
  const held = await repository.held();
  const ledger = held.length === 0 ? {} : await repository.ledger();
  const merges = new Map<Oid, boolean>();
  for (const { by } of held) if (!merges.has(by)) merges.set(by, await counts(repository, ledger, by));
  const over = held.filter(({ by }) => !merges.get(by)).map(({ path }) => path);
  await repository.release(over);
  directory.hold(held.map(({ path }) => path).filter((path) => !over.includes(path)));
}

async function releaseRefused(repository: Repository, directory: Directory, isDue: boolean): Promise<void> {
  const again: SitePath[] = [];
  for (const { path, refused } of await repository.held()) {
    if (refused && (isDue || (await isAnother(directory, path, refused.oid)))) again.push(path);
  }
  if (again.length === 0) return;
  const { disk } = await repository.ledger();
  const gone = new Set(again.filter((path) => !directory.has(path)));
  const present = disk && gone.size > 0 ? await repository.files(disk, Number.POSITIVE_INFINITY) : [];
  const removed = present
    .filter(({ path }) => gone.has(path))
    .map(({ path, mode, oid }) => ({ path, before: { mode, oid } }));
  // That the folder has nothing where the branch has an older version would look like a lost manifest.
  if (disk && removed.length > 0) {
    const { tree } = await repository.commit(disk);
    const edits = removed.map(({ path }) => ({ path }));
    const commit = await repository.createCommit({ parents: [disk], tree, edits, message: editMessage(removed) });
    await repository.updateRefs({ disk: commit }, { disk });
  }
  await repository.release(again);
}

/** Whether something else stands at a path than what GitLab refused; not, while that cannot be read. */
async function isAnother(directory: Directory, path: SitePath, refused: Oid): Promise<boolean> {
  try {
    return (await directory.entryAt(path, refused))?.oid !== refused;
  } catch (error) {
    if (asProblem(error).code === 'file-unreadable') return false;
    throw error;
  }
}

/** Whether the merge that held a path is part of what was agreed or applied, or may be yet. */
async function counts(repository: Repository, { disk, remote, offered }: Ledger, merge: Oid): Promise<boolean> {
  if (offered === merge) return true;
  for (const line of [disk, remote]) {
    if (!line) continue;
    const relation = await repository.relation(merge, line);
    if (relation === 'equal' || relation === 'behind') return true;
  }
  return false;
}

/** A person's choice for a held path. The version not chosen stays: in the history, or as a kept version. */
export async function resolveHeld(
  { repository, directory, now }: { repository: Repository; directory: Directory; now: () => number },
  path: SitePath,
  choice: 'repository' | 'site',
): Promise<void> {
  const { disk } = await repository.ledger();
  if (!disk) throw new Problem('not-connected', {});
  const theirs = (await repository.files(disk, Number.POSITIVE_INFINITY)).find((file) => file.path === path);
  const ours = await directory.entryAt(path);
  if (choice === 'repository') await followRepository({ repository, directory, now }, path, theirs, ours);
  else if (ours) await checkNotOverPointer({ repository, directory }, theirs, ours);
  await repository.release([path]);
  await recallHeld(repository, directory);
  // What the folder has is an edit again, found by the next scan; that it has nothing would look like a lost manifest.
  if (choice === 'site' && ours === undefined && theirs) await takeVersion({ repository, directory }, path, undefined);
}

async function followRepository(
  { repository, directory, now }: { repository: Repository; directory: Directory; now: () => number },
  path: SitePath,
  theirs: Entry | undefined,
  ours: Entry | undefined,
): Promise<void> {
  const { disk } = await repository.ledger();
  if (ours !== undefined) {
    const taken = await repository.commitFiles(
      undefined,
      [directory.pendingFile(path)],
      () => `Held version\n\n${trailer}\n`,
    );
    if (!sameContent(taken.entries.get(path), ours)) throw new Problem('plan-outdated', {});
    await repository.keep({ cause: 'conflict', at: now(), commit: taken.commit, files: 1, bytes: 0 });
  }
  const after = theirs && { mode: theirs.mode, oid: theirs.oid };
  const change = { path, ...(ours ? { before: ours } : {}), ...(after ? { after } : {}) };
  directory.hold((await repository.held()).map((held) => held.path).filter((held) => held !== path));
  const { skipped } = await directory.apply({ changes: [change], ...contentsOf(repository) });
  // Edited in the instant of the swap: it is held as before.
  if (skipped.length > 0) throw new Problem('plan-outdated', {});
  await directory.saveBaseline(disk as Oid);
}
