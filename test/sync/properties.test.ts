import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openDirectory } from '../../src/files/directory.ts';
import { realFs } from '../../src/files/disk.ts';
import { createDriver } from '../../src/git/driver.ts';
import { openRepository } from '../../src/git/repository.ts';
import { type SiteLimits, defaultSettings } from '../../src/model/site.ts';
import {
  type Change,
  type Entry,
  type Mode,
  type Oid,
  type SitePath,
  pathBytes,
  pathFromText,
} from '../../src/model/tree.ts';
import { resolveConflicts } from '../../src/sync/conflict.ts';
import { guard, tooMuch } from '../../src/sync/guard.ts';
import { editMessage, trailer } from '../../src/sync/message.ts';
import type { MergeConflict, Relation, Repository } from '../../src/sync/ports.ts';
import { reconcile } from '../../src/sync/reconcile.ts';
import { scratch } from '../support/plain-git.ts';
import { inlineScanner } from '../soak/doom.ts';
import { folderFiles } from '../soak/oracle.ts';
import { type Files, type Policy, allContents, apparent, commits, referenceMerge } from '../soak/reference.ts';
import { beat } from '../support/beat.ts';

/**
 * The deciding parts against references written apart from them. `MOORING_CASES` multiplies the cases,
 * `MOORING_SEED` repeats a run.
 */
const properties = suite('properties');
const factor = Number(process.env['MOORING_CASES'] ?? 1);
const seed = Number(process.env['MOORING_SEED'] ?? 20_261_122);
let pure = 0;
const run = (numRuns: number) => ({ numRuns: Math.ceil(numRuns * factor), seed, includeErrorInReport: true });

const oid = (n: number): Oid => n.toString(16).padStart(40, '0') as Oid;
const modeArb = fc.constantFrom<Mode>('100644', '100755', '120000');
const entryArb = fc.record({ mode: modeArb, oid: fc.integer({ min: 1, max: 4 }).map(oid) }, { noNullPrototype: true });

properties('reconcile: every step keeps to the graph of commits', () => {
  fc.assert(
    fc.property(
      commits(),
      fc.nat(),
      fc.nat(),
      fc.option(fc.nat()),
      fc.boolean(),
      fc.boolean(),
      (graph, a, b, k, absent, based) => {
        pure += 1;
        const local = graph.at(a);
        const remote = absent ? ('absent' as const) : graph.at(b);
        const known = k === null ? undefined : graph.at(k);
        const relation: Relation = remote === 'absent' ? 'ahead' : graph.relation(local, remote);
        const history = known && remote !== 'absent' ? graph.relation(known, remote) : 'equal';
        const rewritten = history !== 'equal' && history !== 'behind';
        const kinds = { equal: 'continued', behind: 'continued', ahead: 'back', diverged: 'rewritten' } as const;
        const since = history === 'unrelated' ? history : kinds[history];
        const base = based && remote !== 'absent' ? local : undefined;
        const step = reconcile({
          local,
          remote,
          relation,
          history: since,
          ...(known ? { known } : {}),
          ...(base ? { base } : {}),
        });
        switch (step.kind) {
          case 'nothing':
            assert.is(local, remote);
            break;
          case 'push':
            // Forward only, and never a branch that somebody deleted.
            if (step.expected === null) assert.ok(remote === 'absent' && !known);
            else assert.ok(graph.ancestors(step.commit).has(step.expected) && !rewritten);
            assert.is(step.commit, local);
            break;
          case 'pull':
            assert.is(step.target, remote);
            // The folder's own work is never left behind without a merge.
            assert.ok(graph.ancestors(step.target).has(local) || (since === 'rewritten' && local === known));
            assert.is.not(history, 'ahead', 'a branch that went back was followed unasked');
            break;
          case 'merge':
            assert.ok(step.parents.includes(remote as Oid) && step.ours === local && step.theirs === remote);
            // Old history must not come back through ours.
            assert.is(step.parents.includes(local), base === undefined || local === remote);
            break;
          case 'went-back':
            // Whoever lost commits that both sides knew is asked, whatever the folder holds.
            assert.ok(history === 'ahead' && step.theirs === remote && step.known === known);
            break;
          case 'rewritten':
            assert.ok(rewritten ? local !== known || since === 'unrelated' : relation === 'unrelated');
            break;
          case 'branch-missing':
            assert.ok(remote === 'absent' && known !== undefined);
            break;
          default:
            step satisfies never;
        }
      },
    ),
    run(9_000),
  );
});

const conflictArb: fc.Arbitrary<MergeConflict> = fc
  .record(
    {
      path: fc.constantFrom('x', 'x/y', 'a').map((path) => path as SitePath),
      kind: fc.constantFrom('contents', 'modify/delete', 'file/directory', 'binary', 'add/add', 'rename/delete'),
      base: entryArb,
      ours: entryArb,
      theirs: entryArb,
    },
    { requiredKeys: ['path', 'kind'], noNullPrototype: true },
  )
  .filter(({ kind, ours, theirs }) =>
    kind === 'file/directory' ? (ours === undefined) !== (theirs === undefined) : (ours ?? theirs) !== undefined,
  );
const mirrored = ({ ours, theirs, ...rest }: MergeConflict): MergeConflict => ({
  ...rest,
  ...(theirs ? { ours: theirs } : {}),
  ...(ours ? { theirs: ours } : {}),
});
const same = (a?: Entry, b?: Entry): boolean => a?.oid === b?.oid && a?.mode === b?.mode;

properties('settle: an edit beats a removal, what is not live is told, and sides only change names', () => {
  fc.assert(
    fc.property(conflictArb, fc.constantFrom<Policy>('repository', 'site'), (conflict, policy) => {
      pure += 1;
      const { path, base, ours, theirs } = conflict;
      const result = resolveConflicts({ tree: oid(9), conflicts: [conflict], staged: [] }, policy);
      const edit = result.edits.find((made) => made.path === path);
      const isFolder = conflict.kind.includes('file/directory');
      if (edit) {
        if (!isFolder) assert.ok(edit.entry !== undefined || same(ours, base) || same(theirs, base), 'removed an edit');
        for (const side of [ours, theirs]) {
          if (!side || same(side, base) || same(side, edit.entry)) continue;
          assert.ok(
            result.lost.some((lost) => lost.path === path),
            'a version that is not live is not told',
          );
        }
      } else assert.is(result.lost.length, 1);
      const other = resolveConflicts(
        { tree: oid(9), conflicts: [mirrored(conflict)], staged: [] },
        policy === 'site' ? 'repository' : 'site',
      );
      assert.equal(other.edits, result.edits);
      const turned = { site: 'repository', repository: 'site', both: 'both' } as const;
      assert.equal(
        other.lost.map(({ live }) => turned[live]),
        result.lost.map(({ live }) => live),
      );
    }),
    run(6_000),
  );
});

properties('guard: holds above both bounds or when a side would be empty, whichever side it is', () => {
  const side = fc
    .nat({ max: 300 })
    .chain((total) =>
      fc
        .record({ removed: fc.nat({ max: total }), added: fc.nat({ max: 3 }) })
        .map(({ removed, added }) => ({ total, removed, left: total - removed + added })),
    );
  const limits: SiteLimits = defaultSettings.limits;
  fc.assert(
    fc.property(side, side, (branch, folder) => {
      pure += 1;
      const expected = [branch, folder].map(
        ({ removed, total, left }) => removed > 0 && (left === 0 || (removed > 20 && removed * 10 > total * 3)),
      );
      const verdict = guard({ branch, folder }, limits);
      const word = expected[0] ? 'folder-lost-files' : expected[1] ? 'branch-lost-files' : undefined;
      assert.is(verdict.kind === 'hold' ? verdict.code : undefined, word);
      if (tooMuch(folder, limits)) assert.ok(tooMuch({ ...folder, removed: folder.total, left: 0 }, limits));
    }),
    run(4_000),
  );
});

properties('message: one line of subject, no control characters, at most twenty paths, the trailer at the end', () => {
  const change: fc.Arbitrary<Change> = fc
    .record({
      path: fc
        .string({ unit: 'binary', minLength: 1, maxLength: 120 })
        .filter((s) => !s.includes('\0'))
        .map(pathFromText),
      kind: fc.constantFrom('+', '~', '-'),
    })
    .map(({ path, kind }) => {
      const entry = { mode: '100644' as const, oid: oid(1) };
      return { path, ...(kind === '+' ? {} : { before: entry }), ...(kind === '-' ? {} : { after: entry }) };
    });
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 30 }), (changes) => {
      pure += 1;
      const message = editMessage(changes);
      const lines = message.split('\n');
      assert.is(lines[1], '');
      assert.is(lines.at(-2), trailer);
      assert.not.match(message, /[\x00-\x09\x0b-\x1f\x7f\u202e]/);
      assert.ok(lines.length <= 26, `${lines.length} lines`);
      const counted = [...(lines[0] ?? '').matchAll(/(\d+) files/g)].length;
      assert.ok(counted <= 3);
    }),
    run(4_000),
  );
});

properties(
  'merge: the planner and real git agree with the reference, on both policies and from both sides',
  async () => {
    const { dir, remove } = scratch();
    try {
      const repository = openRepository({
        dir: `${dir}/repo.git`,
        home: `${dir}/home`,
        driver: createDriver('/usr/bin/git'),
        clock: { now: () => 1_700_000_000_000, monotonic: () => 0, sleep: () => Promise.resolve() },
        author: () => ({ name: 'Ana', email: 'ana@harbour.example' }),
      });
      await repository.prepare();
      const blobs = await pool(repository);
      const runs = run(220);
      const began = performance.now();
      let cases = 0;
      let conflicts = 0;
      await fc.assert(
        fc.asyncProperty(apparent(), async ({ base, ours, theirs, policy }) => {
          // A busy machine checks fewer, never none.
          if (performance.now() - began > 25_000 * factor && cases >= 100) return;
          cases += 1;
          beat(`merge ${cases}`);
          const commit = async (files: Files, parents: Oid[]): Promise<Oid> =>
            repository.createCommit({ parents, tree: emptyTree, edits: entries(files, blobs), message: 'm' });
          const root = await commit(base, []);
          const [left, right] = [await commit(ours, [root]), await commit(theirs, [root])];
          const one = await planned(repository, left, right, policy);
          const expected = referenceMerge(base, ours, theirs, policy);
          conflicts += one.lost.length > 0 ? 1 : 0;
          assert.equal(await shape(repository, one.commit, blobs), expected.shape, 'not what the reference says');
          // Whatever is not live is listed; its bytes are in a parent.
          const told = new Set<string>(one.lost.map(({ path }) => path));
          for (const path of expected.lost)
            assert.ok(
              [...told].some((at) => at === path || at.startsWith(`${path}/`) || path.startsWith(`${at}/`)),
              `${path} lost and not told`,
            );
          const two = await planned(repository, right, left, policy === 'site' ? 'repository' : 'site');
          assert.equal(
            await shape(repository, two.commit, blobs),
            await shape(repository, one.commit, blobs),
            'sides differ',
          );
          // Planning again changes nothing.
          assert.is(await repository.relation(one.commit, right), 'ahead');
          const again = await planned(repository, one.commit, right, policy);
          assert.equal(again.tree, one.tree);
        }),
        { ...runs, endOnFailure: process.env['MOORING_SHRINK'] === undefined },
      );
      process.stdout.write(
        `note: ${pure} pure cases, ${cases} real merges (${conflicts} with conflicts), seed ${seed}\n`,
      );
      assert.ok(pure >= 20_000 * Math.min(1, factor));
    } finally {
      remove();
    }
  },
);

properties('apply: the order in which changes come makes no difference to the folder', async () => {
  const { dir, remove } = scratch();
  const named = blobsByName();
  const began = performance.now();
  let cases = 0;
  try {
    await fc.assert(
      fc.asyncProperty(apparent(), fc.infiniteStream(fc.nat()), async ({ base, theirs }, order) => {
        // A busy machine checks fewer, never none.
        if (performance.now() - began > 8_000 * factor && cases >= 20) return;
        cases += 1;
        beat(`order ${cases}`);
        const changes = changesOf(base, theirs, named);
        const shuffled = changes
          .map((change) => ({ change, at: order.next().value }))
          .sort((a, b) => a.at - b.at)
          .map(({ change }) => change);
        const wanted = Object.fromEntries(
          [...theirs].map(([path, file]) => [path, named.get(file.content)!.text]).sort(),
        );
        assert.equal(await appliedTo(join(dir, `${cases}`), base, shuffled, named), wanted);
      }),
      { ...run(120), endOnFailure: process.env['MOORING_SHRINK'] === undefined },
    );
    process.stdout.write(`note: ${cases} orders of application, seed ${seed}\n`);
  } finally {
    remove();
  }
});

properties.run();

/** Every content by its name, with the id git would give it. */
function blobsByName(): Map<string, { oid: Oid; text: string }> {
  const idOf = (text: string): Oid =>
    createHash('sha1')
      .update(`blob ${Buffer.byteLength(text)}\0${text}`)
      .digest('hex') as Oid;
  return new Map([...allContents()].map(([name, text]) => [name, { oid: idOf(text), text }]));
}

type Named = ReturnType<typeof blobsByName>;

function changesOf(from: Files, to: Files, named: Named): Change[] {
  const entry = (files: Files, path: string): Entry | undefined => {
    const file = files.get(path);
    return file && { mode: file.mode, oid: named.get(file.content)!.oid };
  };
  return [...new Set([...from.keys(), ...to.keys()])].flatMap((path): Change[] => {
    const [before, after] = [entry(from, path), entry(to, path)];
    if (before?.oid === after?.oid && before?.mode === after?.mode) return [];
    return [{ path: path as SitePath, ...(before ? { before } : {}), ...(after ? { after } : {}) }];
  });
}

/** A folder with the files of `base`, after the changes were applied to it in this order: path to content. */
async function appliedTo(
  dir: string,
  base: Files,
  changes: readonly Change[],
  named: Named,
): Promise<Record<string, string>> {
  const root = join(dir, 'site');
  for (const [path, { content }] of base) {
    const full = Buffer.concat([Buffer.from(`${root}/`), pathBytes(path as SitePath)]);
    mkdirSync(full.subarray(0, full.lastIndexOf('/')), { recursive: true });
    writeFileSync(full, named.get(content)!.text);
  }
  const clock = { now: () => Date.now(), monotonic: () => performance.now(), sleep: () => Promise.resolve() };
  const content = new Map([...named.values()].map((one) => [one.oid, Buffer.from(one.text)]));
  const files = [...base].map(([path, file]) => {
    const { oid: id, text } = named.get(file.content)!;
    return { path: path as SitePath, mode: file.mode, oid: id, size: text.length };
  });
  const blobs: Repository['blobs'] = async function* (oids) {
    for (const id of oids) {
      const bytes = content.get(id) ?? Buffer.alloc(0);
      const chunks = (async function* () {
        yield bytes;
      })();
      yield { oid: id, size: bytes.length, chunks };
    }
  };
  const directory = openDirectory({
    ...{ fs: realFs(), scanner: inlineScanner(realFs()), clock, root, stateDir: dir },
    random: { bytes: (n) => createHash('sha512').update(dir).digest().subarray(0, n), fraction: () => 0.5 },
    settings: () => ({ ...defaultSettings, quietMs: 0 }),
    repository: { blobs, sizes: async () => [], attributesAbove: async () => ({ site: '', texts: new Map() }) },
  });
  await directory.resetBaseline(oid(1), async () => files);
  await directory.scan('all');
  const { skipped, refused } = await directory.apply({ changes, blobs, sizes: async () => [] });
  if (skipped.length || refused.length) console.log(JSON.stringify([skipped, refused]).slice(0, 600));
  assert.equal([skipped, refused], [[], []]);
  await directory.close();
  return Object.fromEntries([...folderFiles(root)].map(([path, text]) => [pathFromText(path), text]).sort());
}

const emptyTree = '4b825dc642cb6eb9a060e54bf8d69288fbee4904' as Oid;

async function planned(repository: Repository, ours: Oid, theirs: Oid, policy: Policy) {
  const result = await repository.merge(ours, theirs);
  const { edits, lost } = resolveConflicts(result, policy);
  const commit = await repository.createCommit({ parents: [ours, theirs], tree: result.tree, edits, message: 'm' });
  const { tree } = await repository.commit(commit);
  return { commit, tree, lost };
}

/** Contents by the names the reference knows them by; others are git's own textual merges. */
async function shape(
  repository: Repository,
  commit: Oid,
  blobs: ReadonlyMap<string, Oid>,
): Promise<Record<string, string>> {
  const names = new Map([...blobs].map(([name, at]) => [at, name]));
  const files = await repository.files(commit, 1_000);
  return Object.fromEntries(
    files.map(({ path, mode, oid: at }): [string, string] => [path, `${mode} ${names.get(at) ?? 'merged'}`]).sort(),
  );
}

function entries(files: Files, blobs: ReadonlyMap<string, Oid>): { path: SitePath; entry: Entry }[] {
  return [...files].map(([path, { mode, content }]) => ({
    path: path as SitePath,
    entry: { mode, oid: blobs.get(content)! },
  }));
}

/** Every content a case can name, as blobs. */
async function pool(repository: Repository): Promise<Map<string, Oid>> {
  const taking = [...allContents()].map(([name, text]) => ({
    path: name as SitePath,
    file: {
      mode: '100644' as const,
      open: async () => ({
        size: Buffer.byteLength(text),
        chunks: (async function* () {
          yield Buffer.from(text);
        })(),
        finish: () => true,
      }),
    },
  }));
  const { entries: made } = await repository.commitFiles(undefined, taking, () => 'pool');
  return new Map([...made].map(([name, entry]) => [name as string, entry!.oid]));
}
