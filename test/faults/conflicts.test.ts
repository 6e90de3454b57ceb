import { existsSync, lstatSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type EngineWorld, engineWorld } from '../support/engine.ts';
import { git, gitBytes } from '../support/plain-git.ts';
import { commitOf, inline, plant } from './support.ts';

/**
 * F25: every pair of changes that the two sides can make at the same path, text and binary, under both policies.
 * Whatever the pair: both sides end equal, every content written is reachable, nothing is written beside the live
 * files, a clean merge only where text does not overlap, and whatever did not become live is named.
 */
const conflicts = suite('conflicts');

type Side = Record<string, string | null>;

interface Pair {
  readonly name: string;
  readonly base: Record<string, string>;
  /** What the folder does, and the branch. `null` removes. */
  readonly ours: Side;
  readonly theirs: Side;
  /** Live files in the end, by policy; where absent, the same as `repository`. */
  readonly repository: Record<string, string>;
  readonly site?: Record<string, string>;
  /** Paths that must be named as conflicts. */
  readonly named: readonly string[];
  /** … with the policy `site`, where it differs. */
  readonly namedSite?: readonly string[];
}

const binary = (what: string): string => `\0\u0001\u0002${what}\0`.repeat(40);
const keep = { 'keep.txt': 'keep\n', 'more.txt': 'more\n' };
const text = 'one\ntwo\nthree\nfour\nfive\nsix\nseven\n';
/** Long enough for git to see a rename. */
const page = Array.from({ length: 30 }, (_, i) => `line ${i}\n`).join('');

const pairs: readonly Pair[] = [
  {
    name: 'edit and edit of the same line',
    base: { x: 'base\n' },
    ours: { x: 'ours\n' },
    theirs: { x: 'theirs\n' },
    repository: { x: 'theirs\n' },
    site: { x: 'ours\n' },
    named: ['x'],
  },
  {
    name: 'edit and edit of different lines',
    base: { x: text },
    ours: { x: text.replace('one', 'ONE') },
    theirs: { x: text.replace('seven', 'SEVEN') },
    repository: { x: text.replace('one', 'ONE').replace('seven', 'SEVEN') },
    named: [],
  },
  {
    name: 'the same edit on both sides',
    base: { x: 'base\n' },
    ours: { x: 'same\n' },
    theirs: { x: 'same\n' },
    repository: { x: 'same\n' },
    named: [],
  },
  {
    name: 'binary edit and edit',
    base: { x: binary('base') },
    ours: { x: binary('ours') },
    theirs: { x: binary('theirs') },
    repository: { x: binary('theirs') },
    site: { x: binary('ours') },
    named: ['x'],
  },
  {
    name: 'text made binary here and edited there',
    base: { x: text },
    ours: { x: binary('ours') },
    theirs: { x: text.replace('one', 'ONE') },
    repository: { x: text.replace('one', 'ONE') },
    site: { x: binary('ours') },
    named: ['x'],
  },
  {
    name: 'edit here, removal there',
    base: { x: 'base\n' },
    ours: { x: 'ours\n' },
    theirs: { x: null },
    repository: { x: 'ours\n' },
    named: ['x'],
  },
  {
    name: 'removal here, edit there',
    base: { x: 'base\n' },
    ours: { x: null },
    theirs: { x: 'theirs\n' },
    repository: { x: 'theirs\n' },
    named: ['x'],
  },
  {
    name: 'binary edit here, removal there',
    base: { x: binary('base') },
    ours: { x: binary('ours') },
    theirs: { x: null },
    repository: { x: binary('ours') },
    named: ['x'],
  },
  {
    name: 'removal on both sides',
    base: { x: 'base\n' },
    ours: { x: null },
    theirs: { x: null },
    repository: {},
    named: [],
  },
  {
    name: 'add and add',
    base: {},
    ours: { x: 'ours\n' },
    theirs: { x: 'theirs\n' },
    repository: { x: 'theirs\n' },
    site: { x: 'ours\n' },
    named: ['x'],
  },
  {
    name: 'binary add and add',
    base: {},
    ours: { x: binary('ours') },
    theirs: { x: binary('theirs') },
    repository: { x: binary('theirs') },
    site: { x: binary('ours') },
    named: ['x'],
  },
  {
    name: 'the same add on both sides',
    base: {},
    ours: { x: 'same\n' },
    theirs: { x: 'same\n' },
    repository: { x: 'same\n' },
    named: [],
  },
  {
    name: 'a file added here, a folder there',
    base: {},
    ours: { x: 'ours\n' },
    theirs: { 'x/in.txt': 'theirs\n' },
    repository: { 'x/in.txt': 'theirs\n' },
    site: { x: 'ours\n' },
    named: ['x'],
    namedSite: ['x/in.txt'],
  },
  {
    name: 'a folder added here, a file there',
    base: {},
    ours: { 'x/in.txt': 'ours\n' },
    theirs: { x: 'theirs\n' },
    repository: { x: 'theirs\n' },
    site: { 'x/in.txt': 'ours\n' },
    named: ['x/in.txt'],
    namedSite: ['x'],
  },
  {
    name: 'a file becomes a folder here and is edited there',
    base: { x: 'base\n' },
    ours: { x: null, 'x/in.txt': 'ours\n' },
    theirs: { x: 'theirs\n' },
    repository: { x: 'theirs\n' },
    site: { 'x/in.txt': 'ours\n' },
    named: ['x', 'x/in.txt'],
    namedSite: ['x'],
  },
  {
    name: 'a file is edited here and becomes a folder there',
    base: { x: 'base\n' },
    ours: { x: 'ours\n' },
    theirs: { x: null, 'x/in.txt': 'theirs\n' },
    repository: { 'x/in.txt': 'theirs\n' },
    site: { x: 'ours\n' },
    named: ['x'],
    namedSite: ['x', 'x/in.txt'],
  },
  {
    name: 'a folder becomes a file here, a file in it is edited there',
    base: { 'x/in.txt': 'base\n' },
    ours: { 'x/in.txt': null, x: 'ours\n' },
    theirs: { 'x/in.txt': 'theirs\n' },
    repository: { 'x/in.txt': 'theirs\n' },
    site: { x: 'ours\n' },
    named: ['x', 'x/in.txt'],
    namedSite: ['x/in.txt'],
  },
  {
    name: 'renamed to two names',
    base: { a: page },
    ours: { a: null, b: page },
    theirs: { a: null, c: page },
    repository: { b: page, c: page },
    named: [],
  },
  {
    name: 'renamed to two names, each with its edit',
    base: { a: page },
    ours: { a: null, b: `${page}ours\n` },
    theirs: { a: null, c: `${page}theirs\n` },
    repository: { b: `${page}ours\n`, c: `${page}theirs\n` },
    named: [],
  },
  {
    name: 'renamed here, removed there',
    base: { a: page },
    ours: { a: null, b: page },
    theirs: { a: null },
    repository: { b: page },
    named: [],
  },
  {
    name: 'removed here, renamed there',
    base: { a: page },
    ours: { a: null },
    theirs: { a: null, b: page },
    repository: { b: page },
    named: [],
  },
  {
    name: 'renamed here, edited there',
    base: { a: page },
    ours: { a: null, b: page },
    theirs: { a: `${page}theirs\n` },
    repository: { b: `${page}theirs\n` },
    named: [],
  },
  {
    name: 'edited here, renamed there',
    base: { a: page },
    ours: { a: `${page}ours\n` },
    theirs: { a: null, b: page },
    repository: { b: `${page}ours\n` },
    named: [],
  },
  {
    name: 'renamed here onto a name that was added there',
    base: { a: page },
    ours: { a: null, b: page },
    theirs: { b: 'theirs\n' },
    repository: { b: 'theirs\n' },
    site: { b: page },
    named: ['b'],
  },
  {
    name: 'renamed here onto a name added there, and the old name edited there',
    base: { a: page },
    ours: { a: null, b: page },
    theirs: { a: `${page}theirs\n`, b: 'other\n' },
    repository: { a: `${page}theirs\n`, b: 'other\n' },
    site: { a: `${page}theirs\n`, b: page },
    named: ['a', 'b'],
  },
  {
    name: 'two files renamed onto one name',
    base: { a: page, b: page.replaceAll('line', 'row') },
    ours: { a: null, c: page },
    theirs: { b: null, c: page.replaceAll('line', 'row') },
    repository: { c: page.replaceAll('line', 'row') },
    site: { c: page },
    named: ['c'],
  },
];

for (const policy of ['repository', 'site'] as const) {
  for (const pair of pairs) {
    conflicts(`F25: ${pair.name}, policy ${policy}`, () => meet(pair, policy));
  }
}

async function meet(pair: Pair, policy: 'repository' | 'site'): Promise<void> {
  const world = await engineWorld({ repository: { ...keep, ...pair.base }, settings: { policy } });
  try {
    await world.connect();
    world.push(pair.theirs);
    act(world, pair.ours);
    const outcome = await world.sync();
    for (let i = 0; i < 3; i += 1) {
      const again = await world.sync({ trigger: i === 1 ? 'rescan' : 'person' });
      assert.equal([again.pushed, again.pulled, again.lost], [[], [], []], 'it was not over after one sync');
    }
    const named = (policy === 'site' ? pair.namedSite : undefined) ?? pair.named;
    const live = bytesOf(world);
    const wanted = { ...keep, ...(policy === 'site' ? (pair.site ?? pair.repository) : pair.repository) };
    assert.equal(live, wanted);
    assert.equal(branchBytes(world), wanted);
    assert.equal(outcome.lost.map(({ path }) => path as string).sort(), [...named].sort());
    for (const content of [...Object.values(pair.ours), ...Object.values(pair.theirs)])
      if (content !== null) assert.ok(reachable(world, content), 'a content that was written is not to be found');
  } finally {
    await world.close();
  }
}

function act(world: EngineWorld, side: Side): void {
  for (const [path, content] of Object.entries(side)) if (content === null) world.remove(path);
  for (const [path, content] of Object.entries(side)) {
    if (content === null) continue;
    // An emptied folder in the way, as an admin would have removed it.
    const full = join(world.site, path);
    if (existsSync(full) && statSync(full).isDirectory()) rmSync(full, { recursive: true });
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, content);
    world.directory.touched(full);
  }
}

function bytesOf(world: EngineWorld): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of readdirSync(world.site, { recursive: true }) as string[]) {
    if (name.includes('.mooring-')) continue;
    const full = join(world.site, name);
    if (lstatSync(full).isFile()) found[name] = readFileSync(full, 'utf8');
  }
  return found;
}

function branchBytes(world: EngineWorld): Record<string, string> {
  const names = git(world.bare, 'ls-tree', '-r', '--name-only', 'main').split('\n').filter(Boolean);
  return Object.fromEntries(names.map((name) => [name, gitBytes(world.bare, 'show', `main:${name}`).toString('utf8')]));
}

/** On GitLab, in the branch's history. */
function reachable(world: EngineWorld, content: string): boolean {
  const file = join(world.dir, 'content');
  writeFileSync(file, content);
  const oid = git(world.dir, 'hash-object', '--no-filters', file);
  return git(world.bare, 'rev-list', '--objects', 'main').includes(oid);
}

conflicts('F25: the x bit set there and an edit here are both in the result', async () => {
  const world = await engineWorld({ repository: { ...keep, 'run.sh': 'base\n' } });
  try {
    await world.connect();
    const oid = git(world.bare, 'rev-parse', 'main:run.sh');
    plant(world.bare, commitOf([`M 100755 ${oid} run.sh`]));
    act(world, { 'run.sh': 'ours\n' });
    const outcome = await world.sync();
    await world.sync();
    assert.equal(outcome.lost, []);
    assert.match(git(world.bare, 'ls-tree', 'main', 'run.sh'), /^100755/);
    assert.is(git(world.bare, 'show', 'main:run.sh'), 'ours');
  } finally {
    await world.close();
  }
});

conflicts('F25: a file edited here that became a link there: the edit is not lost and no link is made', async () => {
  const world = await engineWorld({ repository: { ...keep, x: 'base\n' } });
  try {
    await world.connect();
    plant(world.bare, commitOf([inline('x', '/etc/passwd', '120000')]));
    act(world, { x: 'ours\n' });
    await world.sync();
    await world.sync();
    await world.sync({ trigger: 'rescan' });
    assert.not(existsSync(join(world.site, 'x')) && lstatSync(join(world.site, 'x')).isSymbolicLink());
    assert.ok(reachable(world, 'ours\n'), 'the edit is not to be found on GitLab');
  } finally {
    await world.close();
  }
});

conflicts(
  'F25: a file that became a link there is left as it is here, named, and never pushed over the link',
  async () => {
    const world = await engineWorld({ repository: { ...keep, x: 'base\n' } });
    try {
      await world.connect();
      plant(world.bare, commitOf([inline('x', '/etc/passwd', '120000')]));
      const outcome = await world.sync();
      assert.ok(outcome.notSynced.some(({ path, reason }) => path === 'x' && reason.kind === 'link'));
      const tip = world.tip();
      await world.sync({ trigger: 'rescan' });
      assert.is(world.tip(), tip);
      assert.not(existsSync(join(world.site, 'x')) && lstatSync(join(world.site, 'x')).isSymbolicLink());
    } finally {
      await world.close();
    }
  },
);

conflicts.run();
