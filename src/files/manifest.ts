import { appendFileSync, closeSync, fsyncSync, openSync, renameSync, writeFileSync } from 'node:fs';
import { Problem } from '../model/problem.ts';
import { type Oid, type SitePath, parentOf } from '../model/tree.ts';
import type { Stat } from '../model/world.ts';
import type { Line, RefusedLine } from './line.ts';
import { LineTable } from './line-table.ts';
import { inState, readIfThere } from './state.ts';

/**
 * Path → what is there, for one site: a cache. Losing it means reading files again, never a deletion. On disk it is an
 * append-only list, so writing it down costs what changed; it is rewritten when half of it is history. Its last
 * `commit` line says which state of the ledger it describes. Where it can be neither read nor written, everything here
 * but `size` throws `disk-full`, `out-of-resources` or `state-failed`.
 */
export class Manifest {
  readonly #file: string;
  readonly #lines = new LineTable();
  /** How many paths lie below each folder. */
  readonly #below = new Map<string, number>();
  readonly #refused = new Set<SitePath>();
  readonly #mixedLines = new Set<SitePath>();
  #isRead = false;
  #commit: Oid | undefined;
  #bytes = 0;
  #rows = 0;
  #unwritten: string[] = [];

  constructor(file: string) {
    this.#file = file;
  }

  /**
   * Reads the file in portions, so that nobody waits for a large one. Without this the first access reads it at once. What
   * keeps it from being read is thrown by the first access: one site's manifest must not keep the daemon from starting.
   */
  async load(): Promise<void> {
    if (this.#isRead) return;
    const text = this.#text();
    if (typeof text !== 'string') return;
    this.#isRead = true;
    let read = 0;
    for (const row of rowsOf(text)) {
      if (!this.#readRow(row)) return;
      read += 1;
      if (read % portionRows === 0) await new Promise(setImmediate);
    }
  }

  get commit(): Oid | undefined {
    this.#read();
    return this.#commit;
  }

  /** 0 while it cannot be read. */
  get size(): number {
    try {
      this.#read();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
    }
    return this.#lines.size;
  }

  /** Of all files, as they were last seen. */
  get bytes(): number {
    this.#read();
    return this.#bytes;
  }

  get(path: SitePath): Line | undefined {
    this.#read();
    return this.#lines.get(path);
  }

  has(path: SitePath): boolean {
    this.#read();
    return this.#lines.has(path);
  }

  /** Whether the file at a path is what was last seen there, as far as a stat can tell. */
  isUnchanged(path: SitePath, stat: Stat): boolean {
    this.#read();
    return this.#lines.isUnchanged(path, stat);
  }

  entries(): IterableIterator<[SitePath, Line]> {
    this.#read();
    return this.#lines.entries();
  }

  /** Those that are not written here, with why. */
  refused(): (readonly [SitePath, RefusedLine])[] {
    this.#read();
    return [...this.#refused].map((path) => [path, this.#lines.get(path) as RefusedLine] as const);
  }

  withMixedLines(): readonly SitePath[] {
    this.#read();
    return [...this.#mixedLines];
  }

  /** Whether any path lies below a folder. */
  hasBelow(folder: string): boolean {
    this.#read();
    return folder === '' ? this.#lines.size > 0 : this.#below.has(folder);
  }

  /** Those that have paths below them, but for the site's own. */
  folders(): Iterable<SitePath> {
    this.#read();
    return this.#below.keys() as Iterable<SitePath>;
  }

  /** Paths at or below a folder (`''`: all). */
  *under(path: string): Generator<SitePath> {
    this.#read();
    if (path === '') {
      yield* this.#lines.keys();
      return;
    }
    if (this.#lines.has(path as SitePath)) yield path as SitePath;
    if (!this.#below.has(path)) return;
    const prefix = `${path}/`;
    for (const known of this.#lines.keys()) if (known.startsWith(prefix)) yield known;
  }

  set(path: SitePath, line: Line | undefined): void {
    this.#read();
    this.#put(path, line);
    this.#unwritten.push(JSON.stringify(line ? [path, line] : [path]));
  }

  /** Writes down what changed. Not synced to disk: a lost tail only costs reading files again. */
  save(commit: Oid | undefined): void {
    this.#read();
    if (commit !== this.#commit) {
      this.#commit = commit;
      this.#unwritten.push(JSON.stringify({ commit: commit ?? null }));
    }
    if (this.#unwritten.length === 0) return;
    this.#rows += this.#unwritten.length;
    const rows = this.#rows;
    // Cut short by a full disk, a row would spoil all that is added behind it: then the next writing begins anew.
    this.#rows = Number.POSITIVE_INFINITY;
    inState(this.#file, () => {
      if (rows > 1_000 && rows > 2 * this.#lines.size) this.#rows = this.#rewrite();
      else {
        appendFileSync(this.#file, `${this.#unwritten.join('\n')}\n`, { mode: 0o600 });
        this.#rows = rows;
      }
    });
    this.#unwritten = [];
  }

  clear(): void {
    for (const [path] of [...this.entries()]) this.set(path, undefined);
  }

  #put(path: SitePath, line?: Line): void {
    this.#bytes += (line?.seen?.size ?? 0) - this.#lines.seenSize(path);
    const isNew = !this.#lines.has(path);
    if (line) this.#lines.set(path, line);
    else this.#lines.delete(path);
    if (line?.refused) this.#refused.add(path);
    else this.#refused.delete(path);
    if (line?.hasMixedLines) this.#mixedLines.add(path);
    else this.#mixedLines.delete(path);
    if (isNew === (line !== undefined)) this.#count(path, isNew ? 1 : -1);
  }

  #count(path: SitePath, change: number): void {
    for (let folder = parentOf(path); folder !== ''; folder = parentOf(folder)) {
      const count = (this.#below.get(folder) ?? 0) + change;
      if (count > 0) this.#below.set(folder, count);
      else this.#below.delete(folder);
    }
  }

  #read(): void {
    if (this.#isRead) return;
    const text = this.#text();
    if (typeof text !== 'string') throw text;
    this.#isRead = true;
    for (const row of rowsOf(text)) if (!this.#readRow(row)) return;
  }

  #text(): string | Problem {
    try {
      return inState(this.#file, () => readIfThere(this.#file));
    } catch (error) {
      if (error instanceof Problem) return error;
      throw error;
    }
  }

  /** False for a row that was cut short: nothing behind it counts. */
  #readRow(row: string): boolean {
    this.#rows += 1;
    try {
      const parsed = JSON.parse(row) as [SitePath, Line?] | { commit: Oid | null };
      if (!Array.isArray(parsed)) this.#commit = parsed.commit ?? undefined;
      else this.#put(...parsed);
      return true;
    } catch {
      // What follows may describe another state. Without a commit everything is compared anew.
      this.#commit = undefined;
      // And what is added behind it would never be read: the next writing starts a new file.
      this.#rows = Number.POSITIVE_INFINITY;
      return false;
    }
  }

  /** Gives how many rows it has now. */
  #rewrite(): number {
    const rows = [...this.#lines.entries()].map(([path, line]) => JSON.stringify([path, line]));
    rows.push(JSON.stringify({ commit: this.#commit ?? null }));
    const fd = openSync(`${this.#file}.new`, 'w', 0o600);
    try {
      // Not `writeSync`: on a disk with little room left it writes a part and reports no error.
      writeFileSync(fd, `${rows.join('\n')}\n`);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(`${this.#file}.new`, this.#file);
    return rows.length;
  }
}

/** So many rows are read before others have their turn. */
const portionRows = 2_000;

function* rowsOf(text: string): Generator<string> {
  for (let from = 0; from < text.length;) {
    const end = text.indexOf('\n', from);
    const row = end === -1 ? text.slice(from) : text.slice(from, end);
    if (row !== '') yield row;
    if (end === -1) return;
    from = end + 1;
  }
}
