import { appendFileSync, closeSync, fsyncSync, openSync, unlinkSync } from 'node:fs';
import { type Oid, type SitePath, parentOf } from '../model/tree.ts';
import type { Clock, Fs, Random, Stat } from '../model/world.ts';
import { isAbsent, pathErrno, unlessErrno } from './errno.ts';
import type { Seen } from './manifest.ts';
import { unwritable } from './root.ts';
import { inState, readIfThere } from './state.ts';
import { type DirectoryHandles, nameOf } from './directory-handles.ts';

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
 * journal lies in the state directory and is synced before the first file moves; where it can be neither read nor
 * written, everything here throws `disk-full`, `out-of-resources` or `state-failed`.
 */
export class Staging {
  readonly #fs: Fs;
  readonly #random: Random;
  readonly #clock: Clock;
  readonly #journal: string;
  readonly #folders = new Set<SitePath>();
  readonly #moves = new Map<string, Held & { settled: boolean }>();
  #isRead = false;
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
  }

  /** On first use and not when the daemon starts: a journal that cannot be read is the problem of its site alone. */
  #read(): void {
    if (this.#isRead) return;
    for (const row of inState(this.#journal, () => readRows(this.#journal))) this.#take(row);
    this.#isRead = true;
  }

  /**
   * The staging folder on the mount of the folder `path`, made at its topmost place there. Throws `folder-unwritable`
   * where that is the site's own folder, through which everything has to go.
   */
  folderFor(handles: DirectoryHandles, path: string): { path: SitePath; fd: number } {
    this.#read();
    let top = path;
    try {
      const { dev } = this.#fs.statOpen(handles.folder(path));
      while (top !== '' && this.#fs.statOpen(handles.folder(parentOf(top))).dev === dev) top = parentOf(top);
      return this.#folderIn(handles, top);
    } catch (error) {
      throw top === '' ? unwritable(error, handles.site) : error;
    }
  }

  #folderIn(handles: DirectoryHandles, top: string): { path: SitePath; fd: number } {
    for (const known of this.#folders) {
      if (parentOf(known) !== top) continue;
      const fd = handles.folderIfThere(known);
      if (fd !== undefined) return { path: known, fd };
    }
    const name = `.mooring-${this.#random.bytes(12).toString('hex')}`;
    const made = (top === '' ? name : `${top}/${name}`) as SitePath;
    this.#write([{ kind: 'folder', path: made }]);
    this.#fs.makeDirectory(handles.folder(top), nameOf(made), 0o700);
    return { path: made, fd: handles.folder(made) };
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

  /** All moves so far are final, but for those that are `open`: after a crash nothing of them is put back. */
  settle(open: readonly Move[] = []): void {
    if (this.unsettled().length === 0) return;
    this.#write([{ kind: 'settled' }, ...open.map((move): Row => ({ kind: 'move', move }))]);
  }

  unsettled(): readonly Held[] {
    this.#read();
    return [...this.#moves.values()].filter((move) => !move.settled);
  }

  /** What was replaced at least `ms` ago. */
  heldFor(ms: number): readonly Held[] {
    this.#read();
    const now = this.#clock.monotonic();
    return [...this.#moves.values()].filter((move) => move.settled && now - move.since >= ms);
  }

  /**
   * Forgets moves and removes what is left of them under their staging names. What cannot be removed now is not
   * forgotten, and tried again when its time comes.
   */
  release(handles: DirectoryHandles, moves: readonly Move[]): void {
    const gone = moves.filter(({ folder, name }) => {
      const fd = unlessErrno(() => handles.folderIfThere(folder) ?? 'gone');
      return fd === 'gone' || (fd !== undefined && this.drop(fd, Buffer.from(name)));
    });
    const announced = gone.filter((move) => this.#moves.has(keyOf(move)));
    if (announced.length > 0) this.#write(announced.map(({ folder, name }) => ({ kind: 'released', folder, name })));
  }

  /** Removes a file from an open staging folder. False: it cannot be removed now, and `sweep` finds it. */
  drop(dir: number, name: Buffer): boolean {
    try {
      // A folder that was captured is somebody's: it stays, and so does the staging folder around it.
      if (this.#fs.stat(dir, name)?.kind !== 'directory') ignoreMissing(() => this.#fs.unlink(dir, name));
      return true;
    } catch (error) {
      this.#swept = false;
      pathErrno(error);
      return false;
    }
  }

  /**
   * Removes what was left before it was announced, by a crash or since it could not be removed: our own content, which
   * git has too. Only while nothing is being staged.
   */
  sweep(handles: DirectoryHandles): void {
    if (this.#swept) return;
    this.#swept = true;
    for (const folder of this.#folders) {
      try {
        this.#sweepFolder(handles, folder);
      } catch (error) {
        this.#swept = false;
        pathErrno(error);
      }
    }
  }

  #sweepFolder(handles: DirectoryHandles, folder: SitePath): void {
    const fd = handles.folderIfThere(folder);
    if (fd === undefined) return;
    for (const { name } of this.#fs.list(fd)) {
      const text = name.toString('latin1');
      // A file on its way to the name of a move belongs to that move.
      const isHeld = this.#moves.has(keyOf({ folder, name: text.replace(/-old$/, '') }));
      if (/^[0-9a-f]{8}-\d+/.test(text) && !isHeld) this.drop(fd, name);
    }
  }

  /** Removes empty staging folders and, when nothing is held, the journal. */
  tidy(handles: DirectoryHandles): void {
    const used = new Set([...this.#moves.values()].map(({ folder }) => folder));
    for (const folder of [...this.#folders]) {
      if (used.has(folder)) continue;
      handles.forget(folder);
      try {
        this.#fs.removeDirectory(handles.folder(parentOf(folder)), nameOf(folder));
      } catch (error) {
        // Not empty, or its mount is away: it is looked at again next time.
        if (!isAbsent(error)) continue;
      }
      this.#folders.delete(folder);
    }
    if (this.#folders.size > 0 || this.#moves.size > 0) return;
    inState(this.#journal, () => ignoreMissing(() => unlinkSync(this.#journal)));
  }

  #write(rows: readonly Row[]): void {
    this.#read();
    inState(this.#journal, () => append(this.#journal, rows));
    for (const row of rows) this.#take(row);
  }

  #take(row: Row): void {
    if (row.kind === 'folder') this.#folders.add(row.path);
    else if (row.kind === 'move') {
      this.#moves.set(keyOf(row.move), {
        ...row.move,
        since: this.#clock.monotonic(),
        settled: false,
      });
    } else if (row.kind === 'released') this.#moves.delete(keyOf(row));
    else for (const [key, move] of this.#moves) this.#moves.set(key, { ...move, settled: true });
  }
}

const keyOf = ({ folder, name }: Pick<Move, 'folder' | 'name'>): string => `${folder}/${name}`;

/**
 * What is at a move's staging name now. Throws what the system throws: taken for «nothing is there», what was moved aside
 * would be forgotten.
 */
export function stagedNow(fs: Fs, handles: DirectoryHandles, move: Move): { fd: number; stat: Stat } | undefined {
  const fd = handles.folderIfThere(move.folder);
  const stat = fd === undefined ? undefined : fs.stat(fd, Buffer.from(move.name));
  return fd !== undefined && stat ? { fd, stat } : undefined;
}

function ignoreMissing(act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!isAbsent(error)) throw error;
  }
}

function append(journal: string, rows: readonly Row[]): void {
  const fd = openSync(journal, 'a', 0o600);
  try {
    // A line break first: a row that a crash or a full disk cut short must not spoil this one.
    appendFileSync(fd, `\n${rows.map((row) => JSON.stringify(row)).join('\n')}\n`);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function readRows(journal: string): Row[] {
  const rows: Row[] = [];
  for (const text of readIfThere(journal).split('\n').filter(Boolean)) {
    try {
      rows.push(JSON.parse(text) as Row);
    } catch {
      // A row that was cut short: the move it announced never began.
    }
  }
  return rows;
}
