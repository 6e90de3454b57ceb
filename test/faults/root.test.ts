import {
  cpSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { git, scratch } from '../support/plain-git.ts';
import { type KeptWorld, inNamespace, kept, smallDisk } from './support.ts';

/** What happens to the folder itself must never look like an edit of its files. */
const root = suite('root');

/** Nothing is pushed and nothing applied meanwhile; afterwards the site goes on by itself. */
async function holdsThenGoesOn(
  world: KeptWorld,
  hold: string,
  { happens, mended }: { happens: () => void; mended: () => void },
): Promise<void> {
  const tip = world.push({ 'index.html': 'new from gitlab\n' });
  happens();
  for (const trigger of ['watch', 'rescan', 'poll', 'person', 'start'] as const) {
    await world.triggered(trigger);
    assert.is(world.worker.status().hold?.code, hold, `after ${trigger}`);
    assert.ok(['hold', 'retrying'].includes(world.worker.status().state));
    assert.is(world.tip(), tip, `pushed after ${trigger}`);
  }
  mended();
  await world.triggered('retry');
  await world.triggered('rescan');
  assert.is(world.worker.status().hold, undefined);
  assert.is(world.tip(), tip);
  assert.is(world.read('index.html'), 'new from gitlab\n');
  assert.equal(world.files(), world.branch());
}

root('F30: the folder is gone: nothing is removed on the branch, and it goes on when it is back', () =>
  kept({}, (world) =>
    holdsThenGoesOn(world, 'root-missing', {
      happens: () => renameSync(world.site, `${world.site}-away`),
      mended: () => renameSync(`${world.site}-away`, world.site),
    }),
  ),
);

root('F30: a file stands in the folder’s place', () =>
  kept({}, (world) =>
    holdsThenGoesOn(world, 'root-missing', {
      happens() {
        renameSync(world.site, `${world.site}-away`);
        writeFileSync(world.site, 'a file');
      },
      mended() {
        unlinkSync(world.site);
        renameSync(`${world.site}-away`, world.site);
      },
    }),
  ),
);

root('F30: a link stands in the folder’s place, even one to the very same files', () =>
  kept({}, (world) =>
    holdsThenGoesOn(world, 'root-missing', {
      happens() {
        renameSync(world.site, `${world.site}-away`);
        symlinkSync(`${world.site}-away`, world.site);
      },
      mended() {
        unlinkSync(world.site);
        renameSync(`${world.site}-away`, world.site);
      },
    }),
  ),
);

root('F30: the folder is emptied: nothing is removed on the branch; “put back” brings the files again', () =>
  kept({}, async (world) => {
    const tip = world.tip();
    for (const name of readdirSync(world.site)) rmSync(join(world.site, name), { recursive: true });
    for (const trigger of ['watch', 'rescan', 'poll', 'person'] as const) await world.triggered(trigger);
    const { hold } = world.worker.status();
    assert.is(hold?.code, 'root-emptied');
    assert.is(world.tip(), tip);
    await world.worker.choose(hold?.step ?? '', 'put-back');
    await world.triggered();
    await world.triggered('rescan');
    assert.is(world.tip(), tip);
    assert.equal(world.files(), world.branch());
    assert.is(world.read('index.html'), 'home\n');
  }),
);

root('F30: another folder with other files stands in its place: held until somebody says it is the right one', () =>
  kept({}, (world) =>
    holdsThenGoesOn(world, 'root-changed', {
      happens() {
        renameSync(world.site, `${world.site}-away`);
        mkdirSync(world.site);
        writeFileSync(join(world.site, 'other.html'), 'of another site\n');
      },
      mended() {
        renameSync(world.site, `${world.site}-wrong`);
        renameSync(`${world.site}-away`, world.site);
      },
    }),
  ),
);

root('F30: another folder with the same files is taken for the same site without a question', () =>
  kept({}, async (world) => {
    const before = world.site_().root;
    const tip = world.tip();
    renameSync(world.site, `${world.site}-away`);
    cpSync(`${world.site}-away`, world.site, { recursive: true });
    await world.triggered('start');
    assert.is(world.worker.status().state, 'in-sync');
    assert.is.not(world.site_().root?.ino, before?.ino);
    world.write('index.html', 'edited after the move\n');
    await world.triggered('watch');
    assert.is(git(world.bare, 'rev-list', '--count', `${tip}..main`), '1');
    assert.equal(world.files(), world.branch());
  }),
);

root('F30: half of the files removed at once is a question; neither side changes until it is answered', () =>
  kept(
    { repository: Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`f${i}.txt`, `${i}\n`])) },
    async (world) => {
      const tip = world.push({ 'f49.txt': 'new from gitlab\n' });
      for (let i = 0; i < 25; i += 1) world.remove(`f${i}.txt`);
      for (const trigger of ['watch', 'rescan', 'poll'] as const) await world.triggered(trigger);
      const { hold } = world.worker.status();
      assert.is(hold?.code, 'folder-lost-files');
      assert.is(hold?.tally.removed, 25);
      assert.is(world.tip(), tip);
      assert.is(world.read('f49.txt'), '49\n', 'applied while held');
      await world.worker.choose(hold?.step ?? '', 'put-back');
      await world.triggered();
      assert.is(Object.keys(world.files()).length, 50);
      assert.equal(world.files(), world.branch());
    },
  ),
);

root('F30: the disk of the site is unmounted: the empty mount point is no site without files', async () => {
  const { dir, remove } = scratch();
  const site = join(dir, 'site');
  const disk = smallDisk(site, 'size=4m');
  try {
    await kept({ keep: dir }, async (world) => {
      const tip = world.push({ 'index.html': 'new from gitlab\n' });
      const { dev } = statSync(site);
      disk.unmount();
      assert.is.not(statSync(site).dev, dev, 'it is still mounted');
      for (const trigger of ['watch', 'rescan', 'poll', 'start'] as const) {
        await world.triggered(trigger);
        assert.ok(['root-changed', 'root-emptied'].includes(world.worker.status().hold?.code ?? ''), trigger);
      }
      assert.is(world.tip(), tip);
      assert.equal(readdirSync(site), [], 'something was written into the mount point');
    });
  } finally {
    disk.unmount();
    remove();
  }
});

root('F30: another disk with other files is mounted over the site', async () => {
  await kept({}, async (world) => {
    const tip = world.push({ 'index.html': 'new from gitlab\n' });
    const disk = smallDisk(world.site, 'size=4m');
    try {
      writeFileSync(join(world.site, 'foreign.txt'), 'foreign\n');
      for (const trigger of ['rescan', 'poll', 'start'] as const) await world.triggered(trigger);
      assert.is(world.worker.status().hold?.code, 'root-changed');
      assert.is(world.tip(), tip);
      assert.equal(readdirSync(world.site), ['foreign.txt']);
    } finally {
      disk.unmount();
    }
    await world.triggered('retry');
    assert.is(world.worker.status().hold, undefined);
    assert.equal(world.files(), world.branch());
  });
});

if (inNamespace(import.meta.filename)) root.run();
