import type { Oid } from '../model/tree.ts';
import type { OpenFile } from '../sync/ports.ts';
import { type FastImport, type ImportCommit, signatures } from './fast-import.ts';
import { type Objects, emptyTree, parseTreeObject } from './objects.ts';
import { buildPack, writePack } from './pack.ts';
import { TreeEdit, type WrittenObject, objectId } from './tree-edit.ts';

interface ImportTools {
  readonly gitDir: string;
  readonly objects: Objects;
  /** For what is too large to be held. */
  readonly fastImport: () => FastImport;
}

/** What is held of one import, in bytes; from there on, git's own fast-import writes it. */
const mostBytes = 4 * 1024 * 1024;
const mostObjects = 2_500;

type Step = { readonly bytes: Buffer } | { readonly commit: ImportCommit };

/**
 * Writes blobs and commits as {@link FastImport} does. A small import becomes a pack without any process; one that turns
 * out to be large is handed on to fast-import, from its beginning.
 */
export function startImport(tools: ImportTools): FastImport {
  return new Import(tools);
}

class Import implements FastImport {
  readonly #tools: ImportTools;
  readonly #steps: Step[] = [];
  readonly #oids: Oid[] = [];
  readonly #written = new Map<Oid, WrittenObject>();
  #bytes = 0;
  #through: FastImport | undefined;

  constructor(tools: ImportTools) {
    this.#tools = tools;
  }

  async blob(file: OpenFile): Promise<number> {
    if (this.#bytes + file.size > mostBytes || this.#written.size >= mostObjects) await this.#handOn();
    if (this.#through) return this.#through.blob(file);
    const chunks: Buffer[] = [];
    for await (const chunk of file.chunks) chunks.push(Buffer.from(chunk));
    return this.bytes(Buffer.concat(chunks));
  }

  async bytes(content: Buffer): Promise<number> {
    if (this.#through) return this.#through.bytes(content);
    this.#steps.push({ bytes: content });
    return this.#add({ oid: objectId('blob', content), type: 'blob', data: content });
  }

  async commit(commit: ImportCommit): Promise<number> {
    if (commit.edits.length > mostObjects) await this.#handOn();
    if (this.#through) return this.#through.commit(commit);
    this.#steps.push({ commit });
    const tree = await this.#treeOf(commit);
    const data = formatCommit(commit, tree, (parent) => this.#oidOf(parent));
    return this.#add({ oid: objectId('commit', data), type: 'commit', data });
  }

  async finish(): Promise<ReadonlyMap<number, Oid>> {
    if (this.#through) return this.#through.finish();
    const { gitDir, objects } = this.#tools;
    const written = [...this.#written.values()];
    if (written.length > 0) await writePack(gitDir, await buildPack(written));
    for (const object of written) objects.learn(object.oid, object);
    return new Map(this.#oids.map((oid, at) => [at + 1, oid]));
  }

  async abandon(): Promise<void> {
    await this.#through?.abandon();
  }

  async #handOn(): Promise<void> {
    if (this.#through) return;
    this.#through = this.#tools.fastImport();
    for (const step of this.#steps.splice(0)) {
      if ('commit' in step) await this.#through.commit(step.commit);
      else await this.#through.bytes(step.bytes);
    }
    this.#written.clear();
  }

  #add(object: WrittenObject): number {
    this.#keep(object);
    return this.#oids.push(object.oid);
  }

  #keep(object: WrittenObject): void {
    this.#written.set(object.oid, object);
    this.#bytes += object.data.length;
  }

  #oidOf(parent: Oid | number): Oid {
    return typeof parent === 'number' ? (this.#oids[parent - 1] as Oid) : parent;
  }

  async #treeOf({ parents: [parent], tree, graft, edits }: ImportCommit): Promise<Oid> {
    const base =
      tree === 'empty' ? emptyTree : (tree ?? (parent === undefined ? emptyTree : await this.#rootOf(parent)));
    const edit = new TreeEdit(this.#trees, base);
    if (graft?.tree === 'empty') await edit.remove(graft.path);
    else if (graft) await edit.set(graft.path, { mode: '040000', oid: graft.tree });
    // All removals before all additions: a file may take the place of a folder and the other way round.
    for (const { path, entry } of edits) if (!entry) await edit.remove(path);
    for (const { path, entry } of edits) {
      if (entry) await edit.set(path, { mode: entry.mode, oid: 'mark' in entry ? this.#oidOf(entry.mark) : entry.oid });
    }
    const written = await edit.write();
    for (const object of written.objects) this.#keep(object);
    return written.tree;
  }

  async #rootOf(parent: Oid | number): Promise<Oid> {
    const oid = this.#oidOf(parent);
    const own = this.#written.get(oid);
    return own ? (own.data.toString('latin1', 5, 45) as Oid) : (await this.#tools.objects.commit(oid)).tree;
  }

  /** Those of this import are not in the repository yet. */
  get #trees(): Pick<Objects, 'tree'> {
    return {
      tree: async (oid) => {
        const own = this.#written.get(oid);
        return own ? parseTreeObject(oid, own.data) : this.#tools.objects.tree(oid);
      },
    };
  }
}

/** As fast-import writes it. */
function formatCommit(commit: ImportCommit, tree: Oid, oidOf: (parent: Oid | number) => Oid): Buffer {
  const { message, parents } = commit;
  const [who, by] = signatures(commit);
  const head = [`tree ${tree}`, ...parents.map((parent) => `parent ${oidOf(parent)}`)];
  return Buffer.from(`${[...head, `author ${who}`, `committer ${by}`].join('\n')}\n\n${message}`, 'utf8');
}
