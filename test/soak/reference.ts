import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { type Mode, type Oid, pathFromText } from '../../src/model/tree.ts';
import type { Relation } from '../../src/sync/ports.ts';

/**
 * What a merge should give, written apart from the engine and without git: slow, obvious, path by path. And the trees to
 * try it on: one base, changed twice.
 */
export type Policy = 'repository' | 'site';

interface File {
  readonly mode: Mode;
  /** The name of a content: `u<n>` stands alone, `t<family>.<top><bottom>` is text whose ends can be merged. */
  readonly content: string;
}

export type Files = ReadonlyMap<string, File>;

/** Twelve names that have been trouble: case, composed and decomposed, a file where a folder is, odd characters. */
const names: readonly string[] = [
  'A',
  'a',
  pathFromText('caf\u00e9'),
  pathFromText('cafe\u0301'),
  'x',
  'x/y',
  'dir/with space',
  'dir/new\nline',
  'n'.repeat(250),
  'dir/b',
  'B/q"uo\\te',
  '-dash',
];

const unique = 40;

/** Every content by its name. Contents that stand alone resemble no other, so git sees no rename where none was. */
export function allContents(): Map<string, string> {
  const all = new Map<string, string>();
  for (let n = 0; n < unique; n += 1) all.set(`u${n}`, noise(`u${n}`, 6));
  for (let family = 0; family < names.length; family += 1) {
    for (const top of [0, 1, 2]) {
      for (const bottom of [0, 1, 2]) {
        const middle = noise(`middle ${family}`, 9);
        all.set(`t${family}.${top}${bottom}`, `top ${top} ${family}\n${middle}bottom ${bottom} ${family}\n`);
      }
    }
  }
  return all;
}

function noise(name: string, lines: number): string {
  return Array.from({ length: lines }, (_, i) => `${createHash('sha256').update(`${name} ${i}`).digest('hex')}\n`).join(
    '',
  );
}

type Op =
  | { readonly kind: 'write'; readonly at: number }
  | { readonly kind: 'remove'; readonly at: number }
  | { readonly kind: 'chmod'; readonly at: number }
  | { readonly kind: 'text'; readonly at: number; readonly top: number; readonly bottom: number };

const at = fc.nat({ max: names.length - 1 });
const op: fc.Arbitrary<Op> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('write' as const), at }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('remove' as const), at }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('chmod' as const), at }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('text' as const),
      at,
      top: fc.nat({ max: 2 }),
      bottom: fc.nat({ max: 2 }),
    }),
  },
);

/** A base and its two successors. */
export function apparent(): fc.Arbitrary<{ base: Files; ours: Files; theirs: Files; policy: Policy }> {
  return fc
    .record({
      first: fc.array(op, { minLength: 2, maxLength: 12 }),
      left: fc.array(op, { maxLength: 8 }),
      right: fc.array(op, { maxLength: 8 }),
      policy: fc.constantFrom<Policy>('repository', 'site'),
    })
    .map(({ first, left, right, policy }) => {
      let next = 0;
      const fresh = (): string => `u${next++ % unique}`;
      const base = perturb(new Map(), first, fresh);
      // An anchor that nobody touches: no side is ever empty.
      base.set('anchor', { mode: '100644', content: 't0.00' });
      return { base, ours: perturb(base, left, fresh), theirs: perturb(base, right, fresh), policy };
    });
}

function perturb(from: Files, ops: readonly Op[], fresh: () => string): Map<string, File> {
  const files = new Map(from);
  for (const change of ops) {
    const path = names[change.at]!;
    const there = files.get(path);
    if (change.kind === 'remove') files.delete(path);
    else if (change.kind === 'chmod') {
      if (there) files.set(path, { ...there, mode: there.mode === '100644' ? '100755' : '100644' });
    } else if (change.kind === 'write') set(files, path, { mode: there?.mode ?? '100644', content: fresh() });
    else if (change.kind !== 'text') continue;
    // Text is changed only where it is: removed here and added there it would be a rename.
    else if (there?.content.startsWith('t')) {
      files.set(path, { ...there, content: `t${change.at}.${change.top}${change.bottom}` });
    } else if (!there && from.size === 0) set(files, path, { mode: '100644', content: `t${change.at}.00` });
  }
  return files;
}

/** A path is a file or a folder, never both. */
function set(files: Map<string, File>, path: string, file: File): void {
  for (const other of [...files.keys()]) {
    if (other.startsWith(`${path}/`) || path.startsWith(`${other}/`)) files.delete(other);
  }
  files.set(path, file);
}

export interface ReferenceMerge {
  /** Paths where one side's version is not live. */
  readonly lost: readonly string[];
  /** Path to mode and content. */
  readonly shape: Record<string, string>;
}

export function referenceMerge(base: Files, ours: Files, theirs: Files, policy: Policy): ReferenceMerge {
  const lost: string[] = [];
  const result = new Map<string, File>();
  for (const path of new Set([...base.keys(), ...ours.keys(), ...theirs.keys()])) {
    const file = mergeFile(base.get(path), ours.get(path), theirs.get(path), policy, () => lost.push(path));
    if (file) result.set(path, file);
  }
  // A file where the other side has a folder: the policy's side has the place.
  for (const path of [...result.keys()]) {
    const below = [...result.keys()].filter((other) => other.startsWith(`${path}/`));
    if (below.length === 0) continue;
    const winner = policy === 'site' ? ours : theirs;
    const goes = winner.has(path) ? below : [path];
    for (const gone of goes) {
      result.delete(gone);
      lost.push(gone);
    }
  }
  const wanted = Object.fromEntries(
    [...result].map(([path, f]): [string, string] => [path, `${f.mode} ${f.content}`]).sort(),
  );
  return { lost, shape: wanted };
}

function mergeFile(
  base: File | undefined,
  ours: File | undefined,
  theirs: File | undefined,
  policy: Policy,
  lose: () => void,
): File | undefined {
  if (same(ours, theirs) || same(theirs, base)) return ours;
  if (same(ours, base)) return theirs;
  // Edit beats removal.
  if (!ours || !theirs) {
    lose();
    return ours ?? theirs;
  }
  const winner = policy === 'site' ? ours : theirs;
  const mode = base ? three(base.mode, ours.mode, theirs.mode) : ours.mode === theirs.mode ? ours.mode : undefined;
  const content =
    ours.content === theirs.content ? ours.content : base && mergeText(base.content, ours.content, theirs.content);
  if (mode && content) return { mode, content };
  lose();
  return winner;
}

function mergeText(base: string, ours: string, theirs: string): string | undefined {
  const whole = three(base, ours, theirs);
  if (whole) return whole;
  const parts = [base, ours, theirs].map((content) => /^t(\d+)\.(\d)(\d)$/.exec(content));
  const [b, o, t] = parts;
  if (!b || !o || !t) return undefined;
  const top = three(b[2]!, o[2]!, t[2]!);
  const bottom = three(b[3]!, o[3]!, t[3]!);
  return top !== undefined && bottom !== undefined ? `t${b[1]}.${top}${bottom}` : undefined;
}

function three<T>(base: T, ours: T, theirs: T): T | undefined {
  if (ours === theirs || theirs === base) return ours;
  return ours === base ? theirs : undefined;
}

const same = (a?: File, b?: File): boolean => a?.mode === b?.mode && a?.content === b?.content;

/** A small graph of commits, and what it says about two of them. */
export interface Graph {
  at(n: number): Oid;
  ancestors(commit: Oid): ReadonlySet<Oid>;
  relation(a: Oid, b: Oid): Relation;
}

export function commits(): fc.Arbitrary<Graph> {
  return fc.array(fc.array(fc.nat(), { maxLength: 2 }), { minLength: 1, maxLength: 8 }).map((rows) => {
    const name = (n: number): Oid => (n + 1).toString(16).padStart(40, '0') as Oid;
    const reach: Set<Oid>[] = [];
    rows.forEach((parents, n) => {
      const all = new Set([name(n)]);
      if (n > 0) for (const parent of parents) for (const one of reach[parent % n]!) all.add(one);
      reach.push(all);
    });
    const index = (oid: Oid): number => Number.parseInt(oid, 16) - 1;
    const ancestors = (oid: Oid): Set<Oid> => reach[index(oid)]!;
    return {
      at: (n) => name(n % rows.length),
      ancestors,
      relation(a, b) {
        if (a === b) return 'equal';
        if (ancestors(a).has(b)) return 'ahead';
        if (ancestors(b).has(a)) return 'behind';
        return [...ancestors(a)].some((one) => ancestors(b).has(one)) ? 'diverged' : 'unrelated';
      },
    };
  });
}
