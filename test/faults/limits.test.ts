import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../support/until.ts';
import { inHarbour } from '../support/daemon.ts';
import { type MooredSite, mooredSite, signedIn } from '../support/moored.ts';
import { git, gitAsync, scratch } from '../support/plain-git.ts';
import { kept } from './support.ts';

/** The daemon without descriptors, and without the events it hoped for. */
const limits = suite('limits');
const isLong = process.env['MOORING_TEST_LONG'] === 'yes';

limits('F7: many sites and hardly a descriptor: no crash, nothing taken for removed, all arrives afterwards', () =>
  inHarbour(async (harbour) => {
    const clicker = await signedIn(harbour);
    const sites: MooredSite[] = [];
    for (let i = 0; i < (isLong ? 60 : 4); i += 1) {
      const files = Object.fromEntries(['index.md', 'a/b/c/d.md', 'a/e.md'].map((path) => [path, `${path} ${i}\n`]));
      const project = await harbour.gitlab.projects.create({ path: `harbour/many-${i}`, owner: 'ana', files });
      sites.push(await mooredSite(harbour, { clicker, project, name: `Site ${i}` }));
    }
    for (const site of sites) await site.settled();
    const pid = harbour.daemon?.pid ?? 0;
    const open = readdirSync(`/proc/${pid}/fd`).length;
    const heads = await Promise.all(sites.map(({ project }) => project.head()));
    const limit = (count: number): void =>
      void execFileSync('prlimit', [`--pid=${pid}`, `--nofile=${count}:`], { stdio: 'ignore' });
    limit(open + 1);
    for (const [i, site] of sites.entries()) await site.write('a/b/c/d.md', `edited ${i}\n`);
    await until('it has met the limit', () => /EMFILE|too many open files/i.test(harbour.output()) || undefined);
    // Every site has been looked at meanwhile, and more than once.
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    for (const [i, { project }] of sites.entries()) {
      const files = await project.files();
      assert.ok(['index.md', 'a/e.md', 'a/b/c/d.md'].every((path) => files.has(path)));
      if ((await project.head()) === heads[i]) continue;
      assert.is(files.get('a/b/c/d.md')?.toString(), `edited ${i}\n`);
    }
    assert.is(harbour.daemon?.pid, pid);
    limit(1_024);
    for (const site of sites) await site.settled();
    for (const [i, { project }] of sites.entries())
      assert.is((await project.files()).get('a/b/c/d.md')?.toString(), `edited ${i}\n`);
    if (!isLong) process.stdout.write('\nnote: 4 sites; MOORING_TEST_LONG=yes: 60\n');
  }),
);

limits('F7: a git that finds no descriptor fails by itself, whatever it was started for, and ends nothing else', () => {
  const { dir, remove } = scratch();
  try {
    git(dir, 'init', '-q', '--bare', 'repo.git');
    const script = `
      import { openSync, closeSync } from 'node:fs';
      import { openRepository } from ${source('git/repository.ts')};
      import { createDriver } from ${source('git/driver.ts')};
      const dir = ${JSON.stringify(join(dir, 'repo.git'))};
      const repository = openRepository({
        dir, home: ${JSON.stringify(dir)}, driver: createDriver('/usr/bin/git'), clock: { now: Date.now },
        author: () => ({ name: 'A', email: 'a@harbour.example' }),
      });
      const oid = 'a'.repeat(40);
      const content = async function* () { await new Promise((done) => setTimeout(done, 100)); yield Buffer.from('x'); };
      const file = { mode: '100644', open: async () => ({ size: 1, chunks: content(), finish: () => true }) };
      const acts = {
        blobs: async () => { for await (const _ of repository.blobs([oid])); },
        changes: () => repository.changes(oid, 'b'.repeat(40)),
        files: () => repository.files(oid, 9),
        commitFiles: () => repository.commitFiles(undefined, [{ path: 'a', file }], () => 'm'),
      };
      const held = [];
      try { for (;;) held.push(openSync('/dev/null')); } catch {}
      for (const [name, act] of Object.entries(acts))
        console.log(name, await act().then(() => 'done', (error) => error.code));
      for (const fd of held) closeSync(fd);
      console.log('alive', (await repository.ledger()).disk);`;
    const { stdout, stderr } = spawnSync(
      'prlimit',
      [
        '--nofile=64:64',
        process.execPath,
        '--disable-warning=ExperimentalWarning',
        '--input-type=module',
        '-e',
        script,
      ],
      { encoding: 'utf8' },
    );
    const failed = ['blobs', 'changes', 'files', 'commitFiles'].map((name) => `${name} git-failed\n`).join('');
    assert.is(stdout, `${failed}alive undefined\n`, stderr);
  } finally {
    remove();
  }
});

const source = (path: string): string => JSON.stringify(new URL(`../../src/${path}`, import.meta.url).href);

limits('F32: thousands of files while the process is held up: the kernel drops events, and all files arrive', () =>
  inHarbour(async (harbour) => {
    const site = await mooredSite(harbour);
    await site.settled();
    // Two events for each: well over the 16,384 that the kernel keeps.
    const count = isLong ? 30_000 : 10_000;
    const pid = harbour.daemon?.pid ?? 0;
    process.kill(pid, 'SIGSTOP');
    try {
      for (let folder = 0; folder < 10; folder += 1) mkdirSync(join(site.folder, `d${folder}`));
      for (let i = 0; i < count; i += 1) writeFileSync(join(site.folder, `d${i % 10}`, `${i}.txt`), `${i}\n`);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    const arrived = async (): Promise<number> => {
      const names = await gitAsync(site.project.repoPath, 'ls-tree', '-r', '--name-only', 'main');
      return names.split('\n').filter((name) => /^d\d\/\d+\.txt$/.test(name)).length;
    };
    await until('all are on the branch', async () => (await arrived()) === count || undefined);
    await site.reaches('In sync');
    process.stdout.write(`\nnote: ${count} files${isLong ? '' : '; MOORING_TEST_LONG=yes: 30,000'}\n`);
  }),
);

limits('F32: without a single event the full comparison finds every change', () =>
  kept({}, async (world) => {
    await world.triggered('rescan');
    for (let i = 0; i < 50; i += 1) writeFileSync(join(world.site, `silent-${i}.txt`), `${i}\n`);
    writeFileSync(join(world.site, 'index.html'), 'silently\n');
    await world.triggered('poll');
    const tip = world.tip();
    await world.triggered('rescan');
    assert.is.not(world.tip(), tip);
    assert.equal(world.files(), world.branch());
    assert.is(Object.keys(world.branch()).filter((name) => name.startsWith('silent-')).length, 50);
  }),
);

limits.run();
