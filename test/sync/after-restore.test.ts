import { createHash } from 'node:crypto';
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Oid } from '../../src/model/tree.ts';
import { type EngineWorld, type WorldOptions, engineWorld } from '../support/engine.ts';
import { git } from '../support/plain-git.ts';

/**
 * A ledger from a backup, beside a folder and a branch that have gone on since: what arrived meanwhile is no edit, what
 * was edited is none that may be lost, and nothing that is missing was removed.
 */
const test = suite('after a restore');

const begin = { 'a.txt': 'one\n', 'b.txt': 'two\n', 'c.txt': 'three\n', 'docs/d.txt': 'four\n' };

async function world(options: WorldOptions = {}): Promise<EngineWorld> {
  const made = await engineWorld({ repository: begin, ...options });
  await made.connect();
  await made.sync();
  return made;
}

/** As `mooring backup` takes it: the repository, and no manifest. */
async function backUp(made: EngineWorld): Promise<void> {
  await made.rest();
  cpSync(join(made.dir, 'state'), join(made.dir, 'backup'), { recursive: true });
}

/** The world goes down for good, and comes back with what was backed up. */
async function restored(made: EngineWorld, options: WorldOptions = {}): Promise<EngineWorld> {
  await made.rest();
  await made.directory.close();
  rmSync(join(made.dir, 'state'), { recursive: true });
  cpSync(join(made.dir, 'backup'), join(made.dir, 'state'), { recursive: true });
  for (const name of ['manifest.jsonl', 'staging.jsonl']) rmSync(join(made.dir, 'state', name), { force: true });
  const again = await engineWorld({ ...options, keep: made.dir });
  const { disk } = await again.repository.ledger();
  await again.repository.updateRefs({ restored: disk as Oid });
  return again;
}

async function settle(made: EngineWorld): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await made.sync();
  assert.equal(made.files(), made.branch());
}

async function close(made: EngineWorld): Promise<void> {
  await made.close();
  rmSync(made.dir, { recursive: true, force: true });
}

test('nothing happened since: nothing is pushed, nothing is written', async () => {
  const first = await world();
  await backUp(first);
  const tip = first.tip();
  const again = await restored(first);
  await settle(again);
  assert.is(again.tip(), tip);
  assert.is((await again.repository.ledger()).restored, undefined);
  await close(again);
});

test('what arrived from either side since is no edit, and undoes nothing that others did to it later', async () => {
  const first = await world();
  await backUp(first);
  first.push({ 'a.txt': 'one, changed\n', 'new.txt': 'new\n', 'b.txt': null });
  await first.sync();
  first.write('c.txt', 'three, edited here\n');
  await first.sync();
  await first.rest();
  // The daemon is down: others go back to what was there at the time of the backup, and remove what came since.
  first.push({ 'a.txt': 'one\n', 'new.txt': null, 'b.txt': 'two\n', 'c.txt': 'three\n' });
  const tip = first.tip();
  const again = await restored(first);
  await settle(again);
  assert.is(again.tip(), tip, 'something was pushed');
  assert.equal(again.files(), { 'a.txt': 'one', 'b.txt': 'two', 'c.txt': 'three', 'docs/d.txt': 'four' });
  await close(again);
});

test('edits on both sides while it was down are both there, in one file too', async () => {
  const text = Array.from({ length: 12 }, (_, n) => `line ${n}`);
  const first = await world({ repository: { ...begin, 'long.txt': `${text.join('\n')}\n` } });
  await backUp(first);
  text[5] = 'line 5, pushed after the backup';
  first.push({ 'long.txt': `${text.join('\n')}\n` });
  await first.sync();
  const [here, there] = [[...text], [...text]];
  here[0] = 'line 0, edited in the folder';
  there[11] = 'line 11, edited on the branch';
  first.write('long.txt', `${here.join('\n')}\n`);
  first.write('only-here.txt', 'mine\n');
  first.push({ 'long.txt': `${there.join('\n')}\n`, 'only-there.txt': 'yours\n' });
  const again = await restored(first);
  await settle(again);
  const merged = again.read('long.txt').split('\n');
  assert.is(merged[0], here[0]);
  assert.is(merged[5], text[5]);
  assert.is(merged[11], there[11]);
  assert.is(again.read('only-here.txt'), 'mine\n');
  assert.is(again.read('only-there.txt'), 'yours\n');
  await close(again);
});

test('what is missing from the folder is written again, and never removed from the branch', async () => {
  const first = await world();
  await backUp(first);
  first.push({ 'e.txt': 'five\n' });
  await first.sync();
  for (const path of ['a.txt', 'e.txt', 'docs']) first.remove(path);
  const again = await restored(first);
  await settle(again);
  assert.equal(again.files(), {
    ...{ 'a.txt': 'one', 'b.txt': 'two', 'c.txt': 'three', 'docs/d.txt': 'four', 'e.txt': 'five' },
  });
  await close(again);
});

test('a folder between two states of the branch is finished, not pushed', async () => {
  const first = await world();
  await backUp(first);
  first.push({ 'a.txt': 'one, second\n', 'b.txt': 'two, second\n', 'c.txt': 'three, second\n' });
  // As a kill leaves it in the midst of an apply: one file is new, and another is edited on top of that.
  first.write('a.txt', 'one, second\n');
  first.write('docs/d.txt', 'four, edited\n');
  const again = await restored(first);
  await settle(again);
  assert.equal(again.files(), {
    ...{ 'a.txt': 'one, second', 'b.txt': 'two, second', 'c.txt': 'three, second', 'docs/d.txt': 'four, edited' },
  });
  await close(again);
});

test('an edit that was committed and not pushed when the backup was made is kept, whatever came after', async () => {
  const first = await world();
  // GitLab cannot be reached for a push: the commit waits.
  first.write('a.txt', 'one, unpushed\n');
  const away = { ...first.remote, push: async () => Promise.reject(new Error('away')) };
  await first.sync({ remote: away }).catch(() => undefined);
  await backUp(first);
  const unpushed = (await first.repository.ledger()).disk as Oid;
  first.push({ 'b.txt': 'two, by others\n' });
  const again = await restored(first);
  await settle(again);
  assert.is(again.read('a.txt'), 'one, unpushed\n');
  assert.is(again.read('b.txt'), 'two, by others\n');
  assert.is(git(again.gitDir, 'cat-file', '-t', unpushed), 'commit');
  assert.ok((await again.repository.kept()).length > 0);
  await close(again);
});

test('GitLab that is away decides nothing: the next run begins anew', async () => {
  const first = await world();
  await backUp(first);
  first.push({ 'a.txt': 'one, changed\n' });
  await first.sync();
  first.push({ 'a.txt': 'one\n' });
  const again = await restored(first);
  const away = { ...again.remote, head: async () => Promise.reject(new Error('away')) };
  await again.sync({ remote: away }).then(
    () => assert.unreachable(),
    () => undefined,
  );
  assert.is(again.read('a.txt'), 'one, changed\n');
  await settle(again);
  assert.is(again.read('a.txt'), 'one\n');
  await close(again);
});

test('a branch that was reset to before the backup is a question, and nothing moves', async () => {
  const first = await world();
  first.push({ 'a.txt': 'one, later\n' });
  await first.sync();
  await backUp(first);
  git(first.bare, 'update-ref', 'refs/heads/main', 'main~1');
  const again = await restored(first);
  const { hold } = await again.sync();
  assert.is(hold?.code, 'went-back');
  assert.is(again.read('a.txt'), 'one, later\n');
  await close(again);
});

const oidOf = (text: string): string => createHash('sha1').update(`blob ${text.length}\0${text}`).digest('hex');

/** What may happen to three files on either side; the contents say who wrote them and when. */
const step = fc.record({
  where: fc.constantFrom('folder', 'branch', 'sync'),
  path: fc.constantFrom('a.txt', 'b.txt', 'c.txt'),
  what: fc.constantFrom('write', 'write', 'write', 'old', 'remove'),
});

test('whatever both sides did: every content that was in the folder is somewhere, and others’ last word counts', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 8 }),
      fc.array(step, { minLength: 0, maxLength: 5 }),
      async (until, down) => {
        const first = await world();
        await backUp(first);
        let n = 0;
        const act = async ({ where, path, what }: { where: string; path: string; what: string }, synced: boolean) => {
          const content = what === 'old' ? `${begin[path as 'a.txt']}` : `${where} ${(n += 1)}\n`;
          if (where === 'sync') return void (synced && (await first.sync()));
          const isGone = what === 'remove';
          if (where === 'folder') return isGone ? first.has(path) && first.remove(path) : first.write(path, content);
          if (isGone ? path in first.branch() : first.branch()[path] !== content.trimEnd())
            first.push({ [path]: isGone ? null : content });
        };
        for (const each of until) await act(each, true);
        for (const each of down) await act(each, false);
        const [folder, branch] = [first.files(), first.branch()];
        const again = await restored(first);
        for (let turn = 0; turn < 4; turn += 1) await again.sync();
        const [after, shared] = [again.files(), again.branch()];
        assert.equal(after, shared);
        // Nothing that was on the branch goes by itself, but for what the folder has another version of.
        for (const path of Object.keys(branch)) assert.ok(path in after, `${path} was removed`);
        const objects = new Set(git(again.gitDir, 'rev-list', '--objects', '--all', '--no-object-names').split('\n'));
        const reachable = git(again.bare, 'rev-list', '--objects', '--all', '--no-object-names').split('\n');
        for (const oid of reachable) objects.add(oid);
        for (const content of Object.values(folder)) {
          assert.ok(objects.has(oidOf(`${content}\n`)), `“${content}” is nowhere any more`);
        }
        await close(again);
      },
    ),
    { numRuns: 12 },
  );
});

test.run();
