import {
  type Stats,
  appendFileSync,
  chmodSync,
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { git } from '../support/plain-git.ts';
import { type Chance, chanceOf } from './chance.ts';
import { type Sides, folderFiles, missing, treeFiles } from './oracle.ts';

/** Few, so that both sides meet: a file where a folder is, two cases of a name, two forms of an accent. */
const paths = ['index.html', 'a.md', 'A.md', 'dir/a.md', 'dir/b.md', 'dir/sub/c.md', 'x', 'x/y', 'cafe\u0301.md'];
/** Nobody ever edits these; only who empties the folder or takes the branch's history away removes them. */
const untouched = ['keep.md', 'still/keep.md'];

/** Locks that a killed git might have left. */
export const plantedLocks = ['refs/sync/disk.lock', 'refs/sync/remote.lock', 'packed-refs.lock'] as const;

const siteKinds = [
  ...(['write', 'write', 'write', 'append', 'append', 'save', 'save', 'remove', 'remove', 'rename'] as const),
  ...(['same-size', 'same-size', 'slow', 'slow', 'chmod', 'link', 'folder', 'folder', 'bulk', 'empty'] as const),
];
const remoteKinds = [
  ...(['commit', 'commit', 'commit', 'commit', 'commit', 'commit', 'commit', 'merge', 'revert'] as const),
  ...(['hostile', 'force', 'unrelated', 'delete'] as const),
];

/** Somebody in the folder and somebody at GitLab; what they wrote, and what of it they replaced or removed themselves. */
export class Edits {
  /** Contents that nobody who saw them replaced or removed. */
  readonly written = new Set<string>();
  /** Every line that was ever anybody's. */
  readonly #ever = new Set<string>();
  readonly #site: string;
  readonly #bare: string;
  readonly #clone: string;
  readonly #dir: string;
  readonly #seed: number;
  readonly #chance: Chance;
  /** A chance of its own: up to the first rewind, the world of a seed is the one it was without any. */
  readonly #rewinds: Chance;
  readonly #told: (text: string) => void;
  #next = 0;
  #slow: { readonly fd: number; path: string; readonly rest: string; readonly whole: string } | undefined;
  /** Something was done that takes files away on purpose. */
  #tookAway = false;
  /** How often the branch lost commits. */
  #losses = 0;

  constructor(dir: string, seed: number, chance: Chance, told: (text: string) => void) {
    this.#dir = dir;
    this.#site = join(dir, 'site');
    this.#bare = join(dir, 'gitlab.git');
    this.#clone = join(dir, 'clone');
    this.#seed = seed;
    this.#chance = chance;
    this.#rewinds = chanceOf(seed + 1_000_003);
    this.#told = told;
  }

  /** How many contents there were. */
  get values(): number {
    return this.#next;
  }

  first(): Record<string, string> {
    const begin = ['index.html', 'a.md', 'dir/a.md', 'dir/b.md', ...untouched];
    return Object.fromEntries(begin.map((path) => [path, this.#value(path)]));
  }

  /** One edit in the folder; the paths it touched. */
  site(): string[] {
    const path = this.#chance.oneOf(paths);
    const kind = this.#chance.oneOf(siteKinds);
    if (kind === 'slow') return this.#slowly(path);
    if (kind === 'bulk') return this.#bulk();
    if (kind === 'empty') return this.#chance.once(3) ? this.#empty() : this.#write(path);
    if (kind === 'folder') return this.#moveFolder();
    this.#told(`site ${kind} ${path}`);
    const full = join(this.#site, path);
    const there = isFile(full);
    // Two who write into one file at once mix it themselves.
    if (this.#slow?.path === path && (kind === 'append' || kind === 'same-size')) return this.finish();
    if (kind === 'append' && there) {
      appendFileSync(full, this.#value(path));
      return [path];
    }
    if (kind === 'remove' && exists(full)) {
      this.#replaced(path);
      rmSync(full, { recursive: true });
      return [path];
    }
    if (kind === 'rename' && there) {
      this.#replaced('moved.md');
      if (exists(join(this.#site, 'moved.md'))) rmSync(join(this.#site, 'moved.md'), { recursive: true });
      renameSync(full, join(this.#site, 'moved.md'));
      this.#slowMoves(path, 'moved.md');
      return [path, 'moved.md'];
    }
    if (kind === 'same-size' && there) return this.#sameSize(path);
    if (kind === 'chmod' && there) {
      chmodSync(full, statSync(full).mode ^ 0o111);
      return [path];
    }
    if (kind === 'link') return this.#link(path);
    return this.#write(path, kind === 'save');
  }

  #write(path: string, beside = false): string[] {
    const full = this.#room(path);
    if (beside) {
      writeFileSync(`${full}.part`, this.#value(path));
      renameSync(`${full}.part`, full);
    } else writeFileSync(full, this.#value(path));
    return [path];
  }

  /** Makes a place for a file: what is in the way goes, by the hand of somebody who sees it. */
  #room(path: string): string {
    const full = join(this.#site, path);
    this.#replaced(path);
    for (let parent = dirname(full); parent !== this.#site; parent = dirname(parent))
      if (exists(parent) && !lstatSync(parent).isDirectory()) rmSync(parent);
    if (exists(full) && !isFile(full)) rmSync(full, { recursive: true });
    mkdirSync(dirname(full), { recursive: true });
    return full;
  }

  #link(path: string): string[] {
    const full = this.#room(path);
    rmSync(full, { force: true });
    symlinkSync(this.#chance.once(2) ? 'index.html' : '../outside/sentinel', full);
    return [path];
  }

  #sameSize(path: string): string[] {
    const full = join(this.#site, path);
    const { mtime, size } = statSync(full);
    const text = this.#text(path);
    if (text.length !== size) return [];
    this.#replaced(path);
    this.#register(text);
    writeFileSync(full, text);
    utimesSync(full, mtime, mtime);
    return [path];
  }

  /** Opened by one operation, finished by a later one. */
  #slowly(path: string): string[] {
    if (this.#slow) return this.finish();
    this.#told(`site opens ${path}`);
    const full = this.#room(path);
    const whole = this.#text(path);
    const fd = openSync(full, 'w');
    writeSync(fd, whole.slice(0, 5));
    this.#ever.add(whole.slice(0, 5));
    this.#slow = { fd, path, rest: whole.slice(5), whole };
    return [path];
  }

  /** Ends a slow write. */
  finish(): string[] {
    if (!this.#slow) return [];
    const { fd, path, rest, whole } = this.#slow;
    this.#slow = undefined;
    writeSync(fd, rest);
    closeSync(fd);
    this.#told(`site closes ${path}`);
    this.#register(whole);
    return [path];
  }

  #bulk(): string[] {
    const count = this.#chance.between(1, this.#chance.once(4) ? 60 : 12);
    this.#told(`site bulk ${count}`);
    const made = Array.from({ length: count }, (_, n) => `bulk/${n}.md`);
    if (isFile(join(this.#site, 'bulk'))) return [];
    for (const path of made) this.#write(path);
    return made;
  }

  #empty(): string[] {
    this.#told('site is emptied');
    const names = readdirSync(this.#site).filter((name) => !name.startsWith('.mooring-'));
    for (const name of names) {
      this.#replaced(name);
      rmSync(join(this.#site, name), { recursive: true });
    }
    this.#tookAway = true;
    return names;
  }

  #moveFolder(): string[] {
    const [from, to] = exists(join(this.#site, 'dir')) ? ['dir', 'moved'] : ['moved', 'dir'];
    if (!exists(join(this.#site, from)) || exists(join(this.#site, to))) return [];
    this.#told(`site moves ${from} to ${to}`);
    renameSync(join(this.#site, from), join(this.#site, to));
    this.#slowMoves(from, to);
    return [from, to];
  }

  /** Who writes slowly goes on in the same file, whatever it is called now. */
  #slowMoves(from: string, to: string): void {
    const slow = this.#slow;
    if (slow && (slow.path === from || slow.path.startsWith(`${from}/`))) slow.path = to + slow.path.slice(from.length);
  }

  /** What is at or below a path in the folder is replaced by somebody who sees it; who writes there gives up. */
  #replaced(path: string): void {
    const slow = this.#slow;
    if (slow && (slow.path === path || slow.path.startsWith(`${path}/`) || path.startsWith(`${slow.path}/`))) {
      closeSync(slow.fd);
      this.#slow = undefined;
    }
    for (const [at, text] of folderFiles(this.#site)) {
      if (at !== path && !at.startsWith(`${path}/`) && !path.startsWith(`${at}/`)) continue;
      this.#forget(text);
    }
  }

  #forget(text: string): void {
    for (const line of text.split('\n')) this.written.delete(`${line}\n`);
  }

  #text(path: string): string {
    // Contents are compared byte by byte: they keep to ASCII.
    return `${path.replace(/[^\x20-\x7e]/g, '')} ${this.#seed}.${this.#next++}\n`;
  }

  #value(path: string): string {
    return this.#register(this.#text(path));
  }

  #register(text: string): string {
    this.written.add(text);
    this.#ever.add(text.trimEnd());
    return text;
  }

  /** Something happens at GitLab. */
  remote(): void {
    if (this.#hasBranch() && this.#rewinds.once(6)) return this.#rewind();
    const kind = this.#chance.oneOf(remoteKinds);
    if (!this.#hasBranch()) return this.#recreate();
    git(this.#clone, 'fetch', '-q', '--prune', 'origin');
    git(this.#clone, 'checkout', '-q', '-f', '-B', 'main', 'origin/main');
    git(this.#clone, 'clean', '-q', '-f', '-d', '-x');
    if (kind === 'commit') return this.#commit();
    this.#told(`remote ${kind}`);
    if (kind === 'merge') return this.#merge();
    if (kind === 'revert') return this.#revert();
    if (kind === 'hostile') return this.#hostile();
    if (kind === 'delete') return this.#takingAway(() => git(this.#bare, 'update-ref', '-d', 'refs/heads/main'));
    if (git(this.#clone, 'rev-list', '--count', 'HEAD') === '1') return;
    this.#takingAway(() => {
      if (kind === 'unrelated') git(this.#clone, 'checkout', '-q', '--orphan', `other-${this.#next++}`);
      else git(this.#clone, 'reset', '-q', '--hard', 'HEAD~1');
      writeFileSync(join(this.#clone, 'forced.md'), this.#text('forced.md'));
      this.#ever.add(`forced.md ${this.#seed}.${this.#next - 1}`);
      this.#commitAll('forced');
      git(this.#clone, 'push', '-q', '--force', 'origin', 'HEAD:main');
    });
  }

  /** GitLab has an older tip again and nothing else: it was restored from a backup, or somebody reset the branch. */
  #rewind(): void {
    const commits = Number(git(this.#bare, 'rev-list', '--count', '--first-parent', 'main'));
    const back = Math.min(this.#rewinds.between(1, 3), commits - 1);
    this.#told(`remote goes back by ${back}`);
    if (back === 0) return;
    git(this.#bare, 'update-ref', 'refs/heads/main', `main~${back}`);
    this.#losses += 1;
    this.#forgetWhatGitLabAloneHad();
  }

  #hasBranch(): boolean {
    return git(this.#bare, 'for-each-ref', 'refs/heads/main') !== '';
  }

  #recreate(): void {
    this.#told('remote makes the branch again');
    git(this.#clone, 'push', '-q', 'origin', 'HEAD:main');
  }

  #commitAll(message: string): void {
    git(this.#clone, 'add', '-A');
    git(this.#clone, 'commit', '-q', '--allow-empty', '-m', message);
  }

  #commit(): void {
    const did: string[] = [];
    for (let i = this.#chance.between(1, 5); i > 0; i -= 1) {
      const path = this.#chance.oneOf(paths);
      if (did.includes(path) || did.some((other) => other.startsWith(`${path}/`) || path.startsWith(`${other}/`)))
        continue;
      this.#change(path);
      did.push(path);
    }
    this.#told(`remote ${did.join(' ')}`);
    this.#commitAll('theirs');
    git(this.#clone, 'push', '-q', 'origin', 'HEAD:main');
  }

  #change(path: string): void {
    const full = join(this.#clone, path);
    if (this.#chance.once(4)) return rmSync(full, { recursive: true, force: true });
    for (let parent = dirname(full); parent !== this.#clone; parent = dirname(parent))
      if (exists(parent) && !lstatSync(parent).isDirectory()) rmSync(parent);
    rmSync(full, { recursive: true, force: true });
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, this.#value(path));
  }

  /** Of a line that began a commit ago. */
  #merge(): void {
    const from = git(this.#clone, 'rev-list', '--count', 'HEAD') === '1' ? 'HEAD' : 'HEAD~1';
    git(this.#clone, 'checkout', '-q', '-f', '--detach', from);
    const path = `side-${this.#chance.pick(3)}.md`;
    writeFileSync(join(this.#clone, path), this.#value(path));
    this.#commitAll('side');
    const side = git(this.#clone, 'rev-parse', 'HEAD');
    git(this.#clone, 'checkout', '-q', '-f', 'main');
    git(this.#clone, 'merge', '-q', '--no-edit', '-X', 'theirs', side);
    git(this.#clone, 'push', '-q', 'origin', 'HEAD:main');
  }

  #revert(): void {
    if (git(this.#clone, 'rev-list', '--count', 'HEAD') === '1') return;
    const isMerge = git(this.#clone, 'rev-list', '--parents', '-1', 'HEAD').split(' ').length > 2;
    try {
      git(this.#clone, 'revert', '--no-edit', ...(isMerge ? ['-m', '1'] : []), 'HEAD');
    } catch {
      // It does not fit any more, or leaves nothing to undo.
      git(this.#clone, 'reset', '-q', '--hard', 'HEAD');
      return;
    }
    git(this.#clone, 'push', '-q', 'origin', 'HEAD:main');
  }

  /** What anybody who may push can put into a branch. */
  #hostile(): void {
    const full = (name: string): string => join(this.#clone, name);
    if (!exists(full('escape'))) symlinkSync('../../outside/sentinel', full('escape'));
    mkdirSync(full('odd'), { recursive: true });
    for (const name of ['.htaccess', 'odd/.user.ini', 'odd/with\nbreak.md'])
      writeFileSync(full(name), this.#value(name.replace('\n', ' ')));
    git(this.#clone, 'add', '-A');
    git(this.#clone, 'update-index', '--add', '--cacheinfo', `160000,${'1'.repeat(40)},module`);
    git(this.#clone, 'commit', '-q', '-m', 'hostile');
    git(this.#clone, 'push', '-q', 'origin', 'HEAD:main');
  }

  /** Who takes back by force what GitLab alone had, may: whatever is nowhere afterwards was theirs to remove. */
  #takingAway(act: () => unknown): void {
    if (this.#hasBranch()) for (const text of treeFiles(this.#bare, 'main').values()) this.#forget(text);
    for (const value of missing(this.#sides(), [...this.written])) this.written.delete(value);
    act();
    this.#forgetWhatGitLabAloneHad();
    this.#losses += 1;
    this.#tookAway = true;
  }

  /** What the site only fetched, and never agreed on, was GitLab's alone. */
  #forgetWhatGitLabAloneHad(): void {
    const repository = join(this.#dir, 'state', 'repo.git');
    for (const lock of plantedLocks) rmSync(join(repository, lock), { force: true });
    for (const ref of ['refs/scratch/incoming', 'refs/scratch/import', 'refs/sync/offered'])
      git(repository, 'update-ref', '-d', ref);
    // What is to be applied has not arrived either; the ref itself stays, for recovery goes by it.
    for (const value of missing(this.#sides(), [...this.written], ['refs/sync/pending'])) this.written.delete(value);
  }

  #sides(): Sides {
    return { site: this.#site, bare: this.#bare, gitDir: join(this.#dir, 'state', 'repo.git') };
  }

  /** Lines in the folder that nobody ever wrote. */
  invented(): string[] {
    return [...folderFiles(this.#site)].flatMap(([path, text]) =>
      text
        .split('\n')
        .filter((line) => line !== '' && !this.#ever.has(line))
        .map((line) => `${path}: ${line}`),
    );
  }

  /** Nobody took anything away from the branch: what was ever on it is still part of it. */
  get branchOnlyGrew(): boolean {
    return this.#losses === 0;
  }

  /** How often the branch lost commits so far. */
  get losses(): number {
    return this.#losses;
  }

  /** Files that are not there although nobody had a hand in it. */
  gone(): string[] {
    return this.#tookAway ? [] : untouched.filter((path) => !isFile(join(this.#site, path)));
  }
}

/** What is there: a link that leads nowhere too, nothing below a file. */
function look(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch {
    return undefined;
  }
}

const exists = (path: string): boolean => look(path) !== undefined;
const isFile = (path: string): boolean => look(path)?.isFile() === true;
