import { createHash, randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { pointerText } from '../../src/model/lfs.ts';
import type { Direction, Plan } from '../../src/model/plan.ts';
import { Problem } from '../../src/model/problem.ts';
import type { ConflictPolicy, NotSynced } from '../../src/model/site.ts';
import type { SitePath } from '../../src/model/tree.ts';
import { restoreKept, takeVersion } from '../../src/sync/choice.ts';
import { resolveHeld } from '../../src/sync/held.ts';
import type { LargeContents } from '../../src/sync/ports.ts';
import { type EngineWorld, type WorldOptions, engineWorld } from '../support/engine.ts';
import { git } from '../support/plain-git.ts';

/**
 * A pointer on the branch whose content this site does not get is never written into the folder, and no content of the
 * folder is ever committed over it: by no edit, no connect, no merge and no choice.
 */
const pointers = suite('sync/pointers');

const attributes = '*.bin filter=lfs\n';
const content = (): string => `${randomUUID()}\n`.repeat(100);
const pointerTo = (text: string): string =>
  pointerText({ sha: createHash('sha256').update(text).digest('hex'), size: Buffer.byteLength(text) });

async function inWorld(options: WorldOptions, work: (world: EngineWorld) => Promise<void>): Promise<void> {
  const world = await engineWorld(options);
  try {
    await work(world);
  } finally {
    await world.close();
  }
}

/** Every version of a path that the branch ever had. */
function everOnBranch(world: EngineWorld, path: string): string[] {
  const commits = git(world.bare, 'rev-list', 'main', '--', path).split('\n').filter(Boolean);
  return commits.map((commit) => git(world.bare, 'show', `${commit}:${path}`));
}

const named = (list: readonly NotSynced[], path: string): string | undefined =>
  list.find((one) => one.path === path)?.reason.kind;

async function looks(world: EngineWorld): Promise<readonly NotSynced[]> {
  await world.sync({ trigger: 'watch' });
  const { notSynced } = await world.sync({ trigger: 'rescan' });
  return notSynced;
}

/** Nobody is asked for a content: LFS is on, and no rule names the path. */
const nothingThere: LargeContents = {
  keep: () => Promise.reject(new Error('a content was taken for LFS')),
  copier: () => async () => ({ missing: 'nobody has it' }),
};

for (const direction of ['replace', 'start-from-folder'] as const)
  for (const lfs of ['off', 'on, without a rule in the folder'] as const)
    pointers(`connected by «${direction}», LFS ${lfs}`, () => {
      const [ours, theirs] = [content(), content()];
      const rules = lfs === 'off' ? { '.gitattributes': attributes } : {};
      const isOn = lfs === 'off' ? {} : { settings: { lfs: true as const }, large: nothingThere };
      const repository = {
        ...rules,
        'index.html': 'theirs\n',
        'x.bin': pointerTo(theirs),
        'alone.bin': pointerTo(content()),
        'text.bin': pointerTo('text'),
      };
      const files = { ...rules, 'index.html': 'ours\n', 'x.bin': ours, 'text.bin': pointerTo('text') };
      return inWorld({ repository, files, ...isOn }, async (world) => {
        const plan = await connectBy(world, direction);
        assert.equal(
          plan.refused.map(({ path, reason }) => [path, reason.kind]),
          [
            ['alone.bin', 'lfs-pointer'],
            ['text.bin', 'lfs-pointer'],
            ['x.bin', 'lfs-pointer'],
          ],
        );
        assert.equal(
          plan.samples.map(({ mark, path }) => `${mark}${path}`),
          ['~index.html'],
          'what is refused on one side does not move on the other',
        );
        const notSynced = await looks(world);
        for (const path of ['x.bin', 'alone.bin', 'text.bin']) assert.is(named(notSynced, path), 'lfs-pointer', path);
        assert.is(world.read('x.bin'), ours, 'the folder’s own file was touched');
        assert.not.ok(world.has('alone.bin'), 'a pointer was written into the site');

        // Edited, and even with nothing left to tell what was seen: the same.
        world.write('x.bin', content());
        world.write('text.bin', content());
        await looks(world);
        await world.directory.resetBaseline(undefined, async () => []);
        rmSync(join(world.dir, 'state', 'manifest.jsonl'), { force: true });
        assert.is(named(await looks(world), 'x.bin'), 'lfs-pointer');
        for (const path of ['x.bin', 'text.bin']) assert.is(everOnBranch(world, path).length, 1, path);
        assert.is(world.branch()['index.html'], direction === 'replace' ? 'theirs' : 'ours');
      });
    });

async function connectBy(world: EngineWorld, direction: Direction): Promise<Plan> {
  const plan = await world.plan(direction);
  await world.connect(direction);
  return plan;
}

for (const policy of ['repository', 'site', 'hold'] as const)
  pointers(`a pointer pushed over what was edited here (${policy})`, () => {
    const [raw, ours, theirs] = [content(), content(), content()];
    return apart(policy, { raw, ours, theirs }, async (world) => {
      const notSynced = await looks(world);
      assert.is(named(notSynced, 'x.bin'), 'lfs-pointer');
      assert.is(world.read('x.bin'), ours);
      assert.is(`${world.branch()['x.bin']}\n`, pointerTo(theirs));
    });
  });

pointers('a path that waits for a person is not settled by a content over a pointer', () =>
  inWorld({ repository: { 'x.bin': content() }, settings: { policy: 'hold' } }, async (world) => {
    const [ours, theirs] = [content(), content()];
    await world.connect();
    await world.sync();
    world.push({ 'x.bin': content() });
    world.write('x.bin', ours);
    await world.sync();
    assert.is((await world.repository.held()).length, 1);
    world.push({ 'x.bin': pointerTo(theirs) });
    await world.sync();
    const sides = { repository: world.repository, directory: world.directory, now: () => Date.now() };
    assert.is(await codeOf(resolveHeld(sides, 'x.bin' as SitePath, 'site')), 'lfs-not-followed');
    assert.is((await world.repository.held()).length, 1, 'it is open as before');

    // Free for another reason, it is an edit like any other, and over a pointer.
    await world.repository.release(['x.bin' as SitePath]);
    assert.is(named(await looks(world), 'x.bin'), 'lfs-pointer');
    assert.is(`${world.branch()['x.bin']}\n`, pointerTo(theirs));
    assert.is(world.read('x.bin'), ours);
  }),
);

pointers('neither the other version nor a kept one is put over a pointer', () => {
  const [raw, ours, theirs] = [content(), content(), content()];
  return apart('repository', { raw, ours, theirs }, async (world) => {
    const tip = world.tip();
    const oid = git(world.gitDir, 'hash-object', join(world.site, 'x.bin'));
    assert.is(
      await codeOf(takeVersion(world, 'x.bin' as SitePath, { oid: oid as never, isLink: false })),
      'lfs-not-followed',
    );
    const { disk } = await world.repository.ledger();
    const before = git(world.gitDir, 'rev-list', '--max-parents=0', disk ?? '').split('\n')[0];
    const kept = await world.repository.keep({
      ...{ cause: 'restore', at: Date.now(), commit: before as never, files: 2, bytes: 1 },
    });
    assert.is(await codeOf(restoreKept(world, kept, 'x.bin' as SitePath)), 'lfs-not-followed');
    await looks(world);
    assert.is(world.tip(), tip, 'something was committed');

    // The whole folder comes back, that path apart.
    world.write('index.html', 'later\n');
    await world.sync();
    await restoreKept(world, kept, undefined);
    await looks(world);
    assert.is(world.branch()['index.html'], 'first');
    assert.is(`${world.branch()['x.bin']}\n`, pointerTo(theirs));
    assert.is(world.read('x.bin'), ours);
  });
});

/** The branch has a pointer where the folder has an edit of its own, and what comes of it was carried out. */
async function apart(
  policy: ConflictPolicy,
  { raw, ours, theirs }: { raw: string; ours: string; theirs: string },
  work: (world: EngineWorld) => Promise<void>,
): Promise<void> {
  const repository = { 'index.html': 'first\n', 'x.bin': raw };
  await inWorld({ repository, settings: { policy } }, async (world) => {
    await world.connect();
    await world.sync();
    world.push({ 'x.bin': pointerTo(theirs) });
    world.write('x.bin', ours);
    await world.sync();
    await work(world);
  });
}

const codeOf = (work: Promise<unknown>): Promise<string | undefined> =>
  work.then(
    () => undefined,
    (error: unknown) => (error instanceof Problem ? error.code : String(error)),
  );

pointers.run();
