import { type Change, type Entry, type Oid, type SitePath, parentOf } from '../model/tree.ts';
import type { Fs } from '../model/world.ts';
import type { Above, ApplyRequest, Repository } from '../sync/ports.ts';
import { type ReadAttributes, createTracked } from '../model/attributes.ts';
import { errorCode } from './errno.ts';
import { type TextRule, createTextRule } from './line-endings.ts';
import { rulesBytes } from './scan.ts';
import { DirectoryHandles } from './directory-handles.ts';

interface PathAttributesTools {
  readonly fs: Fs;
  readonly root: string;
  readonly isOn: () => boolean;
  readonly above: Repository['attributesAbove'];
  /** The ledger's commit; undefined before there is one. */
  readonly commit: () => Oid | undefined;
}

/** Throws what the system throws where a file of rules cannot be read: what it says of the path is not known then. */
type Tracked = (path: SitePath) => boolean;

interface Rules {
  readonly isLarge: Tracked;
  readonly text: (path: SitePath) => TextRule;
}

/**
 * What `.gitattributes` say of a site's paths: which the repository keeps in LFS, and which are texts. Whatever asks about
 * a path throws what {@link Tracked} throws.
 */
export class PathAttributes {
  readonly #t: PathAttributesTools;
  /** Whose files above the site count now, in place of the ledger's commit. */
  #as: Oid | undefined;
  /** Read once for a scan or an apply, not for each path. */
  #rules: Rules | undefined;

  constructor(tools: PathAttributesTools) {
    this.#t = tools;
  }

  /** By the `.gitattributes` that are in the folder now, and above it those of the commit. */
  async isLarge(path: SitePath): Promise<boolean> {
    return this.#t.isOn() && (await this.#now()).isLarge(path);
  }

  /** Whether it would be in LFS if that were on for the site. */
  async wouldBeLarge(path: SitePath): Promise<boolean> {
    return !this.#t.isOn() && (await this.#now()).isLarge(path);
  }

  async text(path: SitePath): Promise<TextRule> {
    return (await this.#now()).text(path);
  }

  async #now(): Promise<Rules> {
    if (this.#rules) return this.#rules;
    const above = await this.#above(this.#as);
    const read = (folder: string): string | undefined => this.#attributesOf(folder);
    return (this.#rules = {
      isLarge: inSite(above, read, createTracked),
      text: inSite(above, read, createTextRule),
    });
  }

  /** The files may be others from here on. `as`: above the site they are those of this commit. */
  forget(as?: Oid): void {
    this.#rules = undefined;
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
    return inSite(above, (folder) => texts.get(folder) ?? this.#attributesOf(folder), createTracked);
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
function inSite<T>(
  { site, texts }: Above,
  read: (folder: string) => string | undefined,
  create: (read: ReadAttributes) => (path: SitePath) => T,
): (path: SitePath) => T {
  if (site === '') return create(read);
  const isInSite = (folder: string): boolean => `${folder}/`.startsWith(`${site}/`);
  const rule = create((folder) => (isInSite(folder) ? read(folder.slice(site.length + 1)) : texts.get(folder)));
  return (path) => rule(`${site}/${path}` as SitePath);
}
