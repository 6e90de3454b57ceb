import { type Entry, type Oid, type SitePath, pathBytes } from '../model/tree.ts';
import type { OpenFile } from '../sync/ports.ts';
import { type GitDriver, type GitProcess, write } from './driver.ts';
import { localFailure } from './failure.ts';

/**
 * Writes one fast-import stream: blobs first, each under a mark, then at most a few commits. Ten milliseconds at any
 * size of the tree, no index, and nothing becomes visible before `finish`: with `--done` a stream that breaks off
 * moves no ref.
 */
export interface FastImport {
  /** Feeds a file; the mark is usable at once, whether or not the file was steady. */
  blob(file: OpenFile): Promise<number>;
  /** A small content of our own. */
  bytes(content: Buffer): Promise<number>;
  commit(commit: ImportCommit): Promise<number>;
  /** Object ids of all marks, by mark. Throws `git-failed`. */
  finish(): Promise<ReadonlyMap<number, Oid>>;
  /** Ends git without effect. */
  abandon(): Promise<void>;
}

export interface ImportCommit {
  readonly author: { readonly name: string; readonly email: string };
  /** Absent: the author. */
  readonly committer?: ImportCommit['author'];
  /** Seconds since 1970. */
  readonly date: number;
  readonly message: string;
  /** First parent and merged ones: commits, or marks of this stream. */
  readonly parents: readonly (Oid | number)[];
  /** The tree to begin from; absent: the first parent's. */
  readonly tree?: Oid | 'empty';
  /** A folder of it that becomes another tree, before the edits. */
  readonly graft?: { readonly path: SitePath; readonly tree: Oid | 'empty' };
  readonly edits: readonly ImportEdit[];
}

export interface ImportEdit {
  readonly path: SitePath;
  /** Absent: removed. `mark` stands for a blob of this stream. */
  readonly entry?: Entry | { readonly mode: Entry['mode']; readonly mark: number };
}

/** Where every stream's commits go; the ledger's refs are moved afterwards, under a compare-and-set. */
const scratch = 'refs/scratch/import';

export function startFastImport(
  driver: GitDriver,
  environment: Record<string, string>,
  signal?: AbortSignal,
): FastImport {
  const git = driver.open({
    args: ['fast-import', '--done', '--force', '--quiet', '--date-format=raw'],
    environment,
    ...(signal ? { signal } : {}),
  });
  return new Stream(git);
}

class Stream implements FastImport {
  readonly #git: GitProcess;
  readonly #answer: Buffer[] = [];
  #marks = 0;

  constructor(git: GitProcess) {
    this.#git = git;
    git.child.stdout?.on('data', (chunk: Buffer) => this.#answer.push(chunk));
  }

  async blob(file: OpenFile): Promise<number> {
    const mark = ++this.#marks;
    await this.#write(`blob\nmark :${mark}\ndata ${file.size}\n`);
    for await (const chunk of file.chunks) await this.#write(chunk);
    await this.#write('\n');
    return mark;
  }

  async bytes(content: Buffer): Promise<number> {
    const mark = ++this.#marks;
    await this.#write(`blob\nmark :${mark}\ndata ${content.length}\n`);
    await this.#write(content);
    await this.#write('\n');
    return mark;
  }

  async commit(commit: ImportCommit): Promise<number> {
    const mark = ++this.#marks;
    const [who, by] = signatures(commit);
    const message = Buffer.from(commit.message, 'utf8');
    // `reset` first: without it a commit with no parent would silently continue the one before on the scratch ref.
    await this.#write(`reset ${scratch}\n\ncommit ${scratch}\nmark :${mark}\nauthor ${who}\ncommitter ${by}\n`);
    await this.#write(Buffer.concat([Buffer.from(`data ${message.length}\n`), message, Buffer.from('\n')]));
    const [first, ...merged] = commit.parents;
    if (first !== undefined) await this.#write(`from ${name(first)}\n`);
    for (const parent of merged) await this.#write(`merge ${name(parent)}\n`);
    if (commit.tree === 'empty') await this.#write('deleteall\n');
    else if (commit.tree) await this.#write(`M 040000 ${commit.tree} ""\n`);
    const { graft } = commit;
    if (graft) await this.#write(line(graft.tree === 'empty' ? 'D ' : `M 040000 ${graft.tree} `, graft.path));
    // All removals before all additions: a file may take the place of a folder and the other way round.
    for (const { path, entry } of commit.edits) if (!entry) await this.#write(line('D ', path));
    for (const { path, entry } of commit.edits) {
      if (entry) await this.#write(line(`M ${entry.mode} ${'mark' in entry ? `:${entry.mark}` : entry.oid} `, path));
    }
    await this.#write('\n');
    return mark;
  }

  async finish(): Promise<ReadonlyMap<number, Oid>> {
    for (let mark = 1; mark <= this.#marks; mark += 1) await this.#write(`get-mark :${mark}\n`);
    await this.#write('done\n');
    this.#git.child.stdin?.end();
    const { code, stderr } = await this.#git.ended;
    if (code !== 0) throw localFailure('fast-import', stderr);
    const oids = Buffer.concat(this.#answer).toString('latin1').split('\n');
    return new Map(Array.from({ length: this.#marks }, (_, i) => [i + 1, oids[i] as Oid]));
  }

  async abandon(): Promise<void> {
    this.#git.end();
    await this.#git.ended;
  }

  async #write(chunk: Buffer | string): Promise<void> {
    const { stdin } = this.#git.child;
    if (!stdin) return;
    await write(stdin, chunk);
  }
}

const name = (parent: Oid | number): string => (typeof parent === 'number' ? `:${parent}` : parent);

/** Author and committer of a commit, as its header says them. */
export function signatures({ author, committer = author, date }: Omit<ImportCommit, 'edits'>): [string, string] {
  return [signature(author, date), signature(committer, date)];
}

/** Who wrote a commit and when, as its header says it; `date`: seconds since 1970. */
function signature({ name, email }: ImportCommit['author'], date: number): string {
  return `${clean(name)} <${clean(email)}> ${date} +0000`;
}

/** Names go into a header line: what could end it or open an address goes. */
const clean = (text: string): string => text.replace(/[<>\n\0]/g, '').trim();

/** A path as fast-import reads it: C-quoted always, so no byte of it can mean anything else. */
function quotePath(path: SitePath): Buffer {
  const out: number[] = [0x22];
  for (const byte of pathBytes(path)) {
    if (byte === 0x22 || byte === 0x5c) out.push(0x5c, byte);
    else if (byte < 0x20 || byte >= 0x7f) out.push(0x5c, ...Buffer.from(byte.toString(8).padStart(3, '0')));
    else out.push(byte);
  }
  out.push(0x22);
  return Buffer.from(out);
}

function line(before: string, path: SitePath): Buffer {
  return Buffer.concat([Buffer.from(before), quotePath(path), Buffer.from('\n')]);
}
