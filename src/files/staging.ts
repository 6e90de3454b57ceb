import { dirname } from 'node:path';
import { appendFileSync, closeSync, fsyncSync, openSync, unlinkSync } from 'node:fs';
import { type Abilities, type DiskFacts, createRung, removeRung, replaceRung } from '../model/disk.ts';
import { type Oid, type SitePath, displayPath, parentOf } from '../model/tree.ts';
import type { Clock, Fs, Random, Stat } from '../model/world.ts';
import { tryAbilities } from './abilities.ts';
import { isAbsent, pathErrno, unlessErrno } from './errno.ts';
import type { Seen } from './line.ts';
import { readMounts } from './mount-table.ts';
import { unwritable } from './root.ts';
import { inState, readIfThere } from './state.ts';
import { type DirectoryHandles, isOutside, nameOf, outside } from './directory-handles.ts';

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
  /** The path is created and filled from the staged file: a part of it there is ours. */
  readonly inPlace?: true;
}

export interface Held extends Move {
  /** When it was replaced, or first met after a restart, by the clock that never jumps. */
  readonly since: number;
}

type Row =
  /** `for`: the topmost folder of the site on the same mount; absent: the one it lies in. */
  | { readonly kind: 'folder'; readonly path: SitePath; readonly for?: string }
  | { readonly kind: 'move'; readonly move: Move }
  | { readonly kind: 'settled' }
  | { readonly kind: 'released'; readonly folder: SitePath; readonly name: string };

/** An open staging folder. */
export interface Place {
  readonly path: SitePath;
  readonly fd: number;
  /** What the disk can do there. */
  readonly abilities: Abilities;
}

export interface StagingTools {
  readonly fs: Fs;
  readonly random: Random;
  readonly clock: Clock;
  /** Absolute path of the site's folder. */
  readonly root: string;
  /** Outside the site. The journal lies here, and where it can be, what is staged. */
  readonly stateDir: string;
}

/**
 * The site's staging folders and the journal of what is in them. There is one on each mount of the site, because a
 * rename cannot leave a mount. That of the site's own folder lies outside of it where a place on the same mount can be
 * had, beside it or in the state directory, so that no program that reads the site meets it; every other lies in the
 * topmost folder of its mount. It has a name nobody can guess and only its owner may enter. The journal lies in the
 * state directory and is synced before the first file moves; where it can be neither read nor written, everything here
 * throws `disk-full`, `out-of-resources` or `state-failed`.
 */
export class Staging {
  readonly #fs: Fs;
  readonly #random: Random;
  readonly #clock: Clock;
  /** Where what is staged for the site's own folder may lie outside of it, the best first. */
  readonly #places: Places;
  readonly #journal: string;
  /** Each with the topmost folder of its mount. */
  readonly #folders = new Map<SitePath, string>();
  readonly #moves = new Map<string, Held & { settled: boolean }>();
  #isRead = false;
  /** Names of an earlier life of the process may still be held. */
  readonly #run: string;
  #next = 0;
  #swept = false;
  /** What the disks can do, by mount. */
  readonly #abilities = new Map<string, Abilities>();
  readonly #facts = new Map<string, DiskFacts>();
  /** Folders that turned out to be no place for what is staged for a mount. */
  readonly #misfits = new Set<string>();

  constructor({ fs, random, clock, root, stateDir }: StagingTools) {
    this.#fs = fs;
    this.#random = random;
    this.#clock = clock;
    this.#places = [
      { name: 'beside', folder: dirname(root) },
      { name: 'state', folder: stateDir },
    ];
    this.#journal = `${stateDir}/staging.jsonl`;
    this.#run = random.bytes(4).toString('hex');
  }

  /** What was found out of the site's mounts so far, the site's own folder first. */
  get disks(): readonly DiskFacts[] {
    return [...this.#facts.values()].sort((a, b) => (a.at < b.at ? -1 : 1));
  }

  /** On first use and not when the daemon starts: a journal that cannot be read is the problem of its site alone. */
  #read(): void {
    if (this.#isRead) return;
    for (const row of inState(this.#journal, () => readRows(this.#journal)))
      this.#take(withPaths(row, (path) => fromJournal(this.#places, path)));
    this.#isRead = true;
  }

  /** Of the site's own folder, once it was tried. */
  get foldingOfRoot(): Abilities['folding'] | undefined {
    return this.#ofRoot?.folding;
  }

  #ofRoot: Abilities | undefined;

  /**
   * The staging folder on the mount of the folder `path`. Throws `folder-unwritable` where that is the mount of the site's
   * own folder, through which everything has to go.
   */
  async placeFor(handles: DirectoryHandles, path: string): Promise<Place> {
    this.#read();
    let top = path;
    try {
      top = handles.topOfMount(path);
      const folder = this.#folderFor(handles, top);
      return { ...folder, abilities: await this.#abilitiesAt(handles, folder, top) };
    } catch (error) {
      throw top === '' ? unwritable(error, handles.site) : error;
    }
  }

  /**
   * Whether a file in the folder `path` can be replaced without the chance of losing a save. Where nothing can be staged
   * the answer is yes: that is told path by path.
   */
  async captures(handles: DirectoryHandles, path: string): Promise<boolean> {
    try {
      return replaceRung((await this.placeFor(handles, path)).abilities) !== 'rename';
    } catch (error) {
      pathErrno(error);
      return true;
    }
  }

  /** Whether the disk under a folder is known to be unable to capture what is replaced there. */
  isWeak(handles: DirectoryHandles, path: string): boolean {
    return unlessErrno(() => this.#facts.get(handles.topOfMount(path)))?.replace === 'rename';
  }

  /** What the disk under an open folder can do; undefined until something was staged there. */
  known(handles: DirectoryHandles, path: string): Abilities | undefined {
    return this.#abilities.get(handles.mountOf(path));
  }

  async #abilitiesAt(
    handles: DirectoryHandles,
    { path, fd }: { readonly path: SitePath; readonly fd: number },
    top: string,
  ): Promise<Abilities> {
    const mount = handles.mountOf(path);
    let known = this.#abilities.get(mount);
    if (!known) {
      const remove = (name: Buffer): void => void this.drop(fd, name);
      known = await tryAbilities(this.#fs, fd, () => this.freshName(), remove);
      this.#abilities.set(mount, known);
    }
    if (top === '') this.#ofRoot = known;
    this.#facts.set(top, factsOf(top, known, { mount, isOut: isOutside(path) }));
    return known;
  }

  /**
   * Tries what the disk of the site's own folder can do without touching the site, so that pages tell it before the
   * first file arrives. Only pages go by that: a folder beside the site may differ from it, as in how it takes names.
   * Nothing is found out where no place outside the site is on its mount.
   */
  async tryOutside(handles: DirectoryHandles): Promise<void> {
    this.#read();
    const mount = handles.mountOf('');
    for (const { folder } of this.#places) {
      if (folder === '/' || unlessErrno(() => handles.mountOf(outside(folder))) !== mount) continue;
      const path = `${outside(folder)}/${this.#newName()}` as SitePath;
      // For no mount: nothing is ever staged in it.
      this.#write([{ kind: 'folder', path, for: path }]);
      if (unlessErrno(() => this.#make(handles, path)) === undefined) continue;
      const fd = handles.folder(path);
      const seen = await tryAbilities(
        this.#fs,
        fd,
        () => this.freshName(),
        (name) => void this.drop(fd, name),
      );
      return void this.#facts.set('', factsOf('', seen, { mount, isOut: true }));
    }
  }

  /** A disk that seemed to lack what it takes to capture may only have failed when it was tried. */
  async tryWeakAgain(handles: DirectoryHandles): Promise<void> {
    for (const { top, replace } of [...this.#facts].map(([top, facts]) => ({ top, ...facts }))) {
      if (replace !== 'rename') continue;
      this.#abilities.delete(handles.mountOf(top));
      this.#facts.delete(top);
      await this.placeFor(handles, top);
    }
  }

  #make(handles: DirectoryHandles, path: SitePath): true {
    this.#fs.makeDirectory(handles.folder(parentOf(path)), nameOf(path), 0o700);
    return true;
  }

  #newName(): string {
    return `.mooring-${this.#random.bytes(12).toString('hex')}`;
  }

  #folderFor(handles: DirectoryHandles, top: string): { path: SitePath; fd: number } {
    const mount = handles.mountOf(top);
    for (const [known, of] of this.#folders) {
      if (of !== top) continue;
      const fd = handles.folderIfThere(known);
      if (fd !== undefined && handles.mountOf(known) === mount) return { path: known, fd };
    }
    const name = this.#newName();
    const made = (top === '' ? name : `${top}/${name}`) as SitePath;
    this.#write([{ kind: 'folder', path: made }]);
    this.#make(handles, made);
    const path = (top === '' && this.#movedOut(handles, made, mount)) || made;
    return { path, fd: handles.folder(path) };
  }

  /**
   * Moves a staging folder out of the site. Made in it, the folder has its group, label, access list and quota, and so
   * has what is staged there; where the system lets the folder go, it lets its files come back. Undefined: it stays.
   */
  #movedOut(handles: DirectoryHandles, made: SitePath, mount: string): SitePath | undefined {
    for (const { folder: parent } of this.#places) {
      const key = `${mount}:${parent}`;
      if (parent === '/' || this.#misfits.has(key)) continue;
      const path = `${outside(parent)}/${made}` as SitePath;
      this.#write([{ kind: 'folder', path, for: '' }]);
      try {
        this.#fs.rename(handles.root, nameOf(made), handles.folder(parentOf(path)), nameOf(path));
        if (handles.mountOf(path) === mount) return path;
        this.#fs.rename(handles.folder(parentOf(path)), nameOf(path), handles.root, nameOf(made));
      } catch (error) {
        pathErrno(error);
      }
      handles.forget(path);
      this.#misfits.add(key);
    }
    return undefined;
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
  makeFinal(open: readonly Move[] = []): void {
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
    this.#read();
    this.#swept = true;
    for (const folder of this.#folders.keys()) {
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
    // Whoever looks at the disks before anything was staged must not take a journal that was not read for an empty one.
    this.#read();
    const used = new Set([...this.#moves.values()].map(({ folder }) => folder));
    for (const folder of [...this.#folders.keys()]) {
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
    const written = rows.map((row) => withPaths(row, (path) => toJournal(this.#places, path)));
    inState(this.#journal, () => append(this.#journal, written));
    for (const row of rows) this.#take(row);
  }

  #take(row: Row): void {
    if (row.kind === 'folder') this.#folders.set(row.path, row.for ?? parentOf(row.path));
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

function factsOf(
  top: string,
  abilities: Abilities,
  { mount, isOut }: { readonly mount: string; readonly isOut: boolean },
): DiskFacts {
  const [id] = mount.split(':');
  return {
    at: top === '' ? '' : displayPath(top as SitePath),
    type: readMounts().find((one) => one.id === id)?.type ?? '',
    replace: replaceRung(abilities),
    create: createRung(abilities),
    remove: removeRung(abilities),
    modes: abilities.chmod,
    owners: abilities.chown,
    foldsCase: abilities.folding.case,
    timeStepNs: abilities.timeStepNs,
    staging: isOut ? 'outside' : 'inside',
  };
}

type Places = readonly { readonly name: 'beside' | 'state'; readonly folder: string }[];

/** The journal names a place and not its path: sites and state directories are moved and restored elsewhere. */
function toJournal(places: Places, path: SitePath): SitePath {
  const place = places.find(({ folder }) => parentOf(path) === outside(folder));
  return place ? (`${outside(place.name)}/${nameOf(path).toString('latin1')}` as SitePath) : path;
}

function fromJournal(places: Places, path: SitePath): SitePath {
  const place = places.find(({ name }) => parentOf(path) === outside(name));
  return place ? (`${outside(place.folder)}/${nameOf(path).toString('latin1')}` as SitePath) : path;
}

/** A row with the path of its staging folder in another form. */
function withPaths(row: Row, form: (path: SitePath) => SitePath): Row {
  switch (row.kind) {
    case 'folder':
      return { ...row, path: form(row.path) };
    case 'move':
      return { ...row, move: { ...row.move, folder: form(row.move.folder) } };
    case 'released':
      return { ...row, folder: form(row.folder) };
    case 'settled':
      return row;
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
