import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { realFs } from '../../src/files/disk.ts';
import type { ProblemCode } from '../../src/model/problem.ts';
import { describe } from '../../src/model/remedy.ts';
import type { NotSynced } from '../../src/model/site.ts';
import type { Oid } from '../../src/model/tree.ts';
import type { Fs } from '../../src/model/world.ts';
import { Doom, doomedFs } from '../soak/doom.ts';
import { folderFiles, leftovers, treeFiles } from '../soak/oracle.ts';
import { beat } from '../support/beat.ts';
import { engineWorld } from '../support/engine.ts';
import { git } from '../support/plain-git.ts';
import { type Order, type Victim, faultyFs, newOrder } from './faulty-fs.ts';
import { type KeptWorld, fault, inlineScanner, kept } from './support.ts';

/**
 * Every call of the file port fails with every errno, once and always, while edits wait on both sides. The run ends,
 * the right scope stops, nothing is lost, nothing counts as a deletion, and all is well when the errno is gone.
 * Every day runs a part of the combinations that is always the same. `MOORING_ERRNO=wide` takes an hour or two: every
 * errno at every call that always fails, and every single call that fails once, with errnos of each scope by turns.
 * `MOORING_ERRNO=all` runs everything, which takes a night. `MOORING_ONLY` narrows by name, as a pattern.
 */
const table = suite('every errno at every call');
const extent = process.env['MOORING_ERRNO'] ?? '';
const only = new RegExp(process.env['MOORING_ONLY'] ?? '');

const ofPath = [
  ...['EACCES', 'EPERM', 'EROFS', 'EXDEV', 'EINVAL', 'ENOSYS', 'EOPNOTSUPP', 'EIO', 'EMLINK', 'ENAMETOOLONG'],
  ...['ETXTBSY', 'ESTALE', 'EBUSY', 'EINTR', 'ELOOP'],
];
const ofDisk = ['ENOSPC', 'EDQUOT'];
const ofProcess = ['EMFILE', 'ENFILE', 'ENOMEM'];
const errnos = [...ofPath, ...ofDisk, ...ofProcess];
const unsupported = ['EINVAL', 'ENOSYS', 'EOPNOTSUPP'];
/** Calls that some disks lack, and what such a disk answers: the next way is taken. */
const tried: readonly (keyof Fs)[] = ['exchange', 'renameNoReplace', 'link', 'chmod', 'chown'];
const lacking = [...unsupported, 'EPERM', 'EACCES', 'EXDEV', 'EMLINK'];

/** What stops while a call always fails with an errno of a path. */
const scopes: Readonly<Partial<Record<keyof Fs, 'site' | 'path' | 'nothing'>>> = {
  ...{ openRoot: 'site', list: 'site', stat: 'site', statOpen: 'site', createFile: 'site' },
  ...{
    openDirectory: 'path',
    openFile: 'path',
    read: 'path',
    readSmall: 'path',
    fsync: 'path',
    rename: 'path',
    attributes: 'path',
  },
  // Nothing can be staged then.
  ...{ write: 'site', makeDirectory: 'site' },
  ...{ close: 'nothing', free: 'nothing', removeDirectory: 'nothing', unlink: 'nothing' },
};
/** Calls that may fail without anybody having to know. */
const harmless: readonly (keyof Fs)[] = ['close', 'removeDirectory'];

function scopeOf({ call, errno }: Order, way: Way): 'site' | 'path' | 'nothing' | undefined {
  if (!ofPath.includes(errno)) return harmless.includes(call) ? 'nothing' : 'site';
  if (tried.includes(call)) {
    if (!lacking.includes(errno)) return 'site';
    return isWeakest({ call, errno }, way) ? 'path' : 'nothing';
  }
  // A name that the disk cannot hold is not there, and not the root's fault.
  if (call === 'stat' && ['EINVAL', 'ENAMETOOLONG'].includes(errno)) return 'path';
  return scopes[call];
}

/** Platforms: with `renameat2`, and without. */
const ways = ['exchange', 'link'] as const;
type Way = (typeof ways)[number];

function platform(way: Way): Fs {
  const { exchange, renameNoReplace, ...rest } = realFs();
  if (way === 'link') return rest;
  if (!exchange || !renameNoReplace) throw new Error('this kernel cannot exchange two names');
  return { ...rest, exchange, renameNoReplace };
}

const repository = {
  '.gitignore': 'cache/\n',
  'index.html': 'home 0\n',
  'about.md': 'about 0\n',
  'posts/a.md': 'a 0\n',
  'posts/b.md': 'b 0\n',
  'posts/old.md': 'old 0\n',
  'posts/gone.md': 'gone 0\n',
  'deep/er/x.md': 'x 0\n',
  'deep/er/y.md': 'y 0\n',
  'img/logo.txt': 'logo 0\n',
  'held.md': 'held 0\n',
};
const heldOfGitLab = { 'held.md': 'held of GitLab\n' };
const theirs = {
  'index.html': 'home of GitLab\n',
  'posts/a.md': 'a of GitLab\n',
  'posts/new.md': 'new of GitLab\n',
  'fresh/dir/n.md': 'n of GitLab\n',
  'posts/old.md': null,
  'img/logo.txt': null,
};
const ours = {
  'about.md': 'about of the folder\n',
  'deep/er/x.md': 'x of the folder\n',
  'deep/er/z.md': 'z of the folder\n',
  'local/new.md': 'new of the folder\n',
};
const values = [repository, heldOfGitLab, theirs, ours]
  .flatMap((files): (string | null)[] => Object.values(files))
  .filter((text) => text !== null);
/** What somebody removed: the only paths that may go. */
const removed = new Set(['posts/old.md', 'img/logo.txt', 'posts/gone.md']);
const staying = Object.keys(repository).filter((path) => !removed.has(path));
/** What both sides come to. */
const agreed = new Map(
  Object.entries({ ...repository, ...heldOfGitLab, ...theirs, ...ours })
    .filter((file): file is [string, string] => file[1] !== null && !removed.has(file[0]))
    .sort(),
);

/** What was before the errno: nothing in particular, or a process that ended in the middle of an apply. */
const pasts = ['', ' after a crash'] as const;
type Past = (typeof pasts)[number];
const beginnings = pasts.flatMap((past) => ways.map((way) => ({ way, past })));

/** Whether nothing is left by which a file could be replaced without the chance of a loss. */
function isWeakest({ call, errno }: Pick<Order, 'call' | 'errno'>, way: Way): boolean {
  return call === 'link' && way === 'link' && lacking.includes(errno);
}

/** A connected site with edits on both sides, and a file that was replaced a moment ago; made once and copied. */
async function template(root: string, way: Way, past: Past): Promise<string> {
  const dir = mkdtempSync(join(root, `template-${way}-`));
  // With links: one file is aside, and not at its name. By exchange: one is done and nobody knows.
  const doom = new Doom(2, join(dir, 'state'), way);
  const fs = doomedFs(platform(way), doom);
  const world = await engineWorld({ keep: dir, repository, fs, scanner: inlineScanner(fs) });
  await world.connect();
  await world.sync();
  world.push(heldOfGitLab);
  await world.sync();
  world.push(theirs);
  doom.armed = past !== '';
  if (doom.armed) await world.sync().catch(() => undefined);
  assert.is(doom.dead, doom.armed, 'the point of the crash was not reached');
  for (const [path, content] of Object.entries(ours)) world.write(path, content);
  world.write('cache/private.txt', 'must not travel\n');
  world.remove('posts/gone.md');
  await world.close();
  await doom.buried();
  // Nothing that only makes each copy slower.
  for (const name of ['clone', 'gitlab.git/hooks', 'state/repo.git/hooks'])
    rmSync(join(dir, name), { recursive: true, force: true });
  return dir;
}

type TemplateOf = (way: Way, past?: Past) => string;

async function withTemplates(use: (templateOf: TemplateOf) => Promise<void>): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), 'mooring-test-errno-'));
  const made = new Map<string, string>();
  try {
    for (const { way, past } of beginnings) made.set(way + past, await template(root, way, past));
    await use((way, past = '') => made.get(way + past) as string);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

interface Case {
  readonly name: string;
  readonly way: Way;
  readonly past: Past;
  readonly order: Order;
}

async function inCopy(
  templateOf: TemplateOf,
  { way, past, order }: Pick<Case, 'way' | 'past' | 'order'>,
  test: (world: KeptWorld) => Promise<void>,
): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'mooring-test-errno-'));
  const fs = faultyFs(platform(way), order);
  // Read, not asked of a git: thousands of polls.
  const head = async (): Promise<Oid> => readFileSync(join(dir, 'gitlab.git/refs/heads/main'), 'utf8').trim() as Oid;
  try {
    execFileSync('cp', ['-a', `${templateOf(way, past)}/.`, dir]);
    const remote = { remote: (real) => ({ ...real, head }) } satisfies Parameters<typeof kept>[0];
    await kept({ keep: dir, copied: true, fs, scanner: inlineScanner(fs), ...remote }, test);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** What the site says after a round. */
interface Said {
  readonly problem: ProblemCode | undefined;
  readonly text: string;
  readonly notSynced: readonly NotSynced[];
}

const rounds = ['poll', 'rescan', 'poll'] as const;

/** Rounds with the errno; before the last, the time comes in which a replaced file is looked at once more. */
async function during(world: KeptWorld, order: Order): Promise<readonly Said[]> {
  const said: Said[] = [];
  order.on = true;
  for (const trigger of rounds) {
    if (said.length === 2) world.later(660_000);
    await world.triggered(trigger);
    const { problem, notSynced } = world.worker.status();
    said.push({ problem: problem?.code, text: JSON.stringify(problem ?? ''), notSynced });
    // What a crash left aside comes back as soon as a run gets through.
    if (!problem) nothingGone(world);
    else nothingGone(world, ['index.html']);
  }
  order.on = false;
  return said;
}

function nothingGone(world: KeptWorld, but: readonly string[] = []): void {
  const gone = staying.filter((path) => !but.includes(path) && !existsSync(join(world.site, path)));
  assert.equal(gone, [], 'gone from the folder');
}

async function heals(world: KeptWorld): Promise<void> {
  for (const trigger of ['poll', 'rescan', 'poll', 'rescan'] as const) {
    await world.triggered(trigger);
    nothingGone(world);
    if (trigger === 'rescan' && isWell(world)) break;
  }
  const { state, notSynced, problem } = world.worker.status();
  assert.equal({ state, notSynced, problem }, { state: 'in-sync', notSynced: [], problem: undefined }, 'not healed');
  assert.equal(branchOf(world), agreed, 'the branch');
  assert.equal(folderOf(world), agreed, 'the folder');
  const rows = git(world.bare, 'log', '--no-merges', '--no-renames', '--raw', '-p', '--format=', 'main').split('\n');
  const gone = rows.flatMap((row) => /^:.* D\t(.*)$/.exec(row)?.[1] ?? []);
  assert.equal(
    gone.filter((path) => !removed.has(path)),
    [],
    'a removal was pushed',
  );
  const found = new Set(rows.filter((row) => row.startsWith('+')));
  assert.equal(
    values.filter((content) => !found.has(`+${content.trim()}`)),
    [],
    'lost',
  );
  world.later(2_000_000);
  await world.triggered('rescan');
  assert.equal(
    leftovers(world).filter((text) => text.startsWith('site: ')),
    [],
    'left behind',
  );
}

function isWell({ worker }: KeptWorld): boolean {
  const { state, notSyncedCount, problem } = worker.status();
  return state === 'in-sync' && notSyncedCount === 0 && problem === undefined;
}

const branchOf = ({ bare }: KeptWorld): Map<string, string> => new Map([...treeFiles(bare, 'main')].sort());

function folderOf({ site }: KeptWorld): Map<string, string> {
  const files = folderFiles(site);
  assert.is(files.get('cache/private.txt'), 'must not travel\n');
  files.delete('cache/private.txt');
  return new Map([...files].sort());
}

/** The problems that an errno may be told as. */
function problemsOf(errno: string): readonly ProblemCode[] {
  if (ofDisk.includes(errno)) return ['disk-full'];
  if (ofProcess.includes(errno)) return ['out-of-resources'];
  return ['folder-unreadable', 'folder-unwritable', 'folder-missing', 'folder-link'];
}

async function oneCase(templateOf: TemplateOf, one: Case): Promise<void> {
  const { order } = one;
  await inCopy(templateOf, one, async (world) => {
    const said = await during(world, order);
    const problems = problemsOf(order.errno);
    for (const { problem, text } of said) assert.ok(!problem || problems.includes(problem), `told as ${text}`);
    const named = said.flatMap(({ notSynced }) => notSynced);
    const reasons = [order.errno, ...(isWeakest(order, one.way) ? ['no-capture'] : [])];
    for (const { path, reason } of named) {
      const told = 'errno' in reason ? reason.errno : reason.kind;
      assert.ok(reasons.includes(told), `${path}: ${JSON.stringify(reason)}`);
    }
    if (order.at === undefined && one.past === '')
      assert.is(scopeIn(said), scopeOf(order, one.way), `scope: ${JSON.stringify(said)}`);
    await heals(world);
  });
}

function scopeIn(said: readonly Said[]): 'site' | 'path' | 'nothing' | 'now this, now that' {
  const stopped = said.filter(({ problem }) => problem !== undefined).length;
  if (stopped > 0) return stopped === said.length ? 'site' : 'now this, now that';
  return said.some(({ notSynced }) => notSynced.length > 0) ? 'path' : 'nothing';
}

/** Every call that is made where nothing fails, with every errno. */
async function combinations(templateOf: TemplateOf): Promise<Case[]> {
  const found: Case[] = [];
  for (const beginning of beginnings) {
    const counts = newOrder({ call: 'close', errno: 'EIO', at: 0 });
    await inCopy(templateOf, { ...beginning, order: counts }, async (world) => {
      await during(world, counts);
      await heals(world);
    });
    for (const [call, times] of Object.entries(counts.counted) as [keyof Fs, number][]) {
      for (const errno of errnos) {
        for (const at of [undefined, ...Array.from({ length: times }, (_, n) => n + 1)]) {
          const { way, past } = beginning;
          const name = `${way}${past}: ${call} ${errno} ${at === undefined ? 'always' : `once, at ${at} of ${times}`}`;
          found.push({ ...beginning, name, order: newOrder({ call, errno, ...(at === undefined ? {} : { at }) }) });
        }
      }
    }
  }
  return found;
}

/**
 * Every call with every sixth errno and every errno with every sixth call, by turns once and always, from one
 * beginning and another, and at another call of the kind.
 */
function sample(cases: readonly Case[]): Case[] {
  const groups = Map.groupBy(cases, ({ order }) => order.call);
  return [...groups.values()].flatMap((ofCall, row) =>
    errnos.flatMap((errno, column) => {
      const turn = (row + column) / 6;
      if (!Number.isInteger(turn)) return [];
      const ofErrno = ofCall.filter(({ order }) => order.errno === errno);
      const { way, past } = beginnings[turn % beginnings.length] as (typeof beginnings)[number];
      const here = ofErrno.filter((one) => one.way === way && one.past === past);
      const choice = here.length > 0 ? here : ofErrno;
      const once = choice.filter(({ order }) => order.at !== undefined);
      const always = choice.filter(({ order }) => order.at === undefined);
      return (turn % 3 === 0 ? always[0] : once[(turn * 13 + row) % once.length]) ?? [];
    }),
  );
}

/** All that always fail; and of those that fail once, at each call one errno of each scope. */
function wide(cases: readonly Case[]): Case[] {
  return cases.filter(({ order: { at, errno } }) => {
    if (at === undefined) return true;
    const scope = [ofPath, ofDisk, ofProcess].find((of) => of.includes(errno)) as readonly string[];
    return scope[at % scope.length] === errno;
  });
}

/** What is wrong at one call is wrong at its neighbours: a long run shows all kinds of it early. */
function scattered<T>(items: readonly T[]): T[] {
  const step = 7_919;
  return items.length % step === 0 ? [...items] : items.map((_, i) => items[(i * step) % items.length] as T);
}

async function inTurns<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  const left = items[Symbol.iterator]();
  const worker = async (): Promise<void> => {
    for (let next = left.next(); !next.done; next = left.next()) await work(next.value);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

/** Runs all of them and tells of those that fail. */
async function each<T extends { readonly name: string }>(cases: readonly T[], run: (one: T) => Promise<void>) {
  const failures: string[] = [];
  let ran = 0;
  await inTurns(cases, 3, async (one) => {
    ran += 1;
    beat(`${ran} of ${cases.length}: ${one.name}`);
    await run(one).catch((error: unknown) => {
      failures.push(`${one.name}: ${text(error)}`);
      if (extent) process.stderr.write(`${failures.at(-1)}\n`);
    });
  });
  assert.is(failures.length, 0, `\n${failures.length} failed\n${failures.join('\n')}`);
}

const text = (error: unknown): string =>
  error instanceof Error
    ? `${error.message}${'actual' in error ? ` ${JSON.stringify(error.actual)}` : ''}`.slice(0, 600)
    : String(error);

table('the run ends, the right scope stops, nothing is lost, nothing counts as a deletion, and it heals', () =>
  withTemplates(async (templateOf) => {
    const combined = await combinations(templateOf);
    const some = extent === 'all' ? combined : extent === 'wide' ? wide(combined) : sample(combined);
    const chosen = scattered(some.filter(({ name }) => only.test(name)));
    process.stdout.write(`\nnote: ${chosen.length} of ${combined.length} combinations of call, errno and time\n`);
    await each(chosen, (one) => oneCase(templateOf, one));
    const unmet = chosen.filter(({ order }) => order.met === 0 && order.at === undefined);
    assert.equal(unmet, [], 'errnos that nobody met');
  }),
);

/** One path for which a call always fails, and what becomes of it. */
interface Sufferer extends Victim {
  readonly call: keyof Fs;
  readonly named: Readonly<Record<string, 'unreadable' | 'unwritable' | 'unremovable'>>;
  /** What does not arrive meanwhile; absent: what is named. */
  readonly waits?: readonly string[];
  /** Errnos that harm nobody here. */
  readonly except?: readonly string[];
  readonly way?: Way;
}

const x = 'deep/er/x.md';
const index = { path: 'index.html', named: { 'index.html': 'unwritable' } } as const;
const staged = { ...index, content: theirs['index.html'] };
const sufferers: readonly Sufferer[] = [
  { call: 'stat', path: x, named: { [x]: 'unreadable' } },
  { call: 'openFile', path: x, named: { [x]: 'unreadable' } },
  { call: 'read', path: x, named: { [x]: 'unreadable' } },
  { call: 'list', path: 'deep/er', named: { 'deep/er': 'unreadable' }, waits: [x, 'deep/er/z.md'] },
  { call: 'openDirectory', path: 'deep', named: { deep: 'unreadable' }, waits: [x, 'deep/er/z.md'] },
  // Nothing new may be told from what the rules leave out.
  {
    ...{ call: 'readSmall', path: '.gitignore', named: { '.gitignore': 'unreadable' } },
    waits: ['local/new.md', 'deep/er/z.md'],
  },
  { call: 'write', ...staged },
  { call: 'chmod', ...staged },
  { call: 'chown', ...staged, except: [...unsupported, 'EPERM'] },
  { call: 'fsync', ...staged },
  { call: 'attributes', ...index },
  { call: 'exchange', ...index, except: unsupported },
  { call: 'rename', ...index, way: 'link' },
  { call: 'link', ...index, way: 'link' },
  { call: 'link', path: 'posts/new.md', except: unsupported, named: { 'posts/new.md': 'unwritable' } },
  { call: 'makeDirectory', path: 'fresh', named: { 'fresh/dir/n.md': 'unwritable' } },
  { call: 'rename', path: 'posts/old.md', named: { 'posts/old.md': 'unremovable' } },
  {
    ...{ call: 'fsync', path: 'posts', except: unsupported, waits: [] },
    named: { 'posts/a.md': 'unwritable', 'posts/new.md': 'unwritable', 'posts/old.md': 'unremovable' },
  },
];

table('at one path: it is named with the errno, and everything else arrives while that lasts', () =>
  withTemplates(async (templateOf) => {
    const cases = sufferers.flatMap((one, turn) => {
      const those = ofPath.filter((errno) => !one.except?.includes(errno));
      const chosen = extent ? those : [those[turn % those.length] as string];
      return chosen.map((errno) => ({ ...one, errno, name: `${one.call} of ${String(one.path)} ${errno}` }));
    });
    process.stdout.write(`\nnote: ${cases.length} combinations of a path and an errno\n`);
    await each(
      cases.filter(({ name }) => only.test(name)),
      (one) => suffers(templateOf, one),
    );
  }),
);

async function suffers(templateOf: TemplateOf, one: Sufferer & { errno: string }): Promise<void> {
  const { call, errno, path, content, named, way = 'exchange', waits = Object.keys(named) } = one;
  const order = newOrder({ call, errno, victim: { path, ...(content === undefined ? {} : { content }) } });
  await inCopy(templateOf, { way, past: '', order }, async (world) => {
    order.on = true;
    for (const trigger of ['poll', 'rescan'] as const) {
      await world.triggered(trigger);
      nothingGone(world);
      const { problem, notSynced } = world.worker.status();
      assert.is(problem, undefined, JSON.stringify(problem));
      const wanted = Object.entries(named).map(([at, kind]) => `${at} ${kind} ${errno}`);
      assert.equal(notSynced.map(saidOf).sort(), wanted.sort());
    }
    assert.ok(order.met > 0, 'the errno was not met');
    const without = (files: Map<string, string>): Map<string, string> =>
      new Map([...files].filter(([at]) => !waits.includes(at)));
    assert.equal(without(folderOf(world)), without(agreed), 'the folder meanwhile');
    assert.equal(without(branchOf(world)), without(agreed), 'the branch meanwhile');
    order.on = false;
    await heals(world);
  });
}

const saidOf = ({ path, reason }: NotSynced): string =>
  `${path} ${reason.kind} ${'errno' in reason ? reason.errno : ''}`;

const many = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`many/${i}.txt`, `${i}\n`]));
const edited = Object.fromEntries(Object.keys(many).map((path) => [path, `edited ${path}\n`]));

for (const [call, code, happened] of [
  ['openFile', 'folder-unreadable', 'Reading in '],
  ['read', 'folder-unreadable', 'Reading in '],
  ['exchange', 'folder-unwritable', 'Writing in '],
] as const) {
  table(`at many paths, an errno of ${call} stops the site once, by its name`, async () => {
    const order = newOrder({ call, errno: 'EIO', victim: { path: /^many\/.+/ } });
    await amongMany(order, async (world) => {
      for (const trigger of ['poll', 'rescan'] as const) {
        await world.triggered(trigger);
        const { problem, state } = world.worker.status();
        assert.equal([state, problem?.code, problem?.facts['errno']], ['hold', code, 'EIO']);
        const words = describe(problem as NonNullable<typeof problem>);
        assert.ok(words.happened.startsWith(happened) && words.happened.endsWith(': input/output error (EIO).'));
        assert.not.match(`${words.title} ${words.todo}`, /may not|right/);
      }
    });
  });

  table(`missing rights for ${call} are named path by path, however many`, async () => {
    const order = newOrder({ call, errno: 'EACCES', victim: { path: /^many\/.+/ } });
    await amongMany(order, async (world) => {
      for (const trigger of ['poll', 'rescan'] as const) {
        await world.triggered(trigger);
        const { problem, notSyncedCount } = world.worker.status();
        assert.equal([problem, notSyncedCount], [undefined, 30]);
      }
    });
  });
}

/** Thirty files that were changed on the side that the call is about. */
async function amongMany(order: Order, test: (world: KeptWorld) => Promise<void>): Promise<void> {
  const fs = faultyFs(platform('exchange'), order);
  await kept({ fs, scanner: inlineScanner(fs), repository: { ...many, 'other.txt': 'other\n' } }, async (world) => {
    if (order.call === 'exchange') world.push(edited);
    else for (const [path, content] of Object.entries(edited)) world.write(path, content);
    const tip = world.tip();
    order.on = true;
    await test(world);
    assert.is(world.tip(), tip);
    assert.is(Object.keys(world.files()).length, 31);
    order.on = false;
    for (const trigger of ['rescan', 'poll', 'rescan'] as const) await world.triggered(trigger);
    assert.ok(isWell(world), JSON.stringify(world.worker.status()));
    assert.equal(branchOf(world), new Map([...folderFiles(world.site)].sort()));
    assert.is(world.read('many/7.txt'), 'edited many/7.txt\n');
  });
}

table('many touched paths below one folder that cannot be opened are one path that fails', async () => {
  const order = newOrder({ call: 'openDirectory', errno: 'EIO', victim: { path: 'many' } });
  const fs = faultyFs(realFs(), order);
  await kept({ fs, scanner: inlineScanner(fs), repository: { ...many, 'other.txt': 'other\n' } }, async (world) => {
    for (const [path, content] of Object.entries({ ...edited, 'other.txt': 'edited\n' })) world.write(path, content);
    order.on = true;
    await world.triggered('watch');
    const { problem, notSynced } = world.worker.status();
    assert.equal([problem, notSynced.map(saidOf)], [undefined, ['many unreadable EIO']]);
    assert.is(git(world.bare, 'show', 'main:other.txt'), 'edited');
  });
});

table('a folder that became a link, a file or nothing looks the same to every look', async () => {
  for (const [what, become] of [
    ['link', (at: string) => symlinkSync('/etc', at)],
    ['pipe', (at: string) => void execFileSync('mkfifo', [at])],
  ] as const) {
    await kept({ scanner: inlineScanner(realFs()) }, async (world) => {
      const tip = world.tip();
      renameSync(join(world.site, 'posts'), join(world.dir, 'away'));
      become(join(world.site, 'posts'));
      const reason = { kind: what === 'link' ? 'link' : 'special' };
      for (const trigger of ['watch', 'rescan', 'watch'] as const) {
        world.directory.touched(join(world.site, 'posts/a.md'));
        await world.triggered(trigger);
        assert.is(world.tip(), tip, `a removal was pushed after ${trigger}`);
        assert.equal(world.worker.status().notSynced, [{ path: 'posts', reason }]);
      }
    });
  }
  for (const trigger of ['watch', 'rescan'] as const) {
    await kept({ scanner: inlineScanner(realFs()) }, async (world) => {
      world.remove('posts');
      if (trigger === 'watch') world.write('posts', 'a file now\n');
      world.directory.touched(join(world.site, 'posts/a.md'));
      world.directory.touched(join(world.site, 'posts/b.md'));
      await world.triggered(trigger);
      assert.equal(world.branch(), world.files());
    });
  }
});

table('what a folder answers is not believed where its name shows otherwise', async () => {
  for (const errno of ['ELOOP', 'ENOTDIR']) {
    const order = newOrder({ call: 'openDirectory', errno, victim: { path: 'posts' } });
    const fs = faultyFs(realFs(), order);
    await kept({ fs, scanner: inlineScanner(fs) }, async (world) => {
      const tip = world.tip();
      order.on = true;
      world.write('posts/a.md', 'edited\n');
      for (const trigger of ['watch', 'rescan'] as const) {
        await world.triggered(trigger);
        assert.is(world.tip(), tip);
        assert.equal(world.worker.status().notSynced, [{ path: 'posts', reason: { kind: 'unreadable', errno } }]);
      }
      order.on = false;
      world.directory.touched(join(world.site, 'posts/a.md'));
      await world.triggered('watch');
      assert.ok(isWell(world));
      assert.equal(world.branch(), world.files());
    });
  }
});

table('between two steps of a replacement: the name is never empty for long, and a save is not forgotten', async () => {
  // The look after the swap fails, and so does everything that would give the file back at once.
  for (const way of ways) {
    const real = platform(way);
    const broken = { on: false };
    const fails = (): void => {
      if (broken.on) throw fault('EIO');
    };
    let swaps = 0;
    const fs: Fs = {
      ...real,
      stat(dir, name) {
        if (swaps > 0 && /^[0-9a-f]{8}-\d+/.test(name.toString())) fails();
        return real.stat(dir, name);
      },
      rename(from, name, to, newName) {
        if (swaps > 0) fails();
        if (broken.on && name.toString() === 'index.html') swaps += 1;
        real.rename(from, name, to, newName);
      },
      link(from, name, to, newName) {
        if (swaps > 0) fails();
        real.link(from, name, to, newName);
      },
      ...(real.exchange && {
        exchange(a, nameA, b, nameB) {
          if (swaps > 0) fails();
          if (broken.on) swaps += 1;
          real.exchange?.(a, nameA, b, nameB);
        },
      }),
    };
    await kept({ fs, scanner: inlineScanner(fs) }, async (world) => {
      const tip = world.push({ 'index.html': 'new of GitLab\n', 'posts/a.md': 'a of GitLab\n' });
      broken.on = true;
      await world.triggered('poll');
      assert.ok(swaps > 0, 'the point was not reached');
      for (const trigger of ['rescan', 'poll'] as const) {
        await world.triggered(trigger);
        assert.is(world.worker.status().problem?.code, 'folder-unwritable', way);
        assert.is(world.tip(), tip);
      }
      broken.on = false;
      for (const trigger of ['poll', 'rescan', 'poll'] as const) await world.triggered(trigger);
      assert.ok(isWell(world), JSON.stringify(world.worker.status()));
      assert.is(
        git(world.bare, 'log', '--diff-filter=D', '--format=%H', 'main'),
        '',
        'the gap was taken for a removal',
      );
      assert.is(world.read('index.html'), 'new of GitLab\n');
      assert.equal(world.files(), world.branch());
    });
  }
});

table('the state directory fails: the site stops by its name, no move is lost, and it heals', async () => {
  const journal = 'staging.jsonl';
  for (const [file, blocked, code] of [
    [journal, (at: string) => symlinkSync('/dev/full', at), 'disk-full'],
    [journal, (at: string) => mkdirSync(at), 'state-failed'],
    ['manifest.jsonl', (at: string) => symlinkSync('/dev/full', at), 'disk-full'],
    ['manifest.jsonl', (at: string) => mkdirSync(at), 'state-failed'],
  ] as const) {
    const real = realFs();
    let block = (): void => {};
    const fs: Fs = {
      ...real,
      createFile(...args) {
        block();
        return real.createFile(...args);
      },
    };
    await kept({ fs, scanner: inlineScanner(fs) }, async (world) => {
      const before = world.files();
      world.push({ 'index.html': 'new of GitLab\n' });
      const at = join(world.dir, 'state', file);
      block = () => {
        block = () => {};
        renameSync(at, `${at}-away`);
        blocked(at);
      };
      await world.triggered('poll');
      const { problem, state } = world.worker.status();
      assert.equal([state, problem?.code], ['retrying', code], `${file}: ${JSON.stringify(problem)}`);
      if (file === journal) assert.equal(world.files(), before);
      rmSync(at, { recursive: true });
      renameSync(`${at}-away`, at);
      for (const trigger of ['retry', 'rescan'] as const) await world.triggered(trigger);
      assert.ok(isWell(world), `${file}: ${JSON.stringify(world.worker.status())}`);
      assert.is(world.read('index.html'), 'new of GitLab\n');
      assert.equal(world.files(), world.branch());
    });
  }
});

for (const file of ['staging.jsonl', 'manifest.jsonl']) {
  table(`${file} cannot be read after a crash: no gap is taken for a removal, and nothing is forgotten`, async () => {
    const dir = mkdtempSync(join(tmpdir(), 'mooring-test-errno-'));
    const crashing: Fs = {
      ...platform('link'),
      link(from, name, to, newName) {
        if (`${newName}` === 'index.html') throw new Error('the process ends here');
        realFs().link(from, name, to, newName);
      },
    };
    try {
      let tip = '';
      const [fs, at] = [platform('link'), join(dir, 'state', file)];
      await kept({ keep: dir, fs, scanner: inlineScanner(fs) }, async (world) => {
        tip = world.push({ 'index.html': 'new of GitLab\n' });
      });
      await kept({ keep: dir, fs: crashing, scanner: inlineScanner(crashing), copied: true }, async (world) => {
        await world.triggered('poll');
      });
      assert.not.ok(existsSync(join(dir, 'site/index.html')), 'the crash was not met');
      renameSync(at, `${at}-away`);
      mkdirSync(at);
      await kept({ keep: dir, fs, scanner: inlineScanner(fs), copied: true }, async (world) => {
        for (const trigger of ['start', 'rescan', 'watch'] as const) {
          await world.triggered(trigger);
          assert.is(world.worker.status().problem?.code, 'state-failed');
          assert.is(world.tip(), tip);
        }
        rmSync(at, { recursive: true });
        renameSync(`${at}-away`, at);
        for (const trigger of ['retry', 'rescan', 'poll'] as const) await world.triggered(trigger);
        assert.ok(isWell(world), JSON.stringify(world.worker.status()));
        assert.is(world.tip(), tip);
        assert.is(world.read('index.html'), 'new of GitLab\n');
      });
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
}

table.run();
