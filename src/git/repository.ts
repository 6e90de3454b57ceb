import { mkdir, readdir, rename, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { unsafePath } from '../model/path-safety.ts';
import { Problem } from '../model/problem.ts';
import type { Change, Entry, Mode, Oid, SitePath } from '../model/tree.ts';
import { type Subfolder } from '../model/subfolder.ts';
import type { Clock } from '../model/world.ts';
import type {
  Author,
  CommitFacts,
  Ledger,
  LedgerName,
  Relation,
  Repository,
  Taken,
  Taking,
  TreeFile,
} from '../sync/ports.ts';
import { ByteReader } from './bytes.ts';
import type { GitDriver, GitResult, GitRun } from './driver.ts';
import { gitEnvironment } from './environment.ts';
import { localFailure } from './failure.ts';
import { type ImportEdit, startFastImport } from './fast-import.ts';
import { heldPaths } from './held.ts';
import { keptVersions } from './kept.ts';
import { Memory } from './memory.ts';
import { conflictsOf, parseMergeTree } from './merge-tree.ts';
import { endOrphans } from './orphans.ts';
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

const ledgerNames: readonly LedgerName[] = ['disk', 'remote', 'pending', 'offered', 'choice', 'base'];

/** Beats the attributes inside a tree: no filter, no line-end change, no merge driver ever runs on a site's files. */
const attributes = '* -text -ident !eol !working-tree-encoding !filter !merge !diff\n';

/** The bare repository of one site, driven by git's plumbing. */
export function openRepository(options: RepositoryOptions): Repository {
  const { dir, home, driver, clock, author } = options;
  const environment = (): Record<string, string> => gitEnvironment({ gitDir: dir, home, author: author() });
  const git = async (args: readonly string[], more: Partial<GitRun> = {}): Promise<GitResult> =>
    driver.run({ args, environment: environment(), ...more });
  /** Runs a command that must succeed. */
  const ask = async (args: readonly string[], more: Partial<GitRun> = {}): Promise<Buffer> => {
    const { code, stdout, stderr } = await git(args, more);
    if (code !== 0) throw localFailure(args[0] ?? '', stderr);
    return stdout;
  };
  const date = (parentAt: number): number => Math.max(Math.floor(clock.now() / 1000), parentAt);

  // The one place where a path of ours means more than itself: «everything but».
  const withPathspecs = (args: readonly string[]): Promise<GitResult> =>
    git(args, { environment: { ...environment(), GIT_LITERAL_PATHSPECS: '0' } });
  const view = createView({ ask, git: withPathspecs }, options.subfolder ?? '');

  const commits = new Memory<CommitFacts>(200);
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

  const diffs = new Memory<readonly Change[]>(8);
  const changes: Repository['changes'] = (from = emptyTree, to = emptyTree) =>
    diffs.get(view.key(`${from} ${to}`), async () => {
      const flags = ['-r', '-z', '--raw', '--no-renames', '--ignore-submodules=none'];
      const found: Change[] = [];
      for await (const row of rows(['diff-tree', ...flags, await view.tree(from), await view.tree(to)], 2)) {
        found.push(parseRaw(row));
      }
      return found;
    });

  /** NUL-separated fields of a command's answer, `fields` at a time, as they come; ending the loop ends the command. */
  async function* rows(args: readonly string[], fields: number): AsyncGenerator<readonly Buffer[]> {
    const process = driver.open({ args, environment: environment() });
    process.child.stdin?.end();
    const reader = new ByteReader(process.child.stdout as AsyncIterable<Buffer>);
    let whole = false;
    try {
      for (;;) {
        const row: Buffer[] = [];
        for (let field = await reader.until(0); field !== undefined; field = await reader.until(0)) {
          if (row.push(field) === fields) break;
        }
        if (row.length < fields) break;
        yield row;
      }
      whole = true;
    } finally {
      if (!whole) {
        process.end();
        await process.ended;
      }
    }
    const { code, stderr } = await process.ended;
    if (code !== 0) throw localFailure(args[0] ?? '', stderr);
  }

  const relations = new Memory<Relation>(50);
  const relate = async (ours: Oid, theirs: Oid): Promise<Relation> => {
    const { code, stdout } = await git(['merge-base', ours, theirs]);
    if (code === 1) return 'unrelated';
    if (code !== 0) throw new Problem('git-damaged', { command: 'merge-base' });
    const base = stdout.toString('latin1').trim();
    const known: Record<string, Relation> = { [theirs]: 'ahead', [ours]: 'behind' };
    return known[base] ?? 'diverged';
  };

  const make: Repository['make'] = async ({ parents, tree, edits = [], message }) => {
    const at = await Promise.all(parents.map((parent) => commit(parent)));
    const stream = startFastImport(driver, environment());
    const mark = await stream.commit({
      author: author(),
      date: date(Math.max(0, ...at.map((parent) => parent.at))),
      message,
      parents,
      ...(await view.graft(parents, tree)),
      edits: edits.map(view.below),
    });
    return (await stream.finish()).get(mark) as Oid;
  };

  /** The refs as last read, and what told that nobody touched them since: an idle site starts no process. */
  let known: { readonly ledger: Ledger; readonly stamp: string } | undefined;
  const ledger: Repository['ledger'] = async () => {
    const stamp = await refsStamp(dir);
    if (known?.stamp === stamp) return known.ledger;
    const refs = ledgerNames.map((name) => `refs/sync/${name}`);
    const text = (await ask(['for-each-ref', '--format=%(refname) %(objectname)', ...refs])).toString('latin1');
    const found: Partial<Record<LedgerName, Oid>> = {};
    for (const row of text.split('\n').filter(Boolean)) {
      const [ref = '', oid = ''] = row.split(' ');
      found[ref.slice('refs/sync/'.length) as LedgerName] = oid as Oid;
    }
    known = { ledger: found, stamp };
    return found;
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
    },

    ledger,

    async setAside() {
      const stamp = new Date(clock.now()).toISOString().replace(/\D/g, '').slice(0, 14);
      if (await exists(dir)) await rename(dir, `${dir}.damaged-${stamp}`);
      known = undefined;
      await this.prepare();
    },

    async maintain(keepAfter, signal) {
      const old = (await this.kept()).filter(({ at }) => at < keepAfter);
      for (const { id } of old) await ask(['update-ref', '-d', `refs/sync/keep/${id}`]);
      // By hand, since it is switched off for every other command: it must never run beside a sync.
      await ask(['gc', '--quiet', '--prune=14.days.ago'], { limitMs: maintenanceMs, ...(signal ? { signal } : {}) });
    },

    async move(moves, expect = {}) {
      const lines = ['start'];
      for (const [name, oid] of Object.entries(moves) as [LedgerName, Oid | null][]) {
        const was = expect[name];
        const old = was === undefined ? '' : ` ${was ?? zero}`;
        lines.push(oid === null ? `delete refs/sync/${name}${old}` : `update refs/sync/${name} ${oid}${old}`);
      }
      const before = await ledger();
      await ask(['update-ref', '--stdin'], { input: [`${[...lines, 'commit'].join('\n')}\n`] });
      const next: Partial<Record<LedgerName, Oid>> = { ...before };
      for (const [name, oid] of Object.entries(moves) as [LedgerName, Oid | null][]) {
        if (oid === null) delete next[name];
        else next[name] = oid;
      }
      known = { ledger: next, stamp: await refsStamp(dir) };
    },

    async relation(ours, theirs) {
      return ours === theirs ? 'equal' : relations.get(`${ours} ${theirs}`, () => relate(ours, theirs));
    },

    view: view.turn,
    commit,
    changes,
    make,

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

    async take(parent, taking, message) {
      const bad = taking.find(({ path }) => unsafePath(path) !== undefined);
      if (bad) throw new Error(`a path that must not travel was about to be recorded: ${JSON.stringify(bad.path)}`);
      const before = parent
        ? await entriesOf(
            ask,
            await view.tree(parent),
            taking.map(({ path }) => path),
          )
        : new Map<SitePath, Entry>();
      const parentAt = parent ? (await commit(parent)).at : 0;
      const stream = startFastImport(driver, environment());
      const read = await readAll(stream, taking).catch(async (error: unknown) => {
        await stream.abandon();
        throw error;
      });
      // Removing a file that became a folder, one commit after the folder, would take the folder's files with it.
      const edits: ImportEdit[] = read.steady
        .filter(({ path, mode }) => mode !== undefined || before.has(path))
        .map(({ path, mode, mark }) => (mode === undefined ? { path } : { path, entry: { mode, mark } }));
      if (edits.length === 0 && parent) {
        await stream.abandon();
        const gone = read.steady.map(({ path }) => [path, undefined] as const);
        return { commit: parent, entries: new Map(gone), unsteady: read.unsteady } satisfies Taken;
      }
      const mark = await stream.commit({
        author: author(),
        date: date(parentAt),
        message: message(read.steady.map(({ path, mode }) => changeOf(path, before.get(path), mode)).filter(isChange)),
        parents: parent ? [parent] : [],
        edits: edits.map(view.below),
      });
      const oids = await stream.finish();
      const entries = new Map<SitePath, Entry | undefined>();
      for (const { path, mode, mark: blob } of read.steady) {
        entries.set(path, mode === undefined ? undefined : { mode, oid: oids.get(blob) as Oid });
      }
      const made = oids.get(mark) as Oid;
      const same = parent !== undefined && [...entries].every(([path, entry]) => sameEntry(entry, before.get(path)));
      if (parent) relations.learn(`${made} ${parent}`, 'ahead');
      return { commit: same ? parent : made, entries, unsteady: read.unsteady };
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
      const reader = new ByteReader(process.child.stdout as AsyncIterable<Buffer>);
      try {
        for (const oid of oids) {
          const header = (await reader.until(0x0a))?.toString('latin1') ?? '';
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
    }),

    ...keptVersions({
      ask,
      make,
      treeOf: async (oid) => (await commit(oid)).tree,
      files: (oid) => listTree(ask, oid),
      startStream: () => startFastImport(driver, environment()),
      author,
    }),
  };

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

/** Changes whenever a ref of ours does: git moves each into this folder under a new name, or packs them all. */
async function refsStamp(dir: string, refs = 'refs/sync'): Promise<string> {
  const stampOf = (path: string): Promise<string> =>
    stat(path, { bigint: true }).then(
      ({ mtimeNs, ino }) => `${mtimeNs}.${ino}`,
      () => 'none',
    );
  return (await Promise.all([stampOf(join(dir, refs)), stampOf(join(dir, 'packed-refs'))])).join(' ');
}

const maintenanceMs = 30 * 60_000;

const zero = '0'.repeat(40);

async function readAll(
  stream: ReturnType<typeof startFastImport>,
  taking: readonly Taking[],
): Promise<{ steady: { path: SitePath; mode?: Mode; mark: number }[]; unsteady: SitePath[] }> {
  const steady: { path: SitePath; mode?: Mode; mark: number }[] = [];
  const unsteady: SitePath[] = [];
  for (const { path, file } of taking) {
    if (!file) {
      steady.push({ path, mark: 0 });
      continue;
    }
    const open = await file.open();
    if (!open) {
      unsteady.push(path);
      continue;
    }
    const mark = await stream.blob(open).catch((error: unknown) => {
      open.finish();
      throw error;
    });
    // A file that changed while it was read is in the stream but in no tree: half of it must not become a version.
    if (open.finish()) steady.push({ path, mode: file.mode, mark });
    else unsteady.push(path);
  }
  return { steady, unsteady };
}

type Ask = (args: readonly string[], more?: Partial<GitRun>) => Promise<Buffer>;

async function listTree(ask: Ask, oid: Oid): Promise<readonly TreeFile[]> {
  const rows = (await ask(['ls-tree', '-r', '-z', '-l', '--full-tree', oid])).toString('latin1').split('\0');
  return rows.filter(Boolean).map((row) => parseTreeRow(Buffer.from(row, 'latin1')));
}

/** What the parent has at some paths, asked for in portions that fit a command line. */
async function entriesOf(ask: Ask, parent: Oid, paths: readonly SitePath[]): Promise<Map<SitePath, Entry>> {
  const wanted = new Set(paths);
  const found = new Map<SitePath, Entry>();
  // Many paths: the whole list is cheaper than many command lines. Odd bytes cannot be arguments of a process at all.
  const plain = paths.length <= 200 && paths.every((path) => /^[\x20-\x7e]+$/.test(path));
  const rows = plain
    ? (await ask(['ls-tree', '-z', '-l', '--full-tree', parent, '--', ...paths])).toString('latin1').split('\0')
    : (await ask(['ls-tree', '-r', '-z', '-l', '--full-tree', parent])).toString('latin1').split('\0');
  for (const row of rows.filter(Boolean)) {
    const { path, mode, oid } = parseTreeRow(Buffer.from(row, 'latin1'));
    if (wanted.has(path) && (mode as string) !== '040000') found.set(path, { mode, oid });
  }
  return found;
}

function parseTreeRow(row: Buffer): TreeFile {
  const text = row.toString('latin1');
  const tab = text.indexOf('\t');
  const [mode = '', , oid = '', size = ''] = text.slice(0, tab).split(/ +/);
  return {
    path: text.slice(tab + 1) as SitePath,
    mode: mode as Mode,
    oid: oid as Oid,
    size: size === '-' ? 0 : Number(size),
  };
}

/** One row of `diff-tree --raw -z`: what changed, and the path. */
function parseRaw([what, path]: readonly Buffer[]): Change {
  const [before = '', after = '', beforeOid = '', afterOid = ''] = (what?.toString('latin1') ?? '').slice(1).split(' ');
  return {
    path: (path?.toString('latin1') ?? '') as SitePath,
    ...(before === '000000' ? {} : { before: { mode: before as Mode, oid: beforeOid as Oid } }),
    ...(after === '000000' ? {} : { after: { mode: after as Mode, oid: afterOid as Oid } }),
  };
}

function sameEntry(a: Entry | undefined, b: Entry | undefined): boolean {
  return a?.oid === b?.oid && a?.mode === b?.mode;
}

/** Made and removed again before anybody looked: nothing to tell. */
function isChange({ before, after }: Change): boolean {
  return before !== undefined || after !== undefined;
}

/** For the message only: the new blob's id is not known yet. */
function changeOf(path: SitePath, before: Entry | undefined, mode: Mode | undefined): Change {
  const after = mode === undefined ? undefined : { mode, oid: zero as Oid };
  return { path, ...(before ? { before } : {}), ...(after ? { after } : {}) };
}

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
