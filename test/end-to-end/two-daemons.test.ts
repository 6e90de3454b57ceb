import { readFileSync, readdirSync, statSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { chanceOf } from '../soak/chance.ts';
import { Reach, liveIds, tornFiles } from '../soak/evidence.ts';
import { Shore } from '../soak/shore.ts';
import { readValues } from '../soak/values.ts';
import { writeBeginning } from '../support/beginnings.ts';
import { type Harbour, admin, freePort, inHarbour, spawnServe } from '../support/daemon.ts';
import { mooredSite } from '../support/moored.ts';
import { until } from '../support/until.ts';

/**
 * One folder and one branch in two installations: somebody copied a set-up, or two shards claim one site. Each is a
 * remote writer to the other, so nothing is lost; what else it costs is told in docs/scale.md.
 */
const test = suite('two daemons, one site');

function stagedIds(sites: string): Set<string> {
  const names = (readdirSync(sites, { recursive: true }) as string[]).filter((name) => name.includes('.mooring-'));
  const files = names.map((name) => join(sites, name)).filter((path) => statSync(path).isFile());
  return new Set(files.flatMap((path) => readValues(readFileSync(path, 'latin1')).ids));
}

/** Another daemon with a state directory of its own, beside the first. */
async function withSecond(
  first: Harbour,
  use: (second: Omit<Harbour, 'daemon' | 'start' | 'stop' | 'kill' | 'close'>) => Promise<void>,
): Promise<void> {
  const [stateDir, port] = [join(first.dir, 'second-state'), await freePort()];
  const { gitlab: server, world, application } = first;
  await mkdir(stateDir, { mode: 0o700 });
  await writeBeginning({ stateDir, admin, gitlab: { server, world, application } });
  const said: string[] = [];
  const env = {
    ...{ PATH: process.env['PATH'] ?? '', HOME: first.dir, NODE_ENV: 'production', LANG: 'C.UTF-8' },
    ...{ MOORING_STATE: stateDir, MOORING_SITES: first.sites, MOORING_PORT: String(port), MOORING_ALLOW_ROOT: 'yes' },
  };
  const { child, ended } = spawnServe(env, undefined, (text) => said.push(text));
  const url = `http://127.0.0.1:${port}`;
  try {
    await until('the second daemon answers', async () => (await fetch(`${url}/readyz`)).ok);
    await use({ ...first, stateDir, port, url, output: () => said.join('') });
  } finally {
    child.kill('SIGTERM');
    await ended;
  }
}

test('both work on it at once: the sides become equal, and every content is found', () =>
  inHarbour(async (first) => {
    const chance = chanceOf(7);
    const project = await first.gitlab.projects.create({
      ...{ path: 'harbour/shared', owner: 'ana', files: { 'keep.md': '' } },
    });
    const site = await mooredSite(first, { name: 'Shared', project });
    const shore = new Shore(site, { name: 'two', chance, diskIsFull: () => false, asEditor: (act) => act() });
    await project.push(site.branch, { ...shore.first(), 'keep.md': null });
    await site.settled();
    await withSecond(first, async (second) => {
      const again = await mooredSite(second, { name: 'Shared', project });
      const edits = shore.edit(150);
      await sleep(8_000);
      shore.stop();
      await edits;
      await until('both are at rest together', async () => {
        const head = await site.project.head(site.branch);
        for (const one of [site, again, site]) await one.settled();
        return head === (await site.project.head(site.branch));
      });
      const branch = await new Reach(site.project.repoPath).ids();
      const own = await Promise.all(
        [first.stateDir, second.stateDir].map((state, at) =>
          new Reach(join(state, 'repositories', `${[site, again][at]!.id}.git`)).ids(),
        ),
      );
      const live = liveIds(site.folder);
      // What one took while the other filled the name waits in its staging folder, to be recorded ten minutes later.
      const waiting = stagedIds(first.sites);
      const isFound = (id: string): boolean =>
        live.has(id) || branch.has(id) || waiting.has(id) || own.some((ids) => ids.has(id));
      const lost = shore.written.filter(({ id }) => !isFound(id) && !shore.replaced.has(id));
      assert.equal(lost, []);
      assert.equal(tornFiles(site.folder), []);
      assert.ok(shore.written.length > 40, `only ${shore.written.length} contents`);
      console.log(`     note: ${shore.written.length} contents by two sides, lost ${lost.length}`);
    });
  }));

test.run();
