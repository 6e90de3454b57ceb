import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../support/until.ts';
import { inHarbour } from '../support/daemon.ts';
import { mooredSite } from '../support/moored.ts';
import { inNamespace } from './support.ts';

/** In a namespace, since only there may a test lower the kernel's limits. */
const watches = suite('watches');

watches('F31: the watches are used up: changes arrive by the scan, the page says so and what to raise', async () => {
  writeFileSync('/proc/sys/user/max_inotify_watches', '10');
  await inHarbour(async (harbour) => {
    const folders = Array.from({ length: 30 }, (_, i) => [`d${i}/in/a.md`, `${i}\n`]);
    const project = await harbour.gitlab.projects.create({
      ...{ path: 'harbour/folders', owner: 'ana', files: Object.fromEntries(folders) as Record<string, string> },
    });
    const site = await mooredSite(harbour, { project });
    await site.settled();
    await site.clicker.open(`${site.url}/settings/schedule`);
    await site.clicker.press('Save', { 'When to scan': '* * * * *' });
    for (let i = 0; i < 30; i += 1) await site.write(`d${i}/in/a.md`, `edited ${i}\n`);
    const { words } = await site.clicker.open(`${harbour.url}/attention`);
    assert.match(words, 'Not watched');
    assert.match(words, 'fs.inotify.max_user_watches');
    const edited = async (): Promise<number> =>
      [...(await project.files()).values()].filter((bytes) => bytes.toString().startsWith('edited')).length;
    await until('all thirty are on the branch', async () => (await edited()) === 30 || undefined);
    await site.settled();
    await project.push('main', { 'd7/in/a.md': 'from the branch\n' });
    await site.settled();
  });
});

watches('R24: a disk that is changed behind the kernel’s back: the page says how edits are found, and they are', () =>
  inHarbour(async (harbour) => {
    const [lower, upper, work] = ['lower', 'upper', 'work'].map((name) => join(harbour.dir, name)) as [
      string,
      string,
      string,
    ];
    for (const folder of [lower, upper, work]) mkdirSync(folder);
    const options = `lowerdir=${lower},upperdir=${upper},workdir=${work},userxattr`;
    const { status, stderr } = spawnSync('mount', ['-t', 'overlay', '-o', options, 'overlay', harbour.sites], {
      encoding: 'utf8',
    });
    if (status !== 0) return void process.stdout.write(`\nnot run here: an overlay: ${stderr.trim()}\n`);
    try {
      const site = await mooredSite(harbour);
      await site.settled();
      await site.clicker.open(`${site.url}/settings/schedule`);
      await site.clicker.press('Save', { 'When to scan': '0 0 1 1 *' });
      const { words } = await site.clicker.open(site.url);
      assert.match(words, 'Those of other systems on overlay are found by full scans');
      assert.match((await site.clicker.open(`${harbour.url}/system`)).words, 'Harbour: overlay.');
      await until('it is scanned more often', async () =>
        (await site.clicker.open(site.url)).words.includes('every 30 seconds'),
      );
      // As another machine would, on the disk below.
      writeFileSync(join(upper, 'harbour', 'from-elsewhere.html'), 'written on the disk below\n');
      await until('it is on the branch', async () => (await site.project.files()).has('from-elsewhere.html'));
      await site.settled();
    } finally {
      spawnSync('umount', ['-l', harbour.sites]);
    }
  }),
);

if (inNamespace(import.meta.filename)) watches.run();
