import { spawnSync } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CoprocessPool } from '../../src/git/coprocess.ts';
import { createDriver } from '../../src/git/driver.ts';
import { Objects } from '../../src/git/objects.ts';
import { commitsBetween, commonBase, relate } from '../../src/git/walk.ts';
import { Problem } from '../../src/model/problem.ts';
import type { Oid } from '../../src/model/tree.ts';
import { environment, git, scratch } from '../support/plain-git.ts';

const walks = suite('walking histories');

/** Numbers that look random and come again for the same seed. */
function sequence(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * below);
  };
}

/** A history with merges, several roots and clocks that go wrong, as one stream for fast-import. */
function history(next: (below: number) => number, count: number): string {
  const rows: string[] = [];
  for (let mark = 1; mark <= count; mark += 1) {
    const at = 1_700_000_000 + mark * 60 + (next(5) === 0 ? next(20_000) - 10_000 : 0);
    rows.push(`reset refs/heads/c${mark}`, '', `commit refs/heads/c${mark}`, `mark :${mark}`);
    rows.push(`committer A <a@harbour.example> ${at} +0000`, 'data 1', 'm');
    const parents = mark === 1 || next(12) === 0 ? 0 : 1 + (next(3) === 0 ? 1 : 0);
    const chosen = new Set(Array.from({ length: parents }, () => Math.max(1, mark - 1 - next(Math.min(6, mark)))));
    for (const [at, parent] of [...chosen].entries()) rows.push(`${at === 0 ? 'from' : 'merge'} :${parent}`);
    rows.push(`M 100644 inline f${next(3)}`, 'data 2', `${mark % 10}`, '');
  }
  return rows.join('\n');
}

/** What each commit reaches, itself included. */
function ancestorsIn(listing: string): ReadonlyMap<string, ReadonlySet<string>> {
  const found = new Map<string, ReadonlySet<string>>();
  for (const row of listing.split('\n')) {
    const [oid = '', ...parents] = row.split(' ');
    found.set(oid, new Set([oid, ...parents.flatMap((parent) => [...(found.get(parent) ?? [])])]));
  }
  return found;
}

walks('agree with git on random histories: relation, common base, commits between', async () => {
  const { dir, remove } = scratch();
  let pairs = 0;
  let bases = 0;
  let [total, more] = [0, 0];
  try {
    for (let seed = 1; seed <= 6; seed += 1) {
      const bare = `${dir}/${seed}.git`;
      git(dir, 'init', '-q', '--bare', bare);
      const next = sequence(seed * 7_919);
      const planted = spawnSync('git', ['fast-import', '--quiet'], {
        ...{ cwd: bare, env: environment, input: history(next, 40), encoding: 'utf8' },
      });
      assert.is(planted.status, 0, planted.stderr);
      const driver = createDriver('/usr/bin/git');
      const open = (args: readonly string[]) => driver.open({ args, environment: { ...environment, GIT_DIR: bare } });
      const objects = new Objects(open, new CoprocessPool());
      const oids = git(bare, 'for-each-ref', '--format=%(objectname)').split('\n') as Oid[];
      const ancestors = ancestorsIn(git(bare, 'rev-list', '--all', '--parents', '--topo-order', '--reverse'));
      for (let turn = 0; turn < 40; turn += 1) {
        const [ours, theirs] = [oids[next(oids.length)] as Oid, oids[next(oids.length)] as Oid];
        const found = spawnSync('git', ['merge-base', '--all', ours, theirs], {
          ...{ cwd: bare, env: environment, encoding: 'utf8' },
        });
        const all = found.stdout.split('\n').filter(Boolean);
        const relation =
          ours === theirs
            ? 'equal'
            : all.length === 0
              ? 'unrelated'
              : all[0] === theirs
                ? 'ahead'
                : all[0] === ours
                  ? 'behind'
                  : 'diverged';
        assert.is(await relate(objects, ours, theirs), relation, `seed ${seed}, turn ${turn}`);
        // Where one base is found it is the one that git has; that several seem possible only costs a process.
        const base = await commonBase(objects, ours, theirs);
        if (base) assert.equal([base], all, `seed ${seed}, turn ${turn}`);
        bases += base ? 1 : 0;
        const between = new Set<string>((await commitsBetween(objects, ours, theirs, 1_000))?.map(({ oid }) => oid));
        const [mine, yours] = [
          ancestors.get(ours) as ReadonlySet<string>,
          ancestors.get(theirs) as ReadonlySet<string>,
        ];
        for (const oid of mine) assert.ok(yours.has(oid) || between.has(oid), `seed ${seed}, turn ${turn}: ${oid}`);
        for (const oid of between) {
          assert.ok(mine.has(oid), `seed ${seed}, turn ${turn}: ${oid}`);
          more += yours.has(oid) ? 1 : 0;
        }
        total += between.size;
        pairs += 1;
      }
      await objects.end();
    }
    process.stdout.write(
      `note: ${pairs} pairs of commits, ${bases} with one common base; ${more} of ${total} too many\n`,
    );
    assert.ok(bases > pairs / 4 && more < total / 10);
  } finally {
    remove();
  }
});

walks('that are not finished conclude nothing', async () => {
  const chain = new Map<Oid, { tree: Oid; parents: Oid[]; at: number; data: Buffer }>();
  const oid = (name: string, at: number): Oid => `${name}${at}` as Oid;
  for (const name of ['a', 'b']) {
    for (let at = 0; at < 400; at += 1) {
      const parents = [at === 399 ? ('root' as Oid) : oid(name, at + 1)];
      chain.set(oid(name, at), { tree: 't' as Oid, parents, at: 1_000 - at, data: Buffer.alloc(0) });
    }
  }
  chain.set('root' as Oid, { tree: 't' as Oid, parents: [], at: 0, data: Buffer.alloc(0) });
  const commits = {
    commit(at: Oid) {
      const found = chain.get(at);
      return found ? Promise.resolve(found) : Promise.reject(new Problem('git-damaged', { object: at }));
    },
  };
  const [a, b] = [oid('a', 0), oid('b', 0)];
  assert.is(await relate(commits, a, b), undefined);
  assert.is(await relate(commits, a, b, 1_000), 'diverged');
  assert.is(await commonBase(commits, a, b), undefined);
  assert.is(await commonBase(commits, a, b, 1_000), 'root');
  assert.is(await commitsBetween(commits, a, b, 100), undefined);
  // A commit that is not there breaks the walk off; it never reads as a history without common commits.
  chain.delete('root' as Oid);
  const broken = await relate(commits, a, b, 1_000).catch((error: unknown) => error);
  assert.is((broken as Problem).code, 'git-damaged');
});

walks.run();
