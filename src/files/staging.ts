import { appendFileSync, closeSync, existsSync, fsyncSync, openSync, readFileSync, rmSync } from 'node:fs';
import { type Oid, type SitePath, parentOf } from '../model/tree.ts';
import type { Clock, Fs, Random, Stat } from '../model/world.ts';
import { errorCode } from './disk.ts';
import type { Seen } from './manifest.ts';
import { type Walk, nameOf } from './walk.ts';

/** One file on its way in, or the one it took the place of, which waits here until nobody can be writing to it. */
export interface Move {
  /** The staging folder, relative to the site's root, and the name in it. */
  readonly folder: SitePath;
  readonly name: string;
  readonly path: SitePath;
  /** What should be at the path before; absent: nothing. */
  readonly before?: { readonly oid: Oid; readonly seen: Seen };
  /** The staged file's identity; absent: the path is to be removed. */
  readonly staged?: { readonly dev: string; readonly ino: string };
}

export interface Held extends Move {
  /** When it was replaced, or first met after a restart, by the clock that never jumps. */
  readonly since: number;
}

type Row =
  | { readonly kind: 'folder'; readonly path: SitePath }
  | { readonly kind: 'move'; readonly move: Move }
  | { readonly kind: 'settled' }
  | { readonly kind: 'released'; readonly folder: SitePath; readonly name: string };

/**
 * The site's staging folders and the journal of what is in them. A staging folder lies inside the site, one on each
 * mount, because a rename cannot leave a mount; it has a name nobody can guess and only its owner may enter. The
 * journal lies in the state directory and is synced before the first file moves.
 */
export class Staging {
  readonly #fs: Fs;
  readonly #random: Random;
  readonly #clock: Clock;
  readonly #journal: string;
  readonly #folders = new Set<SitePath>();
  readonly #moves = new Map<string, Held & { settled: boolean }>();
  /** Names of an earlier life of the process may still be held. */
  readonly #run: string;
  #next = 0;
  #swept = false;

  constructor(fs: Fs, random: Random, clock: Clock, journal: string) {
    this.#fs = fs;
    this.#random = random;
    this.#clock = clock;
    this.#journal = journal;
    this.#run = random.bytes(4).toString('hex');
    for (const row of readRows(journal)) this.#take(row);
  }

  /** The staging folder on the mount of the folder `path`, made at its topmost place there. */
  folderFor(walk: Walk, path: string): { path: SitePath; fd: number } {
    const { dev } = this.#fs.statOpen(walk.folder(path));
    let top = path;
    while (top !== '' && this.#fs.statOpen(walk.folder(parentOf(top))).dev === dev) top = parentOf(top);
    for (const known of this.#folders) {
      if (parentOf(known) !== top) continue;
      const fd = openIfThere(walk, known);
      if (fd !== undefined) return { path: known, fd };
    }
    const name = `.mooring-${this.#random.bytes(12).toString('hex')}`;
    const made = (top === '' ? name : `${top}/${name}`) as SitePath;
    this.#write([{ kind: 'folder', path: made }]);
    this.#fs.makeDirectory(walk.folder(top), nameOf(made), 0o700);
    return { path: made, fd: walk.folder(made) };
  }

  /** A name no other move uses. */
  freshName(): string {
    this.#next += 1;
    return `${this.#run}-${this.#next}`;
  }

  /** Notes moves that are about to happen; on disk before it returns. */
  announce(moves: readonly Move[]): void {
    if (moves.length > 0) this.#write(moves.map((move) => ({ kind: 'move', move })));
  }

  /** All moves so far are final: after a crash nothing of them is put back. */
  settle(): void {
    if ([...this.#moves.values()].some((move) => !move.settled)) this.#write([{ kind: 'settled' }]);
  }

  unsettled(): readonly Held[] {
    return [...this.#moves.values()].filter((move) => !move.settled);
  }

  /** What was replaced at least `ms` ago. */
  heldFor(ms: number): readonly Held[] {
    const now = this.#clock.monotonic();
    return [...this.#moves.values()].filter((move) => move.settled && now - move.since >= ms);
  }

  /** Forgets moves and removes what is left of them under their staging names. */
  release(walk: Walk, moves: readonly Move[]): void {
    if (moves.length === 0) return;
    for (const { folder, name } of moves) {
      const fd = openIfThere(walk, folder);
      // A folder that was captured is somebody's: it stays, and so does the staging folder around it.
      const isFile = fd !== undefined && this.#fs.stat(fd, Buffer.from(name))?.kind !== 'directory';
      if (fd !== undefined && isFile) ignoreMissing(() => this.#fs.unlink(fd, Buffer.from(name)));
    }
    this.#write(moves.map(({ folder, name }) => ({ kind: 'released', folder, name })));
  }

  /** Removes what a crash left before it was announced: our own content, which git has too. Once in a process's life. */
  sweep(walk: Walk): void {
    if (this.#swept) return;
    for (const folder of this.#folders) {
      const fd = openIfThere(walk, folder);
      for (const { name } of fd === undefined ? [] : this.#fs.list(fd)) {
        const text = name.toString('latin1');
        if (!/^[0-9a-f]{8}-\d+/.test(text) || this.#moves.has(`${folder}/${text}`)) continue;
        ignoreMissing(() => this.#fs.unlink(fd as number, name));
      }
    }
    this.#swept = true;
  }

  /** Removes empty staging folders and, when nothing is held, the journal. */
  tidy(walk: Walk): void {
    const used = new Set([...this.#moves.values()].map(({ folder }) => folder));
    for (const folder of [...this.#folders]) {
      if (used.has(folder)) continue;
      walk.forget(folder);
      try {
        this.#fs.removeDirectory(walk.folder(parentOf(folder)), nameOf(folder));
      } catch (error) {
        // Not empty, or its mount is away: it is looked at again next time.
        if (errorCode(error) !== 'ENOENT') continue;
      }
      this.#folders.delete(folder);
    }
    if (this.#folders.size === 0 && this.#moves.size === 0) rmSync(this.#journal, { force: true });
  }

  #write(rows: readonly Row[]): void {
    const fd = openSync(this.#journal, 'a', 0o600);
    try {
      // A line break first: a row that a crash or a full disk cut short must not spoil this one.
      appendFileSync(fd, `\n${rows.map((row) => JSON.stringify(row)).join('\n')}\n`);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    for (const row of rows) this.#take(row);
  }

  #take(row: Row): void {
    if (row.kind === 'folder') this.#folders.add(row.path);
    else if (row.kind === 'move') {
      this.#moves.set(`${row.move.folder}/${row.move.name}`, {
        ...row.move,
        since: this.#clock.monotonic(),
        settled: false,
      });
    } else if (row.kind === 'released') this.#moves.delete(`${row.folder}/${row.name}`);
    else for (const [key, move] of this.#moves) this.#moves.set(key, { ...move, settled: true });
  }
}

/** What is at a move's staging name now. */
export function stagedNow(fs: Fs, walk: Walk, move: Move): { fd: number; stat: Stat } | undefined {
  const fd = openIfThere(walk, move.folder);
  const stat = fd === undefined ? undefined : fs.stat(fd, Buffer.from(move.name));
  return fd !== undefined && stat ? { fd, stat } : undefined;
}

function openIfThere(walk: Walk, path: SitePath): number | undefined {
  try {
    return walk.folder(path);
  } catch (error) {
    // Anything else is not «nothing is there»: what was moved aside would be forgotten.
    if (!['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errorCode(error))) throw error;
    return undefined;
  }
}

export function ignoreMissing(act: () => void): void {
  try {
    act();
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
}

function readRows(journal: string): Row[] {
  if (!existsSync(journal)) return [];
  const rows: Row[] = [];
  for (const text of readFileSync(journal, 'utf8').split('\n').filter(Boolean)) {
    try {
      rows.push(JSON.parse(text) as Row);
    } catch {
      // A row that was cut short: the move it announced never began.
    }
  }
  return rows;
}
