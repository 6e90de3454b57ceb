import { Problem } from '../model/problem.ts';
import type { Subfolder } from '../model/subfolder.ts';
import { type Entry, type Oid, type SitePath, displayPath, pathBytes } from '../model/tree.ts';
import type { Above } from '../sync/ports.ts';
import { ByteReader } from './bytes.ts';
import type { Ask, GitProcess, GitResult } from './driver.ts';
import { localFailure } from './failure.ts';
import { LruCache } from './lru-cache.ts';
import { emptyTree } from './objects.ts';

interface ViewTools {
  readonly ask: Ask;
  readonly open: (args: readonly string[]) => GitProcess;
  readonly git: (args: readonly string[]) => Promise<GitResult>;
}

/**
 * A folder of the repository seen as if it were the whole: paths lose its name on the way in and get it on the way out.
 * What lies around it is everybody else's: each commit takes it over unchanged from its parents.
 */
export function createView({ ask, git, open }: ViewTools, first: Subfolder) {
  let prefix = first;
  const folders = new LruCache<Folder>(500);
  /** What the newest files of attributes say, by their ids: few commits change one. */
  const texts = new LruCache<string>(16);
  const key = (what: string): string => (prefix === '' ? what : `${prefix} ${what}`);

  const folderOf = (commit: Oid): Promise<Folder> => folders.get(key(commit), () => readFolder(commit));

  /** In one process, which is the only one a commit costs here. */
  async function readFolder(commit: Oid): Promise<Folder> {
    const names = prefix.split('/');
    const process = open(['cat-file', '--batch-command=%(objecttype) %(objectname) %(objectsize)']);
    const reader = new ByteReader(process.child.stdout);
    const say = async (command: 'info' | 'contents', path: string): Promise<string[]> => {
      process.child.stdin?.write(Buffer.from(`${command} ${commit}:${path}\n`, 'latin1'));
      const row = await reader.until(0x0a);
      if (row === undefined) throw localFailure('cat-file', (await process.ended).stderr);
      return row.toString('latin1').split(' ');
    };
    const above: [string, Oid][] = [];
    let tree = emptyTree;
    try {
      for (const at of names.keys()) {
        const [folder, path] = [names.slice(0, at).join('/'), names.slice(0, at + 1).join('/')];
        const file = folder === '' ? '.gitattributes' : `${folder}/.gitattributes`;
        const [kind, blob, size] = await say('info', file);
        if (kind === 'blob' && Number(size) <= attributesBytes) {
          above.push([folder, blob as Oid]);
          await texts.get(blob as string, async () => {
            await say('contents', file);
            const bytes: Buffer[] = [];
            for await (const chunk of reader.take(Number(size))) bytes.push(Buffer.from(chunk));
            await reader.until(0x0a);
            return Buffer.concat(bytes).toString('latin1');
          });
        }
        const [type, oid] = await say('info', path);
        if (type === 'blob' || type === 'commit')
          throw new Problem('subfolder-invalid', { file: displayPath(path as SitePath) });
        tree = type === 'tree' ? (oid as Oid) : emptyTree;
      }
      process.child.stdin?.end();
      return { tree, above };
    } finally {
      process.end();
      await process.ended;
    }
  }

  /** Whether two commits are the same outside the folder. */
  async function sameAround(a: Oid, b: Oid): Promise<boolean> {
    const around = `:(top,exclude,literal)${pathBytes(prefix as SitePath).toString('utf8')}`;
    const { code } = await git(['diff-tree', '-r', '--quiet', '--ignore-submodules=none', a, b, '--', around]);
    if (code > 1) throw new Problem('git-damaged', { command: 'diff-tree' });
    return code === 0;
  }

  async function commonOf(ours: Oid, theirs: Oid): Promise<Oid | undefined> {
    const { code, stdout } = await git(['merge-base', ours, theirs]);
    if (code > 1) throw new Problem('git-damaged', { command: 'merge-base' });
    return (stdout.toString('latin1').trim() as Oid) || undefined;
  }

  /**
   * The parent that has the newest of what lies around. Ours never changes it, so of two that differ there at least one
   * has it as their common ancestor had.
   */
  async function aroundOf(parents: readonly Oid[]): Promise<Oid | undefined> {
    let [best] = parents;
    for (const other of parents.slice(1)) {
      if (best === undefined || (await sameAround(best, other))) continue;
      const base = await commonOf(best, other);
      if (base === undefined || !(await sameAround(other, base))) best = other;
    }
    return best;
  }

  /** Whether {@link aroundOf} loses nothing: at most one of the two changed what lies around since they parted. */
  async function mayJoin(a: Oid, b: Oid): Promise<boolean> {
    if (prefix === '' || (await sameAround(a, b))) return true;
    const base = await commonOf(a, b);
    return base !== undefined && ((await sameAround(a, base)) || (await sameAround(b, base)));
  }

  const tree = async (commit: Oid): Promise<Oid> =>
    prefix === '' || commit === emptyTree ? commit : (await folderOf(commit)).tree;

  return {
    isWhole: (): boolean => prefix === '',
    prefix: (): Subfolder => prefix,
    turn(to: Subfolder): void {
      prefix = to;
    },
    /** For what is remembered: an answer holds for one view. */
    key,
    /** What git lists and compares for a commit: itself, or its folder's tree; the empty one where it has none. */
    tree,
    commonOf,
    mayJoin,

    /** What the `.gitattributes` around the folder say. */
    async above(commit: Oid): Promise<Above> {
      if (prefix === '') return { site: prefix, texts: new Map() };
      const site = prefix;
      const { above } = await folderOf(commit);
      const said = new Map<string, string>();
      for (const [folder, oid] of above)
        said.set(folder, await texts.get(oid, async () => (await ask(['cat-file', 'blob', oid])).toString('latin1')));
      return { site, texts: said };
    },

    /** What a new commit starts from: `inner` as the folder's tree, in the midst of what its parents have. */
    async graft(
      parents: readonly Oid[],
      inner: Oid,
    ): Promise<{ tree: Oid | 'empty'; graft?: { path: SitePath; tree: Oid | 'empty' } }> {
      if (prefix === '') return { tree: inner };
      const around = await aroundOf(parents);
      const whole = around && (await ask(['rev-parse', '--verify', `${around}^{tree}`])).toString('latin1').trim();
      return {
        tree: (whole as Oid | undefined) ?? 'empty',
        graft: { path: prefix, tree: inner === emptyTree ? 'empty' : inner },
      };
    },

    below<T extends { readonly path: SitePath; readonly entry?: Entry | { mode: Entry['mode']; mark: number } }>(
      this: void,
      edit: T,
    ): T {
      return prefix === '' ? edit : { ...edit, path: `${prefix}/${edit.path}` as SitePath };
    },
  };
}

/** What a commit has where the view is. */
interface Folder {
  readonly tree: Oid;
  /** The `.gitattributes` of the folders above. */
  readonly above: readonly (readonly [folder: string, oid: Oid])[];
}

/** A longer file of attributes says nothing, as in a site's own folders. */
const attributesBytes = 262_144;

export type View = ReturnType<typeof createView>;
