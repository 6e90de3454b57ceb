import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Debouncer } from '../../src/files/debouncer.ts';
import { realFs } from '../../src/files/disk.ts';
import { Manifest } from '../../src/files/manifest.ts';
import { scanPaths } from '../../src/files/scan.ts';
import type { Oid, SitePath } from '../../src/model/tree.ts';
import type { Fs, Stat } from '../../src/model/world.ts';
import { handClock } from '../net/support.ts';
import { scratch } from '../support/plain-git.ts';

/** What many touched paths cost, in calls: never in time. */
const costs = suite('cost of a look at touched paths');

const line = { mode: '100644', oid: '1'.repeat(40) as Oid } as const;
const rules = { ignore: [], allow: [], fileBytes: 2 ** 30, files: 100_000 };

function counting(): { fs: Fs; calls: Map<string, number> } {
  const calls = new Map<string, number>();
  const fs = new Proxy(realFs(), {
    get(real, name: string) {
      const call = real[name as keyof Fs] as unknown;
      if (typeof call !== 'function') return call;
      return (...args: unknown[]) => {
        calls.set(name, (calls.get(name) ?? 0) + 1);
        return call.apply(real, args);
      };
    },
  });
  return { fs, calls };
}

costs('a thousand new files in a folder are each looked at once and opened once, however large the site is', () => {
  const counts: object[] = [];
  for (const known of [10, 20_000]) {
    const { dir, remove } = scratch();
    try {
      const manifest = new Manifest(join(dir, 'manifest.jsonl'));
      const root = join(dir, 'site');
      for (let i = 0; i < known; i += 1) manifest.set(`d${i % 10}/${i}.txt` as SitePath, line);
      for (let i = 0; i < 10; i += 1) mkdirSync(join(root, `d${i}`), { recursive: true });
      mkdirSync(join(root, 'many'), { recursive: true });
      const paths = Array.from({ length: 1_000 }, (_, i) => `many/${i}.txt` as SitePath);
      for (const path of paths) writeFileSync(join(root, path), path);
      let asked = 0;
      const under = manifest.under.bind(manifest);
      manifest.under = function* (path) {
        for (const each of under(path)) {
          asked += 1;
          yield each;
        }
      };
      const { fs, calls } = counting();
      assert.is(scanPaths(fs, root, manifest, rules, paths).changed.length, 1_000);
      assert.is(asked, 0, 'lines of other folders were read');
      assert.ok((calls.get('stat') ?? 0) < 1_100, `${calls.get('stat')} stats`);
      assert.is(calls.get('openFile'), 1_000);
      counts.push(Object.fromEntries(calls));
    } finally {
      remove();
    }
  }
  assert.equal(counts[0], counts[1]);
  process.stdout.write(`note: a thousand files: ${JSON.stringify(counts[0])}\n`);
});

costs('a folder that moved is seen whole, whichever of its events came first', () => {
  for (const touched of [['a/b1/7.txt'], ['z'], ['z/b3', 'other.txt'], ['a', 'z']]) {
    const { dir, remove } = scratch();
    try {
      const manifest = new Manifest(join(dir, 'manifest.jsonl'));
      const root = join(dir, 'site');
      const names = Array.from({ length: 100 }, (_, i) => `b${i % 5}/${i}.txt`);
      const seen = { dev: '1', ino: '1', size: 1, mtimeNs: '1', ctimeNs: '1' };
      for (const name of [...names.map((each) => `a/${each}`), 'stays/x.txt'])
        manifest.set(name as SitePath, { ...line, seen });
      mkdirSync(join(root, 'stays'), { recursive: true });
      writeFileSync(join(root, 'stays', 'x.txt'), 'x');
      for (const name of names) {
        mkdirSync(join(root, 'z', name, '..'), { recursive: true });
        writeFileSync(join(root, 'z', name), 'x');
      }
      const { gone, changed } = scanPaths(realFs(), root, manifest, rules, touched as SitePath[]);
      const isPartOfNew = touched.every((path) => path !== 'z' && !path.startsWith('a'));
      assert.is(gone.length, isPartOfNew ? 0 : 100, touched.join());
      if (touched.includes('z')) assert.is(changed.length, 100);
    } finally {
      remove();
    }
  }
});

costs('which folders have known paths below them is known at every moment', () => {
  const { dir, remove } = scratch();
  try {
    const manifest = new Manifest(join(dir, 'manifest.jsonl'));
    const folders = ['', 'a', 'a/b', 'a/b/c', 'a/bc', 'x'];
    let state = 7;
    const chance = (below: number): number => (state = (state * 48_271) % 2_147_483_647) % below;
    for (let turn = 0; turn < 3_000; turn += 1) {
      const folder = folders[chance(folders.length)] ?? '';
      const path = `${folder === '' ? '' : `${folder}/`}${chance(3)}` as SitePath;
      manifest.set(path, chance(2) === 0 ? line : undefined);
      for (const each of folders) {
        const below = [...manifest.entries()].some(([known]) => each === '' || known.startsWith(`${each}/`));
        assert.is(manifest.hasBelow(each), below, `${each} after ${path}`);
      }
    }
  } finally {
    remove();
  }
});

costs('paths at rest that wait for moving ones are looked at again when the last of those may rest', () => {
  let at = 0;
  const clock = { ...handClock(0), monotonic: () => at };
  const debouncer = new Debouncer(clock, () => ({ quietMs: 1_000, quietMaxMs: 30_000 }));
  const paths = Array.from({ length: 10 }, (_, i) => `${i}` as SitePath);
  for (const path of paths) {
    debouncer.noticed(path);
    at += 90;
  }
  assert.is(debouncer.againInMs(paths), 100);
  assert.is(debouncer.againInMs(paths, 'last'), 910);
  const stat = { ctimeNs: 0n } as Stat;
  at = 1_100;
  assert.is(debouncer.settled(paths[0] as SitePath, stat), true);
});

costs.run();
