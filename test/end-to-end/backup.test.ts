import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cp, mkdir, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type RanWith, run } from '../support/command.ts';
import { type Harbour, inHarbour } from '../support/daemon.ts';
import { type MooredSite, filesOf, mooredSite, sameFiles, signedIn } from '../support/moored.ts';
import { until } from '../support/until.ts';

/** A real daemon is backed up while it works, is killed, and comes back from the archive. */
const test = suite('backup and restore');

const cli = ({ stateDir }: Harbour, args: readonly string[], options: RanWith = {}) =>
  run(args, { stateDir, env: { MOORING_ALLOW_ROOT: 'yes' }, ...options });

interface BackedUp {
  readonly archive: string;
  readonly key: string;
}

async function backUp(world: Harbour, ...more: string[]): Promise<BackedUp> {
  const [archive, key] = [join(world.dir, 'backup.tar.gz'), join(world.dir, 'backup.key')];
  const { code, stdout, stderr } = await cli(world, ['backup', '--to', archive, '--with-key', key, ...more]);
  assert.is(code, 0, stderr);
  assert.match(stdout, archive);
  for (const file of [archive, key]) assert.is((await stat(file)).mode & 0o777, 0o600);
  return { archive, key };
}

/** The state directory goes, and what the archive has takes its place. */
async function restore(world: Harbour, { archive, key }: BackedUp): Promise<void> {
  await world.kill();
  await rm(world.stateDir, { recursive: true });
  const { code, stdout, stderr } = await cli(world, ['restore-backup', archive, '--key', key]);
  assert.is(code, 0, stderr);
  assert.match(stdout, 'holds the backup of');
  assert.match(stderr.replace(/\s+/g, ' '), 'GitLab accepts each refresh token once');
}

/** The same site through a browser that signs in anew: a restore ends every session. */
async function again(world: Harbour, site: MooredSite): Promise<MooredSite> {
  const { page } = await site.clicker.open(site.url).then((now) => ({ page: now.heading }));
  assert.is(page, 'Sign in to Mooring', 'a session outlived the restore');
  const clicker = await signedIn(world);
  return { ...site, clicker, reaches: (state) => reaches(clicker, site.url, state) };
}

async function reaches(clicker: MooredSite['clicker'], url: string, state: string) {
  let said = '';
  return until(`the page says ${state}`, async () => {
    const now = await clicker.open(url);
    said = `${now.state}: ${now.words.slice(0, 600)}`;
    return now.state === state && now;
  }).catch((error: unknown) => {
    throw new Error(said, { cause: error });
  });
}

async function converged(site: MooredSite): Promise<Map<string, string>> {
  await until('folder and branch are equal', async () =>
    sameFiles(await filesOf(site.folder), await site.project.files(site.branch)),
  );
  await site.reaches('In sync');
  return new Map([...(await filesOf(site.folder))].map(([path, bytes]) => [path, bytes.toString()]));
}

test('under load, killed, edited on both sides, restored: nothing is lost and nothing comes back', () =>
  inHarbour(async (world) => {
    const site = await mooredSite(world);
    await site.write('kept.txt', 'there from the beginning\n');
    await site.settled();
    const { project } = site;
    const last = new Map<string, string>();
    let [n, isOver] = [0, false];
    const edits = async (): Promise<void> => {
      for (; !isOver; n += 1) {
        const [mine, content] = [`mine/${n % 40}.txt`, `edit ${n} in the folder\n`];
        last.set(mine, content);
        await site.write(mine, content);
        await new Promise((done) => setTimeout(done, 25));
      }
    };
    const pushes = async (): Promise<void> => {
      for (let at = 0; !isOver; at += 1) {
        const [theirs, content] = [`theirs/${at % 20}.txt`, `push ${at} to GitLab\n`];
        last.set(theirs, content);
        await project.push('main', { [theirs]: content, 'counted.txt': `${at}\n` });
      }
    };
    const load = Promise.all([edits(), pushes()]);
    await until('the load has begun', () => n > 60);
    const made = await backUp(world);
    // It goes on after the backup: what arrives now is old news to the archive.
    const then = n;
    await until('more has happened since', () => n > then + 80);
    isOver = true;
    await load;
    await site.write('after.txt', 'one\n');
    await project.push('main', { 'removed.txt': 'arrived after the backup\n', 'back.txt': 'first\n' });
    await site.settled();
    await project.push('main', { 'back.txt': 'second\n' });
    await site.settled();
    await world.kill();

    await site.write('after.txt', 'one, and edited while it was down\n');
    await site.write('down.txt', 'made in the folder while it was down\n');
    await project.push('main', {
      ...{ 'removed.txt': null, 'back.txt': 'first\n', 'pushed.txt': 'pushed while it was down\n' },
    });
    await restore(world, made);
    await world.start();
    const files = await converged(await again(world, site));
    for (const [path, content] of last) assert.is(files.get(path), content, path);
    assert.is(files.get('after.txt'), 'one, and edited while it was down\n');
    assert.is(files.get('down.txt'), 'made in the folder while it was down\n');
    assert.is(files.get('pushed.txt'), 'pushed while it was down\n');
    assert.is(files.get('back.txt'), 'first\n', 'a revert was reverted');
    assert.not(files.has('removed.txt'), 'a removed file came back');
    assert.is(files.get('kept.txt'), 'there from the beginning\n');
    // And it goes on as if nothing had been.
    await site.write('later.txt', 'later\n');
    await until('it syncs again', async () => (await project.files()).has('later.txt'));
  }));

test('what is in the way of a restore, and what is no good archive, is refused before anything is written', () =>
  inHarbour(async (world) => {
    await mooredSite(world);
    const { archive, key } = await backUp(world);
    const refused = async (args: readonly string[], code: number, words: string | RegExp): Promise<void> => {
      const ran = await cli(world, ['restore-backup', ...args]);
      assert.is(ran.code, code, ran.stderr);
      assert.match(ran.stderr.replace(/\s+/g, ' '), words);
    };
    await refused([archive, '--key', key], 75, 'A daemon runs on');
    await world.stop();
    const before = await readdir(world.stateDir);
    await refused([archive, '--key', key], 1, 'is already there');
    assert.equal(await readdir(world.stateDir), before);
    await rename(world.stateDir, `${world.stateDir}.old`);

    const bytes = await readFile(archive);
    const bad = join(world.dir, 'bad.tar.gz');
    for (const length of [0, 20, bytes.length >> 1, bytes.length - 1]) {
      await writeFile(bad, bytes.subarray(0, length));
      await refused([bad, '--key', key], 1, 'This backup is damaged');
    }
    const altered = Buffer.from(bytes);
    altered[bytes.length >> 1] = (altered[bytes.length >> 1] ?? 0) ^ 1;
    await writeFile(bad, altered);
    await refused([bad, '--key', key], 1, 'This backup is damaged');
    // Unpacked, changed and packed again, as somebody would who means it.
    const forge = `set -e; cd ${world.dir}; tar -xzf backup.tar.gz; sed -i 's/Ana/Eve/' mooring-backup/accounts.json
      list=$(tar -tzf backup.tar.gz); tar -czf bad.tar.gz --format=ustar $list`;
    assert.is(spawnSync('sh', ['-c', forge]).status, 0);
    await refused([bad, '--key', key], 1, 'checksum of accounts.json');
    const other = join(world.dir, 'other.key');
    await writeFile(other, `${'ab'.repeat(32)}\n`, { mode: 0o600 });
    await refused([archive, '--key', other], 1, 'needs another key');
    await refused([join(world.dir, 'none'), '--key', key], 64, 'cannot be read');
    assert.not((await readdir(world.dir)).includes('state'), 'something was written');

    // What a restore that was killed leaves is no installation, and the next one begins anew.
    await mkdir(join(world.stateDir, 'repositories'), { recursive: true });
    for (const name of ['restore-under-way', 'accounts.json']) await writeFile(join(world.stateDir, name), '');
    assert.is((await cli(world, ['restore-backup', archive, '--key', key])).code, 0);
    await writeFile(join(world.stateDir, 'restore-under-way'), '');
    await refused([archive, '--key', key], 1, 'is already there');
    await world.start();
  }));

test('the key is in neither the archive nor its listing, unless a second file is asked for', () =>
  inHarbour(async (world) => {
    const { archive, key } = await backUp(world);
    const secret = Buffer.from((await readFile(key, 'utf8')).trim(), 'hex');
    assert.equal(secret, await readFile(join(world.stateDir, 'secret.key')));
    const unpacked = spawnSync('tar', ['-xzOf', archive], { maxBuffer: 1 << 28 });
    for (const text of [secret, secret.toString('hex'), secret.toString('base64')])
      assert.not(unpacked.stdout.includes(text));
    const again = await cli(world, ['backup', '--to', archive]);
    assert.is(again.code, 64, 'an archive was replaced');
    const piped = await cli(world, ['backup', '--to', '-']);
    assert.is(piped.code, 0, piped.stderr);
    assert.ok(piped.stdout.length > 1_000);
  }));

test('without repositories: they are fetched again, and both sides’ edits are there', () =>
  inHarbour(async (world) => {
    const site = await mooredSite(world);
    await site.settled();
    const made = await backUp(world, '--without-repositories');
    assert.not(spawnSync('tar', ['-tzf', made.archive], { encoding: 'utf8' }).stdout.includes('repositories/'));
    await site.project.push('main', { 'later.txt': 'arrived after the backup\n' });
    await site.settled();
    await world.kill();
    await site.write('mine.txt', 'mine\n');
    await site.project.push('main', { 'later.txt': null, 'theirs.txt': 'theirs\n' });
    await restore(world, made);
    await world.start();
    const files = await converged(await again(world, site));
    assert.is(files.get('mine.txt'), 'mine\n');
    assert.is(files.get('theirs.txt'), 'theirs\n');
    assert.not(files.has('later.txt'));
  }));

test('on another machine with another folder, every site asks before it touches anything', () =>
  inHarbour(async (world) => {
    const site = await mooredSite(world);
    await site.settled();
    const made = await backUp(world);
    await world.kill();
    // The folder as it comes from another backup: older, and with a file that the branch never had.
    await cp(site.folder, `${site.folder}.copy`, { recursive: true });
    await rm(site.folder, { recursive: true });
    await mkdir(join(world.dir, 'elsewhere'));
    await rename(`${site.folder}.copy`, site.folder);
    await rm(join(site.folder, 'about.md'));
    await writeFile(join(site.folder, 'only-here.txt'), 'only here\n');
    const [before, branch] = [await filesOf(site.folder), await site.project.files()];
    await restore(world, made);
    await world.start();
    const now = await again(world, site);
    const page = await now.reaches('On hold');
    assert.match(page.words, 'restored from a backup');
    const { words } = await now.clicker.open(`${site.url}/hold`);
    assert.match(words, 'Missing here: 1.');
    assert.match(words, 'Only here: 1.');
    assert.not.match(words, 'would be removed');
    assert.ok(sameFiles(await filesOf(site.folder), before), 'the folder was touched');
    assert.ok(sameFiles(await site.project.files(), branch), 'the branch was touched');
    await now.clicker.press('Use this folder');
    const files = await converged(now);
    assert.ok(files.has('about.md'), 'a missing file was taken for a removal');
    assert.is(files.get('only-here.txt'), 'only here\n');
  }));

test('a disk that fills up while the archive is written leaves no archive', () =>
  inHarbour(async (world) => {
    const site = await mooredSite(world);
    await site.write('big.bin', randomBytes(300_000));
    await site.settled();
    const small = join(world.dir, 'small');
    await mkdir(small);
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', small]);
    if (mounted.status !== 0) return console.log('not run here: a small disk cannot be mounted');
    try {
      const { code, stderr } = await cli(world, ['backup', '--to', join(small, 'b.tar.gz')]);
      assert.is(code, 1, stderr);
      assert.match(stderr.replace(/\s+/g, ' '), 'the disk is full');
      assert.equal(await readdir(small), []);
    } finally {
      spawnSync('umount', [small]);
    }
    // The daemon ends its own side a moment after the command has failed.
    const work = join(world.stateDir, 'backup-work');
    await until('the snapshot is gone', async () => (await readdir(work)).length === 0);
    assert.is((await cli(world, ['status'])).code, 0);
  }));

test.run();
