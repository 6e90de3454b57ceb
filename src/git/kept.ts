import { Problem } from '../model/problem.ts';
import type { KeptCause, KeptVersion } from '../model/plan.ts';
import type { Oid, SitePath } from '../model/tree.ts';
import type { Author, KeptMode, Repository, TreeFile } from '../sync/ports.ts';
import type { FastImport } from './fast-import.ts';
import type { Refs } from './refs.ts';

interface KeptTools {
  readonly ask: (args: readonly string[], more?: { input: string[] }) => Promise<Buffer>;
  readonly createCommit: Repository['createCommit'];
  /** The tree of a commit, as far as it is the site's. */
  readonly treeOf: (commit: Oid) => Promise<Oid>;
  readonly files: (oid: Oid) => Promise<readonly TreeFile[]>;
  readonly refs: Refs;
  readonly startStream: () => FastImport;
  readonly author: () => Author;
}

/**
 * Kept versions live in the repository itself, so a backup of it has them and nothing else must agree with them. Each
 * is a commit whose tree has the kept files under `files/` and their permissions in `modes.json`; its parent is the
 * commit that was kept, so old history stays reachable too. What it is about stands in its message.
 */
export function keptVersions(tools: KeptTools): Pick<Repository, 'keep' | 'kept' | 'keptFiles'> {
  const { ask } = tools;
  /** The version that keeps this commit, if there is one. */
  const keptOf = async (commit: Oid): Promise<string | undefined> => {
    const rows = (await ask(['for-each-ref', '--format=%(refname:lstrip=3) %(parent)', 'refs/sync/keep/'])).toString(
      'latin1',
    );
    return rows
      .split('\n')
      .find((row) => row.endsWith(` ${commit}`))
      ?.split(' ')[0];
  };
  /** Lines that were given up as refused, by the version that keeps them. */
  const refusedLines = async (): Promise<readonly { ref: string; lines: readonly Oid[] }[]> => {
    const format = '--format=%(refname) %(parent)%00%(contents:subject)';
    const rows = (await ask(['for-each-ref', format, 'refs/sync/keep/'])).toString('utf8').split('\n');
    return rows
      .filter((row) => row.includes('"cause":"refused"'))
      .map((row) => {
        const [ref = '', ...lines] = row.slice(0, row.indexOf('\0')).split(' ');
        return { ref, lines: lines as Oid[] };
      });
  };
  return {
    async keep(request) {
      // The same old tip is met at every check until a person has decided, and a step again after a crash: once is enough.
      const repeats = ['history-rewritten', 'went-back', 'let-go'].includes(request.cause);
      const before = repeats ? await keptOf(request.commit) : undefined;
      if (before) return before;
      const tree = await tools.treeOf(request.commit);
      const modes = [...(request.modes ?? new Map<SitePath, KeptMode>())];
      // Each edit of a site whose pushes are refused may give up a line: they are one version, the newest.
      const older = request.cause === 'refused' ? await refusedLines() : [];
      const stream = tools.startStream();
      const blob = await stream.bytes(Buffer.from(JSON.stringify(modes)));
      const facts = { cause: request.cause, at: request.at, files: request.files, bytes: request.bytes };
      const mark = await stream.commit({
        author: tools.author(),
        date: Math.floor(request.at / 1000),
        message: JSON.stringify(facts),
        parents: [...new Set([request.commit, ...older.flatMap(({ lines }) => lines)])],
        tree: 'empty',
        edits: [
          { path: 'files' as SitePath, entry: { mode: '040000' as never, oid: tree } },
          { path: 'modes.json' as SitePath, entry: { mode: '100644', mark: blob } },
        ],
      });
      const commit = (await stream.finish()).get(mark) as Oid;
      const id = `${new Date(request.at).toISOString().replace(/[-:]/g, '').slice(0, 15)}Z-${commit.slice(0, 12)}`;
      const now = `refs/sync/keep/${id}`;
      const gone = older.filter(({ ref }) => ref !== now).map(({ ref }) => `delete ${ref}`);
      await tools.refs.move([`update ${now} ${commit}`, ...gone]);
      return id;
    },

    async kept() {
      const format = '--format=%(refname:lstrip=3)%00%(contents)%00';
      const fields = (await ask(['for-each-ref', format, '--sort=-refname', 'refs/sync/keep/']))
        .toString('utf8')
        .split('\0');
      const versions: KeptVersion[] = [];
      for (let at = 0; at + 1 < fields.length; at += 2) {
        const version = parse((fields[at] ?? '').trim(), fields[at + 1] ?? '');
        if (version) versions.push(version);
      }
      return versions;
    },

    async keptFiles(id) {
      // The id comes from a form: it must look like one of ours before it becomes part of a ref's name.
      if (!/^\d{8}T\d{6}Z-[0-9a-f]{12}$/.test(id)) throw new Problem('kept-missing', { id });
      const ref = `refs/sync/keep/${id}`;
      const tree = await ask(['rev-parse', '--verify', '--quiet', `${ref}:files`]).catch((error: unknown) => {
        throw new Problem('kept-missing', { id }, { cause: error });
      });
      const oid = tree.toString('latin1').trim() as Oid;
      const modes = JSON.parse((await ask(['cat-file', 'blob', `${ref}:modes.json`])).toString('utf8')) as [
        SitePath,
        KeptMode,
      ][];
      return { tree: oid, files: await tools.files(oid), modes: new Map(modes) };
    },
  };
}

function parse(id: string, message: string): KeptVersion | undefined {
  try {
    const { cause, at, files, bytes } = JSON.parse(message) as {
      cause: KeptCause;
      at: number;
      files: number;
      bytes: number;
    };
    return { id, cause, at, files, bytes };
  } catch {
    // A ref that somebody else put there: not ours to show, not ours to remove.
    return undefined;
  }
}
