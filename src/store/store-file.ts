import type { BigIntStats } from 'node:fs';
import { copyFile, link, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type { Adapter } from 'lowdb';
import { Problem } from '../model/problem.ts';
import { errorCode, exists, syncFolder, writeDurably } from './durable.ts';
import { type Form, decode, encode } from './envelope.ts';

/** What happened to a file while it was opened. The daemon logs it and shows it until somebody has seen it. */
export interface StoreNote {
  readonly file: string;
  readonly kind: 'restored' | 'migrated' | 'access-narrowed' | 'access-wide';
  /** A sentence for people, with the names of the files involved. */
  readonly text: string;
}

export interface DatabaseOptions<T> extends Form<T> {
  readonly path: string;
  readonly initial: T;
  /** `must-exist`: a missing file is `store-missing`, not a fresh start. */
  readonly missing: 'create' | 'must-exist';
  /** ms since 1970; names the files that are put aside. */
  readonly now: () => number;
  /**
   * `older`, unless given: the states before the last changes are kept. `copy`: one copy of the present state, where an
   * older one would give back what was taken away (a revoked token), or take away the only account.
   */
  readonly generations?: 'older' | 'copy';
}

const GENERATIONS = [1, 2, 3] as const;

/**
 * lowdb's adapter for one file. Beside `name.json` stand `name.json.1` (the newest older state) to `.3`.
 * lowdb's own JSONFile is no choice: it writes 0644 without fsync and takes `null` for a fresh start.
 */
export class StoreFile<T> implements Adapter<T> {
  readonly notes: StoreNote[] = [];
  /** The data as the disk holds it. */
  held: T;
  readonly #options: DatabaseOptions<T>;
  /** What we last saw on disk; empty: no file. */
  #text = '';
  #stamp = '';
  /** What a write that failed may have put there all the same: an error after the rename does not undo it. */
  #attempted: string | undefined;

  constructor(options: DatabaseOptions<T>) {
    this.#options = options;
    this.held = options.initial;
  }

  async read(): Promise<T> {
    const { path } = this.#options;
    const text = await readText(path);
    const reading = text === undefined ? missing : decode(this.#options, text, path);
    if (reading.kind === 'bad') return this.#restore(text, reading.why);
    this.#text = text ?? '';
    this.#stamp = await stampOf(path);
    this.held = reading.data;
    if (reading.writtenVersion < this.#options.version) await this.#rewriteMigrated(reading.writtenVersion);
    // A kill between the two writes, or a release that kept older states.
    if (this.#keepsCopy && (await readText(this.#generation(1))) !== this.#text) await this.forgetGenerations();
    return this.held;
  }

  async write(data: T): Promise<void> {
    const { path } = this.#options;
    const next = encode(this.#options, data);
    if (next.text === this.#text) return;
    await this.#refuseForeign();
    // The copy first: when it cannot be written, nothing has happened yet.
    if (this.#keepsCopy) await writeDurably(this.#generation(1), next.text);
    else await this.#keepGeneration();
    this.#attempted = next.text;
    await writeDurably(path, next.text);
    this.#text = next.text;
    this.held = next.data;
    // Only a shortcut for the next write, which reads the file where this one could not be had.
    this.#stamp = await stampOf(path).catch(() => 'unknown');
  }

  /** Writes what is held once more: says whether the disk takes it again. */
  async rewrite(): Promise<void> {
    await this.#refuseForeign();
    await writeDurably(this.#options.path, this.#text);
    this.#stamp = await stampOf(this.#options.path).catch(() => 'unknown');
  }

  async hasGenerations(): Promise<boolean> {
    for (const n of GENERATIONS) if (await exists(this.#generation(n))) return true;
    return false;
  }

  async forgetGenerations(): Promise<void> {
    await writeDurably(this.#generation(1), this.#text);
    for (const n of [2, 3]) await rm(this.#generation(n), { force: true });
    await syncFolder(dirname(this.#options.path));
  }

  /**
   * Links before renaming: the file itself is never absent, so a kill in between leaves nothing to repair. A write that
   * failed (disk full) has linked already; linking again at each try would push out the older generations.
   */
  async #keepGeneration(): Promise<void> {
    const { path } = this.#options;
    const inode = await inodeOf(path);
    if (inode === '' || inode === (await inodeOf(this.#generation(1)))) return;
    await renameIfThere(this.#generation(2), this.#generation(3));
    await renameIfThere(this.#generation(1), this.#generation(2));
    try {
      await link(path, this.#generation(1));
    } catch (error) {
      // Shares and some container mounts know no hard links.
      if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(errorCode(error))) throw error;
      await copyFile(path, this.#generation(1));
    }
  }

  /**
   * Somebody edited or put back the file while we run: their version stays. A missing file is written again, for then
   * memory is the only copy left.
   */
  async #refuseForeign(): Promise<void> {
    const { path } = this.#options;
    const stamp = await stampOf(path);
    if (stamp === '' || stamp === this.#stamp) return;
    const text = await readText(path);
    if (text === this.#text || text === this.#attempted) return;
    throw new Problem('store-damaged', {
      path,
      reason: 'changed-outside',
      hint: `Somebody changed ${path} while Mooring was running. Mooring does not overwrite it. Stop Mooring, decide which state is right, and start it again.`,
    });
  }

  async #restore(badText: string | undefined, why: string): Promise<T> {
    const { path } = this.#options;
    for (const n of GENERATIONS) {
      const text = await readText(this.#generation(n));
      if (text === undefined) continue;
      const reading = decode(this.#options, text, this.#generation(n));
      if (reading.kind === 'bad') continue;
      const aside = badText === undefined ? undefined : await this.#putAside();
      // Re-encoded, not copied: the generation may be of an older version.
      const fresh = encode(this.#options, reading.data);
      await writeDurably(path, fresh.text);
      this.#text = fresh.text;
      this.#stamp = await stampOf(path);
      this.held = fresh.data;
      const state = this.#keepsCopy ? 'It' : 'The state before its last change';
      this.#note('restored', restoredText(path, why, `${state} was restored from ${this.#generation(n)}`, aside));
      return this.held;
    }
    throw new Problem('store-damaged', {
      path,
      reason: why,
      hint: `${path} cannot be used: ${why}, and no earlier generation (${basename(path)}.1 to .3) is good. Put the file back from a backup of the state directory and start again. Nothing was changed.`,
    });
  }

  /** Copied, not renamed: the name must not be absent when the power fails before the good one is in its place. */
  async #putAside(): Promise<string> {
    const { path, now } = this.#options;
    const utc = new Date(now()).toISOString().replaceAll(/[-:]|\.\d+/g, '');
    let aside = `${path}.bad-${utc}`;
    for (let n = 2; await exists(aside); n += 1) aside = `${path}.bad-${utc}-${n}`;
    await copyFile(path, aside);
    return aside;
  }

  async #rewriteMigrated(from: number): Promise<void> {
    const { path, version } = this.#options;
    const copy = `${path}.version-${from}`;
    await writeDurably(copy, this.#text);
    await this.write(this.held);
    this.#note('migrated', `${path} was brought from version ${from} to ${version}; the old one is kept as ${copy}.`);
  }

  get #keepsCopy(): boolean {
    return this.#options.generations === 'copy';
  }

  #note(kind: StoreNote['kind'], text: string): void {
    this.notes.push({ file: this.#options.path, kind, text });
  }

  #generation(n: number): string {
    return `${this.#options.path}.${n}`;
  }
}

const missing = { kind: 'bad', why: 'the file is missing' } as const;

function restoredText(path: string, why: string, restored: string, aside: string | undefined): string {
  const kept = aside === undefined ? '' : ` The bad file is kept as ${aside}.`;
  const byHand = why.includes('checksum') ? ' If you edited it by hand, take out its "checksum" member as well.' : '';
  return `${path} could not be used: ${why}. ${restored}; check what changed last.${kept}${byHand}`;
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Changes with every write and every replacement of the file; empty when there is none. */
async function stampOf(path: string): Promise<string> {
  const s = await statIfThere(path);
  // ctime is left out: our own hard link for the next generation moves it.
  return s ? `${s.dev}:${s.ino}:${s.size}:${s.mtimeNs}` : '';
}

async function inodeOf(path: string): Promise<string> {
  const s = await statIfThere(path);
  return s ? `${s.dev}:${s.ino}` : '';
}

async function statIfThere(path: string): Promise<BigIntStats | undefined> {
  try {
    return await stat(path, { bigint: true });
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function renameIfThere(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
}
