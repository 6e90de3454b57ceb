import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import { stagingFolders } from '../support/staging.ts';
import * as assert from 'uvu/assert';
import { realFs } from '../../src/files/disk.ts';
import { letGo, openLargeStore } from '../../src/files/large.ts';
import { type GitDriver, createDriver } from '../../src/git/driver.ts';
import { gitEnvironment } from '../../src/git/environment.ts';
import { largeRemote, largeRepository, pointersNeeded } from '../../src/git/large.ts';
import type { Trigger } from '../../src/model/event.ts';
import { type Copied, type Pointer, pointerText } from '../../src/model/lfs.ts';
import { Problem } from '../../src/model/problem.ts';
import { defaultSettings } from '../../src/model/site.ts';
import type { Oid, SitePath } from '../../src/model/tree.ts';
import type { LargeContents, PushResult, Remote, Repository } from '../../src/sync/ports.ts';
import { faultyFs, newOrder } from '../faults/faulty-fs.ts';
import { inlineScanner } from '../faults/support.ts';
import { type EngineWorld, type WorldOptions, answering, engineWorld } from '../support/engine.ts';
import { git, scratch } from '../support/plain-git.ts';

const large = suite('sync/large');

const pointerTo = (content: Buffer): Pointer => ({
  sha: createHash('sha256').update(content).digest('hex'),
  size: content.length,
});
const textTo = (content: Buffer): string => pointerText(pointerTo(content));
const attributes = '*.bin filter=lfs\n';

/** What GitLab would give; `onCopy` comes between two pieces of a content. */
class Contents implements LargeContents {
  readonly there = new Map<string, Buffer>();
  readonly kept: string[] = [];
  readonly asked: string[][] = [];
  onCopy: (signal: AbortSignal | undefined) => void = () => {};

  put(content: Buffer): string {
    this.there.set(pointerTo(content).sha, content);
    return textTo(content);
  }

  async keep(chunks: AsyncIterable<Buffer>): Promise<Pointer> {
    const all: Buffer[] = [];
    for await (const chunk of chunks) all.push(Buffer.from(chunk));
    const content = Buffer.concat(all);
    this.put(content);
    this.kept.push(pointerTo(content).sha);
    return pointerTo(content);
  }

  copier(pointers: readonly Pointer[], signal?: AbortSignal): ReturnType<LargeContents['copier']> {
    this.asked.push(pointers.map(({ sha }) => sha));
    return async ({ sha }, write): Promise<Copied> => {
      const content = this.there.get(sha);
      if (!content) return { missing: 'not here' };
      await write(content.subarray(0, 10));
      this.onCopy(signal);
      await write(content.subarray(10));
      return 'done';
    };
  }
}

async function worldOf(
  work: (world: EngineWorld, contents: Contents) => Promise<void>,
  { settings, ...options }: WorldOptions = {},
): Promise<void> {
  const contents = new Contents();
  const repository = { '.gitattributes': attributes, 'index.html': 'first\n', ...options.repository };
  const world = await engineWorld({ ...options, repository, settings: { lfs: true, ...settings }, large: contents });
  try {
    await world.connect();
    await world.sync();
    await work(world, contents);
  } finally {
    await world.close();
  }
}

const stagedIn = (world: EngineWorld): string[] => stagingFolders(world.site).flatMap((folder) => readdirSync(folder));

large('a download that is broken off leaves the folder as it is and nothing behind; the next run brings all', () =>
  worldOf(async (world, contents) => {
    const [one, two] = [randomBytes(5_000), randomBytes(5_000)];
    const missing = { 'gone.bin': textTo(randomBytes(5_000)) };
    world.push({ 'index.html': 'second\n', ...missing, 'one.bin': contents.put(one), 'two.bin': contents.put(two) });
    const stop = new AbortController();
    const heard: (AbortSignal | undefined)[] = [];
    contents.onCopy = (signal) => {
      heard.push(signal);
      stop.abort(new Problem('broken-off', {}));
    };
    const error: unknown = await world.sync({ signal: stop.signal }).catch((reason: unknown) => reason);
    assert.is(error, stop.signal.reason);
    assert.equal(heard, [stop.signal], 'whoever fetches must know, and fetch no more');
    assert.is(world.read('index.html'), 'first\n');
    assert.not.ok(world.has('one.bin'));
    assert.equal(stagedIn(world), []);
    assert.equal(world.directory.refused(), [], 'refused, by an apply that never was');

    contents.onCopy = () => {};
    await world.sync();
    assert.is(world.read('index.html'), 'second\n');
    assert.equal(world.directory.refused(), ['gone.bin']);
    assert.is(textTo(Buffer.from(world.read('one.bin'))), textTo(Buffer.from(one.toString('utf8'))));
    assert.equal(git(world.bare, 'rev-list', '--count', 'main'), '2', 'nothing came of it on the branch');
  }),
);

large(
  'while .gitattributes cannot be read, nothing below it is committed or written, and all of it comes later',
  async () => {
    const order = newOrder({ call: 'readSmall', errno: 'EIO', victim: { path: '.gitattributes' } });
    const fs = faultyFs(realFs(), order);
    const named = async (world: EngineWorld, trigger: Trigger): Promise<readonly string[]> => {
      const { notSynced } = await world.sync({ trigger });
      return notSynced
        .map(({ path, reason }) => `${path} ${reason.kind} ${'errno' in reason ? reason.errno : ''}`)
        .sort();
    };
    await worldOf(
      async (world, contents) => {
        const [ours, theirs] = [randomBytes(3_000), randomBytes(3_000)];
        // What was written in the same tick of the clock as it was seen is read once more: not while rules are missing.
        await new Promise((resolve) => setTimeout(resolve, 50));
        await world.sync({ trigger: 'rescan' });
        const tip = world.push({ 'theirs.bin': contents.put(theirs) });
        world.write('ours.bin', ours);
        order.on = true;
        for (const trigger of ['poll', 'rescan'] as const) {
          const expected = ['ours.bin unreadable EIO', 'theirs.bin unwritable EIO'];
          assert.equal(await named(world, trigger), expected);
          assert.not.ok(world.has('theirs.bin'), 'a pointer went live');
          assert.is(world.tip(), tip, 'a large content was committed as an ordinary file');
        }
        order.on = false;
        assert.equal(await named(world, 'rescan'), []);
        assert.is(git(world.bare, 'show', 'main:ours.bin'), textTo(ours).trim());
        assert.is(world.read('theirs.bin'), theirs.toString('utf8'));
      },
      { fs, scanner: inlineScanner(fs) },
    );
  },
);

large('a store that cannot be used is the state directory’s problem, and not the file’s', async () => {
  const { dir, remove } = scratch();
  try {
    const path = join(dir, 'large');
    writeFileSync(path, 'a file stands where its folder goes');
    const store = openLargeStore(path);
    const pointer = pointerTo(Buffer.from('content'));
    const reading = async (): Promise<void> => {
      for await (const chunk of store.read(pointer)) assert.unreachable(String(chunk));
    };
    for (const failing of [() => store.keep([Buffer.from('content')]), reading]) {
      const problem: unknown = await failing().then(
        () => undefined,
        (error: unknown) => error,
      );
      assert.ok(problem instanceof Problem);
      assert.is(problem.code, 'state-failed');
    }
  } finally {
    remove();
  }
});

large('broken off before the first file changes its name, an apply changes none', () =>
  worldOf(async (world) => {
    world.push({ 'index.html': 'second\n', 'empty.txt': '' });
    const stop = new AbortController();
    const error: unknown = await world
      .sync({
        signal: stop.signal,
        progress: ({ act, done, total }) => act === 'pulling' && done === total && stop.abort(new Error('stop')),
      })
      .catch((reason: unknown) => reason);
    assert.is(error, stop.signal.reason);
    assert.is(world.read('index.html'), 'first\n');
    assert.equal(stagedIn(world), []);
    await world.sync();
    assert.is(world.read('index.html'), 'second\n');
  }),
);

large('one that was refused before is broken off like any other, when it is tried again', () =>
  worldOf(async (world, contents) => {
    const late = randomBytes(5_000);
    world.push({ 'late.bin': textTo(late) });
    await world.sync();
    assert.equal(world.directory.refused(), ['late.bin']);
    contents.put(late);
    const stop = new AbortController();
    const told: number[] = [];
    contents.onCopy = () => stop.abort(new Problem('broken-off', {}));
    const error: unknown = await world
      .sync({ trigger: 'rescan', signal: stop.signal, progress: ({ bytes = 0 }) => void told.push(bytes) })
      .catch((reason: unknown) => reason);
    assert.is(error, stop.signal.reason);
    assert.equal(told, [10], 'how far it has come is told while it comes');
    assert.equal(stagedIn(world), []);
    contents.onCopy = () => {};
    await world.sync({ trigger: 'rescan' });
    assert.ok(world.has('late.bin'));
  }),
);

large('contents are asked for together, those that will be written and no others', () =>
  worldOf(async (world, contents) => {
    const [one, two, small] = [randomBytes(5_000), randomBytes(5_000), randomBytes(90)];
    world.push({
      ...{ 'a/one.bin': contents.put(one), 'b/two.bin': contents.put(two), 'c/one.bin': contents.put(one) },
      'plain.txt': contents.put(small),
    });
    await world.sync();
    assert.equal(
      contents.asked.flat(),
      [one, two].map((content) => pointerTo(content).sha),
    );
    assert.is(contents.asked.filter((asked) => asked.length > 0).length, 1);
    for (const path of ['a/one.bin', 'b/two.bin', 'c/one.bin']) assert.ok(world.has(path), path);
    assert.not.ok(world.has('plain.txt'), 'a pointer where none is followed stays one');
  }),
);

large('room is asked for what will be written, not for the pointers to it, before anything is fetched', () =>
  worldOf(
    async (world, contents) => {
      const tip = world.tip();
      // Where it is not followed, nothing of that size will be written.
      world.push({ 'plain.txt': contents.put(randomBytes(900_000)) });
      await world.sync();
      world.push({ 'film.bin': contents.put(randomBytes(600_000)), 'index.html': 'second\n' });
      const error: unknown = await world.sync().catch((reason: unknown) => reason);
      assert.instance(error, Problem);
      assert.is((error as Problem).code, 'repository-too-large');
      assert.equal(contents.asked.flat(), []);
      assert.is(world.read('index.html'), 'first\n');
      assert.is.not(world.tip(), tip);
    },
    { settings: { limits: { ...defaultSettings.limits, siteBytes: 500_000 } } },
  ),
);

large('a file that was committed without LFS stays as it is until somebody edits it', () => {
  const raw = randomBytes(3_000);
  return worldOf(
    async (world, contents) => {
      const tip = world.tip();
      const touch = (): void => {
        const then = new Date(Date.now() - 5_000_000);
        utimesSync(join(world.site, 'raw.bin'), then, then);
        world.directory.touched(join(world.site, 'raw.bin'));
      };
      touch();
      for (const trigger of ['watch', 'rescan', 'start'] as const) await world.sync({ trigger });
      assert.is(world.tip(), tip, 'a touch became a commit');
      assert.equal(contents.kept, []);

      // Looked at as a whole, as where another disk stands in its place: the same files.
      const oid = git(world.bare, 'rev-parse', 'main:raw.bin');
      const survey = await world.directory.survey();
      const seen = survey.files.find(({ path }) => path === 'raw.bin');
      assert.is(seen?.oid, oid);
      const taken = await world.repository.commitFiles(undefined, seen ? [seen.pending] : [], () => 'As seen\n');
      assert.is(taken.entries.get('raw.bin' as SitePath)?.oid, oid, 'recorded otherwise than it was told');

      // Touched when the look was over already, it is replaced all the same.
      const last = randomBytes(3_000);
      contents.onCopy = touch;
      world.push({ 'raw.bin': last, 'x.bin': contents.put(randomBytes(3_000)) });
      await world.sync();
      assert.ok(world.read('raw.bin') === last.toString('utf8'));
      contents.onCopy = () => {};

      // Replaced by others, the folder's own copy is no late edit of theirs.
      const next = randomBytes(3_000);
      world.push({ 'raw.bin': next });
      touch();
      await world.sync();
      assert.is(git(world.bare, 'rev-list', '--count', 'main'), '3');
      assert.ok(world.read('raw.bin') === next.toString('utf8'));
      const { lateWrites } = await world.later(700_000).sync();
      assert.equal(lateWrites, []);

      const edited = randomBytes(3_000);
      world.write('raw.bin', edited);
      await world.sync();
      assert.is(`${git(world.bare, 'show', 'main:raw.bin')}\n`, textTo(edited), 'an edit goes by the rules');
    },
    { repository: { 'raw.bin': raw } },
  );
});

const touch = (world: EngineWorld): void => {
  const then = new Date(Date.now() - 5_000_000);
  utimesSync(join(world.site, 'big.bin'), then, then);
};

for (const policy of ['repository', 'site'] as const)
  for (const touched of [false, true])
    large(`LFS ends on the branch, with a new content (${policy}${touched ? ', touched meanwhile' : ''})`, async () => {
      const old = randomBytes(3_000);
      await worldOf(
        async (world, contents) => {
          // Uploaded and let go long ago.
          world.push({ 'big.bin': contents.put(old) });
          await world.sync();
          await world.sync({ trigger: 'rescan' });
          const next = randomBytes(3_000);
          world.push({ '.gitattributes': null, 'big.bin': next });
          if (touched) touch(world);
          const lost: unknown[] = [];
          for (const trigger of ['poll', 'rescan'] as const) lost.push(...(await world.sync({ trigger })).lost);
          assert.equal(lost, [], 'what others replaced was no edit');
          assert.is(git(world.bare, 'rev-list', '--count', 'main'), '3');
          assert.ok(world.read('big.bin') === next.toString('utf8'));
          const { lateWrites } = await world.later(700_000).sync();
          assert.equal(lateWrites, []);
        },
        { settings: { policy } },
      );
    });

large('the rule for it gone, a content still is what its pointer says until somebody edits it', () =>
  worldOf(async (world, contents) => {
    const old = randomBytes(3_000);
    world.push({ 'big.bin': contents.put(old) });
    await world.sync();
    world.push({ '.gitattributes': null });
    await world.sync();
    const tip = world.tip();
    touch(world);
    for (const trigger of ['rescan', 'start'] as const) await world.sync({ trigger });
    assert.is(world.tip(), tip, 'a touch became a commit');

    // Looked at as a whole: recorded as it was told.
    const survey = await world.directory.survey();
    const seen = survey.files.find(({ path }) => path === 'big.bin');
    assert.is(seen?.oid, git(world.bare, 'rev-parse', 'main:big.bin'));
    const taken = await world.repository.commitFiles(undefined, seen ? [seen.pending] : [], () => 'As seen\n');
    assert.is(taken.entries.get('big.bin' as SitePath)?.oid, seen?.oid);

    world.write('big.bin', 'edited\n');
    await world.sync();
    assert.is(git(world.bare, 'show', 'main:big.bin'), 'edited', 'an edit goes by the rules');
  }),
);

large('LFS off, what came while it was on is not committed over its pointer by a touch', async () => {
  const { dir, remove } = scratch();
  try {
    await worldOf(
      async (world, contents) => {
        world.push({ 'big.bin': contents.put(randomBytes(3_000)) });
        await world.sync();
      },
      { keep: dir },
    );
    const world = await engineWorld({ keep: dir });
    const tip = world.tip();
    touch(world);
    for (const trigger of ['start', 'rescan', 'poll'] as const) await world.sync({ trigger });
    assert.is(world.tip(), tip);
    await world.close();
  } finally {
    remove();
  }
});

large('a rule names a file by bytes, whatever language its name is in', () =>
  worldOf(async (world) => {
    world.push({ '.gitattributes': 'café*.dat filter=lfs\n' });
    await world.sync();
    const content = randomBytes(3_000);
    world.write('café 1.dat', content);
    await world.sync();
    assert.is(`${world.branch()['café 1.dat']}\n`, textTo(content));
  }),
);

const subfolder = 'docs/my site' as SitePath;
const inside = (path: string): string => `${subfolder}/${path}`;
const pointed = (world: EngineWorld, path: string): string => `${world.branch()[inside(path)]}\n`;

large('a site in a folder of its repository: what the folders above say counts, as it is in the commit', () =>
  worldOf(
    async (world, contents) => {
      const [one, two, film, raw, image] = [1, 2, 3, 4, 5].map(() => randomBytes(3_000)) as [
        Buffer,
        Buffer,
        ...Buffer[],
      ];
      world.push({
        '.gitattributes': '[attr]large filter=lfs\n*.bin large\n/docs/my[[:space:]]site/films/** large\n',
        'docs/.gitattributes': '*.dat filter=lfs\nmy?site/plain/*.bin -filter\n',
        [inside('one.bin')]: contents.put(one),
      });
      await world.sync();
      assert.is(textTo(Buffer.from(world.read('one.bin'))), textTo(Buffer.from(one.toString('utf8'))));
      for (const path of ['two.bin', 'films/deep/a.mp4', 'b.dat']) world.write(path, film as Buffer);
      world.write('plain/small.bin', 'plain\n');
      world.write('docs/my site/films/a.mp4', 'elsewhere\n');
      await world.sync();
      for (const path of ['two.bin', 'films/deep/a.mp4', 'b.dat'])
        assert.is(pointed(world, path), textTo(film as Buffer));
      assert.is(pointed(world, 'plain/small.bin'), 'plain\n');
      assert.is(pointed(world, 'docs/my site/films/a.mp4'), 'elsewhere\n');

      // A rule that comes in the same commit as what it is for.
      const next = '[attr]large filter=lfs\n*.raw large\n*.bin large\n';
      world.push({ '.gitattributes': next, [inside('a.raw')]: contents.put(raw as Buffer) });
      await world.sync();
      assert.ok(world.read('a.raw') === (raw as Buffer).toString('utf8'));
      // One that comes after it, in a commit that has nothing else.
      world.push({ [inside('a.iso')]: contents.put(image as Buffer) });
      await world.sync();
      assert.equal(world.directory.refused(), ['a.iso']);
      world.push({ '.gitattributes': `${next}*.iso large\n` });
      await world.sync();
      await world.sync({ trigger: 'rescan' });
      assert.ok(world.read('a.iso') === (image as Buffer).toString('utf8'));
      // And one that goes.
      world.push({ '.gitattributes': null, 'docs/.gitattributes': null });
      await world.sync();
      const tip = world.tip();
      await world.sync({ trigger: 'rescan' });
      assert.is(world.tip(), tip);
      world.write('two.bin', two.toString('hex'));
      await world.sync();
      assert.is(world.branch()[inside('two.bin')], two.toString('hex'), 'an edit goes by the rules');
    },
    { subfolder, repository: { [inside('index.html')]: 'first\n' } },
  ),
);

for (const direction of ['replace', 'start-from-folder'] as const)
  large(`a folder is connected to a folder of a repository by the rules above it («${direction}»)`, async () => {
    const contents = new Contents();
    const [same, theirs, ours] = [1, 2, 3].map(() => `${randomUUID()}\n`.repeat(100)) as [string, string, string];
    const [before, tip] = [contents.put(Buffer.from(theirs)), contents.put(Buffer.from(same))];
    const world = await engineWorld({
      repository: { '.gitattributes': attributes, [inside('same.bin')]: tip, [inside('theirs.bin')]: before },
      files: { 'same.bin': same, 'ours.bin': ours },
      ...{ subfolder, large: contents, settings: { lfs: true } },
    });
    try {
      const { refused, samples, ...plan } = await world.plan(direction);
      assert.equal(refused, []);
      assert.is(plan.same, 1, 'the same content, here and behind a pointer');
      const [here, there] = direction === 'replace' ? '-+' : '+-';
      assert.equal(
        samples.map(({ mark, path }) => `${mark}${path}`).sort(),
        [`${here}ours.bin`, `${there}theirs.bin`].sort(),
      );
      await world.connect(direction);
      if (direction === 'replace') assert.is(world.read('theirs.bin'), theirs);
      assert.equal(world.directory.refused(), []);
      await world.sync({ trigger: 'rescan' });
      const [left, content] = direction === 'replace' ? ['theirs.bin', theirs] : ['ours.bin', ours];
      assert.equal(Object.keys(world.files()).sort(), [left, 'same.bin'].sort());
      assert.is(`${world.read(left)}`, content);
      assert.is(pointed(world, left), textTo(Buffer.from(content)));
      assert.is(pointed(world, 'same.bin'), tip);

      // With nothing left that tells what was seen, it is the same.
      const head = world.tip();
      await world.directory.resetBaseline(undefined, async () => []);
      rmSync(join(world.dir, 'state', 'manifest.jsonl'), { force: true });
      const { notSynced } = await world.sync({ trigger: 'start' });
      assert.equal([notSynced, world.directory.refused(), world.tip()], [[], [], head]);
    } finally {
      await world.close();
    }
  });

large('LFS off, a rule above the site protects a pointer too, and rules cost no process', async () => {
  const { dir, remove } = scratch();
  try {
    const isIn = { subfolder, repository: { [inside('index.html')]: 'first\n' } };
    await worldOf(
      async (world, contents) => {
        world.push({ [inside('big.bin')]: contents.put(randomBytes(3_000)) });
        await world.sync();
      },
      { ...isIn, keep: dir },
    );
    const world = await engineWorld({ keep: dir, subfolder });
    const tip = world.tip();
    touch(world);
    for (const trigger of ['start', 'rescan', 'poll'] as const) await world.sync({ trigger });
    assert.is(world.tip(), tip);
    world.write('big.bin', randomBytes(3_000));
    const { notSynced } = await world.sync();
    assert.equal(notSynced, [{ path: 'big.bin', reason: { kind: 'lfs-pointer' } }]);
    assert.is(world.tip(), tip, 'a content was committed over a pointer');
    await world.close();

    const began: (readonly string[])[] = [];
    for (const above of [{}, { '.gitattributes': attributes, 'docs/.gitattributes': attributes }]) {
      began.push(await processesOf({ ...isIn, repository: { ...isIn.repository, ...above } }));
    }
    assert.ok((began[0] ?? []).length > 3);
    assert.equal(began[1], began[0]);
    const whole = await processesOf({ repository: { 'index.html': 'first\n', '.gitattributes': attributes } });
    assert.equal(whole, await processesOf({ repository: { 'index.html': 'first\n' } }));
  } finally {
    remove();
  }
});

/** What git is started for by a look, an edit, another one and a look, in a site that is known but was just opened. */
async function processesOf(options: WorldOptions): Promise<readonly string[]> {
  const { dir, remove } = scratch();
  try {
    const first = await engineWorld({ ...options, keep: dir });
    await first.connect();
    await first.sync();
    await first.close();
    const began: string[] = [];
    const driver = createDriver('/usr/bin/git');
    const noted: GitDriver = {
      run(run) {
        began.push(run.args[0] ?? '');
        return driver.run(run);
      },
      open(run) {
        began.push(run.args[0] ?? '');
        return driver.open(run);
      },
    };
    const { repository: _begin, ...again } = options;
    const world = await engineWorld({ ...again, keep: dir, driver: noted });
    for (const text of ['', 'second\n', 'third\n', '']) {
      began.push('look');
      if (text !== '') world.write('index.html', text);
      await world.sync({ trigger: 'watch' });
    }
    assert.is(world.branch()[`${options.subfolder ? `${options.subfolder}/` : ''}index.html`], 'third');
    assert.is(began.at(-1), 'look', 'an idle look started git');
    await world.close();
    return began;
  } finally {
    remove();
  }
}

large('cut off when one without LFS has its name and nothing is written down, it is no edit', async () => {
  const { dir, remove } = scratch();
  // Text, since files and branch are compared as text.
  const raw = (): Buffer => Buffer.from(`${randomUUID()}\n`.repeat(100));
  const after = join(dir, 'after');
  try {
    await worldOf(
      async (world) => {
        world.push({ 'raw.bin': raw() });
        world.directory.saveBaseline = () => {
          cpSync(world.dir, after, { recursive: true, preserveTimestamps: true });
          return Promise.reject(new Error('the process ended here'));
        };
        await world.sync().catch(() => undefined);
      },
      { repository: { 'raw.bin': raw() } },
    );
    const world = await engineWorld({ keep: after, settings: { lfs: true }, large: new Contents() });
    const tip = world.tip();
    for (const trigger of ['start', 'rescan'] as const) await world.sync({ trigger });
    assert.is(world.tip(), tip);
    assert.equal(world.files(), world.branch());
    await world.close();
  } finally {
    remove();
  }
});

large('contents past their time go from the store, but none that GitLab may not have', async () => {
  const { dir, remove } = scratch();
  const store = openLargeStore(join(dir, 'large'));
  const contents = Object.fromEntries(
    ['pushed', 'kept', 'held', 'unpushed', 'offered', 'refused', 'after', 'forgotten', 'fresh'].map((name) => [
      name,
      randomBytes(2_000),
    ]),
  ) as Record<string, Buffer>;
  const bytes = (name: string): Buffer => contents[name] as Buffer;
  const world = await engineWorld({ repository: { 'index.html': 'i\n', 'pushed.bin': textTo(bytes('pushed')) } });
  try {
    await world.connect();
    const tip = world.tip() as Oid;
    const commitOf = (name: string, parent?: Oid): Promise<Oid> =>
      commitWith(world.repository, parent, `${name}.bin` as SitePath, textTo(bytes(name)));
    await world.repository.keep({
      ...{ cause: 'conflict', at: Date.now(), commit: await commitOf('kept'), files: 1, bytes: 0 },
    });
    // Of a refused line every version stays, not only the last one.
    const first = await commitOf('refused');
    const line = await commitWith(world.repository, first, 'refused.bin' as SitePath, textTo(bytes('after')));
    await world.repository.keep({ cause: 'refused', at: Date.now(), commit: line, files: 1, bytes: 0 });
    const held = await commitOf('held');
    const ours = (await world.repository.files(held, 9)).find(({ path }) => path === 'held.bin');
    assert.ok(ours);
    await world.repository.hold([{ path: 'held.bin' as SitePath, ours: { mode: '100644', oid: ours.oid } }], held);
    await world.repository.updateRefs({
      disk: await commitOf('unpushed', tip),
      offered: await commitOf('offered', tip),
    });
    for (const content of Object.values(contents)) await store.keep([content]);
    const old = new Date(Date.now() - 100 * 86_400_000);
    for (const name of Object.keys(contents)) {
      const { sha } = pointerTo(bytes(name));
      if (name !== 'fresh') utimesSync(join(dir, 'large', sha.slice(0, 2), sha), old, old);
    }
    const author = { name: 'Ana', email: 'ana@harbour.example' };
    const tools = {
      driver: createDriver('/usr/bin/git'),
      environment: gitEnvironment({ gitDir: world.gitDir, home: join(world.dir, 'state', 'home'), author }),
      blobs: (oids: readonly Oid[]) => world.repository.blobs(oids),
    };
    const failures: unknown[] = [];
    const broken = new Error('the disk cannot be read');
    const maintain = (needed: () => Promise<readonly Pointer[]>): Promise<void> =>
      largeRepository(
        world.repository,
        (before) => store.tidy(before, needed),
        (error) => failures.push(error),
      ).maintain(Date.now() - 90 * 86_400_000);
    await maintain(() => Promise.reject(broken));
    assert.equal(failures, [broken], 'told, and the good run before it stays good');
    assert.ok(await store.has(pointerTo(bytes('forgotten'))), 'gone though nobody knows what is needed');
    await maintain(() => pointersNeeded(tools));
    assert.is(failures.length, 1);
    const left: string[] = [];
    for (const name of Object.keys(contents)) if (await store.has(pointerTo(bytes(name)))) left.push(name);
    assert.equal(left, ['kept', 'held', 'unpushed', 'offered', 'refused', 'after', 'fresh']);
  } finally {
    await world.close();
    remove();
  }
});

async function commitWith(
  { commitFiles }: Repository,
  parent: Oid | undefined,
  path: SitePath,
  text: string,
): Promise<Oid> {
  async function* chunks(): AsyncGenerator<Buffer> {
    yield Buffer.from(text);
  }
  const open = async () => ({ size: text.length, chunks: chunks(), finish: () => true });
  const taken = await commitFiles(parent, [{ path, file: { mode: '100644', open } }], () => `${path}\n`);
  return taken.commit;
}

large('a content is let go only when the push that needed it went through', async () => {
  const pointer = pointerTo(randomBytes(90));
  for (const kind of ['done', 'moved', 'refused'] as const) {
    const order: string[] = [];
    const result: PushResult = kind === 'refused' ? { kind, text: 'no', output: '' } : { kind, output: '' };
    const remote: Remote = {
      head: async () => 'absent',
      fetch: async () => 'absent',
      async push() {
        order.push('push');
        return result;
      },
    };
    const { push } = largeRemote(remote, {
      isOn: () => true,
      pointers: async () => [pointer],
      upload: async () => void order.push('upload'),
      async pushed() {
        order.push('pushed');
        throw new Error('GitLab went away in between');
      },
    });
    assert.is(await push('a' as Oid, null, { skipCi: false }), result, 'the push counts');
    assert.equal(order, kind === 'done' ? ['upload', 'push', 'pushed'] : ['upload', 'push']);
  }
});

large('a content is let go when GitLab gives it and no kept version needs it', async () => {
  const { dir, remove } = scratch();
  try {
    const store = openLargeStore(join(dir, 'large'));
    const [there, absent, kept] = [
      await store.keep([randomBytes(90)]),
      await store.keep([randomBytes(90)]),
      await store.keep([randomBytes(90)]),
    ];
    const never = pointerTo(randomBytes(90));
    const asked: (readonly Pointer[])[] = [];
    await letGo(store, [there, absent, kept, never], {
      kept: async () => [kept],
      async present(pointers) {
        asked.push(pointers);
        return pointers.filter((pointer) => pointer !== absent);
      },
    });
    assert.equal(asked, [[there, absent, kept]]);
    assert.not.ok(await store.has(there));
    assert.ok(await store.has(absent), 'the only copy there was');
    assert.ok(await store.has(kept));
  } finally {
    remove();
  }
});

large('a spoilt copy counts as none, and goes', async () => {
  const { dir, remove } = scratch();
  try {
    const store = openLargeStore(join(dir, 'large'));
    const [good, bad] = [await store.keep([randomBytes(900)]), await store.keep([randomBytes(900)])];
    writeFileSync(join(dir, 'large', bad.sha.slice(0, 2), bad.sha), randomBytes(900));
    assert.ok(await store.sound(good));
    assert.not.ok(await store.sound(bad));
    assert.not.ok(await store.has(bad));
    assert.ok(await store.has(good));
    assert.not.ok(await store.sound(pointerTo(randomBytes(900))));
  } finally {
    remove();
  }
});

large('what a crash left half-written goes, and what was kept stays', async () => {
  const { dir, remove } = scratch();
  try {
    const store = openLargeStore(join(dir, 'large'));
    await store.sweep();
    const content = randomBytes(2_000);
    const pointer = await store.keep([content.subarray(0, 7), content.subarray(7)]);
    assert.equal(pointer, pointerTo(content));
    mkdirSync(join(dir, 'large'), { recursive: true });
    const half = join(dir, 'large', `tmp-${randomUUID()}`);
    writeFileSync(half, 'half');
    await store.sweep();
    assert.not.ok(existsSync(half));
    assert.ok(await store.has(pointer));
    async function* broken(): AsyncGenerator<Buffer> {
      yield content;
      throw new Error('the file went away');
    }
    await store.keep(broken()).catch(() => undefined);
    assert.equal(
      readdirSync(join(dir, 'large')).filter((name) => name.startsWith('tmp-')),
      [],
    );
  } finally {
    remove();
  }
});

for (const choice of ['put-back', 'go-on'] as const) {
  large(`GitLab lost commits and their large files: ${choice} keeps what the folder alone has first`, () =>
    worldOf(async (world, contents) => {
      const old = world.tip();
      const content = Buffer.from('the only copy\n');
      world.push({ 'one.bin': contents.put(content), 'index.html': 'second\n' });
      await world.sync();
      assert.is(world.read('one.bin'), 'the only copy\n');
      git(world.bare, 'update-ref', 'refs/heads/main', old);
      contents.there.clear();
      const { hold } = await world.sync();
      assert.equal(contents.kept, []);
      await world.sync({ ...answering(hold, choice) });
      assert.equal(contents.kept, [pointerTo(content).sha]);
      assert.is(world.has('one.bin'), choice === 'put-back');
      assert.is(world.branch()['one.bin'], choice === 'put-back' ? textTo(content).trim() : undefined);
    }),
  );
}

large.run();
