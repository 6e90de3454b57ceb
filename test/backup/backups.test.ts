import { spawnSync } from 'node:child_process';
import { createReadStream, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readArchive } from '../../src/backup/archive.ts';
import { type Backups, createBackups } from '../../src/backup/backups.ts';
import type { Site, SiteId } from '../../src/model/site.ts';
import { systemRandom } from '../../src/world.ts';
import { scratch } from '../support/plain-git.ts';

/** Backups by the clock, with a clock of the test and files of the disk. */
const test = suite('backups on a schedule');

interface World {
  readonly dir: string;
  readonly folder: string;
  readonly backups: Backups;
  /** The scheduled time comes, a day after the one before. */
  due(): Promise<void>;
  again(): Promise<Backups>;
  names(): string[];
}

async function inWorld(use: (world: World) => Promise<void>): Promise<void> {
  const { dir, remove } = scratch();
  const [stateDir, folder] = [join(dir, 'state'), join(dir, 'backups')];
  for (const each of [stateDir, folder, join(stateDir, 'repositories', 'a.git', 'objects')])
    mkdirSync(each, { recursive: true });
  writeFileSync(join(stateDir, 'state.json'), '{}\n');
  writeFileSync(join(stateDir, 'sessions.json'), 'who is signed in\n');
  writeFileSync(join(stateDir, 'secret.key'), 'the key\n');
  writeFileSync(join(stateDir, 'repositories', 'a.git', 'HEAD'), 'ref: refs/heads/mooring\n');
  let now = Date.UTC(2027, 0, 1, 3, 15);
  let due = (): Promise<void> => Promise.resolve();
  const clock = {
    now: () => now,
    monotonic: () => now,
    sleep: (_ms: number, signal?: AbortSignal) =>
      new Promise<void>((_resolve, reject) => signal?.addEventListener('abort', () => reject(new Error('over')))),
  };
  const make = async (): Promise<Backups> => {
    const made = createBackups({
      ...{ stateDir, clock, random: systemRandom, version: '1', noSessions: () => 'nobody\n', log: () => {} },
      sites: () => [{ id: 'a' as SiteId, name: 'A', binding: {} } as Site],
      betweenRuns: () => (work) => work(),
      signing: () => ({ keyId: 'k', secret: Buffer.alloc(32) }),
      settings: { folder, schedule: '15 3 * * *', keep: 3, withRepositories: true },
      schedule: (_expression, call) => {
        due = call;
        return { stop: async () => {} };
      },
    });
    await made.start();
    return made;
  };
  const backups = await make();
  try {
    await use({
      ...{ dir, folder, backups, again: make, names: () => readdirSync(folder).sort() },
      due: async () => {
        now += 86_400_000;
        await due();
      },
    });
  } finally {
    await backups.stop();
    remove();
  }
}

test('the newest stay, nothing else in the folder goes, and no session or key is in them', () =>
  inWorld(async ({ due, folder, names, backups, again }) => {
    writeFileSync(join(folder, 'mine.tar.gz'), 'mine');
    writeFileSync(join(folder, 'mooring-backup-20260101T000000Z.tar.gz.partial'), 'half');
    for (let day = 0; day < 5; day += 1) await due();
    assert.equal(names(), ['mine.tar.gz', ...[4, 5, 6].map((day) => `mooring-backup-2027010${day}T031500Z.tar.gz`)]);
    const { last, failure } = backups.status();
    assert.is(last?.file, join(folder, 'mooring-backup-20270106T031500Z.tar.gz'));
    assert.is(failure, undefined);
    assert.equal((await again()).status(), backups.status(), 'a restart forgot it');
    const found = new Map<string, string>();
    await readArchive(
      () => createReadStream(last?.file ?? ''),
      undefined,
      async (name, content) => {
        for await (const chunk of content) found.set(name, `${found.get(name) ?? ''}${String(chunk)}`);
      },
    );
    assert.equal([...found.keys()].sort(), ['repositories/a.git/HEAD', 'sessions.json', 'state.json']);
    assert.is(found.get('sessions.json'), 'nobody\n');
  }));

test('a folder that is gone is told, counted, and forgotten with the next success', () =>
  inWorld(async ({ due, folder, backups }) => {
    await due();
    rmSync(folder, { recursive: true });
    await due();
    await due();
    const { last, failure } = backups.status();
    assert.is(failure?.times, 2);
    assert.ok((failure?.first ?? 0) < (failure?.at ?? 0));
    assert.match(failure?.text ?? '', 'ENOENT');
    assert.ok(last, 'the last good one was forgotten');
    mkdirSync(folder);
    await due();
    assert.is(backups.status().failure, undefined);
  }));

test('a full disk leaves the archives that are there, and no part of a new one', () =>
  inWorld(async ({ due, folder, backups, dir, names }) => {
    const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', folder]);
    if (status !== 0) return console.log('not run here: a small disk cannot be mounted');
    try {
      await due();
      const before = names();
      assert.is(before.length, 1);
      writeFileSync(join(dir, 'state', 'history.json'), systemRandom.bytes(100_000));
      await due();
      assert.match(backups.status().failure?.text ?? '', 'is full');
      assert.equal(names(), before);
    } finally {
      spawnSync('umount', [folder]);
    }
  }));

test('what a killed backup left is removed at the next start', () =>
  inWorld(async ({ dir, again }) => {
    mkdirSync(join(dir, 'state', 'backup-work', 'abc'), { recursive: true });
    await again();
    assert.not(readdirSync(join(dir, 'state')).includes('backup-work'));
  }));

test.run();
