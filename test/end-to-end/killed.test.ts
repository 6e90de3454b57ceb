import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dies } from '../support/dies.ts';
import { type Harbour, inHarbour } from '../support/daemon.ts';
import { type MooredSite, mooredSite } from '../support/moored.ts';
import { gitAsync } from '../support/plain-git.ts';
import { beat } from '../support/beat.ts';

/**
 * The daemon is killed in the middle of everything, while both sides have edits. After each restart both sides must be
 * equal, and every content ever written must be found somewhere.
 */
const killed = suite('killed with SIGKILL');

/** Each phase at least five times, each time at another place in it. */
const phases: Readonly<Record<string, readonly string[]>> = {
  snapshot: ['snapshot.reading:1', 'snapshot.reading:3', 'snapshot.made:1', 'snapshot.moving:1', 'snapshot.moved:1'],
  fetch: ['fetch.before:1', 'fetch.running:2', 'fetch.running:12', 'fetch.running:25', 'fetch.done:1'],
  apply: ['apply.staging:2', 'apply.before-swap:1', 'apply.captured:1', 'apply.captured:3', 'apply.done:1'],
  'apply, in the gap of a replace': ['apply.gap:1', 'apply.gap:2', 'apply.gap:3', 'apply.gap:4', 'apply.gap:5'],
  push: ['push.before:1', 'push.running:3', 'push.running:20', 'push.running:45', 'push.after:1'],
};

killed('in every phase of a sync, both sides become equal again and nothing is lost', () =>
  inHarbour(async (harbour) => {
    const site = await mooredSite(harbour);
    const written: string[] = [];
    await edits(site, written, 'begin');
    await site.settled();
    const reader = startReader(harbour, site);
    await harbour.stop();
    const hits: Record<string, number> = {};
    for (const [phase, points] of Object.entries(phases)) {
      for (const point of points) {
        beat(point);
        await edits(site, written, point);
        if (await dies(harbour, point)) hits[phase] = (hits[phase] ?? 0) + 1;
        await harbour.start();
        await site.settled();
        await harbour.stop();
      }
    }
    const seen = await reader.stop();
    process.stdout.write(
      `note: killed ${JSON.stringify(hits)}; contents written ${written.length}; reader ${JSON.stringify(seen)}\n`,
    );
    for (const phase of Object.keys(phases))
      assert.ok((hits[phase] ?? 0) >= 5, `${phase}: killed ${hits[phase] ?? 0} times`);
    const lost = await missing(harbour, site, written);
    assert.equal(lost, []);
    assert.is(seen.torn, 0);
    assert.ok(seen.reads > 100, `only ${seen.reads} reads`);
    assert.not(readdirSync(site.folder).includes('.git'));
  }),
);

killed.run();

/** Edits on both sides: different files, one file on both sides, new and large ones. Each content is unique. */
async function edits(site: MooredSite, written: string[], round: string): Promise<void> {
  const unique = (what: string): string => {
    const content = `${what} ${round} ${randomBytes(8).toString('hex')}\n`;
    written.push(content.trim());
    return content;
  };
  for (const name of ['site-1.md', 'site-2.md', 'deep/site-3.md', 'both.md']) await site.write(name, unique('site'));
  const remote: Record<string, string | Buffer> = { 'big-1.bin': checked(), 'big-2.bin': checked() };
  for (const name of ['git-1.md', 'git-2.md', 'git/git-3.md', 'both.md']) remote[name] = unique('branch');
  await site.project.push(site.branch, remote, { message: round });
  // At rest for longer than the quiet time, as far as mtime goes; ctime is what counts, so wait for that as well.
  await utimes(join(site.folder, 'site-1.md'), new Date(), new Date());
}

function checked(): Buffer {
  const body = randomBytes(1024 * 1024);
  return Buffer.concat([Buffer.from(createHash('sha256').update(body).digest('hex')), body]);
}

function startReader(
  harbour: Harbour,
  site: MooredSite,
): { stop(): Promise<{ reads: number; torn: number; absent: number }> } {
  const entry = new URL('../support/reader.ts', import.meta.url).pathname;
  const paths = ['big-1.bin', 'big-2.bin'].map((name) => join(site.folder, name));
  const child = spawn(process.execPath, [entry, ...paths], { stdio: ['ignore', 'pipe', 'inherit'], cwd: harbour.dir });
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  return {
    stop: () =>
      new Promise((resolve) => {
        child.once('exit', () => resolve(JSON.parse(said) as { reads: number; torn: number; absent: number }));
        child.kill('SIGTERM');
      }),
  };
}

/** Contents found neither in the folder, nor in any commit on GitLab, nor in any commit of the site's repository. */
async function missing(harbour: Harbour, site: MooredSite, written: readonly string[]): Promise<string[]> {
  const found = new Set<string>();
  for (const dir of [site.project.repoPath, join(harbour.stateDir, 'repositories', `${site.id}.git`)]) {
    const rows = await gitAsync(dir, 'log', '--all', '-p', '-m', '--format=', '--text', '--', '*.md');
    for (const content of written) if (rows.includes(content)) found.add(content);
  }
  return written.filter((content) => !found.has(content));
}
