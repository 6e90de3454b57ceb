import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { LineTable } from '../../src/files/line-table.ts';
import { type Line, sameSeen } from '../../src/files/line.ts';
import type { Oid, SitePath } from '../../src/model/tree.ts';
import type { Stat } from '../../src/model/world.ts';

/** The compact table answers as a Map of objects does. */
const tables = suite('files/line-table');

const hex = fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: 40, maxLength: 40 });
const whole = (bits: number): fc.Arbitrary<string> => fc.bigInt({ min: 0n, max: 2n ** BigInt(bits) }).map(String);
const time = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n }).map(String);
const seen = fc.record(
  {
    ...{ dev: whole(64), ino: whole(65), mtimeNs: time, ctimeNs: time },
    size: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
    unsure: fc.constant(true as const),
  },
  { requiredKeys: ['dev', 'ino', 'size', 'mtimeNs', 'ctimeNs'], noNullPrototype: true },
);
const line: fc.Arbitrary<Line> = fc.record(
  {
    mode: fc.constantFrom('100644', '100755', '120000'),
    oid: hex.map((oid) => oid as Oid),
    seen,
    isExecutable: fc.boolean(),
    hasMixedLines: fc.constant(true as const),
    refused: fc.constantFrom({ kind: 'link' } as const, { kind: 'too-large', bytes: 7, limit: 3 } as const),
    was: fc.record({ mode: fc.constantFrom('100644'), oid: hex.map((oid) => oid as Oid) }, { noNullPrototype: true }),
  },
  { requiredKeys: ['mode', 'oid'], noNullPrototype: true },
) as fc.Arbitrary<Line>;
const path = fc.constantFrom(...['a', 'b/c', 'b/d', 'é', 'b'].map((text) => text as SitePath));

tables('whatever is put in, changed and removed, it holds what a Map holds, in the same order', () => {
  const act = fc.tuple(path, fc.option(line, { nil: undefined, freq: 4 }));
  fc.assert(
    fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
      const [table, map] = [new LineTable(), new Map<SitePath, Line>()];
      for (const [at, to] of acts) {
        if (to) {
          table.set(at, to);
          map.set(at, to);
        } else {
          table.delete(at);
          map.delete(at);
        }
        assert.equal([...table.entries()], [...map.entries()]);
        assert.is(table.size, map.size);
        assert.equal([table.get(at), table.has(at)], [map.get(at), map.has(at)]);
        assert.is(table.seenSize(at), map.get(at)?.seen?.size ?? 0);
      }
    }),
    { numRuns: 300 },
  );
});

tables('a file is unchanged where its stat says so in every number', () => {
  const at = 'a' as SitePath;
  const names = ['dev', 'ino', 'size', 'mtimeNs', 'ctimeNs'] as const;
  let unchanged = 0;
  fc.assert(
    fc.property(line, fc.boolean(), fc.option(fc.constantFrom(...names), { freq: 2 }), (any, isOrdinary, other) => {
      const { mode, oid, seen: at64 } = any;
      const ordinary = { mode, oid, ...(at64 ? { seen: within64(at64) } : {}) };
      const one: Line = isOrdinary ? ordinary : any;
      const table = new LineTable();
      table.set(at, one);
      const from = one.seen ?? { dev: '1', ino: '2', size: 3, mtimeNs: '4', ctimeNs: '5' };
      const stat = Object.fromEntries(
        names.map((name) => [name, name === 'size' ? from.size : BigInt(from[name])]),
      ) as unknown as Record<string, bigint | number>;
      if (other) stat[other] = other === 'size' ? from.size + 1 : BigInt(from[other]) + 1n;
      const says = table.isUnchanged(at, stat as unknown as Stat);
      // A line that says more is looked at by whoever asks.
      const isPlain = !one.refused && !one.was && !one.hasMixedLines && one.mode !== '120000';
      const wanted = sameSeen(one.seen, stat as unknown as Stat);
      if (says) unchanged += 1;
      assert.ok(says === wanted || (!says && wanted && (!isPlain || isHuge(one))), JSON.stringify(one));
    }),
    { numRuns: 2_000 },
  );
  assert.ok(unchanged > 20, `${unchanged}`);
});

function within64(of: NonNullable<Line['seen']>): NonNullable<Line['seen']> {
  const cut = (text: string): string => String(BigInt.asUintN(60, BigInt(text)));
  return { ...of, dev: cut(of.dev), ino: cut(of.ino), mtimeNs: cut(of.mtimeNs), ctimeNs: cut(of.ctimeNs) };
}

/** Numbers that do not fit into 64 bits. */
function isHuge({ seen: of }: Line): boolean {
  const [mtime = 0n, ctime = 0n, dev = 0n, ino = 0n] = [of?.mtimeNs, of?.ctimeNs, of?.dev, of?.ino].map((text) =>
    BigInt(text ?? 0),
  );
  return mtime >= 2n ** 63n || ctime >= 2n ** 63n || dev >= 2n ** 64n || ino >= 2n ** 64n;
}

tables('it holds what was put in while it grows', () => {
  const table = new LineTable();
  const lineOf = (n: number): Line => ({ mode: '100644', oid: n.toString(16).padStart(40, '0') as Oid });
  for (let n = 0; n < 9_000; n += 1) {
    table.set(`f${n}` as SitePath, lineOf(n));
    // Around each size at which it grows, and far behind.
    for (const back of [0, 1, 63, 64, 4_095])
      if (n >= back) assert.is(table.get(`f${n - back}` as SitePath)?.oid, lineOf(n - back).oid);
  }
  assert.equal(
    [...table.entries()].map(([, { oid }]) => oid),
    Array.from({ length: 9_000 }, (_, n) => lineOf(n).oid),
  );
});

tables('what is removed makes room for what comes', () => {
  const table = new LineTable();
  const one = { mode: '100644', oid: '1'.repeat(40) as Oid } as const;
  for (let turn = 0; turn < 20_000; turn += 1) {
    table.set(`${turn}` as SitePath, one);
    if (turn >= 10) table.delete(`${turn - 10}` as SitePath);
  }
  assert.is(table.size, 10);
  assert.equal(
    [...table.keys()],
    Array.from({ length: 10 }, (_, i) => `${19_990 + i}`),
  );
  for (let i = 0; i < 9_000; i += 1)
    table.set(`more ${i}` as SitePath, { ...one, oid: i.toString(16).padStart(40, '0') as Oid });
  for (let i = 0; i < 9_000; i += 1)
    assert.is(table.get(`more ${i}` as SitePath)?.oid, i.toString(16).padStart(40, '0'));
});

tables.run();
