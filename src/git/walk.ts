import type { Oid } from '../model/tree.ts';
import type { Relation } from '../sync/ports.ts';
import type { CommitObject, Objects } from './objects.ts';

type Commits = Pick<Objects, 'commit'>;

/** Reached from the first commit, from the second, or from both. */
const [fromOurs, fromTheirs, fromBoth] = [1, 2, 3] as const;

/**
 * How two commits stand to each other, by walking from both at the same time. Undefined if that is not clear after
 * `most` commits: nothing is concluded from a walk that was not finished.
 */
export async function relate(commits: Commits, ours: Oid, theirs: Oid, most = 256): Promise<Relation | undefined> {
  if (ours === theirs) return 'equal';
  const walk = new RevisionWalk(commits);
  await walk.reach(ours, fromOurs);
  await walk.reach(theirs, fromTheirs);
  let hasMet = false;
  for (let steps = 0; ; steps += 1) {
    if (walk.flagsOf(theirs) === fromBoth) return 'ahead';
    if (walk.flagsOf(ours) === fromBoth) return 'behind';
    if (!walk.isOpen) return hasMet || walk.hasCommon ? 'diverged' : 'unrelated';
    if (steps === most) return undefined;
    const { flags } = await walk.step();
    hasMet ||= flags === fromBoth;
  }
}

/**
 * The one commit that two lines come from. Undefined if there is none, if there are several, or if that is not clear
 * after `most` commits.
 */
export async function commonBase(commits: Commits, ours: Oid, theirs: Oid, most = 256): Promise<Oid | undefined> {
  const walk = new RevisionWalk(commits);
  await walk.reach(ours, fromOurs);
  await walk.reach(theirs, fromTheirs);
  for (let steps = 0; walk.isOpen; steps += 1) {
    if (steps === most) return undefined;
    await walk.step();
  }
  const [base, another] = walk.meetings;
  return another ? undefined : base;
}

/**
 * Commits that `tip` has and `without` has not, newest first; where clocks went wrong, perhaps some that both have.
 * Undefined if that is not clear after `most` commits.
 */
export async function commitsBetween(
  commits: Commits,
  tip: Oid,
  without: Oid | null,
  most: number,
): Promise<readonly { readonly oid: Oid; readonly commit: CommitObject }[] | undefined> {
  const walk = new RevisionWalk(commits);
  await walk.reach(tip, fromOurs);
  if (without) await walk.reach(without, fromTheirs);
  const seen = new Map<Oid, CommitObject>();
  for (let steps = 0; walk.isOpen; steps += 1) {
    if (steps === most) return undefined;
    const { oid, commit, flags } = await walk.step();
    if (flags === fromOurs) seen.set(oid, commit);
  }
  return [...seen].filter(([oid]) => walk.flagsOf(oid) === fromOurs).map(([oid, commit]) => ({ oid, commit }));
}

/** Newest first; a commit that is reached from the other side too is walked again, so that dates only cost time. */
class RevisionWalk {
  readonly #commits: Commits;
  readonly #flags = new Map<Oid, number>();
  readonly #queue = new Map<Oid, CommitObject>();
  /** Where one side came to what the other had reached: every other common commit is an ancestor of one of these. */
  readonly meetings = new Set<Oid>();

  constructor(commits: Commits) {
    this.#commits = commits;
  }

  /** While something in the queue was reached from one side only, the answer may change. */
  get isOpen(): boolean {
    return [...this.#queue.keys()].some((oid) => this.#flags.get(oid) !== fromBoth);
  }

  get hasCommon(): boolean {
    return [...this.#queue.keys()].some((oid) => this.#flags.get(oid) === fromBoth);
  }

  flagsOf(oid: Oid): number {
    return this.#flags.get(oid) ?? 0;
  }

  async reach(oid: Oid, flags: number): Promise<void> {
    const before = this.flagsOf(oid);
    if ((before | flags) === before) return;
    if ((before | flags) === fromBoth && flags !== fromBoth) this.meetings.add(oid);
    this.#flags.set(oid, before | flags);
    this.#queue.set(oid, await this.#commits.commit(oid));
  }

  async step(): Promise<{ oid: Oid; commit: CommitObject; flags: number }> {
    const [oid, commit] = [...this.#queue].reduce((best, each) => (each[1].at > best[1].at ? each : best));
    this.#queue.delete(oid);
    const flags = this.flagsOf(oid);
    for (const parent of commit.parents) await this.reach(parent, flags);
    return { oid, commit, flags };
  }
}
