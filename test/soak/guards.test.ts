import nodeFs, { closeSync, mkdirSync, openSync, rmSync, symlinkSync, writeSync } from 'node:fs';
import { createServer } from 'node:http';
import { syncBuiltinESMExports } from 'node:module';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { realFs } from '../../src/files/disk.ts';
import type { Fs } from '../../src/model/world.ts';
import { overHttp } from '../faults/over-http.ts';
import { connected, fault, problemOf } from '../faults/support.ts';
import { inHarbour } from '../support/daemon.ts';
import { mooredSite } from '../support/moored.ts';
import { git } from '../support/plain-git.ts';
import { inlineScanner } from './doom.ts';
import { forcePush } from './scenarios.ts';

/** Each guard where nothing else would see that it is gone: chance would have to hit one instant. */
const guards = suite('guards');

for (const history of ['continued', 'rewritten'] as const) {
  guards(
    `edited between the look and the apply of a ${history} branch, a file stays, and both edits come together`,
    () => {
      const fs = { ...realFs() };
      return connected({ fs, scanner: inlineScanner(fs) }, async (world) => {
        // Something to go back to: history that is rewritten from its first commit on is another one.
        world.push({ 'other.md': 'other\n' });
        await world.sync();
        const lines = world.read('about.md').trimEnd().split('\n');
        const theirs = { 'about.md': `${['theirs', ...lines.slice(1)].join('\n')}\n`, 'index.html': 'new\n' };
        if (history === 'continued') world.push(theirs);
        else forcePush(world, theirs);
        const ours = `${[...lines.slice(0, -1), 'ours'].join('\n')}\n`;
        const createFile = fs.createFile.bind(fs);
        let done = false;
        fs.createFile = (...args) => {
          if (!done) world.write('about.md', ours);
          done = true;
          return createFile(...args);
        };
        await world.sync();
        assert.ok(done, 'nothing was applied');
        assert.is(world.read('about.md'), ours, 'an edit that nobody had seen was replaced');
        assert.is(world.read('index.html'), 'new\n');
        for (let n = 0; n < 3; n += 1) await world.sync();
        const both = `${['theirs', ...lines.slice(1, -1), 'ours'].join('\n')}\n`;
        assert.is(world.read('about.md'), both, 'one side’s edit was undone');
        assert.is(`${git(world.bare, 'show', 'main:about.md')}\n`, both);
      });
    },
  );
}

guards('no file of the site moves before the journal says so and the new content is synced', () => {
  const fs = { ...realFs() };
  return connected({ fs, scanner: inlineScanner(fs) }, async (world) => {
    const journal = (): string => nodeFs.readFileSync(join(world.dir, 'state', 'staging.jsonl'), 'latin1');
    let journalSynced = 0;
    const { fsyncSync } = nodeFs;
    nodeFs.fsyncSync = (fd) => {
      fsyncSync(fd);
      if (nodeFs.readlinkSync(`/proc/self/fd/${fd}`).endsWith('staging.jsonl'))
        journalSynced = nodeFs.fstatSync(fd).size;
    };
    syncBuiltinESMExports();
    const unannounced: string[] = [];
    const staged = new Map<number, string>();
    const synced = new Set<string>();
    let moved = 0;
    const announced = (name: Buffer, from?: Buffer): void => {
      if (name.toString().startsWith('.mooring-')) return;
      moved += 1;
      if (from && !synced.has(from.toString())) unannounced.push(`${name.toString()} not synced`);
      const row = journal()
        .split('\n')
        .filter((line) => line.includes('"move"'))
        .some((line) => line.includes(`${name.toString()}"`));
      if (!row || journal().length > journalSynced) unannounced.push(name.toString());
    };
    const { createFile, fsync, exchange, rename, link } = fs;
    fs.createFile = (dir, name, mode) => {
      const fd = createFile(dir, name, mode);
      staged.set(fd, name.toString());
      return fd;
    };
    fs.fsync = async (fd) => {
      await fsync(fd);
      synced.add(staged.get(fd) ?? '');
    };
    if (exchange)
      fs.exchange = (a, nameA, b, nameB) => {
        announced(nameB, nameA);
        exchange(a, nameA, b, nameB);
      };
    fs.rename = (from, name, to, newName) => {
      announced(name);
      rename(from, name, to, newName);
    };
    fs.link = (from, name, to, newName) => {
      announced(newName, name);
      link(from, name, to, newName);
    };
    world.push({ 'about.md': 'theirs\n', 'new.md': 'new\n', 'posts/a.md': null });
    try {
      await world.sync();
    } finally {
      Object.assign(nodeFs, { fsyncSync });
      syncBuiltinESMExports();
    }
    assert.ok(moved >= 3, `only ${moved} moved`);
    assert.equal(unannounced, []);
  });
});

guards('a file that was aside when the process ended comes back to its name, and nobody takes it for removed', () => {
  const { exchange: _exchange, renameNoReplace: _renameNoReplace, ...rest } = realFs();
  const fs: Fs = { ...rest };
  return connected({ fs, scanner: inlineScanner(fs) }, async (world) => {
    const tip = world.push({ 'index.html': 'new\n' });
    const { link } = fs;
    let met = 0;
    // A process that has ended does not try again.
    fs.link = (from, name, to, newName) => {
      if (newName.toString() !== 'index.html') return link(from, name, to, newName);
      met += 1;
      throw fault('ECRASH');
    };
    await world.sync().catch(() => undefined);
    fs.link = link;
    assert.ok(met > 0);
    assert.not(world.has('index.html'), 'it was not aside');
    for (const trigger of ['start', 'rescan'] as const) await world.sync({ trigger });
    assert.is(world.read('index.html'), 'new\n');
    assert.is(git(world.bare, 'rev-parse', 'main'), tip, 'the gap was taken for a removal');
  });
});

guards('a file that changes while it is read is not recorded half old, half new', async () => {
  const fs = { ...realFs() };
  await connected({ fs, scanner: inlineScanner(fs) }, async (world) => {
    const half = 'a'.repeat(1_100_000);
    world.write('large.txt', `${half}${half}\n`);
    const read = fs.read.bind(fs);
    let done = false;
    fs.read = async (fd, into) => {
      const count = await read(fd, into);
      if (!done && count > 100_000) {
        done = true;
        // What was read already stays old in our hands; what comes is new.
        const file = openSync(join(world.site, 'large.txt'), 'r+');
        writeSync(file, 'b'.repeat(half.length * 2), 0);
        closeSync(file);
      }
      return count;
    };
    for (let n = 0; n < 3; n += 1) await world.sync({ trigger: 'rescan' });
    assert.ok(done, 'it was not read');
    const versions = git(world.bare, 'log', '--format=%H', 'main', '--', 'large.txt').split('\n');
    for (const commit of versions) {
      const text = git(world.bare, 'show', `${commit}:large.txt`);
      assert.not.match(text, /ab|ba/, 'a version that never was');
    }
    assert.match(git(world.bare, 'show', 'main:large.txt'), /^b+$/);
  });
});

guards('a file written twice in one tick of the clock is read again', async () => {
  const real = realFs();
  let frozen: bigint | undefined;
  const tick = <T extends { ctimeNs: bigint; mtimeNs: bigint }>(stat: T): T =>
    frozen === undefined ? stat : { ...stat, ctimeNs: frozen, mtimeNs: frozen };
  const fs: Fs = {
    ...real,
    stat(dir, name) {
      const stat = real.stat(dir, name);
      return stat && stat.kind === 'file' ? tick(stat) : stat;
    },
    statOpen: (fd) => tick(real.statOpen(fd)),
  };
  await connected({ fs, scanner: inlineScanner(fs) }, async (world) => {
    await world.sync();
    world.push({ 'index.html': 'one\n' });
    // The disk's clock stands still from here on: the second write leaves no trace but its content.
    frozen = BigInt(Date.now() + 3_600_000) * 1_000_000n;
    await world.sync();
    const file = openSync(join(world.site, 'index.html'), 'r+');
    writeSync(file, 'two\n');
    closeSync(file);
    await world.sync({ trigger: 'rescan' });
    await world.sync({ trigger: 'rescan' });
    assert.is(git(world.bare, 'show', 'main:index.html'), 'two');
  });
});

guards('a file below a name that is refused is left alone, however it is noticed', () =>
  connected({}, async (world) => {
    // The branch has a file where the folder has a folder that holds only a link.
    mkdirSync(join(world.site, 'x'));
    symlinkSync('../index.html', join(world.site, 'x', 'y'));
    world.push({ x: 'theirs\n' });
    await world.sync();
    rmSync(join(world.site, 'x', 'y'));
    world.write('x/y', 'ours\n');
    for (const trigger of ['watch', 'rescan', 'person'] as const) await world.sync({ trigger });
    assert.is(git(world.bare, 'show', 'main:x'), 'theirs', 'the branch’s file was taken away');
    assert.is(world.read('x/y'), 'ours\n');
  }),
);

guards('git does not follow GitLab to another address, and takes no token there', async () => {
  const seen: string[] = [];
  const thief = createServer((request, response) => {
    seen.push(`${request.url} ${request.headers.authorization ?? ''}`);
    response.writeHead(404).end();
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => thief.once('listening', resolve));
  const { port } = thief.address() as AddressInfo;
  try {
    await overHttp({}, async (world) => {
      await world.connect();
      await world.project.push('main', { 'index.html': 'new\n' });
      const to = `http://127.0.0.1:${port}/elsewhere.git/info/refs?service=git-upload-pack`;
      world.gitlab.faults.add({ match: ({ path }) => path.includes('.git/'), redirect: to });
      await problemOf(() => world.remote.fetch());
      assert.equal(seen, [], 'git went where it was sent');
    });
  } finally {
    thief.close();
    thief.closeAllConnections();
  }
});

guards('no output of the daemon holds an address with what GitLab put into it', () =>
  inHarbour(
    async (harbour) => {
      await mooredSite(harbour);
      const cameBack = harbour.gitlab.requests.filter(({ path }) => path === '/oauth/token').length;
      assert.ok(cameBack > 0, 'nobody came back from GitLab with a code');
      const told = harbour.output();
      assert.not.match(told, /[?&](code|state)=/);
      await harbour.stop();
      assert.not.match(harbour.output(), /[?&](code|state)=/);
    },
    // Authorised by clicking: nothing but GitLab's own page sends a browser back with a code.
    { begin: 'account' },
  ),
);

guards.run();
