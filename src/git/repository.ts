import { Problem } from '../model/problem.ts';
import type { Oid } from '../model/tree.ts';
import { type Subfolder } from '../model/subfolder.ts';
import type { Clock } from '../model/world.ts';
import type { Author, Repository, TreeFile } from '../sync/ports.ts';
import { readBlobs } from './blobs.ts';
import { CoprocessPool } from './coprocess.ts';
import type { Ask, GitDriver, GitProcess, GitResult, GitRun } from './driver.ts';
import { gitEnvironment } from './environment.ts';
import { localFailure } from './failure.ts';
import { type FastImport, startFastImport } from './fast-import.ts';
import { heldPaths } from './held.ts';
import { readHistory } from './history.ts';
import { keepHouse } from './housekeeping.ts';
import { startImport } from './import.ts';
import { keptVersions } from './kept.ts';
import { createLedger, refsStamp } from './ledger.ts';
import { mergeTrees } from './merge.ts';
import { Objects } from './objects.ts';
import { ownLine } from './own-line.ts';
import { type Refs, openRefs } from './refs.ts';
import { listTree, parseTreeRow, readRows } from './rows.ts';
import { take } from './take.ts';
import { entriesAt } from './tree-diff.ts';
import { createView } from './view.ts';

export interface RepositoryOptions {
  /** Absolute path of the bare repository. */
  readonly dir: string;
  /** An empty directory that git takes for its home. */
  readonly home: string;
  readonly driver: GitDriver;
  readonly clock: Clock;
  /** Asked at each commit: the connection may change. */
  readonly author: () => Author;
  /** The folder of the repository that counts; see {@link Repository.view}. */
  readonly subfolder?: Subfolder;
  /** Where the processes that are kept make room for each other; of its own unless given. */
  readonly pool?: CoprocessPool;
}

/** What the wire to GitLab and the repository share. */
export interface OpenRepository extends Repository {
  readonly objects: Objects;
  readonly refs: Refs;
  /** Ends the processes that it keeps; the next question starts them again. */
  rest(): Promise<void>;
}

/** The bare repository of one site, driven by git's plumbing. */
export function openRepository(options: RepositoryOptions): OpenRepository {
  const { dir, author, clock } = options;
  const commands = createCommands(options);
  const { ask, git, open } = commands;
  const pool = options.pool ?? new CoprocessPool();
  const [objects, refs] = [new Objects(open, pool), openRefs(open, pool)];
  const view = createView({ ask, open, git: commands.withPathspecs }, options.subfolder ?? '');
  const ledger = createLedger(dir, ask, refs);
  const history = readHistory({ objects, view, ask, git });
  const { treeOf, commit } = history;
  const begin = (): FastImport => startImport({ gitDir: dir, objects, fastImport: commands.fastImport });
  const rest = async (): Promise<void> => void (await Promise.all([objects.end(), refs.end()]));

  const date = (parentAt: number): number => Math.max(Math.floor(clock.now() / 1000), parentAt);
  const createCommit: Repository['createCommit'] = async ({ parents, tree, edits = [], message, author: by }) => {
    const at = await Promise.all(parents.map((parent) => objects.commit(parent)));
    const stream = begin();
    const mark = await stream.commit({
      author: by ?? author(),
      committer: author(),
      date: date(Math.max(0, ...at.map((parent) => parent.at))),
      message,
      parents,
      ...(await view.graft(parents, tree)),
      edits: edits.map(view.below),
    });
    return (await stream.finish()).get(mark) as Oid;
  };

  const kept = keptVersions({
    ...{ ask, refs, createCommit, author, treeOf },
    files: (oid) => listTree(ask, oid),
    startStream: begin,
  });

  return {
    objects,
    refs,
    rest,
    ledger: ledger.read,
    updateRefs: ledger.move,
    view: view.turn,
    mayJoin: view.mayJoin,
    attributesAbove: view.above,
    createCommit,
    ...keepHouse({ ...options, ask, rest, ledger: ledger.read, forgetLedger: ledger.forget, kept: kept.kept }),
    ...history,
    ...readBlobs(objects, open),
    ...kept,
    ...heldPaths({
      ...{ ask, refs, author, startStream: begin, move: ledger.move },
      stamp: () => refsStamp(dir, 'refs/sync/held'),
    }),
    ...ownLine({
      ask,
      isAncestor: async (commit, of) => ['equal', 'ahead'].includes(await history.relation(of, commit)),
      subfolder: view.prefix,
    }),
    merge: mergeTrees({
      ...{ gitDir: dir, objects, view, git, treeOf, author, changes: history.changes, startImport: begin },
    }),

    async files(oid, limit) {
      const files: TreeFile[] = [];
      const listing = ['ls-tree', '-r', '-z', '-l', '--full-tree', await view.tree(oid)];
      for await (const [row] of commands.rows(listing, 1)) {
        // A tree of a few kilobytes can name ten thousand million paths: stop as soon as it is too many.
        if (files.length >= limit) throw new Problem('too-many-files', { limit: String(limit) });
        files.push(parseTreeRow(row as Buffer));
      }
      return files;
    },

    async commitFiles(parent, pending, message, by) {
      const known = parent && { oid: parent, tree: await treeOf(parent) };
      const parentAt = parent ? (await commit(parent)).at : 0;
      const taken = await take(
        {
          entriesAt: (tree, paths) => entriesAt(objects, tree, paths),
          ...{ startStream: begin, below: view.below, author: by ?? author(), committer: author() },
          date: () => date(parentAt),
        },
        known,
        pending,
        message,
      );
      if (parent && taken.commit !== parent) history.learnRelation(taken.commit, parent, 'ahead');
      return taken;
    },
  };
}

/**
 * What is imported stays the pack that it is written as: unpacked, it would be compressed once more. It is sent as it is,
 * and compressed well by the next clean-up, so little effort is enough.
 */
const importConfig: readonly (readonly [string, string])[] = [
  ['fastimport.unpackLimit', '1'],
  ['core.compression', '1'],
];

/** Git's commands on one repository. */
function createCommands({ dir, home, driver, author }: RepositoryOptions) {
  const environment = (config: typeof importConfig = []): Record<string, string> =>
    gitEnvironment({ gitDir: dir, home, author: author(), config });
  const git = async (args: readonly string[], more: Partial<GitRun> = {}): Promise<GitResult> =>
    driver.run({ args, environment: environment(), ...more });
  const ask: Ask = async (args, more = {}) => {
    const { code, stdout, stderr } = await git(args, more);
    if (code !== 0) throw localFailure(args[0] ?? '', stderr);
    return stdout;
  };
  return {
    git,
    ask,
    /** The one place where a path of ours means more than itself: «everything but». */
    withPathspecs: (args: readonly string[]): Promise<GitResult> =>
      git(args, { environment: { ...environment(), GIT_LITERAL_PATHSPECS: '0' } }),
    open: (args: readonly string[]): GitProcess => driver.open({ args, environment: environment() }),
    rows: (args: readonly string[], fields: number): AsyncGenerator<readonly Buffer[]> =>
      readRows(driver, { args, environment: environment() }, fields),
    fastImport: (): FastImport => startFastImport(driver, environment(importConfig)),
  };
}
