import { type Change, type Entry, type SitePath, parentOf } from '../model/tree.ts';
import type { Fs } from '../model/world.ts';
import type { ApplyRequest } from '../sync/ports.ts';
import { createTracked } from './attributes.ts';
import { errorCode } from './disk.ts';
import { readText, rulesBytes } from './scan.ts';
import { Walk } from './walk.ts';

/** Which paths of a site the repository keeps in LFS. */
export class LargePaths {
  readonly #fs: Fs;
  readonly #root: string;
  readonly #isOn: () => boolean;
  /** Read once for a look or an apply, not for each path. */
  #tracked: ((path: SitePath) => boolean) | undefined;

  constructor(fs: Fs, root: string, isOn: () => boolean) {
    this.#fs = fs;
    this.#root = root;
    this.#isOn = isOn;
  }

  /** By the `.gitattributes` that are in the folder now. */
  has(path: SitePath): boolean {
    return this.#isOn() && this.#isTracked(path);
  }

  /** Whether it would be one if LFS were on for the site. */
  wouldBe(path: SitePath): boolean {
    return !this.#isOn() && this.#isTracked(path);
  }

  #isTracked(path: SitePath): boolean {
    this.#tracked ??= createTracked((folder) => this.#attributesOf(folder));
    return this.#tracked(path);
  }

  /** The files may be others from here on. */
  forget(): void {
    this.#tracked = undefined;
  }

  /** The rules as they will be when these changes have arrived; undefined where LFS is off. */
  async after({
    changes,
    blobs,
  }: Pick<ApplyRequest, 'changes' | 'blobs'>): Promise<((path: SitePath) => boolean) | undefined> {
    if (!this.#isOn()) return undefined;
    const coming = changes.filter(({ path }) => /(^|\/)\.gitattributes$/.test(path));
    const texts = new Map(coming.map(({ path }) => [parentOf(path), '']));
    const files = coming.filter(({ after }) => after !== undefined);
    let at = 0;
    for await (const { size, chunks } of blobs(files.map(({ after }) => (after as Entry).oid))) {
      const bytes: Buffer[] = [];
      // As where the file is read from the folder: one that is too long says nothing.
      if (size <= rulesBytes) for await (const chunk of chunks) bytes.push(Buffer.from(chunk));
      texts.set(parentOf((files[at] as Change).path), Buffer.concat(bytes).toString('latin1'));
      at += 1;
    }
    return createTracked((folder) => texts.get(folder) ?? this.#attributesOf(folder));
  }

  #attributesOf(folder: string): string | undefined {
    const walk = new Walk(this.#fs, this.#root);
    try {
      return readText(this.#fs, walk, folder, '.gitattributes');
    } catch (error) {
      // A folder that is still to come, or one whose files are named as unreadable anyway.
      if (['ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES', 'EPERM'].includes(errorCode(error))) return undefined;
      throw error;
    } finally {
      walk.close();
    }
  }
}
