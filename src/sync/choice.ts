import { Problem } from '../model/problem.ts';
import type { Hold } from '../model/site.ts';
import { type Change, type Entry, type Oid, type SitePath, displayPath } from '../model/tree.ts';
import { settle } from './conflict.ts';
import { trailer } from './message.ts';
import type { KeptMode, Repository } from './ports.ts';

/**
 * What a person decided, as a commit on top of the folder's line. It then goes the way of every other change: pushed,
 * merged with what arrived meanwhile, applied by capture. So a choice can lose nothing either, and undoing it is
 * another choice.
 */

/** Undoes a mass removal on the side that lost: the removed paths come back, everything else stays. */
export async function putBack(repository: Repository, hold: Hold): Promise<void> {
  const { disk, remote } = await repository.ledger();
  const incoming = hold.step.split(':')[1] as Oid | undefined;
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
  if (!incoming || incoming === remote) throw new Problem('plan-outdated', {});
  const behind = (await repository.relation(disk, incoming)) === 'behind';
  const target = behind ? incoming : await merged(repository, disk, incoming);
  const lost = (await repository.changes(disk, target)).filter(({ after }) => !after);
  const edits = lost.map(({ path, before }) => restored(path, before));
  await choose(repository, behind ? [incoming] : [disk, incoming], target, edits, `Put ${lost.length} files back`);
}

async function merged(repository: Repository, disk: Oid, incoming: Oid): Promise<Oid> {
  const result = await repository.merge(disk, incoming);
  const { edits } = settle(result, 'repository');
  return repository.make({ parents: [disk, incoming], tree: result.tree, edits, message: `Merge\n\n${trailer}\n` });
}

/** Gives a kept version back: the whole folder as it was, or one path. */
export async function restoreKept(repository: Repository, keptId: string, path: SitePath | undefined): Promise<void> {
  const { disk } = await repository.ledger();
  if (!disk) throw new Problem('not-connected', {});
  const { tree, files } = await repository.keptFiles(keptId);
  if (path === undefined) {
    const message = `Restore the kept version of ${keptId.slice(0, 8)}\n\n${restores(keptId)}\n${trailer}\n`;
    await move(repository, await repository.make({ parents: [disk], tree, message }));
    return;
  }
  const file = files.find((kept) => kept.path === path);
  if (!file) throw new Problem('kept-missing', { id: keptId, path: displayPath(path) });
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

/** The permissions a choice brings back, if it restores a kept version. */
export async function modesOf(
  repository: Repository,
  choice: Oid,
): Promise<ReadonlyMap<SitePath, KeptMode> | undefined> {
  const { body } = await repository.commit(choice);
  const line = body.split('\n').find((row) => row.startsWith(restoresKey));
  if (line === undefined) return undefined;
  return (await repository.keptFiles(line.slice(restoresKey.length))).modes;
}

/** Makes the other version of a conflict live; `oid` absent: that side had removed the path. */
export async function takeVersion(repository: Repository, path: SitePath, oid: Oid | undefined): Promise<void> {
  const { disk } = await repository.ledger();
  if (!disk) throw new Problem('not-connected', {});
  // The choice is about the content; what the path may do stays as it is.
  const present = (await repository.files(disk, Number.POSITIVE_INFINITY)).find((file) => file.path === path);
  const entry: Entry | undefined = oid && { mode: present?.mode === '100755' ? '100755' : '100644', oid };
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
  await move(repository, await repository.make({ parents, tree, edits, message: `${subject}\n\n${trailer}\n` }));
}

async function move(repository: Repository, choice: Oid): Promise<void> {
  await repository.move({ choice });
}

function restored(path: SitePath, entry: Change['before']): { path: SitePath; entry?: Entry } {
  return entry ? { path, entry } : { path };
}
