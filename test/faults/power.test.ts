import fs from 'node:fs/promises';
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { z } from 'zod';
import { realFs } from '../../src/files/disk.ts';
import { openDatabase } from '../../src/store/database.ts';
import { gitEnvironment } from '../../src/git/environment.ts';
import type { Fs } from '../../src/model/world.ts';
import type { Repository } from '../../src/sync/ports.ts';
import { engineWorld } from '../support/engine.ts';
import { scratch } from '../support/plain-git.ts';
import { PowerDisk, build, recordNode, recordedFs } from './power-disk.ts';
import { inlineScanner, website } from './support.ts';
import { beat } from '../support/beat.ts';

/** The power fails after each single call: what was not synced is gone. */
const power = suite('power loss');

const repositories = ['state/repo.git', 'gitlab.git'];

power('F3: git syncs commits and refs before it says that they are made', () => {
  const env = gitEnvironment({ gitDir: '/x', home: '/x', author: { name: 'A', email: 'a@harbour.example' } });
  const set = new Map(
    Array.from({ length: Number(env['GIT_CONFIG_COUNT']) }, (_, i) => [
      env[`GIT_CONFIG_KEY_${i}`],
      env[`GIT_CONFIG_VALUE_${i}`],
    ]),
  );
  assert.is(set.get('core.fsync'), 'committed,reference');
  assert.is(set.get('core.fsyncMethod'), 'batch');
});

power('F3: the store is as before a change or as after it, never mixed, and never older than was promised', () =>
  onPowerDisk(async ({ dir, state, recorded }) => {
    const schema = z.strictObject({ n: z.number(), filler: z.string() });
    const options = (path: string) => ({
      ...{ path, kind: 'test', version: 1, schema, migrations: [], now: () => 0 },
      ...{ initial: { n: 0, filler: '' }, missing: 'create' as const },
    });
    const path = join(state, 'test.json');
    await openDatabase(options(path));
    let promised = 0;
    const disk = new PowerDisk(state, () => promised);
    const database = await openDatabase(options(path));
    await recorded(disk, async () => {
      for (let n = 1; n <= 5; n += 1) {
        await database.update((draft) => Object.assign(draft, { n, filler: String(n).repeat(3_000) }));
        promised = n;
      }
    });
    assert.ok(disk.survivors.length > 30, `only ${disk.survivors.length}`);
    for (const [i, { tree, mark, after, loss }] of disk.survivors.entries()) {
      beat(`store, power cut ${i} of ${disk.survivors.length}`);
      const at = join(dir, `after-${i}`);
      build(tree, at);
      const again = await openDatabase({ ...options(join(at, 'test.json')), missing: 'must-exist' });
      const { n, filler } = again.data;
      const isOne = n === 0 || filler === String(n).repeat(3_000);
      assert.ok(isOne && n >= mark && n <= mark + 1, `${loss} lost after ${after}: ${n}, promised ${mark}`);
    }
    process.stdout.write(`\nnote: power cut ${disk.survivors.length} times in ${disk.calls} calls of the store\n`);
  }),
);

power('S38: an update cut while it migrates the store: the next start ends it, and the old state is kept beside', () =>
  onPowerDisk(async ({ dir, state, recorded }) => {
    const old = z.strictObject({ n: z.number() });
    const fresh = z.strictObject({ n: z.number(), added: z.string() });
    const migrations = [{ from: 1, step: (data: unknown) => ({ ...(data as { n: number }), added: 'by the update' }) }];
    const common = { kind: 'test', now: () => 0, missing: 'must-exist' as const };
    const before = (path: string) =>
      openDatabase({
        ...common,
        path,
        version: 1,
        schema: old,
        migrations: [],
        initial: { n: 0 },
        missing: 'create',
      });
    const after = (path: string) =>
      openDatabase({ ...common, path, version: 2, schema: fresh, migrations, initial: { n: 0, added: '' } });
    const path = join(state, 'test.json');
    await (await before(path)).update((draft) => void (draft.n = 7));
    const disk = new PowerDisk(state, () => 0);
    await recorded(disk, () => after(path));
    assert.ok(disk.survivors.length > 8, `only ${disk.survivors.length}`);
    for (const [i, { tree, after: call, loss }] of disk.survivors.entries()) {
      const at = join(dir, `after-${i}`);
      build(tree, at);
      const again = await after(join(at, 'test.json'));
      assert.equal(again.data, { n: 7, added: 'by the update' }, `${loss} lost after ${call}`);
      const aside = readFileSync(join(at, 'test.json.version-1'), 'utf8');
      assert.match(aside, '"n":7');
      const refused = await before(join(at, 'test.json')).catch((error: Error & { code?: string }) => error.code);
      assert.is(refused, 'store-newer', 'the old program ran on the new store');
    }
  }),
);

/** A state directory, and the way to have a disk note what is done to it meanwhile. */
async function onPowerDisk(
  use: (at: {
    dir: string;
    state: string;
    recorded: (disk: PowerDisk<unknown>, act: () => Promise<unknown>) => Promise<void>;
  }) => Promise<void>,
): Promise<void> {
  const { dir, remove } = scratch();
  const state = join(dir, 'state');
  mkdirSync(state);
  try {
    await use({
      dir,
      state,
      async recorded(disk, act) {
        const restore = recordPromises(disk);
        await act().finally(restore);
      },
    });
  } finally {
    remove();
  }
}

/** The calls of the store, which are promises. */
function recordPromises(disk: PowerDisk<unknown>): () => void {
  const real = { ...fs };
  const file = (path: string, ino = ''): void =>
    disk.create(path, { kind: 'file', ino, safe: Buffer.alloc(0), now: Buffer.alloc(0) });
  fs.open = async (name, flags, mode) => {
    const handle = await real.open(name, flags, mode);
    const path = String(name);
    if (flags === 'wx') file(path);
    const node = disk.at(path);
    const { writeFile, sync } = handle;
    handle.writeFile = async (data: Parameters<typeof writeFile>[0]) => {
      await writeFile.call(handle, data);
      disk.write(path, node, Buffer.from(data as string));
    };
    handle.sync = async () => {
      await sync.call(handle);
      disk.sync(path, node);
    };
    return handle;
  };
  fs.rename = async (from, to) => {
    await real.rename(from, to);
    disk.rename(String(from), String(to));
  };
  fs.link = async (from, to) => {
    await real.link(from, to);
    disk.link(String(from), String(to));
  };
  fs.rm = async (path, options) => {
    await real.rm(path, options);
    if (disk.at(String(path))) disk.remove(String(path));
  };
  syncBuiltinESMExports();
  return () => {
    Object.assign(fs, real);
    syncBuiltinESMExports();
  };
}

const before = { ...website, 'deep/gone/only.md': 'the last of its folder\n', 'deep/er/x.md': 'x\n' };
const theirs = {
  'index.html': 'theirs\n',
  'posts/b.md': null,
  'deep/gone/only.md': null,
  'added/new.md': 'new\n',
  'deep/er/x.md': 'theirs too\n',
};
const ours = { 'about.md': 'ours\n', 'fresh/mine.md': 'mine\n' };
const after = {
  ...{ 'index.html': 'theirs', 'posts/a.md': 'a', 'added/new.md': 'new', 'deep/er/x.md': 'theirs too' },
  ...{ 'about.md': 'ours', 'fresh/mine.md': 'mine' },
};

for (const way of ['exchange', 'link'] as const) {
  power(`F3: a sync cut anywhere, by ${way}: finished or undone, and nobody’s edit is lost or taken back`, async () => {
    const { dir, remove } = scratch();
    let undo = (): void => {};
    try {
      await begin(dir);
      let photos = 0;
      // What git says is done is on disk by its own settings: it is photographed whenever it said so.
      const photograph = (): void => {
        photos += 1;
        for (const name of repositories)
          cpSync(join(dir, name), join(dir, `photo-${photos}`, name), { recursive: true });
        disk.moved(`photo ${photos}`);
      };
      const disk = new PowerDisk(dir, () => photos, /\.git$|^clone$|^photo-/);
      const fs = fsOf(way, recordedFs(disk));
      photograph();
      const world = await engineWorld({
        ...{ keep: dir, fs, scanner: inlineScanner(fs) },
        wrap: (repository) => photographed(repository, photograph),
        remote: (remote) => ({
          head: (signal) => remote.head(signal),
          fetch: (signal) => then(remote.fetch(signal), photograph),
          push: (...all) => then(remote.push(...all), photograph),
        }),
      });
      undo = recordNode(disk);
      await world.sync();
      undo();
      assert.equal(world.files(), after);
      await world.close();
      const stride = process.env['MOORING_TEST_LONG'] === 'yes' ? 1 : 6;
      // The worst is what git has promised and the folder not yet kept, and a name that is gone from its place.
      const isWorst = /^(photo|rename)/;
      const chosen = disk.survivors.filter(({ after: call }, i) => i % stride === 0 || isWorst.test(call));
      for (const [i, { tree, mark, after: call, loss }] of chosen.entries()) {
        beat(`${way}, power cut ${i} of ${chosen.length}`);
        const at = join(dir, `cut-${i}`);
        const inodes = build(tree, at);
        for (const name of repositories) cpSync(join(dir, `photo-${mark}`, name), join(at, name), { recursive: true });
        for (const name of ['manifest.jsonl', 'staging.jsonl']) renumber(join(at, 'state', name), inodes);
        await goesOn(at, way, `${loss} lost after «${call}» (${i})`);
      }
      assert.ok(disk.survivors.length > 40, `only ${disk.survivors.length}`);
      const all = stride === 1 ? '' : ` of ${disk.survivors.length}; MOORING_TEST_LONG=yes: all`;
      process.stdout.write(`\nnote: power cut ${chosen.length} times in ${disk.calls} calls, by ${way}${all}\n`);
    } finally {
      undo();
      remove();
    }
  });
}

power.run();

/** Connected, with edits on both sides that no sync has seen. */
async function begin(dir: string): Promise<void> {
  const world = await engineWorld({ repository: before, keep: dir });
  await world.connect();
  await world.sync();
  world.push(theirs);
  for (const [path, content] of Object.entries(ours)) world.write(path, content);
  await world.close();
}

function fsOf(way: 'exchange' | 'link', fs: Fs): Fs {
  const { exchange: _exchange, renameNoReplace: _renameNoReplace, ...linking } = fs;
  return way === 'link' ? linking : fs;
}

async function then<T>(work: Promise<T>, act: () => void): Promise<T> {
  const done = await work;
  act();
  return done;
}

function photographed(repository: Repository, photograph: () => void): Repository {
  return {
    ...repository,
    commitFiles: (...all) => then(repository.commitFiles(...all), photograph),
    merge: (...all) => then(repository.merge(...all), photograph),
    createCommit: (...all) => then(repository.createCommit(...all), photograph),
    updateRefs: (...all) => then(repository.updateRefs(...all), photograph),
  };
}

/** Files keep their inodes over a power cut; the ones built anew have others. */
function renumber(file: string, inodes: ReadonlyMap<string, string>): void {
  if (!existsSync(file)) return;
  const text = readFileSync(file, 'utf8')
    .replace(/"ino":"(\d+)"/g, (_, ino: string) => `"ino":"${inodes.get(ino) ?? '1'}"`)
    .replace(/"mtimeNs":"\d+"/g, '"mtimeNs":"1700000000000000000"');
  writeFileSync(file, text);
}

/** The next start makes everything good by itself, with the same end as if nothing had happened. */
async function goesOn(dir: string, way: 'exchange' | 'link', what: string): Promise<void> {
  const fs = fsOf(way, realFs());
  const world = await engineWorld({ keep: dir, fs, scanner: inlineScanner(fs) });
  try {
    await world.repository.prepare();
    await world.sync({ trigger: 'start' });
    await world.sync();
    assert.equal(world.files(), after, what);
    assert.equal(world.branch(), after, what);
    const tip = world.tip();
    await world.sync();
    assert.is(world.tip(), tip, what);
  } finally {
    await world.close();
  }
}
