// time limit: 240 s
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
  appendFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { realFs } from '../../src/files/disk.ts';
import { Problem } from '../../src/model/problem.ts';
import type { Remote } from '../../src/sync/ports.ts';
import { type EngineWorld, engineWorld } from '../support/engine.ts';
import { git } from '../support/plain-git.ts';
import { Crash, Doom, doomedFs, doomedRemote, doomedRepository, inlineScanner } from './doom.ts';
import { assertSame, folderFiles, isAncestor, leftovers, missing, treeFiles } from './oracle.ts';
import { forcePush } from './scenarios.ts';

/**
 * Worlds that a seed makes: two sides edit the same few paths, the network fails, the process ends at any step. At the
 * end all faults are gone, both sides are equal and every content that nobody replaced himself is found. A seed that
 * failed stays in `seeds/` and runs for ever. `MOORING_SEED` repeats one world, `MOORING_WORLDS` sets how many run.
 */
const model = suite('model');
const seedsDir = join(import.meta.dirname, 'seeds');
const worlds = Number(process.env['MOORING_WORLDS'] ?? 15);
const asked = process.env['MOORING_SEED'];
const paths = ['index.html', 'a.md', 'A.md', 'dir/a.md', 'dir/b.md', 'dir/sub/c.md', 'x', 'x/y', 'cafe\u0301.md'];

interface Fixture {
  readonly name: string;
  readonly seed: number;
}

for (const file of readdirSync(seedsDir).filter((name) => name.endsWith('.json'))) {
  const { name, seed } = JSON.parse(readFileSync(join(seedsDir, file), 'utf8')) as Fixture;
  model(`seed ${seed}: ${name}`, async () => void (await world(seed)));
}

model('whatever happens, both sides end equal and nothing is lost', async () => {
  const total = { worlds: 0, operations: 0, kills: 0, faults: 0, values: 0 };
  // The same worlds each time, so that a failure is news about the change; the soak goes on to new ones.
  let seed = Number(asked ?? 20_261_122);
  for (let left = asked ? 1 : worlds; left > 0; left -= 1) {
    const done = await world(seed);
    total.worlds += 1;
    for (const key of ['operations', 'kills', 'faults', 'values'] as const) total[key] += done[key];
    seed += 1;
  }
  process.stdout.write(`note: ${JSON.stringify(total)}, last seed ${seed - 1}\n`);
});

model.run();

async function world(seed: number) {
  const dir = mkdtempSync(join(tmpdir(), 'mooring-test-model-'));
  const made = new World(dir, seed);
  try {
    await made.begin();
    const length = 8 + made.pick(16);
    for (let i = 0; i < length; i += 1) await made.operate();
    await made.judge();
    return { operations: made.trace.length, kills: made.kills, faults: made.faults, values: made.written.size };
  } catch (error) {
    const where = error instanceof Error ? (error.stack ?? '') : String(error);
    const actual = error instanceof Error && 'actual' in error ? JSON.stringify(error.actual) : '';
    const expected = error instanceof Error && 'expects' in error ? JSON.stringify(error.expects) : '';
    throw new Error(
      `seed ${seed}: ${made.trace.join(' | ')}\n${where}\n${actual.slice(0, 1_500)}\n${expected.slice(0, 1_500)}`,
    );
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Contents are compared byte by byte: they keep to ASCII. */
const plain = (path: string): string => path.replace(/[^\x20-\x7e]/g, '');

class World {
  readonly #dir: string;
  #state: number;
  readonly trace: string[] = [];
  /** Contents that nobody who saw them replaced or removed. */
  readonly written = new Set<string>();
  readonly #pushes: [string | null, string][] = [];
  #next = 0;
  #fault: 'none' | 'cut-before' | 'cut-after' | 'refused' = 'none';
  #live: EngineWorld | undefined;
  #doom: Doom | undefined;
  readonly #policy: 'repository' | 'site';
  readonly #way: 'exchange' | 'link';
  kills = 0;
  faults = 0;
  readonly #seed: number;

  constructor(dir: string, seed: number) {
    this.#dir = dir;
    this.#seed = seed;
    this.#state = Math.imul(seed, 2_654_435_761) >>> 0 || 1;
    this.#policy = this.pick(2) === 0 ? 'repository' : 'site';
    this.#way = this.pick(4) === 0 ? 'link' : 'exchange';
  }

  pick(n: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % n;
  }

  async begin(): Promise<void> {
    const first = Object.fromEntries(
      ['index.html', 'a.md', 'dir/a.md', 'dir/b.md', 'keep.md'].map((path) => [path, this.#value(path)]),
    );
    const world = await engineWorld({ keep: this.#dir, repository: first, scanner: inlineScanner(realFs()) });
    await world.connect();
    await world.close();
  }

  async operate(): Promise<void> {
    const kind = this.pick(20);
    if (kind < 7) this.#editSite();
    else if (kind < 12) this.#editRemote();
    else if (kind < 17) await this.#sync();
    else if (kind === 17) {
      this.#fault = (['cut-before', 'cut-after', 'refused', 'none'] as const)[this.pick(4)]!;
      this.faults += 1;
      this.trace.push(this.#fault);
    } else if (kind === 18) await this.#end(this.pick(3) === 0);
    else this.#rewrite();
  }

  #value(path: string): string {
    const content = `${plain(path)} ${this.#seed}.${this.#next++}\n`;
    this.written.add(content);
    return content;
  }

  /** What is at or below a path in the folder is replaced by somebody who sees it. */
  #replaced(path: string): void {
    for (const [at, text] of folderFiles(join(this.#dir, 'site'))) {
      if (at !== path && !at.startsWith(`${path}/`) && !path.startsWith(`${at}/`)) continue;
      for (const line of text.split('\n')) this.written.delete(`${line}\n`);
    }
  }

  #editSite(): void {
    const site = join(this.#dir, 'site');
    const path = paths[this.pick(paths.length)]!;
    const full = join(site, path);
    const kind = (['write', 'append', 'remove', 'rename', 'save', 'same-size', 'write'] as const)[this.pick(7)]!;
    this.trace.push(`site ${kind} ${path}`);
    const there = existsSync(full) && statSync(full).isFile();
    const inTheWay =
      dirname(path) !== '.' && existsSync(join(site, dirname(path))) && statSync(join(site, dirname(path))).isFile();
    if (kind === 'append' && there) appendFileSync(full, this.#value(path));
    else if (kind === 'remove' && existsSync(full)) {
      this.#replaced(path);
      rmSync(full, { recursive: true });
    } else if (kind === 'rename' && there) {
      this.#replaced('moved.md');
      renameSync(full, join(site, 'moved.md'));
    } else if (kind === 'same-size' && there) {
      const { mtime, size } = statSync(full);
      const text = this.#value(path);
      if (text.length !== size) {
        this.written.delete(text);
        return;
      }
      this.#replaced(path);
      this.written.add(text);
      writeFileSync(full, text);
      utimesSync(full, mtime, mtime);
    } else {
      this.#replaced(path);
      if (inTheWay) rmSync(join(site, dirname(path)));
      if (existsSync(full) && !there) rmSync(full, { recursive: true });
      mkdirSync(dirname(full), { recursive: true });
      if (kind === 'save') {
        writeFileSync(`${full}.part`, this.#value(path));
        renameSync(`${full}.part`, full);
      } else writeFileSync(full, this.#value(path));
    }
    // A third of all events never arrives.
    if (this.pick(3) > 0) this.#live?.directory.touched(full);
  }

  #editRemote(): void {
    const clone = join(this.#dir, 'clone');
    git(clone, 'fetch', '-q', 'origin');
    git(clone, 'checkout', '-q', '-f', '-B', 'main', 'origin/main');
    const did: string[] = [];
    for (let i = 0; i <= this.pick(4); i += 1) {
      const path = paths[this.pick(paths.length)]!;
      const full = join(clone, path);
      const parent = join(clone, dirname(path));
      if (this.pick(4) === 0) rmSync(full, { recursive: true, force: true });
      else {
        if (existsSync(parent) && statSync(parent).isFile()) rmSync(parent);
        if (existsSync(full) && statSync(full).isDirectory()) rmSync(full, { recursive: true });
        mkdirSync(parent, { recursive: true });
        writeFileSync(full, this.#value(path));
      }
      did.push(path);
    }
    this.trace.push(`remote ${did.join(' ')}`);
    git(clone, 'add', '-A');
    git(clone, 'commit', '-q', '--allow-empty', '-m', 'theirs');
    // Written over in the same commit: never anybody's version.
    const committed = new Set(treeFiles(clone, 'HEAD').values());
    for (const value of [...this.written].slice(-did.length)) {
      const mine = did.some((path) => value.startsWith(`${plain(path)} `));
      if (mine && ![...committed].some((text) => text.includes(value)) && missing(this.#sides(), [value]).length > 0)
        this.written.delete(value);
    }
    git(clone, 'push', '-q', 'origin', 'HEAD:main');
  }

  /** Somebody takes the last commit back by force. What it brought is theirs to remove. */
  #rewrite(): void {
    const bare = join(this.#dir, 'gitlab.git');
    if (git(bare, 'rev-list', '--count', 'main') === '1') return;
    this.trace.push('remote force');
    const gone = [...treeFiles(bare, 'main').values()];
    for (const text of gone) for (const line of text.split('\n')) this.written.delete(`${line}\n`);
    for (const value of [...this.written]) {
      const before = missing(this.#sides(), [value]);
      if (before.length > 0) this.written.delete(value);
    }
    forcePush({ dir: this.#dir }, { 'forced.md': `forced ${this.#next++}\n` }, 1);
    // What the site only fetched, and never agreed on, was GitLab's alone: whoever takes it back there may.
    const repository = join(this.#dir, 'state', 'repo.git');
    for (const name of ['incoming', 'scratch', 'offered']) git(repository, 'update-ref', '-d', `refs/sync/${name}`);
    for (const value of missing(this.#sides(), [...this.written])) this.written.delete(value);
  }

  #sides() {
    return {
      site: join(this.#dir, 'site'),
      bare: join(this.#dir, 'gitlab.git'),
      gitDir: join(this.#dir, 'state', 'repo.git'),
    };
  }

  async #process(): Promise<EngineWorld> {
    if (this.#live) return this.#live;
    const doom = new Doom(this.pick(2) === 0 ? 1 + this.pick(60) : Number.POSITIVE_INFINITY, join(this.#dir, 'state'));
    const { exchange, ...rest } = realFs();
    const fs = doomedFs(this.#way === 'link' || !exchange ? rest : { ...rest, exchange }, doom);
    this.#doom = doom;
    this.#live = await engineWorld({
      keep: this.#dir,
      fs,
      scanner: inlineScanner(fs),
      settings: { policy: this.#policy },
      wrap: (repository) => doomedRepository(repository, doom),
      remote: (remote) => doomedRemote(this.#faulty(remote), doom, (from, to) => this.#pushes.push([from, to])),
    });
    await this.#live.repository.prepare();
    doom.armed = true;
    this.trace.push('start');
    return this.#live;
  }

  #faulty(remote: Remote): Remote {
    const cut = (when: 'cut-before' | 'cut-after'): void => {
      if (this.#fault === when)
        throw new Problem('gitlab-unreachable', { project: 'p', branch: 'main', reason: 'cut' });
    };
    return {
      ...remote,
      head: async (signal) => {
        cut('cut-before');
        return remote.head(signal);
      },
      push: async (...args) => {
        cut('cut-before');
        if (this.#fault === 'refused') return { kind: 'refused', text: 'no', output: 'no' };
        const result = await remote.push(...args);
        if (result.kind === 'done') this.#pushes.push([args[1], args[0]]);
        cut('cut-after');
        return result;
      },
    };
  }

  async #sync(): Promise<void> {
    const world = await this.#process();
    this.trace.push('sync');
    try {
      const { hold } = await world.sync({ trigger: this.pick(3) === 0 ? 'rescan' : 'person' });
      if (hold && this.pick(2) === 0) await world.sync({ consent: hold.step });
    } catch (error) {
      if (error instanceof Crash || this.#doom?.dead) {
        this.kills += 1;
        this.trace.push(`killed at ${this.#doom?.trace.length} ${this.#doom?.trace.at(-1)}`);
        await this.#end(this.pick(4) === 0);
      } else if (!(error instanceof Problem)) throw error;
      else this.trace.push(error.code);
    }
  }

  async #end(forgetful: boolean): Promise<void> {
    await this.#doom?.buried();
    this.#live = undefined;
    this.trace.push(forgetful ? 'end, manifest lost' : 'end');
    if (forgetful) rmSync(join(this.#dir, 'state', 'manifest.jsonl'), { force: true });
  }

  async judge(): Promise<void> {
    await this.#end(false);
    this.#fault = 'none';
    const fs = realFs();
    const world = await engineWorld({
      keep: this.#dir,
      fs,
      scanner: inlineScanner(fs),
      settings: { policy: this.#policy },
      remote: (remote) => this.#faulty(remote),
    });
    await world.repository.prepare();
    let consent = '';
    for (let round = 0; round < 12; round += 1) {
      world.directory.touchedAll();
      const { hold, pulled, pushed, unsettled } = await world.sync({ consent });
      consent = hold?.step ?? '';
      if (!hold && round > 0 && pulled.length + pushed.length + unsettled === 0) break;
    }
    const before = [world.tip(), git(world.gitDir, 'rev-parse', 'refs/sync/disk')];
    world.directory.touchedAll();
    const quiet = await world.sync();
    const apart = new Set(quiet.notSynced.map(({ path }) => path as string));
    const without = (files: Map<string, string>) => new Map([...files].filter(([path]) => !apart.has(path)));
    assertSame(without(folderFiles(world.site)), without(treeFiles(world.bare, 'main')));
    assert.equal(
      [world.tip(), git(world.gitDir, 'rev-parse', 'refs/sync/disk')],
      before,
      'a further look made a commit',
    );
    world.later(2_000_000);
    world.directory.touchedAll();
    await world.sync();
    assert.equal(missing(world, [...this.written]), [], 'lost');
    for (const [from, to] of this.#pushes) if (from) assert.ok(isAncestor(world.gitDir, from, to), 'not forward');
    assert.equal(leftovers(world), [], 'left behind');
    await world.close();
  }
}
