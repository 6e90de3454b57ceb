import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { staysInside } from '../../src/model/link.ts';
import type { NotSynced } from '../../src/model/site.ts';
import type { SitePath } from '../../src/model/tree.ts';
import { type EngineWorld, type WorldOptions, engineWorld } from '../support/engine.ts';
import { git } from '../support/plain-git.ts';

/** Symbolic links: off, they are named and left alone; on, those that stay inside the site travel like files. */
const links = suite('sync/links');

const repository = { 'releases/1/page.html': 'one\n', 'releases/2/page.html': 'two\n', 'page.html': 'home\n' };
const on = { links: true } as const;

async function inWorld(options: WorldOptions, test: (world: EngineWorld) => Promise<void>): Promise<void> {
  const world = await engineWorld({ repository, ...options });
  try {
    await world.connect();
    await world.sync();
    await test(world);
  } finally {
    await world.close();
  }
}

function link(world: EngineWorld, path: string, target: string): void {
  const at = join(world.site, path);
  mkdirSync(dirname(at), { recursive: true });
  rmSync(at, { recursive: true, force: true });
  symlinkSync(target, at);
  world.directory.touched(at);
}

/** Somebody makes links at GitLab; `null` removes. */
function pushLinks(
  world: EngineWorld,
  changes: Record<string, string | null>,
  contents: Record<string, string> = {},
): void {
  const clone = join(world.dir, 'clone');
  git(clone, 'pull', '-q');
  for (const [path, target] of Object.entries(changes)) {
    rmSync(join(clone, path), { recursive: true, force: true });
    if (target === null) continue;
    mkdirSync(dirname(join(clone, path)), { recursive: true });
    symlinkSync(target, join(clone, path));
  }
  world.push(contents, 'Links');
}

/** What stands at a path: where a link leads, or what a file contains. */
function at(world: EngineWorld, path: string): string | undefined {
  const full = join(world.site, path);
  const stat = lstatSync(full, { throwIfNoEntry: false });
  if (stat?.isSymbolicLink()) return `-> ${readlinkSync(full)}`;
  return stat?.isFile() ? world.read(path).trimEnd() : undefined;
}

/** The same of the branch. */
function inBranch(world: EngineWorld, path: string): string | undefined {
  const row = git(world.bare, 'ls-tree', 'main', path);
  if (row === '') return undefined;
  const content = git(world.bare, 'cat-file', 'blob', `main:${path}`);
  return row.startsWith('120000') ? `-> ${content}` : content;
}

async function named(world: EngineWorld): Promise<Record<string, string>> {
  // What arrives with one look is named by the next.
  await world.sync();
  const { notSynced } = await world.sync({ trigger: 'rescan' });
  return Object.fromEntries(notSynced.map(({ path, reason }: NotSynced) => [path, reason.kind]));
}

async function isQuiet(world: EngineWorld): Promise<void> {
  const { pulled, pushed } = await world.sync({ trigger: 'rescan' });
  assert.equal([pulled, pushed], [[], []]);
  assert.equal(
    readdirSync(world.site).filter((name) => name.startsWith('.mooring-')),
    [],
    'nothing is left staged',
  );
}

const inside = ['page.html', './page.html', 'a/b', '../page.html', '..', '.', 'sub/', 'x/../y'.replace('x/../', '')];
const outside = ['/etc/passwd', '../../etc', '../../../etc', 'a/../..', 'a/..', '', '../.git/config', '.GIT', 'x\0y'];

links('a link stays inside where nothing it may pass through can lead out', () => {
  const path = 'folder/link' as SitePath;
  assert.equal(
    inside.filter((target) => !staysInside(path, target)),
    [],
  );
  assert.equal(
    outside.filter((target) => staysInside(path, target)),
    [],
  );
  assert.not(staysInside('link' as SitePath, '..'));
  assert.not(staysInside(path, 'x'.repeat(4_096)));
});

links('R23: off, a link travels in neither direction and is named, and what stands on the branch stays', () =>
  inWorld({}, async (world) => {
    link(world, 'current', 'releases/1');
    pushLinks(world, { latest: 'releases/2' });
    assert.equal(await named(world), { current: 'link', latest: 'link' });
    assert.equal([inBranch(world, 'current'), at(world, 'latest')], [undefined, undefined]);
    assert.is(inBranch(world, 'latest'), '-> releases/2');
    await isQuiet(world);
  }),
);

links('R23: on, a link is made, changed and removed in both directions', () =>
  inWorld({ settings: on }, async (world) => {
    link(world, 'current', 'releases/1');
    await world.sync({ trigger: 'watch' });
    assert.is(inBranch(world, 'current'), '-> releases/1');
    await isQuiet(world);
    link(world, 'current', 'releases/2');
    await world.sync({ trigger: 'watch' });
    assert.is(inBranch(world, 'current'), '-> releases/2');
    pushLinks(world, { current: 'releases/1', 'deep/down/up': '../../page.html' });
    await world.sync();
    assert.equal([at(world, 'current'), at(world, 'deep/down/up')], ['-> releases/1', '-> ../../page.html']);
    assert.is(world.read('current/page.html'), 'one\n');
    await isQuiet(world);
    pushLinks(world, { current: null });
    await world.sync();
    assert.is(at(world, 'current'), undefined);
    rmSync(join(world.site, 'deep/down/up'));
    world.directory.touched(join(world.site, 'deep/down/up'));
    await world.sync({ trigger: 'watch' });
    assert.is(inBranch(world, 'deep/down/up'), undefined);
    await isQuiet(world);
  }),
);

links('R23: on, a file becomes a link and a link a file, also with the same bytes, in both directions', () =>
  inWorld({ settings: on, repository: { ...repository, a: 'page.html', b: 'page.html' } }, async (world) => {
    link(world, 'a', 'page.html');
    await world.sync({ trigger: 'watch' });
    assert.is(inBranch(world, 'a'), '-> page.html');
    pushLinks(world, { b: 'page.html' });
    await world.sync();
    assert.is(at(world, 'b'), '-> page.html');
    await isQuiet(world);
    rmSync(join(world.site, 'a'));
    world.write('a', 'page.html');
    await world.sync({ trigger: 'watch' });
    assert.is(inBranch(world, 'a'), 'page.html');
    pushLinks(world, { b: null }, { b: 'page.html' });
    await world.sync();
    assert.is(at(world, 'b'), 'page.html');
    await isQuiet(world);
  }),
);

links('R23: on, a folder becomes a link and a link a folder, in both directions', () =>
  inWorld({ settings: on, repository: { ...repository, 'a/x': 'x\n', 'b/x': 'x\n' } }, async (world) => {
    link(world, 'a', 'releases');
    await world.sync({ trigger: 'watch' });
    assert.is(inBranch(world, 'a'), '-> releases');
    pushLinks(world, { b: 'releases' });
    await world.sync();
    assert.is(at(world, 'b'), '-> releases');
    assert.is(world.read('b/1/page.html'), 'one\n');
    await isQuiet(world);
    rmSync(join(world.site, 'a'));
    world.write('a/x', 'again\n');
    await world.sync({ trigger: 'watch' });
    assert.is(inBranch(world, 'a/x'), 'again');
    pushLinks(world, { b: null }, { 'b/x': 'again\n' });
    await world.sync();
    assert.is(at(world, 'b/x'), 'again');
    assert.equal([world.read('releases/1/page.html'), world.read('releases/2/page.html')], ['one\n', 'two\n']);
    await isQuiet(world);
  }),
);

links('a link that may lead out of the site is named and left alone on its own side', () =>
  inWorld({ settings: on }, async (world) => {
    link(world, 'out', '/etc/hostname');
    link(world, 'round', 'releases/../../etc');
    pushLinks(world, { evil: '../../../etc/passwd', 'page.html': '/etc/passwd', repo: '.git/config' });
    assert.equal(await named(world), {
      out: 'link-outside',
      round: 'link-outside',
      evil: 'link-outside',
      'page.html': 'link-outside',
      repo: 'link-outside',
    });
    assert.equal([inBranch(world, 'out'), inBranch(world, 'round')], [undefined, undefined]);
    assert.equal([at(world, 'evil'), at(world, 'repo'), at(world, 'page.html')], [undefined, undefined, 'home']);
    await isQuiet(world);
    // What was inside and leads out now stays on the branch as it was.
    link(world, 'current', 'releases/1');
    await world.sync({ trigger: 'watch' });
    link(world, 'current', '/var');
    await world.sync({ trigger: 'watch' });
    assert.equal([inBranch(world, 'current'), at(world, 'current')], ['-> releases/1', '-> /var']);
    pushLinks(world, { current: 'releases/2' });
    await world.sync();
    assert.is(at(world, 'current'), '-> /var', 'not ours to replace');
    assert.is((await named(world))['current'], 'link-outside');
  }),
);

links('nothing is written through a link: a file of the branch never lands where one leads', () =>
  inWorld({ settings: on }, async (world) => {
    link(world, 'current', 'releases/1');
    await world.sync({ trigger: 'watch' });
    const elsewhere = join(world.dir, 'elsewhere');
    mkdirSync(elsewhere);
    pushLinks(world, { current: null }, { 'current/page.html': 'a folder there\n' });
    rmSync(join(world.site, 'current'));
    symlinkSync(elsewhere, join(world.site, 'current'));
    world.directory.touched(join(world.site, 'current'));
    await world.sync();
    await world.sync({ trigger: 'rescan' });
    assert.equal(readdirSync(elsewhere), []);
    assert.is(world.read('releases/1/page.html'), 'one\n');
    assert.ok(existsSync(join(world.site, 'current')));
  }),
);

links('both sides change a link, or one makes it a file: one version is live and the other is kept', () =>
  inWorld({ settings: on }, async (world) => {
    for (const path of ['one', 'two', 'three']) link(world, path, 'releases/1');
    await world.sync({ trigger: 'watch' });
    link(world, 'one', 'releases/2');
    rmSync(join(world.site, 'two'));
    world.write('two', 'a file here\n');
    link(world, 'three', 'releases');
    pushLinks(world, { one: 'page.html', two: 'releases/2', three: null }, { three: 'a file there\n' });
    await world.sync();
    await world.sync({ trigger: 'rescan' });
    for (const path of ['one', 'two', 'three']) assert.is(at(world, path), inBranch(world, path), path);
    assert.equal(
      ['one', 'two', 'three'].map((path) => at(world, path)),
      ['-> page.html', '-> releases/2', 'a file there'],
    );
    const history = git(world.bare, 'log', '--all', '--format=%H', 'main').split('\n').filter(Boolean);
    const ever = history.flatMap((commit) =>
      ['one', 'two', 'three'].map(
        (path) => git(world.bare, 'ls-tree', commit, path) && git(world.bare, 'show', `${commit}:${path}`),
      ),
    );
    for (const version of ['releases/2', 'a file here', 'releases']) assert.ok(ever.includes(version), version);
    await isQuiet(world);
  }),
);

links('turned on, what was refused arrives, what is here is committed, and turned off again nothing goes', () =>
  inWorld({}, async (world) => {
    link(world, 'here', 'releases/1');
    link(world, 'both', 'releases/1');
    link(world, 'other', 'releases/1');
    pushLinks(world, { there: 'releases/2', both: 'releases/1', other: 'releases/2', 'page.html': 'releases/1' });
    await world.sync();
    Object.assign(world.siteModel.settings, on);
    await world.sync({ trigger: 'rescan' });
    await world.sync({ trigger: 'rescan' });
    for (const path of ['here', 'there', 'both', 'other', 'page.html'])
      assert.is(at(world, path), inBranch(world, path), path);
    assert.is(at(world, 'page.html'), '-> releases/1');
    assert.is(at(world, 'here'), '-> releases/1');
    await isQuiet(world);
    delete (world.siteModel.settings as { links?: true }).links;
    link(world, 'here', 'releases/2');
    rmSync(join(world.site, 'both'));
    world.directory.touched(join(world.site, 'both'));
    await world.sync({ trigger: 'rescan' });
    assert.equal([inBranch(world, 'here'), at(world, 'here')], ['-> releases/1', '-> releases/2']);
    pushLinks(world, { here: null });
    await world.sync();
    assert.is(at(world, 'here'), '-> releases/2', 'it belongs to the folder alone now');
    await isQuiet(world);
  }),
);

links('a first connect keeps and replaces links like files', async () => {
  const world = await engineWorld({ repository, settings: on });
  try {
    pushLinks(world, { current: 'releases/2' });
    link(world, 'current', 'releases/1');
    writeFileSync(join(world.site, 'own.html'), 'own\n');
    const { replaced, removed } = await world.plan('replace');
    assert.equal([replaced, removed], [1, 1]);
    await world.connect();
    assert.is(at(world, 'current'), '-> releases/2');
    const [kept] = await world.repository.kept();
    const { files } = await world.repository.keptFiles(kept!.id);
    assert.is(files.find(({ path }) => path === 'current')?.mode, '120000');
    await isQuiet(world);
  } finally {
    await world.close();
  }
});

links.run();
