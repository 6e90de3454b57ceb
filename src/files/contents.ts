import type { Change, Oid, SitePath } from '../model/tree.ts';
import type { Fs } from '../model/world.ts';
import type { LargeContents, OpenFile } from '../sync/ports.ts';
import type { LargePaths } from './large-paths.ts';
import type { Manifest } from './manifest.ts';
import { type Hashed, type Reading, hashFile, openLarge, openSteady } from './read.ts';

interface ContentsTools {
  readonly fs: Fs;
  readonly root: string;
  readonly manifest: Manifest;
  readonly largePaths: LargePaths;
  readonly large: LargeContents | undefined;
}

/**
 * The contents of a site's files as the repository has or would get them: in LFS that is a pointer. Everything here
 * throws what the system throws where a content, or what the rules say of it, cannot be read.
 */
export class Contents {
  readonly #t: ContentsTools;

  constructor(tools: ContentsTools) {
    this.#t = tools;
  }

  /** `expected`: may stand there as it is, beside what the ledger says. */
  async hash(path: SitePath, expected?: Oid): Promise<Hashed | undefined> {
    const line = this.#t.manifest.get(path);
    const known = line && !line.refused ? [line.oid, expected] : [expected];
    return this.#hash(path, await this.#t.largePaths.has(path), known);
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
      return this.#hash(path, isLarge?.(path), known);
    };
  }

  /** The file at `at`, which was the site's `path` until it was replaced. */
  async hashReplaced(at: SitePath, path: SitePath, was: Oid | undefined): Promise<Hashed | undefined> {
    return this.#hash(at, await this.#t.largePaths.has(path), [was]);
  }

  #hash(path: SitePath, large?: boolean, known?: readonly (Oid | undefined)[]): Promise<Hashed | undefined> {
    return hashFile(this.#t.fs, this.#t.root, path, large, known);
  }

  /** `as`: the path it is recorded under, by the rules; or, whatever they say, whether as a pointer. */
  async open(path: SitePath, as: SitePath | boolean, reading: Reading): Promise<OpenFile | undefined> {
    const { fs, root, large, largePaths } = this.#t;
    const points = typeof as === 'boolean' ? as : await largePaths.has(as);
    const file = openSteady(fs, root, path, reading);
    return large && points ? openLarge(file, (chunks) => large.keep(chunks)) : file;
  }
}
