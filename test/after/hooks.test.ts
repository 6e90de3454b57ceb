import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type AfterHooks, createAfterHooks } from '../../src/after/hooks.ts';
import type { AfterRecord } from '../../src/model/after.ts';
import type { Numbered, RunRecord } from '../../src/model/event.ts';
import type { Site, SiteId } from '../../src/model/site.ts';
import { pathFromText, type SitePath } from '../../src/model/tree.ts';
import { systemClock } from '../../src/world.ts';
import { scratch } from '../support/plain-git.ts';
import { until } from '../support/until.ts';

/** When a program is started, and when it is not: real programs, runs that the test tells of. */
const test = suite('starts of programs after a sync');

const id = 's1' as SiteId;
const none = { added: 0, changed: 0, removed: 0 };

interface World {
  readonly hooks: AfterHooks;
  readonly records: AfterRecord[];
  /** What the program does. */
  program(text: string): void;
  pulled(name: string): void;
  pushed(...names: string[]): void;
  /** The paths that the program is taken to have edited are committed. */
  commit(): void;
  isWatched: boolean;
}

async function inWorld(use: (world: World) => Promise<void>): Promise<void> {
  const { dir, remove } = scratch();
  const path = join(dir, 'program');
  const records: AfterRecord[] = [];
  let attributed: { paths: ReadonlySet<SitePath>; committed(paths: readonly SitePath[]): void } | undefined;
  let n = 0;
  const hooks = createAfterHooks({
    settings: { programs: { 'after-pull': path, 'after-push': path }, limitMs: 10_000 },
    ...{ roots: [], uid: process.getuid?.() ?? 0, clock: systemClock, log: () => {}, mask: (text: string) => text },
    site: () => ({ id, name: 'Museum', folder: '/srv/museum' }) as Site,
    status: () => ({ watched: world.isWatched }),
    attribute: (_site, edits) => {
      attributed = edits;
      return () => {};
    },
    record: async (_site, record) => void records.push(record),
  });
  const happened = (run: Partial<RunRecord>): void => {
    const whole: RunRecord = {
      ...{ id: `r${(n += 1)}`, at: 0, durationMs: 1, triggers: ['poll'], result: 'pulled', pulled: none, pushed: none },
      ...{ files: [], conflicts: [], output: '', ...run },
    };
    hooks.happened({ kind: 'run', site: id, run: whole, id: n, at: 0 } as Numbered);
  };
  const moved = (names: readonly string[], to: 'site' | 'gitlab') =>
    names.map((name) => ({ mark: '~' as const, path: pathFromText(name), to }));
  const world: World = {
    ...{ hooks, records, isWatched: true },
    program: (text) => writeFileSync(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 }),
    pulled: (name) => happened({ pulled: { ...none, changed: 1 }, files: moved([name], 'site') }),
    pushed: (...names) => happened({ pushed: { ...none, changed: names.length }, files: moved(names, 'gitlab') }),
    commit: () => attributed?.committed([...attributed.paths]),
  };
  world.program('true');
  try {
    await use(world);
  } finally {
    await hooks.stop();
    remove();
  }
}

const done = ({ records }: World, count: number): Promise<unknown> =>
  until(`${count} are over`, () => records.filter(({ result }) => result === 'done').length === count);

test('syncs that come while it runs are told together, in one more start', () =>
  inWorld(async (world) => {
    world.program('sleep 1; tr "{" "\\n" | grep -c path');
    for (const name of ['a', 'b', 'c', 'd']) world.pulled(name);
    await done(world, 2);
    assert.equal(
      world.records.map(({ output }) => output),
      ['1', '3'],
    );
    assert.is(world.records.at(-1)?.run, 'r4');
  }));

test('one that edits another file each time is held after ten starts in a row, and told', () =>
  inWorld(async (world) => {
    for (let n = 1; n <= 10; n += 1) {
      world.pulled(`source ${n}`);
      await done(world, n);
      world.hooks.edited(id, pathFromText(`made ${n}`));
    }
    world.pulled('once more');
    await until('it is held', () => world.records.some(({ text }) => text.includes('ten minutes')));
    assert.match(world.hooks.failures()[0]?.text ?? '', 'ten minutes');
    world.pulled('and again');
    assert.is(world.records.filter(({ result }) => result === 'done').length, 10);
  }));

test('one that edits nothing is started as often as there are syncs', () =>
  inWorld(async (world) => {
    for (let n = 1; n <= 14; n += 1) {
      world.pulled(`source ${n}`);
      await done(world, n);
    }
    assert.equal(world.hooks.failures(), []);
  }));

test('somebody else’s edit while it runs is not taken for its own', () =>
  inWorld(async (world) => {
    world.pushed('page.html');
    await done(world, 1);
    world.hooks.edited(id, pathFromText('by somebody'));
    world.commit();
    world.pushed('by somebody');
    await done(world, 2);
    assert.not(world.records.some(({ result }) => result === 'not-started'));
  }));

test('where nothing tells of edits, the same files pushed again and again end the loop', () =>
  inWorld(async (world) => {
    world.isWatched = false;
    let starts = 0;
    for (; starts < 20; starts += 1) {
      const before = world.records.length;
      world.pushed('stamp.txt');
      await until('something came of it', () => world.records.length > before);
      if (world.records.at(-1)?.result === 'not-started') break;
    }
    assert.ok(starts >= 5 && starts <= 12, `${starts} starts`);
    assert.is(world.hooks.failures().length, 1);
  }));

test.run();
