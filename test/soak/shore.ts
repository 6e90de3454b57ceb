import {
  appendFileSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  rmdirSync,
  statSync,
  utimesSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MooredSite } from '../support/moored.ts';
import { gitAsync } from '../support/plain-git.ts';
import type { Chance } from './chance.ts';
import { readValues, valueText } from './values.ts';

/** Only ever replaced whole, so a reader must find one whole content in them at every moment. */
export const steady = ['steady-1.html', 'steady-2.html', 'dir/steady-3.html'];
/** Edited in every way. */
const pages = ['page-1.html', 'page-2.html', 'page-3.html', 'dir/page-4.html', 'dir/deep/page-5.html'];
/** Grow at the end here and at the beginning there: git merges them. */
const logs = ['log-1.md', 'dir/log-2.md'];
/** A folder that moves between two names. */
const boxes = ['box', 'crate'] as const;
const boxed = ['one.html', 'two.html'];

const allPaths = [...steady, ...pages, ...logs, ...boxed.map((name) => `box/${name}`)];

const siteKinds = [
  ...(['save', 'save', 'save', 'append', 'append', 'truncate', 'recreate'] as const),
  ...(['delete', 'rename', 'folder', 'same-size', 'slow'] as const),
];
export type EditKind = (typeof siteKinds)[number] | 'branch';

/** Both sides count as writing at the same time if no more than this lies between them. */
const collidingMs = 2_000;

export interface Written {
  readonly id: string;
  readonly side: 'site' | 'branch';
  readonly path: string;
}

export interface ShoreTools {
  /** Stands in every content that is written here. */
  readonly name: string;
  readonly chance: Chance;
  readonly diskIsFull: () => boolean;
  /** Runs a piece of work in the folder as the user whose site it is. */
  readonly asEditor: (act: () => void) => void;
}

/**
 * Somebody at the folder and somebody at GitLab, who edit the same few files without a pause. What each wrote is
 * noted, and what somebody replaced in the folder who saw it there. At GitLab nothing is ever gone: its history has it.
 */
export class Shore {
  readonly written: Written[] = [];
  /** Contents that their own side replaced or removed in the folder. */
  readonly replaced = new Set<string>();
  readonly count = { colliding: 0, refusedByDisk: 0 };
  readonly kinds: Partial<Record<EditKind, number>> = {};
  readonly #site: MooredSite;
  readonly #name: string;
  readonly #chance: Chance;
  readonly #diskIsFull: () => boolean;
  readonly #asEditor: (act: () => void) => void;
  readonly #touched = new Map<string, { side: string; at: number }>();
  /** Paths in which a slow write is under way. */
  readonly #busy = new Set<string>();
  readonly #slow = new Set<Promise<void>>();
  #next = 0;
  #stopped = false;

  constructor(site: MooredSite, { name, chance, diskIsFull, asEditor }: ShoreTools) {
    this.#site = site;
    this.#name = name;
    this.#chance = chance;
    this.#diskIsFull = diskIsFull;
    this.#asEditor = asEditor;
  }

  /** One file for each path, as the branch begins. */
  first(): Record<string, string> {
    return Object.fromEntries(allPaths.map((path) => [path, this.#value('branch', path)]));
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Edits until it is stopped and no write is under way. */
  async edit(pauseMs: number): Promise<void> {
    this.#stopped = false;
    while (!this.#stopped) {
      const what = this.#chance.pick(10);
      if (what < 3) await this.#both();
      else if (what < 8) this.#siteEdit(this.#chance.oneOf(siteKinds));
      else await this.#branchEdit(this.#some([...steady, ...pages, ...logs, ...this.#boxPaths()]));
      await sleep(this.#chance.between(pauseMs / 3, pauseMs * 1.6));
    }
    await Promise.all(this.#slow);
  }

  /** The same paths on both sides within moments. */
  async #both(): Promise<void> {
    const paths = this.#some([...steady, ...pages]);
    const atSite = async (): Promise<void> => {
      await sleep(this.#chance.pick(400));
      for (const path of paths)
        this.#siteEdit(steady.includes(path) || this.#chance.once(2) ? 'save' : 'truncate', path);
    };
    await Promise.all([this.#branchEdit(paths), atSite()]);
  }

  #some(from: readonly string[]): string[] {
    return [...new Set(Array.from({ length: this.#chance.between(1, 3) }, () => this.#chance.oneOf(from)))];
  }

  #value(side: 'site' | 'branch', path: string, bytes = 0): string {
    const id = this.#newId(side);
    this.written.push({ id, side, path });
    return valueText(id, bytes || this.#size(path));
  }

  #newId(side: 'site' | 'branch'): string {
    this.#next += 1;
    return `${this.#name}-${side === 'site' ? 's' : 'b'}${String(this.#next).padStart(6, '0')}`;
  }

  #size(path: string): number {
    if (logs.includes(path)) return 1;
    if (steady.includes(path)) return this.#chance.pick(12_000);
    return this.#chance.once(12) ? 100_000 + this.#chance.pick(100_000) : this.#chance.pick(4_000);
  }

  #note(side: 'site' | 'branch', path: string, kind: EditKind, writes = true): void {
    const last = this.#touched.get(path);
    const at = performance.now();
    if (writes && last && last.side !== side && at - last.at < collidingMs) this.count.colliding += 1;
    this.#touched.set(path, { side, at });
    this.kinds[kind] = (this.kinds[kind] ?? 0) + 1;
  }

  #boxPaths(): string[] {
    const [from] = this.#boxNow();
    return boxed.map((name) => `${from}/${name}`);
  }

  #boxNow(): readonly [string, string] {
    return existsSync(this.#full(boxes[1])) && !existsSync(this.#full(boxes[0])) ? [boxes[1], boxes[0]] : boxes;
  }

  #full(path: string): string {
    return join(this.#site.folder, path);
  }

  async #branchEdit(paths: readonly string[]): Promise<void> {
    const { project, branch } = this.#site;
    const changes: Record<string, string | null> = {};
    const made: { written: Written }[] = [];
    for (const path of paths) {
      if (pages.includes(path) && this.#chance.once(9)) {
        changes[path] = null;
        continue;
      }
      const id = this.#newId('branch');
      made.push({ written: { id, side: 'branch', path } });
      const text = valueText(id, this.#size(path));
      changes[path] = logs.includes(path) ? `${text}${(await this.#logOnBranch(path)).slice(0, 6_000)}` : text;
    }
    await project.push(branch, changes, { message: `branch ${this.#name}` });
    for (const { written } of made) this.written.push(written);
    for (const path of paths) this.#note('branch', path, 'branch', changes[path] !== null);
  }

  /** Whole contents only, so that a long one is never cut. */
  async #logOnBranch(path: string): Promise<string> {
    const text = await gitAsync(this.#site.project.repoPath, 'show', `${this.#site.branch}:${path}`).catch(() => '');
    return text
      .split(/(?=^soak )/m)
      .slice(0, 12)
      .map((part) => `${part.trimEnd()}\n`)
      .join('')
      .replace(/^\n$/, '');
  }

  /** What is at a path now is replaced by somebody who saw it. */
  #replaces(path: string): void {
    let text: string;
    try {
      text = readFileSync(this.#full(path), 'latin1');
    } catch {
      return;
    }
    for (const id of readValues(text).ids) this.replaced.add(id);
  }

  #siteEdit(kind: EditKind, asked?: string): void {
    this.#asEditor(() => this.#edit(kind, asked));
  }

  #edit(kind: EditKind, asked?: string): void {
    const wants = this.#needsRoom(kind) && this.#diskIsFull();
    if (kind === 'folder') return this.#moveFolder();
    const path = asked ?? this.#pathFor(kind);
    if (this.#busy.has(path)) return;
    if (wants) return this.#triesOnFullDisk(path);
    mkdirSync(dirname(this.#full(path)), { recursive: true });
    this.#note('site', path, kind, !['delete', 'rename'].includes(kind));
    switch (kind) {
      case 'save':
        return this.#save(path);
      case 'append':
        return this.#append(path);
      case 'truncate':
        return this.#overwrite(path, 'w');
      case 'recreate':
        this.#replaces(path);
        rmSync(this.#full(path), { force: true });
        return this.#overwrite(path, 'wx');
      case 'delete':
        this.#replaces(path);
        return rmSync(this.#full(path), { force: true });
      case 'rename':
        return this.#rename(path);
      case 'same-size':
        return this.#sameSize(path);
      case 'slow':
        return this.#slowly(path);
      case 'branch':
        throw new Error('not an edit of the folder');
      default:
        kind satisfies never;
    }
  }

  #needsRoom(kind: EditKind): boolean {
    return !['delete', 'rename', 'folder', 'same-size'].includes(kind);
  }

  #pathFor(kind: EditKind): string {
    if (kind === 'append') return this.#chance.oneOf(logs);
    if (kind === 'save') return this.#chance.oneOf([...steady, ...pages, ...this.#boxPaths()]);
    return this.#chance.oneOf(pages);
  }

  /** As most editors save: a new file, renamed over the old one. */
  #save(path: string): void {
    const beside = this.#full(join(dirname(path), `.${basename(path)}.swp`));
    const fd = openSync(beside, 'w');
    writeSync(fd, this.#value('site', path));
    closeSync(fd);
    this.#replaces(path);
    renameSync(beside, this.#full(path));
  }

  #append(path: string): void {
    const full = this.#full(path);
    // A log is begun anew from time to time.
    if (existsSync(full) && statSync(full).size > 6_000) return this.#overwrite(path, 'w');
    appendFileSync(full, this.#value('site', path));
  }

  #overwrite(path: string, flag: 'w' | 'wx'): void {
    this.#replaces(path);
    const text = this.#value('site', path);
    const fd = openSync(this.#full(path), flag);
    try {
      writeSync(fd, text);
    } finally {
      closeSync(fd);
    }
  }

  /** To another page's name, over what is there. */
  #rename(path: string): void {
    const to = this.#chance.oneOf(pages);
    if (to === path || this.#busy.has(to) || !existsSync(this.#full(path))) return;
    mkdirSync(dirname(this.#full(to)), { recursive: true });
    this.#replaces(to);
    move(this.#full(path), this.#full(to));
  }

  #moveFolder(): void {
    const [from, to] = this.#boxNow();
    if (!existsSync(this.#full(from))) return;
    this.#note('site', to, 'folder', false);
    if (!existsSync(this.#full(to))) return renameSync(this.#full(from), this.#full(to));
    // The other side still writes below the old name: what is there is moved after.
    for (const name of readdirSync(this.#full(from))) {
      this.#replaces(`${to}/${name}`);
      renameSync(this.#full(`${from}/${name}`), this.#full(`${to}/${name}`));
    }
    rmdirSync(this.#full(from));
  }

  /** Another content of the same length with the old time, as some tools write. */
  #sameSize(path: string): void {
    const full = this.#full(path);
    if (!existsSync(full)) return;
    const { size, mtime } = statSync(full);
    const id = this.#newId('site');
    const text = valueText(id, size - valueText(id, 1).length);
    if (text.length !== size) return;
    this.#replaces(path);
    this.written.push({ id, side: 'site', path });
    const fd = openSync(full, 'r+');
    writeSync(fd, text);
    closeSync(fd);
    try {
      utimesSync(full, mtime, mtime);
    } catch (error) {
      // Only the owner may, and that is Mooring's user where it has replaced the file.
      if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error;
    }
  }

  /** Opened now, finished a while later, as an upload does. */
  #slowly(path: string): void {
    this.#replaces(path);
    const fd = openSync(this.#full(path), 'w');
    const id = this.#newId('site');
    const text = valueText(id, 20_000 + this.#chance.pick(60_000));
    const half = this.#chance.pick(text.length);
    this.#busy.add(path);
    const work = (async () => {
      writeSync(fd, text.slice(0, half));
      await sleep(this.#chance.between(300, 3_500));
      for (let at = half; at < text.length;) {
        try {
          at += writeSync(fd, text.slice(at), at);
        } catch (error) {
          if (!isFull(error)) throw error;
          await sleep(100);
        }
      }
      closeSync(fd);
      this.written.push({ id, side: 'site', path });
      this.#busy.delete(path);
    })();
    this.#slow.add(work);
    void work.finally(() => this.#slow.delete(work)).catch(() => undefined);
  }

  /** Where there is no room a save fails before it has replaced anything, as an editor tells its user. */
  #triesOnFullDisk(path: string): void {
    const beside = this.#full(join(dirname(path), `.${basename(path)}.swp`));
    try {
      const fd = openSync(beside, 'w');
      try {
        writeSync(fd, 'x'.repeat(1024 * 1024));
      } finally {
        closeSync(fd);
      }
    } catch {
      this.count.refusedByDisk += 1;
    }
    rmSync(beside, { force: true });
  }
}

function isFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOSPC';
}

/** As mv does: what cannot be renamed from one disk to another is copied and removed. */
function move(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
    rmSync(to, { force: true });
    copyFileSync(from, to);
    rmSync(from);
  }
}
