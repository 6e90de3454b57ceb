import { createHash } from 'node:crypto';
import type { Entry, Oid, SitePath } from '../model/tree.ts';
import type { Author, HeldPath, Ledger, LedgerName, Repository } from '../sync/ports.ts';
import type { FastImport, ImportEdit } from './fast-import.ts';
import type { Refs } from './refs.ts';

interface HeldTools {
  readonly ask: (args: readonly string[], more?: { input: string[] }) => Promise<Buffer>;
  readonly refs: Refs;
  readonly startStream: () => FastImport;
  readonly author: () => Author;
  /** Changes whenever one of these refs does. */
  readonly stamp: () => Promise<string>;
  readonly move: (
    changes: Partial<Record<LedgerName, Oid | null>>,
    expect: Partial<Ledger>,
    also: readonly string[],
  ) => Promise<void>;
}

const prefix = 'refs/sync/held/';

/**
 * Paths that wait for a person: a ref each, so that neither a lost manifest nor a lost store decides for them. The
 * versions lie in the commit's tree as `base`, `ours` and `theirs`; its message says which path, and by which merge.
 */
export function heldPaths(tools: HeldTools): Pick<Repository, 'held' | 'hold' | 'release' | 'replaceLine'> {
  const { ask } = tools;
  let known: { readonly stamp: string; readonly held: readonly HeldPath[] } | undefined;
  return {
    async held() {
      const stamp = await tools.stamp();
      if (known?.stamp === stamp) return known.held;
      const rows = (await ask(['for-each-ref', '--format=%(contents:subject)', prefix])).toString('utf8').split('\n');
      known = { stamp, held: rows.filter(Boolean).map((row) => JSON.parse(row) as HeldPath) };
      return known.held;
    },

    async hold(paths, by) {
      const stream = tools.startStream();
      const marks: [SitePath, number][] = [];
      for (const { path, ...versions } of paths) {
        const sides = Object.entries(versions) as [string, Entry][];
        const mark = await stream.commit({
          author: tools.author(),
          date: 0,
          message: JSON.stringify({ path, by }),
          parents: [],
          tree: 'empty',
          edits: sides.map(([side, { oid }]) => ({ path: side as SitePath, entry: { mode: '100644', oid } })),
        });
        marks.push([path, mark]);
      }
      const oids = await stream.finish();
      const lines = marks.map(([path, mark]) => `update ${refOf(path)} ${oids.get(mark) as Oid}`);
      await tools.refs.move(lines);
      known = undefined;
    },

    async replaceLine(from, to, waiting) {
      const format = '--format=%(refname) %(tree) %(contents:subject)';
      const rows = (await ask(['for-each-ref', format, prefix])).toString('utf8').split('\n').filter(Boolean);
      const stream = tools.startStream();
      const marks = new Map<string, number>();
      const note = async (ref: string, message: HeldPath, tree: Oid | 'empty', edits: ImportEdit[]): Promise<void> => {
        const about = { author: tools.author(), date: 0, message: JSON.stringify(message), parents: [] };
        marks.set(ref, await stream.commit({ ...about, tree, edits }));
      };
      for (const row of rows) {
        const [ref = '', tree = '', ...subject] = row.split(' ');
        await note(ref, { ...(JSON.parse(subject.join(' ')) as HeldPath), by: to }, tree as Oid, []);
      }
      for (const { path, mode, oid, text } of waiting) {
        const edit = { path: 'ours' as SitePath, entry: { mode, oid } };
        await note(refOf(path), { path, by: to, refused: { oid, text } }, 'empty', [edit]);
      }
      const oids = await stream.finish();
      const lines = [...marks].map(([ref, mark]) => `update ${ref} ${oids.get(mark) as Oid}`);
      await tools.move({ disk: to, offered: null }, { disk: from }, lines);
      known = undefined;
    },

    async release(paths) {
      if (paths.length === 0) return;
      await tools.refs.move(paths.map((path) => `delete ${refOf(path)}`));
      known = undefined;
    },
  };
}

const refOf = (path: SitePath): string => `${prefix}${createHash('sha256').update(path).digest('hex').slice(0, 32)}`;
