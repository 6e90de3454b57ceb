import type { Author, OwnCommit, Repository } from '../sync/ports.ts';
import type { Change, Oid, SitePath } from '../model/tree.ts';
import type { Ask } from './driver.ts';
import { oddAnswer } from './failure.ts';
import { parseRaw } from './rows.ts';

interface LineTools {
  readonly ask: Ask;
  readonly isAncestor: (commit: Oid, of: Oid) => Promise<boolean>;
  /** The site's folder in the repository. */
  readonly subfolder: () => string;
}

/** What is asked about commits that GitLab does not have. */
export function ownLine({ ask, isAncestor, subfolder }: LineTools): Pick<Repository, 'unpushed' | 'arrived'> {
  return {
    async unpushed(commit, tip) {
      const format = '--format=%x01%H%x00%P%x00%an%x00%ae%x00%B';
      const flags = ['--topo-order', '--reverse', '--raw', '-r', '-z', '--no-renames', '--no-abbrev', '--no-ext-diff'];
      const output = await ask([
        'log',
        ...flags,
        '--ignore-submodules=none',
        format,
        commit,
        ...(tip ? [`^${tip}`] : []),
      ]);
      return parseOwn(output.toString('latin1').split('\0'), subfolder());
    },

    async arrived(tip, local) {
      const lines = (await ask(['for-each-ref', '--format=%(objectname) %(contents:subject)', 'refs/sync/keep/']))
        .toString('utf8')
        .split('\n')
        .filter((row) => row.includes('"cause":"refused"'))
        .map((row) => row.slice(0, row.indexOf(' ')));
      const found = new Set<Oid>();
      for (const line of lines) {
        // No common commit at all ends with 1 and no output.
        const bases = await ask(['merge-base', '--all', line, tip]).catch(() => Buffer.alloc(0));
        for (const base of bases.toString('latin1').split('\n').filter(Boolean) as Oid[])
          if (!(await isAncestor(base, local))) found.add(base);
      }
      return [...found];
    },
  };
}

/** Header fields begin with a byte that no raw row begins with, so a path may be anything. */
function parseOwn(fields: readonly string[], subfolder: string): readonly OwnCommit[] {
  const commits: OwnCommit[] = [];
  let at = 0;
  while (at < fields.length) {
    const head = fields[at] as string;
    if (head.trim() === '') {
      at += 1;
      continue;
    }
    const start = head.indexOf('\x01');
    if (start < 0 || at + 4 >= fields.length) throw oddAnswer('log');
    const text = (field: number): string => Buffer.from(fields[at + field] as string, 'latin1').toString('utf8');
    const author: Author = { name: text(2), email: text(3) };
    const oid = head.slice(start + 1) as Oid;
    const parents = (fields[at + 1] as string).split(' ').filter(Boolean) as Oid[];
    const message = text(4);
    at += 5;
    const changes: Change[] = [];
    while (at + 1 < fields.length && /^\n?:[0-7]{6} /.test(fields[at] as string)) {
      const what = (fields[at] as string).replace(/^\n/, '');
      const change = below(
        parseRaw([Buffer.from(what, 'latin1'), Buffer.from(fields[at + 1] as string, 'latin1')]),
        subfolder,
      );
      if (change) changes.push(change);
      at += 2;
    }
    commits.push({ oid, parents, author, message, changes });
  }
  return commits;
}

function below(change: Change, subfolder: string): Change | undefined {
  if (subfolder === '') return change;
  if (!change.path.startsWith(`${subfolder}/`)) return undefined;
  return { ...change, path: change.path.slice(subfolder.length + 1) as SitePath };
}
