import { type Change, type Entry, type Oid, type SitePath, parentOf } from '../model/tree.ts';
import type { Fs } from '../model/world.ts';
import type { Above, ApplyRequest, Repository } from '../sync/ports.ts';
import { createTracked } from '../model/attributes.ts';
import { errorCode } from './errno.ts';
import { rulesBytes } from './scan.ts';
import { DirectoryHandles } from './directory-handles.ts';

interface LargePathsTools {
  readonly fs: Fs;
  readonly root: string;
  readonly isOn: () => boolean;
  readonly above: Repository['attributesAbove'];
  /** The ledger's commit; undefined before there is one. */
  readonly commit: () => Oid | undefined;
}

/** Throws what the system throws where a file of rules cannot be read: what it says of the path is not known then. */
type Tracked = (path: SitePath) => boolean;

/** Which paths of a site the repository keeps in LFS. Whatever asks about a path throws what {@link Tracked} throws. */
export class LargePaths {
  readonly #t: LargePathsTools;
  /** Whose files above the site count now, in place of the ledger's commit. */
  #as: Oid | undefined;
  /** Read once for a look or an apply, not for each path. */
  #tracked: Tracked | undefined;

  constructor(tools: LargePathsTools) {
    this.#t = tools;
  }

  /** By the `.gitattributes` that are in the folder now, and above it those of the commit. */
  async has(path: SitePath): Promise<boolean> {
    return this.#t.isOn() && (await this.#now())(path);
  }

  /** Whether it would be one if LFS were on for the site. */
  async wouldBe(path: SitePath): Promise<boolean> {
    return !this.#t.isOn() && (await this.#now())(path);
  }

  async #now(): Promise<Tracked> {
    if (this.#tracked) return this.#tracked;
    const above = await this.#above(this.#as);
    return (this.#tracked = tracked(above, (folder) => this.#attributesOf(folder)));
  }

  /** The files may be others from here on. `as`: above the site they are those of this commit. */
  forget(as?: Oid): void {
    this.#tracked = undefined;
    this.#as = as;
  }

  /** The rules as they will be when these changes of `commit` have arrived; undefined where LFS is off. */
  async after({
    changes,
    commit,
    blobs,
  }: Pick<ApplyRequest, 'changes' | 'commit' | 'blobs'>): Promise<Tracked | undefined> {
    if (!this.#t.isOn()) return undefined;
    const above = await this.#above(commit);
    const coming = changes.filter(({ path }) => /(^|\/)\.gitattributes$/.test(path));
    const texts = new Map(coming.map(({ path }) => [parentOf(path), '']));
    const files = coming.filter(({ after }) => after?.mode === '100644' || after?.mode === '100755');
    let at = 0;
    for await (const { size, chunks } of blobs(files.map(({ after }) => (after as Entry).oid))) {
      const bytes: Buffer[] = [];
      // As where the file is read from the folder: one that is too long says nothing.
      if (size <= rulesBytes) for await (const chunk of chunks) bytes.push(Buffer.from(chunk));
      texts.set(parentOf((files[at] as Change).path), Buffer.concat(bytes).toString('latin1'));
      at += 1;
    }
    return tracked(above, (folder) => texts.get(folder) ?? this.#attributesOf(folder));
  }

  async #above(commit: Oid | undefined): Promise<Above> {
    const of = commit ?? this.#t.commit();
    return of ? this.#t.above(of) : { site: '', texts: new Map() };
  }

  /** One character per byte, as paths are. */
  #attributesOf(folder: string): string | undefined {
    const [handles, name] = [new DirectoryHandles(this.#t.fs, this.#t.root), Buffer.from('.gitattributes')];
    try {
      const dir = handles.folderIfThere(folder);
      if (dir === undefined) return undefined;
      const stat = this.#t.fs.stat(dir, name);
      if (stat?.kind !== 'file' || stat.size > rulesBytes) return undefined;
      return this.#t.fs.readSmall(dir, name, rulesBytes).toString('latin1');
    } catch (error) {
      // Without LFS there is little to lose by rules that others keep from us, and every edit below them to gain.
      if (!this.#t.isOn() && ['EACCES', 'EPERM'].includes(errorCode(error))) return undefined;
      throw error;
    } finally {
      handles.close();
    }
  }
}

/** The rules of the whole repository for the paths of a site in it. `read`: of the site's own folders. */
function tracked({ site, texts }: Above, read: (folder: string) => string | undefined): Tracked {
  if (site === '') return createTracked(read);
  const inSite = (folder: string): boolean => `${folder}/`.startsWith(`${site}/`);
  const isTracked = createTracked((folder) =>
    inSite(folder) ? read(folder.slice(site.length + 1)) : texts.get(folder),
  );
  return (path) => isTracked(`${site}/${path}` as SitePath);
}
