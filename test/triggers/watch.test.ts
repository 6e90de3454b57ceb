import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isTold } from '../../src/files/told.ts';
import { watchesInUse } from '../../src/files/machine.ts';
import type { SiteId } from '../../src/model/site.ts';
import { createWatch, type UnwatchedReason } from '../../src/triggers/watch.ts';

const watching = suite('triggers/watch');
const site = 's1' as SiteId;

function arrange(passedOver: readonly string[] = []) {
  const folder = mkdtempSync(join(tmpdir(), 'mooring-watch-'));
  const touched: string[] = [];
  const unwatched: UnwatchedReason[] = [];
  const stages: string[] = [];
  const watch = createWatch({
    onTouched: (_site, path) => touched.push(path.slice(folder.length + 1)),
    onUnwatched: (_site, reason) => unwatched.push(reason),
    passesOver: (_site, path) => passedOver.includes(path.slice(folder.length + 1)),
    onRules: (_site, stage) => stages.push(stage),
    isTold,
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
  return { folder, touched, unwatched, stages, watch, seen, end };
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

watching(
  'R25: ignored folders take no watches and tell nothing, whether they are there at the start or come later',
  async () => {
    const passedOver = ['node_modules', 'later'];
    const { folder, touched, stages, watch, seen, end } = arrange(passedOver);
    for (let i = 0; i < 300; i += 1) mkdirSync(join(folder, `node_modules/p${i}/lib`), { recursive: true });
    const before = (await watchesInUse())?.used ?? 0;
    await watch.start(site, folder);
    const taken = ((await watchesInUse())?.used ?? 0) - before;
    assert.ok(taken < 10, `${taken} watches`);
    mkdirSync(join(folder, 'later/in'), { recursive: true });
    writeFileSync(join(folder, 'later/in/a.js'), 'x');
    writeFileSync(join(folder, 'node_modules/p1/lib/a.js'), 'x');
    writeFileSync(join(folder, 'page.html'), 'x');
    assert.ok(await seen('page.html'));
    await sleep(100);
    assert.equal(
      touched.filter((path) => /^(later|node_modules)\/./.test(path)),
      [],
    );
    // The rules change: what is no longer ignored is watched from then on.
    passedOver.pop();
    writeFileSync(join(folder, '.gitignore'), 'node_modules/\n');
    for (let i = 0; i < 300 && !stages.includes('began'); i += 1) await sleep(20);
    assert.equal(stages, ['changed', 'began']);
    writeFileSync(join(folder, 'later/in/b.js'), 'x');
    assert.ok(await seen('later/in/b.js'));
    await end();
  },
);

watching(
  'R24: a folder whose file system tells what is written there is watched, and nothing is left of the trial',
  async () => {
    const { folder, unwatched, watch, end } = arrange();
    await watch.start(site, folder);
    await sleep(2_500);
    assert.equal(unwatched, []);
    assert.equal(readdirSync(folder), []);
    await end();
  },
);

watching('R24: a folder whose file system tells nothing counts as not watched', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mooring-watch-'));
  const unwatched: UnwatchedReason[] = [];
  const watch = createWatch({
    onTouched: () => {},
    onUnwatched: (_site, reason) => unwatched.push(reason),
    passesOver: () => false,
    onRules: () => {},
    isTold: async () => false,
  });
  await watch.start(site, folder);
  for (let i = 0; i < 100 && unwatched.length === 0; i += 1) await sleep(20);
  assert.equal(
    unwatched.map(({ kind }) => kind),
    ['silent'],
  );
  await watch.close();
  rmSync(folder, { recursive: true });
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
    const watch = createWatch({ onTouched() {}, onRules() {}, passesOver: () => false, isTold: async () => true, onUnwatched: (site, reason) => console.log(JSON.stringify(reason)) });
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
