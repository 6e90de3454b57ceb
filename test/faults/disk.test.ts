import { randomBytes } from 'node:crypto';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { realFs } from '../../src/files/disk.ts';
import { defaultSettings } from '../../src/model/site.ts';
import type { Fs } from '../../src/model/world.ts';
import { git, scratch } from '../support/plain-git.ts';
import { overHttp } from './over-http.ts';
import { endsIn, fault, gitChildren, inNamespace, inlineScanner, isFound, kept, smallDisk } from './support.ts';

/** Real small disks, in a namespace of our own; and a file system that fails on order. */
const disk = suite('disk');

/** A site on a disk of its own. */
async function onSmallSite(
  options: string,
  test: (world: Parameters<Parameters<typeof kept>[1]>[0], small: ReturnType<typeof smallDisk>) => Promise<void>,
): Promise<void> {
  const { dir, remove } = scratch();
  const small = smallDisk(join(dir, 'site'), options);
  try {
    await kept({ keep: dir }, (world) => test(world, small));
  } finally {
    small.unmount();
    remove();
  }
}

disk('F4: the site’s disk is full: nothing is truncated, nothing half applied, it heals when space returns', () =>
  onSmallSite('size=2m,nr_inodes=200', async (world, small) => {
    const before = world.files();
    const tip = world.push({
      'big.bin': randomBytes(3 * 1024 * 1024),
      'index.html': 'new\n',
      'posts/b.md': null,
      'many/1.txt': '1\n',
    });
    await world.triggered('poll');
    assert.is(world.worker.status().problem?.code, 'disk-full');
    assert.is(world.worker.status().state, 'retrying');
    assert.equal(world.files(), before);
    await world.triggered('rescan');
    assert.is(world.tip(), tip, 'a full disk was taken for an edit');
    const room = Buffer.alloc(1024 * 1024);
    writeFileSync(join(world.site, 'room'), room);
    rmSync(join(world.site, 'room'));
    small.grow('size=8m');
    await world.triggered('retry');
    assert.is(world.worker.status().problem, undefined);
    assert.equal(Object.keys(world.files()).sort(), Object.keys(world.branch()).sort());
    assert.is(world.read('index.html'), 'new\n');
    assert.is(world.tip(), tip);
  }),
);

disk('F4: what does not fit is told before a byte is written, with how much is needed', async () => {
  const real = realFs();
  let created = 0;
  const fs: Fs = {
    ...real,
    free: () => 2 * 1024 * 1024,
    createFile(dir, name, mode) {
      created += 1;
      return real.createFile(dir, name, mode);
    },
  };
  await kept({ fs }, async (world) => {
    const before = world.files();
    created = 0;
    world.push({ 'big.bin': randomBytes(3 * 1024 * 1024), 'index.html': 'new\n' });
    await world.triggered('poll');
    const { problem } = world.worker.status();
    assert.is(problem?.code, 'disk-full');
    assert.match(problem?.facts['needs'] ?? '', /^3(\.\d)? MiB$/);
    assert.is(problem?.facts['free'], '2 MiB');
    assert.is(created, 0);
    assert.equal(world.files(), before);
  });
});

disk('S7: what would make the site larger than allowed is held, and comes once the limit allows it', () =>
  kept({ settings: { limits: { ...defaultSettings.limits, siteBytes: 1024 * 1024 } } }, async (world) => {
    const before = world.files();
    const tip = world.push({ 'a.bin': randomBytes(700_000), 'b.bin': randomBytes(700_000) });
    await world.triggered('poll');
    assert.is(world.worker.status().problem?.code, 'repository-too-large');
    assert.equal(world.files(), before);
    assert.is(world.tip(), tip);
    Object.assign(world.siteModel.settings.limits, { siteBytes: 4 * 1024 * 1024 });
    await world.triggered('person');
    assert.is(world.worker.status().problem, undefined);
    assert.ok(world.has('b.bin'));
  }),
);

disk('S7: a file over the limit comes once the limit allows it, and an edit of what stood there is not lost', () =>
  kept({ settings: { limits: { ...defaultSettings.limits, fileBytes: 100 } } }, async (world) => {
    const tip = world.push({ 'index.html': 'x'.repeat(200), 'about.md': 'y'.repeat(200), 'new.md': 'z'.repeat(200) });
    for (const trigger of ['poll', 'rescan'] as const) await world.triggered(trigger);
    assert.is(world.read('index.html'), 'home\n');
    world.write('about.md', 'edited here\n');
    await world.triggered('watch');
    assert.is(world.tip(), tip);
    Object.assign(world.siteModel.settings.limits, { fileBytes: 1_000 });
    for (const trigger of ['rescan', 'person'] as const) await world.triggered(trigger);
    assert.is(world.read('index.html'), 'x'.repeat(200));
    assert.is(world.read('new.md'), 'z'.repeat(200));
    assert.is(world.read('about.md'), 'edited here\n', 'an edit was replaced');
  }),
);

disk('F4: an edit made while the disk is full still reaches the branch', () =>
  onSmallSite('size=2m,nr_inodes=200', async (world, small) => {
    world.push({ 'big.bin': randomBytes(3 * 1024 * 1024) });
    await world.triggered('poll');
    world.write('about.md', 'edited on a full disk\n');
    await world.triggered('watch');
    assert.ok(isFound(world, 'edited on a full disk'));
    small.grow('size=16m');
    await world.triggered('retry');
    assert.is(git(world.bare, 'show', 'main:about.md'), 'edited on a full disk');
    assert.ok(world.has('big.bin'));
  }),
);

disk(
  'F5: the state directory’s disk is full: site and remote are untouched, temporary packs go, it heals',
  async () => {
    let small: ReturnType<typeof smallDisk> | undefined;
    await overHttp(
      {
        prepare(dir) {
          small = smallDisk(join(dir, 'state'), 'size=2m');
          return small.unmount;
        },
      },
      async (world) => {
        await world.connect();
        const before = world.files();
        const tip = await world.project.push('main', {
          'big.bin': randomBytes(3 * 1024 * 1024),
          'index.html': 'new\n',
        });
        const problem = await endsIn('disk-full', () => world.sync());
        assert.is(problem.code, 'disk-full');
        assert.equal(world.files(), before);
        assert.is(world.tip(), tip);
        world.write('large.bin', randomBytes(3 * 1024 * 1024));
        await endsIn('disk-full', () => world.sync({ trigger: 'watch' }));
        assert.ok(world.has('large.bin'));
        assert.is(world.tip(), tip);
        await world.repository.prepare();
        const packs = readdirSync(join(world.gitDir, 'objects'), { recursive: true }) as string[];
        assert.equal(
          packs.filter((name) => /tmp_|\.tmp-/.test(name)),
          [],
        );
        small?.grow('size=64m');
        await world.sync();
        assert.is(world.read('index.html'), 'new\n');
        assert.ok(git(world.bare, 'ls-tree', '--name-only', 'main').includes('large.bin'));
        await world.rest();
        assert.equal(gitChildren(), []);
      },
    );
  },
);

disk('F6: a site without inodes takes nothing rather than a part, and heals', () =>
  onSmallSite('size=8m,nr_inodes=40', async (world, small) => {
    const before = world.files();
    const tip = world.push(Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`many/${i}.txt`, `${i}\n`])));
    await world.triggered('poll');
    assert.is(world.worker.status().problem?.code, 'disk-full');
    assert.equal(world.files(), before);
    await world.triggered('rescan');
    assert.is(world.tip(), tip);
    small.grow('size=8m,nr_inodes=400');
    await world.triggered('retry');
    assert.equal(world.files(), world.branch());
    assert.is(world.tip(), tip);
  }),
);

disk('F6: a site mounted read-only loses nothing on either side, and takes up the change when it may write', () =>
  onSmallSite('size=4m', async (world, small) => {
    const before = world.files();
    const tip = world.push({ 'index.html': 'new\n', 'posts/b.md': null, 'added.txt': 'added\n' });
    small.grow('ro');
    await world.triggered('poll');
    await world.triggered('rescan');
    assert.equal(world.files(), before);
    assert.is(world.tip(), tip);
    assert.is.not(world.worker.status().state, 'in-sync');
    small.grow('rw');
    await world.triggered('retry');
    await world.triggered('rescan');
    await world.triggered('person');
    assert.equal(world.files(), world.branch());
    assert.is(world.tip(), tip);
  }),
);

/** The real file system, where one call fails for one name as long as `on` holds. */
function failing(call: 'read' | 'stat' | 'openFile' | 'openDirectory' | 'readSmall', name: string, code: string) {
  const real = realFs();
  const order = { on: false, met: 0 };
  const fail = (at: Buffer): void => {
    if (!order.on || at.toString() !== name) return;
    order.met += 1;
    throw fault(code);
  };
  let victim: number | undefined;
  const fs: Fs = {
    ...real,
    stat(dir, at) {
      if (call === 'stat') fail(at);
      return real.stat(dir, at);
    },
    openDirectory(dir, at) {
      if (call === 'openDirectory') fail(at);
      return real.openDirectory(dir, at);
    },
    readSmall(dir, at, limit) {
      if (call === 'readSmall') fail(at);
      return real.readSmall(dir, at, limit);
    },
    openFile(dir, at) {
      if (call === 'openFile') fail(at);
      const fd = real.openFile(dir, at);
      if (call === 'read' && at.toString() === name) victim = fd;
      // The number of a file that was closed goes to the next one.
      else if (fd === victim) victim = undefined;
      return fd;
    },
    read(fd, into) {
      if (call === 'read' && fd === victim && order.on) {
        order.met += 1;
        return Promise.reject(fault(code));
      }
      return real.read(fd, into);
    },
  };
  return { fs, order };
}

for (const [call, name] of [
  ['stat', 'a.md'],
  ['openDirectory', 'posts'],
  ['openFile', 'a.md'],
  ['read', 'a.md'],
] as const) {
  disk(
    `F6: EIO from ${call} is never a removal; the path is named, and the edit arrives when the disk reads again`,
    async () => {
      const { fs, order } = failing(call, name, 'EIO');
      await kept({ fs, scanner: inlineScanner(fs) }, async (world) => {
        const tip = world.tip();
        world.write('posts/a.md', 'edited\n');
        order.on = true;
        for (const trigger of ['rescan', 'watch', 'person', 'rescan'] as const) {
          await world.triggered(trigger);
          const { problem, notSynced } = world.worker.status();
          assert.is(problem, undefined);
          const path = name === 'posts' ? 'posts' : 'posts/a.md';
          assert.equal(notSynced, [{ path, reason: { kind: 'unreadable', errno: 'EIO' } }]);
        }
        assert.ok(order.met > 0, 'the fault was not met');
        assert.is(world.tip(), tip);
        await world.rest();
        assert.equal(gitChildren(), [], 'a git was left behind');
        order.on = false;
        await world.triggered('rescan');
        assert.is(git(world.bare, 'show', 'main:posts/a.md'), 'edited');
        assert.equal(world.files(), world.branch());
      });
    },
  );
}

disk('F6: a .gitignore that cannot be read lets nothing through that it kept out', async () => {
  const { fs, order } = failing('readSmall', '.gitignore', 'EIO');
  await kept(
    { fs, scanner: inlineScanner(fs), repository: { '.gitignore': 'cache/\n', 'index.html': 'home\n' } },
    async (world) => {
      const tip = world.tip();
      world.write('cache/private.txt', 'must not travel\n');
      order.on = true;
      await world.triggered('rescan');
      await world.triggered('watch');
      assert.ok(order.met > 0);
      assert.is(world.tip(), tip, 'an ignored file was pushed');
      order.on = false;
      await world.triggered('rescan');
      assert.is(world.tip(), tip);
    },
  );
});

for (const code of ['EIO', 'EMFILE'] as const) {
  disk(`F6: ${code} while a broken-off apply is put back: the file moved aside is not forgotten`, async () => {
    const { exchange: _exchange, renameNoReplace: _renameNoReplace, ...real } = realFs();
    const order = { crash: false, blind: false };
    const fs: Fs = {
      ...real,
      link(from, name, to, newName) {
        // The old file is aside, the new one not yet at its name: here the process ends.
        if (order.crash && newName.toString() === 'index.html') throw fault('ECRASH');
        real.link(from, name, to, newName);
      },
      openDirectory(dir, name) {
        if (order.blind && name.toString().startsWith('.mooring-')) throw fault(code);
        return real.openDirectory(dir, name);
      },
    };
    await kept({ fs, scanner: inlineScanner(fs) }, async (world) => {
      const tip = world.push({ 'index.html': 'new\n' });
      order.crash = true;
      await world.triggered('poll');
      assert.not(world.has('index.html'), 'the crash was not met');
      order.blind = true;
      await world.triggered('rescan');
      order.crash = false;
      await world.triggered('rescan');
      order.blind = false;
      await world.triggered('rescan');
      await world.triggered('person');
      assert.is(git(world.bare, 'rev-list', '--count', `${tip}..main`), '0', 'the gap was taken for a removal');
      assert.is(world.read('index.html'), 'new\n');
      assert.equal(world.files(), world.branch());
    });
  });
}

if (inNamespace(import.meta.filename)) disk.run();
