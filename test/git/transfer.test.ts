import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createDriver } from '../../src/git/driver.ts';
import { type OpenRepository, openRepository } from '../../src/git/repository.ts';
import type { Oid, SitePath } from '../../src/model/tree.ts';
import { systemClock } from '../../src/world.ts';
import { environment, git, scratch } from '../support/plain-git.ts';
import { transferOf } from '../support/transfer.ts';

const transfers = suite('packs that leave and come');

interface Place {
  readonly dir: string;
  readonly repository: OpenRepository;
  readonly paths: { readonly dir: string; readonly home: string };
  commit(parents: readonly Oid[], files: Record<string, string | null>): Promise<Oid>;
}

async function place(test: (place: Place) => Promise<void>): Promise<void> {
  const { dir, remove } = scratch();
  const paths = { dir: join(dir, 'repo.git'), home: join(dir, 'home') };
  const repository = openRepository({
    ...{ ...paths, driver: createDriver('/usr/bin/git'), clock: systemClock },
    author: () => ({ name: 'Ana', email: 'ana@harbour.example' }),
  });
  try {
    await repository.prepare();
    await test({
      ...{ dir, repository, paths },
      async commit(parents, files) {
        const edits = Object.entries(files).map(([path, text]) => ({
          path: path as SitePath,
          ...(text === null ? {} : { entry: { mode: '100644' as const, oid: write(paths.dir, text) } }),
        }));
        const tree = parents[0] ? (await repository.commit(parents[0])).tree : emptyTree;
        return repository.createCommit({ parents, tree, edits, message: 'm' });
      },
    });
  } finally {
    await repository.rest();
    remove();
  }
}

const emptyTree = '4b825dc642cb6eb9a060e54bf8d69288fbee4904' as Oid;

function write(bare: string, text: string): Oid {
  const { stdout } = spawnSync('git', ['hash-object', '-w', '--stdin'], {
    ...{ cwd: bare, env: environment, input: text, encoding: 'utf8' },
  });
  return stdout.trim() as Oid;
}

/** What a server has that knows one commit; gives whether it can take the pack and has the other one then, all of it. */
function takes(place: Place, expected: Oid, commit: Oid, pack: Buffer): void {
  const server = join(place.dir, `server-${Math.random()}.git`);
  git(place.dir, 'init', '-q', '--bare', server);
  git(server, 'fetch', '-q', place.paths.dir, `+${expected}:refs/heads/main`);
  const options = { cwd: server, env: environment, input: pack } as const;
  const { status, stderr } = spawnSync('git', ['index-pack', '--stdin', '--fix-thin', '--strict'], options);
  assert.is(status, 0, stderr.toString());
  git(server, 'rev-list', '--objects', '--quiet', commit);
  git(server, 'update-ref', 'refs/heads/main', commit, expected);
  git(server, 'fsck', '--strict', '--full');
}

async function bytesOf(pack: Buffer | (() => AsyncIterable<Buffer>)): Promise<Buffer> {
  if (Buffer.isBuffer(pack)) return pack;
  const chunks: Buffer[] = [];
  for await (const chunk of pack()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

transfers('a push holds all that the lease’s commit lacks: edits, moves, merges, refused lines, several commits', () =>
  place(async (at) => {
    const transfer = transferOf(at.repository, at.paths);
    const base = await at.commit([], { 'a/b/c.txt': 'one\n', 'a/d.txt': 'two\n', 'e.txt': 'three\n' });
    const edit = await at.commit([base], { 'a/b/c.txt': 'edited\n' });
    const moved = await at.commit([edit], { 'a/b/c.txt': null, 'x/y/c.txt': 'edited\n' });
    // Back to a tree that only the lease's older history has: its objects are there, whether they come along or not.
    const back = await at.commit([moved], { 'a/b/c.txt': 'one\n', 'x/y/c.txt': null });
    const theirs = await at.commit([base], { 'a/d.txt': 'theirs\n', 'new/f.txt': 'new\n' });
    const merged = await at.commit([back, theirs], { 'a/d.txt': 'theirs\n', 'new/f.txt': 'new\n' });
    const emptied = await at.commit([merged], { 'a/d.txt': null, 'new/f.txt': null, 'a/b/c.txt': null, 'e.txt': null });
    for (const [expected, commit] of [
      [base, edit],
      [edit, moved],
      [base, back],
      [theirs, merged],
      [back, merged],
      [base, merged],
      [merged, emptied],
      [theirs, emptied],
    ] as const) {
      const pack = await transfer.outgoing(commit, expected);
      assert.ok(Buffer.isBuffer(pack), 'so little needs no process');
      takes(at, expected, commit, pack);
    }
  }),
);

transfers('a push of much is packed by git as it is sent, and holds as much', () =>
  place(async (at) => {
    const transfer = transferOf(at.repository, at.paths);
    const base = await at.commit([], { 'e.txt': 'begin\n' });
    const many = Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`d${i % 9}/f${i}.txt`, `${i}\n`]));
    const wide = await at.commit([base], many);
    const large = await at.commit([base], { 'large.bin': 'x'.repeat(2 * 1024 * 1024) });
    let long = base;
    for (let i = 0; i < 70; i += 1) long = await at.commit([long], { 'e.txt': `${i}\n` });
    for (const commit of [wide, large, long]) {
      const pack = await transfer.outgoing(commit, base);
      assert.not(Buffer.isBuffer(pack));
      takes(at, base, commit, await bytesOf(pack));
    }
  }),
);

transfers('an object that is gone fails the push, and is never left out of it', () =>
  place(async (at) => {
    const transfer = transferOf(at.repository, at.paths);
    const base = await at.commit([], { 'e.txt': 'begin\n' });
    const edit = await at.commit([base], { 'e.txt': 'edited\n' });
    const oid = git(at.paths.dir, 'rev-parse', `${edit}:e.txt`);
    await at.repository.rest();
    // Everything loose, then that one away.
    const packs = join(at.paths.dir, 'objects', 'pack');
    for (const name of readdirSync(packs))
      git(at.paths.dir, '-c', `alias.away=!mv ${packs}/${name} ${at.dir}/`, 'away');
    for (const name of readdirSync(at.dir).filter((each) => each.endsWith('.pack')))
      git(at.paths.dir, '-c', `alias.loose=!git unpack-objects -q < ${at.dir}/${name}`, 'loose');
    git(at.paths.dir, '-c', `alias.away=!rm -f objects/${oid.slice(0, 2)}/${oid.slice(2)}`, 'away');
    const failed = await transfer
      .outgoing(edit, base)
      .then(bytesOf)
      .catch((error: unknown) => error);
    assert.instance(failed, Error);
    assert.is((failed as { code?: string }).code, 'git-damaged');
  }),
);

transfers('what comes is taken in whole or not at all: cut at every byte, and changed at every byte', () =>
  place(async (at) => {
    const transfer = transferOf(at.repository, at.paths);
    const base = await at.commit([], { 'e.txt': 'begin\n' });
    const edit = await at.commit([base], { 'e.txt': 'edited\n', 'f/g.txt': 'more\n' });
    const pack = (await transfer.outgoing(edit, base)) as Buffer;
    const other = join(at.dir, 'other');
    const paths = { dir: join(other, 'repo.git'), home: join(other, 'home') };
    const repository = openRepository({
      ...{ ...paths, driver: createDriver('/usr/bin/git'), clock: systemClock },
      author: () => ({ name: 'Ana', email: 'ana@harbour.example' }),
    });
    await repository.prepare();
    const into = transferOf(repository, paths);
    const receive = async (bytes: Buffer): Promise<boolean> => {
      const receiving = into.receive();
      await receiving.write(bytes);
      return (await receiving.finish()) === undefined;
    };
    git(paths.dir, 'fetch', '-q', at.paths.dir, `+${base}:refs/sync/remote`);
    const step = process.env['MOORING_TEST_LONG'] === 'yes' ? 1 : 9;
    for (let length = 0; length < pack.length; length += step)
      assert.not(await receive(pack.subarray(0, length)), `cut at ${length}`);
    for (let index = 0; index < pack.length; index += step) {
      const changed = Buffer.from(pack);
      changed[index] = (changed[index] ?? 0) ^ 0x41;
      assert.not(await receive(changed), `changed at ${index}`);
    }
    assert.not(await into.holds(edit));
    assert.ok(await receive(pack));
    assert.ok(await into.holds(edit));
    process.stdout.write(`note: every ${step}. of ${pack.length} bytes; MOORING_TEST_LONG=yes: all\n`);
    await repository.rest();
  }),
);

transfers.run();
