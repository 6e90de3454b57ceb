import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createDriver } from '../../src/git/driver.ts';
import { realFs } from '../../src/files/disk.ts';
import { openRepository } from '../../src/git/repository.ts';
import { gitEnvironment } from '../../src/git/environment.ts';
import { systemClock } from '../../src/world.ts';
import { until } from '../support/until.ts';
import { type Harbour, inHarbour } from '../support/daemon.ts';
import type { SeenRequest } from '../support/gitlab/server.ts';
import { type MooredSite, mooredSite } from '../support/moored.ts';
import { scratch } from '../support/plain-git.ts';
import { connected, leftovers } from './support.ts';

/** The whole daemon told to stop, or killed, while its gits are at work. */
const signals = suite('signals');

type Way = 'git' | 'wire';

/** Whether a request is one of git's, by its own command or by ours. */
const isOf = (way: Way, request: SeenRequest, end: string): boolean =>
  request.method === 'POST' &&
  request.path.endsWith(end) &&
  /^git\//.test(request.headers['user-agent'] ?? '') === (way === 'git');

/** Every process that works on a repository below the state directory. */
function gitsBelow(stateDir: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`GIT_DIR=${stateDir}`);
      } catch {
        // It ended, or is not ours.
        return false;
      }
    })
    .map(Number);
}

/** Locks, half a pack, and notes of processes that are not the daemon's own, which wait for its next question. */
function leftInRepositories({ stateDir, daemon }: Harbour): string[] {
  const below = readdirSync(join(stateDir, 'repositories'), { recursive: true }) as string[];
  return below.filter((name) => {
    const pid = /\/running\/(\d+)-/.exec(name)?.[1];
    return pid ? parentOf(pid) !== daemon?.pid : /\.lock$|tmp_/.test(name);
  });
}

function parentOf(pid: string): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return undefined;
  }
}

/**
 * Two sites, of which one is fetching and the other pushing when `use` is called: GitLab answers neither. Afterwards
 * the daemon starts again, and both come to an end. Gives the first. `git`: our own requests are answered oddly, so that
 * git's commands are at work.
 */
async function stalled(
  harbour: Harbour,
  way: Way,
  use: (sites: readonly MooredSite[]) => Promise<void>,
): Promise<MooredSite> {
  const [fetching, pushing] = [
    await mooredSite(harbour),
    await mooredSite(harbour, { name: 'Gardens', project: harbour.world.gardens }),
  ];
  await fetching.settled();
  await pushing.settled();
  const { faults, requests } = harbour.gitlab;
  requests.length = 0;
  const mute = (end: string, path: string): void =>
    void faults.add({ match: (request) => isOf(way, request, end) && request.path.includes(path), delayMs: 120_000 });
  if (way === 'git') {
    const headers = { 'content-type': 'application/x-git-receive-pack-result' };
    faults.add({ match: (request) => isOf('wire', request, 'git-receive-pack'), headers, body: '0000' });
    faults.add({ match: (request) => isOf('wire', request, 'git-upload-pack'), status: 400 });
  }
  mute('git-upload-pack', fetching.project.path);
  mute('git-receive-pack', pushing.project.path);
  await fetching.project.push(fetching.branch, { 'theirs.txt': 'theirs\n' });
  await pushing.write('ours.txt', 'ours\n');
  for (const end of ['git-upload-pack', 'git-receive-pack'])
    await until(`${end} is under way`, () => requests.some((request) => isOf(way, request, end)) || undefined);
  assert.ok(gitsBelow(harbour.stateDir).length > 0);
  await use([fetching, pushing]);
  faults.clear();
  await harbour.start();
  for (const site of [fetching, pushing]) await site.settled();
  assert.ok(existsSync(join(fetching.folder, 'theirs.txt')));
  assert.ok((await pushing.project.files()).has('ours.txt'));
  assert.equal(leftInRepositories(harbour), []);
  return fetching;
}

/** SIGTERM, and how it ended. */
async function told(harbour: Harbour): Promise<void> {
  const began = performance.now();
  assert.is(await harbour.stop(), 0);
  const tookMs = performance.now() - began;
  process.stdout.write(`\nnote: SIGTERM took ${Math.round(tookMs)} ms\n`);
  assert.equal(gitsBelow(harbour.stateDir), [], 'a git went on running');
}

signals('F10: SIGTERM during a fetch and a push over the wire: exit 0, no child left, clean next start', () =>
  inHarbour(async (harbour) => {
    await stalled(harbour, 'wire', () => told(harbour));
  }),
);

signals('F10: SIGTERM during fetch, push and apply: exit 0 within ten seconds, no child left, clean next start', () =>
  inHarbour(async (harbour) => {
    const site = await stalled(harbour, 'git', () => told(harbour));
    const { folder, project, branch } = site;
    const many = Object.fromEntries(Array.from({ length: 1_500 }, (_, i) => [`many/${i}.txt`, `${i}\n`]));
    const tip = await project.push(branch, many);
    await until('files are on their way in', () => leftovers(folder).length > 20 || undefined);
    await told(harbour);
    await harbour.start();
    await site.settled();
    assert.is(await project.head(), tip, 'what was written half was taken for an edit');
  }),
);

signals('F10: a daemon that stops does not first write all the files of a change: the next start does', () => {
  const real = realFs();
  const stopping = new AbortController();
  let staged = 0;
  const fs = {
    ...real,
    createFile(...args: Parameters<typeof real.createFile>) {
      staged += 1;
      if (staged === 5) stopping.abort(new Error('the daemon is stopping'));
      return real.createFile(...args);
    },
  };
  return connected({ fs }, async (world) => {
    staged = 0;
    const before = world.files();
    const many = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`many/${i}.txt`, `${i}\n`]));
    const tip = world.push({ ...many, 'index.html': 'new\n' });
    const broken = await world
      .sync({ trigger: 'poll', signal: stopping.signal })
      .catch((error: Error) => error.message);
    assert.is(broken, 'the daemon is stopping');
    assert.ok(staged < 20, `${staged} files were written`);
    assert.equal(world.files(), before);
    assert.equal(leftovers(world.site), [], 'what was staged is still there');
    await world.sync({ trigger: 'start' });
    assert.equal(world.files(), world.branch());
    assert.is(world.tip(), tip);
  });
});

signals('F11: the daemon is killed during a stalled fetch and a stalled push: the next one ends both gits', () =>
  inHarbour(async (harbour) => {
    let orphans: number[] = [];
    await stalled(harbour, 'git', async (sites) => {
      await harbour.kill();
      orphans = gitsBelow(harbour.stateDir);
      assert.ok(orphans.length >= 2, 'no git was orphaned');
      for (const { id } of sites) {
        const repository = join(harbour.stateDir, 'repositories', `${id}.git`);
        assert.ok(readdirSync(join(repository, 'running')).length > 0, 'its git is not noted');
        // What an orphan at work may hold.
        for (const lock of ['packed-refs.lock', 'refs/sync/remote.lock']) writeFileSync(join(repository, lock), '');
        writeFileSync(join(repository, 'objects', 'pack', 'tmp_pack_half'), 'half a pack');
      }
    });
    const living = gitsBelow(harbour.stateDir).filter((pid) => orphans.includes(pid));
    assert.equal(living, [], 'an orphan lives');
  }),
);

signals('F11: a number that belongs to another process by now, and our own children, are left alone', async () => {
  const { dir, remove } = scratch();
  const gitDir = join(dir, 'repo.git');
  const stranger = spawn('sleep', ['60'], { detached: true, stdio: 'ignore' });
  // Its shell goes at once, so it is nobody's child here: as an orphan is.
  const shell = spawn('sh', ['-c', 'setsid sleep 60 & echo $!'], { stdio: ['ignore', 'pipe', 'ignore'] });
  const orphan = Number(String((await once(shell.stdout, 'data'))[0]));
  try {
    const driver = createDriver('/usr/bin/git');
    const author = { name: 'A', email: 'a@harbour.example' };
    const repository = openRepository({
      ...{ dir: gitDir, home: join(dir, 'home'), driver, clock: systemClock, author: () => author },
    });
    await repository.prepare();
    const ours = driver.open({
      args: ['cat-file', '--batch'],
      environment: gitEnvironment({ gitDir, home: dir, author }),
    });
    const running = join(gitDir, 'running');
    assert.ok(
      readdirSync(running).some((name) => name.startsWith(`${ours.child.pid}-`)),
      'it is not noted',
    );
    mkdirSync(running, { recursive: true });
    writeFileSync(join(running, `${stranger.pid}-${startOf(stranger.pid ?? 0)}`), '');
    writeFileSync(join(running, `${orphan}-${startOf(orphan) + 1}`), '');
    await repository.prepare();
    assert.ok(alive(stranger.pid ?? 0) && alive(orphan) && alive(ours.child.pid ?? 0));
    writeFileSync(join(running, `${orphan}-${startOf(orphan)}`), '');
    await repository.prepare();
    assert.not(alive(orphan), 'the orphan lives');
    assert.ok(alive(stranger.pid ?? 0) && alive(ours.child.pid ?? 0));
    ours.end();
    await ours.ended;
    assert.not(
      readdirSync(running).some((name) => name.startsWith(`${ours.child.pid}-`)),
      'its note stays',
    );
  } finally {
    for (const pid of [stranger.pid ?? 0, orphan]) if (alive(pid)) process.kill(pid, 'SIGKILL');
    remove();
  }
});

function startOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
}

function alive(pid: number): boolean {
  if (!existsSync(`/proc/${pid}/stat`)) return false;
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return stat[stat.lastIndexOf(')') + 2] !== 'Z';
}

signals.run();
