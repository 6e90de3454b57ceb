import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CoprocessPool } from '../../src/git/coprocess.ts';
import { createDriver } from '../../src/git/driver.ts';
import { areApart, changeTree } from '../../src/git/join.ts';
import { Objects } from '../../src/git/objects.ts';
import { diffTrees } from '../../src/git/tree-diff.ts';
import type { Oid } from '../../src/model/tree.ts';
import { environment, git, scratch } from '../support/plain-git.ts';

const joins = suite('merging sides that do not meet');

type Files = Readonly<Record<string, number>>;

const paths = ['a', 'b', 'd', 'd/x', 'd/y', 'd/e/z', 'g/h', 'g/h/i', 'a.txt', 'a-b/c'];

/** Paths and what they hold; a path below another one takes its place away. */
const files = fc
  .dictionary(fc.constantFrom(...paths), fc.nat(2), { maxKeys: 7, noNullPrototype: true })
  .map((all) =>
    Object.fromEntries(
      Object.entries(all).filter(([path]) => !paths.some((other) => other.startsWith(`${path}/`) && other in all)),
    ),
  );

const text = (what: number): string => `${what}\n`.repeat(12);

/** One side's edits: few, as people make them. */
const edited = (base: Files): fc.Arbitrary<Files> =>
  fc.array(fc.tuple(fc.constantFrom(...paths), fc.option(fc.nat(5))), { maxLength: 3 }).map((edits) => {
    const all = new Map(Object.entries(base));
    for (const [path, what] of edits) {
      if (what === null) all.delete(path);
      else if (![...all.keys()].some((at) => at.startsWith(`${path}/`) || path.startsWith(`${at}/`)))
        all.set(path, what);
    }
    return Object.fromEntries(all);
  });

joins('gives the tree that git merge-tree gives, whenever it is taken', async () => {
  const { dir, remove } = scratch();
  let taken = 0;
  let left = 0;
  try {
    const bare = `${dir}/repo.git`;
    git(dir, 'init', '-q', '--bare', bare);
    const driver = createDriver('/usr/bin/git');
    const open = (args: readonly string[]) => driver.open({ args, environment: { ...environment, GIT_DIR: bare } });
    const objects = new Objects(open, new CoprocessPool());
    await fc.assert(
      fc.asyncProperty(
        files.chain((base) => fc.tuple(fc.constant(base), edited(base), edited(base))),
        async (sides) => {
          const [base, ours, theirs] = plant(bare, sides);
          const trees = await Promise.all([base, ours, theirs].map((oid) => objects.rootTree(oid)));
          const [root, mine, yours] = trees as [Oid, Oid, Oid];
          const [fromOurs, fromTheirs] = [await diffTrees(objects, root, mine), await diffTrees(objects, root, yours)];
          if (!areApart(fromOurs, fromTheirs)) return void (left += 1);
          taken += 1;
          const { status, stdout } = spawnSync(
            'git',
            ['-c', 'merge.directoryRenames=false', 'merge-tree', '--write-tree', ours, theirs],
            { cwd: bare, env: environment, encoding: 'utf8' },
          );
          assert.is(status, 0, stdout);
          assert.is(await changeTree({ objects, gitDir: bare }, yours, fromOurs), stdout.trim());
        },
      ),
      { numRuns: 120, seed: 20_261_201, endOnFailure: true },
    );
    await objects.end();
    assert.is(git(bare, 'fsck', '--strict', '--no-dangling'), '');
    process.stdout.write(`note: ${taken} merges path by path, ${left} left to git\n`);
    assert.ok(taken > 30 && left > 5);
  } finally {
    remove();
  }
});

/** Three commits: a base, and two that begin from it. */
function plant(bare: string, sides: readonly Files[]): [Oid, Oid, Oid] {
  const rows: string[] = [];
  for (const [at, all] of sides.entries()) {
    rows.push('reset refs/heads/x', '', 'commit refs/heads/x', `mark :${at + 1}`);
    rows.push('committer A <a@harbour.example> 1700000000 +0000', `data 1`, String(at));
    rows.push(...(at === 0 ? [] : ['from :1']), 'deleteall');
    for (const [path, what] of Object.entries(all)) {
      const content = text(what);
      rows.push(`M 100644 inline ${path}`, `data ${content.length}`, content);
    }
    rows.push('');
  }
  rows.push(...sides.map((_side, at) => `get-mark :${at + 1}`), '');
  const { status, stdout, stderr } = spawnSync('git', ['fast-import', '--quiet', '--force'], {
    ...{ cwd: bare, env: environment, input: rows.join('\n'), encoding: 'utf8' },
  });
  assert.is(status, 0, stderr);
  return stdout.trim().split('\n') as [Oid, Oid, Oid];
}

joins('leaves to git what it could take for a move, and what meets', () => {
  const entry = { mode: '100644' as const, oid: '1'.repeat(40) as Oid };
  const at = (path: string, kind: '+' | '-' | '~') => ({
    path: path as never,
    ...(kind === '+' ? {} : { before: entry }),
    ...(kind === '-' ? {} : { after: entry }),
  });
  assert.ok(areApart([at('a', '~')], [at('b', '+'), at('c', '~')]));
  assert.ok(areApart([at('a', '-')], [at('b', '-')]));
  assert.not(areApart([at('a', '~')], [at('a', '-')]), 'one path');
  assert.not(areApart([at('a', '-'), at('b', '+')], [at('c', '~')]), 'a move');
  assert.not(areApart([at('c', '~')], [at('a', '-'), at('b', '+')]), 'their move');
  assert.not(areApart([at('d', '+')], [at('d/x', '+')]), 'a file and a folder');
  assert.not(areApart([at('d/x/y', '+')], [at('d', '+')]), 'a folder and a file');
  const module = { path: 'm' as never, after: { mode: '160000' as const, oid: entry.oid } };
  assert.not(areApart([module], [at('c', '~')]), 'a submodule');
});

joins.run();
