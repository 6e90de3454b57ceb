import type { Change, Oid, SitePath } from '../model/tree.ts';
import type { Fs } from '../model/world.ts';
import type { LargeContents, OpenFile, Repository } from '../sync/ports.ts';
import type { PathAttributes } from './path-attributes.ts';
import type { Manifest } from './manifest.ts';
import { looksLikeText, withLf } from './line-endings.ts';
import { wholeOf } from './pointers.ts';
import {
  type Form,
  type Hashed,
  type Kept,
  type Reading,
  hashFile,
  longestText,
  openLarge,
  openLink,
  openSteady,
  openText,
} from './read.ts';

interface ContentsTools extends Pick<Repository, 'blobs' | 'sizes'> {
  readonly fs: Fs;
  readonly root: string;
  readonly manifest: Manifest;
  readonly attributes: PathAttributes;
  readonly large: LargeContents | undefined;
  /** Whether symbolic links are synced. */
  readonly links: () => boolean;
}

/**
 * The contents of a site's files as the repository has or would get them: in LFS that is a pointer, and of a text its
 * lines with LF. Everything here throws what the system throws where a content, or what the rules say of it, cannot be
 * read.
 */
export class Contents {
  readonly #t: ContentsTools;
  /** Texts that were recorded as they are, for their line endings are mixed, since this was last asked. */
  readonly #mixed = new Set<SitePath>();

  constructor(tools: ContentsTools) {
    this.#t = tools;
  }

  /** `expected`: may stand there as it is, beside what the ledger says. */
  async hash(path: SitePath, expected?: Oid): Promise<Hashed | undefined> {
    const line = this.#t.manifest.get(path);
    const known = line && !line.refused ? [line.oid, expected] : [expected];
    const large = await this.#t.attributes.isLarge(path);
    return this.#hash(path, { known, large, hasLf: this.#hasLf(path), links: this.#t.links() });
  }

  /** While an apply changes paths and rules. `isLarge`: by the rules as they will be. */
  hashWhile(
    changes: readonly Change[],
    isLarge: ((path: SitePath) => boolean) | undefined,
  ): (path: SitePath) => Promise<Hashed | undefined> {
    const at = new Map(changes.map((change) => [change.path, change]));
    return (path) => {
      const [line, change] = [this.#t.manifest.get(path), at.get(path)];
      const known = [line?.oid, line?.was?.oid, change?.before?.oid, change?.after?.oid];
      return this.#hash(path, { known, large: isLarge?.(path), links: this.#t.links() });
    };
  }

  /** The file at `at`, which was the site's `path` until it was replaced. */
  async hashReplaced(at: SitePath, path: SitePath, was: Oid | undefined): Promise<Hashed | undefined> {
    const large = await this.#t.attributes.isLarge(path);
    return this.#hash(at, { known: [was], large, hasLf: this.#hasLf(path), links: true });
  }

  #hash(path: SitePath, kept: Kept): Promise<Hashed | undefined> {
    return hashFile(this.#t.fs, this.#t.root, path, kept);
  }

  /** `as`: the path it is recorded under, by the rules; or, whatever they say, in which form. */
  async open(path: SitePath, as: SitePath | { readonly form: Form }, reading: Reading): Promise<OpenFile | undefined> {
    const { fs, root, large, attributes } = this.#t;
    if (typeof as === 'object' && as.form === 'link') return openLink(fs, root, path, reading);
    const form = typeof as === 'object' ? as.form : (await attributes.isLarge(as)) ? 'pointer' : undefined;
    const file = openSteady(fs, root, path, reading);
    if (form === 'pointer') return large ? openLarge(file, (chunks) => large.keep(chunks)) : file;
    return openText(file, (content) => this.#inRepository(path, typeof as === 'object' ? path : as, content, form));
  }

  async #inRepository(path: SitePath, as: SitePath, content: Buffer, form: Form | undefined): Promise<Buffer> {
    this.#mixed.delete(path);
    const lines = withLf(content);
    if (lines === 'same') return content;
    if (form !== 'lf' && !(await this.#hasLf(as)(content))) return content;
    if (lines === 'mixed') this.#mixed.add(path);
    return lines === 'mixed' || form === 'bytes' ? content : lines;
  }

  /** Whether a text was recorded with mixed line endings; asked once. */
  wasMixed(path: SitePath): boolean {
    return this.#mixed.delete(path);
  }

  /**
   * Whether the repository keeps a content that has CRLF with LF. Where git decides what is a text, it changes no file
   * that the repository has with CRLF already.
   */
  #hasLf(path: SitePath): (content: Buffer) => Promise<boolean> {
    return async (content) => {
      const rule = await this.#t.attributes.text(path);
      if (rule !== 'auto') return rule === 'text';
      const oid = this.#t.manifest.get(path)?.oid;
      return looksLikeText(content) && !(oid && (await this.#hasCrlf(oid)));
    };
  }

  async #hasCrlf(oid: Oid): Promise<boolean> {
    const [size = 0] = await this.#t.sizes([oid]);
    if (size > longestText) return true;
    for await (const { chunks } of this.#t.blobs([oid])) return (await wholeOf(chunks)).includes('\r\n');
    return false;
  }
}
