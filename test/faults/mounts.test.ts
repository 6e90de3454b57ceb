import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { realFs } from '../../src/files/disk.ts';
import { createSiteFolders } from '../../src/files/folders.ts';
import { type Mount, changedElsewhere, parseMount, readMounts } from '../../src/files/mount-table.ts';
import { openRoot } from '../../src/files/root.ts';
import { Problem } from '../../src/model/problem.ts';
import { describe } from '../../src/model/remedy.ts';
import type { SiteId } from '../../src/model/site.ts';
import { scratch } from '../support/plain-git.ts';
import { stagingFolders } from '../support/staging.ts';
import { type KeptWorld, inNamespace, kept, problemOf, website } from './support.ts';

/** Disks inside sites and below them, as Docker's volumes, bind mounts and overlays are. */
const mounts = suite('mounts');

/** Runs a program of mount(8); gives what it says where the machine cannot do that. */
function mounted(...args: readonly string[]): string | undefined {
  const { status, stderr } = spawnSync('mount', args, { encoding: 'utf8' });
  return status === 0 ? undefined : stderr.trim();
}

interface Kind {
  readonly name: string;
  /** Mounts it on an existing folder; `aside` is an empty folder on the scratch disk. Gives why it cannot be had. */
  mount(folder: string, aside: string): string | undefined;
}

const kinds: readonly Kind[] = [
  { name: 'a bind mount of the same file system', mount: (folder, aside) => mounted('--bind', aside, folder) },
  { name: 'a tmpfs', mount: (folder) => mounted('-t', 'tmpfs', 'tmpfs', folder) },
  {
    name: 'an overlay',
    mount(folder, aside) {
      const [lower, upper, work] = ['lower', 'upper', 'work'].map((name) => join(aside, name)) as [
        string,
        string,
        string,
      ];
      for (const each of [lower, upper, work]) mkdirSync(each);
      const options = `lowerdir=${lower},upperdir=${upper},workdir=${work},userxattr`;
      return mounted('-t', 'overlay', '-o', options, 'overlay', folder);
    },
  },
  {
    name: 'a vfat on a loop device',
    mount: (folder, aside) => vfatOn(folder, join(aside, 'disk')),
  },
];

function vfatOn(folder: string, image: string): string | undefined {
  const made = spawnSync('mkfs.vfat', ['-C', image, '20480'], { encoding: 'utf8' });
  if (made.error) return `mkfs.vfat: ${made.error.message}`;
  return mounted('-o', 'loop', '-t', 'vfat', image, folder);
}

const cannot = (what: string, reason: string): void =>
  void process.stdout.write(`\nnot run here: ${what}: ${reason}\n`);

/** Everything that was mounted goes before the folder is removed. */
async function inScratch(test: (dir: string, aside: string) => Promise<void>): Promise<void> {
  const { dir, remove } = scratch();
  const aside = join(dir, 'aside');
  mkdirSync(aside);
  mkdirSync(join(dir, 'site'));
  try {
    await test(dir, aside);
  } finally {
    const below = readMounts().filter(({ point }) => point.startsWith(`${dir}/`));
    for (const { point } of below.reverse()) spawnSync('umount', ['-l', point]);
    remove();
  }
}

const repository = { ...website, 'uploads/a.txt': 'a\n', 'uploads/deep/b.txt': 'b\n' };

/** Pulls and pushes on both sides of the border, and leaves nothing behind. */
async function travels(world: KeptWorld): Promise<void> {
  world.write('uploads/mine.txt', 'mine\n');
  world.push({
    ...{ 'index.html': 'home 2\n', 'uploads/a.txt': 'a 2\n', 'uploads/deep/b.txt': null },
    ...{ 'uploads/new/c.txt': 'c\n', 'posts/c.md': 'c\n' },
  });
  await world.triggered();
  await world.triggered('rescan');
  assert.equal(world.worker.status().notSynced, []);
  assert.is(world.worker.status().state, 'in-sync');
  assert.equal(world.files(), world.branch());
  assert.is(world.read('uploads/a.txt'), 'a 2\n');
  assert.is(world.branch()['uploads/mine.txt'], 'mine');
  world.later(700_000);
  await world.triggered('rescan');
  assert.equal([...stagingFolders(world.site), ...stagingFolders(join(world.site, 'uploads'))], []);
}

for (const kind of kinds) {
  mounts(`R4: ${kind.name} inside a folder that is connected: it is connected, and both sides travel`, () =>
    inScratch(async (dir, aside) => {
      const uploads = join(dir, 'site/uploads');
      mkdirSync(uploads);
      const reason = kind.mount(uploads, aside);
      if (reason) return cannot(kind.name, reason);
      writeFileSync(join(uploads, 'only-here.txt'), 'kept by the first connect\n');
      return kept({ keep: dir, repository }, async (world) => {
        assert.is(world.read('uploads/deep/b.txt'), 'b\n');
        await travels(world);
        const at = world.directory.disks.map((disk) => disk.at);
        assert.equal(at, ['', 'uploads']);
      });
    }),
  );

  mounts(`R4: ${kind.name} that comes to lie inside a connected site`, () =>
    inScratch((dir, aside) =>
      kept({ keep: dir, repository }, async (world) => {
        const uploads = join(dir, 'site/uploads');
        const reason = kind.mount(uploads, aside);
        if (reason) return cannot(kind.name, reason);
        for (const [name, text] of Object.entries({ 'a.txt': 'a\n', 'deep/b.txt': 'b\n' }))
          world.write(`uploads/${name}`, text);
        await world.triggered('rescan');
        await travels(world);
      }),
    ),
  );

  mounts(`R1, R2, R6: ${kind.name} as the site itself`, () =>
    inScratch(async (dir, aside) => {
      const reason = kind.mount(join(dir, 'site'), aside);
      if (reason) return cannot(kind.name, reason);
      return kept({ keep: dir, repository }, async (world) => {
        await travels(world);
        const [disk] = world.directory.disks;
        const said = `${disk?.type} ${disk?.replace}, ${disk?.create}, ${disk?.remove}, staging ${disk?.staging}`;
        process.stdout.write(`\nnote: ${kind.name}: ${said}\n`);
        assert.is(disk?.staging, 'inside', 'nothing can leave the mount');
      });
    }),
  );
}

mounts(
  'R4: a read-only mount inside the site: what is on it is named, the rest arrives, and edits go on being pushed',
  () =>
    inScratch(async (dir, aside) => {
      const uploads = join(dir, 'site/uploads');
      mkdirSync(uploads);
      mkdirSync(join(aside, 'deep'));
      writeFileSync(join(aside, 'a.txt'), 'a\n');
      writeFileSync(join(aside, 'deep/b.txt'), 'b\n');
      const reason = mounted('--bind', aside, uploads) ?? mounted('-o', 'remount,bind,ro', uploads);
      if (reason) return cannot('a read-only bind mount', reason);
      return kept({ keep: dir, repository }, async (world) => {
        world.write('about.md', 'edited\n');
        world.push({
          ...{ 'index.html': 'home 2\n', 'uploads/a.txt': 'a 2\n', 'uploads/deep/b.txt': null },
          'uploads/c.txt': 'c\n',
        });
        await world.triggered();
        await world.triggered('rescan');
        const { notSynced, problem } = world.worker.status();
        assert.is(problem, undefined);
        assert.equal(
          notSynced.map(({ path, reason }) => `${path} ${'errno' in reason ? reason.errno : reason.kind}`).sort(),
          ['uploads/a.txt EROFS', 'uploads/c.txt EROFS', 'uploads/deep/b.txt EROFS'],
        );
        assert.is(world.read('index.html'), 'home 2\n');
        assert.is(world.read('uploads/a.txt'), 'a\n');
        assert.is(world.branch()['about.md'], 'edited');
        assert.is(world.branch()['uploads/a.txt'], 'a 2', 'what could not be written here was pushed back as an edit');
        world.write('about.md', 'edited twice\n');
        await world.triggered('watch');
        assert.is(world.branch()['about.md'], 'edited twice');
        assert.is(mounted('-o', 'remount,bind,rw', uploads), undefined);
        await world.triggered('rescan');
        assert.equal(world.worker.status().notSynced, []);
        assert.equal(world.files(), world.branch());
      });
    }),
);

mounts('R4: a folder that lies on a read-only mount is not connected, and nothing is half-done', () =>
  inScratch(async (dir, aside) => {
    const site = join(dir, 'site');
    writeFileSync(join(aside, 'own.txt'), 'own\n');
    const reason = mounted('--bind', aside, site) ?? mounted('-o', 'remount,bind,ro', site);
    if (reason) return cannot('a read-only bind mount', reason);
    return kept({ keep: dir, repository, unconnected: true }, async (world) => {
      const refused = await world.connect('replace').then(
        () => 'it was connected',
        (error: unknown) => (error instanceof Problem ? error.code : String(error)),
      );
      assert.is(refused, 'folder-unwritable');
      assert.equal(await world.repository.ledger(), {});
      assert.equal(readdirSync(site), ['own.txt']);
    });
  }),
);

mounts(
  'R4: a disk that becomes read-only between the plan and the first file: the site is connected and says why it waits',
  () =>
    inScratch(async (dir, aside) => {
      const site = join(dir, 'site');
      const reason = mounted('--bind', aside, site);
      if (reason) return cannot('a bind mount', reason);
      return kept({ keep: dir, repository, unconnected: true }, async (world) => {
        const branch = 'main' as Parameters<KeptWorld['worker']['plan']>[0];
        const plan = await world.worker.plan(branch, 'replace', world.remote, '');
        await world.worker.connect(branch, 'replace', plan.id, world.remote, async () => {
          world.bind();
          assert.is(mounted('-o', 'remount,bind,ro', site), undefined);
        });
        await world.triggered();
        const { state, problem } = world.worker.status();
        assert.is(problem?.code, 'folder-unwritable');
        assert.ok(state !== 'off', 'it says that it is not connected');
        assert.is(mounted('-o', 'remount,bind,rw', site), undefined);
        await world.triggered();
        await world.triggered('rescan');
        assert.is(world.worker.status().state, 'in-sync');
        assert.equal(world.files(), world.branch());
      });
    }),
);

mounts('R4: a single file that is mounted over, as Docker does: it is named, and the rest arrives', () =>
  inScratch(async (dir, aside) => {
    const [page, own] = [join(dir, 'site/index.html'), join(aside, 'own.html')];
    writeFileSync(page, 'home\n');
    writeFileSync(own, 'home\n');
    const reason = mounted('--bind', own, page);
    if (reason) return cannot('a bind mount of a file', reason);
    return kept({ keep: dir, repository }, async (world) => {
      world.push({ 'index.html': 'home 2\n', 'about.md': 'about 2\n' });
      await world.triggered();
      const { notSynced } = world.worker.status();
      assert.equal(
        notSynced.map(({ path, reason }) => `${path} ${'errno' in reason ? reason.errno : reason.kind}`),
        ['index.html EBUSY'],
      );
      assert.is(world.read('about.md'), 'about 2\n');
      assert.is(world.read('index.html'), 'home\n');
      assert.is(world.branch()['index.html'], 'home 2');
      writeFileSync(page, 'edited in place\n');
      await world.triggered('rescan');
      assert.is(world.read('index.html'), 'edited in place\n', 'the edit was lost');
    });
  }),
);

mounts('R6: what is staged lies beside the site, where no program that reads the site meets it', () =>
  inScratch((dir) =>
    kept({ keep: dir, repository }, async (world) => {
      const inode = statSync(join(world.site, 'index.html')).ino;
      world.push({ 'index.html': 'home 2\n' });
      await world.triggered();
      const [folder = '', ...others] = stagingFolders(world.site);
      assert.equal(others, []);
      assert.is(join(folder, '..'), dir);
      assert.is(statSync(folder).mode & 0o777, 0o700);
      assert.equal(
        readdirSync(folder).map((name) => statSync(join(folder, name)).ino),
        [inode],
        'what was replaced waits there',
      );
      assert.not.ok(readdirSync(world.site).some((name) => name.startsWith('.mooring-')));
      assert.is(spawnSync('tar', ['-cf', '/dev/null', world.site]).status, 0);
      world.later(700_000);
      await world.triggered('rescan');
      assert.equal(stagingFolders(world.site), []);
    }),
  ),
);

mounts('R6: where nothing can be put beside the site, it lies in the state directory, and else in the site', () =>
  inScratch(async (dir) => {
    // A namespace's root may write everywhere: what keeps the folder beside the site away is a mount.
    const site = join(dir, 'site');
    const reason = mounted('--bind', site, site);
    if (reason) return cannot('a bind mount', reason);
    return kept({ keep: dir, repository }, async (world) => {
      world.push({ 'index.html': 'home 2\n' });
      await world.triggered();
      const [folder = ''] = stagingFolders(world.site);
      assert.is(join(folder, '..'), site);
      assert.not.ok(existsSync(join(dir, 'state', folder.split('/').at(-1) ?? '')));
      assert.equal(world.files(), world.branch());
    });
  }),
);

mounts('a row of the kernel’s table, with what it escapes in names', () => {
  const row = '36 35 98:0 /mnt1 /srv/my\\040site/\\134x rw,noatime master:1 - fuse.sshfs host:/ rw,errors=continue';
  assert.equal(parseMount(row), { id: '36', point: '/srv/my site/\\x', source: '/mnt1', type: 'fuse.sshfs' });
  assert.is(parseMount('nonsense'), undefined);
  assert.ok(readMounts().some(({ point }) => point === '/'));
});

mounts('R24: a disk that other machines change is known by its type, where the site lies and inside it', () => {
  const table = [
    ['/', 'ext4'],
    ['/srv', 'nfs4'],
    ['/srv/site', 'ext4'],
    ['/srv/site/uploads', 'cifs'],
    ['/srv/site/cache', 'tmpfs'],
    ['/srv/site2', 'fuse.sshfs'],
  ] as const;
  const all = table.map(([point, type], n): Mount => ({ id: String(n), point, source: '/', type }));
  const of = (folder: string): readonly string[] => changedElsewhere(folder, all);
  assert.equal(of('/var/www/site'), []);
  assert.equal(of('/srv/other'), ['nfs4']);
  assert.equal(of('/srv/site'), ['cifs']);
  assert.equal(of('/srv/site2'), ['fuse.sshfs']);
  // What was mounted last hides what was there.
  assert.equal(changedElsewhere('/srv/other', [...all, { id: '9', point: '/srv', source: '/', type: 'xfs' }]), []);
});

mounts('R26: a folder under /home that the sandbox of systemd hides: the message names the sandbox', () =>
  inScratch(async (dir) => {
    const hiding = join(dir, 'systemd/inaccessible/dir');
    mkdirSync(hiding, { recursive: true, mode: 0o000 });
    const reason = mounted('--bind', hiding, '/home');
    if (reason) return cannot('a bind mount over /home', reason);
    try {
      const folders = createSiteFolders({ roots: ['/home'], stateDir: join(dir, 'state'), sites: () => [] });
      for (const self of [undefined, 'site' as SiteId]) {
        const problem = await problemOf(() => folders.checkFolder('/home/ana/public_html', self));
        assert.is(problem.code, 'folder-missing');
        const { happened, todo } = describe(problem.toFacts());
        assert.match(happened, 'the sandbox of Mooring’s systemd unit hides /home');
        assert.match(todo, 'ProtectHome=no');
      }
      const fs = realFs();
      const { code, facts } = await problemOf(async () => openRoot(fs, '/home/ana/public_html'));
      assert.equal([code, facts['hidden']], ['folder-missing', '/home']);
      const other = await problemOf(async () => openRoot(fs, join(dir, 'not-there')));
      assert.equal([other.code, other.facts['hidden']], ['folder-missing', undefined]);
    } finally {
      spawnSync('umount', ['-l', '/home']);
    }
  }),
);

if (inNamespace(import.meta.filename)) mounts.run();
