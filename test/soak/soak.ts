import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { smallDisk } from '../faults/support.ts';
import { until } from '../support/until.ts';
import { type Harbour, type RunAs, freePort, harbour, setpriv } from '../support/daemon.ts';
import { examplePassword } from '../support/gitlab/example.ts';
import { type MooredSite, mooredSite } from '../support/moored.ts';
import { git, gitAsync } from '../support/plain-git.ts';
import { chanceOf } from './chance.ts';
import { cuttingProxy } from './cutting-proxy.ts';
import { Reach, liveIds, tornFiles } from './evidence.ts';
import { leftovers } from './oracle.ts';
import { Shore, steady } from './shore.ts';
import { type Trouble, createTrouble } from './trouble.ts';
import { spawnReader } from './visitor.ts';

/**
 * The real process with its real watcher, real git and a practice GitLab for some minutes:
 * `soak.ts [--minutes N] [--seed N] [--set-up same-user|group|capabilities] [--mounts inside]`. On both sides of four sites somebody edits the same few files without a pause,
 * while the process is killed again and again and everything around it fails in turn. Every few minutes the faults go
 * away: then both sides must become equal, and every content that its own author did not replace must be found.
 */
const minutes = Number(argument('minutes') ?? 1);
const seed = Number(argument('seed') ?? Math.trunc(Date.now() / 1_000) % 1_000_000);
/** Who Mooring is and whose the sites are; the two that are not the same user need root. */
const setUp = setUpNamed(argument('set-up') ?? 'same-user');
const siteCount = 4;
/** `inside`: each site is a bind mount, and a folder in it is a disk of its own, as Docker's volumes are. */
const mounts = argument('mounts') ?? 'none';
if (mounts !== 'none' && mounts !== 'inside') throw new Error('--mounts takes none or inside');
const roundMs = 5 * 60_000;
const chance = chanceOf(seed);

/** `editor`: the user whose sites they are and who edits them; where it is not given, everybody is the same. */
interface SetUp {
  readonly name: string;
  readonly editor?: { readonly uid: number; readonly gid: number };
  readonly daemon?: RunAs;
}

function setUpNamed(name: string): SetUp {
  const editor = { uid: 33, gid: 33 };
  const daemon = { uid: 1500, gid: 1500, groups: [editor.gid] };
  if (name === 'same-user') return { name };
  if (process.getuid?.() !== 0) throw new Error(`--set-up ${name} needs root, to be two users`);
  if (name === 'group') return { name, editor, daemon };
  if (name !== 'capabilities') throw new Error('--set-up takes same-user, group or capabilities');
  return { name, editor, daemon: { ...daemon, capabilities: ['chown', 'fowner', 'fsetid', 'setpcap'] } };
}

/** As the user whose site it is, who writes for the group too. Only what is done before it returns. */
function asEditor(act: () => void): void {
  const { editor } = setUp;
  if (!editor) return act();
  const mask = process.umask(0o002);
  process.setegid?.(editor.gid);
  process.seteuid?.(editor.uid);
  try {
    act();
  } finally {
    process.seteuid?.(0);
    process.setegid?.(0);
    process.umask(mask);
  }
}

/** The folder of a site before it is added: its owner's, and the group may write into it. */
function makeSiteFolder(folder: string): void {
  mkdirSync(folder);
  giveToEditor(folder);
  if (mounts === 'none') return;
  const source = `${folder}-source`;
  mkdirSync(source);
  giveToEditor(source);
  mount('--bind', source, folder);
  mkdirSync(join(folder, 'dir'));
  mount('-t', 'tmpfs', '-o', 'size=256m', 'tmpfs', join(folder, 'dir'));
  giveToEditor(join(folder, 'dir'));
}

function giveToEditor(folder: string): void {
  const { editor } = setUp;
  if (!editor) return;
  chownSync(folder, editor.uid, editor.gid);
  chmodSync(folder, 0o2775);
}

function mount(...args: string[]): void {
  const { status, stderr } = spawnSync('mount', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`mount ${args.join(' ')}: ${stderr}`);
}

function argument(name: string): string | undefined {
  const at = process.argv.indexOf(`--${name}`);
  return at > 0 ? process.argv[at + 1] : undefined;
}

/** A namespace of users has only one of them. */
const namespaces = setUp.daemon ? '-m' : '-Urm';

/** A small disk can be mounted without being root only in a namespace of our own. */
function withNamespace(): boolean {
  if (process.env['MOORING_TEST_NAMESPACE']) return true;
  const probe = spawnSync('unshare', [namespaces, 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { encoding: 'utf8' });
  if (probe.status === 0) return false;
  if (mounts !== 'none') throw new Error('--mounts needs mounts in a namespace, which cannot be had here');
  console.log('not run here: a full disk, since there are no mounts in a namespace');
  process.env['MOORING_TEST_NAMESPACE'] = 'none';
  return true;
}

// At once: for a handle of a connection that was cut on purpose node may wait for ever at the end, at full speed.
if (withNamespace()) process.exit((await soak()) ? 0 : 1);
else {
  const args = [namespaces, process.execPath, '--disable-warning=ExperimentalWarning', ...process.argv.slice(1)];
  const again = ['--seed', String(seed), '--minutes', String(minutes), '--set-up', setUp.name, '--mounts', mounts];
  const env = { ...process.env, MOORING_TEST_NAMESPACE: 'yes' };
  process.exitCode = spawnSync('unshare', [...args, ...again], { stdio: 'inherit', env }).status ?? 1;
}

interface Moored {
  readonly site: MooredSite;
  readonly shore: Shore;
  readonly reaches: { readonly branch: Reach; readonly own: Reach };
}

/** What the rounds add up. */
interface Sums {
  kills: number;
  twice: number;
  starts: number;
  reconnected: number;
  torn: string[];
  lost: string[];
  quiet: number;
}

async function soak(): Promise<boolean> {
  console.log(`soak: ${minutes} minutes, ${siteCount} sites, set-up ${setUp.name}, mounts ${mounts}, seed ${seed}`);
  let gitlabPort = 0;
  const proxy = await cuttingProxy({ host: '127.0.0.1', port: () => gitlabPort });
  gitlabPort = await freePort();
  const at = { port: gitlabPort, externalUrl: `http://127.0.0.1:${proxy.port}` };
  const as = setUp.daemon ? { as: setUp.daemon } : {};
  const port = await harbour({ gitlab: at, env: { MOORING_LOG_LEVEL: 'warn' }, ...as });
  const disk =
    process.env['MOORING_TEST_NAMESPACE'] === 'yes' ? smallDisk(port.sites, 'size=512m,mode=755') : undefined;
  try {
    const trouble = createTrouble(
      { ...port, proxy, ...(disk ? { disk: { folder: port.sites, grow: disk.grow } } : {}) },
      chance,
    );
    const moored = await moor(port, trouble);
    const names = moored.flatMap(({ site }) => steady.map((name) => join(site.folder.slice(port.sites.length), name)));
    const reader = spawnReader(port.sites, names, 2);
    const sums: Sums = { kills: 0, twice: 0, starts: 0, reconnected: 0, torn: [], lost: [], quiet: 0 };
    const began = performance.now();
    const end = began + minutes * 60_000;
    const said = setInterval(() => console.log(progress(began, sums, moored, trouble)), 60_000);
    while (performance.now() < end) {
      await rage({ port, moored, trouble, sums }, Math.min(end, performance.now() + roundMs));
      await judge({ port, moored, trouble, sums });
      if (sums.lost.length + sums.torn.length > 0) break;
    }
    clearInterval(said);
    const seen = await reader.stop();
    return conclude(port, moored, trouble, sums, seen, proxy.met);
  } catch (error) {
    console.log(port.output().slice(-4_000));
    throw error;
  } finally {
    await port.kill();
    disk?.unmount();
    await port.close();
    await proxy.close();
    rmSync(port.dir, { recursive: true, force: true });
  }
}

async function moor(port: Harbour, trouble: Trouble): Promise<Moored[]> {
  const moored: Moored[] = [];
  let clicker: MooredSite['clicker'] | undefined;
  for (let n = 1; n <= siteCount; n += 1) {
    const name = `soak-${n}`;
    const project = await port.gitlab.projects.create({
      path: `harbour/${name}`,
      owner: 'ana',
      files: { 'keep.md': '' },
    });
    makeSiteFolder(join(port.sites, name));
    const site = await mooredSite(port, { name, project, ...(clicker ? { clicker } : {}) });
    clicker = site.clicker;
    const shore = new Shore(site, {
      ...{ name: `${n}-${seed}`, chance: chanceOf(seed + n), asEditor },
      diskIsFull: () => trouble.diskIsFull(),
    });
    await project.push(site.branch, { ...shore.first(), 'keep.md': null });
    const gitDir = join(port.stateDir, 'repositories', `${site.id}.git`);
    moored.push({ site, shore, reaches: { branch: new Reach(project.repoPath), own: new Reach(gitDir) } });
  }
  for (const { site } of moored) await site.settled();
  return moored;
}

interface Running {
  readonly port: Harbour;
  readonly moored: readonly Moored[];
  readonly trouble: Trouble;
  readonly sums: Sums;
}

/** Edits on both sides, faults and kills, until the time is up. The daemon is up at its end. */
async function rage({ port, moored, trouble, sums }: Running, until: number): Promise<void> {
  const edits = moored.map(({ shore }) => shore.edit(700));
  try {
    let looked = performance.now();
    while (performance.now() < until) {
      await port.kill();
      sums.kills += 1;
      if (chance.once(3)) await sleep(chance.pick(1_500));
      trouble.damage();
      while (chance.once(2)) {
        // Not even up yet, or just at its first look.
        const started = port.start().catch(() => undefined);
        await sleep(chance.between(200, 2_000));
        await port.kill();
        await started;
        sums.kills += 1;
        sums.twice += 1;
      }
      await port.start();
      sums.starts += 1;
      const up = performance.now() + (chance.once(2) ? chance.pick(2_500) : chance.between(2_500, 7_500));
      while (performance.now() < up) {
        const lasts = chance.once(3) ? 0 : trouble.begin();
        await sleep(Math.max(50, Math.min(lasts || 800, up - performance.now())));
        if (chance.once(2)) trouble.heal();
      }
      trouble.heal();
      if (performance.now() - looked < 60_000) continue;
      looked = performance.now();
      await reconnect(port, moored, sums);
    }
  } finally {
    for (const { shore } of moored) shore.stop();
    await Promise.all(edits);
    trouble.heal();
  }
}

/**
 * A daemon that was killed between GitLab's new pair of tokens and its own disk has lost its grant: GitLab ended the old
 * pair, and only a person gets another.
 */
async function reconnect({ gitlab }: Harbour, moored: readonly Moored[], sums: Sums): Promise<void> {
  const { site } = moored[0]!;
  const { clicker } = site;
  await signedIn(moored);
  const page = await clicker.open(`${site.url}/settings/syncing`);
  if (!page.words.includes('must be connected again')) return;
  await clicker.press('Reconnect');
  if (clicker.page.url.startsWith(`${gitlab.url}/users/sign_in`))
    await clicker.press('Sign in', { 'Username or primary email': 'ana', Password: examplePassword });
  if (clicker.page.words.includes('Authorize Mooring to use your account?')) await clicker.press('Authorize Mooring');
  sums.reconnected += 1;
}

/** A broken store file may have taken the session with it. */
async function signedIn(moored: readonly Moored[]): Promise<void> {
  const { site } = moored[0]!;
  const page = await site.clicker.open(site.url);
  if (!page.url.includes('/sign-in')) return;
  await site.clicker.press('Sign in', { Name: 'Ana', Password: 'moor-the-tests-well' });
}

/** All faults are gone: both sides become equal, and everything is found. */
async function judge({ port, moored, trouble, sums }: Running): Promise<void> {
  trouble.heal();
  await settle(port, moored, sums);
  await elevenMinutesPass(port, moored, sums);
  for (const { site, shore, reaches } of moored) {
    sums.torn.push(...tornFiles(site.folder).map((text) => `${site.id} ${text}`));
    const live = liveIds(site.folder);
    const [branch, own] = [await reaches.branch.ids(), await reaches.own.ids()];
    for (const { id, side, path } of shore.written) {
      // What was committed at GitLab is in its history for ever: nobody may force it away.
      const found = side === 'branch' ? branch.has(id) : live.has(id) || branch.has(id) || own.has(id);
      if (!found && !shore.replaced.has(id)) sums.lost.push(`${path}: ${id}`);
      if (!found && side === 'branch') sums.lost.push(`${path}: ${id}, gone from GitLab`);
    }
    await quietly(site, port, sums);
  }
}

/** Replaced files are read once more ten minutes after: what was written into them late is kept, and they go. */
async function elevenMinutesPass(port: Harbour, moored: readonly Moored[], sums: Sums): Promise<void> {
  await port.stop();
  const env = {
    ...{ PATH: process.env['PATH'] ?? '', HOME: port.dir, MOORING_ALLOW_ROOT: 'yes', MOORING_LOG_LEVEL: 'warn' },
    ...{ MOORING_STATE: port.stateDir, MOORING_SITES: port.sites, MOORING_PORT: String(port.port) },
  };
  const entry = new URL('./later.ts', import.meta.url).pathname;
  const start = [process.execPath, '--disable-warning=ExperimentalWarning', entry];
  const [program = '', ...args] = [...(setUp.daemon ? setpriv(setUp.daemon) : []), ...start];
  const child = spawn(program, args, { env, stdio: 'ignore' });
  try {
    await until('it answers', async () => (await fetch(`${port.url}/readyz`)).ok);
    await rest(moored, sums, port);
    child.kill('SIGUSR2');
    await sleep(200);
    await rest(moored, sums, port);
  } finally {
    child.kill('SIGTERM');
    if (child.exitCode === null) await once(child, 'exit');
  }
  await port.start();
  await rest(moored, sums, port);
}

async function settle(port: Harbour, moored: readonly Moored[], sums: Sums): Promise<void> {
  await port.kill();
  await port.start();
  await rest(moored, sums, port);
}

/** Until both sides of every site are equal. */
async function rest(moored: readonly Moored[], sums: Sums, port: Harbour): Promise<void> {
  await reconnect(port, moored, sums);
  for (const { site } of moored) {
    await syncNow(site);
    await site.settled();
  }
}

async function syncNow({ clicker, url }: MooredSite): Promise<void> {
  await clicker.open(url);
  if (clicker.page.html.includes('id="act-sync"')) await clicker.press('Sync now');
}

/** Three more looks make no commit and leave nothing behind. */
async function quietly(site: MooredSite, port: Harbour, sums: Sums): Promise<void> {
  const gitDir = join(port.stateDir, 'repositories', `${site.id}.git`);
  const state = async (): Promise<string> =>
    `${await site.project.head(site.branch)}\n${await gitAsync(gitDir, 'for-each-ref')}`;
  const before = await state();
  for (let n = 0; n < 3; n += 1) {
    await syncNow(site);
    await site.settled();
    if ((await state()) !== before) throw new Error(`a further look changed something:\n${before}\n${await state()}`);
    sums.quiet += 1;
  }
  const left = leftovers({ site: site.folder, bare: site.project.repoPath, gitDir });
  if (left.length === 0) return;
  // A file that was replaced only now waits for its ten minutes; what the journal knows nothing of waits for ever.
  const journal = join(port.stateDir, 'manifests', site.id, 'staging.jsonl');
  throw new Error(`left behind: ${left.join(', ')}\n${await readFile(journal, 'utf8').catch(String)}`);
}

function total(moored: readonly Moored[], of: (shore: Shore) => number): number {
  return moored.reduce((sum, { shore }) => sum + of(shore), 0);
}

function operations(moored: readonly Moored[]): number {
  return total(moored, ({ kinds }) => Object.values(kinds).reduce((sum, n) => sum + n, 0));
}

function faults({ count }: Trouble): number {
  return Object.values(count).reduce((sum, { ordered }) => sum + ordered, 0);
}

function progress(began: number, sums: Sums, moored: readonly Moored[], trouble: Trouble): string {
  const minute = Math.round((performance.now() - began) / 60_000);
  return [
    `minute ${minute}: ${operations(moored)} operations`,
    `${total(moored, ({ count }) => count.colliding)} colliding`,
    `${total(moored, ({ written }) => written.length)} contents`,
    `${sums.kills} kills`,
    `${faults(trouble)} faults`,
    `${sums.lost.length} lost`,
  ].join(', ');
}

function conclude(
  port: Harbour,
  moored: readonly Moored[],
  trouble: Trouble,
  sums: Sums,
  seen: { reads: number; worstGapMs: number; torn: number },
  met: { cut: number; stalled: number },
): boolean {
  const merges = moored.map(({ site }) =>
    Number(git(site.project.repoPath, 'rev-list', '--count', '--merges', 'main')),
  );
  const kinds: Record<string, number> = {};
  for (const { shore } of moored)
    for (const [kind, n] of Object.entries(shore.kinds)) kinds[kind] = (kinds[kind] ?? 0) + n;
  const replaced = total(moored, ({ replaced }) => replaced.size);
  const rows: [string, string | number][] = [
    ['seed', seed],
    ['minutes', minutes],
    ['set-up', setUp.name],
    ['mounts', mounts],
    ['operations', operations(moored)],
    ...Object.entries(kinds).map(([kind, n]): [string, number] => [`  ${kind}`, n]),
    ['colliding writes (both sides, one path, 2 s)', total(moored, ({ count }) => count.colliding)],
    ['merges that came of it', merges.reduce((a, b) => a + b, 0)],
    ['kills (SIGKILL)', sums.kills],
    ['  at once after a restart', sums.twice],
    ['faults ordered', faults(trouble)],
    ...Object.entries(trouble.count).map(([kind, { ordered, met }]): [string, string] => [
      `  ${kind}`,
      `${ordered}, met ${met} times`,
    ]),
    ['connections cut, pieces stalled', `${met.cut}, ${met.stalled}`],
    ['saves that a full disk refused', total(moored, ({ count }) => count.refusedByDisk)],
    ['grants a person had to give again', sums.reconnected],
    ['contents written', total(moored, ({ written }) => written.length)],
    ['  replaced in the folder by their own side', replaced],
    ['contents lost', sums.lost.length],
    ['reads by a visitor', seen.reads],
    ['torn reads seen', seen.torn],
    ['torn, mixed or invented files at the end', sums.torn.length],
    ['worst gap for a reader, ms', seen.worstGapMs],
    ['both sides equal', 'yes'],
    ['quiet looks without a commit', sums.quiet],
    ['repositories whole', moored.every(({ site }) => isWhole(port, site)) ? 'yes' : 'NO'],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  for (const [name, value] of rows) console.log(`${name.padEnd(width)}  ${value}`);
  for (const line of [...sums.lost, ...sums.torn].slice(0, 20)) console.log(line);
  const good = sums.lost.length + sums.torn.length + seen.torn === 0;
  console.log(good ? 'no edit was lost' : 'NOT GOOD');
  return good;
}

function isWhole(port: Harbour, site: MooredSite): boolean {
  for (const name of readdirSync(join(port.stateDir, 'repositories')).filter((dir) => dir === `${site.id}.git`))
    git(join(port.stateDir, 'repositories', name), 'fsck', '--connectivity-only');
  git(site.project.repoPath, 'fsck', '--connectivity-only');
  return true;
}
