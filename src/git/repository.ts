import { mkdir, readdir, rename, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Problem } from '../model/problem.ts';
import type { Change, Oid } from '../model/tree.ts';
import { type Subfolder } from '../model/subfolder.ts';
import type { Clock } from '../model/world.ts';
import type { Apart, Author, CommitFacts, Relation, Repository, TreeFile } from '../sync/ports.ts';
import { ByteReader } from './bytes.ts';
import type { Ask, GitDriver, GitProcess, GitResult, GitRun } from './driver.ts';
import { gitEnvironment } from './environment.ts';
import { localFailure } from './failure.ts';
import { startFastImport } from './fast-import.ts';
import { heldPaths } from './held.ts';
import { keptVersions } from './kept.ts';
import { createLedger, refsStamp } from './ledger.ts';
import { LruCache } from './lru-cache.ts';
import { conflictsOf, parseMergeTree } from './merge-tree.ts';
import { endOrphans } from './orphans.ts';
import { listTree, parseRaw, parseTreeRow, readRows } from './rows.ts';
import { take } from './take.ts';
import { ownLine } from './own-line.ts';
import { createView, emptyTree } from './view.ts';

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
}

/** Beats the attributes inside a tree: no filter, no line-end change, no merge driver ever runs on a site's files. */
const attributes = '* -text -ident !eol !working-tree-encoding !filter !merge !diff\n';

/** The bare repository of one site, driven by git's plumbing. */
export function openRepository(options: RepositoryOptions): Repository {
  const { dir, home, driver, clock, author } = options;
  const environment = (): Record<string, string> => gitEnvironment({ gitDir: dir, home, author: author() });
  const git = async (args: readonly string[], more: Partial<GitRun> = {}): Promise<GitResult> =>
    driver.run({ args, environment: environment(), ...more });
  const ask: Ask = async (args, more = {}) => {
    const { code, stdout, stderr } = await git(args, more);
    if (code !== 0) throw localFailure(args[0] ?? '', stderr);
    return stdout;
  };
  const date = (parentAt: number): number => Math.max(Math.floor(clock.now() / 1000), parentAt);

  // The one place where a path of ours means more than itself: «everything but».
  const withPathspecs = (args: readonly string[]): Promise<GitResult> =>
    git(args, { environment: { ...environment(), GIT_LITERAL_PATHSPECS: '0' } });
  const open = (args: readonly string[]): GitProcess => driver.open({ args, environment: environment() });
  const view = createView({ ask, open, git: withPathspecs }, options.subfolder ?? '');

  const commits = new LruCache<CommitFacts>(200);
  const commit: Repository['commit'] = (oid) => commits.get(view.key(oid), () => readCommit(oid));
  const readCommit = async (oid: Oid): Promise<CommitFacts> => {
    const text = (await ask(['log', '-1', '--no-walk', '--format=%T%n%P%n%ct%n%an%n%s%n%b', oid])).toString('utf8');
    const [tree = '', parents = '', at = '0', name = '', subject = '', ...body] = text.split('\n');
    return {
      tree: view.isWhole() ? (tree as Oid) : await view.tree(oid),
      parents: parents.split(' ').filter(Boolean) as Oid[],
      at: Number(at),
      subject,
      author: name,
      body: body.join('\n'),
    };
  };

  const ledger = createLedger(dir, ask);

  const diffs = new LruCache<readonly Change[]>(8);
  const changes: Repository['changes'] = (from = emptyTree, to = emptyTree) =>
    diffs.get(view.key(`${from} ${to}`), async () => {
      const flags = ['-r', '-z', '--raw', '--no-renames', '--ignore-submodules=none'];
      const found: Change[] = [];
      for await (const row of rows(['diff-tree', ...flags, await view.tree(from), await view.tree(to)], 2)) {
        found.push(parseRaw(row));
      }
      return found;
    });

  const rows = (args: readonly string[], fields: number): AsyncGenerator<readonly Buffer[]> =>
    readRows(driver, { args, environment: environment() }, fields);

  const relations = new LruCache<Relation>(50);
  const relate = async (ours: Oid, theirs: Oid): Promise<Relation> => {
    const { code, stdout } = await git(['merge-base', ours, theirs]);
    if (code === 1) return 'unrelated';
    if (code !== 0) throw new Problem('git-damaged', { command: 'merge-base' });
    const base = stdout.toString('latin1').trim();
    const known: Record<string, Relation> = { [theirs]: 'ahead', [ours]: 'behind' };
    return known[base] ?? 'diverged';
  };

  const distances = new LruCache<Apart>(50);
  const measure = async (ours: Oid, theirs: Oid): Promise<Apart> => {
    const counted = await ask(['rev-list', '--left-right', '--count', `${ours}...${theirs}`]);
    const [left = 0, right = 0] = counted.toString('latin1').trim().split('\t').map(Number);
    const base = await view.commonOf(ours, theirs);
    return { ours: left, theirs: right, ...(base ? { since: (await commit(base)).at } : {}) };
  };

  const createCommit: Repository['createCommit'] = async ({ parents, tree, edits = [], message, author: by }) => {
    const at = await Promise.all(parents.map((parent) => commit(parent)));
    const stream = startFastImport(driver, environment());
    const mark = await stream.commit({
      author: by ?? author(),
      date: date(Math.max(0, ...at.map((parent) => parent.at))),
      message,
      parents,
      ...(await view.graft(parents, tree)),
      edits: edits.map(view.below),
    });
    return (await stream.finish()).get(mark) as Oid;
  };

  return {
    async prepare() {
      await mkdir(home, { recursive: true, mode: 0o500 });
      await mkdir(dir, { recursive: true, mode: 0o700 });
      if (!(await exists(join(dir, 'HEAD')))) {
        await ask(['init', '--bare', '--quiet', '--template=', '--initial-branch=mooring', dir]);
      }
      await mkdir(join(dir, 'info'), { recursive: true });
      await writeFile(join(dir, 'info', 'attributes'), attributes);
      await endOrphans(dir, clock);
      await clearLeftovers(dir);
      await rm(join(dir, 'quarantine'), { recursive: true, force: true });
    },

    ledger: ledger.read,
    updateRefs: ledger.move,

    async setAside() {
      const stamp = new Date(clock.now()).toISOString().replace(/\D/g, '').slice(0, 14);
      if (await exists(dir)) await rename(dir, `${dir}.damaged-${stamp}`);
      ledger.forget();
      await this.prepare();
    },

    async maintain(keepAfter, signal) {
      for (const { id, at, cause } of await this.kept()) {
        const isOver = at < keepAfter || (cause === 'refused' && (await superseded(id)));
        if (isOver) await ask(['update-ref', '-d', `refs/sync/keep/${id}`]);
      }
      // By hand, since it is switched off for every other command: it must never run beside a sync.
      await ask(['gc', '--quiet', '--prune=14.days.ago'], { limitMs: maintenanceMs, ...(signal ? { signal } : {}) });
    },

    async relation(ours, theirs) {
      return ours === theirs ? 'equal' : relations.get(`${ours} ${theirs}`, () => relate(ours, theirs));
    },

    apart: (ours, theirs) => distances.get(`${ours} ${theirs}`, () => measure(ours, theirs)),
    mayJoin: view.mayJoin,

    view: view.turn,
    commit,
    attributesAbove: view.above,
    changes,
    createCommit,

    async files(oid, limit) {
      const files: TreeFile[] = [];
      for await (const [row] of rows(['ls-tree', '-r', '-z', '-l', '--full-tree', await view.tree(oid)], 1)) {
        // A tree of a few kilobytes can name ten thousand million paths: stop as soon as it is too many.
        if (files.length >= limit) throw new Problem('too-many-files', { limit: String(limit) });
        files.push(parseTreeRow(row as Buffer));
      }
      return files;
    },

    async checkCount(oid, limit) {
      let count = 0;
      for await (const _row of rows(['ls-tree', '-r', '-z', '--name-only', '--full-tree', await view.tree(oid)], 1)) {
        count += 1;
        if (count > limit) throw new Problem('too-many-files', { limit: String(limit) });
      }
    },

    async commitFiles(parent, pending, message) {
      const known = parent && { oid: parent, tree: await view.tree(parent) };
      const parentAt = parent ? (await commit(parent)).at : 0;
      const taken = await take(
        {
          ask,
          startStream: () => startFastImport(driver, environment()),
          below: view.below,
          author,
          date: () => date(parentAt),
        },
        known,
        pending,
        message,
      );
      if (parent && taken.commit !== parent) relations.learn(`${taken.commit} ${parent}`, 'ahead');
      return taken;
    },

    async merge(ours, theirs, base) {
      const start = base ?? (view.isWhole() ? undefined : await view.commonOf(ours, theirs));
      const pair = start || !view.isWhole() ? await throwaway([start, ours, theirs]) : { ours, theirs };
      const { code, stdout, stderr } = await git([
        'merge-tree',
        '--write-tree',
        '-z',
        '--messages',
        '--allow-unrelated-histories',
        pair.ours,
        pair.theirs,
      ]);
      if (code > 1) throw localFailure('merge-tree', stderr);
      const output = parseMergeTree(stdout);
      if (code === 0) return { tree: output.tree, conflicts: [], staged: [] };
      const common = base ?? ((await git(['merge-base', ours, theirs])).stdout.toString('latin1').trim() as Oid | '');
      const from = common || undefined;
      const found = conflictsOf(output, await changes(from, ours), await changes(from, theirs));
      return { tree: output.tree, ...found };
    },

    async sizes(oids) {
      if (oids.length === 0) return [];
      const input = [`${oids.join('\n')}\n`];
      const text = (await ask(['cat-file', '--batch-check=%(objectsize)'], { input })).toString('latin1');
      return text.split('\n').filter(Boolean).map(Number);
    },

    async *blobs(oids) {
      if (oids.length === 0) return;
      const process = driver.open({ args: ['cat-file', '--batch'], environment: environment() });
      process.child.stdin?.end(`${oids.join('\n')}\n`);
      const reader = new ByteReader(process.child.stdout);
      try {
        for (const oid of oids) {
          const header = (await reader.until(0x0a))?.toString('latin1');
          // It ended before its time: how it ended tells why, and that need not be damage.
          if (header === undefined) throw localFailure('cat-file', (await process.ended).stderr);
          const [, type, size] = header.split(' ');
          if (type !== 'blob') throw new Problem('git-damaged', { object: oid });
          let left = Number(size);
          const counted = async function* (): AsyncGenerator<Buffer> {
            for await (const chunk of reader.take(Number(size))) {
              left -= chunk.length;
              yield chunk;
            }
          };
          yield { oid, size: Number(size), chunks: counted() };
          for await (const rest of reader.take(left)) void rest;
          await reader.until(0x0a);
        }
      } finally {
        process.end();
        await process.ended;
      }
    },

    ...heldPaths({
      ask,
      startStream: () => startFastImport(driver, environment()),
      author,
      stamp: () => refsStamp(dir, 'refs/sync/held'),
      move: ledger.move,
    }),

    ...ownLine({
      ask,
      isAncestor: async (commit, of) => commit === of || (await relate(of, commit)) === 'ahead',
      subfolder: view.prefix,
    }),

    ...keptVersions({
      ask,
      createCommit,
      treeOf: async (oid) => (await commit(oid)).tree,
      files: (oid) => listTree(ask, oid),
      startStream: () => startFastImport(driver, environment()),
      author,
    }),
  };

  /** Whether the branch has every content of a line that was given up as refused. */
  async function superseded(id: string): Promise<boolean> {
    const { remote } = await ledger.read();
    if (!remote) return false;
    const flags = ['--objects', '--no-object-names', '--filter=object:type=blob', '--filter-provided-objects'];
    const contents = async (...range: string[]): Promise<string[]> =>
      (await ask(['rev-list', ...flags, ...range])).toString('latin1').split('\n').filter(Boolean);
    const line = `refs/sync/keep/${id}^@`;
    const left = await contents(line, '--not', remote);
    if (left.length === 0) return true;
    const there = new Set(await contents(remote, '--not', line));
    return left.every((oid) => there.has(oid));
  }

  /**
   * Two commits on a common third with the trees given: git 2.39 can merge only from a base that history shows.
   * They are reachable from nothing and vanish with the next clean-up.
   */
  async function throwaway([base, ours, theirs]: [Oid | undefined, Oid, Oid]): Promise<{ ours: Oid; theirs: Oid }> {
    const trees = await Promise.all(
      [base, ours, theirs].map(async (oid) => (oid ? commit(oid).then(({ tree }) => tree) : emptyTree)),
    );
    const stream = startFastImport(driver, environment());
    const one = async (tree: Oid | undefined, parents: (Oid | number)[]): Promise<number> =>
      stream.commit({
        ...{ author: author(), date: 0, message: '', parents, edits: [] },
        ...(tree ? { tree: tree === emptyTree ? 'empty' : tree } : {}),
      });
    const root = await one(trees[0], []);
    const left = await one(trees[1], [root]);
    const right = await one(trees[2], [root]);
    const oids = await stream.finish();
    return { ours: oids.get(left) as Oid, theirs: oids.get(right) as Oid };
  }
}

const maintenanceMs = 30 * 60_000;

/** Locks and half-written packs of a git that was killed. We hold the state directory's lock and no git of ours runs. */
async function clearLeftovers(dir: string): Promise<void> {
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    if (entry.name.endsWith('.lock') || /^(tmp_|\.tmp-|fast_import_crash_)/.test(entry.name)) {
      await unlink(join(entry.parentPath, entry.name)).catch(() =>
        rm(join(entry.parentPath, entry.name), { force: true }),
      );
    }
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
