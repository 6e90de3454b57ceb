import { fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openDirectory } from '../../src/files/directory.ts';
import { realFs } from '../../src/files/disk.ts';
import type { ReplaceRung } from '../../src/model/disk.ts';
import { defaultSettings } from '../../src/model/site.ts';
import type { Change, Entry, Oid, SitePath } from '../../src/model/tree.ts';
import type { Fs } from '../../src/model/world.ts';
import type { Directory, Repository, PendingFile } from '../../src/sync/ports.ts';
import { inlineScanner } from '../soak/doom.ts';
import { folderFiles } from '../soak/oracle.ts';
import { scratch } from '../support/plain-git.ts';
import { beat } from '../support/beat.ts';

/**
 * Editors in processes of their own save and append without a pause, each time something that was never written
 * before, while incoming changes are put into the very same files. What they wrote must be found afterwards, on every
 * rung of `docs/engine.md` that captures, and on the weakest all but what was saved in the instant of a replacement.
 * `MOORING_ONLY=rename` for one rung. `MOORING_HAMMER=full` for 10,000 saves and 10,000 appends by each way of replacing.
 */
const hammer = suite('hammer');
const full = process.env['MOORING_HAMMER'] === 'full';
const times = full ? 10_000 : 500;
/** Fewer captures would prove nothing. */
const wanted = full ? 100 : 10;
/** If none comes in so many, something else is wrong. */
const mostRounds = 20_000;
const editors = { 'saves.txt': 'save', 'appends.txt': 'append' } as const;
const names = Object.keys(editors) as SitePath[];

/** Its files are no pointers: nothing of the ledger is read. */
const noRepository: Pick<Repository, 'blobs' | 'sizes' | 'attributesAbove'> = {
  attributesAbove: async () => ({ site: '', texts: new Map() }),
  sizes: () => Promise.reject(new Error('sizes were asked for')),
  blobs: () => {
    throw new Error('contents were asked for');
  },
};

const rungs: readonly ReplaceRung[] = ['exchange', 'link', 'no-replace', 'rename'];
const only = process.env['MOORING_ONLY'] ?? '';

for (const way of rungs.filter((rung) => only === '' || rung === only)) {
  hammer(
    `by ${way}: what is saved while files are replaced is found afterwards, as far as that way guarantees it`,
    async () => {
      const { dir, remove } = scratch();
      const count = { replaces: 0, captured: 0 };
      const site = join(dir, 'site');
      mkdirSync(site);
      for (const name of names) writeFileSync(join(site, name), 'begin\n');
      let ahead = 0;
      const fs = counted(way, count);
      const directory = openDirectory({
        fs,
        clock: { now: () => Date.now() + ahead, monotonic: () => performance.now() + ahead, sleep: (ms) => sleep(ms) },
        random: {
          bytes: (n) => createHash('sha512').update(`${performance.now()}`).digest().subarray(0, n),
          fraction: () => 0.5,
        },
        scanner: inlineScanner(realFs()),
        root: site,
        stateDir: dir,
        settings: () => ({ ...defaultSettings, quietMs: 0, replacesWithoutCapture: true }),
        repository: noRepository,
      });
      try {
        const kept = new Keep(directory);
        await kept.look();
        const reader = start('gap', ['0', site, 'saves.txt']);
        const children = Object.entries(editors).map(([name, style]) =>
          start('editor', [site, name, style, String(times)]),
        );
        let left = children.length;
        const said = children.map(async (child) => {
          const [written] = (await once(child, 'message')) as [string[]];
          left -= 1;
          return written;
        });
        let rounds = 0;
        let told = false;
        for (; left > 0; rounds += 1) {
          beat(`${way}, round ${rounds}: ${count.captured} captures`);
          for (const name of names) directory.touched(join(site, name));
          await kept.look();
          await kept.bring(names, `incoming ${way} ${rounds}\n`);
          if (told || (count.captured < wanted && rounds < mostRounds)) continue;
          told = true;
          for (const child of children) child.send('stop');
        }
        const written = (await Promise.all(said)).flat();
        reader.send('stop');
        const [seen] = (await once(reader, 'message')) as [{ reads: number; worstGapMs: number; torn: number }];
        directory.touchedAll();
        await kept.look();
        // What was written through an old descriptor is looked for when its time has come.
        ahead = 700_000;
        for (const late of await directory.lateWrites()) {
          await kept.read(late.file);
          late.done();
        }
        for (const text of folderFiles(site).values()) kept.add(text);
        const lost = written.filter((content) => !kept.lines.has(content));
        process.stdout.write(
          `note: ${way}: at least ${times} saves and ${times} appends, ${rounds} rounds, ${count.replaces} replaces, ` +
            `${count.captured} captured a changed file, lost ${lost.length}, reader ${JSON.stringify(seen)}\n`,
        );
        assert.is(directory.disks[0]?.replace, way);
        // The weakest way may lose one save in each replacement, and never a part of one.
        if (way === 'rename') assert.ok(lost.length <= count.replaces, `${lost.length} lost`);
        else assert.equal(lost.slice(0, 10), []);
        assert.is(seen.torn, 0);
        assert.ok(count.captured >= wanted, `only ${count.captured} captures: this proves nothing`);
      } finally {
        await directory.close();
        remove();
      }
    },
  );
}

hammer.run();

/** What the repository would hold: each line of each version that was recorded. */
class Keep {
  readonly lines = new Set<string>();
  readonly #directory: Directory;
  readonly #disk = new Map<SitePath, Entry>();
  #commit = 0;

  constructor(directory: Directory) {
    this.#directory = directory;
  }

  add(text: string): void {
    for (const line of text.split('\n')) this.lines.add(line);
  }

  async look(): Promise<void> {
    const { pending } = await this.#directory.scan('touched');
    const entries = new Map<SitePath, Entry | undefined>();
    const unsteady: SitePath[] = [];
    for (const take of pending) {
      const oid = take.file ? await this.read(take) : undefined;
      if (take.file && !oid) unsteady.push(take.path);
      else entries.set(take.path, oid ? { mode: '100644', oid } : undefined);
    }
    for (const [path, entry] of entries) {
      if (entry) this.#disk.set(path, entry);
      else this.#disk.delete(path);
    }
    this.#commit += 1;
    await this.#directory.recordFiles({ commit: `${this.#commit}` as Oid, entries, unsteady });
  }

  /** The content's id, once it is kept. */
  async read({ file }: PendingFile): Promise<Oid | undefined> {
    const open = await file?.open();
    if (!open) return undefined;
    const chunks: Buffer[] = [];
    for await (const chunk of open.chunks) chunks.push(Buffer.from(chunk));
    if (!open.finish()) return undefined;
    const bytes = Buffer.concat(chunks);
    this.add(bytes.toString('latin1'));
    return oidOf(bytes);
  }

  async bring(paths: readonly SitePath[], text: string): Promise<void> {
    const after: Entry = { mode: '100644', oid: oidOf(Buffer.from(text)) };
    const changes = paths.map((path): Change => {
      const before = this.#disk.get(path);
      return before ? { path, before, after } : { path, after };
    });
    const blobs: Repository['blobs'] = async function* (oids) {
      for (const oid of oids) {
        const chunks = (async function* () {
          yield Buffer.from(text);
        })();
        yield { oid, size: text.length, chunks };
      }
    };
    const sizes: Repository['sizes'] = async (oids) => oids.map(() => text.length);
    const { applied } = await this.#directory.apply({ changes, blobs, sizes });
    for (const path of applied) this.#disk.set(path, after);
    this.#commit += 1;
    await this.#directory.saveBaseline(`${this.#commit}` as Oid);
  }
}

/** A process that loses its turn just before the swap. */
function dawdle(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3);
}

function oidOf(bytes: Buffer): Oid {
  return createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex') as Oid;
}

/** A disk of that rung, which counts what is replaced and what was captured there unexpectedly. */
function counted(way: ReplaceRung, count: { replaces: number; captured: number }): Fs {
  const { exchange, renameNoReplace, ...rest } = realFs();
  assert.ok(exchange && renameNoReplace, 'this kernel has no renameat2');
  const isTrial = (name: Buffer): boolean => name.toString().endsWith('-é');
  const isOld = (name: Buffer): boolean => name.toString().endsWith('-old');
  const givesBack = (from: number, name: Buffer, to: number): void => {
    if (isOld(name) && from !== to) count.captured += 1;
  };
  if (way === 'exchange') {
    let last = '';
    return {
      ...{ ...rest, renameNoReplace },
      exchange(a, nameA, b, nameB) {
        // Swapped back at once: what came out was not what was expected.
        if (`${nameA}` === last) count.captured += 1;
        else if (!isTrial(nameA)) {
          count.replaces += 1;
          dawdle();
        }
        last = `${nameA}`;
        exchange(a, nameA, b, nameB);
      },
    };
  }
  return {
    ...rest,
    rename(from, name, to, newName) {
      if (isOld(newName)) {
        count.replaces += 1;
        dawdle();
      }
      givesBack(from, name, to);
      rest.rename(from, name, to, newName);
    },
    link(from, name, to, newName) {
      if (way !== 'link') throw Object.assign(new Error('no links here'), { code: 'EOPNOTSUPP' });
      givesBack(from, name, to);
      rest.link(from, name, to, newName);
    },
    ...(way === 'no-replace' && {
      renameNoReplace(from, name, to, newName) {
        givesBack(from, name, to);
        renameNoReplace(from, name, to, newName);
      },
    }),
  };
}

function start(program: 'editor' | 'gap', args: readonly string[]) {
  return fork(new URL(`../soak/${program}.ts`, import.meta.url).pathname, [...args], { stdio: 'inherit' });
}
