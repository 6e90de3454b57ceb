import { Problem } from '../model/problem.ts';
import type { Hold } from '../model/site.ts';
import { type Change, type Entry, type Oid, type SitePath, displayPath } from '../model/tree.ts';
import { resolveConflicts } from './conflict.ts';
import { trailer } from './message.ts';
import { checkNotOverPointer, pointersLeft } from './pointers.ts';
import type { Directory, KeptMode, Repository } from './ports.ts';

type Sides = { readonly repository: Repository; readonly directory: Directory };

/**
 * What a person decided, as a commit on top of the folder's line. It then goes the way of every other change: pushed,
 * merged with what arrived meanwhile, applied by capture. So a choice can lose nothing either, and undoing it is
 * another choice.
 */

/** Undoes a mass removal on the side that lost: the removed paths come back, everything else stays. */
export async function putBack(repository: Repository, hold: Hold): Promise<void> {
  const { disk, remote, base } = await repository.ledger();
  if (!disk || !remote) throw new Problem('not-connected', {});
  if (hold.code === 'folder-lost-files') {
    const lost = (await repository.changes(remote, disk)).filter(({ after }) => !after);
    await choose(
      repository,
      [disk],
      disk,
      lost.map(({ path, before }) => restored(path, before)),
      `Put ${lost.length} files back`,
    );
    return;
  }
  const { incoming } = hold;
  if (!incoming || (incoming === remote && !base)) throw new Problem('plan-outdated', {});
  const { target, parents, instead } = await arrival(repository, { disk, remote, base }, incoming);
  const lost = (await repository.changes(disk, target)).filter(({ after }) => !after);
  const edits = lost.map(({ path, before }) => restored(path, before));
  const subject = `Put ${lost.length} files back`;
  await choose(repository, parents, target, edits, instead ? `${subject}\n\n${insteadOf(disk)}` : subject);
}

/**
 * What the folder would become by following `incoming`, and the parents a commit on top of that has. `instead`: the
 * folder's own line is none of them.
 */
async function arrival(
  repository: Repository,
  { disk, remote, base }: { disk: Oid; remote: Oid; base: Oid | undefined },
  incoming: Oid,
): Promise<{ target: Oid; parents: readonly Oid[]; instead: boolean }> {
  const since = await repository.relation(remote, incoming);
  const instead = base !== undefined || (since !== 'equal' && since !== 'behind');
  if (disk === remote || (!instead && (await repository.relation(disk, incoming)) === 'behind'))
    return { target: incoming, parents: [incoming], instead };
  // Only the new history as parent where the old one was replaced: what was purged from it must not come back.
  const parents = instead ? [incoming] : [disk, incoming];
  const merged = await repository.merge(disk, incoming, instead ? (base ?? remote) : undefined);
  const { edits } = resolveConflicts(merged, 'repository');
  const target = await repository.createCommit({ parents, tree: merged.tree, edits, message: `Merge\n\n${trailer}\n` });
  return { target, parents, instead };
}

/**
 * Gives a kept version back: the whole folder as it was, or one path. What of the branch this folder never holds, and a
 * kept folder therefore neither, stays. Throws `kept-missing`, `lfs-not-followed`.
 */
export async function restoreKept(sides: Sides, keptId: string, path: SitePath | undefined): Promise<void> {
  const { repository, directory } = sides;
  const { disk } = await repository.ledger();
  if (!disk) throw new Problem('not-connected', {});
  const { tree, files } = await repository.keptFiles(keptId);
  const present = await repository.files(disk, Number.POSITIVE_INFINITY);
  if (path === undefined) {
    const message = `Restore the kept version of ${keptId.slice(0, 8)}\n\n${restores(keptId)}\n${trailer}\n`;
    const stays = new Set([...directory.refused(), ...(await pointersLeft(sides, present))]);
    const edits = present
      .filter((file) => stays.has(file.path))
      .map(({ path, mode, oid }) => ({ path, entry: { mode, oid } }));
    await move(repository, await repository.createCommit({ parents: [disk], tree, edits, message }));
    return;
  }
  const file = files.find((kept) => kept.path === path);
  if (!file) throw new Problem('kept-missing', { id: keptId, path: displayPath(path) });
  await checkNotOverPointer(
    sides,
    present.find((there) => there.path === path),
    file,
  );
  await choose(
    repository,
    [disk],
    disk,
    [{ path, entry: { mode: file.mode, oid: file.oid } }],
    `Restore ${displayPath(path)}\n\n${restores(keptId)}`,
  );
}

/** The line by which a commit says what it gives back: permissions come from there, also after a crash. */
const restoresKey = 'Restores-kept-version: ';
const restores = (keptId: string): string => `${restoresKey}${keptId}`;

/** The line by which a commit that must not descend from the folder's own line says which state of it it stands for. */
const insteadOfKey = 'Instead-of: ';
export const insteadOf = (disk: Oid): string => `${insteadOfKey}${disk}`;

/** The permissions a choice brings back, if it restores a kept version. */
export async function modesOf(
  repository: Repository,
  choice: Oid,
): Promise<ReadonlyMap<SitePath, KeptMode> | undefined> {
  const id = await valueOf(repository, choice, restoresKey);
  return id === undefined ? undefined : (await repository.keptFiles(id)).modes;
}

/** The state of the folder that a choice on another line stands for. */
export async function standsFor(repository: Repository, choice: Oid): Promise<Oid | undefined> {
  return (await valueOf(repository, choice, insteadOfKey)) as Oid | undefined;
}

async function valueOf(repository: Repository, commit: Oid, key: string): Promise<string | undefined> {
  const { body } = await repository.commit(commit);
  return body
    .split('\n')
    .find((row) => row.startsWith(key))
    ?.slice(key.length);
}

/** Makes the other version of a conflict live; `version` absent: that side had removed the path. Throws `lfs-not-followed`. */
export async function takeVersion(
  sides: Sides,
  path: SitePath,
  version: { readonly oid: Oid; readonly isLink: boolean } | undefined,
): Promise<void> {
  const { repository } = sides;
  const { disk } = await repository.ledger();
  if (!disk) throw new Problem('not-connected', {});
  // The choice is about the content; what the path may do stays as it is.
  const present = (await repository.files(disk, Number.POSITIVE_INFINITY)).find((file) => file.path === path);
  const fileMode = present?.mode === '100755' ? '100755' : '100644';
  const entry: Entry | undefined = version && { mode: version.isLink ? '120000' : fileMode, oid: version.oid };
  if (entry) await checkNotOverPointer(sides, present, entry);
  await choose(
    repository,
    [disk],
    disk,
    [entry ? { path, entry } : { path }],
    `Use the other version of ${displayPath(path)}`,
  );
}

async function choose(
  repository: Repository,
  parents: readonly Oid[],
  from: Oid,
  edits: readonly { path: SitePath; entry?: Entry }[],
  subject: string,
): Promise<void> {
  const { tree } = await repository.commit(from);
  await move(
    repository,
    await repository.createCommit({ parents, tree, edits, message: `${subject}\n\n${trailer}\n` }),
  );
}

async function move(repository: Repository, choice: Oid): Promise<void> {
  await repository.updateRefs({ choice });
}

function restored(path: SitePath, entry: Change['before']): { path: SitePath; entry?: Entry } {
  return entry ? { path, entry } : { path };
}
