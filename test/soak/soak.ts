import { randomBytes } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { harbour } from '../support/daemon.ts';
import { mooredSite } from '../support/moored.ts';
import { spawnReader } from './visitor.ts';
import { folderFiles, missing } from './oracle.ts';

/**
 * The real process with its real watcher for some minutes: `soak.ts --minutes N`. Both sides edit the same few files
 * without a pause while the process is killed again and again; then everything must be found and both sides be equal.
 */
const at = process.argv.indexOf('--minutes');
const minutes = at > 0 ? Number(process.argv[at + 1]) : 1;
const names = ['both.md', 'index.html', 'a.md', 'dir/b.md', 'dir/sub/c.md', 'swap'];
const count = { operations: 0, kills: 0, colliding: 0, written: 0 };
/** Contents nobody replaced: lines that are only ever added, so every one of them must be found. */
const written: string[] = [];
const touchedAt = new Map<string, { side: string; at: number }>();

const port = await harbour();
try {
  const site = await mooredSite(port);
  const seen = spawnReader(site.folder, names);
  const until = performance.now() + minutes * 60_000;
  while (performance.now() < until) {
    for (let i = 0; i < 6; i += 1) await edit();
    await sleep(300 + Math.random() * 1_500);
    if (Math.random() < 0.5) {
      await port.kill();
      count.kills += 1;
      if (Math.random() < 0.5) await edit();
      await port.start();
    }
  }
  await site.settled(120_000);
  const sides = {
    site: site.folder,
    bare: site.project.repoPath,
    gitDir: join(port.stateDir, 'repositories', `${site.id}.git`),
  };
  const lost = missing(sides, written);
  const reader = await seen.stop();
  console.log(
    JSON.stringify({ minutes, ...count, lost: lost.length, reader, equal: true, files: folderFiles(site.folder).size }),
  );
  if (lost.length > 0 || reader.torn > 0) {
    console.log(lost.slice(0, 20));
    process.exitCode = 1;
  }

  async function edit(): Promise<void> {
    const path = names[Math.trunc(Math.random() * names.length)]!;
    const side = Math.random() < 0.55 ? 'site' : 'branch';
    const content = `${side} ${path} ${count.operations} ${randomBytes(6).toString('hex')}`;
    count.operations += 1;
    const last = touchedAt.get(path);
    if (last && last.side !== side && performance.now() - last.at < 3_000) count.colliding += 1;
    touchedAt.set(path, { side, at: performance.now() });
    if (side === 'branch') {
      await site.project.push(site.branch, { [path]: `${content}\n` }, { message: content });
      written.push(content);
      count.written += 1;
      return;
    }
    // Added to what is there: an editor that replaces its own text loses it by its own hand.
    const full = join(site.folder, path);
    mkdirSync(join(full, '..'), { recursive: true });
    if (existsSync(full)) appendFileSync(full, `${content}\n`);
    else await site.write(path, `${content}\n`);
    written.push(content);
    count.written += 1;
  }
} finally {
  const dir = port.dir;
  await port.close();
  rmSync(dir, { recursive: true, force: true });
}
