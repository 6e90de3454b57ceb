import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { SiteId } from '../../src/model/site.ts';
import { createWatch, type UnwatchedReason } from '../../src/triggers/watch.ts';

const watching = suite('triggers/watch');
const site = 's1' as SiteId;

function arrange() {
  const folder = mkdtempSync(join(tmpdir(), 'mooring-watch-'));
  const touched: string[] = [];
  const unwatched: UnwatchedReason[] = [];
  const watch = createWatch({
    onTouched: (_site, path) => touched.push(path.slice(folder.length + 1)),
    onUnwatched: (_site, reason) => unwatched.push(reason),
  });
  const seen = async (path: string): Promise<boolean> => {
    for (let i = 0; i < 100; i += 1) {
      if (touched.includes(path)) return true;
      await sleep(20);
    }
    return false;
  };
  const end = async () => {
    await watch.close();
    rmSync(folder, { recursive: true, force: true });
  };
  return { folder, touched, unwatched, watch, seen, end };
}

watching('reports new, changed, renamed and removed files, deep in new folders too', async () => {
  const { folder, touched, watch, seen, end } = arrange();
  writeFileSync(join(folder, 'old.md'), 'old');
  await watch.start(site, folder);
  assert.equal(touched, []);
  mkdirSync(join(folder, 'a/b'), { recursive: true });
  writeFileSync(join(folder, 'a/b/new.md'), 'x');
  assert.ok(await seen('a/b/new.md'));
  writeFileSync(join(folder, 'old.md'), 'changed');
  assert.ok(await seen('old.md'));
  renameSync(join(folder, 'old.md'), join(folder, 'moved.md'));
  assert.ok(await seen('moved.md'));
  touched.length = 0;
  rmSync(join(folder, 'moved.md'));
  assert.ok(await seen('moved.md'));
  await end();
});

watching('is silent about the engine’s own staging folders, git folders and what links lead to', async () => {
  const { folder, touched, watch, seen, end } = arrange();
  const elsewhere = mkdtempSync(join(tmpdir(), 'mooring-elsewhere-'));
  symlinkSync(elsewhere, join(folder, 'link'));
  await watch.start(site, folder);
  for (const name of ['.mooring-0123456789abcdef', '.git', 'sub/.git']) {
    mkdirSync(join(folder, name), { recursive: true });
    writeFileSync(join(folder, name, 'file'), 'x');
  }
  writeFileSync(join(elsewhere, 'secret'), 'x');
  writeFileSync(join(folder, '.mooring-notes'), 'x');
  assert.ok(await seen('.mooring-notes'));
  await sleep(100);
  const ours = touched.filter((path) => /mooring-0123|\.git|secret/.test(path));
  assert.equal(ours, []);
  await end();
  rmSync(elsewhere, { recursive: true });
});

watching('after a folder was swapped, starting anew sees the new one', async () => {
  const { folder, touched, watch, seen, end } = arrange();
  await watch.start(site, folder);
  renameSync(folder, `${folder}-before`);
  mkdirSync(folder);
  await watch.start(site, folder);
  touched.length = 0;
  writeFileSync(join(folder, 'in-the-new-one'), 'x');
  assert.ok(await seen('in-the-new-one'));
  touched.length = 0;
  writeFileSync(join(`${folder}-before`, 'in-the-old-one'), 'x');
  await sleep(150);
  assert.equal(touched, []);
  rmSync(`${folder}-before`, { recursive: true });
  await end();
});

watching('after stop and close nothing is reported, and close is final', async () => {
  const { folder, touched, watch, end } = arrange();
  await watch.start(site, folder);
  await watch.stop(site);
  writeFileSync(join(folder, 'a'), 'x');
  await watch.close();
  await watch.start(site, folder);
  writeFileSync(join(folder, 'b'), 'x');
  await sleep(150);
  assert.equal(touched, []);
  await end();
});

watching('a full kernel table is told once, with the setting to raise', () => {
  // Only a user namespace may lower the limit, and not every machine lets us have one.
  const script = `
    import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
    import { tmpdir } from 'node:os';
    import { createWatch } from ${JSON.stringify(new URL('../../src/triggers/watch.ts', import.meta.url).href)};
    const folder = mkdtempSync(tmpdir() + '/full-');
    for (let i = 0; i < 30; i += 1) mkdirSync(folder + '/d' + i);
    const watch = createWatch({ onTouched() {}, onUnwatched: (site, reason) => console.log(JSON.stringify(reason)) });
    await watch.start('s1', folder);
    await watch.close();
    rmSync(folder, { recursive: true });`;
  const limit = 'echo 5 > /proc/sys/user/max_inotify_watches && exec "$@"';
  const command = [process.execPath, '--input-type=module', '-e', script];
  const child = spawnSync('unshare', ['-Ur', 'sh', '-c', limit, 'sh', ...command], { encoding: 'utf8' });
  if (/unshare|Operation not permitted|max_inotify_watches/.test(child.stderr ?? '') || child.error) {
    process.stdout.write('\nnot run here: watches used up: no user namespaces\n');
    return;
  }
  const told = child.stdout.trim().split('\n');
  assert.is(told.length, 1, child.stdout + child.stderr);
  assert.is((JSON.parse(told[0] ?? '') as UnwatchedReason).kind, 'watches');
});

watching.run();
