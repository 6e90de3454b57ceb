import { Problem } from '../model/problem.ts';
import type { Subfolder } from '../model/subfolder.ts';
import { type Entry, type Oid, type SitePath, displayPath, pathBytes } from '../model/tree.ts';
import type { Ask, GitResult } from './driver.ts';
import { Memory } from './memory.ts';

interface ViewTools {
  readonly ask: Ask;
  readonly git: (args: readonly string[]) => Promise<GitResult>;
}

export const emptyTree = '4b825dc642cb6eb9a060e54bf8d69288fbee4904' as Oid;

/**
 * A folder of the repository seen as if it were the whole: paths lose its name on the way in and get it on the way out.
 * What lies around it is everybody else's: each commit takes it over unchanged from its parents.
 */
export function createView({ ask, git }: ViewTools, first: Subfolder) {
  let prefix = first;
  const trees = new Memory<Oid>(500);
  const key = (what: string): string => (prefix === '' ? what : `${prefix} ${what}`);

  async function readTree(commit: Oid): Promise<Oid> {
    const parts = prefix.split('/').map((_, at, all) => all.slice(0, at + 1).join('/') as SitePath);
    const input = parts.map((path) => Buffer.concat([Buffer.from(`${commit}:`), pathBytes(path), Buffer.from('\n')]));
    const rows = (await ask(['cat-file', '--batch-check=%(objecttype) %(objectname)'], { input }))
      .toString('latin1')
      .split('\n');
    const file = parts.find((_, at) => /^(blob|commit) [0-9a-f]{40,64}$/.test(rows[at] ?? ''));
    if (file !== undefined) throw new Problem('subfolder-invalid', { file: displayPath(file) });
    const [type, oid] = (rows[parts.length - 1] ?? '').split(' ');
    return type === 'tree' ? (oid as Oid) : emptyTree;
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

  const tree = async (commit: Oid): Promise<Oid> =>
    prefix === '' || commit === emptyTree ? commit : trees.get(key(commit), () => readTree(commit));

  return {
    isWhole: (): boolean => prefix === '',
    turn(to: Subfolder): void {
      prefix = to;
    },
    /** For what is remembered: an answer holds for one view. */
    key,
    /** What git lists and compares for a commit: itself, or its folder's tree; the empty one where it has none. */
    tree,
    commonOf,

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

export type View = ReturnType<typeof createView>;
